"""Pooling and upsampling against the definitions and PyTorch, with guarded arrays; adjoints by ⟨A x, g⟩ = ⟨x, A* g⟩."""

import numpy as np
import pytest
from guarded import ORDERS, guarded, guarding, same_bits

from minigen import ops
from minigen.autograd import Tensor, grad
from minigen.errors import ShapeError
from minigen.kernels import jit, pooling, reference, threads

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}


def draw(rng, shape, dtype, order="C"):
    return guarded(shape, dtype, order, values=rng.normal(size=shape)).array


def watched(function, *arguments, **settings):
    """The function's result, made in guarded arrays."""
    function(*arguments, **settings)  # compiles what is not compiled yet; the compiler must see the true np.empty
    with guarding():
        return function(*arguments, **settings)


def agree(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    tolerance = TOLERANCE.get(found.dtype.type, 0)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def settings(rng):
    """A random image shape and window that fit together."""
    while True:
        shape = (int(rng.integers(1, 4)), int(rng.choice([1, 2, 3, 8, 16, 17])), *rng.integers(1, 10, size=2).tolist())
        kernel, stride, dilation = (tuple(rng.integers(1, 4, size=2).tolist()) for _ in range(3))
        padding = tuple(int(rng.integers(0, d * (k - 1) + 2)) for k, d in zip(kernel, dilation, strict=True))
        size = [reference.out_size(*args) for args in zip(shape[2:], kernel, stride, padding, dilation, strict=True)]
        if min(size) >= 1:
            return shape, kernel, stride, padding, dilation


def test_three_hundred_random_windows_equal_the_definitions():
    rng = np.random.default_rng(1)
    for _ in range(300):
        dtype = (np.float32, np.float64)[rng.integers(2)]
        shape, kernel, stride, padding, dilation = settings(rng)
        x = draw(rng, shape, dtype, str(rng.choice(ORDERS)))
        if rng.random() < 0.5:
            x[...] = np.round(x)  # ties
        y, places = watched(pooling.largest, x, kernel, stride, padding, dilation)
        for found, expected in zip((y, places), reference.largest(x, kernel, stride, padding, dilation), strict=True):
            assert same_bits(found, expected)
        assert same_bits(y, pooling.pick(x, places))
        g = draw(rng, places.shape, dtype, str(rng.choice(ORDERS)))
        agree(watched(pooling.pick, x, places), reference.pick(x, places))
        agree(watched(pooling.put, g, places, shape), reference.put(g, places, shape))
        y = watched(pooling.average_pool, x, kernel, stride, padding)
        agree(y, reference.average_pool(x, kernel, stride, padding))
        g = draw(rng, y.shape, dtype, str(rng.choice(ORDERS)))
        spread = watched(pooling.average_pool_adjoint, g, shape, kernel, stride, padding)
        agree(spread, reference.average_pool_adjoint(g, shape, kernel, stride, padding))


def test_upsampling_equals_its_definition_in_every_order_of_memory():
    rng = np.random.default_rng(2)
    for order in ORDERS:
        for shape in ((1, 1, 1, 1), (2, 3, 4, 5), (3, 17, 2, 7), (0, 2, 3, 3), (2, 0, 3, 3)):
            for scale in (1, 2, 3):
                for dtype in (np.float32, np.float64):
                    x = draw(rng, shape, dtype, order)
                    g = draw(rng, (*shape[:2], shape[2] * scale, shape[3] * scale), dtype, order)
                    assert same_bits(watched(pooling.upsample, x, scale), reference.upsample(x, scale))
                    agree(watched(pooling.upsample_adjoint, g, scale), reference.upsample_adjoint(g, scale))


def test_empty_batches_give_empty_results():
    for shape in ((0, 3, 6, 6), (2, 0, 6, 6)):
        x = np.ones(shape, np.float32)
        y = pooling.average_pool(x, (2, 2), (2, 2), (0, 0))
        assert y.shape == (*shape[:2], 3, 3)
        assert pooling.average_pool_adjoint(y, shape, (2, 2), (2, 2), (0, 0)).shape == shape
        _, places = pooling.largest(x, (2, 2), (2, 2), (0, 0), (1, 1))
        assert pooling.pick(x, places).shape == y.shape and pooling.put(y, places, shape).shape == shape


def test_adjoints_are_adjoint():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 5, 9, 8))
    places = rng.integers(-1, 72, size=(2, 5, 4, 6))
    pairs = [
        (lambda x: pooling.average_pool(x, (3, 2), (2, 1), (1, 1)),
         lambda g: pooling.average_pool_adjoint(g, x.shape, (3, 2), (2, 1), (1, 1))),
        (lambda x: pooling.upsample(x, 3), lambda g: pooling.upsample_adjoint(g, 3)),
        (lambda x: pooling.pick(x, places), lambda g: pooling.put(g, places, x.shape)),
    ]  # fmt: skip
    for forward, adjoint in pairs:
        y = forward(x)
        g = rng.normal(size=y.shape)
        np.testing.assert_allclose((y * g).sum(), (x * adjoint(g)).sum(), rtol=1e-12)


