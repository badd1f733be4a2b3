"""Exercises of lesson 05, variational autoencoders."""

import numpy as np

import minigen as mg
from minigen.autograd import Tensor
from minigen.distributions import kl_standard_normal
from minigen.learn import slips
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.judges import better_digits
from minigen.learn.linear_vae import ppca
from minigen.learn.observers import sample_statistics, up_to_rotation
from minigen.metrics.likelihood import log_mean_exp
from minigen.metrics.ranking import auroc, ranks
from minigen.models.vae import VAE, reparameterise
from minigen.recipes import vae_digits

# -- 05.1 reparameterisation ------------------------------------------------------------------------------------------


def _codes(rng, count, latent):
    return rng.normal(size=(count, latent)), rng.uniform(-2, 2, size=(count, latent))


def _noise(mean, rng, shape=None):
    return rng.standard_normal(mean.shape if shape is None else shape)


REPARAMETERISE = Exercise(
    id="05.1",
    title="Reparameterisation",
    signature="my_sample(mean, log_var, rng)",
    reference=lambda mean, log_var, rng: reparameterise(mean, log_var, rng=rng),
    solution=(reparameterise,),
    cases=lambda rng: [(*_codes(rng, 20_000, 3), np.random.default_rng(1))],
    observe=sample_statistics,
    tolerance=0.06,
    tensors=True,
    hints=(
        "Where does the randomness come from? Draw noise that knows nothing of mean and log_var, then shift and scale.",
        "rng.standard_normal(mean.shape) is ε. You are given log σ², and you need σ.",
        "σ = e^(½ log σ²), so: mean + mg.exp(0.5 * log_var) * rng.standard_normal(mean.shape).",
    ),
    mistakes=(
        Mistake("You multiply the noise by log σ² itself; the scale is σ = e^(½ log σ²).",
                lambda m, s, rng: m + s * _noise(m, rng)),
        Mistake("You multiply the noise by the variance σ²; the scale is the standard deviation, e^(½ log σ²).",
                lambda m, s, rng: m + mg.exp(s) * _noise(m, rng)),
        Mistake("Your noise is not scaled: multiply it by σ = e^(½ log σ²).",
                lambda m, s, rng: m + _noise(m, rng) + 0 * s),
        Mistake("You return the mean: there is no noise in it, so this is not a sample.", lambda m, s, rng: m + 0 * s),
        Mistake("All examples share one noise vector; each example needs its own: draw noise of the shape of mean.",
                lambda m, s, rng: m + mg.exp(0.5 * s) * _noise(m, rng, (1, m.shape[1]))),
        Mistake("Each example has one noise number for all of its codes; draw noise of the shape of mean.",
                lambda m, s, rng: m + mg.exp(0.5 * s) * _noise(m, rng, (m.shape[0], 1))),
        Mistake("One noise number serves the whole array; each of its numbers needs its own: draw noise of the shape "
                "of mean.", lambda m, s, rng: m + mg.exp(0.5 * s) * _noise(m, rng, ())),
        Mistake("Your noise is uniform; the ε of (5.6) is normal: rng.standard_normal(mean.shape).",
                lambda m, s, rng: m + mg.exp(0.5 * s) * rng.random(m.shape)),
        Mistake("Your noise is uniform; the ε of (5.6) is normal: rng.standard_normal(mean.shape).",
                lambda m, s, rng: m + mg.exp(0.5 * s) * rng.uniform(-1, 1, m.shape)),
        Mistake("Your noise does not come from the rng given, so no run can be repeated.",
                lambda m, s, rng: m + mg.exp(0.5 * s) * np.random.default_rng().standard_normal(m.shape)),
        Mistake("Your noise is the same in every call: use the rng as it is given, do not make a new one with a "
                "fixed seed.",
                lambda m, s, rng: m + mg.exp(0.5 * s) * np.random.default_rng(0).standard_normal(m.shape)),
        Mistake("The numbers are right but no gradient reaches mean and log_var: somewhere you used .data, or let "
                "NumPy draw N(mean, σ²) for you. That is the one thing this exercise is about.",
                lambda m, s, rng: Tensor(m.data + np.exp(0.5 * s.data) * _noise(m, rng))),
        Mistake("The gradient reaches mean but not log_var: the scale was computed outside the graph.",
                lambda m, s, rng: m + np.exp(0.5 * s.data) * _noise(m, rng)),
    ),
    afterword="Gradients now flow through a random number.",
)  # fmt: skip

# -- 05.2 the divergence ----------------------------------------------------------------------------------------------


def _kl_terms(mean, log_var):
    return 0.5 * (mean * mean + mg.exp(log_var) - 1 - log_var)  # (B, L)


