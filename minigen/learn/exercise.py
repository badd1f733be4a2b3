"""What an exercise is: a definition to compare with, inputs to compare on, hints, and the mistakes it can name."""

from collections.abc import Callable
from dataclasses import dataclass


class WrongForm(Exception):
    """Raised by an exercise's `observe` or `judge` about an answer of the wrong kind; the text goes to the learner."""


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer, as a function, and what to tell the learner whose answer agrees with it.

    message:  names the mistake and says what to do
    answer:   takes what the exercise's function takes, and errs in this one way
    """

    message: str
    answer: Callable


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson.

    id:         "05.2": lesson, then number
    title:      what it is about, in a few words
    signature:  how the learner's function is called, as text
    reference:  the package's own function; what it returns is right
    cases:      rng → a list of argument tuples; the learner's function must agree with the reference on all
    hints:      three texts, from a nudge to nearly the answer
    mistakes:   in the order in which they are tried
    observe:    (function, *arguments) → what is compared: an array, or a dict of named ones. By default the function's
                value; for a random function, its statistics.
    tolerance:  largest difference allowed, relative to the larger of 1 and the wanted value
    gradcheck:  also check the gradient with respect to the arrays among the arguments
    tensors:    the function is called with Tensors only (otherwise arrays are tried first)
    judge:      for open exercises instead of cases: function → (passed, text)
    solution:   the objects whose source `learn.solution` shows; by default the reference
    afterword:  one or two sentences printed after a right answer: what it is good for
    """

    id: str
    title: str
    signature: str
    hints: tuple
    reference: Callable = None
    cases: Callable = None
    mistakes: tuple = ()
    observe: Callable = None
    tolerance: float = 1e-6
    gradcheck: bool = False
    tensors: bool = False
    judge: Callable = None
    solution: tuple = ()
    afterword: str = ""

    @property
    def lesson(self):
        """The lesson's number: "05", "A1"."""
        return self.id.split(".")[0]
