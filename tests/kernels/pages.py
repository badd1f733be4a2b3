"""Arrays that end, or begin, where memory ends: a kernel that reads one number too far is killed at once.

guarded.py finds writes outside an array; a read outside leaves no trace there. So here an array is laid flush against a
page that the operating system lets nobody touch. Touching it kills the process, so tests that use these arrays run in a
process of their own (`run_alone`).

    x = at_the_edge((3, 5), np.float32)           # the page after it is forbidden
    x = at_the_edge((3, 5), np.float32, end=False)   # the page before it is

Inside `everything_at_the_edge(rng)` np.empty, np.zeros and their _like give such arrays, at a random end, so that a
kernel's own results are guarded as well.
"""

import contextlib
import ctypes
import math
import mmap
import os
import subprocess
import sys

import numpy as np
from guarded import compiling_with

SUPPORTED = sys.platform in ("linux", "darwin")
_NOBODY = 0  # PROT_NONE


def at_the_edge(shape, dtype, end=True, values=np.nan):
    """A C-contiguous array that ends at a forbidden page (or begins after one), filled with `values`."""
    dtype = np.dtype(dtype)
    used = math.prod(shape) * dtype.itemsize
    page = mmap.PAGESIZE
    whole = max(1, -(-used // page)) * page
    memory = mmap.mmap(-1, whole + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    library = ctypes.CDLL(None, use_errno=True)
    for forbidden in (address, address + page + whole):
        if library.mprotect(ctypes.c_void_p(forbidden), ctypes.c_size_t(page), _NOBODY):
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = page + (whole - used if end else 0)
    array = np.frombuffer(memory, dtype, math.prod(shape), offset).reshape(shape)
    if values is not np.nan or dtype.kind in "fc":
        array[...] = values
    return array


def in_memory_order(x, order, end=True):
    """x's numbers at the edge; order: the axes of x from the slowest to the fastest in memory."""
    y = at_the_edge([x.shape[i] for i in order], x.dtype, end).transpose(np.argsort(order))
    y[...] = x
    return y


@contextlib.contextmanager
def everything_at_the_edge(rng):
    """In this block new arrays made from Python lie at the edge, and hold NaN unless they are to hold zeros."""
    original = {name: getattr(np, name) for name in ("empty", "empty_like", "zeros", "zeros_like")}

    def new(values, shape, dtype):
        return at_the_edge((shape,) if isinstance(shape, int) else tuple(shape), dtype, rng.random() < 0.7, values)

    def like(values, x, dtype):
        by_memory = sorted(range(x.ndim), key=lambda i: -abs(x.strides[i]))
        array = new(values, [x.shape[i] for i in by_memory], dtype or x.dtype)
        return array.transpose([by_memory.index(i) for i in range(x.ndim)])

    np.empty = lambda shape, dtype=float: new(np.nan, shape, dtype)
    np.zeros = lambda shape, dtype=float: new(0, shape, dtype)
    np.empty_like = lambda x, dtype=None: like(np.nan, x, dtype)
    np.zeros_like = lambda x, dtype=None: like(0, x, dtype)
    try:
        with compiling_with(original):
            yield
    finally:
        for name, function in original.items():
            setattr(np, name, function)


def run_alone(path, *arguments, timeout=600, **environment):
    """Run a Python file in a process of its own; AssertionError with what it printed unless it ends well."""
    done = subprocess.run(
        [sys.executable, str(path), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout
