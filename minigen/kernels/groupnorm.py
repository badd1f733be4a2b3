"""Group and batch normalisation of images in channels-last memory, (B, positions, C).

**Mean and variance in one reading.** Of a block of numbers, take each one's distance d from the block's first number:

    mean = first + Σd / n,        squares about the mean = Σd² − (Σd)² / n                               (N.2)

Such differences lose digits if the two are nearly equal. Here Σd² is at most n + 1 times the result, because the first
number is one of the block: if it lies far from the mean, that is spread, too. With blocks of 32 numbers all but a digit
and a half remain, wherever the mean is. Two sets of n₁ and n₂ numbers, with means m₁ and m₂ and squares s₁ and s₂ about
them, have together (with d = m₂ − m₁)

    m = m₁ + d · n₂ / (n₁ + n₂),        s = s₁ + s₂ + d² · n₁ n₂ / (n₁ + n₂)                             (N.3)

so block after block is added, in float64, and nothing cancels even where the mean is 10,000 standard deviations.
Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance".

**Groups.** All loops run over channels, which are neighbours in memory; a group of channels joins its numbers by (N.3)
at the end. With r = 1/std, y = (x − mean) · r · w + b, each factor one number per channel.

**Backward.** With u = g (group norm followed by silu: g through silu, at z computed again), for each channel
S = Σ u and A = Σ u · (x − mean). Then db = S, dw = r · A, and with n numbers in the group

    dx = r · w · u − r · (Σ w S) / n − (x − mean) · r³ · (Σ w A) / n         sums over the group's channels   (N.4)

In batch norm every channel is a group, over the whole batch. In group norm w and b may differ from image to image.
"""

import numpy as np

from minigen.kernels.functions import sigmoid
from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.layout import channels_last, empty_image
from minigen.kernels.normalization import for_equal_types, vector

BLOCK = 32  # positions


@device
def _moments(x, mean, squares):
    """Mean of each column of x (n, C), and the sum of squares about it, by (N.2) and (N.3)."""
    n, channels = x.shape
    total, spread = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for c in range(channels):
        mean[c] = 0.0
        squares[c] = 0.0
    for first in range(0, n, BLOCK):
        count = min(BLOCK, n - first)
        start = x[first]
        for c in range(channels):
            total[c] = 0
            spread[c] = 0
        for i in range(first, first + count):
            row = x[i]
            for c in range(channels):
                d = row[c] - start[c]
                total[c] += d
                spread[c] += d * d
        share = count / (first + count)
        for c in range(channels):
            middle = np.float64(total[c]) / count
            about = spread[c] - count * middle * middle
            d = start[c] + middle - mean[c]
            mean[c] += d * share
            squares[c] += (0.0 if about < 0 else about) + d * d * (first * share)


@device
def _scale(x, mean, scale, bias, y):
    """y = (x − mean) · scale + bias."""
    n, channels = x.shape
    for i in range(n):
        row, result = x[i], y[i]
        for c in range(channels):
            result[c] = (row[c] - mean[c]) * scale[c] + bias[c]


@device
def _silu(z):
    """z · σ(z), in place."""
    for i in range(z.size):
        z[i] *= sigmoid(z[i])


@device
def _silu_backward(g, z):
    """g · σ(z) (1 + z (1 − σ(z))), in the place of z."""
    one = z.dtype.type(1)
    for i in range(z.size):
        s = sigmoid(z[i])
        z[i] = g[i] * s * (one + z[i] * (one - s))


@device
def _add_sums(u, x, mean, total, along):
    """Add S = Σ u and A = Σ u (x − mean) of a block to total and along, which are float64."""
    n, channels = x.shape
    s, a = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for c in range(channels):
        s[c] = 0
        a[c] = 0
    for i in range(n):
        for c in range(channels):
            s[c] += u[i, c]
            a[c] += u[i, c] * (x[i, c] - mean[c])
    for c in range(channels):
        total[c] += s[c]
        along[c] += a[c]


@device
def _gradient_here(x, mean, scale, shift, slope, dx):
    """(N.4), with u in dx (a loop of its own, because one that may overlap with itself is no vector loop)."""
    n, channels = x.shape
    for i in range(n):
        row, result = x[i], dx[i]
        for c in range(channels):
            result[c] = result[c] * scale[c] - shift[c] - (row[c] - mean[c]) * slope[c]


@device
def _gradient(u, x, mean, scale, shift, slope, dx):
    """(N.4) with its factors for each channel."""
    n, channels = x.shape
    for i in range(n):
        before, row, result = u[i], x[i], dx[i]
        for c in range(channels):
            result[c] = before[c] * scale[c] - shift[c] - (row[c] - mean[c]) * slope[c]


# -- group norm -----------------------------------------------------------------------------------------------


