"""Dialogues between a user and an assistant, endless, by rules that know every right answer.

    dialogue = dialogues.sample(1, rng=rng)[0]      # a list of Turn(role, text), user and assistant in turn
    dialogues.write(dialogue)                       # "<user>My name is Mia.<end><assistant>Hello, Mia!<end>…"
    dialogues.kind(dialogue[:1])                    # "introduce": what the last user turn asks for
    dialogues.right_answers(dialogue[:1])           # all answers that the rules allow there, a frozenset
    dialogues.is_right(dialogue[:1], "Hello, Mia!") # True

Some user turns need memory: a name, where a thing was put, its colour, what was said last; the newest statement counts.
Some have one right result: small sums, opposites, a word spelled backwards (words to spell are written in CAPITALS),
the colour of the sky. Small talk has several right answers. And what none of the patterns below understands, any text
at all, has the right answers "I do not understand." and "I do not know that.": so the rules judge whatever is typed.

Held out. One in five of the combinations (name, thing), (thing, place), (thing, colour), of the sums, and of the words
to spell never occurs in `sample(n, rng=rng)`, and `sample(n, rng=rng, unseen=True)` takes no others: a model that was
trained on the first and is measured on the second must have learnt a rule, not a table. Which ones, `held_out` says.
Half of the names, and all words to spell, are made up from syllables, so most of them occur once. Opposites and the
colours of the sky, of snow … are facts: nobody could guess one that was left out, so none is.
"""

import functools
import re
import zlib
from typing import NamedTuple

import numpy as np

from minigen.data import dialogue_rules as rules
from minigen.errors import DataError

USER, ASSISTANT, END = "<user>", "<assistant>", "<end>"
MARKS = (USER, ASSISTANT, END)
ROLES = {"user": USER, "assistant": ASSISTANT}
HIGHEST = 20  # of the numbers in sums
SALT = 182    # with it every thing has places and colours that are held out, and others; tested

# How often each kind of user turn is drawn. A question for what was not told mostly becomes the statement that tells
# it, so few statements need be drawn as such.
WEIGHTS = {
    "greet": 3, "mood": 2, "thanks": 2, "bye": 2, "who": 2, "can": 2, "introduce": 2, "name": 9, "put": 3, "where": 14,
    "paint": 2, "colour": 11, "fact": 3, "opposite": 5, "sum": 16, "backwards": 14, "said": 6, "strange": 6,
}  # fmt: skip
KINDS = tuple(WEIGHTS)
WITHOUT_ANSWER = 0.15  # share of questions about what was not told


class Turn(NamedTuple):
    """What one side says. role: "user" or "assistant"."""

    role: str
    text: str


class Memory(NamedTuple):
    """What a reader of all earlier turns knows. name and said: a str or None; places and colours: by thing."""

    name: str | None = None
    places: dict = {}
    colours: dict = {}
    said: str | None = None

    def after(self, text):
        """The memory when the user has said this as well."""
        kind, values = understand(text)
        name = values["name"] if kind == "introduce" else self.name
        places = self.places | {values["thing"]: values["place"]} if kind == "put" else self.places
        colours = self.colours | {values["thing"]: values["colour"]} if kind == "paint" else self.colours
        return Memory(name, places, colours, text)


# -- judging ----------------------------------------------------------------------------------------------------------


def understand(text):
    """What a user turn asks for: (kind, dict of the values in it). What no pattern fits is ("strange", {}).

    The case of the first letter and the sign at the end do not matter.
    """
    for name, pattern in rules.patterns():
        found = pattern.fullmatch(text.strip())
        if found:
            return name, found.groupdict()
    return "strange", {}


def kind(history):
    """The kind of the last user turn, one of KINDS.   Raises: as `right_answers`"""
    return understand(_asked(history))[0]


def right_answers(history):
    """All answers that the rules allow after a dialogue that ends with the user's turn: a frozenset of str.

    Raises:   DataError if the turns are not user and assistant in turn, a user first and last.
    """
    asked, memory = _asked(history), Memory()
    for turn in history[:-1:2]:
        memory = memory.after(turn[1])
    return frozenset(_answers(*understand(asked), memory))


def is_right(history, answer):
    """True if the rules allow this answer there, to the letter.   Raises: as `right_answers`"""
    return answer in right_answers(history)


def _asked(history):
    roles = [turn[0] for turn in history]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise DataError(f"dialogues: the turns are of {roles}; expected user and assistant in turn, "
                        f"user first and last")
    return history[-1][1]


def _answers(name, values, memory):
    """The right answers to one user turn, a list of str."""
    known, result = rules.result(name, values, memory)
    return [_fill(template, values | result) for template in rules.ANSWERS[name][0 if known else 1]]


def _fill(template, values):
    """A template with its slots filled; a slot with a capital letter gets one: {Colour}."""
    values = values | {key.capitalize(): value[:1].upper() + value[1:] for key, value in values.items()}
    return template.format_map(values)


# -- writing ----------------------------------------------------------------------------------------------------------


def held_out(*combination):
    """True if these texts together never occur in training: one combination in five.

    A name and a thing, a thing and a place, a thing and a colour, "plus" or "minus" and two numbers, a word to spell.
    """
    return zlib.crc32("|".join(map(str, (SALT, *combination))).encode()) % 5 == 0


