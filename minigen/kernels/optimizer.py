"""The rules of the optimisers in one pass over memory.

Adam reads four arrays and writes three, with a dozen operations in between: NumPy goes over memory a dozen times, this
once. An optimiser keeps its parameters in one long array (optim/flat.py), so one call serves a whole network. Only the
gradients lie wherever backward has made them. They are not copied together; the kernel gets a table of their addresses:

    p           [ w₁ w₁ w₁ w₁ w₁ | b₁ | w₂ w₂ w₂ w₂ w₂ w₂ w₂ | b₂ ]        ends = [0, 5, 6, 13, 14]
    pieces      [ · · · · | · · · · | · · · · | · · ]                      what one thread does at a time

For each piece the kernel walks through the gradients that reach into it. Pieces are equal and small, so the work is
shared evenly however the sizes of the parameters are mixed. Every element is computed alone: no result depends on the
pieces or the threads.
"""

import math

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.layout import flat

PIECE = 1024  # elements: five arrays of so many stay in the first-level cache


@intrinsic
def _pointer(context, address, like):
    """The address as a pointer to numbers of the type of the array `like`."""
    pointer = types.CPointer(like.dtype)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(types.intp, like), generate


@device
def _first(ends, place):
    """The gradient that holds element `place`: the last i with ends[i] ≤ place."""
    low, high = 0, ends.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if ends[middle] <= place:
            low = middle
        else:
            high = middle
    return low


def _table(arrays, dtype):
    """(the arrays made contiguous, to be kept alive; their addresses; where each ends when put in a row)"""
    # (NumPy's scalars look like arrays, but their addresses are those of short-lived copies.)
    ready = [type(x) is np.ndarray and x.dtype == dtype and x.flags.c_contiguous for x in arrays]
    arrays = [x if is_ready else np.ascontiguousarray(x, dtype) for x, is_ready in zip(arrays, ready, strict=True)]
    addresses = np.array([x.__array_interface__["data"][0] for x in arrays], np.int64)
    ends = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([x.size for x in arrays], out=ends[1:])
    return arrays, addresses, ends


# -- the loops ------------------------------------------------------------------------------------------------


# new = 1 − β₁, rest = 1 − β₂: computed outside in float64, because 1 − 0.999 has few digits in float32.


@device
def _adam_piece(p, g, m, v, largest, amsgrad, rate, new, beta2, rest, eps, decay, shrink, tiny):
    for i in range(p.size):
        gradient = g[i] + decay * p[i] if decay != 0 else g[i]
        mean = m[i] + new * (gradient - m[i])
        square = beta2 * v[i] + rest * (gradient * gradient)
        m[i] = mean * 0 if math.fabs(mean) < tiny else mean
        v[i] = square * 0 if square < tiny else square
    if amsgrad:
        for i in range(p.size):
            largest[i] = v[i] if not v[i] <= largest[i] else largest[i]
    for i in range(p.size):
        p[i] = shrink * p[i] - rate * (m[i] / (np.sqrt(largest[i]) + eps))


