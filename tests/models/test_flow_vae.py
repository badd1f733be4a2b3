"""The VAE with flows against truths: exactly solvable models, (13.36), (13.39), and the plain VAE as a special case."""

import numpy as np
import pytest

import minigen as mg
from minigen import likelihoods, nn
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.models.bijections import Chain, Flow, Inverse, standard_normal
from minigen.models.flow_vae import FlowVAE
from minigen.models.glow import ActNorm, InvertibleConv
from minigen.models.maf import iaf
from minigen.models.realnvp import VectorNet, alternating, couplings
from minigen.models.vae import VAE, mlp_decoder, mlp_encoder

LATENT, CONTEXT = 4, 6


class FixedGaussian(likelihoods.Likelihood):
    """N(decoder output, 0.5²) per pixel: with linear networks everything about the model is known."""

    def distribution(self, parameters):
        return mg.distributions.Normal(parameters[:, 0], 0.5)


class Decoded(nn.Module):
    """A decoder behind a bijection."""

    def __init__(self, bijection, decoder):
        self.bijection, self.decoder = bijection, decoder

    def forward(self, e):
        return self.decoder(self.bijection(e)[0])


def bent(bijection, rng, by=0.2):
    """The same, with weights far from a fresh one's."""
    for tensor in bijection.parameters():
        tensor.overwrite(tensor.data + by * rng.normal(size=tensor.shape))
    return bijection


def coupled(rng, size=LATENT):
    return bent(Chain(*couplings(alternating(size, 3), lambda m, g: VectorNet(m, g, hidden=9, blocks=1, rng=rng))), rng)


def told(rng):
    return bent(iaf(LATENT, 2, condition=CONTEXT, hidden=(9, 9), rng=rng), rng)


