"""Exercises of lesson 08, generative adversarial networks."""

import numpy as np

import minigen as mg
from minigen.learn import games
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.forgers import better_game
from minigen.metrics.modes import count_modes, reverse_kl
from minigen.models import dirac_gan, gan
from minigen.recipes import gan_ring

# -- 08.1 the best discriminator --------------------------------------------------------------------------------------


def _densities(p, q):
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return np.exp(p) / (np.exp(p) + np.exp(q))


DISCRIMINATOR = Exercise(
    id="08.1",
    title="The best discriminator",
    signature="my_discriminator(log_p, log_q)",
    reference=games.optimal_discriminator,
    cases=lambda rng: [tuple(rng.normal(-2, 2, size=(2, 6))), tuple(rng.normal(-1200, 3, size=(2, 5))),
                       (np.array([900.0, -800.0, 3.0]), np.array([901.0, -802.0, 3.0]))],
    hints=(
        "Equation (8.2) has two forms. Which of them needs p and q themselves, and which only their logarithms?",
        "The logit is log p − log q, and D is the sigmoid of the logit, 1/(1 + e^(−t)).",
        "return 1 / (1 + np.exp(log_q - log_p)).",
    ),
    mistakes=(
        Mistake("Yours is q/(p + q), the probability of being forged: exchange the two.",
                lambda p, q: games.optimal_discriminator(q, p)),
        Mistake("That is the logit t* = log p − log q; D* is its sigmoid.", lambda p, q: p - q),
        Mistake("You divided the logarithms; the densities themselves stand in (8.2).", lambda p, q: p / (p + q)),
        Mistake("Right formula, but e^(−1200) is 0 in floating point, and 0/0 is nan. Divide by p above and below the "
                "line: then only log q − log p is left.", _densities),
        Mistake("That is the ratio p/q; D* = p/(p + q) lies between 0 and 1.", lambda p, q: np.exp(p - q)),
        Mistake("That is log D*; take the exponential.", lambda p, q: -np.logaddexp(0, q - p)),
    ),
    afterword="Whoever tells two laws apart has learnt the ratio of their densities, without knowing either of them.",
)  # fmt: skip

# -- 08.2 counting modes ----------------------------------------------------------------------------------------------


def _forged(rng, counts, means, sigma, widths=1.5):
    """Samples about the means, as many at each as `counts` says; with widths of 1.5σ a tenth lies outside 3σ."""
    points = np.repeat(means, counts, axis=0)
    return points + np.asarray(widths) * sigma * rng.normal(size=points.shape), means, sigma


def _corners(side):
    return side * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])


COUNTING = Exercise(
    id="08.2",
    title="Counting modes",
    signature="my_modes(samples, means, sigma)",
    reference=games.three_counts,
    solution=(count_modes, reverse_kl),
    observe=games.counted,
    cases=lambda rng: [_forged(rng, (40, 30, 20, 9, 1), _corners(2.0), 0.1),
                       _forged(rng, (60, 0, 25, 40, 0), _corners(1.0), 0.05),
                       _forged(rng, (30, 30, 0, 10, 5), _corners(3.0), 0.2, widths=[[2.2, 0.4]]),
                       (np.array([[0.0, 0.0], [0.0, 0.0], [3.2, 3.5], [5.0, 0.4]]), _corners(3.0), 0.1)],
    hints=(
        "First a table of distances, (n, K): its row minimum says how far the nearest mode is, its argmin which it is.",
        "High quality: nearest distance ≤ 3 sigma. Captured: how many different modes have such a sample. For the "
        "histogram all samples count, near or far: np.bincount(nearest, minlength=len(means)).",
        "q = counts / counts.sum(); some = q > 0; np.sum(q[some] * np.log(q[some] * len(means))) is the reverse KL.",
    ),
    mistakes=(
        Mistake("A mode counts as captured only if a sample of high quality, within 3σ, belongs to it.",
                lambda *given: games.recount(*given, any_quality=True)),
        Mistake("High quality is within 3σ of the mode, not within σ.", lambda *given: games.recount(*given, within=1)),
        Mistake("You compare the distance with 3; it is 3σ.",
                lambda x, m, s: games.recount(x, m, s, within=3 / s)),
        Mistake("You compare the squared distance with 3σ; compare the distance, or its square with (3σ)².",
                lambda x, m, s: games.recount(x, m, s, within=np.sqrt(3 / s))),
        Mistake("The histogram of (8.33) counts all samples, not only those of high quality.",
                lambda *given: games.recount(*given, good_only=True)),
        Mistake("That is the forward KL(p ‖ q), which is infinite as soon as one mode is missing. Wanted is KL(q ‖ p).",
                lambda *given: games.recount(*given, kl=lambda q, p: games.divergence(p, q))),
        Mistake("0 · log 0 counts as 0: leave the modes without a sample out of the sum.",
                lambda *given: games.recount(*given, kl=lambda q, p: np.nan if (q == 0).any() else
                                             games.divergence(q, p))),
        Mistake("That is Σ q log q; the true weights 1/K are missing: Σ q log(q K).",
                lambda *given: games.recount(*given, kl=lambda q, p: games.divergence(q, np.ones_like(p)))),
        Mistake("Yours has the opposite sign; a divergence is never negative.",
                lambda *given: games.recount(*given, kl=lambda q, p: -games.divergence(q, p))),
        Mistake("High quality is wanted as a share of the samples; you counted them.",
                lambda x, m, s: (lambda a, b, c: (a, b * len(x), c))(*games.recount(x, m, s))),
    ),
    afterword="Every figure about modes in this lesson is counted so.",
)  # fmt: skip

