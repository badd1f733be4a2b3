"""Softmax, log-softmax and log Σ eˣ, compiled: each row is read from memory once, then stays in the nearest cache.

Loops see (rows, n). Rows are shared among the threads, so results do not depend on how many there are.
"""

import numpy as np

from minigen.kernels import functions as f
from minigen.kernels import reference
from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.layout import writable_view

# -- loops ----------------------------------------------------------------------------------------------------


@device
def largest(row):
    """The largest number of a row: a maximum of whole numbers (functions.order), which LLVM can vectorise."""
    best = f.order(row[0])
    for j in range(1, row.size):
        bits = f.order(row[j])
        best = bits if bits > best else best
    return f.from_order(best)


@device
def minus_both(x, a, b):
    """(x − a) − b, in this order: x − (a + b) would lose digits of b where a is large."""
    return (x - a) - b


@kernel
def _softmax(x, y):
    one = x.dtype.type(1)
    for i in prange(x.shape[0]):
        row, result = x[i], y[i]
        top = largest(row)
        total = x.dtype.type(0)
        for j in range(row.size):
            e = f.exp(row[j] - top)
            result[j] = e
            total += e
        scale = one / total
        for j in range(row.size):
            result[j] *= scale


@kernel
def _softmax_backward(y, g, dx):
    for i in prange(y.shape[0]):
        row, of_g, result = y[i], g[i], dx[i]
        total = y.dtype.type(0)
        for j in range(row.size):
            total += of_g[j] * row[j]
        for j in range(row.size):
            result[j] = row[j] * (of_g[j] - total)


@kernel
def _log_softmax(x, y):
    for i in prange(x.shape[0]):
        row, result = x[i], y[i]
        top = largest(row)
        total = x.dtype.type(0)
        for j in range(row.size):
            total += f.exp(row[j] - top)
        log_total = f.log(total)
        for j in range(row.size):
            result[j] = minus_both(row[j], top, log_total)


@kernel
def _log_softmax_backward(y, g, dx):
    for i in prange(y.shape[0]):
        row, of_g, result = y[i], g[i], dx[i]
        total = y.dtype.type(0)
        for j in range(row.size):
            total += of_g[j]
        for j in range(row.size):
            result[j] = of_g[j] - f.exp(row[j]) * total


@kernel
def _logsumexp(x, y):
    for i in prange(x.shape[0]):
        row, zero = x[i], x.dtype.type(0)
        top = largest(row)
        shift = top if top - top == zero else zero  # an infinite one is not taken out: ∞ − ∞ would be NaN
        total = zero
        for j in range(row.size):
            total += f.exp(row[j] - shift)
        y[i] = f.log(total) + shift


@kernel
def _logsumexp_backward(x, y, g, dx):
    for i in prange(x.shape[0]):
        row, result = x[i], dx[i]
        for j in range(row.size):
            result[j] = g[i] * f.exp(row[j] - y[i])


# -- functions on arrays --------------------------------------------------------------------------------------


def rows_of(x, axis):
    """(x with `axis` moved to the end, the same as contiguous rows (rows, n)).  Raises: as NumPy for a wrong axis."""
    moved = x if axis in (-1, x.ndim - 1) else np.moveaxis(x, axis, -1)
    return moved, writable_view(np.ascontiguousarray(moved).reshape(-1, moved.shape[-1]))


def _along(loop, x, axis, *others):
    """Run a loop from rows to rows of the same length. `others`: rows, or a list of one number per row."""
    moved, rows = rows_of(x, axis)
    y = np.empty_like(rows)
    loop(rows, *others, y, work=4 * rows.size)
    y = y.reshape(moved.shape)
    return y if moved is x else np.moveaxis(y, -1, axis)


def _is_one_axis(x, axis):
    """True if there are rows; where there are none, or there are several axes, the definition runs."""
    return isinstance(axis, int) and x.ndim > 0 and x.size > 0


def softmax(x, axis):
    """eˣ / Σ eˣ along an axis."""
    return _along(_softmax, x, axis) if _is_one_axis(x, axis) else reference.softmax(x, axis)


def softmax_backward(g, y, axis):
    """y (g − Σ g y)."""
    if not _is_one_axis(y, axis):
        return reference.softmax_backward(g, y, axis)
    return _along(_softmax_backward, y, axis, rows_of(g, axis)[1])


def log_softmax(x, axis):
    """x − log Σ eˣ along an axis."""
    return _along(_log_softmax, x, axis) if _is_one_axis(x, axis) else reference.log_softmax(x, axis)


def log_softmax_backward(g, y, axis):
    """g − eʸ Σ g."""
    if not _is_one_axis(y, axis):
        return reference.log_softmax_backward(g, y, axis)
    return _along(_log_softmax_backward, y, axis, rows_of(g, axis)[1])


def logsumexp_of_rows(rows):
    """log Σ eˣ of each contiguous row.  (rows, n) → (rows,)"""
    y = np.empty(len(rows), rows.dtype)
    _logsumexp(rows, y, work=4 * rows.size)
    return y


def logsumexp(x, axis):
    """log Σ eˣ along an axis, which is kept with length 1."""
    if not _is_one_axis(x, axis):
        return reference.logsumexp(x, axis)
    kept = [1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
    return logsumexp_of_rows(rows_of(x, axis)[1]).reshape(kept)


def logsumexp_backward(g, x, y, axis):
    """g e^(x − y)."""
    if not _is_one_axis(x, axis):
        return reference.logsumexp_backward(g, x, y, axis)
    return _along(_logsumexp_backward, x, axis, _one_per_row(y), _one_per_row(g))


def _one_per_row(y):
    """Results (…, 1, …) with the axis kept, as a list in the order of the rows."""
    return writable_view(np.ascontiguousarray(y).reshape(-1))
