"""The matrix product C = A B + bias, on the pool, from tiles.

    for each strip of C (some rows, one panel of columns):
        for each block of the sum over k:
            for each tile of rows:  tile product (T.1)

Three sizes matter, one for each level of memory. A *tile* of C lives in registers. A *panel* of B, as wide as a tile
and DEPTH rows deep, is read once for each tile; before the product starts, B is copied so that a panel is contiguous
("packed") and padded with zeros to a full tile's width. A *strip* of A, STRIP tiles of rows, stays in the second-level
cache while all panels pass by. A is mostly read in place, whatever its strides: a tile asks only where its rows start
and how far apart the numbers of a row are, so a transposed matrix is as good as any. Only when there are many panels A
is packed too: rows that lie a power of two apart compete for the same few places in the cache.

C is cut into strips and panels, the same ones for any number of threads, so results have the same bits.

OpenBLAS is as good or better on large square products, and on one thread this one gains nothing over it. It is needed
because OpenBLAS must not wake its own threads (threads.py), and it is much faster on skinny products (K or N below a
hundred or two), which is what the layers of small networks are.

Source: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication".  Differs: A is packed only
where it pays.
"""

import numpy as np

from minigen.kernels.jit import kernel, prange
from minigen.kernels.layout import writable_view
from minigen.kernels.tile import ROWS, columns, tile

DEPTH = 384  # terms of the sum per pass: a panel of B takes 48 KB
STRIP = 8  # tiles of rows per strip of A, at most
REUSE = 16  # panels of B from which A is packed
TASKS = 8  # pieces of work, at least: more than there are threads, so that they finish together
SMALLEST = 250_000  # multiplications below which NumPy's product is as quick as calling this one


@kernel
def _pack(b, row, step, depth, n, panels):
    """Copy B (depth × n; strides row and step in the flat array b, one of them 1) into panels (count, depth, width)."""
    count, _, width = panels.shape
    for j in prange(count):
        filled = min(width, n - j * width)
        if step == 1:
            for k in range(depth):
                source, target = b[k * row + j * width :][:filled], panels[j, k]
                for i in range(filled):
                    target[i] = source[i]
        else:  # a transposed matrix: four rows of the panel at a time, so that each line of b that is read is used
            for k in range(0, depth - depth % 4, 4):
                row0, row1, row2, row3 = panels[j, k], panels[j, k + 1], panels[j, k + 2], panels[j, k + 3]
                for i in range(filled):
                    source = b[(j * width + i) * step + k :]
                    row0[i], row1[i], row2[i], row3[i] = source[0], source[1], source[2], source[3]
            for k in range(depth - depth % 4, depth):
                for i in range(filled):
                    panels[j, k, i] = b[(j * width + i) * step + k]
        for k in range(depth):
            for i in range(filled, width):
                panels[j, k, i] = 0


@kernel
def _product(a, a_tile, a_row, a_step, panels, start, c, strips):
    """C (m × n) = A · panels + start (one row, padded to whole panels); strides in elements."""
    m, n = c.shape
    count, depth, width = panels.shape
    size = c.itemsize
    tiles = (m + ROWS - 1) // ROWS
    a_base, b_base, c_base, start_base = a.ctypes.data, panels.ctypes.data, c.ctypes.data, start.ctypes.data
    for task in prange(strips * count):
        strip, j = task // count, task % count
        filled = min(width, n - j * width)
        edge = np.empty((ROWS, width), c.dtype)  # where rows and columns go that C does not have
        tables = np.zeros((4, ROWS), np.int64)
        a_rows, c_rows, start_rows, one_segment = tables[0], tables[1], tables[2], tables[3]
        for k0 in range(0, depth, DEPTH):
            terms = min(DEPTH, depth - k0)
            for t in range(strip * tiles // strips, (strip + 1) * tiles // strips):
                first = t * ROWS
                rows = min(ROWS, m - first)
                inside = filled == width and rows == ROWS
                base = c_base if inside else edge.ctypes.data
                for i in range(ROWS):
                    a_rows[i] = min(i, rows - 1) * a_row * size
                    c_rows[i] = ((first + i) * n + j * width) * size if inside else i * width * size
                if k0 > 0 and not inside:
                    for i in range(rows):
                        for q in range(filled):
                            edge[i, q] = c[first + i, j * width + q]
                tile(
                    c,
                    a_base + (t * a_tile + k0 * a_step) * size, a_rows.ctypes.data, one_segment.ctypes.data,
                    a_step * size, b_base + (j * depth + k0) * width * size, width * size,
                    base if k0 > 0 else start_base + j * width * size,
                    c_rows.ctypes.data if k0 > 0 else start_rows.ctypes.data,
                    base, c_rows.ctypes.data, 1, terms,
                )  # fmt: skip
                if not inside:
                    for i in range(rows):
                        for q in range(filled):
                            c[first + i, j * width + q] = edge[i, q]


def matrix_product(a, b, bias=None):
    """A B + bias for matrices with any strides.  Shapes: (m, k), (k, n), (n,) → (m, n)"""
    (m, k), n = a.shape, b.shape[1]
    if m * n * k < SMALLEST or a.dtype != b.dtype:
        c = np.matmul(a, b)
        if bias is not None:
            c += bias
        return c
    c = np.empty((m, n), a.dtype)
    panels = _packed(b, columns(c.dtype))
    start = np.zeros(panels.shape[0] * panels.shape[2], c.dtype)
    if bias is not None:
        start[:n] = bias
    tiles = -(-m // ROWS)
    strips = max(-(-tiles // STRIP), min(tiles, -(-TASKS // panels.shape[0])))
    if panels.shape[0] >= REUSE and k >= DEPTH:
        a = _packed(a.T, ROWS).reshape(-1)
        _product(a, k * ROWS, 1, ROWS, panels, start, c, strips)
    else:
        a, a_row, a_step = _strided(a)
        _product(a, ROWS * a_row, a_row, a_step, panels, start, c, strips)
    return c


def _packed(b, width):
    """The matrix b (k, n) as panels (⌈n/width⌉, k, width), padded with zeros."""
    k, n = b.shape
    panels = np.empty((-(-n // width), k, width), b.dtype)
    b, row, step = _strided(b)
    _pack(b, row, step, k, n, panels, work=panels.size)
    return panels


def _strided(x):
    """(a flat array that holds the matrix x, row stride, column stride), in elements; copies x only if it must."""
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        return writable_view(x.T).reshape(-1), 1, x.shape[0]
    return writable_view(np.ascontiguousarray(x)).reshape(-1), x.shape[1], 1
