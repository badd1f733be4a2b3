"""MADE and NADE: an autoencoder that may not look ahead.

By the chain rule any distribution over D numbers is a product, in whatever order they are read,

    p(x) = Π_d p(x_d | x_1 … x_{d−1}).                                                                   (6.1)

To learn it we need D conditional distributions, each with an input of another length. Separate models would learn
nothing from each other.

**NADE** shares their weights. The hidden units for x_d are a neural layer of the numbers before it,

    h_d = s(c + W_{:,<d} x_{<d}),    parameters of p(x_d | x_<d) = b_d + V_d h_d,                           (6.2)

with *one* W for all d. The sums grow by one term at a time, so all D layers cost as much as one:

    a_1 = c,    a_{d+1} = a_d + W_{:,d} x_d,    h_d = s(a_d).                                              (6.3)

**MADE** asks for less machinery: take an ordinary network from D inputs to D outputs and cut, by masks of zeros and
ones, all connections through which an output could see its own input or a later one. Give each unit a *degree*: input d
has degree d, its place in the order; a hidden unit has some degree m from 0 to D − 1, and may know the inputs 1 … m.
Between two layers keep only

    into a hidden unit:   M[k, j] = 1 if m(k) ≥ m(j),        into output d:   M[d, k] = 1 if d > m(k).      (6.4)

Along every path degrees never fall, and the last step rises, so output d depends on inputs of degree below d only. (The
Jacobian ∂output_d / ∂x_e is zero for e ≥ d; the tests look at it.)

**One is the other.** Give MADE one hidden layer of D groups of H units, group d with degree d − 1; let each group use
the same weights, W columns and c, and let output d look at its own group only. Then group d is h_d of (6.2):

    MADE with degrees 0 … D − 1, weights shared by the groups, each output seeing its own group  =  NADE.  (6.5)

MADE in general gives each unit weights of its own, lets outputs see all smaller degrees too (what they share are the
units), and gives all D conditionals in one pass.

**Many orders.** Nothing makes one order better than another. Let the training step choose one of several orders, and
one of several sets of hidden degrees: each choice is a model, all share their weights, and their average is a density:

    p(x) = 1/K Σ_k p_k(x),      −log p(x) ≤ −1/K Σ_k log p_k(x)   (Jensen's inequality).                     (6.6)

It is both a regulariser and an ensemble; and what is given can come first in one order or another (`complete`).

Sources: Germain et al. 2015, arXiv:1502.03509 (MADE); Larochelle & Murray 2011 (NADE); many orders: Uria et al. 2014,
arXiv:1310.1757. Differs: hidden degrees begin at 0, so that units which know nothing exist too; the output may have
several numbers per pixel (`minigen.likelihoods`); hidden layers after the first are residual where sizes allow; no
direct connections from input to output.
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import ShapeError


class MADE(nn.Module):
    """A masked autoencoder over D numbers.

    likelihood:  one of minigen.likelihoods: what the network's numbers mean for one pixel
    pixels:      D
    high:        the largest value of a pixel; inputs are scaled from 0 … high to −1 … 1
    hidden:      the sizes of the hidden layers
    orders:      K of (6.6): how many orders, each with hidden degrees of its own. The first is the natural one.
    """

    def __init__(self, likelihood, pixels, *, high, hidden=(256, 256), orders=1, dropout=0.0, rng):
        if pixels < 1 or orders < 1 or not hidden:
            raise ShapeError(f"MADE: pixels={pixels}, orders={orders}, hidden={hidden}; expected at least one of each")
        self.likelihood, self.pixels, self.orders = likelihood, pixels, orders
        self.scaled = nn.Scaled(high)
        sizes = [pixels, *hidden]
        self.layers = nn.ModuleList(nn.MaskedLinear(*pair, rng=rng) for pair in zip(sizes[:-1], sizes[1:], strict=True))
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.last = nn.MaskedLinear(hidden[-1], likelihood.channels * pixels, rng=rng)
        self.last.bias.overwrite(likelihood.initial_bias(pixels).reshape(-1))
        # order[k, d]: which pixel is read d-th. place[k, i]: when pixel i is read, its degree less one.
        self.order = np.stack([np.arange(pixels)] + [rng.permutation(pixels) for _ in range(orders - 1)])
        self.place = np.argsort(self.order, axis=1)
        self.degrees = np.stack([hidden_degrees(hidden, pixels, rng=rng) for _ in range(orders)])  # (K, Σ hidden)

    def masks(self, k):
        """The masks (6.4) of all layers for choice k, the last one (channels·D, hidden)."""
        ends = np.cumsum([layer.weight.shape[0] for layer in self.layers])[:-1]
        *between, last = made_masks(self.place[k] + 1, *np.split(self.degrees[k], ends))
        return [*between, np.tile(last, (self.likelihood.channels, 1))]

    def forward(self, x, k=0):
        """Pixels (B, D) → the numbers of every pixel's distribution given those before it, (B, channels, D)."""
        *masks, last = self.masks(k)
        h = self.scaled(x)
        for number, (layer, mask) in enumerate(zip(self.layers, masks, strict=True)):
            y = self.dropout(ops.relu(layer(h, mask)))
            # A unit may be added to another that knows at least as much: the same degree, so unit by unit.
            h = h + y if number and self._same_degrees(k, number) else y
        return ops.reshape(self.last(h, last), (len(x), self.likelihood.channels, self.pixels))

    def _same_degrees(self, k, number):
        ends = np.cumsum([0] + [layer.weight.shape[0] for layer in self.layers])
        below, above = (self.degrees[k, ends[n] : ends[n + 1]] for n in (number - 1, number))
        return np.array_equal(below, above)

    # -- likelihood -------------------------------------------------------------------------------------------

    def loss(self, x, *, rng):
        """−log p_k(x) with one choice k drawn for the whole batch: what training makes small, (6.6). (B,), in nats."""
        return -self.log_prob_in_order(x, int(rng.integers(self.orders)))

    def log_prob_in_order(self, x, k):
        """log p_k(x) by (6.1), (B,), in nats."""
        x = self._flat(x, "log_prob")
        return self.likelihood.log_prob(self(x, k), x)

    def log_prob(self, x):
        """log p(x), the average over all orders, (6.6): exact, (B,), in nats."""
        each = [self.log_prob_in_order(x, k) for k in range(self.orders)]
        return each[0] if self.orders == 1 else ops.logsumexp(ops.stack(each), dim=0) - math.log(self.orders)

    def _flat(self, x, name):
        x = np.asarray(x.data if isinstance(x, Tensor) else x)
        if x.ndim < 2 or math.prod(x.shape[1:]) != self.pixels:
            raise ShapeError(f"MADE.{name}: pictures {x.shape}; expected (B, …) with {self.pixels} pixels each")
        return x.reshape(len(x), -1)

    # -- sampling ---------------------------------------------------------------------------------------------

    def sample(self, n, *, rng):
        """n new examples, (n, D): an order is drawn for each, then D passes, each of which settles one pixel."""
        x = np.zeros((n, self.pixels), dtype=np.int64)
        return self._draw(x, np.zeros(x.shape, dtype=bool), rng.integers(self.orders, size=n), rng)

    def complete(self, x, known, *, rng):
        """Examples x of which the pixels where `known` is True are given; the others are drawn. (B, D)

        known is (D,), for all, or (B, D). Of the orders that the model has, the one is taken in which the fewest known
        pixels come after an unknown one. If there are none, this is an exact draw from p_k(unknown | known). Otherwise
        a pixel is drawn in ignorance of known ones that come after it.
        """
        x = self._flat(x, "complete")
        known = np.asarray(known)
        if known.dtype != bool or known.shape not in ((self.pixels,), x.shape):
            raise ShapeError(
                f"MADE.complete: known {known.shape} of {known.dtype}; expected bool ({self.pixels},) or {x.shape}"
            )
        known = np.broadcast_to(known, x.shape)
        read = known[:, self.order]  # (B, K, D)
        late = (read & (np.cumsum(~read, axis=-1) > 0)).sum(axis=-1)
        return self._draw(np.where(known, x, 0), known, np.argmin(late, axis=1), rng)

    @no_grad()
    def _draw(self, x, known, choice, rng):
        training = self.training
        self.eval()
        for k in np.unique(choice):
            rows = np.flatnonzero(choice == k)
            for pixel in self.order[k]:
                if known[rows, pixel].all():
                    continue
                drawn = self.likelihood.sample(self(x[rows], k)[:, :, pixel : pixel + 1], rng=rng)[:, 0]
                x[rows, pixel] = np.where(known[rows, pixel], x[rows, pixel], drawn)
        self.train(training)
        return x


