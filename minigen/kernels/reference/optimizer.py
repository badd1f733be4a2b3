"""The rules of the optimisers in plain NumPy: arrays are changed in place.

p and the state arrays are flat, (N,), and hold many parameters one after the other. `gradients` are the gradients of
these parameters, a list of arrays with N elements in all. Equation numbers: minigen/optim.
"""

import numpy as np


def _joined(arrays, dtype):
    return np.concatenate([x.reshape(-1) for x in arrays], dtype=dtype, casting="same_kind")


def adam(p, gradients, exp_avg, exp_avg_sq, largest, *, rate, betas, eps, decay, shrink):
    """Adam, (O.4)–(O.8).

    largest: the array of amsgrad, or None.   rate: lr r / (1 − β₁ᵗ).   eps: r ε.
    decay:   p times this is added to the gradient.   shrink: p is multiplied by this.
    """
    beta1, beta2 = betas
    g = _joined(gradients, p.dtype)
    if decay:
        g += decay * p
    p *= shrink
    exp_avg += (1.0 - beta1) * (g - exp_avg)
    exp_avg_sq *= beta2
    exp_avg_sq += (1.0 - beta2) * (g * g)
    _without_denormals(exp_avg)
    _without_denormals(exp_avg_sq)
    if largest is not None:
        exp_avg_sq = np.maximum(largest, exp_avg_sq, out=largest)
    p -= rate * (exp_avg / (np.sqrt(exp_avg_sq) + eps))


def adamax(p, gradients, exp_avg, exp_inf, *, rate, betas, eps, decay):
    """Adamax, (O.4), (O.9), (O.10).  rate: lr / (1 − β₁ᵗ)."""
    beta1, beta2 = betas
    g = _joined(gradients, p.dtype)
    if decay:
        g += decay * p
    exp_avg += (1.0 - beta1) * (g - exp_avg)
    _without_denormals(exp_avg)
    np.maximum(beta2 * exp_inf, np.abs(g) + eps, out=exp_inf)
    p -= rate * (exp_avg / exp_inf)


def sgd(p, gradients, momentum_buffer, *, lr, keep, enter, look_ahead, decay):
    """Gradient descent, (O.1)–(O.3).

    momentum_buffer: b, or None.   b ← keep · b + enter · g, then p moves along b or, with look_ahead, along
    g + look_ahead · b.
    """
    g = _joined(gradients, p.dtype)
    if decay:
        g += decay * p
    if momentum_buffer is not None:
        momentum_buffer *= keep
        momentum_buffer += enter * g
        _without_denormals(momentum_buffer)
        g = g + look_ahead * momentum_buffer if look_ahead else momentum_buffer
    p -= lr * g


def _without_denormals(mean):
    """The mean of a unit that has died shrinks for ever. Below the smallest normal number a processor needs a hundred
    times as long for each operation, and nothing that small can move a parameter: there it becomes 0."""
    mean[np.abs(mean) < np.finfo(mean.dtype).tiny] = 0


def ema(average, parameters, *, weight):
    """average ← average + weight · (p − average), (O.11), for the parameters p in a list."""
    average += weight * (_joined(parameters, average.dtype) - average)


def sum_of_squares(x):
    """Σ x², a Python float, in float64."""
    x = x.ravel(order="K").astype(np.float64, copy=False)
    return float(np.dot(x, x))
