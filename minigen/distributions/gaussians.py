"""K Gaussians and B points at once, on plain float64 arrays: all log densities, all weighted means and covariances.

The logarithm of a Gaussian with mean μ and precision P = Σ⁻¹ is linear in x and in the products x_i x_j. With c any
centre, y = x − c and m = μ − c,

    log N(x; μ, Σ) = (P m) · y − ½ Σ_ij P_ij y_i y_j + const,                                         (D.2)

so one matrix product with the *features* (y_i, and y_i y_j for i ≤ j) of all points gives all B · K values. The same
features give all weighted averages in one product more, since

    E[(x − μ)(x − μ)ᵀ] = E[y yᵀ] − m mᵀ.                                                              (D.3)

Arrays of shape (B, K, D, D), or even (B, K, D), are never made, and the features are made for a few rows at a time,
which stay in the processor's cache. Both formulas subtract large numbers for a narrow Gaussian far from c: about as
many digits are lost as m² / variance has. Past NARROW those few components are done from x − μ itself, one by one.

A set of covariances has one of scikit-learn's four types. Given from outside they are (K, D, D) "full", (D, D) "tied"
(one for all), (K, D) "diag", (K,) "spherical"; in here (K, D, D), (1, D, D), (K, D), (K, 1), which broadcast.
"""

import math

import numpy as np
from scipy.linalg.lapack import dtrtri

from minigen.errors import DataError, ShapeError, TrainingError

TYPES = ("full", "tied", "diag", "spherical")
LOG_2PI = math.log(2 * math.pi)
BLOCK = 125_000  # numbers in the features of a slice: 1 MB, and columns that are not a power of two apart
NARROW = 1e5  # m² / variance
WIDE = 16  # D from which K products of D × D are quicker than features, whose number grows as D²


def log_densities(x, means, covariances, covariance):
    """log N(x_b; μ_k, Σ_k), in nats, (D.2).

    Shapes:   x (B, D), means (K, D), covariances by type → (B, K)
    Raises:   TrainingError if a covariance is not positive definite.
    """
    x = points("log_densities", x, width=means.shape[1])
    root, peaks, widths = roots(means, covariances, covariance)
    components, width = means.shape
    matrices = root.ndim == 3
    diagonal = np.einsum("kdd->kd", root) if matrices else np.broadcast_to(root, means.shape)
    scale = np.log(diagonal).sum(1) - 0.5 * width * LOG_2PI  # (K,): log N at its own mean
    centre = means.mean(axis=0)
    m = means - centre
    one_by_one = (peaks * (m**2 + widths)).max(1) > NARROW
    if matrices and width > WIDE:
        one_by_one[:] = True
    if not one_by_one.all():
        coefficients, constant = _coefficients(root, peaks, m)
        constant += scale
    logs = np.empty((components, len(x)))  # a row per component: sums over components then run along long rows
    plain = "none" if one_by_one.all() else covariance
    for rows, features in _features(x, centre, plain):
        if not one_by_one.all():
            logs[:, rows] = coefficients @ features.T + constant[:, None]
        for k in np.flatnonzero(one_by_one):
            gap = x[rows] - means[k]
            white = gap @ root[k].T if matrices else gap * root[k]
            logs[k, rows] = scale[k] - 0.5 * np.einsum("bd,bd->b", white, white)
    return logs.T


