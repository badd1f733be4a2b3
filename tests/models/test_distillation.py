"""Distillation against closed forms: the exact consistency function of a Gaussian, its loss, its law; halving steps."""

import math

import numpy as np
import pytest

from minigen import Tensor, nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.models import distillation, probability_flow, samplers
from minigen.models.diffusion import Diffusion
from minigen.models.distillation import Consistency, halving_loss, one_step
from minigen.models.flow_matching import FlowMatching, Straight
from minigen.models.schedules import Cosine, Growing
from minigen.nn.time import PointNet
from minigen.optim import EMA, Adam

MEAN, WIDTH = np.array([0.7, -0.3]), 0.4
GAUSSIAN = NoisedMixture(MEAN[None], WIDTH)
MIXTURE = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.25, [0.5, 0.3, 0.2])
SCHEDULES = {"straight": Straight(), "cosine": Cosine(), "growing": Growing(50.0)}


def grid(schedule, count=16, low=0.05):
    """Rising times without 0."""
    return samplers.karras_times(schedule, count, low=low)[-2::-1]


class Leap(nn.Module):
    """The F for which f of (13.72) is exact for GAUSSIAN: there the paths are m + (y − m) √((s² + ς′²)/(s² + ς²))."""

    def __init__(self, schedule, times, sigma_data=1.0):
        self.schedule, self.times, self.sigma_data = schedule, times, sigma_data

    def forward(self, seen, time):
        t = time.astype(np.float64) / self.schedule.time_scale
        ratio, low = (distillation.noise_ratio(self.schedule, at) for at in (t, self.times[0]))
        size = np.hypot(ratio, self.sigma_data)
        y = seen.data * size[:, None]
        wanted = MEAN + (y - MEAN) * (np.hypot(WIDTH, low) / np.hypot(WIDTH, ratio))[:, None]
        skip = self.sigma_data**2 / ((ratio - low) ** 2 + self.sigma_data**2)
        out = self.sigma_data * (ratio - low) / size
        return Tensor((wanted - skip[:, None] * y) / np.maximum(out, 1e-12)[:, None])


def exact(schedule, count=16, sigma_data=1.0):
    times = grid(schedule, count)
    return Consistency(Leap(schedule, times, sigma_data), schedule, times, sigma_data=sigma_data)


def shaken(rng, **settings):
    net = PointNet(2, 2, width=6, blocks=1, rng=rng, **settings).to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.4 * rng.normal(size=tensor.shape))
    return net


# -- consistency ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
def test_at_the_first_time_it_is_the_identity_whatever_the_network_says(name):
    rng, schedule = np.random.default_rng(0), SCHEDULES[name]
    model = Consistency(shaken(rng), schedule, grid(schedule), sigma_data=0.7)
    x = rng.normal(size=(5, 2))
    np.testing.assert_allclose(model(Tensor(x), model.times[0]).data, x, rtol=1e-12)
    assert np.abs(model(Tensor(x), model.times[3]).data - x).max() > 0.01


def test_what_the_network_sees_and_must_say_has_size_one():
    """(13.72) for data of standard deviation σ_d: c_in y has variance 1, and far from ς_min so has F's target."""
    rng, schedule, spread = np.random.default_rng(1), Growing(50.0), 0.6
    model = Consistency(shaken(rng), schedule, grid(schedule, low=1e-4), sigma_data=spread)
    clean, noise = spread * rng.standard_normal(200_000), rng.standard_normal(200_000)
    for t in (0.01, 0.6, 5.0):
        c_skip, c_out, c_in = model.coefficients(np.array([t]))
        y = clean + t * noise
        assert np.var(c_in * y) == pytest.approx(1, rel=0.02)
        assert np.var((clean - c_skip * y) / c_out) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_exact_function_has_no_loss_with_an_exact_teacher(name):
    """Up to the error of Heun's steps, h³: a grid twice as fine leaves 2⁻⁶ of the squared loss."""
    schedule, losses = SCHEDULES[name], []
    teacher, x = GAUSSIAN.predictor(schedule), GAUSSIAN.sample(4_000, rng=np.random.default_rng(2))
    for count in (17, 33, 65):
        losses.append(exact(schedule, count).loss(x, teacher, rng=np.random.default_rng(3)).data.mean())
    wrong = Consistency(shaken(np.random.default_rng(4)), schedule, grid(schedule, 65))
    assert losses[2] < 1e-6 and np.log2(losses[0] / losses[2]) / 2 > 4.5
    assert wrong.loss(x, teacher, rng=np.random.default_rng(3)).data.mean() > 1e-3
    coarse = exact(schedule, 65).loss(x, teacher, rng=np.random.default_rng(3), order=1).data.mean()
    assert coarse > 20 * losses[2]  # Euler's steps are worse


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_call_of_the_exact_function_makes_the_law_of_the_data_and_so_do_more(name):
    schedule, rng = SCHEDULES[name], np.random.default_rng(5)
    model = exact(schedule)
    noise = rng.standard_normal((40_000, 2)) * np.hypot(schedule.alpha(model.times[-1]) * WIDTH,
                                                        schedule.sigma(model.times[-1]))
    noise += schedule.alpha(model.times[-1]) * MEAN  # the noised data, so that nothing is missing at the end
    for through in ((), (model.times[9],), model.times[[12, 8, 4]]):
        found = model.sample(noise, through=through, rng=rng)
        low = schedule.alpha(model.times[0]) * MEAN
        np.testing.assert_allclose(found.mean(0), low, atol=4.5 * WIDTH / 200)
        wanted = np.hypot(schedule.alpha(model.times[0]) * WIDTH, schedule.sigma(model.times[0]))
        np.testing.assert_allclose(found.std(0), wanted, rtol=4.5 / math.sqrt(80_000))