DIVERGENCE = Exercise(
    id="05.2",
    title="KL divergence in closed form",
    signature="my_kl(mean, log_var)",
    reference=kl_standard_normal,
    cases=lambda rng: [_codes(rng, 4, 3), _codes(rng, 1, 5), _codes(rng, 3, 3), _codes(rng, 5, 1)],
    gradcheck=True,
    hints=(
        "Both Gaussians factor over the L codes, so the divergence is a sum of L one-dimensional ones: equation (5.7).",
        "σ² is e^log_var. For one code: ½ (μ² + σ² − 1 − log σ²).",
        "0.5 * (mean**2 + mg.exp(log_var) - 1 - log_var), then .sum(1) (or mg.sum(…, dim=1)): one value per example.",
    ),
    mistakes=(
        Mistake("Sum over the latent dimensions; each example has one KL.", _kl_terms),
        Mistake("You summed over the batch as well; each example has its own KL, so sum over axis 1 only.",
                lambda m, s: mg.sum(_kl_terms(m, s))),
        Mistake("You averaged over the batch; keep one value per example, only the training step averages.",
                lambda m, s: mg.mean(mg.sum(_kl_terms(m, s), dim=1))),
        Mistake("You summed over the examples (axis 0); sum over the latent dimensions (axis 1).",
                lambda m, s: mg.sum(_kl_terms(m, s), dim=0)),
        Mistake("You averaged over the latent dimensions; the divergence of a product is the sum.",
                lambda m, s: mg.mean(_kl_terms(m, s), dim=1)),
        Mistake("Your KL has the opposite sign. A divergence is never negative.",
                lambda m, s: -mg.sum(_kl_terms(m, s), dim=1)),
        Mistake("Yours is twice the right value: the ½ is missing.", lambda m, s: 2 * mg.sum(_kl_terms(m, s), dim=1)),
        Mistake("The −1 is missing: at μ = 0, σ = 1 the divergence must be 0.",
                lambda m, s: mg.sum(_kl_terms(m, s) + 0.5, dim=1)),
        Mistake("You used log_var where σ² belongs: σ² = e^log_var.",
                lambda m, s: 0.5 * mg.sum(m * m + s - 1 - mg.log(s), dim=1)),
        Mistake("You used log_var where σ² belongs: σ² = e^log_var.",
                lambda m, s: 0.5 * mg.sum(m * m + s - 1 - s, dim=1)),
        Mistake("You treated log_var as log σ: it is log σ², so σ² = e^log_var and there is no factor 2 on it.",
                lambda m, s: mg.sum(_kl_terms(m, 2 * s), dim=1)),
        Mistake("You used σ = e^(½ log_var) where σ² = e^log_var belongs.",
                lambda m, s: 0.5 * mg.sum(m * m + mg.exp(0.5 * s) - 1 - s, dim=1)),
        Mistake("The log σ² has the wrong sign: a narrow q costs more, not less.",
                lambda m, s: 0.5 * mg.sum(m * m + mg.exp(s) - 1 + s, dim=1)),
        Mistake("That is KL(prior ‖ q), the other way round; wanted is KL(q ‖ prior).",
                lambda m, s: 0.5 * mg.sum((1 + m * m) / mg.exp(s) - 1 + s, dim=1)),
        Mistake("The mean enters squared: μ².", lambda m, s: 0.5 * mg.sum(m + mg.exp(s) - 1 - s, dim=1)),
    ),
    afterword="The package's own version is the one your VAE trains with.",
)  # fmt: skip

# -- 05.3 importance weights ------------------------------------------------------------------------------------------


