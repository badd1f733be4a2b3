import math

import numpy as np
import pytest
from scipy import integrate, stats

from minigen.data import toy2d
from minigen.errors import DataError, ShapeError

SMALL = {
    "ring": toy2d.ring(sigma=0.1),
    "uneven mixture": toy2d.GaussianMixture([[0, 0], [1, 0.5], [-1, 2]], 0.3, weights=[1, 2, 5]),
    "moons": toy2d.moons(0.1),
    "swiss roll": toy2d.swiss_roll(0.08),
    "spirals": toy2d.spirals(0.15),
    "checkerboard": toy2d.checkerboard(),
}
ALL = pytest.mark.parametrize("name", SMALL)


@ALL
def test_density_integrates_to_one(name):
    # Midpoints of cells of side 1/32: no midpoint falls on an edge of the checkerboard.
    step = 1 / 32
    ticks = np.arange(-6, 6, step) + step / 2
    x = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    near = x[np.abs(x).max(1) < (6 if name == "checkerboard" else 4.5)]
    assert abs(np.exp(SMALL[name].log_prob(near)).sum() * step**2 - 1) < 1e-6


@ALL
def test_entropy_is_what_samples_cost(name):
    x = SMALL[name].sample(40_000, rng=np.random.default_rng(0))
    cost = -SMALL[name].log_prob(x)
    assert abs(cost.mean() - SMALL[name].entropy()) <= 4 * cost.std() / math.sqrt(len(x)) + 1e-12


@ALL
def test_samples_follow_the_density(name):
    # Mass in a coarse grid of boxes, from the density and from samples, by a chi-squared test.
    distribution, step = SMALL[name], 1 / 16
    ticks = np.arange(-6, 6, step) + step / 2
    x = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(distribution.log_prob(x)).reshape(12, 16, 12, 16).sum((1, 3)) * step**2
    samples = distribution.sample(20_000, rng=np.random.default_rng(1))
    edges = np.arange(-6, 7)
    counts = np.histogram2d(*samples.T, bins=[edges, edges])[0]
    likely = mass > 1e-3
    observed = np.append(counts[likely], counts[~likely].sum())
    expected = 20_000 * np.append(mass[likely], 1 - mass[likely].sum())
    assert likely.sum() > 5
    if expected[-1] < 5:
        assert observed[-1] < 30
        observed, expected = observed[:-1], expected[:-1] * observed[:-1].sum() / expected[:-1].sum()
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@ALL
def test_same_seed_gives_same_bits(name):
    first, second = (SMALL[name].sample(100, rng=np.random.default_rng(7)) for _ in range(2))
    assert first.tobytes() == second.tobytes() and first.shape == (100, 2)


@pytest.mark.parametrize("distribution, floor, tolerance", [
    (toy2d.ring(), -4.293, 0.0005),
    (toy2d.ring(sigma=0.1), 0.312, 0.0005),
    (toy2d.grid(), 0.065, 0.0005),
    (toy2d.moons(0.05), 0.283, 0.011),
    (toy2d.moons(0.1), 1.002, 0.012),
])
def test_known_floors_are_reproduced(distribution, floor, tolerance):
    assert abs(distribution.entropy() - floor) <= tolerance


def test_entropy_of_separated_gaussians_is_the_closed_form():
    assert abs(toy2d.ring().entropy() - (math.log(8) + 1 + math.log(2 * math.pi * 0.01**2))) < 1e-9


def test_entropy_of_one_gaussian_is_the_closed_form():
    single = toy2d.GaussianMixture([[3.0, -2.0]], 0.7)
    assert abs(single.entropy() - (1 + math.log(2 * math.pi * 0.49))) < 1e-9


def test_entropy_of_coinciding_gaussians_is_that_of_one():
    double = toy2d.GaussianMixture([[0, 0], [0, 0]], 0.7, weights=[0.2, 0.8])
    assert abs(double.entropy() - (1 + math.log(2 * math.pi * 0.49))) < 1e-9


@pytest.mark.parametrize("distribution", [toy2d.ring(sigma=0.2), toy2d.grid(sigma=0.6)])
def test_entropy_of_mixtures_does_not_depend_on_the_step(distribution):
    assert abs(distribution.entropy() - distribution.entropy(step=0.06)) < 1e-9


