"""Densities and paths of the probability flow against closed forms."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from minigen import Tensor, nn, ops
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, TrainingError
from minigen.models import probability_flow as flow
from minigen.models import samplers
from minigen.models.schedules import Cosine, Exploding, Growing, Linear, Steps

MIXTURE = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.25)
SCHEDULES = {"cosine": Cosine(), "linear": Linear(), "exploding": Exploding(low=1e-3), "growing": Growing(),
             "steps": Steps.linear(1000)}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_density_by_the_ode_is_the_exact_one(name):
    schedule, x = SCHEDULES[name], MIXTURE.sample(40, rng=np.random.default_rng(0))
    low = flow.first_time(schedule)
    exact = MIXTURE.log_prob(x, schedule.alpha(low), schedule.sigma(low))
    found = flow.log_prob(MIXTURE.predictor(schedule), schedule, x, rtol=1e-6, atol=1e-6)
    # What is left is the prior: at the end the data is not quite gone.
    np.testing.assert_allclose(found, exact, atol=0.005)


def test_it_integrates_to_one_over_the_plane():
    schedule = Linear()
    ticks = np.arange(-2.2, 2.2, 0.1)
    x = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    found = flow.log_prob(MIXTURE.predictor(schedule), schedule, x, rtol=1e-4, atol=1e-4)
    assert 0.1**2 * np.exp(found).sum() == pytest.approx(1, abs=0.005)


def test_a_flow_that_is_no_optimum_has_a_density_too():
    """Whatever the network says, (11.31) is the density of what the ODE makes of the prior."""

    class Wave(nn.Module):
        def forward(self, x):
            return 0.1 * ops.sin(2.0 * x) + 0.9 * x

    schedule, net = Linear(), Wave()
    predict = lambda x, t: net(x)  # noqa: E731
    x = np.linspace(-12, 12, 601)[:, None]
    density = np.exp(flow.log_prob(predict, schedule, x, low=0.01, rtol=1e-6, atol=1e-6))
    assert np.trapezoid(density, x[:, 0]) == pytest.approx(1, abs=0.01)
    places = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]  # quantiles of the prior; the flow keeps their order
    made = flow.ode(lambda x, t: net(Tensor(x)).data, schedule, places, low=0.01, rtol=1e-6, atol=1e-6)
    below = np.interp(made[::400, 0], x[:, 0], (np.cumsum(density) - density / 2) * 0.04)
    np.testing.assert_allclose(below, norm.cdf(places[::400, 0]), atol=0.01)


def test_the_estimated_trace_is_unbiased_and_the_exact_one_exact():
    rng, t = np.random.default_rng(1), np.full(5, 0.4)
    predict, x = MIXTURE.predictor(Cosine()), rng.normal(size=(5, 2))
    noise, exact = flow.noise_and_trace(predict, x, t)
    h = 1e-5
    moved = [(predict(x + h * e, t) - predict(x - h * e, t)) / (2 * h) for e in np.eye(2)]
    by_difference = moved[0][:, 0] + moved[1][:, 1]
    np.testing.assert_allclose(exact, by_difference, rtol=1e-6)
    signs = np.array([[[a, b]] * 5 for a in (-1.0, 1.0) for b in (-1.0, 1.0)])  # all there are
    same, found = flow.noise_and_trace(predict, x, t, signs=signs)
    np.testing.assert_allclose(found, exact, rtol=1e-10)
    np.testing.assert_array_equal(same, noise)
    one = flow.noise_and_trace(predict, x, t, signs=signs[:1])[1]
    assert np.abs(one - exact).max() > 1e-3


def test_hutchinsons_density_is_right_on_average():
    schedule, x = Linear(), MIXTURE.sample(10, rng=np.random.default_rng(2))
    predict = MIXTURE.predictor(schedule)
    exact = flow.log_prob(predict, schedule, x)
    rng = np.random.default_rng(3)
    found = flow.log_prob(predict, schedule, np.tile(x, (60, 1)), trace="hutchinson", rng=rng).reshape(60, 10)
    error = found.std(0) / math.sqrt(60)
    assert np.all(np.abs(found.mean(0) - exact) < 4 * error + 1e-3) and error.max() > 0.05
    more = flow.log_prob(predict, schedule, x, trace="hutchinson", rng=rng, probes=64)
    assert np.abs(more - exact).mean() < np.abs(found - exact).mean()


@pytest.mark.parametrize("name", SCHEDULES)
def test_down_and_up_again_is_where_one_was(name):
    schedule = SCHEDULES[name]
    x = samplers.starting_noise(schedule, (6, 2), rng=np.random.default_rng(4), dtype=np.float64)
    low, predict = flow.first_time(schedule, 0.02), MIXTURE.predictor(schedule)
    down = flow.ode(predict, schedule, x, low=low, rtol=1e-7, atol=1e-7)
    up = flow.ode(predict, schedule, down, times=(low, schedule.end), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(up, x, rtol=2e-3, atol=2e-3)
    apart = samplers.heun(predict, schedule, samplers.snr_times(schedule, 400, highest=-2 * math.log(0.02),
                                                                clean=False), x)  # fmt: skip
    np.testing.assert_allclose(apart, down, atol=0.01)
    path = flow.ode(predict, schedule, x, low=low, keep=5)
    assert path.shape == (5, 6, 2)
    np.testing.assert_allclose(path[0], x, rtol=1e-9)
    np.testing.assert_allclose(path[-1], down, atol=1e-3)


def test_samples_of_the_ode_have_the_right_moments():
    schedule, one = Cosine(), NoisedMixture([[0.5, -0.3]], 0.6)
    x = samplers.starting_noise(schedule, (4000, 2), rng=np.random.default_rng(5), dtype=np.float64)
    found = flow.ode(one.predictor(schedule), schedule, x, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.mean(0), [0.5, -0.3], atol=0.04)
    np.testing.assert_allclose(found.std(0), 0.6, rtol=0.04)


def test_bits_per_dimension():
    nats = np.array([-64 * math.log(2) * 3.0])
    assert flow.bits_per_dim(nats, 64)[0] == pytest.approx(3.0)
    assert flow.bits_per_dim(nats, 64, width=0.5)[0] == pytest.approx(4.0)  # half as wide: one bit less likely
    uniform = flow.bits_per_dim(np.array([-math.log(2.0) * 5]), 5, width=2 / 16)  # uniform on (−1, 1), 16 levels
    assert uniform[0] == pytest.approx(4.0)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(MinigenError, match="expected 'exact', or 'hutchinson' with an rng"):
        flow.log_prob(MIXTURE.predictor(Linear()), Linear(), np.zeros((1, 2)), trace="hutchinson")
    with pytest.raises(TrainingError, match="log ς.*the velocity is not finite at t = "):
        flow.ode(lambda x, t: x * np.nan, Linear(), np.ones((1, 2)))
