"""Exercises of lesson 11, diffusion models."""

import numpy as np

from minigen.learn import solvers, ways_back
from minigen.learn.exercise import Exercise, Mistake
from minigen.models import probability_flow, samplers
from minigen.models.diffusion import Diffusion
from minigen.models.schedules import Schedule, Steps

# -- 11.1 forward moments ---------------------------------------------------------------------------------------------

MOMENTS = Exercise(
    id="11.1",
    title="Forward moments",
    signature="my_moments(betas, mean, variance)",
    reference=ways_back.moments,
    solution=(Steps, Schedule.noised),
    observe=ways_back.two_rows,
    cases=lambda rng: [(rng.uniform(0.05, 0.4, 5), 1.5, 0.3), (rng.uniform(0.1, 0.9, 3), -2.0, 4.0),
                       (rng.uniform(0.001, 0.02, 40), 0.7, 0.0)],
    hints=(
        "First ᾱ_t for all t: (11.2) is a running product. What is it at t = 0, before any step?",
        "bar = np.concatenate([[1.0], np.cumprod(1 - betas)]). By (11.3) x_t = √ᾱ x₀ + √(1 − ᾱ) ε: what do a factor "
        "and an independent addend do to a mean, and to a variance?",
        "return np.sqrt(bar) * mean, bar * variance + 1 - bar.",
    ),
    mistakes=(
        Mistake("That is the factor of one step, 1 − β_t. (11.2) has the product of all factors so far, ᾱ_t.",
                lambda *given: ways_back.bent_moments(*given, bar=lambda f: f)),
        Mistake("The mean is multiplied with α_t = √ᾱ_t; you took ᾱ_t.",
                lambda *given: ways_back.bent_moments(*given, of_mean=lambda a: a)),
        Mistake("The signal's variance shrinks too: α_t² V, not V.",
                lambda *given: ways_back.bent_moments(*given, of_variance=lambda a, v: v + 1 - a)),
        Mistake("A factor α_t multiplies a variance by α_t² = ᾱ_t; you took √ᾱ_t.",
                lambda *given: ways_back.bent_moments(*given, of_variance=lambda a, v: np.sqrt(a) * v + 1 - a)),
        Mistake("The noise's variance is σ_t² = 1 − ᾱ_t; you took σ_t.",
                lambda *given: ways_back.bent_moments(*given, of_variance=lambda a, v: a * v + np.sqrt(1 - a))),
        Mistake("That is the noise alone. The data have a variance of their own, of which α_t² V is left.",
                lambda *given: ways_back.bent_moments(*given, of_variance=lambda a, v: 1 - a)),
        Mistake("You took V = 1, for which nothing would change; the data may have any variance.",
                lambda *given: ways_back.bent_moments(*given, of_variance=lambda a, v: np.ones_like(a))),
        Mistake("Those are standard deviations; wanted are variances.",
                lambda *given: ways_back.bent_moments(*given, of_variance=lambda a, v: np.sqrt(a * v + 1 - a))),
    ),
    afterword="Whatever V was, it ends at 1, and whatever the mean was, at 0: all data end in the same noise.",
)  # fmt: skip

# -- 11.2 the posterior -----------------------------------------------------------------------------------------------


def _lattice(alphas, sigmas, x_t, x_0):
    return np.linspace(-4, 4, 81), x_t, x_0, alphas, sigmas


