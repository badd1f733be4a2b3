"""Distribution: what all distributions share.

Every distribution here is a whole array of independent ones, one per element of its parameters' common shape (the
`batch_shape`), and every method works element by element:

    log_prob(x)     log p(x), in nats, one number per element: nothing is summed. Sum over what belongs to one example.
    sample, rsample draws of shape sample_shape + batch_shape. rsample is differentiable in the parameters: it moves
                    noise that does not depend on them (reparameterisation); sample is not.
    cdf(x)          P(X ≤ x)
    entropy()       −E[log p(X)], in nats (for densities relative to the length unit: it can be negative)
    mean, variance, stddev

Parameters and values may be Tensors (then everything is differentiable, to any order) or NumPy arrays, lists or
numbers (then results are arrays). Names and shapes are those of torch.distributions.
"""

import numpy as np

from minigen.autograd.mode import no_grad
from minigen.autograd.tensor import Tensor
from minigen.errors import ShapeError
from minigen.ops.elementwise import sqrt

_FLOATS = (np.float32, np.float64)


class Distribution:
    """The base class. A distribution calls `_set` with its parameters, and defines what is closed for it."""

    def _set(self, **parameters):
        """Keep the parameters as attributes, after checking that their shapes broadcast to one."""
        shapes = {name: np.shape(x) for name, x in parameters.items()}
        try:
            self.batch_shape = np.broadcast_shapes(*shapes.values())
        except ValueError:
            given = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ShapeError(f"{self._name}: shapes of {given} do not broadcast") from None
        for name, x in parameters.items():
            setattr(self, name, x if isinstance(x, Tensor | int | float) else np.asarray(x))

    @property
    def _name(self):
        return type(self).__name__

    def log_prob(self, value):
        """log p(value) in nats, elementwise: of a density if X is continuous, of a probability if it is discrete."""
        raise self._not_closed("log_prob")

    def rsample(self, sample_shape=(), *, rng):
        """Draws of shape sample_shape + batch_shape, differentiable in the parameters."""
        raise NotImplementedError(f"{self._name}: samples are not differentiable in the parameters; use sample")

    def sample(self, sample_shape=(), *, rng):
        """Draws of shape sample_shape + batch_shape, without history."""
        with no_grad():
            return self.rsample(sample_shape, rng=rng)

    def cdf(self, value):
        """P(X ≤ value), elementwise."""
        raise self._not_closed("cdf")

    def entropy(self):
        """−E[log p(X)] in nats, elementwise."""
        raise self._not_closed("entropy")

    @property
    def mean(self):
        """E[X], elementwise."""
        raise self._not_closed("mean")

    @property
    def variance(self):
        """E[(X − E[X])²], elementwise."""
        raise self._not_closed("variance")

    @property
    def stddev(self):
        """The square root of the variance."""
        return sqrt(self.variance)

    def _not_closed(self, method):
        return NotImplementedError(f"{self._name}: {method} is not defined or has no closed form")

    def _value(self, value, method):
        """The value, after checking that its shape fits."""
        try:
            np.broadcast_shapes(np.shape(value), self.batch_shape)
        except ValueError:
            raise ShapeError(
                f"{self._name}.{method}: value of shape {np.shape(value)} does not broadcast with the "
                f"distribution's shape {self.batch_shape}"
            ) from None
        return value

    def _shape(self, sample_shape):
        """The shape of a sample."""
        extra = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return extra + self.batch_shape


def operands(*values):
    """The values ready for arithmetic with each other.

    Tensors and floating-point arrays stay as they are. Numbers, lists and integers become arrays of the dtype that
    those have (float32, the package's default, if there are none).
    """
    ready = [isinstance(x, Tensor | np.ndarray) and x.dtype in _FLOATS for x in values]
    dtype = np.result_type(*(x.dtype for x, ok in zip(values, ready, strict=True) if ok)) if any(ready) else np.float32
    return [x if ok else np.asarray(plain(x), dtype) for x, ok in zip(values, ready, strict=True)]


def plain(x):
    """The array inside a Tensor, or what was given: for masks, class numbers and checks, which carry no gradient."""
    return x._data if isinstance(x, Tensor) else x


def require(name, what, holds, found):
    """Raise a ValueError unless the condition holds everywhere; NaN passes, so that a loss can report it."""
    if not np.all(holds):
        raise ValueError(f"{name}: expected {what}; found {found}")


def broadcast_to_shape(x, shape):
    """x repeated to the shape, if it does not have it yet."""
    from minigen.autograd.broadcasting import broadcast_to

    return x if x.shape == shape else broadcast_to(x, shape=shape)
