"""Glow with classes against truths: class Gaussians, Jacobians, masses that are 1, and what the noise must cost."""

import numpy as np
import pytest
from scipy.stats import norm

from minigen import ops
from minigen.autograd import Tensor
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.models.bijections import Chain, Flow, standard_normal
from minigen.models.class_glow import ClassBase, ThinNet, bell_noise, class_glow
from minigen.models.dequantisation import Dequantised, Logit
from minigen.models.glow import FactorOut, InvertibleConv, Squeeze
from minigen.models.realnvp import Affine, Coupling, VectorNet
from minigen.models.score import jacobian

CLASSES = 3


def bent(module, rng, by=0.2):
    """The same, with weights far from a fresh one's, in float64 and evaluation mode."""
    module.to(np.float64).eval()
    for tensor in module.parameters():
        tensor.overwrite(tensor.data + by * rng.normal(size=tensor.shape))
    return module


def one_hot(*labels):
    return np.eye(CLASSES)[list(labels)]


def small(side=4, seed=0, by=0.15):
    rng = np.random.default_rng(seed)
    return bent(class_glow(side, CLASSES, fine=(1, 5), coarse=(1, 5), whole=(2, 7), rng=rng), rng, by), rng


def test_the_base_gives_each_class_a_gaussian_of_its_own():
    """(13.32): log p(h|c) is that of N(m_c, e^{−2 a_c}), and draws have these moments."""
    rng = np.random.default_rng(0)
    base = bent(ClassBase(CLASSES, 4, bound=1.5), rng, 0.8)
    flow, h = Flow(base, standard_normal(4)), rng.normal(size=(5, 4))
    labels = [0, 2, 1, 1, 2]
    a = 1.5 * np.tanh(base.slope.data / 1.5)
    expected = norm.logpdf(h, base.mean.data[labels], np.exp(-a[labels])).sum(axis=1)
    np.testing.assert_allclose(flow.log_prob(h, one_hot(*labels)).data, expected, atol=1e-10)
    drawn = flow.sample(20_000, rng=rng, condition=np.tile(one_hot(2), (20_000, 1)))
    np.testing.assert_allclose(drawn.mean(axis=0), base.mean.data[2], atol=5 * np.exp(-a[2]).max() / np.sqrt(20_000))
    np.testing.assert_allclose(drawn.std(axis=0), np.exp(-a[2]), rtol=0.03)


def test_temperature_scales_the_bases_deviation():
    flow, _ = small()
    told = one_hot(0, 1, 2, 1)
    cool, warm = (flow.sample(4, rng=np.random.default_rng(1), condition=told, temperature=t) for t in (0.5, 1.0))
    np.testing.assert_allclose(flow.encode(cool, told), 0.5 * flow.encode(warm, told), atol=1e-8)
    drawn, _ = flow.rsample(4, rng=np.random.default_rng(1), condition=Tensor(told))
    np.testing.assert_allclose(drawn.data, warm, atol=1e-10)


@pytest.mark.parametrize("side", [4, 8])
def test_it_inverts_and_its_log_determinant_is_that_of_its_jacobian(side):
    flow, rng = small(side)
    x, told = Tensor(rng.normal(size=(3, 1, side, side))), Tensor(one_hot(2, 0, 1))
    z, log_det = flow.bijection(x, told)
    again, opposite = flow.bijection.inverse(z, told)
    np.testing.assert_allclose(again.data, x.data, atol=1e-9)
    np.testing.assert_allclose(opposite.data, -log_det.data, atol=1e-9)
    flat = Tensor(x.data.reshape(3, -1))
    matrices = jacobian(lambda y: flow.bijection(ops.reshape(y, x.shape), told)[0], flat)
    np.testing.assert_allclose(log_det.data, np.linalg.slogdet(matrices)[1], atol=1e-8)


def test_gradients_are_right():
    flow, rng = small()
    x, told = rng.normal(size=(2, 1, 4, 4)), Tensor(one_hot(1, 2))
    gradcheck(lambda x: flow.log_prob(x, told), x, parameters=dict(flow.named_parameters()), rtol=3e-6)


def test_it_is_a_multi_scale_glow():
    """All that (13.17) to (13.22) name is in the chain, and half of the numbers leave after the first level."""
    flow, _ = small(8)
    kinds = [type(step) for step in flow.bijection.steps]
    assert kinds.count(FactorOut) == 1 and kinds[-2:] == [FactorOut, ClassBase]
    parts = list(flow.bijection.modules())
    assert sum(isinstance(part, Squeeze) for part in parts) == 2
    assert sum(isinstance(part, InvertibleConv) for part in parts) == 1 + 1 + 2
    networks = [part.network for part in parts if isinstance(part, Coupling)]
    assert [type(network) for network in networks] == [ThinNet] * 3 + [VectorNet] * 2
    rng = np.random.default_rng(0)
    x, told = rng.normal(size=(1, 1, 8, 8)), one_hot(0)
    level = flow.bijection.steps[-2]
    assert level.stays == 2 and level.shape == (4, 4, 4)
    z = flow.encode(x, told)
    assert z.shape == (1, 64)


