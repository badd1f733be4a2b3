"""The games against truths: the optimal discriminator, closed forms of the penalties, finite differences."""

import numpy as np
import pytest

from minigen import Tensor, autograd, nn, ops
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.errors import MinigenError, ShapeError
from minigen.models.gan import GAN, OBJECTIVES, gradient_penalty, squared_slope
from minigen.models.gan_networks import Projection, dcgan_discriminator, dcgan_features, mlp
from minigen.optim import Adam


class Linear(nn.Module):
    """t(x) = w·x + b, of which everything is known."""

    def __init__(self, w, bias=0.0):
        self.w, self.b = nn.parameter(w), nn.parameter([bias])

    def forward(self, x):
        return ops.reshape(x, (len(x), -1)) @ self.w + self.b


def small(objective="non-saturating", dtype=np.float64, seed=0, **settings):
    rng = np.random.default_rng(seed)
    packing = settings.get("packing", 1)
    networks = mlp(3, 2, width=5, depth=1, rng=rng), mlp(2 * packing, 1, width=6, depth=2, slope=0.2, rng=rng)
    return GAN(*networks, latent=3, objective=objective, **settings).to(dtype)


def points(n=8, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(dtype)


def test_at_the_optimal_discriminator_the_game_is_worth_the_jensen_shannon_divergence():
    x = np.linspace(-12, 14, 200_001)
    p, q = (np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi)) for m, s in ((0.0, 1.0), (1.5, 0.7)))
    best = np.log(p) - np.log(q)  # (8.2)
    loss = OBJECTIVES["saturating"].discriminator

    def value(t):
        zero = Tensor(np.full_like(t, -800.0))  # softplus(−800) = 0: leaves the other term alone
        of_real, of_fake = loss(Tensor(t), zero).data, loss(-zero, Tensor(t)).data
        return -np.trapezoid(p * of_real + q * of_fake, x)

    mid = (p + q) / 2
    jsd = 0.5 * np.trapezoid(p * np.log(p / mid) + q * np.log(q / mid), x)
    assert value(best) == pytest.approx(2 * jsd - np.log(4), abs=1e-9)  # (8.3)
    for other in (0.9 * best, best + 0.1, np.tanh(best)):
        assert value(other) < value(best)


def test_the_saturating_slope_dies_where_the_other_lives():
    t = Tensor(np.array([-10.0, -1.0, 0.0, 3.0]), requires_grad=True)
    sigma = 1 / (1 + np.exp(-t.data))
    for name, slope in (("saturating", -sigma), ("non-saturating", sigma - 1)):  # (8.5), (8.6)
        (found,) = autograd.grad(ops.sum(OBJECTIVES[name].generator(None, t)), t)
        np.testing.assert_allclose(found.data, slope, atol=1e-12)


def test_every_objective_by_hand():
    real, fake = Tensor(np.array([0.5, -2.0])), Tensor(np.array([1.5, -0.25]))
    softplus = lambda u: np.log1p(np.exp(u))  # noqa: E731
    by_hand = {
        "saturating": ([softplus(-0.5) + softplus(1.5), softplus(2) + softplus(-0.25)], -softplus(fake.data)),
        "non-saturating": ([softplus(-0.5) + softplus(1.5), softplus(2) + softplus(-0.25)], softplus(-fake.data)),
        "hinge": ([0.5 + 2.5, 3.0 + 0.75], [-1.5, 0.25]),
        "least-squares": ([0.125 + 1.125, 4.5 + 0.03125], [0.125, 0.78125]),
        "wasserstein": ([1.0, 1.75], [-1.5, 0.25]),
        "relativistic": (softplus(np.array([1.0, 1.75])), softplus(np.array([-1.0, -1.75]))),
    }
    assert set(by_hand) == set(OBJECTIVES)
    for name, (of_d, of_g) in by_hand.items():
        np.testing.assert_allclose(OBJECTIVES[name].discriminator(real, fake).data, of_d, atol=1e-12)
        np.testing.assert_allclose(OBJECTIVES[name].generator(real, fake).data, of_g, atol=1e-12)


