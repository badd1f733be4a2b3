"""The stories: unambiguous and exact by enumeration of a small instance, by Monte Carlo of the whole."""

import math

import numpy as np
import pytest

from minigen.data import stories
from minigen.data.characters import Characters
from minigen.errors import DataError


@pytest.fixture(scope="module")
def small():
    """All rules, two people and two spots, one thing and one of many: small enough to write out every story."""
    return stories.grammar().cut({"people": 2, "spots": 2, "things": 2})


@pytest.fixture(scope="module")
def everything(small):
    return list(small.enumerate())


@pytest.fixture(scope="module")
def sample():
    return stories.sample(1000, rng=np.random.default_rng(0))


def test_by_enumeration_all_texts_differ_and_entropy_and_length_are_exact(small, everything):
    texts, p = [text for text, _ in everything], np.array([p for _, p in everything])
    assert len(everything) == small.count() > 50_000
    assert len(set(texts)) == len(texts), "two derivations write the same text"
    assert abs(p.sum() - 1) < 1e-10
    assert abs(-(p * np.log(p)).sum() - small.entropy()) < 1e-10
    assert abs(p @ [len(text) + 1 for text in texts] - small.expected_length()) < 1e-10


def test_by_enumeration_the_reader_gives_every_story_the_probability_of_its_derivation(small, everything):
    for text, p in everything[::31]:
        assert small.log_prob(text) == pytest.approx(math.log(p), abs=1e-10)


def test_by_enumeration_a_character_has_the_probability_that_counting_gives(small, everything):
    """P(character | prefix) = the mass of the stories that go on so, over the mass of all with the prefix."""
    text, _ = everything[12_345]
    logs, mass, alive = small.log_prob_per_character(text), 1.0, everything
    for place, character in enumerate(text):
        alive = [(other, p) for other, p in alive if other[place : place + 1] == character]
        now = sum(p for _, p in alive)
        assert logs[place] == pytest.approx(math.log(now / mass), abs=1e-9)
        mass = now
    assert logs[-1] == 0


def test_another_cut_with_two_of_everything():
    cut = stories.grammar().cut(2, 1)
    everything = list(cut.enumerate())
    assert len({text for text, _ in everything}) == len(everything) == cut.count()
    assert abs(-sum(p * math.log(p) for _, p in everything) - cut.entropy()) < 1e-10


def test_the_whole_grammar_is_unambiguous_and_large():
    """The constructor proves it: at no choice does one alternative begin another, whatever the variables are."""
    assert stories.grammar().count() > 1e17


def test_by_monte_carlo_the_mean_of_minus_log_p_is_the_entropy(sample):
    surprise = -np.array([stories.log_prob(text) for text in sample])
    assert np.isfinite(surprise).all()
    assert abs(surprise.mean() - stories.entropy()) < 4 * surprise.std() / math.sqrt(len(sample))
    lengths = np.array([len(text) + 1 for text in sample])
    assert abs(lengths.mean() - stories.expected_length()) < 4 * lengths.std() / math.sqrt(len(sample))
    assert stories.entropy_per_character() == stories.entropy() / stories.expected_length()


def test_the_logs_of_the_characters_sum_to_that_of_the_story_and_none_is_above_zero(sample):
    for text in sample[:100]:
        logs = stories.log_prob_per_character(text)
        assert logs.shape == (len(text) + 1,) and logs.max() < 1e-12 and logs[-1] == 0
        assert logs.sum() == pytest.approx(stories.log_prob(text))


def test_what_it_writes_it_accepts_and_any_change_of_a_letter_it_judges_again(sample):
    rng = np.random.default_rng(1)
    for text in sample[:100]:
        assert stories.accepts(text)
        place = int(rng.integers(len(text)))
        changed = text[:place] + ("q" if text[place] != "q" else "z") + text[place + 1 :]
        assert not stories.accepts(changed)
        assert not stories.accepts(text[:-1]) and not stories.accepts(text + " ") and not stories.accepts(text + "\n")


STORY = ('One cold morning Anna found some red boots by the old river. She was very happy. There she met Tom. "May I '
         'wear them?" asked Tom softly. "On Friday they will be yours," said Anna kindly. Many days went by. When '
         'Friday came, Anna kept her promise. Now the red boots are his. Anna and Tom often meet by the old river.')


@pytest.mark.parametrize(("right", "wrong"), [
    ("She was", "He was"), ("wear them", "wear it"), ("When Friday", "When Monday"), ("boots are his", "boots is his"),
    ("the red boots are", "the blue boots are"), ("are his", "are hers"), ("by the old river.", "by the new river."),
    ("Anna kept her", "Anna kept his"), ("Anna and Tom often", "Anna and Ben often"), ("they will", "it will"),
    ("wear them?", "read them?"), ("some red boots", "a red boots"),
])  # fmt: skip
def test_agreement_and_memory_matter(right, wrong):
    assert stories.accepts(STORY)
    head, _, tail = STORY.rpartition(right)
    assert not stories.accepts(head + wrong + tail)


def test_stories_have_the_promised_length_and_few_characters(sample):
    lengths = np.array([len(text) for text in sample])
    assert lengths.min() >= 150 and lengths.max() <= 450 and np.quantile(lengths, 0.95) <= 400
    assert len(stories.alphabet()) <= 60
    Characters(stories.alphabet()).encode(stories.END.join(sample))


def test_a_corpus_is_whole_stories_of_at_least_the_wanted_size():
    text = stories.corpus(20_000, rng=np.random.default_rng(5))
    parts = text.split(stories.END)
    assert parts[-1] == "" and all(map(stories.accepts, parts[:-1]))
    assert 20_000 <= len(text) < 20_000 + len(parts[-2]) + 1
    assert text == stories.corpus(20_000, rng=np.random.default_rng(5))
    with pytest.raises(DataError, match="at least 1"):
        stories.corpus(0, rng=np.random.default_rng(0))


def test_the_parts_are_disjoint_repeatable_and_the_smaller_ones_a_tenth():
    parts = stories.splits(30_000, seed=3)
    assert parts == stories.splits(30_000, seed=3) and parts != stories.splits(30_000, seed=4)
    assert len(parts.train) >= 30_000 and 3_000 < len(parts.validation) < 3_500 and 3_000 < len(parts.test) < 3_500
    sets = [set(part.split(stories.END)[:-1]) for part in parts]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
