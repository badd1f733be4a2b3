"""exp, log, tanh, sigmoid, erf of one number, written so that the compiler can do 16 numbers at once.

A processor multiplies and adds whole vectors, but has no instruction for eˣ. The C library's exp is a function call for
each number, with branches inside: a loop around it runs one number at a time, ten times slower than it could. The
functions here have no calls and no branches, only arithmetic, comparisons that *select*, and arithmetic on the bits of
a number, so LLVM turns a loop over them into vector instructions.

**The bits.** A floating-point number is 2ᵉ · m with 1 ≤ m < 2; its bits are, from the top: sign, e + bias, digits of m.
So putting n + bias into the place of the exponent makes 2ⁿ, and reading it gives the logarithm's whole part.

**exp.** Write x = n · log 2 + r with a whole number n and |r| ≤ ½ log 2. Then

    eˣ = 2ⁿ · eʳ,      eʳ = 1 + r + r² q(r)                                                              (F.1)

with a polynomial q. Rounding to n: adding 1.5 · 2²³ to a float32 leaves no room for digits behind the point, so the sum
is rounded, and its lowest bits *are* n. (A conversion from float to int would be undefined for NaN; this is not.) The
product n · log 2 must be exact, else r would be wrong: log 2 is cut into a short head, whose product with n has no
rounding, and a tail (Cody & Waite 1980). 2ⁿ is multiplied on in two halves, so that results below the smallest normal
number lose their digits one by one, as they should, and those above the largest become infinite.

**log.** x = 2ᵏ m with √½ ≤ m < √2, log x = k log 2 + log m. With f = m − 1 and s = f / (2 + f),
log m = log(1 + s) − log(1 − s) is a series in s² (as in fdlibm's e_log.c and e_logf.c).

**tanh x** = t / (t + 2) with t = e²ˣ − 1, taken for −|x| so that nothing overflows. e²ˣ − 1 comes from (F.1) without
subtracting 1 from a number near 1: 2ⁿ (r + r² q) + (2ⁿ − 1).

**erf x** = x + x P(x²) for |x| < 1, and 1 − e^(−|x| Q(|x|)) beyond: two polynomials, one is selected.

The polynomials' coefficients are in coefficients.py. Errors are given in ulp: distances between neighbouring
numbers of the type, at the result. tests/kernels/test_functions.py proves the bounds against higher precision.
"""

import math

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from minigen.kernels.coefficients import HEAD_OF_LOG_2, P_OF_ERF, Q_OF_ERF, Q_OF_EXP, R_OF_LOG, TAIL_OF_LOG_2
from minigen.kernels.jit import OF_DEVICES, device

INTEGER = {types.float32: types.int32, types.float64: types.int64}
NUMBER = {types.int32: types.float32, types.int64: types.float64}


@intrinsic
def bits_of(context, x):
    """The bits of a number as an integer of the same length."""
    return INTEGER[x](x), lambda context, builder, signature, values: builder.bitcast(
        values[0], context.get_value_type(signature.return_type)
    )


@intrinsic
def number_of(context, bits):
    """The number that has these bits."""
    return NUMBER[bits](bits), lambda context, builder, signature, values: builder.bitcast(
        values[0], context.get_value_type(signature.return_type)
    )


def polynomial(coefficients, number):
    """c₀ + c₁ x + c₂ x² + … by Horner's rule, as a function for kernels."""
    names = {f"c{i}": number(c) for i, c in enumerate(coefficients)}
    text = f"c{len(names) - 1}"
    for i in reversed(range(len(names) - 1)):
        text = f"({text}) * x + c{i}"
    return device(eval(f"lambda x: {text}", names))  # the whole formula in one expression, nothing left to loop over


# -- the functions, for one type ------------------------------------------------------------------------------


