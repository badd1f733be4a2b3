"""The judge of lesson 10's open exercise, and the two hills."""

import numpy as np
import pytest

from minigen.learn import walks
from minigen.metrics.modes import count_modes


def test_the_hills_have_their_weights_and_their_distance():
    points = walks.two_hills(0.3, 6.0).sample(50_000, rng=np.random.default_rng(0))
    right = points[:, 0] > 0
    assert right.mean() == pytest.approx(0.3, abs=0.01)
    assert points[right].mean(0) == pytest.approx([3, 0], abs=0.05)
    assert points[~right].mean(0) == pytest.approx([-3, 0], abs=0.05)


@pytest.mark.parametrize("plan", [{}, {"method": "corrector"}, {"method": "corrector", "count": 0, "levels": 7},
                                  {"levels": 3, "count": 1}])  # fmt: skip
def test_calls_are_foretold(plan):
    assert walks.walk(plan, n=10)[1] == walks._calls(plan)


def test_true_points_have_the_width_that_is_asked_for():
    points = walks.GRID.sample(100_000, rng=np.random.default_rng(1))
    assert walks.width(points, walks.GRID.means, walks.GRID.sigma) == pytest.approx(0.974, abs=0.005)
    assert np.isnan(walks.width(np.full((3, 2), 50.0), walks.GRID.means, walks.GRID.sigma))


@pytest.mark.parametrize("plan", [{"method": "corrector", "levels": 40, "count": 0, "low": 0.01},
                                  {"method": "corrector", "levels": 20, "count": 1, "low": 0.01, "ratio": 0.3}])
def test_a_good_plan_passes_also_with_another_seed(plan):  # fmt: skip
    passed, text = walks.better_walk(lambda: plan)
    assert passed, text
    found = count_modes(walks.walk(plan, seed=7)[0], walks.GRID.means, walks.GRID.sigma)
    assert found.captured == 25 and found.high_quality > 0.97


def test_means_in_place_of_samples_do_not_pass():
    passed, text = walks.better_walk(lambda: {"method": "corrector", "low": 0.2, "levels": 20, "count": 1})
    assert not passed and "the modes shrink" in text


def test_shares_that_are_not_right_are_named():
    passed, text = walks.better_walk(lambda: {"levels": 13, "count": 2, "step": 0.4})
    assert not passed and "The shares are not right" in text