# -- max pooling: ties, special values, padding -----------------------------------------------------------------


def test_among_equals_the_first_gets_the_gradient_as_in_pytorch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(4).integers(0, 3, size=(3, 16, 11, 10)).astype(np.float32)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = ops.max_pool2d(ours, 3, stride=2, padding=1)
    z = torch.nn.functional.max_pool2d(theirs, 3, stride=2, padding=1)
    weight = np.random.default_rng(5).normal(size=y.shape).astype(np.float32)
    z.backward(torch.tensor(weight))
    (g,) = grad(y, ours, Tensor(weight))
    assert np.array_equal(y.data, z.detach().numpy())
    np.testing.assert_allclose(g.data, theirs.grad.numpy(), rtol=1e-6)


def test_a_nan_is_the_largest_and_minus_infinity_can_be():
    x = np.full((1, 2, 4, 4), -np.inf, np.float32)
    x[0, 0, 1, 0], x[0, 0, 2, 2], x[0, 0, 3, 3] = np.nan, np.inf, np.nan
    for backend in (pooling, reference):
        y, places = backend.largest(x, (2, 2), (2, 2), (0, 0), (1, 1))
        assert places[0, 0].tolist() == [[4, 2], [8, 15]] and places[0, 1].tolist() == [[0, 2], [8, 10]]
        for values in (y, backend.pick(x, places)):
            assert np.isnan(values[0, 0, 0, 0]) and np.isnan(values[0, 0, 1, 1]) and values[0, 1, 0, 0] == -np.inf


@pytest.mark.parametrize("size", [4, 40])  # by the definition, and by the kernel
def test_a_window_of_padding_only_is_an_error(size):
    x = Tensor(np.ones((1, 2, size, size), np.float32))
    with pytest.raises(ShapeError, match="nothing but padding"):
        ops.max_pool2d(x, 2, padding=2)
    assert ops.max_pool2d(x, 3, padding=1).data.min() == 1


# -- threads and memory -----------------------------------------------------------------------------------------


def test_results_have_the_same_bits_on_one_thread_and_on_two():
    if threads.get_num_threads() < 2:
        pytest.skip("one core")
    x = np.random.default_rng(6).normal(size=(5, 16, 32, 33)).astype(np.float32)
    assert x.size > jit.PARALLEL_FROM

    def everything():
        y = pooling.average_pool(x, (3, 3), (2, 2), (1, 1))
        most, places = pooling.largest(x, (3, 3), (2, 2), (1, 1), (1, 1))
        return [
            y, most, places, pooling.average_pool_adjoint(y, x.shape, (3, 3), (2, 2), (1, 1)), pooling.pick(x, places),
            pooling.put(y, places, x.shape), pooling.upsample(x, 2), pooling.upsample_adjoint(x[:, :, :, :32], 2),
        ]  # fmt: skip

    results = []
    for n in (1, 2):
        with threads.num_threads(n):
            results.append(everything())
    assert all(same_bits(a, b) for a, b in zip(*results, strict=True))
    assert all(image.transpose(0, 2, 3, 1).flags.c_contiguous for image in results[0])
