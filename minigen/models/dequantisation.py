"""Dequantisation: what the density of a flow says about whole numbers.

A pixel is a whole number k from 0 to high. A density can be made as large as one likes at whole numbers: a flow trained
on them would put spikes there and learn nothing. What has a meaning is the probability of the *bin* [k, k + 1). For a
picture x of D pixels, with the unit cube above it,

    P(x) = ∫_{[0,1)^D} p(x + u) du.                                                                    (13.27)

If p integrates to 1, P sums to 1 over all pictures: it is a model of whole numbers, to be compared with any other. The
integral is out of reach, but it is a mean over u, and Jensen's inequality bounds its logarithm from below. For any
density q(u|x) on the cube,

    log P(x) = log E_q[ p(x + u) / q(u|x) ] ≥ E_q[ log p(x + u) − log q(u|x) ].                        (13.28)

**Uniform noise**, q = 1, leaves E log p(x + u): train the flow on x + u with fresh u each time, and report the mean
over u. The noise must fill the *whole* bin. With u in [0, ½) only, the density q is 2^D there, so the bound is
E log p(x + u) − D log 2; who leaves the last term out flatters the model by D log 2, 44.4 nats for 64 pixels.

**The gap** in (13.28) is KL(q(u|x) ‖ p(u|x)), with p(u|x) = p(x + u)/P(x), as for the ELBO (5.5). With uniform noise it
closes only if p is flat on every bin, so the flow is paid for building boxes, which smooth bijections are bad at. A
**variational** q closes it from the other side: let q itself be a flow on the cube that knows x,

    ε ~ N(0, I),   v = g_x⁻¹(ε),   u = 1/(1 + e^−v),                                                   (13.29)

trained with p to raise the bound. With k draws inside the logarithm the bound is tighter, as in (5.9), and reaches
log P(x) as k → ∞:

    log P(x) ≥ E[ log 1/k Σ_i p(x + u_i)/q(u_i|x) ].                                                   (13.30)

**The logit.** x + u lies in [0, high + 1), the base is spread over all real numbers. Scale to y in (0, 1), move a share
λ away from the ends, and take the inverse of the sigmoid, number by number,

    y = (x + u)/(high + 1),   p = λ + (1 − 2λ) y,   v = log p − log(1 − p),                            (13.31)
    log dv/dx = −log p − log(1 − p) + log (1 − 2λ) − log(high + 1).

Being a Bijection it brings its own log-determinant, so the flow's density is per grey level, whatever scale it computes
in. The last term alone is D log(high + 1), 181.3 nats for 64 pixels of 17 levels: who forgets it is off by that.
With λ > 0 a little of p lies outside of the cube; then P sums to a little less than 1, and is still a bound.

Sources: uniform: Theis, van den Oord & Bethge 2015, arXiv:1511.01844; variational: Ho et al. 2019, arXiv:1902.00275;
logit: Dinh et al. 2016, arXiv:1605.08803; weighted: Burda et al. 2015, arXiv:1509.00519. Differs: nothing.
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError
from minigen.models.bijections import Bijection, each_sum, zeros
from minigen.nn.inputs import evaluating


class Logit(Bijection):
    """From an interval [0, high] to the real numbers, number by number, (13.31). Its Inverse is a scaled sigmoid.

    high:     the end of the interval: for pixels the number of levels, 17
    margin:   λ
    Shapes:   x (B, …) → the same, log_det (B,)
    Raises:   MinigenError for high ≤ 0, a margin not in [0, ½), or an x that lies outside.
    """

    def __init__(self, high=1.0, margin=0.0):
        if not high > 0 or not 0 <= margin < 0.5:
            raise MinigenError(f"Logit: high={high}, margin={margin}; expected high > 0 and 0 ≤ margin < ½")
        self.high, self.margin = float(high), float(margin)

    def forward(self, x, condition=None):
        low, high = (x.data.min(), x.data.max()) if x.size else (0.0, 0.0)
        if low < 0 or high > self.high:
            raise MinigenError(f"Logit: x from {low:g} to {high:g}; expected 0 to {self.high:g}")
        p = self.margin + x * ((1 - 2 * self.margin) / self.high)
        end = float(np.finfo(x.dtype).eps)
        p = ops.clip(p, end, 1 - end)  # an x rounded to the very end counts as just inside: its v is not infinite
        below, above = ops.log(p), ops.log(1 - p)
        return below - above, each_sum(self._stretch - below - above)

    def inverse(self, z, condition=None):
        x = (ops.sigmoid(z) - self.margin) * (self.high / (1 - 2 * self.margin))
        # log p + log(1 − p) of p = sigmoid(z), without forming 1 − p: nothing is lost for large |z|.
        return x, each_sum(-ops.softplus(z) - ops.softplus(-z) - self._stretch)

    @property
    def _stretch(self):
        return math.log((1 - 2 * self.margin) / self.high)


class UniformNoise(nn.Module):
    """u uniform on the whole bin, density 1."""

    def rsample(self, x, *, rng):
        """u for the pictures x, and log q(u|x).   Shapes: x (B, …) → u (B, …), (B,)"""
        return Tensor(rng.random(x.shape, dtype=x.dtype.type)), zeros(x)


class VariationalNoise(nn.Module):
    """u from a conditional flow on the unit cube, (13.29).

    flow:     a `bijections.Flow` over numbers u in (0, 1), shaped like a picture; the first step of its chain is a
              Logit(1.0), and it takes a condition, to which it gives its own last word
    scale:    the condition is the picture x times this number: 1/high brings it to 0 … 1
    """

    def __init__(self, flow, scale=1.0):
        self.flow, self.scale = flow, float(scale)

    def rsample(self, x, *, rng):
        """u for the pictures x, and log q(u|x), differentiable in the flow's weights.   Shapes: as UniformNoise"""
        return self.flow.rsample(len(x), rng=rng, condition=x * self.scale)


