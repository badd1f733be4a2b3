"""Exercises of lesson 04, latent variables and EM."""

import numpy as np
from scipy.special import logsumexp

from minigen.learn import mixture_slips as slips
from minigen.learn import mixtures
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.mixture_slips import climb, moments, step
from minigen.models.gmm import GaussianMixture, e_step, m_step
from minigen.models.hmm import HMM

# -- 04.1 the E step --------------------------------------------------------------------------------------------------

def _log_responsibilities(log_joint):
    return log_joint - logsumexp(log_joint, axis=1, keepdims=True)


E_STEP = Exercise(
    id="04.1",
    title="The E step: responsibilities",
    signature="my_responsibilities(x, weights, means, covariances)",
    reference=mixtures.responsibilities,
    solution=(GaussianMixture.responsibilities, GaussianMixture.log_joint, e_step),
    cases=lambda rng: [mixtures.points(rng, 7, 3, 2), mixtures.points(rng, 4, 4, 3), mixtures.points(rng, 5, 2, 5),
                       mixtures.points(rng, 6, 3, 2, far=400.0), mixtures.points(rng, 6, 3, 2, far=200.0, every=1)],
    hints=(
        "Bayes' rule: the joint probability of example and component, divided by its sum over the components. Work "
        "with logarithms until the end.",
        "Column k of the log joint is log π_k + log N(x; μ_k, Σ_k), for which multivariate_normal(mean, covariance)"
        ".logpdf(x) gives the second part. Stack the K columns into (B, K).",
        "joint -= joint.max(axis=1, keepdims=True), then r = np.exp(joint) and r / r.sum(axis=1, keepdims=True).",
    ),
    mistakes=(
        Mistake("The weights π_k are missing: a common component is responsible for more.",
                lambda *given: slips.responsibilities(*given, weigh=False)),
        Mistake("You returned the joint probabilities π_k N; divide each row by its sum.",
                lambda *given: np.exp(slips.log_joint(*given))),
        Mistake("You returned the logarithms of the joint probabilities; take exponentials and divide each row by its "
                "sum.", slips.log_joint),
        Mistake("You returned the logarithms of the responsibilities; take np.exp at the end.",
                lambda *given: _log_responsibilities(slips.log_joint(*given))),
        Mistake("You normalised over the examples (axis 0); it is each example's K numbers that sum to 1: axis 1.",
                lambda *given: slips.responsibilities(*given, axis=0)),
        Mistake("You normalised over the whole table; it is each example's K numbers that sum to 1: axis 1.",
                lambda *given: slips.responsibilities(*given, axis=None)),
        Mistake("You gave each example to its most probable component. That is a hard choice; a responsibility is the "
                "probability itself.", lambda *given: slips.hard(slips.responsibilities(*given))),
        Mistake("Right formula, but far from all components every N is 0 in floating point, and 0/0 is nan. Stay with "
                "logarithms, and take each row's largest out before np.exp.",
                lambda *given: (d := np.exp(slips.log_joint(*given))) / d.sum(axis=1, keepdims=True)),
        Mistake("You take out the largest of the whole table; a far example's numbers are so much smaller that they "
                "still underflow. Each row needs its own maximum: axis 1, keepdims.", slips.shifted),
        Mistake("The ½ before (x − μ)ᵀ Σ⁻¹ (x − μ) is missing.", lambda *given: slips.responsibilities(*given, half=1)),
        Mistake("The factor (det Σ_k)^(−½) is missing: it differs between components, so it does not cancel.",
                lambda *given: slips.responsibilities(*given, root=0)),
        Mistake("The determinant enters with a square root: −½ log det Σ_k.",
                lambda *given: slips.responsibilities(*given, root=1)),
        Mistake("Between the differences stands the inverse of Σ_k; you used Σ_k itself.",
                lambda *given: slips.responsibilities(*given, inverse=lambda c: c)),
        Mistake("You divided by the variances alone; the covariances off the diagonal of Σ_k count too: use its "
                "inverse.", lambda *given: slips.responsibilities(*given, inverse=lambda c: np.diag(1 / np.diag(c)))),
        Mistake("Right numbers, but transposed: one row for each example.",
                lambda *given: slips.responsibilities(*given).T),
    ),
    afterword="That is Bayes' rule for a whole table at once.",
)  # fmt: skip

