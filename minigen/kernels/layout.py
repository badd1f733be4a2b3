"""Where the numbers of an array lie, and how to hand them to a kernel without copying.

Shapes are NCHW everywhere: (batch, channels, height, width). *Memory* is something else. Convolutions read and write
images channels-last: the channels of one pixel are neighbours in memory, so a window is a few contiguous stretches and
a vector register holds 16 channels of one pixel. Such an array still has shape (B, C, H, W); only its strides differ.
NumPy's own elementwise operations keep the order of their input's memory, so it passes through a network unseen.
"""

import math

import numpy as np

from minigen.kernels.transposing import transposed


def is_dense(x):
    """True if the elements of x fill one stretch of memory, in any order of the axes."""
    expected = x.itemsize
    for stride, size in sorted((stride, size) for stride, size in zip(x.strides, x.shape, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True


class _Unlocked:
    """Stands for an array in NumPy's protocol for sharing memory, but says that it may be written."""

    def __init__(self, x):
        self.x = x  # keeps the memory alive
        self.__array_interface__ = {**x.__array_interface__, "data": (x.__array_interface__["data"][0], False)}


def writable_view(x):
    """x; or if x is locked, a view of it that is not. For arguments that a kernel only reads.

    Numba has other types for locked arrays, such as broadcast_to returns, and would compile each kernel again for them.
    """
    return x if x.flags.writeable else np.asarray(_Unlocked(x))


def flat(x):
    """All elements in the order of memory, unlocked: a view (N,) if x is dense, else of a copy."""
    if x.flags.c_contiguous:
        return writable_view(x).reshape(-1)
    return writable_view(x.ravel(order="K") if is_dense(x) else np.ascontiguousarray(x).reshape(-1))


def like(x):
    """(elements of x, a new array of the same shape, its elements): both lists of elements in one order of memory."""
    if not (x.flags.c_contiguous or is_dense(x)):
        x = np.ascontiguousarray(x)
    y = np.empty_like(x)  # in the order of x
    return flat(x), y, flat(y)


def in_order_of(x, *others):
    """The elements of x and of others of its shape, all in the memory order of x; those that differ are copied."""
    if not (x.flags.c_contiguous or is_dense(x)):
        x = np.ascontiguousarray(x)
    lists = [flat(x)]
    for other in others:
        if other.strides != x.strides:
            if x.ndim == 4 and other.flags.c_contiguous and _last(x).flags.c_contiguous:
                other = channels_last(other)
            else:
                copy = np.empty_like(x)
                copy[...] = other
                other = copy
        lists.append(flat(other))
    return lists


def is_channels_last(x):
    """True if the memory of x, (B, C, …), is one stretch in the order (B, …, C), and not in C order too."""
    return x.ndim > 2 and not x.flags.c_contiguous and _last(x).flags.c_contiguous and x.dtype.char in "fd"


def channels_last(x):
    """(B, C, …) as (B, positions, C) with the channels contiguous: a view if memory is so already, else a copy."""
    b, c, *positions = x.shape
    moved = _last(x)
    if not moved.flags.c_contiguous:
        if x.flags.c_contiguous and x.dtype.char in "fd":
            return transposed(writable_view(x).reshape(b, c, math.prod(positions)))
        moved = np.ascontiguousarray(moved)
    return writable_view(moved).reshape(b, math.prod(positions), c)


def _last(x):
    """(B, C, …) → (B, …, C), a view."""
    return x.transpose(0, *range(2, x.ndim), 1)


def empty_image(shape, dtype):
    """A new array of shape (B, C, …) with channels-last memory, and its elements as (B, positions, C)."""
    b, c, *positions = shape
    memory = np.empty((b, *positions, c), dtype)
    return memory.transpose(0, memory.ndim - 1, *range(1, memory.ndim - 1)), memory.reshape(b, math.prod(positions), c)
