"""Normalisation: give each example, group or batch mean 0 and variance 1, then a learnt scale and shift.

    x̂ = (x − mean(x)) / √(var(x) + ε),    y = x̂ · weight + bias

The three differ only in what mean and var run over: the features of one example (layer), a group of channels of one
example (group), or one channel over the whole batch (batch). var is the biased one, Σ(x − mean)²/n. RMS norm is layer
norm without the mean and the shift: it only makes the mean square 1.
"""

import numpy as np

from minigen import kernels
from minigen.autograd.fused import fused
from minigen.autograd.tensor import Tensor
from minigen.errors import ShapeError
from minigen.ops.elementwise import silu, sqrt
from minigen.ops.reduce import mean, var
from minigen.ops.shape import reshape


def _normalise(x, dim, eps):
    return (x - mean(x, dim=dim, keepdim=True)) / sqrt(var(x, dim=dim, correction=0, keepdim=True) + eps)


def _per_channel(x, ndim):
    """(C,) or (B, C) with the axes of x (B, C, …)."""
    return reshape(x, shape=(*((1, -1) if x.ndim < 2 else x.shape), *(1,) * (ndim - 2)))


# -- over the last axis ---------------------------------------------------------------------------------------


@fused(forward=kernels.layer_norm, backward=kernels.layer_norm_backward)
def layer_norm(x, weight, bias, *, eps=1e-5):
    """Normalise over the last axis.  Shapes: x (…, D), weight and bias (D,).

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.  Differs: nothing.
    """
    return _normalise(x, -1, eps) * weight + bias


@fused(forward=kernels.rms_norm, backward=kernels.rms_norm_backward)
def _rms_norm(x, weight, *, eps):
    return x / sqrt(mean(x * x, dim=-1, keepdim=True) + eps) * weight


def rms_norm(x, weight, *, eps=None):
    """Divide by the root of the mean square over the last axis.  Shapes: x (…, D), weight (D,).

    Equation: x / √(Σ x²/D + ε) · weight; without a value for eps it is the type's distance from 1 to the next number.
    Source:   Zhang & Sennrich 2019, arXiv:1910.07467.  Differs: nothing.
    """
    return _rms_norm(x, weight, eps=float(np.finfo(x.dtype).eps) if eps is None else eps)


# -- over groups of channels ----------------------------------------------------------------------------------


@fused(forward=kernels.group_norm, backward=kernels.group_norm_backward)
def _group_norm(x, weight, bias, *, groups, eps):
    grouped = reshape(x, shape=(x.shape[0], groups, -1))  # (B, groups, C/groups · positions)
    normal = reshape(_normalise(grouped, -1, eps), shape=x.shape)
    return normal * _per_channel(weight, x.ndim) + _per_channel(bias, x.ndim)


@fused(forward=kernels.group_norm_silu, backward=kernels.group_norm_silu_backward)
def _group_norm_silu(x, weight, bias, *, groups, eps):
    return silu(_group_norm.definition(x, weight, bias, groups=groups, eps=eps))


_THEN = {None: _group_norm, "silu": _group_norm_silu}


def group_norm(x, num_groups, weight, bias, eps=1e-5, activation=None):
    """Normalise over groups of channels.  Shapes: x (B, C, …), weight and bias (C,), or (B, C) for each example.

    activation="silu" applies silu to the result in the same pass.

    Source: Wu & He 2018, arXiv:1803.08494.  Differs: nothing.
    Raises: ShapeError if groups do not divide C; ValueError for another activation.
    """
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ShapeError(f"group_norm: {num_groups} groups do not divide the channels of x {tuple(x.shape)}")
    if any(p.ndim == 2 and tuple(p.shape) != tuple(x.shape[:2]) for p in (weight, bias)):
        raise ShapeError(f"group_norm: weight {tuple(weight.shape)} and bias {tuple(bias.shape)} for x "
                         f"{tuple(x.shape)}; expected (C,), or (B, C) for each example")
    if activation not in _THEN:
        raise ValueError(f"group_norm: activation={activation!r}; expected None or 'silu'")
    return _THEN[activation](x, weight, bias, groups=num_groups, eps=eps)


# -- over the batch -------------------------------------------------------------------------------------------


@fused(forward=kernels.batch_norm, backward=kernels.batch_norm_backward)
def _batch_norm(x, weight, bias, *, mean, var, eps):
    # The settings mean and var are known numbers; here they are functions of x, which is what a derivative must see.
    dim = (0, *range(2, x.ndim))
    return _normalise(x, dim, eps) * _per_channel(weight, x.ndim) + _per_channel(bias, x.ndim)


def batch_norm(x, weight, bias, *, eps=1e-5):
    """Normalise each channel over the batch (training form).  Shapes: x (B, C, …), weight and bias (C,).

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.  Differs: nothing.
    """
    return batch_norm_and_moments(x, weight, bias, eps=eps)[0]


def batch_norm_and_moments(x, weight, bias, *, eps=1e-5):
    """(batch_norm(…), mean, var): also the batch's mean and (biased) variance per channel, two arrays (C,)."""
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: expected x (B, C, …), got shape {tuple(x.shape)}")
    mean, var = kernels.batch_moments(x._data if isinstance(x, Tensor) else x)
    return _batch_norm(x, weight, bias, mean=mean, var=var, eps=eps), mean, var
