"""Rows of a table, picked and put back, in plain NumPy."""

import numpy as np


def take_rows(table, index):
    """table[index] for an array of whole numbers.  (V, …), (…) → (…, …)"""
    return table[index]


def add_rows(g, index, shape):
    """The adjoint: a table of `shape`, zero but for the rows of g added at `index`, in their order."""
    table = np.zeros(shape, g.dtype)
    np.add.at(table, index, g)
    return table
