"""Images put beside each other along their channels, and cut apart, in plain NumPy."""

import numpy as np


def join_channels(first, *others):
    """Images (B, Cᵢ, …), joined along the channels: (B, Σ Cᵢ, …)."""
    return np.concatenate((first, *others), axis=1)


def cut_channels(x, sizes):
    """The adjoint, and the inverse: a list of images with so many of the channels each, views where that can be."""
    return np.split(x, np.cumsum(sizes)[:-1], axis=1)
