"""The denoiser of whole levels against Bayes' rule by brute force, and what an untrained one costs: 64 ln 17."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from minigen import Tensor, autograd, nn
from minigen.autograd.gradcheck import gradcheck
from minigen.models import probability_flow, samplers
from minigen.models.diffusion import Diffusion
from minigen.models.schedules import Cosine, Growing
from minigen.nn.levels import LevelNet

LEVELS, SCHEDULE = 5, Cosine()
VALUES, EDGES = np.linspace(-1, 1, LEVELS), np.linspace(-1.25, 1.25, LEVELS + 1)


class Says(nn.Module):
    """A network that says the same of every pixel; its slope in what it sees is `steep`."""

    def __init__(self, logits, steep=0.0):
        self.logits, self.steep = nn.parameter(logits), steep
        self.to(np.float64)

    def forward(self, seen, time, labels=None):
        said = self.logits.reshape(1, -1, 1, 1) + (seen[:, :1] + seen[:, 1:]) * self.steep
        return said * np.ones((1, 1, *seen.shape[2:]))


def noised(schedule, ratios, rng, side=2):
    t = schedule.time_of(-2 * np.log(ratios))
    clean = rng.choice(VALUES, size=(len(t), 1, side, side))
    return schedule.noised(clean, t, rng.standard_normal(clean.shape)), t


@pytest.mark.parametrize("schedule", [Cosine(), Growing()], ids=["cosine", "growing"])
def test_whole_levels_are_weighed_by_bayes_rule(schedule):
    rng, logits = np.random.default_rng(0), np.array([0.5, -1.0, 0.0, 2.0, -0.3])
    x, t = noised(schedule, np.array([0.02, 0.3, 5.0]), rng)
    net = LevelNet(Says(logits), schedule, LEVELS)
    alpha, sigma = (part(t)[:, None, None, None, None] for part in (schedule.alpha, schedule.sigma))
    weights = np.exp(logits) * norm.pdf(x[..., None], alpha * VALUES, sigma)
    expected = (weights * VALUES).sum(-1) / weights.sum(-1)
    found = net(Tensor(x), t * schedule.time_scale).data
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_filled_levels_have_the_mean_that_integration_gives():
    rng, logits = np.random.default_rng(1), np.array([0.5, -1.0, 0.0, 2.0, -0.3])
    x, t = noised(SCHEDULE, np.array([0.03, 0.3, 2.0]), rng, side=1)
    found = LevelNet(Says(logits), SCHEDULE, LEVELS, bins=True)(Tensor(x), t * SCHEDULE.time_scale).data.ravel()
    places = np.linspace(EDGES[0], EDGES[-1], 200_000, endpoint=False) + 0.5 * 2.5 / 200_000
    prior = np.exp(logits)[np.searchsorted(EDGES, places) - 1]
    for mean, seen, now in zip(found, x.ravel(), t, strict=True):
        weights = prior * norm.pdf(seen, SCHEDULE.alpha(now) * places, SCHEDULE.sigma(now))
        assert mean == pytest.approx((weights * places).sum() / weights.sum(), abs=1e-6)


@pytest.mark.parametrize("bins", [False, True])
def test_gradients_against_differences(bins):
    rng = np.random.default_rng(2)
    x, t = noised(SCHEDULE, np.array([0.2, 0.9]), rng)
    net = LevelNet(Says(rng.normal(size=LEVELS), steep=0.7), SCHEDULE, LEVELS, bins=bins).to(np.float64)
    gradcheck(lambda x: net(x, t * SCHEDULE.time_scale), x, parameters=dict(net.named_parameters()))


def test_a_network_that_says_nothing_costs_the_logarithm_of_the_levels_by_bound_and_by_flow():
    rng = np.random.default_rng(3)
    levels = rng.integers(0, LEVELS, size=(300, 1, 2, 2))
    even = 4 * math.log(LEVELS)
    whole, filled = (Diffusion(LevelNet(Says(np.zeros(LEVELS)), SCHEDULE, LEVELS, bins=bins), SCHEDULE, prediction="x0")
                     for bins in (False, True))  # fmt: skip
    times = samplers.snr_times(SCHEDULE, 2000, highest=8.0)
    found = whole.bound(VALUES[levels], times, rng=rng, levels=LEVELS, draws=60)["total"]
    assert found.mean() == pytest.approx(even, abs=4 * found.std() / 300**0.5 + 0.01)
    x = VALUES[levels[:10]] + 0.5 * (rng.random((10, 1, 2, 2)) - 0.5)
    low = probability_flow.first_time(SCHEDULE, 1e-4)
    density = probability_flow.log_prob(filled.predictor(), SCHEDULE, x, low=low, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(-(density + 4 * math.log(0.5)), even, atol=0.02)


def test_what_lies_far_beyond_the_levels_is_guessed_at_their_edge_and_stays_finite_in_single_precision():
    net = LevelNet(Says(np.linspace(-9, 9, LEVELS)).to(np.float32), SCHEDULE, LEVELS, bins=True)
    t = SCHEDULE.time_of(-2 * np.log(np.array([1e-3, 0.05, 3.0])))
    for far in (-40.0, 40.0):
        x = Tensor(np.full((3, 1, 1, 1), far, np.float32), requires_grad=True)
        guess = net(x, t * SCHEDULE.time_scale)
        (slope,) = autograd.grad(guess.sum(), x)
        assert np.isfinite(slope.data).all() and np.isfinite(guess.data).all()
        near = guess.data.ravel()[:2]
        np.testing.assert_allclose(near, EDGES[0] if far < 0 else EDGES[-1], atol=0.05)
