import itertools

import numpy as np
import pytest

from minigen.errors import DataError, ShapeError
from minigen.metrics.kernel import block_mmd, kernel_distance, median_distance, mmd, polynomial, rbf


def by_loops(x, y, kernel):
    """(8.42), pair by pair."""
    def k(a, b):
        return kernel(a[None], b[None])[0, 0]

    within = [np.mean([k(a, b) for a, b in itertools.permutations(points, 2)]) for points in (x, y)]
    return sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])


@pytest.mark.parametrize("kernel", [rbf(0.7), rbf(0.5, 2.0, 8.0), polynomial], ids=["rbf", "three", "polynomial"])
def test_it_is_the_sum_over_pairs(kernel):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(13, 3)), rng.normal(size=(9, 3)) + 0.5
    for rows in (1, 4, 1000):
        assert mmd(x, y, kernel, rows=rows) == pytest.approx(by_loops(x, y, kernel), abs=1e-12)
    assert mmd(y, x, kernel) == pytest.approx(mmd(x, y, kernel), abs=1e-12)
    assert mmd(x[rng.permutation(13)], y[rng.permutation(9)], kernel) == pytest.approx(mmd(x, y, kernel), abs=1e-12)


def test_the_kernels_are_their_formulas():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))
    squares = ((x[:, None] - y) ** 2).sum(-1)
    np.testing.assert_allclose(rbf(2.0)(x, y), np.exp(-squares / 8), atol=1e-12)
    np.testing.assert_allclose(rbf(2.0, 1.0)(x, y), (np.exp(-squares / 8) + np.exp(-squares / 2)) / 2, atol=1e-12)
    np.testing.assert_allclose(polynomial(x, y), (np.einsum("if,jf->ij", x, y) / 5 + 1) ** 3, atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_rbf_mmd_of_shifted_gaussians_is_the_closed_form(shift):
    """E k of N(μ, I) and N(ν, I) in F dimensions is (b²/(b² + 2))^(F/2) exp(−|μ − ν|² / 2(b² + 2))."""
    size, b, n = 3, 1.5, 150
    base = (b**2 / (b**2 + 2)) ** (size / 2)
    exact = 2 * base * (1 - np.exp(-(shift**2) * size / (2 * (b**2 + 2))))
    rng = np.random.default_rng(2)
    values = [mmd(rng.normal(size=(n, size)), rng.normal(size=(n, size)) + shift, rbf(b)) for _ in range(300)]
    assert np.mean(values) == pytest.approx(exact, abs=4 * np.std(values) / np.sqrt(300))
    assert shift or min(values) < 0, "an unbiased estimate of 0 must fall below it at times"


def test_the_polynomial_mmd_of_points_is_the_distance_of_their_moments():
    """In one dimension (xy + 1)³ = Σ_j C(3, j) x^j y^j, so MMD² weighs the squared differences of three moments."""
    rng = np.random.default_rng(3)
    n, shift = 200, 0.3
    exact = 3 * shift**2 + 3 * shift**4 + (3 * shift + shift**3) ** 2
    values = [mmd(rng.normal(size=(n, 1)), rng.normal(size=(n, 1)) + shift, polynomial) for _ in range(500)]
    assert np.mean(values) == pytest.approx(exact, abs=4 * np.std(values) / np.sqrt(500))


def test_the_blocks_error_is_that_of_repeated_draws():
    rng = np.random.default_rng(4)
    found = [block_mmd(rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 0.4, rbf(1.0), blocks=10, rng=rng)
             for _ in range(200)]
    means, errors = np.array(found).T
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(means.std(), rel=0.15)
    whole = [mmd(rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 0.4, rbf(1.0)) for _ in range(200)]
    assert means.mean() == pytest.approx(np.mean(whole), abs=4 * means.std() / np.sqrt(200))


def test_the_kernel_distance_has_the_mean_of_all_and_never_too_small_an_error():
    rng = np.random.default_rng(5)
    for shift in (0.0, 0.5):
        found = [kernel_distance(rng.normal(size=(100, 4)), rng.normal(size=(100, 4)) + shift, rng=rng)
                 for _ in range(100)]
        means, errors = np.array(found).T
        assert np.sqrt(np.mean(errors**2)) > 0.85 * means.std()
    x, y = rng.normal(size=(2, 60, 4))
    assert kernel_distance(x, y, blocks=5, rng=rng).mean == mmd(x, y, polynomial)


def test_one_set_cut_in_two_is_at_no_distance_and_two_points_are_at_theirs():
    x = np.random.default_rng(6).normal(size=(400, 3))
    assert abs(mmd(x[:200], x[200:], rbf(1.0))) < 0.01
    point, other = np.zeros((5, 2)), np.full((7, 2), 3.0)
    assert mmd(point, other, rbf(1.0)) == pytest.approx(2 - 2 * np.exp(-9))


def test_the_median_distance():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(10, 2)), rng.normal(size=(11, 2))
    pool = np.concatenate([x, y])
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(pool, 2)]
    assert median_distance(x, y) == pytest.approx(np.median(distances))
    many = rng.normal(size=(3000, 2))
    assert median_distance(many, many + 0.01, most=500) == pytest.approx(median_distance(x, y, most=21), rel=0.3)
    with pytest.raises(DataError, match="coincide"):
        median_distance(np.ones((5, 2)), np.ones((5, 2)))


@pytest.mark.parametrize(("x", "y"), [((5, 3), (5, 4)), ((5,), (5, 3)), ((1, 3), (5, 3)), ((5, 3), (1, 3))])
def test_what_does_not_fit_is_refused(x, y):
    for name, function in (("mmd", lambda a, b: mmd(a, b, polynomial)), ("median_distance", median_distance)):
        with pytest.raises(ShapeError, match=rf"{name}: samples \("):
            function(np.ones(x), np.ones(y))


def test_blocks_and_bandwidths_that_cannot_be_are_refused():
    with pytest.raises(ShapeError, match="10 blocks of 19 and 50 rows"):
        block_mmd(np.ones((19, 2)), np.ones((50, 2)), polynomial, rng=np.random.default_rng(0))
    for bandwidths in ((), (1.0, 0.0)):
        with pytest.raises(DataError, match="rbf: bandwidths"):
            rbf(*bandwidths)
