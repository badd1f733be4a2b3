"""Exercises of lesson 10, score matching and Langevin sampling."""

import numpy as np

import minigen as mg
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.learn import slopes, walks
from minigen.learn.exercise import Exercise, Mistake
from minigen.models import langevin, score

# -- 10.1 Hutchinson --------------------------------------------------------------------------------------------------


def _probed(rng, field, count, width, probes):
    return field, rng.normal(size=(count, width)), rng.choice([-1.0, 1.0], size=(probes, count, width))


HUTCHINSON = Exercise(
    id="10.1",
    title="Hutchinson's trace",
    signature="my_trace(score, x, probes)",
    reference=slopes.probed,
    solution=(score.hutchinson,),
    cases=lambda rng: [_probed(rng, slopes.whirl, 5, 2, 3), _probed(rng, slopes.turned, 4, 3, 1),
                       (slopes.whirl, rng.normal(size=(3, 2)), rng.normal(size=(4, 3, 2)))],
    hints=(
        "For one v: the gradient of the number vᵀs(x) in x is the row vᵀ ∂s/∂x. Multiply it with v once more, and sum.",
        "leaf = mg.tensor(x, requires_grad=True); (row,) = mg.grad((score(leaf) * v).sum(), leaf); "
        "row.data is (B, D). Why may all examples be summed? Each has its own x.",
        "Collect (row.data * v).sum(1) for every v in probes, and return np.mean(…, axis=0).",
    ),
    mistakes=(
        Mistake("You sum over the probes; (10.4) is a mean.",
                lambda f, x, v: slopes.probed(f, x, v) * len(v)),
        Mistake("That is vᵀ ∂s/∂x, summed over its entries: multiply the row with v before you sum.",
                lambda f, x, v: slopes.sandwiched(f, x, v, lambda row, v: row).mean(0)),
        Mistake("That is the sum of all entries of ∂s/∂x. The random v stands on both sides of it.",
                lambda f, x, v: slopes.sandwiched(f, x, np.ones_like(v), lambda row, v: row).mean(0)),
        Mistake("You used the first probe only.", lambda f, x, v: slopes.probed(f, x, v[:1])),
        Mistake("You average over the examples; each has a trace of its own, (B,).",
                lambda f, x, v: slopes.probed(f, x, v).mean()),
        Mistake("That is the exact trace, which costs D gradients. Wanted is the estimate from the given probes.",
                lambda f, x, v: slopes.exact_trace(f, x)),
        Mistake("The v on both sides are the same one; you multiplied with the score, not with its Jacobian.",
                lambda f, x, v: slopes.sandwiched(lambda y: y, x, v, lambda row, v: row * f(_leaf(x)).data).mean(0)),
    ),
    afterword="A flow's density (lesson 13) and a diffusion's (lesson 11) are computed with this very trick.",
)  # fmt: skip


def _leaf(x):
    return mg.tensor(np.asarray(x))


# -- 10.2 two gradients -----------------------------------------------------------------------------------------------


def _fitted(rng, sigma, count, truth):
    return rng.normal(size=3), slopes.bends, rng.normal(1, 1, count), rng.normal(size=count), sigma, truth


