"""The small models of lesson 01, held to truths."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from minigen.learn import first_models as models
from minigen.models.ngram import NGram


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_no_other_gaussian_makes_the_data_more_probable(rng):
    x = rng.exponential(size=(40, 2))
    mean, deviation = models.gaussian_fit(x)
    best = norm.logpdf(x, mean, deviation).sum(axis=0)
    for _ in range(200):
        other = norm.logpdf(x, mean + 0.3 * rng.normal(size=2), deviation * np.exp(0.3 * rng.normal(size=2)))
        assert (other.sum(axis=0) < best).all()


def test_one_bit_for_each_number_of_a_fair_coin():
    assert models.bits_of_pictures(np.array([12 * np.log(2)]), (3, 2, 2)) == pytest.approx(1)


def test_witten_bell_builds_the_n_gram_from_the_shortest_context_up(rng):
    tokens = rng.integers(3, size=200)
    model = NGram(3, 3).fit(tokens)
    for context in ([0, 1], [2, 2], [1, 0]):
        p = np.full(3, 1 / 3)
        for length in range(3):
            h = context[len(context) - length :]
            followed = [tokens[i + length] for i in range(200 - length) if list(tokens[i : i + length]) == h]
            p = models.witten_bell(np.bincount(np.array(followed, int), minlength=3), p)
        assert p.sum() == pytest.approx(1)
        np.testing.assert_allclose(p, model.probabilities(context), rtol=1e-12)


def test_a_context_never_seen_leaves_it_to_the_shorter_one():
    shorter = np.array([0.2, 0.8])
    assert np.array_equal(models.witten_bell(np.zeros(2, int), shorter), shorter)


def test_sampled_pairs_have_the_probabilities_of_the_sharpened_table(rng):
    text = np.array(models.sample_text(models.BABBLE, 20_000, 0.5, rng))
    wanted = models.BABBLE._after**2
    wanted /= wanted.sum(axis=1, keepdims=True)
    for symbol in range(3):
        after = np.bincount(text[1:][text[:-1] == symbol], minlength=3)
        error = np.sqrt(wanted[symbol] * (1 - wanted[symbol]) / after.sum())
        assert (np.abs(after / after.sum() - wanted[symbol]) < 4.5 * error).all()


@pytest.mark.parametrize("fit", [models.round_clouds, models.logistic_regression])
def test_both_ways_find_the_true_boundary_where_the_assumption_holds(rng, fit):
    y = rng.integers(2, size=40_000)
    centres = np.array([[-0.5, -0.5], [1.0, 1.0]])
    w, b = fit(centres[y] + 0.9 * rng.normal(size=(40_000, 2)), y)
    np.testing.assert_allclose(w, (centres[1] - centres[0]) / 0.81, atol=0.15)  # (1.19)
    assert b == pytest.approx(((centres[0] ** 2).sum() - (centres[1] ** 2).sum()) / 1.62, abs=0.1)


def test_logistic_regression_is_a_minimum(rng):
    x, y = rng.normal(size=(200, 2)), rng.integers(2, size=200)
    w, b = models.logistic_regression(x, y)
    slope = expit(x @ w + b) - y
    np.testing.assert_allclose([*(slope @ x), slope.sum()], 0, atol=1e-3)
