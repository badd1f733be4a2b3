"""Glow that is told what to draw: the density of pictures of one class, and pictures of a class asked for.

Everything a flow is made of may depend on a label c, as long as the data's way and the way back are told the same one.
Then (13.1) holds for each c by itself, and is the density p(x|c). There are two places to tell it.

**The base.** Give each class a Gaussian of its own, as Glow does, with mean m_c and deviation e^{−a_c} for each number.
A flow wants a fixed base; so let the last step of the chain bring each class to N(0, I),

    z = (h − m_c) ⊙ e^{a_c},      log |det ∂z/∂h| = Σ_d a_{c,d},                                       (13.32)

which is the same density. Numbers differ in their means: at the end of the flow a class is a place, and one that the
flow can bring together by itself need not be kept apart by it.

**The couplings.** With c as a one-hot vector, e_c, each network reads it beside the numbers that are kept,

    z_A = x_A,      z_b = g(x_b; n_b(x_A, e_c)).                                                       (13.33)

In a convolutional network every place is told the same: e_c passes through a matrix and is added to the channels of the
first layer, like a bias. That layer also has a learnt picture added, for letters stand in the middle, and a filter
does not know where it is.

**How the numbers travel.** A picture of H × W is squeezed to 4 channels and goes through a few steps of ActNorm, 1×1
convolution and coupling; half of its channels leave (13.21), after one more coupling (13.22). The rest is squeezed
again. There a 3×3 filter reaches over nearly half of its width and height, and most steps are taken. The last ones have
perceptrons for networks, each of whose numbers depends on the whole picture, so that distant strokes can agree.

**The noise.** Most pixels of a letter are ink or paper for certain. What a coupling can say of them is a Gaussian
about the middle of the bin, and with uniform noise that costs KL(U(0, 1) ‖ N) = ½ log (2πe/12) = 0.18 nats each,
whatever else it knows. So let the noise be a bell too: (13.29) with a bijection that only scales and shifts,

    u = 1/(1 + e^{−v}),   v = s ε + m,   ε ~ N(0, 1),   s and m learnt.                                (13.34)

It still fills the whole bin, and its log-density is paid for in (13.28). At s = 1 and m = 0, where it begins and, for
the letters, about stays, its KL from a Gaussian is 0.04 nats.

**Temperature.** Draws of z ~ N(0, T² I) with T < 1 keep to the middle of the base, where the flow has seen most: they
are cleaner and less varied. They are no draws from the model whose likelihood is reported, so both must be said.

Sources: Kingma & Dhariwal 2018, arXiv:1807.03039; noise: Ho et al. 2019, arXiv:1902.00275. Differs: classes enter the
couplings, too; perceptrons in the last level.
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.errors import ShapeError
from minigen.models.bijections import Bijection, Chain, Flow, Reshape, standard_normal
from minigen.models.dequantisation import Logit, VariationalNoise
from minigen.models.glow import ActNorm, FactorOut, InvertibleConv, Squeeze
from minigen.models.realnvp import Affine, VectorNet, channel_halves, checked_condition, couplings, quiet


class ClassBase(Bijection):
    """A mean and a deviation for each number of each class, (13.32). A fresh one is the identity.

    classes, size:  K and D
    bound:          the largest |a|, by tanh as in (13.10)

    Shapes:   h (B, D), condition (B, K) one-hot → z (B, D)
    Raises:   ShapeError if either does not fit, or the condition is missing.
    """

    def __init__(self, classes, size, bound=2.0):
        self.bound = float(bound)
        self.slope, self.mean = nn.parameter(np.zeros((classes, size))), nn.parameter(np.zeros((classes, size)))

    def forward(self, x, condition=None):
        a, mean = self._of(x, condition)
        return (x - mean) * ops.exp(a), ops.sum(a, dim=1)

    def inverse(self, z, condition=None):
        a, mean = self._of(z, condition)
        return z * ops.exp(-a) + mean, -ops.sum(a, dim=1)

    def _of(self, x, condition):
        classes, size = self.mean.shape
        given = None if condition is None else tuple(condition.shape)
        if tuple(x.shape[1:]) != (size,) or given != (len(x), classes):
            raise ShapeError(f"ClassBase: {tuple(x.shape)} with a condition {given}; expected (B, {size}) and "
                             f"(B, {classes})")
        a = self.bound * ops.tanh(ops.matmul(condition, self.slope) * (1 / self.bound))
        return a, ops.matmul(condition, self.mean)


class ThinNet(nn.Module):
    """Glow's own network for a coupling: 3×3, 1×1, 3×3. It is told the class, and where it is.

    mask:       (C, H, W)
    condition:  K, the length of a vector that every place is told

    Shapes:   x (B, C, H, W), condition (B, K) → (B, N, P), the numbers of the places where the mask is False
    """

    def __init__(self, mask, monotone, *, width=64, condition=0, rng):
        channels, height, across = mask.shape
        self._free, self.numbers, self.condition = ~mask, monotone.numbers, condition
        self.first = nn.Conv2d(channels, width, 3, padding=1, rng=rng)
        self.places = nn.parameter(np.zeros((1, width, height, across)))
        self.told = nn.Linear(condition, width, bias=False, rng=rng) if condition else None
        self.between = nn.Conv2d(width, width, 1, rng=rng)
        start = np.repeat(monotone.identity(), channels)  # P blocks of C channels
        self.last = quiet(nn.Conv2d(width, channels * self.numbers, 3, padding=1, rng=rng), start)

    def forward(self, x, condition=None):
        size, channels, height, across = x.shape
        y = self.first(x) + self.places
        if self.told is not None:
            condition = checked_condition("ThinNet", condition, self.condition, x)
            y = y + ops.reshape(self.told(condition), (size, -1, 1, 1))  # (13.33)
        y = self.last(ops.silu(self.between(ops.silu(y))))
        numbers = ops.reshape(y, (size, self.numbers, channels, height, across))
        return ops.transpose(numbers[:, :, self._free], 1, 2)  # (B, N, P)


def class_glow(side, classes, *, fine=(2, 24), coarse=(6, 64), whole=(2, 512), bound=2.0, rng):
    """A flow for pictures (B, 1, side, side) and labels as one-hot vectors (B, classes).

        model = Dequantised(class_glow(28, 26, rng=rng), high=16, noise=bell_noise(28))
        model.loss(x, one_hot, rng=rng)                            # (B,): minus the bound on log P(x|c), in nats
        model.sample(len(one_hot), one_hot, rng=rng, temperature=0.7)   # (B, 1, 28, 28) of whole levels

    fine, coarse:  (steps, channels of their ThinNets) at half and at a quarter of the side
    whole:         (steps, hidden units of their VectorNets) at a quarter of the side
    bound:         c of the couplings' straight lines, (13.10)
    Raises:        ShapeError if 4 does not divide the side.
    """
    if side < 4 or side % 4:
        raise ShapeError(f"class_glow: a side of {side}; expected a multiple of 4")
    shape, small = (4, side // 2, side // 2), (8, side // 4, side // 4)
    monotone = Affine(bound)

    def moves(shape, network):
        return couplings(channel_halves(shape, 1), network, monotone)

    def thin(width):
        return lambda mask, g: ThinNet(mask, g, width=width, condition=classes, rng=rng)

    def dense(mask, g):
        return VectorNet(mask, g, hidden=whole[1], blocks=1, condition=classes, rng=rng)

    def level(shape, count, network):
        return [part for _ in range(count)
                for part in (ActNorm(shape[0]), InvertibleConv(shape[0], rng=rng), *moves(shape, network))]

    last = Chain(Squeeze(), *level(small, coarse[0], thin(coarse[1])), *level(small, whole[0], dense),
                 ActNorm(small[0]), Reshape(small, (math.prod(small),)))  # fmt: skip
    chain = Chain(ActNorm(1), Squeeze(), *level(shape, fine[0], thin(fine[1])),
                  *moves(shape, thin(fine[1])),  # (13.22): moves what leaves
                  FactorOut(last, shape), ClassBase(classes, side * side))  # fmt: skip
    return Flow(chain, standard_normal(side * side))


def bell_noise(side):
    """Noise (13.34) for pictures (B, 1, side, side): one s, at first 1, and one m, at first 0; it sees no picture."""
    shape = (1, side, side)
    return VariationalNoise(Flow(Chain(Logit(1.0), ActNorm(1)), standard_normal(*shape)))
