"""The spline against truths: it passes through its knots with the slopes it was given, rises, and ends in lines."""

import numpy as np
import pytest

from minigen import autograd, ops
from minigen.autograd import Tensor
from minigen.errors import ShapeError
from minigen.models.splines import RationalQuadratic

BINS, TAIL = 6, 2.5
SPLINE = RationalQuadratic(BINS, TAIL)


def drawn(shape=(), size=2.0, seed=0):
    return Tensor(size * np.random.default_rng(seed).normal(size=(*shape, SPLINE.numbers)))


def slope(x, numbers):
    """dy/dx by the engine."""
    x = Tensor(x, requires_grad=True)
    (found,) = autograd.grad(ops.sum(SPLINE.forward(x, numbers)[0]), x)
    return found.data


def test_knots_are_met_with_their_slopes_from_both_sides():
    numbers = drawn((1, 1))
    left, width, bottom, height, first, last = (values.data[0, 0] for values in SPLINE.knots(numbers))
    assert left[0] == bottom[0] == -TAIL and first[0] == last[-1] == 1
    assert (left + width)[-1] == pytest.approx(TAIL) and (bottom + height)[-1] == pytest.approx(TAIL)
    np.testing.assert_allclose(left[1:], (left + width)[:-1], atol=1e-12)
    np.testing.assert_array_equal(first[1:], last[:-1])
    inner, heights, slopes = left[1:], bottom[1:], first[1:]
    repeated = Tensor(np.broadcast_to(numbers.data, (1, BINS - 1, SPLINE.numbers)))
    for step in (-1e-9, 0.0, 1e-9):
        x = inner[None] + step
        y, log_slope = SPLINE.forward(Tensor(x), repeated)
        np.testing.assert_allclose(y.data[0], heights, atol=1e-7)
        np.testing.assert_allclose(np.exp(log_slope.data[0]), slopes, rtol=1e-5)
        np.testing.assert_allclose(slope(x, repeated)[0], slopes, rtol=1e-5)
    back, _ = SPLINE.inverse(Tensor(heights[None]), repeated)
    np.testing.assert_allclose(back.data[0], inner, atol=1e-12)


def test_it_rises_and_its_log_slope_is_that_of_the_engine():
    numbers = drawn((1, 1))
    x = np.linspace(-TAIL - 1, TAIL + 1, 4001)[None]
    numbers = Tensor(np.broadcast_to(numbers.data, (1, x.size, SPLINE.numbers)))
    y, log_slope = SPLINE.forward(Tensor(x), numbers)
    assert (np.diff(y.data) > 0).all()
    np.testing.assert_allclose(np.log(slope(x, numbers)), log_slope.data, atol=1e-9)
    assert np.abs(log_slope.data).max() > 0.5  # it does bend


@pytest.mark.parametrize("x", [-TAIL, TAIL, -7.0, 1e30, -1e30])
def test_tails_are_the_identity_and_their_gradients_finite(x):
    x, numbers = Tensor(np.array([[x]]), requires_grad=True), Tensor(drawn((1, 1)).data, requires_grad=True)
    for direction in (SPLINE.forward, SPLINE.inverse):
        y, log_slope = direction(x, numbers)
        assert y.data == x.data and log_slope.data == 0
        for_x, for_numbers = autograd.grad(ops.sum(y + log_slope), [x, numbers])
        assert for_x.data == 1 and (for_numbers.data == 0).all()


def test_the_tails_meet_the_spline_without_a_kink():
    numbers = drawn((1, 2))
    y, log_slope = SPLINE.forward(Tensor(np.array([[-TAIL + 1e-8, TAIL - 1e-8]])), numbers)
    np.testing.assert_allclose(y.data, [[-TAIL, TAIL]], atol=1e-7)
    np.testing.assert_allclose(log_slope.data, 0, atol=1e-5)


def test_the_identity_numbers_make_the_identity():
    x = np.linspace(-3, 3, 61)[None]
    numbers = Tensor(np.broadcast_to(SPLINE.identity().astype(np.float64), (1, 61, SPLINE.numbers)))
    y, log_slope = SPLINE.forward(Tensor(x), numbers)
    np.testing.assert_allclose(y.data, x, atol=1e-7)
    np.testing.assert_allclose(log_slope.data, 0, atol=1e-6)


@pytest.mark.parametrize("size", [1.0, 30.0, 300.0])
def test_single_precision_survives_extreme_numbers(size):
    rng = np.random.default_rng(0)
    x = (1.5 * rng.normal(size=(300, 4))).astype(np.float32)
    numbers = Tensor((size * rng.normal(size=(300, 4, SPLINE.numbers))).astype(np.float32), requires_grad=True)
    for direction in (SPLINE.forward, SPLINE.inverse):
        y, log_slope = direction(Tensor(x), numbers)
        assert np.isfinite(y.data).all() and np.isfinite(log_slope.data).all() and y.dtype == np.float32
        assert np.abs(y.data[np.abs(x) < TAIL]).max() < TAIL * 1.0001
        (gradient,) = autograd.grad(ops.sum(y + log_slope), numbers)
        assert np.isfinite(gradient.data).all()


@pytest.mark.parametrize("size", [2.0, 12.0])
def test_single_precision_finds_its_way_back_within_each_bin(size):
    """ξ of (13.15) is rounded; without care it may leave [0, 1], and the slope's logarithm become NaN."""
    rng = np.random.default_rng(1)
    x = np.clip(1.5 * rng.normal(size=(1, 100_000)), -TAIL, TAIL).astype(np.float32)
    numbers = Tensor((size * rng.normal(size=(1, 100_000, SPLINE.numbers))).astype(np.float32))
    y, _ = SPLINE.forward(Tensor(x), numbers)
    back, log_slope = SPLINE.inverse(y, numbers)
    assert np.isfinite(log_slope.data).all() and np.abs(back.data).max() <= TAIL * (1 + 1e-6)
    assert size > 2 or np.median(np.abs(back.data - x)) < 1e-5  # nearly flat pieces forget where x was


def test_bins_keep_their_least_size_and_slopes_theirs():
    numbers = np.zeros((1, SPLINE.numbers))
    numbers[0, 0], numbers[0, BINS], numbers[0, 2 * BINS] = 200.0, -200.0, -200.0
    _, width, _, height, _, last = (values.data[0] for values in SPLINE.knots(Tensor(numbers)))
    np.testing.assert_allclose(width[1:], 1e-3 * 2 * TAIL)
    assert height[0] == pytest.approx(1e-3 * 2 * TAIL) and last[0] == pytest.approx(1e-3)


@pytest.mark.parametrize("settings", [{"bins": 1}, {"tail": 0.0}, {"bins": 20, "least": 0.05}, {"least": 0.0},
                                      {"least_slope": 1.0}, {"least_slope": -0.5}])
def test_what_makes_no_spline_is_refused(settings):
    with pytest.raises(ShapeError, match="RationalQuadratic: bins="):
        RationalQuadratic(**settings)


def test_a_wrong_number_of_numbers_is_told():
    with pytest.raises(ShapeError, match=r"\(1, 2, 5\); expected \(…, 17\)"):
        SPLINE.forward(Tensor(np.zeros((1, 2))), Tensor(np.zeros((1, 2, 5))))
