"""Digits by diffusion: what half a step sees, that the flow's likelihood depends on no setting, whose class counts."""

import math

import numpy as np
import pytest

from minigen.data import digits
from minigen.recipes import diffusion_digits
from minigen.recipes.diffusion_digits import WIDTH, Experiment


@pytest.fixture(scope="module")
def trained():
    experiment = Experiment(0, True, steps=40)
    for _ in experiment.fit(progress=False):
        pass
    return experiment


def test_filled_levels_lie_evenly_around_the_level(trained):
    images, rng = trained.held_out[0], np.random.default_rng(0)
    away = (trained.fill(images, rng) - trained.seen(images)).astype(float) / WIDTH
    assert np.abs(away).max() <= 0.5 + 1e-6 and abs(away.mean()) < 0.01
    assert away.std() == pytest.approx(12**-0.5, rel=0.01)
    rounded = np.rint((trained.fill(images, rng)[:, 0] + 1) / WIDTH).reshape(len(images), -1)
    assert np.mean(rounded == images) > 0.9999  # the fill of a level never reaches the next


def test_before_training_every_picture_costs_64_log_17():
    experiment = Experiment(1, True)
    images = experiment.held_out[0]
    even = 64 * math.log(17)
    found = experiment.bound(images, np.random.default_rng(1), draws=10)
    assert found.mean() == pytest.approx(even, abs=4 * found.std() / len(found) ** 0.5)
    assert -experiment.log_prob(images[:20], np.random.default_rng(2)).mean() == pytest.approx(even, abs=0.5)


def test_the_loss_of_one_step_estimates_what_the_bound_sums(trained):
    """Of the same digits, without labels and without dropout, up to the ends of λ that training leaves out."""
    images, experiment = np.tile(digits.splits().validation.images, (6, 1)), trained
    experiment.model.eval()
    with experiment.ema.averaged():
        loss = experiment.nats(experiment.model, experiment.seen(images), None).data
    bound = experiment.bound(images, np.random.default_rng(1), draws=12)
    error = (loss.var() / len(loss) + bound.var() / len(bound)) ** 0.5
    assert abs(loss.mean() - bound.mean()) < 4 * error + 0.5 and loss.mean() < 0.8 * 64 * math.log(17)


def test_the_flows_likelihood_hardly_depends_on_the_tolerance_and_on_where_it_begins(trained):
    """The same noise fills up the levels each time, and the same signs estimate the trace."""
    images = trained.held_out[0][:4]
    usual, exact, later = (trained.log_prob(images, np.random.default_rng(3), **settings) for settings in (
        {}, {"rtol": 1e-5}, {"lowest": 5e-4}))  # fmt: skip
    assert abs(usual - exact).mean() < 1.0  # of 115 nats; here 0.6, of either sign
    # Blurring the edges of a level by ς costs at most about 2 · 0.6 ς/WIDTH nats in each pixel.
    assert abs(later - exact).mean() < 1.0 + 64 * 1.2 * 5e-4 / WIDTH


def test_the_class_makes_another_likelihood_and_the_wrong_one_a_worse(trained):
    images, labels = (part[:200] for part in trained.held_out)
    untold, told, wrong = (trained.bound(images, np.random.default_rng(5), draws=16, labels=which).mean()
                           for which in (None, labels, (labels + 1) % 10))  # fmt: skip
    assert told < wrong and untold != told


def test_samples_are_whole_levels_of_the_class_asked_for(trained):
    drawn = trained.draw_asked([3, 1, 4], np.random.default_rng(6))
    assert drawn.shape == (3, 8, 8) and drawn.min() >= 0 and drawn.max() <= 16
    assert np.mean(np.abs(drawn - np.rint(drawn)) < 0.05) > 0.95
    np.testing.assert_array_equal(drawn, trained.draw_asked([3, 1, 4], np.random.default_rng(6)))


def test_choice_is_on_validation_digits_and_says_the_same_each_time(trained):
    validation = digits.splits().validation
    np.testing.assert_array_equal(trained.validation.images, validation.images)
    assert trained.validate() == trained.validate()
    assert diffusion_digits.RECIPE.build is Experiment
