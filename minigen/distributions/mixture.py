"""MixtureSameFamily: K distributions of one kind, one of which is drawn first.

    p(x) = Σ_k π_k p_k(x),    log p(x) = logsumexp_k (log π_k + log p_k(x))                       (D.1)
"""

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.distributions.base import Distribution, operands, plain
from minigen.distributions.discrete import Categorical
from minigen.errors import ShapeError
from minigen.ops.reduce import logsumexp, sum
from minigen.ops.shape import reshape


class MixtureSameFamily(Distribution):
    """A mixture of K components of one family; the components lie along the last axis.

    mixture_distribution:    a Categorical over the K components, or its logits, shape (…, K) or (K,).
    component_distribution:  an elementwise distribution of batch_shape (…, K).

    Equation: (D.1) in the module's docstring.
    Shapes:   batch_shape (…); log_prob of a value (…) is (…).
    Raises:   ShapeError if the number of components differs.
    Differs:  from PyTorch: logits may be given in place of the Categorical. No rsample: the choice of the component
              is not differentiable. No entropy: it has no closed form.
    """

    def __init__(self, mixture_distribution, component_distribution):
        given = mixture_distribution
        self.mixture_distribution = given if isinstance(given, Categorical) else Categorical(given)
        self.component_distribution = component_distribution
        weights = (*self.mixture_distribution.batch_shape, self.mixture_distribution.classes)
        shape = component_distribution.batch_shape
        if not shape or shape[-1] != weights[-1] or weights[:-1] not in ((), shape[:-1]):
            raise ShapeError(
                f"{self._name}: mixture logits {weights} and component batch_shape {shape} do not fit; "
                "expected (…, K) or (K,), and (…, K)"
            )
        self.batch_shape = shape[:-1]

    def log_prob(self, value):
        value = self._value(value, "log_prob")
        return logsumexp(self.mixture_distribution.log_probs + self.component_distribution.log_prob(_column(value)), -1)

    def cdf(self, value):
        return self._average(self.component_distribution.cdf(_column(self._value(value, "cdf"))))

    def sample(self, sample_shape=(), *, rng):
        """Draws of shape sample_shape + batch_shape: a component each, then that component's sample."""
        shape = self._shape(sample_shape)
        samples = self.component_distribution.sample(shape[: len(shape) - len(self.batch_shape)], rng=rng)  # (…, K)
        extra = shape if not self.mixture_distribution.batch_shape else sample_shape
        chosen = self.mixture_distribution.sample(extra, rng=rng)
        picked = np.take_along_axis(plain(samples), chosen[..., None], axis=-1)[..., 0]
        return Tensor(picked) if isinstance(samples, Tensor) else picked

    @property
    def mean(self):
        return self._average(self.component_distribution.mean)

    @property
    def variance(self):
        """E[variance] + variance of the means."""
        inner = self.component_distribution
        spread = inner.mean - reshape(self.mean, shape=(*self.batch_shape, 1))
        return self._average(inner.variance + spread * spread)

    def _average(self, x):
        """Σ_k π_k x_k over the last axis."""
        return sum(self.mixture_distribution.probs * x, dim=-1)


def _column(value):
    """The value with a last axis of length 1, to meet the K components."""
    (value,) = operands(value)
    return reshape(value, shape=(*value.shape, 1))
