"""An embedding's two loops: pick rows of a table, and add rows into a table.

The second is where threads could collide, since one row may be named often. So the rows of g are first sorted by where
they go (by counting, which keeps their order), and then every row of the table is the work of one thread: it adds up
what belongs to it, in the order of g. The result has the same bits for any number of threads.
"""

import math

import numpy as np

from minigen.kernels import reference
from minigen.kernels.jit import kernel, prange
from minigen.kernels.layout import writable_view


@kernel
def _take_rows(table, index, y):
    for i in prange(index.size):
        row, result = table[index[i]], y[i]
        for j in range(row.size):
            result[j] = row[j]


@kernel
def _sort(index, starts, order):
    """Positions in `index`, sorted by value: those with value r are order[starts[r] : starts[r + 1]]."""
    for i in range(index.size):
        starts[index[i] + 1] += 1
    for r in range(1, starts.size):
        starts[r] += starts[r - 1]
    filled = starts.copy()
    for i in range(index.size):
        order[filled[index[i]]] = i
        filled[index[i]] += 1


@kernel
def _add_rows(g, order, starts, table):
    for r in prange(table.shape[0]):
        result = table[r]
        for j in range(result.size):
            result[j] = 0
        for k in range(starts[r], starts[r + 1]):
            row = g[order[k]]
            for j in range(result.size):
                result[j] += row[j]


def _checked(index, rows):
    """The index as a flat array of non-negative int64.  Raises: IndexError for one outside."""
    flat = index.reshape(-1)
    lowest, highest = flat.min(), flat.max()
    if lowest < -rows or highest >= rows:
        raise IndexError(f"index from {lowest} to {highest} for {rows} rows")
    if lowest < 0:
        flat = np.where(flat < 0, flat + rows, flat)
    return writable_view(np.ascontiguousarray(flat, np.int64))


def take_rows(table, index):
    """table[index] for an array of whole numbers."""
    shape = index.shape + table.shape[1:]
    if not table.flags.c_contiguous or not math.prod(shape):
        return reference.take_rows(table, index)
    y = np.empty(shape, table.dtype)
    width = math.prod(table.shape[1:])
    rows = writable_view(table).reshape(len(table), width)
    _take_rows(rows, _checked(index, len(table)), y.reshape(-1, width), work=y.size)
    return y


def add_rows(g, index, shape):
    """The adjoint: a table of `shape`, zero but for the rows of g added at `index`, in their order."""
    if not g.size:
        return reference.add_rows(g, index, shape)
    table = np.empty(shape, g.dtype)
    width = math.prod(shape[1:])
    flat = writable_view(np.ascontiguousarray(g)).reshape(-1, width)
    index = _checked(index, shape[0])
    starts, order = np.zeros(shape[0] + 1, np.int64), np.empty(index.size, np.int64)
    _sort(index, starts, order, work=0)
    _add_rows(flat, order, starts, table.reshape(-1, width), work=g.size + table.size)
    return table
