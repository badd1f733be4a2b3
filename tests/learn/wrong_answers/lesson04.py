"""What learners typically write in lesson 04, as they would write it, and a phrase that the feedback must contain."""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

# -- 04.1 -------------------------------------------------------------------------------------------------------------


def as_the_formula_stands(x, weights, means, covariances):
    p = np.array([w * multivariate_normal.pdf(x, m, c) for w, m, c in zip(weights, means, covariances, strict=True)]).T
    return p / p.sum(axis=1, keepdims=True)


def without_weights(x, weights, means, covariances):
    logs = np.stack([multivariate_normal(m, c).logpdf(x) for m, c in zip(means, covariances, strict=True)], axis=1)
    logs -= logs.max(axis=1, keepdims=True)
    r = np.exp(logs)
    return r / r.sum(axis=1, keepdims=True)


def logs_of(x, weights, means, covariances):
    logs = np.empty((len(x), len(weights)))
    for k in range(len(weights)):
        logs[:, k] = np.log(weights[k]) + multivariate_normal(means[k], covariances[k]).logpdf(x)
    return logs


def normalised_over_examples(x, weights, means, covariances):
    logs = logs_of(x, weights, means, covariances)
    r = np.exp(logs - logs.max(axis=0))
    return r / r.sum(axis=0)


def one_maximum_for_all(x, weights, means, covariances):
    logs = logs_of(x, weights, means, covariances)
    r = np.exp(logs - np.max(logs))
    return r / r.sum(1)[:, None]


def still_logarithms(x, weights, means, covariances):
    logs = logs_of(x, weights, means, covariances)
    return logs - logsumexp(logs, axis=1, keepdims=True)


def no_determinant(x, weights, means, covariances):
    logs = []
    for w, m, c in zip(weights, means, covariances, strict=True):
        d = x - m
        logs.append(np.log(w) - 0.5 * np.sum(d * np.linalg.solve(c, d.T).T, axis=1))
    logs = np.stack(logs, axis=1)
    return np.exp(logs - logsumexp(logs, axis=1)[:, None])


def determinant_without_root(x, weights, means, covariances):
    logs = []
    for w, m, c in zip(weights, means, covariances, strict=True):
        d = x - m
        squares = np.sum(d * np.linalg.solve(c, d.T).T, axis=1)
        logs.append(np.log(w) - 0.5 * squares - np.linalg.slogdet(c)[1])
    logs = np.stack(logs, axis=1)
    return np.exp(logs - logsumexp(logs, axis=1)[:, None])


def no_half(x, weights, means, covariances):
    logs = np.zeros((len(x), len(weights)))
    for k, (w, m, c) in enumerate(zip(weights, means, covariances, strict=True)):
        d = x - m
        logs[:, k] = np.log(w) - np.sum(d * np.linalg.solve(c, d.T).T, axis=1) - 0.5 * np.linalg.slogdet(c)[1]
    return np.exp(logs - logsumexp(logs, axis=1)[:, None])


def hard_choice(x, weights, means, covariances):
    logs = logs_of(x, weights, means, covariances)
    return (logs == logs.max(axis=1, keepdims=True)).astype(float)


def components_in_rows(x, weights, means, covariances):
    logs = logs_of(x, weights, means, covariances).T
    return np.exp(logs - logsumexp(logs, axis=0))


# -- 04.2 -------------------------------------------------------------------------------------------------------------


