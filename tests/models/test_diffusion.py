"""Losses and bound of a diffusion against closed forms: Bayes' floor, KL divergences, an entropy."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from minigen import Tensor, autograd, nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.models.diffusion import Diffusion
from minigen.models.samplers import snr_times
from minigen.models.schedules import Cosine, Exploding, Linear, Steps
from minigen.nn.time import PointNet

TRUTH = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.15)


class Exact(nn.Module):
    """The best network there is for a mixture, in any of the three parameterisations."""

    def __init__(self, mixture, schedule, kind="eps", widen=False):
        self.mixture, self.schedule, self.kind, self.widen = mixture, schedule, kind, widen

    def forward(self, x, time):
        t = time.astype(np.float64) / self.schedule.time_scale
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        x = x * np.hypot(alpha, sigma)[:, None]
        noise, clean = self.mixture.noise(x, alpha, sigma), self.mixture.clean(x, alpha, sigma)
        said = {"eps": noise, "x0": clean, "v": alpha[:, None] * noise - sigma[:, None] * clean}[self.kind]
        return ops.concatenate([said, said * 0.0 - 1.0], dim=1) if self.widen else said


class Zero(nn.Module):
    classes = 3

    def forward(self, x, time, labels=None):
        return x * 0.0 if labels is None else x * 0.0 + Tensor(labels[:, None].astype(x.dtype))


def shaken(rng, outputs, classes=None):
    """A small network with no parameter left at zero, so that everything reaches its output."""
    net = PointNet(2, outputs, width=6, blocks=1, classes=classes, rng=rng).to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.4 * rng.normal(size=tensor.shape))
    return net


@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
def test_the_loss_of_the_exact_denoiser_is_bayes_floor(kind):
    schedule = Cosine()
    model = Diffusion(Exact(TRUTH, schedule, kind), schedule, prediction=kind)
    rng = np.random.default_rng(0)
    for t in (0.05, 0.3, 0.7):
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        losses = model.loss(TRUTH.sample(40_000, rng=rng), rng=rng, t=np.full(40_000, t)).data
        floor = TRUTH.noise_floor(alpha, sigma) * {"eps": 1, "x0": (sigma / alpha) ** 2, "v": 1 / alpha**2}[kind]
        assert losses.mean() == pytest.approx(floor, abs=4.5 * losses.std() / 200)


def test_a_network_that_says_nothing_scores_one():
    losses = Diffusion(Zero(), Cosine()).loss(np.zeros((50_000, 2), np.float32), rng=np.random.default_rng(0)).data
    assert losses.mean() == pytest.approx(1, abs=0.02) and losses.shape == (50_000,)


@pytest.mark.parametrize("weighting", ["min-snr", "variational"])
def test_weighted_losses_do_not_depend_on_what_is_predicted(weighting):
    schedule, rng = Cosine(), np.random.default_rng(1)
    x, noise, t = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.linspace(0.1, 0.9, 6)
    wrong = NoisedMixture([[0.3, 0.3]], 0.7)  # the same wrong guess in all three forms
    found = [Diffusion(Exact(wrong, schedule, kind), schedule, prediction=kind, weighting=weighting)
             .loss(x, rng=rng, t=t, noise=noise).data for kind in ("eps", "x0", "v")]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-7)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-7)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    error = ((noise - wrong.noise(schedule.noised(x, t, noise), alpha, sigma)) ** 2).mean(1)
    snr = (alpha / sigma) ** 2
    weight = np.minimum(snr, 5) / snr if weighting == "min-snr" else -0.5 * schedule.slope(t)
    np.testing.assert_allclose(found[0], weight * error, rtol=1e-9)


def test_a_term_of_the_bound_is_a_kl_and_its_weight_a_difference_of_snr():
    schedule, rng = Steps.linear(100), np.random.default_rng(2)
    x, noise, t = rng.normal(size=(7, 2)), rng.normal(size=(7, 2)), np.array([2, 5, 10, 30, 60, 90, 100])
    noised = schedule.noised(x, t, noise)
    guess = TRUTH.clean(noised, schedule.alpha(t), schedule.sigma(t))
    snr = np.exp(schedule.log_snr(t)), np.exp(schedule.log_snr(t - 1))
    by_snr = 0.5 * (snr[1] - snr[0]) * ((x - guess) ** 2).sum(1)  # (11.14)
    for kind in ("eps", "x0", "v"):
        model = Diffusion(Exact(TRUTH, schedule, kind), schedule, prediction=kind)
        np.testing.assert_allclose(model.bound_term(x, t, t - 1, rng=rng, noise=noise).data, by_snr, rtol=1e-7)
    wide = Diffusion(Exact(TRUTH, schedule), schedule, variance="forward")
    p, q = schedule.posterior(noised, guess, t, t - 1), schedule.posterior(noised, x, t, t - 1)
    large = (schedule.share(t, t - 1) * schedule.sigma(t) ** 2)[:, None]
    small = q[1][:, None]
    by_hand = (0.5 * (np.log(large / small) + small / large - 1 + (p[0] - q[0]) ** 2 / large)).sum(1)
    np.testing.assert_allclose(wide.bound_term(x, t, t - 1, rng=rng, noise=noise).data, by_hand, rtol=1e-7)


def test_a_learned_variance_lies_where_the_network_says():
    schedule, rng = Steps.linear(50), np.random.default_rng(3)
    x, noise, t = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), np.array([1, 2, 20, 50])
    learned = Diffusion(Exact(TRUTH, schedule, widen=True), schedule, variance="learned")  # says −1: the lower end
    fixed = Diffusion(Exact(TRUTH, schedule), schedule, variance="posterior")
    np.testing.assert_allclose(learned.bound_term(x, t, t - 1, rng=rng, noise=noise).data,
                               fixed.bound_term(x, t, t - 1, rng=rng, noise=noise).data, rtol=1e-9)  # fmt: skip
    bits = fixed.bound_term(x, t, t - 1, rng=rng, noise=noise).data / 2 / math.log(2)
    simple = fixed.loss(x, rng=rng, t=t, noise=noise).data
    np.testing.assert_allclose(learned.loss(x, rng=rng, t=t, noise=noise).data, simple + 0.001 * 50 * bits, rtol=1e-7)


def test_the_variance_learns_from_the_bound_only_and_the_mean_from_the_simple_loss_only():
    rng = np.random.default_rng(4)
    net = shaken(rng, 4)
    schedule, x, t = Steps.linear(20), rng.normal(size=(5, 2)), np.array([1, 2, 7, 13, 20])
    noise = rng.normal(size=x.shape)
    hybrid = ops.mean(Diffusion(net, schedule, variance="learned").loss(x, rng=rng, t=t, noise=noise))
    (slopes,) = autograd.grad(hybrid, [net.last.weight])
    simple = Diffusion(_First(net), schedule)
    (alone,) = autograd.grad(ops.mean(simple.loss(x, rng=rng, t=t, noise=noise)), [net.last.weight])
    np.testing.assert_allclose(slopes.data[:2], alone.data[:2], rtol=1e-9)
    assert np.abs(slopes.data[2:]).max() > 0 and np.abs(alone.data[2:]).max() == 0


class _First(nn.Module):
    def __init__(self, net):
        self.net = net

    def forward(self, x, time):
        return self.net(x, time)[:, : x.shape[1]]


@pytest.mark.parametrize("settings", [
    {"prediction": "v"}, {"prediction": "x0", "weighting": "min-snr"}, {"weighting": "variational"},
    {"variance": "learned", "schedule": Steps.linear(30)}, {"weighting": "variational", "schedule": Steps.linear(30)},
], ids=str)  # fmt: skip
def test_the_losses_gradient_against_differences(settings):
    settings, rng = dict(settings), np.random.default_rng(5)
    schedule = settings.pop("schedule", Cosine())
    net = shaken(rng, 4 if settings.get("variance") else 2)
    model, x, noise = Diffusion(net, schedule, **settings), rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    t = np.array([1, 2, 9, 28]) if schedule.discrete else np.array([0.1, 0.4, 0.6, 0.9])
    if settings.get("variance"):  # a detached mean is no function of the mean's weights: leave those out
        vary = {"last": net.last.bias}
        before = net.last.bias.numpy()
        loss = lambda: ops.mean(model.loss(x, rng=rng, t=t, noise=noise))  # noqa: E731
        (slope,) = autograd.grad(loss(), [vary["last"]])
        for i in (2, 3):
            values = []
            for h in (1e-5, -1e-5):
                net.last.bias.overwrite(before + h * np.eye(4)[i])
                values.append(loss().item())
            net.last.bias.overwrite(before)
            assert slope.data[i] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)
        return
    gradcheck(lambda: model.loss(x, rng=rng, t=t, noise=noise), (), parameters=dict(model.named_parameters()))


def expected_bound(truth, schedule, times):
    """The mean of (11.13) for the exact denoiser of a mixture on the line, from its floor alone."""
    alpha, sigma = schedule.alpha(times[:-1]), schedule.sigma(times[:-1])
    floors = np.array([truth.noise_floor(*pair) for pair in zip(alpha, sigma, strict=True)])
    log_snr = schedule.log_snr(times[:-1])
    steps = 0.5 * (np.expm1(log_snr[1:] - log_snr[:-1]) * floors[:-1]).sum()  # (11.15)
    decoder = 0.5 * (math.log(2 * math.pi * sigma[-1] ** 2) + floors[-1] / alpha[-1] ** 2)
    second = truth.weights @ truth.means[:, 0] ** 2 + truth.sigma**2
    return 0.5 * (alpha[0] ** 2 * second + sigma[0] ** 2 - 1) - math.log(sigma[0]) + steps + decoder


def test_the_bound_of_an_exact_denoiser_is_above_the_entropy_and_comes_down_to_it():
    truth, schedule = NoisedMixture([[1.0], [-1.0]], 0.3, [0.6, 0.4]), Cosine()
    grid = np.linspace(-4, 4, 4001)[:, None]
    density = np.exp(truth.log_prob(grid))
    entropy = -np.trapezoid(density * np.log(density), grid[:, 0])
    gaps = {n: expected_bound(truth, schedule, snr_times(schedule, n, highest=9.0)) - entropy for n in (50, 200, 800)}
    assert all(gap > 0 for gap in gaps.values())
    # With equal steps of λ the sum over (11.15) exceeds the integral (11.16) by a share that falls as 1/steps.
    assert gaps[50] / gaps[200] == pytest.approx(4, rel=0.2) and gaps[200] / gaps[800] == pytest.approx(4, rel=0.2)
    assert gaps[800] < 0.05
    rng, times = np.random.default_rng(6), snr_times(schedule, 50, highest=9.0)
    x = truth.sample(5_000, rng=rng)
    parts = Diffusion(Exact(truth, schedule), schedule).bound(x, times, rng=rng)
    np.testing.assert_allclose(parts["total"], parts["prior"] + parts["steps"] + parts["decoder"])
    error = parts["total"].std() / math.sqrt(len(x))
    assert parts["total"].mean() == pytest.approx(entropy + gaps[50], abs=4 * error)


def test_a_part_of_the_steps_estimates_them_all():
    schedule, rng = Steps.linear(60), np.random.default_rng(7)
    model, x = Diffusion(Exact(TRUTH, schedule), schedule), TRUTH.sample(100, rng=rng)
    times = np.arange(60, -1, -1)
    whole = np.mean([model.bound(x, times, rng=rng)["steps"].mean() for _ in range(5)])
    parts = [model.bound(x, times, rng=rng, draws=6) for _ in range(150)]
    few = [part["steps"].mean() for part in parts]
    assert np.mean(few) == pytest.approx(whole, abs=4 * np.std(few) / math.sqrt(150))


def test_the_decoder_of_grey_values_is_a_distribution():
    """−log p(x₀|x₁) of images: over all grey values the probabilities sum to 1, and each is the normal's bin."""
    schedule = Steps([0.05, 0.1])
    grid = np.linspace(-1, 1, 17)
    rng = np.random.default_rng(8)
    model = Diffusion(Zero(), schedule, prediction="x0")  # x̂₀ = 0
    x = grid.reshape(17, 1)
    pair = (np.ones(17), np.zeros(17))
    nats = model.bound_term(x, *pair, rng=rng, levels=17).data
    assert np.exp(-nats).sum() == pytest.approx(1, abs=1e-9)
    deviation = math.sqrt(0.05)
    inner = norm.cdf((grid + 1 / 16) / deviation) - norm.cdf((grid - 1 / 16) / deviation)
    np.testing.assert_allclose(np.exp(-nats[1:-1]), inner[1:-1], rtol=1e-9)
    density = model.bound_term(x, *pair, rng=rng).data
    np.testing.assert_allclose(density, -norm.logpdf(grid, 0, deviation), rtol=1e-9)