POSTERIOR = Exercise(
    id="11.2",
    title="One step back, by Bayes on a grid",
    signature="my_posterior(grid, x_t, x_0, alphas, sigmas)",
    reference=ways_back.posterior_on,
    solution=(ways_back.bent_posterior, Schedule.posterior),
    cases=lambda rng: [_lattice((0.9, 0.6), (0.43, 0.8), 0.3, 1.2), _lattice((0.8, 0.3), (0.6, 0.954), -1.0, 0.5),
                       _lattice((1.0, 1.0), (0.5, 1.5), 1.4, -0.6)],
    hints=(
        "As functions of x_s on the grid: q(x_s | x₀) is a Gaussian around α_s x₀, and q(x_t | x_s) one in x_t, around "
        "(α_t/α_s) x_s. Multiply them.",
        "The variance of the step is σ_t² − (α_t/α_s)² σ_s², (11.5). After multiplying, divide by the sum times the "
        "distance of two points, so that the density integrates to 1.",
        "r = alphas[1] / alphas[0]; p = np.exp(-(grid - alphas[0] * x_0)**2 / (2 * sigmas[0]**2) - (x_t - r * grid)**2 "
        "/ (2 * (sigmas[1]**2 - r**2 * sigmas[0]**2))); return p / (p.sum() * (grid[1] - grid[0])).",
    ),
    mistakes=(
        Mistake("The variance of the step is what is *missing* to σ_t², (11.5); you took all of σ_t².",
                lambda *given: ways_back.bent_posterior(*given, variance=lambda a, b, s, t: t**2)),
        Mistake("On the way from s to t the noise that was there shrinks too: subtract (α_t/α_s)² σ_s², not σ_s².",
                lambda *given: ways_back.bent_posterior(*given, variance=lambda a, b, s, t: t**2 - s**2)),
        Mistake("x_s shrinks by α_t/α_s on its way to x_t; you compare x_t with x_s itself.",
                lambda *given: ways_back.bent_posterior(*given, ratio=lambda a, b: 1.0)),
        Mistake("From s to t the factor is α_t/α_s; α_t alone leads from 0 to t.",
                lambda *given: ways_back.bent_posterior(*given, ratio=lambda a, b: b)),
        Mistake("That is q(x_s | x₀); what x_t tells is missing.",
                lambda *given: ways_back.bent_posterior(*given, step=False)),
        Mistake("That is what x_t tells alone; multiply with q(x_s | x₀).",
                lambda *given: ways_back.bent_posterior(*given, prior=False)),
        Mistake("The numbers must *integrate* to 1: divide by their sum times the distance of two points.",
                lambda *given: ways_back.bent_posterior(*given, sum_to=1.0)),
        Mistake("Right up to a factor: Bayes' rule has p(x_t | x₀) below. Divide by the sum times the distance of two "
                "points.", lambda *given: ways_back.bent_posterior(*given, sum_to=0.0)),
    ),
    afterword="Compare it with norm.pdf and (11.6): they agree to the rounding of the grid.",
)  # fmt: skip

# -- 11.3 what a network says -----------------------------------------------------------------------------------------


def _said(rng, kind, alpha, sigma):
    return kind, rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), alpha, sigma


def _noise(**other):
    return lambda *given: ways_back.bent_noise(*given, **other)


SAID = Exercise(
    id="11.3",
    title="Noise, clean point, velocity",
    signature="my_noise(kind, said, x_t, alpha, sigma)",
    reference=ways_back.noise_of,
    solution=(Schedule.noise_from,),
    cases=lambda rng: [_said(rng, kind, *level) for kind in ("eps", "x0", "v")
                       for level in ((0.8, 0.6), (1.0, 2.0))],
    hints=(
        'Three cases. "eps" needs nothing. For "x0", solve x_t = α x₀ + σ ε for ε.',
        'For "v", (11.7) has the formula. Check it with α = 1 and σ = 2: put v = αε − σx₀ and x_t = αx₀ + σε in.',
        'if kind == "eps": return said; if kind == "x0": return (x_t - alpha * said) / sigma; return (sigma * x_t + '
        "alpha * said) / (alpha**2 + sigma**2).",
    ),
    mistakes=(
        Mistake("You return what the network said, whatever it was: only for \"eps\" is that the noise.",
                _noise(from_x0=lambda f, x, a, s: f, from_v=lambda f, x, a, s: f)),
        Mistake("For \"x0\" you forgot that the clean point stands in x_t multiplied with α.",
                _noise(from_x0=lambda f, x, a, s: (x - f) / s)),
        Mistake("For \"x0\": the difference x_t − α x̂₀ is σ ε̂; divide it by σ.",
                _noise(from_x0=lambda f, x, a, s: x - a * f)),
        Mistake("For \"x0\" you divide by α; what stands before ε in x_t is σ.",
                _noise(from_x0=lambda f, x, a, s: (x - a * f) / a)),
        Mistake("For \"v\" the sum is divided by α² + σ², which is not always 1.",
                _noise(from_v=lambda f, x, a, s: s * x + a * f)),
        Mistake("For \"v\" that is the clean point, α x_t − σ v; the noise is σ x_t + α v.",
                _noise(from_v=lambda f, x, a, s: (a * x - s * f) / (a * a + s * s))),
        Mistake("For \"v\" the sign is plus: σ x_t + α v.",
                _noise(from_v=lambda f, x, a, s: (s * x - a * f) / (a * a + s * s))),
        Mistake("For \"v\" α and σ have changed places: σ goes with x_t, α with v.",
                _noise(from_v=lambda f, x, a, s: (a * x + s * f) / (a * a + s * s))),
        Mistake("For \"v\" that solves v = αε − σx₀ for ε with x_t in the place of x₀: eliminate x₀ with (11.3).",
                _noise(from_v=lambda f, x, a, s: (f + s * x) / a)),
    ),
    afterword="So a sampler that wants ε̂ can use any of the three networks.",
)  # fmt: skip

