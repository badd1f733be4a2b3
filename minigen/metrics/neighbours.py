"""Neighbours: precision, recall, density and coverage of samples; and whether they are copies of the training set.

One distance mixes two failures: samples that are no good, and good samples that are all alike. Neighbours tell them
apart. Let x_1 … x_n be real points and y_1 … y_m samples (features of pictures). Around each real point draw a ball
whose radius r_k(x_i) is the distance to its k-th nearest other real point: the union of these balls B(x_i) is a picture
of where the data are. Draw balls of radius r_k(y_j) around the samples likewise, the distance to the k-th nearest other
sample. Then

    precision = 1/m Σ_j [ y_j lies in some B(x_i) ]              are the samples where the data are?      (8.51)
    recall    = 1/n Σ_i [ x_i lies in some B(y_j) ]              are the data where the samples are?      (8.52)

with [·] = 1 if true, else 0. A real point far from all others has a huge ball, and one such outlier makes bad samples
look precise; samples strewn far and wide have huge balls, too, and make the recall look perfect. Counting balls in
place of asking for one, and asking about the balls of real points only, cures that:

    density   = 1/(k m) Σ_j Σ_i [ y_j ∈ B(x_i) ]                 in how many balls, of k?                 (8.53)
    coverage  = 1/n Σ_i [ some y_j ∈ B(x_i) ]                    what share of balls holds a sample?      (8.54)

Density may exceed 1 (samples that crowd where the data are densest); the others are shares. If both distributions are
one, two of the averages are known, whatever it is. Seen from x_i, the n − 1 other real points and any sample come in
every order with equal probability, so the sample is nearer than the k-th of them with probability k/n, and the density
is 1. The ball of x_i holds no sample if the k nearest of all n − 1 + m others are real:

    coverage = 1 − Π_{i=1…k} (n − i)/(n + m − i) ≈ 1 − 2^(−k) for n = m,                                 (8.55)

0.97 for k = 5. Precision and recall depend on distribution, dimension and n; a figure alone says little. Look at the
same figures of real points that were held out.

**Copies.** A model that repeats its training set has a perfect precision, recall, density and coverage. It shows in the
distances to the nearest neighbours, of a sample to the training set and to real points that were held out:

    ratio  = median over samples y of  min_i |y − train_i| / min_i |y − held out_i|,                     (8.56)
    copied = P( a sample lies nearer to the training set than a held-out point does ),  ties ½.          (8.57)

Copies have ratio 0 and copied 1. A model that has learnt the distribution has copied = ½, and its ratio is that of the
held-out points themselves (each measured against the others): 1 if both sets are of a size, less if the training set is
larger.  A model that draws nothing like the data has copied near 0: that is no merit.

Sources: Kynkäänniemi et al. 2019, arXiv:1904.06991 (8.51, 8.52); Naeem et al. 2020, arXiv:2002.09797 (8.53, 8.54);
Meehan et al. 2020, arXiv:2004.05675 (8.57, as a test statistic in cells of the space).  Differs: a point on the edge of
a ball is outside, as in Naeem's program (Kynkäänniemi has it inside); (8.57) is over all space, not in cells.
"""

from typing import NamedTuple

import numpy as np

from minigen.errors import DataError, ShapeError
from minigen.metrics.ranking import auroc

CELLS = 4_000_000  # of the table of distances that are in memory at a time: 32 MB
EDGE = 1e-9  # squared distances that differ by less, relatively, are equal: rounding must not decide


class Scores(NamedTuple):
    """Precision (8.51), recall (8.52), density (8.53), coverage (8.54)."""

    precision: float
    recall: float
    density: float
    coverage: float


class Copying(NamedTuple):
    """Whether samples are copies: the ratio (8.56) and the share `copied` (8.57)."""

    ratio: float
    copied: float


def nearest(queries, references, k=1, *, leave_out_self=False):
    """The k nearest references of each query, nearest first: distances and which they are.

    All pairs are compared, a block of queries at a time, so the memory is bounded. Blocks come from
    |a − b|² = |a|² + |b|² − 2 a·b, one matrix product; the distances of those found are then computed anew from a − b,
    without the cancellation, so a copy has distance 0. Which one is reported of references equally near is open.

    leave_out_self:  the queries *are* the references, and none is its own neighbour.
    Shapes:   queries (n, D), references (m, D) → distances (n, k), float64; indices (n, k), int64
    Raises:   ShapeError if the shapes do not fit or there are fewer than k references; DataError for a NaN.
    """
    queries, references = _pair("nearest", queries, references)
    if leave_out_self and len(queries) != len(references):
        raise ShapeError(f"nearest: {len(queries)} queries and {len(references)} references; with leave_out_self they "
                         "are the same points")
    if not 1 <= k <= len(references) - leave_out_self:
        raise ShapeError(f"nearest: k={k} of {len(references)} references{' without itself' * leave_out_self}; "
                         "expected at least 1 and at most all")
    distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    for rows, squares in _blocks(queries, references):
        if leave_out_self:
            squares[np.arange(len(squares)), np.arange(len(queries))[rows]] = np.inf
        found = np.argpartition(squares, k - 1, axis=1)[:, :k]  # (rows, k), in no order
        exact = np.linalg.norm(queries[rows, None] - references[found], axis=2)
        order = exact.argsort(axis=1, kind="stable")
        distances[rows] = np.take_along_axis(exact, order, axis=1)
        indices[rows] = np.take_along_axis(found, order, axis=1)
    return distances, indices


