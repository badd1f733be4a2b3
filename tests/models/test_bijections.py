"""Every bijection, in one loop: it inverts, and its log-determinant is that of its Jacobian; densities have mass 1."""

import zlib

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from minigen import ops
from minigen.autograd import Tensor, no_grad
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.distributions import Normal
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import ShapeError
from minigen.models.bijections import Bijection, Chain, Flip, Flow, Inverse, Permutation, Reshape, standard_normal
from minigen.models.class_glow import ClassBase, ThinNet, class_glow
from minigen.models.dequantisation import Logit
from minigen.models.glow import ActNorm, FactorOut, InvertibleConv, Squeeze, glow
from minigen.models.maf import iaf, maf
from minigen.models.realnvp import (
    Affine,
    Coupling,
    PictureNet,
    VectorNet,
    alternating,
    channel_halves,
    checkerboard,
    couplings,
    random_halves,
)
from minigen.models.score import jacobian
from minigen.models.splines import RationalQuadratic

SPLINE = RationalQuadratic(5, 2.5)


def vectors(masks, rng, monotone=None, **settings):
    settings = {"hidden": 12, "blocks": 1, **settings}
    return Chain(*couplings(masks, lambda mask, g: VectorNet(mask, g, rng=rng, **settings), monotone))


def pictures(masks, rng, monotone=None, **settings):
    settings = {"width": 8, "blocks": 1, **settings}
    return Chain(*couplings(masks, lambda mask, g: PictureNet(mask, g, rng=rng, **settings), monotone))


def small_glow(shape, rng, **settings):
    return glow(shape, width=8, steps=1, rng=rng, **settings)


# name: (rng → bijection, shape of an example); all sizes odd where they can be
CASES = {
    "flip": (lambda rng: Flip(), (5,)),
    "permutation": (lambda rng: Permutation(rng.permutation(5)), (5,)),
    "permuted channels": (lambda rng: Permutation([2, 0, 1]), (3, 1, 2)),
    "reshape": (lambda rng: Reshape((6,), (1, 2, 3)), (6,)),
    "logit": (lambda rng: Logit(17, 0.01), (5,)),
    "sigmoid": (lambda rng: Inverse(Logit(1.0)), (5,)),
    "actnorm": (lambda rng: ActNorm(5), (5,)),
    "actnorm of pictures": (lambda rng: ActNorm(3), (3, 2, 1)),
    "rotation": (lambda rng: InvertibleConv(5, rng=rng), (5,)),
    "1×1 convolution": (lambda rng: InvertibleConv(3, rng=rng), (3, 1, 2)),
    "squeeze": (lambda rng: Squeeze(), (1, 2, 4)),
    "coupling": (lambda rng: vectors(alternating(5, 3), rng), (5,)),
    "coupling by splines": (lambda rng: vectors(random_halves(5, 3, rng=rng), rng, SPLINE), (5,)),
    "coupling of two": (lambda rng: vectors(alternating(2, 4), rng), (2,)),
    "coupling of two by splines": (lambda rng: vectors(alternating(2, 4), rng, SPLINE), (2,)),
    "checkerboard": (lambda rng: pictures(checkerboard((1, 3, 3), 2), rng, places=True), (1, 3, 3)),
    "checkerboard by splines": (lambda rng: pictures(checkerboard((2, 1, 3), 2), rng, SPLINE), (2, 1, 3)),
    "checkerboard of two": (lambda rng: pictures(checkerboard((1, 1, 2), 4), rng), (1, 1, 2)),
    "channel halves": (lambda rng: pictures(channel_halves((3, 1, 2), 2), rng), (3, 1, 2)),
    "a picture laid flat": (lambda rng: vectors(checkerboard((1, 2, 3), 2), rng), (1, 2, 3)),
    "factor out": (lambda rng: FactorOut(Chain(Flip(), Reshape((2, 1, 2), (4,))), (3, 1, 2)), (3, 1, 2)),
    "glow of one level": (lambda rng: small_glow((1, 2, 4), rng, levels=1), (1, 2, 4)),
    "glow": (lambda rng: small_glow((1, 4, 4), rng, board=2), (1, 4, 4)),
    "glow by splines": (lambda rng: small_glow((1, 4, 4), rng, monotone=SPLINE), (1, 4, 4)),
    "maf": (lambda rng: maf(5, 3, hidden=(11, 11), rng=rng), (5,)),
    "maf by splines": (lambda rng: maf(5, 2, hidden=(11,), monotone=SPLINE, rng=rng), (5,)),
    "maf of two": (lambda rng: maf(2, 3, hidden=(12, 12), rng=rng), (2,)),
    "iaf": (lambda rng: iaf(5, 2, hidden=(11, 11), rng=rng), (5,)),
    "iaf of two by splines": (lambda rng: iaf(2, 2, hidden=(12,), monotone=SPLINE, rng=rng), (2,)),
}
LEARNT = [name for name, (make, _) in CASES.items() if list(make(np.random.default_rng(0)).parameters())]
OF_TWO = [name for name in LEARNT if np.prod(CASES[name][1]) == 2]


