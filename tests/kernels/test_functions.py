"""exp, log, log1p, tanh, sigmoid, erf of one number: their largest errors, and what they do at the ends."""

import math

import numpy as np
import pytest
from guarded import distance_in_ulp, same_bits
from numba import njit
from scipy import special

from minigen.kernels import functions
from minigen.kernels.jit import FAST

# What the docstrings promise, in ulp.
BOUNDS = {"exp": 1.1, "log": 1.1, "log1p": 1.0, "tanh": 3.0, "sigmoid": 3.0, "erf": 2.0}
RNG = np.random.default_rng(0)
COUNT = 400_000
LOOPS = {}


def apply(name, x):
    """The function in a loop that is vectorised as kernels are."""
    if name not in LOOPS:
        function = getattr(functions, name)

        @njit(fastmath=FAST, error_model="numpy")
        def loop(x, y):
            for i in range(x.size):
                y[i] = function(x[i])

        LOOPS[name] = loop
    y = np.empty_like(x)
    LOOPS[name](x, y)
    return y


def exact_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


EXACT = {"exp": np.exp, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": exact_sigmoid, "erf": special.erf}


def tenth_powers(low, high):
    return 10 ** RNG.uniform(low, high, COUNT)


def points(name, dtype):
    """Numbers over the whole range of a function, dense where it is hard."""
    single = dtype == np.float32
    if name in ("exp", "sigmoid"):
        ends = (-104, 89) if single else (-746, 710)
        some = [RNG.uniform(*ends, COUNT), 3 * RNG.normal(size=COUNT), tenth_powers(-30, 0), -tenth_powers(-30, 0)]
    elif name == "log":
        some = [tenth_powers(*((-45, 38) if single else (-323, 308))), RNG.uniform(0.5, 2, COUNT)]
        some.append(1 + 0.01 * RNG.normal(size=COUNT))
    elif name == "log1p":
        some = [tenth_powers(-44, 30), RNG.uniform(0, 1, COUNT), -1 + tenth_powers(-6, 0)]
    else:
        some = [3 * RNG.normal(size=COUNT), tenth_powers(-44, 1), RNG.uniform(-1.1, 1.1, COUNT)]
    return np.concatenate(some).astype(dtype)


@pytest.mark.parametrize("name", BOUNDS)
def test_error_in_float32_is_below_the_stated_bound(name):
    x = points(name, np.float32)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64))
    assert distance_in_ulp(apply(name, x), exact) < BOUNDS[name]


@pytest.mark.skipif(np.finfo(np.longdouble).precision <= 15, reason="no type here is wider than float64")
@pytest.mark.parametrize("name", sorted(set(BOUNDS) - {"erf"}))
def test_error_in_float64_is_below_the_stated_bound(name):
    x = points(name, np.float64)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
    assert distance_in_ulp(apply(name, x), exact) < BOUNDS[name]


def precise_erf(x):
    """erf in extended precision: its series of positive terms, x e^(−x²) Σ (2x²)ⁿ / (2n + 1)!!."""
    x = x.astype(np.longdouble)
    term = total = np.ones_like(x)
    for n in range(1, 120):
        term = term * 2 * x * x / (2 * n + 1)
        total = total + term
    return 2 / np.sqrt(np.longdouble("3.14159265358979323846264338327950288")) * x * np.exp(-x * x) * total


@pytest.mark.skipif(np.finfo(np.longdouble).precision <= 15, reason="no type here is wider than float64")
def test_error_of_erf_in_float64_is_below_the_stated_bound():
    x = np.concatenate([RNG.uniform(-4, 4, 60_000), RNG.uniform(0.9, 1.1, 20_000), 10 ** RNG.uniform(-300, 0, 20_000)])
    assert np.allclose(precise_erf(x).astype(float), special.erf(x), rtol=1e-14)  # the yardstick itself
    assert distance_in_ulp(apply("erf", x), precise_erf(x)) < BOUNDS["erf"]
    beyond = RNG.uniform(4, 30, 10_000)
    assert distance_in_ulp(apply("erf", beyond), special.erf(beyond)) < BOUNDS["erf"]


@pytest.mark.parametrize("name", BOUNDS)
def test_the_docstring_states_the_bound_that_is_tested(name):
    assert f"below {BOUNDS[name]:g} ulp" in getattr(functions, name).__doc__


INF, NAN = math.inf, math.nan
ENDS = {
    "exp": [(INF, INF), (-INF, 0), (NAN, NAN), (0, 1), (-0.0, 1), (1e4, INF), (-1e4, 0)],
    "log": [(INF, INF), (-INF, NAN), (NAN, NAN), (0, -INF), (-0.0, -INF), (-1, NAN), (1, 0), (-1e-40, NAN)],
    "log1p": [(INF, INF), (-INF, NAN), (NAN, NAN), (0, 0), (-1, -INF), (-2, NAN), (1e-40, 1e-40)],
    "tanh": [(INF, 1), (-INF, -1), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e30, 1), (-1e30, -1)],
    "sigmoid": [(INF, 1), (-INF, 0), (NAN, NAN), (0.0, 0.5), (-0.0, 0.5), (1e4, 1), (-1e4, 0)],
    "erf": [(INF, 1), (-INF, -1), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e30, 1), (-1e30, -1)],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ENDS)
def test_infinities_nans_and_zeros(name, dtype):
    x, expected = np.array(ENDS[name], dtype=dtype).T
    for copies in (1, 7, 16):  # alone, in a remainder, and in a vector
        y = apply(name, np.repeat(x, copies))
        assert same_bits(y, np.repeat(expected, copies))
        assert np.array_equal(np.signbit(y[y == 0]), np.signbit(np.repeat(expected, copies)[y == 0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_passes_through_the_denormal_numbers(dtype):
    tiny, smallest = np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal
    x = np.linspace(math.log(smallest), math.log(tiny), 1001).astype(dtype)
    y = apply("exp", x)
    with np.errstate(under="ignore"):
        assert np.all(np.abs(y - np.exp(x)) <= smallest) and np.sum((0 < y) & (y < tiny)) > 900
    assert apply("exp", np.array([math.log(smallest) - 1], dtype))[0] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_overflows_where_it_must(dtype):
    limit = dtype(np.log(np.finfo(dtype).max))
    around = np.array([np.nextafter(limit, dtype(0)), limit, np.nextafter(limit, dtype(np.inf))])
    with np.errstate(over="ignore"):
        assert np.array_equal(np.isinf(apply("exp", around)), np.isinf(np.exp(around)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_sorts_as_numbers_do_and_is_undone(dtype):
    special_ones = [0, np.inf, -np.inf, 1e-40, -1e-40, 1e30]
    x = np.unique(np.concatenate([RNG.normal(size=1000), special_ones]).astype(dtype))
    integer = np.int32 if dtype == np.float32 else np.int64

    @njit
    def both(x, bits, back):
        for i in range(x.size):
            bits[i] = functions.order(x[i])
            back[i] = functions.from_order(functions.order(x[i]))

    bits, back = np.empty(x.size, integer), np.empty_like(x)
    both(x, bits, back)
    assert same_bits(back, x) and np.all(bits[1:] > bits[:-1])


def test_outside_kernels_they_say_where_they_belong():
    with pytest.raises(TypeError, match="inside kernels"):
        functions.exp(1.0)