# -- 04.2 the M step --------------------------------------------------------------------------------------------------


M_STEP = Exercise(
    id="04.2",
    title="The M step: weighted counting",
    signature="my_m_step(x, r)",
    reference=mixtures.best_parameters,
    solution=(m_step,),
    cases=lambda rng: [mixtures.shares(rng, 12, 3, 2), mixtures.shares(rng, 30, 2, 4), mixtures.shares(rng, 9, 4, 1)],
    hints=(
        "Count with parts of examples: N_k is column k of r, summed. Then shares, weighted means, weighted "
        "covariances.",
        "r.T @ x has shape (K, D): the weighted sums. Divide row k by N_k: counts[:, None].",
        "For each k: d = x − means[k], then (r[:, k, None] * d).T @ d / counts[k].",
    ),
    mistakes=(
        Mistake("You returned N_k as the weights; they are shares: N_k / B.",
                lambda x, r: moments(x, r, share=lambda n: n * len(x))),
        Mistake("The weights are not all equal: π_k = N_k / B.",
                lambda x, r: moments(x, r, share=lambda n: np.full(len(n), len(x) / len(n)))),
        Mistake("The means are not divided by N_k.",
                lambda x, r: (*moments(x, r, divide=np.ones_like)[:2], moments(x, r)[2])),
        Mistake("The means are not divided by N_k.", lambda x, r: moments(x, r, divide=np.ones_like)),
        Mistake("The means are divided by B; component k has only N_k examples to average over.",
                lambda x, r: moments(x, r, divide=lambda n: np.full(len(n), float(len(x))))),
        Mistake("The covariances are divided by B; component k has only N_k examples to average over.",
                lambda x, r: moments(x, r, spread=lambda n: np.full(len(n), float(len(x))))),
        Mistake("The covariances are not divided by N_k.", lambda x, r: moments(x, r, spread=np.ones_like)),
        Mistake("The covariances are divided by N_k − 1; the maximum of the bound divides by N_k.",
                lambda x, r: moments(x, r, spread=lambda n: n - 1)),
        Mistake("np.cov with aweights divides by less than N_k, to remove a bias; the maximum of the bound divides by "
                "N_k (bias=True does).", slips.unbiased),
        Mistake("The covariances are taken around the mean of all data; component k's are around its own μ_k.",
                lambda x, r: moments(x, r, around=x.mean(axis=0))),
        Mistake("That is Σ r x xᵀ / N, not the covariance: subtract μ_k from x first.",
                lambda x, r: moments(x, r, around=np.zeros(x.shape[1]))),
        Mistake("The responsibilities are squared in the covariances: one factor r_bk for each example, so multiply "
                "only one of the two differences by it.", lambda x, r: moments(x, r, power=2)),
        Mistake("The responsibilities are missing in the covariances.", lambda x, r: moments(x, r, weigh=False)),
        Mistake("You kept the diagonals of the covariances; wanted is the whole matrix, (K, D, D).",
                lambda x, r: (*moments(x, r)[:2], np.einsum("kii->ki", moments(x, r)[2]))),
        Mistake("You kept the diagonals of the covariances; wanted is the whole matrix, (K, D, D).",
                lambda x, r: (*moments(x, r)[:2], moments(x, r)[2] * np.eye(x.shape[1]))),
        Mistake("You gave each example to one component; EM lets it count r_bk times in each.",
                lambda x, r: moments(x, slips.hard(r))),
        Mistake("Return them in the order weights, means, covariances.",
                lambda x, r: (*moments(x, r)[1:], moments(x, r)[0])),
    ),
    afterword="Maximum likelihood, with every example counted in parts.",
)  # fmt: skip


