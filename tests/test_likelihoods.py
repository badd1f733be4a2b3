"""Likelihoods: sums over pixels, normalisation, means and samples that agree with the log-probability."""

import numpy as np
import pytest

import minigen as mg
from minigen import likelihoods
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError

DISCRETE = {
    "Bernoulli": (likelihoods.Bernoulli(), 2),
    "Categorical": (likelihoods.Categorical(5), 5),
    "DiscretizedLogistic": (likelihoods.DiscretizedLogistic(5), 5),
    "DiscretizedLogisticMixture": (likelihoods.DiscretizedLogisticMixture(5, components=2), 5),
}


def parameters(likelihood, batch=3, pixels=(2, 2), seed=0):
    return np.random.default_rng(seed).normal(size=(batch, likelihood.channels, *pixels))


def table(likelihood, values, parameters):
    """log p of every value at every pixel, one pixel at a time: (values, B, …pixels)."""
    rows = []
    for value in range(values):
        per_pixel = likelihood.distribution(mg.tensor(parameters)).log_prob(
            np.full((parameters.shape[0], *parameters.shape[2:]), value)
        )
        rows.append(per_pixel.data)
    return np.array(rows)


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_of_all_values_sum_to_one(name):
    likelihood, values = DISCRETE[name]
    np.testing.assert_allclose(np.exp(table(likelihood, values, parameters(likelihood))).sum(axis=0), 1, rtol=1e-10)


@pytest.mark.parametrize("name", DISCRETE)
def test_log_prob_is_a_sum_over_pixels_and_differentiable(name):
    likelihood, values = DISCRETE[name]
    params = parameters(likelihood)
    x = np.random.default_rng(1).integers(0, values, (3, 2, 2))
    expected = sum(
        table(likelihood, values, params)[x[:, i, j], np.arange(3), i, j] for i in range(2) for j in range(2)
    )
    result = likelihood.log_prob(mg.tensor(params), x)
    assert result.shape == (3,)
    np.testing.assert_allclose(result.data, expected, rtol=1e-10)
    np.testing.assert_allclose(likelihood.log_prob(mg.tensor(params), x[:, None]).data, expected, rtol=1e-10)
    gradcheck(lambda p: likelihood.log_prob(p, x), [mg.tensor(params, requires_grad=True)])


@pytest.mark.parametrize("name", DISCRETE)
def test_mean_and_samples_follow_the_probabilities(name):
    likelihood, values = DISCRETE[name]
    params = parameters(likelihood, batch=1)
    probabilities = np.exp(table(likelihood, values, params))
    expected = (probabilities * np.arange(values)[:, None, None, None]).sum(axis=0)
    np.testing.assert_allclose(likelihood.mean(params), expected, rtol=1e-5)
    many = likelihood.sample(np.repeat(params, 20_000, axis=0), rng=np.random.default_rng(0))
    frequencies = np.array([(many == value).mean(axis=0) for value in range(values)])
    np.testing.assert_allclose(frequencies, probabilities[:, 0], atol=0.02)  # 5 standard errors of 0.0035


def test_gaussian_matches_the_closed_form_and_keeps_its_variance_above_the_floor():
    likelihood = likelihoods.Gaussian(min_log_var=-6.0)
    params = parameters(likelihood)
    x = np.random.default_rng(1).normal(size=(3, 2, 2))
    log_var = np.logaddexp(0, params[:, 1] + 6) - 6
    expected = -0.5 * (np.log(2 * np.pi) + log_var + (x - params[:, 0]) ** 2 / np.exp(log_var))
    np.testing.assert_allclose(likelihood.log_prob(mg.tensor(params), x).data, expected.sum(axis=(1, 2)), rtol=1e-10)
    params[:, 1] = -1e6
    assert np.all(likelihood.distribution(mg.tensor(params)).stddev.data >= np.exp(-3.0) * 0.999)


def test_initial_bias_of_the_mixture_spreads_the_bells():
    bias = likelihoods.DiscretizedLogisticMixture(17, components=3).initial_bias(4).reshape(3, 3, 4)
    np.testing.assert_allclose(bias[1, :, 0], [-1, 0, 1])
    assert np.all(bias[0] == 0)


def test_wrong_shapes_and_values_are_named():
    likelihood = likelihoods.Categorical(5)
    with pytest.raises(ShapeError, match=r"expected \(B, 5, …pixels\)"):
        likelihood.log_prob(mg.tensor(np.zeros((2, 4, 3))), np.zeros((2, 3), int))
    with pytest.raises(ShapeError, match=r"images \(2, 4\) for parameters \(2, 2, 3\)"):
        likelihoods.DiscretizedLogistic(5).log_prob(mg.tensor(np.zeros((2, 2, 3))), np.zeros((2, 4), int))
    with pytest.raises(ValueError, match="Bernoulli"):
        likelihoods.Bernoulli().log_prob(mg.tensor(np.zeros((1, 1, 2))), np.array([[0.3, 1.0]]))