def counts_as_weights(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    return counts, means, spreads(x, r, means)


def spreads(x, r, means):
    return np.stack([(r[:, k, None] * (x - means[k])).T @ (x - means[k]) / r[:, k].sum() for k in range(r.shape[1])])


def means_over_all(x, r):
    means = r.T @ x / len(x)
    return r.mean(0), means, spreads(x, r, means)


def covariances_over_all(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    return counts / len(x), means, spreads(x, r, means) * counts[:, None, None] / len(x)


def by_numpy_cov(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    covariances = np.stack([np.atleast_2d(np.cov(x.T, aweights=r[:, k])) for k in range(r.shape[1])])
    return counts / len(x), means, covariances


def weighted_twice(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    covariances = []
    for k in range(r.shape[1]):
        d = r[:, [k]] * (x - means[k])
        covariances.append(d.T @ d / counts[k])
    return counts / len(x), means, np.array(covariances)


def around_the_mean_of_all(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    d = x - x.mean(0)
    covariances = np.einsum("bk,bi,bj->kij", r, d, d) / counts[:, None, None]
    return counts / len(x), means, covariances


def second_moments(x, r):
    counts = r.sum(0)
    return counts / len(x), r.T @ x / counts[:, None], np.einsum("bk,bi,bj->kij", r, x, x) / counts[:, None, None]


def variances_only(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    return counts / len(x), means, r.T @ x**2 / counts[:, None] - means**2


def means_first(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    return means, spreads(x, r, means), counts / len(x)


def nothing_returned(x, r):
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    spreads(x, r, means)


# -- 04.3 -------------------------------------------------------------------------------------------------------------


def as_it_was(x, weights, means, covariances):
    r = soft(x, weights, means, covariances)
    return weighted_twice(x, r)


def soft(x, weights, means, covariances):
    logs = logs_of(x, weights, means, covariances)
    return np.exp(logs - logsumexp(logs, axis=1, keepdims=True))


def divided_by_squares(x, weights, means, covariances):
    r = soft(x, weights, means, covariances)
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    weighted = r[:, :, None] * (x[:, None] - means)
    covariances = np.einsum("bki,bkj->kij", weighted, weighted) / (r**2).sum(0)[:, None, None]
    return counts / len(x), means, covariances


def around_old_means(x, weights, means, covariances):
    r = soft(x, weights, means, covariances)
    counts = r.sum(0)
    d = x[:, None] - means
    covariances = np.einsum("bk,bki,bkj->kij", r, d, d) / counts[:, None, None]
    return counts / len(x), r.T @ x / counts[:, None], covariances


def without_responsibilities(x, weights, means, covariances):
    r = soft(x, weights, means, covariances)
    counts = r.sum(0)
    means = r.T @ x / counts[:, None]
    d = x[:, None] - means
    return counts / len(x), means, np.einsum("bki,bkj->kij", d, d) / counts[:, None, None]


def weights_left_out(x, weights, means, covariances):
    r = without_weights(x, weights, means, covariances)
    return (r.mean(0), *counts_as_weights(x, r)[1:])


def keeps_the_weights(x, weights, means, covariances):
    _, means, covariances = counts_as_weights(x, soft(x, weights, means, covariances))
    return weights, means, covariances


def two_e_steps(x, weights, means, covariances):
    r = soft(x, weights, means, covariances)
    weights_new, means = r.mean(0), r.T @ x / r.sum(0)[:, None]
    return weights_new, means, spreads(x, soft(x, weights, means, covariances), means)


# -- 04.4 -------------------------------------------------------------------------------------------------------------


def run(x, weights, means, covariances, rounds, add):
    history = []
    for _ in range(rounds):
        history.append(logsumexp(logs_of(x, weights, means, covariances), axis=1).mean())
        r = soft(x, weights, means, covariances)
        weights, means, covariances = counts_as_weights(x, r)
        weights, covariances = weights / len(x), covariances + add
    return history, (weights, means, covariances)


def stops_one_short(x, weights, means, covariances, rounds, reg_covar):
    return run(x, weights, means, covariances, rounds, reg_covar * np.eye(x.shape[1]))[0]


def starts_one_late(x, weights, means, covariances, rounds, reg_covar):
    history, last = run(x, weights, means, covariances, rounds, reg_covar * np.eye(x.shape[1]))
    return [*history[1:], logsumexp(logs_of(x, *last), axis=1).mean()]


def added_everywhere(x, weights, means, covariances, rounds, reg_covar):
    history, last = run(x, weights, means, covariances, rounds, reg_covar)
    return np.array([*history, logsumexp(logs_of(x, *last), axis=1).mean()])


def forgets_reg_covar(x, weights, means, covariances, rounds, reg_covar):
    history, last = run(x, weights, means, covariances, rounds, 0)
    return [*history, logsumexp(logs_of(x, *last), axis=1).mean()]


def sums(x, weights, means, covariances, rounds, reg_covar):
    history, last = run(x, weights, means, covariances, rounds, reg_covar * np.eye(x.shape[1]))
    return [value * len(x) for value in [*history, logsumexp(logs_of(x, *last), axis=1).mean()]]


def losses(x, weights, means, covariances, rounds, reg_covar):
    history, last = run(x, weights, means, covariances, rounds, reg_covar * np.eye(x.shape[1]))
    return [-value for value in [*history, logsumexp(logs_of(x, *last), axis=1).mean()]]


def only_the_last(x, weights, means, covariances, rounds, reg_covar):
    _, last = run(x, weights, means, covariances, rounds, reg_covar * np.eye(x.shape[1]))
    return logsumexp(logs_of(x, *last), axis=1).mean()


# -- 04.5 -------------------------------------------------------------------------------------------------------------


def all_weights_free(components, dimensions, covariance):
    K, D = components, dimensions
    each = {"full": K * D * (D + 1) // 2, "diag": K * D, "spherical": K, "tied": D * (D + 1) // 2}
    return K + K * D + each[covariance]


def square_matrices(components, dimensions, covariance):
    K, D = components, dimensions
    each = {"full": K * D**2, "diag": K * D, "spherical": K, "tied": D**2}
    return K - 1 + K * D + each[covariance]


def strict_triangle(components, dimensions, covariance):
    K, D = components, dimensions
    each = {"full": K * D * (D - 1) // 2, "diag": K * D, "spherical": K, "tied": D * (D - 1) // 2}
    return K - 1 + K * D + each[covariance]


def tied_for_each(components, dimensions, covariance):
    K, D = components, dimensions
    if covariance == "diag":
        return K - 1 + 2 * K * D
    if covariance == "spherical":
        return K - 1 + K * D + K
    return K - 1 + K * D + K * D * (D + 1) // 2


def no_means(components, dimensions, covariance):
    K, D = components, dimensions
    return K - 1 + {"full": K * D * (D + 1) // 2, "diag": K * D, "spherical": K, "tied": D * (D + 1) // 2}[covariance]


def spherical_once(components, dimensions, covariance):
    K, D = components, dimensions
    each = {"full": K * D * (D + 1) // 2, "diag": K * D, "spherical": 1, "tied": D * (D + 1) // 2}
    return K - 1 + K * D + each[covariance]


# -- 04.6 -------------------------------------------------------------------------------------------------------------


def in_probabilities(log_initial, log_transition, log_emission):
    alpha = np.exp(log_initial + log_emission[0])
    for row in log_emission[1:]:
        alpha = (alpha @ np.exp(log_transition)) * np.exp(row)
    return np.log(alpha.sum())


def wrong_way_round(log_initial, log_transition, log_emission):
    log_alpha = log_initial + log_emission[0]
    for row in log_emission[1:]:
        log_alpha = logsumexp(log_transition + log_alpha, axis=1) + row
    return logsumexp(log_alpha)


def summed_over_where_it_goes(log_initial, log_transition, log_emission):
    log_alpha = log_initial + log_emission[0]
    for row in log_emission[1:]:
        log_alpha = logsumexp(log_alpha[:, None] + log_transition, axis=1) + row
    return logsumexp(log_alpha)


def viterbi(log_initial, log_transition, log_emission):
    best = log_initial + log_emission[0]
    for t in range(1, len(log_emission)):
        best = np.max(best[:, None] + log_transition, axis=0) + log_emission[t]
    return best.max()


def first_throw_missing(log_initial, log_transition, log_emission):
    log_alpha = log_initial
    for row in log_emission[1:]:
        log_alpha = logsumexp(log_alpha[:, None] + log_transition, axis=0) + row
    return logsumexp(log_alpha)


def moves_before_the_first(log_initial, log_transition, log_emission):
    log_alpha = log_initial
    for row in log_emission:
        log_alpha = logsumexp(log_alpha[:, None] + log_transition, axis=0) + row
    return logsumexp(log_alpha)


def messages_not_summed(log_initial, log_transition, log_emission):
    log_alpha = log_initial + log_emission[0]
    for row in log_emission[1:]:
        log_alpha = logsumexp(log_alpha[:, None] + log_transition, axis=0) + row
    return log_alpha


def no_initial(log_initial, log_transition, log_emission):
    log_alpha = log_emission[0]
    for row in log_emission[1:]:
        log_alpha = logsumexp(log_alpha[:, None] + log_transition, axis=0) + row
    return logsumexp(log_alpha)


WRONG = {
    "04.1": [
        (as_the_formula_stands, "0/0 is nan"),
        (without_weights, "weights π_k are missing"),
        (logs_of, "logarithms of the joint probabilities"),
        (normalised_over_examples, "axis 1"),
        (one_maximum_for_all, "Each row needs its own maximum"),
        (still_logarithms, "logarithms of the responsibilities"),
        (no_determinant, "(det Σ_k)^(−½) is missing"),
        (determinant_without_root, "with a square root"),
        (no_half, "The ½ before"),
        (hard_choice, "hard choice"),
        (components_in_rows, "transposed"),
    ],
    "04.2": [
        (counts_as_weights, "they are shares"),
        (means_over_all, "The means are divided by B"),
        (covariances_over_all, "The covariances are divided by B"),
        (by_numpy_cov, "np.cov"),
        (weighted_twice, "squared"),
        (around_the_mean_of_all, "mean of all data"),
        (second_moments, "subtract μ_k"),
        (variances_only, "the whole matrix"),
        (means_first, "in the order"),
        (nothing_returned, "wanted 3"),
    ],
    "04.3": [
        (as_it_was, "the broken step as it was"),
        (divided_by_squares, "divided by Σ r²"),
        (around_old_means, "around the old means"),
        (without_responsibilities, "disappeared from the covariances"),
        (weights_left_out, "missing in the E step"),
        (keeps_the_weights, "old weights"),
        (two_e_steps, "the same r"),
    ],
    "04.4": [
        (stops_one_short, "The last number is missing"),
        (starts_one_late, "The first number is missing"),
        (added_everywhere, "on the diagonal"),
        (forgets_reg_covar, "was not added"),
        (sums, "the mean is wanted"),
        (losses, "minus sign"),
        (only_the_last, "the whole list"),
    ],
    "04.5": [
        (all_weights_free, "only K − 1"),
        (square_matrices, "symmetric"),
        (strict_triangle, "The diagonal of a covariance is free"),
        (tied_for_each, "share one covariance"),
        (no_means, "The means are missing"),
        (spherical_once, "a variance of its own"),
    ],
    "04.6": [
        (in_probabilities, "log α"),
        (wrong_way_round, "backwards"),
        (summed_over_where_it_goes, "no label ever changed"),
        (viterbi, "Viterbi"),
        (first_throw_missing, "first throw is missing"),
        (moves_before_the_first, "before the first throw"),
        (messages_not_summed, "one number for each label"),
        (no_initial, "π_k are missing"),
    ],
}
