"""Bernoulli and Categorical, given by their logits.

Logits are what a network puts out, any real numbers. Probabilities near 0 and 1 lose all their digits in floating
point, logits keep them: log p is computed from the logits without forming p.
"""

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.distributions.base import Distribution, broadcast_to_shape, operands, plain, require
from minigen.errors import ShapeError
from minigen.ops.elementwise import sigmoid, softplus, where
from minigen.ops.loss import binary_cross_entropy, softmax_cross_entropy
from minigen.ops.reduce import log_softmax, softmax, sum
from minigen.ops.shape import reshape


class Bernoulli(Distribution):
    """A coin toss per element: P(1) = σ(logits).

    Equation: log p(x) = x log σ(l) + (1 − x) log σ(−l)
    Shapes:   logits batch_shape. Samples are 0s and 1s in the dtype of the logits.
    Raises:   ValueError for a value that is neither 0 nor 1: for grey values this formula is no log-probability (they
              would not sum to 1). The cross-entropy to grey values is ops.bce_with_logits.
    Differs:  from PyTorch: takes logits only.
    """

    def __init__(self, logits):
        self._set(logits=logits)

    @property
    def probs(self):
        """P(1) = σ(logits)."""
        (logits,) = operands(self.logits)
        return sigmoid(logits)

    def log_prob(self, value):
        x, logits = operands(self._value(value, "log_prob"), self.logits)
        low, high = _range(x)
        binary = np.all((plain(x) == 0) | (plain(x) == 1))
        require("Bernoulli.log_prob", "every value 0 or 1", binary, f"others, from {low} to {high}")
        return -binary_cross_entropy(logits, x)

    def sample(self, sample_shape=(), *, rng):
        """0s and 1s in the dtype of the logits, shape sample_shape + batch_shape."""
        (logits,) = operands(self.logits)
        ones = rng.random(self._shape(sample_shape)) < sigmoid(plain(logits))
        ones = np.asarray(ones, logits.dtype)
        return Tensor(ones) if isinstance(self.logits, Tensor) else ones

    def cdf(self, value):
        x, logits = operands(self._value(value, "cdf"), self.logits)
        return where(plain(x) < 0, 0.0, where(plain(x) < 1, sigmoid(-logits), 1.0))

    def entropy(self):
        """−p log p − (1 − p) log(1 − p), as a sum of two positive terms."""
        (logits,) = operands(self.logits)
        return sigmoid(logits) * softplus(-logits) + sigmoid(-logits) * softplus(logits)

    @property
    def mean(self):
        return self.probs

    @property
    def variance(self):
        """p (1 − p)."""
        (logits,) = operands(self.logits)
        return sigmoid(logits) * sigmoid(-logits)


class Categorical(Distribution):
    """One of V classes, numbered from 0: P(v) = softmax(logits)[v].

    Equation: log p(v) = logits[v] − logsumexp(logits)
    Shapes:   logits (…, V), batch_shape (…); a logit of −∞ forbids a class. Values are whole numbers of shape (…).
    Raises:   ValueError for a value that is no class; ShapeError if logits have no last axis or shapes do not fit.
    Differs:  from PyTorch: takes logits only. Classes have no order here, so there is no mean, variance or cdf.
    """

    def __init__(self, logits):
        self._set(logits=logits)
        if not self.batch_shape or self.batch_shape[-1] == 0:
            raise ShapeError(f"Categorical: logits of shape {self.batch_shape}; expected (…, V) with V ≥ 1 classes")
        *batch, self.classes = self.batch_shape
        self.batch_shape = tuple(batch)

    @property
    def probs(self):
        """softmax(logits), shape (…, V)."""
        (logits,) = operands(self.logits)
        return softmax(logits, dim=-1)

    @property
    def log_probs(self):
        """log_softmax(logits), shape (…, V)."""
        (logits,) = operands(self.logits)
        return log_softmax(logits, dim=-1)

    def log_prob(self, value):
        value = whole_numbers("Categorical", self._value(plain(value), "log_prob"), self.classes)
        (logits,) = operands(self.logits)
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        rows = reshape(broadcast_to_shape(logits, (*shape, self.classes)), shape=(-1, self.classes))
        target = np.broadcast_to(value, shape).reshape(-1)
        return reshape(-softmax_cross_entropy(rows, target=target), shape=shape)

    def sample(self, sample_shape=(), *, rng):
        """Class numbers as an integer array, shape sample_shape + batch_shape.

        A uniform number falls into one of V intervals whose lengths are the probabilities.
        """
        ends = np.cumsum(softmax(np.asarray(plain(self.logits), np.float64), dim=-1), axis=-1)
        ends /= ends[..., -1:]  # the last end is exactly 1, and the uniform number is below it
        u = rng.random(self._shape(sample_shape))
        if not self.batch_shape:
            return np.searchsorted(ends, u, side="right")
        return np.sum(u[..., None] >= ends, axis=-1)

    def entropy(self):
        """−Σ p log p over the classes; forbidden classes add 0."""
        (logits,) = operands(self.logits)
        possible = np.isfinite(plain(logits))
        return -sum(softmax(logits, dim=-1) * where(possible, log_softmax(logits, dim=-1), 0.0), dim=-1)


def whole_numbers(name, value, count):
    """The values as an integer array, after checking that they are whole numbers from 0 to count − 1."""
    value = np.asarray(value)
    low, high = _range(value)
    fits = low >= 0 and high < count and (value.dtype.kind in "iub" or np.array_equal(value, np.floor(value)))
    found = f"values from {low} to {high}" + (", not all whole" if low >= 0 and high < count else "")
    require(f"{name}.log_prob", f"whole numbers from 0 to {count - 1}", fits, found)
    return value if value.dtype.kind in "iu" else value.astype(np.int64)


def _range(x):
    x = np.asarray(plain(x))
    return (x.min(), x.max()) if x.size else (0, 0)