def test_a_fresh_one_is_the_base_whatever_the_class():
    flow = class_glow(8, CLASSES, fine=(1, 5), coarse=(1, 5), whole=(1, 7), rng=np.random.default_rng(0))
    flow.to(np.float64).eval()
    x = np.random.default_rng(1).normal(size=(3, 1, 8, 8))
    expected = norm.logpdf(x).sum(axis=(1, 2, 3))
    for label in range(CLASSES):
        np.testing.assert_allclose(flow.log_prob(x, one_hot(label, label, label)).data, expected, atol=1e-4)


def test_every_network_hears_the_class_and_knows_its_place():
    rng = np.random.default_rng(0)
    mask = np.zeros((2, 4, 4), dtype=bool)
    mask[0] = True
    network = bent(ThinNet(mask, Affine(), width=6, condition=CLASSES, rng=rng), rng)
    blank = Tensor(np.zeros((2, 2, 4, 4)))
    said = network(blank, Tensor(one_hot(0, 1))).data
    assert said.shape == (2, 16, 2) and np.abs(said[0] - said[1]).min() > 1e-6
    inner = said[0].reshape(4, 4, 2)[1:-1, 1:-1]
    assert np.abs(inner - inner[0, 0]).max() > 1e-3  # a blank picture looks the same everywhere inside
    x = rng.normal(size=(1, 2, 4, 4))
    other = x.copy()
    other[:, 1] += 1
    seen = [network(Tensor(part * mask), Tensor(one_hot(0))).data for part in (x, other)]
    np.testing.assert_array_equal(*seen)


def test_the_noise_is_a_density_on_the_bin_and_nearly_a_bell():
    """Its mass is 1; against the best Gaussian it loses less than uniform noise does, ½ log(2πe/12)."""
    noise = bell_noise(1).to(np.float64).eval()
    u = np.linspace(0, 1, 20_001)[1:-1]
    log_q = noise.flow.log_prob(Tensor(u[:, None, None, None]), Tensor(np.zeros((len(u), 1, 1, 1)))).data
    mass = np.exp(log_q) * (u[1] - u[0])
    assert mass.sum() == pytest.approx(1, abs=1e-4)
    deviation = np.sqrt(mass @ (u - 0.5) ** 2)
    loss = mass @ (log_q - norm.logpdf(u, 0.5, deviation))
    assert loss < 0.05 < 0.5 * np.log(2 * np.pi * np.e / 12)
    drawn, log_drawn = noise.rsample(Tensor(np.full((4000, 1, 1, 1), 7.0)), rng=np.random.default_rng(0))
    assert 0 < drawn.data.min() and drawn.data.max() < 1
    assert drawn.data.std() == pytest.approx(deviation, rel=0.05)
    np.testing.assert_allclose(log_drawn.data, np.interp(drawn.data.ravel(), u, log_q), atol=1e-2)


def test_probabilities_of_all_pictures_of_a_class_sum_to_one_and_the_bound_keeps_below():
    """Two pixels of three levels: (13.30) with many draws inside is log P(x|c), and Σ_x P(x|c) = 1 for each c."""
    rng = np.random.default_rng(3)
    flow = Flow(Chain(Logit(3.0), bent(ClassBase(CLASSES, 2), rng, 0.3)), standard_normal(2))
    model = Dequantised(flow, high=2)
    pictures = np.stack(np.meshgrid(np.arange(3), np.arange(3)), -1).reshape(-1, 2)
    totals = []
    for label in range(CLASSES):
        told = np.tile(one_hot(label), (9, 1))
        tight = model.bound(pictures, told, rng=np.random.default_rng(0), draws=1, inside=4000)
        loose = model.bound(pictures, told, rng=np.random.default_rng(0), draws=400)
        assert np.all(loose < tight + 0.05)
        totals.append(np.exp(tight).sum())
    np.testing.assert_allclose(totals, 1, atol=0.03)
    loss = model.loss(pictures, told, rng=np.random.default_rng(1)).data
    np.testing.assert_allclose(loss, -model.terms(pictures, told, rng=np.random.default_rng(1)).data)


def test_what_is_asked_for_is_drawn():
    """Classes whose Gaussians lie on different levels: samples are on the level asked for."""
    base = ClassBase(CLASSES, 4, bound=6.0).to(np.float64)
    base.mean.overwrite(np.repeat([[0.5], [4.5], [8.5]], 4, axis=1))
    base.slope.overwrite(np.full((CLASSES, 4), 20.0))  # a deviation of e⁻⁶
    model = Dequantised(Flow(base, standard_normal(4)), high=8)
    told = one_hot(2, 0, 1)
    drawn = model.sample(3, told, rng=np.random.default_rng(0), temperature=0.7)
    np.testing.assert_array_equal(drawn, [[8] * 4, [0] * 4, [4] * 4])


MISTAKES = {
    "a side that cannot be halved twice": (lambda: class_glow(6, 2, rng=np.random.default_rng(0)), "a side of 6"),
    "no class": (lambda: ClassBase(3, 4)(Tensor(np.zeros((2, 4)))), r"\(2, 4\) with a condition None"),
    "another number of classes": (lambda: ClassBase(3, 4)(Tensor(np.zeros((2, 4))), Tensor(np.zeros((2, 2)))),
                                  r"condition \(2, 2\); expected \(B, 4\) and \(B, 3\)"),
    "another length": (lambda: ClassBase(3, 4)(Tensor(np.zeros((2, 5))), Tensor(np.zeros((2, 3)))), r"\(2, 5\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name):
    mistake, message = MISTAKES[name]
    with pytest.raises(ShapeError, match=message):
        mistake()
