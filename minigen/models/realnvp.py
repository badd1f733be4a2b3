"""RealNVP: half of the numbers decide how the other half is stretched.

Split the numbers of an example into two groups, A and B. A *coupling* keeps A and moves B, each number by an increasing
map g whose shape a network computes from A:

    z_A = x_A,      z_b = g(x_b; n_b(x_A))  for every b in B.                                          (13.7)

The network n may be anything, for it is never inverted: who knows z knows x_A = z_A, so can run it as well, and

    x_A = z_A,      x_b = g⁻¹(z_b; n_b(z_A)).                                                          (13.8)

Both directions cost one pass. In the order "A, then B" the Jacobian is triangular, its diagonal 1 on A, so (13.6) says

    ∂z/∂x = [ I            0           ]
            [ ∂z_B/∂x_A    diag g′(x_b) ],      log |det| = Σ_b log g′(x_b; n_b(x_A)).                  (13.9)

What stands in the lower left corner, the network's derivatives, does not count: no one has to compute it.

**RealNVP** takes straight lines, whose slope and height are the network's:

    g(x; s, t) = x e^s + t,      log g′ = s,      g⁻¹(z) = (z − t) e^−s,      s = c tanh(r/c).         (13.10)

The network says r and t. With |s| ≤ c no layer can blow up a number more than e^c-fold. With s = 0 no layer could
change a volume, and the flow would be NICE, its ancestor. Any other increasing g will do: splines.py.

**One layer is little**: A is not moved at all. The next one exchanges the groups, or draws new ones, and after a few
layers each number has been moved knowing all others. *Masks* name the groups, True for A. For vectors: every second
number, or a random half. For pictures the *checkerboard*, by which each pixel sees its four neighbours, and where
there are several channels, one half of the channels. In

    z = m ⊙ x + (1 − m) ⊙ g(x; n(m ⊙ x))                                                               (13.11)

m is the mask as zeros and ones; the network is shown a whole example with holes, so convolutions can be used.

Sources: Dinh, Krueger & Bengio 2014, arXiv:1410.8516 (NICE); Dinh, Sohl-Dickstein & Bengio 2016, arXiv:1605.08803.
Differs: s is c tanh(r/c) in place of a learnt multiple of tanh; the networks' last layers begin at 0, so that a fresh
flow is the identity; no batch normalisation between layers (glow.py has what took its place).
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.errors import ShapeError
from minigen.models.bijections import Bijection, Monotone
from minigen.ops.shape import put_add


class Affine(Monotone):
    """A straight line of positive slope, (13.10). Numbers: r, t.

    bound:    c, the largest |log slope|
    """

    numbers = 2

    def __init__(self, bound=2.0):
        self.bound = float(bound)

    def forward(self, x, numbers):
        s, t = self._line(numbers)
        return x * ops.exp(s) + t, s

    def inverse(self, z, numbers):
        s, t = self._line(numbers)
        return (z - t) * ops.exp(-s), -s

    def _line(self, numbers):
        return self.bound * ops.tanh(numbers[..., 0] * (1 / self.bound)), numbers[..., 1]


class Coupling(Bijection):
    """The numbers where the mask is True are kept, and decide how the others are moved, (13.7) to (13.11).

    mask:      bool, the shape of one example
    network:   (x with zeros where the mask is False (B, …), condition) → (B, N, P): P numbers for each of the N places
               where the mask is False, in reading order; such as VectorNet and PictureNet
    monotone:  the map g; Affine unless given

    Shapes:   x (B, *mask.shape) → z the same, log_det (B,)
    Raises:   ShapeError for a mask that is not bool, or keeps all or nothing; for an x of another shape.
    """

    def __init__(self, mask, network, monotone=None):
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.all() or not mask.any():
            raise ShapeError(f"Coupling: mask of {mask.dtype}, {int(mask.sum())} of {mask.size} kept; expected bools "
                             "of which some are True and some False")
        self.mask, self.network, self.monotone = mask, network, monotone or Affine()

    def forward(self, x, condition=None):
        return self._moved(x, condition, self.monotone.forward)

    def inverse(self, z, condition=None):
        return self._moved(z, condition, self.monotone.inverse)

    def _moved(self, x, condition, move):
        if tuple(x.shape[1:]) != self.mask.shape:
            raise ShapeError(f"Coupling: examples {tuple(x.shape)} for a mask {self.mask.shape}; expected (B, *mask)")
        kept = x * self.mask.astype(x.dtype)
        numbers = self.network(kept) if condition is None else self.network(kept, condition)
        free = (slice(None), ~self.mask)
        moved, log_slopes = move(x[free], numbers)  # (B, N) each
        return kept + put_add(moved, index=free, shape=x.shape), ops.sum(log_slopes, dim=1)


# -- masks ------------------------------------------------------------------------------------------------------------


def alternating(size, layers):
    """Every second number, then the others, and so on: a list of `layers` masks (size,)."""
    return [np.arange(size) % 2 == layer % 2 for layer in range(layers)]


def random_halves(size, layers, *, rng):
    """A random half and then the other half, and again: a list of `layers` masks (size,)."""
    masks = []
    while len(masks) < layers:
        half = rng.permutation(size) < size // 2
        masks += [half, ~half]
    return masks[:layers]


def checkerboard(shape, layers):
    """The dark squares of a board, then the light ones, and so on: a list of `layers` masks of shape (C, H, W)."""
    if len(shape) != 3:
        raise ShapeError(f"checkerboard: shape {tuple(shape)}; expected (C, H, W)")
    row, column = np.indices(shape[1:])
    return [np.broadcast_to((row + column) % 2 == layer % 2, shape).copy() for layer in range(layers)]


def channel_halves(shape, layers):
    """The first half of the channels, then the second, and so on: a list of `layers` masks of shape (C, H, W)."""
    if len(shape) != 3 or shape[0] < 2:
        raise ShapeError(f"channel_halves: shape {tuple(shape)}; expected (C, H, W) with at least two channels")
    first = np.broadcast_to((np.arange(shape[0]) < (shape[0] + 1) // 2)[:, None, None], shape)
    return [first.copy() if layer % 2 == 0 else ~first for layer in range(layers)]


def couplings(masks, network, monotone=None):
    """One coupling for each mask, a list: `Chain(*couplings(…))`.

    network:  (mask, monotone) → a fresh network for it
    """
    monotone = monotone or Affine()
    return [Coupling(mask, network(mask, monotone), monotone) for mask in masks]


# -- networks ---------------------------------------------------------------------------------------------------------


class VectorNet(nn.Module):
    """A residual perceptron that computes a coupling's numbers. It begins by saying the identity's numbers.

    mask:      (D,), or any shape: the example is laid flat
    blocks:    residual blocks after the first layer
    condition: how many numbers of a condition (B, condition) are read as well

    Shapes:   x (B, …), condition (B, …) → (B, N, P)
    """

    def __init__(self, mask, monotone, *, hidden=128, blocks=2, dropout=0.0, condition=0, rng):
        places = int((~mask).sum())
        self.shape, self.size, self.condition = (places, monotone.numbers), mask.size, condition
        parts = [nn.Linear(mask.size + condition, hidden, rng=rng), nn.SiLU(), nn.Dropout(dropout, rng=rng)]
        for _ in range(blocks):
            parts.append(nn.Residual(nn.Linear(hidden, hidden, rng=rng), nn.SiLU(), nn.Dropout(dropout, rng=rng)))
        self.layers = nn.Sequential(*parts)
        self.last = quiet(nn.Linear(hidden, math.prod(self.shape), rng=rng), np.tile(monotone.identity(), places))

    def forward(self, x, condition=None):
        x = _laid_flat(x)
        if x.shape[1] != self.size:
            raise ShapeError(f"VectorNet: {x.shape[1]} numbers per example; expected {self.size}")
        if self.condition:
            x = ops.concatenate([x, checked_condition("VectorNet", condition, self.condition, x)], dim=1)
        return ops.reshape(self.last(self.layers(x)), (len(x), *self.shape))


class PictureNet(nn.Module):
    """A residual convolutional network that computes a coupling's numbers. It begins by saying the identity's.

    mask:      (C, H, W)
    places:    learn a picture that is added after the first layer, so that filters may know where they are
    condition: channels of a condition (B, condition, H, W), or (B, condition), the same at all places

    Shapes:   x (B, C, H, W) → (B, N, P)
    """

    def __init__(self, mask, monotone, *, width=32, blocks=2, dropout=0.0, places=False, condition=0, rng):
        channels, height, across = mask.shape
        self._free = ~mask
        self.numbers, self.condition = monotone.numbers, condition
        self.first = nn.Conv2d(channels + condition, width, 3, padding=1, rng=rng)
        self.places = nn.parameter(np.zeros((1, width, height, across))) if places else None
        self.blocks = nn.Sequential(*(_picture_block(width, dropout, rng) for _ in range(blocks)))
        start = np.repeat(monotone.identity(), channels)  # P blocks of C channels
        self.last = quiet(nn.Conv2d(width, channels * self.numbers, 3, padding=1, rng=rng), start)

    def forward(self, x, condition=None):
        size, channels, height, across = x.shape
        if self.condition:
            if condition is None or tuple(condition.shape) != (size, self.condition, height, across):
                condition = ops.reshape(checked_condition("PictureNet", condition, self.condition, x), (size, -1, 1, 1))
                condition = ops.broadcast_to(condition, shape=(size, self.condition, height, across))
            x = ops.concatenate([x, condition], dim=1)
        x = self.first(x)
        x = self.blocks(x if self.places is None else x + self.places)
        numbers = ops.reshape(self.last(ops.silu(x)), (size, self.numbers, channels, height, across))
        return ops.transpose(numbers[:, :, self._free], 1, 2)  # (B, N, P)


def _picture_block(width, dropout, rng):
    return nn.Residual(
        nn.GroupNorm(max(1, width // 8), width),
        nn.SiLU(),
        nn.Conv2d(width, width, 3, padding=1, rng=rng),
        nn.SiLU(),
        nn.Dropout(dropout, rng=rng),
        nn.Conv2d(width, width, 3, padding=1, rng=rng),
    )


def checked_condition(name, condition, size, x):
    """The condition that a network was made for, laid flat, (B, size). (A network made for none does not look at it.)

    Raises:   ShapeError, in the network's name, if it is missing or of another size.
    """
    given = None if condition is None else tuple(condition.shape)
    if given is None or given[:1] != (len(x),) or math.prod(given[1:]) != size:
        raise ShapeError(f"{name}: a condition {given}; expected ({len(x)}, {size})")
    return _laid_flat(condition)


def _laid_flat(x):
    return ops.reshape(x, (len(x), math.prod(x.shape[1:])))


def quiet(layer, bias):
    """The layer with weight 0 and this bias: whatever it is shown, it says the bias, until it learns better."""
    layer.weight.overwrite(np.zeros(layer.weight.shape))
    layer.bias.overwrite(bias)
    return layer