def test_penalties_of_a_linear_discriminator_are_closed_forms():
    w = np.array([3.0, -4.0])
    critic, x = Linear(w), Tensor(points(dtype=np.float32), requires_grad=True)
    np.testing.assert_allclose(squared_slope(critic(x), x).data, 25.0, rtol=1e-6)
    penalty = gradient_penalty(critic, x, Tensor(points(seed=2, dtype=np.float32)), rng=np.random.default_rng(0))
    np.testing.assert_allclose(penalty.data, 16.0, rtol=1e-6)  # (5 − 1)²
    (slope,) = autograd.grad(ops.mean(penalty), critic.w)
    np.testing.assert_allclose(slope.data, 2 * 4 * w / 5, rtol=1e-5)  # ∂(|w| − 1)²/∂w


@pytest.mark.parametrize("settings", [{"r1": 2.0}, {"r2": 3.0}, {"gp": 10.0}, {"r1": 1.0, "r2": 0.5, "packing": 2},
                                      {"gp": 1.0, "packing": 4}], ids=str)  # fmt: skip
@pytest.mark.parametrize("objective", ["non-saturating", "relativistic"])
def test_the_discriminators_gradient_with_penalties_against_finite_differences(objective, settings):
    gan, x = small(objective, **settings), points()

    def loss():
        return ops.mean(gan.discriminator_loss(x, rng=np.random.default_rng(3)))

    agree(loss, list(gan.discriminator.parameters()))
    assert all(p.grad is None for p in gan.generator.parameters())


def critics():
    """Critics in float64 and what they judge: perceptrons, with kinks and smooth, and convolutions, told and not."""
    rng = np.random.default_rng(4)
    smooth = nn.Sequential(nn.Linear(2, 6, rng=rng), nn.Tanh(), nn.Linear(6, 5, rng=rng), nn.SiLU(),
                           nn.Linear(5, 1, rng=rng))  # fmt: skip
    features = dcgan_features(width=2, size=8, rng=rng)
    told = Projection(features, 32, 3, rng=rng)
    return {
        "perceptron": (mlp(2, 1, width=6, depth=2, slope=0.2, rng=rng), (2,)),
        "smooth": (smooth, (2,)),
        "convolutions": (dcgan_discriminator(width=2, size=8, rng=rng), (1, 8, 8)),
        "packs": (dcgan_discriminator(width=2, size=8, packing=2, rng=rng), (2, 8, 8)),
        "told": (_Told(told), (1, 8, 8)),
    }


class _Told(nn.Module):
    """A discriminator that is told that its samples are of the classes 0, 1, 2, 0, …"""

    def __init__(self, network):
        self.network = network

    def forward(self, x):
        return self.network(x, np.arange(len(x)) % 3)


@pytest.mark.parametrize("penalty", ["slope", "gp"])
@pytest.mark.parametrize("name", ["perceptron", "smooth", "convolutions", "packs", "told"])
def test_the_penaltys_own_gradient_in_the_critics_weights_against_finite_differences(name, penalty):
    critic, shape = critics()[name]
    critic.to(np.float64)
    rng = np.random.default_rng(5)
    real, fake = (Tensor(rng.normal(size=(4, *shape))) for _ in range(2))

    def logits(x):
        return ops.reshape(critic(x), (-1,))

    def penalised():
        if penalty == "gp":
            return gradient_penalty(logits, real, fake, rng=np.random.default_rng(6))
        x = Tensor(real.data, requires_grad=True)
        return squared_slope(logits(x), x)

    last = list(critic.parameters())[-1]
    weights = dict(critic.named_parameters())
    slopes = dict(zip(weights, autograd.grad(ops.sum(penalised()), list(weights.values()), allow_unused=True),
                      strict=True))  # fmt: skip
    none = {path for path, slope in slopes.items() if slope is None or not np.any(slope.data)}
    # A bias moves t without changing its slope: all of them, if the network has kinks only; the last one always.
    assert none <= {path for path in weights if path.endswith("bias")} and len(none) < len(weights) / 2 + 1
    assert any(weights[path] is last for path in none) or name == "told"
    used = {path: weight for path, weight in weights.items() if slopes[path] is not None}
    gradcheck(penalised, [], parameters=used, eps=1e-5)  # a small step: at a kink of the critic the penalty jumps


@pytest.mark.parametrize("name", ["perceptron", "smooth", "convolutions", "told"])
def test_the_critics_second_derivatives_are_right(name):
    critic, shape = critics()[name]
    critic.to(np.float64)
    x = np.random.default_rng(7).normal(size=(3, *shape))
    gradgradcheck(critic, x, eps=1e-5)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("packing", [1, 2])
