"""Exercises done with one thing wrong: what several entries of an exercise's list of mistakes have in common.

Each is the right computation with a choice left open, so that a `Mistake` can make that choice wrongly.
"""

import numpy as np


def shifted(log_weights, shift):
    """log (1/k) Σ w with `shift` taken out of the exponential: stable only if that is each example's maximum."""
    return shift + np.log(np.mean(np.exp(log_weights - shift), axis=0))


def ppca(x, latent, *, centre=None, count=None, keep=None, variance=None, subtract=True, root=True, rows=False):
    """The closed form (5.11), with one step done otherwise.

    centre:    what to subtract from x, by default the mean of each column
    count:     what to divide xᵀx by, by default the number of examples
    keep:      which of the ascending eigenvalues to keep, by default the last
    variance:  eigenvalues → σ²
    subtract:  whether σ² is subtracted from the kept eigenvalues;   root: whether the square root is taken
    rows:      take eigenvectors from the rows of the matrix of eigenvectors
    """
    centred = x - (x.mean(axis=0) if centre is None else centre)
    values, vectors = np.linalg.eigh(centred.T @ centred / (len(x) if count is None else count))
    chosen = slice(-latent, None) if keep is None else keep
    noise = values[:-latent].mean() if variance is None else variance(values)
    scale = np.maximum(values[chosen] - noise, 0) if subtract else values[chosen]
    return (vectors.T if rows else vectors)[:, chosen] * (np.sqrt(scale) if root else scale), noise


def pairs(labels, scores, tie):
    """The AUROC by counting pairs, where a tie counts `tie`."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    difference = positive[:, None] - negative
    return np.mean((difference > 0) + tie * (difference == 0))


def accuracy(labels, scores):
    """The share that one threshold, the median, puts on the right side."""
    return np.mean((scores > np.median(scores)) == labels)


def rank_sum(labels, scores):
    """The AUROC from ranks in which a tie is broken by position, as argsort does."""
    order = np.argsort(np.argsort(scores, kind="stable")) + 1
    n = labels.sum()
    return (order[labels == 1].sum() - n * (n + 1) / 2) / (n * (len(labels) - n))
