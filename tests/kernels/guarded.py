"""Arrays with guard regions, arrays in every order of memory, and the bits that may differ: for tests of kernels.

Kernels check no bounds. So tests give them arrays that lie inside a larger buffer, whose margins hold a pattern; a
kernel that writes past either end changes it:

    y = guarded((3, 5), np.float32)           # y.array is the array; filled with NaN until somebody writes
    kernel(x, y.array)
    y.check()                                 # AssertionError if a margin, or a gap between strided elements, changed

Most kernels allocate their results themselves. Inside `guarding()` every np.empty, np.empty_like, np.zeros and
np.zeros_like that Python code calls is such an array, checked at the end of the block. New arrays hold NaN, so an
element that the kernel forgot shows up in the comparison.

`in_every_order(x)` gives the same numbers in all the layouts that a kernel may meet.
"""

import contextlib
import math

import numpy as np

MARGIN = 256  # bytes on each side: more than the widest tile's overhang of one vector
PATTERN = 0xA5

ORDERS = ("C", "F", "channels_last", "strided", "reversed")


class Guarded:
    """An array inside a guarded buffer."""

    def __init__(self, array, buffer):
        self.array = array
        self.buffer = buffer
        address = buffer.ctypes.data
        # Where each byte of the array lies in the buffer; all other bytes must keep the pattern.
        offsets = np.array([0])
        for stride, size in zip(array.strides, array.shape, strict=True):
            offsets = (offsets[:, None] + stride * np.arange(size)).ravel()
        start = array.__array_interface__["data"][0] - address
        inside = (start + offsets[:, None] + np.arange(array.itemsize)).ravel() if array.size else []
        self.outside = np.ones(buffer.size, dtype=bool)
        self.outside[inside] = False

    def check(self):
        """Raise AssertionError if a byte that does not belong to the array has changed."""
        changed = np.flatnonzero(self.outside & (self.buffer != PATTERN))
        assert changed.size == 0, (
            f"{changed.size} bytes around an array of shape {self.array.shape} were overwritten, the first at "
            f"{changed[0] - MARGIN} bytes from its start (buffer of {self.buffer.size - 2 * MARGIN} bytes)"
        )


def guarded(shape, dtype, order="C", values=np.nan):
    """A Guarded array filled with `values`, in one of ORDERS of memory.

    channels_last: axis 1 varies fastest (needs two axes); strided: every second element of a larger array along each
    axis; reversed: all axes run backwards. Its start is aligned to the numbers, not to a vector register.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    step = 2 if order == "strided" else 1
    held = tuple(step * n for n in shape)  # what the buffer must hold
    used = math.prod(held) * dtype.itemsize
    buffer = np.full(used + 2 * MARGIN, PATTERN, dtype=np.uint8)
    memory = buffer[MARGIN : MARGIN + used].view(dtype)
    if order == "channels_last" and len(shape) >= 2:
        axes = (0, *range(2, len(shape)), 1)
        array = memory.reshape([held[i] for i in axes]).transpose(np.argsort(axes))
    else:
        array = memory.reshape(held, order="F" if order == "F" else "C")
    if order == "strided":
        array = array[(..., *[slice(None, None, 2)] * len(shape))]
    elif order == "reversed":
        array = array[(..., *[slice(None, None, -1)] * len(shape))]
    if values is not np.nan or dtype.kind in "fc":
        array[...] = values
    return Guarded(array, buffer)


def in_every_order(x):
    """x's numbers as guarded arrays, one for each of ORDERS: [(order, Guarded)]."""
    return [(order, guarded(x.shape, x.dtype, order, values=x)) for order in ORDERS]


@contextlib.contextmanager
def guarding():
    """In this block new arrays made from Python have guard regions, which are checked at its end."""
    made = []
    original = {name: getattr(np, name) for name in ("empty", "empty_like", "zeros", "zeros_like")}

    def new(values, shape, dtype, order):
        made.append(guarded(shape, dtype, order, values))
        return made[-1].array

    def like(values, prototype, dtype):
        strides = np.abs(prototype.strides)
        by_memory = sorted(range(prototype.ndim), key=lambda i: -strides[i])  # slowest axis first, ties in order
        array = new(values, [prototype.shape[i] for i in by_memory], dtype or prototype.dtype, "C")
        return array.transpose([by_memory.index(i) for i in range(prototype.ndim)])

    np.empty = lambda shape, dtype=float, order="C": new(np.nan, shape, dtype, order)
    np.zeros = lambda shape, dtype=float, order="C": new(0, shape, dtype, order)
    np.empty_like = lambda prototype, dtype=None: like(np.nan, prototype, dtype)
    np.zeros_like = lambda prototype, dtype=None: like(0, prototype, dtype)
    try:
        with compiling_with(original):
            yield made
    finally:
        for name, function in original.items():
            setattr(np, name, function)
    for each in made:
        each.check()


@contextlib.contextmanager
def compiling_with(functions):
    """While Numba compiles a kernel in this block, np has these functions, {name: function}: Numba knows no others."""
    from minigen.kernels import jit

    lock = jit._file_lock  # held during every compilation

    @contextlib.contextmanager
    def lock_and_exchange(folder):
        present = {name: getattr(np, name) for name in functions}
        for name, function in functions.items():
            setattr(np, name, function)
        try:
            with lock(folder):
                yield
        finally:
            for name, function in present.items():
                setattr(np, name, function)

    jit._file_lock = lock_and_exchange
    try:
        yield
    finally:
        jit._file_lock = lock


def same_bits(a, b):
    """True if a and b have equal shapes, types and bits (NaNs at the same places count as equal)."""
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def distance_in_ulp(value, exact):
    """How many representable numbers lie between value and exact (in a wider type), at most, over all elements.

    Exact results that the narrow type cannot hold count as infinity; equal infinities and NaNs in both count as 0.
    """
    value = np.asarray(value)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.asarray(exact).astype(value.dtype)
        both = (np.isnan(value) & np.isnan(rounded)) | (value == rounded)
        if not np.all(np.isfinite(value[~both])) or not np.all(np.isfinite(rounded[~both])):
            return np.inf
        unit = np.spacing(np.abs(rounded)).astype(np.asarray(exact).dtype)
        apart = np.abs(value.astype(unit.dtype) - exact) / unit
    return float(np.max(np.where(both & ~np.isfinite(rounded), 0, apart), initial=0))
