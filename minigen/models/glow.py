"""Glow: what a deep flow over pictures is built of, apart from couplings.

**ActNorm.** Layers train well when what they see has mean 0 and variance 1. Batch normalisation would make one
example's z depend on the others of its batch; then it is no bijection of examples. Instead give each channel c a scale
and a shift, the same at all H·W places,

    z_c = (x_c + b_c) e^{a_c},      log |det| = H W Σ_c a_c,                                           (13.17)

set them once, from the first batch, to b = −mean and a = −log deviation over batch and places, and then learn them
like any other weight.

**The 1×1 convolution.** A permutation of channels between couplings decides who moves whom. More freely, multiply the
C channels at each place with one invertible matrix W. Each place has the same Jacobian, so

    z = W x  at each place,      log |det| = H W log |det W|.                                          (13.18)

A determinant and an inverse of C × C cost C³. An LU factorisation keeps them cheap, and W invertible for good: with a
fixed permutation P, L lower triangular with ones on the diagonal, U upper triangular with zeros on it, learn

    W = P L (U + diag(σ e^ρ)),      log |det W| = Σ_c ρ_c,                                             (13.19)

σ fixed signs. At the start W is a random rotation, whose P, L, U and diagonal come from the factorisation. Going back,
W⁻¹ z is a permutation and two triangular systems. For vectors the places are one, and W a rotation of all numbers.

**Squeeze.** Couplings that keep half of the channels need channels. Cut the picture into 2 × 2 blocks and make each
block's four pixels four channels, (C, H, W) → (4C, H/2, W/2). It is a permutation of numbers: log |det| = 0.    (13.20)

**Many scales.** Passing all D numbers through all layers costs much, and fine grain is soon as noisy as it will get. So
after some steps let half of the channels leave the flow, to meet the base as they are, and go on with the others:

    (h, z₁) = f₁(x),   (h′, z₂) = f₂(h),   …,   z = (z₁, z₂, …, z_L).                                  (13.21)

To *factor out* z₁ is a chain of f₁ and a bijection that does nothing to z₁, so all log-determinants still add up.
Glow lets z₁ have mean and scale that depend on h. Nothing new is needed: that is one more coupling (13.10) that keeps h
and moves z₁ before it leaves.                                                                         (13.22)

Sources: Kingma & Dhariwal 2018, arXiv:1807.03039; squeeze and scales: Dinh, Sohl-Dickstein & Bengio 2016,
arXiv:1605.08803. Differs: couplings are those of realnvp.py, bounded, with residual networks; (13.22) is one of them.
"""

import math

import numpy as np
from scipy import linalg

from minigen import nn, ops
from minigen.autograd import no_grad
from minigen.errors import ShapeError
from minigen.models.bijections import Bijection, Chain, Reshape, zeros
from minigen.models.realnvp import PictureNet, channel_halves, checkerboard, couplings


class ActNorm(Bijection):
    """A scale and a shift for each channel, set by the first batch that passes in training, (13.17).

    channels:  C, the length of axis 1
    initialised: a buffer, 1 once the first batch has passed. Before, and in evaluation mode, it is the identity.

    Shapes:   x (B, C) or (B, C, H, W)
    Raises:   ShapeError for another number of channels, and for a first batch with one value per channel. A channel
              that is constant in it is divided by 1e-6.
    """

    def __init__(self, channels):
        self.log_scale = nn.parameter(np.zeros(channels))
        self.shift = nn.parameter(np.zeros(channels))
        self.initialised = np.zeros((), dtype=np.int64)

    def forward(self, x, condition=None):
        self._check(x)
        if self.training and not self.initialised:
            self._start(x.data)
        a, b = self._across(x)
        return (x + b) * ops.exp(a), self._log_det(x)

    def inverse(self, z, condition=None):
        self._check(z)
        a, b = self._across(z)
        return z * ops.exp(-a) - b, -self._log_det(z)

    @no_grad()
    def _start(self, x):
        places = tuple(axis for axis in range(x.ndim) if axis != 1)
        if x.size // x.shape[1] < 2:
            raise ShapeError(f"ActNorm: the first batch {tuple(x.shape)} has one value per channel, so no deviation")
        self.shift.overwrite(-x.mean(places))
        self.log_scale.overwrite(-np.log(x.std(places) + 1e-6))
        self.initialised[...] = 1

    def _across(self, x):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return ops.reshape(self.log_scale, shape), ops.reshape(self.shift, shape)

    def _log_det(self, x):
        return zeros(x) + ops.sum(self.log_scale) * float(math.prod(x.shape[2:]))

    def _check(self, x):
        if x.ndim < 2 or x.shape[1] != self.shift.size:
            raise ShapeError(f"ActNorm: x {tuple(x.shape)}; expected {self.shift.size} channels on axis 1")