TWO_GRADIENTS = Exercise(
    id="10.2",
    title="One gradient, two losses",
    signature="my_slopes(theta, features, x, noise, sigma, truth)",
    reference=slopes.two_slopes,
    solution=(slopes.two_slopes, score.denoising),
    observe=slopes.two_named,
    cases=lambda rng: [_fitted(rng, 0.5, 6, slopes.one_hill), _fitted(rng, 2.0, 9, slopes.one_hill),
                       _fitted(rng, 0.3, 1, np.sin)],
    hints=(
        "First the noised points y = x + σε. Both losses ask the network there. What is ∂s/∂θ, if s = features(y) · θ?",
        "∂s/∂θ is features(y). So each gradient is a mean over the points of features(y) times what stands inside the "
        "square: s + ε/σ, and s − truth(y).",
        "phi = features(y); s = phi @ theta; return phi.T @ (s + noise / sigma) / len(x), "
        "phi.T @ (s - truth(y)) / len(x).",
    ),
    mistakes=(
        Mistake("The noise enters (10.7) with plus, + ε/σ: the target of the score is −ε/σ, the way back.",
                lambda *given: slopes.bent_slopes(*given, target=lambda e, s: e / s)),
        Mistake("In (10.7) ε is divided by σ, not multiplied: at little noise the slope is steep.",
                lambda *given: slopes.bent_slopes(*given, target=lambda e, s: -e * s)),
        Mistake("ε/σ, not ε/σ²: the step x − y = −σε divided by σ² leaves one σ.",
                lambda *given: slopes.bent_slopes(*given, target=lambda e, s: -e / s**2)),
        Mistake("You fit to ε alone; that is right for F of (10.9), not for the score.",
                lambda *given: slopes.bent_slopes(*given, target=lambda e, s: -e)),
        Mistake("You ask the network at the clean x; both losses ask it at the noised y = x + σε.",
                lambda *given: slopes.bent_slopes(*given, place=lambda x, e, s: x)),
        Mistake("The noise of y has the width σ: y = x + σε.",
                lambda *given: slopes.bent_slopes(*given, place=lambda x, e, s: x + e)),
        Mistake("Twice too large: the ½ before the square takes the 2 of its derivative.",
                lambda *given: slopes.bent_slopes(*given, times=2.0)),
        Mistake("Those are sums over the points; the losses are means.",
                lambda theta, f, x, *rest: slopes.bent_slopes(theta, f, x, *rest, times=float(len(x)))),
        Mistake("Yours have the opposite sign: that is the way down, the gradient points up.",
                lambda *given: slopes.bent_slopes(*given, times=-1.0)),
    ),
    afterword="On a few points the two differ by chance. Draw 10⁶ points of a mixture, give its blurred score as "
              "`truth`, and see them agree.",
)  # fmt: skip

# -- 10.3 Tweedie -----------------------------------------------------------------------------------------------------


def _dirty(rng, count, dims, modes, width, sigma):
    return rng.normal(size=(count, dims)), rng.normal(size=(modes, dims)), width, sigma


def _unstable(y, means, width, sigma):
    density = np.exp(-((y[:, None] - means) ** 2).sum(-1) / (2 * (width**2 + sigma**2)))
    share = density / density.sum(1, keepdims=True)
    return y + sigma**2 * (share @ means - y) / (width**2 + sigma**2)


TWEEDIE = Exercise(
    id="10.3",
    title="The best guess of what was there",
    signature="my_clean(y, means, width, sigma)",
    reference=slopes.cleaned,
    solution=(score.denoised, NoisedMixture.score),
    cases=lambda rng: [_dirty(rng, 5, 2, 4, 0.3, 0.6), _dirty(rng, 4, 1, 3, 0.7, 0.2), _dirty(rng, 3, 2, 2, 0.2, 2.0),
                       (np.array([[60.0, 0.0], [3.0, -70.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]]), 0.2, 0.5)],
    hints=(
        "Noise makes each Gaussian wider: y comes from the equal mixture of N(μ_k, τ² I) with τ² = width² + σ². Its "
        "score first, then (10.8).",
        "The share r_k(y) of mode k is e^(−|y − μ_k|²/2τ²) divided by the sum over k; the score is "
        "(Σ r_k μ_k − y)/τ². Far away all the e^… are 0: subtract the smallest |y − μ_k|² first.",
        "d = ((y[:, None] - means) ** 2).sum(-1); r = np.exp(-(d - d.min(1, keepdims=True)) / (2 * tau2)); r /= "
        "r.sum(1, keepdims=True); return y + sigma**2 * (r @ means - y) / tau2.",
    ),
    mistakes=(
        Mistake("You took τ² = σ²: the modes have a width of their own, τ² = width² + σ².",
                lambda y, m, w, s: slopes.tweedie(y, m, w, s, tau=s**2)),
        Mistake("You took the clean density's score, τ = width: Tweedie wants that of the noised one.",
                lambda y, m, w, s: slopes.tweedie(y, m, w, s, tau=w**2)),
        Mistake("Widths do not add, their squares do: τ² = width² + σ².",
                lambda y, m, w, s: slopes.tweedie(y, m, w, s, tau=(w + s) ** 2)),
        Mistake("The score is multiplied with σ², not with σ.",
                lambda y, m, w, s: slopes.tweedie(y, m, w, s, factor=s)),
        Mistake("You went downhill: the score points to where points come from, so plus.",
                lambda y, m, w, s: slopes.tweedie(y, m, w, s, factor=-(s**2))),
        Mistake("You went all the way to the mean of the modes: σ² · score is only a part σ²/τ² of it.",
                lambda y, m, w, s: slopes.tweedie(y, m, w, s, factor=w**2 + s**2)),
        Mistake("You took the nearest mode alone; the best guess in mean square weighs all of them with r_k.",
                lambda y, m, w, s: slopes.tweedie(y, m, w, s, soft=False)),
        Mistake("That is the score itself; E[x | y] is y + σ² times it.",
                lambda y, m, w, s: (slopes.cleaned(y, m, w, s) - y) / s**2),
        Mistake("Right, but far from all modes every e^(−…) is 0, and 0/0 is nan: subtract the smallest |y − μ_k|² "
                "before the exponential.", _unstable),
    ),
    afterword="This one line is a denoiser; lesson 11 applies it a thousand times.",
)  # fmt: skip

