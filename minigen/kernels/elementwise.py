"""Functions of each element, compiled: one pass over memory, all threads, vectors of 4 to 16 numbers.

NumPy computes x · sigmoid(x) in six passes, each writing a new array; for large arrays memory is the limit, and here
there is one pass. The backward passes recompute what they need from x. The formulas are those of
reference/elementwise.py; exp, log, … come from functions.py.

Loops see flat arrays (N,) in the order of memory, and results keep that order (layout.py).
"""

import math

import numpy as np

from minigen.kernels import functions as f
from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.layout import flat, in_order_of, is_dense, like
from minigen.kernels.reference.elementwise import DENSITY_AT_0, ROOT_HALF, TANH_CUBIC, TANH_SCALE

# -- loops ----------------------------------------------------------------------------------------------------


@kernel
def _add(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] + b[i]


@kernel
def _exp(x, y):
    for i in prange(x.size):
        y[i] = f.exp(x[i])


@kernel
def _log(x, y):
    for i in prange(x.size):
        y[i] = f.log(x[i])


@kernel
def _erf(x, y):
    for i in prange(x.size):
        y[i] = f.erf(x[i])


@kernel
def _tanh(x, y):
    for i in prange(x.size):
        y[i] = f.tanh(x[i])


@kernel
def _tanh_backward(y, g, dx):
    one = y.dtype.type(1)
    for i in prange(y.size):
        dx[i] = g[i] * (one - y[i] * y[i])


@kernel
def _sigmoid(x, y):
    for i in prange(x.size):
        y[i] = f.sigmoid(x[i])


@kernel
def _sigmoid_backward(y, g, dx):
    one = y.dtype.type(1)
    for i in prange(y.size):
        dx[i] = g[i] * y[i] * (one - y[i])


@kernel
def _relu(x, y):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        y[i] = zero if x[i] < zero else x[i]


@kernel
def _leaky_relu(x, y, slope):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        y[i] = x[i] if x[i] > zero else slope * x[i]


@kernel
def _leaky_relu_backward(x, g, dx, slope):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        dx[i] = g[i] if x[i] > zero else slope * g[i]


@kernel
def _softplus(x, y):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        y[i] = (zero if x[i] < zero else x[i]) + f.log1p(f.exp(-math.fabs(x[i])))


@kernel
def _softplus_backward(x, g, dx):
    for i in prange(x.size):
        dx[i] = g[i] * f.sigmoid(x[i])


@kernel
def _silu(x, y):
    for i in prange(x.size):
        y[i] = x[i] * f.sigmoid(x[i])


@kernel
def _silu_backward(x, g, dx):
    one = x.dtype.type(1)
    for i in prange(x.size):
        s = f.sigmoid(x[i])
        dx[i] = g[i] * (s * (one + x[i] * (one - s)))


@kernel
def _gelu(x, y):
    number = x.dtype.type
    half, one, root_half = number(0.5), number(1), number(ROOT_HALF)
    for i in prange(x.size):
        y[i] = x[i] * (half * (one + f.erf(x[i] * root_half)))


@device
def _twice_gelu_slope(x, half, one, root_half, density_at_0):
    """2Φ + 2x Φ′. A function of its own, so that nothing is reordered, and with one product alone in the sum, so that
    there is one way to fuse it: the last few numbers, which fill no vector, must be rounded like all others. Else
    results would depend on how threads share the array."""
    return one + f.erf(x * root_half) + x * ((density_at_0 + density_at_0) * f.exp(-half * x * x))


@kernel
def _gelu_backward(x, g, dx):
    number = x.dtype.type
    half, one, root_half, density_at_0 = number(0.5), number(1), number(ROOT_HALF), number(DENSITY_AT_0)
    for i in prange(x.size):
        dx[i] = g[i] * (half * _twice_gelu_slope(x[i], half, one, root_half, density_at_0))