def test_the_error_is_the_sum_of_the_gaps():
    """(13.74) along exact paths, for a network that is far from right."""
    rng, schedule = np.random.default_rng(6), Growing(20.0)
    times = grid(schedule, 9)
    model = Consistency(shaken(rng), schedule, times)
    start = rng.normal(size=(7, 2))
    paths = [MEAN + (start - MEAN) * np.hypot(WIDTH, t) / np.hypot(WIDTH, times[0]) for t in times]  # α = 1
    said = [model(Tensor(y), t).data for y, t in zip(paths, times, strict=True)]
    gaps = np.diff(said, axis=0)
    np.testing.assert_allclose(np.cumsum(gaps, axis=0), np.array(said[1:]) - start, atol=1e-10)


def test_without_a_teacher_the_step_is_right_on_average():
    """(13.76): for a linear f the mean gap is that of Euler's step with the exact teacher."""
    rng, schedule, n = np.random.default_rng(7), Growing(20.0), 300_000
    t, s = 1.0, 0.8
    clean, noise = GAUSSIAN.sample(n, rng=rng), rng.standard_normal((n, 2))
    y = schedule.noised(clean, np.full(n, t), noise)
    with_teacher = one_step(GAUSSIAN.predictor(schedule), schedule, y, np.full(n, t), np.full(n, s), order=1)
    alone = schedule.noised(clean, np.full(n, s), noise)
    for test in (np.ones((n, 1)), y, np.sin(2 * y)):
        apart = (alone - with_teacher) * test
        np.testing.assert_allclose(apart.mean(0), 0, atol=4.5 * apart.std(0).max() / math.sqrt(n))
    losses = [exact(schedule, 33).loss(clean[:4_000], teacher, rng=np.random.default_rng(8)).data.mean()
              for teacher in (GAUSSIAN.predictor(schedule), None)]
    assert losses[1] > 10 * losses[0]  # right on average, but noisy
    model, n = Consistency(shaken(rng), schedule, grid(schedule)), np.array([0, 3, 7])
    x, noise = clean[:3], noise[:3]
    found, aim = model.leaps(x, rng=rng, n=n, noise=noise)  # the same noise above and below
    for side, numbers in ((found.data, n + 1), (aim, n)):
        times = model.times[numbers]
        np.testing.assert_allclose(side, model(Tensor(schedule.noised(x, times, noise)), times).data, rtol=1e-12)


def test_the_target_is_taken_as_fixed_and_may_be_another():
    rng, schedule = np.random.default_rng(9), Straight()
    model = Consistency(shaken(rng), schedule, grid(schedule))
    teacher, x = MIXTURE.predictor(schedule), MIXTURE.sample(3, rng=rng)
    n, noise = np.array([1, 5, 12]), rng.normal(size=(3, 2))
    t, s = model.times[n + 1], model.times[n]
    noised = schedule.noised(x, t, noise)
    aim = model(Tensor(one_step(teacher, schedule, noised, t, s)), s).data

    def fixed():
        gap = model(Tensor(noised), t) - aim
        return ops.mean(gap * gap, dim=1)

    gradcheck(fixed, (), parameters=dict(model.named_parameters()))
    slopes = []
    for losses in (fixed(), model.loss(x, teacher, rng=rng, n=n, noise=noise)):
        model.zero_grad()
        ops.sum(losses).backward()
        slopes.append([p.grad.data.copy() for p in model.parameters()])
        np.testing.assert_allclose(losses.data, fixed().data)
    for a, b in zip(*slopes, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)

    ema = EMA(model, 0.5)
    same = model.loss(x, teacher, rng=rng, n=n, noise=noise, averaged=ema.averaged)
    np.testing.assert_allclose(same.data, fixed().data)
    last = model.network.last.bias
    last.overwrite(last.data + 1.0)  # the average stays behind: only f moves, by c_out
    moved = model.loss(x, teacher, rng=rng, n=n, noise=noise, averaged=ema.averaged).data
    scale = model.coefficients(t)[1] * schedule.alpha(model.times[0])
    gap = model(Tensor(noised), t).data - aim
    np.testing.assert_allclose(moved, (gap**2).mean(1))
    assert np.all(scale > 0) and not np.allclose(moved, same.data)


