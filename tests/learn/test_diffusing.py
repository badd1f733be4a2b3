"""Lesson 11's toys, against what must hold for them."""

import numpy as np
import pytest

from minigen.learn import diffusing
from minigen.models import samplers
from minigen.models.schedules import Cosine, Steps

LATTICE = np.linspace(-7, 7, 2801)


def test_the_hills_have_about_the_variance_one():
    points = diffusing.line().sample(100_000, rng=np.random.default_rng(0))
    assert points.var() == pytest.approx(1.06, abs=0.02) and abs(points.mean()) < 0.03


@pytest.mark.parametrize("schedule", [Cosine(), Steps.linear(50)])
def test_the_best_network_says_what_the_mixture_knows(schedule):
    world, t = diffusing.line(), np.array([0.2, 0.5, 0.9]) if not schedule.discrete else np.array([1, 20, 50])
    x = np.array([[0.3], [-1.0], [2.0]])
    said = diffusing.best(world, schedule).predictor()(x, t)
    assert said == pytest.approx(world.noise(x, schedule.alpha(t), schedule.sigma(t)), abs=1e-9)


def test_both_ways_back_are_densities_and_have_the_same_mean():
    world, x = diffusing.line(), [-0.5, 1.3]
    true = diffusing.true_reverse(world, Cosine(), LATTICE, x, 0.5, 0.3)
    model = diffusing.model_reverse(world, Cosine(), LATTICE, x, 0.5, 0.3)
    assert true.shape == model.shape == (2, len(LATTICE))
    assert true.sum(1) * 0.005 == pytest.approx([1, 1]) and model.sum(1) * 0.005 == pytest.approx([1, 1])
    assert true @ LATTICE == pytest.approx(model @ LATTICE, rel=1e-6)


def test_the_gap_falls_with_the_number_of_steps():
    world, schedule = diffusing.line(), Cosine()
    few, many = (diffusing.gap(world, schedule, samplers.snr_times(schedule, n, highest=6)) for n in (10, 20))
    assert few > 2 * many > 0


def test_the_mistaken_schedule_has_the_noise_of_one_step():
    betas = Steps.linear(1000).betas
    wrong, t = diffusing.PerStep(betas), np.array([1, 500, 1000])
    assert wrong.sigma(t) ** 2 == pytest.approx(betas[t - 1]) and wrong.alpha(t) ** 2 == pytest.approx(1 - betas[t - 1])


def test_an_untrained_network_is_as_far_above_the_floor_as_saying_nothing():
    made = diffusing.grid(steps=200)
    losses, floors = diffusing.errors(made, [0.2, 0.6], count=4000)
    assert losses == pytest.approx([1, 1], abs=0.05) and (floors < losses).all()
    assert diffusing.excess(made) == diffusing.excess(made, averaged=False) > 1


def test_training_is_that_of_the_recipe_with_what_was_changed():
    made = diffusing.grid(steps=101, schedule=Steps.linear(100))
    assert len(diffusing.train(made)) == 101 and made.model.schedule.discrete
