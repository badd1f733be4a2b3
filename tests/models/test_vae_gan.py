"""The VAE with a discriminator's eye: its losses by hand, who learns from what, and that it learns."""

import numpy as np
import pytest

from minigen import Tensor, autograd, nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import MinigenError, ShapeError
from minigen.models.gan import OBJECTIVES
from minigen.models.gan_networks import dcgan_discriminator, dcgan_features, dcgan_generator, mlp
from minigen.models.vae_gan import VAEGAN
from minigen.optim import Adam


def small(dtype=np.float64, seed=0, **settings):
    """Three perceptrons: points of the plane, codes of two numbers, five features."""
    rng = np.random.default_rng(seed)
    eye = nn.Sequential(nn.Linear(2, 6, rng=rng), nn.Tanh(), nn.Linear(6, 5, rng=rng), nn.Tanh())
    encoder = nn.Sequential(nn.Linear(2, 6, rng=rng), nn.Tanh(), nn.Linear(6, 4, rng=rng))
    generator = nn.Sequential(nn.Linear(2, 6, rng=rng), nn.Tanh(), nn.Linear(6, 2, rng=rng))
    discriminator = nn.Sequential(eye, nn.Linear(5, 1, rng=rng))
    return VAEGAN(encoder, generator, discriminator, latent=2, **settings).to(dtype)


def points(n=6, seed=1):
    return Tensor(np.random.default_rng(seed).normal(size=(n, 2)))


def rng():
    """The same noise every time."""
    return np.random.default_rng(3)


@pytest.mark.parametrize("objective", ["non-saturating", "relativistic"])
def test_the_losses_by_hand(objective):
    model, x = small(objective=objective, gamma=0.3, spread=0.7, r1=2.0), points()
    noise = rng()
    mean, log_var = (part.data for part in model.encode(x))
    z = mean + np.exp(0.5 * log_var) * noise.standard_normal((6, 2), dtype=np.float32)
    z0 = noise.standard_normal((6, 2), dtype=np.float32).astype(np.float64)
    copy, forgery = (model.generator(Tensor(code)) for code in (z, z0))
    phi, phi_copy = model.features(x).data, model.features(copy).data
    error = ((phi - phi_copy) ** 2).sum(axis=1) / (2 * 0.7**2)  # (8.26)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(axis=1)
    t, t_copy, t_forgery = (ops.reshape(model.discriminator(part), (-1,)) for part in (x, copy, forgery))
    of_d, of_g = OBJECTIVES[objective]

    found = model.losses(x, rng=rng())
    np.testing.assert_allclose(found.error.data, error, rtol=1e-6)
    np.testing.assert_allclose(found.kl.data, kl, rtol=1e-6)
    np.testing.assert_allclose(found.encoder.data, kl + error, rtol=1e-6)  # (8.27)
    played = 0.5 * (of_g(t, t_copy) + of_g(t, t_forgery)).data
    np.testing.assert_allclose(found.generator.data, 0.3 * error + played, rtol=1e-6)  # (8.28)

    leaf = Tensor(x.data, requires_grad=True)
    (slope,) = autograd.grad(ops.sum(model.discriminator(leaf)), leaf)
    expected = 0.5 * (of_d(t, t_copy) + of_d(t, t_forgery)).data + 0.5 * 2.0 * (slope.data**2).sum(axis=1)  # (8.29)
    np.testing.assert_allclose(model.discriminator_loss(x, rng=rng()).data, expected, rtol=1e-6)


@pytest.mark.parametrize("which", ["encoder", "generator"])
def test_each_gradient_against_finite_differences(which):
    model, x = small(gamma=0.3), points()
    network = getattr(model, which)
    gradcheck(lambda: getattr(model.losses(x, rng=rng()), which), [], parameters=dict(network.named_parameters()))


def test_the_discriminators_gradient_with_its_penalty_against_finite_differences():
    model, x = small(r1=2.0, objective="relativistic"), points()
    # The last bias cancels in a relativistic game, and no slope depends on it.
    weights = {path: weight for path, weight in model.discriminator.named_parameters() if path != "1.bias"}
    gradcheck(lambda: model.discriminator_loss(x, rng=rng()), [], parameters=weights)


def test_the_discriminator_learns_nothing_from_the_error_and_moves_nobody_else():
    model, x = small(), points()
    before = [slope.data for slope in slopes(model.discriminator_loss(x, rng=rng()), model.discriminator)]
    model.gamma, model.spread = 50.0, 0.01  # what (8.26) is worth makes no difference to it
    after = [slope.data for slope in slopes(model.discriminator_loss(x, rng=rng()), model.discriminator)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)) and any(a.any() for a in after)
    for network in (model.encoder, model.generator):
        for weight in network.parameters():
            found = autograd.grad(model.discriminator_loss(x, rng=rng()).mean(), weight, allow_unused=True)
            assert found == (None,)


