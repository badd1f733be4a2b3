"""The words and patterns of `dialogues`: what a user may say, and what is right to answer.

In a pattern, {slots} stand for a value: {name}, {thing}, {place} … The same patterns write the user's turns and, turned
into regular expressions, read them again.
"""

import functools
import re

THINGS = "ball key book lamp kite cup hat drum coin ring map pen clock spoon bell watch".split()
PLACES = ("in the box", "under the bed", "on the table", "on the shelf", "behind the door", "in the garden",
          "in the kitchen", "under the tree", "near the window", "on the roof", "in the drawer", "by the lake")
COLOURS = "red blue green yellow white black brown grey pink golden".split()
NAMES = ("Tom Anna Ben Lily Max Mia Leo Rose Jack Kate Finn Emma Hugo Nora Otto Zoe Sam Ida Paul Ruth Nick Jane Rob "
         "Vera").split()
FACTS = {"the sky": "blue", "grass": "green", "snow": "white", "blood": "red", "coal": "black", "a lemon": "yellow",
         "chocolate": "brown", "an elephant": "grey", "a flamingo": "pink", "a tomato": "red", "milk": "white",
         "the sun": "yellow"}  # fmt: skip
_PAIRS = ("hot:cold big:small old:new fast:slow high:low open:closed wet:dry long:short light:dark good:bad early:late "
          "full:empty rich:poor strong:weak near:far loud:quiet happy:sad clean:dirty thick:thin first:last").split()
OPPOSITES = {one: other for pair in _PAIRS for one, other in (pair.split(":"), pair.split(":")[::-1])}
FACTS_LIST, LEFTS = list(FACTS), list(OPPOSITES)

# What a user says, by kind. No text fits two kinds.
ASKS = {
    "greet": ("Hello!", "Hi.", "Good morning.", "Good day.", "Hello there."),
    "mood": ("How are you?", "How do you do?", "Are you well?"),
    "thanks": ("Thank you.", "Thanks!", "Many thanks."),
    "bye": ("Goodbye.", "Bye!", "See you!"),
    "who": ("Who are you?", "What are you?", "What is your name?"),
    "can": ("What can you do?", "Help!", "What do you know?"),
    "introduce": ("My name is {name}.", "I am {name}.", "Call me {name}.", "Hello, I am {name}."),
    "name": ("What is my name?", "Who am I?", "What did I say my name was?", "Do you remember my name?"),
    "put": ("I put the {thing} {place}.", "The {thing} is {place} now.", "I left the {thing} {place}."),
    "where": ("Where is the {thing}?", "Where did I put the {thing}?", "Do you know where the {thing} is?"),
    "paint": ("My {thing} is {colour}.", "I have a {colour} {thing}.", "I painted my {thing} {colour}."),
    "colour": ("What colour is my {thing}?", "Which colour has my {thing}?",
               "Do you remember the colour of my {thing}?"),
    "fact": ("What colour is {fact}?", "Which colour has {fact}?"),
    "opposite": ("What is the opposite of {left}?", "Tell me the opposite of {left}.", "The opposite of {left}?"),
    "sum": ("What is {a} {sign} {b}?", "How much is {a} {sign} {b}?", "{a} {symbol} {b} = ?", "Add {a} and {b}."),
    "backwards": ("Spell {word} backwards.", "What is {word} backwards?", "Write {word} from right to left."),
    "said": ("What did I just say?", "Repeat what I said.", "What did I say before?"),
}
SYMBOLS = {"plus": "+", "minus": "-"}

