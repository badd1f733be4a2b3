"""Score matching against truths: closed forms for a mixture, equalities between the objectives, finite differences."""

import numpy as np
import pytest

from minigen import Tensor, autograd, nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.models import score as sm
from minigen.nn.time import PointNet

MIXTURE = NoisedMixture([[1.0, 0.0], [-0.6, 0.7], [-0.4, -0.8]], 0.4)


class Scaled(nn.Module):
    """a times the exact score: a model with one parameter, whose objectives are known parabolas in a."""

    def __init__(self, a, alpha=1.0, sigma=0.0):
        self.a, self._noise = Tensor(np.array([a]), requires_grad=True), (alpha, sigma)

    def forward(self, x):
        return MIXTURE.score(x, *self._noise) * self.a


class Energy(nn.Module):
    """A small smooth energy (B, D) → (B, 1)."""

    def __init__(self, width=5, seed=0):
        rng = np.random.default_rng(seed)
        self.first, self.last = nn.Linear(2, width, rng=rng), nn.Linear(width, 1, rng=rng)

    def forward(self, x):
        return self.last(ops.softplus(self.first(x) * 2.0))


def field(seed=0, width=6):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(2, width, rng=rng), nn.Tanh(), nn.Linear(width, 2, rng=rng)).to(np.float64)


def quadrature(alpha=1.0, sigma=0.0, step=0.05):
    """Points of a grid and their probabilities under the (noised) mixture."""
    ticks = np.arange(-4, 4, step)
    x = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    return x, np.exp(MIXTURE.log_prob(x, alpha, sigma)) * step**2


def test_integration_by_parts_holds():
    """(10.3): explicit score matching is the Fisher divergence less ½ E|∇ log p|², for any field."""
    x, mass = quadrature()
    best, net = MIXTURE.score(x), field()
    explicit = mass @ sm.explicit(net, x).data
    fisher = 0.5 * mass @ ((net(Tensor(x)).data - best) ** 2).sum(1)
    assert explicit == pytest.approx(fisher - 0.5 * mass @ (best**2).sum(1), abs=1e-8)


def test_the_explicit_objective_is_least_at_the_true_score():
    x, mass = quadrature()
    fisher = mass @ (MIXTURE.score(x) ** 2).sum(1)
    for a in (0.0, 0.5, 1.0, 2.0):
        model = Scaled(a)
        loss = ops.sum(sm.explicit(model, x) * mass)
        assert loss.item() == pytest.approx((0.5 * a * a - a) * fisher, abs=1e-6)  # a parabola with its least at 1
        (slope,) = autograd.grad(loss, model.a)
        assert slope.item() == pytest.approx((a - 1) * fisher, abs=1e-6)


def test_slices_average_to_the_whole():
    """With all four sign vectors (here: their mean over many draws) sliced is explicit, whole and all."""
    x = np.random.default_rng(0).normal(size=(6, 2))
    net = field()
    exact = sm.explicit(net, x).data
    for settings in ({}, {"whole": False}, {"signs": False}, {"whole": False, "signs": False, "slices": 3}):
        rng = np.random.default_rng(1)
        draws = np.stack([sm.sliced(net, np.tile(x, (500, 1)), rng=rng, **settings).data.reshape(500, 6)
                          for _ in range(4)]).reshape(2000, 6)  # fmt: skip
        error = draws.std(0) / np.sqrt(2000)
        assert np.all(np.abs(draws.mean(0) - exact) < 4.5 * error + 1e-9), settings
        assert error.max() > 1e-4
    whole = sm.sliced(net, x, rng=np.random.default_rng(2), slices=400).data
    np.testing.assert_allclose(whole, exact, atol=0.1)


def test_keeping_the_square_whole_leaves_the_standard_normals_score_no_variance():
    x = np.tile([[1.0, 2.0]], (500, 1))
    whole, cut = (sm.sliced(lambda x: -x, x, rng=np.random.default_rng(1), whole=w).data.std() for w in (True, False))
    assert whole < 1e-12 and cut > 0.1  # vᵀ(−I)v = −2 for all v of signs


def test_hutchinsons_trace_is_unbiased():
    net, x = field(), Tensor(np.random.default_rng(3).normal(size=(4, 2)), requires_grad=True)
    s = net(x)
    exact = sm.trace(s, x).data
    rng = np.random.default_rng(4)
    draws = np.stack([sm.hutchinson(s, x, rng=rng).data for _ in range(3000)])
    assert np.all(np.abs(draws.mean(0) - exact) < 4 * draws.std(0) / np.sqrt(3000) + 1e-9)
    np.testing.assert_allclose(exact, np.trace(sm.jacobian(net, x), axis1=1, axis2=2), rtol=1e-12)
    h, e = 1e-5, np.eye(2)
    by_difference = [(net(Tensor(x.data + h * e[i])).data - net(Tensor(x.data - h * e[i])).data)[:, i] for i in (0, 1)]
    np.testing.assert_allclose(exact, sum(by_difference) / (2 * h), rtol=1e-7)


