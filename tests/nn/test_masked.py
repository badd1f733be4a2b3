"""Layers that may not look ahead: masks and shifts do what they say, and do the same."""

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.errors import ShapeError


def seen(layer, shape=(1, 1, 5, 5), place=(2, 2)):
    """Which input pixels the output at one place depends on, as a boolean picture."""
    x = mg.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)
    layer.to(np.float64)(x)[0, 0][place].backward()
    return x.grad.data[0, 0] != 0


def test_a_masked_linear_layer_is_a_linear_layer_whose_weight_has_holes():
    rng = np.random.default_rng(0)
    mask, x = np.tri(4, 3), rng.normal(size=(5, 3)).astype(np.float32)
    layer = nn.MaskedLinear(3, 4, mask, rng=rng)
    np.testing.assert_allclose(layer(mg.tensor(x)).data, x @ (layer.weight.data * mask).T + layer.bias.data, rtol=1e-5)
    other = 1 - mask
    np.testing.assert_allclose(layer(mg.tensor(x), other).data, x @ (layer.weight.data * other).T + layer.bias.data,
                               rtol=1e-5, atol=1e-6)  # fmt: skip
    layer(mg.tensor(x)).sum().backward()
    assert np.all((layer.weight.grad.data != 0) == (mask != 0)), "a hidden weight has a gradient"
    assert set(layer.state_dict()) == {"weight", "bias", "mask"}
    assert nn.MaskedLinear(3, 4, rng=rng)(mg.tensor(x)).shape == (5, 4)


def test_masks_a_and_b_differ_by_the_pixel_itself():
    rng = np.random.default_rng(0)
    expected = np.zeros((5, 5), bool)
    expected[1, 1:4] = expected[2, 1] = True
    np.testing.assert_array_equal(seen(nn.MaskedConv2d(1, 1, 3, "A", rng=rng)), expected)
    expected[2, 2] = True
    np.testing.assert_array_equal(seen(nn.MaskedConv2d(1, 1, 3, "B", rng=rng)), expected)


@pytest.mark.parametrize(("direction", "size", "before", "rows", "columns"), [
    ("down", (2, 3), False, slice(1, 3), slice(1, 4)), ("down", (2, 3), True, slice(0, 2), slice(1, 4)),
    ("down", (1, 5), False, slice(2, 3), slice(0, 5)), ("right", (1, 2), False, slice(2, 3), slice(1, 3)),
    ("right", (1, 2), True, slice(2, 3), slice(0, 2)),
])  # fmt: skip
def test_a_causal_convolution_sees_the_rectangle_that_it_promises(direction, size, before, rows, columns):
    expected = np.zeros((5, 5), bool)
    expected[rows, columns] = True
    layer = nn.CausalConv2d(1, 1, size, direction, before, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(seen(layer), expected)


def test_masking_and_shifting_are_the_same_map():
    """A 3×3 filter of kind A: a strict downward filter of the row above, and a strict one of the pixel to the left."""
    rng = np.random.default_rng(0)
    masked = nn.MaskedConv2d(2, 3, 3, "A", rng=rng)
    above = nn.CausalConv2d(2, 3, (1, 3), "down", before=True, rng=rng)
    left = nn.CausalConv2d(2, 3, (1, 1), "right", before=True, bias=False, rng=rng)
    above.load_state_dict({"weight": masked.weight.data[:, :, :1], "bias": masked.bias.data})
    left.load_state_dict({"weight": masked.weight.data[:, :, 1:2, :1]})
    x = mg.tensor(rng.normal(size=(4, 2, 6, 5)).astype(np.float32))
    np.testing.assert_allclose(masked(x).data, (above(x) + left(x)).data, atol=1e-6)


def test_a_window_gives_what_the_whole_picture_gives_at_that_place():
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(3, 2, 6, 5)).astype(np.float32))
    down, right = nn.CausalConv2d(2, 4, (2, 3), "down", rng=rng), nn.CausalConv2d(2, 4, (1, 2), "right", rng=rng)
    np.testing.assert_allclose(down.window(x[:, :, 2:4]).data, down(x).data[:, :, 3:4], atol=1e-6)
    np.testing.assert_allclose(right.window(x[:, :, 3:4, 1:3]).data, right(x).data[:, :, 3:4, 2:3], atol=1e-6)


def test_errors_name_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"MaskedLinear: mask \(3, 4\) for a weight \(4, 3\)"):
        nn.MaskedLinear(3, 4, np.ones((3, 4)))
    with pytest.raises(ValueError, match="kind='C', kernel_size=3"):
        nn.MaskedConv2d(1, 1, 3, "C")
    with pytest.raises(ValueError, match="kernel_size=4"):
        nn.MaskedConv2d(1, 1, 4, "A")
    for arguments in (((2, 2), "down"), ((2, 2), "right"), ((1, 1), "up")):
        with pytest.raises(ValueError, match=r"expected 'down' and an odd width, or 'right' and height 1"):
            nn.CausalConv2d(1, 1, *arguments)
