"""Samplers on targets whose best denoiser is known exactly: they reach the right law, and agree where they must."""

import numpy as np
import pytest

from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.metrics.modes import count_modes
from minigen.models import samplers
from minigen.models.schedules import Cosine, Exploding, Growing, Linear, Steps

WIDE = NoisedMixture([[0.5, -0.3]], 0.6)  # one Gaussian: everything about the flow is a closed form
SCHEDULES = {"cosine": Cosine(), "linear": Linear(), "exploding": Exploding(low=1e-3), "growing": Growing(),
             "steps": Steps.linear(1000)}  # fmt: skip


def start(schedule, n, seed=0):
    return samplers.starting_noise(schedule, (n, 2), rng=np.random.default_rng(seed), dtype=np.float64)


def flowed(x, schedule, t, s):
    """Where the probability flow of one Gaussian carries x from time t to s: each keeps its place in the crowd."""
    alpha, sigma = schedule.alpha(np.array([t, s])), schedule.sigma(np.array([t, s]))
    width = np.hypot(alpha * WIDE.sigma, sigma)
    return alpha[1] * WIDE.means + width[1] / width[0] * (x - alpha[0] * WIDE.means)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_deterministic_samplers_follow_the_flow_and_at_their_order(name):
    schedule = SCHEDULES[name]
    x, predict = start(schedule, 50), WIDE.predictor(schedule)
    low = float(schedule.time_of(7.0))
    errors = {}
    for sampler in (samplers.ddim, samplers.heun, samplers.dpm_solver):
        for steps in (40, 80):
            times = samplers.snr_times(schedule, steps, highest=7.0, clean=False)
            truth = flowed(x, schedule, times[0], low)
            errors[sampler.__name__, steps] = np.abs(sampler(predict, schedule, times, x) - truth).max()
    assert errors["ddim", 80] < 0.07 and errors["heun", 80] < 0.01 and errors["dpm_solver", 80] < 0.01
    if name != "steps":  # between whole times λ is only piecewise smooth
        assert errors["ddim", 40] / errors["ddim", 80] == pytest.approx(2, abs=0.3)
        assert errors["heun", 40] / errors["heun", 80] > 3.2
        assert errors["dpm_solver", 40] / errors["dpm_solver", 80] > 3.2


@pytest.mark.parametrize("name", ["cosine", "exploding", "steps"])
@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "half", "dpm_solver", "heun", "churned"])
def test_every_sampler_reaches_the_moments_of_a_gaussian(name, sampler):
    schedule, rng = SCHEDULES[name], np.random.default_rng(1)
    # Those of first order are still 4.5 % too narrow at 60 to 100 steps.
    times = samplers.snr_times(schedule, 60 if sampler in ("dpm_solver", "heun", "churned") else 400, highest=9.0)
    x, predict = start(schedule, 10_000), WIDE.predictor(schedule)
    found = {
        "ancestral": lambda: samplers.ancestral(predict, schedule, times, x, rng=rng),
        "ddim": lambda: samplers.ddim(predict, schedule, times, x),
        "half": lambda: samplers.ddim(predict, schedule, times, x, eta=0.5, rng=rng),
        "dpm_solver": lambda: samplers.dpm_solver(predict, schedule, times, x),
        "heun": lambda: samplers.heun(predict, schedule, times, x),
        "churned": lambda: samplers.heun(predict, schedule, times, x, churn=20, rng=rng),
    }[sampler]()
    np.testing.assert_allclose(found.mean(0), WIDE.means[0], atol=0.025)
    np.testing.assert_allclose(found.std(0), WIDE.sigma, rtol=0.03)
    assert np.corrcoef(found.T)[0, 1] == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm_solver", "heun", "churned"])
