"""The forward process against its own small steps, against Bayes on a grid, and each schedule against its inverse."""

import numpy as np
import pytest

from minigen import Tensor, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import MinigenError, ShapeError
from minigen.models.schedules import Cosine, Exploding, Growing, Linear, Sigmoid, Steps

CONTINUOUS = {"linear": Linear(), "cosine": Cosine(), "sigmoid": Sigmoid(), "exploding": Exploding(),
              "growing": Growing()}  # fmt: skip
ALL = CONTINUOUS | {"steps": Steps.linear(200), "cosine steps": Steps.of(Cosine(lowest=-np.inf), 200)}


def times(schedule, n=9, low=0.02):
    t = np.linspace(low, 1, n) * schedule.end
    return np.round(t) if schedule.discrete else t


def test_many_small_steps_are_one_large_one():
    rng = np.random.default_rng(0)
    schedule = Steps.linear(20)
    x = np.full(200_000, 1.5)
    alpha, variance = 1.0, 0.0
    for t, beta in enumerate(schedule.betas, start=1):
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.standard_normal(x.shape)  # (11.1)
        alpha, variance = np.sqrt(1 - beta) * alpha, (1 - beta) * variance + beta
        assert schedule.alpha(t) == pytest.approx(alpha, rel=1e-12)
        assert schedule.sigma(t) ** 2 == pytest.approx(variance, rel=1e-10)
    assert x.mean() == pytest.approx(1.5 * alpha, abs=5 * np.sqrt(variance / 2e5))
    assert x.var() == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("name", ALL)
def test_time_and_log_snr_are_inverse_and_the_snr_falls(name):
    schedule = ALL[name]
    t = times(schedule)
    np.testing.assert_allclose(schedule.time_of(schedule.log_snr(t)), t, rtol=1e-9)
    assert np.all(np.diff(schedule.log_snr(t)) < 0)
    ratio = schedule.alpha(t) ** 2 / schedule.sigma(t) ** 2
    np.testing.assert_allclose(np.log(ratio), schedule.log_snr(t), rtol=1e-9, atol=1e-9)
    power = schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2
    if name in ("exploding", "growing"):
        np.testing.assert_array_equal(schedule.alpha(t), 1)
    else:
        np.testing.assert_allclose(power, 1, rtol=1e-12)
    assert schedule.alpha(0.0) == 1
    assert schedule.sigma(0.0) == pytest.approx(0.01 if name == "exploding" else 0, rel=1e-12, abs=0)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_slope_of_log_snr_against_differences(name):
    schedule = CONTINUOUS[name]
    t, h = times(schedule)[:-1], 1e-5 * schedule.end
    difference = (schedule.log_snr(t + h) - schedule.log_snr(t - h)) / (2 * h)
    np.testing.assert_allclose(schedule.slope(t), difference, rtol=1e-6)


