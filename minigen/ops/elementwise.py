"""Operations that act on each element, and their derivatives: the table of school calculus.

Each `@primitive` line reads: the gradient for that input is this function of g, the gradient of the result. Inputs
may have different shapes; they broadcast as in NumPy, and the engine undoes that in the gradient. Rules must work on
arrays and on Tensors, so they use operators and functions of this package only. Comparisons such as `y > 0` give plain
boolean arrays: they are constant almost everywhere, so a second derivative through them is zero, as it should be.
"""

import functools
import math

import numpy as np

from minigen import kernels
from minigen.autograd.fused import fused
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor


def by_kernel(backward, rule):
    """A rule that runs on arrays as one kernel, and on Tensors, to be differentiated again, as the formula given."""

    @functools.wraps(rule)
    def choose(g, *saved):
        return backward(g, *saved) if type(g) is np.ndarray else rule(g, *saved)

    return choose


# -- arithmetic -----------------------------------------------------------------------------------------------


@primitive(a=lambda g: g, b=lambda g: g)
def add(a, b):
    """a + b, elementwise with broadcasting."""
    return kernels.add(a, b) if type(a) is np.ndarray is type(b) else a + b


@primitive(a=lambda g: g, b=lambda g: -g)
def sub(a, b):
    """a − b, elementwise with broadcasting."""
    return a - b


@primitive(a=lambda g, b: g * b, b=lambda g, a: g * a)
def mul(a, b):
    """a · b, elementwise with broadcasting."""
    return a * b


@primitive(a=lambda g, b: g / b, b=lambda g, b, y: -g * y / b)
def div(a, b):
    """a / b, elementwise with broadcasting."""
    return a / b


@primitive(x=lambda g: -g)
def neg(x):
    """−x."""
    return -x


@primitive(x=lambda g, x, exponent: g * (exponent * power(x, exponent - 1)) if exponent else g * 0.0)
def power(x, exponent):
    """x to a constant power. The gradient at exponent 0 is 0, also at x = 0."""
    return x * x if exponent == 2 else x**exponent


@primitive(a=lambda g, a, b: g * b * raise_to(a, b - 1.0), b=lambda g, a, y: g * y * _log_of(a))
def raise_to(a, b):
    """aᵇ for two tensors, a > 0: its gradient for b is aᵇ log a."""
    return a**b


def _log_of(a):
    return math.log(a) if type(a) in (int, float) else log(a)  # np.log of a number would be float64


def pow(x, exponent):
    """x to a power: a number, an array or a Tensor. With a Tensor exponent x must be positive."""
    if type(exponent) in (int, float):
        return power(x, exponent=exponent)
    return raise_to(x, exponent)


# -- exponentials, logarithms, roots, circular functions ------------------------------------------------------


@primitive(x=lambda g, y: g * y)
def exp(x):
    """eˣ."""
    return kernels.exp(x)


@primitive(x=lambda g, x: g / x)
def log(x):
    """The natural logarithm: everything in this package is in nats unless it says bits."""
    return kernels.log(x)


@primitive(x=lambda g, x: g / (1.0 + x))
def log1p(x):
    """log(1 + x), exact for small x."""
    return np.log1p(x)


@primitive(x=lambda g, y: g * (y + 1.0))
def expm1(x):
    """eˣ − 1, exact for small x."""
    return np.expm1(x)


@primitive(x=lambda g, y: 0.5 * g / y)
def sqrt(x):
    """√x. Its slope is infinite at 0: add a small constant first where x can be 0."""
    return np.sqrt(x)


@primitive(x=lambda g, x: g * cos(x))
def sin(x):
    """sin x, x in radians."""
    return np.sin(x)


@primitive(x=lambda g, x: -g * sin(x))
def cos(x):
    """cos x, x in radians."""
    return np.cos(x)


@primitive(x=lambda g, x: g * (2.0 / math.sqrt(math.pi)) * exp(-x * x))
def erf(x):
    """The error function, 2/√π ∫₀ˣ e^(−t²) dt."""
    return kernels.erf(x)


@primitive(x=lambda g, x: g * np.sign(_array(x)))
def abs(x):
    """|x|. The gradient at the kink x = 0 is taken as 0."""
    return np.abs(x)


# -- squashing functions and rectifiers -----------------------------------------------------------------------


