"""The matrix product, and a copy in C order, in plain NumPy."""

import numpy as np


def matrix_product(a, b, bias=None):
    """A B + bias.  Shapes: (m, k), (k, n), (n,) → (m, n)"""
    c = np.matmul(a, b)
    if bias is not None:
        c += bias
    return c


def contiguous(x):
    """x in C order: itself if it is so already, else a copy."""
    return np.ascontiguousarray(x)