def networks(rng, context=0):
    """Encoder, decoder and likelihood for pictures of 10 pixels."""
    likelihood = likelihoods.DiscretizedLogisticMixture(17)
    return (mlp_encoder(10, LATENT + context // 2, hidden=16, dropout=0.1, high=16, rng=rng),
            mlp_decoder(LATENT, likelihood, 10, hidden=16, dropout=0.1, rng=rng), likelihood)


def full(seed=0):
    """A model with both flows, in float64 and evaluation mode."""
    rng = np.random.default_rng(seed)
    model = FlowVAE(*networks(rng, CONTEXT), LATENT, prior=Flow(coupled(rng), standard_normal(LATENT)),
                    posterior=told(rng), context=CONTEXT)
    return model.to(np.float64).eval()


def pictures(n=6, seed=0):
    return np.random.default_rng(seed).integers(0, 17, (n, 10))


def elbos(model, x, times, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([model.elbo(x, rng=rng).elbo.data for _ in range(times)])


def test_without_flows_it_is_the_vae_and_its_kl_has_the_closed_form_as_its_mean():
    parts = networks(np.random.default_rng(0))
    plain, model, x = VAE(*parts, LATENT).eval(), FlowVAE(*parts, LATENT).eval(), pictures()
    ours, theirs = (m.elbo(x, rng=np.random.default_rng(1)) for m in (model, plain))
    np.testing.assert_allclose(ours.log_likelihood.data, theirs.log_likelihood.data, rtol=1e-5)  # the same codes
    rng = np.random.default_rng(2)
    kl = np.array([model.elbo(x, rng=rng).kl.data for _ in range(3000)])
    error = kl.std(axis=0) / np.sqrt(len(kl))
    assert np.all(np.abs(kl.mean(axis=0) - theirs.kl.data) < 4 * error + 1e-6) and error.max() < 0.05
    bounds = [np.array([m.iwae(x, 5, rng=rng) for _ in range(1000)]) for m in (model, plain)]
    error = np.sqrt(sum(bound.var(axis=0) for bound in bounds) / 1000)
    assert np.all(np.abs(bounds[0].mean(axis=0) - bounds[1].mean(axis=0)) < 4 * error)


def test_the_bound_of_many_samples_does_not_depend_on_how_it_is_chunked():
    a, b = (full().iwae(pictures(), 40, rng=np.random.default_rng(0), chunk=c) for c in (10_000, 60))
    np.testing.assert_allclose(a, b, rtol=1e-6)


def linear_model(seed=0):
    """p(z) = N(m, AAᵀ) by a linear prior flow, x = Wz + noise; q(z|x) exact, by a linear posterior flow with context.

    The posterior is N(S(Wᵀx/σ² + Q m), S), Q = (AAᵀ)⁻¹, S = (Q + WᵀW/σ²)⁻¹: no diagonal Gaussian. The encoder says the
    posterior's mean in the coordinates in which the posterior flow makes it diagonal. Returns model, x, exact log p(x).
    """
    rng = np.random.default_rng(seed)
    pixels, size = 5, 3
    shift, matrix = ActNorm(size), InvertibleConv(size, rng=rng)
    prior = bent(Chain(shift, matrix), rng, 0.4).to(np.float64).eval()
    corner = prior.inverse(mg.tensor(np.concatenate([np.zeros((1, size)), np.eye(size)])))[0].data
    m, a = corner[0], (corner[1:] - corner[0]).T  # z = m + A e
    decoder = nn.Linear(size, pixels, bias=False, rng=rng).to(np.float64)
    w = decoder.weight.data
    precision = np.linalg.inv(a @ a.T)
    s = np.linalg.inv(precision + w.T @ w / 0.25)
    rotate = InvertibleConv(size, rng=rng).to(np.float64)  # z₀ = R z with R any invertible matrix with R S Rᵀ = I
    permutation = rotate.permutation.astype(np.float64)
    target = np.linalg.inv(np.linalg.cholesky(s))
    lower, upper = doolittle(permutation.T @ target)
    rotate.lower.overwrite(lower)
    rotate.upper.overwrite(upper)
    rotate.signs = np.sign(np.diag(upper))
    rotate.log_diagonal.overwrite(np.log(np.abs(np.diag(upper))))
    np.testing.assert_allclose(rotate.matrix().data, target, atol=1e-10)
    encoder = nn.Linear(pixels, 2 * size, rng=rng).to(np.float64)
    encoder.weight.overwrite(np.concatenate([target @ s @ w.T / 0.25, np.zeros((size, pixels))]))
    encoder.bias.overwrite(np.concatenate([target @ s @ precision @ m, np.zeros(size)]))  # deviation 1
    model = FlowVAE(encoder, nn.Sequential(decoder, nn.Unflatten(1, (1, pixels))), FixedGaussian(), size,
                    prior=Flow(prior, standard_normal(size)), posterior=rotate)
    x = rng.normal(size=(7, pixels))
    covariance = w @ a @ a.T @ w.T + 0.25 * np.eye(pixels)
    apart = x - w @ m
    exact = -0.5 * (pixels * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1]
                    + np.einsum("bi,ij,bj->b", apart, np.linalg.inv(covariance), apart))
    return model.eval(), x, exact


def doolittle(matrix):
    """L with ones on the diagonal and U, without exchanging rows."""
    lower, upper = np.eye(len(matrix)), matrix.copy()
    for k in range(len(matrix)):
        for i in range(k + 1, len(matrix)):
            lower[i, k] = upper[i, k] / upper[k, k]
            upper[i] -= lower[i, k] * upper[k]
    return lower, upper


def test_with_the_exact_posterior_every_draw_gives_the_exact_log_likelihood():
    """All signs of (13.35), (13.37) and (13.38) at once: with q = p(z|x) the bracket is log p(x) whatever ε is."""
    model, x, exact = linear_model()
    for seed in range(3):
        bound = model.elbo(mg.tensor(x), rng=np.random.default_rng(seed))
        np.testing.assert_allclose(bound.elbo.data, exact, atol=1e-6)
    np.testing.assert_allclose(model.iwae(mg.tensor(x), 5, rng=np.random.default_rng(0)), exact, atol=1e-6)


def test_a_wrong_posterior_loses_its_divergence_and_many_samples_win_it_back():
    model, x, exact = linear_model()
    model.encoder.bias.overwrite(model.encoder.bias.data + np.array([0.5, 0, 0, 0, 0, 0]))  # of deviation 1: KL ⅛
    bound = elbos(model, mg.tensor(x), 4000).mean(axis=0)
    np.testing.assert_allclose(exact - bound, 0.125, atol=4 * 0.5 / np.sqrt(4000))
    close = model.iwae(mg.tensor(x), 2000, rng=np.random.default_rng(0))
    np.testing.assert_allclose(close, exact, atol=0.06)


def test_a_flow_prior_is_a_flow_posterior_before_a_decoder_that_undoes_it():
    """(13.39), for the same noise: not only the mean."""
    rng = np.random.default_rng(4)
    flow, (encoder, decoder, likelihood) = coupled(rng), networks(rng)
    one = FlowVAE(encoder, decoder, likelihood, LATENT, prior=Flow(flow, standard_normal(LATENT)))
    other = FlowVAE(encoder, Decoded(Inverse(flow), decoder), likelihood, LATENT, posterior=Inverse(flow))
    x = pictures()
    one, other = (m.to(np.float64).eval().elbo(x, rng=np.random.default_rng(5)) for m in (one, other))
    for term, same in zip(one, other, strict=True):
        np.testing.assert_allclose(term.data, same.data, rtol=1e-9)


def test_the_mean_kl_is_information_plus_what_the_prior_misses():
    """(13.36), for two pictures and codes of one number, by quadrature."""
    rng = np.random.default_rng(6)
    prior = Flow(bent(Chain(ActNorm(1)), rng, 0.3).to(np.float64).eval(), standard_normal(1))
    encoder = nn.Linear(1, 2, rng=rng).to(np.float64)
    model = FlowVAE(encoder, nn.Sequential(nn.Linear(1, 1, rng=rng), nn.Unflatten(1, (1, 1))).to(np.float64),
                    FixedGaussian(), 1, prior=prior).eval()
    x = np.array([[-1.0], [1.5]])
    mean, log_var = (part.data for part in model.encode(mg.tensor(x)))
    z = np.linspace(-12, 12, 4001)
    q = np.exp(-0.5 * ((z - mean) ** 2 / np.exp(log_var) + log_var + np.log(2 * np.pi)))  # (2, 4001)
    together, log_prior = q.mean(axis=0), prior.log_prob(mg.tensor(z[:, None])).data
    def integral(values):
        return np.sum(values) * (z[1] - z[0])
    told_by_code = np.mean([integral(part * np.log(part / together)) for part in q + 1e-300])
    missed = integral(together * (np.log(together) - log_prior))
    rng, times = np.random.default_rng(7), 20_000
    kl = np.mean([model.elbo(mg.tensor(np.tile(x, (times, 1))), rng=rng).kl.data.mean()])
    assert kl == pytest.approx(told_by_code + missed, abs=0.02)


def test_log_q_is_the_density_of_the_codes_that_are_drawn():
    """(13.37) against the posterior read the slow way."""
    model, x = full(), pictures(3)
    z, log_q = model.posterior_sample(x, rng=np.random.default_rng(1))
    numbers = model.encoder(x)
    mean, log_var, context = numbers.data[:, :LATENT], numbers.data[:, LATENT : 2 * LATENT], numbers[:, 2 * LATENT :]
    start, log_det = model.posterior(z, context)
    log_normal = -0.5 * ((start.data - mean) ** 2 / np.exp(log_var) + log_var + np.log(2 * np.pi)).sum(axis=1)
    np.testing.assert_allclose(log_q.data, log_normal + log_det.data, atol=1e-8)


def test_the_posterior_sees_the_picture_through_its_context_alone():
    model, x = full(), pictures(2)
    last = [layer for layer in model.encoder.modules() if isinstance(layer, nn.Linear)][-1]
    weight = last.weight.data.copy()
    weight[: 2 * LATENT] = 0  # all pictures have the same z₀
    last.weight.overwrite(weight)
    same = np.concatenate([x[:1], x[:1]])
    assert np.abs(np.diff(model.code(x).data, axis=0)).max() > 1e-3
    np.testing.assert_allclose(np.diff(model.code(same).data, axis=0), 0, atol=1e-12)


def test_every_parameter_gradient_of_the_loss_is_right():
    model, x = full(), pictures(2)
    parameters = dict(model.named_parameters())
    gradcheck(lambda: model.loss(x, rng=np.random.default_rng(0)), [], parameters=parameters)
    loss = model.loss(x, rng=np.random.default_rng(0)).mean()
    loss.backward()
    assert all(np.any(tensor.grad.data) for name, tensor in parameters.items() if "bias" in name)


def test_samples_follow_the_prior():
    rng = np.random.default_rng(0)
    prior = Flow(bent(Chain(ActNorm(3)), rng, 0.5).eval(), standard_normal(3))
    copy = nn.Sequential(nn.Linear(3, 3, rng=rng), nn.Unflatten(1, (1, 3)))
    copy[0].weight.overwrite(np.eye(3))
    copy[0].bias.overwrite(np.zeros(3))
    model = FlowVAE(nn.Linear(3, 6, rng=rng), copy, FixedGaussian(), 3, prior=prior)
    drawn = model.sample(4000, rng=np.random.default_rng(1), noise=False)
    norm = prior.bijection.steps[0]
    deviation = np.exp(-norm.log_scale.data)
    np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=0.05)
    np.testing.assert_allclose(drawn.mean(axis=0), -norm.shift.data, atol=5 * deviation.max() / np.sqrt(4000))
    noisy = model.sample(4000, rng=np.random.default_rng(1))
    np.testing.assert_allclose(noisy.var(axis=0), deviation**2 + 0.25, rtol=0.1)


