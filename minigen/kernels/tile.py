"""The tile product: the inner loop of every matrix product, convolution and attention in this package.

It computes one block of results, `rows` rows of a few vectors, and keeps it in the processor's registers while it runs
through everything that is to be summed:

    C[i, :] = start[i, :] + Σ_s Σ_k  A[i, s, k] · B[s, k, :]                                             (T.1)

In words: take a vector of B, take one number of A for each row, multiply, add to that row's results; next k. Nothing
is stored until the sums are complete. Each number of A is used for a whole vector of results, each vector of B for all
rows. So the loop does `rows` · `vectors` multiplications of vectors for `vectors` + `rows` reads, and the multipliers
never wait.

What makes one loop serve so many purposes is *where its operands are*. A[i, s, k] lies at

    a + a_rows[i] + a_segments[s] + k · a_step            (bytes)

with tables a_rows and a_segments. In a matrix product a_rows are the rows of a matrix and there is one segment. In a
convolution, a_rows are the windows of some output pixels, wherever they lie, and each segment is one row of the window:
the im2col matrix is read in place, never built. B lies at b + (s · depth + k) · b_step, one vector after the other, and
rows of C and of `start` have tables of their own, so that a row that does not exist (a matrix rarely has a multiple of
14 rows) can be sent to a dummy.

There are no bounds checks here: the callers answer for their tables, and tests/kernels fuzz them with guarded memory.

The loop is written as LLVM instructions, because no compiler finds the register tile by itself. `define_tile` is its
plain definition.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from minigen.kernels.target import TARGET

ROWS = TARGET.rows
VECTORS = TARGET.vectors
LANES = {4: TARGET.lanes(4), 8: TARGET.lanes(8)}  # itemsize → numbers per vector

_INT = ir.IntType(64)


def columns(dtype, vectors=VECTORS):
    """How many columns a tile of so many vectors has."""
    return vectors * LANES[np.dtype(dtype).itemsize]


def define_tile(memory, a, a_rows, a_segments, a_step, b, b_step, start, start_rows, c, c_rows, segments, depth, width):
    """(T.1) in plain Python on a flat array, with all addresses as indices into it."""
    for i in range(len(a_rows)):
        total = memory[start + start_rows[i] :][:width].copy()
        for s in range(segments):
            for k in range(depth):
                row = b + (s * depth + k) * b_step
                total += memory[a + a_rows[i] + a_segments[s] + k * a_step] * memory[row : row + width]
        memory[c + c_rows[i] :][:width] = total


def _make(rows, vectors, itemsize):
    """An intrinsic for tiles of rows × vectors of float32 (itemsize 4) or float64 (8), as in (T.1)."""

    @intrinsic
    def tile(context, a, a_rows, a_segments, a_step, b, b_step, start, start_rows, c, c_rows, segments, depth):
        signature = types.void(*[types.intp] * 12)

        def generate(context, builder, signature, arguments):
            a, a_rows, a_segments, a_step, b, b_step, *rest = arguments
            _emit(builder, (a, a_rows, a_segments, a_step, b, None, b_step, *rest), rows, vectors, itemsize)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _make_scattered(rows, vectors, itemsize):
    """The same for a B in segments, which begin at b + b_segments[s]."""

    @intrinsic
    def tile(context, a, a_rows, a_segments, a_step, b, b_segments, b_step, start, start_rows, c, c_rows, segments,
             depth):  # fmt: skip
        signature = types.void(*[types.intp] * 13)

        def generate(context, builder, signature, arguments):
            _emit(builder, arguments, rows, vectors, itemsize)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _emit(builder, arguments, rows, vectors, itemsize):
    """Write the loops of (T.1) at the builder's position. Without b_segments, B goes on where the segment ended."""
    a, a_rows, a_segments, a_step, b, b_segments, b_step, start, start_rows, c, c_rows, segments, depth = arguments
    number = ir.FloatType() if itemsize == 4 else ir.DoubleType()
    lanes = LANES[itemsize]
    vector = ir.VectorType(number, lanes)
    kind = ir.FunctionType(vector, [vector] * 3)
    multiply_add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{lanes}f{8 * itemsize}")
    each = [(i, j) for i in range(rows) for j in range(vectors)]

    def load(address, kind, align=itemsize):
        value = builder.load(builder.inttoptr(address, kind.as_pointer()))
        value.align = align
        return value

    def entry_of(table, i):
        return load(builder.add(table, _int(8 * i)), _INT, 8)

    def part(address, j):
        return builder.add(address, _int(j * lanes * itemsize))

    def spread(x):
        """A vector with x in every lane."""
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
        lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), lane_zero)

    def loop_head(before, counter_start, carried):
        """Phi nodes for a loop's counter and what it carries from one turn to the next."""
        phis = [builder.phi(value.type) for value in [counter_start, *carried]]
        for phi, value in zip(phis, [counter_start, *carried], strict=True):
            phi.add_incoming(value, before)
        return phis

    # start: the sums begin with a bias, with zeros, or with what an earlier part of the sum left in C.
    begin = [builder.add(start, entry_of(start_rows, i)) for i in range(rows)]
    sums = [load(part(begin[i], j), vector) for i, j in each]
    first_row = [builder.add(a, entry_of(a_rows, i)) for i in range(rows)]
    before = builder.block
    over_segments, over_depth = builder.append_basic_block("segment"), builder.append_basic_block("depth")
    segment_done, done = builder.append_basic_block("segment_done"), builder.append_basic_block("done")
    builder.branch(over_segments)

    builder.position_at_end(over_segments)
    s, b_here, *sums = loop_head(before, _int(0), [b, *sums])
    outer = [s, b_here, *sums]
    shift = load(builder.add(a_segments, builder.shl(s, _int(3))), _INT, 8)
    row = [builder.add(address, shift) for address in first_row]
    if b_segments is not None:
        b_here = builder.add(b, load(builder.add(b_segments, builder.shl(s, _int(3))), _INT, 8))
    builder.branch(over_depth)

    builder.position_at_end(over_depth)
    k, offset, b_at, *sums = loop_head(over_segments, _int(0), [_int(0), b_here, *sums])
    inner = [k, offset, b_at, *sums]
    of_b = [load(part(b_at, j), vector) for j in range(vectors)]
    new = list(sums)
    for i in range(rows):
        of_a = spread(load(builder.add(row[i], offset), number))
        for j in range(vectors):
            new[i * vectors + j] = builder.call(multiply_add, [of_a, of_b[j], sums[i * vectors + j]])
    next_turn = [builder.add(k, _int(1)), builder.add(offset, a_step), builder.add(b_at, b_step), *new]
    for phi, value in zip(inner, next_turn, strict=True):
        phi.add_incoming(value, over_depth)
    builder.cbranch(builder.icmp_signed("<", next_turn[0], depth), over_depth, segment_done)

    builder.position_at_end(segment_done)
    next_segment = [builder.add(s, _int(1)), next_turn[2], *new]
    for phi, value in zip(outer, next_segment, strict=True):
        phi.add_incoming(value, segment_done)
    builder.cbranch(builder.icmp_signed("<", next_segment[0], segments), over_segments, done)

    builder.position_at_end(done)
    for (i, j), total in zip(each, new, strict=True):
        place = part(builder.add(c, entry_of(c_rows, i)), j)
        builder.store(total, builder.inttoptr(place, vector.as_pointer())).align = itemsize