def test_a_small_network_comes_near_the_exact_function():
    """Of a mixture, with its exact teacher; the truth by a solver that chooses its steps."""
    rng, schedule = np.random.default_rng(10), Growing(8.0)
    times = grid(schedule, 12, low=0.1)
    model = Consistency(PointNet(2, 2, width=48, blocks=1, waves=1, rng=rng), schedule, times)
    teacher = MIXTURE.predictor(schedule)
    optimizer, ema = Adam(model.parameters(), lr=4e-3), EMA(model, 0.9)
    noise = model.noise((2_000, 2), rng=np.random.default_rng(11))
    truth = probability_flow.ode(teacher, schedule, noise, times=(times[-1], times[0]))

    def error():
        with ema.averaged():
            return float(((model.sample(noise) - truth) ** 2).mean())

    before = error()
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / 400)
        x = MIXTURE.sample(128, rng=rng).astype(np.float32)
        optimizer.zero_grad()
        model.loss(x, teacher, rng=rng, averaged=ema.averaged).mean().backward()
        optimizer.step()
        ema.update()
    assert error() < 0.1 * before
    with ema.averaged():
        one, three = (model.sample(noise, through=through, rng=rng) for through in ((), times[[7, 4]]))
    for found in (one, three):
        nearest = ((found[:, None] - MIXTURE.means) ** 2).sum(-1)
        assert np.mean(nearest.min(1) < (3 * 0.27) ** 2) > 0.85
        np.testing.assert_allclose(np.bincount(nearest.argmin(1), minlength=3) / 2_000, MIXTURE.weights, atol=0.1)


def test_it_takes_classes_pictures_and_the_modes_of_a_network():
    seen = []

    class Listens(nn.Module):
        classes = 3

        def forward(self, x, time, labels=None):
            seen.append((labels, self.training))
            return x

    schedule, labels = Cosine(), np.array([0, 2])
    model = Consistency(Listens(), schedule, grid(schedule))
    x = np.random.default_rng(12).normal(size=(2, 1, 4, 4)).astype(np.float32)
    losses = model.loss(x, lambda x, t: 0 * x, labels, rng=np.random.default_rng(13))
    assert losses.shape == (2,) and losses.dtype == np.float32
    found = model.sample(x, labels, through=[model.times[5]], rng=np.random.default_rng(14))
    assert found.shape == x.shape and found.dtype == np.float32
    assert all(told is labels for told, _ in seen)
    assert [mode for _, mode in seen] == [True, True, False, False] and model.network.training


# -- one step, and halving --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_is_ddims_or_heuns_with_a_time_for_each(name):
    schedule = SCHEDULES[name]
    predict, x = MIXTURE.predictor(schedule), np.random.default_rng(15).normal(size=(4, 2))
    high, low = schedule.end * np.array([0.9, 0.6, 0.4, 0.2]), schedule.end * np.array([0.8, 0.3, 0.1, 0.0])
    for order, sampler in ((1, samplers.ddim), (2, samplers.heun)):
        together = one_step(predict, schedule, x, high, low, order=order)
        alone = [sampler(predict, schedule, [high[i], low[i]], x[i : i + 1])[0] for i in range(4)]
        np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_student_that_says_the_mean_slope_makes_two_steps_in_one(name):
    """(13.77): DDIM with N of the student's steps ends where the teacher's 2N do, and such a student has no loss."""
    schedule = SCHEDULES[name]
    teacher, times = MIXTURE.predictor(schedule), np.append(grid(schedule, 8)[::-1], 0.0)
    lower = {times[i]: (times[i + 1], times[i + 2]) for i in range(0, 8, 2)}

    def student(x, t):
        half, s = (np.array([lower[at][k] for at in t]) for k in (0, 1))
        found = distillation.mean_slope(teacher, schedule, x.data if isinstance(x, Tensor) else x, t, half, s)
        return Tensor(found) if isinstance(x, Tensor) else found

    noise = samplers.starting_noise(schedule, (6, 2), rng=np.random.default_rng(16), dtype=np.float64)
    both = [samplers.ddim(predict, schedule, steps, noise) for predict, steps in ((teacher, times),
                                                                                 (student, times[::2]))]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-8, atol=1e-9)
    x, rng = MIXTURE.sample(50, rng=np.random.default_rng(17)), np.random.default_rng(18)
    np.testing.assert_allclose(halving_loss(student, teacher, schedule, x, times, rng=rng).data, 0, atol=1e-15)
    lazy = halving_loss(lambda x, t: Tensor(teacher(x.data, t)), teacher, schedule, x, times, rng=rng).data
    assert lazy.mean() > 1e-4  # the teacher itself does not say it