# -- 08.3 the Dirac-GAN -----------------------------------------------------------------------------------------------


AT_ONCE = "You use the new ψ (or θ) in the other's step: that is taking turns. Both step at once, from the old values."


def _sigmoid(u):
    return 1 / (1 + np.exp(-u))


def _right(theta, psi, gamma):
    return dirac_gan.gradients(theta, psi, gamma=gamma)


DIRAC = Exercise(
    id="08.3",
    title="The Dirac-GAN with R1",
    signature="my_path(steps, rate, gamma)",
    reference=games.dirac_path,
    solution=(dirac_gan.play, dirac_gan.gradients),
    cases=lambda rng: [(4, 0.2, 0.0), (6, 0.1, 0.5), (3, 0.5, 2.0), (0, 0.1, 1.0)],
    hints=(
        "One step: both directions of (8.21) from the same (θ, ψ), with −γψ added to that of ψ; then move both.",
        "u = ψθ, σ(u) = 1/(1 + e^(−u)); dθ = ψ σ(u), dψ = −θ σ(u) − γψ.",
        "theta, psi = theta + rate * psi * s, psi + rate * (-theta * s - gamma * psi): on one line, so that both use "
        "the old values. Begin the list with (1, 1).",
    ),
    mistakes=(
        Mistake(AT_ONCE, lambda n, h, g: games.path(n, h, g, _right, turns="ψ first")),
        Mistake(AT_ONCE, lambda n, h, g: games.path(n, h, g, _right, turns="θ first")),
        Mistake("The path begins with the start (1, 1): steps + 1 rows.",
                lambda n, h, g: games.path(n, h, g, _right, keep_start=False)),
        Mistake("R1 has the wrong sign: it draws ψ to 0, so −γψ.", lambda n, h, g: games.path(n, h, -g, _right)),
        Mistake("R1 is missing: −γψ in the direction of ψ.", lambda n, h, g: games.path(n, h, 0.0, _right)),
        Mistake("The slope of (γ/2) ψ² is γψ: the ½ is used up.", lambda n, h, g: games.path(n, h, g / 2, _right)),
        Mistake("R1 is the discriminator's penalty; you gave θ one as well.",
                lambda n, h, g: games.path(n, h, g, lambda t, p, g: (_right(t, p, 0)[0] - g * t, _right(t, p, g)[1]))),
        Mistake("The factor σ(ψθ) is missing: that is the Wasserstein game.",
                lambda n, h, g: games.path(n, h, g, lambda t, p, g: (p, -t - g * p))),
        Mistake("You put ½ for σ(ψθ): that is the linear game (8.22), right near (0, 0) only.",
                lambda n, h, g: games.path(n, h, g, lambda t, p, g: (p / 2, -t / 2 - g * p))),
        Mistake("θ goes the wrong way: the saturating L_G = −softplus(ψθ) falls towards ψ.",
                lambda n, h, g: games.path(n, h, g, lambda t, p, g: (-p * _sigmoid(p * t),
                                                                     -t * _sigmoid(p * t) - g * p))),
    ),
    afterword="Look: figure, axes = viz.figure(\"mine\"); axes.plot(*my_path(400, 0.2, 0.0).T); figure.",
)  # fmt: skip


