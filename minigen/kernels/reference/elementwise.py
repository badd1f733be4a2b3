"""Functions of each element in plain NumPy.

exp, log, tanh, … take an array and return one. Those that belong to a fused operation (silu, gelu, softplus) follow
its contract: forward returns (result, extras), backward a tuple of gradients. None saves anything: what backward needs
is computed again from x, which costs less than writing it down and reading it.
"""

import math

import numpy as np
from scipy import special

ROOT_HALF = math.sqrt(0.5)
DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)  # of the standard normal distribution
TANH_SCALE = math.sqrt(2 / math.pi)
TANH_CUBIC = 0.044715


def add(a, b):
    """a + b."""
    return a + b


def exp(x):
    """eˣ."""
    return np.exp(x)


def log(x):
    """log x."""
    return np.log(x)


def erf(x):
    """2/√π ∫₀ˣ e^(−t²) dt."""
    return special.erf(x)


def tanh(x):
    """tanh x."""
    return np.tanh(x)


def tanh_backward(g, y):
    """g (1 − y²) for y = tanh x."""
    return g * (1 - y * y)


def sigmoid(x):
    """1 / (1 + e⁻ˣ) without overflow: only eˣ or e⁻ˣ, whichever is below 1, is computed."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_backward(g, y):
    """g y (1 − y) for y = sigmoid x."""
    return g * y * (1 - y)


def relu(x):
    """max(x, 0)."""
    return np.maximum(x, 0)


def relu_backward(g, y):
    """g where y = relu x is positive, else 0 · g."""
    return g * (y > 0)


def leaky_relu(x, negative_slope):
    """x where x > 0, else negative_slope · x."""
    if 0 <= negative_slope <= 1:
        return np.maximum(x, x * negative_slope)  # the same, twice as fast
    return np.where(x > 0, x, x * negative_slope)


def leaky_relu_backward(g, x, negative_slope):
    """g where x > 0, else negative_slope · g."""
    return np.where(x > 0, g, g * negative_slope)


def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), ()


def softplus_backward(g, x):
    """g sigmoid(x)."""
    return (g * sigmoid(x),)


def silu(x):
    """x sigmoid(x)."""
    return x * sigmoid(x), ()


def silu_backward(g, x):
    """g s (1 + x (1 − s)), s = sigmoid(x)."""
    s = sigmoid(x)
    return (g * (s * (1 + x * (1 - s))),)


def gelu(x, *, approximate):
    """x Φ(x), Φ the standard normal distribution function; or with Φ(x) ≈ ½ (1 + tanh u), u = √(2/π)(x + 0.044715 x³).

    ½ (1 + tanh u) is computed as sigmoid(2u), which keeps its digits where it is small.
    """
    return x * _phi(x, approximate), ()


def gelu_backward(g, x, *, approximate):
    """g (Φ + x Φ′): Φ′ is the normal density, or σ (1 − σ) · 2u′."""
    phi = _phi(x, approximate)
    if approximate == "none":
        slope = DENSITY_AT_0 * np.exp(-0.5 * x * x)
    else:
        slope = phi * (1 - phi) * (2 * TANH_SCALE) * (1 + 3 * TANH_CUBIC * x * x)
    return (g * (phi + x * slope),)


def _phi(x, approximate):
    if approximate == "none":
        return 0.5 * (1 + special.erf(x * ROOT_HALF))
    if approximate == "tanh":
        return sigmoid(2 * TANH_SCALE * (x + TANH_CUBIC * x * x * x))
    raise ValueError(f'gelu: approximate={approximate!r}; expected "none" or "tanh"')