def test_the_weight_is_that_of_the_larger_error():
    """max(1, SNR) |x̃₀ − x̂₀|² is the larger of |x̃₀ − x̂₀|² and |ε̃ − ε̂|²."""
    schedule, rng = Cosine(), np.random.default_rng(19)
    teacher, times = MIXTURE.predictor(schedule), np.array([0.95, 0.9, 0.3, 0.2, 0.1])
    x, noise, i = MIXTURE.sample(6, rng=rng), rng.normal(size=(6, 2)), np.array([0, 1, 0, 1, 0, 1])
    said = rng.normal(size=(6, 2))
    found = halving_loss(lambda x, t: Tensor(said), teacher, schedule, x, times, rng=rng, i=i, noise=noise).data
    t, half, s = times[2 * i], times[2 * i + 1], times[2 * i + 2]
    noised = schedule.noised(x, t, noise)
    slope = distillation.mean_slope(teacher, schedule, noised, t, half, s)
    clean = [schedule.clean_from("eps", eps, noised, t) for eps in (slope, said)]
    wanted = np.maximum(((clean[0] - clean[1]) ** 2).mean(1), ((slope - said) ** 2).mean(1))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("kind", ["diffusion", "flow"])
def test_a_small_student_learns_to_halve(kind):
    """Four steps of the student against eight of the exact teacher, and against four of the teacher's own."""
    rng, schedule = np.random.default_rng(20), Straight() if kind == "flow" else Cosine()
    net = PointNet(2, 2, width=32, blocks=1, waves=1, rng=rng)
    model = FlowMatching(net) if kind == "flow" else Diffusion(net, schedule, prediction="v")
    teacher, times = MIXTURE.predictor(schedule), np.append(grid(schedule, 8, low=0.2)[::-1], 0.0)
    optimizer = Adam(net.parameters(), lr=4e-3)
    for step in range(500):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / 500)
        x = MIXTURE.sample(128, rng=rng).astype(np.float32)
        optimizer.zero_grad()
        halving_loss(model.predictor(), teacher, schedule, x, times, rng=rng).mean().backward()
        optimizer.step()
    noise = samplers.starting_noise(schedule, (2_000, 2), rng=np.random.default_rng(21))
    eight, four, learnt = (samplers.ddim(predict, schedule, steps, noise) for predict, steps in (
        (teacher, times), (teacher, times[::2]), (model.predictor(), times[::2])))  # fmt: skip
    assert ((learnt - eight) ** 2).mean() < 0.5 * ((four - eight) ** 2).mean()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_patient_teacher_goes_where_the_flow_goes(name):
    """(13.79) against a solver that chooses its steps: the error falls as the square of the number of steps."""
    schedule = SCHEDULES[name]
    predict, x = MIXTURE.predictor(schedule), np.random.default_rng(22).normal(size=(5, 2))
    t, s = grid(schedule, 8)[[5, 3]]
    truth, errors = probability_flow.ode(predict, schedule, x, times=(t, s), rtol=1e-9, atol=1e-9), []
    for steps in (4, 8, 16):
        found = distillation.many_steps(predict, schedule, x, np.full(5, t), np.full(5, s), steps=steps)
        errors.append(np.abs(found - truth).max())
    assert errors[2] < 1e-2 and 1.6 < np.log2(errors[0] / errors[2]) / 2 < 2.6
    last = distillation.many_steps(predict, schedule, x, np.full(5, s), np.zeros(5), steps=1)  # to where no noise is
    np.testing.assert_allclose(last, samplers.ddim(predict, schedule, [s, s / 2, 0.0], x), rtol=1e-9)
    mixed = distillation.many_steps(predict, schedule, x, np.array([t, s, t, s, t]), np.array([s, 0, 0, 0, s]))
    alone = [distillation.many_steps(predict, schedule, x[i : i + 1], np.array([a]), np.array([b]))[0]
             for i, (a, b) in enumerate([(t, s), (s, 0), (t, 0), (s, 0), (t, s)])]  # fmt: skip
    np.testing.assert_allclose(mixed, alone, rtol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ddim_with_a_patient_teacher_ends_where_its_small_steps_do(name):
    schedule = SCHEDULES[name]
    predict, times = MIXTURE.predictor(schedule), np.append(grid(schedule, 6)[::-1], 0.0)
    x = samplers.starting_noise(schedule, (5, 2), rng=np.random.default_rng(23), dtype=np.float64)
    found = samplers.ddim(distillation.patient(predict, schedule, times, steps=3), schedule, times, x)
    for t, s in zip(times[:-1], times[1:], strict=True):
        x = distillation.many_steps(predict, schedule, x, np.full(5, t), np.full(5, s), steps=3)
    np.testing.assert_allclose(found, x, rtol=1e-8, atol=1e-10)
    with pytest.raises(ShapeError, match="patient: asked at"):
        distillation.patient(predict, schedule, times)(x, np.full(5, 0.5 * (times[0] + times[1])))


def test_the_teacher_is_asked_once_for_each_of_its_two_steps():
    schedule, asked, x = Cosine(), [], np.random.default_rng(24).normal(size=(3, 2))

    def teacher(x, t):
        asked.append(t[0])
        return MIXTURE.predictor(schedule)(x, t)

    distillation.mean_slope(teacher, schedule, x, *(np.full(3, t) for t in (0.8, 0.6, 0.4)))
    assert asked == [0.8, 0.6]


def test_whole_numbers_are_noised_as_numbers():
    schedule = Cosine()
    model, whole = Consistency(shaken(np.random.default_rng(25)), schedule, grid(schedule)), np.array([[1, 0], [2, -1]])
    found = [model.loss(part, rng=np.random.default_rng(26), n=[2, 5]).data
             for part in (whole, whole.astype(np.float32))]  # fmt: skip
    np.testing.assert_array_equal(*found)


# -- errors -----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused():
    schedule, net = Straight(), PointNet(2, 2, width=4, blocks=1, rng=np.random.default_rng(0))
    for times in ([0.0, 0.5], [0.5], [0.5, 0.2], [[0.1, 0.2]]):
        with pytest.raises(ShapeError, match="expected at least two, rising, with noise at the first"):
            Consistency(net, schedule, times)
    with pytest.raises(MinigenError, match="sigma_data=0; expected a positive number"):
        Consistency(net, schedule, [0.1, 0.9], sigma_data=0)
    model, x = Consistency(net, schedule, [0.1, 0.5, 0.9]), np.ones((3, 2), np.float32)
    with pytest.raises(MinigenError, match="more than one call needs random numbers"):
        model.sample(x, through=[0.5])
    for through in ([0.05], [0.95], [0.2, 0.5]):
        with pytest.raises(ShapeError, match="expected falling times from 0.9 to 0.1"):
            model.sample(x, through=through, rng=np.random.default_rng(0))
    with pytest.raises(MinigenError, match="one_step: order is 3; expected 1 or 2"):
        model.loss(x, lambda x, t: x, rng=np.random.default_rng(0), order=3)
    for n in ([-1, 0, 0], [0, 1, 2]):
        with pytest.raises(ShapeError, match="Consistency: numbers of steps from .* expected 0 to 1"):
            model.loss(x, rng=np.random.default_rng(0), n=n)
        with pytest.raises(ShapeError, match="halving_loss: numbers of steps from .* expected 0 to 0"):
            halving_loss(None, None, schedule, x, [0.9, 0.5, 0.1], rng=np.random.default_rng(0), i=n)
    for times in ([0.9, 0.1], [0.9, 0.5, 0.2, 0.1], [0.1, 0.5, 0.9]):
        with pytest.raises(ShapeError, match="expected an odd number, at least three, falling"):
            halving_loss(None, None, schedule, x, times, rng=np.random.default_rng(0))

    class Narrow(nn.Module):
        def forward(self, x, time):
            return x[:, :1]

    with pytest.raises(ShapeError, match=r"Consistency: the network returned \(3, 1\) for \(3, 2\)"):
        Consistency(Narrow(), schedule, [0.1, 0.9])(Tensor(x), 0.5)
