"""Hugging Face's schedulers, fed the same predictions and the same noise, walk the same way, step by step.

Runs where torch and diffusers are installed. Predictions come from the exact denoiser of a mixture, a strongly bent
function. The other side's tables are put into double precision, so that what is compared are formulas.
"""

import numpy as np
import pytest

from minigen.distributions.noised_mixture import NoisedMixture
from minigen.models import samplers
from minigen.models.edm import EDM
from minigen.models.schedules import Cosine, Growing, Steps

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

MIXTURE = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.25)
BETAS = {"linear": Steps.linear(1000), "squaredcos_cap_v2": Steps.of(Cosine(lowest=-np.inf), 1000)}


class Noise:
    """The same normal numbers for both sides, in the order in which they are asked for."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, shape, **settings):
        return torch.from_numpy(self.rng.standard_normal(tuple(shape)))


def scheduler(kind, name, **settings):
    theirs = getattr(diffusers, kind)(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule=name,
                                      **settings)  # fmt: skip
    theirs.betas = torch.from_numpy(BETAS[name].betas)
    theirs.alphas_cumprod = torch.cumprod(1 - theirs.betas, 0)
    return theirs


def walk(theirs, schedule, predict, x, count, **settings):
    """Their trajectory, and our times: theirs count from 0, ours from 1."""
    theirs.set_timesteps(count)
    path, x = [x], torch.from_numpy(x)
    for t in theirs.timesteps:
        found = predict(x.numpy(), np.full(len(x), int(t) + 1.0))
        found = np.concatenate(found, axis=1) if isinstance(found, tuple) else found
        x = theirs.step(torch.from_numpy(found), t, x, **settings).prev_sample.double()
        path.append(x.numpy())
    return np.stack(path), np.append(theirs.timesteps.numpy() + 1, 0)


def start(n=16):
    return np.random.default_rng(0).standard_normal((n, 2))


@pytest.mark.parametrize("name", BETAS)
def test_the_betas_are_theirs(name):
    theirs = diffusers.DDPMScheduler(num_train_timesteps=1000, beta_schedule=name)
    np.testing.assert_allclose(BETAS[name].betas, theirs.betas.numpy(), rtol=2e-5, atol=1e-8)
    x, noise, t = start(8), start(8)[::-1].copy(), np.array([1, 2, 10, 100, 400, 700, 999, 1000])
    theirs = scheduler("DDPMScheduler", name)
    noised = theirs.add_noise(torch.from_numpy(x), torch.from_numpy(noise), torch.from_numpy(t - 1))
    np.testing.assert_allclose(BETAS[name].noised(x, t, noise), noised.numpy(), atol=1e-9)
    velocity = theirs.get_velocity(torch.from_numpy(x), torch.from_numpy(noise), torch.from_numpy(t - 1))
    np.testing.assert_allclose(BETAS[name].target("v", x, noise, t), velocity.numpy(), atol=1e-9)


@pytest.mark.parametrize("name", BETAS)
@pytest.mark.parametrize("count", [1000, 50])
@pytest.mark.parametrize("variance", ["posterior", "forward"])
def test_ddpm(name, count, variance, monkeypatch):
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", Noise(1))
    schedule = BETAS[name]
    predict = MIXTURE.predictor(schedule)
    theirs = scheduler("DDPMScheduler", name, clip_sample=False,
                       variance_type={"posterior": "fixed_small", "forward": "fixed_large"}[variance])  # fmt: skip
    path, times = walk(theirs, schedule, predict, start(), count)
    ours = samplers.ancestral(predict, schedule, times, start(), rng=np.random.default_rng(1), variance=variance,
                              keep=True)  # fmt: skip
    np.testing.assert_allclose(ours, path, atol=1e-5)


def test_ddpm_with_a_learned_variance_and_clipping(monkeypatch):
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", Noise(2))
    schedule = BETAS["linear"]
    best = MIXTURE.predictor(schedule)
    theirs = scheduler("DDPMScheduler", "linear", clip_sample=True, clip_sample_range=1.0,
                       variance_type="learned_range")  # fmt: skip
    path, times = walk(theirs, schedule, lambda x, t: (best(x, t), np.sin(3 * x)), start(), 100)
    ours = samplers.ancestral(lambda x, t: (best(x, t), (np.sin(3 * x) + 1) / 2), schedule, times, start(),
                              rng=np.random.default_rng(2), clip=(-1, 1), keep=True)  # fmt: skip
    np.testing.assert_allclose(ours, path, atol=1e-5)


@pytest.mark.parametrize("name", BETAS)
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim(name, eta, monkeypatch):
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddim.randn_tensor", Noise(3))
    schedule = BETAS[name]
    predict = MIXTURE.predictor(schedule)
    theirs = scheduler("DDIMScheduler", name, clip_sample=False)
    path, times = walk(theirs, schedule, predict, start(), 50, eta=eta)
    ours = samplers.ddim(predict, schedule, times, start(), eta=eta, rng=np.random.default_rng(3), keep=True)
    np.testing.assert_allclose(ours, path, atol=1e-5)


@pytest.mark.parametrize("name", BETAS)
@pytest.mark.parametrize("count", [10, 25])
def test_dpm_solver(name, count):
    schedule = BETAS[name]
    predict = MIXTURE.predictor(schedule)
    theirs = scheduler("DPMSolverMultistepScheduler", name, algorithm_type="dpmsolver++", solver_order=2,
                       solver_type="midpoint", final_sigmas_type="zero")  # fmt: skip
    path, times = walk(theirs, schedule, predict, start(), count)
    ours = samplers.dpm_solver(predict, schedule, times, start(), keep=True)
    np.testing.assert_allclose(ours, path, atol=1e-5)  # theirs works in single precision


def test_edms_preconditioning_times_and_eulers_steps():
    theirs = diffusers.EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, rho=7.0)
    theirs.set_timesteps(18)
    schedule = Growing()
    times = samplers.karras_times(schedule, 18)
    np.testing.assert_allclose(times, theirs.sigmas.numpy(), rtol=1e-5)
    network = lambda x, t: np.tanh(2 * x) + t[:, None]  # noqa: E731
    model = EDM(_Net(network), schedule)
    x = 80 * start()
    ours = samplers.ddim(model.predictor(), schedule, times, x, keep=True)
    path, y = [x], torch.from_numpy(x)
    for t in theirs.timesteps:
        said = network(theirs.scale_model_input(y, t).numpy(), np.full(len(x), float(t)))
        y = theirs.step(torch.from_numpy(said), t, y).prev_sample.double()
        path.append(y.numpy())
    np.testing.assert_allclose(ours, np.stack(path), rtol=1e-5, atol=1e-5)


class _Net:
    training = True

    def __init__(self, function):
        self.function = function

    def __call__(self, x, time):
        from minigen import Tensor

        return Tensor(self.function(x.data, time))

    def eval(self):
        """Nothing to switch."""

    def train(self, mode):
        """Nothing to switch."""
