"""Layer, RMS, group and batch norm: kernels against definitions, in every order of memory, with guarded arrays."""

import numpy as np
import pytest
from guarded import ORDERS, guarded, guarding, in_every_order, same_bits

from minigen import nn, ops
from minigen.autograd import Tensor, grad
from minigen.kernels import batchnorm, groupnorm, jit, normalization, reference, threads

TOLERANCE = {np.float32: 3e-5, np.float64: 1e-11}
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])

ROWS = [(1, 1), (1, 2), (3, 7), (2, 3, 5), (5, 16), (31, 17), (33, 64), (65, 33), (7, 0), (0, 5), (2, 130), (6,)]
IMAGES = [
    # shape, groups
    ((3, 4), 2), ((1, 6, 1, 1), 3), ((2, 3, 5), 3), ((1, 1, 3, 3), 1), ((2, 6, 31), 2), ((3, 5, 4, 8), 1),
    ((2, 16, 3, 11), 8), ((2, 17, 5, 13), 17), ((5, 32, 8, 8), 4), ((0, 4, 2, 2), 2), ((70, 3, 2, 3), 1),
]  # fmt: skip


def draw(rng, shape, dtype, order="C"):
    return guarded(shape, dtype, order, values=rng.normal(1.5, 2.0, size=shape)).array


def watched(function, *arguments, **settings):
    """The function's result, made in guarded arrays."""
    function(*arguments, **settings)  # compiles what is not compiled yet; the compiler must see the true np.empty
    with guarding():
        return function(*arguments, **settings)


def agree(found, expected, dtype):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * (1 + np.abs(b).max(initial=0)))


def both_ways(module, name, x, parameters, g, dtype, **settings):
    """Forward and backward of kernel and definition agree, and each can read the other's extras."""
    y, extras = watched(getattr(module, name), x, *parameters, **settings)
    expected, expected_extras = getattr(reference, name)(x, *parameters, **settings)
    agree((y, *extras), (expected, *expected_extras), dtype)
    gradients = watched(getattr(module, name + "_backward"), g, x, *parameters, *expected_extras, **settings)
    agree(gradients, getattr(reference, name + "_backward")(g, x, *parameters, *extras, **settings), dtype)


@BOTH
@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the mean of no numbers
def test_norms_over_rows_equal_their_definitions(shape, dtype):
    rng = np.random.default_rng(1)
    for order in ORDERS:
        if order == "channels_last" and len(shape) < 2:
            continue
        x, g = draw(rng, shape, dtype, order), draw(rng, shape, dtype, order)
        weight, bias = draw(rng, shape[-1:], dtype, "strided"), draw(rng, shape[-1:], dtype)
        both_ways(normalization, "layer_norm", x, (weight, bias), g, dtype, eps=1e-2)
        both_ways(normalization, "rms_norm", x, (weight,), g, dtype, eps=1e-2)