def test_the_decoder_is_exact_far_out_in_both_tails():
    model, rng = Diffusion(Zero(), Steps([4e-4]), prediction="x0"), np.random.default_rng(8)
    grid = np.linspace(-1, 1, 17)[:, None]  # up to 50 standard deviations away
    nats = model.bound_term(grid, np.ones(17), np.zeros(17), rng=rng, levels=17).data
    np.testing.assert_allclose(nats, nats[::-1], rtol=1e-9)
    np.testing.assert_allclose(nats[0], -norm.logcdf(-(1 - 1 / 16) / 0.02), rtol=1e-9)


def test_guidance_goes_between_and_beyond():
    model, x, t = Diffusion(Zero(), Cosine()), np.zeros((3, 2)), np.full(3, 0.5)
    labels = np.array([0, 1, 2])
    for weight in (0.0, 0.5, 1.0, 3.0):
        found = model.predictor(labels, guidance=weight)(x, t)
        np.testing.assert_allclose(found, weight * labels[:, None] * np.ones((3, 2)))  # without a class it says 0
    hooked = model.predictor(labels, hook=lambda x, t, noise: noise + 7)(x, t)
    np.testing.assert_allclose(hooked, 7 + labels[:, None] * np.ones((3, 2)))


def test_a_real_network_with_classes_is_guided():
    rng = np.random.default_rng(9)
    model = Diffusion(shaken(rng, 2, classes=3), Cosine(), prediction="v", drop_labels=0.5)
    x, t, labels = rng.normal(size=(3, 2)), np.array([0.2, 0.5, 0.8]), np.array([0, 1, 2])
    without, told = model.predictor()(x, t), model.predictor(labels)(x, t)
    assert np.abs(told - without).max() > 0.01
    np.testing.assert_allclose(model.predictor(labels, guidance=2.5)(x, t), without + 2.5 * (told - without))
    np.testing.assert_array_equal(model.predictor(labels, guidance=0)(x, t), without)
    np.testing.assert_array_equal(model.predictor(np.full(3, 3))(x, t), without)  # 3 is "no class"
    assert model.loss(x, labels, rng=rng).shape == (3,)