def sample(n, *, rng, unseen=False, turns=(2, 9)):
    """n independent dialogues: a list of lists of Turn, the assistant's last.

    unseen:   False draws no combination that is held out; True draws no other.
    turns:    the least and the largest number of user turns.
    """
    return [_dialogue(rng, unseen, turns) for _ in range(n)]


def _dialogue(rng, unseen, turns):
    name = _name(rng)
    things = [thing for thing in rules.THINGS if held_out(name, thing) == unseen]
    while len(things) < 2:  # a name for which none, or one, is held out
        name = _name(rng)
        things = [thing for thing in rules.THINGS if held_out(name, thing) == unseen]
    history, memory = [], Memory()
    for _ in range(int(rng.integers(turns[0], turns[1] + 1))):
        text = _user(rng, unseen, name, things, memory)
        answer = _one(rng, _answers(*understand(text), memory))
        history += [Turn("user", text), Turn("assistant", answer)]
        memory = memory.after(text)
    return history


def _user(rng, unseen, name, things, memory):
    """One user turn."""
    what = KINDS[int(np.searchsorted(_bounds(), rng.random(), side="right"))]
    if rng.random() > WITHOUT_ANSWER:  # ask for what was told, or tell it first
        missing = {"name": (memory.name, "introduce"), "where": (memory.places, "put"),
                   "colour": (memory.colours, "paint"), "said": (memory.said, "greet")}  # fmt: skip
        if what in missing and not missing[what][0]:
            what = missing[what][1]
        told = {"where": memory.places, "colour": memory.colours}.get(what)
        things = list(told) if told else things
    if what == "strange":
        return _strange(rng)
    thing = _one(rng, things)
    values = {"name": name, "thing": thing, "fact": _one(rng, rules.FACTS_LIST), "left": _one(rng, rules.LEFTS)}
    if what in ("put", "paint"):
        slot, table = ("place", rules.PLACES) if what == "put" else ("colour", rules.COLOURS)
        values[slot] = _one(rng, [text for text in table if held_out(thing, text) == unseen])
    template = _one(rng, rules.ASKS[what])
    if what == "sum":
        sign = "plus" if rng.random() < 0.5 or template.startswith("Add") else "minus"
        values |= {"sign": sign, "symbol": rules.SYMBOLS[sign], **_numbers(rng, sign, unseen)}
    if what == "backwards":
        values["word"] = _until(lambda: rules.word(rng).upper(), lambda word: held_out(word) == unseen)
    return _sloppy(rng, _fill(template, values))


def _numbers(rng, sign, unseen):
    """Two numbers for a sum; a difference is not negative."""
    def draw():
        a, b = (int(number) for number in rng.integers(HIGHEST + 1, size=2))
        return {"a": str(max(a, b)), "b": str(min(a, b))} if sign == "minus" else {"a": str(a), "b": str(b)}

    return _until(draw, lambda values: held_out(sign, values["a"], values["b"]) == unseen)


def _name(rng):
    return _one(rng, rules.NAMES) if rng.random() < 0.5 else rules.word(rng).capitalize()


def _strange(rng):
    """A text that no pattern fits: made-up words in a frame, or the words of a good question in another order."""
    def draw():
        if rng.random() < 0.7:
            slots = {"x": rules.word(rng), "y": rules.word(rng), "thing": _one(rng, rules.THINGS)}
            return _fill(_one(rng, rules.STRANGE), slots)
        words = _one(rng, rules.ASKS[_one(rng, ("where", "colour", "mood", "who", "said", "name"))])
        words = words.format(thing=_one(rng, rules.THINGS)).split()
        return " ".join(words[place] for place in rng.permutation(len(words)))

    return _until(lambda: _sloppy(rng, draw()), lambda text: understand(text)[0] == "strange")


def _sloppy(rng, text):
    """Now and then as people type: small at the beginning, no sign at the end."""
    return text[:1].lower() + text[1:].rstrip(".?!") if rng.random() < 0.1 else text


def _one(rng, entries):
    return entries[int(rng.integers(len(entries)))]


def _until(draw, good):
    while True:
        drawn = draw()
        if good(drawn):
            return drawn


@functools.cache
def _bounds():
    weights = np.array(list(WEIGHTS.values()), dtype=float)
    return np.cumsum(weights / weights.sum())[:-1]


# -- as text ----------------------------------------------------------------------------------------------------------


def write(dialogue):
    """A dialogue as one text: before each turn the mark of its role, after it END.

    Raises:   DataError if a turn's role is unknown, or its text contains a mark.
    """
    for role, text in dialogue:
        if role not in ROLES or any(mark in text for mark in (USER, ASSISTANT, END)):
            raise DataError(f"dialogues.write: a turn is {(role, text)!r}; expected the role 'user' or 'assistant', "
                            f"and no mark ({USER}, {ASSISTANT}, {END}) in the text")
    return "".join(f"{ROLES[role]}{text}{END}" for role, text in dialogue)


def read(text):
    """The dialogue that `write` wrote.   Raises: DataError if the text is something else."""
    found = re.findall(f"<(user|assistant)>((?:(?!{USER}|{ASSISTANT}|{END}).)*){END}", text, flags=re.DOTALL)
    dialogue = [Turn(*turn) for turn in found]
    if write(dialogue) != text:
        raise DataError(f"dialogues.read: {text[:60]!r} is no dialogue; expected {USER}…{END}{ASSISTANT}…{END} "
                        f"and so on")
    return dialogue
