"""Langevin walks against stationary laws that are known, annealing against modes, energies against closed forms."""

import numpy as np
import pytest

from minigen import Tensor, autograd, nn, ops
from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.metrics.modes import count_modes
from minigen.models import langevin as walks
from minigen.models.score import EnergyScore
from minigen.optim import Adam

FAR = NoisedMixture([[-4.0, 0.0], [4.0, 0.0]], 0.3, [0.8, 0.2])


def normal(x):
    return -x


def test_the_variance_settles_where_the_step_says():
    rng = np.random.default_rng(0)
    for step in (0.05, 0.5):
        x = walks.langevin(normal, np.zeros((60_000, 1)), step=step, count=int(4 / step), rng=rng)
        assert x.var() == pytest.approx(1 / (1 - step / 2), rel=0.02)
        assert x.mean() == pytest.approx(0, abs=0.02)


def test_accepting_and_refusing_removes_the_bias():
    rng = np.random.default_rng(1)
    log_prob = lambda x: -0.5 * (x**2).sum(1)  # noqa: E731
    x = walks.langevin(normal, np.zeros((60_000, 1)), step=0.8, count=30, rng=rng, log_prob=log_prob)
    assert x.var() == pytest.approx(1, rel=0.02) and (x**4).mean() == pytest.approx(3, rel=0.06)
    free = walks.langevin(normal, np.zeros((60_000, 1)), step=0.8, count=30, rng=rng)
    assert free.var() > 1.5


def test_walkers_spread_like_p_stay_so():
    """From exact samples of a mixture, small steps: moments and histogram stay."""
    rng, truth = np.random.default_rng(2), NoisedMixture([[-1.0], [1.2]], 0.5, [0.3, 0.7])
    x = truth.sample(40_000, rng=rng)
    after = walks.langevin(truth.score, x, step=0.002, count=100, rng=rng)
    assert np.abs(after - x).mean() > 0.3  # they did move
    edges = np.linspace(-3, 3, 25)
    before, now = (np.histogram(points, edges)[0] / 40_000 for points in (x, after))
    np.testing.assert_allclose(now, before, atol=0.006)


def test_without_annealing_the_weights_of_far_modes_are_lost_and_with_it_found():
    rng = np.random.default_rng(3)
    x = rng.uniform(-6, 6, size=(2000, 2))
    plain = walks.langevin(FAR.score, x, step=0.01, count=400, rng=rng)
    assert (plain[:, 0] < 0).mean() == pytest.approx(0.5, abs=0.05)  # who begins left stays left
    sigmas = np.geomspace(8, 0.05, 20)
    noisy = lambda x, sigma: FAR.score(x, 1.0, sigma)  # noqa: E731
    annealed = walks.annealed(noisy, sigmas, x, step=0.0005, count=40, rng=rng)
    assert (annealed[:, 0] < 0).mean() == pytest.approx(0.8, abs=0.04)
    left = annealed[annealed[:, 0] < 0]
    np.testing.assert_allclose(left.mean(0), [-4, 0], atol=0.04)
    np.testing.assert_allclose(left.std(0), 0.3, rtol=0.1)


@pytest.mark.parametrize("corrections", [0, 1])
def test_predictor_and_corrector_reach_all_modes_of_the_ring(corrections):
    truth, rng = toy2d.ring(sigma=0.05), np.random.default_rng(4)
    mixture, sigmas = NoisedMixture(truth.means, truth.sigma), np.geomspace(5, 0.01, 120)
    x = sigmas[0] * rng.standard_normal((2000, 2))
    found = walks.predictor_corrector(lambda x, s: mixture.score(x, 1.0, s), sigmas, x, rng=rng,
                                      corrections=corrections)  # fmt: skip
    modes = count_modes(found, truth.means, truth.sigma)
    assert modes.captured == 8 and modes.high_quality > 0.93 and modes.reverse_kl < 0.02


def test_paths_have_their_ends():
    rng, x = np.random.default_rng(5), np.ones((3, 2))
    path = walks.langevin(normal, x, step=0.1, count=4, rng=rng, keep=True)
    assert path.shape == (5, 3, 2) and np.all(path[0] == 1)
    noisy = lambda x, sigma: -x / (1 + sigma**2)  # noqa: E731
    assert walks.annealed(noisy, [1.0, 0.5], x, step=0.1, count=2, rng=rng, keep=True).shape == (3, 3, 2)
    path = walks.predictor_corrector(noisy, [1.0, 0.5, 0.1], x, rng=rng, keep=True)
    assert path.shape == (3, 3, 2)
    single = walks.annealed(noisy, [1.0, 0.5], x.astype(np.float32), step=0.1, count=2, rng=rng)
    assert single.dtype == np.float32
    assert walks.predictor_corrector(noisy, [1.0, 0.5], single, rng=rng).dtype == np.float32