def test_every_sampler_finds_all_modes_of_the_grid_in_their_proportions(sampler):
    truth = toy2d.grid()
    mixture, schedule = NoisedMixture(truth.means / 3, truth.sigma / 3), Cosine()
    rng, predict = np.random.default_rng(2), mixture.predictor(schedule)
    times = samplers.snr_times(schedule, 120, highest=11.0)
    x = start(schedule, 2_500, seed=3)
    found = {
        "ancestral": lambda: samplers.ancestral(predict, schedule, times, x, rng=rng),
        "ddim": lambda: samplers.ddim(predict, schedule, times, x),
        "dpm_solver": lambda: samplers.dpm_solver(predict, schedule, times, x),
        "heun": lambda: samplers.heun(predict, schedule, times, x),
        "churned": lambda: samplers.heun(predict, schedule, times, x, churn=30, rng=rng),
    }[sampler]()
    modes = count_modes(3 * found, truth.means, truth.sigma)
    assert modes.captured == 25 and modes.high_quality > 0.97 and modes.reverse_kl < 0.015


def test_too_few_ancestral_steps_are_too_narrow_or_too_wide_as_the_recursion_says():
    """For one Gaussian each step is linear, so the variance after all of them is known."""
    schedule, rng = Steps.linear(1000), np.random.default_rng(9)
    times = np.arange(1000, -1, -20)
    for variance in ("posterior", "forward"):
        found, width = samplers.ancestral(WIDE.predictor(schedule), schedule, times, start(schedule, 20_000), rng=rng,
                                          variance=variance), 1.0  # fmt: skip
        for t, s in zip(times[:-1], times[1:], strict=True):
            alpha, sigma, share = schedule.alpha(t), schedule.sigma(t), schedule.share(t, s)
            clean = alpha * 0.6**2 / ((alpha * 0.6) ** 2 + sigma**2)  # x̂₀ = clean · x + const
            slope = schedule.alpha(s) * ((1 - share) / alpha + share * clean)
            width = slope**2 * width + share * (schedule.sigma(s) if variance == "posterior" or s == 0 else sigma) ** 2
        np.testing.assert_allclose(found.std(0), np.sqrt(width), rtol=0.02)
        assert (np.sqrt(width) < 0.594) if variance == "posterior" else (np.sqrt(width) > 0.606)


def test_ancestral_steps_with_the_larger_variance_reach_the_law_as_well():
    schedule, rng = Steps.linear(1000), np.random.default_rng(4)
    found = samplers.ancestral(WIDE.predictor(schedule), schedule, np.arange(1000, -1, -4), start(schedule, 20_000),
                               rng=rng, variance="forward")  # fmt: skip
    np.testing.assert_allclose(found.std(0), WIDE.sigma, rtol=0.03)


@pytest.mark.parametrize("name", ["cosine", "steps", "growing"])
def test_ddim_with_eta_one_is_the_ancestral_sampler(name):
    schedule = SCHEDULES[name]
    predict = NoisedMixture([[1.0, 0.0], [-1.0, 0.5]], 0.2).predictor(schedule)
    times = samplers.even_times(schedule, 30) if name != "growing" else samplers.karras_times(schedule, 30)
    x, (first, second) = start(schedule, 20), (np.random.default_rng(5), np.random.default_rng(5))
    ddpm = samplers.ancestral(predict, schedule, times, x, rng=first, keep=True)
    ddim = samplers.ddim(predict, schedule, times, x, eta=1.0, rng=second, keep=True)
    np.testing.assert_allclose(ddim, ddpm, rtol=1e-8, atol=1e-10)
    assert ddpm.shape == (31, 20, 2)


def test_dpm_solvers_first_step_is_ddims():
    schedule = Cosine()
    predict, x = WIDE.predictor(schedule), start(schedule, 10)
    for pair in ([0.9, 0.7], [0.3, 0.0]):
        np.testing.assert_allclose(samplers.dpm_solver(predict, schedule, pair, x),
                                   samplers.ddim(predict, schedule, pair, x), rtol=1e-9)  # fmt: skip


