"""Losses in plain NumPy: (result, extras) forward, gradients backward."""

import numpy as np

from minigen.kernels.reference.elementwise import sigmoid
from minigen.kernels.reference.rows import logsumexp


def cross_entropy(logits, *, target):
    """−log softmax(logits)[target], the classes on axis 1; extras: the log-sum-exp, with axis 1 kept."""
    lse = logsumexp(logits, 1)
    return (lse - np.take_along_axis(logits, target[:, None], axis=1))[:, 0], (lse,)


def cross_entropy_backward(g, logits, lse, *, target):
    """softmax − onehot: predicted minus true probabilities."""
    gradient = np.exp(logits - lse)
    index = target[:, None]
    np.put_along_axis(gradient, index, np.take_along_axis(gradient, index, axis=1) - 1, axis=1)
    gradient *= g[:, None]
    return (gradient,)


def bce_with_logits(logits, target):
    """−target·log σ(l) − (1 − target)·log σ(−l) = max(l, 0) − l·target + log(1 + e^−|l|), elementwise."""
    return np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits))), ()


def bce_with_logits_backward(g, logits, target):
    """σ(l) − target, and −l for the target."""
    return g * (sigmoid(logits) - target), -g * logits


def mse(x, target):
    """(x − target)², elementwise."""
    difference = x - target
    return difference * difference, ()


def mse_backward(g, x, target):
    """2 (x − target), with opposite signs."""
    gradient = 2 * g * (x - target)
    return gradient, -gradient
