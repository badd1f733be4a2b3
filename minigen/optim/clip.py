"""Gradient clipping: bound the length of a step without changing its direction."""

import math

import numpy as np

from minigen import kernels
from minigen.autograd.tensor import Tensor, constant
from minigen.errors import AnomalyError


def clip_grad_norm_(parameters, max_norm, *, error_if_nonfinite=False):
    """Scale all gradients by one factor, in place, so that their joint length is at most max_norm; return the length.

    Equation: n = √(Σ over all parameters and elements of g²),   g ← g · min(1, max_norm / (n + 10⁻⁶))
    Parameters without a gradient are left out; with no gradient at all the length is 0.
    The length returned is the one before clipping, a Python float.

    Differs:  from PyTorch: the Euclidean norm only.
    Raises:   AnomalyError if the length is NaN or infinite and error_if_nonfinite is True (otherwise such gradients
              become NaN, as in PyTorch); ValueError if max_norm is negative.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm={max_norm}; expected a number ≥ 0")
    owners = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    owners = [p for p in owners if p._grad is not None]
    norm = math.sqrt(math.fsum(kernels.sum_of_squares(p._grad._data) for p in owners))
    if error_if_nonfinite and not math.isfinite(norm):
        culprit = next(i for i, p in enumerate(owners) if not np.isfinite(p._grad._data).all())
        raise AnomalyError(
            f"clip_grad_norm_: the gradient norm is {norm}; the first parameter whose gradient is not finite is number "
            f"{culprit} of those with a gradient, shape {owners[culprit].shape}"
        )
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:  # also for NaN
        for p in owners:
            _scale(p, factor)
    return norm


def _scale(p, factor):
    """Multiply the gradient of p by a number: in place if the array is the gradient's own, else in a new one."""
    grad = p._grad
    if grad._node is not None or grad._version is None or not grad._data.flags.writeable:
        p._grad = constant(grad._data * factor)
    else:
        grad._data *= factor
        grad._version.touch()
