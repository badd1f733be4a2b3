"""Pooling and upsampling in channels-last memory, every linear map beside its adjoint.

The innermost loop runs over the channels of one pixel, which are neighbours, so whatever the window it is a loop over
vectors. A thread makes one row of pixels at a time; of an adjoint with overlapping windows, one image.
"""

import math

import numpy as np

from minigen.kernels.jit import kernel, prange
from minigen.kernels.layout import channels_last, empty_image
from minigen.kernels.reference.convolution import out_size


@kernel
def _average(x, kh, kw, sh, sw, ph, pw, y):
    images, h, w, channels = x.shape
    oh, ow = y.shape[1:3]
    part = x.dtype.type(1 / (kh * kw))
    for job in prange(images * oh):
        b, i = job // oh, job % oh
        for j in range(ow):
            result = y[b, i, j]
            for c in range(channels):
                result[c] = 0
            for u in range(max(0, i * sh - ph), min(h, i * sh - ph + kh)):
                for v in range(max(0, j * sw - pw), min(w, j * sw - pw + kw)):
                    pixel = x[b, u, v]
                    for c in range(channels):
                        result[c] += pixel[c]
            for c in range(channels):
                result[c] *= part


@kernel
def _average_adjoint(g, kh, kw, sh, sw, ph, pw, x):
    images, h, w, channels = x.shape
    oh, ow = g.shape[1:3]
    part = x.dtype.type(1 / (kh * kw))
    for b in prange(images):
        for u in range(h):
            for v in range(w):
                for c in range(channels):
                    x[b, u, v, c] = 0
        for i in range(oh):
            for j in range(ow):
                share = g[b, i, j]
                for u in range(max(0, i * sh - ph), min(h, i * sh - ph + kh)):
                    for v in range(max(0, j * sw - pw), min(w, j * sw - pw + kw)):
                        pixel = x[b, u, v]
                        for c in range(channels):
                            pixel[c] += share[c] * part


@kernel
def _largest(x, kh, kw, sh, sw, ph, pw, dh, dw, y, places):
    images, h, w, channels = x.shape
    oh, ow = places.shape[1:3]
    for job in prange(images * oh):
        b, i = job // oh, job % oh
        for j in range(ow):
            best, place = y[b, i, j], places[b, i, j]
            for c in range(channels):
                best[c] = 0
                place[c] = -1
            for u in range(i * sh - ph, i * sh - ph + kh * dh, dh):
                for v in range(j * sw - pw, j * sw - pw + kw * dw, dw):
                    if 0 <= u < h and 0 <= v < w:
                        pixel, here = x[b, u, v], np.int32(u * w + v)
                        for c in range(channels):
                            # "not ≤" is also true of a NaN; a largest value that is NaN already stays.
                            better = place[c] < 0 or (best[c] == best[c] and not pixel[c] <= best[c])
                            best[c] = pixel[c] if better else best[c]
                            place[c] = here if better else place[c]


@kernel
def _pick(x, places, y):
    images, count, channels = places.shape
    for b in prange(images):
        for i in range(count):
            for c in range(channels):
                y[b, i, c] = x[b, places[b, i, c], c] if places[b, i, c] >= 0 else 0


@kernel
def _put(g, places, x):
    images, count, channels = places.shape
    for b in prange(images):
        for i in range(x.shape[1]):
            for c in range(channels):
                x[b, i, c] = 0
        for i in range(count):
            for c in range(channels):
                if places[b, i, c] >= 0:
                    x[b, places[b, i, c], c] += g[b, i, c]


@kernel
def _upsample(x, scale, y):
    images, h, w, channels = x.shape
    for job in prange(images * h):
        b, i = job // h, job % h
        for u in range(i * scale, (i + 1) * scale):
            for j in range(w):
                pixel = x[b, i, j]
                for v in range(j * scale, (j + 1) * scale):
                    result = y[b, u, v]
                    for c in range(channels):
                        result[c] = pixel[c]


@kernel
def _upsample_adjoint(g, scale, x):
    images, h, w, channels = x.shape
    for job in prange(images * h):
        b, i = job // h, job % h
        for j in range(w):
            result = x[b, i, j]
            for c in range(channels):
                result[c] = 0
            for u in range(i * scale, (i + 1) * scale):
                for v in range(j * scale, (j + 1) * scale):
                    pixel = g[b, u, v]
                    for c in range(channels):
                        result[c] += pixel[c]


# -- the functions --------------------------------------------------------------------------------------------


def _image(x):
    """(B, C, H, W) as (B, H, W, C)"""
    b, c, h, w = x.shape
    return channels_last(x).reshape(b, h, w, c)


def _new(shape, dtype):
    """A new image of shape (B, C, H, W), and its elements as (B, H, W, C)."""
    b, c, h, w = shape
    y, pixels = empty_image(shape, dtype)
    return y, pixels.reshape(b, h, w, c)


def average_pool(x, kernel, stride, padding):
    """The mean of each window, padding counted as zeros.  (B, C, H, W) → (B, C, OH, OW)"""
    size = [out_size(n, k, s, p, 1) for n, k, s, p in zip(x.shape[2:], kernel, stride, padding, strict=True)]
    y, pixels = _new((*x.shape[:2], *size), x.dtype)
    _average(_image(x), *kernel, *stride, *padding, pixels, work=max(x.size, y.size * math.prod(kernel)))
    return y


def average_pool_adjoint(g, shape, kernel, stride, padding):
    """The adjoint: every pixel of g spread evenly over its window in an image of `shape`."""
    x, pixels = _new(shape, g.dtype)
    _average_adjoint(_image(g), *kernel, *stride, *padding, pixels, work=max(x.size, g.size * math.prod(kernel)))
    return x


def largest(x, kernel, stride, padding, dilation):
    """The largest value of each window, and where it is: i · W + j of its pixel (i, j), the first one among equals."""
    settings = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    shape = *x.shape[:2], *(out_size(*setting) for setting in settings)
    (y, values), (places, indices) = _new(shape, x.dtype), _new(shape, np.int32)
    work = max(x.size, y.size * math.prod(kernel))
    _largest(_image(x), *kernel, *stride, *padding, *dilation, values, indices, work=work)
    return y, places


def pick(x, positions):
    """The pixels at `positions`, for each channel; 0 where a position is −1."""
    y, pixels = empty_image(positions.shape, x.dtype)
    _pick(channels_last(x), channels_last(positions.astype(np.int32, copy=False)), pixels, work=2 * y.size)
    return y


def put(g, positions, shape):
    """The adjoint of pick: an image of `shape`, zero but for the numbers of g added at `positions`."""
    x, pixels = empty_image(shape, g.dtype)
    _put(channels_last(g), channels_last(positions.astype(np.int32, copy=False)), pixels, work=2 * x.size)
    return x


def upsample(x, scale):
    """Every pixel repeated scale × scale times.  (B, C, H, W) → (B, C, H·scale, W·scale)"""
    b, c, h, w = x.shape
    y, pixels = _new((b, c, h * scale, w * scale), x.dtype)
    _upsample(_image(x), scale, pixels, work=y.size)
    return y


def upsample_adjoint(g, scale):
    """The adjoint: the sum of each block of scale × scale pixels."""
    b, c, h, w = g.shape
    x, pixels = _new((b, c, h // scale, w // scale), g.dtype)
    _upsample_adjoint(_image(g), scale, pixels, work=g.size)
    return x
