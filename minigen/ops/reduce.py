"""Operations that combine elements along axes: sums, extremes, softmax.

`dim` is an axis, a tuple of axes, or None for all; `keepdim` leaves the reduced axes in place with length 1. These are
PyTorch's names. The function names shadow Python's own `sum`, `max` and `min` inside this file.
"""

import math

import numpy as np

from minigen import kernels
from minigen.autograd.broadcasting import broadcast_to
from minigen.autograd.primitive import primitive
from minigen.errors import ShapeError
from minigen.ops.elementwise import _array, by_kernel, exp, sqrt
from minigen.ops.shape import axis_of, flip, reshape


def _dims(shape, dim):
    """The axes that `dim` means, counted from 0."""
    if dim is None or not shape:
        return range(len(shape))
    return {d % len(shape) for d in (dim if isinstance(dim, tuple | list) else (dim,))}


def _kept_shape(shape, dim):
    """The shape after reducing `dim` with keepdim=True."""
    dims = _dims(shape, dim)
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def _left_shape(shape, dim):
    """The shape after reducing `dim` with keepdim=False."""
    dims = _dims(shape, dim)
    return tuple(n for i, n in enumerate(shape) if i not in dims)


def _as_axis(dim):
    return tuple(dim) if isinstance(dim, list) else dim


def _count(name, shape, dim):
    """How many elements are combined into one."""
    for d in () if dim is None else dim if isinstance(dim, tuple | list) else (dim,):
        axis_of(name, d, shape)
    return math.prod(shape) // math.prod(_kept_shape(shape, dim)) if math.prod(shape) else 0


@primitive(x=lambda g, x_shape, dim: broadcast_to(reshape(g, shape=_kept_shape(x_shape, dim)), shape=x_shape))
def sum(x, dim=None, keepdim=False):
    """Σ x along dim. The gradient of a sum reaches every term unchanged."""
    if dim == (0, 2, 3) and x.ndim == 4 and not keepdim:
        return kernels.pixel_sums(x)
    return np.sum(x, axis=_as_axis(dim), keepdims=keepdim)


def mean(x, dim=None, keepdim=False):
    """The average along dim."""
    count = _count("mean", np.shape(_array(x)), dim)
    if count == 0:
        raise ShapeError(f"mean: nothing to average in shape {np.shape(_array(x))} along dim={dim}")
    return sum(x, dim=dim, keepdim=keepdim) * (1.0 / count)


def var(x, dim=None, correction=1, keepdim=False):
    """Σ(x − mean)² / (n − correction) along dim: correction=1 (PyTorch's default) is unbiased, 0 is the maximum
    likelihood estimate."""
    count = _count("var", np.shape(_array(x)), dim)
    if count <= correction:
        raise ShapeError(f"var: {count} elements along dim={dim} are too few for correction={correction}")
    deviation = x - mean(x, dim=dim, keepdim=True)
    return sum(deviation * deviation, dim=dim, keepdim=keepdim) * (1.0 / (count - correction))


def std(x, dim=None, correction=1, keepdim=False):
    """The square root of `var`. Its slope is infinite where all elements are equal."""
    return sqrt(var(x, dim=dim, correction=correction, keepdim=keepdim))


def prod(x, dim=None, keepdim=False):
    """Π x along dim, by multiplying pairs, then pairs of pairs: correct derivatives also where elements are 0."""
    shape = np.shape(_array(x))
    if dim is None:
        product = prod(reshape(x, shape=(-1,)), dim=0)
        return reshape(product, shape=(1,) * len(shape)) if keepdim else product
    dim = axis_of("prod", dim, shape)
    if shape[dim] == 0:
        raise ShapeError(f"prod: nothing to multiply in shape {shape} along dim={dim}")
    before = (slice(None),) * dim
    while x.shape[dim] > 1:
        n = x.shape[dim]
        pairs = x[(*before, slice(0, n - n % 2, 2))] * x[(*before, slice(1, n, 2))]
        if n % 2:
            first = pairs[(*before, slice(0, 1))] * x[(*before, slice(n - 1, n))]
            rest = pairs[(*before, slice(1, None))]
            pairs = _join(first, rest, dim) if rest.shape[dim] else first
        x = pairs
    return x if keepdim else x[(*before, 0)]


def _join(first, rest, dim):
    from minigen.ops.shape import concatenate

    return concatenate((first, rest), dim=dim)


@primitive(x=lambda g, dim: flip(cumsum(flip(g, dim), dim), dim))
def cumsum(x, dim):
    """Running sum along dim. An element enters all later sums, so its gradient is the running sum from the end."""
    return np.cumsum(x, axis=dim)


@primitive(x=lambda g, x, y, dim: _to_extremes(g, x, y, dim))
def max(x, dim=None, keepdim=False):
    """The largest element along dim; equal ones share the gradient.  Differs from torch.max: returns values only."""
    return np.max(x, axis=_as_axis(dim), keepdims=keepdim)


@primitive(x=lambda g, x, y, dim: _to_extremes(g, x, y, dim))
def min(x, dim=None, keepdim=False):
    """The smallest element along dim; equal ones share the gradient.  Differs from torch.min: returns values only."""
    return np.min(x, axis=_as_axis(dim), keepdims=keepdim)


def _to_extremes(g, x, y, dim):
    kept = _kept_shape(x.shape, dim)
    hits = _array(x) == _array(y).reshape(kept)
    share = hits / np.sum(hits, axis=_as_axis(dim), keepdims=True)
    return reshape(g, shape=kept) * share.astype(g.dtype)


@primitive(x=lambda g, x, y, dim: _logsumexp_backward(_kept(g, x, dim), x, _kept(y, x, dim), dim))
def logsumexp(x, dim=None, keepdim=False):
    """log Σ eˣ along dim, without overflow: the largest x is taken out first. All −∞ gives −∞."""
    axis = _as_axis(dim)
    y = kernels.logsumexp(x, axis)
    return y if keepdim else y.reshape(_left_shape(x.shape, dim))


def _logsumexp_backward(g, x, y, dim):
    on_arrays = type(g) is np.ndarray
    return kernels.logsumexp_backward(g, x, y, _as_axis(dim)) if on_arrays else g * exp(x - y)


def _kept(y, x, dim):
    return reshape(y, shape=_kept_shape(x.shape, dim))


@primitive(x=by_kernel(kernels.softmax_backward, lambda g, y, dim: y * (g - sum(g * y, dim=dim, keepdim=True))))
def softmax(x, dim=-1):
    """eˣ / Σ eˣ along dim: positive, sums to 1."""
    return kernels.softmax(x, dim)


@primitive(x=by_kernel(kernels.log_softmax_backward, lambda g, y, dim: g - exp(y) * sum(g, dim=dim, keepdim=True)))
def log_softmax(x, dim=-1):
    """x − logsumexp(x) along dim: the logarithm of softmax, exact where softmax underflows."""
    return kernels.log_softmax(x, dim)


def argmax(x, dim=None):
    """Index of the largest element: an integer array, no gradient."""
    return np.argmax(_array(x), axis=None if dim is None else axis_of("argmax", dim, x.shape))


def argmin(x, dim=None):
    """Index of the smallest element: an integer array, no gradient."""
    return np.argmin(_array(x), axis=None if dim is None else axis_of("argmin", dim, x.shape))


def norm(x, dim=None, keepdim=False):
    """√Σx² along dim. Its gradient at 0 does not exist; add a constant inside a square root of your own there."""
    _count("norm", x.shape, dim)
    return sqrt(sum(x * x, dim=dim, keepdim=keepdim))
