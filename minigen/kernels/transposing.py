"""Copies from one order of memory to the other: channels first to channels last and back.

NumPy copies a transposed image number by number, each from another cache line. Here four rows are read together, so
that four neighbours are written at a time, and every line that is touched is used.
"""

import math

import numpy as np

from minigen.kernels.jit import kernel, prange


@kernel
def _transpose(x, y):
    """y[b, n, m] = x[b, m, n], both contiguous."""
    images, rows, columns = x.shape
    fours = rows - rows % 4
    for b in prange(images):
        for m in range(0, fours, 4):
            row0, row1, row2, row3 = x[b, m], x[b, m + 1], x[b, m + 2], x[b, m + 3]
            for n in range(columns):
                target = y[b, n, m:]
                target[0], target[1], target[2], target[3] = row0[n], row1[n], row2[n], row3[n]
        for m in range(fours, rows):
            for n in range(columns):
                y[b, n, m] = x[b, m, n]


def transposed(x):
    """(B, M, N) → (B, N, M), a contiguous copy of a contiguous array."""
    b, m, n = x.shape
    y = np.empty((b, n, m), x.dtype)
    _transpose(x, y, work=x.size)
    return y


def contiguous(x):
    """x in C order: a copy, quick if the memory of x is channels-last (B, C, H, W)."""
    last = x.transpose(0, *range(2, x.ndim), 1) if x.ndim > 2 else x
    if x.flags.c_contiguous or x.ndim < 3 or not last.flags.c_contiguous or x.dtype.char not in "fd":
        return np.ascontiguousarray(x)
    b, c, *positions = x.shape
    memory = last if last.flags.writeable else last.copy()
    return transposed(memory.reshape(b, math.prod(positions), c)).reshape(x.shape)
