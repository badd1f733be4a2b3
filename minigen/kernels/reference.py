"""Each kernel in plain NumPy: the text that says what it computes.

Convolution is written as a matrix product. Every output pixel looks at a window of kh × kw pixels in each input
channel; lay these windows out as the columns of a matrix (im2col) and the layer is one product with the weights. Its
two gradients are the adjoint maps: fold the columns back (col2im), and multiply gradient by columns.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# -- windows --------------------------------------------------------------------------------------------------


def out_size(size, kernel, stride, padding, dilation):
    """How many windows fit along one axis: ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def windows(x, kernel, stride, padding, dilation):
    """All windows of a padded image, as a view.  (B, C, H, W) → (B, C, OH, OW, kh, kw)"""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    if ph or pw:
        x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    view = sliding_window_view(x, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), axis=(2, 3))
    return view[:, :, ::sh, ::sw, ::dh, ::dw]


def im2col(x, kernel, stride, padding, dilation):
    """Windows as columns.  (B, C, H, W) → (B, C·kh·kw, OH·OW)"""
    view = windows(x, kernel, stride, padding, dilation)
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


def convolution(x, weight, stride, padding, dilation, groups):
    """y[b, o, p] = Σ_{c, k} weight[o, c, k] · x[b, c, window p at k], within each group of channels.

    Shapes:  x (B, C, H, W), weight (O, C/groups, kh, kw) → (B, O, OH, OW)
    """
    b, _, h, w = x.shape
    o, _, kh, kw = weight.shape
    oh = out_size(h, kh, stride[0], padding[0], dilation[0])
    ow = out_size(w, kw, stride[1], padding[1], dilation[1])
    columns = im2col(x, (kh, kw), stride, padding, dilation).reshape(b, groups, -1, oh * ow)
    y = np.matmul(weight.reshape(groups, o // groups, -1), columns)  # (B, groups, O/groups, OH·OW)
    return y.reshape(b, o, oh, ow)


def convolution_input_adjoint(g, weight, shape, stride, padding, dilation, groups):
    """The gradient for x of `shape`: spread every g over its window, weighted: a transposed convolution."""
    b, o, oh, ow = g.shape
    transposed = weight.reshape(groups, o // groups, -1).swapaxes(1, 2)
    columns = np.matmul(transposed, g.reshape(b, groups, o // groups, oh * ow))
    return col2im(columns.reshape(b, -1, oh * ow), shape, weight.shape[2:], stride, padding, dilation)


def convolution_weight_adjoint(x, g, shape, stride, padding, dilation, groups):
    """The gradient for a weight of `shape`: correlate x with g, summed over batch and positions."""
    b, o, oh, ow = g.shape
    columns = im2col(x, shape[2:], stride, padding, dilation).reshape(b, groups, -1, oh * ow)
    g = g.reshape(b, groups, o // groups, oh * ow)
    # One long product per group: join batch and positions into the summed axis.
    columns = columns.transpose(1, 2, 0, 3).reshape(groups, -1, b * oh * ow)
    g = g.transpose(1, 2, 0, 3).reshape(groups, -1, b * oh * ow)
    return np.matmul(g, columns.swapaxes(1, 2)).reshape(shape)


# -- losses: (result, extras) forward, gradients backward ------------------------------------------------------


def cross_entropy(logits, *, target):
    """−log softmax(logits)[target], the classes on axis 1; extras: the log-sum-exp, with axis 1 kept."""
    largest = logits.max(axis=1, keepdims=True)
    lse = np.log(np.exp(logits - largest).sum(axis=1, keepdims=True)) + largest
    return (lse - np.take_along_axis(logits, target[:, None], axis=1))[:, 0], (lse,)


def cross_entropy_backward(g, logits, lse, *, target):
    """softmax − onehot: predicted minus true probabilities."""
    gradient = np.exp(logits - lse)
    index = target[:, None]
    np.put_along_axis(gradient, index, np.take_along_axis(gradient, index, axis=1) - 1, axis=1)
    gradient *= g[:, None]
    return (gradient,)


def bce_with_logits(logits, target):
    """−target·log σ(l) − (1 − target)·log σ(−l) = max(l, 0) − l·target + log(1 + e^−|l|), elementwise."""
    return np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits))), ()


def bce_with_logits_backward(g, logits, target):
    """σ(l) − target, and −l for the target."""
    e = np.exp(-np.abs(logits))
    sigmoid = np.where(logits >= 0, 1, e) / (1 + e)
    return g * (sigmoid - target), -g * logits


def mse(x, target):
    """(x − target)², elementwise; extras: the difference."""
    difference = x - target
    return difference * difference, (difference,)


def mse_backward(g, x, target, difference):
    """2 (x − target), with opposite signs."""
    gradient = 2 * g * difference
    return gradient, -gradient


# -- normalisation --------------------------------------------------------------------------------------------


def _normalise(x, axes, eps):
    """x̂ = (x − mean) / √(variance + eps) over the axes, and the factor 1/√(…)."""
    centred = x - x.mean(axis=axes, keepdims=True)
    inverse_std = 1 / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + x.dtype.type(eps))
    return centred * inverse_std, inverse_std


def _normalise_backward(g, normal, inverse_std, axes):
    """The gradient through x̂: take out of g its mean and its component along x̂, then scale."""
    along = (g * normal).mean(axis=axes, keepdims=True)
    return (g - g.mean(axis=axes, keepdims=True) - normal * along) * inverse_std


def layer_norm(x, weight, bias, *, eps):
    """x̂ · weight + bias over the last axis; extras: x̂ and 1/std."""
    normal, inverse_std = _normalise(x, (-1,), eps)
    return normal * weight + bias, (normal, inverse_std)


def layer_norm_backward(g, x, weight, bias, normal, inverse_std, *, eps):
    """Gradients for x, weight, bias."""
    rows = tuple(range(x.ndim - 1))
    dx = _normalise_backward(g * weight, normal, inverse_std, (-1,))
    return dx, (g * normal).sum(axis=rows), g.sum(axis=rows)


def group_norm(x, weight, bias, *, groups, eps):
    """x̂ over each group of channels and all positions, then per-channel weight and bias; extras as above."""
    b, c = x.shape[:2]
    normal, inverse_std = _normalise(x.reshape(b, groups, -1), (-1,), eps)
    normal = normal.reshape(x.shape)
    per_channel = (1, c) + (1,) * (x.ndim - 2)
    return normal * weight.reshape(per_channel) + bias.reshape(per_channel), (normal, inverse_std)


def group_norm_backward(g, x, weight, bias, normal, inverse_std, *, groups, eps):
    """Gradients for x, weight, bias."""
    b, c = x.shape[:2]
    others = (0, *range(2, x.ndim))
    scaled = (g * weight.reshape((1, c) + (1,) * (x.ndim - 2))).reshape(b, groups, -1)
    dx = _normalise_backward(scaled, normal.reshape(b, groups, -1), inverse_std, (-1,)).reshape(x.shape)
    return dx, (g * normal).sum(axis=others), g.sum(axis=others)


def batch_norm(x, weight, bias, *, eps):
    """x̂ per channel over batch and positions, then per-channel weight and bias; extras as above."""
    others = (0, *range(2, x.ndim))
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    normal, inverse_std = _normalise(x, others, eps)
    return normal * weight.reshape(per_channel) + bias.reshape(per_channel), (normal, inverse_std)


def batch_norm_backward(g, x, weight, bias, normal, inverse_std, *, eps):
    """Gradients for x, weight, bias."""
    others = (0, *range(2, x.ndim))
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    dx = _normalise_backward(g * weight.reshape(per_channel), normal, inverse_std, others)
    return dx, (g * normal).sum(axis=others), g.sum(axis=others)
