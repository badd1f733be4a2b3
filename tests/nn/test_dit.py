"""The diffusion transformer: patches, shut gates, what reaches what, gradients."""

import numpy as np
import pytest

from minigen import Tensor
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.nn.dit import DiT, DiTBlock, image, patches


def shaken(net, rng):
    net = net.to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.2 * rng.normal(size=tensor.shape))
    return net


def test_patches_and_back():
    x = np.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)
    tokens = patches(Tensor(x), 4)
    assert tokens.shape == (2, 4, 48)
    np.testing.assert_array_equal(tokens.data[1, 2].reshape(3, 4, 4), x[1, :, 4:, :4])  # row by row
    np.testing.assert_array_equal(image(tokens, 3, 4).data, x)


def test_it_begins_at_zero_and_its_blocks_as_the_identity():
    rng = np.random.default_rng(0)
    net = DiT(1, 2, size=8, patch=2, width=16, depth=2, heads=2, rng=rng)
    y = net(Tensor(rng.normal(size=(2, 1, 8, 8)).astype(np.float32)), np.ones(2, np.float32))
    assert y.shape == (2, 2, 8, 8) and np.all(y.data == 0) and y.dtype == np.float32
    x, told = Tensor(rng.normal(size=(2, 5, 16))), Tensor(rng.normal(size=(2, 16)))
    np.testing.assert_array_equal(DiTBlock(16, 4, rng=rng).to(np.float64)(x, told).data, x.data)


def test_gradients_against_differences():
    rng = np.random.default_rng(1)
    net = shaken(DiT(1, 1, size=4, patch=2, width=8, depth=2, heads=2, classes=2, rng=rng), rng)
    gradcheck(lambda x: net(x, np.array([3.0, 700.0]), np.array([0, 2])), rng.normal(size=(2, 1, 4, 4)),
              parameters=dict(net.named_parameters()))  # fmt: skip


def test_places_matter_and_time_and_class_reach_the_output():
    rng = np.random.default_rng(2)
    net = shaken(DiT(1, 1, size=4, patch=2, width=8, depth=1, heads=2, classes=3, rng=rng), rng)
    x = rng.normal(size=(1, 1, 4, 4))
    swapped = np.concatenate([x[:, :, :, 2:], x[:, :, :, :2]], axis=3)
    one, other = (net(Tensor(image), np.ones(1)).data for image in (x, swapped))
    assert np.abs(one[..., :2] - other[..., 2:]).max() > 1e-3  # the same patches, otherwise placed
    assert np.abs(net(Tensor(x), np.full(1, 9.0)).data - one).max() > 1e-3
    assert np.abs(net(Tensor(x), np.ones(1), np.array([0])).data - one).max() > 1e-3
    np.testing.assert_allclose(net(Tensor(x), np.ones(1), np.array([3])).data, one)


def test_what_does_not_fit_is_refused():
    for settings in ({"size": 9, "patch": 2}, {"size": 8, "width": 30, "heads": 4}):
        with pytest.raises(ShapeError, match="DiT: size"):
            DiT(1, 1, rng=np.random.default_rng(0), **settings)
    with pytest.raises(ShapeError, match=r"x \(1, 1, 4, 8\); expected \(B, C, 8, 8\)"):
        DiT(1, 1, size=8, width=8, heads=2, rng=np.random.default_rng(0))(Tensor(np.zeros((1, 1, 4, 8))), np.ones(1))
