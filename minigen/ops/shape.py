"""Operations that move elements without changing them: reshape, permute, join, cut, pad, index.

All are linear, so each one's gradient is its adjoint: the operation that carries every element back to where it came
from and adds up those that were copied. They come in pairs: reshape/reshape, permute/permute, getitem/put_add,
concatenate/slices.
"""

import numpy as np

from minigen import kernels
from minigen.autograd.broadcasting import broadcast_to
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.errors import ShapeError


def axis_of(name, dim, shape):
    """dim counted from 0; a ShapeError in the name of a function if there is no such axis."""
    if not -len(shape) <= dim < len(shape):
        raise ShapeError(f"{name}: axis {dim} does not exist in shape {tuple(shape)}")
    return dim % len(shape)


@primitive(x=lambda g, x_shape: reshape(g, shape=x_shape))
def reshape(x, shape):
    """The same elements in row-major order under a new shape; one entry may be −1."""
    if x.ndim == 4 and not x.flags.c_contiguous and tuple(shape[:2]) != x.shape[:2]:
        x = kernels.contiguous(x)  # an image with channels-last memory (kernels/layout.py)
    return np.reshape(x, shape)


@primitive(x=lambda g, dims: permute(g, dims=tuple(int(i) for i in np.argsort([d % len(dims) for d in dims]))))
def permute(x, dims):
    """Axes in the order `dims`: result axis i is input axis dims[i]."""
    return np.transpose(x, dims)


def transpose(x, dim0=-2, dim1=-1):
    """Swap two axes (the last two, unless told otherwise)."""
    dims = list(range(x.ndim))
    dim0, dim1 = axis_of("transpose", dim0, x.shape), axis_of("transpose", dim1, x.shape)
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(x, dims=tuple(dims))


def unsqueeze(x, dim):
    """A new axis of length 1 at `dim`."""
    dim = axis_of("unsqueeze", dim, (*x.shape, 1))
    return reshape(x, shape=(*x.shape[:dim], 1, *x.shape[dim:]))


def squeeze(x, dim=None):
    """Without the axes of length 1 (or the one at `dim`)."""
    if dim is not None:
        dim = axis_of("squeeze", dim, x.shape)
        if x.shape[dim] != 1:
            return x
    kept = [n for i, n in enumerate(x.shape) if (n != 1 if dim is None else i != dim)]
    return reshape(x, shape=tuple(kept))


def flatten(x, start_dim=0, end_dim=-1):
    """Axes start_dim … end_dim joined into one."""
    if not x.ndim:
        return reshape(x, shape=(1,))
    start, end = axis_of("flatten", start_dim, x.shape), axis_of("flatten", end_dim, x.shape)
    if start > end:
        raise ShapeError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} in shape {tuple(x.shape)}")
    return reshape(x, shape=(*x.shape[:start], -1, *x.shape[end + 1 :]))


def expand(x, *shape):
    """broadcast_to with −1 for "as it is" (PyTorch's name)."""
    shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if len(shape) < x.ndim:
        raise ShapeError(f"expand: shape {tuple(shape)} has fewer axes than the tensor of shape {tuple(x.shape)}")
    kept = (1,) * (len(shape) - x.ndim) + tuple(x.shape)
    return broadcast_to(x, shape=tuple(k if n == -1 else n for n, k in zip(shape, kept, strict=True)))


# -- joining and cutting --------------------------------------------------------------------------------------


@primitive(tensors=lambda g, tensors_shape, dim: _pieces(g, [shape[dim] for shape in tensors_shape], dim))
def _concatenate(*tensors, dim=0):
    if dim == 1 and tensors[0].ndim > 2:
        return kernels.join_channels(*tensors)
    return np.concatenate(tensors, axis=dim)


def _pieces(x, sizes, dim):
    if dim == 1 and x.ndim > 2 and type(x) is np.ndarray:
        return kernels.cut_channels(x, sizes)
    ends = np.cumsum(sizes)
    before = (slice(None),) * (dim % x.ndim)
    return [x[(*before, slice(int(e) - n, int(e)))] for n, e in zip(sizes, ends, strict=True)]


def concatenate(tensors, dim=0):
    """Join tensors along an existing axis; all other axes must agree."""
    if not len(tensors):
        raise ShapeError("concatenate: expected at least one tensor, got none")
    return _concatenate(*tensors, dim=dim)


def stack(tensors, dim=0):
    """Join tensors of one shape along a new axis."""
    shapes = {tuple(t.shape) for t in tensors}
    if len(shapes) != 1:
        raise ShapeError(f"stack: expected tensors of one shape, got {sorted(shapes)}")
    axis_of("stack", dim, (*shapes.pop(), 1))
    return concatenate([unsqueeze(t, dim) for t in tensors], dim=dim)


def split(x, split_size_or_sections, dim=0):
    """Cut x along dim into pieces of one size (the last may be smaller), or of the listed sizes. Returns a tuple."""
    length = x.shape[axis_of("split", dim, x.shape)]
    if isinstance(split_size_or_sections, int | np.integer):
        size = int(split_size_or_sections)
        if size < 1:
            raise ShapeError(f"split: pieces of size {size} from shape {tuple(x.shape)}; expected at least 1")
        sizes = [min(size, length - i) for i in range(0, length, size)]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != length:
            raise ShapeError(f"split: sizes {sizes} add up to {sum(sizes)}, but axis {dim} of {x.shape} has {length}")
    return tuple(_pieces(x, sizes, dim))


