"""The package's mixture as the functions that lesson 04's exercises ask for, and inputs to compare them on."""

import numpy as np
from scipy.special import logsumexp

from minigen.models.gmm import GaussianMixture, m_step


def mixture(weights, means, covariances, reg_covar=0.0):
    """A GaussianMixture with these parameters.   Shapes: (K,), (K, D), (K, D, D)"""
    model = GaussianMixture(len(weights), reg_covar=reg_covar)
    model.weights, model.means, model.covariances = weights, means, covariances
    return model


def responsibilities(x, weights, means, covariances):
    """r_bk of (4.3).   Shapes: (B, D), (K,), (K, D), (K, D, D) → (B, K)"""
    return mixture(weights, means, covariances).responsibilities(x)


def best_parameters(x, r):
    """(4.4), (4.5), (4.6).   Shapes: (B, D), (B, K) → (K,), (K, D), (K, D, D)"""
    return m_step(x, r, "full", 0.0)


def one_round(x, weights, means, covariances):
    """One E step and one M step.   Shapes: (B, D), (K,), (K, D), (K, D, D) → the last three"""
    return best_parameters(x, responsibilities(x, weights, means, covariances))


def em(x, weights, means, covariances, rounds, reg_covar):
    """The mean log-likelihood (nats) before each round and after the last: a list of rounds + 1 numbers."""
    model = mixture(weights, means, covariances, reg_covar)
    return [*(model.step(x) for _ in range(rounds)), float(model.log_prob(x).mean())]


def parameter_count(components, dimensions, covariance):
    """P of (4.9)."""
    model = GaussianMixture(components, covariance)
    model.weights, model.means = np.full(components, 1 / components), np.zeros((components, dimensions))
    return model.parameters()


def log_forward(log_initial, log_transition, log_emission):
    """log p(x) of a hidden Markov model, in nats: (4.11) on log p(x_1 … x_t, z_t = k) in place of divided messages.

    Shapes:   log π (K,), log A (K, K), log E_{k x_t} of the symbols seen (T, K) → a number
    """
    log_alpha = log_initial + log_emission[0]  # (K,)
    for seen in log_emission[1:]:
        log_alpha = logsumexp(log_alpha[:, None] + log_transition, axis=0) + seen
    return float(logsumexp(log_alpha))


# -- inputs -----------------------------------------------------------------------------------------------------------


def points(rng, examples, count, width, far=0.0, every=3):
    """(x, weights, means, covariances), every third point (or every one) moved by `far`."""
    x = rng.normal(0, 2, size=(examples, width))
    x[::every] += far
    roots = rng.normal(size=(count, width, width))
    covariances = roots @ roots.swapaxes(1, 2) + 0.3 * np.eye(width)
    return x, rng.dirichlet(np.full(count, 3.0)), rng.normal(0, 1.5, size=(count, width)), covariances


def shares(rng, examples, count, width):
    """(x, r) with any responsibilities r."""
    return rng.normal(1, 2, size=(examples, width)), rng.dirichlet(np.ones(count), examples)


def start(rng, examples, count, width):
    """(x, weights, means, covariances) as one may begin EM: means are points, covariances those of all data, scaled."""
    x = rng.normal(size=(examples, width)) + 2 * rng.integers(0, 3, size=(examples, 1))
    covariances = np.tile(np.cov(x.T).reshape(width, width), (count, 1, 1)) * rng.uniform(0.5, 1.5, (count, 1, 1))
    return x, rng.dirichlet(np.full(count, 5.0)), x[rng.choice(examples, count, replace=False)], covariances


def chain(rng, length, count):
    """log π (K,), log A (K, K), log E_{k x_t} (T, K): a hidden Markov model and a row seen from it."""
    table = np.log(rng.dirichlet(np.ones(6), count))  # (K, 6)
    return (np.log(rng.dirichlet(np.ones(count))), np.log(rng.dirichlet(np.ones(count), count)),
            table[:, rng.integers(6, size=length)].T.copy())