def test_the_known_values_of_the_three_schedules():
    linear = Steps.linear(1000)
    assert linear.betas[0] == 1e-4 and linear.betas[-1] == 0.02
    assert linear.alpha(1000) ** 2 == pytest.approx(4.0358e-5, rel=1e-4)  # known from the paper's code
    t = np.array([0.1, 0.5, 0.9])
    many = Steps.linear(100_000).log_snr(100_000 * t)  # (11.8) is the limit of many steps
    np.testing.assert_allclose(many, Linear().log_snr(t), atol=1e-3)
    whole = Cosine(lowest=-np.inf)
    np.testing.assert_allclose(
        whole.alpha(t) ** 2, (np.cos((t + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)) ** 2
    )
    assert Steps.of(whole, 1000).betas[-1] == 0.999
    sigmoid = Sigmoid(lowest=-40.0)  # ᾱ as in the paper's code
    s = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    np.testing.assert_allclose(sigmoid.alpha(t) ** 2, (s(-(6 * t - 3)) - s(-3)) / (s(3) - s(-3)), rtol=1e-6)
    assert Cosine().log_snr(1.0) == pytest.approx(-10) and Sigmoid().log_snr(1.0) == pytest.approx(-10)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("pair", [(1.0, 0.6), (0.5, 0.45), (0.3, 0.02)])
def test_the_posterior_against_bayes_on_a_grid(name, pair):
    schedule = ALL[name]
    t, s = (np.round(p * schedule.end) if schedule.discrete else p * schedule.end for p in pair)
    at, st, as_, ss = (float(f(time)) for time in (t, s) for f in (schedule.alpha, schedule.sigma))
    x0, xt = 0.7, at * 0.7 - 0.8 * st
    mean, variance = schedule.posterior(np.array([xt]), np.array([x0]), t, s)
    grid = mean + np.sqrt(variance) * np.linspace(-12, 12, 20_001)
    transition = st**2 - (at / as_) ** 2 * ss**2  # the variance of q(x_t | x_s), so that the marginal is right
    logs = -0.5 * (grid - as_ * x0) ** 2 / ss**2 - 0.5 * (xt - at / as_ * grid) ** 2 / transition
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    found = weights @ grid
    assert mean[0] == pytest.approx(found, rel=1e-6, abs=1e-6 * ss)
    assert variance == pytest.approx(weights @ (grid - found) ** 2, rel=1e-6)
    assert schedule.share(t, s) * st**2 == pytest.approx(transition, rel=1e-8)


def test_one_step_back_has_the_papers_two_variances():
    schedule = Steps.linear(50)
    bar = np.concatenate([[1.0], np.cumprod(1 - schedule.betas)])
    for t in (2, 17, 50):
        beta = schedule.betas[t - 1]
        mean, variance = schedule.posterior(np.array([0.3]), np.array([-1.1]), t, t - 1)
        assert schedule.share(t, t - 1) * schedule.sigma(t) ** 2 == pytest.approx(beta, rel=1e-9)
        assert variance == pytest.approx((1 - bar[t - 1]) / (1 - bar[t]) * beta, rel=1e-9)
        by_hand = np.sqrt(bar[t - 1]) * beta / (1 - bar[t]) * -1.1
        by_hand += np.sqrt(1 - beta) * (1 - bar[t - 1]) / (1 - bar[t]) * 0.3
        assert mean[0] == pytest.approx(by_hand, rel=1e-9)
    mean, variance = schedule.posterior(np.array([0.3]), np.array([-1.1]), 1, 0)
    assert mean[0] == -1.1 and variance == 0


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
def test_each_prediction_gives_back_noise_and_data(name, kind):
    schedule, rng = ALL[name], np.random.default_rng(0)
    t = times(schedule)
    clean, noise = rng.standard_normal((2, len(t), 3, 2))
    x = schedule.noised(clean, t, noise)
    said = schedule.target(kind, clean, noise, t)
    scale = np.maximum(1, schedule.sigma(t) / schedule.alpha(t)).max()
    np.testing.assert_allclose(schedule.noise_from(kind, said, x, t), noise, atol=1e-8)
    np.testing.assert_allclose(schedule.clean_from(kind, said, x, t), clean, atol=1e-9 * scale)


def test_conversions_differentiate():
    schedule, x = Cosine(), np.random.default_rng(0).standard_normal((3, 2))
    for kind in ("eps", "x0", "v"):
        gradcheck(lambda a, b, kind=kind: (ops.sin(schedule.noise_from(kind, a, b, np.array([0.1, 0.5, 0.9]))),
                                           schedule.clean_from(kind, a, b, np.array([0.1, 0.5, 0.9]))), (x, x[::-1]))


def test_times_are_spread_evenly_and_repeat():
    schedule = Linear()
    t = schedule.draw(100, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(np.floor(100 * t)), np.arange(100))
    np.testing.assert_array_equal(t, schedule.draw(100, rng=np.random.default_rng(0)))
    whole = Steps.linear(10).draw(2000, rng=np.random.default_rng(0))
    assert set(whole) == set(range(1, 11))
    assert Growing().draw(50, rng=np.random.default_rng(0)).max() > 70


def test_coefficients_take_the_type_and_the_axes_of_x():
    x = np.zeros((4, 3, 2), np.float32)
    noised = Cosine().noised(Tensor(x), np.full(4, 0.5), x)
    assert noised.dtype == np.float32 and noised.shape == x.shape
    with pytest.raises(ShapeError, match=r"numbers \(3,\) for x \(4, 3, 2\)"):
        Cosine().noised(x, np.full(3, 0.5), x)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(MinigenError, match="prediction is 'noise'; expected 'eps', 'x0' or 'v'"):
        Cosine().target("noise", np.zeros((1, 2)), np.zeros((1, 2)), np.array([0.5]))
    for betas in ([], [0.1, 1.0], [[0.1]]):
        with pytest.raises(MinigenError, match="Steps: betas"):
            Steps(betas)
