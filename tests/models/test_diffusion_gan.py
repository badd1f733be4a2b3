"""The diffusion GAN against closed forms: the process, the posterior, the law of a perfect generator, its gradients."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from minigen import Tensor, autograd, nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.models.diffusion_gan import DiffusionGAN, PictureForger, PictureJudge, PointForger, PointJudge
from minigen.models.flow_matching import Straight
from minigen.models.gan import OBJECTIVES, squared_slope
from minigen.models.schedules import Cosine, Growing, Linear
from minigen.nn.unet import UNet

MIXTURE = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.25, [0.5, 0.3, 0.2])
SCHEDULES = {"cosine": Cosine(), "linear": Linear(), "growing": Growing(20.0)}
RATIOS = (0.2, 0.6, 1.5)


def grid(schedule):
    """Four steps: t_0 = 0, three times with ς of RATIOS, and the end."""
    return np.concatenate([[0.0], schedule.time_of(-2 * np.log(RATIOS)), [schedule.end]])


class Fixed(nn.Module):
    """A generator that always says the same."""

    def __init__(self, clean):
        self.place = np.asarray(clean)

    def forward(self, x, time, z):
        return Tensor(np.broadcast_to(self.place, x.shape).astype(x.dtype))


class Perfect(nn.Module):
    """Draws from q(x₀ | x_t) of a mixture: z[:, 0] chooses the component by its probability, the rest its Gaussian."""

    def __init__(self, mixture, schedule):
        self.mixture, self.schedule = mixture, schedule

    def forward(self, x, time, z):
        t, x, z = time / self.schedule.time_scale, x.data, z.data
        alpha, sigma = (part(t)[:, None] for part in (self.schedule.alpha, self.schedule.sigma))
        mixture, variance = self.mixture, alpha**2 * self.mixture.sigma**2 + sigma**2
        apart = ((x[:, None] - alpha[:, :, None] * mixture.means) ** 2).sum(-1)  # (B, K)
        weights = np.log(mixture.weights) - apart / (2 * variance)
        weights = np.exp(weights - weights.max(1, keepdims=True))
        bounds = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
        means = mixture.means[np.minimum((ndtr(z[:, :1]) > bounds).sum(1), len(mixture.means) - 1)]
        gain = alpha * mixture.sigma**2 / variance  # of the regression of x₀ on x_t within a component
        spread = mixture.sigma * sigma / np.sqrt(variance)
        return Tensor(means + gain * (x - alpha * means) + spread * z[:, 1:])


class Mean(Perfect):
    """Says E[x₀ | x_t] instead, as a diffusion model does."""

    def forward(self, x, time, z):
        t = time / self.schedule.time_scale
        return Tensor(self.mixture.clean(x.data, self.schedule.alpha(t), self.schedule.sigma(t)))


class Blind(nn.Module):
    """Says 0 of everything."""

    def forward(self, low, high, time):
        return ops.sum(low * 0.0, dim=1)


def model_of(generator, schedule, judge=None, latent=3, **settings):
    return DiffusionGAN(generator, judge or Blind(), schedule, grid(schedule), latent=latent, **settings)


def small(rng, **settings):
    """Small networks in float64, without kinks where gradients are checked."""
    forger, judge = PointForger(2, 3, width=6, depth=1, rng=rng), PointJudge(2, width=6, depth=1, rng=rng)
    for net in (forger, judge):
        net.network = nn.Sequential(*(nn.Tanh() if isinstance(layer, nn.ReLU) else layer for layer in net.network))
    return DiffusionGAN(forger.to(np.float64), judge.to(np.float64), Cosine(), grid(Cosine()), latent=3, **settings)


def within(values, wanted, n):
    """The mean of values (n, …) is what it should be, to 4.5 standard errors."""
    np.testing.assert_allclose(values.mean(0), wanted, atol=4.5 * values.std(0).max() / math.sqrt(n))


# -- the process and the posterior ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("step", [1, 3, 4])
def test_real_pairs_have_the_laws_of_the_process(name, step):
    """Given x₀: x_s and x_t have means α x₀, variances σ², and the covariance (α_t/α_s) σ_s²."""
    schedule, n = SCHEDULES[name], 60_000
    model, x = model_of(Fixed([0, 0]), schedule), np.tile([0.7, -1.2], (n, 1))
    low, high, _ = model.pairs(x, rng=np.random.default_rng(0), n=np.full(n, step))
    (a, b), (c, d) = ([part(t) for part in (schedule.alpha, schedule.sigma)] for t in model.times[[step - 1, step]])
    within(low, a * x[0], n)
    within(high, c * x[0], n)
    within((low - a * x[0]) ** 2, b**2, n)
    within((high - c * x[0]) ** 2, d**2, n)
    within((low - a * x[0]) * (high - c * x[0]), c / a * b**2, n)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("step", [2, 4])
def test_forged_points_follow_bayes_rule(name, step):
    """For a generator that always says x₀: x_s given x_t by the regression of one Gaussian on another."""
    schedule, n, clean = SCHEDULES[name], 60_000, np.array([0.7, -1.2])
    model, high = model_of(Fixed(clean), schedule), np.tile([0.3, 0.5], (n, 1))
    found = model.forge(high, np.full(n, step), rng=np.random.default_rng(1)).data
    (a, b), (c, d) = ([part(t) for part in (schedule.alpha, schedule.sigma)] for t in model.times[[step - 1, step]])
    gain = c / a * b**2 / d**2  # Cov(x_s, x_t) / Var(x_t), given x₀
    within(found, a * clean + gain * (high[0] - c * clean), n)
    within((found - found.mean(0)) ** 2, b**2 - gain**2 * d**2, n)


def test_the_last_step_is_what_the_generator_says():
    schedule, rng = Cosine(), np.random.default_rng(2)
    model, high = model_of(Fixed([0.7, -1.2]), schedule), rng.normal(size=(5, 2))
    np.testing.assert_allclose(model.forge(high, np.full(5, 1), rng=rng).data, np.tile([0.7, -1.2], (5, 1)))


# -- a perfect generator ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("step", [1, 2, 4])
def test_with_a_perfect_generator_forged_pairs_have_the_law_of_real_ones(name, step):
    """(13.62), and of the pair: moments, products with functions of x_t, and the density of (D.5)."""
    schedule, n, rng = SCHEDULES[name], 60_000, np.random.default_rng(3)
    model = model_of(Perfect(MIXTURE, schedule), schedule)
    low, high, which = model.pairs(MIXTURE.sample(n, rng=rng), rng=rng, n=np.full(n, step))
    fake = model.forge(high, which, rng=rng).data
    s = model.times[step - 1]
    for test in (lambda x: x, lambda x: x**2, lambda x: np.sin(3 * x) * high,
                 lambda x: x[:, :1] * x[:, 1:] * high[:, :1],
                 lambda x: MIXTURE.log_prob(x, schedule.alpha(s), schedule.sigma(s))[:, None]):  # fmt: skip
        within(test(fake) - test(low), 0.0, n)


def test_four_steps_of_a_perfect_generator_are_exact_and_of_the_mean_are_not():
    schedule, n, rng = Cosine(), 40_000, np.random.default_rng(4)
    end = schedule.noised(MIXTURE.sample(n, rng=rng), np.full(n, schedule.end), rng.standard_normal((n, 2)))
    found = {kind: model_of(kind(MIXTURE, schedule), schedule).sample(end, rng=rng) for kind in (Perfect, Mean)}
    real = MIXTURE.sample(n, rng=rng)
    for test in (lambda x: x, lambda x: x**2, lambda x: x[:, :1] * x[:, 1:], lambda x: np.sin(4 * x)):
        within(test(found[Perfect]) - test(real), 0.0, n)
    nearest = ((found[Perfect][:, None] - MIXTURE.means) ** 2).sum(-1).argmin(1)
    np.testing.assert_allclose(np.bincount(nearest) / n, MIXTURE.weights, atol=0.015)
    likely = [MIXTURE.log_prob(x).mean() for x in (found[Perfect], real)]
    assert likely[0] == pytest.approx(likely[1], abs=0.03)
    assert np.all(found[Mean].std(0) < 0.85 * real.std(0))  # drawn to the middle
    apart = [((x[:, None] - MIXTURE.means) ** 2).sum(-1).min(1) > (3 * 0.25) ** 2 for x in (found[Mean], real)]
    assert apart[0].mean() > 2 * apart[1].mean()  # and between the modes


def test_the_best_judge_knows_the_density_ratio_of_the_step():
    """(13.64) for the generator that says the mean: both laws of x_s given x_t in closed form. No other judge of a
    family around this one has a smaller loss."""
    one, schedule, step, n = NoisedMixture([[0.7]], 0.4), Cosine(), 3, 150_000
    model = DiffusionGAN(Mean(one, schedule), None, schedule, grid(schedule), latent=1)
    (a, b), (c, d) = ([part(t) for part in (schedule.alpha, schedule.sigma)] for t in model.times[[step - 1, step]])
    gain, variance = c * 0.4**2 / (c**2 * 0.4**2 + d**2), 0.4**2 * d**2 / (c**2 * 0.4**2 + d**2)  # of x₀ given x_t
    share = float(schedule.share(model.times[step], model.times[step - 1]))

    def ratio(low, high):
        mean, narrow = schedule.posterior(high, 0.7 + gain * (high - c * 0.7), model.times[step], model.times[step - 1])
        wide = narrow + (a * share) ** 2 * variance  # the true x_s given x_t: x₀ varies, too
        return 0.5 * np.log(narrow / wide) + 0.5 * (low - mean) ** 2 * (1 / narrow - 1 / wide)

    losses = []
    for scale, shift in ((1, 0), (0.7, 0), (1.4, 0), (1, 0.1), (1, -0.1)):
        class Judge(nn.Module):
            def forward(self, low, high, time, scale=scale, shift=shift):
                return Tensor(scale * ratio(low.data, high.data) + shift)

        model.discriminator = Judge()
        x = one.sample(n, rng=np.random.default_rng(5))
        losses.append(model.discriminator_loss(x, rng=np.random.default_rng(6), n=np.full(n, step)).data)
    for other in losses[1:]:
        apart = other - losses[0]
        assert apart.mean() > 2 * apart.std() / math.sqrt(n)


# -- the losses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_losses_are_those_of_the_game(objective):
    rng = np.random.default_rng(7)
    model = small(rng, objective=objective)
    x, n = MIXTURE.sample(5, rng=rng), np.array([1, 2, 3, 4, 1])
    draw = np.random.default_rng(8)
    low, high, _ = model.pairs(x, rng=draw, n=n)
    fake = model.forge(high, n, rng=draw)
    real, forged = model.logits(Tensor(low), high, n), model.logits(fake, high, n)
    for name in ("discriminator", "generator"):
        found = getattr(model, f"{name}_loss")(x, rng=np.random.default_rng(8), n=n)
        wanted = getattr(OBJECTIVES[objective], name)(real, forged)
        assert found.shape == (5,)
        np.testing.assert_allclose(found.data, wanted.data, rtol=1e-12)


def test_each_penalty_is_half_its_weight_times_the_squared_slope_of_its_own_samples():
    rng = np.random.default_rng(30)
    plain, x, n = small(rng), MIXTURE.sample(5, rng=rng), np.array([1, 2, 3, 4, 1])
    draw = np.random.default_rng(31)
    low, high, _ = plain.pairs(x, rng=draw, n=n)
    slopes = []
    for samples in (low, plain.forge(high, n, rng=draw).data):
        samples = Tensor(samples, requires_grad=True)
        ops.sum(plain.logits(samples, high, n)).backward()
        slopes.append((samples.grad.data**2).sum(1))
    losses = {}
    for weights in ((0.0, 0.0), (0.3, 0.0), (0.0, 0.7)):
        plain.r1, plain.r2 = weights
        losses[weights] = plain.discriminator_loss(x, rng=np.random.default_rng(31), n=n).data
    np.testing.assert_allclose(losses[0.3, 0.0] - losses[0.0, 0.0], 0.15 * slopes[0], rtol=1e-6)
    np.testing.assert_allclose(losses[0.0, 0.7] - losses[0.0, 0.0], 0.35 * slopes[1], rtol=1e-6)
    assert not np.allclose(slopes[0], slopes[1])


def test_steps_that_are_not_there_and_whole_numbers():
    rng = np.random.default_rng(32)
    model, x = small(rng), MIXTURE.sample(3, rng=rng)
    for n in ([0, 1, 2], [1, 5, 2]):
        with pytest.raises(ShapeError, match="expected 1 to 4"):
            model.pairs(x, rng=rng, n=n)
    for until in (-1, 4):
        with pytest.raises(ShapeError, match=f"until={until}; expected 0 to 3"):
            model.sample(x, rng=rng, until=until)
    with pytest.raises(ShapeError, match="the last with α > 0"):
        DiffusionGAN(Fixed([0, 0]), Blind(), Straight(), np.linspace(0, 1, 5), latent=3)
    whole = np.array([[1, 0], [2, -1]])
    found = [model.pairs(part, rng=np.random.default_rng(33), n=np.array([4, 2]))[0]
             for part in (whole, whole.astype(np.float32))]  # fmt: skip
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("penalties", [{"r1": 0.3, "r2": 0.2}, {"gp": 0.5}])
def test_the_losses_differentiate(penalties):
    rng = np.random.default_rng(9)
    model, x, n = small(rng, objective="relativistic", **penalties), MIXTURE.sample(4, rng=rng), np.array([1, 2, 3, 4])
    for part, loss in ((model.discriminator, model.discriminator_loss), (model.generator, model.generator_loss)):
        gradcheck(lambda loss=loss: loss(x, rng=np.random.default_rng(10), n=n), (),
                  parameters=dict(part.named_parameters()))


def test_the_judges_step_is_no_business_of_the_forger():
    rng = np.random.default_rng(11)
    model = small(rng)
    ops.sum(model.discriminator_loss(MIXTURE.sample(6, rng=rng), rng=rng)).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())


def test_the_slope_reaches_the_forger_by_the_weight_of_x0():
    """∂x̃_s/∂x̃₀ = α_s c, (11.6)."""
    schedule, rng = Cosine(), np.random.default_rng(12)
    place = Tensor(np.array([[0.3, 0.4]]), requires_grad=True)

    class Learnt(nn.Module):
        def forward(self, x, time, z):
            return place + x * 0.0

    model = model_of(Learnt(), schedule)
    for step in (1, 2, 4):
        (slope,) = autograd.grad(ops.sum(model.forge(np.ones((1, 2)), np.array([step]), rng=rng)), [place])
        s, t = model.times[step - 1], model.times[step]
        np.testing.assert_allclose(slope.data, float(schedule.alpha(s) * schedule.share(t, s)))


def test_a_small_game_finds_two_modes():
    """Two modes on the line, two steps: both are found, and the widths are not far off."""
    from minigen.optim import Adam

    two, rng = NoisedMixture([[1.0], [-1.0]], 0.1), np.random.default_rng(13)
    schedule = Cosine()
    times = np.array([0.0, schedule.time_of(-2 * np.log(0.7)), schedule.end])
    model = DiffusionGAN(PointForger(1, 2, width=32, depth=2, rng=rng), PointJudge(1, width=32, depth=2, rng=rng),
                         schedule, times, latent=2, objective="relativistic", r1=0.02, r2=0.02)
    forger, critic = (Adam(part.parameters(), lr=3e-3, betas=(0.0, 0.99)) for part in (model.generator,
                                                                                      model.discriminator))
    for step in range(400):
        x = two.sample(128, rng=rng).astype(np.float32)
        for optimizer, loss in ((critic, model.discriminator_loss), (forger, model.generator_loss)):
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 400)
            optimizer.zero_grad()
            loss(x, rng=rng).mean().backward()
            optimizer.step()
    found = model.sample(rng.standard_normal((2_000, 1)).astype(np.float32), rng=rng)
    assert found.dtype == np.float32
    assert 0.35 < np.mean(found > 0) < 0.65
    assert np.mean(np.abs(np.abs(found) - 1) < 0.4) > 0.85


def test_samples_keep_the_way_and_the_mode():
    rng = np.random.default_rng(14)
    model, noise = small(rng), rng.normal(size=(3, 2))
    path = model.sample(noise, rng=np.random.default_rng(15), keep=True)
    assert path.shape == (5, 3, 2) and model.steps == 4 and model.generator.training
    np.testing.assert_array_equal(path[0], noise)
    np.testing.assert_array_equal(path[-1], model.sample(noise, rng=np.random.default_rng(15)))
    left = model.sample(noise, rng=np.random.default_rng(15), until=1)
    np.testing.assert_array_equal(left, path[-2])
    drawn = np.concatenate([model.pairs(noise, rng=rng)[2] for _ in range(40)])
    assert set(drawn) == {1, 2, 3, 4}


def test_pictures_work_too():
    class Picture(nn.Module):
        def forward(self, low, high, time):
            return ops.mean(low * high, dim=(1, 2, 3))

    class Same(nn.Module):
        def forward(self, x, time, z):
            return x * 0.5

    rng, schedule = np.random.default_rng(16), Cosine()
    x = rng.normal(size=(3, 1, 4, 4)).astype(np.float32)
    model = model_of(Same(), schedule, Picture(), r1=0.1)
    assert model.discriminator_loss(x, rng=rng).shape == model.generator_loss(x, rng=rng).shape == (3,)
    assert model.sample(x, rng=rng).shape == x.shape


@pytest.mark.parametrize("prediction", ["x0", "eps", "v"])
def test_a_generator_may_say_noise_or_velocity_instead(prediction):
    """Three generators that know x₀ and say it in three ways forge the same."""
    schedule, rng = Cosine(), np.random.default_rng(17)
    clean, high = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    n = np.array([1, 2, 3, 4, 2, 3])

    class Knows(nn.Module):
        def forward(self, x, time, z):
            t = time / schedule.time_scale
            noise = schedule.noise_from("x0", clean, x.data, t) if prediction != "x0" else None
            return Tensor(schedule.target(prediction, clean, noise, t))

    model = model_of(Knows(), schedule, prediction=prediction)
    np.testing.assert_allclose(model.clean(high, n, rng=rng).data, clean, rtol=1e-6, atol=1e-6)
    with pytest.raises(MinigenError, match="prediction 'noise'.*expected .*one of x0, eps, v"):
        model_of(Fixed([0, 0]), schedule, prediction="noise")


def shaken(module, rng, dtype=np.float64):
    """The module with noise on all weights, also on those that begin at 0."""
    module = module.to(dtype)
    for tensor in module.parameters():
        tensor.overwrite(tensor.data + (0.1 * rng.normal(size=tensor.shape)).astype(dtype))
    return module


def pictured(rng, dtype=np.float64, **settings):
    """Small networks for letters of 8×8 pixels in three classes."""
    unet = UNet(1, 1, width=8, multiples=(1,), attention=(), classes=3, patch=2, rng=rng)
    judge = PictureJudge(1, 3, widths=(4, 6, 6), features=5, size=8, rng=rng)
    return DiffusionGAN(shaken(PictureForger(unet, 3, rng=rng), rng, dtype), shaken(judge, rng, dtype), Cosine(),
                        grid(Cosine()), latent=3, prediction="v", objective="relativistic", **settings)


def test_the_networks_for_pictures_are_told_everything():
    """Both change with x, time and class, G with z, D with x_t; and each example stands on its own."""
    rng = np.random.default_rng(18)
    model = pictured(rng)
    x, other = rng.normal(size=(2, 4, 1, 8, 8))
    time, labels, z = np.array([100.0, 300.0, 500.0, 900.0]), np.array([0, 1, 2, 0]), rng.normal(size=(4, 3))

    def both(x=x, high=other, time=time, labels=labels, z=z):
        return (model.generator(Tensor(x), time, Tensor(z), labels).data,
                model.discriminator(Tensor(x), Tensor(high), time, labels).data)

    usual = both()
    assert usual[0].shape == x.shape and usual[1].shape == (4,)
    alone = both(x[1:2], other[1:2], time[1:2], labels[1:2], z[1:2])
    for name, change in (("x", x + 0.1), ("time", time + 50), ("labels", (labels + 1) % 3), ("z", z + 0.1),
                         ("high", other + 0.1)):  # fmt: skip
        moved = [np.abs(a - b).reshape(4, -1).max(1) for a, b in zip(both(**{name: change}), usual, strict=True)]
        assert np.all(moved[0] > 1e-6) == (name != "high") and np.all(moved[1] > 1e-6) == (name != "z"), name
    for one, all_of_them in zip(alone, usual, strict=True):
        np.testing.assert_allclose(one[0], all_of_them[1], atol=1e-12)


def test_the_losses_of_pictures_differentiate_with_their_classes():
    rng = np.random.default_rng(19)
    model, x = pictured(rng, r1=0.3, r2=0.2), rng.normal(size=(3, 1, 8, 8))
    labels, n = np.array([2, 0, 1]), np.array([1, 2, 4])
    chosen = {"discriminator": ("layers.0.weight", "shifts.1.weight", "last.vectors.weight"),
              "generator": ("network.embedding.style.0.weight", "network.last.bias",
                            "network.embedding.embedding.label.weight")}  # fmt: skip
    for part, names in chosen.items():
        loss, parameters = getattr(model, f"{part}_loss"), dict(getattr(model, part).named_parameters())
        total = ops.sum(loss(x, labels, rng=np.random.default_rng(20), n=n))
        slopes = autograd.grad(total, [parameters[name] for name in names])
        for name, slope in zip(names, slopes, strict=True):
            weight, way = parameters[name], rng.normal(size=parameters[name].shape)
            before, ends = weight.numpy(), []
            for h in (1e-5, -1e-5):
                weight.overwrite(before + h * way)
                ends.append(loss(x, labels, rng=np.random.default_rng(20), n=n).data.sum())
            weight.overwrite(before)
            assert (slope.data * way).sum() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4), name
    assert np.abs(loss(x, labels, rng=np.random.default_rng(20), n=n).data
                  - loss(x, (labels + 1) % 3, rng=np.random.default_rng(20), n=n).data).min() > 1e-6


def test_a_judge_sees_by_a_frozen_network_that_is_told_the_time_of_x_s():
    rng, times = np.random.default_rng(23), 1000 * grid(Cosine())
    sight = shaken(UNet(1, 1, width=8, multiples=(1, 2), attention=(1,), classes=3, patch=2, rng=rng), rng)
    judge = PictureJudge(1, 3, widths=(4, 6, 6), features=5, size=8, sight=sight, times=times, rng=rng).to(np.float64)
    assert not any(name.startswith("sight") for name, _ in judge.named_parameters())
    assert "sight.first.weight" in judge.state_dict()  # saved all the same
    x, high, labels, told = rng.normal(size=(4, 1, 8, 8)), rng.normal(size=(4, 1, 8, 8)), np.array([0, 1, 2, 0]), []
    seen = sight.seen
    sight.seen = lambda low, s, labels: told.append(s) or seen(low, s, labels)
    for time in (times[1:], times[1:].astype(np.float32).astype(np.float64)):
        before = judge(Tensor(x), Tensor(high), time, labels).data
        np.testing.assert_allclose(told.pop(), times[:-1])
    sleepy = [part for part in sight.modules() if isinstance(part, nn.Dropout)]
    assert sleepy
    for part in sleepy:
        part.p = 0.5  # what is frozen drops nothing either
    np.testing.assert_array_equal(*(judge.train()(Tensor(x), Tensor(high), time, labels).data for _ in range(2)))
    assert all(part.training for part in sight.modules())
    real = Tensor(x, requires_grad=True)
    logits = judge(real, Tensor(high), times[1:], labels)
    ops.sum(logits + squared_slope(logits, real)).backward()
    assert all(tensor.grad is None for _, tensor in sight._walk(Tensor))
    assert all(p.grad is not None for p in judge.layers.parameters())
    sight.first.bias.overwrite(sight.first.bias.data + 0.3)
    assert np.abs(judge(Tensor(x), Tensor(high), times[1:], labels).data - before).min() > 1e-6


def test_pictures_are_drawn_of_the_class_asked_for():
    rng = np.random.default_rng(21)
    model, noise = pictured(rng, np.float32), rng.normal(size=(3, 1, 8, 8)).astype(np.float32)
    drawn = [model.sample(noise, np.full(3, label), rng=np.random.default_rng(22)) for label in (0, 0, 1)]
    assert drawn[0].shape == noise.shape and drawn[0].dtype == np.float32
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 1e-4
    with pytest.raises(ShapeError, match=r"labels \(2,\)"):
        model.sample(noise, np.zeros(2, int), rng=rng)


def test_what_cannot_be_is_refused():
    schedule = Cosine()
    with pytest.raises(MinigenError, match="objective 'best', prediction 'x0', r1=0.0.*one of saturating"):
        DiffusionGAN(None, None, schedule, [0, 1], latent=2, objective="best")
    with pytest.raises(MinigenError, match="r2=-1.*none below 0"):
        DiffusionGAN(None, None, schedule, [0, 1], latent=2, r2=-1)
    for times in ([0.5], [0.5, 0.2], [[0.0, 1.0]]):
        with pytest.raises(ShapeError, match="DiffusionGAN: times are .*expected at least two, rising"):
            DiffusionGAN(None, None, schedule, times, latent=2)

    class Narrow(nn.Module):
        def forward(self, x, time, z):
            return x[:, :1]

    with pytest.raises(ShapeError, match=r"the generator returned \(3, 1\) for \(3, 2\)"):
        model_of(Narrow(), schedule).sample(np.ones((3, 2)), rng=np.random.default_rng(0))
