"""Normalisation: give each example, group or batch mean 0 and variance 1, then a learnt scale and shift.

    x̂ = (x − mean(x)) / √(var(x) + ε),    y = x̂ · weight + bias

The three differ only in what mean and var run over: the features of one example (layer), a group of channels of one
example (group), or one channel over the whole batch (batch). var is the biased one, Σ(x − mean)²/n.
"""

from minigen.autograd.fused import fused
from minigen.errors import ShapeError
from minigen.kernels import reference as kernels
from minigen.ops.elementwise import sqrt
from minigen.ops.reduce import mean, var
from minigen.ops.shape import reshape


def _normalise(x, dim, eps):
    return (x - mean(x, dim=dim, keepdim=True)) / sqrt(var(x, dim=dim, correction=0, keepdim=True) + eps)


def _per_channel(x, ndim):
    return reshape(x, shape=(1, -1) + (1,) * (ndim - 2))


@fused(forward=kernels.layer_norm, backward=kernels.layer_norm_backward)
def layer_norm(x, weight, bias, *, eps=1e-5):
    """Normalise over the last axis.  Shapes: x (…, D), weight and bias (D,).

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.  Differs: nothing.
    """
    return _normalise(x, -1, eps) * weight + bias


@fused(forward=kernels.group_norm, backward=kernels.group_norm_backward)
def _group_norm(x, weight, bias, *, groups, eps=1e-5):
    grouped = reshape(x, shape=(x.shape[0], groups, -1))  # (B, groups, C/groups · positions)
    normal = reshape(_normalise(grouped, -1, eps), shape=x.shape)
    return normal * _per_channel(weight, x.ndim) + _per_channel(bias, x.ndim)


def group_norm(x, num_groups, weight, bias, eps=1e-5):
    """Normalise over groups of channels.  Shapes: x (B, C, …), weight and bias (C,).

    Source: Wu & He 2018, arXiv:1803.08494.  Differs: nothing.  Raises: ShapeError if groups do not divide C.
    """
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ShapeError(f"group_norm: {num_groups} groups do not divide the channels of x {tuple(x.shape)}")
    return _group_norm(x, weight, bias, groups=num_groups, eps=eps)


@fused(forward=kernels.batch_norm, backward=kernels.batch_norm_backward)
def batch_norm(x, weight, bias, *, eps=1e-5):
    """Normalise each channel over the batch (training form).  Shapes: x (B, C, …), weight and bias (C,).

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.  Differs: nothing.
    """
    dim = (0, *range(2, x.ndim))
    return _normalise(x, dim, eps) * _per_channel(weight, x.ndim) + _per_channel(bias, x.ndim)