# What it is right to answer: if the thing is known, and if not.
ANSWERS = {
    "greet": (("Hello, {name}!", "Hi, {name}! How can I help?"), ("Hello!", "Hi! How can I help?")),
    "mood": (("I am well, thank you.", "Very well. And you?"),),
    "thanks": (("You are welcome.", "With pleasure."),),
    "bye": (("Goodbye, {name}!", "See you soon, {name}!"), ("Goodbye!", "See you soon!")),
    "who": (("I am a small model, trained on made-up dialogues.",),),
    "can": (("I remember names and things, add numbers, find opposites and spell backwards.",),),
    "introduce": (("Nice to meet you, {name}.", "Hello, {name}! How can I help?"),),
    "name": (("Your name is {name}.", "You are {name}."), ("You have not told me your name.",)),
    "put": (("I will remember that.", "So the {thing} is {place}."),),
    "where": (("The {thing} is {place}.", "It is {place}."), ("You have not told me where the {thing} is.",)),
    "paint": (("I will remember that.", "So your {thing} is {colour}."),),
    "colour": (("Your {thing} is {colour}.", "It is {colour}."), ("You have not told me the colour of your {thing}.",)),
    "fact": (("It is {colour}.", "{Fact} is {colour}."),),
    "opposite": (("It is {right}.", "The opposite of {left} is {right}."),),
    "sum": (("It is {c}.", "{a} {sign} {b} is {c}."),),
    "backwards": (("{drow}.", "It is {drow}."),),
    "said": (('You said: "{said}"',), ("You have said nothing yet.",)),
    "strange": (("I do not understand.", "I do not know that."),),
}

# Frames for what nobody can answer; {x} and {y} are made-up words.
STRANGE = ("Who is the king of {X}?", "Tell me about {x}.", "I like {x}.", "Is {x} a {y}?", "Sing of the {thing}.",
           "Why is the {thing} {x}?", "{X} {y}!", "When will it {x}?", "How far is {X}?", "{X}", "Do you like {y}?",
           "What is the {x} of {y}?", "Can you {x} the {thing}?", "{X} the {thing} {y}.", "The {x} is {y} now.",
           "My {x} is {y}.", "Where is {X}?", "What colour is {x}?")  # fmt: skip

SLOTS = {
    "name": "[A-Z][a-z]+", "word": "[A-Z]{2,}", "a": "[0-9]{1,9}", "b": "[0-9]{1,9}", "sign": "plus|minus",
    "symbol": "[-+]", "thing": "|".join(THINGS), "place": "|".join(PLACES), "colour": "|".join(COLOURS),
    "fact": "|".join(FACTS), "left": "|".join(OPPOSITES),
}  # fmt: skip


@functools.cache
def patterns():
    """Pairs (kind, regular expression) of all that a user may say."""
    return [(kind, _pattern(template)) for kind, templates in ASKS.items() for template in templates]


def _pattern(template):
    """First letter of either case, any sign or none at the end."""
    parts = re.split(r"\{(\w+)\}", template.rstrip(" .?!"))
    text = "".join(re.escape(part) if i % 2 == 0 else f"(?P<{part}>{SLOTS[part]})" for i, part in enumerate(parts))
    if text[0].isalpha():
        text = f"[{text[0].upper()}{text[0].lower()}]{text[1:]}"
    return re.compile(text + r"\s*[.?!]*")


def result(kind, values, memory):
    """Whether an answer is known, and what has to be found for it: (bool, dict of slots)."""
    if kind in ("greet", "bye", "name"):
        return memory.name is not None, {"name": memory.name or ""}
    if kind in ("where", "colour"):
        slot, told = ("place", memory.places) if kind == "where" else ("colour", memory.colours)
        return values["thing"] in told, {slot: told.get(values["thing"], "")}
    if kind == "said":
        return memory.said is not None, {"said": memory.said or ""}
    return True, _computed(kind, values)


def _computed(kind, values):
    if kind == "fact":
        return {"colour": FACTS[values["fact"]]}
    if kind == "opposite":
        return {"right": OPPOSITES[values["left"]]}
    if kind == "backwards":
        return {"drow": values["word"][::-1]}
    if kind == "sum":
        a, b = int(values["a"]), int(values["b"])
        minus = values.get("sign") == "minus" or values.get("symbol") == "-"
        return {"sign": "minus" if minus else "plus", "c": str(a - b if minus else a + b)}
    return {}


def word(rng):
    """A made-up word of three to five small letters: "tok", "bami", "relon"."""
    consonants, vowels = "bcdfghklmnprstvwz", "aeiou"
    shape = ("cvc", "vcv", "cvcv", "cvvc", "vcvc", "cvcvc")[int(rng.integers(6))]
    return "".join(letters[int(rng.integers(len(letters)))]
                   for letters in (consonants if sort == "c" else vowels for sort in shape))