# -- 04.3 ascent ------------------------------------------------------------------------------------------------------


ASCENT = Exercise(
    id="04.3",
    title="Find the mistake that lets EM fall",
    signature="my_step(x, weights, means, covariances)",
    reference=mixtures.one_round,
    solution=(GaussianMixture.step, m_step),
    cases=lambda rng: [mixtures.start(rng, 40, 3, 2), mixtures.start(rng, 60, 2, 3), mixtures.start(rng, 30, 4, 2)],
    hints=(
        "Which of (4.3), (4.4), (4.5), (4.6) is not what the line says? Take two examples and one component, and "
        "write the sums out.",
        "Weights and means are right. Look at the covariances: how often does r_bk enter their sum, and how often in "
        "(4.6)?",
        "weighted holds r times a difference, and the line multiplies weighted by weighted: r². Multiply weighted by "
        "the difference instead.",
    ),
    mistakes=(
        Mistake("That is the broken step as it was: it counts each example r² times in the covariances.",
                lambda *given: step(*given, power=2)),
        Mistake("Now the covariances are averages with weights r²: they are divided by Σ r², but each example should "
                "count r times.", slips.squared),
        Mistake("The covariances are taken around the old means; the M step wants them around the new ones.",
                lambda x, w, m, c: step(x, w, m, c, around=m)),
        Mistake("The covariances are taken around the mean of all data.",
                lambda x, w, m, c: step(x, w, m, c, around=x.mean(axis=0))),
        Mistake("The covariances are divided by B; component k has only N_k examples to average over.",
                lambda x, *given: step(x, *given, spread=lambda n: np.full(len(n), float(len(x))))),
        Mistake("The responsibilities have disappeared from the covariances: every example must count r_bk times.",
                slips.unweighted),
        Mistake("The weights π_k are missing in the E step.", lambda *given: step(*given, weigh=False)),
        Mistake("You return the old weights: the M step makes new ones, N_k / B.",
                lambda x, w, m, c: (w, *step(x, w, m, c)[1:])),
        Mistake("Each example is given to one component. That is k-means with covariances; it does not climb (4.2).",
                lambda *given: step(*given, sharpen=slips.hard)),
        Mistake("Responsibilities must sum to 1 over the components (axis 1), not over the examples.",
                lambda *given: step(*given, axis=0)),
        Mistake("You made new responsibilities after the means. The bound would still not fall, but this is two E "
                "steps: all of the M step uses the same r.", slips.twice),
        Mistake("Two rounds? One is asked for.", lambda x, *given: step(x, *step(x, *given))),
    ),
    afterword="With this step the likelihood cannot fall, whatever the data.",
)  # fmt: skip

# -- 04.4 the whole algorithm -----------------------------------------------------------------------------------------


