"""Normalisation in plain NumPy: x̂ = (x − mean) / √(variance + ε), then a scale and a shift.

What forward keeps for backward is the mean and 1/√(variance + ε), a few numbers per row; x̂ is computed again.
"""

import math

import numpy as np


def _statistics(x, axes, eps):
    """mean and 1/√(variance + eps) over the axes, which are kept with length 1."""
    mean = x.mean(axis=axes, keepdims=True)
    return mean, 1 / np.sqrt(np.square(x - mean).mean(axis=axes, keepdims=True) + x.dtype.type(eps))


def _normalise_backward(g, normal, inverse_std, axes):
    """The gradient through x̂: take out of g its mean and its component along x̂, then scale."""
    along = (g * normal).mean(axis=axes, keepdims=True)
    return (g - g.mean(axis=axes, keepdims=True) - normal * along) * inverse_std


def _per_channel(x, ndim):
    """(C,) or (B, C) with the axes of x (B, C, …)."""
    return x.reshape((*((1, -1) if x.ndim < 2 else x.shape), *(1,) * (ndim - 2)))


# -- over the last axis ---------------------------------------------------------------------------------------


def layer_norm(x, weight, bias, *, eps):
    """x̂ · weight + bias over the last axis; extras: mean and 1/std, (…, 1)."""
    mean, inverse_std = _statistics(x, (-1,), eps)
    return (x - mean) * inverse_std * weight + bias, (mean, inverse_std)


def layer_norm_backward(g, x, weight, bias, mean, inverse_std, *, eps):
    """Gradients for x, weight, bias."""
    rows = tuple(range(x.ndim - 1))
    normal = (x - mean) * inverse_std
    return _normalise_backward(g * weight, normal, inverse_std, (-1,)), (g * normal).sum(axis=rows), g.sum(axis=rows)


def rms_norm(x, weight, *, eps):
    """x / √(mean of x² + eps) · weight over the last axis; extras: 1/√(…), (…, 1)."""
    inverse_rms = 1 / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + x.dtype.type(eps))
    return x * inverse_rms * weight, (inverse_rms,)


def rms_norm_backward(g, x, weight, inverse_rms, *, eps):
    """Gradients for x and weight: as layer_norm's, but nothing is taken out for a mean."""
    normal, scaled = x * inverse_rms, g * weight
    along = (scaled * normal).mean(axis=-1, keepdims=True)
    return (scaled - normal * along) * inverse_rms, (g * normal).sum(axis=tuple(range(x.ndim - 1)))


# -- over groups of channels ----------------------------------------------------------------------------------


def _grouped(x, groups):
    return x.shape[0], groups, math.prod(x.shape[1:]) // groups


def group_norm(x, weight, bias, *, groups, eps):
    """x̂ over each group of channels and all positions, then weight and bias: per channel (C,), or per image too (B, C).

    Extras: mean and 1/std, (B, groups).
    """
    grouped = x.reshape(_grouped(x, groups))
    mean, inverse_std = _statistics(grouped, (-1,), eps)
    normal = ((grouped - mean) * inverse_std).reshape(x.shape)
    y = normal * _per_channel(weight, x.ndim) + _per_channel(bias, x.ndim)
    return y, (mean[..., 0], inverse_std[..., 0])


def group_norm_backward(g, x, weight, bias, mean, inverse_std, *, groups, eps):
    """Gradients for x, weight, bias."""
    others = {parameter.ndim: (0, *range(2, x.ndim))[parameter.ndim - 1 :] for parameter in (weight, bias)}
    shape = _grouped(x, groups)
    normal = (x.reshape(shape) - mean[..., None]) * inverse_std[..., None]
    scaled = (g * _per_channel(weight, x.ndim)).reshape(shape)
    dx = _normalise_backward(scaled, normal, inverse_std[..., None], (-1,)).reshape(x.shape)
    along = g * normal.reshape(x.shape)
    return dx, along.sum(axis=others[weight.ndim]), g.sum(axis=others[bias.ndim])


def group_norm_silu(x, weight, bias, *, groups, eps):
    """silu(group_norm(x)) = z · σ(z); extras as above."""
    z, extras = group_norm(x, weight, bias, groups=groups, eps=eps)
    return z * _sigmoid(z), extras


def group_norm_silu_backward(g, x, weight, bias, mean, inverse_std, *, groups, eps):
    """Gradients for x, weight, bias: first through silu, σ(z) (1 + z (1 − σ(z))), at z computed again."""
    shape = _grouped(x, groups)
    normal = ((x.reshape(shape) - mean[..., None]) * inverse_std[..., None]).reshape(x.shape)
    z = normal * _per_channel(weight, x.ndim) + _per_channel(bias, x.ndim)
    sigmoid = _sigmoid(z)
    g = g * sigmoid * (1 + z * (1 - sigmoid))
    return group_norm_backward(g, x, weight, bias, mean, inverse_std, groups=groups, eps=eps)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


# -- over the batch -------------------------------------------------------------------------------------------


def pixel_sums(x):
    """Σ over batch and positions, (C,): the gradient for a bias per channel."""
    return x.sum(axis=(0, *range(2, x.ndim)))


def batch_moments(x):
    """Mean and variance (the biased one, Σ (x − mean)² / n) of each channel over batch and positions, both (C,)."""
    others = (0, *range(2, x.ndim))
    return x.mean(axis=others), x.var(axis=others)


def batch_norm(x, weight, bias, *, mean, var, eps):
    """x̂ per channel, then per-channel weight and bias; mean and var as batch_moments gives them. No extras."""
    inverse_std = 1 / np.sqrt(var + x.dtype.type(eps))
    normal = (x - _per_channel(mean, x.ndim)) * _per_channel(inverse_std, x.ndim)
    return normal * _per_channel(weight, x.ndim) + _per_channel(bias, x.ndim), ()


def batch_norm_backward(g, x, weight, bias, *, mean, var, eps):
    """Gradients for x, weight, bias; mean and var count as functions of x."""
    others = (0, *range(2, x.ndim))
    inverse_std = _per_channel(1 / np.sqrt(var + x.dtype.type(eps)), x.ndim)
    normal = (x - _per_channel(mean, x.ndim)) * inverse_std
    dx = _normalise_backward(g * _per_channel(weight, x.ndim), normal, inverse_std, others)
    return dx, (g * normal).sum(axis=others), g.sum(axis=others)
