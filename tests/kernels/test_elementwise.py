"""The compiled elementwise and row kernels against their definitions, in every memory order, with guarded memory."""

import itertools

import numpy as np
import pytest
from guarded import ORDERS, guarded, guarding, same_bits

from minigen import kernels
from minigen.kernels import layout, reference, threads

RNG = np.random.default_rng(1)
SHAPES = [(), (1,), (3,), (16,), (17,), (31,), (1, 1), (7, 13), (2, 3, 5, 4), (1, 129), (0,), (3, 0), (5, 1, 2), (999,)]
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}

# name → (how many arrays, settings)
FUNCTIONS = {
    "add": (2, {}), "exp": (1, {}),
    "log": (1, {}), "erf": (1, {}), "tanh": (1, {}), "sigmoid": (1, {}), "relu": (1, {}),
    "tanh_backward": (2, {}), "sigmoid_backward": (2, {}), "relu_backward": (2, {}),
    "leaky_relu": (1, {"negative_slope": 0.2}), "leaky_relu_backward": (2, {"negative_slope": 0.2}),
    "softplus": (1, {}), "softplus_backward": (2, {}), "silu": (1, {}), "silu_backward": (2, {}),
    "gelu": (1, {"approximate": "none"}), "gelu_backward": (2, {"approximate": "none"}),
}  # fmt: skip
CASES = [(name, count, settings) for name, (count, settings) in FUNCTIONS.items()]
CASES += [(name, count, {"approximate": "tanh"}) for name, count, _ in CASES if name.startswith("gelu")]
ROWS = {"softmax": 1, "softmax_backward": 2, "log_softmax": 1, "log_softmax_backward": 2, "logsumexp": 1}


def arrays_in(result):
    """All arrays in nested tuples."""
    return [a for part in result for a in arrays_in(part)] if isinstance(result, tuple) else [result]


def hold_together(name, arrays, settings, tolerance):
    """The kernel and its definition on the same arrays; returns the kernel's results."""
    with np.errstate(all="ignore"):
        expected = arrays_in(getattr(reference, name)(*[np.array(a) for a in arrays], **settings))
    with guarding():
        found = arrays_in(kernels.compiled(name)(*arrays, **settings))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
    return found


def numbers(shape, dtype, positive):
    x = 2 * RNG.normal(size=shape)
    return (np.abs(x) + 0.01 if positive else x).astype(dtype)


