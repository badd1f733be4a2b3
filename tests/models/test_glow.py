"""Glow's parts against truths: ActNorm's first step, the matrix of the 1×1 convolution, where the pixels go."""

import numpy as np
import pytest
from scipy import stats

from minigen.autograd import Tensor
from minigen.errors import ShapeError
from minigen.models.bijections import Chain, Flip, Flow, Reshape, standard_normal
from minigen.models.glow import ActNorm, FactorOut, InvertibleConv, Squeeze, glow
from minigen.models.realnvp import Coupling
from minigen.models.splines import RationalQuadratic


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, size=shape)


@pytest.mark.parametrize("shape", [(50, 3), (5, 3, 4, 7)])
def test_actnorm_gives_the_first_batch_mean_0_and_deviation_1(shape):
    norm, x = ActNorm(3).to(np.float64), numbers(*shape)
    x[:, 1] *= 10
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    z, log_det = norm(Tensor(x))
    np.testing.assert_allclose(z.data.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(z.data.std(axes), 1, rtol=1e-5)
    places = np.prod(shape[2:], dtype=int)
    np.testing.assert_allclose(log_det.data, -places * np.log(x.std(axes)).sum(), rtol=1e-5)


def test_only_the_first_batch_in_training_sets_it_and_a_copy_remembers():
    norm, x = ActNorm(3), Tensor(numbers(20, 3).astype(np.float32))
    np.testing.assert_array_equal(norm.eval()(x)[0].data, x.data)  # evaluation sets nothing
    norm.train()(x)
    kept = norm.shift.numpy()
    norm(Tensor(2 * x.data))
    np.testing.assert_array_equal(norm.shift.data, kept)
    other = ActNorm(3)
    other.load_state_dict(norm.state_dict())
    other(Tensor(2 * x.data))
    np.testing.assert_array_equal(other.shift.data, kept)


def test_actnorm_refuses_a_batch_without_deviation_and_other_channels():
    with pytest.raises(ShapeError, match=r"\(1, 3\).*no deviation"):
        ActNorm(3)(Tensor(np.zeros((1, 3))))
    with pytest.raises(ShapeError, match=r"\(5, 2\); expected 3 channels"):
        ActNorm(3)(Tensor(np.zeros((5, 2))))


def test_a_constant_channel_is_survived():
    z, log_det = ActNorm(2)(Tensor(np.stack([np.ones(5), np.arange(5)], axis=1).astype(np.float32)))
    assert np.isfinite(z.data).all()
    np.testing.assert_allclose(log_det.data, -np.log(1e-6) - np.log(np.arange(5).std() + 1e-6), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_the_matrix_starts_as_a_rotation_and_its_determinant_is_that_of_lu(channels):
    rng = np.random.default_rng(channels)
    conv = InvertibleConv(channels, rng=rng).to(np.float64)
    matrix = conv.matrix().data
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(channels), atol=1e-6)
    for tensor in conv.parameters():
        tensor.overwrite(tensor.data + rng.normal(size=tensor.shape))
    matrix = conv.matrix().data
    x = numbers(4, channels, 3, 5)
    z, log_det = conv(Tensor(x))
    np.testing.assert_allclose(z.data, np.einsum("ij,bjhw->bihw", matrix, x), atol=1e-10)
    np.testing.assert_allclose(log_det.data, 15 * np.linalg.slogdet(matrix)[1], atol=1e-9)
    np.testing.assert_allclose(conv(Tensor(x[:, :, 0, 0]))[0].data, x[:, :, 0, 0] @ matrix.T, atol=1e-10)


def test_the_matrix_cannot_become_singular():
    conv = InvertibleConv(4, rng=np.random.default_rng(0)).to(np.float64)
    for tensor in (conv.lower, conv.upper):
        tensor.overwrite(np.zeros((4, 4)))
    conv.log_diagonal.overwrite([-9.0, 0.0, 3.0, 1.0])
    x = numbers(3, 4)
    z, log_det = conv(Tensor(x))
    np.testing.assert_allclose(log_det.data, -5)
    np.testing.assert_allclose(conv.inverse(z)[0].data, x, atol=1e-9)


def test_squeeze_makes_each_block_of_four_pixels_four_channels():
    x = np.arange(2 * 4 * 6).reshape(1, 2, 4, 6)
    z, _ = Squeeze()(Tensor(x.astype(np.float64)))
    assert z.shape == (1, 8, 2, 3)
    np.testing.assert_array_equal(z.data[0, :4, 1, 2].reshape(2, 2), x[0, 0, 2:4, 4:6])
    np.testing.assert_array_equal(z.data[0, 4:, 0, 1].reshape(2, 2), x[0, 1, 0:2, 2:4])


def test_what_is_factored_out_meets_the_base_as_it_is():
    x = numbers(2, 3, 1, 2)
    z, _ = FactorOut(Chain(Flip(), Reshape((2, 1, 2), (4,))), (3, 1, 2))(Tensor(x))
    np.testing.assert_array_equal(z.data[:, :2], x[:, 2].reshape(2, 2))  # the last channel leaves
    np.testing.assert_array_equal(z.data[:, 2:4], x[:, 1].reshape(2, 2))  # of the others, flipped, the last first


def test_a_coupling_before_channels_leave_is_a_gaussian_that_the_others_decide():
    """(13.22): log p(z₁ | h) = log N(z₁; −t e^−s, e^−2s)."""
    flow = Flow(glow((1, 4, 4), levels=2, steps=1, width=8, rng=np.random.default_rng(0)), standard_normal(16))
    last = [step for step in flow.bijection.steps if not isinstance(step, FactorOut)][0].steps
    coupling, out = list(last)[-2:]
    assert isinstance(coupling, Coupling) and isinstance(out, FactorOut)
    rng = np.random.default_rng(1)
    coupling.to(np.float64)
    for tensor in coupling.parameters():
        tensor.overwrite(tensor.data + 0.2 * rng.normal(size=tensor.shape))
    x = rng.normal(size=(3, 4, 2, 2))
    z, log_det = coupling(Tensor(x))
    kept = x * coupling.mask
    numbers = coupling.network(Tensor(kept)).data
    s, t = 2 * np.tanh(numbers[..., 0] / 2), numbers[..., 1]
    leaves = x[:, 2:].reshape(3, 8)
    expected = stats.norm(-t * np.exp(-s), np.exp(-s)).logpdf(leaves).sum(1)
    found = stats.norm.logpdf(z.data[:, 2:].reshape(3, 8)).sum(1) + log_det.data
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("settings", [{"levels": 1}, {"levels": 3}, {"board": 2, "monotone": RationalQuadratic(4)}])
def test_a_glow_learns_and_gives_pictures(settings):
    rng = np.random.default_rng(0)
    flow = Flow(glow((1, 8, 8), steps=1, width=8, rng=rng, **settings), standard_normal(64))
    loss = flow.loss(rng.normal(size=(6, 1, 8, 8)))
    loss.mean().backward()
    assert loss.shape == (6,) and flow.sample(2, rng=rng).shape == (2, 1, 8, 8)
    assert all(tensor.grad is not None for tensor in flow.parameters())


@pytest.mark.parametrize("make, message", [
    (lambda rng: glow((1, 6, 8), levels=2, rng=rng), r"\(1, 6, 8\), 2 levels"),
    (lambda rng: glow((8, 8), rng=rng), r"\(8, 8\)"),
    (lambda rng: Squeeze()(Tensor(np.zeros((1, 1, 3, 4)))), "even H and W"),
    (lambda rng: Squeeze().inverse(Tensor(np.zeros((1, 6, 3, 4)))), "4C"),
    (lambda rng: FactorOut(Flip(), (1, 4, 4)), "at least two channels"),
    (lambda rng: FactorOut(Flip(), (2, 4, 4))(Tensor(np.zeros((1, 2, 4, 5)))), r"\(1, 2, 4, 5\)"),
    (lambda rng: FactorOut(Flip(), (2, 4, 4)).inverse(Tensor(np.zeros((1, 31)))), r"\(1, 31\); expected \(B, 32\)"),
    (lambda rng: InvertibleConv(3, rng=rng)(Tensor(np.zeros((1, 4)))), r"\(1, 4\); expected \(B, 3\)"),
])  # fmt: skip
def test_mistakes_are_told(make, message):
    with pytest.raises(ShapeError, match=message):
        make(np.random.default_rng(0))
