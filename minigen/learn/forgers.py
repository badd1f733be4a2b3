"""The judge of lesson 08's open exercise: it plays the learner's game on the ring for a moment, and counts modes."""

import numbers
from collections import deque

import numpy as np

from minigen.errors import MinigenError
from minigen.learn.exercise import WrongForm
from minigen.models.gan import OBJECTIVES
from minigen.recipes import gan_ring

STEPS = 1_500
GOOD, FAIR = 0.85, 0.015  # share of high quality, and nats of reverse KL: what is asked for
ALLOWED = ("objective", "r1", "r2", "gp", "packing", "fading", "momentum")


def play(game, seed=0, steps=STEPS):
    """The ring's experiment with a game of the learner's: the networks, rates and batches of `gan-ring`, trained.

    game:    a dict of what ALLOWED names; what is left out: the non-saturating loss, no help, momentum 0.9
    """
    settings = {"objective": "non-saturating", **game}
    changes = {"fading": settings.pop("fading", 1.0), "betas": (settings.pop("momentum", 0.9), 0.99), "game": settings}
    experiment = type("Game", (gan_ring.Experiment,), changes)(seed, steps=steps)
    deque(experiment.fit(progress=False), maxlen=0)
    return experiment


def better_game(function):
    """Open exercise 08.7: all eight modes, fairly and sharply, after 1,500 steps."""
    game = _looked_over(function())
    try:
        found = play(game).evaluate()
    except MinigenError as error:
        raise WrongForm(f"Your game stopped: {error}") from None
    text = (f"After {STEPS:,} steps: {found['modes']:.0f} of 8 modes, {found['high_quality']:.1%} of high quality, "
            f"reverse KL {found['reverse_kl']:.3f}.")
    asked = f"all 8 modes, at least {GOOD:.0%} of high quality, a reverse KL of at most {FAIR:g}"
    if found["modes"] == 8 and found["high_quality"] >= GOOD and found["reverse_kl"] <= FAIR:
        return True, f"{text} Asked for was {asked}. Does it hold for seeds 1 and 2? learn.forgers.play(game, seed)"
    return False, f"{text} Asked for is {asked}. {_advice(game, found)}"


def _looked_over(game):
    if not isinstance(game, dict):
        raise WrongForm(f"It returned {type(game).__name__}, wanted a dict of settings, such as {{'r1': 0.1}}.")
    strange = sorted(set(game) - set(ALLOWED))
    if strange:
        raise WrongForm(f"There is no setting {strange[0]!r}; there are {', '.join(ALLOWED)}.")
    if game.get("objective", "hinge") not in OBJECTIVES:
        raise WrongForm(f"There is no objective {game['objective']!r}; there are {', '.join(OBJECTIVES)}.")
    for name in ALLOWED[1:]:
        value = game.get(name, 1)
        most = {"fading": 1, "momentum": 0.99}.get(name, np.inf)
        least = 1e-12 if name == "fading" else 0
        if name in game and not (isinstance(value, numbers.Real) and least <= value <= most):
            raise WrongForm(f"{name} is {value!r}; wanted a number of at least 0 (fading: above 0, at most 1; "
                            "momentum: at most 0.99).")
    packing = game.get("packing", 1)
    if packing not in (1, 2, 4, 8):
        raise WrongForm(f"packing is {packing!r}; the batch of 256 is cut into packs of 1, 2, 4 or 8.")
    return game


def _advice(game, found):
    if game.get("momentum", 0.9) > 0.5:
        return "What does momentum do to a spiral? See the end of section 4."
    if not any(game.get(name, 0) for name in ("r1", "r2", "gp")) and game.get("packing", 1) == 1:
        return "Nothing damps this game: which penalty of (8.12) draws the spiral in?"
    if found["reverse_kl"] > FAIR or found["modes"] < 8:
        return "Modes are missing or rare: a stronger penalty, or a game in which a missing mode pulls, (8.10)?"
    return "All modes are found, but blurred: a discriminator that must stay flat cannot see a width of 0.01. Fade it."
