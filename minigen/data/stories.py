"""Short stories from a grammar: endless text with long memory, whose exact entropy is known.

    stories.sample(3, rng=rng)               # three stories, a list of str
    stories.corpus(1_000_000, rng=rng)       # a stream of stories, each closed by END
    stories.entropy_per_character()          # nats: no model of this stream can be better on average
    stories.accepts(text)                    # is this a story of the grammar, to the last letter?
    stories.log_prob_per_character(text)     # the exact log P(character | all before it): the floor at every place

A story has about 300 characters. It can only be continued well by a reader who remembers: who is a boy and who a girl
(he, her), whether the thing is one or many (it was, they were), which thing it was and how it looked, where it lay,
what day was promised, who has the thing at the end. A model that sees the last few characters cannot know.

The words (TABLES) and the rules (RULES) are the data below. How they are read, and why the entropy is exact, is told in
`grammar`: H is (1.23) of lesson 01, and the entropy per character is (1.24), H / E[characters of a story with its END].
"""

import functools
from typing import NamedTuple

import numpy as np

from minigen.data.grammar import END, Grammar
from minigen.errors import DataError

SPLIT_SEED = 2001  # from which the three parts of `splits` get generators of their own

# -- the words: each row of a table gives the forms of one thing ----------------------------------------------------


def _people():
    """Boys and girls in turn, with their pronouns."""
    boys = "Tom Ben Max Leo Jack Finn Hugo Otto Sam Paul Nick Rob".split()
    girls = "Anna Lily Mia Rose Kate Emma Nora Zoe Ida Ruth Jane Vera".split()
    pronouns = {"boy": {"he": "he", "him": "him", "his": "his", "own": "his"},
                "girl": {"he": "she", "him": "her", "his": "her", "own": "hers"}}
    for pair in zip(boys, girls, strict=True):
        for name, kind in zip(pair, pronouns, strict=True):
            yield {"": name, "born": f"a {kind} called {name}", **pronouns[kind]}


def _things():
    """Every look of every thing. The article depends on the look, the number on the thing."""
    looks = "red old blue green odd tiny shiny heavy golden painted plain white yellow round".split()
    nouns = ("kite:fly:flew boots*:wear:wore boat:sail:sailed cards*:deal:dealt drum:beat:beat marbles*:roll:rolled "
             "ball:kick:kicked gloves*:wear:wore lamp:light:lit beads*:count:counted book:read:read "
             "skates*:use:used flute:play:played clock:wind:wound")
    one = {"it": "it", "they": "it", "was": "was", "is": "is", "has": "has", "this": "this"}
    many = {"it": "them", "they": "they", "was": "were", "is": "are", "has": "have", "this": "these"}
    for look in looks:
        for noun, use, used in (word.split(":") for word in nouns.split()):
            name = f"{look} {noun.rstrip('*')}"
            number = many if noun.endswith("*") else one
            article = "some" if number is many else "an" if look[0] in "aeiou" else "a"
            yield {"": name, "a": f"{article} {name}", "the": f"the {name}", "use": use, "used": used, **number}


def _places(words, looks=("",)):
    for look in looks:
        for where, noun in (word.split(":") for word in words.split()):
            name = f"the {look} {noun}" if look else f"the {noun}"
            yield {"": name, "in": f"{where} {name}", "to": f"to {name}"}


def _words(text):
    for word in text.split():
        yield {"": word.replace("_", " "), "bare": word.split("_")[-1], "the": "the " + word.split("_")[-1]}