# -- 11.4 DDIM --------------------------------------------------------------------------------------------------------


def _step(rng, alphas, sigmas, eta):
    return rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), alphas, sigmas, eta, rng.normal(size=(4, 2))


def _ddim(**other):
    return lambda *given: ways_back.bent_ddim(*given, **other)


DDIM = Exercise(
    id="11.4",
    title="A DDIM step; with η = 1 it is DDPM's",
    signature="my_ddim(x_t, noise, alphas, sigmas, eta, z)",
    reference=ways_back.ddim_step,
    solution=(samplers.ddim, samplers.ancestral),
    cases=lambda rng: [_step(rng, (0.6, 0.8), (0.8, 0.6), 1.0), _step(rng, (0.28, 0.6), (0.96, 0.8), 0.0),
                       _step(rng, (0.6, 0.96), (0.8, 0.28), 0.5), _step(rng, (1.0, 1.0), (3.0, 1.0), 0.7)],
    hints=(
        "Two numbers first: x̂₀ from (11.21), and c = 1 − SNR_t/SNR_s. Then (11.22) has three parts.",
        "c = 1 − (α_t σ_s/(σ_t α_s))². The factor of ε̂ is √(σ_s² − η² c σ_s²), so that it and that of z, η √(c σ_s²), "
        "have the squares' sum σ_s².",
        "c = 1 - (alphas[0] * sigmas[1] / (sigmas[0] * alphas[1]))**2; clean = (x_t - sigmas[0] * noise) / alphas[0]; "
        "return alphas[1] * clean + sigmas[1] * (np.sqrt(1 - eta**2 * c) * noise + eta * np.sqrt(c) * z).",
    ),
    mistakes=(
        Mistake("You add fresh noise without taking out as much of the old: the factor of ε̂ is √(σ_s² − η² c σ_s²).",
                _ddim(kept=lambda v, c, eta, w: np.sqrt(v))),
        Mistake("η is squared where variances are subtracted: σ_s² − η² c σ_s².",
                _ddim(kept=lambda v, c, eta, w: np.sqrt(v * (1 - eta * c)))),
        Mistake("z is multiplied with the standard deviation η √(c σ_s²); you took a variance.",
                _ddim(shake=lambda v, c, eta, w: eta * c * v)),
        Mistake("c is 1 − SNR_t/SNR_s. Yours, 1 − (α_t/α_s)², is β, and β = c σ_t².",
                _ddim(share=lambda a, b, s, t: 1 - (a / b) ** 2)),
        Mistake("c has the ratio of signal to noise, SNR_t/SNR_s; you took that of the noises alone.",
                _ddim(share=lambda a, b, s, t: 1 - (t / s) ** 2)),
        Mistake("x̂₀ is divided by α_t, (11.21): x_t holds α_t x₀.",
                _ddim(clean=lambda x, e, a, s: x - s * e)),
        Mistake("Before ε̂ is subtracted it is multiplied with σ_t, (11.21).",
                _ddim(clean=lambda x, e, a, s: (x - e) / a)),
        Mistake("Your step ignores η: that is the one with η = 0.",
                _ddim(kept=lambda v, c, eta, w: np.sqrt(v), shake=lambda *_: 0.0)),
        Mistake("Your step ignores η: that is the ancestral one, η = 1.",
                _ddim(kept=lambda v, c, eta, w: np.sqrt(v * (1 - c)), shake=lambda v, c, eta, w: np.sqrt(c * v))),
        Mistake("The fresh noise has the variance η² c σ_s², of the *lower* level; you took c σ_t².",
                _ddim(shake=lambda v, c, eta, w: eta * np.sqrt(c * w))),
    ),
    afterword="With η = 1 it agreed with samplers.ancestral, with other η with samplers.ddim. One network, many walks.",
)  # fmt: skip

# -- 11.5 log p along the flow ----------------------------------------------------------------------------------------


def _flow(**other):
    return lambda *given: ways_back.bent_log_p(*given, **other)


