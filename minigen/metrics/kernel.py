"""Kernel distances: two clouds of points are alike if, seen through a kernel, they are alike on average.

A *kernel* k(x, y) is a number that is large for similar points and can be written as a scalar product ⟨φ(x), φ(y)⟩ of
some vectors φ. The squared distance of the mean vectors of two distributions p and q is the *maximum mean discrepancy*

    MMD² = |E φ(x) − E φ(y)|² = E k(x, x′) + E k(y, y′) − 2 E k(x, y),                                   (8.41)

x, x′ drawn from p, y, y′ from q, all independent: φ itself is not needed. From n and m samples

    MMD²_u = Σ_{i≠j} k(x_i, x_j) / n(n−1) + Σ_{i≠j} k(y_i, y_j) / m(m−1) − 2 Σ_ij k(x_i, y_j) / nm.       (8.42)

Leaving out i = j makes every sum an average over independent pairs, so the mean of (8.42) is (8.41) exactly, for every
n (a *U-statistic*). The Fréchet distance has no such estimator. The price: where MMD² is nearly 0, the estimate may
fall below 0, and must be allowed to.

Two kernels:

    RBF          k(x, y) = mean over bandwidths b of exp(−|x − y|² / 2b²),                               (8.43)

which can tell any two distributions apart, given samples enough. It looks at differences on the scale b; a good first b
is the median distance between points (the *median heuristic*). Several b look at several scales.

    polynomial   k(x, y) = (x·y / F + 1)³,                                                               (8.44)

F the number of features. Its φ are all products of up to three features, so MMD² compares means, covariances and third
moments. On features of pictures it is the *kernel distance*, KID. It is 0 in the mean for equal distributions, so its
figures for different numbers of samples can be compared.

**How sure is it?** Cut both sets into blocks, take (8.42) of each pair of blocks, and average. The blocks have no
sample in common, so their scatter gives an honest standard error; the average is as unbiased as (8.42) on all samples
at once, only noisier, and costs n·block in place of n² evaluations of the kernel.

Sources: Gretton et al. 2012, "A kernel two-sample test", JMLR 13 (8.41, 8.42, the median); Zaremba et al. 2013,
arXiv:1307.1954 (blocks); Bińkowski et al. 2018, arXiv:1801.01401 (KID).  Differs: KID as published averages 100 random
subsets of 1,000 pictures, which overlap, so that their scatter says too little. Ours is (8.42) on all samples, with the
standard error of disjoint blocks. The features are not Inception's.
"""

import numpy as np

from minigen.errors import DataError, ShapeError
from minigen.metrics.likelihood import Estimate, estimate


def rbf(*bandwidths):
    """The kernel (8.43) as a function of x (n, F) and y (m, F) that returns k of all pairs, (n, m).

    Raises:   DataError unless there is a bandwidth and all are positive.
    """
    if not bandwidths or not min(bandwidths) > 0:
        raise DataError(f"rbf: bandwidths {bandwidths}; expected one or more positive numbers")

    def kernel(x, y):
        squares = np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)  # (n, m)
        return sum(np.exp(-squares / (2 * b**2)) for b in bandwidths) / len(bandwidths)

    return kernel


def polynomial(x, y):
    """The kernel (8.44) of all pairs.  Shapes: x (n, F), y (m, F) → (n, m)"""
    return (x @ y.T / x.shape[1] + 1) ** 3


def median_distance(x, y, *, most=2000):
    """The median distance between two different points of the pooled samples: a bandwidth for `rbf`.

    most:     with more points than that, as many evenly spaced rows of the pool stand for all.
    Shapes:   x (n, F), y (m, F) → a float
    Raises:   ShapeError as `mmd`; DataError if most points are the same, so that the median is 0.
    """
    pool = np.concatenate(_pair("median_distance", x, y))
    pool = pool[np.linspace(0, len(pool) - 1, min(most, len(pool))).astype(np.int64)]
    pool = pool - pool.mean(axis=0)
    squares = (pool**2).sum(1)[:, None] + (pool**2).sum(1) - 2 * pool @ pool.T
    median = float(np.median(np.sqrt(np.maximum(squares[np.triu_indices(len(pool), 1)], 0))))
    if not median > 0:
        raise DataError("median_distance: at least half of the pairs of points coincide; give rbf a bandwidth yourself")
    return median


def mmd(x, y, kernel, *, rows=1000):
    """MMD² from samples, unbiased: it may be negative.

    Equation: (8.42)
    kernel:   a function as `rbf(b)` or `polynomial`.
    rows:     so many rows of the table of all pairs are in memory at a time.
    Shapes:   x (n, F), y (m, F) → a float
    Raises:   ShapeError unless both have two axes, the same F and at least two rows.
    """
    x, y = _pair("mmd", x, y)

    def total(a, b, leave_out):
        """Σ_ij k(a_i, b_j), without i = j if a and b are the same set."""
        found = 0.0
        for start in range(0, len(a), rows):
            table = kernel(a[start : start + rows], b)  # (rows, m)
            found += table.sum() - (np.trace(table, offset=start) if leave_out else 0.0)
        return found

    n, m = len(x), len(y)
    within = total(x, x, True) / (n * (n - 1)) + total(y, y, True) / (m * (m - 1))
    return float(within - 2 * total(x, y, False) / (n * m))


def block_mmd(x, y, kernel, *, blocks=10, rng):
    """MMD² as the average of (8.42) over disjoint random blocks, an Estimate with its standard error.

    blocks:   how many; each takes 1/blocks of x and of y.
    Shapes:   x (n, F), y (m, F) → Estimate
    Raises:   ShapeError as `mmd`, or if a block would have fewer than two rows, or there are fewer than two blocks.
    """
    x, y = _pair("block_mmd", x, y)
    if blocks < 2 or min(len(x), len(y)) < 2 * blocks:
        raise ShapeError(f"block_mmd: {blocks} blocks of {len(x)} and {len(y)} rows; expected at least 2 blocks with "
                         "at least 2 rows each")
    pieces = zip(*(np.array_split(points[rng.permutation(len(points))], blocks) for points in (x, y)), strict=True)
    return estimate([mmd(a, b, kernel) for a, b in pieces])


def kernel_distance(x, y, *, blocks=10, rng):
    """The kernel distance (KID) of two sets of features: MMD² with the polynomial kernel.

    Equation: (8.42) with (8.44). The mean is that of all samples, the standard error that of `blocks` disjoint blocks,
              which is too large rather than too small.
    Shapes:   x (n, F), y (m, F) → Estimate
    Raises:   ShapeError as `block_mmd`.
    """
    return Estimate(mmd(x, y, polynomial), block_mmd(x, y, polynomial, blocks=blocks, rng=rng).error)


def _pair(name, x, y):
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2 or not x.shape[1]:
        raise ShapeError(f"{name}: samples {x.shape} and {y.shape}; expected (n, F) and (m, F) with n and m at least 2")
    return x, y