@pytest.mark.parametrize("distribution", [toy2d.moons(0.1), toy2d.swiss_roll(0.08), toy2d.spirals(0.15)])
def test_entropy_of_curves_does_not_depend_on_the_step(distribution):
    mass, finer = distribution._integrate(distribution.sigma / 5)
    assert abs(mass - 1) < 1e-10
    assert abs(distribution.entropy() - finer) < 1e-8


@pytest.mark.parametrize("distribution", [toy2d.moons(0.05), toy2d.swiss_roll(0.05), toy2d.spirals(0.1)])
def test_curve_density_equals_adaptive_quadrature(distribution):
    rng = np.random.default_rng(2)
    ends = distribution.arms[0](distribution.quantile(np.array([0.0, 1e-6, 1e-3, 0.5, 1.0])))
    x = np.concatenate([distribution.sample(4, rng=rng), ends, ends[:2] + 5 * distribution.sigma])
    for point, log_prob in zip(x, distribution.log_prob(x), strict=True):
        total = 0
        for curve in distribution.arms:
            def density(root, curve=curve, point=point):
                centre = curve(distribution.quantile(np.array([root**2])))[0]
                return 2 * root * stats.norm.pdf(point, centre, distribution.sigma).prod()

            edges = np.linspace(0, 1, 101)
            total += sum(integrate.quad(density, a, b, epsabs=1e-18, epsrel=1e-10)[0]
                         for a, b in zip(edges[:-1], edges[1:], strict=True)
                         if max(density(a), density(b), density((a + b) / 2)) > 1e-14)
        assert abs(math.log(total / len(distribution.arms)) - log_prob) < 1e-8


def test_mixture_log_prob_equals_scipys_and_stays_finite_far_away():
    mixture = SMALL["uneven mixture"]
    x = np.random.default_rng(3).normal(size=(50, 2))
    density = sum(w * stats.multivariate_normal(m, 0.09).pdf(x)
                  for w, m in zip(mixture.weights, mixture.means, strict=True))
    np.testing.assert_allclose(mixture.log_prob(x), np.log(density), rtol=1e-12)
    assert np.isfinite(toy2d.ring().log_prob([[1e3, -1e3]])).all()
    assert np.isfinite(toy2d.moons().log_prob([[1e3, -1e3]])).all()


def test_score_is_the_gradient_of_the_log_density():
    mixture, h = SMALL["uneven mixture"], 1e-5
    x = np.random.default_rng(4).normal(size=(20, 2))
    numeric = np.stack([(mixture.log_prob(x + h * e) - mixture.log_prob(x - h * e)) / (2 * h)
                        for e in np.eye(2)], -1)
    np.testing.assert_allclose(mixture.score(x), numeric, atol=1e-6)


def test_diffused_mixture_is_the_law_of_noised_samples():
    mixture = SMALL["uneven mixture"]
    rng = np.random.default_rng(5)
    noised = 0.6 * mixture.sample(40_000, rng=rng) + 0.8 * rng.standard_normal((40_000, 2))
    diffused = mixture.diffused(0.6, 0.8)
    cost = -diffused.log_prob(noised)
    assert abs(cost.mean() - diffused.entropy()) <= 4 * cost.std() / 200
    assert abs(diffused.sigma**2 - (0.36 * 0.09 + 0.64)) < 1e-12


def test_best_noise_prediction_is_minus_noise_times_score():
    # E[ε | y] from importance weights over data, against the closed form.
    mixture = SMALL["uneven mixture"]
    rng = np.random.default_rng(6)
    x, y = mixture.sample(400_000, rng=rng), np.array([0.2, 0.4])
    eps = (y - 0.6 * x) / 0.8
    weights = np.exp(-0.5 * (eps**2).sum(1))
    expected = (weights[:, None] * eps).sum(0) / weights.sum()
    np.testing.assert_allclose(-0.8 * mixture.diffused(0.6, 0.8).score(y[None])[0], expected, atol=0.01)