IMPORTANCE = Exercise(
    id="05.3",
    title="The importance-weighted bound",
    signature="my_iwae(log_weights)",
    reference=log_mean_exp,
    solution=(log_mean_exp, VAE.iwae),
    cases=lambda rng: [(rng.normal(-3, 2, size=(5, 3)),), (rng.normal(size=(1, 4)),), (rng.normal(-1500, 9, (50, 2)),),
                       (rng.normal(1200, 9, size=(7, 3)),),
                       (rng.normal(0, 2, size=(9, 3)) + [-1500, 0, 1200],),  # one column far from the next
                       (rng.normal(0, 2, size=(6, 2)) - 1700 * (np.arange(6)[:, None] > 0),)],  # a spread in one
    hints=(
        "Read (5.9) from the inside out: weights, then their average over the k samples (axis 0), then the logarithm.",
        "log(1/k Σ e^v) = logsumexp(v) − log k. And e^−1500 is 0 in floating point: take the largest v out first.",
        "m = log_weights.max(axis=0), then m + np.log(np.mean(np.exp(log_weights - m), axis=0)).",
    ),
    mistakes=(
        Mistake("You averaged the logarithms: that is the ELBO, L_1, whatever k is. Average the weights, then take the "
                "logarithm.", lambda v: np.mean(v, axis=0)),
        Mistake("You summed the weights; their average is wanted: subtract log k.",
                lambda v: log_mean_exp(v) + np.log(len(v))),
        Mistake("You averaged over the examples (axis 1); average over the k samples, axis 0.",
                lambda v: log_mean_exp(v, axis=1)),
        Mistake("You averaged over everything; each example has its own bound, so average over axis 0.",
                lambda v: np.mean(log_mean_exp(v))),
        Mistake("You averaged over everything; each example has its own bound, so average over axis 0.",
                lambda v: log_mean_exp(v.reshape(-1))),
        Mistake("Right formula, but e^(−1500) is 0 and e^1200 is inf in floating point. Take the largest log weight "
                "out of the exponential first, and add it back outside.", lambda v: np.log(np.mean(np.exp(v), axis=0))),
        Mistake("That is the largest log weight, an upper estimate (subtracting log k makes it a lower one); the "
                "logarithm of the average is wanted.", lambda v: np.max(v, axis=0)),
        Mistake("You took the largest log weight out of the exponential and did not add it back outside the logarithm.",
                lambda v: log_mean_exp(v) - v.max(axis=0)),
        Mistake("You take out the largest of all log weights; an example whose own are far below it still underflows. "
                "Each example needs its own maximum: axis 0.", lambda v: slips.shifted(v, v.max())),
        Mistake("You take out another number than the maximum (the minimum? the mean?), and the largest weight still "
                "overflows. Take out the maximum: then no exponent is above 0.",
                lambda v: slips.shifted(v, v.min(axis=0))),
        Mistake("You took the average of the weights but not its logarithm.", lambda v: np.exp(log_mean_exp(v))),
        Mistake("Yours has the opposite sign: the bound is on log p(x), not on the loss.", lambda v: -log_mean_exp(v)),
        Mistake("You divide by k outside the logarithm: (1/k) log Σ w. The 1/k belongs inside: log Σ w − log k.",
                lambda v: (log_mean_exp(v) + np.log(len(v))) / len(v)),
    ),
    afterword="With k = 1 this is the ELBO; more samples can only raise it, on average.",
)  # fmt: skip

# -- 05.4 the linear VAE ----------------------------------------------------------------------------------------------


def _correlated(rng, count, width):
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(0, 3, size=width)


LINEAR = Exercise(
    id="05.4",
    title="A linear VAE is probabilistic PCA",
    signature="my_ppca(x, latent)",
    reference=ppca,
    cases=lambda rng: [(_correlated(rng, 60, 6), 2), (_correlated(rng, 40, 5), 1), (_correlated(rng, 80, 4), 3)],
    observe=up_to_rotation,
    hints=(
        "Centre x, form its covariance (divide by the number of examples), take eigenvalues: np.linalg.eigh. Which of "
        "them does the model explain by codes, and which are left to be noise?",
        "np.linalg.eigh sorts ascending, so the largest L are the last. σ² is the mean of the others.",
        "Column j of W is the j-th kept eigenvector times √(its eigenvalue − σ²).",
    ),
    mistakes=(
        Mistake("np.linalg.eigh sorts its eigenvalues ascending: you kept the smallest L directions, and the largest "
                "are the last.", lambda x, n: slips.ppca(x, n, keep=slice(None, n), variance=lambda v: v[n:].mean())),
        Mistake("np.linalg.eigh sorts its eigenvalues ascending: you kept the smallest L directions, and the largest "
                "are the last.", lambda x, n: slips.ppca(x, n, keep=slice(None, n), variance=lambda v: v[n:].mean(),
                                                      subtract=False)),
        Mistake("You did not subtract the mean of x first.", lambda x, n: slips.ppca(x, n, centre=0)),
        Mistake("You subtracted one number, the mean of all of x; each of the D columns has a mean of its own: axis 0.",
                lambda x, n: slips.ppca(x, n, centre=x.mean())),
        Mistake("You did not divide xᵀx by n; the covariance is an average over the examples.",
                lambda x, n: slips.ppca(x, n, count=1)),
        Mistake("You took rows of the matrix that np.linalg.eigh gives; its eigenvectors are the columns.",
                lambda x, n: slips.ppca(x, n, rows=True)),
        Mistake("σ² is the mean of the eigenvalues left out; you took only the largest of them.",
                lambda x, n: slips.ppca(x, n, variance=lambda v: v[-n - 1])),
        Mistake("W is too long: the noise already explains σ² in every direction, so scale by √(λ − σ²), not √λ.",
                lambda x, n: slips.ppca(x, n, subtract=False)),
        Mistake("You scaled the eigenvectors by λ − σ²; it is the square root, since W enters the covariance twice.",
                lambda x, n: slips.ppca(x, n, root=False)),
        Mistake("You divided by n − 1; maximum likelihood divides by n.",
                lambda x, n: slips.ppca(x, n, count=len(x) - 1)),
        Mistake("σ² is the mean of the eigenvalues that were left out; you summed them.",
                lambda x, n: slips.ppca(x, n, variance=lambda v: v[:-n].sum())),
        Mistake("σ² is the mean over the D − L eigenvalues left out; you averaged over all D.",
                lambda x, n: slips.ppca(x, n, variance=lambda v: v.mean())),
        Mistake("σ² is the mean of the eigenvalues left out; you divided their sum by D instead of D − L.",
                lambda x, n: slips.ppca(x, n, variance=lambda v: v[:-n].sum() / len(v))),
        Mistake("σ² is the mean of the eigenvalues left out; you took only the smallest.",
                lambda x, n: slips.ppca(x, n, variance=lambda v: v[0])),
        Mistake("You returned the standard deviation σ; σ² is wanted.",
                lambda x, n: (ppca(x, n)[0], np.sqrt(ppca(x, n)[1]))),
    ),
    afterword="You can now say how far from perfect a trained linear VAE is, to the last digit.",
)  # fmt: skip

