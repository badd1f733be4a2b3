"""Likelihoods: what a decoder's numbers mean.

A decoder ends in a few numbers per pixel. A likelihood says how many (`channels`), how they make a distribution p(x|z)
over that pixel's value, and hence log p(x|z), its mean, and how to draw from it. Pixels are independent given the code,
so log p(x|z) is a *sum* over pixels, in nats, one value per example: averaging here would silently divide the
reconstruction by the number of pixels and leave the KL term alone.

Parameters have shape (B, channels, …pixels), images (B, …pixels) or (B, 1, …pixels).

    Bernoulli                    1 channel    pixels 0 or 1
    Categorical(values)          `values`     whole numbers 0 … values − 1, no order assumed
    Gaussian                     2            real numbers; mean and log-variance are learnt
    DiscretizedLogistic(values)  2            whole numbers; neighbouring values are alike
    DiscretizedLogisticMixture   3 K          the same with K bells
"""

import math

import numpy as np

from minigen import distributions, ops
from minigen.autograd import Tensor
from minigen.errors import ShapeError


class Likelihood:
    """What all share: from decoder output to a distribution, log-probability, mean and samples of images."""

    channels = 1

    def distribution(self, parameters):
        """The distribution of every pixel, with batch shape (B, …pixels)."""
        raise NotImplementedError

    def log_prob(self, parameters, x):
        """log p(x|z) summed over pixels, (B,), in nats."""
        self._check(parameters)
        pixels = (parameters.shape[0], *parameters.shape[2:])
        x = _array(x)
        if math.prod(x.shape) != math.prod(pixels) or x.shape[0] != pixels[0]:
            raise ShapeError(f"{type(self).__name__}.log_prob: images {x.shape} for parameters {parameters.shape}")
        per_pixel = self.distribution(parameters).log_prob(x.reshape(pixels))
        return ops.sum(per_pixel, dim=tuple(range(1, len(pixels))))

    def mean(self, parameters):
        """The expected image, (B, …pixels), an array."""
        self._check(parameters)
        return _array(self.distribution(Tensor(_array(parameters))).mean)

    def sample(self, parameters, *, rng):
        """An image drawn pixel by pixel, (B, …pixels), an array."""
        self._check(parameters)
        return _array(self.distribution(Tensor(_array(parameters))).sample(rng=rng))

    def initial_bias(self, pixels):
        """A good bias for the decoder's last layer, (channels, pixels): what to say before anything is learnt."""
        return np.zeros((self.channels, pixels), dtype=np.float32)

    def _check(self, parameters):
        if parameters.ndim < 3 or parameters.shape[1] != self.channels:
            raise ShapeError(
                f"{type(self).__name__}: parameters {tuple(parameters.shape)}; expected (B, {self.channels}, …pixels)"
            )


class Bernoulli(Likelihood):
    """Black or white: the channel is the logit of 1.

    Real-valued pixels in [0, 1] are refused: −l x log σ … is then no longer a log-probability, because the Bernoulli
    formula does not integrate to 1 over [0, 1]. (Its missing constant is the continuous Bernoulli's, Loaiza-Ganem &
    Cunningham 2019, arXiv:1907.06845.)
    """

    def distribution(self, parameters):
        return distributions.Bernoulli(logits=parameters[:, 0])


class Categorical(Likelihood):
    """A free probability for every value: the channels are their logits."""

    def __init__(self, values):
        self.channels = self.values = values

    def distribution(self, parameters):
        return distributions.Categorical(logits=_channels_last(parameters))

    def log_prob(self, parameters, x):
        """−cross_entropy: the same number as the distribution's, by the fused kernel."""
        self._check(parameters)
        return -ops.cross_entropy(parameters, _array(x).reshape(parameters.shape[0], *parameters.shape[2:]))

    def mean(self, parameters):
        self._check(parameters)
        levels = np.arange(self.values, dtype=np.float32).reshape(1, -1, *(1,) * (parameters.ndim - 2))
        return (ops.softmax(_array(parameters), dim=1) * levels).sum(axis=1)


class Gaussian(Likelihood):
    """A density over real numbers; the channels are mean and log-variance.

    The log-variance is kept above `min_log_var`: on pixels that never vary the density could otherwise grow without
    bound, and one pixel would outweigh all others.
    """

    channels = 2

    def __init__(self, min_log_var=-6.0):
        self.min_log_var = min_log_var

    def distribution(self, parameters):
        log_var = ops.softplus(parameters[:, 1] - self.min_log_var) + self.min_log_var
        return distributions.Normal(parameters[:, 0], ops.exp(0.5 * log_var))


class DiscretizedLogistic(Likelihood):
    """One bell per pixel over whole values; the channels are its place and log-scale (0 is −1, the top value +1)."""

    channels = 2

    def __init__(self, values):
        self.values = values

    def distribution(self, parameters):
        return distributions.DiscretizedLogistic(parameters[:, 0], _limited(parameters[:, 1]), bins=self.values)

    def initial_bias(self, pixels):
        bias = np.zeros((2, pixels), dtype=np.float32)
        bias[1] = math.log(0.15)
        return bias


class DiscretizedLogisticMixture(Likelihood):
    """K bells per pixel; the channels are K weights (logits), K places, K log-scales."""

    def __init__(self, values, components=3):
        self.values = values
        self.components = components
        self.channels = 3 * components

    def distribution(self, parameters):
        k = self.components
        weights, places, log_scales = (_channels_last(parameters[:, i * k : (i + 1) * k]) for i in range(3))
        return distributions.DiscretizedLogisticMixture(weights, places, _limited(log_scales), bins=self.values)

    def initial_bias(self, pixels):
        """Equal weights, the bells spread from dark to bright, each about a tenth of the range wide."""
        k = self.components
        bias = np.zeros((3, k, pixels), dtype=np.float32)
        bias[1] = np.linspace(-1, 1, k)[:, None]
        bias[2] = math.log(0.15)
        return bias.reshape(3 * k, pixels)


def _limited(log_scale):
    """Scales between e⁻⁶ and e³ of half the range: narrower than a bin or wider than the range gains nothing."""
    return ops.clip(log_scale, -6.0, 3.0)


def _channels_last(parameters):
    """(B, channels, …pixels) → (B, …pixels, channels)"""
    return ops.permute(parameters, dims=(0, *range(2, parameters.ndim), 1))


def _array(x):
    return x.data if isinstance(x, Tensor) else np.asarray(x)