LOG_P = Exercise(
    id="11.5",
    title="log p from the flow integrates to 1",
    signature="my_log_p(noise, slope, x, ratios)",
    reference=ways_back.euler_log_p,
    solution=(ways_back.bent_log_p, probability_flow.log_prob),
    observe=ways_back.with_integral,
    cases=lambda rng: [(*ways_back.two_hills, rng.normal(size=5), np.geomspace(0.1, 30, 40)),
                       (*ways_back.one_hill, rng.normal(size=5), np.geomspace(0.2, 20, 12))],
    hints=(
        "One loop over neighbours ς, ς′ of `ratios`. In it y moves by Euler's step (11.23), and a sum collects "
        "(ς′ − ς) ∂ε̂/∂y, both at the y before the move.",
        "After the loop y is where the density is N(0, ς_m²): log p_end = −y²/(2ς_m²) − log(ς_m √(2π)). (11.31) adds "
        "the sum; its last term is 0, because α = 1.",
        "for a, b in zip(ratios[:-1], ratios[1:]): total = total + (b - a) * slope(y, a); y = y + (b - a) * "
        "noise(y, a). Then return total - y**2 / (2 * b**2) - np.log(b * np.sqrt(2 * np.pi)).",
    ),
    mistakes=(
        Mistake("The trace is added, + ∫ ∂ε̂/∂y dς: where the flow spreads points, the density *was* higher.",
                _flow(sign=-1.0)),
        Mistake("The trace is missing: that is the last density at the place where x arrives.", _flow(sign=0.0)),
        Mistake("∂ε̂/∂y must be multiplied with the step ς′ − ς before it is added.", _flow(step=lambda a, b: 1.0)),
        Mistake("In (11.31) the step is dς; you multiplied with the step of log ς (there y moves by ς ε̂).",
                _flow(step=lambda a, b: np.log(b / a))),
        Mistake("The last density is N(0, ς_m²), not N(0, 1).", _flow(width=1.0)),
        Mistake("Ask ∂ε̂/∂y at the same y and ς as the step, before y moves.", _flow(late=True)),
        Mistake("The last density is taken at y where it arrives, not at x.", _flow(end=lambda x, y: x)),
    ),
    afterword="The integral is not quite 1, because Euler's steps are finite. With log|1 + (ς′ − ς) ∂ε̂/∂y| in place "
              "of the trace's term it would be exact: the log-determinant of a step, with which lesson 13 begins.",
)  # fmt: skip

# -- 11.6 guidance ----------------------------------------------------------------------------------------------------


def _asked(rng, w, count=3):
    return ways_back.classes, rng.normal(size=(count, 2)), 0.5, rng.integers(0, 3, count), w


GUIDANCE = Exercise(
    id="11.6",
    title="Guidance",
    signature="my_guided(predict, x, t, labels, w)",
    reference=ways_back.guided,
    solution=(Diffusion.predictor,),
    cases=lambda rng: [_asked(rng, 2.5, 5), _asked(rng, 0.0), _asked(rng, 1.0), _asked(rng, 0.4)],
    hints=(
        "Two questions to the network: one with the labels, one with None.",
        "The difference of the answers is what the class adds. (11.20) takes it w times.",
        "without = predict(x, t, None); return without + w * (predict(x, t, labels) - without).",
    ),
    mistakes=(
        Mistake("In (11.20) w = 1 is the network with its class. You start from the answer *with* the class and add w "
                "times the difference, as Ho and Salimans write it: their w is ours minus 1.",
                lambda f, x, t, y, w: f(x, t, y) + w * (f(x, t, y) - f(x, t, None))),
        Mistake("The difference has the wrong sign: away from no class, towards the class.",
                lambda f, x, t, y, w: f(x, t, None) + w * (f(x, t, None) - f(x, t, y))),
        Mistake("That is w times the answer with the class; subtract, then add, the answer without.",
                lambda f, x, t, y, w: w * f(x, t, y)),
        Mistake("Start from the answer *without* the class.",
                lambda f, x, t, y, w: w * (f(x, t, y) - f(x, t, None))),
        Mistake("Your answer does not depend on w: that is the network with its class.",
                lambda f, x, t, y, w: f(x, t, y)),
        Mistake("You mix the two with w and 1 − w the wrong way round: w belongs to the answer with the class.",
                lambda f, x, t, y, w: w * f(x, t, None) + (1 - w) * f(x, t, y)),
    ),
    afterword="Since ε̂ = −σ · score, this walks along the slope of p(x) p(y | x)^w, up to a constant: lesson 12.",
)  # fmt: skip

# -- 11.7 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="11.7",
    title="Open: the grid with twelve questions",
    signature="my_plan()",
    judge=solvers.better_plan,
    solution=(solvers.run,),
    hints=(
        "Chance needs many steps: choose a sampler without it. Which of them asks once a step and is still of second "
        "order?",
        "Then the times. Even in t wastes questions where nothing happens; even in λ depends on where it ends: what is "
        "the λ at which the noise is as wide as a mode, 0.05/3?",
        "Sampler 'dpm' with spacing 'snr'; vary `highest` from 6 to 13, and look at both high quality and the width.",
    ),
)

EXERCISES = [MOMENTS, POSTERIOR, SAID, DDIM, LOG_P, GUIDANCE, OPEN]