def test_moons_have_scikit_learns_geometry():
    datasets = pytest.importorskip("sklearn.datasets")
    points, label = datasets.make_moons(200, noise=None)
    ours = toy2d.moons()
    t = np.linspace(0, math.pi, 100)
    for index in (0, 1):
        theirs = points[label == index][np.argsort(points[label == index][:, 0], kind="stable")]
        mine = ours.arms[index](t)
        np.testing.assert_allclose(mine[np.argsort(mine[:, 0], kind="stable")], theirs, atol=1e-12)


def test_swiss_roll_is_a_section_of_scikit_learns():
    datasets = pytest.importorskip("sklearn.datasets")
    points, t = datasets.make_swiss_roll(3000, random_state=0)
    roll = toy2d.swiss_roll(0.0)
    np.testing.assert_allclose(roll.arms[0](t), 0.1 * points[:, [0, 2]], atol=1e-12)
    radius = np.linalg.norm(roll.sample(3000, rng=np.random.default_rng(10)), axis=1)
    assert stats.ks_2samp(radius, 0.1 * t).pvalue > 0.01


def test_spiral_arms_are_opposite_and_fill_the_disc_evenly():
    # With t ∝ √u the radius squared is uniform: as many points per area at every radius.
    x, arm = toy2d.spirals(0.0).sample(3000, rng=np.random.default_rng(11), with_arm=True)
    radius, t = np.linalg.norm(x, axis=1), 3 * np.linalg.norm(x, axis=1)
    assert stats.kstest((radius / math.pi) ** 2, "uniform").pvalue > 0.01
    side = np.where(arm == 0, 1, -1)
    np.testing.assert_allclose(x, (side * radius)[:, None] * np.stack([-np.cos(t), np.sin(t)], -1), atol=1e-9)


def test_arms_are_equally_likely_and_tell_their_points():
    x, arm = toy2d.moons(0.0).sample(4000, rng=np.random.default_rng(8), with_arm=True)
    assert abs(arm.mean() - 0.5) < 0.04
    np.testing.assert_allclose(np.linalg.norm(x[arm == 0], axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(x[arm == 1] - [1, 0.5], axis=1), 1, atol=1e-12)


def test_a_curve_without_noise_says_that_it_has_no_density():
    for call in (lambda: toy2d.moons(0.0).log_prob([[0, 0]]), toy2d.spirals(0).entropy):
        with pytest.raises(DataError, match="no density"):
            call()


def test_checkerboard_is_exact_on_and_off_its_squares():
    board = toy2d.checkerboard()
    assert board.entropy() == math.log(32)
    x = np.array([[-3.5, -3.5], [-1.5, -3.5], [-1.5, -1.5], [0.5, 0.5], [0.5, -1.5], [5, 5], [-4.1, -3.5]])
    expected = [-math.log(32), -np.inf, -math.log(32), -math.log(32), -np.inf, -np.inf, -np.inf]
    np.testing.assert_array_equal(board.log_prob(x), expected)


def test_bad_shapes_and_values_are_named():
    with pytest.raises(ShapeError, match=r"\(3,\).*\(B, 2\)"):
        toy2d.ring().log_prob([1, 2, 3])
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        toy2d.GaussianMixture(np.zeros((2, 3)), 1)
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        toy2d.GaussianMixture(np.zeros((2, 2)), 1, weights=[1, 1, 1])
    for sigma in (0, -1, float("nan")):
        with pytest.raises(DataError, match="positive"):
            toy2d.GaussianMixture(np.zeros((2, 2)), sigma)
    with pytest.raises(DataError, match="sigma"):
        toy2d.moons(-0.1)


def test_every_named_distribution_samples_with_its_defaults():
    for name, make in toy2d.DISTRIBUTIONS.items():
        distribution = make()
        x = distribution.sample(200, rng=np.random.default_rng(9))
        assert np.isfinite(distribution.log_prob(x)).all(), name
    assert toy2d.ring().means.shape == (8, 2) and toy2d.grid().means.shape == (25, 2)
    assert set(map(tuple, toy2d.grid().means)) == {(a, b) for a in range(-4, 5, 2) for b in range(-4, 5, 2)}


def test_no_points_have_no_log_densities():
    assert toy2d.ring().log_prob(np.empty((0, 2))).shape == (0,)
    assert toy2d.moons().log_prob(np.empty((0, 2))).shape == (0,)
