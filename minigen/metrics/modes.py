"""Modes: does a model reach every hill of the data, does it stay on the hills, and does it share its samples fairly?

The data are a mixture of K round Gaussians whose means μ_k, width σ and weights p_k are known (`data/toy2d.py`: ring,
grid). Each sample x belongs to the mode whose mean is nearest,

    a(x) = argmin_k |x − μ_k|,                                                                           (8.31)

and is of *high quality* if it lies within three widths of it: |x − μ_a(x)| ≤ 3σ. In the plane a true sample does so
with probability

    1 − e^(−9/2) = 0.9889,                                                                               (8.32)

since |x − μ|²/σ² is a sum of two squared normals, hence exponential with mean 2. A mode is *captured* if it is a(x) of
at least one sample of high quality. One sample is little: a model that has all but lost a mode still captures it. So
the histogram q_k, the share of all samples that belong to mode k, is compared with the true weights as well,

    KL(q ‖ p) = Σ_k q_k log(q_k / p_k),                                                                  (8.33)

in nats, with 0 log 0 = 0. It is finite whatever modes are missing. All samples on one of 25 equal modes cost log 25 =
3.22; j modes of K equal ones, evenly used, cost log(K/j). The truth itself does not reach 0: n true samples have about
(K − 1)/(2n) on average, by the expansion of (8.33) to second order in q − p (2 n KL is Pearson's χ², with K − 1 degrees
of freedom): 0.005 for 2,500 samples of 25 modes.

Protocol for the published figures: 2,500 samples, several seeds (VEEGAN: five runs, PacGAN: ten).

Sources: high quality and captured: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761; the reverse KL over modes: Lin et
al. 2017 (PacGAN), arXiv:1712.04086.  Differs: nothing in (8.31) and (8.33). VEEGAN says "within three standard
deviations", PacGAN's program takes strictly less; for continuous samples that is the same.
"""

from typing import NamedTuple

import numpy as np

from minigen.errors import DataError, ShapeError


class Modes(NamedTuple):
    """What `count_modes` finds.

    captured:      how many modes are nearest to at least one sample of high quality
    high_quality:  the share of samples of high quality, in [0, 1]
    reverse_kl:    KL(q ‖ p) over the modes, in nats, from all samples
    counts:        (K,) samples that belong to each mode, all qualities
    """

    captured: int
    high_quality: float
    reverse_kl: float
    counts: np.ndarray


def count_modes(samples, means, sigma, weights=None, *, within=3.0):
    """Modes captured, share of high-quality samples, and the reverse KL over the modes.

    Equation: (8.31) to (8.33)
    Shapes:   samples (n, D), means (K, D), sigma a number, weights (K,) (equal by default) → Modes
    Raises:   ShapeError if the shapes do not fit or there is no sample; DataError for a NaN among the samples, a sigma
              that is not positive, or as in `reverse_kl`.
    """
    samples, means = np.asarray(samples, dtype=np.float64), np.asarray(means, dtype=np.float64)
    if samples.ndim != 2 or means.ndim != 2 or samples.shape[1] != means.shape[1] or not samples.size or not means.size:
        raise ShapeError(f"count_modes: samples {samples.shape} and means {means.shape}; expected (n, D) and (K, D) "
                         "with n and K at least 1")
    if np.isnan(samples).any() or not sigma > 0:
        raise DataError(f"count_modes: {np.isnan(samples).any(axis=1).sum()} samples are NaN, sigma is {sigma}; "
                        "expected no NaN and a positive sigma")
    nearest, distance = np.empty(len(samples), dtype=np.int64), np.empty(len(samples))
    for start in range(0, len(samples), 10_000):  # a few rows at a time, so that (rows, K, D) stays small
        rows = slice(start, start + 10_000)
        between = np.linalg.norm(samples[rows, None] - means, axis=2)  # (rows, K)
        nearest[rows], distance[rows] = between.argmin(axis=1), between.min(axis=1)  # (8.31)
    good = distance <= within * sigma
    counts = np.bincount(nearest, minlength=len(means))
    return Modes(len(np.unique(nearest[good])), float(good.mean()), reverse_kl(counts, weights), counts)


def reverse_kl(counts, weights=None):
    """KL of a histogram from the true weights, KL(q ‖ p), in nats.

    Equation: (8.33), q the counts divided by their sum
    Shapes:   counts (K,), weights (K,) (equal by default; divided by their sum) → a float
    Raises:   ShapeError if the shapes differ; DataError if nothing was counted, or a weight is not positive.
    """
    counts = np.asarray(counts, dtype=np.float64)
    weights = np.ones(counts.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if counts.ndim != 1 or counts.shape != weights.shape:
        raise ShapeError(f"reverse_kl: counts {counts.shape} and weights {weights.shape}; expected the same shape (K,)")
    if not (counts.sum() > 0 and counts.min() >= 0 and weights.min() > 0):
        raise DataError(f"reverse_kl: counts from {counts.min():g} with sum {counts.sum():g}, weights from "
                        f"{weights.min():g}; expected counts from 0 up, some above it, and weights above 0")
    q, p = counts / counts.sum(), weights / weights.sum()
    some = q > 0
    return max(0.0, float(np.sum(q[some] * np.log(q[some] / p[some]))))