@pytest.mark.parametrize("name, count, settings", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel_is_its_definition_in_every_shape_and_order(name, count, settings, dtype):
    for shape in SHAPES:
        x = [numbers(shape, dtype, name == "log") for _ in range(count)]
        for orders in itertools.product(ORDERS, repeat=count):
            held = [guarded(shape, dtype, order, values) for order, values in zip(orders, x, strict=True)]
            hold_together(name, [each.array for each in held], settings, TOLERANCE[dtype])
            for each, values in zip(held, x, strict=True):
                each.check()
                assert same_bits(np.array(each.array), np.array(values))  # inputs are only read


@pytest.mark.parametrize("name, count, settings", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_numbers_come_out_as_in_the_definition(name, count, settings, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    some = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, tiny, -tiny, 1e-39, 300, -300, 80, -80, 20, -20], dtype)
    pairs = [np.array(p, dtype) for p in zip(*itertools.product(some, repeat=count), strict=True)]
    hold_together(name, pairs, settings, 1e-5)


@pytest.mark.parametrize("name, count, settings", CASES)
def test_results_do_not_depend_on_the_number_of_threads(name, count, settings):
    if threads.get_num_threads() < 2:
        pytest.skip("one core")
    run = kernels.compiled(name)
    for n in range(50_021, 50_053):  # the last few numbers fill no vector, and so may come from other instructions
        x = [numbers(n, np.float32, name == "log") for _ in range(count)]
        with threads.num_threads(1):
            alone = arrays_in(run(*x, **settings))
        with threads.num_threads(2):
            shared = arrays_in(run(*x, **settings))
        assert all(same_bits(a, b) for a, b in zip(alone, shared, strict=True)), n


def test_results_keep_the_memory_order_of_the_input():
    x = guarded((2, 3, 4, 5), np.float32, "channels_last", 1.0).array
    assert kernels.compiled("tanh")(x).strides == x.strides
    g = np.ones(x.shape, np.float32)
    assert kernels.compiled("silu_backward")(g, x)[0].strides == x.strides


def test_locked_and_broadcast_arrays_compile_nothing_new():
    loop = kernels.compiled("silu_backward").__globals__["_silu_backward"]
    x, g = np.ones((40, 60), np.float32), np.ones((40, 60), np.float32)
    kernels.compiled("silu_backward")(g, x)
    before = len(loop.serial.signatures)
    locked = x.copy()
    locked.flags.writeable = False
    kernels.compiled("silu_backward")(np.broadcast_to(np.float32(2), x.shape), locked)
    assert len(loop.serial.signatures) == before and not locked.flags.writeable


def test_writable_view_shares_memory_and_keeps_it_alive():
    x = np.arange(5.0)
    assert layout.writable_view(x) is x
    x.flags.writeable = False
    view = layout.writable_view(x)
    assert view.flags.writeable and np.shares_memory(view, x) and same_bits(view, x)
    assert view.base is not None


def test_gelu_refuses_an_unknown_approximation():
    for backend in (kernels.compiled("gelu"), reference.gelu):
        with pytest.raises(ValueError, match='"none" or "tanh"'):
            backend(np.ones(3), approximate="fast")


# -- rows ------------------------------------------------------------------------------------------------------


def row_arguments(name, x, axis):
    """Arguments for a row kernel: x alone, or a gradient and a result."""
    if name == "logsumexp_backward":
        y = reference.logsumexp(x, axis)
        return RNG.normal(size=y.shape).astype(x.dtype), np.array(x), y
    if name.endswith("_backward"):
        return RNG.normal(size=x.shape).astype(x.dtype), getattr(reference, name.removesuffix("_backward"))(x, axis)
    return (x,)


@pytest.mark.parametrize("name", [*ROWS, "logsumexp_backward"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_kernel_is_its_definition_along_every_axis(name, dtype):
    for shape in [(1,), (3,), (65,), (4, 7), (3, 16), (5, 33), (2, 3, 5), (1, 1, 1), (2, 1, 257)]:
        x = numbers(shape, dtype, False)
        for axis, order in itertools.product(range(-1, len(shape)), ORDERS):
            arguments = [guarded(a.shape, dtype, order, a) for a in row_arguments(name, x, axis)]
            hold_together(name, [each.array for each in arguments], {"axis": axis}, TOLERANCE[dtype])
            for each in arguments:
                each.check()


def test_row_kernels_leave_empty_arrays_and_several_axes_to_the_definition():
    x = RNG.normal(size=(3, 4, 5))
    for axis in (None, (0, 2), (1,)):
        hold_together("logsumexp", [x], {"axis": axis}, 1e-13)
    hold_together("softmax", [np.ones((0, 4))], {"axis": -1}, 0)
    hold_together("softmax", [np.array(3.0)], {"axis": -1}, 0)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_common_shift_of_a_row_changes_no_bit(name):
    x = RNG.integers(-8, 8, size=(50, 37)).astype(np.float32)
    run = kernels.compiled(name)
    assert same_bits(run(x + np.float32(2**20), -1), run(x, -1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_rows_with_infinities_and_nans(name, dtype):
    rows = np.zeros((8, 19), dtype)
    rows[1, 3] = np.nan
    rows[2, 3] = -np.nan
    rows[3, 4] = np.inf
    rows[4, 5] = -np.inf
    rows[5] = -np.inf
    rows[6, 0], rows[6, 1] = np.inf, -np.inf
    rows[7] = 1e4 * np.arange(19)
    hold_together(name, [rows], {"axis": -1}, 1e-5)


@pytest.mark.parametrize("name", [*ROWS, "logsumexp_backward"])
def test_rows_do_not_depend_on_the_number_of_threads(name):
    if threads.get_num_threads() < 2:
        pytest.skip("one core")
    arguments = row_arguments(name, numbers((211, 129), np.float32, False), -1)
    with threads.num_threads(1):
        alone = kernels.compiled(name)(*arguments, axis=-1)
    with threads.num_threads(2):
        assert same_bits(kernels.compiled(name)(*arguments, axis=-1), alone)


def test_a_wrong_axis_is_refused():
    with pytest.raises(np.exceptions.AxisError if hasattr(np, "exceptions") else np.AxisError):
        kernels.compiled("softmax")(np.ones((3, 4)), 2)