def test_reconstructions_and_paths_begin_and_end_at_the_pictures():
    model, x = full(), pictures(2)
    whole = model.reconstruct(x)
    for spherical in (False, True):
        path = model.interpolate(x[:1], x[1:], 5, spherical)
        assert path.shape == (5, 10)
        np.testing.assert_allclose(path[[0, -1]], whole, atol=1e-4)
    drawn = np.array([model.reconstruct(x, rng=np.random.default_rng(seed)) for seed in range(2)])
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-3
    assert model.anomaly_score(x, rng=np.random.default_rng(0), samples=3).shape == (2,)


def test_more_samples_tighten_the_bound_and_beta_weighs_the_divergence():
    model, x = full(), pictures(20)
    bounds = [np.mean([model.iwae(x, k, rng=np.random.default_rng(s)).mean() for s in range(20)]) for k in (1, 8, 100)]
    assert bounds[0] < bounds[1] < bounds[2]
    terms = model.elbo(x, rng=np.random.default_rng(3))
    np.testing.assert_allclose(terms.elbo.data, terms.log_likelihood.data - terms.kl.data)
    model.beta = 3.0
    np.testing.assert_allclose(model.loss(x, rng=np.random.default_rng(3)).data,
                               3 * terms.kl.data - terms.log_likelihood.data)


def test_an_encoder_of_the_wrong_size_is_told():
    rng = np.random.default_rng(0)
    _, decoder, likelihood = networks(rng)
    model = FlowVAE(nn.Linear(10, 2 * LATENT, rng=rng), decoder, likelihood, LATENT, context=3)
    with pytest.raises(ShapeError, match=r"returned \(6, 8\); expected \(B, 11\): means, log-variances and 3 numbers"):
        model.elbo(pictures().astype(np.float32), rng=rng)
