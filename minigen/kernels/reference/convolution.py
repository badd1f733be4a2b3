"""Convolution and pooling in plain NumPy.

Convolution is written as a matrix product. Every output pixel looks at a window of kh × kw pixels in each input
channel; lay these windows out as the columns of a matrix (im2col) and the layer is one product with the weights. Its
two gradients are the adjoint maps: fold the columns back (col2im), and multiply gradient by columns.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# -- windows --------------------------------------------------------------------------------------------------


def out_size(size, kernel, stride, padding, dilation):
    """How many windows fit along one axis: ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def windows_of(x, kernel, stride, padding, dilation):
    """All windows of a padded image, as a view.  (B, C, H, W) → (B, C, OH, OW, kh, kw)"""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    if ph or pw:
        x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    view = sliding_window_view(x, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), axis=(2, 3))
    return view[:, :, ::sh, ::sw, ::dh, ::dw]


def im2col(x, kernel, stride, padding, dilation):
    """Windows as columns.  (B, C, H, W) → (B, C·kh·kw, OH·OW)"""
    view = windows_of(x, kernel, stride, padding, dilation)
    b, c, oh, ow, kh, kw = view.shape
    return view.transpose(0, 1, 4, 5, 2, 3).reshape(b, c * kh * kw, oh * ow)


def col2im(columns, shape, kernel, stride, padding, dilation):
    """The adjoint of im2col: add every window back to where it was read.  (B, C·kh·kw, OH·OW) → (B, C, H, W)"""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    b, c, h, w = shape
    oh, ow = out_size(h, kh, sh, ph, dh), out_size(w, kw, sw, pw, dw)
    columns = columns.reshape(b, c, kh, kw, oh, ow)
    image = np.zeros((b, c, h + 2 * ph, w + 2 * pw), dtype=columns.dtype)
    for i in range(kh):
        for j in range(kw):
            image[:, :, i * dh : i * dh + sh * oh : sh, j * dw : j * dw + sw * ow : sw] += columns[:, :, i, j]
    return image[:, :, ph : ph + h, pw : pw + w]


# -- convolution ----------------------------------------------------------------------------------------------


def convolution(x, weight, stride, padding, dilation, groups, bias=None):
    """y[b, o, p] = Σ_{c, k} weight[o, c, k] · x[b, c, window p at k], within each group of channels.

    Shapes:  x (B, C, H, W), weight (O, C/groups, kh, kw) → (B, O, OH, OW)
    """
    b, _, h, w = x.shape
    o, _, kh, kw = weight.shape
    oh = out_size(h, kh, stride[0], padding[0], dilation[0])
    ow = out_size(w, kw, stride[1], padding[1], dilation[1])
    terms = math.prod(weight.shape[1:])
    columns = im2col(x, (kh, kw), stride, padding, dilation).reshape(b, groups, terms, oh * ow)
    y = np.matmul(weight.reshape(groups, o // groups, terms), columns)  # (B, groups, O/groups, OH·OW)
    return _plus(bias, y.reshape(b, o, oh, ow))


def convolution_input_adjoint(g, weight, shape, stride, padding, dilation, groups, bias=None):
    """The gradient for x of `shape`: spread every g over its window, weighted: a transposed convolution."""
    b, o, oh, ow = g.shape
    terms = math.prod(weight.shape[1:])
    transposed = weight.reshape(groups, o // groups, terms).swapaxes(1, 2)
    columns = np.matmul(transposed, g.reshape(b, groups, o // groups, oh * ow)).reshape(b, groups * terms, oh * ow)
    return _plus(bias, col2im(columns, shape, weight.shape[2:], stride, padding, dilation))


def convolution_weight_adjoint(x, g, shape, stride, padding, dilation, groups):
    """The gradient for a weight of `shape`: correlate x with g, summed over batch and positions."""
    b, o, oh, ow = g.shape
    taps = shape[1] * shape[2] * shape[3]
    columns = im2col(x, shape[2:], stride, padding, dilation).reshape(b, groups, taps, oh * ow)
    g = g.reshape(b, groups, o // groups, oh * ow)
    # One long product per group: join batch and positions into the summed axis.
    columns = columns.transpose(1, 2, 0, 3).reshape(groups, taps, b * oh * ow)
    g = g.transpose(1, 2, 0, 3).reshape(groups, o // groups, b * oh * ow)
    return np.matmul(g, columns.swapaxes(1, 2)).reshape(shape)


def _plus(bias, y):
    """A bias per channel."""
    return y if bias is None else y + bias.reshape(-1, 1, 1)
