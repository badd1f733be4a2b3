"""Moving rows between arrays of any strides and a worker's scratch memory, where tile products (T.1) read and write.

A matrix of a stack (…, rows, columns) is described by its *place*: the address of its first number, the distance of
its rows and the distances along the leading axes, all in bytes. Only its rows must be contiguous. Scratch memory is
padded to whole tiles, so that no tile ever reads or writes outside it.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from minigen.kernels.jit import device
from minigen.kernels.tile import ROWS


def rows_contiguous(x):
    """x, or a copy if the numbers of a row are not neighbours in memory."""
    return x if x.strides[-1] == x.itemsize or x.shape[-1] == 1 else np.ascontiguousarray(x)


def place(x):
    """The place of x."""
    return x.__array_interface__["data"][0], x.strides[-2], *x.strides[:-2]


@device
def start_of(place, lead, n):
    """The address of matrix n of a stack whose leading axes have the sizes `lead`."""
    address = place[0]
    for axis in range(lead.size - 1, -1, -1):
        address += (n % lead[axis]) * place[2 + axis]
        n //= lead[axis]
    return address


@intrinsic
def numbers(context, address, sample):
    """The memory at an address, to be indexed like an array of the type of `sample`."""
    signature = types.CPointer(sample.dtype)(types.intp, sample)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return signature, generate


@intrinsic
def not_inlined(context):
    """In the body of a function: keep its machine code apart from its callers', which then compile faster."""

    def generate(context, builder, signature, arguments):
        builder.function.attributes.discard("alwaysinline")
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@device
def whole(count, step):
    """count, rounded up to a multiple of step."""
    return (count + step - 1) // step * step


@device
def cut(scratch, count):
    """The first `count` numbers, and the others."""
    return scratch[:count], scratch[count:]


@device
def row_table(step):
    """Where the rows of a tile begin if they are `step` bytes apart: a table for (T.1)."""
    table = np.empty(ROWS, np.int64)
    for i in range(ROWS):
        table[i] = i * step
    return table


@device
def pack_rows(start, stride, rows, depth, factor, padded, packed):
    """packed[i, :] = factor · row i, each padded with zeros to `padded` numbers."""
    not_inlined()
    for i in range(rows):
        row = numbers(start + i * stride, packed)
        for k in range(depth):
            packed[i * padded + k] = row[k] * factor
        for k in range(depth, padded):
            packed[i * padded + k] = 0


@device
def unpack_rows(packed, padded, factor, start, stride, rows, depth):
    """The way back: row i = factor · packed[i, :]."""
    not_inlined()
    for i in range(rows):
        row = numbers(start + i * stride, packed)
        for k in range(depth):
            row[k] = packed[i * padded + k] * factor


@device
def pack_columns(start, stride, rows, depth, width, packed):
    """Rows as columns, in panels of `width`: packed[panel, k, i] = row (panel · width + i) at k, padded with zeros."""
    not_inlined()
    for j in range(0, rows, width):
        filled = min(width, rows - j)
        panel = packed[j * depth : (j + width) * depth]
        fours = filled - filled % 4
        for i in range(0, fours, 4):  # four at a time: what is written together lies together
            at = start + (j + i) * stride
            row0, row1 = numbers(at, packed), numbers(at + stride, packed)
            row2, row3 = numbers(at + 2 * stride, packed), numbers(at + 3 * stride, packed)
            for k in range(depth):
                column = panel[k * width + i :]
                column[0], column[1], column[2], column[3] = row0[k], row1[k], row2[k], row3[k]
        for i in range(fours, filled):
            row = numbers(start + (j + i) * stride, packed)
            for k in range(depth):
                panel[k * width + i] = row[k]
        for i in range(filled, width):
            for k in range(depth):
                panel[k * width + i] = 0