def chunk(x, chunks, dim=0):
    """Cut x along dim into `chunks` pieces of equal size (the last may be smaller)."""
    length = x.shape[axis_of("chunk", dim, x.shape)]
    if chunks < 1:
        raise ShapeError(f"chunk: {chunks} pieces of shape {tuple(x.shape)}; expected at least 1")
    return split(x, max(1, -(-length // chunks)), dim)


@primitive(x=lambda g, x_shape, pad: getitem(g, index=_interior(x_shape, pad)))
def _pad(x, pad, value=0.0):
    return np.pad(x, pad, constant_values=value)


def _interior(shape, pad):
    return tuple(slice(before, before + n) for n, (before, _) in zip(shape, pad, strict=True))


def pad(x, pad, value=0.0):
    """Surround x with `value`. `pad` counts from the last axis backwards, as in PyTorch: (left, right, top, bottom)."""
    if len(pad) % 2 or len(pad) > 2 * x.ndim or min(pad, default=0) < 0:
        raise ShapeError(
            f"pad: {tuple(pad)} for {x.ndim} axes; expected pairs of non-negative numbers, last axis first"
        )
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return _pad(x, pad=((0, 0),) * (x.ndim - len(pairs)) + tuple(reversed(pairs)), value=value)


@primitive(x=lambda g, dims: flip(g, dims))
def flip(x, dims):
    """Reverse the order along the given axes."""
    return np.flip(x, dims)


@primitive(x=lambda g, shifts, dims: roll(g, tuple(-s for s in shifts) if isinstance(shifts, tuple) else -shifts, dims))
def roll(x, shifts, dims=None):
    """Shift elements along axes; those pushed over the end come back at the start."""
    return np.roll(x, shifts, dims)


# -- indexing: one adjoint pair serves slices, index arrays, gather, embedding and scatter ----------------------


@primitive(x=lambda g, x_shape, index: put_add(g, index=index, shape=x_shape))
def getitem(x, index):
    """x[index], for every index that NumPy accepts."""
    rows = _of_rows(index)
    return x[index] if rows is None or not x.ndim else kernels.take_rows(x, rows)


@primitive(x=lambda g, index: getitem(g, index=index))
def put_add(x, index, shape):
    """Zeros of the given shape with x added at `index`: the adjoint of getitem. Repeated indices add up."""
    rows = _of_rows(index)
    if rows is not None:
        return kernels.add_rows(x, rows, shape)
    y = np.zeros(shape, dtype=x.dtype)
    if _may_repeat(index):
        np.add.at(y, index, x)
    else:
        y[index] = x
    return y


def _of_rows(index):
    """The array of whole numbers if the index is nothing else, that is, names rows along the first axis; or None."""
    if isinstance(index, tuple) and len(index) == 1:
        (index,) = index
    return index if isinstance(index, np.ndarray) and index.dtype.kind in "iu" else None


def _may_repeat(index):
    """Only integer arrays can name one element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list) or (isinstance(part, np.ndarray) and part.dtype != bool) for part in parts)


def _index_arrays(index):
    """An index with Tensors and lists replaced by arrays; all are copies: backward needs them as they are now."""
    if isinstance(index, tuple):
        return tuple(_index_arrays(part) for part in index)
    if isinstance(index, Tensor):
        return index._data.copy()
    return np.array(index) if isinstance(index, list | np.ndarray) else index


def index(x, index):
    """x[index] for Tensors: what square brackets call."""
    return getitem(x, index=_index_arrays(index))


def _along(x_ndim, dim, index):
    """The index tuple that reads x[i, j, index[i, j, k], …] with the index array at position `dim`."""
    open_mesh = np.ogrid[tuple(slice(n) for n in index.shape)]
    return tuple(index if i == dim % x_ndim else grid for i, grid in enumerate(open_mesh))


def _check_along(name, x, dim, index):
    axis = axis_of(name, dim, x.shape)
    fits = index.ndim == x.ndim and all(index.shape[i] <= x.shape[i] for i in range(x.ndim) if i != axis)
    if not fits:
        raise ShapeError(f"{name}: index of shape {index.shape} does not fit x of shape {tuple(x.shape)}")
    _check_range(name, index, x.shape, axis)


def _check_range(name, index, shape, axis):
    if index.dtype.kind not in "iu":
        raise ShapeError(f"{name}: expected an index of whole numbers, got {index.dtype}")
    if index.size and (index.min() < -shape[axis] or index.max() >= shape[axis]):
        raise ShapeError(
            f"{name}: index from {index.min()} to {index.max()}, but axis {axis} of shape {tuple(shape)} has length "
            f"{shape[axis]}"
        )


def gather(x, dim, index):
    """Pick elements along dim by an integer array of the same number of axes: y[i, k] = x[i, index[i, k]] for dim=1."""
    index = np.asarray(_index_arrays(index))
    _check_along("gather", x, dim, index)
    return getitem(x, index=_along(x.ndim, dim, index))


def scatter_add(x, dim, index, src):
    """x with src added at the places that gather would read: y[i, index[i, k]] += src[i, k] for dim=1."""
    index = np.asarray(_index_arrays(index))
    if index.shape != src.shape:
        raise ShapeError(f"scatter_add: index {index.shape} and src {tuple(src.shape)} differ; expected the same shape")
    _check_along("scatter_add", x, dim, index)
    return x + put_add(src, index=_along(x.ndim, dim, index), shape=x.shape)


def take(x, index, dim=0):
    """Whole slices of x along dim, by an integer array of any shape. `take(weight, tokens)` is an embedding."""
    index = np.asarray(_index_arrays(index))
    axis = axis_of("take", dim, x.shape)
    _check_range("take", index, x.shape, axis)
    return getitem(x, index=(slice(None),) * axis + (index,))