def made_masks(inputs, *hidden):
    """The masks (6.4) between layers whose units have these degrees: into each hidden layer, then into the outputs.

    Shapes:  inputs (D,), a permutation of 1 … D; each hidden layer's (H,) → (H, D), … between hidden layers, (D, H)
    """
    degrees = (inputs, *hidden)
    between = [above[:, None] >= below[None] for below, above in zip(degrees[:-1], degrees[1:], strict=True)]
    return [*between, inputs[:, None] > degrees[-1][None]]


def hidden_degrees(sizes, pixels, *, rng):
    """A degree from 0 to D − 1 for each hidden unit, all layers in one row: spread evenly, then shuffled.

    Layers of one size share their degrees, so that a residual sum joins units that may know the same.
    """
    drawn = {}
    for size in sizes:
        if size not in drawn:
            drawn[size] = rng.permutation(np.arange(size) * pixels // size)
    return np.concatenate([drawn[size] for size in sizes])


# -- NADE -----------------------------------------------------------------------------------------------------


def nade_parameters(x, weight, c, output, b):
    """The numbers of every p(x_d | x_<d) by NADE's recurrence (6.3), with s = relu.

    Shapes:  x (B, D), weight W (H, D), c (H,), output V (D, channels, H), b (channels, D) → (B, channels, D)
    Source:  Larochelle & Murray 2011.  Differs: relu in place of the sigmoid; any number of channels.
    """
    a = ops.broadcast_to(ops.reshape(c, (1, -1)), shape=(len(x), c.shape[0]))  # a_1
    numbers = []
    for d in range(x.shape[1]):
        numbers.append(ops.linear(ops.relu(a), output[d], b[:, d]))  # (B, channels)
        a = a + x[:, d : d + 1] * weight[:, d]  # (6.3)
    return ops.stack(numbers, dim=2)


def nade_log_prob(x, likelihood, weight, c, output, b, *, high):
    """log p(x) of NADE, (B,), in nats. Shapes as in `nade_parameters`; x are whole values 0 … high."""
    scaled = nn.Scaled(high)(x)
    return likelihood.log_prob(nade_parameters(scaled, weight, c, output, b), x)


def made_masks_of_nade(pixels, units, channels):
    """The two masks of (6.5): hidden unit (d, h) has degree d − 1, and output d sees its own group only.

    Shapes:  (D·units, D) and (channels·D, D·units)
    """
    group = np.repeat(np.arange(pixels), units)  # d − 1 for every hidden unit
    first = group[:, None] >= np.arange(1, pixels + 1)[None]
    own = np.arange(pixels)[:, None] == group[None]
    return first, np.tile(own, (channels, 1))
