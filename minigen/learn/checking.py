"""`check`, `hint`, `solution`: marking an answer, and saying what is wrong with it in words.

Marking goes in five steps, and stops at the first that has something to say: is the body still `...`? does the function
run? does it return something of the right kind and shape? the right numbers? the right gradient? A wrong answer is
compared with the exercise's list of typical mistakes: the message of the first that gives the learner's numbers is the
diagnosis. Nothing raises; a notebook with unsolved exercises runs to its end.
"""

import copy
import linecache
import traceback
from typing import NamedTuple

import numpy as np

from minigen.autograd import Tensor
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import GradcheckError, MinigenError
from minigen.learn import progress
from minigen.learn.comparing import numbers
from minigen.learn.exercise import WrongForm
from minigen.learn.page import say
from minigen.learn.registry import exercise
from minigen.learn.source import show_source
from minigen.learn.stub import is_stub

NOT_YET, WRONG, DONE = "not yet", "wrong", "done"


class Mark(NamedTuple):
    """The outcome: status "not yet", "wrong" or "done", and what to tell the learner."""

    status: str
    message: str


def check(id, function):
    """Mark `function` as the answer to an exercise: print what is right, what is not, and remember it."""
    item = exercise(id)
    result = mark(item, function)
    if result.status == NOT_YET:
        say(f'not yet: {result.message} learn.hint("{id}") gives a first hint.')
        return
    entry = progress.record(id, attempt=True, done=result.status == DONE)
    if result.status == DONE:
        say(f"✓ {id} done: {result.message}")
    else:
        more = f'learn.hint("{id}") gives a hint.' if entry["hints"] < 3 else f'learn.solution("{id}") shows ours.'
        say(f"✗ {id} not right yet. {result.message}\n  {more}")


def hint(id):
    """The next of three hints, from a nudge to nearly the answer."""
    item = exercise(id)
    number = progress.record(id, hint=True)["hints"]
    more = "" if number < 3 else f'\n(That is the last one. learn.solution("{id}") shows how the package does it.)'
    say(f"{id}, hint {number} of 3: {item.hints[number - 1]}{more}")


def solution(id):
    """The package's own source for the exercise."""
    item = exercise(id)
    progress.record(id, solution=True)
    for part in item.solution or (item.reference,):
        show_source(part)


def mark(item, function):
    """The Mark of a function as answer to an exercise (or its id). Prints nothing, remembers nothing."""
    item = exercise(item) if isinstance(item, str) else item
    if not callable(function):
        return Mark(WRONG, f"check wants your function, not {type(function).__name__}: pass it without brackets.")
    if is_stub(function):
        return Mark(NOT_YET, "the body is still `...`.")
    try:
        with np.errstate(all="ignore"):
            return _judge(item, function) if item.judge else _compare(item, function)
    except _Broken as broken:
        return Mark(WRONG, str(broken))


# -- step by step ---------------------------------------------------------------------------------------------------


class _Broken(Exception):
    """The learner's function raised; the text says what and on which of their lines."""


def _judge(item, function):
    passed, text = _run(item.judge, function, blame=function)
    return Mark(DONE if passed else WRONG, text)


def _compare(item, function):
    observe = item.observe or _call
    cases = item.cases(np.random.default_rng(5))
    call = _with_tensors if item.tensors else _kind_that_works(observe, function, cases[0])
    answers = []
    for case in cases:
        wanted = _named(observe(item.reference, *_as_tensors(case) if item.tensors else copy.deepcopy(case)))
        given = copy.deepcopy(case)
        answers.append((case, _named(call(observe, function, given)), wanted))
        if call is not _with_tensors and not _same_arguments(given, case):
            return Mark(WRONG, "Your function changes its input in place; the caller still needs it.")
    wrong = [(number, *answer) for number, answer in enumerate(answers, 1) if _differs(item, *answer[1:])]
    if wrong:
        return Mark(WRONG, _explain(item, call, wrong))
    right = "1 case agrees" if len(cases) == 1 else f"{len(cases)} cases agree"
    if item.gradcheck:
        try:
            tried = call is _with_tensors or _takes_tensors(function, cases[0])
            if tried:
                _check_gradient(function, cases)
            right += ", and so does the gradient" if tried else (
                " (your function takes arrays only: with mg.exp in place of np.exp it could also train)"
            )
        except GradcheckError as error:
            reason = str(error).split("\n")[0]
            return Mark(WRONG, "The values are right, but the gradient is not: did you use .data, .detach() or NumPy "
                               f"on the way, which cuts the graph?\n  {reason}")
    return Mark(DONE, f"{right}. {item.afterword}".rstrip())


def _call(function, *arguments):
    return function(*arguments)


def _run(observe, *arguments, blame):
    """Call, and turn whatever the learner's function raises into a _Broken that quotes their line."""
    try:
        return observe(*arguments)
    except WrongForm as error:
        raise _Broken(str(error)) from None
    except Exception as error:
        raise _Broken(_kindly(error, blame)) from error


def _with_arrays(observe, function, case):
    return _run(observe, function, *case, blame=function)


def _with_tensors(observe, function, case):
    return _run(observe, function, *_as_tensors(case), blame=function)


def _as_tensors(case):
    return [Tensor(a, requires_grad=True) if _is_float(a) else copy.deepcopy(a) for a in case]