# -- 10.4 curl --------------------------------------------------------------------------------------------------------


def _entries(ending):
    return lambda field, x: ending(score.jacobian(field, np.asarray(x)))


CURL = Exercise(
    id="10.4",
    title="Does a field have a height?",
    signature="my_curl(score, x)",
    reference=slopes.curl,
    solution=(score.jacobian,),
    cases=lambda rng: [(slopes.whirl, rng.normal(size=(5, 2))), (slopes.hill, rng.normal(size=(4, 2))),
                       (slopes.both_ways, rng.normal(size=(6, 2)))],
    hints=(
        "A slope has ∂s_i/∂x_j = ∂s_j/∂x_i, (10.10). In the plane only one pair can differ: take its difference.",
        "leaf = mg.tensor(x, requires_grad=True); s = score(leaf); (row,) = mg.grad(s[:, 1].sum(), leaf, "
        "create_graph=True) is ∂s₂/∂x, (B, 2): its first column is ∂s₂/∂x₁.",
        "With the rows of s[:, 0] and s[:, 1]: return (second[:, 0] - first[:, 1]).data.",
    ),
    mistakes=(
        Mistake("Yours has the opposite sign: ∂s₂/∂x₁ comes first.", lambda f, x: -slopes.curl(f, x)),
        Mistake("You added the two; the curl is their difference.", _entries(lambda j: j[:, 1, 0] + j[:, 0, 1])),
        Mistake("That is the trace (the divergence): the off-diagonal entries are wanted.",
                _entries(lambda j: j[:, 0, 0] + j[:, 1, 1])),
        Mistake("Only one of the two derivatives: subtract ∂s₁/∂x₂.", _entries(lambda j: j[:, 1, 0])),
        Mistake("You took the absolute value; which way it turns counts, too.",
                lambda f, x: np.abs(slopes.curl(f, x))),
        Mistake("You summed over the points; each has a curl of its own, (B,).",
                lambda f, x: slopes.curl(f, x).sum()),
        Mistake("That is the determinant of ∂s/∂x; the curl is the difference of its off-diagonal entries.",
                _entries(np.linalg.det)),
    ),
    afterword="For `hill`, a gradient, it is 0 at every point; for a free network it is not.",
)  # fmt: skip

# -- 10.5 one Langevin step -------------------------------------------------------------------------------------------

STEP = Exercise(
    id="10.5",
    title="One Langevin step",
    signature="my_step(x, slope, step, noise)",
    reference=slopes.step,
    solution=(langevin.langevin,),
    cases=lambda rng: [(*rng.normal(size=(2, 5, 2)), 0.1, rng.normal(size=(5, 2))),
                       (*rng.normal(size=(2, 3, 1)), 0.7, rng.normal(size=(3, 1))),
                       (*rng.normal(size=(2, 2, 4)), 3.0, rng.normal(size=(2, 4)))],
    hints=(
        "(10.11) has two parts: a drift along the slope, in proportion to η, and a shake.",
        "The shake has the variance 2η, so the standard deviation is its root.",
        "return x + step * slope + np.sqrt(2 * step) * noise.",
    ),
    mistakes=(
        Mistake("The shake is √(2η): without the 2 the walkers gather more narrowly than p.",
                lambda x, s, h, z: x + h * s + np.sqrt(h) * z),
        Mistake("Variance 2η means a standard deviation of √(2η); you multiplied with 2η.",
                lambda x, s, h, z: x + h * s + 2 * h * z),
        Mistake("Drift and shake grow differently: η for the slope, √(2η) for the noise.",
                lambda x, s, h, z: x + h * s + h * z),
        Mistake("You walk downhill: log p is to rise, so + η s.", lambda x, s, h, z: x - h * s + np.sqrt(2 * h) * z),
        Mistake("The shake is missing: this climbs to the top and stays there.", lambda x, s, h, z: x + h * s),
        Mistake("That is the step with η/2 and √η, as some papers write it. In (10.11) η is half of theirs.",
                lambda x, s, h, z: x + h / 2 * s + np.sqrt(h) * z),
        Mistake("The root belongs to the noise alone; the slope is multiplied with η.",
                lambda x, s, h, z: x + np.sqrt(2 * h) * (s + z)),
        Mistake("You returned the move; the new place is x plus that.",
                lambda x, s, h, z: h * s + np.sqrt(2 * h) * z),
    ),
    afterword="Apply it 1,000 times with slope = −x and step 0.1: the variance of x comes out 1/(1 − 0.05).",
)  # fmt: skip

