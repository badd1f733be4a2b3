"""An embedding's two loops: pick rows of a table, and add rows into a table.

The second is where threads could collide, since one row may be named often. So the work is cut by *columns*: every
thread goes through all of g, but touches only its columns of the table. Rows are added in the order of g, whoever adds
them, and the result has the same bits for any number of threads.
"""

import math

import numpy as np

from minigen.kernels import reference
from minigen.kernels.jit import kernel, prange
from minigen.kernels.layout import writable_view

COLUMNS = 32  # per piece of work: whole cache lines, so that threads do not write into the same one


@kernel
def _take_rows(table, index, y):
    for i in prange(index.size):
        row, result = table[index[i]], y[i]
        for j in range(row.size):
            result[j] = row[j]


@kernel
def _add_rows(g, index, table):
    rows, width = table.shape
    for piece in prange((width + COLUMNS - 1) // COLUMNS):
        first, last = piece * COLUMNS, min(width, (piece + 1) * COLUMNS)
        for i in range(rows):
            for j in range(first, last):
                table[i, j] = 0
        for i in range(index.size):
            row, result = g[i], table[index[i]]
            for j in range(first, last):
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
    _add_rows(flat, _checked(index, shape[0]), table.reshape(-1, width), work=g.size + table.size)
    return table
