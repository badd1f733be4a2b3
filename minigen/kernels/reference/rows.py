"""Softmax and its relatives along one axis, in plain NumPy."""

import numpy as np


def softmax(x, axis):
    """eˣ / Σ eˣ; the largest x is taken out first, so nothing overflows."""
    y = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return y / np.sum(y, axis=axis, keepdims=True)


def softmax_backward(g, y, axis):
    """y (g − Σ g y) for y = softmax(x)."""
    return y * (g - np.sum(g * y, axis=axis, keepdims=True))


def log_softmax(x, axis):
    """x − log Σ eˣ."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def log_softmax_backward(g, y, axis):
    """g − eʸ Σ g for y = log_softmax(x)."""
    return g - np.exp(y) * np.sum(g, axis=axis, keepdims=True)


def logsumexp(x, axis):
    """log Σ eˣ along an axis (or several, or None for all), which is kept with length 1. All −∞ gives −∞."""
    largest = np.max(x, axis=axis, keepdims=True)
    if np.isfinite(largest).all():
        return np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    largest = np.where(np.isfinite(largest), largest, 0).astype(x.dtype)  # ∞ − ∞ would be NaN
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest


def logsumexp_backward(g, x, y, axis):
    """g e^(x − y) for y = logsumexp(x); g and y with the axis kept."""
    return g * np.exp(x - y)
