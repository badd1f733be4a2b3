"""What the exercises of lesson 03 are compared with; some have a choice left open, so that it can be made wrongly.

    first_step            Adam's first step                                      (3.10)–(3.12)
    exponent              how the noise of a batch falls with its size           (3.15)
    constant              what makes up for an activation                        (3.20)
    batch_norm_gradient   backward through a normalisation                       (3.25)
"""

import numpy as np

from minigen.kernels import reference

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def first_step(gradient, lr):
    """By how much Adam moves parameters in its very first step: (3.10)–(3.12) with t = 1."""
    m, v = (1 - BETA1) * gradient, (1 - BETA2) * gradient**2
    m_hat, v_hat = m / (1 - BETA1), v / (1 - BETA2)
    return -lr * m_hat / (np.sqrt(v_hat) + EPS)


def variances(gradients, sizes, rng, *, draws=1000, reduce=np.mean, spread=np.var):
    """The spread of a batch's gradient for every batch size, summed over the parameters: an array."""
    found = []
    for size in sizes:
        chosen = rng.integers(0, len(gradients), size=(draws, size))
        found.append(spread(reduce(gradients[chosen], axis=1), axis=0).sum())
    return np.array(found)


def slope(values, sizes):
    """The exponent k of values ∝ sizesᵏ: the slope of the line through the logarithms."""
    return np.polyfit(np.log(sizes), np.log(values), 1)[0]


def exponent(gradients, sizes, rng):
    """The measured k in: variance of a batch's mean gradient ∝ Bᵏ. Equation (3.15) says −1."""
    return slope(variances(gradients, sizes, rng), sizes)


def mean_square(means, axis):
    """The mean of the squares: what a variance is if nobody subtracts the mean."""
    return np.mean(means**2, axis=axis)


def constant(before, after):
    """c such that weights of variance c/n keep the mean square from layer to layer: (3.20), E[z²] = c E[f(z)²]."""
    return np.mean(before**2) / np.mean(after**2)


def batch_norm_gradient(g, x, eps):
    """(3.25): the gradient for x (B, C), where g is that for x̂."""
    one, zero = np.ones(x.shape[1]), np.zeros(x.shape[1])
    return reference.batch_norm_backward(g, x, one, zero, mean=x.mean(0), var=x.var(0), eps=eps)[0]


def three_terms(g, x, eps, *, axis=0, mean=1.0, along=1.0, scale=None, ddof=0, spread=None):
    """(3.25) with choices left open for the mistakes; `scale` and `spread` map (x, eps) to the outer and inner s."""
    s = np.sqrt(x.var(axis=axis, keepdims=True, ddof=ddof) + eps)
    inner = s if spread is None else spread(x, eps)
    outer = inner if scale is None else scale(x, eps)
    normal = (x - x.mean(axis=axis, keepdims=True)) / inner
    inside = g - mean * g.mean(axis=axis, keepdims=True)
    return (inside - along * normal * (g * normal).mean(axis=axis, keepdims=True)) / outer
