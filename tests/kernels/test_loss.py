"""The compiled losses against their definitions and against closed forms."""

import itertools
import math

import numpy as np
import pytest
from guarded import ORDERS, guarded, guarding, same_bits

from minigen import kernels
from minigen.kernels import reference, threads

RNG = np.random.default_rng(2)
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}
LOGITS = [(1, 1), (1, 2), (3, 5), (7, 16), (5, 17), (2, 65), (3, 4, 5), (2, 33, 3), (2, 3, 4, 2), (1, 1, 1), (3, 129)]


def close(a, b, dtype):
    assert a.shape == b.shape and a.dtype == b.dtype == dtype
    assert np.allclose(a, b, rtol=10 * TOLERANCE[dtype], atol=TOLERANCE[dtype], equal_nan=True)


def example(shape, dtype):
    logits = (3 * RNG.normal(size=shape)).astype(dtype)
    rest = (shape[0], *shape[2:])
    return logits, RNG.integers(shape[1], size=rest), RNG.normal(size=rest).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", LOGITS)
def test_cross_entropy_is_its_definition(shape, dtype):
    for order, whole in itertools.product(ORDERS, (np.int64, np.int32, np.uint8)):
        logits, target, g = example(shape, dtype)
        target = target.astype(whole)
        loss, (lse,) = reference.cross_entropy(logits, target=target)
        (gradient,) = reference.cross_entropy_backward(g, logits, lse, target=target)
        held = [guarded(x.shape, x.dtype, order, x) for x in (logits, target, g, lse)]
        x, t, of_loss, saved = (each.array for each in held)
        with guarding():
            found, (found_lse,) = kernels.compiled("cross_entropy")(x, target=t)
            (found_gradient,) = kernels.compiled("cross_entropy_backward")(of_loss, x, saved, target=t)
        close(found, loss, dtype)
        close(found_lse, lse, dtype)
        close(found_gradient, gradient, dtype)
        for each in held:
            each.check()


def test_cross_entropy_reads_and_writes_rows_in_place():
    """Logits (B, V, T) with memory (B, T, V), as networks leave them: nothing is copied, and the gradient is alike."""
    logits = RNG.normal(size=(4, 9, 30)).transpose(0, 2, 1)
    target = RNG.integers(30, size=(4, 9))
    loss, (lse,) = kernels.compiled("cross_entropy")(logits, target=target)
    (gradient,) = kernels.compiled("cross_entropy_backward")(np.ones_like(loss), logits, lse, target=target)
    assert gradient.strides == logits.strides


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_their_number():
    for value in (0.0, 1e30, -1e30):
        logits = np.full((3, 41), value)
        loss, _ = kernels.compiled("cross_entropy")(logits, target=np.arange(3))
        assert np.allclose(loss, math.log(41), rtol=1e-15) if value == 0 else np.allclose(loss, 0, atol=1e15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_with_infinities_and_nans_is_the_definitions(dtype):
    logits = np.zeros((6, 18), dtype)
    logits[1, 2], logits[2, 2], logits[3, 2], logits[4] = np.nan, np.inf, -np.inf, -np.inf
    logits[5] = -1e30
    for target in (np.zeros(6, int), np.full(6, 2)):
        with np.errstate(all="ignore"):
            loss, (lse,) = reference.cross_entropy(logits, target=target)
            g = np.ones_like(loss)
            (gradient,) = reference.cross_entropy_backward(g, logits, lse, target=target)
            found, (found_lse,) = kernels.compiled("cross_entropy")(logits, target=target)
            (found_gradient,) = kernels.compiled("cross_entropy_backward")(g, logits, lse, target=target)
        close(found, loss, dtype)
        close(found_lse, lse, dtype)
        close(found_gradient, gradient, dtype)


def test_gradients_of_cross_entropy_sum_to_zero_in_each_row():
    logits, target, g = example((50, 37), np.float64)
    _, (lse,) = kernels.compiled("cross_entropy")(logits, target=target)
    (gradient,) = kernels.compiled("cross_entropy_backward")(g, logits, lse, target=target)
    assert np.abs(gradient.sum(axis=1)).max() < 1e-13


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (2, 3, 0)])
def test_cross_entropy_of_nothing(shape):
    logits, target, g = example(shape, np.float32)
    loss, (lse,) = kernels.compiled("cross_entropy")(logits, target=target)
    assert loss.shape == target.shape
    assert kernels.compiled("cross_entropy_backward")(g, logits, lse, target=target)[0].shape == shape


PAIRS = {"bce_with_logits": True, "mse": False}
SHAPES = [(), (1,), (5,), (16,), (3, 7), (2, 3, 4, 5), (0, 2), (1, 33), (2311,)]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elementwise_loss_is_its_definition(name, dtype):
    for shape in SHAPES:
        x, g = ((4 * RNG.normal(size=shape)).astype(dtype) for _ in range(2))
        target = RNG.uniform(size=shape).astype(dtype)
        y, extras = getattr(reference, name)(x, target)
        gradients = getattr(reference, name + "_backward")(g, x, target)
        assert extras == ()
        for orders in itertools.product(ORDERS, repeat=3):
            held = [guarded(shape, dtype, o, v) for o, v in zip(orders, (g, x, target), strict=True)]
            of_y, a, b = (each.array for each in held)
            with guarding():
                found, found_extras = kernels.compiled(name)(a, b)
                found_gradients = kernels.compiled(name + "_backward")(of_y, a, b)
            assert found_extras == ()
            close(np.asarray(found), np.asarray(y), dtype)
            for one, other in zip(found_gradients, gradients, strict=True):
                close(np.asarray(one), np.asarray(other), dtype)
            for each in held:
                each.check()


@pytest.mark.parametrize("name", PAIRS)
def test_targets_that_broadcast_are_left_to_the_definition(name):
    x, target = RNG.normal(size=(4, 5)), RNG.uniform(size=5)
    assert same_bits(kernels.compiled(name)(x, target)[0], getattr(reference, name)(x, target)[0])
    found = kernels.compiled(name + "_backward")(x, x, target)
    for a, b in zip(found, getattr(reference, name + "_backward")(x, x, target), strict=True):
        assert same_bits(a, b)


def test_bce_is_linear_where_the_logit_is_large():
    x = np.array([1000, -1000, 1000, -1000, 0], np.float32)
    loss, _ = kernels.compiled("bce_with_logits")(x, np.array([1, 0, 0, 1, 0.5], np.float32))
    assert np.allclose(loss, [0, 0, 1000, 1000, math.log(2)])


def test_losses_do_not_depend_on_the_number_of_threads():
    if threads.get_num_threads() < 2:
        pytest.skip("one core")
    logits, target, g = example((401, 130), np.float32)
    results = []
    for count in (1, 2):
        with threads.num_threads(count):
            loss, (lse,) = kernels.compiled("cross_entropy")(logits, target=target)
            results.append([loss, lse, *kernels.compiled("cross_entropy_backward")(g, logits, lse, target=target)])
            results[-1] += kernels.compiled("bce_with_logits_backward")(logits, logits, np.abs(np.sin(logits)))
            results[-1] += kernels.compiled("mse_backward")(logits, logits, np.abs(np.sin(logits)))
    assert all(same_bits(a, b) for a, b in zip(*results, strict=True))