class InvertibleConv(Bijection):
    """One invertible matrix for the channels at each place, in LU form, (13.18) and (13.19).

    channels:  C; vectors (B, C) have one place
    Shapes:   x (B, C) or (B, C, H, W)
    Raises:   ShapeError for another number of channels.
    """

    def __init__(self, channels, *, rng):
        rotation = linalg.qr(rng.standard_normal((channels, channels)))[0]
        permutation, lower, upper = linalg.lu(rotation)
        diagonal = np.diag(upper)
        self.permutation, self.signs = permutation.astype(np.float32), np.sign(diagonal).astype(np.float32)
        self.lower, self.upper = nn.parameter(lower), nn.parameter(upper)  # only the halves off the diagonal count
        self.log_diagonal = nn.parameter(np.log(np.abs(diagonal)))

    def forward(self, x, condition=None):
        return self._mixed(x, self.matrix()), self._log_det(x)

    def inverse(self, z, condition=None):
        lower, upper = self._triangles()
        # x = U⁻¹ L⁻¹ Pᵀ z at each place, all places as columns.
        shape = (z.shape[1], len(z), *z.shape[2:])
        columns = ops.reshape(ops.permute(self._checked(z), (1, 0, *range(2, z.ndim))), (z.shape[1], -1))
        columns = ops.solve(upper, ops.solve(lower, ops.matmul(self.permutation.T, columns)))
        return ops.permute(ops.reshape(columns, shape), (1, 0, *range(2, z.ndim))), -self._log_det(z)

    def matrix(self):
        """W of (13.19), (C, C)."""
        lower, upper = self._triangles()
        return ops.matmul(self.permutation, ops.matmul(lower, upper))

    def _triangles(self):
        size = len(self.signs)
        below = np.tril(np.ones((size, size), dtype=self.signs.dtype), -1)
        one = np.eye(size, dtype=self.signs.dtype)
        return self.lower * below + one, self.upper * below.T + one * (ops.exp(self.log_diagonal) * self.signs)

    def _mixed(self, x, matrix):
        x = self._checked(x)
        if x.ndim == 2:
            return ops.linear(x, matrix)
        return ops.conv2d(x, ops.reshape(matrix, (*matrix.shape, 1, 1)))

    def _log_det(self, x):
        return zeros(x) + ops.sum(self.log_diagonal) * float(math.prod(x.shape[2:]))

    def _checked(self, x):
        if x.ndim not in (2, 4) or x.shape[1] != len(self.signs):
            raise ShapeError(f"InvertibleConv: x {tuple(x.shape)}; expected (B, {len(self.signs)}), or with (H, W)")
        return x


