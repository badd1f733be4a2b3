"""Units of likelihood, and the average of numbers that are only known as logarithms.

A log-likelihood of D numbers is a sum of D terms, so it grows with the image. Dividing by D, and by ln 2 to count in
bits, gives *bits per dimension*, which compares images of different sizes:

    bits/dim = −log p(x) / (D ln 2).                                                                        (M.1)

For discrete pixels it is how many bits per pixel an ideal compressor built from the model would need.
"""

import math
from typing import NamedTuple

import numpy as np

from minigen.errors import ShapeError


def bits_per_dim(nats, dimensions):
    """Bits per dimension of −log p(x) in nats.

    Equation: (M.1)
    Shapes:   nats any, dimensions a whole number → as nats
    Raises:   ShapeError if dimensions is not at least 1.
    """
    return np.asarray(nats, dtype=np.float64) / (_at_least_one(dimensions) * math.log(2))


def nats(bits, dimensions):
    """−log p(x) in nats from bits per dimension: the inverse of `bits_per_dim`."""
    return np.asarray(bits, dtype=np.float64) * (_at_least_one(dimensions) * math.log(2))


def _at_least_one(dimensions):
    if dimensions < 1:
        raise ShapeError(f"bits_per_dim: {dimensions} dimensions; expected at least 1")
    return dimensions


def log_mean_exp(log_values, axis=0):
    """log of the mean of e^log_values along an axis, without overflow or underflow.

    Equation: m + log (1/k) Σ_i e^(v_i − m), m = max_i v_i. With v = log importance weights it is the IWAE bound.
                                                                                            [lesson 05, eq. 5.9]
    Shapes:   (k, …) → (…)
    Raises:   ShapeError if there is nothing to average.
    """
    log_values = np.asarray(log_values, dtype=np.float64)
    if log_values.shape[axis] == 0:
        raise ShapeError(f"log_mean_exp: shape {log_values.shape} has nothing along axis {axis}")
    largest = np.max(log_values, axis=axis, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        result = np.log(np.mean(np.exp(log_values - shift), axis=axis, keepdims=True)) + shift
    return np.squeeze(result, axis=axis)


class Estimate(NamedTuple):
    """A mean over examples and its standard error."""

    mean: float
    error: float

    def __str__(self):
        return f"{self.mean:.2f} ± {self.error:.2f}"


def estimate(values):
    """The mean of one number per example, with its standard error s/√n.

    Shapes:   (n,) → Estimate
    Raises:   ShapeError unless there are at least two values in one axis.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ShapeError(f"estimate: values have shape {values.shape}; expected (n,) with n at least 2")
    return Estimate(float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))))
