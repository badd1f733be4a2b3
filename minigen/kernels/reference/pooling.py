"""Pooling and upsampling in plain NumPy, with every linear map beside its adjoint."""

import numpy as np

from minigen.kernels.reference.convolution import col2im, windows_of


def average_pool(x, kernel, stride, padding):
    """The mean of each window, padding counted as zeros.  (B, C, H, W) → (B, C, OH, OW)"""
    return windows_of(x, kernel, stride, padding, (1, 1)).mean(axis=(4, 5), dtype=x.dtype)


def average_pool_adjoint(g, shape, kernel, stride, padding):
    """The adjoint: every pixel of g spread evenly over its window in an image of `shape`."""
    b, c, oh, ow = g.shape
    share = (g / g.dtype.type(kernel[0] * kernel[1])).reshape(b, c, 1, oh * ow)
    columns = np.broadcast_to(share, (b, c, kernel[0] * kernel[1], oh * ow)).reshape(b, -1, oh * ow)
    return col2im(columns, shape, kernel, stride, padding, (1, 1))


def largest(x, kernel, stride, padding, dilation):
    """The largest value of each window, and where it is: i · W + j of its pixel (i, j), the first one among equals.

    A NaN counts as the largest. 0 and −1 for a window of padding only.  (B, C, H, W) → twice (B, C, OH, OW)
    """
    (_, _, h, w), (ph, pw) = x.shape, padding
    place = np.full((1, 1, h + 2 * ph, w + 2 * pw), -1)
    place[:, :, ph : ph + h, pw : pw + w] = np.arange(h * w).reshape(h, w)
    places = windows_of(place, kernel, stride, (0, 0), dilation)
    places = places.reshape(*places.shape[:4], -1)  # (1, 1, OH, OW, kh·kw)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
    values = windows_of(padded, kernel, stride, (0, 0), dilation)
    values = values.reshape(*values.shape[:4], -1)
    best = np.full(values.shape[:4], -1)
    y = np.zeros(values.shape[:4], x.dtype)
    for k in range(values.shape[-1]):
        here, value = places[..., k], values[..., k]
        better = (here >= 0) & ((best < 0) | (value > y) | (np.isnan(value) & ~np.isnan(y)))
        best, y = np.where(better, here, best), np.where(better, value, y)
    return y, best.astype(np.int32)


def pick(x, positions):
    """The pixels at `positions`, for each channel; 0 where a position is −1.  (B, C, H, W) → positions' shape"""
    b, c, h, w = x.shape
    places = positions.reshape(b, c, -1)
    y = np.take_along_axis(x.reshape(b, c, h * w), np.maximum(places, 0), axis=2)
    return np.where(places < 0, x.dtype.type(0), y).reshape(positions.shape)


def put(g, positions, shape):
    """The adjoint of pick: an image of `shape`, zero but for the numbers of g added at `positions`."""
    b, c, h, w = shape
    y = np.zeros((b * c, h * w), g.dtype)
    flat = positions.reshape(b * c, -1)
    rows = np.broadcast_to(np.arange(b * c)[:, None], flat.shape)
    np.add.at(y, (rows[flat >= 0], flat[flat >= 0]), g.reshape(b * c, -1)[flat >= 0])
    return y.reshape(shape)


def upsample(x, scale):
    """Every pixel repeated scale × scale times.  (B, C, H, W) → (B, C, H·scale, W·scale)"""
    return x.repeat(scale, axis=2).repeat(scale, axis=3)


def upsample_adjoint(g, scale):
    """The adjoint: the sum of each block of scale × scale pixels."""
    b, c, h, w = g.shape
    return g.reshape(b, c, h // scale, scale, w // scale, scale).sum(axis=(3, 5))