def test_dpm_solver_on_uneven_steps_is_the_papers_algorithm():
    """Algorithm 2 of Lu et al. 2022 (DPM-Solver++) in its own letters, for a guess x̂₀ that depends on the time only."""
    schedule, x = Cosine(), start(Cosine(), 5)
    times = schedule.time_of(np.array([-6.0, -4.0, 1.0, 2.0, 6.0]))
    guess = lambda t: np.sin(5 * t)  # noqa: E731
    alpha, sigma, lam = schedule.alpha(times), schedule.sigma(times), 0.5 * schedule.log_snr(times)
    h, by_hand = np.diff(lam), x
    for i in range(1, 5):
        d = guess(times[i - 1])
        if i > 1:
            r = h[i - 2] / h[i - 1]
            d = (1 + 1 / (2 * r)) * guess(times[i - 1]) - 1 / (2 * r) * guess(times[i - 2])
        by_hand = sigma[i] / sigma[i - 1] * by_hand - alpha[i] * (np.exp(-h[i - 1]) - 1) * d

    def predict(x, t):
        return (x - schedule.alpha(t)[:, None] * guess(t)[:, None]) / schedule.sigma(t)[:, None]

    np.testing.assert_allclose(samplers.dpm_solver(predict, schedule, times, x), by_hand, rtol=1e-9)