class Squeeze(Bijection):
    """Blocks of 2 × 2 pixels become channels, (13.20).   Shapes: (B, C, H, W) → (B, 4C, H/2, W/2)

    Raises:   ShapeError if a side is odd, or on the way back the channels are no multiple of 4.
    """

    def forward(self, x, condition=None):
        if x.ndim != 4 or x.shape[2] % 2 or x.shape[3] % 2:
            raise ShapeError(f"Squeeze: x {tuple(x.shape)}; expected (B, C, H, W) with even H and W")
        size, channels, height, across = x.shape
        z = ops.reshape(x, (size, channels, height // 2, 2, across // 2, 2))
        z = ops.permute(z, (0, 1, 3, 5, 2, 4))
        return ops.reshape(z, (size, 4 * channels, height // 2, across // 2)), zeros(x)

    def inverse(self, z, condition=None):
        if z.ndim != 4 or z.shape[1] % 4:
            raise ShapeError(f"Squeeze: z {tuple(z.shape)}; expected (B, 4C, H, W)")
        size, channels, height, across = z.shape
        x = ops.reshape(z, (size, channels // 4, 2, 2, height, across))
        x = ops.permute(x, (0, 1, 4, 2, 5, 3))
        return ops.reshape(x, (size, channels // 4, 2 * height, 2 * across)), zeros(z)


class FactorOut(Bijection):
    """Half of the channels leave, the others go through one more bijection, (13.21).

    inner:    takes the first C − C // 2 channels, (B, C − C // 2, H, W), and gives vectors: its last step is a Reshape
              or another FactorOut
    shape:    (C, H, W) of what comes in

    Shapes:   x (B, C, H, W) → z (B, C·H·W): the channels that leave, then the inner z
    Raises:   ShapeError for another shape, or for fewer than two channels.
    """

    def __init__(self, inner, shape):
        self.inner, self.shape = inner, tuple(shape)
        if len(self.shape) != 3 or self.shape[0] < 2:
            raise ShapeError(f"FactorOut: shape {self.shape}; expected (C, H, W) with at least two channels")
        self.stays = self.shape[0] - self.shape[0] // 2

    def forward(self, x, condition=None):
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(f"FactorOut: x {tuple(x.shape)}; expected (B, {', '.join(map(str, self.shape))})")
        inner = self.inner.forward
        z, log_det = inner(x[:, : self.stays]) if condition is None else inner(x[:, : self.stays], condition)
        return ops.concatenate([ops.reshape(x[:, self.stays :], (len(x), -1)), z], dim=1), log_det

    def inverse(self, z, condition=None):
        if tuple(z.shape[1:]) != (math.prod(self.shape),):
            raise ShapeError(f"FactorOut: z {tuple(z.shape)}; expected (B, {math.prod(self.shape)})")
        channels, height, across = self.shape
        ends = (channels - self.stays) * height * across
        inner = self.inner.inverse
        x, log_det = inner(z[:, ends:]) if condition is None else inner(z[:, ends:], condition)
        left = ops.reshape(z[:, :ends], (len(z), channels - self.stays, height, across))
        return ops.concatenate([x, left], dim=1), log_det


def glow(shape, *, levels=2, steps=4, board=0, width=32, blocks=1, dropout=0.0, places=False, monotone=None,
         condition=0, rng):  # fmt: skip
    """A bijection from pictures (B, C, H, W) to vectors (B, C·H·W).

    levels:    of (13.21), each with a squeeze and half the side of the one before
    steps:     in each level: ActNorm, InvertibleConv, and a coupling of channel halves
    board:     checkerboard couplings before all that, RealNVP's way to move pixels of one channel
    monotone:  the couplings' map, Affine unless given; the other arguments go to PictureNet. A condition is a vector
               (B, condition), for it has no place that would survive a squeeze.
    Raises:    ShapeError if a side is no multiple of 2^levels.
    """
    shape = tuple(shape)
    if len(shape) != 3 or levels < 1 or shape[1] % 2**levels or shape[2] % 2**levels:
        raise ShapeError(f"glow: pictures {shape}, {levels} levels; expected (C, H, W) whose sides {2**levels} divides")

    def network(mask, monotone):
        return PictureNet(mask, monotone, width=width, blocks=blocks, dropout=dropout, places=places,
                          condition=condition, rng=rng)  # fmt: skip

    def level(shape, levels):
        channels, height, across = 4 * shape[0], shape[1] // 2, shape[2] // 2
        shape = (channels, height, across)
        made = [Squeeze()]
        for _ in range(steps):
            made += [ActNorm(channels), InvertibleConv(channels, rng=rng)]
            made += couplings(channel_halves(shape, 1), network, monotone)
        if levels == 1:
            return Chain(*made, Reshape(shape, (math.prod(shape),)))
        stays = channels - channels // 2
        made += couplings(channel_halves(shape, 1), network)  # (13.22): moves what leaves
        return Chain(*made, FactorOut(level((stays, height, across), levels - 1), shape))

    first = []
    for coupling in couplings(checkerboard(shape, board), network, monotone):
        first += [ActNorm(shape[0]), coupling]
    return Chain(*first, level(shape, levels))
