"""Flow matching against closed forms: marginal velocities of Gaussians and mixtures, the balance of distances, DDIM."""

import math

import numpy as np
import pytest

from minigen import Tensor, autograd, nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.models import flow_matching as fm
from minigen.models import probability_flow, samplers
from minigen.nn.time import PointNet

MIXTURE = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.25, [0.5, 0.3, 0.2])


class Exact(nn.Module):
    """The best velocity there is for a mixture."""

    def __init__(self, mixture=MIXTURE):
        self.mixture = mixture

    def forward(self, x, time):
        return self.mixture.velocity(x, time.astype(np.float64) / 1000)


class Labelled(nn.Module):
    """Says its label, and 0 without one."""

    classes = 3

    def forward(self, x, time, labels=None):
        return x * 0.0 if labels is None else x * 0.0 + Tensor(labels[:, None].astype(x.dtype))


def shaken(rng, classes=None, width=6):
    net = PointNet(2, 2, width=width, blocks=1, classes=classes, rng=rng).to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.4 * rng.normal(size=tensor.shape))
    return net


# -- the identity -----------------------------------------------------------------------------------------------------


def test_for_one_gaussian_the_marginal_velocity_is_the_regression_line():
    """(13.50) for N(m, s²): x_t and ε − x₀ are jointly Gaussian, so the conditional mean is a line."""
    m, s, t = 0.7, 0.4, 0.3
    one = NoisedMixture([[m]], s)
    variance = (1 - t) ** 2 * s**2 + t**2
    slope = (t - (1 - t) * s**2) / variance  # Cov(ε − x₀, x_t) / Var(x_t)
    x = np.linspace(-2, 2, 9)[:, None]
    np.testing.assert_allclose(one.velocity(x, t), -m + slope * (x - (1 - t) * m), rtol=1e-12)


def test_the_marginal_velocity_is_the_conditional_mean_in_a_mixture():
    rng, n, t = np.random.default_rng(0), 400_000, 0.4
    clean, noise = MIXTURE.sample(n, rng=rng), rng.standard_normal((n, 2))
    x = (1 - t) * clean + t * noise
    error = noise - clean - MIXTURE.velocity(x, t)
    for test in (np.ones((n, 1)), x, np.sin(3 * x), x[:, ::-1] ** 2):  # orthogonal to every function of x_t
        product = error * test
        np.testing.assert_allclose(product.mean(0), 0, atol=4.5 * product.std(0).max() / math.sqrt(n))


def test_it_moves_the_densities_as_the_continuity_equation_says():
    """∂p/∂t = −∇ · (p v) for the mixture's own p_t, by differences."""
    t, h = 0.35, 1e-4
    x = np.random.default_rng(1).normal(size=(20, 2))

    def density(x, t):
        return np.exp(MIXTURE.log_prob(x, 1 - t, t))

    rate = (density(x, t + h) - density(x, t - h)) / (2 * h)
    inflow = np.zeros(20)
    for d, e in enumerate(np.eye(2)):
        flux = [density(x + s * h * e, t) * MIXTURE.velocity(x + s * h * e, t)[:, d] for s in (1, -1)]
        inflow -= (flux[0] - flux[1]) / (2 * h)
    np.testing.assert_allclose(rate, inflow, atol=1e-6)


def test_the_loss_of_the_exact_velocity_is_the_floor():
    rng, n = np.random.default_rng(2), 40_000
    model = fm.FlowMatching(Exact())
    for t in (0.1, 0.5, 0.9):
        losses = model.loss(MIXTURE.sample(n, rng=rng), rng=rng, t=np.full(n, t)).data
        floor = MIXTURE.noise_floor(1 - t, t) / (1 - t) ** 2  # ε − x₀ = (ε − x_t)/(1 − t)
        assert losses.mean() == pytest.approx(floor, abs=4.5 * losses.std() / 200)


def test_both_losses_have_the_same_gradient():
    """(13.52) for a velocity a·v + b: the slopes in a and b of the loss with lines and of the one with their mean."""
    rng, n, t = np.random.default_rng(3), 200_000, 0.5
    clean, noise = MIXTURE.sample(n, rng=rng), rng.standard_normal((n, 2))
    x = (1 - t) * clean + t * noise
    v, u, a, b = MIXTURE.velocity(x, t), noise - clean, 1.3, np.array([0.2, -0.1])
    for test in (v, np.ones((n, 1))):  # what a and b are multiplied with
        slopes = [2 * ((a * v + b - target) * test) for target in (v, u)]
        apart = slopes[0] - slopes[1]
        np.testing.assert_allclose(apart.mean(0), 0, atol=4.5 * apart.std(0).max() / math.sqrt(n))


