"""MAF and IAF: each number is moved by what comes before it.

A coupling moves B knowing A, and A not at all. The finest split has D groups: z_d is x_d moved by an increasing map
that all numbers before it decide,

    z_d = g(x_d; n_d(x_1 … x_{d−1})),      log |det ∂z/∂x| = Σ_d log g′(x_d; n_d(x_<d)),                (13.23)

for the Jacobian is triangular (13.6). All n_d together are one network from D to D·P numbers in which output d may not
see input d or a later one: MADE's masks, (6.4). So the way from the data, and with it the likelihood, takes one pass.

**It is an autoregressive model.** With g(x; s, t) = x e^s + t and z_d ~ N(0, 1), x_d = (z_d − t_d) e^{−s_d}, so

    x_d | x_<d  ~  N(−t_d e^{−s_d}, e^{−2 s_d}):                                                        (13.24)

(6.1) with Gaussian conditionals whose mean and width a MADE says. Several behind each other, in other orders, are more
than one: z of the first is again data for the second, whose noise need not be what the first supposed. One layer's
conditionals have one hill; a spline for g gives each as many as it has bins.

**Backwards** x_1 must be known before x_2 can be: from z the numbers come one after the other, D passes,

    x_d = g⁻¹(z_d; n_d(x_<d)),      d = 1 … D.                                                         (13.25)

**IAF** is the same bijection read backwards: the network sees z_<d, and samples take one pass,

    x_d = g(z_d; n_d(z_<d)).                                                                           (13.26)

But the density of a *given* x takes D passes. So MAF is for likelihood, IAF for sampling, as for a posterior q(z|x)
whose own samples are all that is ever scored; a coupling is both, with less to say.

Sources: Kingma et al. 2016, arXiv:1606.04934 (IAF); Papamakarios, Pavlakou & Murray 2017, arXiv:1705.07057 (MAF).
Differs: hidden degrees begin at 0 and hidden layers are residual, as in made.py; s is bounded (13.10); no batch
normalisation between layers.
"""

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.errors import ShapeError
from minigen.models.bijections import Bijection, Chain, Inverse, zeros
from minigen.models.made import hidden_degrees, made_masks
from minigen.models.realnvp import Affine, checked_condition, quiet


class MaskedNet(nn.Module):
    """A residual MADE that computes P numbers for each of D inputs from those before it, and from a condition.

    order:     (D,): which number is read first, second, …
    hidden:    the sizes of the hidden layers; equal ones are residual (unless residual=False)
    condition: how many numbers of a condition (B, condition) every unit may see

    Shapes:    x (B, D) → (B, D, P)
    Raises:    ShapeError for an order that is none, or x that does not fit.
    """

    def __init__(self, order, monotone, *, hidden=(128, 128), dropout=0.0, condition=0, residual=True, rng):
        order = np.asarray(order)
        if order.ndim != 1 or not hidden or not np.array_equal(np.sort(order), np.arange(order.size)):
            raise ShapeError(f"MaskedNet: order {order}, hidden {hidden}; expected 0 … D − 1 and at least one size")
        self.size, self.numbers, self.residual = order.size, monotone.numbers, residual
        degrees = hidden_degrees(hidden, self.size, rng=rng)
        degrees = np.split(degrees, np.cumsum(hidden)[:-1])
        *between, last = made_masks(np.argsort(order) + 1, *degrees)  # (6.4)
        self.layers = nn.ModuleList(nn.MaskedLinear(*mask.shape[::-1], mask, rng=rng) for mask in between)
        self.dropout = nn.Dropout(dropout, rng=rng)
        last = np.repeat(last, self.numbers, axis=0)  # (D·P, hidden)
        self.last = quiet(nn.MaskedLinear(*last.shape[::-1], last, rng=rng), np.tile(monotone.identity(), self.size))
        self.condition = condition
        self.told = nn.Linear(condition, hidden[0], bias=False, rng=rng) if condition else None

    def forward(self, x, condition=None):
        if x.ndim != 2 or x.shape[1] != self.size:
            raise ShapeError(f"MaskedNet: x {tuple(x.shape)}; expected (B, {self.size})")
        h = x
        for number, layer in enumerate(self.layers):
            y = layer(h)
            if number == 0 and self.told is not None:
                y = y + self.told(checked_condition("MaskedNet", condition, self.condition, x))
            y = self.dropout(ops.silu(y))
            # Layers of one size share their degrees, unit by unit: a sum joins what may know the same.
            h = h + y if self.residual and number and h.shape == y.shape else y
        return ops.reshape(self.last(h), (len(x), self.size, self.numbers))


class Autoregressive(Bijection):
    """Each number is moved by what comes before it in an order, (13.23): MAF's layer. Its Inverse is IAF's, (13.26).

    network:   such as MaskedNet: (x (B, D), condition) → (B, D, P)
    order:     (D,): the order in which the way back finds the numbers; the network's
    monotone:  the map g; Affine unless given

    Shapes:    x (B, D) → z (B, D); forward takes one pass of the network, inverse D
    """

    def __init__(self, network, order, monotone=None):
        self.network, self.order, self.monotone = network, np.asarray(order), monotone or Affine()

    def forward(self, x, condition=None):
        z, log_slopes = self.monotone.forward(x, self._numbers(x, condition))
        return z, ops.sum(log_slopes, dim=1)

    def inverse(self, z, condition=None):
        x, total = Tensor(np.zeros(z.shape, dtype=z.dtype)), zeros(z)
        for d in self.order:  # (13.25): each pass settles one number more
            numbers = self._numbers(x, condition)[:, d : d + 1]
            found, log_slope = self.monotone.inverse(z[:, d : d + 1], numbers)  # (B, 1)
            x = x + found * (np.arange(z.shape[1]) == d).astype(z.dtype)
            total = total + ops.sum(log_slope, dim=1)
        return x, total

    def _numbers(self, x, condition):
        return self.network(x) if condition is None else self.network(x, condition)


def autoregressive(size, *, monotone=None, order=None, rng, **settings):
    """One Autoregressive layer with a MaskedNet.

    order:     (size,), the natural one unless given; the other settings go to MaskedNet
    """
    order = np.arange(size) if order is None else np.asarray(order)
    monotone = monotone or Affine()
    return Autoregressive(MaskedNet(order, monotone, rng=rng, **settings), order, monotone)


def maf(size, layers, *, monotone=None, rng, **settings):
    """`layers` autoregressive bijections, every second one in reverse order: a Chain.

    settings:  hidden, dropout, condition, residual of MaskedNet
    """
    orders = [np.arange(size)[:: -1 if layer % 2 else 1] for layer in range(layers)]
    return Chain(*(autoregressive(size, monotone=monotone, order=order, rng=rng, **settings) for order in orders))


def iaf(size, layers, *, monotone=None, rng, **settings):
    """MAF read backwards, (13.26): samples in one pass, the density of given points in D."""
    return Inverse(maf(size, layers, monotone=monotone, rng=rng, **settings))