def moments(x, r, covariance):
    """Means and covariances of the points, each point b counted r_bk times for component k, (D.3).

    Tied: the average of the K covariances, each counted Σ_b r_bk times; spherical: the average over the diagonal.

    Shapes:   x (B, D), r (B, K) → means (K, D), covariances (K, D, D), (1, D, D), (K, D) or (K, 1)
    """
    size, width = x.shape
    tied, matrices = covariance == "tied", covariance in ("full", "tied")
    centre = np.full(size, 1 / size) @ x
    i, j = np.triu_indices(width)
    first, second = 0.0, 0.0
    by_matrix = matrices and width > WIDE
    for rows, features in _features(x, centre, "none" if by_matrix else covariance):
        share = r[rows].T  # (K, rows)
        shared = share.sum(0, keepdims=True) if tied else share
        y = features[:, :width]
        first = first + share @ y  # (K, D)
        if by_matrix:
            second = second + np.stack([((s[:, None] * y).T @ y)[i, j] for s in shared])  # (K or 1, Q)
        else:
            second = second + shared @ features[:, width:]
    counts = r.sum(axis=0)[:, None]
    m = first / counts
    of_means = next(_features(m, 0.0, covariance))[1][:, width:]  # (K, Q)
    if tied:
        spread = (second - counts.T @ of_means) / counts.sum()
    else:
        spread = second / counts - of_means
    means = centre + m
    if matrices:
        covariances = np.empty((len(spread), width, width))
        covariances[:, i, j] = covariances[:, j, i] = spread
    else:
        covariances = spread / (width if covariance == "spherical" else 1)
    narrow = (m**2 > NARROW * variances(covariances)).any(axis=1)
    if tied and narrow.any():
        covariances = sum(r[:, k].sum() * _about(means[k], x, r[:, k], covariance) for k in range(len(m)))
        covariances = covariances[None] / counts.sum()
    elif not tied:
        for k in np.flatnonzero(narrow):
            covariances[k] = _about(means[k], x, r[:, k], covariance)
    return means, covariances


def roots(means, covariances, covariance):
    """Roots R_k with Σ_k⁻¹ = R_kᵀ R_k, and the diagonals of Σ_k⁻¹ and Σ_k.

    Shapes:   full and tied (K, D, D), (K, D), (K, D); diag three times (K, D), spherical three times (K, 1)
    Raises:   ShapeError, or TrainingError if a covariance is not positive definite.
    """
    k, d = means.shape
    shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[covariance]
    covariances = np.asarray(covariances, dtype=np.float64)
    if covariances.shape != shape:
        raise ShapeError(f"covariances have shape {covariances.shape}; {k} means in {d} dimensions with {covariance!r} "
                         f"covariances need {shape}")
    covariances = covariances.reshape((-1, d, d) if covariance in ("full", "tied") else (k, -1))
    lower = cholesky(covariances, means, "covariances")
    widths = variances(covariances)
    if covariances.ndim == 2:
        return 1 / lower, 1 / widths, widths
    root = np.array([dtrtri(one, lower=1)[0] for one in lower])  # Σ = L Lᵀ, R = L⁻¹
    return tuple(np.broadcast_to(part, (k, *part.shape[1:])) for part in (root, (root**2).sum(1), widths))


def variances(covariances):
    """The diagonals, as a view: (K, D, D) → (K, D). (K, D) and (K, 1) are variances already."""
    return np.einsum("kdd->kd", covariances) if covariances.ndim == 3 else covariances


