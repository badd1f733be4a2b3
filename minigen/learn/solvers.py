"""The judge of lesson 11's open exercise: the grid from noise with twelve questions."""

import numbers

import numpy as np

from minigen.distributions.noised_mixture import NoisedMixture
from minigen.learn.exercise import WrongForm
from minigen.learn.walks import width
from minigen.metrics.modes import count_modes
from minigen.models import samplers
from minigen.recipes.diffusion_grid import Experiment

SAMPLES, CALLS = 2_500, 12
GOOD, FAIR = 0.97, 0.01  # share of high quality, and nats of reverse KL: what is asked for
NARROW, WIDE = 0.85, 1.15  # what is asked for of `width`
DEFAULTS = {"sampler": "ancestral", "steps": 12, "spacing": "even", "highest": 10.0, "eta": 0.0}
CHOICES = {"sampler": ("ancestral", "ddim", "heun", "dpm"), "spacing": ("even", "snr", "karras")}

GRID, SCALE, SCHEDULE = Experiment.truth, Experiment.scale, Experiment.schedule
TRUE_GRID = NoisedMixture(GRID.means * SCALE, GRID.sigma * SCALE)


class Counted:
    """A noise prediction that counts how often it is asked."""

    def __init__(self, predict):
        self.predict, self.calls = predict, 0

    def __call__(self, x, t):
        self.calls += 1
        return self.predict(x, t)


def times_of(plan):
    """The falling times of a plan, (steps + 1,)."""
    if plan["spacing"] == "even":
        return samplers.even_times(SCHEDULE, plan["steps"])
    if plan["spacing"] == "snr":
        return samplers.snr_times(SCHEDULE, plan["steps"], highest=plan["highest"])
    return samplers.karras_times(SCHEDULE, plan["steps"], low=float(np.exp(-0.5 * plan["highest"])))


def run(plan, predict=None, *, seed=0, n=SAMPLES):
    """Sample the grid of 25 by a plan, with the exact ε̂ if none is given: (points (n, 2), questions asked).

    plan:    a dict with any of: sampler ("ancestral", "ddim", "heun", "dpm"), steps, spacing of the times ("even" in t,
             "snr": even in λ, "karras"), highest (the λ of the last time but one, for the latter two), eta (of "ddim")
    """
    plan = DEFAULTS | plan
    predict, rng = Counted(predict or TRUE_GRID.predictor(SCHEDULE)), np.random.default_rng(seed)
    given = predict, SCHEDULE, times_of(plan), rng.standard_normal((n, 2))
    rules = {"ancestral": lambda: samplers.ancestral(*given, rng=rng),
             "ddim": lambda: samplers.ddim(*given, eta=plan["eta"], rng=rng),
             "heun": lambda: samplers.heun(*given), "dpm": lambda: samplers.dpm_solver(*given)}  # fmt: skip
    return rules[plan["sampler"]]() / SCALE, predict.calls


def questions(plan):
    """How often a plan will ask, without asking."""
    plan = DEFAULTS | plan
    return 2 * plan["steps"] - 1 if plan["sampler"] == "heun" else plan["steps"]


def better_plan(function):
    """Open exercise 11.7: all modes of the grid, sharply and fairly, with at most 12 questions."""
    plan = _looked_over(function())
    if questions(plan) > CALLS:
        return False, f"Your plan asks {questions(plan)} times; at most {CALLS} are allowed. (Heun asks twice a step.)"
    x, calls = run(plan)
    found, wide = count_modes(x, GRID.means, GRID.sigma), width(x, GRID.means, GRID.sigma)
    text = (f"With {calls} questions: {found.captured} of 25 modes, {found.high_quality:.1%} of high quality, reverse "
            f"KL {found.reverse_kl:.3f}, width {wide:.2f} σ.")
    asked = (f"all 25, at least {GOOD:.0%} of high quality, a reverse KL of at most {FAIR:g}, a width between {NARROW} "
             f"and {WIDE} σ")
    if found.captured == 25 and found.high_quality >= GOOD and found.reverse_kl <= FAIR and NARROW <= wide <= WIDE:
        return True, f"{text} Asked for was {asked}. With how few can you do it? learn.solvers.run(plan) tells."
    return False, f"{text} Asked for is {asked}. {_advice(DEFAULTS | plan, found, wide)}"


def _looked_over(plan):
    if not isinstance(plan, dict):
        raise WrongForm(f"It returned {type(plan).__name__}, wanted a dict of settings, such as {{'steps': 10}}.")
    strange = sorted(set(plan) - set(DEFAULTS))
    if strange:
        raise WrongForm(f"There is no setting {strange[0]!r}; there are {', '.join(DEFAULTS)}.")
    for name, choices in CHOICES.items():
        if plan.get(name, choices[0]) not in choices:
            raise WrongForm(f"There is no {name} {plan[name]!r}; there are {', '.join(map(repr, choices))}.")
    steps, highest, eta = (plan.get(name, DEFAULTS[name]) for name in ("steps", "highest", "eta"))
    if not isinstance(steps, numbers.Integral) or steps < 3:
        raise WrongForm(f"steps is {steps!r}; wanted a whole number, at least 3.")
    if not isinstance(highest, numbers.Real) or not -5 < highest <= 20:
        raise WrongForm(f"highest is {highest!r}; wanted a λ between −5 and 20.")
    if not isinstance(eta, numbers.Real) or not 0 <= eta <= 1:
        raise WrongForm(f"eta is {eta!r}; wanted a number from 0 to 1.")
    return plan


def _advice(plan, found, wide):
    if plan["sampler"] == "ancestral" or (plan["sampler"] == "ddim" and plan["eta"] > 0):
        return "Fresh noise in every step has to be taken away again, and there are no steps left for it: do without."
    if plan["sampler"] == "ddim":
        return "Euler's steps are of first order only: they cut every bend. Two of the samplers are of second order."
    if plan["spacing"] == "even":
        return "Times even in t leave too few steps near the data, where λ rises fast. Try another spacing."
    if wide < NARROW:
        return ("The modes are too narrow: the last move goes to the *mean* of what may have been there. Begin it "
                "nearer to the data, with a larger `highest`.")  # fmt: skip
    if plan["highest"] > 13:
        return "At so large a λ the noise is far narrower than a mode; each step spent there is missing elsewhere."
    return "Too many points are off their mode: more steps, or a sampler that asks only once a step."
