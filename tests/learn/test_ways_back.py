"""What lesson 11's exercises are compared with, against closed forms."""

import numpy as np
import pytest
from scipy.stats import norm

from minigen.learn import ways_back

RNG = np.random.default_rng(0)


def test_moments_are_those_of_single_steps():
    betas, mean, variance = np.array([0.1, 0.3, 0.2]), 2.0, 0.5
    means, variances = ways_back.moments(betas, mean, variance)
    assert means[0] == mean and variances[0] == variance
    for t, beta in enumerate(betas):
        assert means[t + 1] == pytest.approx(np.sqrt(1 - beta) * means[t])
        assert variances[t + 1] == pytest.approx((1 - beta) * variances[t] + beta)


def test_bayes_on_a_grid_is_the_closed_form():
    grid, alphas, sigmas = np.linspace(-6, 6, 1201), (0.8, 0.6), (0.6, 0.8)
    share = 1 - (alphas[1] * sigmas[0] / (sigmas[1] * alphas[0])) ** 2
    mean = alphas[0] * ((1 - share) * 0.5 / alphas[1] + share * 1.2)
    wanted = norm.pdf(grid, mean, np.sqrt(share) * sigmas[0])
    assert ways_back.posterior_on(grid, 0.5, 1.2, alphas, sigmas) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("level", [(0.8, 0.6), (1.0, 2.0)])
def test_each_kind_of_answer_gives_the_noise_back(level):
    (alpha, sigma), (clean, noise) = level, RNG.normal(size=(2, 3, 2))
    x = alpha * clean + sigma * noise
    for kind, said in {"eps": noise, "x0": clean, "v": alpha * noise - sigma * clean}.items():
        assert ways_back.noise_of(kind, said, x, alpha, sigma) == pytest.approx(noise)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_one_step_of_the_samplers_is_the_formula(eta):
    x, noise, z = RNG.normal(size=(3, 4, 2))
    given = x, noise, (0.6, 0.8), (0.8, 0.6), eta, z
    assert ways_back.ddim_step(*given) == pytest.approx(ways_back.bent_ddim(*given))


def test_many_euler_steps_find_the_density():
    noise, slope = ways_back.two_hills
    x = np.linspace(-2, 2, 5)
    found = ways_back.euler_log_p(noise, slope, x, np.geomspace(0.003, 100, 8000))
    truth = np.logaddexp(np.log(0.3) + norm.logpdf(x, -1.0, 0.5), np.log(0.7) + norm.logpdf(x, 1.2, 0.5))
    assert found == pytest.approx(truth, abs=0.03)


def test_guidance_of_zero_and_one_are_the_two_answers():
    x, labels = RNG.normal(size=(3, 2)), np.array([0, 1, 2])
    assert ways_back.guided(ways_back.classes, x, 0.5, labels, 0) == pytest.approx(ways_back.classes(x, 0.5, None))
    assert ways_back.guided(ways_back.classes, x, 0.5, labels, 1) == pytest.approx(ways_back.classes(x, 0.5, labels))
