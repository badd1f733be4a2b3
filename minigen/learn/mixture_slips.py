"""Lesson 04's computations with one thing wrong, as `slips` has for lesson 05.

Each is the textbook's form of a step, with a choice left open, so that a `Mistake` can make that choice wrongly.
"""

import numpy as np
from scipy.special import logsumexp, softmax


def log_joint(x, weights, means, covariances, *, half=0.5, root=0.5, inverse=np.linalg.inv, weigh=True):
    """log π_k N(x_b; μ_k, Σ_k), (B, K).

    half:     the factor before (x − μ)ᵀ Σ⁻¹ (x − μ);   root: that before log det Σ
    inverse:  Σ → what stands between the differences;   weigh: whether log π_k is added
    """
    centred = x[:, None] - means  # (B, K, D)
    squares = np.einsum("bki,kij,bkj->bk", centred, np.stack([inverse(c) for c in covariances]), centred)
    log_det = np.linalg.slogdet(covariances)[1]
    constant = 0.5 * x.shape[1] * np.log(2 * np.pi)
    return (np.log(weights) if weigh else 0) - half * squares - root * log_det - constant


def responsibilities(*parameters, axis=1, **choices):
    """(4.3), from `log_joint` with its choices.   axis: what is made to sum to 1"""
    return softmax(log_joint(*parameters, **choices), axis=axis)


def shifted(*parameters):
    """(4.3) with one number, the largest of all, taken out of every row."""
    joint = log_joint(*parameters)
    density = np.exp(joint - joint.max())
    return density / density.sum(axis=1, keepdims=True)


def hard(r):
    """1 for the largest responsibility of each example, 0 for the others."""
    return np.eye(r.shape[1])[r.argmax(axis=1)]


def moments(x, r, *, share=None, divide=None, spread=None, around=None, power=1, weigh=True):
    """(4.4), (4.5), (4.6), with one step done otherwise.

    share, divide, spread:  N → what takes its place as B π, below the means, below the covariances
    around:   what the covariances are taken around, by default the new means
    power:    of r in the covariances;   weigh: False leaves r out of them
    """
    counts = r.sum(axis=0)
    means = r.T @ x / (counts if divide is None else divide(counts))[:, None]
    centred = x[:, None] - (means if around is None else around)  # (B, K, D)
    factor = r**power if weigh else np.ones_like(r)
    below = counts if spread is None else spread(counts)
    covariances = np.einsum("bk,bki,bkj->kij", factor, centred, centred) / below[:, None, None]
    return (counts if share is None else share(counts)) / len(x), means, covariances


def step(x, weights, means, covariances, *, axis=1, weigh=True, sharpen=None, **choices):
    """One round of EM: `responsibilities`, then `moments`, with the choices of both.

    sharpen:  responsibilities → what is used in their place
    """
    r = responsibilities(x, weights, means, covariances, axis=axis, weigh=weigh)
    return moments(x, r if sharpen is None else sharpen(r), **choices)


def squared(x, *given):
    """`step` with covariances that are averages with weights r²."""
    r = responsibilities(x, *given)
    return moments(x, r, power=2, spread=lambda n: (r**2).sum(axis=0))


def unweighted(x, *given):
    """`step` without r in the covariances."""
    return moments(x, responsibilities(x, *given), weigh=False)


def twice(x, weights, means, covariances):
    """`step` with new responsibilities between means and covariances."""
    shares, middle, _ = step(x, weights, means, covariances)
    return shares, middle, moments(x, responsibilities(x, weights, middle, covariances), around=middle)[2]


def unbiased(x, r):
    """`moments` with np.cov's divisor for weights that say how much an example counts."""
    return moments(x, r, spread=lambda n: n - (r**2).sum(axis=0) / n)


def log_of_mean(log_p):
    """The logarithm of the mean of p."""
    return logsumexp(log_p) - np.log(len(log_p))


def climb(x, weights, means, covariances, rounds, diagonal, *, report=np.mean):
    """The log-likelihood before each round of EM and after the last.

    diagonal: what is added to each covariance, (D, D) or a number for all elements;   report: of the (B,) log p(x_b)
    """
    parameters, history = (weights, means, covariances), []
    for _ in range(rounds):
        history.append(report(logsumexp(log_joint(x, *parameters), axis=1)))
        weights, means, covariances = step(x, *parameters)
        parameters = weights, means, covariances + diagonal
    return [*history, report(logsumexp(log_joint(x, *parameters), axis=1))]


def forward(initial, transition, emission, *, first=True, early=False, close=True, every=False,
            add=np.logaddexp.reduce, multiply=np.add):
    """(4.11) in logarithms.

    first:  whether the first emission counts;   early: whether a transition comes before the first throw
    close:  whether the last messages are put together;   every: return the messages of all times
    add:    how the ways into a label are put together;   multiply: how a message meets a probability
    """
    alpha = add(multiply(initial[:, None], transition), axis=0) if early else initial
    alphas = [multiply(alpha, emission[0]) if first else alpha]
    for seen in emission[1:]:
        alphas.append(multiply(add(multiply(alphas[-1][:, None], transition), axis=0), seen))
    if every:
        return np.stack(alphas)
    return add(alphas[-1], axis=0) if close else alphas[-1]


def count(k, d, kind, *, shares=-1, means=None, full=None, tied=1, diag=None, spherical=None):
    """P of (4.9) with one part counted otherwise.

    shares:     added to K, for the weights;   means: numbers in all means;   full: numbers in one full matrix
    tied:       how many tied matrices;   diag, spherical: numbers in all covariances of that kind
    """
    matrix = d * (d + 1) // 2 if full is None else full
    diag, spherical = k * d if diag is None else diag, k if spherical is None else spherical
    spread = {"full": k * matrix, "tied": tied * matrix, "diag": diag, "spherical": spherical}[kind]
    return k + shares + (k * d if means is None else means) + spread
