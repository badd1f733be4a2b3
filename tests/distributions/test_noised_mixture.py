"""The oracle against its definition: numeric derivatives, Monte Carlo, closed forms."""

import numpy as np
import pytest

from minigen import Tensor
from minigen.autograd import grad
from minigen.autograd.gradcheck import gradgradcheck
from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import ShapeError

MIXTURE = NoisedMixture([[0.0, 1.0], [2.0, -1.0], [-1.5, 0.2]], 0.3, [0.5, 0.3, 0.2])


class Turning:
    """A schedule of the simplest kind: α = cos t, σ = sin t."""

    def alpha(self, t):
        return np.cos(t)

    def sigma(self, t):
        return np.sin(t)


def test_it_is_the_planes_mixture_clean_and_noised():
    truth, y = toy2d.ring(sigma=0.1), np.random.default_rng(0).normal(size=(6, 2))
    mine = NoisedMixture(truth.means, truth.sigma)
    np.testing.assert_allclose(mine.log_prob(y), truth.log_prob(y), rtol=1e-12)
    noised = truth.diffused(0.8, 0.6)
    np.testing.assert_allclose(mine.log_prob(y, 0.8, 0.6), noised.log_prob(y), rtol=1e-12)
    np.testing.assert_allclose(mine.score(y, 0.8, 0.6), noised.score(y), rtol=1e-9)


def test_the_score_is_the_gradient_of_the_log_density():
    rng = np.random.default_rng(1)
    y, alpha, sigma = Tensor(rng.normal(size=(5, 2)), requires_grad=True), rng.random(5), rng.random(5) + 0.1
    (slope,) = grad(MIXTURE.log_prob(y, alpha, sigma).sum(), y)
    np.testing.assert_allclose(MIXTURE.score(y.data, alpha, sigma), slope.data, rtol=1e-10)


def test_guesses_are_conditional_means_and_the_floor_is_their_error():
    rng = np.random.default_rng(2)
    alpha, sigma, n = 0.7, 0.5, 400_000
    clean, noise = MIXTURE.sample(n, rng=rng), rng.standard_normal((n, 2))
    y = alpha * clean + sigma * noise
    guess = MIXTURE.noise(y, alpha, sigma)
    for test in (np.ones((n, 1)), y, np.sin(3 * y), guess):  # the error is orthogonal to every function of y
        assert np.abs(((noise - guess) * test).mean(0)).max() < 0.005
        assert np.abs(((clean - MIXTURE.clean(y, alpha, sigma)) * test).mean(0)).max() < 0.005
    np.testing.assert_allclose(alpha * MIXTURE.clean(y, alpha, sigma) + sigma * guess, y, atol=1e-12)
    errors = ((noise - guess) ** 2).mean(1)
    assert MIXTURE.noise_floor(alpha, sigma) == pytest.approx(errors.mean(), abs=4 * errors.std() / np.sqrt(n))


def test_for_one_gaussian_the_floor_is_a_closed_form():
    for means in ([[0.4]], [[0.4, -2.0]]):
        one = NoisedMixture(means, 0.3)
        assert one.noise_floor(0.8, 0.6) == pytest.approx((0.8 * 0.3) ** 2 / ((0.8 * 0.3) ** 2 + 0.36), abs=1e-9)
    with pytest.raises(ShapeError, match="3 dimensions; expected 1 or 2"):
        NoisedMixture(np.zeros((1, 3)), 1.0).noise_floor(1.0, 1.0)


def test_without_signal_the_guess_is_the_mean():
    y = np.random.default_rng(3).normal(size=(4, 2))
    np.testing.assert_allclose(MIXTURE.clean(y, 0.0, 1.0), np.tile(MIXTURE.weights @ MIXTURE.means, (4, 1)), rtol=1e-12)
    np.testing.assert_allclose(MIXTURE.noise(y, 0.0, 1.0), y, rtol=1e-12)


def test_the_velocity_is_noise_less_clean_and_finite_at_both_ends():
    y, t = np.random.default_rng(5).normal(size=(3, 2)), np.array([0.2, 0.5, 0.9])
    noise = MIXTURE.noise(y, 1 - t, t)
    np.testing.assert_allclose(MIXTURE.velocity(y, t), (noise - y) / (1 - t)[:, None], rtol=1e-9)
    np.testing.assert_allclose(MIXTURE.velocity(y, 0.0), -y, rtol=1e-12)
    np.testing.assert_allclose(MIXTURE.velocity(y, 1.0), y - MIXTURE.weights @ MIXTURE.means, rtol=1e-12)


def test_it_differentiates_and_serves_samplers():
    y = np.random.default_rng(4).normal(size=(3, 2))
    gradgradcheck(lambda y: (MIXTURE.noise(y, 0.7, 0.5), MIXTURE.clean(y, 0.7, 0.5)), y)
    schedule, t = Turning(), np.array([0.2, 0.5, 0.9])
    found = MIXTURE.predictor(schedule)(y, t)
    np.testing.assert_allclose(found, MIXTURE.noise(y, schedule.alpha(t), schedule.sigma(t)))
    single = MIXTURE.noise(y.astype(np.float32), schedule.alpha(t), schedule.sigma(t))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, found, atol=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"y \(4, 3\); expected \(B, 2\)"):
        MIXTURE.score(np.zeros((4, 3)))
    with pytest.raises(ShapeError, match=r"means \(2, 2\), weights \(3,\)"):
        NoisedMixture(np.zeros((2, 2)), 1.0, np.ones(3))
