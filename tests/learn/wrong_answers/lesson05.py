"""What learners typically write, as they would write it, and a phrase that the feedback must contain.

They are in a learner's style, in NumPy or in Tensors as it comes, not copies of the exercises' own lists of mistakes.
"""

import numpy as np
from numpy import exp, log, mean

import minigen as mg
from minigen import likelihoods, nn
from minigen.models.vae import VAE, mlp_decoder, mlp_encoder

# -- 05.1 -------------------------------------------------------------------------------------------------------------


def log_variance_as_scale(mean, log_var, rng):
    epsilon = rng.standard_normal(mean.shape)
    return mean + log_var * epsilon


def variance_as_scale(mean, log_var, rng):
    epsilon = rng.standard_normal(mean.shape)
    return mean + log_var.exp() * epsilon


def unscaled_noise(mean, log_var, rng):
    return mean + rng.standard_normal(mean.shape)


def no_noise(mean, log_var, rng):
    return mean


def one_noise_vector_for_the_batch(mean, log_var, rng):
    epsilon = rng.standard_normal(mean.shape[1])
    return mean + mg.sqrt(mg.exp(log_var)) * epsilon


def noise_of_its_own(mean, log_var, rng):
    return mean + mg.exp(log_var / 2) * np.random.standard_normal(mean.shape)


def the_same_noise_in_every_call(mean, log_var, rng):
    rng = np.random.default_rng(0)
    return mean + mg.exp(log_var / 2) * rng.standard_normal(mean.shape)


def drawn_by_numpy(mean, log_var, rng):
    return mg.tensor(rng.normal(mean.data, np.exp(log_var.data / 2)))


def returns_an_array(mean, log_var, rng):
    return rng.normal(mean.data, np.exp(log_var.data / 2))


def summed_over_codes(mean, log_var, rng):
    return (mean + mg.exp(log_var / 2) * rng.standard_normal(mean.shape)).sum(1)


def scale_cut_from_the_graph(mean, log_var, rng):
    sigma = mg.exp(0.5 * log_var).detach()
    return mean + sigma * rng.standard_normal(mean.shape)


def numpy_on_tensors(mean, log_var, rng):
    return mean + np.exp(log_var / 2) * rng.standard_normal(mean.shape)


def one_noise_number(mean, log_var, rng):
    return mean + mg.exp(log_var / 2) * rng.standard_normal()


def uniform_noise(mean, log_var, rng):
    return mean + mg.exp(log_var / 2) * rng.uniform(size=mean.shape)


def uniform_noise_around_zero(mean, log_var, rng):
    return mean + mg.sqrt(mg.exp(log_var)) * (2 * rng.random(mean.shape) - 1)


# -- 05.2 -------------------------------------------------------------------------------------------------------------


def kl_of_every_code(mean, log_var):
    return 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)


def kl_of_the_whole_batch(mean, log_var):
    return (0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)).sum()


def kl_averaged_over_codes(mean, log_var):
    return (0.5 * (mean**2 + mg.exp(log_var) - 1 - log_var)).mean(1)


def kl_negative(mean, log_var):
    return 0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1)


def kl_without_half(mean, log_var):
    return np.sum(mean**2 + np.exp(log_var) - 1 - log_var, axis=1)


def kl_with_log_var_as_variance(mean, log_var):
    return 0.5 * np.sum(mean**2 + log_var - 1 - np.log(log_var), axis=1)


def kl_with_log_var_as_log_sigma(mean, log_var):
    sigma = np.exp(log_var)
    return 0.5 * np.sum(mean**2 + sigma**2 - 1 - np.log(sigma**2), axis=-1)


def kl_other_way_round(mean, log_var):
    return 0.5 * np.sum((1 + mean**2) / np.exp(log_var) - 1 + log_var, axis=1)


def kl_without_a_gradient(mean, log_var):
    m, v = (t.data if isinstance(t, mg.Tensor) else t for t in (mean, log_var))
    return mg.sum(mg.tensor(0.5 * (m**2 + np.exp(v) - 1 - v)), dim=1)


def kl_with_a_half_cut_gradient(mean, log_var):
    sigma2 = mg.exp(log_var)
    sigma2 = sigma2.detach() if isinstance(sigma2, mg.Tensor) else sigma2
    return 0.5 * mg.sum(mean * mean + sigma2 - 1 - log_var, dim=1)


# -- 05.3 -------------------------------------------------------------------------------------------------------------


def elbo_instead(log_weights):
    return log_weights.mean(0)


def summed_weights(log_weights):
    m = log_weights.max(0)
    return m + np.log(np.exp(log_weights - m).sum(0))