def _functions(number, integer, digits, bias, above, below, erf_is_one):
    """All functions for one type of number, whose bits are read as `integer`.

    digits: bits behind the point of m.   bias: of the exponent.   above, below: where eˣ is infinite, and 0.
    """
    shift = integer(digits)
    exponent_of_1 = integer(bias)
    round_up = number(1.5 * 2.0**digits)  # added to a number, it rounds it
    bits_of_round_up = integer(round_up.view(integer))
    per_log_2 = number(1 / math.log(2))
    head, tail = number(HEAD_OF_LOG_2[number]), number(TAIL_OF_LOG_2[number])
    zero, half, one, two = number(0), number(0.5), number(1), number(2)
    above, below = number(above), number(below)
    q = polynomial(Q_OF_EXP[number], number)

    @device
    def power_of_2(n):
        """2ⁿ for a whole number n of type `integer` in the range of normal numbers."""
        return number_of(integer((n + exponent_of_1) << shift))

    @device
    def split(x):
        """n, and r + r² q(r) = eʳ − 1, for x = n log 2 + r.  (F.1)"""
        rounded = x * per_log_2 + round_up
        n = rounded - round_up
        r = (x - n * head) - n * tail
        return integer(bits_of(rounded) - bits_of_round_up), r * r * q(r) + r

    @device
    def exp(x):
        x = above if x > above else (below if x < below else x)
        n, growth = split(x)
        first = integer(n >> integer(1))
        return (growth + one) * power_of_2(first) * power_of_2(integer(n - first))

    smallest_normal = number(2.0 ** (1 - bias))
    scale_up = number(2.0 ** (digits + 1))
    scaled = number(digits + 1)
    root_half = integer(number(math.sqrt(0.5)).view(integer))
    of_digits = integer((1 << digits) - 1)
    series = polynomial(R_OF_LOG[number], number)
    infinity, nan = number(math.inf), number(math.nan)

    @device
    def log_of_sum(u, rest):
        """log(u + rest) for a normal u > 0 and a rest that is too small to be added to it."""
        bits = integer(bits_of(u) - root_half)
        k = number(integer(bits >> shift))
        f = number_of(integer((bits & of_digits) + root_half)) - one
        s = f / (two + f)
        z = s * s
        square = half * f * f
        return s * (square + z * series(z)) + (k * tail + rest / u) - square + f + k * head

    @device
    def at_the_ends(y, x, lowest):
        """y, corrected where its argument x is infinite, NaN, the lowest number allowed, or less."""
        y = y if x < infinity else x
        y = -infinity if x == lowest else y
        return nan if x < lowest else y

    @device
    def log(x):
        small = x < smallest_normal
        y = log_of_sum(x * scale_up if small else x, zero)
        y = y - (scaled * head + scaled * tail) if small else y
        return at_the_ends(y, x, zero)

    @device
    def log1p(x):
        u = x + one
        rest = one - (u - x) if x > one else x - (u - one)  # what was rounded off
        return at_the_ends(log_of_sum(u, rest), x, -one)

    sign, others = integer(np.iinfo(integer).min), integer(np.iinfo(integer).max)
    lowest_of_tanh = number(-20 if digits == 23 else -40)

    @device
    def with_sign_of(x, y):
        return number_of(integer((bits_of(y) & others) | (bits_of(x) & sign)))

    @device
    def tanh(x):
        twice = -two * math.fabs(x)
        n, growth = split(lowest_of_tanh if twice < lowest_of_tanh else twice)
        scale = power_of_2(n)
        t = scale * growth + (scale - one)
        return with_sign_of(x, -t / (t + two))

    @device
    def sigmoid(x):
        e = exp(-math.fabs(x))
        return (one if x >= zero else e) / (one + e)

    erf_is_one = number(erf_is_one)
    p_of_erf = polynomial(P_OF_ERF[number], number)
    q_of_erf = polynomial(Q_OF_ERF[number], number)

    @device
    def erf(x):
        size = math.fabs(x)
        near = x * p_of_erf(x * x) + x
        t = erf_is_one if size > erf_is_one else size
        far = one - exp(-t * q_of_erf(t))
        return near if size < one else with_sign_of(x, far)

    top = integer(8 * number().itemsize - 1)

    @device
    def order(x):
        bits = bits_of(x)
        return integer(bits ^ ((bits >> top) & others))

    @device
    def from_order(bits):
        return number_of(integer(bits ^ ((bits >> top) & others)))

    return locals()


_SINGLE = _functions(np.float32, np.int32, 23, 127, 89, -104, 4.1)
_DOUBLE = _functions(np.float64, np.int64, 52, 1023, 710, -746, 6.1)


# -- the functions, for both ----------------------------------------------------------------------------------


def _inside_kernels(function):
    """Let kernels call `function`: the form for the type of its argument is compiled in its place."""
    forms = {types.float32: _SINGLE, types.float64: _DOUBLE, types.int32: _SINGLE, types.int64: _DOUBLE}

    @overload(function, jit_options=OF_DEVICES)
    def choose(x):
        if x not in forms:
            return None
        form = forms[x][function.__name__]
        return lambda x: form(x)

    return function


def _only_inside():
    raise TypeError("this function exists inside kernels only; for arrays there is minigen.kernels")


@_inside_kernels
def exp(x):
    """eˣ.  Error: below 1.1 ulp. Infinite above 88.72 (709.78), through denormal numbers to 0 below −87.3 (−708.4)."""
    _only_inside()


@_inside_kernels
def log(x):
    """log x.  Error: below 1.1 ulp. −∞ at 0, NaN below."""
    _only_inside()


@_inside_kernels
def log1p(x):
    """log(1 + x).  Error: below 1 ulp. −∞ at −1, NaN below."""
    _only_inside()


@_inside_kernels
def tanh(x):
    """tanh x.  Error: below 3 ulp."""
    _only_inside()


@_inside_kernels
def sigmoid(x):
    """1 / (1 + e⁻ˣ).  Error: below 3 ulp; for x → −∞ through denormal numbers to 0."""
    _only_inside()


@_inside_kernels
def erf(x):
    """erf x.  Error: below 2 ulp."""
    _only_inside()


@_inside_kernels
def order(x):
    """The bits of x as a whole number that is larger if x is larger, so that the maximum of many can be a vector loop.

    Comparing floating-point numbers must heed NaNs, which keeps LLVM from vectorising a maximum; whole numbers have
    none. A positive NaN comes out above +∞, a negative one below −∞.
    """
    _only_inside()


@_inside_kernels
def from_order(x):
    """The inverse of `order`."""
    _only_inside()
