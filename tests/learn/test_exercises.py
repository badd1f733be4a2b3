"""Every exercise: the stub is "not yet", the reference passes, typical wrong answers fail and are named."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minigen.learn import exercises, mark
from minigen.learn.checking import DONE, NOT_YET
from minigen.learn.checking import WRONG as FAILED


def _wrong_answers():
    """The WRONG of every file in wrong_answers/: a dict from exercise id to pairs (function, phrase)."""
    together = {}
    for path in sorted(Path(__file__).with_name("wrong_answers").glob("lesson*.py")):
        spec = importlib.util.spec_from_file_location(f"wrong_answers_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        together |= module.WRONG
    return together


WRONG = _wrong_answers()
ALL = exercises()
COMPARED = [item for item in ALL if item.judge is None]


def stub(*arguments):
    ...


def stub_with_docstring(*arguments):
    """What the learner is to write."""
    ...


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
def test_an_untouched_stub_is_not_yet(item):
    assert mark(item, stub).status == NOT_YET
    assert mark(item, stub_with_docstring).status == NOT_YET


@pytest.mark.parametrize("item", COMPARED, ids=lambda item: item.id)
def test_the_reference_passes(item):
    result = mark(item, item.reference)
    assert result.status == DONE, result.message


@pytest.mark.parametrize(("id", "function", "phrase"),
                         [pytest.param(id, *answer, id=f"{id}-{answer[0].__name__}")
                          for id, answers in WRONG.items() for answer in answers])
def test_a_typical_wrong_answer_fails_and_is_named(id, function, phrase):
    result = mark(id, function)
    assert result.status == FAILED
    assert phrase in result.message, result.message


def test_every_exercise_has_at_least_three_typical_wrong_answers():
    assert WRONG.keys() == {item.id for item in ALL}
    assert all(len(answers) >= 3 for answers in WRONG.values())


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
def test_every_exercise_has_a_title_a_signature_and_three_different_hints(item):
    assert item.title and item.signature
    assert len(item.hints) == len(set(item.hints)) == 3 and all(item.hints)


@pytest.mark.parametrize("item", COMPARED, ids=lambda item: item.id)
def test_every_listed_mistake_is_recognised_as_itself(item):
    """The messages are tried in order, so an earlier one must not claim what a later one is for."""
    for mistake in item.mistakes:
        result = mark(item, mistake.answer)
        assert result.status == FAILED
        assert mistake.message in result.message, (mistake.message, result.message)


@pytest.mark.parametrize("item", COMPARED, ids=lambda item: item.id)
def test_the_cases_are_the_same_every_time_and_not_changed_by_marking(item):
    first, second = (item.cases(np.random.default_rng(5)) for _ in range(2))
    mark(item, item.reference)
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a, b, strict=True):
            same = x == y if isinstance(x, list) else np.array_equal(x, y)  # lists may be ragged
            assert isinstance(x, np.random.Generator) or same