def test_the_loss_differentiates():
    rng = np.random.default_rng(4)
    x, noise, t = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), np.array([0.1, 0.5, 0.9])
    net = shaken(rng)
    model = fm.FlowMatching(net)
    gradcheck(lambda: model.loss(x, rng=rng, t=t, noise=noise), (), parameters=dict(model.named_parameters()))
    still = fm.FlowMatching(Labelled()).loss(x, rng=rng, t=t, noise=noise).data
    np.testing.assert_allclose(still, ((noise - x) ** 2).mean(1))


# -- following it -----------------------------------------------------------------------------------------------------


def test_a_gaussian_is_scaled_and_shifted():
    one = NoisedMixture([[0.7, -0.3]], 0.4)
    model, noise = fm.FlowMatching(Exact(one)), np.random.default_rng(5).standard_normal((50, 2))
    for method in ("rk4", "RK45"):
        found = model.sample(noise, steps=100, method=method, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(found, one.means[0] + 0.4 * noise, atol=1e-5)
        again = model.encode(found, steps=100, method=method, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(again, noise, atol=1e-4)
    scipy_s = model.sample(noise, method="DOP853", rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.sample(noise, steps=200, method="heun"), scipy_s, atol=1e-3)


def test_samples_follow_the_mixture():
    noise = np.random.default_rng(6).standard_normal((20_000, 2))
    found = fm.FlowMatching(Exact()).sample(noise, steps=40, method="heun")
    nearest = ((found[:, None] - MIXTURE.means) ** 2).sum(-1).argmin(1)
    np.testing.assert_allclose(np.bincount(nearest) / 20_000, MIXTURE.weights, atol=0.015)
    second = sum(w * (m @ m) for w, m in zip(MIXTURE.weights, MIXTURE.means, strict=True)) + 2 * 0.25**2
    assert (found**2).sum(1).mean() == pytest.approx(second, rel=0.02)


def test_the_density_by_the_ode_is_the_exact_one_and_integrates_to_one():
    model, x = fm.FlowMatching(Exact()), MIXTURE.sample(30, rng=np.random.default_rng(7))
    np.testing.assert_allclose(model.log_prob(x, rtol=1e-7, atol=1e-7), MIXTURE.log_prob(x), atol=1e-4)
    np.testing.assert_allclose(model.log_prob(x, steps=100, method="rk4"), MIXTURE.log_prob(x), atol=1e-4)
    ticks = np.arange(-3, 3, 0.125)
    plane = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    wrong = fm.FlowMatching(shaken(np.random.default_rng(8)))  # no optimum of anything, but a flow
    wide = np.stack(np.meshgrid(4 * ticks, 4 * ticks, indexing="ij"), -1).reshape(-1, 2)
    assert 0.125**2 * np.exp(model.log_prob(plane, steps=60, method="rk4")).sum() == pytest.approx(1, abs=1e-3)
    assert 0.5**2 * np.exp(wrong.log_prob(wide, steps=30, method="rk4")).sum() == pytest.approx(1, abs=0.01)


def test_hutchinsons_density_is_right_on_average():
    model, x = fm.FlowMatching(Exact()), MIXTURE.sample(4, rng=np.random.default_rng(9))
    exact = model.log_prob(x)
    draws = np.stack([model.log_prob(x, trace="hutchinson", rng=np.random.default_rng(seed), steps=20, method="rk4")
                      for seed in range(30)])
    np.testing.assert_allclose(draws.mean(0), exact, atol=4.5 * draws.std(0).max() / math.sqrt(30))
    assert draws.std(0).max() > 1e-3


# -- it is a diffusion ------------------------------------------------------------------------------------------------


def test_the_straight_schedule_is_what_it_says():
    schedule, t = fm.Straight(), np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(schedule.time_of(schedule.log_snr(t)), t, rtol=1e-12)
    np.testing.assert_allclose(schedule.log_snr(t), np.log(schedule.alpha(t) ** 2 / schedule.sigma(t) ** 2))
    h = 1e-6
    by_difference = (schedule.log_snr(t + h) - schedule.log_snr(t - h)) / (2 * h)
    np.testing.assert_allclose(schedule.slope(t), by_difference, rtol=1e-6)
    assert schedule.log_snr(schedule.end) == pytest.approx(-12) and schedule.log_snr(0.0) == np.inf
    x, noise = np.ones((2, 3)), np.full((2, 3), 5.0)
    np.testing.assert_allclose(schedule.noised(x, np.array([0.25, 1.0]), noise), [[2.0] * 3, [5.0] * 3])


def test_eulers_step_is_ddims_and_the_predictor_is_the_noise():
    model = fm.FlowMatching(Exact())
    schedule, x = model.schedule, np.random.default_rng(10).normal(size=(6, 2))
    t = np.linspace(0.1, 0.9, 6)
    np.testing.assert_allclose(model.predictor()(x, t), MIXTURE.noise(x, 1 - t, t), rtol=1e-6, atol=1e-8)
    times = np.array([schedule.end, 0.7, 0.4, 0.1, 0.0])
    ddim = samplers.ddim(model.predictor(), schedule, times, x)
    np.testing.assert_allclose(fm.follow(model.velocity(), x, times, method="euler"), ddim, atol=1e-9)


def test_the_density_is_the_probability_flows():
    model, x = fm.FlowMatching(Exact()), MIXTURE.sample(10, rng=np.random.default_rng(11))
    by_diffusion = probability_flow.log_prob(model.predictor(), model.schedule, x, low=1e-4, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(model.log_prob(x, rtol=1e-6, atol=1e-6), by_diffusion, atol=0.01)


# -- pairs and straightness -------------------------------------------------------------------------------------------


def test_optimal_pairs_are_nearer_and_keep_the_marginals():
    rng = np.random.default_rng(12)
    x, noise = MIXTURE.sample(64, rng=rng), rng.standard_normal((64, 2))
    paired = fm.optimal_pairs(x, noise)
    np.testing.assert_array_equal(np.sort(paired[:, 0]), np.sort(noise[:, 0]))
    assert {tuple(row) for row in paired} == {tuple(row) for row in noise}
    total = ((x - paired) ** 2).sum()
    assert total < 0.7 * ((x - noise) ** 2).sum()
    for _ in range(300):  # no exchange of two makes it shorter
        i, j = rng.choice(64, 2, replace=False)
        swapped = paired.copy()
        swapped[[i, j]] = paired[[j, i]]
        assert ((x - swapped) ** 2).sum() >= total - 1e-9


def test_on_the_line_optimal_pairs_do_not_cross():
    rng = np.random.default_rng(13)
    x, noise = rng.normal(size=(40, 1)), rng.normal(size=(40, 1))
    paired = fm.optimal_pairs(x, noise)
    np.testing.assert_array_equal(x[:, 0].argsort(), paired[:, 0].argsort())


def test_with_classes_each_keeps_its_own_noises():
    rng = np.random.default_rng(14)
    labels = rng.integers(3, size=60)
    x, noise = rng.normal(size=(60, 2)) + 3 * labels[:, None], rng.normal(size=(60, 2))
    paired = fm.optimal_pairs(x, noise, labels)
    for k in range(3):
        assert {tuple(row) for row in paired[labels == k]} == {tuple(row) for row in noise[labels == k]}
    np.testing.assert_array_equal(fm.optimal_pairs(x.reshape(60, 1, 2), noise.reshape(60, 1, 2), labels)[:, 0], paired)


def test_the_coupling_is_used_in_the_loss_and_lowers_its_floor():
    rng = np.random.default_rng(15)
    x = MIXTURE.sample(200, rng=rng)
    still = [fm.FlowMatching(Labelled(), coupling=name).loss(x, rng=np.random.default_rng(0)).data.mean()
             for name in fm.COUPLINGS]  # of a network that says 0: the mean squared distance of the pairs, over 2
    noise = np.random.default_rng(0).standard_normal((200, 2), dtype=np.float32).astype(float)
    assert still[0] == pytest.approx(((x - noise) ** 2).mean())
    assert still[1] == pytest.approx(((x - fm.optimal_pairs(x, noise)) ** 2).mean())
    assert still[1] < 0.6 * still[0]


def test_the_balance_of_distances():
    """(13.54): what the flow's own pairs are nearer by is its straightness and the floor."""
    rng, n = np.random.default_rng(16), 20_000
    noise = rng.standard_normal((n, 2))
    path = fm.FlowMatching(Exact()).sample(noise, steps=60, method="rk4", keep=True)
    learnt = (MIXTURE.means**2 @ np.ones(2)) @ MIXTURE.weights + 2 * 0.25**2 + 2  # E|x₀ − ε|², independent
    made = ((path[0] - path[-1]) ** 2).sum(1)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    times, shares = (1 + nodes) / 2, weights / 2
    floor = shares @ [2 * MIXTURE.noise_floor(1 - t, t) / (1 - t) ** 2 for t in times]
    bent = fm.straightness(path)
    assert bent > 0.05 and floor > 0.1
    assert made.mean() + bent + floor == pytest.approx(learnt, abs=4.5 * made.std() / math.sqrt(n))


def test_straightness_is_zero_for_straight_lines_and_known_for_a_parabola():
    ends = np.random.default_rng(17).normal(size=(2, 5, 3))
    share = np.linspace(0, 1, 11)[:, None, None]
    assert fm.straightness((1 - share) * ends[0] + share * ends[1]) == pytest.approx(0, abs=1e-12)
    bow = np.linspace(0, 1, 2001)[:, None, None] ** 2  # speed 2t, mean 1: ∫ (2t − 1)² = 1/3
    assert fm.straightness(bow) == pytest.approx(1 / 3, abs=1e-5)


def test_reflow_straightens():
    """A small network trained on the pairs of the exact flow, against one on independent pairs."""
    from minigen.optim import Adam

    two = NoisedMixture([[1.0, 0.0], [-1.0, 0.0]], 0.1)
    rng = np.random.default_rng(18)
    found = {}
    for name in ("first", "reflow"):
        net = PointNet(2, 2, width=32, blocks=1, rng=np.random.default_rng(0))
        model, teacher = fm.FlowMatching(net), fm.FlowMatching(Exact(two))
        optimizer = Adam(net.parameters(), lr=5e-3)
        for _ in range(300):
            noise = rng.standard_normal((128, 2)).astype(np.float32)
            x = two.sample(128, rng=rng).astype(np.float32)
            if name == "reflow":
                x, noise = teacher.pairs(noise, steps=8)
            optimizer.zero_grad()
            model.loss(x, noise=noise, rng=rng).mean().backward()
            optimizer.step()
        noise = rng.standard_normal((1000, 2)).astype(np.float32)
        one = model.sample(noise, steps=1, method="euler")
        distance = np.sqrt(((one[:, None] - two.means) ** 2).sum(-1)).min(1)
        found[name] = fm.straightness(model.sample(noise, steps=20, keep=True)), distance.mean()
    assert found["reflow"][0] < 0.2 * found["first"][0]
    assert found["reflow"][1] < 0.5 * found["first"][1]


# -- classes, modes, errors -------------------------------------------------------------------------------------------


def test_guidance_goes_between_and_beyond():
    model, x, labels = fm.FlowMatching(Labelled()), np.zeros((3, 2)), np.array([0, 1, 2])
    for weight in (0.0, 0.5, 1.0, 3.0):
        found = model.velocity(labels, guidance=weight)(x, np.full(3, 0.5))
        np.testing.assert_allclose(found, weight * labels[:, None] * np.ones((3, 2)))
        moved = model.sample(x, labels, guidance=weight, steps=3, method="euler")
        np.testing.assert_allclose(moved, -weight * labels[:, None] * np.ones((3, 2)))
    hooked = model.velocity(labels, hook=lambda x, t, v: v + 7)(x, 0.5)
    np.testing.assert_allclose(hooked, 7 + labels[:, None] * np.ones((3, 2)))
    noise = model.predictor(labels, hook=lambda x, t, noise: noise + 7)(x, np.full(3, 0.5))
    np.testing.assert_allclose(noise, 7 + 0.5 * labels[:, None] * np.ones((3, 2)))


def test_guided_velocity_is_guided_noise():
    """The same w on v̂ and on ε̂ is the same guidance, for a network with classes."""
    rng = np.random.default_rng(19)
    model = fm.FlowMatching(shaken(rng, classes=3), drop_labels=0.5)
    x, t, labels = rng.normal(size=(3, 2)), np.array([0.2, 0.5, 0.8]), np.array([0, 1, 2])
    told, without = model.predictor(labels)(x, t), model.predictor()(x, t)
    np.testing.assert_allclose(model.predictor(labels, guidance=2.5)(x, t), without + 2.5 * (told - without))
    assert np.abs(told - without).max() > 0.01
    np.testing.assert_array_equal(model.predictor(np.full(3, 3))(x, t), without)  # 3 is "no class"
    assert model.loss(x, labels, rng=rng).shape == (3,)
    assert model.log_prob(x, labels, steps=3, method="rk4").shape == (3,)


def test_labels_are_dropped_as_often_as_asked():
    seen = []

    class Listens(Labelled):
        def forward(self, x, time, labels=None):
            seen.append(labels)
            return x * 0.0

    fm.FlowMatching(Listens(), drop_labels=0.2).loss(np.zeros((5_000, 1)), np.ones(5_000, int),
                                                     rng=np.random.default_rng(0))
    assert set(seen[0]) == {1, 3} and np.mean(seen[0] == 3) == pytest.approx(0.2, abs=0.025)


def test_arrays_and_tensors_and_the_mode():
    class Timeless(nn.Module):
        def __init__(self):
            self.drop = nn.Dropout(0.5, rng=np.random.default_rng(0))

        def forward(self, x, time):
            return self.drop(x)

    model, x = fm.FlowMatching(Timeless()), np.ones((4, 2), np.float32)
    np.testing.assert_array_equal(model.velocity()(x, 0.3), x)  # no dropping in evaluation
    assert model.training and model.network.drop.training
    leaf = Tensor(x, requires_grad=True)
    assert autograd.grad(ops.sum(model.velocity()(leaf, 0.3)), leaf)[0].shape == (4, 2)
    assert model.sample(x, steps=2).dtype == np.float32
    assert model.sample(x, steps=2, keep=True).shape == (3, 4, 2)


def test_pictures_work_too():
    from minigen.nn.unet import UNet

    rng = np.random.default_rng(20)
    net = UNet(1, 1, width=8, multiples=(1, 2), attention=(), rng=rng)
    model, x = fm.FlowMatching(net, coupling="optimal"), rng.normal(size=(2, 1, 8, 8)).astype(np.float32)
    assert model.loss(x, rng=rng).shape == (2,)
    assert model.sample(x, steps=2, method="euler").shape == x.shape
    assert model.log_prob(x, trace="hutchinson", rng=rng, steps=2, method="euler").shape == (2,)


def test_what_cannot_be_is_refused():
    with pytest.raises(MinigenError, match="coupling is 'best'; expected one of"):
        fm.FlowMatching(Exact(), coupling="best")
    with pytest.raises(MinigenError, match="drop_labels=0.1 needs a network with classes"):
        fm.FlowMatching(Exact(), drop_labels=0.1)
    with pytest.raises(ShapeError, match=r"the network returned \(3, 1\) for \(3, 2\)"):
        fm.FlowMatching(_Narrow()).loss(np.ones((3, 2)), rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"optimal_pairs: x \(3, 2\), noise \(2, 2\)"):
        fm.optimal_pairs(np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(ShapeError, match=r"labels \(2,\); expected .* a label for each example"):
        fm.optimal_pairs(np.ones((3, 2)), np.ones((3, 2)), np.zeros(2))
    with pytest.raises(ShapeError, match=r"straightness: a path \(1, 3, 2\)"):
        fm.straightness(np.ones((1, 3, 2)))
    with pytest.raises(MinigenError, match="FlowMatching.log_prob: trace='hutchinson', rng=None"):
        fm.FlowMatching(Exact()).log_prob(np.ones((1, 2)), trace="hutchinson")


class _Narrow(nn.Module):
    def forward(self, x, time):
        return x[:, :1]


def test_whole_numbers_move_like_others():
    model, whole = fm.FlowMatching(Exact()), np.array([[1, 0], [2, -1]])
    for how in (lambda x: model.loss(x, rng=np.random.default_rng(0)).data, model.encode, model.sample,
                lambda x: model.log_prob(x, steps=2, method="euler")):  # fmt: skip
        np.testing.assert_array_equal(how(whole), how(whole.astype(np.float32)))


def test_the_mode_of_each_part_survives_a_velocity_and_an_error():
    class Parts(nn.Module):
        def __init__(self):
            self.frozen, self.fails = nn.Dropout(0.5, rng=np.random.default_rng(0)), False

        def forward(self, x, time):
            assert not self.training and not self.frozen.training
            if self.fails:
                raise ZeroDivisionError
            return self.frozen(x)

    parts = Parts()
    model = fm.FlowMatching(parts).train()
    parts.frozen.eval()
    model.velocity()(np.ones((2, 2), np.float32), 0.5)
    parts.fails = True
    with pytest.raises(ZeroDivisionError):
        model.velocity()(np.ones((2, 2), np.float32), 0.5)
    assert model.training and parts.training and not parts.frozen.training
