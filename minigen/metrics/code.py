"""Code completion, measured: does the completed statement parse, and is the next name the right one?

A *place* is where a name (no keyword) begins in the code of a top-level function or class of some source. A model reads
what stands before it and goes on. Two questions can be put to what it writes, and neither asks another model:

    name       is the first name of the continuation the true one?
    parse      is the statement, up to the place and from there as the model ends it, Python?

Where a continuation ends is for the layout to say: a top-level statement ends where the next unindented line begins,
unless that begins with a closing bracket. A continuation that was cut off before its statement ended is cut back to its
last whole line. So that nothing is given away, `unfinished` keeps only places at which the statement so far is not
Python, and a continuation of nothing would fail.

A place begins with the space before the name, if there is one, and names that begin with an underscore are left out:
byte pairs join the space to a word, and a sign to the signs after it, so that a text cut elsewhere ends in tokens that
the training text does not have there.
"""

import ast
import io
import keyword
import re
import tokenize
import warnings
from typing import NamedTuple

import numpy as np

NAME = re.compile(r" ?([A-Za-z_][A-Za-z0-9_]*)")
END = re.compile(r"\f|\n(?=[^\s)\]}])")  # a form feed closes a document


class Place(NamedTuple):
    """A place in a source.

    before:    the source up to the place
    start:     where in `before` the statement begins
    after:     the rest of the statement
    """

    before: str
    start: int
    after: str

    @property
    def statement(self):
        """The statement up to the place."""
        return self.before[self.start :]


def places(source):
    """All places of a source that parses: a list of Place, in order.   Raises: SyntaxError if it does not."""
    lines = source.splitlines(keepends=True)
    begins = np.cumsum([0, *map(len, lines)])  # (lines + 1,): where each line begins
    found = []
    for node in _parse(source).body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
        start, end = begins[first], begins[node.end_lineno]
        text = source[start:end].rstrip("\n")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and token.string[0].isalpha() and not keyword.iskeyword(token.string):
                here = begins[first + token.start[0] - 1] + token.start[1]
                here -= source[here - 1 : here] == " "
                if here > start:
                    found.append(Place(source[:here], int(start), text[here - start :]))
    return found


def unfinished(place):
    """True if the statement up to the place does not parse, and the whole one does."""
    return not parses(place.statement) and parses(completed(place, place.after + "\n\nx"))


def next_name(text):
    """The name that a continuation begins with, after at most one space; "" if it begins with something else."""
    match = NAME.match(text)
    return match.group(1) if match else ""


def name_is_over(text):
    """True if no more of a continuation can change its `next_name`."""
    match = NAME.match(text)
    return len(text) > 1 and (match is None or match.end() < len(text))


def is_over(continuation):
    """True if the statement that it continues has ended in it."""
    return END.search(continuation) is not None


def ended(continuation):
    """What of a continuation belongs to the statement that it continues.

    If the statement does not end in it, the last line, which is not whole, is left out.
    """
    end = END.search(continuation)
    return continuation[: end.start() if end else max(continuation.rfind("\n"), 0)].rstrip("\n")


def completed(place, continuation):
    """The statement up to the place, and what of the continuation belongs to it."""
    return place.statement + ended(continuation)


def parses(source):
    """True if a text is Python."""
    try:
        _parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: a null character
        return False
    return True


def names_right(places, continuations):
    """The share of continuations that begin with the true name."""
    return float(np.mean([next_name(text) == next_name(place.after)
                          for place, text in zip(places, continuations, strict=True)]))


def parse_rate(places, continuations):
    """The share of completed statements that parse."""
    return float(np.mean([parses(completed(place, text)) for place, text in zip(places, continuations, strict=True)]))


def _parse(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes and comparisons in what a model writes
        return ast.parse(source)