@kernel
def _gelu_tanh(x, y):
    number = x.dtype.type
    scale, cubic = number(2 * TANH_SCALE), number(TANH_CUBIC)
    for i in prange(x.size):
        y[i] = x[i] * f.sigmoid(scale * (x[i] + cubic * x[i] * x[i] * x[i]))


@kernel
def _gelu_tanh_backward(x, g, dx):
    number = x.dtype.type
    one, scale, cubic, slope_of_cubic = number(1), number(2 * TANH_SCALE), number(TANH_CUBIC), number(3 * TANH_CUBIC)
    for i in prange(x.size):
        phi = f.sigmoid(scale * (x[i] + cubic * x[i] * x[i] * x[i]))
        slope = phi * (one - phi) * scale * (one + slope_of_cubic * x[i] * x[i])
        dx[i] = g[i] * (phi + x[i] * slope)


# -- functions on arrays --------------------------------------------------------------------------------------


def _forward(loop, x, *settings):
    """A new array, filled by the loop."""
    numbers, y, results = like(x)
    loop(numbers, results, *settings, work=2 * numbers.size)
    return y


def _backward(loop, g, x, *settings):
    """The gradient for x, in the order of memory of x."""
    numbers, dx, results = like(x)
    _, of_g = in_order_of(dx, g)
    loop(numbers, of_g, results, *settings, work=3 * numbers.size)
    return dx


def add(a, b):
    """a + b, of one shape; NumPy's where their orders of memory differ."""
    if a.shape != b.shape or a.strides != b.strides or a.dtype != b.dtype or not is_dense(a):
        return a + b
    y = np.empty_like(a)
    _add(flat(a), flat(b), flat(y), work=3 * y.size)
    return y


def exp(x):
    """eˣ, to 1.1 ulp."""
    return _forward(_exp, x)


def log(x):
    """log x, to 1.1 ulp."""
    return _forward(_log, x)


def erf(x):
    """erf x, to 2 ulp."""
    return _forward(_erf, x)


def tanh(x):
    """tanh x, to 3 ulp."""
    return _forward(_tanh, x)


def tanh_backward(g, y):
    """g (1 − y²)."""
    return _backward(_tanh_backward, g, y)


def sigmoid(x):
    """1 / (1 + e⁻ˣ), to 3 ulp."""
    return _forward(_sigmoid, x)


def sigmoid_backward(g, y):
    """g y (1 − y)."""
    return _backward(_sigmoid_backward, g, y)


def relu(x):
    """max(x, 0)."""
    return _forward(_relu, x)


def relu_backward(g, y):
    """g where y = relu x is positive, else 0 · g: leaky_relu's with slope 0."""
    return leaky_relu_backward(g, y, 0.0)


def leaky_relu(x, negative_slope):
    """x where x > 0, else negative_slope · x."""
    return _forward(_leaky_relu, x, x.dtype.type(negative_slope))


def leaky_relu_backward(g, x, negative_slope):
    """g where x > 0, else negative_slope · g."""
    return _backward(_leaky_relu_backward, g, x, x.dtype.type(negative_slope))


def softplus(x):
    """log(1 + eˣ)."""
    return _forward(_softplus, x), ()


def softplus_backward(g, x):
    """g sigmoid(x)."""
    return (_backward(_softplus_backward, g, x),)


def silu(x):
    """x sigmoid(x)."""
    return _forward(_silu, x), ()


def silu_backward(g, x):
    """g s (1 + x (1 − s))."""
    return (_backward(_silu_backward, g, x),)


def gelu(x, *, approximate):
    """x Φ(x)."""
    return _forward(_exact_or_tanh(approximate, _gelu, _gelu_tanh), x), ()


def gelu_backward(g, x, *, approximate):
    """g (Φ + x Φ′)."""
    return (_backward(_exact_or_tanh(approximate, _gelu_backward, _gelu_tanh_backward), g, x),)


def _exact_or_tanh(approximate, exact, by_tanh):
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: approximate={approximate!r}; expected "none" or "tanh"')
    return exact if approximate == "none" else by_tanh