def manifold_scores(real, samples, k=5):
    """Precision, recall, density and coverage of samples against real points.

    Equation: (8.51) to (8.54)
    k:        which neighbour gives a ball its radius: 5 in Naeem et al., 3 in Kynkäänniemi et al.
    Shapes:   real (n, D), samples (m, D) → Scores
    Raises:   ShapeError unless both have the same D and more than k rows; DataError for a NaN.
    """
    real, samples = _pair("manifold_scores", real, samples)
    if not 1 <= k < min(len(real), len(samples)):
        raise ShapeError(f"manifold_scores: k={k} with {len(real)} real points and {len(samples)} samples; expected "
                         "more than k of each")
    real_radius = nearest(real, real, k, leave_out_self=True)[0][:, -1]  # (n,)
    sample_radius = nearest(samples, samples, k, leave_out_self=True)[0][:, -1]  # (m,)
    balls = np.zeros(len(samples), dtype=np.int64)  # how many real balls hold each sample
    held, reached = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    for rows, squares in _blocks(samples, real):  # (rows, n)
        inside = squares < real_radius**2 * (1 - EDGE)
        balls[rows] = inside.sum(axis=1)
        held |= inside.any(axis=0)
        reached |= (squares < sample_radius[rows, None] ** 2 * (1 - EDGE)).any(axis=0)
    return Scores(float((balls > 0).mean()), float(reached.mean()), float(balls.mean() / k), float(held.mean()))


def copying(samples, train, held_out):
    """Are samples nearer to the training set than they should be?

    Equation: (8.56), (8.57)
    Shapes:   samples (n, D), train (m, D), held_out (l, D) → Copying
    Raises:   ShapeError if the shapes do not fit; DataError for a NaN.
    """
    to_train, to_held_out = nearest(samples, train)[0][:, 0], nearest(samples, held_out)[0][:, 0]
    return _compare(to_train, to_held_out, nearest(held_out, train)[0][:, 0])


def copying_floor(train, held_out):
    """What `copying` gives for a perfect model, from the held-out points alone: each is compared with the others.

    Shapes:   train (m, D), held_out (l, D) with l at least 2 → Copying; `copied` is ½ by its definition
    Raises:   as `copying`
    """
    to_train = nearest(held_out, train)[0][:, 0]
    return _compare(to_train, nearest(held_out, held_out, leave_out_self=True)[0][:, 0], to_train)


def _compare(to_train, to_held_out, usual):
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(to_train == to_held_out, 1.0, to_train / to_held_out)  # 0/0 is a tie
    labels = np.repeat([1, 0], [len(usual), len(to_train)])
    return Copying(float(np.median(ratios)), auroc(labels, np.concatenate([usual, to_train])))


def _blocks(queries, references):
    """Pairs of a slice of the queries and their squared distances to all references, (rows, m), in blocks of CELLS."""
    centre = references.mean(axis=0)  # distances do not change, and smaller numbers lose fewer digits
    queries, references = queries - centre, references - centre
    lengths = (references**2).sum(axis=1)
    height = max(1, CELLS // max(references.shape))
    for start in range(0, len(queries), height):
        rows = slice(start, min(start + height, len(queries)))
        squares = queries[rows] @ references.T
        squares *= -2
        squares += lengths
        squares += (queries[rows] ** 2).sum(axis=1)[:, None]
        yield rows, np.maximum(squares, 0, out=squares)


def _pair(name, x, y):
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise ShapeError(f"{name}: points {x.shape} and {y.shape}; expected (n, D) and (m, D), none empty")
    if np.isnan(x).any() or np.isnan(y).any():
        raise DataError(f"{name}: {np.isnan(x).any(1).sum()} and {np.isnan(y).any(1).sum()} of {len(x)} and {len(y)} "
                        "points are NaN; expected none")
    return x, y