def test_denoising_and_explicit_score_matching_have_the_same_gradient():
    """(10.7): at each level of noise, in expectation; the explicit one of the *blurred* density."""
    sigma, net = 0.3, field()
    x, mass = quadrature(1.0, sigma)
    parameters = list(net.parameters())
    explicit = autograd.grad(ops.sum(sm.explicit(net, x) * mass), parameters)
    # E over x and ε by quadrature too: component means, then a grid of the Gaussians' 2 + 2 dimensions in law:
    # x | component is Gaussian, so (x, ε) is; Gauss–Hermite nodes do all four.
    node, weight = np.polynomial.hermite_e.hermegauss(10)
    grids = np.stack(np.meshgrid(*[node] * 4, indexing="ij"), -1).reshape(-1, 4)
    weights = np.prod(np.stack(np.meshgrid(*[weight / weight.sum()] * 4, indexing="ij"), -1).reshape(-1, 4), axis=1)
    clean = (MIXTURE.means[:, None] + MIXTURE.sigma * grids[:, :2]).reshape(-1, 2)
    noise = np.tile(grids[:, 2:], (3, 1))
    loss = ops.sum(sm.denoising(net, clean, sigma, noise=noise) * (np.tile(weights, 3) / 3))
    for ours, theirs in zip(autograd.grad(loss, parameters), explicit, strict=True):
        np.testing.assert_allclose(ours.data, theirs.data, atol=2e-4 * np.abs(theirs.data).max())


def test_the_denoising_loss_of_the_exact_score_is_the_floor():
    rng, sigma, n = np.random.default_rng(5), 0.5, 40_000
    losses = sm.denoising(Scaled(1.0, 1.0, sigma), MIXTURE.sample(n, rng=rng), sigma, rng=rng).data
    floor = MIXTURE.noise_floor(1.0, sigma) / sigma**2  # ½ · 2 dimensions
    assert losses.mean() == pytest.approx(floor, abs=4 * losses.std() / np.sqrt(n))