@kernel
def _group_norm(x, weights, biases, eps, silu, mean, inverse_std, y):
    """weights and biases (B or 1, C)"""
    images, n, channels = x.shape
    groups = mean.shape[1]
    width = channels // groups
    for b in prange(images):
        centre, squares = np.empty(channels), np.empty(channels)
        means, scale = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
        weight, bias = weights[b % weights.shape[0]], biases[b % biases.shape[0]]
        _moments(x[b], centre, squares)
        for k in range(groups):
            m, s = 0.0, 0.0
            for c in range(k * width, (k + 1) * width):
                m += centre[c]
            m /= width
            for c in range(k * width, (k + 1) * width):
                s += squares[c] + n * (centre[c] - m) ** 2
            r = 1 / np.sqrt(s / (n * width) + eps)
            mean[b, k] = m
            inverse_std[b, k] = r
            for c in range(k * width, (k + 1) * width):
                means[c] = m
                scale[c] = r * weight[c]
        for first in range(0, n, BLOCK):
            last = min(n, first + BLOCK)
            _scale(x[b, first:last], means, scale, bias, y[b, first:last])
            if silu:
                _silu(y[b, first:last].reshape(-1))


@kernel
def _group_norm_backward(g, x, weights, biases, mean, inverse_std, silu, dx, dweight, dbias):
    """(N.4); weights and biases (B or 1, C), dweight and dbias (B, C) hold each image's share."""
    images, n, channels = x.shape
    groups = mean.shape[1]
    width = channels // groups
    for b in prange(images):
        means, scale = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
        shift, slope = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
        weight, bias = weights[b % weights.shape[0]], biases[b % biases.shape[0]]
        total, along = dbias[b], dweight[b]
        for c in range(channels):
            means[c] = mean[b, c // width]
            scale[c] = inverse_std[b, c // width] * weight[c]
            total[c] = 0.0
            along[c] = 0.0
        for first in range(0, n, BLOCK):
            last = min(n, first + BLOCK)
            if silu:
                _scale(x[b, first:last], means, scale, bias, dx[b, first:last])
                _silu_backward(g[b, first:last].reshape(-1), dx[b, first:last].reshape(-1))
                _add_sums(dx[b, first:last], x[b, first:last], means, total, along)
            else:
                _add_sums(g[b, first:last], x[b, first:last], means, total, along)
        for k in range(groups):
            s, a, r = 0.0, 0.0, np.float64(inverse_std[b, k])
            for c in range(k * width, (k + 1) * width):
                s += weight[c] * total[c]
                a += weight[c] * along[c]
            for c in range(k * width, (k + 1) * width):
                shift[c] = r * s / (n * width)
                slope[c] = r * r * r * a / (n * width)
                along[c] *= r
        if silu:
            _gradient_here(x[b], means, scale, shift, slope, dx[b])
        else:
            _gradient(g[b], x[b], means, scale, shift, slope, dx[b])


def _forward(x, weight, bias, groups, eps, silu):
    y, pixels = empty_image(x.shape, x.dtype)
    mean, inverse_std = np.empty((2, x.shape[0], groups), x.dtype)
    weight, bias = _per_image(weight, x), _per_image(bias, x)
    _group_norm(channels_last(x), weight, bias, eps, silu, mean, inverse_std, pixels, work=4 * x.size)
    return y, (mean, inverse_std)


def _backward(g, x, weight, bias, mean, inverse_std, silu):
    dx, pixels = empty_image(x.shape, x.dtype)
    dweight, dbias = np.empty((2, *x.shape[:2]))
    arrays = _per_image(weight, x), _per_image(bias, x), mean, inverse_std
    _group_norm_backward(channels_last(g), channels_last(x), *arrays, silu, pixels, dweight, dbias, work=5 * x.size)
    return dx, _summed(dweight, weight), _summed(dbias, bias)


def _per_image(parameter, x):
    """Parameters (C,) as (1, C), and those for each image as (B, C)."""
    b, c = x.shape[:2]
    return vector(parameter, c)[None] if parameter.ndim < 2 else vector(parameter.reshape(-1), b * c).reshape(b, c)


def _summed(shares, parameter):
    """Each image's share (B, C) of the gradient for a parameter, summed if all images have the same."""
    return (shares if parameter.ndim == 2 else shares.sum(axis=0)).astype(parameter.dtype)


@for_equal_types
def group_norm(x, weight, bias, *, groups, eps):
    """x̂ over each group of channels and all positions, then weight and bias (C,) or (B, C); extras: mean, 1/std."""
    return _forward(x, weight, bias, groups, eps, False)


@for_equal_types
def group_norm_backward(g, x, weight, bias, mean, inverse_std, *, groups, eps):
    """Gradients for x, weight, bias."""
    return _backward(g, x, weight, bias, mean, inverse_std, False)


@for_equal_types
def group_norm_silu(x, weight, bias, *, groups, eps):
    """silu(group_norm(x)); extras as above."""
    return _forward(x, weight, bias, groups, eps, True)


@for_equal_types
def group_norm_silu_backward(g, x, weight, bias, mean, inverse_std, *, groups, eps):
    """Gradients for x, weight, bias."""
    return _backward(g, x, weight, bias, mean, inverse_std, True)
