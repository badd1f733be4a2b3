"""The VAE against truths: closed forms, an exactly solvable model, and properties that every VAE has."""

import numpy as np
import pytest

import minigen as mg
from minigen import likelihoods, nn
from minigen.autograd.gradcheck import gradcheck
from minigen.data import digits
from minigen.errors import ShapeError
from minigen.models.vae import VAE, conv_decoder, conv_encoder, mlp_decoder, mlp_encoder, reparameterise, slerp


class FixedGaussian(likelihoods.Likelihood):
    """N(decoder output, 0.5²) per pixel: with linear networks everything about the model is known."""

    def distribution(self, parameters):
        return mg.distributions.Normal(parameters[:, 0], 0.5)


def linear_model(rng, pixels=5, latent=2):
    """x = W z + noise: log p(x) is Gaussian, and the posterior is N(M⁻¹Wᵀx/σ², M⁻¹) with M = I + WᵀW/σ²."""
    decoder = nn.Linear(latent, pixels, bias=False, rng=rng)
    w = decoder.weight.data.astype(np.float64)
    cov = np.linalg.inv(np.eye(latent) + w.T @ w / 0.25)
    encoder = nn.Linear(pixels, 2 * latent, rng=rng)
    encoder.weight.overwrite(np.concatenate([cov @ w.T / 0.25, np.zeros((latent, pixels))]))
    encoder.bias.overwrite(np.concatenate([np.zeros(latent), np.log(np.diag(cov))]))
    model = VAE(encoder, nn.Sequential(decoder, nn.Unflatten(1, (1, pixels))), FixedGaussian(), latent)
    return model, w, cov


def digits_model(rng=None, likelihood=None, **settings):
    rng = rng or np.random.default_rng(0)
    likelihood = likelihood or likelihoods.DiscretizedLogisticMixture(17)
    return VAE(
        mlp_encoder(64, 4, hidden=32, dropout=0.1, high=16, rng=rng),
        mlp_decoder(4, likelihood, 64, hidden=32, dropout=0.1, rng=rng),
        likelihood, 4, **settings,
    )  # fmt: skip


def pictures(n=6, seed=0):
    return np.random.default_rng(seed).integers(0, 17, (n, 64))


def test_bound_plus_posterior_divergence_is_the_exact_log_likelihood():
    rng = np.random.default_rng(0)
    model, w, cov = linear_model(rng)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    marginal = w @ w.T + 0.25 * np.eye(5)
    exact = -0.5 * (
        5 * np.log(2 * np.pi) + np.linalg.slogdet(marginal)[1] + np.einsum("bi,ij,bj->b", x, np.linalg.inv(marginal), x)
    )
    # q has the posterior's mean and the diagonal of its covariance: (5.5) gives the gap in closed form.
    gap = 0.5 * (np.trace(np.linalg.inv(cov) @ np.diag(np.diag(cov))) - 2 + np.linalg.slogdet(cov)[1]
                 - np.log(np.diag(cov)).sum())  # fmt: skip
    passes = np.mean([model.elbo(x, rng=rng).elbo.data for _ in range(4000)], axis=0)
    np.testing.assert_allclose(passes + gap, exact, atol=0.08)  # Monte Carlo: 4 standard errors of about 0.02


def test_iwae_rises_from_the_elbo_towards_the_exact_value():
    rng = np.random.default_rng(1)
    model, w, _ = linear_model(rng)
    x = rng.normal(size=(50, 5)).astype(np.float32)
    marginal = w @ w.T + 0.25 * np.eye(5)
    exact = np.mean(
        -0.5 * (5 * np.log(2 * np.pi) + np.linalg.slogdet(marginal)[1]
                + np.einsum("bi,ij,bj->b", x, np.linalg.inv(marginal), x))
    )  # fmt: skip
    bounds = [np.mean([model.iwae(x, k, rng=rng).mean() for _ in range(40)]) for k in (1, 5, 50, 1000)]
    assert bounds[0] < bounds[1] < bounds[2] + 0.01 and bounds[3] <= exact + 0.01
    assert bounds[3] == pytest.approx(exact, abs=0.01)
    elbo = np.mean([model.elbo(x, rng=rng).elbo.data.mean() for _ in range(200)])
    assert bounds[0] == pytest.approx(elbo, abs=0.15)


def test_iwae_does_not_depend_on_how_it_is_chunked():
    model = digits_model().eval()
    a, b = (model.iwae(pictures(), 40, rng=np.random.default_rng(0), chunk=c) for c in (10_000, 240))
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_loss_is_minus_the_bound_and_beta_weighs_the_divergence():
    x = pictures()
    model = digits_model().eval()
    terms = model.elbo(x, rng=np.random.default_rng(3))
    loss = model.loss(x, rng=np.random.default_rng(3))
    assert loss.shape == terms.kl.shape == (6,)
    np.testing.assert_allclose(loss.data, -terms.elbo.data, rtol=1e-5)
    model.beta = 4.0
    np.testing.assert_allclose(
        model.loss(x, rng=np.random.default_rng(3)).data, 4 * terms.kl.data - terms.log_likelihood.data, rtol=1e-5
    )


