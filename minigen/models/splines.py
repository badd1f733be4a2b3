"""Rational-quadratic splines: an increasing map of one number that can bend.

A straight line (13.10) stretches all of an axis alike; to split one hill into two takes many layers of it. A *spline*
bends. Cut the interval [−W, W] into K bins by edges x_0 < x_1 < … < x_K, and give for each edge the height y_k it is
carried to, also rising, and the slope d_k > 0 there. Within bin k, with

    w = x_{k+1} − x_k,   h = y_{k+1} − y_k,   s = h/w,   ξ = (x − x_k)/w  from 0 to 1,

take the quotient of two quadratics

    y = y_k + h (s ξ² + d_k ξ(1 − ξ)) / q,      q = s + (d_{k+1} + d_k − 2s) ξ(1 − ξ).                 (13.12)

It ends where it should: y = y_k at ξ = 0, and at ξ = 1, where q = s, y = y_k + h. Call the bracket p, so p′ =
2sξ + d_k(1 − 2ξ), and q′ = (d_{k+1} + d_k − 2s)(1 − 2ξ). In p′q − pq′ all cubic terms cancel, and dy/dx = (h/w)(p′q −
pq′)/q² becomes

    dy/dx = s² (d_{k+1} ξ² + 2s ξ(1 − ξ) + d_k (1 − ξ)²) / q².                                         (13.13)

At ξ = 0 it is d_k, at ξ = 1 d_{k+1}: bins meet without a kink. All terms above are positive, so y rises. And q > 0:
1 − 2ξ(1 − ξ) ≥ ½ is what s is multiplied with. So any positive w, h and d make an increasing map.

**Backwards**: given y, with η = y − y_k, (13.12) times q is a quadratic equation for ξ, aξ² + bξ + c = 0 with

    a = h(s − d_k) + η(d_{k+1} + d_k − 2s),    b = h d_k − η(d_{k+1} + d_k − 2s),    c = −s η.         (13.14)

Its left side is c ≤ 0 at ξ = 0 and a + b + c = (h − η)s ≥ 0 at ξ = 1. The root between them is

    ξ = 2c / (−b − √(b² − 4ac)),                                                                       (13.15)

the usual formula multiplied above and below by the other root's numerator; so written, nothing is lost when a ≈ 0.

**Free numbers.** A network says any real numbers. Two softmaxes make K widths and K heights that sum to 2W, a softplus
K − 1 slopes; each is kept a little from 0, so that no bin vanishes,

    w = 2W (ε + (1 − Kε) softmax(u)),    h likewise,    d = δ + softplus(v).                            (13.16)

Outside of [−W, W] the map is the identity, and the slopes of the outermost edges are 1: *linear tails*, which meet the
spline without a kink. So x may be any number, while the bends are spent near the middle.

Sources: Gregory & Delbourgo 1982, IMA J. Numer. Anal. 2(2) (the quotient); Durkan, Bekasov, Murray & Papamakarios
2019, arXiv:1906.04032 (as flows). Differs: a fresh spline is the identity.
"""

import math

import numpy as np

from minigen import ops
from minigen.errors import ShapeError
from minigen.models.bijections import Monotone


