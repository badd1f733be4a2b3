"""The rules of the optimisers: kernels against definitions, with gradients of every size, order and type."""

import numpy as np
import pytest
from guarded import ORDERS, guarded, same_bits

import minigen as mg
from minigen import optim
from minigen.kernels import jit, optimizer, reference, threads
from minigen.optim import clip_grad_norm_

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}
PIECE = optimizer.PIECE

RULES = {
    "adam": [dict(rate=0.01, betas=(0.9, 0.999), eps=1e-8, decay=0.0, shrink=0.99),
             dict(rate=0.1, betas=(0.5, 0.9), eps=1e-3, decay=0.2, shrink=1.0)],
    "adamax": [dict(rate=0.01, betas=(0.9, 0.999), eps=1e-8, decay=0.0),
               dict(rate=0.1, betas=(0.5, 0.9), eps=1e-3, decay=0.2)],
    "sgd": [dict(lr=0.1, keep=0.9, enter=0.7, look_ahead=0.0, decay=0.1),
            dict(lr=0.1, keep=0.9, enter=1.0, look_ahead=0.9, decay=0.0)],
}  # fmt: skip
STATES = {"adam": (2, 3), "adamax": (2,), "sgd": (0, 1)}  # how many arrays: without and with the optional one
CASES = [(name, settings, count) for name in RULES for settings in RULES[name] for count in STATES[name]]
EVERY = pytest.mark.parametrize("name,settings,count", CASES)


def problem(rng, sizes, dtype):
    """p and three state arrays, guarded, and gradients of the given sizes in various orders and shapes."""
    n = sum(sizes)
    arrays = [guarded(n, dtype, values=rng.normal(size=n)) for _ in range(2)]
    arrays += [guarded(n, dtype, values=rng.random(n)) for _ in range(2)]  # running squares are not negative
    gradients = []
    for size in sizes:
        shape = (2, size // 2) if size % 2 == 0 and size else (size,)
        gradients.append(guarded(shape, dtype, str(rng.choice(ORDERS)), values=rng.normal(size=shape)).array)
    return arrays, gradients


def run(backend, name, settings, count, arrays, gradients):
    state = list(arrays[1 : 1 + count])
    if count == STATES[name][0] and len(STATES[name]) == 2:
        state.append(None)
    getattr(backend, name)(arrays[0], gradients, *state, **settings)
    return arrays[: 1 + count]


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rule_equals_its_definition_for_random_sizes(name, settings, count, dtype):
    rng = np.random.default_rng(1)
    for _ in range(30):
        sizes = [0, 1, 2, 7, 64, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5]
        sizes = rng.choice(sizes, size=rng.integers(1, 9)).tolist()
        held, gradients = problem(rng, sizes, dtype)
        arrays = [each.array for each in held]
        expected = run(reference, name, settings, count, [a.copy() for a in arrays], gradients)
        before = [g.copy() for g in gradients]
        found = run(optimizer, name, settings, count, arrays, gradients)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        for each in held:
            each.check()
        assert all(same_bits(a, b) for a, b in zip(gradients, before, strict=True))


@EVERY
def test_bits_depend_neither_on_threads_nor_on_how_the_parameters_are_cut(name, settings, count):
    rng = np.random.default_rng(2)
    held, gradients = problem(rng, [10 * PIECE, 3, 17 * PIECE + 1, PIECE], np.float32)
    start = [each.array.copy() for each in held]
    assert start[0].size > jit.PARALLEL_FROM
    joined = np.concatenate([g.ravel() for g in gradients])
    results = []
    for n in range(1, threads.get_num_threads() + 1):
        with threads.num_threads(n):
            for some in (gradients, [joined], np.array_split(joined, 50)):
                results.append(run(optimizer, name, settings, count, [a.copy() for a in start], some))
    assert all(same_bits(a, b) for result in results[1:] for a, b in zip(result, results[0], strict=True))


def test_gradients_of_another_type_and_numpy_scalars_are_converted():
    p = np.zeros(3, np.float32)
    optimizer.sgd(p, [np.ones(2), np.float32(2)], None, lr=1.0, keep=0.0, enter=1.0, look_ahead=0.0, decay=0.0)
    assert p.tolist() == [-1, -1, -2]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_and_infinite_gradients_spoil_their_own_parameter_only():
    for name, settings, count in CASES:
        rng = np.random.default_rng(3)
        held, gradients = problem(rng, [PIECE, 40], np.float32)
        gradients[0].reshape(-1)[5], gradients[1].reshape(-1)[7] = np.nan, np.inf
        arrays = [each.array for each in held]
        expected = run(reference, name, settings, count, [a.copy() for a in arrays], gradients)
        for a, b in zip(run(optimizer, name, settings, count, arrays, gradients), expected, strict=True):
            assert np.array_equal(np.isfinite(a), np.isfinite(b))


def test_the_moving_average_equals_its_definition():
    rng = np.random.default_rng(4)
    for dtype in (np.float32, np.float64):
        for sizes in ([1], [5, 0, 3], [PIECE, 7, 2 * PIECE + 1]):
            held, params = problem(rng, sizes, dtype)
            expected = held[0].array.copy()
            reference.ema(expected, params, weight=0.001)
            optimizer.ema(held[0].array, params, weight=0.001)
            held[0].check()
            np.testing.assert_allclose(held[0].array, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_the_sum_of_squares_needs_no_room_in_float32_and_no_order():
    rng = np.random.default_rng(5)
    for size in (0, 1, PIECE, 5 * PIECE + 3):
        x = rng.normal(size=size).astype(np.float32) * np.float32(1e25)
        exact = float(np.square(x.astype(np.float64)).sum())
        for backend in (optimizer, reference):
            assert backend.sum_of_squares(x) == pytest.approx(exact, rel=1e-12)
    assert np.isnan(optimizer.sum_of_squares(np.array([1, np.nan], np.float32)))
    x = rng.normal(size=(64, 300))
    for order in ORDERS:
        assert optimizer.sum_of_squares(guarded(x.shape, x.dtype, order, values=x).array) == pytest.approx(
            float(np.square(x).sum()), rel=1e-12
        )


def test_locked_parameters_and_averages_are_still_updated():
    p = mg.tensor(np.ones(5000, np.float32), requires_grad=True)
    optimizer_, average = optim.Adam([p], lr=0.1), optim.EMA([p], decay=0.5)
    p.grad = np.ones(5000, np.float32)
    _ = p.data  # locks the view
    optimizer_.step()
    average.update()
    np.testing.assert_allclose(p.data, 0.9, rtol=1e-5)
    np.testing.assert_allclose(average.state_dict()["average.0"], 0.95, rtol=1e-5)


def test_large_float32_gradients_are_clipped_without_overflow():
    p = mg.tensor(np.zeros(4000, np.float32), requires_grad=True)
    p.grad = np.full(4000, 1e30, np.float32)
    assert clip_grad_norm_([p], 1.0) == pytest.approx(1e30 * 4000**0.5, rel=1e-6)
    np.testing.assert_allclose(np.linalg.norm(p.grad.data), 1.0, rtol=1e-4)
