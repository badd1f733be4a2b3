"""The judge of the open exercise of lesson 01."""

import numpy as np
import pytest

from minigen.data import stories
from minigen.learn import mark, reading
from minigen.learn.checking import DONE, WRONG


def test_the_open_exercise_can_be_solved():
    result = mark("01.6", reading.copying_reader)
    assert result.status == DONE, result.message
    assert "the entropy is 0.117" in result.message


def test_the_judge_measures_what_the_n_gram_says_of_itself(monkeypatch):
    monkeypatch.setattr(reading, "READ", 5_000)
    monkeypatch.setattr(reading, "STORIES", 1)
    from minigen.data.characters import Characters
    from minigen.models.ngram import NGram

    splits, coder = stories.splits(5_000), Characters(stories.alphabet())
    model = NGram(3, coder.size).fit(coder.encode(splits.train))
    story = splits.validation.split(stories.END)[0] + stories.END
    wanted = -model.log_prob(coder.encode(stories.END + story))[1:].mean()
    passed, text = reading.better_reader(lambda train, alphabet: lambda text: model.probabilities(coder.encode(text)))
    assert not passed and text.startswith(f"{wanted:.3f} nats per character on 1 new stories ({len(story):,}")


def test_the_reader_copies_within_a_story_and_never_beyond():
    alphabet = stories.alphabet()
    predict = reading.copying_reader(stories.splits(2_000).train, alphabet)
    n = alphabet.index("n")
    within, beyond = (predict(f"Zoe saw Mervin.{gap}Then she spoke to Mervi") for gap in (" ", stories.END))
    assert within[n] == pytest.approx(0.2 + 0.8 * beyond[n])
    assert within.sum() == pytest.approx(1) and beyond.sum() == pytest.approx(1)


def test_what_a_learner_raises_inside_predict_is_told():
    def my_reader(train, alphabet):
        def predict(text):
            return np.ones(3) @ np.ones(4)

        return predict

    result = mark("01.6", my_reader)
    assert result.status == WRONG and "ValueError" in result.message
