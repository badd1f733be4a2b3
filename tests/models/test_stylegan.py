"""The style-based generator against plain loops and closed forms."""

import numpy as np
import pytest

from minigen import Tensor, autograd, ops
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.errors import ShapeError
from minigen.models.stylegan import PathLength, StyledConv, StyleGenerator, modulated_conv, path_lengths, unit


def small(classes=0, seed=0, **settings):
    return StyleGenerator(6, (5, 4), first=3, classes=classes, rng=np.random.default_rng(seed), **settings)


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_is_a_convolution_with_filters_of_each_samples_own(demodulate):
    rng = np.random.default_rng(0)
    x, weight, style = rng.normal(size=(3, 4, 5, 6)), rng.normal(size=(2, 4, 3, 3)), rng.normal(size=(3, 4))
    found = modulated_conv(Tensor(x), Tensor(weight), Tensor(style), demodulate=demodulate, padding=1).data
    for b in range(3):
        own = style[b][None, :, None, None] * weight  # (9.2)
        if demodulate:
            own = own / np.sqrt((own**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)  # (9.3)
        expected = ops.conv2d(Tensor(x[b : b + 1]), Tensor(own), padding=1).data
        np.testing.assert_allclose(found[b : b + 1], expected, atol=1e-12)
    with pytest.raises(ShapeError, match="modulated_conv: style"):
        modulated_conv(Tensor(x), Tensor(weight), Tensor(style[:, :3]))


@pytest.mark.parametrize("demodulate", [True, False])
def test_both_orders_of_gradients_of_a_modulated_convolution(demodulate):
    rng = np.random.default_rng(13)
    arrays = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(2, 3, 3, 3)), rng.normal(size=(2, 3))

    def f(x, weight, style):
        return modulated_conv(x, weight, style, demodulate=demodulate, padding=1)

    assert gradcheck(f, arrays).error < 1e-6 and gradgradcheck(f, arrays).error < 1e-5


def test_demodulation_keeps_the_variance_at_one_whatever_the_style():
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(4, 16, 40, 40)), rng.normal(size=(8, 16, 3, 3))
    style = np.exp(rng.normal(size=(4, 16)))
    y = modulated_conv(Tensor(x), Tensor(weight), Tensor(style)).data
    np.testing.assert_allclose(y.var(axis=(2, 3)), 1.0, atol=0.2)  # 1,444 places each, of which neighbours are alike
    assert abs(y.var() - 1) < 0.06


def test_each_layer_takes_its_own_style_and_no_other():
    generator = small().eval()
    rng = np.random.default_rng(2)
    w, other = rng.normal(size=(2, 3, 6)).astype(np.float32)
    first, last = generator.pictures(w), generator.pictures(other)
    assert first.shape == (3, 1, 6, 6) and generator.synthesis.depth == 4
    np.testing.assert_array_equal(generator.mixed(w, other, 4), first)
    np.testing.assert_array_equal(generator.mixed(w, other, 0), last)
    between = [generator.mixed(w, other, border) for border in range(5)]
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(between, between[1:], strict=False))
    with pytest.raises(ShapeError, match="border is 5"):
        generator.mixed(w, other, 5)


def test_training_mixes_two_styles_at_random_borders():
    z = Tensor(np.random.default_rng(3).normal(size=(64, 6)).astype(np.float32))
    generator = small(mixing=0.5)
    layers = np.stack([style.data for style in generator.training_styles(z)])  # (depth, B, L)
    changes = (np.abs(np.diff(layers, axis=0)).max(axis=2) > 0).sum(axis=0)  # borders in each sample
    assert set(changes) == {0, 1} and 0.3 < changes.mean() < 0.7
    w = generator.mapping(z).data
    np.testing.assert_array_equal(layers[0], w)  # the first layer always has the first style
    assert np.abs(generator.mean_style[0] - (1 - generator.decay) * w.mean(axis=0)).max() < 1e-6