def test_free_bits_charge_at_least_the_minimum_and_stop_the_gradient_below_it():
    model = digits_model(free_bits=50.0).eval()  # far above any KL: all codes are charged the minimum
    x = pictures()
    bound = model.elbo(x, rng=np.random.default_rng(0))
    loss = model.loss(x, rng=np.random.default_rng(0))
    np.testing.assert_allclose(loss.data, 4 * 50.0 - bound.log_likelihood.data, rtol=1e-5)
    model.free_bits = 1e-9
    np.testing.assert_allclose(
        model.loss(x, rng=np.random.default_rng(0)).data.mean(), -bound.elbo.data.mean(), rtol=1e-5
    )


def test_reparameterised_samples_have_the_moments_and_pass_gradients():
    mean, log_var = mg.tensor(np.full((50_000, 1), 2.0), True), mg.tensor(np.full((50_000, 1), -1.0), True)
    z = reparameterise(mean, log_var, rng=np.random.default_rng(0))
    assert z.data.mean() == pytest.approx(2, abs=0.02) and z.data.var() == pytest.approx(np.exp(-1), rel=0.03)
    z.backward(np.ones(z.shape))
    assert np.all(mean.grad.data == 1)
    np.testing.assert_allclose(log_var.grad.data, 0.5 * (z.data - 2), atol=1e-6)


def test_every_parameter_gradient_of_the_loss_is_right():
    model = digits_model().to(np.float64).eval()
    x = pictures(2)
    parameters = list(model.parameters())
    gradcheck(lambda *_: model.loss(x, rng=np.random.default_rng(0)), parameters)


@pytest.mark.parametrize(
    "likelihood", [likelihoods.Bernoulli(), likelihoods.Categorical(2), likelihoods.Gaussian(),
                   likelihoods.DiscretizedLogistic(2), likelihoods.DiscretizedLogisticMixture(2)],
)  # fmt: skip
def test_every_likelihood_trains_a_convolutional_model(likelihood):
    rng = np.random.default_rng(0)
    model = VAE(conv_encoder(8, 3, width=4, high=1, rng=rng), conv_decoder(3, likelihood, 8, width=4, rng=rng),
                likelihood, 3)  # fmt: skip
    x = (np.indices((8, 8)).sum(axis=0) % 4 < 2)[None, None].repeat(16, axis=0).astype(np.int64)
    optimizer = mg.optim.Adam(model.parameters(), lr=5e-3)
    first = model.loss(x, rng=rng).mean().item()
    for _ in range(40):
        loss = model.loss(x, rng=rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first - 10
    assert model.sample(5, rng=rng).shape == (5, 8, 8) and model.reconstruct(x).shape == (16, 8, 8)


def test_a_trained_model_finds_noise_more_surprising_than_its_data():
    rng = np.random.default_rng(0)
    model = digits_model(rng)
    x = digits.splits().train.images[:300]
    optimizer = mg.optim.Adam(model.parameters(), lr=3e-3)
    for i in range(150):
        loss = model.loss(x[(i * 50) % 300 : (i * 50) % 300 + 50], rng=rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    known = model.anomaly_score(x[:100], rng=rng, samples=4)
    strange = model.anomaly_score(rng.permuted(x[:100], axis=1), rng=rng, samples=4)
    assert known.shape == (100,) and np.median(known) + 20 < np.median(strange)


def test_interpolation_ends_at_the_reconstructions():
    model = digits_model().eval()
    x = pictures(2)
    for spherical in (False, True):
        path = model.interpolate(x[:1], x[1:], 7, spherical=spherical)
        assert path.shape == (7, 64)
        np.testing.assert_allclose(path[[0, -1]], model.reconstruct(x), atol=1e-3)


def test_slerp_keeps_the_length_and_the_speed():
    z0, z1 = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    t = np.linspace(0, 1, 5)[:, None]
    angle = t * np.pi / 2
    np.testing.assert_allclose(slerp(z0, z1, t), np.concatenate([np.cos(angle), np.sin(angle)], axis=1), atol=1e-12)
    np.testing.assert_allclose(slerp(z0, z0, t), z0.repeat(5, axis=0))


def test_the_same_seed_gives_the_same_samples_and_noise_can_be_left_out():
    model = digits_model().eval()
    a, b = (model.sample(3, rng=np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    mean = model.sample(3, rng=np.random.default_rng(1), noise=False)
    assert mean.shape == (3, 64) and mean.dtype == np.float32 and 0 <= mean.min() and mean.max() <= 16


def test_a_wrong_encoder_is_named():
    model = digits_model()
    model.latent = 5
    with pytest.raises(ShapeError, match=r"the encoder returned \(6, 8\); expected \(B, 10\)"):
        model.encode(pictures())
