"""Learning: exercises that mark themselves, hints, solutions, and the package's own source beside the text.

    learn.check("05.2", my_kl)          # what is right, what is not, and the first case that differs
    learn.hint("05.2")                  # the next of three hints
    learn.solution("05.2")              # how the package does it
    learn.progress.print_summary()      # what is done

    learn.show_source(VAE.elbo)         # the code that runs, not a copy
    learn.compare(closed_form, monte_carlo, expect=0.02)
    learn.explore(draw, weight=(-4, 4))   # a picture with sliders

Nothing here raises because of a wrong answer: a notebook with unsolved exercises runs from top to bottom.
"""

from minigen.learn import progress
from minigen.learn.checking import check, hint, mark, solution
from minigen.learn.comparing import compare
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.explore import explore
from minigen.learn.page import Live
from minigen.learn.registry import exercise, exercises
from minigen.learn.source import show_source

__all__ = [
    "Exercise", "Live", "Mistake", "check", "compare", "exercise", "exercises", "explore", "hint", "mark", "progress",
    "show_source", "solution",
]  # fmt: skip