def test_the_predictor_takes_arrays_and_tensors_and_leaves_the_mode_alone():
    net = nn.Dropout(0.5, rng=np.random.default_rng(0))
    wrapped = Diffusion(_Timeless(net), Cosine())
    x, t = np.ones((4, 2)), np.full(4, 0.3)
    np.testing.assert_array_equal(wrapped.predictor()(x, t), x)  # no dropping in evaluation
    assert wrapped.training and net.training
    leaf = Tensor(x, requires_grad=True)
    assert autograd.grad(wrapped.predictor()(leaf, t).sum(), leaf)[0].shape == (4, 2)


class _Timeless(nn.Module):
    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, time):
        return self.inner(x)


def test_labels_are_dropped_as_often_as_asked():
    seen = []

    class Listens(Zero):
        def forward(self, x, time, labels=None):
            seen.append(labels)
            return x * 0.0

    model = Diffusion(Listens(), Cosine(), drop_labels=0.2)
    model.loss(np.zeros((10_000, 1)), np.ones(10_000, int), rng=np.random.default_rng(0))
    assert set(seen[0]) == {1, 3} and np.mean(seen[0] == 3) == pytest.approx(0.2, abs=0.02)


def test_an_exploding_process_is_shown_to_the_network_at_size_one():
    sizes = []

    class Looks(Zero):
        def forward(self, x, time, labels=None):
            sizes.append(x.data.std())
            return x * 0.0

    x = np.random.default_rng(0).standard_normal((20_000, 1))
    for t in (0.1, 0.5, 1.0):
        Diffusion(Looks(), Exploding()).loss(x, rng=np.random.default_rng(1), t=np.full(20_000, t))
    np.testing.assert_allclose(sizes, 1, atol=0.02)