def test_the_encoder_learns_nothing_from_the_game():
    model, x = small(), points()
    here = [slope.data for slope in slopes(model.losses(x, rng=rng()).encoder, model.encoder)]
    model.objective = "wasserstein"
    head = model.discriminator[1]
    head.weight.overwrite(-3 * head.weight.data)  # another verdict, the same features
    there = [slope.data for slope in slopes(model.losses(x, rng=rng()).encoder, model.encoder)]
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True)) and any(a.any() for a in here)
    # The graph of L_G does lead to the encoder, so a step must take each gradient in its own network only.
    assert any(slope.data.any() for slope in slopes(model.losses(x, rng=rng()).generator, model.encoder))


def test_gamma_weighs_likeness_against_the_game():
    model, x = small(gamma=0.0), points()
    game = [slope.data for slope in slopes(model.losses(x, rng=rng()).generator, model.generator)]
    error = [slope.data for slope in slopes(model.losses(x, rng=rng()).error, model.generator)]
    model.gamma = 0.4
    both = [slope.data for slope in slopes(model.losses(x, rng=rng()).generator, model.generator)]
    for a, b, c in zip(game, error, both, strict=True):
        np.testing.assert_allclose(c, a + 0.4 * b, atol=1e-12)


def test_pictures_go_there_and_back():
    source = np.random.default_rng(2)
    encoder = nn.Sequential(dcgan_features(width=2, size=8, rng=source), nn.Linear(32, 6, rng=source))
    model = VAEGAN(encoder, dcgan_generator(3, width=2, size=8, rng=source),
                   dcgan_discriminator(width=2, size=8, rng=source), latent=3, r1=1.0)  # fmt: skip
    x = source.uniform(-1, 1, (5, 1, 8, 8)).astype(np.float32)
    assert all(part.shape == (5,) and part.dtype == np.float32 for part in model.losses(x, rng=source))
    assert model.discriminator_loss(x, rng=source).shape == (5,)
    assert model.sample(7, rng=source).shape == (7, 1, 8, 8) and model.reconstruct(x).shape == x.shape
    assert model.generator.training  # it draws in evaluation mode, and goes back


def test_it_learns_a_gaussian_and_finds_codes_for_it():
    source = np.random.default_rng(0)
    eye = mlp(1, 16, width=32, depth=1, rng=source)
    model = VAEGAN(mlp(1, 2, width=16, depth=1, rng=source), mlp(1, 1, width=16, depth=1, rng=source),
                   nn.Sequential(eye, nn.Linear(16, 1, rng=source)), latent=1, objective="relativistic", gamma=0.1,
                   spread=0.2, r1=0.1)  # fmt: skip
    players = {name: Adam(getattr(model, name).parameters(), lr=3e-3, betas=(0.0, 0.99))
               for name in ("discriminator", "encoder", "generator")}  # fmt: skip
    for _ in range(500):
        x = 2 + 0.5 * source.standard_normal((64, 1), dtype=np.float32)
        told = model.discriminator_loss(x, rng=source)
        move(players["discriminator"], model.discriminator, told)
        losses = model.losses(x, rng=source)
        found = {name: slopes(getattr(losses, name), getattr(model, name)) for name in ("encoder", "generator")}
        for name, gradients in found.items():
            put(players[name], getattr(model, name), gradients)
    samples, x = model.sample(2000, rng=source), 2 + 0.5 * source.standard_normal((500, 1), dtype=np.float32)
    assert samples.mean() == pytest.approx(2, abs=0.15) and samples.std() == pytest.approx(0.5, abs=0.2)
    assert np.corrcoef(model.reconstruct(x)[:, 0], x[:, 0])[0, 1] > 0.9


def test_what_is_refused():
    with pytest.raises(MinigenError, match="'cross-entropy'.*relativistic"):
        small(objective="cross-entropy")
    for wrong in ({"gamma": -1.0}, {"spread": 0.0}, {"r1": -0.1}):
        with pytest.raises(MinigenError, match="VAEGAN: gamma="):
            small(**wrong)
    model = small()
    with pytest.raises(MinigenError, match="discriminator is a Linear; expected a Sequential of two"):
        VAEGAN(model.encoder, model.generator, nn.Linear(2, 1, rng=rng()), latent=2)
    with pytest.raises(ShapeError, match=r"the encoder returned \(6, 2\); expected \(B, 4\)"):
        VAEGAN(model.generator, model.generator, model.discriminator, latent=2).encode(points())


def slopes(losses, network):
    """The gradient of a mean loss in a network's parameters, None where there is none."""
    return autograd.grad(losses.mean(), list(network.parameters()))


def put(optimizer, network, gradients):
    for weight, slope in zip(network.parameters(), gradients, strict=True):
        weight.grad = slope
    optimizer.step()


def move(optimizer, network, losses):
    put(optimizer, network, slopes(losses, network))