# -- 05.5 anomalies ---------------------------------------------------------------------------------------------------


def _ranked(rng, count, levels):
    labels = (np.arange(count) % 3 == 0).astype(np.int64)
    return labels, np.round(rng.normal(size=count) + 1.2 * labels, levels)


ANOMALY = Exercise(
    id="05.5",
    title="AUROC of an anomaly score",
    signature="my_auroc(labels, scores)",
    reference=auroc,
    solution=(ranks, auroc),
    cases=lambda rng: [_ranked(rng, 12, 6), _ranked(rng, 40, 0), _ranked(rng, 31, 1), (np.array([0, 1]), np.ones(2))],
    hints=(
        "Take every pair of one anomaly (label 1) and one ordinary example (label 0). In which share does the anomaly "
        "score higher?",
        "scores[labels == 1][:, None] - scores[labels == 0] is the table of all differences. A tie counts one half.",
        "d = that table; np.mean((d > 0) + 0.5 * (d == 0)). For many examples use ranks: equation (M.3) of "
        "minigen.metrics.ranking.",
    ),
    mistakes=(
        Mistake("Ties: an anomaly that scores the same as an ordinary example counts ½, not 0.",
                lambda y, s: slips.pairs(y, s, 0.0)),
        Mistake("Ties: an anomaly that scores the same as an ordinary example counts ½, not 1.",
                lambda y, s: slips.pairs(y, s, 1.0)),
        Mistake("Yours is 1 − AUROC: you count ordinary examples that beat anomalies. Label 1 should score high.",
                lambda y, s: 1 - auroc(y, s)),
        Mistake("Ties: equal scores share the mean of their ranks; argsort ranks them in the order of the file.",
                slips.rank_sum),
        Mistake("Ties: equal scores make one slanted step of the curve; argsort takes them in the order of the file.",
                lambda y, s: 1 - slips.rank_sum(y, -s)),
        Mistake("You divided by the number of all pairs; only anomaly and ordinary example make a pair: n₊ n₋.",
                lambda y, s: auroc(y, s) * y.sum() * (1 - y).sum() / len(y) ** 2),
        Mistake("You divided by the number of all pairs; only anomaly and ordinary example make a pair: n₊ n₋.",
                lambda y, s: auroc(y, s) * y.sum() * (1 - y).sum() / (len(y) * (len(y) - 1) / 2)),
        Mistake("You counted the pairs but did not divide by their number, n₊ n₋.",
                lambda y, s: auroc(y, s) * y.sum() * (1 - y).sum()),
        Mistake("That is the accuracy at one threshold; the AUROC needs no threshold.", slips.accuracy),
    ),
    afterword="AUROC ½ is guessing, 1 is perfect.",
)  # fmt: skip

# -- 05.6 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="05.6",
    title="Open: a better VAE for digits",
    signature="my_vae(rng)",
    judge=better_digits,
    solution=(vae_digits.Experiment.make_model,),
    hints=(
        "Which likelihood says that 7 is nearer to 8 than to 15? Read minigen/likelihoods.py.",
        "With 1,000 training digits a large network learns them by heart: compare training and validation bounds. "
        "Dropout in encoder and decoder (0.1 to 0.2) helps, and so do fewer, wider layers.",
        "Try likelihoods.DiscretizedLogisticMixture(17) in place of Categorical(17), 8 to 16 codes, dropout 0.1.",
    ),
)

EXERCISES = [REPARAMETERISE, DIVERGENCE, IMPORTANCE, LINEAR, ANOMALY, OPEN]
