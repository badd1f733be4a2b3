"""How well a score separates two kinds of example: the area under the ROC curve (AUROC).

Draw one positive and one negative example at random. The AUROC is the probability that the positive one has the higher
score, a tie counting one half:

    AUROC = P(s⁺ > s⁻) + ½ P(s⁺ = s⁻).                                                                     (M.2)

1 is perfect, ½ is guessing. It depends on the order of the scores only. Counting all n₊ n₋ pairs is slow; ranks do it
in one sort. Let r_i be the rank of example i among all, tied examples sharing the mean of their ranks. A positive
example of rank r beats r − 1 others (ties half), of which the positives among themselves account for n₊(n₊ − 1)/2:

    AUROC = ( Σ_{i positive} r_i − n₊(n₊ + 1)/2 ) / (n₊ n₋).                                                (M.3)

Source: Mann & Whitney 1947; Hanley & McNeil 1982 (the standard error).  Differs: nothing.
"""

import math

import numpy as np

from minigen.errors import DataError, ShapeError


def ranks(values):
    """The rank of each value, from 1, ties sharing the mean of their ranks.

    Shapes:   (n,) → (n,), float64
    """
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)  # the largest rank within each group of equal values
    return (last - (count - 1) / 2)[group]


def auroc(labels, scores):
    """P(a positive example scores higher than a negative one), ties counting ½. Exact, O(n log n).

    Equation: (M.3)                                                                     [lesson 05, exercise 05.5]
    Shapes:   labels (n,) of 0 and 1 (or False and True), scores (n,) → a float in [0, 1]
    Raises:   ShapeError if the shapes differ; DataError if there are NaNs, other labels, or only one kind of example.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ShapeError(f"auroc: labels have shape {labels.shape}, scores {scores.shape}; expected the same, one axis")
    if not np.isin(labels, (0, 1)).all() or np.isnan(scores).any():
        raise DataError("auroc: expected labels 0 and 1 and scores that are not NaN")
    positive = labels.astype(bool)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        raise DataError(f"auroc: {n_positive} positive and {n_negative} negative examples; expected some of each")
    rank_sum = ranks(scores)[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def auroc_error(area, n_positive, n_negative):
    """The standard error of an AUROC measured on n₊ positive and n₋ negative examples.

    Source:   Hanley & McNeil 1982, doi 10.1148/radiology.143.1.7063747.  Differs: nothing.
    """
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (n_positive - 1) * (q1 - area**2) + (n_negative - 1) * (q2 - area**2)
    return math.sqrt(max(spread, 0.0) / (n_positive * n_negative))