def _is_float(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _kind_that_works(observe, function, case):
    """Learners write NumPy (np.exp) or Tensors (x.exp()): arrays first, Tensors if that fails for being arrays."""
    try:
        observe(function, *copy.deepcopy(case))
    except (AttributeError, TypeError, MinigenError, WrongForm):
        return _with_tensors if _takes_tensors(function, case) else _with_arrays
    except Exception:
        return _with_arrays  # which reports it
    return _with_arrays


def _takes_tensors(function, case):
    try:
        result = function(*_as_tensors(case))
    except Exception:
        return False
    return isinstance(result, Tensor)


def _check_gradient(function, cases):
    """Gradcheck with respect to the float arguments, the others held fixed."""
    for case in cases[:2]:
        places = [place for place, value in enumerate(case) if _is_float(value)]

        def of_floats(*floats, case=case, places=places):
            full = list(copy.deepcopy(case))
            for place, value in zip(places, floats, strict=True):
                full[place] = value
            result = function(*full)
            if not result.requires_grad:
                raise GradcheckError("the result does not depend on the inputs as far as the graph knows")
            return result

        gradcheck(of_floats, [case[place] for place in places])


# -- reading answers ------------------------------------------------------------------------------------------------


def _named(result):
    """What came back as a dict from name to array; the name "" for a single value, None for no numbers at all."""
    if isinstance(result, dict):
        return {name: _array(value) for name, value in result.items()}
    if isinstance(result, tuple):
        return {f"result {index}": _array(value) for index, value in enumerate(result)}
    return {"": _array(result)}


def _array(value):
    if isinstance(value, Tensor):
        return value.data
    if isinstance(value, list):
        value = [_array(part) for part in value]
    try:
        array = np.asarray(value)
    except ValueError:
        return None  # a ragged list
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def _same_arguments(given, case):
    return all(not isinstance(b, np.ndarray) or np.array_equal(a, b) for a, b in zip(given, case, strict=True))


def _differs(item, answer, wanted):
    return answer.keys() != wanted.keys() or any(
        answer[name] is None or answer[name].shape != want.shape or not _close(item, answer[name], want)
        for name, want in wanted.items()
    )


def _close(item, answer, want):
    near = np.abs(answer - want) <= item.tolerance * np.maximum(1, np.abs(want))
    # Nothing but ∞ itself is near ∞, and NaN agrees with NaN.
    return np.all((near & np.isfinite(want)) | (answer == want) | (np.isnan(answer) & np.isnan(want)))


def _explain(item, call, wrong):
    """The diagnosis if there is one, then the first case that differs."""
    number, case, answer, wanted = wrong[0]
    given = _describe(item, case)
    if answer.keys() != wanted.keys():
        return f"It returned {len(answer)} value(s), wanted {len(wanted)}."
    name = next(n for n, want in wanted.items() if _differs(item, {n: answer[n]}, {n: want}))
    yours, want = answer[name], wanted[name]
    if yours is None:
        return "It returned nothing that holds numbers: is the `return` missing?"
    diagnosis = _diagnose(item, call, wrong)
    of = f"{name}: " if name else ""
    if yours.shape != want.shape:
        reason = diagnosis or "look at which axes you combine."
        return f"{of}shape {yours.shape}, wanted {want.shape}: {reason}\n  First differing case: {given}"
    if diagnosis is None and not np.all(np.isfinite(yours)) and np.all(np.isfinite(want)):
        diagnosis = "Some of your numbers are inf or nan: which operation overflows, divides by 0 or takes log of 0?"
    lines = [diagnosis or "The numbers differ."]
    lines.append(f"  First differing case, number {number}: {given}")
    lines += [f"  {of}yours  {numbers(yours)}", f"  {of}wanted {numbers(want)}"]
    return "\n".join(lines)


def _diagnose(item, call, wrong):
    """The message of the first mistake that explains every wrong case, or None."""
    for mistake in item.mistakes:
        try:
            if all(_agrees(item, mistake, case, answer) for _, case, answer, _ in wrong):
                return mistake.message
        except Exception:
            continue  # a mistake that cannot even be computed on these inputs is not the one that was made
    return None


def _agrees(item, mistake, case, answer):
    given = _as_tensors(case) if item.tensors else copy.deepcopy(case)
    erring = _named((item.observe or _call)(mistake.answer, *given))
    return erring.keys() == answer.keys() and all(
        answer[n] is not None and value is not None and answer[n].shape == value.shape
        and _close(item, answer[n], value)
        for n, value in erring.items()
    )  # fmt: skip


def _describe(item, case):
    """A case by the names of the exercise's arguments: "mean (4, 3), latent = 2, rng"."""
    names = item.signature.partition("(")[2].rstrip(")").split(", ")
    return ", ".join(
        f"{name} {value.shape}" if isinstance(value, np.ndarray) else
        name if isinstance(value, np.random.Generator) else f"{name} = {getattr(value, '__name__', repr(value))}"
        for name, value in zip(names, case, strict=True)
    )  # fmt: skip


def _kindly(error, function):
    """An exception in the learner's words: type, text, and the last line of theirs that was running."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = ""
    if own:
        start = function.__code__.co_firstlineno
        line = (own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno)).strip()
        where = f"\n  in line {own[-1].lineno - start + 1} of your function:  {line}"
    text = f"It stopped with {type(error).__name__}: {error}{where}"
    if "does not support ufuncs" in str(error):
        text += "\n  NumPy cannot follow gradients: use minigen's own functions (mg.exp, mg.sqrt, …) on Tensors."
    elif isinstance(error, TypeError) and "positional argument" in str(error) and not own:
        text += "\n  Does your function take the arguments that the exercise names?"
    return text
