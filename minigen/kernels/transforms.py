"""Small matrices on both sides of a block of pixels, for many channels at once: the transforms of winograd.py.

    target = M · source · Mᵀ,      source n × n pixels, target m × m,  M a constant m × n matrix          (W.1)

A pixel here is a vector of channels, neighbours in memory; the loop over them is left to the caller. Entries of M are
mostly 0 and ±1, so hardly anything is multiplied. Like tile.py this is written as LLVM instructions: 16 pixels are read
and 16 written at places of their own, and a compiler that must suspect each of touching each other makes no vector loop
of it. `define_transform` is the plain definition.
"""

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from minigen.kernels.target import TARGET

LANES = TARGET.lanes(4)  # float32 per vector

_INT = ir.IntType(64)


def define_transform(matrix, memory, sources, source, targets, target):
    """(W.1) in plain Python on a flat array, with all addresses as indices into it.

    sources, targets: where the n · n and m · m pixels are, counted from `source` and `target`.
    """
    m, n = np.shape(matrix)
    block = np.array([memory[source + at :][:LANES] for at in sources]).reshape(n, n, LANES)
    for at, row in zip(targets, np.einsum("ij,jkc,lk->ilc", matrix, block, matrix).reshape(m * m, LANES), strict=True):
        memory[target + at :][:LANES] = row


def make_transform(matrix):
    """An intrinsic (sources, source, targets, target) that does (W.1) for one vector of float32.

    sources and targets are addresses of tables of byte distances, source and target are added to every entry.
    """

    @intrinsic
    def transform(context, sources, source, targets, target):
        signature = types.void(types.intp, types.intp, types.intp, types.intp)

        def generate(context, builder, signature, arguments):
            _emit(builder, np.array(matrix, float), *arguments)
            return context.get_dummy_value()

        return signature, generate

    return transform


def _emit(builder, matrix, sources, source, targets, target):
    """Write (W.1) at the builder's position."""
    m, n = matrix.shape
    vector = ir.VectorType(ir.FloatType(), LANES)

    def place(table, shift, k):
        entry = builder.load(builder.inttoptr(builder.add(table, ir.Constant(_INT, 8 * k)), _INT.as_pointer()))
        entry.align = 8
        return builder.inttoptr(builder.add(entry, shift), vector.as_pointer())

    def read(k):
        value = builder.load(place(sources, source, k))
        value.align = 4
        return value

    def combined(row, values):
        """Σ row[k] · values[k], the positive ones first."""
        total = None
        for factor, value in sorted(zip(row, values, strict=True), key=lambda pair: -pair[0]):
            if factor == 0:
                continue
            if abs(factor) != 1:
                value = builder.fmul(value, ir.Constant(vector, [abs(factor)] * LANES))
            if total is None:
                total = value if factor > 0 else builder.fneg(value)
            else:
                total = (builder.fadd if factor > 0 else builder.fsub)(total, value)
        return total

    block = [[read(i * n + j) for j in range(n)] for i in range(n)]
    half = [[combined(matrix[i], [block[k][j] for k in range(n)]) for j in range(n)] for i in range(m)]  # M · source
    for i in range(m):
        for j in range(m):
            builder.store(combined(matrix[j], half[i]), place(targets, target, i * m + j)).align = 4