def wrong_axis(log_weights):
    m = log_weights.max(1, keepdims=True)
    return (m + np.log(np.mean(np.exp(log_weights - m), axis=1, keepdims=True)))[:, 0]


def overflowing(log_weights):
    return log(mean(exp(log_weights), axis=0))


def the_largest_weight(log_weights):
    return log_weights.max(0)


def maximum_not_added_back(log_weights):
    m = log_weights.max(0)
    return np.log(np.exp(log_weights - m).mean(0))


def one_maximum_for_all_examples(log_weights):
    m = np.max(log_weights)
    return m + np.log(np.mean(np.exp(log_weights - m), axis=0))


def minimum_taken_out(log_weights):
    m = log_weights.min(axis=0)
    return m + np.log(np.mean(np.exp(log_weights - m), axis=0))


def mean_taken_out(log_weights):
    m = log_weights.mean(0)
    return m + np.log(np.exp(log_weights - m).mean(0))


# -- 05.4 -------------------------------------------------------------------------------------------------------------


def smallest_directions(x, latent):
    x = x - x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    variance = values[latent:].mean()
    return vectors[:, :latent] * np.sqrt(np.maximum(values[:latent] - variance, 0)), variance


def not_centred(x, latent):
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    variance = values[:-latent].mean()
    return vectors[:, -latent:] * np.sqrt(values[-latent:] - variance), variance


def plain_pca(x, latent):
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    return vectors[:, -latent:] * np.sqrt(values[-latent:]), values[:-latent].mean()


def unbiased_covariance(x, latent):
    values, vectors = np.linalg.eigh(np.cov(x.T))
    variance = np.mean(values[:-latent])
    return vectors[:, -latent:] * np.sqrt(values[-latent:] - variance), variance


def noise_summed(x, latent):
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    variance = values[:-latent].sum()
    return vectors[:, -latent:] * np.sqrt(np.maximum(values[-latent:] - variance, 0)), variance


def only_the_weights(x, latent):
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    return vectors[:, -latent:]


def transposed_weights(x, latent):
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    variance = values[:-latent].mean()
    return (vectors[:, -latent:] * np.sqrt(values[-latent:] - variance)).T, variance


def not_divided_by_n(x, latent):
    x = x - x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x)
    variance = values[:-latent].mean()
    return vectors[:, -latent:] * np.sqrt(values[-latent:] - variance), variance


def centred_by_one_number(x, latent):
    x = x - x.mean()
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    variance = values[:-latent].mean()
    return vectors[:, -latent:] * np.sqrt(values[-latent:] - variance), variance


def rows_as_eigenvectors(x, latent):
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    variance = values[:-latent].mean()
    return vectors[-latent:].T * np.sqrt(values[-latent:] - variance), variance


def first_value_left_out(x, latent):
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    variance = values[latent]
    return vectors[:, :latent] * np.sqrt(values[:latent] - variance), variance


# -- 05.5 -------------------------------------------------------------------------------------------------------------


def ties_lost(labels, scores):
    return np.mean(scores[labels == 1][:, None] > scores[labels == 0])


def ties_won(labels, scores):
    return np.mean(scores[labels == 1][:, None] >= scores[labels == 0])


def reversed_order(labels, scores):
    d = scores[labels == 0][:, None] - scores[labels == 1]
    return np.mean((d > 0) + 0.5 * (d == 0))


def argsort_ranks(labels, scores):
    ranks = np.argsort(np.argsort(scores, kind="stable")) + 1
    n1, n0 = np.sum(labels == 1), np.sum(labels == 0)
    return (ranks[labels == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)


def counted_not_averaged(labels, scores):
    d = scores[labels == 1][:, None] - scores[labels == 0]
    return np.sum((d > 0) + 0.5 * (d == 0))


def trapezia_without_ties(labels, scores):
    hit = labels[np.argsort(-scores, kind="stable")]
    true_rate = np.concatenate([[0], np.cumsum(hit) / hit.sum()])
    false_rate = np.concatenate([[0], np.cumsum(1 - hit) / (1 - hit).sum()])
    return np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2)


def share_of_all_pairs(labels, scores):
    d = scores[labels == 1][:, None] - scores[labels == 0]
    return np.sum((d > 0) + 0.5 * (d == 0)) / len(scores) ** 2


def share_of_all_different_pairs(labels, scores):
    d = scores[labels == 1][:, None] - scores[labels == 0]
    n = len(scores)
    return np.sum((d > 0) + 0.5 * (d == 0)) / (n * (n - 1) / 2)


# -- 05.6 -------------------------------------------------------------------------------------------------------------


