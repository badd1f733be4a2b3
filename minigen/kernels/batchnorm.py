"""Sums over all pixels, and batch normalisation: the loops of groupnorm.py, every channel a group over the batch.

The batch is cut into pieces; means, squares and sums of the pieces are joined by NumPy, always in the same order.
"""

import numpy as np

from minigen.kernels.groupnorm import BLOCK, _add_sums, _gradient, _moments, _scale
from minigen.kernels.jit import kernel, prange
from minigen.kernels.layout import channels_last, empty_image
from minigen.kernels.normalization import for_equal_types, pieces, vector


@kernel
def _piece_moments(x, mean, squares):
    """Mean and squares of each piece, (pieces, C)."""
    n, count = x.shape[0], mean.shape[0]
    for p in prange(count):
        _moments(x[p * n // count : (p + 1) * n // count], mean[p], squares[p])


@kernel
def _scale_pieces(x, mean, scale, bias, count, y):
    n = x.shape[0]
    for p in prange(count):
        first, last = p * n // count, (p + 1) * n // count
        _scale(x[first:last], mean, scale, bias, y[first:last])


@kernel
def _piece_sums(g, x, mean, total, along):
    n, count = x.shape[0], total.shape[0]
    for p in prange(count):
        for c in range(x.shape[1]):
            total[p, c] = 0.0
            along[p, c] = 0.0
        last = (p + 1) * n // count
        for first in range(p * n // count, last, BLOCK):
            end = min(last, first + BLOCK)
            _add_sums(g[first:end], x[first:end], mean, total[p], along[p])


@kernel
def _gradient_pieces(g, x, mean, scale, shift, slope, count, dx):
    n = x.shape[0]
    for p in prange(count):
        first, last = p * n // count, (p + 1) * n // count
        _gradient(g[first:last], x[first:last], mean, scale, shift, slope, dx[first:last])


@kernel
def _piece_totals(x, total):
    """The sum of each column over each piece, in float64, (pieces, C)."""
    n, count = x.shape[0], total.shape[0]
    for p in prange(count):
        some = np.empty(x.shape[1], x.dtype)
        total[p] = 0
        last = (p + 1) * n // count
        for first in range(p * n // count, last, BLOCK):
            some[:] = 0
            for i in range(first, min(last, first + BLOCK)):
                row = x[i]
                for c in range(some.size):
                    some[c] += row[c]
            for c in range(some.size):
                total[p, c] += some[c]


def _all_pixels(x):
    """(B, C, …) as (B · positions, C)"""
    return channels_last(x).reshape(-1, x.shape[1])


@for_equal_types
def pixel_sums(x):
    """Σ over batch and positions, (C,)."""
    pixels = _all_pixels(x)
    n, c = pixels.shape
    together = next(k for k in (8, 4, 2, 1) if n % k == 0)  # pixels: a longer row is a better vector loop
    total = np.empty((pieces(n // together), together * c))
    _piece_totals(pixels.reshape(-1, together * c), total, work=x.size)
    return total.reshape(-1, c).sum(axis=0).astype(x.dtype)


@for_equal_types
def batch_moments(x):
    """Mean and (biased) variance of each channel over batch and positions, both (C,)."""
    pixels = _all_pixels(x)
    n, c = pixels.shape
    count = pieces(n)
    mean, squares = np.empty((2, count, c))
    _piece_moments(pixels, mean, squares, work=2 * x.size)
    ends = np.arange(count + 1) * n // count
    sizes = np.diff(ends)[:, None]
    total = (sizes * mean).sum(axis=0) / n
    var = (squares + sizes * np.square(mean - total)).sum(axis=0) / n  # (N.3) for all pieces at once
    return total.astype(x.dtype), var.astype(x.dtype)


@for_equal_types
def batch_norm(x, weight, bias, *, mean, var, eps):
    """x̂ per channel, then per-channel weight and bias; mean and var as batch_moments gives them. No extras."""
    c = x.shape[1]
    y, result = empty_image(x.shape, x.dtype)
    pixels = _all_pixels(x)
    scale = vector(weight, c) / np.sqrt(var + x.dtype.type(eps))
    arrays = vector(mean, c), scale, vector(bias, c), pieces(len(pixels)), result.reshape(-1, c)
    _scale_pieces(pixels, *arrays, work=2 * x.size)
    return y, ()


@for_equal_types
def batch_norm_backward(g, x, weight, bias, *, mean, var, eps):
    """Gradients for x, weight, bias, by (N.4); mean and var count as functions of x."""
    c = x.shape[1]
    dx, result = empty_image(x.shape, x.dtype)
    gradient, pixels, mean = _all_pixels(g), _all_pixels(x), vector(mean, c)
    n = len(pixels)
    total, along = np.empty((2, pieces(n), c))
    _piece_sums(gradient, pixels, mean, total, along, work=2 * x.size)
    total, along = total.sum(axis=0), along.sum(axis=0)
    r = 1 / np.sqrt(var.astype(np.float64) + eps)
    factors = [f.astype(x.dtype) for f in (r * weight, r * weight * total / n, r**3 * weight * along / n)]
    _gradient_pieces(gradient, pixels, mean, *factors, pieces(n), result.reshape(-1, c), work=3 * x.size)
    return dx, (r * along).astype(x.dtype), total.astype(x.dtype)
