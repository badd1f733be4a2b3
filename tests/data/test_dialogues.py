"""The dialogues: answers that a person would call right or wrong, a generator true to its rules, a fair split."""

import itertools

import numpy as np
import pytest

from minigen.data import dialogue_rules as rules
from minigen.data import dialogues
from minigen.data.dialogues import Turn
from minigen.errors import DataError


@pytest.fixture(scope="module")
def seen():
    return dialogues.sample(400, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def unseen():
    return dialogues.sample(400, rng=np.random.default_rng(1), unseen=True)


def after(*texts):
    """A history of what the user says; the assistant only nods."""
    turns = [Turn("user", texts[0])]
    for text in texts[1:]:
        turns += [Turn("assistant", "Yes."), Turn("user", text)]
    return turns


@pytest.mark.parametrize(("history", "right", "wrong"), [
    (after("My name is Mia.", "What is my name?"), "Your name is Mia.", "Your name is Tom."),
    (after("I am Mia.", "Call me Tom.", "Who am I?"), "You are Tom.", "You are Mia."),
    (after("What is my name?"), "You have not told me your name.", "Your name is Mia."),
    (after("My name is Zubik.", "Hello!"), "Hello, Zubik!", "Hello!"),
    (after("I put the ball in the box.", "Hi.", "Where is the ball?"), "It is in the box.", "It is on the roof."),
    (after("I put the ball in the box.", "The ball is on the roof now.", "Where is the ball?"),
     "The ball is on the roof.", "The ball is in the box."),
    (after("I put the ball in the box.", "Where is the key?"), "You have not told me where the key is.",
     "It is in the box."),
    (after("I have a red hat.", "My kite is blue.", "What colour is my hat?"), "Your hat is red.", "Your hat is blue."),
    (after("What colour is the sky?"), "The sky is blue.", "It is green."),
    (after("What is the opposite of cold?"), "It is hot.", "It is warm."),
    (after("What is 17 plus 5?"), "17 plus 5 is 22.", "It is 23."),
    (after("20 - 3 = ?"), "It is 17.", "20 plus 3 is 23."),
    (after("add 4 and 9"), "It is 13.", "It is 14."),
    (after("Spell RELON backwards."), "NOLER.", "RELON."),
    (after("Thanks!", "What did I just say?"), 'You said: "Thanks!"', 'You said: "Hello!"'),
    (after("What did I just say?"), "You have said nothing yet.", 'You said: "What did I just say?"'),
    (after("What is the opposite of banana?"), "I do not understand.", "It is hot."),
    (after("ünder {name} <end> %s\n"), "I do not know that.", "Hello!"),
])  # fmt: skip
def test_answers_that_a_person_would_call_right_and_wrong(history, right, wrong):
    assert dialogues.is_right(history, right)
    assert not dialogues.is_right(history, wrong) and not dialogues.is_right(history, right + " ")


def test_small_talk_has_several_right_answers():
    for text in ("Hello!", "How are you?", "Thank you.", "Goodbye."):
        assert len(dialogues.right_answers(after(text))) > 1


def test_every_answer_that_is_written_is_right_and_the_right_ones_are_all_written(seen):
    missing = {}
    for dialogue in dialogues.sample(1500, rng=np.random.default_rng(5)):
        for place in range(0, len(dialogue), 2):
            history, answer = dialogue[: place + 1], dialogue[place + 1].text
            right = dialogues.right_answers(history)
            assert answer in right
            missing.setdefault(history[-1].text, set(right)).discard(answer)
    common = [text for text in ("Hello!", "Hi.", "How are you?", "Thank you.") if missing[text]]
    assert [text for text in common if missing[text] and not all("," in rest for rest in missing[text])] == []


def test_all_kinds_occur_and_most_questions_have_an_answer(seen):
    kinds, without = [], 0
    for dialogue in seen:
        for place in range(0, len(dialogue), 2):
            kinds.append(dialogues.kind(dialogue[: place + 1]))
            without += "not told" in dialogue[place + 1].text
    assert set(kinds) == set(dialogues.KINDS) == set(rules.ASKS) | {"strange"}
    asked = sum(kind in ("name", "where", "colour") for kind in kinds)
    assert 0.02 * asked < without < 0.4 * asked


def test_no_user_turn_fits_two_patterns(seen, unseen):
    for dialogue in seen[:200] + unseen[:200]:
        for turn in dialogue[::2]:
            kinds = {kind for kind, pattern in rules.patterns() if pattern.fullmatch(turn.text)}
            assert len(kinds) <= 1, turn.text


def combinations(dialogue):
    """All that may be held out in one dialogue, as the user says it."""
    name, things = None, set()
    for turn in dialogue[::2]:
        kind, values = dialogues.understand(turn.text)
        if kind == "introduce":
            name = values["name"]
        if "thing" in values:
            things.add(values["thing"])
        if kind in ("put", "paint"):
            yield values["thing"], values["place" if kind == "put" else "colour"]
        if kind == "backwards":
            yield (values["word"],)
        if kind == "sum":
            minus = values.get("sign") == "minus" or values.get("symbol") == "-"
            yield "minus" if minus else "plus", values["a"], values["b"]
    if name:
        yield from ((name, thing) for thing in things)


def test_what_is_held_out_is_never_in_training_and_always_in_the_test(seen, unseen):
    found = [list(itertools.chain(*map(combinations, part))) for part in (seen, unseen)]
    assert min(map(len, found)) > 500
    assert not any(dialogues.held_out(*combination) for combination in found[0])
    assert all(dialogues.held_out(*combination) for combination in found[1])


def test_about_a_fifth_is_held_out_and_every_thing_can_be_written_on_both_sides():
    for table in (rules.PLACES, rules.COLOURS):
        shares = [np.mean([dialogues.held_out(thing, text) for text in table]) for thing in rules.THINGS]
        assert 0 < min(shares) and max(shares) < 0.6 and 0.1 < np.mean(shares) < 0.3
        assert all(any(dialogues.held_out(thing, text) for thing in rules.THINGS) for text in table)
    numbers = range(dialogues.HIGHEST + 1)
    assert 0.15 < np.mean([dialogues.held_out("plus", a, b) for a in numbers for b in numbers]) < 0.25


def test_the_same_generator_gives_the_same_dialogues_of_the_wanted_length():
    first, second = (dialogues.sample(50, rng=np.random.default_rng(3), turns=(2, 4)) for _ in range(2))
    assert first == second
    assert {len(dialogue) for dialogue in first} == {4, 6, 8}
    assert all([turn.role for turn in dialogue] == ["user", "assistant"] * (len(dialogue) // 2) for dialogue in first)


def test_there_and_back_as_text(seen):
    for dialogue in seen[:100]:
        assert dialogues.read(dialogues.write(dialogue)) == dialogue
    assert dialogues.write([Turn("user", "Hi.")]) == "<user>Hi.<end>"
    for wrong in ("Hi.", "<user>Hi.", "<user>Hi.<assistant>Hello!<end>", "x<user>Hi.<end>"):
        with pytest.raises(DataError, match=r"dialogues\.read"):
            dialogues.read(wrong)


@pytest.mark.parametrize("turn", [("user", "<end>"), ("robot", "Hi."), ("assistant", "a<user>")])
def test_a_mark_in_a_text_or_an_unknown_role_is_refused(turn):
    with pytest.raises(DataError, match=r"dialogues\.write"):
        dialogues.write([turn])


@pytest.mark.parametrize("roles", [[], ["assistant"], ["user", "assistant"], ["user", "user"]])
def test_only_a_history_that_ends_with_the_user_can_be_judged(roles):
    with pytest.raises(DataError, match="user first and last"):
        dialogues.right_answers([Turn(role, "Hi.") for role in roles])
