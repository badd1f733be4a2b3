"""Many Gaussians at many points: log densities and moments against the plain formulas, also where digits are scarce."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from minigen.distributions import gaussians
from minigen.errors import DataError, ShapeError, TrainingError

TYPES = gaussians.TYPES


def random_covariances(covariance, k, d, rng, scale=1.0):
    factors = rng.normal(size=(k, d, d)) * scale
    matrices = factors @ np.swapaxes(factors, 1, 2) + 0.1 * scale**2 * np.eye(d)
    return {"full": matrices, "tied": matrices[0], "diag": np.einsum("kdd->kd", matrices),
            "spherical": matrices[:, 0, 0]}[covariance]  # fmt: skip


def as_matrices(covariances, covariance, k, d):
    return {"full": lambda c: c, "tied": lambda c: np.tile(c, (k, 1, 1)), "diag": lambda c: c[:, :, None] * np.eye(d),
            "spherical": lambda c: c[:, None, None] * np.eye(d)}[covariance](covariances)  # fmt: skip


@pytest.mark.parametrize("d", [1, 2, 5, gaussians.WIDE, gaussians.WIDE + 1])
@pytest.mark.parametrize("covariance", TYPES)
def test_log_densities_are_scipys(covariance, d):
    rng = np.random.default_rng(0)
    means, covariances = rng.normal(size=(3, d)), random_covariances(covariance, 3, d, rng)
    x = 3 * rng.normal(size=(700, d))
    expected = [multivariate_normal(mean, matrix).logpdf(x)
                for mean, matrix in zip(means, as_matrices(covariances, covariance, 3, d), strict=True)]
    assert gaussians.log_densities(x, means, covariances, covariance) == pytest.approx(np.transpose(expected), rel=1e-9)


@pytest.mark.parametrize("covariance", TYPES)
def test_narrow_gaussians_far_from_the_centre_keep_their_digits(covariance):
    rng = np.random.default_rng(1)
    means = np.array([[1e3, -1e3], [-1e3, 1e3], [0.0, 2e3]])
    covariances = random_covariances(covariance, 3, 2, rng, scale=1e-4)
    matrices = as_matrices(covariances, covariance, 3, 2)
    x = np.concatenate([rng.multivariate_normal(mean, matrix, 100)
                        for mean, matrix in zip(means, matrices, strict=True)])
    expected = np.transpose([multivariate_normal(mean, matrix).logpdf(x)
                             for mean, matrix in zip(means, matrices, strict=True)])
    own = np.repeat(np.arange(3), 100)
    ours = gaussians.log_densities(x, means, covariances, covariance)[np.arange(300), own]
    assert ours == pytest.approx(expected[np.arange(300), own], abs=1e-6)
    r = np.eye(3)[own]
    found_means, found = gaussians.moments(x, r, covariance)
    assert found_means == pytest.approx(np.array([x[own == k].mean(0) for k in range(3)]), rel=1e-12)
    by_group = np.array([np.cov(x[own == k].T, bias=True) for k in range(3)])
    expected = {"full": by_group, "tied": by_group.mean(0)[None], "diag": np.einsum("kdd->kd", by_group),
                "spherical": np.einsum("kdd->k", by_group)[:, None] / 2}[covariance]  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-14)  # x itself has only 13 digits behind the point


@pytest.mark.parametrize("d", [1, 3, gaussians.WIDE, gaussians.WIDE + 2])
@pytest.mark.parametrize("covariance", TYPES)
def test_moments_are_weighted_means_and_covariances(covariance, d):
    rng = np.random.default_rng(2)
    x, r = rng.normal(size=(1500, d)) + 5, rng.dirichlet(np.ones(4), 1500)
    means, covariances = gaussians.moments(x, r, covariance)
    expected = np.array([np.cov(x.T, aweights=r[:, k], bias=True).reshape(d, d) for k in range(4)])
    expected = {"full": expected, "tied": np.average(expected, axis=0, weights=r.sum(0))[None],
                "diag": np.einsum("kdd->kd", expected), "spherical": np.einsum("kdd->k", expected)[:, None] / d,
                }[covariance]  # fmt: skip
    assert means == pytest.approx(np.array([np.average(x, axis=0, weights=r[:, k]) for k in range(4)]), rel=1e-12)
    assert covariances == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_no_array_is_as_large_as_points_times_components_times_pairs():
    import tracemalloc

    rng = np.random.default_rng(3)
    x, means = rng.normal(size=(20_000, 8)), rng.normal(size=(10, 8))
    covariances = np.tile(np.eye(8), (10, 1, 1))
    tracemalloc.start()
    gaussians.log_densities(x, means, covariances, "full")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 20_000 * 10 * 8  # bytes: less than three arrays of (B, K); (B, K, D) would be eight


@pytest.mark.parametrize("covariance", TYPES)
def test_roots_are_roots_of_the_inverse(covariance):
    rng = np.random.default_rng(4)
    covariances = random_covariances(covariance, 3, 2, rng)
    root, peaks, widths = gaussians.roots(np.zeros((3, 2)), covariances, covariance)
    matrices = as_matrices(covariances, covariance, 3, 2)
    as_matrix = root if root.ndim == 3 else root[:, :, None] * np.eye(2)
    assert np.swapaxes(as_matrix, 1, 2) @ as_matrix == pytest.approx(np.linalg.inv(matrices))
    assert np.broadcast_to(peaks, (3, 2)) == pytest.approx(np.einsum("kdd->kd", np.linalg.inv(matrices)))
    assert np.broadcast_to(widths, (3, 2)) == pytest.approx(np.einsum("kdd->kd", matrices))


@pytest.mark.parametrize(("covariance", "broken", "message"), [
    ("full", [np.eye(2), np.ones((2, 2))], "component 1 has collapsed"),
    ("full", [np.zeros((2, 2)), np.eye(2)], "component 0 has collapsed"),
    ("full", [np.eye(2), np.full((2, 2), np.nan)], "covariance 1 holds NaN"),
    ("tied", np.ones((2, 2)), "the shared covariance has collapsed"),
    ("diag", [[1.0, 1.0], [1.0, 0.0]], "component 1 has collapsed"),
    ("diag", [[1.0, 1.0], [1.0, 1e-30]], "component 1 has collapsed"),
    ("spherical", [-1.0, 1.0], "component 0 has collapsed"),
])  # fmt: skip
def test_a_covariance_that_is_flat_is_named(covariance, broken, message):
    with pytest.raises(TrainingError, match=message):
        gaussians.log_densities(np.zeros((4, 2)), np.array([[0.0, 0], [1, 1]]), np.array(broken), covariance)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1.0, 1e8])
@pytest.mark.parametrize("covariance", TYPES)
def test_no_unit_of_length_is_taken_for_a_collapse(covariance, scale):
    rng = np.random.default_rng(5)
    x, r = rng.normal(size=(50, 2)), rng.dirichlet(np.ones(3), 50)
    x[:, 1] *= 1e-4  # nor one axis in smaller units than another
    means, covariances = gaussians.moments(scale * x, r, covariance)
    gaussians.cholesky(covariances, means, "test")


def test_wrong_points_are_refused():
    means, covariances = np.zeros((2, 3)), np.ones((2, 3))
    for x in (np.zeros(3), np.zeros((0, 3)), np.zeros((4, 2))):
        with pytest.raises(ShapeError, match=r"log_densities: x has shape .*expected \(B, 3\)"):
            gaussians.log_densities(x, means, covariances, "diag")
    for odd in (np.nan, np.inf):
        with pytest.raises(DataError, match="NaN or infinity, first in row 1"):
            gaussians.log_densities(np.array([[0, 0, 0], [0, odd, 0]]), means, covariances, "diag")
    with pytest.raises(ShapeError, match=r"covariances have shape \(2, 3\); 2 means in 3 dimensions with 'full'"):
        gaussians.log_densities(np.zeros((1, 3)), means, covariances, "full")