def fresh(name, dtype=np.float64):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    make, shape = CASES[name]
    return make(rng).to(dtype).eval(), shape, rng


def case(name, dtype=np.float64, size=6):
    """A bijection whose weights are far from a fresh one's, and points for it."""
    bijection, shape, rng = fresh(name, dtype)
    for tensor in bijection.parameters():
        tensor.overwrite(tensor.data + 0.15 * rng.normal(size=tensor.shape))
    x = rng.uniform(0.5, 16.5, (size, *shape)) if name == "logit" else 1.5 * rng.normal(size=(size, *shape))
    return bijection, Tensor(x.astype(dtype))


def test_every_bijection_of_these_files_has_a_case():
    modules = {f"minigen.models.{name}" for name in ("bijections", "realnvp", "glow", "maf", "dequantisation")}
    known = {kind for kind in Bijection.__subclasses__() if kind.__module__ in modules}
    used = {type(part) for name in CASES for part in fresh(name)[0].modules()}
    assert known and known <= used


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-9)])
@pytest.mark.parametrize("name", CASES)
def test_the_inverse_leads_back_and_its_log_determinant_is_the_opposite(name, dtype, tolerance):
    bijection, x = case(name, dtype, size=50)
    z, log_det = bijection(x)
    again, opposite = bijection.inverse(z)
    assert z.dtype == again.dtype == log_det.dtype == dtype and log_det.shape == opposite.shape == (50,)
    assert z.size == x.size and again.shape == x.shape
    scale = 17 if name == "logit" else 1
    np.testing.assert_allclose(again.data, x.data, atol=tolerance * scale, rtol=tolerance)
    np.testing.assert_allclose(opposite.data, -log_det.data, atol=tolerance * 10, rtol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_the_log_determinant_is_that_of_the_jacobian(name):
    bijection, x = case(name)
    flat = Tensor(x.data.reshape(len(x), -1))
    matrices = jacobian(lambda y: ops.reshape(bijection(ops.reshape(y, x.shape))[0], (len(x), -1)), flat)
    np.testing.assert_allclose(bijection(x)[1].data, np.linalg.slogdet(matrices)[1], atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_each_example_is_mapped_on_its_own(name):
    bijection, x = case(name)
    z, log_det = bijection(x)
    one, one_det = bijection(Tensor(x.data[2:3]))
    np.testing.assert_allclose(one.data, z.data[2:3], atol=1e-12)
    np.testing.assert_allclose(one_det.data, log_det.data[2:3], atol=1e-12)


@pytest.mark.parametrize("name", LEARNT)
def test_a_fresh_one_of_a_network_is_the_identity_up_to_order_and_rotation(name):
    """So that a deep flow begins as the base, not as noise."""
    bijection, shape, rng = fresh(name)
    x = rng.normal(size=(4, *shape))
    z, log_det = bijection(Tensor(x))
    np.testing.assert_allclose((z.data**2).reshape(4, -1).sum(1), (x**2).reshape(4, -1).sum(1), rtol=1e-5)
    np.testing.assert_allclose(log_det.data, 0, atol=1e-5)


@pytest.mark.parametrize("name", LEARNT)
def test_gradients_of_the_likelihood_and_of_samples_are_right(name):
    bijection, x = case(name, size=3)
    parameters = dict(bijection.named_parameters())
    gradcheck(lambda x: bijection(x), x.data, parameters=parameters)
    z = bijection(x)[0].data.copy()
    gradcheck(lambda z: bijection.inverse(z), z, parameters=parameters, rtol=3e-6)


@pytest.mark.parametrize("name", ["coupling", "coupling by splines", "1×1 convolution", "maf"])
def test_second_derivatives_are_right(name):
    bijection, x = case(name, size=3)
    gradgradcheck(lambda x: bijection(x), x.data, parameters=dict(bijection.named_parameters()), rtol=1e-5)


@pytest.mark.parametrize("name", OF_TWO)
def test_a_density_in_the_plane_has_mass_one_and_samples_follow_it(name):
    bijection, _ = case(name)
    shape = CASES[name][1]
    flow = Flow(bijection, standard_normal(*bijection(Tensor(np.zeros((1, *shape))))[0].shape[1:]))
    drawn = flow.sample(20_000, rng=np.random.default_rng(0)).reshape(-1, 2)
    low, high = drawn.min(0) - 4 * drawn.std(0), drawn.max(0) + 4 * drawn.std(0)
    sides = [np.linspace(*ends, 300) for ends in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, *shape)
    cell = np.prod((high - low) / 299)
    with no_grad():
        log_prob = np.concatenate([flow.log_prob(part).data for part in np.array_split(points, 9)])
        of_drawn = flow.log_prob(drawn.reshape(-1, *shape)).data
    mass = np.exp(log_prob) * cell
    assert mass.sum() == pytest.approx(1, abs=2e-3)
    # −E log p two ways: over the grid and over the samples, within four standard errors.
    entropy = -(mass @ log_prob)
    assert -of_drawn.mean() == pytest.approx(entropy, abs=4 * of_drawn.std() / np.sqrt(len(drawn)) + 0.01)


CONDITIONAL = {
    "vectors": (lambda rng: vectors(alternating(5, 2), rng, condition=3), (5,), (3,)),
    "vectors by splines": (lambda rng: vectors(alternating(5, 2), rng, SPLINE, condition=3), (5,), (3,)),
    "pictures, a picture given": (lambda rng: pictures(checkerboard((1, 3, 3), 2), rng, condition=2), (1, 3, 3),
                                  (2, 3, 3)),
    "pictures, a vector given": (lambda rng: small_glow((1, 4, 4), rng, board=1, condition=3), (1, 4, 4), (3,)),
    "maf": (lambda rng: maf(5, 2, hidden=(11,), condition=3, rng=rng), (5,), (3,)),
    "iaf": (lambda rng: iaf(5, 2, hidden=(11,), condition=3, rng=rng), (5,), (3,)),
    "class base": (lambda rng: ClassBase(3, 5), (5,), (3,)),
    "class glow": (lambda rng: class_glow(4, 3, fine=(1, 5), coarse=(1, 5), whole=(1, 7), rng=rng).bijection, (1, 4, 4),
                   (3,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_condition_bends_the_map_and_the_inverse_alike(name):
    rng = np.random.default_rng(0)
    make, shape, given = CONDITIONAL[name]
    bijection = Chain(Inverse(ActNorm(shape[0])), make(rng), *([Flip()] if name != "maf" else [])).to(np.float64).eval()
    for tensor in bijection.parameters():
        tensor.overwrite(tensor.data + 0.2 * rng.normal(size=tensor.shape))
    x, condition = rng.normal(size=(4, *shape)), rng.normal(size=(4, *given))
    flow = Flow(bijection, standard_normal(*bijection(Tensor(x), Tensor(condition))[0].shape[1:]))
    z = flow.encode(x, condition)
    np.testing.assert_allclose(flow.decode(z, condition), x, atol=1e-9)
    other = condition[::-1].copy()
    assert np.abs(flow.encode(x, other) - z).max() > 0.01
    assert np.abs(flow.log_prob(x, other).data - flow.log_prob(x, condition).data).max() > 1e-3
    drawn, log_prob = flow.rsample(4, rng=rng, condition=condition)
    np.testing.assert_allclose(log_prob.data, flow.log_prob(drawn, condition).data, atol=1e-9)


# -- flows ------------------------------------------------------------------------------------------------------------


def test_a_linear_flow_is_the_gaussian_with_that_covariance():
    rng = np.random.default_rng(1)
    conv = InvertibleConv(3, rng=rng).to(np.float64)
    for tensor in conv.parameters():
        tensor.overwrite(tensor.data + 0.3 * rng.normal(size=tensor.shape))
    back = np.linalg.inv(conv.matrix().data)
    x = rng.normal(size=(7, 3))
    expected = multivariate_normal(np.zeros(3), back @ back.T).logpdf(x)
    np.testing.assert_allclose(Flow(conv, standard_normal(3)).log_prob(x).data, expected, atol=1e-10)


def test_kl_is_the_same_at_either_end():
    """(13.5): E[log p − log p_X] for Gaussian data, by quadrature, is the KL of what arrives from N(0, 1)."""
    norm = ActNorm(1).to(np.float64).eval()
    norm.log_scale.overwrite([0.7])
    norm.shift.overwrite([-0.4])
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    mean, deviation = 0.3, 1.7
    x = mean + deviation * nodes[:, None]
    ratio = -0.5 * nodes**2 - np.log(deviation * np.sqrt(2 * np.pi)) - Flow(norm, standard_normal(1)).log_prob(x).data
    arrives, width = (mean - 0.4) * np.exp(0.7), deviation * np.exp(0.7)
    assert weights @ ratio / weights.sum() == pytest.approx(0.5 * (arrives**2 + width**2 - 1) - np.log(width))


def test_a_flow_takes_other_bases_and_arrays_or_tensors():
    flow = Flow(Flip(), NoisedMixture([[0.0, 1.0]], 0.5))
    assert flow.log_prob(np.array([[1.0, 0.0]])).data[0] == pytest.approx(-np.log(2 * np.pi * 0.25), abs=1e-6)
    assert flow.sample(3, rng=np.random.default_rng(0)).shape == (3, 2)
    narrow = Flow(Flip(), Normal(np.array([0.0, 1.0]), np.array([1.0, 0.1])))
    x = np.array([[1.0, 0.0]])
    assert narrow.log_prob(x).dtype == np.float32 and narrow.log_prob(Tensor(x)).dtype == np.float64
    np.testing.assert_allclose(narrow.log_prob(Tensor(x)).data, -np.log(2 * np.pi) - np.log(0.1), rtol=1e-12)


def test_samples_are_repeatable_drop_nothing_and_leave_the_mode_as_it_was():
    rng = np.random.default_rng(0)
    flow = Flow(vectors(alternating(4, 2), rng, dropout=0.5), standard_normal(4))
    for tensor in flow.parameters():
        tensor.overwrite(tensor.data + 0.3 * rng.normal(size=tensor.shape))
    first, second = (flow.sample(5, rng=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert flow.training and all(module.training for module in flow.modules())
    assert np.abs(flow.encode(first) - flow.encode(first)).max() > 0  # training: dropout is at work


def test_gradients_flow_through_samples():
    rng = np.random.default_rng(0)
    flow = Flow(vectors(alternating(4, 2), rng), standard_normal(4))
    x, log_prob = flow.rsample(5, rng=rng)
    (log_prob - ops.sum(x * x, dim=1)).mean().backward()
    assert all(np.any(tensor.grad.data != 0) for name, tensor in flow.named_parameters() if "last" in name)


def test_an_empty_batch_passes():
    bijection, x = case("coupling by splines")
    z, log_det = bijection(Tensor(x.data[:0]))
    assert z.shape == (0, 5) and log_det.shape == (0,)


def test_what_is_not_defined_says_so():
    with pytest.raises(NotImplementedError, match="Bijection does not define forward"):
        Bijection()(Tensor(np.zeros((1, 2))))
    with pytest.raises(NotImplementedError, match="Bijection does not define inverse"):
        Chain(Bijection()).inverse(Tensor(np.zeros((1, 2))))


MISTAKES = {
    "a permutation that names a number twice": (lambda: Permutation([0, 0, 2]), "each of 0 … D − 1 once"),
    "a permutation of too few": (lambda: Permutation([1, 0])(Tensor(np.zeros((2, 3)))), r"\(2, 3\).*2 numbers"),
    "a reshape that loses numbers": (lambda: Reshape((6,), (2, 2)), "differ in size"),
    "a reshape of another shape": (lambda: Reshape((6,), (2, 3))(Tensor(np.zeros((1, 5)))), r"\(1, 5\).*\(B, 6\)"),
    "a base of another shape": (lambda: Flow(Flip(), standard_normal(3)).log_prob(np.zeros((2, 4))),
                                r"\(2, 4\).*\(3,\)"),
    "a mask of numbers": (lambda: Coupling(np.array([1, 0]), None), "of int64"),
    "a mask that keeps all": (lambda: Coupling(np.array([True, True]), None), "2 of 2 kept"),
    "an example that the mask does not fit": (lambda: case("coupling")[0](Tensor(np.zeros((2, 4)))),
                                              r"\(2, 4\) for a mask \(5,\)"),
    "a checkerboard for vectors": (lambda: checkerboard((4,), 2), r"expected \(C, H, W\)"),
    "halves of one channel": (lambda: channel_halves((1, 4, 4), 2), "at least two channels"),
    "a condition that is missing": (lambda: CONDITIONAL["vectors"][0](np.random.default_rng(0))(
        Tensor(np.zeros((2, 5)))), r"VectorNet: a condition None; expected \(2, 3\)"),
    "a condition that MAF lacks": (lambda: Flow(maf(3, 2, condition=2, rng=np.random.default_rng(0)),
                                                standard_normal(3)).log_prob(np.zeros((2, 3))),
                                   r"MaskedNet: a condition None; expected \(2, 2\)"),
    "one number for three channels": (lambda: PictureNet(np.arange(8).reshape(2, 2, 2) < 4, Affine(), condition=3,
                                                         rng=np.random.default_rng(0))(
        Tensor(np.zeros((2, 2, 2, 2))), Tensor(np.zeros((2, 1)))), r"PictureNet: a condition \(2, 1\)"),
    "letters without their class": (lambda: ThinNet(np.arange(8).reshape(2, 2, 2) < 4, Affine(), condition=3,
                                                    rng=np.random.default_rng(0))(Tensor(np.zeros((2, 2, 2, 2)))),
                                    r"ThinNet: a condition None; expected \(2, 3\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name):
    mistake, message = MISTAKES[name]
    with pytest.raises(ShapeError, match=message):
        mistake()