@primitive(x=by_kernel(kernels.tanh_backward, lambda g, y: g * (1.0 - y * y)))
def tanh(x):
    """tanh x, from −1 to 1."""
    return kernels.tanh(x)


@primitive(x=by_kernel(kernels.sigmoid_backward, lambda g, y: g * y * (1.0 - y)))
def sigmoid(x):
    """1 / (1 + e⁻ˣ), from 0 to 1; never overflows."""
    return kernels.sigmoid(x)


@fused(forward=kernels.softplus, backward=kernels.softplus_backward)
def softplus(x):
    """log(1 + eˣ): a smooth relu, and −log of sigmoid(−x).

    Written here as log(1 + eˣ) for x ≤ 0 and x + log(1 + e⁻ˣ) above, so that nothing overflows.
    """
    positive = _array(x) > 0
    return where(positive, x, 0.0) + log1p(exp(where(positive, -x, x)))


@primitive(x=by_kernel(kernels.relu_backward, lambda g, y: g * (y > 0)))
def relu(x):
    """max(x, 0)."""
    return kernels.relu(x)


@primitive(
    x=by_kernel(
        kernels.leaky_relu_backward,
        lambda g, x, negative_slope: select(g, g * negative_slope, condition=x > 0),
    )
)
def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope · x."""
    return kernels.leaky_relu(x, negative_slope)


@primitive(x=lambda g, x, y, alpha: select(g, g * (y + alpha), condition=x > 0))
def elu(x, alpha=1.0):
    """x where x > 0, else α(eˣ − 1).  Source: Clevert et al. 2015, arXiv:1511.07289."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@fused(forward=kernels.silu, backward=kernels.silu_backward)
def silu(x):
    """x · sigmoid(x), also called swish.  Source: Elfwing et al. 2017, arXiv:1702.03118."""
    return x * sigmoid(x)


@fused(forward=kernels.gelu, backward=kernels.gelu_backward)
def gelu(x, *, approximate="none"):
    """x Φ(x) with Φ the standard normal distribution function.

    approximate: "none", or "tanh" for Φ(x) ≈ ½ (1 + tanh(√(2/π) (x + 0.044715 x³))), as in GPT-2.
    Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.  Differs: nothing.
    """
    if approximate == "none":
        return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))
    return 0.5 * x * (1.0 + tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


@primitive(x=lambda g, p, key: dropout(g, p=p, key=key))
def dropout(x, p, key):
    """Each element set to 0 with probability p, the others divided by 1 − p. A whole number `key` decides which.

    The same key makes the same choice. So no mask is kept for the gradient: it passes through the same call.
    Raises: ValueError unless 0 ≤ p < 1.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p={p}; expected 0 ≤ p < 1")
    return kernels.dropout(x, p, key)


# -- choosing -------------------------------------------------------------------------------------------------


@primitive(a=lambda g, condition: g * _array(condition), b=lambda g, condition: g * ~_array(condition))
def select(a, b, condition):
    """a where the boolean array `condition` holds, else b. `where` is the same with the condition first."""
    return np.where(condition, a, b)


def where(condition, a, b):
    """a where the boolean array `condition` holds, else b; all three broadcast."""
    return select(a, b, condition=np.array(_array(condition), dtype=bool))


@primitive(a=lambda g, a, b: 0.5 * (g * (a > b) + g * (a >= b)), b=lambda g, a, b: 0.5 * (g * (b > a) + g * (b >= a)))
def maximum(a, b):
    """The larger of a and b. Where they are equal each gets half of the gradient."""
    return np.maximum(a, b)


@primitive(a=lambda g, a, b: 0.5 * (g * (a < b) + g * (a <= b)), b=lambda g, a, b: 0.5 * (g * (b < a) + g * (b <= a)))
def minimum(a, b):
    """The smaller of a and b. Where they are equal each gets half of the gradient."""
    return np.minimum(a, b)


@primitive(x=lambda g, x, min, max: g * _inside(_array(x), min, max))
def clip(x, min=None, max=None):
    """x limited to [min, max]; either may be None. No gradient flows where the limit was applied."""
    if min is None and max is None:
        raise ValueError("clip: expected min or max, got neither")
    return np.clip(x, min, max)


def _inside(x, low, high):
    inside = np.ones(np.shape(x), dtype=bool)
    if low is not None:
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    return inside


def _array(x):
    """The plain array of a Tensor or array: for masks and signs, which are constant almost everywhere."""
    return x._data if isinstance(x, Tensor) else x
