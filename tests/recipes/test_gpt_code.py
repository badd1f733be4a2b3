"""gpt-code: what goes into its figures, on a small untrained model, and the completion itself."""

import numpy as np
import pytest

from minigen import recipes
from minigen.data import pytext
from minigen.metrics import code
from minigen.models.ngram import NGram
from minigen.recipes.gpt_code import BEFORE, LIMIT, REST


@pytest.fixture(scope="module")
def experiment():
    return recipes.get("gpt-code").build(0, True)


def writes(experiment, monkeypatch, text):
    """Let the model write this text, whatever it reads."""
    tokens = experiment.tokenizer.encode(text)
    monkeypatch.setattr("minigen.models.generation.generate",
                        lambda model, contexts, n, **settings: [tokens[:n]] * len(contexts))


def test_places_come_from_their_part_with_enough_before_and_little_after(experiment):
    for part in ("validation", "test"):
        texts = [document.text for document in getattr(experiment.text, part)]
        names, completions = experiment.places(part)
        assert len(names) == experiment.counts[part][0]
        assert 10 <= len(completions) <= experiment.counts[part][1]
        assert len({place.before[: place.start] for place in completions}) == len(completions)  # one in a statement
        for place in names + completions:
            assert len(place.before) >= BEFORE
            assert any((place.before + place.after) in text for text in texts)
        assert all(len(place.after) <= REST and code.unfinished(place) for place in completions)
        assert experiment.places(part)[1] == completions
    other = recipes.get("gpt-code").build(1, True)
    assert other.places("test")[1] != completions


def test_a_model_that_knew_the_text_would_have_all_right(experiment, monkeypatch):
    names, completions = experiment.places("test")
    for place in completions[:5]:
        writes(experiment, monkeypatch, place.after + "\n\nx")
        assert experiment.names([place]) == experiment.parses([place], 0.0) == 1
        writes(experiment, monkeypatch, "((\n\nx")
        assert experiment.names([place]) == experiment.parses([place], 0.0) == 0


def test_complete_stops_where_the_statement_ends_and_gives_the_space_to_the_model(experiment, monkeypatch):
    writes(experiment, monkeypatch, " x\n    y = 1\n\n\ndef g():\n    pass")
    assert experiment.complete("def f(x):\n    return") == " x\n    y = 1"
    assert experiment.complete("def f(x):\n    return ") == "x\n    y = 1"
    assert experiment.complete("def f(x):\n    return", limit=5) == " x"  # no whole line but the first


def test_complete_is_greedy_unless_told_otherwise(experiment):
    one, two = (experiment.complete("def f(x):\n    return", temperature=0.0) for _ in range(2))
    assert one == two and len(one) <= LIMIT
    drawn = {experiment.complete("class", temperature=1.5, rng=np.random.default_rng(i)) for i in range(5)}
    assert len(drawn) > 1


def test_the_ngram_goes_on_from_the_same_text_until_it_is_over(experiment):
    text = experiment.text.text("train")
    direct = NGram(7, experiment.ngram.vocabulary_size).fit(experiment.characters.encode(text))
    sources = [place.before for place in experiment.places("test")[1][:3]]
    found = experiment.counted(sources, 45, 0.0, np.random.default_rng(0), 5, lambda text: False)
    for source, written in zip(sources, found, strict=True):
        context = experiment.characters.encode(source)
        whole = direct.sample(45, rng=np.random.default_rng(0), context=context, order=5, temperature=0)
        assert written == experiment.characters.decode(whole)
    short = experiment.counted(sources, 45, 0.0, np.random.default_rng(0), 5, lambda text: len(text) >= 20)
    assert short == [written[:20] for written in found]


def test_nats_per_character_of_an_even_model_are_those_of_its_tokens(experiment, monkeypatch):
    """With all logits 0 every token has probability 1/V."""
    monkeypatch.setattr(experiment.model, "_logits", lambda tokens: _zeros(tokens, experiment.tokenizer.size))
    text = experiment.text.text("test")
    tokens = experiment.tokenizer.encode(text)
    expected = (len(tokens) - 1) * np.log(experiment.tokenizer.size) / len(text)
    assert experiment.nats("test") == pytest.approx(expected, rel=1e-5)


def _zeros(tokens, size):
    from minigen.autograd import Tensor

    return Tensor(np.zeros((*tokens.shape, size), np.float32))


def test_no_module_is_in_two_parts(experiment):
    names = [document.name for part in pytext.PARTS for document in getattr(experiment.text, part)]
    assert len(names) == len(set(names))