class Dequantised(nn.Module):
    """A model of whole numbers: a flow over x + u, and where u comes from.

        model = Dequantised(Flow(Chain(Logit(17, 0.01), …), standard_normal(64)), high=16)
        model.loss(x, rng=rng)                 # (B,): minus the bound (13.28) with one draw of u, in nats
        model.bound(x, rng=rng, draws=10)      # averaged over 10 draws

    flow:     anything with log_prob(y) (B,), per grey level, for y in [0, high + 1)^D, and sample(n, rng=)
    high:     the largest value of a pixel
    noise:    UniformNoise() unless given; a VariationalNoise
    condition: what the flow is told besides (B, …), for a conditional flow: the bounds are then on log P(x|condition)
    """

    def __init__(self, flow, *, high, noise=None):
        self.flow, self.high, self.noise = flow, int(high), noise or UniformNoise()

    def terms(self, x, condition=None, *, rng):
        """log p(x + u) − log q(u|x) for one draw of u: (B,), in nats."""
        x = self._whole(x)
        u, log_q = self.noise.rsample(x, rng=rng)
        return (self.flow.log_prob(x + u) if condition is None else self.flow.log_prob(x + u, condition)) - log_q

    def loss(self, x, condition=None, *, rng):
        """Minus the bound (13.28) with one draw: what training makes small. (B,), in nats."""
        return -self.terms(x, condition, rng=rng)

    @no_grad()
    def bound(self, x, condition=None, *, rng, draws=10, inside=1):
        """A lower bound of log P(x), in nats, an array (B,), in evaluation mode.

        draws:    how many independent estimates are averaged, to quieten it: the bound stays the same one
        inside:   k of (13.30), draws inside the logarithm: more make the bound tighter
        """
        if min(draws, inside) < 1:
            raise MinigenError(f"Dequantised.bound: draws={draws}, inside={inside}; expected at least 1 of each")
        with evaluating(self):
            return np.mean([self._weighted(x, condition, inside, rng) for _ in range(draws)], axis=0)

    def _weighted(self, x, condition, inside, rng):
        each = np.stack([self.terms(x, condition, rng=rng).data.astype(np.float64) for _ in range(inside)])  # (k, B)
        peak = each.max(axis=0)
        return peak + np.log(np.mean(np.exp(each - peak), axis=0))

    @no_grad()
    def sample(self, n, condition=None, *, rng, **settings):
        """n pictures of whole numbers, (n, …): the bin that each number of the flow's sample lies in.

        settings: for Flow.sample, such as a temperature
        """
        drawn = self.flow.sample(n, rng=rng, **settings, **({} if condition is None else {"condition": condition}))
        return np.clip(np.floor(drawn), 0, self.high).astype(np.int64)

    def _whole(self, x):
        x = np.asarray(x.data if isinstance(x, Tensor) else x)
        if x.ndim < 2:
            raise ShapeError(f"Dequantised: pictures {x.shape}; expected (B, …)")
        if x.size and (x.min() < 0 or x.max() > self.high or np.any(x != np.floor(x))):
            raise MinigenError(f"Dequantised: pixels from {x.min():g} to {x.max():g}; expected whole numbers 0 to "
                               f"{self.high}")
        weight = next(self.parameters(), None)
        return Tensor(x, dtype=np.float32 if weight is None else weight.dtype)