TABLES = {name: list(rows) for name, rows in {
    "people": _people(),
    "things": _things(),
    "places": _places("at:mill by:river in:garden at:market in:forest at:harbour in:meadow under:bridge in:tower "
                      "behind:barn by:lake near:school", looks="old little dark great empty new".split()),
    "spots": _places("under:bed behind:door in:well on:roof inside:stove among:leaves below:stairs near:gate"),
    "days": _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "weathers": _words("warm cold windy rainy sunny foggy quiet bright grey hot"),
    "gifts": _words("a_cake an_apple some_nuts a_pie some_plums a_pear an_egg some_bread some_honey a_coin"),
    "manners": _words("softly loudly kindly shyly gladly slowly at_once with_a_smile with_a_sigh in_a_whisper again "
                      "politely"),
    "times": _words("all_day for_an_hour until_dark until_noon again_and_again only_once as_in_a_dream for_a_while"),
    "moods": _words("happy proud tired lonely calm merry hungry busy sleepy curious"),
    "endings": _words("all_was_well they_slept_well nobody_was_sad it_ended_well the_stars_came_out they_went_home "
                      "the_moon_rose supper_was_late"),
    "regrets": _words("sad angry cross upset silent gloomy"),
}.items()}  # fmt: skip

# What is drawn from which table, and of which other variable it must differ.
VARIABLES = {
    "hero": ("people", None), "friend": ("people", "hero"), "thing": ("things", None), "place": ("places", None),
    "spot": ("spots", None), "wrong_spot": ("spots", "spot"), "day": ("days", None), "weather": ("weathers", None),
    "gift": ("gifts", None), "manner": ("manners", None), "time": ("times", None), "mood": ("moods", None),
    "regret": ("regrets", None), "ending": ("endings", None),
}  # fmt: skip

# -- the rules: (weight, text); {+x} draws x, {x} and {x.form} remember it, <rule> goes on there ---------------------

RULES = {
    "story": [(1, "<opening> <meeting> <wish> <close>")],
    "opening": [
        (3, "There was {+hero.born} who had {+thing.a}. One {+weather} day {hero.he} took {thing.it} {+place.to}."),
        (3, "One {+weather} morning {+hero} found {+thing.a} {+place.in}. <alone>"),
        (3, "On a {+weather} day {+hero} carried {+thing.a} {+place.to}. <alone>"),
    ],
    "alone": [
        (2, "{hero.He} {thing.used} {thing.it} {+time}."),
        (2, "{hero.He} was very {+mood}."),
        (2, "How {+mood} {hero.he} was!"),
    ],
    "meeting": [
        (3, "There {hero.he} met {+friend}."),
        (3, "Soon {+friend} came along, {+mood} as ever."),
        (2, "Then {hero.he} saw {+friend}, who looked {+mood}."),
        (2, "But who was that? It was {+friend}."),
    ],
    "wish": [
        (4, '"May I {thing.use} {thing.it}?" asked {friend} {+manner}. <answer>'),
        (3, "They {thing.used} {thing.the} {+time}. <parting>"),
        (3, '{friend} said {+manner}: "I want {thing.this} {thing}." <answer>'),
    ],
    "answer": [
        (4, '"Yes," said {hero} {+manner}, and gave {thing.it} to {friend.him}. <friend_has>'),
        (3, '"No," said {hero} {+manner}. <hero_has>'),
        (4, '"On {+day} {thing.they} will be yours," said {hero} {+manner}. <waiting> <promise>'),
        (3, '"Only for {+gift}," said {hero} {+manner}. <trade>'),
    ],
    "waiting": [
        (2, "{friend} went home and waited."),
        (2, "The days were long, and {friend} was {+mood}."),
        (1, "Many days went by."),
    ],
    "promise": [
        (3, "When {day} came, {hero} kept {hero.his} promise. <friend_keeps>"),
        (2, "But on {day} {hero} forgot, and {friend} was {+regret}. <hero_keeps>"),
    ],
    "trade": [
        (3, "So {friend} ran to fetch {gift}, and {hero} ate {gift.the} {+manner}. <friend_keeps>"),
        (2, "But {friend} had no {gift.bare} and was {+regret}. <hero_keeps>"),
    ],
    "parting": [
        (2, "Then {hero} had to go, and left {thing.the} with {friend}. <friend_keeps>"),
        (2, "In the evening {friend} went home. <hero_keeps>"),
        (3, "But {hero} dropped {thing.it} {+spot.in}. <search>"),
    ],
    "search": [
        (2, "{thing.They} {thing.was} not {+wrong_spot.in}. <found>"),
        (2, "Both looked {+time}. <found>"),
    ],
    "found": [
        (3, "It was {hero} who found {thing.it} {spot.in}. <hero_keeps>"),
        (2, "At last {friend} found {thing.it} {spot.in}. <friend_keeps>"),
    ],
    "friend_has": [
        (3, "{friend} {thing.used} {thing.it} {+time}. <friend_keeps>"),
        (2, "But {friend} lost {thing.it} {+spot.in}. <search>"),
        (2, "The next day {friend} brought {thing.it} back. <hero_keeps>"),
    ],
    "hero_has": [
        (3, "{friend} was {+regret} and walked away. <hero_keeps>"),
        (2, "So they looked at {thing.it} {+time}. <hero_keeps>"),
    ],
    "friend_keeps": [
        (3, "Now {thing.the} {thing.is} {friend.own}."),
        (2, "{friend} has {thing.the} still."),
        (1, "And {thing.the}? Ask {friend}!"),
    ],
    "hero_keeps": [
        (3, "So {thing.the} {thing.has} stayed with {hero}."),
        (2, "{hero} has {thing.the} still."),
        (1, "And {thing.the}? Ask {hero}!"),
    ],
    "close": [
        (3, "It was a {weather} day, and {+ending}."),
        (3, "{hero} and {friend} often meet {place.in}."),
        (2, "At night {place} lay silent."),
        (1, "That is all."),
    ],
}