def test_tweedies_formula_is_the_conditional_mean():
    y = np.random.default_rng(6).normal(size=(5, 2))
    sigma = np.array([0.1, 0.2, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(sm.denoised(lambda y: MIXTURE.score(y, 1.0, sigma), y, sigma),
                               MIXTURE.clean(y, 1.0, sigma), atol=1e-10)  # fmt: skip


def test_the_score_of_an_energy_has_no_curl_and_a_free_field_has():
    x = np.random.default_rng(7).normal(size=(6, 2))
    of_energy = sm.jacobian(sm.EnergyScore(Energy().to(np.float64)), x)
    np.testing.assert_allclose(of_energy, np.swapaxes(of_energy, 1, 2), atol=1e-14)
    assert np.abs(of_energy).max() > 0.01
    free = sm.jacobian(field(), x)
    assert np.abs(free - np.swapaxes(free, 1, 2)).max() > 0.01


def test_the_energys_score_is_minus_its_gradient():
    model, x = sm.EnergyScore(Energy().to(np.float64)), np.random.default_rng(8).normal(size=(5, 2))
    h, energy = 1e-5, lambda x: model.energies(Tensor(x)).data
    by_difference = np.stack([-(energy(x + h * e) - energy(x - h * e)) / (2 * h) for e in np.eye(2)], axis=1)
    np.testing.assert_allclose(model(x).data, by_difference, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.score(x), model(x).data, rtol=1e-12)
    with autograd.no_grad():
        np.testing.assert_allclose(model(x).data, model.score(x), rtol=1e-12)


@pytest.mark.parametrize("objective", ["explicit", "sliced", "cut", "denoising"])
def test_third_order_gradients_of_an_energy_against_differences(objective):
    """The loss differentiates the energy twice, and this its parameters once more."""
    model, x = sm.EnergyScore(Energy().to(np.float64)), np.random.default_rng(9).normal(size=(4, 2))
    losses = {
        "explicit": lambda: sm.explicit(model, x),
        "sliced": lambda: sm.sliced(model, x, rng=np.random.default_rng(10)),
        "cut": lambda: sm.sliced(model, x, rng=np.random.default_rng(10), whole=False, slices=2),
        "denoising": lambda: sm.denoising(model, x, 0.3, rng=np.random.default_rng(10)),
    }
    gradcheck(losses[objective], (), parameters=dict(model.named_parameters()))


@pytest.mark.parametrize("objective", ["explicit", "sliced", "denoising"])
def test_gradients_of_a_free_field_against_differences(objective):
    net, x = field(), np.random.default_rng(11).normal(size=(4, 2))
    losses = {
        "explicit": lambda: sm.explicit(net, x),
        "sliced": lambda: sm.sliced(net, x, rng=np.random.default_rng(10)),
        "denoising": lambda: sm.denoising(net, x, np.array([0.1, 0.2, 0.4, 0.8]), rng=np.random.default_rng(10)),
    }
    gradcheck(losses[objective], (), parameters=dict(net.named_parameters()))


class Exact(nn.Module):
    """F such that F/σ is the exact score of the blurred mixture."""

    def forward(self, x, log_sigma):
        sigma = np.exp(log_sigma)
        return MIXTURE.score(x * np.sqrt(1 + sigma**2)[:, None], 1.0, sigma) * sigma[:, None]


def test_a_conditional_score_at_every_level():
    sigmas = sm.geometric(2.0, 0.1, 5)
    np.testing.assert_allclose(sigmas[1:] / sigmas[:-1], sigmas[1] / sigmas[0])
    model, rng, n = sm.NoiseConditionalScore(Exact(), sigmas), np.random.default_rng(12), 20_000
    x = MIXTURE.sample(n, rng=rng)
    np.testing.assert_allclose(model.score(x[:5], sigmas), MIXTURE.score(x[:5], 1.0, sigmas), rtol=1e-7)
    for sigma in sigmas:
        losses = model.loss(x, rng=rng, sigma=sigma).data
        floor = 0.5 * MIXTURE.noise_floor(1.0, sigma)
        assert losses.mean() == pytest.approx(floor, abs=4.5 * losses.std() / np.sqrt(n))
    truth = lambda x, sigma: MIXTURE.score(x, 1.0, sigma)  # noqa: E731
    assert model.relative_error(truth, x[:50], 0.5) < 1e-7
    assert model.relative_error(lambda x, s: 2 * truth(x, s), x[:50], 0.5) == pytest.approx(0.5)


def test_a_network_that_says_nothing_scores_one_half_at_every_level():
    class Zero(nn.Module):
        def forward(self, x, log_sigma):
            return x * 0.0

    model = sm.NoiseConditionalScore(Zero(), [5.0, 0.5, 0.05])
    x = np.zeros((40_000, 2))
    for sigma in model.sigmas:
        assert model.loss(x, rng=np.random.default_rng(13), sigma=sigma).data.mean() == pytest.approx(0.5, rel=0.02)


def test_levels_are_drawn_from_the_ladder_or_between():
    rng = np.random.default_rng(14)
    ladder = sm.NoiseConditionalScore(Exact(), [4.0, 1.0, 0.5])
    assert set(ladder.draw(500, rng=rng)) == {4.0, 1.0, 0.5}
    logs = np.log(sm.NoiseConditionalScore(Exact(), [4.0, 0.5], between=True).draw(1000, rng=rng))
    assert np.histogram(logs, bins=8, range=(np.log(0.5), np.log(4.0)))[0].tolist() == [125] * 8


def test_a_conditional_networks_gradients_against_differences():
    rng = np.random.default_rng(15)
    net = PointNet(2, 2, width=6, blocks=1, rng=rng).to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.4 * rng.normal(size=tensor.shape))
    model, x, noise = sm.NoiseConditionalScore(net, [1.0, 0.1]), rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    gradcheck(lambda: model.loss(x, rng=rng, sigma=np.array([0.1, 1, 1, 0.1]), noise=noise), (),
              parameters=dict(net.named_parameters()))  # fmt: skip


def test_pictures_are_points_too():
    x = np.random.default_rng(16).normal(size=(3, 1, 2, 2))
    score = lambda x: -ops.tanh(x)  # noqa: E731
    np.testing.assert_allclose(sm.explicit(score, x).data,
                               (0.5 * np.tanh(x) ** 2 - 1 / np.cosh(x) ** 2).reshape(3, -1).sum(1))  # fmt: skip
    assert sm.sliced(score, x, rng=np.random.default_rng(0)).shape == (3,)
    assert sm.denoising(score, x, 0.1, rng=np.random.default_rng(0)).shape == (3,)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ShapeError, match=r"the score of x \(3, 2\) has shape \(3, 1\)"):
        sm.explicit(lambda x: x[:, :1], np.zeros((3, 2)))
    for sigmas in ([0.1, 1.0], [1.0, 0.0], [[1.0]]):
        with pytest.raises(MinigenError, match="expected falling positive numbers"):
            sm.NoiseConditionalScore(Exact(), sigmas)
