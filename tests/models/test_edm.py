"""Preconditioning against the requirements it was derived from, and against the exact denoiser."""

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.models import samplers
from minigen.models.edm import EDM
from minigen.models.schedules import Cosine, Growing
from minigen.nn.time import PointNet

TRUTH = NoisedMixture([[0.5, 0.0], [-0.4, 0.3]], 0.1)
SIGMAS = np.array([0.01, 0.1, 0.5, 2.0, 40.0])


class Zero(nn.Module):
    def forward(self, x, time):
        return x * 0.0


class Exact(nn.Module):
    """F such that D is the mixture's own conditional mean."""

    def __init__(self, model, mixture):
        self._model, self.mixture = model, mixture

    def forward(self, x, time):
        sigma = np.exp(4 * time.astype(np.float64))
        c_skip, c_out, c_in, _ = (c[:, None] for c in self._model.coefficients(sigma))
        y = x * (1 / c_in)
        return (self.mixture.clean(y, 1.0, sigma) - y * c_skip) * (1 / c_out)


def exact(schedule=None, sigma_data=0.5):
    model = EDM(Zero(), schedule or Growing(), sigma_data=sigma_data)
    model.network = Exact(model, TRUTH)
    return model


def test_inputs_and_targets_have_size_one_and_mistakes_are_least_magnified():
    rng, model = np.random.default_rng(0), EDM(Zero(), Growing(), sigma_data=0.7)
    x, noise = 0.7 * rng.standard_normal(200_000), rng.standard_normal(200_000)
    for sigma in SIGMAS:
        c_skip, c_out, c_in, c_noise = model.coefficients(sigma)
        y = x + sigma * noise
        assert (c_in * y).std() == pytest.approx(1, rel=0.01)
        assert ((x - c_skip * y) / c_out).std() == pytest.approx(1, rel=0.01)
        assert c_noise == pytest.approx(np.log(sigma) / 4)
        for other in (c_skip + 0.01, c_skip - 0.01):
            assert (x - other * y).std() > (x - c_skip * y).std()


def test_a_network_that_says_nothing_scores_one_at_every_level():
    rng, model = np.random.default_rng(1), EDM(Zero(), Growing())
    x = 0.5 * rng.standard_normal((20_000, 3))
    for sigma in SIGMAS:
        assert model.loss(x, rng=rng, sigma=np.full(20_000, sigma)).data.mean() == pytest.approx(1, rel=0.02)


def test_the_loss_is_the_weighted_denoising_error():
    rng, model = np.random.default_rng(2), exact()
    x, noise = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    y = x + SIGMAS[:, None] * noise
    weight = (SIGMAS**2 + 0.25) / (SIGMAS * 0.5) ** 2
    by_hand = weight * ((TRUTH.clean(y, 1.0, SIGMAS) - x) ** 2).mean(1)
    np.testing.assert_allclose(model.loss(x, rng=rng, sigma=SIGMAS, noise=noise).data, by_hand, rtol=1e-8)


@pytest.mark.parametrize("schedule", [Growing(), Cosine()], ids=["growing", "cosine"])
def test_its_predictor_is_the_exact_noise(schedule):
    model, x = exact(schedule), np.random.default_rng(3).normal(size=(4, 2))
    t = np.array([0.01, 0.2, 0.5, 0.99]) * schedule.end
    found = model.predictor()(x, t)
    np.testing.assert_allclose(found, TRUTH.noise(x, schedule.alpha(t), schedule.sigma(t)), rtol=1e-6, atol=1e-8)


def test_samples_of_the_exact_denoiser_lie_where_they_should():
    model, rng = exact(), np.random.default_rng(4)
    x = samplers.starting_noise(model.schedule, (4000, 2), rng=rng, dtype=np.float64)
    found = samplers.heun(model.predictor(), model.schedule, samplers.karras_times(model.schedule, 40), x,
                          churn=10, rng=rng)  # fmt: skip
    first = found[:, 0] > 0.05
    assert first.mean() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_allclose(found[first].mean(0), [0.5, 0.0], atol=0.01)
    np.testing.assert_allclose(found[~first].std(0), 0.1, rtol=0.08)


def test_gradients_against_differences():
    rng = np.random.default_rng(5)
    net = PointNet(2, 2, width=6, blocks=1, rng=rng).to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.4 * rng.normal(size=tensor.shape))
    model, x, noise = EDM(net, Growing()), rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    gradcheck(lambda: model.loss(x, rng=rng, sigma=SIGMAS, noise=noise), (), parameters=dict(model.named_parameters()))
    y = rng.normal(size=(5, 2))
    gradcheck(lambda y: ops.tanh(model.denoise(y, SIGMAS)), y)


def test_levels_are_drawn_as_asked_and_guidance_goes_beyond():
    seen = []

    class Listens(nn.Module):
        classes = 2

        def forward(self, x, time, labels=None):
            seen.append((np.exp(4 * time), labels))
            return x * 0.0 if labels is None else x * 0.0 + 1.0

    model = EDM(Listens(), Growing(), p_mean=-0.5, p_std=0.8, drop_labels=0.3)
    model.loss(np.zeros((20_000, 1)), np.ones(20_000, int), rng=np.random.default_rng(6))
    sigma, labels = seen[0]
    assert np.log(sigma).mean() == pytest.approx(-0.5, abs=0.02) and np.log(sigma).std() == pytest.approx(0.8, abs=0.02)
    assert np.mean(labels == 2) == pytest.approx(0.3, abs=0.02)
    x, t, labels = np.zeros((1, 1)), np.ones(1), np.array([1])
    without, once, twice = (model.predictor(labels, guidance=w)(x, t)[0, 0] for w in (0, 1, 2))
    assert without == 0 and once != 0 and twice == pytest.approx(2 * once)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(MinigenError, match="sigma_data=0"):
        EDM(Zero(), Growing(), sigma_data=0)
    with pytest.raises(MinigenError, match="drop_labels=0.1 needs a network with classes"):
        EDM(nn.Identity(), Growing(), drop_labels=0.1)
    with pytest.raises(ShapeError, match=r"returned \(2, 1\) for \(2, 3\)"):
        EDM(lambda x, t: x[:, :1], Growing()).loss(np.zeros((2, 3)), rng=np.random.default_rng(0))