# -- 08.4 choosing γ --------------------------------------------------------------------------------------------------


def _eigenvalues(rate, gamma):
    return np.linalg.eigvals(dirac_gan.step_matrix(rate, gamma=gamma))


RADIUS = Exercise(
    id="08.4",
    title="Which γ brings it home?",
    signature="my_radius(rate, gamma)",
    reference=games.radius,
    solution=(games.radius, dirac_gan.step_matrix),
    cases=lambda rng: [(0.2, 0.0), (0.2, 0.04), (0.2, 0.5), (0.3, 1.0), (0.2, 3.0), (1.5, 0.3)],
    tolerance=1e-7,
    hints=(
        "One step multiplies (θ, ψ) near (0, 0) by the matrix I + hJ, with J of (8.24). What does a matrix do when it "
        "is applied again and again?",
        "np.linalg.eigvals gives the eigenvalues, complex ones too; np.abs is the length of a complex number.",
        "return np.abs(np.linalg.eigvals(np.eye(2) + rate * np.array([[0, 0.5], [-0.5, -gamma]]))).max().",
    ),
    mistakes=(
        Mistake("Those are the eigenvalues of J; one step multiplies by I + hJ.",
                lambda h, g: np.abs(np.linalg.eigvals(dirac_gan.jacobian(gamma=g))).max()),
        Mistake("You took the real part; how much a complex eigenvalue stretches is its length, np.abs.",
                lambda h, g: _eigenvalues(h, g).real.max()),
        Mistake("The smaller eigenvalue dies out first; what is left grows with the larger one: max.",
                lambda h, g: np.abs(_eigenvalues(h, g)).min()),
        Mistake("That is √det. It is the length of the two eigenvalues while they are a complex pair (γ < 1); above "
                "that they differ.", lambda h, g: np.sqrt(abs(np.linalg.det(dirac_gan.step_matrix(h, gamma=g))))),
        Mistake("γ enters a step times the rate: every entry of J is multiplied with h.",
                lambda h, g: np.abs(np.linalg.eigvals(dirac_gan.step_matrix(h) - np.diag([0, g]))).max()),
        Mistake("Near (0, 0) the factor σ(0) = ½ stands before θ and ψ; you have 1.",
                lambda h, g: np.abs(np.linalg.eigvals(dirac_gan.step_matrix(h, gamma=g, game="wasserstein"))).max()),
        Mistake("That is the matrix of taking turns (8.25); here both step at once, I + hJ.",
                lambda h, g: np.abs(np.linalg.eigvals(dirac_gan.step_matrix(h, gamma=g, turns=True))).max()),
        Mistake("γ has the wrong sign in J: R1 damps, −γ.", lambda h, g: games.radius(h, -g)),
    ),
    afterword="Below 1 it comes home. Plot it for h = 0.2, γ from 0 to 12: where is it 1 (two places), where least?",
)  # fmt: skip

# -- 08.5 the gradient penalty ----------------------------------------------------------------------------------------


def _points(rng, critic, count):
    return critic, rng.normal(size=(count, 2)), 2 + rng.normal(size=(count, 2)), rng.random((count, 1))


def _missing(*given, create_graph=True):
    critic, real, fake, share = given
    return (games.length(games.slope(critic, games.mixed(real, fake, share), create_graph)) - 1) ** 2