def test_on_karras_own_schedule_heun_is_his_algorithm():
    """Algorithm 2 of Karras et al. 2022, written out with D(x; σ)."""
    schedule, mixture = Growing(), NoisedMixture([[1.0, 0.0], [-1.0, 0.5]], 0.2)
    times = samplers.karras_times(schedule, 18)
    ramp = np.arange(18) / 17
    np.testing.assert_allclose(times[:-1], (80 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, rtol=1e-10)
    x = start(schedule, 8)
    for churn, noise in ((0.0, 1.0), (10.0, 1.007)):
        rng, by_hand = np.random.default_rng(6), x.copy()
        gamma = min(churn / 18, np.sqrt(2) - 1)
        for i in range(18):
            t, s = times[i], times[i + 1]
            if gamma and 0.05 <= t <= 50:
                t_hat = t + gamma * t
                by_hand = by_hand + np.sqrt(t_hat**2 - t**2) * noise * rng.standard_normal(x.shape)
            else:
                t_hat = t
            d = (by_hand - mixture.clean(by_hand, 1.0, t_hat)) / t_hat
            following = by_hand + (s - t_hat) * d
            if s > 0:
                d2 = (following - mixture.clean(following, 1.0, s)) / s
                following = by_hand + (s - t_hat) * 0.5 * (d + d2)
            by_hand = following
        found = samplers.heun(mixture.predictor(schedule), schedule, times, x, churn=churn, churn_range=(0.05, 50),
                              churn_noise=noise, rng=np.random.default_rng(6))  # fmt: skip
        np.testing.assert_allclose(found, by_hand, rtol=1e-7, atol=1e-9)


def test_a_learned_share_sets_the_variance_between_the_two():
    schedule, x = Steps.linear(10), np.zeros((50_000, 1))
    t, s = 5, 4
    low, high = schedule.share(t, s) * schedule.sigma(np.array([s, t])) ** 2
    for share in (0.0, 0.3, 1.0):
        found = samplers.ancestral(lambda x, t, v=share: (x, np.full(x.shape, v)), schedule, [t, s], x,
                                   rng=np.random.default_rng(0))  # fmt: skip
        assert found.std() == pytest.approx(np.sqrt(high**share * low ** (1 - share)), rel=0.02)


def test_clipping_keeps_the_guess_inside_and_the_last_step_returns_it():
    schedule, x = Steps.linear(10), 50 * np.ones((3, 2))
    for sampler, extra in ((samplers.ancestral, {"rng": np.random.default_rng(0)}), (samplers.ddim, {}),
                           (samplers.dpm_solver, {})):  # fmt: skip
        found = sampler(lambda x, t: 0.0 * x, schedule, np.arange(10, -1, -1), x, clip=(-1, 1), **extra)
        assert np.abs(found).max() <= 1
        if not extra:  # nothing random: the guess is at the edge all the way
            np.testing.assert_allclose(found, 1.0)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_a_predictor_that_is_kept_within_a_range_does_what_clipping_does(dtype):
    schedule, x = Cosine(), start(Cosine(), 200).astype(dtype)
    times, predict = samplers.snr_times(schedule, 12), WIDE.predictor(schedule)
    kept = samplers.kept_within(predict, schedule, -0.4, [0.2, 0.9])
    clipped = samplers.ddim(predict, schedule, times, x, clip=(-0.4, np.array([0.2, 0.9])))
    found = samplers.ddim(kept, schedule, times, x)
    assert found.dtype == dtype and np.abs(found - samplers.ddim(predict, schedule, times, x)).max() > 0.5
    np.testing.assert_allclose(found, clipped, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_where_the_guess_is_within_its_range_the_prediction_stays_and_elsewhere_it_still_makes_x():
    schedule, rng = Cosine(), np.random.default_rng(0)
    x, t = rng.standard_normal((60, 3, 2)), rng.uniform(0.1, 0.95, 60)
    predict = lambda x, t: 0.5 * x  # noqa: E731
    noise = samplers.kept_within(predict, schedule, -0.7, 0.8)(x, t)
    alpha, sigma = (part(t).reshape(-1, 1, 1) for part in (schedule.alpha, schedule.sigma))
    free, clean = (x - sigma * 0.5 * x) / alpha, (x - sigma * noise) / alpha
    inside = (free >= -0.7) & (free <= 0.8)
    assert 0.2 < inside.mean() < 0.9 and (noise[inside] == 0.5 * x[inside]).all()
    np.testing.assert_allclose(clean, np.clip(free, -0.7, 0.8), atol=1e-12)
    assert (samplers.kept_within(predict, schedule, -0.7, 0.8)(x, 0.5) != noise).any()  # one time for all


def test_a_hook_after_each_step_may_put_pixels_back():
    schedule, seen = Cosine(), []

    def after(x, s):
        seen.append(s)
        return np.concatenate([x[:, :1], np.full((len(x), 1), 7.0)], axis=1)

    found = samplers.ddim(WIDE.predictor(schedule), schedule, [1.0, 0.5, 0.0], start(schedule, 5), after=after)
    assert seen == [0.5, 0.0] and np.all(found[:, 1] == 7)


def test_times():
    steps = Steps.linear(1000)
    np.testing.assert_array_equal(samplers.even_times(steps, 4), [1000, 750, 500, 250, 0])
    for schedule in SCHEDULES.values():
        for times in (samplers.snr_times(schedule, 12), samplers.karras_times(schedule, 12)):
            assert times.shape == (13,) and times[-1] == 0 and np.all(np.diff(times) < 0)
        assert len(samplers.snr_times(schedule, 12, clean=False)) == 13
    log_snr = Cosine().log_snr(samplers.snr_times(Cosine(), 12)[:-1])
    np.testing.assert_allclose(np.diff(log_snr), np.diff(log_snr)[0])


def test_single_precision_stays_single():
    schedule, rng = Cosine(), np.random.default_rng(0)
    x, predict = np.ones((3, 2), np.float32), lambda x, t: 0.5 * x
    for found in (samplers.ancestral(predict, schedule, [1.0, 0.5, 0.0], x, rng=rng),
                  samplers.ddim(predict, schedule, [1.0, 0.5, 0.0], x, eta=0.5, rng=rng),
                  samplers.dpm_solver(predict, schedule, [1.0, 0.5, 0.0], x),
                  samplers.heun(predict, schedule, [1.0, 0.5, 0.0], x, churn=1, rng=rng)):  # fmt: skip
        assert found.dtype == np.float32


def test_what_makes_no_sense_is_refused():
    predict, x = WIDE.predictor(Cosine()), np.zeros((2, 2))
    for times in ([1.0], [0.0, 1.0], [[1.0, 0.0]]):
        with pytest.raises(ShapeError, match="expected at least two falling numbers"):
            samplers.ddim(predict, Cosine(), times, x)
    with pytest.raises(MinigenError, match="eta=0.5 needs random numbers"):
        samplers.ddim(predict, Cosine(), [1.0, 0.0], x, eta=0.5)
    with pytest.raises(MinigenError, match="churn=3 needs random numbers"):
        samplers.heun(predict, Cosine(), [1.0, 0.0], x, churn=3)
    with pytest.raises(MinigenError, match="expected 'posterior' or 'forward'"):
        samplers.ancestral(predict, Cosine(), [1.0, 0.0], x, rng=np.random.default_rng(0), variance="learned")