EM = Exercise(
    id="04.4",
    title="EM from a given start",
    signature="my_em(x, weights, means, covariances, rounds, reg_covar)",
    reference=mixtures.em,
    solution=(GaussianMixture.fit, GaussianMixture.step),
    cases=lambda rng: [(*mixtures.start(rng, 80, 3, 2), 12, 1e-2), (*mixtures.start(rng, 60, 2, 3), 5, 1e-1),
                       (*mixtures.start(rng, 50, 4, 2), 1, 1e-6)],
    hints=(
        "You have both steps: 04.1 and 04.2. What is missing is the loop, and log p(x_b), which the E step computes "
        "anyway: it is the logarithm of the row's sum.",
        "scipy.special.logsumexp(joint, axis=1) is log p(x_b). Append its mean before each M step, and once more at "
        "the end.",
        "After the M step: covariances = covariances + reg_covar * np.eye(x.shape[1]).",
    ),
    mistakes=(
        Mistake("reg_covar was not added to the covariances.",
                lambda x, w, m, c, n, reg: climb(x, w, m, c, n, 0.0)),
        Mistake("reg_covar was added to all elements of the covariances; it belongs on the diagonal: times "
                "np.eye(D).", climb),
        Mistake("You summed log p over the examples; the mean is wanted.",
                lambda x, w, m, c, n, reg: climb(x, w, m, c, n, reg * np.eye(x.shape[1]), report=np.sum)),
        Mistake("Those are negative log-likelihoods; without the minus sign.",
                lambda *given: [-value for value in mixtures.em(*given)]),
        Mistake("The last number is missing: rounds + 1 numbers, the last of them after the last round.",
                lambda *given: mixtures.em(*given)[:-1]),
        Mistake("The first number is missing: rounds + 1 numbers, the first of them before any round.",
                lambda *given: mixtures.em(*given)[1:]),
        Mistake("You returned one number; the whole list is wanted.", lambda *given: mixtures.em(*given)[-1]),
        Mistake("All your numbers are the first: the new parameters are not used in the next round.",
                lambda *given: mixtures.em(*given)[:1] * (given[4] + 1)),
        Mistake("The mean of p and then the logarithm is another number: log p first, one for each example, then the "
                "mean.",
                lambda x, w, m, c, n, reg: climb(x, w, m, c, n, reg * np.eye(x.shape[1]), report=slips.log_of_mean)),
        Mistake("reg_covar belongs to the M step. You added it to the covariances that were given as well.",
                lambda x, w, m, c, n, reg: mixtures.em(x, w, m, c + reg * np.eye(x.shape[1]), n, reg)),
    ),
    afterword="From this start scikit-learn's GaussianMixture comes to the same numbers: the package's tests hold the "
              "reference to it.",
)  # fmt: skip

# -- 04.5 counting parameters -----------------------------------------------------------------------------------------

