"""Normal, Laplace and Uniform: a location, a scale, and a fixed shape.

All three are location–scale families: if ε has the standard form, loc + scale · ε has the general one. That is how
they are sampled, and why the samples are differentiable in the parameters.
"""

import math

import numpy as np

from minigen.distributions.base import Distribution, broadcast_to_shape, operands, plain, require
from minigen.ops.elementwise import abs, clip, erf, exp, expm1, log, maximum, minimum, where


class Normal(Distribution):
    """The normal (Gaussian) distribution N(loc, scale²), elementwise.

    Equation: log p(x) = −½ ((x − μ)/σ)² − log σ − ½ log 2π
    Shapes:   loc, scale broadcast to batch_shape.
    Raises:   ValueError if a scale is not positive; ShapeError if the shapes do not broadcast.
    """

    def __init__(self, loc, scale):
        self._set(loc=loc, scale=scale)
        _check_scale(self)

    def log_prob(self, value):
        x, loc, scale = operands(self._value(value, "log_prob"), self.loc, self.scale)
        z = (x - loc) / scale
        return -0.5 * z * z - log(scale) - 0.5 * math.log(2 * math.pi)

    def rsample(self, sample_shape=(), *, rng):
        loc, scale = operands(self.loc, self.scale)
        noise = rng.standard_normal(self._shape(sample_shape), dtype=np.result_type(loc.dtype, scale.dtype))
        return loc + scale * noise

    def cdf(self, value):
        x, loc, scale = operands(self._value(value, "cdf"), self.loc, self.scale)
        return 0.5 * (1.0 + erf((x - loc) / (scale * math.sqrt(2))))

    def entropy(self):
        """log σ + ½ log 2πe."""
        _, scale = _both(self)
        return log(scale) + 0.5 * math.log(2 * math.pi * math.e)

    @property
    def mean(self):
        return _both(self)[0]

    @property
    def variance(self):
        scale = _both(self)[1]
        return scale * scale


class Laplace(Distribution):
    """The Laplace (double exponential) distribution, elementwise.

    Equation: log p(x) = −|x − μ| / b − log 2b
    Shapes:   loc μ, scale b broadcast to batch_shape.
    Raises:   ValueError if a scale is not positive; ShapeError if the shapes do not broadcast.
    """

    def __init__(self, loc, scale):
        self._set(loc=loc, scale=scale)
        _check_scale(self)

    def log_prob(self, value):
        x, loc, scale = operands(self._value(value, "log_prob"), self.loc, self.scale)
        return -abs(x - loc) / scale - log(2.0 * scale)

    def rsample(self, sample_shape=(), *, rng):
        loc, scale = operands(self.loc, self.scale)
        noise = rng.laplace(size=self._shape(sample_shape))
        return loc + scale * np.asarray(noise, np.result_type(loc.dtype, scale.dtype))

    def cdf(self, value):
        """½ eᶻ below the location, 1 − ½ e⁻ᶻ above it, z = (x − μ)/b; written without a branch or cancellation."""
        x, loc, scale = operands(self._value(value, "cdf"), self.loc, self.scale)
        z = (x - loc) / scale
        return 0.5 * (exp(minimum(z, 0.0)) - expm1(-maximum(z, 0.0)))

    def entropy(self):
        """1 + log 2b."""
        _, scale = _both(self)
        return 1.0 + log(2.0 * scale)

    @property
    def mean(self):
        return _both(self)[0]

    @property
    def variance(self):
        scale = _both(self)[1]
        return 2.0 * scale * scale


class Uniform(Distribution):
    """The uniform distribution on the interval [low, high], elementwise.

    Equation: log p(x) = −log(high − low) inside, −∞ outside
    Shapes:   low, high broadcast to batch_shape.
    Raises:   ValueError if low is not below high; ShapeError if the shapes do not broadcast.
    Differs:  from PyTorch: the point `high` counts as inside, so that a sample rounded to it keeps its density.
    """

    def __init__(self, low, high):
        self._set(low=low, high=high)
        low, high = plain(self.low), plain(self.high)
        require("Uniform", "low < high everywhere", ~(np.asarray(low) >= high), f"low={low}, high={high}")

    def log_prob(self, value):
        x, low, high = operands(self._value(value, "log_prob"), self.low, self.high)
        inside = (plain(x) >= plain(low)) & (plain(x) <= plain(high))
        return where(inside, -log(high - low), -np.inf)

    def rsample(self, sample_shape=(), *, rng):
        low, high = operands(self.low, self.high)
        noise = rng.random(self._shape(sample_shape), dtype=np.result_type(low.dtype, high.dtype))
        return low + (high - low) * noise

    def cdf(self, value):
        x, low, high = operands(self._value(value, "cdf"), self.low, self.high)
        return clip((x - low) / (high - low), 0.0, 1.0)

    def entropy(self):
        """log(high − low)."""
        low, high = operands(self.low, self.high)
        return log(high - low)

    @property
    def mean(self):
        low, high = operands(self.low, self.high)
        return 0.5 * (low + high)

    @property
    def variance(self):
        low, high = operands(self.low, self.high)
        return (high - low) ** 2 * (1.0 / 12.0)


def _both(distribution):
    """loc and scale, both of the full batch_shape."""
    loc, scale = operands(distribution.loc, distribution.scale)
    return broadcast_to_shape(loc, distribution.batch_shape), broadcast_to_shape(scale, distribution.batch_shape)


def _check_scale(distribution):
    scale = np.asarray(plain(distribution.scale))
    least = scale.min() if scale.size else 1.0
    require(distribution._name, "scale > 0 everywhere", ~(least <= 0), f"a smallest scale of {least}")