class Bowl(nn.Module):
    """E(x) = ½ k |x − m|², the energy of N(m, 1/k)."""

    def __init__(self, mean, precision):
        self.mean, self.log_precision = nn.parameter(mean), nn.parameter(np.log(precision))

    def forward(self, x):
        gap = x - self.mean
        return ops.sum(gap * gap, dim=1) * ops.exp(self.log_precision) * 0.5


def test_contrastive_divergence_with_true_samples_is_the_likelihoods_gradient():
    rng, bowl = np.random.default_rng(6), Bowl([0.3, -0.2], [2.0]).to(np.float64)
    x = rng.normal(size=(50, 2)) + 1
    negatives = bowl.mean.data + rng.standard_normal((400_000, 2)) / np.sqrt(2.0)
    parameters = list(bowl.parameters())
    data = autograd.grad(ops.mean(bowl(Tensor(x))), parameters)
    model = autograd.grad(ops.mean(bowl(Tensor(negatives))), parameters)
    # −mean log p = mean E + log Z, log Z = −log k + log 2π: its gradient in closed form
    exact = [data[0].data, data[1].data - 1.0]
    for of_data, of_model, truth in zip(data, model, exact, strict=True):
        np.testing.assert_allclose(of_data.data - of_model.data, truth, atol=0.01)
    few = walks.contrastive_divergence(bowl, x, x + 0.1)
    np.testing.assert_allclose(few.data, bowl(Tensor(x)).data - bowl(Tensor(x + 0.1)).data)
    held = walks.contrastive_divergence(bowl, x, x + 0.1, alpha=0.5).data - few.data
    np.testing.assert_allclose(held, 0.5 * (bowl(Tensor(x)).data ** 2 + bowl(Tensor(x + 0.1)).data ** 2))


@pytest.mark.parametrize("persistent", [False, True])
def test_an_energy_learns_a_gaussian(persistent):
    rng = np.random.default_rng(7)
    bowl = Bowl([0.0, 0.0], [1.0])
    score, optimizer = EnergyScore(bowl), Adam(bowl.parameters(), lr=0.05)
    chains = walks.Chains(rng.standard_normal((500, 2)).astype(np.float32), restart=0.05)
    for _ in range(150):
        x = (np.array([1.5, -1.0]) + 0.5 * rng.standard_normal((200, 2))).astype(np.float32)
        if persistent:
            negatives = chains.walk(score.score, 200, step=0.05, count=10, rng=rng)
        else:
            negatives = walks.langevin(score.score, x, step=0.05, count=10, rng=rng)
        loss = walks.contrastive_divergence(score.energies, x, negatives).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(bowl.mean.data, [1.5, -1.0], atol=0.12)
    assert np.exp(bowl.log_precision.item()) == pytest.approx(4, rel=0.25)


def test_chains_walk_on_and_some_begin_anew():
    rng, first = np.random.default_rng(8), np.zeros((100, 2))
    chains = walks.Chains(first, restart=0.0)
    for _ in range(50):
        chains.walk(normal, 100, step=0.1, count=5, rng=rng)
    assert chains.states.var() == pytest.approx(1 / 0.95, rel=0.3) and np.all(chains.first == 0)
    assert set(dict(chains.named_buffers())) == {"first", "states"}
    anew = walks.Chains(first + 5, restart=1.0)
    assert np.all(anew.walk(normal, 10, step=1e-12, count=1, rng=rng) > 4.9)
    with pytest.raises(ShapeError, match="101 of 100 chains"):
        chains.walk(normal, 101, step=0.1, count=1, rng=rng)


def test_what_makes_no_sense_is_refused():
    for function, extra in ((walks.annealed, {"step": 0.1, "count": 1}), (walks.predictor_corrector, {})):
        with pytest.raises(MinigenError, match=f"{function.__name__}: sigmas are"):
            function(lambda x, s: -x, [0.1, 1.0], np.zeros((1, 1)), rng=np.random.default_rng(0), **extra)