COUNT = Exercise(
    id="04.5",
    title="Counting free parameters for BIC",
    signature="my_parameter_count(components, dimensions, covariance)",
    reference=mixtures.parameter_count,
    solution=(GaussianMixture.parameters,),
    cases=lambda rng: [(k, d, kind) for k, d in ((3, 2), (1, 4), (8, 5))
                       for kind in ("full", "diag", "spherical", "tied")],
    hints=(
        "Count the numbers that one may choose freely: weights, means, covariances. The weights sum to 1.",
        "A symmetric (D, D) matrix is known from its diagonal and what is above it: D + D (D − 1)/2 numbers.",
        "K − 1, plus K D, plus: full K D (D + 1)/2, diag K D, spherical K, tied D (D + 1)/2.",
    ),
    mistakes=(
        Mistake("A covariance is symmetric: D (D + 1)/2 free numbers, not D².",
                lambda k, d, c: slips.count(k, d, c, full=d * d)),
        Mistake("The diagonal of a covariance is free too: D (D + 1)/2 numbers, not D (D − 1)/2.",
                lambda k, d, c: slips.count(k, d, c, full=d * (d - 1) // 2)),
        Mistake("Tied means that all components share one covariance: count it once.",
                lambda k, d, c: slips.count(k, d, c, tied=k)),
        Mistake("Spherical: every component has a variance of its own, K numbers.",
                lambda k, d, c: slips.count(k, d, c, spherical=1)),
        Mistake("Spherical: one variance per component, not one per dimension.",
                lambda k, d, c: slips.count(k, d, c, spherical=k * d)),
        Mistake("Diag: D variances for every component, K D numbers.", lambda k, d, c: slips.count(k, d, c, diag=d)),
        Mistake("Every component has a covariance of its own (but for tied): times K.",
                lambda k, d, c: slips.count(k, d, "tied" if c == "full" else c, diag=d, spherical=1)),
        Mistake("The weights sum to 1, so only K − 1 of them are free.",
                lambda k, d, c: slips.count(k, d, c, shares=0)),
        Mistake("The K − 1 free weights are missing.", lambda k, d, c: slips.count(k, d, c, shares=-k)),
        Mistake("The means are missing: K D numbers.", lambda k, d, c: slips.count(k, d, c, means=0)),
        Mistake("Every component has a mean of its own: K D numbers.", lambda k, d, c: slips.count(k, d, c, means=d)),
        Mistake("A mean is a vector of D numbers: K D numbers in all.", lambda k, d, c: slips.count(k, d, c, means=k)),
    ),
    afterword="Each of them costs ½ log B nats.",
)  # fmt: skip

# -- 04.6 the forward algorithm ---------------------------------------------------------------------------------------

FORWARD = Exercise(
    id="04.6",
    title="The forward algorithm in log space",
    signature="my_forward(log_initial, log_transition, log_emission)",
    reference=mixtures.log_forward,
    solution=(mixtures.log_forward, HMM.log_prob, HMM._forward),
    cases=lambda rng: [mixtures.chain(rng, 1, 3), mixtures.chain(rng, 6, 3), mixtures.chain(rng, 9, 2),
                       mixtures.chain(rng, 1000, 2)],
    hints=(
        "Keep log α_t(k), K numbers. What are they after the first throw? And how do the ways into label k come "
        "together?",
        "Products of probabilities become sums of logarithms; a sum of probabilities becomes logsumexp.",
        "log_alpha = log_initial + log_emission[0], then for each later row e of log_emission: log_alpha = "
        "logsumexp(log_alpha[:, None] + log_transition, axis=0) + e. At the end logsumexp(log_alpha).",
    ),
    mistakes=(
        Mistake("Right formula, but after some hundred throws the probabilities are 0 in floating point, and log 0 is "
                "−inf. Keep log α, and add with logsumexp.",
                lambda i, a, e: np.log(slips.forward(np.exp(i), np.exp(a), np.exp(e), multiply=np.multiply,
                                                     add=np.sum))),
        Mistake("You went through the transitions backwards: sum over the label one comes *from*, j of A_jk, axis 0.",
                lambda i, a, e: slips.forward(i, a.T, e)),
        Mistake("You summed over the label one goes *to*, k of A_jk, where each row gives 1, so no label ever changed: "
                "sum over j, axis 0.", lambda i, a, e: logsumexp(i + e.sum(axis=0))),
        Mistake("Take the sum over the ways into a label, not the best of them: np.max gives the most probable row "
                "(Viterbi's algorithm).", lambda i, a, e: slips.forward(i, a, e, add=np.max)),
        Mistake("The first throw is missing: α₁(k) = π_k E_{k x₁}.",
                lambda i, a, e: slips.forward(i, a, e, first=False)),
        Mistake("You changed the label before the first throw; z₁ comes from π alone.",
                lambda i, a, e: slips.forward(i, a, e, early=True)),
        Mistake("The first label's probabilities π_k are missing.", lambda i, a, e: slips.forward(0 * i, a, e)),
        Mistake("All first labels equally likely? Use π_k.",
                lambda i, a, e: slips.forward(np.full(len(i), -np.log(len(i))), a, e)),
        Mistake("You returned log α_T, one number for each label; p(x) is their sum.",
                lambda i, a, e: slips.forward(i, a, e, close=False)),
        Mistake("Those are the messages of all times; wanted is log p(x), from the last: logsumexp of log α_T.",
                lambda i, a, e: slips.forward(i, a, e, every=True)),
        Mistake("You returned p(x), which is 0 in floating point for a long row; return its logarithm.",
                lambda i, a, e: np.exp(slips.forward(i, a, e))),
        Mistake("The transitions are missing: that is as if each throw had a fresh label.",
                lambda i, a, e: np.sum(logsumexp(i + e, axis=1))),
        Mistake("The last throw is missing.", lambda i, a, e: slips.forward(i, a, e[:-1] if len(e) > 1 else e)),
    ),
    afterword="The sum over K^T rows, in T K² steps.",
)  # fmt: skip

EXERCISES = [E_STEP, M_STEP, ASCENT, EM, COUNT, FORWARD]
