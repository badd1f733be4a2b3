"""Pixels: the logistic distribution, cut into bins.

A pixel takes one of n whole values k = 0 … n − 1, and neighbouring values are alike. So let a continuous variable
with a bell-shaped density decide, and give each pixel value the mass of its bin. The logistic density has a
distribution function that is one line, the sigmoid: F(x) = σ((x − μ)/s).

Put the values on a grid from −1 to 1: x_k = 2k/(n − 1) − 1, with half a bin h = 1/(n − 1) to each side. With

    a = (x_k − h − μ)/s,    b = (x_k + h − μ)/s,    δ = b − a = 2h/s                              (D.2)

the mass of an inner bin is P(k) = σ(b) − σ(a). The first and last bin are open: they take the tails,
P(0) = σ(b), P(n − 1) = 1 − σ(a). So the masses sum to 1, wherever μ is.

The difference of two sigmoids cancels when both are near 1. Write it out over the common denominator instead:

    σ(b) − σ(a) = (eᵇ − eᵃ) / ((1 + eᵃ)(1 + eᵇ)) = σ(b) · σ(−a) · (1 − e^(−δ))                     (D.3)

Every factor is positive and its logarithm is exact, so with log σ(x) = −softplus(−x)

    log P(k) = −softplus(−b) − softplus(a) + log(1 − e^(−δ))                                     (D.4)

without any subtraction of nearly equal numbers (1 − e^(−δ) is −expm1(−δ), exact for wide scales too): no clamps, no
special case for narrow scales or far tails.
At k = 0 only the first term stays, at k = n − 1 only the second. Lesson 06 derives all
this; there (D.2) to (D.4) are (6.14) to (6.16).
"""

import numpy as np

from minigen.distributions.base import Distribution, operands, plain
from minigen.distributions.discrete import whole_numbers
from minigen.distributions.mixture import MixtureSameFamily
from minigen.ops.elementwise import exp, expm1, log, sigmoid, softplus, where
from minigen.ops.reduce import sum
from minigen.ops.shape import reshape


class DiscretizedLogistic(Distribution):
    """A logistic distribution cut into `bins` values 0 … bins − 1; the first and last bin are open.

    loc:        μ on the normalised scale, where value 0 lies at −1 and value bins − 1 at +1.
    log_scale:  log s on the same scale; the density's standard deviation is s π/√3.
    bins:       how many values: 256 for bytes, 17 for the digits.

    The parameters are normalised because that is what a network puts out at the start of training: loc = 0 and
    log_scale = 0 cover the whole range. Values, samples, mean and variance are in whole pixel values.

    Equation: (D.4) in the module's docstring.
    Shapes:   loc, log_scale broadcast to batch_shape. Samples are integer arrays.
    Source:   Salimans et al. 2017, arXiv:1701.05517.  Differs: the exact identity (D.3) for all bins, where the paper's
              code takes the density times the bin width in the tails.
    Raises:   ValueError for values that are not whole numbers from 0 to bins − 1.
    """

    def __init__(self, loc, log_scale, bins=256):
        if not (isinstance(bins, int | np.integer) and bins >= 2):
            raise ValueError(f"DiscretizedLogistic: bins={bins}; expected a whole number ≥ 2")
        self._set(loc=loc, log_scale=log_scale)
        self.bins = int(bins)

    def log_prob(self, value):
        k = whole_numbers(self._name, self._value(plain(value), "log_prob"), self.bins)
        loc, log_scale = operands(self.loc, self.log_scale)
        half = 1.0 / (self.bins - 1)
        x = np.asarray(2.0 * half * k - 1.0, np.result_type(loc.dtype, log_scale.dtype))
        inverse_scale = exp(-log_scale)
        below = (x - half - loc) * inverse_scale  # a of (D.2)
        above = (x + half - loc) * inverse_scale  # b
        bin_mass = log(-expm1(-2.0 * half * inverse_scale))  # log(1 − e^−δ)
        inner = where((k > 0) & (k < self.bins - 1), bin_mass, 0.0)
        return inner - where(k < self.bins - 1, softplus(-above), 0.0) - where(k > 0, softplus(below), 0.0)

    def cdf(self, value):
        """P(X ≤ value): σ(b) of the bin that holds the value, 0 below the first and 1 from the last on."""
        k = np.floor(np.asarray(plain(self._value(value, "cdf"))))
        loc, log_scale = operands(self.loc, self.log_scale)
        x = np.asarray((2.0 * k + 1.0) / (self.bins - 1) - 1.0, np.result_type(loc.dtype, log_scale.dtype))
        inside = sigmoid((x - loc) * exp(-log_scale))
        return where(k < 0, 0.0, where(k >= self.bins - 1, 1.0, inside))

    def sample(self, sample_shape=(), *, rng):
        """Pixel values as an integer array, shape sample_shape + batch_shape."""
        loc, log_scale = (np.asarray(plain(x), np.float64) for x in operands(self.loc, self.log_scale))
        x = loc + np.exp(log_scale) * rng.logistic(size=self._shape(sample_shape))
        return np.clip(np.floor(0.5 * (x + 1.0) * (self.bins - 1) + 0.5), 0, self.bins - 1).astype(np.int64)

    def entropy(self):
        """−Σ P(k) log P(k) over all bins: exact, at the cost of evaluating every bin."""
        table = self.log_probs
        return -sum(exp(table) * table, dim=-1)

    @property
    def log_probs(self):
        """log P(k) of every value k, shape (…, bins)."""
        loc, log_scale = operands(self.loc, self.log_scale)
        columns = DiscretizedLogistic(_column(loc), _column(log_scale), self.bins)
        return columns.log_prob(np.arange(self.bins))

    @property
    def mean(self):
        """E[X] in pixel values."""
        return sum(exp(self.log_probs) * self._levels(), dim=-1)

    @property
    def variance(self):
        """E[(X − E[X])²] in squared pixel values."""
        deviation = self._levels() - reshape(self.mean, shape=(*self.batch_shape, 1))
        return sum(exp(self.log_probs) * deviation * deviation, dim=-1)

    def _levels(self):
        loc, log_scale = operands(self.loc, self.log_scale)
        return np.arange(self.bins, dtype=np.result_type(loc.dtype, log_scale.dtype))


class DiscretizedLogisticMixture(MixtureSameFamily):
    """A mixture of K discretised logistics per pixel: several bells, with tails and edges that fit (PixelCNN++).

    Equation: log p(k) = logsumexp_j (log_softmax(logits)_j + log P_j(k)), each P_j by (D.4).
    Shapes:   logits, loc, log_scale (…, K) → batch_shape (…). Samples are integer arrays.
    Source:   Salimans et al. 2017, arXiv:1701.05517.  Differs: colour channels are independent given the parameters.
    Raises:   ShapeError if K differs; ValueError for values that are not whole numbers from 0 to bins − 1.
    """

    def __init__(self, logits, loc, log_scale, bins=256):
        super().__init__(logits, DiscretizedLogistic(loc, log_scale, bins))


def _column(x):
    return reshape(x, shape=(*x.shape, 1))
