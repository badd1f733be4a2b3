"""Losses, compiled: cross-entropy reads each row of logits once, forward and backward.

Cross-entropy's loops see (N, V): one row of V logits per decision. The classes are on axis 1, so logits (B, V, T) are
rows if their memory is (B, T, V), which is where most networks leave them; else they are copied into that order. The
gradient is written in it, too. Saved is one number per row, log Σ eˣ.
"""

import math

import numpy as np

from minigen.kernels import functions as f
from minigen.kernels import reference
from minigen.kernels.jit import kernel, prange
from minigen.kernels.layout import channels_last, empty_image, in_order_of, like, writable_view
from minigen.kernels.rows import logsumexp_of_rows

# -- loops ----------------------------------------------------------------------------------------------------


@kernel
def _cross_entropy_backward(logits, target, lse, g, gradient):
    for i in prange(logits.shape[0]):
        row, result = logits[i], gradient[i]
        for j in range(row.size):
            result[j] = f.exp(row[j] - lse[i]) * g[i]
        result[target[i]] -= g[i]


@kernel
def _bce_with_logits(logits, target, y):
    zero = logits.dtype.type(0)
    for i in prange(logits.size):
        x = logits[i]
        y[i] = (zero if x < zero else x) - x * target[i] + f.log1p(f.exp(-math.fabs(x)))


@kernel
def _bce_with_logits_backward(logits, target, g, of_logits, of_target):
    for i in prange(logits.size):
        of_logits[i] = g[i] * (f.sigmoid(logits[i]) - target[i])
        of_target[i] = -g[i] * logits[i]


@kernel
def _mse(x, target, y):
    for i in prange(x.size):
        difference = x[i] - target[i]
        y[i] = difference * difference


@kernel
def _mse_backward(x, target, g, of_x, of_target):
    two = x.dtype.type(2)
    for i in prange(x.size):
        gradient = two * g[i] * (x[i] - target[i])
        of_x[i] = gradient
        of_target[i] = -gradient


# -- functions on arrays --------------------------------------------------------------------------------------


def _as_rows(logits):
    """(B, V, …) as (N, V)."""
    return writable_view(channels_last(logits).reshape(-1, logits.shape[1]))


def _one_per_row(x, dtype):
    return writable_view(np.ascontiguousarray(x, dtype).reshape(-1))


def cross_entropy(logits, *, target):
    """−log softmax(logits)[target]; extras: the log-sum-exp."""
    if logits.size == 0:
        return reference.cross_entropy(logits, target=target)
    rows = _as_rows(logits)
    lse = logsumexp_of_rows(rows)
    loss = lse - rows[np.arange(len(rows)), target.reshape(-1)]
    return loss.reshape(target.shape), (np.expand_dims(lse.reshape(target.shape), 1),)


def cross_entropy_backward(g, logits, lse, *, target):
    """softmax − onehot."""
    if logits.size == 0:
        return reference.cross_entropy_backward(g, logits, lse, target=target)
    rows, target = _as_rows(logits), _one_per_row(target, np.int64)
    gradient, result = empty_image(logits.shape, logits.dtype)
    _cross_entropy_backward(
        rows, target, _one_per_row(lse, rows.dtype), _one_per_row(g, rows.dtype), result.reshape(rows.shape),
        work=3 * rows.size,
    )  # fmt: skip
    return (gradient,)


def _forward(loop, definition, x, target):
    if x.shape != target.shape:  # they broadcast: rare, so left to NumPy
        return definition(x, target)
    numbers, y, results = like(x)
    _, of_target = in_order_of(y, target.astype(x.dtype, copy=False))
    loop(numbers, of_target, results, work=3 * numbers.size)
    return y, ()


def _backward(loop, definition, g, x, target):
    if x.shape != target.shape:
        return definition(g, x, target)
    numbers, of_x, results = like(x)
    _, targets, of_g = in_order_of(of_x, target.astype(x.dtype, copy=False), g)
    of_target = np.empty_like(of_x)
    loop(numbers, targets, of_g, results, of_target.ravel(order="K"), work=5 * numbers.size)
    return of_x, of_target


def bce_with_logits(logits, target):
    """max(l, 0) − l·target + log(1 + e^−|l|), elementwise."""
    return _forward(_bce_with_logits, reference.bce_with_logits, logits, target)


def bce_with_logits_backward(g, logits, target):
    """σ(l) − target, and −l for the target."""
    return _backward(_bce_with_logits_backward, reference.bce_with_logits_backward, g, logits, target)


def mse(x, target):
    """(x − target)², elementwise."""
    return _forward(_mse, reference.mse, x, target)


def mse_backward(g, x, target):
    """2 (x − target), with opposite signs."""
    return _backward(_mse_backward, reference.mse_backward, g, x, target)
