"""The judge of lesson 10's open exercise, and the two hills between which its walkers are counted."""

import numbers

import numpy as np

from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.learn.exercise import WrongForm
from minigen.metrics.modes import count_modes
from minigen.models import langevin
from minigen.models.score import geometric

SAMPLES, CALLS = 2_500, 40
GOOD, FAIR = 0.97, 0.01  # share of high quality, and nats of reverse KL: what is asked for
NARROW, WIDE = 0.85, 1.1  # what is asked for of `width`
DEFAULTS = {"high": 8.0, "low": 0.02, "levels": 20, "step": 0.1, "count": 5, "method": "annealed", "ratio": 0.16}

GRID = toy2d.grid()
TRUE_GRID = NoisedMixture(GRID.means, GRID.sigma)


class Counted:
    """A score that counts how often it is asked."""

    def __init__(self, score):
        self.score, self.calls = score, 0

    def __call__(self, x, sigma):
        self.calls += 1
        return self.score(x, sigma)


def two_hills(weight=0.2, distance=8.0):
    """In the plane, two round hills of width 1: the left one has 1 − weight of all points, the right one the rest."""
    return NoisedMixture([[-distance / 2, 0.0], [distance / 2, 0.0]], 1.0, [1 - weight, weight])


def exact(world):
    """A NoisedMixture's score as the samplers take it: (x (B, D), σ) → (B, D)."""
    return lambda x, sigma: world.score(x, 1.0, sigma)


def walk(plan, score=None, *, seed=0, n=SAMPLES):
    """Sample the grid of 25 by a plan, with the exact score if none is given: (points (n, 2), calls of the score).

    plan:    a dict with any of: method ("annealed" or "corrector"), high, low, levels (of σ); step (η of the annealed
             walk in units of σ²) and count (steps, or corrections, a level); ratio (r of the corrector)
    """
    plan = DEFAULTS | plan
    score, rng = Counted(score or exact(TRUE_GRID)), np.random.default_rng(seed)
    sigmas = geometric(plan["high"], plan["low"], plan["levels"])
    x = plan["high"] * rng.standard_normal((n, 2))
    if plan["method"] == "annealed":
        x = langevin.annealed(score, sigmas, x, step=plan["step"] * plan["low"] ** 2, count=plan["count"], rng=rng)
    else:
        x = langevin.predictor_corrector(score, sigmas, x, corrections=plan["count"], ratio=plan["ratio"], rng=rng)
    return x, score.calls


def width(points, means, sigma):
    """The root mean square offset, per coordinate, of the points within 3σ of their mode, in units of σ.

    True points of the plane have 0.974: the mean of r² below r = 3 is (2 − 11 e^(−9/2)) / (1 − e^(−9/2)) = 1.899.
    """
    nearest = ((points[:, None] - means) ** 2).sum(-1).min(1)  # squared distances: (n,)
    good = nearest <= 9 * sigma**2
    return float(np.sqrt(nearest[good].mean() / points.shape[1]) / sigma) if good.any() else float("nan")


def better_walk(function):
    """Open exercise 10.7: all modes of the grid, sharply and fairly, with at most 40 calls of the score."""
    plan = _looked_over(function())
    calls = _calls(plan)
    if calls > CALLS:
        return False, f"Your plan asks the score {calls} times; at most {CALLS} are allowed."
    x, calls = walk(plan)
    if not np.isfinite(x).all() or np.abs(x).max() > 1_000:
        return False, "The walkers ran away to infinity: the steps are too large. What is the largest η for N(0, σ²)?"
    found = count_modes(x, GRID.means, GRID.sigma)
    text = (f"With {calls} calls: {found.captured} of 25 modes, {found.high_quality:.1%} of high quality, reverse KL "
            f"{found.reverse_kl:.3f}, width {(wide := width(x, GRID.means, GRID.sigma)):.2f} σ.")
    asked = (f"all 25, at least {GOOD:.0%} of high quality, a reverse KL of at most {FAIR:g}, a width between {NARROW} "
             f"and {WIDE} σ")
    if (found.captured == 25 and found.high_quality >= GOOD and found.reverse_kl <= FAIR and NARROW <= wide <= WIDE):
        return True, f"{text} Asked for was {asked}. With how few calls can you do it? learn.walks.walk(plan) tells."
    return False, f"{text} Asked for is {asked}. {_advice(plan, found)}"


def _calls(plan):
    plan = DEFAULTS | plan
    if plan["method"] == "annealed":
        return plan["levels"] * (plan["count"] + 1) + 1
    return (plan["levels"] - 1) * (1 + plan["count"]) + 1


def _looked_over(plan):
    if not isinstance(plan, dict):
        raise WrongForm(f"It returned {type(plan).__name__}, wanted a dict of settings, such as {{'levels': 30}}.")
    strange = sorted(set(plan) - set(DEFAULTS))
    if strange:
        raise WrongForm(f"There is no setting {strange[0]!r}; there are {', '.join(DEFAULTS)}.")
    if plan.get("method", "annealed") not in ("annealed", "corrector"):
        raise WrongForm(f"There is no method {plan['method']!r}; there are 'annealed' and 'corrector'.")
    for name, value in plan.items():
        whole = name in ("levels", "count")
        if name != "method" and not (isinstance(value, numbers.Integral if whole else numbers.Real) and value > 0
                                     or (name == "count" and value == 0)):
            raise WrongForm(f"{name} is {value!r}; wanted a {'whole ' if whole else ''}number above 0.")
    both = DEFAULTS | plan
    if not both["high"] > both["low"] or both["levels"] < 2:
        raise WrongForm(f"The levels fall from high = {both['high']} to low = {both['low']}: high must be the larger, "
                        "and there must be at least two.")
    return plan


def _advice(plan, found):
    plan = DEFAULTS | plan
    if plan["high"] < 3:
        return "At the first level hills must melt into one: the grid is 8 wide, so begin with more noise."
    if plan["low"] > 0.05:
        return ("The last level is wider than the modes themselves, 0.05. The last move gives the *mean* of what may "
                "have been there, not a sample of it, so the modes shrink: go lower.")
    factor = (plan["high"] / plan["low"]) ** (1 / (plan["levels"] - 1))
    if factor > 1.8:
        return f"From level to level σ falls by a factor of {factor:.1f}: the walkers cannot follow. Take more levels."
    if found.reverse_kl > FAIR:
        return "The shares are not right: where is it decided to which mode a walker goes? Spend more steps there."
    return "Too many walkers are off their mode: smaller steps (their bias widens the modes), or a predictor."
