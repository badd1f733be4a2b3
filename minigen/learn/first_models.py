"""The first models of lesson 01, each a function of a few lines: what its exercises compare with."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm

from minigen.metrics.likelihood import bits_per_dim


def gaussian_fit(x):
    """The maximum-likelihood Gaussian of every column, by SciPy: (mean, deviation).

    Equation: (1.8)
    Shapes:   x (n, D) → (D,), (D,)
    """
    fits = np.array([norm.fit(column) for column in x.T])  # (D, 2)
    return fits[:, 0], fits[:, 1]


def bits_of_pictures(nats, shape):
    """Bits per dimension of pictures of a shape.   Equation: (1.17)   Shapes: nats (B,) → (B,)"""
    return bits_per_dim(nats, int(np.prod(shape)))


def witten_bell(counts, shorter):
    """P(·|h) from what followed the context h, and P(·|h′) of the context without its oldest character.

    Equation: (1.21); a context that was never seen has no say
    Shapes:   counts c(hw) (V,), shorter P(w|h′) (V,) → (V,)
    """
    total, types = counts.sum(), np.count_nonzero(counts)  # c(h), T(h)
    return (counts + types * shorter) / (total + types) if total else shorter


class Babble:
    """What follows a text over three symbols, looking at the last one only; called like an n-gram's prediction."""

    _after = np.array([[0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.25, 0.05, 0.7]])
    _first = np.array([0.2, 0.5, 0.3])

    def __call__(self, text):
        return (self._after[text[-1]] if len(text) else self._first).copy()

    def __repr__(self):
        return "a table for 3 symbols"


BABBLE = Babble()


def sample_text(predict, n, temperature, rng):
    """n symbols, each drawn from P^(1/temperature), made to sum to 1, given those before it.

    Equation: (1.25)
    Shapes:   predict takes the list of numbers so far and gives (V,) probabilities; → a list of n numbers
    """
    return written(predict, n, rng, lambda p: p ** (1 / temperature))


def written(predict, n, rng, sharpen, context=lambda text: text):
    """The loop of `sample_text` with its two choices open: how p is changed, and which part of the text is asked."""
    text = []
    for _ in range(n):
        ends = np.cumsum(sharpen(predict(context(text))))  # a uniform number falls into one of V intervals
        text.append(int(np.searchsorted(ends, rng.random() * ends[-1], side="right")))
    return text


# -- two ways to a boundary -------------------------------------------------------------------------------------------


def round_clouds(x, y):
    """The generative way: a round Gaussian for each label, by counting and averaging; then Bayes.

    Equation: (1.8) and (1.15) for the fit, (1.19) for w and b of p(1|x) = sigmoid(w·x + b)
    Shapes:   x (n, 2), y (n,) of 0 and 1 → w (2,), b
    """
    mu = np.stack([x[y == 0].mean(axis=0), x[y == 1].mean(axis=0)])  # (2, 2): a mean for each label
    variance, pi = ((x - mu[y]) ** 2).mean(), y.mean()
    w = (mu[1] - mu[0]) / variance
    return w, ((mu[0] ** 2).sum() - (mu[1] ** 2).sum()) / (2 * variance) + np.log(pi / (1 - pi))


def logistic_regression(x, y):
    """The discriminative way: the w and b with the smallest Σ −log p(y|x), found by a numerical minimiser.

    Equation: −log p(y|x) = log(1 + e^(∓t)), t = w·x + b, with − for label 1; its derivative to t is sigmoid(t) − y
    Shapes:   x (n, 2), y (n,) of 0 and 1 → w (2,), b
    """

    def loss(theta):
        t = x @ theta[:2] + theta[2]  # (n,)
        slope = expit(t) - y
        return np.logaddexp(0, np.where(y == 1, -t, t)).sum(), np.append(slope @ x, slope.sum())

    theta = minimize(loss, np.zeros(3), jac=True).x
    return theta[:2], theta[2]