class RationalQuadratic(Monotone):
    """A monotone rational-quadratic spline with linear tails, (13.12) to (13.16).

    bins:      K
    tail:      W: outside of [−W, W] it is the identity
    least:     ε, the least share of the interval that a bin has, in width and in height
    least_slope:  δ

    Numbers:  K for widths, K for heights, K − 1 for slopes: P = 3K − 1.
    Raises:   ShapeError for K < 2, W ≤ 0, Kε ≥ 1, or δ outside of (0, 1).
    """

    def __init__(self, bins=8, tail=3.0, *, least=1e-3, least_slope=1e-3):
        if bins < 2 or not tail > 0 or not 0 < bins * least < 1 or not 0 < least_slope < 1:
            raise ShapeError(f"RationalQuadratic: bins={bins}, tail={tail}, least={least}, least_slope={least_slope}; "
                             "expected at least 2 bins, a positive tail, and bins · least and least_slope between 0 "
                             "and 1")
        self.bins, self.tail, self.least, self.least_slope = bins, float(tail), least, least_slope
        self.numbers = 3 * bins - 1

    def identity(self):
        """Equal bins, and slopes of 1."""
        return np.concatenate([np.zeros(2 * self.bins), np.full(self.bins - 1, self._slope_one())]).astype(np.float32)

    def forward(self, x, numbers):
        inner, outside, (left, w, bottom, h, d0, d1) = self._within(x, numbers, 0)
        s, xi = h / w, (inner - left) / w
        both = xi * (1 - xi)
        q = s + (d1 + d0 - 2 * s) * both
        y = bottom + h * (s * xi * xi + d0 * both) / q  # (13.12)
        slope = _log_slope(s, d0, d1, xi, both, q)
        return ops.where(outside, x, y), ops.where(outside, 0.0, slope)

    def inverse(self, z, numbers):
        inner, outside, (left, w, bottom, h, d0, d1) = self._within(z, numbers, 2)
        s, eta = h / w, inner - bottom
        bend = d1 + d0 - 2 * s
        a, b, c = h * (s - d0) + eta * bend, h * d0 - eta * bend, -s * eta  # (13.14)
        root = ops.sqrt(ops.maximum(b * b - 4 * a * c, 0.0))
        xi = ops.clip(2 * c / (-b - root), 0.0, 1.0)  # (13.15); rounding may leave the bin, and the slope its sign
        both = xi * (1 - xi)
        slope = _log_slope(s, d0, d1, xi, both, s + bend * both)
        return ops.where(outside, z, left + xi * w), ops.where(outside, 0.0, -slope)

    def knots(self, numbers):
        """Left edges x_k, widths, lower edges y_k, heights, slopes at the left and at the right edge: (…, K) each."""
        if numbers.shape[-1] != self.numbers:
            raise ShapeError(f"RationalQuadratic: numbers {tuple(numbers.shape)}; expected (…, {self.numbers})")
        left, w = self._bins(numbers[..., : self.bins])
        bottom, h = self._bins(numbers[..., self.bins : 2 * self.bins])
        inner = self.least_slope + ops.softplus(numbers[..., 2 * self.bins :])
        one = inner[..., :1] * 0.0 + 1.0
        return left, w, bottom, h, ops.concatenate([one, inner], dim=-1), ops.concatenate([inner, one], dim=-1)

    def _bins(self, numbers):
        share = self.least + (1 - self.bins * self.least) * ops.softmax(numbers, dim=-1)
        width = share * (2 * self.tail)  # (13.16)
        return ops.cumsum(width, -1) - width - self.tail, width

    def _within(self, x, numbers, axis):
        """x with 0 in place of what lies outside the interval, what does, and the knots of the bin each x lies in.

        axis:      0 to look at the left edges, 2 at the lower ones
        """
        knots = self.knots(numbers)
        outside = np.abs(x.data) >= self.tail
        inner = ops.where(outside, 0.0, x)  # so that nothing overflows where it is not used
        # The bins are constant almost everywhere, and y and its slope are continuous: no gradient is lost.
        passed = (inner.data[..., None] >= knots[axis].data[..., 1:]).sum(-1)
        lies_in = (np.arange(self.bins) == passed[..., None]).astype(x.dtype)  # (…, K): zeros and a one
        return inner, outside, [ops.sum(values * lies_in, dim=-1) for values in knots]

    def _slope_one(self):
        return math.log(math.expm1(1 - self.least_slope))  # softplus of it, plus δ, is 1


def _log_slope(s, d0, d1, xi, both, q):
    """log dy/dx of (13.13)."""
    return ops.log(s * s * (d1 * xi * xi + 2 * s * both + d0 * (1 - xi) * (1 - xi))) - 2 * ops.log(q)