GRADIENT_PENALTY = Exercise(
    id="08.5",
    title="The gradient penalty",
    signature="my_penalty(critic, real, fake, share)",
    reference=games.penalty,
    solution=(gan.gradient_penalty, gan.squared_slope),
    observe=games.penalised,
    cases=lambda rng: [_points(rng, games.curved, 5), _points(rng, games.squared, 1), _points(rng, games.squared, 4)],
    hints=(
        "Three steps: the mixed points as a new Tensor that requires a gradient; the critic's slope there; how far its "
        "length is from 1.",
        "x = mg.tensor(share * real + (1 - share) * fake, requires_grad=True); then mg.grad(critic(x).sum(), x, "
        "create_graph=True), as in exercise 02.6.",
        "(g,) = that; return (mg.sqrt((g * g).sum(1)) - 1) ** 2.",
    ),
    mistakes=(
        Mistake("The values are right, but no gradient reaches the critic's weights: the slope needs a graph of its "
                "own, create_graph=True.", lambda *given: _missing(*given, create_graph=False)),
        Mistake("ε is the share of the real sample: ε x + (1 − ε) G(z).",
                lambda c, x, y, s: games.penalty(c, x, y, 1 - s)),
        Mistake("The length must be 1, not its square: take the root before you subtract 1.",
                lambda c, x, y, s: (games.length(games.slope(c, games.mixed(x, y, s))) ** 2 - 1) ** 2),
        Mistake("You punish the length itself; wanted is its distance from 1, squared.",
                lambda c, x, y, s: games.length(games.slope(c, games.mixed(x, y, s))) ** 2),
        Mistake("Square the distance from 1: below 1 yours is negative, a reward.",
                lambda c, x, y, s: games.length(games.slope(c, games.mixed(x, y, s))) - 1),
        Mistake("You average over the examples; the penalty is one number for each, only the training step averages.",
                lambda *given: mg.mean(games.penalty(*given))),
        Mistake("You took one length for the whole batch; every example has a slope of its own: sum over axis 1.",
                lambda c, x, y, s: (mg.sqrt(mg.sum(games.slope(c, games.mixed(x, y, s)) ** 2)) - 1) ** 2),
        Mistake("You look at the slope at the real samples; (8.11) asks between real and forged ones.",
                lambda c, x, y, s: games.penalty(c, x, x, s)),
    ),
    afterword="In training ε is drawn uniformly, afresh for every sample. With a normal ε, a mistake that is often "
              "copied, the points would lie beyond the samples as well.",
)  # fmt: skip

# -- 08.6 packing -----------------------------------------------------------------------------------------------------


def _laws(rng, count, zeros=0):
    p, q = rng.random((2, count)) + 0.1
    q[:zeros] = 0
    return p / p.sum(), q / q.sum()


def _one(p, q):
    return games.packed_distance(p, q, 1)


PACKING = Exercise(
    id="08.6",
    title="Packs show a collapse",
    signature="my_packed_distance(p, q, m)",
    reference=games.packed_distance,
    solution=(games.packed_distance, games.packed_law),
    cases=lambda rng: [(*_laws(rng, 4), 1), (*_laws(rng, 4, 1), 2), (*_laws(rng, 3), 3), (*_laws(rng, 5), 2)],
    hints=(
        "A pack is m independent draws: its probability is a product. How many different packs are there?",
        "np.multiply.outer(p, p).reshape(-1) has the K² probabilities of pairs; multiply by p once more for each "
        "further draw.",
        "law = np.ones(1); m times: law = np.multiply.outer(law, p).reshape(-1). The same for q; then "
        "0.5 * np.abs(law_p - law_q).sum().",
    ),
    mistakes=(
        Mistake("That is the distance of single draws, m = 1.", lambda p, q, m: _one(p, q)),
        Mistake("The ½ is missing: total variation goes from 0 to 1.",
                lambda p, q, m: 2 * games.packed_distance(p, q, m)),
        Mistake("You raise each probability to the power m; a pack need not hold m times the same.",
                lambda p, q, m: 0.5 * np.abs(p**m - q**m).sum()),
        Mistake("1 − (1 − TV)^m holds where q is p cut off to a part of it; for other laws it is only a bound.",
                lambda p, q, m: 1 - (1 - _one(p, q)) ** m),
        Mistake("m · TV is a bound on it, not the distance itself.", lambda p, q, m: m * _one(p, q)),
        Mistake("You raised the distance to the power m; form the laws of packs first, then their distance.",
                lambda p, q, m: _one(p, q) ** m),
    ),
    afterword="A best discriminator of packs is right with probability ½ (1 + this), if real and forged ones are "
              "equally frequent.",
)  # fmt: skip

# -- 08.7 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="08.7",
    title="Open: a game that finds the ring in 1,500 steps",
    signature="my_game()",
    judge=better_game,
    solution=(gan_ring.Experiment,),
    hints=(
        "What kept the Dirac-GAN from circling, and what drove it outward? Momentum 0 and a penalty; then count.",
        "A flat discriminator finds all modes and sharpens none: set fading to what shall be left of r1 and r2 at "
        "four fifths of the training, say 1e-3.",
        "The recipe's own game is {'objective': 'relativistic', 'r1': 0.1, 'r2': 0.1, 'fading': 1e-5, 'momentum': 0}; "
        "in so few steps there may be better ones.",
    ),
)

EXERCISES = [DISCRIMINATOR, COUNTING, DIRAC, RADIUS, GRADIENT_PENALTY, PACKING, OPEN]