def _int(value):
    return ir.Constant(_INT, value)


tile_float32 = _make(ROWS, VECTORS, 4)
tile_float64 = _make(ROWS, VECTORS, 8)

# For sums over pixels. Their rows are a layer's output channels, mostly a power of two, of which this height wastes
# less: 32 = 3 · 11 − 1.
SUM_ROWS = TARGET.sum_rows
sum_tile_float32 = _make_scattered(SUM_ROWS, VECTORS, 4)
sum_tile_float64 = _make_scattered(SUM_ROWS, VECTORS, 8)


def tile(sample, a, a_rows, a_segments, a_step, b, b_step, start, start_rows, c, c_rows, segments, depth):
    """(T.1) inside a kernel, for the dtype of the array `sample`; all other arguments are addresses and numbers."""
    raise NotImplementedError("for compiled code; define_tile is the plain definition")


def sum_tile(sample, a, a_rows, a_segments, a_step, b, b_segments, b_step, start, start_rows, c, c_rows, segments,
             depth):  # fmt: skip
    """The same with SUM_ROWS rows, and with B in segments."""
    raise NotImplementedError("for compiled code; define_tile is the plain definition")


@overload(tile, inline="always")
def _tile_for_dtype(sample, a, a_rows, a_segments, a_step, b, b_step, start, start_rows, c, c_rows, segments, depth):
    chosen = tile_float32 if sample.dtype == types.float32 else tile_float64

    def call(sample, a, a_rows, a_segments, a_step, b, b_step, start, start_rows, c, c_rows, segments, depth):
        chosen(a, a_rows, a_segments, a_step, b, b_step, start, start_rows, c, c_rows, segments, depth)

    return call


@overload(sum_tile, inline="always")
def _sum_tile_for_dtype(sample, a, a_rows, a_segments, a_step, b, b_segments, b_step, start, start_rows, c, c_rows,
                        segments, depth):  # fmt: skip
    chosen = sum_tile_float32 if sample.dtype == types.float32 else sum_tile_float64

    def call(sample, a, a_rows, a_segments, a_step, b, b_segments, b_step, start, start_rows, c, c_rows, segments,
             depth):  # fmt: skip
        chosen(a, a_rows, a_segments, a_step, b, b_segments, b_step, start, start_rows, c, c_rows, segments, depth)

    return call
