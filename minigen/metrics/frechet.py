"""The Fréchet distance: how far two clouds of points are apart if each is replaced by a Gaussian.

How much must be moved, and how far, to turn one distribution into the other? Couple x ~ N(m₁, S₁) and y ~ N(m₂, S₂) so
that they lie as close as possible. With C = Cov(x, y),

    E|x − y|² = |m₁ − m₂|² + tr S₁ + tr S₂ − 2 tr C,                                                     (8.34)

and C is free, except that the joint covariance must be one. That is so exactly for C = S₁^½ K S₂^½ where the matrix K
has no singular value above 1 (a matrix of correlations). Now tr C = tr(K S₂^½ S₁^½). Write S₂^½ S₁^½ = U D Vᵀ with
singular values D: tr(K U D Vᵀ) = Σ_i D_i (Vᵀ K U)_ii, at most Σ_i D_i, and K = V Uᵀ reaches it. The singular values of
S₂^½ S₁^½ are the square roots of the eigenvalues of S₁^½ S₂ S₁^½, so the least value of (8.34) is

    d² = |m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁^½ S₂ S₁^½)^½).                                                  (8.35)

If S₁ and S₂ commute, with eigenvalues a_i and b_i on common axes, it is |m₁ − m₂|² + Σ_i (√a_i − √b_i)².      (8.36)

Of features of pictures (`features.py`), with mean and covariance estimated from n and m of them, it is the FID. It sees
two moments and nothing else: distributions that are not Gaussian can differ at distance 0.

**Bias.** Estimated moments are never equal, so d² between samples of the *same* distribution is not 0 but, on average,

    E d² ≈ (1/n + 1/m) · ( (5/4) Σ_i λ_i + ½ Σ_ij λ_i λ_j / (λ_i + λ_j) ),                               (8.37)

λ the eigenvalues of the common covariance. (The means differ by a variance of λ_i (1/n + 1/m) on axis i. For
covariances S + Δ/2 and S − Δ/2, (8.35) is ½ Σ_ij Δ_ij²/(λ_i + λ_j) to second order, and entries of estimated
covariances of Gaussians have E Δ_ij² = (1/n + 1/m) (λ_i λ_j + [i = j] λ_i²).) For S = I it is (1/n + 1/m) F (F + 5)/4:
with F = 64, 500 points are 3.3 away from 1,000 of the same law. (The tests measure it.) So compare only figures of
equal n and m, and put beside them the figure of real pictures that were held out.

Sources: Dowson & Landau 1982 (8.35); Heusel et al. 2017, arXiv:1706.08500 (FID); Bińkowski et al. 2018,
arXiv:1801.01401 (it is biased).  Differs: the features are not Inception's; (8.37) is ours.
"""

import numpy as np

from minigen.errors import DataError, ShapeError


def frechet_distance(x, y):
    """d² between the Gaussians that have the means and covariances of two sets of features, in their units squared.

    Equation: (8.35), covariances with n − 1. Biased upwards by about (8.37), see `expected_bias`.
    Shapes:   x (n, F), y (m, F) → a float
    Raises:   ShapeError unless both have two axes, the same F and at least two rows.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2 or not x.shape[1]:
        raise ShapeError(f"frechet_distance: features {x.shape} and {y.shape}; expected (n, F) and (m, F) with n and m "
                         "at least 2")
    return gaussian_distance(*moments(x), *moments(y))


def moments(x):
    """Mean and covariance (with n − 1) of points.  Shapes: (n, F) → (F,), (F, F)"""
    mean = x.mean(axis=0)
    return mean, (x - mean).T @ (x - mean) / (len(x) - 1)


def gaussian_distance(mean1, covariance1, mean2, covariance2):
    """d² between N(m₁, S₁) and N(m₂, S₂): the squared Fréchet (Wasserstein-2) distance.

    Equation: (8.35)
    Shapes:   means (F,), covariances (F, F) → a float, not negative
    Raises:   ShapeError if the shapes do not fit; DataError if a covariance is not symmetric or has an eigenvalue that
              is negative by more than rounding.
    """
    mean1, mean2, covariance1, covariance2 = (
        np.asarray(value, dtype=np.float64) for value in (mean1, mean2, covariance1, covariance2))
    shapes = [mean1.shape, covariance1.shape, mean2.shape, covariance2.shape]
    size = mean1.shape[0] if mean1.ndim == 1 else 0
    if not size or shapes != [(size,), (size, size), (size,), (size, size)]:
        raise ShapeError(f"gaussian_distance: means and covariances {', '.join(map(str, shapes))}; expected (F,), (F, "
                         "F), (F,), (F, F)")
    # The eigenvalues of S₁^½ S₂ S₁^½ are the squares of these singular values, which come without the rounding errors
    # that a square root makes large.
    roots = np.linalg.svd(square_root(covariance1) @ square_root(covariance2), compute_uv=False)  # (F,)
    spread = np.trace(covariance1) + np.trace(covariance2) - 2 * roots.sum()
    return max(0.0, float(np.sum((mean1 - mean2) ** 2) + spread))


def square_root(matrix):
    """The symmetric S^½ with S^½ S^½ = S, of a symmetric matrix without negative eigenvalues: V √Λ Vᵀ.

    Shapes:   (F, F) → (F, F)
    Raises:   DataError if it is not symmetric or has an eigenvalue that is negative by more than rounding.
    """
    size = np.abs(matrix).max()
    values, vectors = np.linalg.eigh(matrix)
    asymmetry = np.abs(matrix - matrix.T).max()
    if not (asymmetry <= 1e-8 * size and values[0] >= -1e-8 * size):
        raise DataError(f"square_root: asymmetry {asymmetry:.3g}, least eigenvalue {values[0]:.3g}; "
                        "expected a covariance: symmetric, no eigenvalue below 0")
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def expected_bias(covariance, n, m):
    """What `frechet_distance` gives on average for n and m points of one Gaussian, for n and m well above F.

    Equation: (8.37)
    Shapes:   covariance (F, F) → a float
    """
    values = np.maximum(np.linalg.eigvalsh(np.asarray(covariance, dtype=np.float64)), 1e-300)
    pairs = values[:, None] * values / (values[:, None] + values)  # (F, F)
    return (1 / n + 1 / m) * float(1.25 * values.sum() + 0.5 * pairs.sum())