@kernel
def _adam(p, addresses, ends, m, v, largest, amsgrad, rate, new, beta2, rest, eps, decay, shrink, tiny):
    for piece in prange((p.size + PIECE - 1) // PIECE):
        start, stop = piece * PIECE, min(p.size, (piece + 1) * PIECE)
        k = _first(ends, start)
        while start < stop:
            end = min(stop, ends[k + 1])
            g = carray(_pointer(addresses[k], p), (ends[k + 1] - ends[k],))[start - ends[k] : end - ends[k]]
            a, b = start, end
            _adam_piece(
                p[a:b], g, m[a:b], v[a:b], largest[a:b], amsgrad, rate, new, beta2, rest, eps, decay, shrink, tiny
            )
            start, k = end, k + 1


@device
def _adamax_piece(p, g, m, u, rate, new, beta2, eps, decay, tiny):
    for i in range(p.size):
        gradient = g[i] + decay * p[i] if decay != 0 else g[i]
        mean = m[i] + new * (gradient - m[i])
        m[i] = mean * 0 if math.fabs(mean) < tiny else mean
        old, size = beta2 * u[i], math.fabs(gradient) + eps
        u[i] = size if not size <= old else old
        p[i] -= rate * (m[i] / u[i])


@kernel
def _adamax(p, addresses, ends, m, u, rate, new, beta2, eps, decay, tiny):
    for piece in prange((p.size + PIECE - 1) // PIECE):
        start, stop = piece * PIECE, min(p.size, (piece + 1) * PIECE)
        k = _first(ends, start)
        while start < stop:
            end = min(stop, ends[k + 1])
            g = carray(_pointer(addresses[k], p), (ends[k + 1] - ends[k],))[start - ends[k] : end - ends[k]]
            _adamax_piece(p[start:end], g, m[start:end], u[start:end], rate, new, beta2, eps, decay, tiny)
            start, k = end, k + 1


@device
def _sgd_piece(p, g, buffer, momentum, lr, keep, enter, look_ahead, decay, tiny):
    for i in range(p.size):
        gradient = g[i] + decay * p[i] if decay != 0 else g[i]
        if momentum:
            mean = keep * buffer[i] + enter * gradient
            buffer[i] = mean * 0 if math.fabs(mean) < tiny else mean
            gradient = gradient + look_ahead * buffer[i] if look_ahead != 0 else buffer[i]
        p[i] -= lr * gradient


@kernel
def _sgd(p, addresses, ends, buffer, momentum, lr, keep, enter, look_ahead, decay, tiny):
    for piece in prange((p.size + PIECE - 1) // PIECE):
        start, stop = piece * PIECE, min(p.size, (piece + 1) * PIECE)
        k = _first(ends, start)
        while start < stop:
            end = min(stop, ends[k + 1])
            g = carray(_pointer(addresses[k], p), (ends[k + 1] - ends[k],))[start - ends[k] : end - ends[k]]
            _sgd_piece(p[start:end], g, buffer[start:end], momentum, lr, keep, enter, look_ahead, decay, tiny)
            start, k = end, k + 1


@kernel
def _squares(x, sums):
    """Σ x² of each piece."""
    for piece in prange(sums.size):
        part, total = x[piece * PIECE : (piece + 1) * PIECE], 0.0
        for i in range(part.size):
            total += np.float64(part[i]) * np.float64(part[i])
        sums[piece] = total


# -- the functions --------------------------------------------------------------------------------------------


def _tiny(p):
    """The smallest normal number; see the reference for why means stop there."""
    return np.finfo(p.dtype).tiny


def adam(p, gradients, exp_avg, exp_avg_sq, largest, *, rate, betas, eps, decay, shrink):
    """Adam, (O.4)–(O.8); see the reference for the arguments."""
    kept, addresses, ends = _table(gradients, p.dtype)
    numbers = [p.dtype.type(x) for x in (rate, 1 - betas[0], betas[1], 1 - betas[1], eps, decay, shrink, _tiny(p))]
    divisor = exp_avg_sq if largest is None else largest
    _adam(p, addresses, ends, exp_avg, exp_avg_sq, divisor, largest is not None, *numbers, work=4 * p.size)


def adamax(p, gradients, exp_avg, exp_inf, *, rate, betas, eps, decay):
    """Adamax, (O.4), (O.9), (O.10); see the reference for the arguments."""
    kept, addresses, ends = _table(gradients, p.dtype)
    numbers = [p.dtype.type(x) for x in (rate, 1 - betas[0], betas[1], eps, decay, _tiny(p))]
    _adamax(p, addresses, ends, exp_avg, exp_inf, *numbers, work=4 * p.size)


def sgd(p, gradients, momentum_buffer, *, lr, keep, enter, look_ahead, decay):
    """Gradient descent, (O.1)–(O.3); see the reference for the arguments."""
    kept, addresses, ends = _table(gradients, p.dtype)
    numbers = [p.dtype.type(x) for x in (lr, keep, enter, look_ahead, decay, _tiny(p))]
    has_momentum = momentum_buffer is not None
    _sgd(p, addresses, ends, momentum_buffer if has_momentum else p, has_momentum, *numbers, work=3 * p.size)


def ema(average, parameters, *, weight):
    """average ← average + weight · (p − average), (O.11)."""
    # Which is gradient descent with decay: average ← average − (−weight) · (p + (−1) · average).
    kept, addresses, ends = _table(parameters, average.dtype)
    zero, one, w = (average.dtype.type(x) for x in (0, 1, weight))
    _sgd(average, addresses, ends, average, False, -w, zero, zero, zero, -one, zero, work=3 * average.size)


def sum_of_squares(x):
    """Σ x², a Python float, in float64."""
    sums = np.empty(-(-x.size // PIECE))
    _squares(flat(x), sums, work=x.size)
    return float(sums.sum())
