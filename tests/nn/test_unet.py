"""The U-Net: shapes, its beginning at zero, what reaches what, and its gradients."""

import numpy as np
import pytest

from minigen import Tensor, autograd, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.nn.unet import ResidualBlock, SpatialAttention, UNet, folded, groups_for, unfolded


def shaken(net, rng):
    """In double precision, with no parameter left at its special value."""
    net = net.to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.2 * rng.normal(size=tensor.shape))
    return net


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (1, 3, 32, 32), (3, 2, 8, 8), (1, 1, 7, 13)])
def test_pictures_of_any_size_come_out_at_that_size_and_first_as_zeros(shape):
    rng = np.random.default_rng(0)
    net = UNet(shape[1], 2 * shape[1], width=8, multiples=(1, 2, 2), rng=rng)
    y = net(Tensor(rng.standard_normal(shape).astype(np.float32)), np.ones(shape[0], np.float32))
    assert y.shape == (shape[0], 2 * shape[1], *shape[2:]) and y.dtype == np.float32
    assert np.all(y.data == 0)


@pytest.mark.parametrize("settings", [
    {"multiples": (1, 2), "attention": (1,), "blocks": 1},
    {"multiples": (1,), "attention": (0,), "blocks": 2, "classes": 2},
    {"multiples": (1, 1), "attention": (), "shift_only": True},
    {"multiples": (1, 1), "attention": (), "patch": 2},
], ids=str)  # fmt: skip
def test_gradients_against_differences(settings):
    rng = np.random.default_rng(1)
    net = shaken(UNet(1, 1, width=4, heads=2, rng=rng, **settings), rng)
    labels = np.array([0, 2]) if settings.get("classes") else None
    t = np.array([3.0, 700.0])
    x = rng.normal(size=(2, 1, *((4, 6) if "patch" in settings else (3, 4))))
    gradcheck(lambda x: net(x, t, labels), x, parameters=dict(net.named_parameters()))


def test_a_block_begins_as_the_identity_and_attention_too():
    rng = np.random.default_rng(2)
    x, told = Tensor(rng.normal(size=(2, 8, 5, 5))), Tensor(rng.normal(size=(2, 6)))
    np.testing.assert_array_equal(ResidualBlock(8, 8, 6, rng=rng).to(np.float64)(x, told).data, x.data)
    np.testing.assert_array_equal(SpatialAttention(8, 4, rng=rng).to(np.float64)(x).data, x.data)


def test_every_pixel_sees_every_other_only_through_depth_or_attention():
    """A network of one size sees a few pixels around; halving it twice, or attention, it sees all."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1, 1, 33, 33))

    def seen(**settings):
        net = shaken(UNet(1, 1, width=4, rng=rng, **settings), rng)
        for module in net.modules():  # norms join all pixels: take their statistics away
            if hasattr(module, "num_groups"):
                module.forward = _plain
        leaf = Tensor(x, requires_grad=True)
        (slope,) = autograd.grad(net(leaf, np.ones(1))[0, 0, 16, 16], leaf)
        return np.abs(slope.data[0, 0]) > 0

    narrow = seen(multiples=(1,), attention=())
    rows = np.flatnonzero(narrow.any(1))
    assert rows.min() == 16 - 12 and rows.max() == 16 + 12  # twelve filters of 3×3: two a block, first and last
    assert not narrow.all() and seen(multiples=(1,), attention=(0,)).all()
    assert seen(multiples=(1, 1, 1), attention=()).all()


def _plain(x, activation=None):
    return ops.silu(x) if activation == "silu" else x


def test_time_and_class_reach_the_output():
    rng = np.random.default_rng(4)
    net = shaken(UNet(1, 1, width=8, multiples=(1, 2), attention=(1,), classes=3, rng=rng), rng)
    x = Tensor(np.tile(rng.normal(size=(1, 1, 8, 8)), (4, 1, 1, 1)))
    y = net(x, np.array([1.0, 1.0, 500.0, 1.0]), np.array([0, 1, 0, 3])).data
    assert min(np.abs(y[0] - y[i]).max() for i in (1, 2, 3)) > 1e-3
    np.testing.assert_allclose(net(x, np.ones(4)).data[0], y[3], rtol=1e-9)  # no labels: no class


def test_each_picture_is_on_its_own():
    rng = np.random.default_rng(5)
    net = shaken(UNet(1, 1, width=8, multiples=(1, 2), attention=(1,), rng=rng), rng)
    x, t = rng.normal(size=(3, 1, 9, 9)), np.array([1.0, 30.0, 900.0])
    together = net(Tensor(x), t).data
    for i in range(3):
        np.testing.assert_allclose(net(Tensor(x[i : i + 1]), t[i : i + 1]).data[0], together[i], rtol=1e-9, atol=1e-12)


def test_sizes_run_from_a_tenth_to_three_million():
    rng = np.random.default_rng(6)
    assert UNet(1, 1, width=12, multiples=(1, 2), attention=(), rng=rng).num_parameters() < 110_000
    assert UNet(1, 1, width=52, multiples=(1, 2, 2), rng=rng).num_parameters() > 3_000_000
    assert [groups_for(c) for c in (4, 8, 12, 32)] == [4, 8, 4, 8]


def test_the_middle_is_doubled_only_as_often_as_it_was_halved():
    with pytest.raises(ShapeError, match="of at least 4 pixels a side, for it is halved 2 times"):
        UNet(1, 1, width=4, rng=np.random.default_rng(0))(Tensor(np.zeros((1, 1, 3, 8))), np.ones(1))


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_folding_puts_the_pixels_of_a_square_into_one_place(patch):
    x = np.arange(2 * 2 * 6 * 12.0).reshape(2, 2, 6, 12)
    y = folded(Tensor(x), patch).data
    assert y.shape == (2, 2 * patch**2, 6 // patch, 12 // patch)
    for i, j in np.ndindex(patch, patch):
        np.testing.assert_array_equal(y[:, 1 * patch**2 + patch * i + j], x[:, 1, i::patch, j::patch])
    np.testing.assert_array_equal(unfolded(Tensor(y), patch).data, x)


def test_patches_that_do_not_fit_are_refused():
    net = UNet(1, 1, width=8, multiples=(1, 2), patch=2, rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match="patches of 2"):
        net(Tensor(np.zeros((1, 1, 7, 8), np.float32)), np.ones(1, np.float32))
