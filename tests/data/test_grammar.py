"""The grammar engine: a small grammar worked out by hand, and every kind of unsound grammar refused."""

import math

import numpy as np
import pytest

from minigen.data.grammar import Grammar
from minigen.data.grammar_parts import common, distinguish, parse
from minigen.errors import DataError

TABLES = {"name": [{"": "Tom", "he": "he"}, {"": "Anna", "he": "she"}, {"": "Ben", "he": "he"}]}
VARIABLES = {"hero": ("name", None), "friend": ("name", "hero")}
RULES = {"story": [(2, "A: {+hero} met {+friend}. <end>"), (1, "{+hero} sang. {hero.He} smiled.")],
         "end": [(1, "{hero} left."), (3, "{friend} left.")]}  # fmt: skip
RULES["story"][1] = (1, "B: " + RULES["story"][1][1])


def grammar(**changes):
    return Grammar(**{"tables": TABLES, "variables": VARIABLES, "rules": RULES} | changes)


def test_a_small_grammar_worked_out_by_hand():
    g = grammar()
    expected = {f"A: {a} met {b}. {c} left.": 2 / 3 / 6 * p
                for a in ("Tom", "Anna", "Ben") for b in ("Tom", "Anna", "Ben") if a != b
                for c, p in ((a, 1 / 4), (b, 3 / 4))}
    expected |= {f"B: {a} sang. {he} smiled.": 1 / 9 for a, he in (("Tom", "He"), ("Anna", "She"), ("Ben", "He"))}
    found = dict(g.enumerate())
    assert found.keys() == expected.keys() and g.count() == 15
    for text, p in expected.items():
        assert found[text] == pytest.approx(p, rel=1e-12)
        assert g.log_prob(text) == pytest.approx(math.log(p), rel=1e-12)
    by_hand = math.log(3) - 2 / 3 * math.log(2) + math.log(3) + 2 / 3 * (math.log(2) + math.log(4) - 0.75 * math.log(3))
    assert g.entropy() == pytest.approx(by_hand, rel=1e-12)
    assert g.alphabet == "".join(sorted(set("".join(expected) + "\n")))


def test_probability_falls_on_the_characters_where_something_is_decided():
    logs = grammar().log_prob_per_character("A: Tom met Anna. Anna left.")
    p = np.exp(logs)
    assert p[0] == pytest.approx(2 / 3)  # A, not B
    assert p[3] == pytest.approx(1 / 3)  # T
    assert p[11] == pytest.approx(1 / 2)  # Anna or Ben
    assert p[17] == pytest.approx(3 / 4)  # the friend
    np.testing.assert_allclose(np.delete(p, [0, 3, 11, 17]), 1)


@pytest.mark.parametrize(("text", "first_wrong"), [
    ("A: Tom met Tom. Tom left.", 11),      # a friend of himself
    ("A: Tom met Anna. Ben left.", 17),     # who is Ben?
    ("B: Anna sang. He smiled.", 14),       # agreement
    ("B: Anna sang. She smiled", 24),       # ends too early
    ("B: Anna sang. She smiled. ", 25),     # goes on
    ("C", 0), ("", 0), ("B: Tim sang.", 4),
])  # fmt: skip
def test_what_it_does_not_write_is_impossible_from_the_first_wrong_character_on(text, first_wrong):
    g = grammar()
    logs = g.log_prob_per_character(text)
    assert logs.shape == (len(text) + 1,)
    assert np.isfinite(logs[:first_wrong]).all() and (logs[first_wrong:] == -np.inf).all()
    assert not g.accepts(text) and g.log_prob(text) == -np.inf


@pytest.mark.parametrize(("changes", "message"), [
    ({"rules": {"story": [(1, "a <story>")]}}, "contains itself: story → story"),
    ({"rules": {"story": [(1, "a <end>")]}}, "<end> is used, but there is no such rule"),
    ({"rules": {"story": [(1, "{hero} sang.")]}}, "mentions 'hero' before it is drawn"),
    ({"rules": {"story": [(1, "<a> {hero}.")], "a": [(1, "x {+hero}"), (1, "y")]}}, "mentions 'hero' before"),
    ({"rules": {"story": [(1, "{+friend} sang.")]}}, "draws 'friend' before 'hero'"),
    ({"rules": {"story": [(1, "{+villain} sang.")]}}, "variable 'villain', which is not defined"),
    ({"rules": {"story": [(1, "{+hero.her} sang.")]}}, "form 'her' is used"),
    ({"rules": {"story": [(1, "{+hero sang.")]}}, "expected plain text"),
    ({"rules": {"story": [(1, "a\nb")]}}, "end mark"),
    ({"rules": {"story": [(1, "The day"), (1, "The day after")]}}, "'The day' and 'The day after'"),
    ({"rules": {"story": [(1, "a"), (1, "a")]}}, "'a' and 'a'"),
    ({"rules": {"story": [(1, "a"), (1, "")]}}, "'a' and ''"),
    ({"rules": {"story": [(1, "x {+hero} <e>")], "e": [(1, "Ben sat"), (1, "{hero} sat up")]}}, "'Ben sat'"),
    ({"rules": {"story": [(1, "x {+hero} <e>")], "e": [(1, "{hero.he}"), (1, "{hero.He} sat"), (1, "s")]}}, "rule 'e'"),
    ({"tables": {"name": [{"": "Tom"}, {"": "Tomas"}]}, "rules": {"story": [(1, "{+hero}")]}}, "'Tom' and 'Tomas'"),
    ({"tables": {"name": [{"": "Tom"}]}, "rules": {"story": [(1, "{+hero} {+friend}")]}}, "too few rows"),
])  # fmt: skip
def test_an_unsound_grammar_is_refused(changes, message):
    with pytest.raises(DataError) as caught:
        grammar(**changes)
    assert message in str(caught.value)


def test_two_people_who_differ_can_be_told_apart_and_are_not_refused():
    rules = {"story": [(1, "x {+hero} {+friend} <e>")], "e": [(1, "{hero} sat"), (1, "{friend} sat")]}
    assert grammar(rules=rules).count() == 12
    with pytest.raises(DataError, match="told apart|tell two"):
        grammar(rules=rules, variables={"hero": ("name", None), "friend": ("name", None)})


def test_parts():
    kinds = [token.kind for token in parse("a {+b.c} {d} <e>.")]
    assert kinds == ["text", "draw", "text", "mention", "text", "rule", "text"]
    assert (common("abc", "abd"), common("", "a"), common("ab", "ab")) == (2, 0, 2)
    first, second = distinguish(("ab", "ac"), (0.25, 0.75))
    np.testing.assert_allclose(np.exp(first), [1, 0.25])
    np.testing.assert_allclose(np.exp(second), [1, 0.75])