def test_a_given_picture_is_seen_beside_the_noise_and_is_not_noised():
    rng, seen = np.random.default_rng(6), []

    class Looks(nn.Module):
        classes = 3

        def forward(self, x, time, labels=None):
            seen.append(x.data)
            return x[:, :2] * 0.0

    model, x = Diffusion(Looks(), Exploding()), rng.standard_normal((4, 2, 3, 3)).astype(np.float32)
    given, t = rng.standard_normal((4, 1, 3, 3)), np.full(4, 0.5)
    assert model.loss(x, rng=rng, given=given).shape == (4,)
    assert model.bound_term(x, t, t / 2, rng=rng, given=given).shape == (4,)
    assert model.bound(x, [1.0, 0.5, 0.1], rng=rng, given=given)["total"].shape == (4,)
    assert model.predictor(given=given)(x, t).shape == x.shape
    model.predictor(np.zeros(4, int), given=given, guidance=3)(x, t)
    assert len(seen) == 7 and all(part.shape == (4, 3, 3, 3) for part in seen)
    for part in seen:
        np.testing.assert_array_equal(part[:, 2:], given.astype(np.float32))


def test_with_a_given_picture_the_best_loss_is_that_of_the_conditional_law():
    """x₀ = given + 0.3 n: whoever knows what is given has the floor of one narrow Gaussian."""
    schedule, rng = Cosine(), np.random.default_rng(7)
    narrow = NoisedMixture([[0.0]], 0.3)

    class Knows(nn.Module):
        def forward(self, x, time):
            t = time.astype(np.float64) / schedule.time_scale
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            return narrow.noise(x[:, :1] - x[:, 1:] * alpha[:, None], alpha, sigma)

    given, t = 2 * rng.standard_normal((40_000, 1)), np.full(40_000, 0.5)
    x = given + 0.3 * rng.standard_normal(given.shape)
    losses = Diffusion(Knows(), schedule).loss(x, rng=rng, given=given, t=t)
    floor = narrow.noise_floor(float(schedule.alpha(0.5)), float(schedule.sigma(0.5)))
    assert losses.data.mean() == pytest.approx(floor, abs=4.5 * losses.data.std() / 200)


def test_what_makes_no_sense_is_refused():
    for settings in ({"prediction": "noise"}, {"weighting": "none"}, {"variance": "free"}):
        with pytest.raises(MinigenError, match="Diffusion: prediction"):
            Diffusion(Zero(), Linear(), **settings)
    with pytest.raises(MinigenError, match="discrete steps"):
        Diffusion(Zero(), Linear(), variance="learned")
    with pytest.raises(MinigenError, match="drop_labels=0.1 needs a network with classes"):
        Diffusion(nn.Identity(), Linear(), drop_labels=0.1)
    with pytest.raises(ShapeError, match=r"returned \(4, 2\) for x \(4, 2\); expected 2 times"):
        Diffusion(Zero(), Steps.linear(5), variance="learned").loss(np.zeros((4, 2)), rng=np.random.default_rng(0))
    for given in (np.zeros((3, 1)), np.zeros((4, 1, 1))):
        with pytest.raises(ShapeError, match=r"Diffusion: given \(.*\) beside x \(4, 2\); expected"):
            Diffusion(Zero(), Linear()).loss(np.zeros((4, 2)), rng=np.random.default_rng(0), given=given)
