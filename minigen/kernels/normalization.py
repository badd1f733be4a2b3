"""Normalisation over rows: layer norm and RMS norm, x̂ = (x − mean) · r with r = 1 / √(variance + ε), y = x̂ · w + b.

A row lies in the first-level cache, so it costs little to go over it three times: for the mean, for the variance about
that mean, for the result. (E[x²] − E[x]² would save a turn and lose all digits where the mean is large.) Backward needs
x̂ again and computes it from x and two numbers per row:

    u = g · w,      dx = r · (u − mean(u) − x̂ · mean(u · x̂)),      dw = Σ g · x̂,      db = Σ g            (N.1)

with means over the row and sums over all rows. The sums are taken in pieces of rows that do not depend on the number
of threads, and neither does the result. RMS norm is the same with mean = 0 and without mean(u).

groupnorm.py and batchnorm.py hold the other two.
"""

import functools

import numpy as np

from minigen.kernels import reference
from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.layout import writable_view

ROWS = 32  # rows per piece, at least
PIECES = 64  # pieces, at most


def pieces(rows):
    """How many pieces of work to cut so many rows into."""
    return min(PIECES, -(-rows // ROWS))


def for_equal_types(function):
    """Leave arrays that are empty or of different types to the definition."""
    definition = getattr(reference, function.__name__)

    @functools.wraps(function)
    def call(x, *others, **settings):
        if not x.size or any(other.dtype != x.dtype for other in others):
            return definition(x, *others, **settings)
        return function(x, *others, **settings)

    return call


def vector(x, size):
    """A parameter as a contiguous vector of exactly this size."""
    if x.shape == (size,) and x.flags.c_contiguous and x.flags.writeable:
        return x
    return np.array(np.broadcast_to(x, (size,)))  # ValueError if it does not fit


def _rows(x):
    """(…, D) as (rows, D)"""
    return writable_view(np.ascontiguousarray(x)).reshape(-1, x.shape[-1])


@kernel
def _normalise_rows(x, weight, bias, eps, centred, mean, inverse_std, y):
    rows, size = x.shape
    zero, one, count = x.dtype.type(0), x.dtype.type(1), x.dtype.type(size)
    for i in prange(rows):
        row, result = x[i], y[i]
        m = zero
        if centred:
            for j in range(size):
                m += row[j] - row[0]  # small numbers, so that the sum keeps its digits
            m = row[0] + m / count
        squares = zero
        for j in range(size):
            squares += (row[j] - m) * (row[j] - m)
        r = one / np.sqrt(squares / count + eps)
        mean[i] = m
        inverse_std[i] = r
        for j in range(size):
            result[j] = (row[j] - m) * r * weight[j] + bias[j]


@device
def _through(u, x, m, r, total, along):
    """(N.1) for one number. A function of its own, so that the compiler rounds it in one way everywhere."""
    return (u - total - (x - m) * r * along) * r


@kernel
def _rows_backward(g, x, weight, mean, inverse_std, centred, dx, dweight, dbias):
    """(N.1); dweight and dbias (pieces, D) hold the sums over each piece."""
    rows, size = x.shape
    zero, count = x.dtype.type(0), x.dtype.type(size)
    for piece in prange(dweight.shape[0]):
        dw, db = dweight[piece], dbias[piece]
        for j in range(size):
            dw[j] = zero
            db[j] = zero
        for i in range(piece * rows // dweight.shape[0], (piece + 1) * rows // dweight.shape[0]):
            row, gradient, result, m, r = x[i], g[i], dx[i], mean[i], inverse_std[i]
            total, along = zero, zero
            for j in range(size):
                normal = (row[j] - m) * r
                u = gradient[j] * weight[j]
                total += u
                along += u * normal
            for j in range(size):
                dw[j] += gradient[j] * ((row[j] - m) * r)
                db[j] += gradient[j]
            total = total / count if centred else zero
            along /= count
            for j in range(size):
                result[j] = _through(gradient[j] * weight[j], row[j], m, r, total, along)


def _forward(x, weight, bias, eps, centred):
    size = x.shape[-1]
    y = np.empty(x.shape, x.dtype)
    mean, inverse_std = np.empty(x.shape[:-1] + (1,), x.dtype), np.empty(x.shape[:-1] + (1,), x.dtype)
    weight = vector(weight, size)
    bias = np.zeros_like(weight) if bias is None else vector(bias, size)
    arrays = mean.reshape(-1), inverse_std.reshape(-1), y.reshape(-1, size)
    _normalise_rows(_rows(x), weight, bias, x.dtype.type(eps), centred, *arrays, work=3 * x.size)
    return y, mean, inverse_std


def _backward(g, x, weight, mean, inverse_std, centred):
    size = x.shape[-1]
    rows, dx = _rows(x), np.empty(x.shape, x.dtype)
    dweight, dbias = np.empty((2, pieces(len(rows)), size), x.dtype)
    arrays = dx.reshape(-1, size), dweight, dbias
    means = _rows(mean).reshape(-1), _rows(inverse_std).reshape(-1)
    _rows_backward(_rows(g), rows, vector(weight, size), *means, centred, *arrays, work=4 * x.size)
    return dx, dweight.sum(axis=0), dbias.sum(axis=0)


@for_equal_types
def layer_norm(x, weight, bias, *, eps):
    """x̂ · weight + bias over the last axis; extras: mean and 1/std, (…, 1)."""
    y, mean, inverse_std = _forward(x, weight, bias, eps, True)
    return y, (mean, inverse_std)


@for_equal_types
def layer_norm_backward(g, x, weight, bias, mean, inverse_std, *, eps):
    """Gradients for x, weight, bias."""
    return _backward(g, x, weight, mean, inverse_std, True)


@for_equal_types
def rms_norm(x, weight, *, eps):
    """x / √(mean of x² + eps) · weight over the last axis; extras: 1/√(…), (…, 1)."""
    y, _, inverse_rms = _forward(x, weight, None, eps, False)
    return y, (inverse_rms,)


@for_equal_types
def rms_norm_backward(g, x, weight, inverse_rms, *, eps):
    """Gradients for x and weight."""
    return _backward(g, x, weight, np.zeros_like(inverse_rms), inverse_rms, False)[:2]