class Splits(NamedTuple):
    """Three streams of stories, from three generators."""

    train: str
    validation: str
    test: str


@functools.cache
def grammar():
    """The Grammar of the stories; made and checked at the first call."""
    return Grammar(TABLES, VARIABLES, RULES)


def alphabet():
    """The characters of the stream, END among them, sorted: give it to `Characters`."""
    return grammar().alphabet


def sample(n, *, rng):
    """n independent stories, without end marks: a list of str."""
    return grammar().sample(n, rng=rng)


def corpus(characters, *, rng):
    """A stream of whole stories, each closed by END: the shortest that has at least so many characters.

    `text.split(END)[:-1]` are the stories again.

    Raises:   DataError if characters is not at least 1.
    """
    if not characters >= 1:
        raise DataError(f"stories.corpus: characters is {characters}; expected at least 1")
    pieces, length = [], 0
    while length < characters:
        for story in sample(64, rng=rng):
            pieces.append(story + END)
            length += len(story) + 1
            if length >= characters:
                break
    return "".join(pieces)


def splits(characters=1_000_000, *, seed=0):
    """Splits of which the training stream has at least so many characters, the two others a tenth of that.

    Each comes from a generator of its own, seeded with (seed, its number): no part depends on the size of another.
    """
    sizes = (characters, characters // 10 + 1, characters // 10 + 1)
    return Splits(*(corpus(size, rng=np.random.default_rng([SPLIT_SEED, seed, part]))
                    for part, size in enumerate(sizes)))


def accepts(text):
    """True if the text is a story of the grammar, to the last letter."""
    return grammar().accepts(text)


def log_prob(text):
    """log P(story) in nats, exact; −∞ if it is none.   Shapes: a str without END → float"""
    return grammar().log_prob(text)


def log_prob_per_character(text):
    """log P(character | all before it) in nats, exact, for a story and its END; −∞ from the first impossible one on.

    Shapes:   a str of T characters, without END → (T + 1,)
    """
    return grammar().log_prob_per_character(text)


def entropy():
    """H of a story, in nats, exact.   Equation: (1.23)"""
    return grammar().entropy()


def expected_length():
    """E[characters of a story with its END], exact."""
    return grammar().expected_length()


def entropy_per_character():
    """The entropy rate of the stream, H / E[length], in nats per character: the floor for every model of it.

    Equation: (1.24)
    """
    return grammar().entropy_per_character()