def test_the_generators_gradient_against_finite_differences(objective, packing):
    gan, x = small(objective, packing=packing), points()
    agree(lambda: ops.mean(gan.generator_loss(x, rng=np.random.default_rng(3))), list(gan.generator.parameters()))


def test_the_unrolled_gradient_goes_through_the_discriminators_steps():
    gan, x = small(), points()
    before = gan.discriminator.state_dict()

    def loss(steps=3):
        return ops.mean(gan.unrolled_generator_loss(x, steps=steps, rate=0.3, rng=np.random.default_rng(3)))

    agree(loss, list(gan.generator.parameters()))
    plain = ops.mean(gan.generator_loss(x, rng=np.random.default_rng(3)))
    assert loss(0).item() == pytest.approx(plain.item(), abs=1e-12)
    assert abs(loss(3).item() - plain.item()) > 1e-4
    for path, array in gan.discriminator.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def test_unrolling_is_gradient_descent_on_the_discriminator():
    gan, x = small(), points()
    rate, weights = 0.3, list(gan.discriminator.parameters())
    looked = ops.mean(gan.unrolled_generator_loss(x, steps=2, rate=rate, rng=np.random.default_rng(3))).item()
    for _ in range(2):
        slopes = autograd.grad(ops.mean(gan.discriminator_loss(x, rng=np.random.default_rng(3))), weights)
        for weight, slope in zip(weights, slopes, strict=True):
            weight.overwrite(weight.data - rate * slope.data)
    after = ops.mean(gan.generator_loss(x, rng=np.random.default_rng(3))).item()
    assert looked == pytest.approx(after, abs=1e-10)


def test_packs_are_samples_side_by_side():
    gan = GAN(Linear(np.ones(1)), Linear(np.array([1.0, 0, 0, 10.0])), latent=1, packing=2)
    x = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], dtype=np.float32)
    np.testing.assert_array_equal(gan.logits(x).data, [1 + 40, 5 + 80])  # first of one, second of the next
    pictures = np.zeros((4, 1, 3, 3), dtype=np.float32)
    assert gan._packs(Tensor(pictures)).shape == (2, 2, 3, 3)
    with pytest.raises(ShapeError, match="multiple of packing=2"):
        gan.logits(x[:3])


def test_it_learns_a_gaussian():
    rng = np.random.default_rng(0)
    gan = GAN(mlp(2, 1, width=16, depth=1, rng=rng), mlp(1, 1, width=32, depth=2, rng=rng), latent=2,
              objective="relativistic", r1=0.1, r2=0.1)  # fmt: skip
    players = [Adam(part.parameters(), lr=3e-3, betas=(0.0, 0.99)) for part in (gan.discriminator, gan.generator)]
    losses = gan.discriminator_loss, gan.generator_loss
    for _ in range(600):
        for optimizer, loss in zip(players, losses, strict=True):
            value = loss(2 + 0.5 * rng.standard_normal((128, 1), dtype=np.float32), rng=rng).mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    samples = gan.sample(4000, rng=rng)
    assert samples.mean() == pytest.approx(2, abs=0.1) and samples.std() == pytest.approx(0.5, abs=0.15)


def test_what_is_refused():
    with pytest.raises(MinigenError, match="'cross-entropy'.*relativistic"):
        small("cross-entropy")
    for wrong in ({"r1": -1.0}, {"packing": 0}, {"packing": 1.5}):
        with pytest.raises(MinigenError, match="GAN: r1="):
            GAN(Linear([1.0]), Linear([1.0]), latent=1, **wrong)
    with pytest.raises(ShapeError, match="equal shapes"):
        gradient_penalty(Linear([1.0]), Tensor(np.ones((2, 1))), Tensor(np.ones((3, 1))), rng=np.random.default_rng(0))


def agree(loss, parameters, step=1e-6, tolerance=2e-7):
    """The gradient of loss() against central differences, in each parameter along a random direction."""
    found = autograd.grad(loss(), parameters)
    rng = np.random.default_rng(5)
    for parameter, slope in zip(parameters, found, strict=True):
        direction, here = rng.normal(size=parameter.shape), parameter.data.copy()
        values = []
        for sign in (1, -1):
            parameter.overwrite(here + sign * step * direction)
            values.append(loss().item())
        parameter.overwrite(here)
        along = float((slope.data * direction).sum())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(along, abs=tolerance)