def cholesky(covariances, means, name, counts=None):
    """L with L Lᵀ = Σ for each covariance (square roots of the variances where there are no matrices).

    counts:   (K,), of how many points each is made, for the message
    Shapes:   covariances (K, D, D), (1, D, D), (K, D) or (K, 1), means (K, D) → as covariances
    Raises:   TrainingError, with the component's number, if one is flat in some direction as far as rounding can tell:
              its variance there is below 1e-14 of its own along that axis, or 1e-24 of what all together have.
    """
    finite = np.isfinite(covariances).reshape(len(covariances), -1).all(axis=1)
    if not finite.all():
        raise TrainingError(f"{name}: covariance {int(np.argmin(finite))} holds NaN or infinity; expected numbers")
    own = variances(covariances)
    least = own - 1e-24 * (own.mean(axis=0) + means.var(axis=0)).reshape(1, -1)
    if (least > 0).all():
        if covariances.ndim == 2:
            return np.sqrt(covariances)
        try:
            lower = np.linalg.cholesky(covariances)
            least = variances(lower) ** 2 - 1e-14 * own  # L_ii²: what the axes before i leave unexplained of Σ_ii
            if (least > 0).all():
                return lower
        except np.linalg.LinAlgError:
            least = np.linalg.eigvalsh(covariances) - 1e-14 * own.max(axis=1, keepdims=True)
    k = int(np.argmin(least.min(axis=1)))
    which = "the shared covariance" if len(covariances) < len(means) else f"the covariance of component {k}"
    if counts is not None and len(covariances) == len(means):
        which += f", made of {counts[k]:.3g} points,"
    smallest = np.linalg.eigvalsh(covariances[k])[0] if covariances.ndim == 3 else own[k].min()
    raise TrainingError(f"{name}: {which} has collapsed: its smallest variance is {smallest:.3g}. A Gaussian on a "
                        "point or a plane has no density (4.8). Expected positive variances: reg_covar=1e-6 (or what "
                        "is small for your data), fewer components, or another start")


def points(name, x, width=None):
    """x as float64 of shape (B, D), B ≥ 1, all finite.

    Raises:   ShapeError or DataError, which begin with `name`.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or 0 in x.shape or (width is not None and x.shape[1] != width):
        raise ShapeError(f"{name}: x has shape {x.shape}; expected (B, {width or 'D'}), at least one point")
    if not np.isfinite(x).all():
        raise DataError(f"{name}: x holds NaN or infinity, first in row {int(np.argmin(np.isfinite(x).all(axis=1)))}")
    return x


def _coefficients(root, peaks, m):
    """What the features of (D.2) are multiplied by, and the constant without the scale: (K, F), (K,)."""
    if root.ndim == 3:
        precision = np.swapaxes(root, 1, 2) @ root  # (K, D, D)
        i, j = np.triu_indices(m.shape[1])
        linear = (precision @ m[:, :, None])[:, :, 0]  # (K, D)
        quadratic = precision[:, i, j] * np.where(i == j, -0.5, -1.0)  # (K, D (D + 1) / 2)
    else:
        linear, quadratic = peaks * m, -0.5 * peaks
    return np.concatenate([linear, quadratic], axis=1), -0.5 * (linear * m).sum(1)


def _features(x, centre, covariance):
    """Slices of rows, and for each of these points y = x − centre, then y_i y_j for i ≤ j, or y_i² (diag), or |y|²
    (spherical), or nothing more (none). Few features are stored as long columns, many as rows. The array is used again
    for the next slice, which keeps it in the cache.

    Shapes:   (B, D) → pairs of a slice and (rows, F)
    """
    size, d = x.shape
    pairs = d * (d + 1) // 2
    count = d + {"diag": d, "spherical": 1, "none": 0}.get(covariance, pairs)
    step = min(size, max(BLOCK // count, 512))
    space = np.empty((step, count), order="F" if d <= WIDE else "C")
    for start in range(0, size, step):
        rows = slice(start, min(start + step, size))
        features = space[: rows.stop - start]
        y = features[:, :d]
        np.subtract(x[rows], centre, out=y)
        if covariance == "diag":
            np.square(y, out=features[:, d:])
        elif covariance == "spherical":
            np.einsum("bd,bd->b", y, y, out=features[:, d])
        elif covariance != "none":
            at = d
            for i in range(d):
                np.multiply(y[:, i : i + 1], y[:, i:], out=features[:, at : at + d - i])
                at += d - i
        yield rows, features


def _about(mean, x, r, covariance):
    """One component's covariance from x − mean itself: slow, and good to the last digits."""
    gap = x - mean
    if covariance in ("full", "tied"):
        return (r[:, None] * gap).T @ gap / r.sum()
    exact = r @ gap**2 / r.sum()
    return exact.mean() if covariance == "spherical" else exact
