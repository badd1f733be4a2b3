import numpy as np
import pytest
from scipy import linalg

from minigen.errors import DataError, ShapeError
from minigen.metrics.frechet import expected_bias, frechet_distance, gaussian_distance, moments, square_root


def covariance(rng, size, rank=None):
    factor = rng.normal(size=(size, rank or size + 3))
    return factor @ factor.T / factor.shape[1]


def by_sqrtm(mean1, covariance1, mean2, covariance2):
    """The usual program: the square root of the product, which is not symmetric, by SciPy."""
    root = linalg.sqrtm(covariance1 @ covariance2).real
    return np.sum((mean1 - mean2) ** 2) + np.trace(covariance1 + covariance2 - 2 * root)


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_it_is_scipys_square_root(size):
    rng = np.random.default_rng(size)
    one, two = ((rng.normal(size=size), covariance(rng, size)) for _ in range(2))
    assert gaussian_distance(*one, *two) == pytest.approx(by_sqrtm(*one, *two), rel=1e-6)
    assert gaussian_distance(*one, *two) == pytest.approx(gaussian_distance(*two, *one), rel=1e-9)


@pytest.mark.parametrize("size", [1, 3, 30])
def test_covariances_with_common_axes_have_the_closed_form(size):
    rng = np.random.default_rng(size)
    axes, _ = np.linalg.qr(rng.normal(size=(size, size)))
    a, b, difference = rng.exponential(size=size), rng.exponential(size=size), rng.normal(size=size)
    b[: size // 3] = 0  # a covariance may be singular
    expected = difference @ difference + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    found = gaussian_distance(np.zeros(size), axes @ np.diag(a) @ axes.T, difference, axes @ np.diag(b) @ axes.T)
    assert found == pytest.approx(expected, abs=1e-6)


def test_no_coupling_brings_two_gaussians_closer():
    """(8.34) with random allowed C is never below (8.35); with the best one it is equal."""
    rng = np.random.default_rng(0)
    one, two = covariance(rng, 4), covariance(rng, 4)
    least = gaussian_distance(np.zeros(4), one, np.zeros(4), two)
    costs = []
    for _ in range(300):
        k = rng.normal(size=(4, 4))
        k /= np.linalg.norm(k, 2)  # no singular value above 1
        costs.append(np.trace(one + two) - 2 * np.trace(square_root(one) @ k @ square_root(two)))
    u, _, vt = np.linalg.svd(square_root(two) @ square_root(one))
    best = np.trace(one + two) - 2 * np.trace(square_root(one) @ (vt.T @ u.T) @ square_root(two))
    assert min(costs) >= least - 1e-9 and best == pytest.approx(least, abs=1e-9)


def test_a_square_root_squares_to_the_matrix_even_without_full_rank():
    matrix = covariance(np.random.default_rng(1), 12, rank=5)
    root = square_root(matrix)
    np.testing.assert_allclose(root @ root, matrix, atol=1e-12)
    np.testing.assert_allclose(root, root.T, atol=1e-12)


def test_a_set_is_at_no_distance_from_itself_in_any_order_and_at_the_shift_from_itself_shifted():
    rng = np.random.default_rng(2)
    for n in (50, 8):  # with 8 points of 20 features the covariance is singular
        x = rng.normal(size=(n, 20)) * rng.exponential(size=20)
        assert frechet_distance(x, x[rng.permutation(n)]) == pytest.approx(0, abs=1e-6)
        shift = rng.normal(size=20)
        assert frechet_distance(x, x + shift) == pytest.approx(shift @ shift, abs=1e-6)
        y = rng.normal(size=(30, 20))
        assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), abs=1e-6)


def test_moments_are_numpys():
    x = np.random.default_rng(3).normal(size=(9, 4))
    mean, spread = moments(x)
    np.testing.assert_allclose(mean, x.mean(0))
    np.testing.assert_allclose(spread, np.cov(x.T), atol=1e-14)


@pytest.mark.parametrize(("size", "n", "m", "equal"),
                         [(4, 200, 300, True), (16, 400, 400, True), (16, 300, 600, False)])
def test_the_bias_is_that_of_the_formula(size, n, m, equal):
    rng = np.random.default_rng(4)
    scale = np.ones(size) if equal else np.linspace(0.2, 2, size)
    measured = [frechet_distance(rng.normal(size=(n, size)) * scale, rng.normal(size=(m, size)) * scale)
                for _ in range(150)]
    assert np.mean(measured) == pytest.approx(expected_bias(np.diag(scale**2), n, m), rel=0.06)
    if equal:
        assert expected_bias(np.eye(size), n, m) == pytest.approx((1 / n + 1 / m) * size * (size + 5) / 4)


@pytest.mark.parametrize(("x", "y"), [((5, 3), (5, 4)), ((5,), (5, 3)), ((1, 3), (5, 3)), ((5, 0), (5, 0))])
def test_features_that_do_not_fit_are_refused(x, y):
    with pytest.raises(ShapeError, match=r"frechet_distance: features \("):
        frechet_distance(np.ones(x), np.ones(y))


def test_moments_that_are_none_are_refused():
    with pytest.raises(ShapeError, match=r"gaussian_distance: .*\(3,\), \(3, 3\), \(2,\)"):
        gaussian_distance(np.zeros(3), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(DataError, match="least eigenvalue -1"):
        gaussian_distance(np.zeros(2), np.diag([1.0, -1.0]), np.zeros(2), np.eye(2))
    with pytest.raises(DataError, match="asymmetry 1"):
        gaussian_distance(np.zeros(2), np.array([[2.0, 1.0], [0.0, 2.0]]), np.zeros(2), np.eye(2))