def _vae(rng, likelihood, latent=4, hidden=32, **settings):
    encoder = mlp_encoder(64, latent, hidden=hidden, dropout=0.0, high=16, rng=rng)
    decoder = mlp_decoder(latent, likelihood, 64, hidden=hidden, dropout=0.0, rng=rng)
    return VAE(encoder, decoder, likelihood, latent, **settings)


def only_a_network(rng):
    return nn.Linear(64, 10, rng=rng)


def far_too_large(rng):
    return _vae(rng, likelihoods.Categorical(17), hidden=1000)


def another_beta(rng):
    return _vae(rng, likelihoods.Categorical(17), beta=0.01)


def real_valued_likelihood(rng):
    return _vae(rng, likelihoods.Gaussian())


def free_levels_and_too_small(rng):
    return _vae(rng, likelihoods.Categorical(17), latent=2, hidden=16)


WRONG = {
    "05.1": [
        (log_variance_as_scale, "multiply the noise by log σ² itself"),
        (variance_as_scale, "multiply the noise by the variance"),
        (unscaled_noise, "noise is not scaled"),
        (no_noise, "there is no noise in it"),
        (one_noise_vector_for_the_batch, "All examples share one noise vector"),
        (noise_of_its_own, "does not come from the rng given"),
        (the_same_noise_in_every_call, "the same in every call"),
        (drawn_by_numpy, "no gradient reaches mean and log_var"),
        (returns_an_array, "no gradient can flow"),
        (summed_over_codes, "shape (20000,), wanted (20000, 3)"),
        (scale_cut_from_the_graph, "not log_var"),
        (numpy_on_tensors, "mg.exp"),
        (one_noise_number, "One noise number serves the whole array"),
        (uniform_noise, "Your noise is uniform"),
        (uniform_noise_around_zero, "Your noise is uniform"),
    ],
    "05.2": [
        (kl_of_every_code, "shape (4, 3), wanted (4,): Sum over the latent dimensions; each example has one KL"),
        (kl_of_the_whole_batch, "summed over the batch as well"),
        (kl_averaged_over_codes, "averaged over the latent dimensions"),
        (kl_negative, "opposite sign"),
        (kl_without_half, "the ½ is missing"),
        (kl_with_log_var_as_variance, "used log_var where σ² belongs"),
        (kl_with_log_var_as_log_sigma, "treated log_var as log σ"),
        (kl_other_way_round, "the other way round"),
        (kl_without_a_gradient, "the gradient is not"),
        (kl_with_a_half_cut_gradient, "the gradient is not"),
    ],
    "05.3": [
        (elbo_instead, "averaged the logarithms"),
        (summed_weights, "subtract log k"),
        (wrong_axis, "shape (5,), wanted (3,): You averaged over the examples"),
        (overflowing, "e^(−1500) is 0"),
        (the_largest_weight, "an upper estimate (subtracting log k makes it a lower one)"),
        (maximum_not_added_back, "did not add it back"),
        (one_maximum_for_all_examples, "Each example needs its own maximum"),
        (minimum_taken_out, "You take out another number than the maximum"),
        (mean_taken_out, "You take out another number than the maximum"),
    ],
    "05.4": [
        (smallest_directions, "sorts its eigenvalues ascending"),
        (not_centred, "did not subtract the mean"),
        (plain_pca, "W is too long"),
        (unbiased_covariance, "divided by n − 1"),
        (noise_summed, "you summed them"),
        (not_divided_by_n, "did not divide xᵀx by n"),
        (centred_by_one_number, "You subtracted one number"),
        (rows_as_eigenvectors, "its eigenvectors are the columns"),
        (first_value_left_out, "you took only the largest of them"),
        (only_the_weights, "wanted two things"),
        (transposed_weights, "one column for each code"),
    ],
    "05.5": [
        (ties_lost, "counts ½, not 0"),
        (ties_won, "counts ½, not 1"),
        (reversed_order, "Yours is 1 − AUROC"),
        (argsort_ranks, "argsort ranks them in the order of the file"),
        (counted_not_averaged, "did not divide by their number"),
        (trapezia_without_ties, "one slanted step of the curve"),
        (share_of_all_pairs, "divided by the number of all pairs"),
        (share_of_all_different_pairs, "divided by the number of all pairs"),
    ],
    "05.6": [
        (only_a_network, "wanted a VAE"),
        (far_too_large, "at most 600,000 are allowed"),
        (another_beta, "leave it at 1"),
        (real_valued_likelihood, "does not give probabilities of 17 grey levels"),
        (free_levels_and_too_small, "Which likelihood knows"),
    ],
}
