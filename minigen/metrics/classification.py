"""How often a classifier is right, and what it takes for what.

With n independent test examples the share that is right scatters about the true probability p of being right like a
binomial: its standard error is √(p (1 − p) / n).                                                       (M.4)
"""

import math

import numpy as np

from minigen.errors import DataError, ShapeError


def accuracy(labels, predicted):
    """The share of predictions that are right, a float in [0, 1].

    Shapes:   labels (n,), predicted (n,), whole numbers
    Raises:   ShapeError if the shapes differ or there is nothing to count.
    """
    labels, predicted = _pair("accuracy", labels, predicted)
    return float(np.mean(labels == predicted))


def accuracy_error(share, n):
    """The standard error (M.4) of an accuracy `share` that was measured on n examples.

    Raises:   DataError if share is outside [0, 1] or n below 1.
    """
    if not (0 <= share <= 1 and n >= 1):
        raise DataError(f"accuracy_error: share={share}, n={n}; expected 0 ≤ share ≤ 1 and n ≥ 1")
    return math.sqrt(share * (1 - share) / n)


def confusion(labels, predicted, classes):
    """How many examples of class i (row) were taken for class j (column).

    Shapes:   labels (n,), predicted (n,), whole numbers below K → (K, K), int64, sum n
    Raises:   ShapeError if the shapes differ; DataError for a number that is no class.
    """
    labels, predicted = _pair("confusion", labels, predicted)
    for name, values in (("labels", labels), ("predicted", predicted)):
        if values.min() < 0 or values.max() >= classes:
            raise DataError(f"confusion: {name} go from {values.min()} to {values.max()}, but there are {classes} "
                            f"classes; expected 0 … {classes - 1}")
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def _pair(name, labels, predicted):
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    kinds = labels.dtype.kind + predicted.dtype.kind
    if labels.ndim != 1 or labels.shape != predicted.shape or not labels.size or not set(kinds) <= set("iub"):
        raise ShapeError(f"{name}: labels {labels.shape} of {labels.dtype} and predicted {predicted.shape} of "
                         f"{predicted.dtype}; expected the same shape (n,) with n ≥ 1 and whole numbers")
    return labels, predicted