# -- 10.6 annealing ---------------------------------------------------------------------------------------------------


def _ladder(rng, sigmas, count, points, step):
    return (slopes.three_hills, np.array(sigmas), rng.normal(size=(points, 2)), step,
            rng.normal(size=(len(sigmas), count, points, 2)))  # fmt: skip


ANNEALING = Exercise(
    id="10.6",
    title="Annealing",
    signature="my_walk(score, sigmas, x, step, noise)",
    reference=slopes.annealed,
    solution=(langevin.annealed, langevin.langevin),
    cases=lambda rng: [_ladder(rng, [2.0, 0.7, 0.2], 2, 4, 0.004), _ladder(rng, [1.0, 0.5], 3, 3, 0.02),
                       _ladder(rng, [0.4], 1, 5, 0.05)],
    tolerance=1e-5,
    hints=(
        "Two loops: over the levels, and at each level over its steps of (10.11). What changes from level to level?",
        "At level i the step is η σ_i²/σ_n², with σ_n = sigmas[-1], and the score is asked at σ_i. noise[i, k] is the "
        "z of step k. After the last level comes one more move, without noise.",
        "for sigma, shakes in zip(sigmas, noise): eta = step * (sigma / sigmas[-1]) ** 2; for z in shakes: x = x + eta "
        "* score(x, sigma) + np.sqrt(2 * eta) * z. Then return x + sigmas[-1] ** 2 * score(x, sigmas[-1]).",
    ),
    mistakes=(
        Mistake("The last move is missing: x + σ_n² s(x, σ_n) takes the last noise away.",
                lambda *given: slopes.walk(*given, clean=None)),
        Mistake("The same step at every level: (10.14) has η σ_i²/σ_n².",
                lambda *given: slopes.walk(*given, size=lambda s, last: 1.0)),
        Mistake("The step grows with the square, σ_i²/σ_n²; yours grows with σ_i/σ_n.",
                lambda *given: slopes.walk(*given, size=lambda s, last: s / last)),
        Mistake("You multiply with σ_i² but do not divide by σ_n²: `step` is η at the *last* level.",
                lambda *given: slopes.walk(*given, size=lambda s, last: s**2)),
        Mistake("The shake is √(2η); the 2 is missing.", lambda *given: slopes.walk(*given, shake=1.0)),
        Mistake("The score is asked at the last σ all the time; ask it at the level where you are.",
                lambda f, s, *rest: slopes.walk(f, s, *rest, asked=s[-1])),
        Mistake("The last move has σ_n², not σ_n, before the score.",
                lambda *given: slopes.walk(*given, clean=lambda s: s)),
        Mistake("The levels go from much noise to little, as in sigmas; yours go up.",
                lambda f, s, x, h, z: slopes.walk(f, s[::-1], x, h * (s[0] / s[-1]) ** 2, z)),
    ),
    afterword="Try it with walks.exact(walks.two_hills()) from minigen.learn, and count the walkers on the right.",
)  # fmt: skip

# -- 10.7 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="10.7",
    title="Open: the grid with forty questions",
    signature="my_plan()",
    judge=walks.better_walk,
    solution=(walks.walk,),
    hints=(
        "Count: the annealed walk asks levels · (count + 1) + 1 times, the corrector (levels − 1)(1 + count) + 1. What "
        "is wasted on levels that are too near to each other?",
        "With 40 questions the method 'corrector' goes further: its predictor follows the noise down by itself, and "
        "one correction a level, or none, is enough.",
        "Choose method 'corrector', low near 0.01, count 0 or 1, and as many levels as the budget allows. Then see "
        "what 'ratio' does to the sharpness.",
    ),
)

EXERCISES = [HUTCHINSON, TWO_GRADIENTS, TWEEDIE, CURL, STEP, ANNEALING, OPEN]