@BOTH
@pytest.mark.parametrize("shape,groups", IMAGES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_group_norms_equal_their_definitions(shape, groups, dtype):
    rng = np.random.default_rng(2)
    weight, bias = draw(rng, shape[1:2], dtype, "reversed"), draw(rng, shape[1:2], dtype)
    of_image = draw(rng, shape[:2], dtype)  # for each image its own
    for order in ORDERS:
        x, g = draw(rng, shape, dtype, order), draw(rng, shape, dtype, "C")
        for name in ("group_norm", "group_norm_silu"):
            for parameters in ((weight, bias), (of_image, bias), (of_image, of_image)):
                both_ways(groupnorm, name, x, parameters, g, dtype, groups=groups, eps=1e-2)


@BOTH
@pytest.mark.parametrize("shape", [shape for shape, _ in IMAGES])
def test_sums_over_pixels_equal_their_definition(shape, dtype):
    rng = np.random.default_rng(12)
    for order in ORDERS:
        x = draw(rng, shape, dtype, order)
        agree((watched(batchnorm.pixel_sums, x),), (reference.pixel_sums(x),), dtype)


@BOTH
@pytest.mark.parametrize("shape", [shape for shape, _ in IMAGES])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_batch_norm_equals_its_definition(shape, dtype):
    rng = np.random.default_rng(3)
    weight, bias = draw(rng, shape[1:2], dtype), draw(rng, shape[1:2], dtype, "strided")
    for order in ORDERS:
        x, g = draw(rng, shape, dtype, order), draw(rng, shape, dtype, "channels_last")
        moments = watched(batchnorm.batch_moments, x)
        agree(moments, reference.batch_moments(x), dtype)
        both_ways(batchnorm, "batch_norm", x, (weight, bias), g, dtype, mean=moments[0], var=moments[1], eps=1e-2)


def test_two_hundred_random_shapes_equal_the_definitions():
    rng = np.random.default_rng(4)
    for _ in range(200):
        dtype = (np.float32, np.float64)[rng.integers(2)]
        groups = int(rng.integers(1, 5))
        shape = (int(rng.integers(1, 6)), groups * int(rng.integers(1, 12)), *rng.integers(1, 12, size=rng.integers(3)))
        x, g = (draw(rng, shape, dtype, str(rng.choice(ORDERS))) for _ in range(2))
        weight, bias = rng.normal(size=(2, shape[1])).astype(dtype)
        both_ways(groupnorm, "group_norm_silu", x, (weight, bias), g, dtype, groups=groups, eps=0.1)
        weight, bias = rng.normal(size=(2, shape[-1])).astype(dtype)
        both_ways(normalization, "layer_norm", x, (weight, bias), g, dtype, eps=0.1)


# -- accuracy, special values, threads --------------------------------------------------------------------------


def worst(y, exact):
    return float(np.abs(y - exact).max())


@pytest.mark.parametrize("mean", [0.0, 1e4, -3e5])
def test_a_large_mean_costs_no_more_digits_than_in_the_definition(mean):
    x = (np.random.default_rng(5).normal(size=(8, 16, 28, 28)) + mean).astype(np.float32)
    exact_x = x.astype(np.float64)
    weight, bias = np.ones((2, 16), np.float32)
    wide = weight.astype(np.float64)
    for groups in (1, 4, 16):
        exact, _ = reference.group_norm(exact_x, wide, wide, groups=groups, eps=1e-5)
        of_definition = worst(reference.group_norm(x, weight, bias, groups=groups, eps=1e-5)[0], exact)
        assert worst(groupnorm.group_norm(x, weight, bias, groups=groups, eps=1e-5)[0], exact) <= 1.2 * of_definition
    mean, var = reference.batch_moments(exact_x)
    found_mean, found_var = batchnorm.batch_moments(x)
    assert np.abs(found_mean - mean).max() <= np.spacing(np.float32(1 + abs(mean).max()))
    np.testing.assert_allclose(found_var, var, rtol=1e-6)
    rows = x.reshape(-1, 784)
    ones = np.ones(784, np.float32)
    exact, _ = reference.layer_norm(rows.astype(np.float64), ones, ones, eps=1e-5)
    of_definition = worst(reference.layer_norm(rows, ones, ones, eps=1e-5)[0], exact)
    assert worst(normalization.layer_norm(rows, ones, ones, eps=1e-5)[0], exact) <= 1.2 * of_definition + 1e-6


def test_a_block_that_begins_with_an_outlier_keeps_its_digits():
    for size in (1e2, 1e6):
        x = np.random.default_rng(5).normal(size=(64, 3)).astype(np.float32)
        x[0] += np.float32(size)
        mean, var = batchnorm.batch_moments(x)
        exact = x.astype(np.float64)
        np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(var, exact.var(axis=0), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_and_infinity_spoil_what_they_spoil_in_the_definition_and_nothing_else():
    x = np.random.default_rng(6).normal(size=(4, 8, 5, 7)).astype(np.float32)
    x[1, 2, 3, 4], x[2, 7, 0, 0] = np.nan, np.inf
    weight, bias = np.ones((2, 8), np.float32)
    y, _ = groupnorm.group_norm_silu(x, weight, bias, groups=4, eps=1e-5)
    expected, _ = reference.group_norm_silu(x, weight, bias, groups=4, eps=1e-5)
    assert np.array_equal(np.isnan(y), np.isnan(expected)) and np.isnan(y).sum() == 2 * 2 * 35
    rows, ones = x.reshape(-1, 7), np.ones(7, np.float32)
    y, _ = normalization.layer_norm(rows, ones, ones, eps=1e-5)
    assert np.array_equal(np.isnan(y), np.isnan(reference.layer_norm(rows, ones, ones, eps=1e-5)[0]))
    mean, var = batchnorm.batch_moments(x)
    assert np.isnan(mean[2]) and np.isnan(var[7]) and np.isfinite(mean[:2]).all()


def test_denormal_inputs_are_not_taken_for_zero():
    x = np.array([[1e-40, 2e-40, 3e-40, 6e-40]], np.float32)
    y, _ = normalization.rms_norm(x * np.float32(1), np.full(4, 1e30, np.float32), eps=1.0)
    np.testing.assert_allclose(y, [[1e-10, 2e-10, 3e-10, 6e-10]], rtol=1e-4)


def test_results_have_the_same_bits_on_one_thread_and_on_two():
    if threads.get_num_threads() < 2:
        pytest.skip("one core")
    rng = np.random.default_rng(7)
    x, g = rng.normal(size=(2, 12, 40, 16, 17)).astype(np.float32)
    weight, bias = rng.normal(size=(2, 40)).astype(np.float32)
    wide, shift = rng.normal(size=(2, 17)).astype(np.float32)

    def everything():
        y, extras = groupnorm.group_norm_silu(x, weight, bias, groups=8, eps=1e-5)
        yield y
        yield from groupnorm.group_norm_silu_backward(g, x, weight, bias, *extras, groups=8, eps=1e-5)
        mean, var = batchnorm.batch_moments(x)
        yield from batchnorm.batch_norm_backward(g, x, weight, bias, mean=mean, var=var, eps=1e-5)
        y, extras = normalization.layer_norm(x, wide, shift, eps=1e-5)
        yield y
        yield from normalization.layer_norm_backward(g, x, wide, shift, *extras, eps=1e-5)

    assert x.size > jit.PARALLEL_FROM
    pairs = []
    for n in (1, 2):
        with threads.num_threads(n):
            pairs.append(list(everything()))
    assert all(same_bits(a, b) for a, b in zip(*pairs, strict=True))


# -- memory -----------------------------------------------------------------------------------------------------


def test_images_come_out_channels_last_and_channels_last_images_are_not_copied():
    x = np.random.default_rng(8).normal(size=(2, 8, 16, 16)).astype(np.float32)
    weight, bias = np.ones((2, 8), np.float32)
    for order, given in in_every_order(x):
        y, extras = groupnorm.group_norm(given.array, weight, bias, groups=2, eps=1e-5)
        dx, *_ = groupnorm.group_norm_backward(given.array, given.array, weight, bias, *extras, groups=2, eps=1e-5)
        for image in (y, dx, batchnorm.batch_norm(x, weight, bias, mean=bias, var=weight, eps=1e-5)[0]):
            assert image.transpose(0, 2, 3, 1).flags.c_contiguous, order
        assert sum(e.size for e in extras) == 2 * 2 * 2  # (mean, 1/std) per group, no image


def test_locked_arrays_need_no_compilation_of_their_own():
    x = np.random.default_rng(9).normal(size=(4, 32)).astype(np.float32)
    weight = np.ones(32, np.float32)
    normalization.layer_norm(x, weight, weight, eps=1e-5)
    before = len(jit.HISTORY)
    for array in (x, weight):
        array.flags.writeable = False
    normalization.layer_norm(x, weight, weight, eps=1e-5)
    assert len(jit.HISTORY) == before


# -- the operations ---------------------------------------------------------------------------------------------


def test_rms_norm_equals_that_of_pytorch():
    torch = pytest.importorskip("torch")
    x, g = np.random.default_rng(10).normal(size=(2, 64, 40)).astype(np.float32)
    weight = np.linspace(-1, 2, 40, dtype=np.float32)
    for eps in (None, 0.3):
        a, w = Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)
        b, v = torch.tensor(x, requires_grad=True), torch.tensor(weight, requires_grad=True)
        y, z = ops.rms_norm(a, w, eps=eps), torch.nn.functional.rms_norm(b, (40,), v, eps)
        z.backward(torch.tensor(g))
        ours = [y, *grad(y, (a, w), Tensor(g))]
        for found, expected in zip(ours, (z.detach(), b.grad, v.grad), strict=True):
            np.testing.assert_allclose(found.data, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert nn.RMSNorm(40).eps is torch.nn.RMSNorm(40).eps is None
    assert set(nn.RMSNorm(40).state_dict()) == set(torch.nn.RMSNorm(40).state_dict())


def test_group_norm_with_silu_is_silu_of_group_norm():
    x = Tensor(np.random.default_rng(11).normal(size=(4, 8, 9, 9)))
    norm = nn.GroupNorm(4, 8).to(np.float64)
    np.testing.assert_allclose(norm(x, activation="silu").data, ops.silu(norm(x)).data, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="activation='relu'"):
        norm(x, activation="relu")


def test_running_averages_of_batch_norm_equal_those_of_pytorch():
    torch = pytest.importorskip("torch")
    ours, theirs = nn.BatchNorm2d(8), torch.nn.BatchNorm2d(8)
    for seed in range(3):
        x = np.random.default_rng(seed).normal(3, 2, size=(6, 8, 10, 10)).astype(np.float32)
        y, z = ours(Tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.running_mean, theirs.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(ours.running_var, theirs.running_var.numpy(), rtol=1e-5)
