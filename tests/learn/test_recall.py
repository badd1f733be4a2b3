"""The toy of lesson 07: what is foretold is certain, and nothing else is."""

import numpy as np
import pytest

from minigen.learn import mark, recall
from minigen.learn.exercise import WrongForm
from minigen.models.gpt import Config


def test_a_foretold_digit_is_the_one_that_its_letter_had_before():
    tokens, foretold = recall.rows(200, rng=np.random.default_rng(0))
    assert tokens.shape == foretold.shape == (200, recall.LENGTH)
    for row, known in zip(tokens, foretold, strict=True):
        seen = {}
        for place in range(0, recall.LENGTH, 2):
            letter, digit = row[place : place + 2]
            assert letter < recall.LETTERS <= digit < recall.SIZE
            assert known[place + 1] == (letter in seen) and not known[place]
            assert seen.setdefault(letter, digit) == digit


def test_a_row_as_text():
    assert recall.written(np.array([1, 6, 3, 4])) == "b2 d0"


def test_training_brings_the_cost_down_and_leaves_the_model_in_eval_mode():
    model = recall.fresh(Config(recall.SIZE, block_size=recall.LENGTH, layers=2, heads=1, width=32, bias=False),
                         rng=np.random.default_rng(0))
    rng, test = np.random.default_rng(1), recall.rows(100, rng=np.random.default_rng(2))
    before = recall.recall(model, *test)
    losses = [loss for _, loss in recall.train(model, lambda: recall.rows(16, rng=rng)[0], steps=40)]
    assert len(losses) == 40 and not model.training
    assert recall.recall(model, *test) < before - 0.2


@pytest.mark.parametrize(("answer", "phrase"), [
    (lambda: 5, "wanted a Config"), (lambda: Config(9, block_size=24), "vocabulary_size=8"),
    (lambda: Config(8, block_size=24, width=64), "at most 16,000"),
])
def test_what_cannot_be_compared_is_refused(answer, phrase):
    with pytest.raises(WrongForm, match=phrase):
        recall.quick_recall(answer)


def test_the_open_exercise_can_be_solved():
    result = mark("07.7", lambda: Config(8, block_size=24, layers=2, heads=1, width=24, bias=False, tied=False))
    assert result.status == "done", result.message
