"""Convolutions that end in a few channels, such as the last layer of a decoder: let the taps be the columns.

A panel of results has two vectors of channels (32 with AVX-512). If a convolution has one output channel, a product
over windows computes 31 columns of zeros. But the taps are many: with W as a matrix channels × (tap, output),

    Z[p, (tap, o)] = Σ_c x[p, c] W[c, (tap, o)]          an ordinary product, at the pixels of the many channels
    y[q, o] = Σ_tap Z[at(q, tap), (tap, o)]               then every result collects what belongs to it

`at(q, tap)` is the pixel of x that tap sees from q, or none. The same two lines give the input adjoint of a convolution
that *begins* with few channels; only the table of pixels is another one.
"""

import numpy as np

from minigen.kernels.jit import kernel, prange

FEW, COLUMNS = 4, 64  # at most so many channels, and so many columns of Z


@kernel
def _fold(z, at, start, y):
    """y[b, q, :] = start + Σ_tap z[b, at[q, tap], tap, :], where at ≥ 0.  Shapes: z (B, P, taps, E), y (B, Q, E)."""
    images, outputs, few = y.shape
    for b in prange(images):
        for q in range(outputs):
            for e in range(few):
                y[b, q, e] = start[e]
            for tap in range(at.shape[1]):
                p = at[q, tap]
                if p >= 0:
                    for e in range(few):
                        y[b, q, e] += z[b, p, tap, e]


def suits(many, few, taps, groups):
    """Is this the better way for so many and so few channels?"""
    return groups == 1 and few <= FEW and many >= 8 and few * taps <= COLUMNS


def table(size, source, taps):
    """at[q, tap] for an image of `size` that collects from one of size `source`.

    taps: for each tap a function (row, column) of q → (row, column) in the source, and where that is a pixel at all.
    """
    row, column = (n.ravel() for n in np.mgrid[: size[0], : size[1]])
    at = np.full((size[0] * size[1], len(taps)), -1, np.int32)
    for index, seen in enumerate(taps):
        y, x, exists = seen(row, column)
        exists = exists & (y >= 0) & (y < source[0]) & (x >= 0) & (x < source[1])
        at[exists, index] = (y * source[1] + x)[exists]
    return at


def fold(z, at, start, y):
    """Collect (see above) into y (B, Q, E), beginning with start (E,)."""
    b, _, e = y.shape
    _fold(z.reshape(b, z.shape[0] // b, at.shape[1], e), at, start, y, work=z.size)