def test_truncation_draws_styles_to_the_mean_of_their_class():
    generator = small(classes=3)
    rng = np.random.default_rng(4)
    z, labels = rng.normal(size=(8, 6)).astype(np.float32), np.array([0, 1, 2, 0, 1, 2, 0, 1])
    for _ in range(40):
        generator(Tensor(z), labels)
    full, half, none = (generator.styles(z, labels, truncation=psi) for psi in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(half, (full + none) / 2, atol=1e-6)
    np.testing.assert_array_equal(none, generator.mean_style[labels])
    np.testing.assert_array_equal(full, generator.styles(z, labels))
    with pytest.raises(ShapeError, match="labels missing"):
        generator.styles(z)


def test_with_a_start_for_each_class_one_style_serves_them_all():
    generator = small(starts=3).eval()
    rng = np.random.default_rng(12)
    z, labels = rng.normal(size=(4, 6)).astype(np.float32), np.array([0, 1, 2, 0])
    w = generator.styles(z, labels)
    np.testing.assert_array_equal(w, generator.styles(z))  # the mapping is told nothing
    pictures = generator.pictures(w, labels)
    np.testing.assert_array_equal(pictures, generator(Tensor(z), labels).data)  # strengths of noise begin at 0
    for i, label in enumerate(labels):  # as if this start were the only one
        alone = small(starts=1).eval()
        alone.load_state_dict(generator.state_dict() | {
            "synthesis.constant": generator.synthesis.constant.data[label : label + 1]})  # fmt: skip
        np.testing.assert_allclose(alone.pictures(w[i : i + 1]), pictures[i : i + 1], atol=1e-6)
    for wrong, count in ((None, 3), (labels, 1)):
        with pytest.raises(ShapeError, match="labels"):
            small(starts=count)(Tensor(z), wrong)


def test_noise_changes_details_only_where_it_has_strength():
    generator = small().eval()
    w = np.random.default_rng(5).normal(size=(2, 6)).astype(np.float32)
    one, other = (generator.pictures(w, rng=np.random.default_rng(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one, other)  # strengths begin at 0
    for layer in generator.synthesis.convs:
        layer.strength.overwrite(np.full_like(layer.strength.data, 0.3))
    one, other = (generator.pictures(w, rng=np.random.default_rng(seed)) for seed in (0, 1))
    without = generator.pictures(w)
    assert np.abs(one - other).max() > 0.01 and np.abs(one - without).max() > 0.01


def test_path_lengths_of_a_linear_generator_are_known():
    rng = np.random.default_rng(6)
    a = rng.normal(size=(6, 12))
    w = Tensor(rng.normal(size=(5, 6)), requires_grad=True)
    lengths = path_lengths(lambda w: ops.reshape(w @ a, (5, 1, 3, 4)), w, rng=np.random.default_rng(7))
    y = np.random.default_rng(7).standard_normal((5, 1, 3, 4)).reshape(5, 12) / np.sqrt(12)
    np.testing.assert_allclose(lengths.data, np.linalg.norm(y @ a.T, axis=1), rtol=1e-7)  # J = aᵀ; 1e-8 under the root


def test_the_path_penaltys_gradient_against_finite_differences():
    generator = small().to(np.float64)
    w = np.random.default_rng(8).normal(size=(3, 6))

    def loss():
        style = Tensor(w, requires_grad=True)
        lengths = path_lengths(lambda w: generator.synthesis([w] * 4), style, rng=np.random.default_rng(9))
        return ops.mean((lengths - 0.5) ** 2)

    parameters = [p for p in generator.synthesis.parameters() if p.ndim == 4 or p.ndim == 2]
    found = autograd.grad(loss(), parameters)
    rng = np.random.default_rng(10)
    for parameter, slope in zip(parameters, found, strict=True):
        direction, here, values = rng.normal(size=parameter.shape), parameter.data.copy(), []
        for sign in (1, -1):
            parameter.overwrite(here + sign * 1e-6 * direction)
            values.append(loss().item())
        parameter.overwrite(here)
        along = float((slope.data * direction).sum())
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(along, abs=1e-6)


def test_the_mean_path_length_is_remembered():
    path = PathLength(decay=0.5)
    assert path.penalty(Tensor(np.array([2.0, 4.0]))).data.tolist() == [0.25, 6.25]  # a = 1.5
    again = PathLength(decay=0.5)
    again.load_state_dict(path.state_dict())
    assert again.mean[0] == 1.5


def test_a_layer_begins_with_features_of_variance_about_one():
    rng = np.random.default_rng(11)
    layer = StyledConv(32, 32, 8, rng=rng)
    x, w = (Tensor(rng.standard_normal(shape, dtype=np.float32)) for shape in ((4, 32, 10, 10), (4, 8)))
    y = layer(x, unit(w))
    assert 0.8 < (y.data**2).mean() < 1.2
