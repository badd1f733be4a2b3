"""The small parts of `grammar`: how an option is read in, and the checks that make a grammar sound."""

import functools
import itertools
import re
from typing import NamedTuple

import numpy as np

from minigen.errors import DataError

PATTERN = re.compile(r"\{(?P<draw>\+?)(?P<variable>\w+)(?:\.(?P<form>\w+))?\}|<(?P<rule>\w+)>|(?P<text>[^{}<>]+)")


class Token(NamedTuple):
    """A piece of an option. kind: "text" (name is what is written), "rule", "draw" or "mention" (of a variable)."""

    kind: str
    name: str
    form: str = ""


def parse(text):
    """The tokens of an option's text, a tuple.

    Raises:   DataError that shows the place where it is malformed.
    """
    tokens, place = [], 0
    while place < len(text):
        found = PATTERN.match(text, place)
        if found is None:
            raise DataError(f"Grammar: {text[place:][:30]!r} in {text!r}; expected plain text, {{variable.form}}, "
                            f"{{+variable.form}} or <rule>")
        if found["rule"] or found["text"]:
            tokens.append(Token("rule", found["rule"]) if found["rule"] else Token("text", found["text"]))
        else:
            tokens.append(Token("draw" if found["draw"] else "mention", found["variable"], found["form"] or ""))
        place = found.end()
    return tuple(tokens)


def form_of(row, form):
    """A form of a row of a table; a form that is asked for with a capital letter is written with one.

    Raises:   DataError if the row has no such form.
    """
    if form in row:
        return row[form]
    text = row.get(form[:1].lower() + form[1:])
    if text is None:
        raise DataError(f"Grammar: the form {form!r} is used, but a row has only {sorted(row)}")
    return text[:1].upper() + text[1:]


def check_drawn(rules, variables, tables, start):
    """See that no rule contains itself, and that every variable is drawn before it is mentioned, on every way.

    Raises:   DataError that names the rule and what is wrong.
    """
    seen, open_rules = {}, []

    def after(rule, known):
        """The variables drawn on every way through a rule that begins with `known` ones."""
        if rule not in rules:
            raise DataError(f"Grammar: <{rule}> is used, but there is no such rule")
        if rule in open_rules:
            raise DataError(f"Grammar: rule {rule!r} contains itself: {' → '.join([*open_rules, rule])}")
        if (rule, known) not in seen:
            open_rules.append(rule)
            seen[rule, known] = frozenset.intersection(*(through(rule, tokens, known) for _, tokens in rules[rule]))
            open_rules.pop()
        return seen[rule, known]

    def through(rule, tokens, known):
        for token in tokens:
            if token.kind == "rule":
                known = after(token.name, known)
            elif token.kind != "text" and token.name not in variables:
                raise DataError(f"Grammar: rule {rule!r} uses the variable {token.name!r}, which is not defined")
            elif token.kind == "mention" and token.name not in known:
                raise DataError(f"Grammar: rule {rule!r} mentions {token.name!r} before it is drawn")
            elif token.kind == "draw":
                unlike = variables[token.name][1]
                if unlike is not None and unlike not in known:
                    raise DataError(f"Grammar: rule {rule!r} draws {token.name!r} before {unlike!r}, from which it "
                                    f"must differ")
                if len(tables[variables[token.name][0]]) < 1 + (unlike is not None):
                    raise DataError(f"Grammar: the table {variables[token.name][0]!r} has too few rows to draw "
                                    f"{token.name!r} from")
                known |= {token.name}
        return known

    after(start, frozenset())


def head(tokens):
    """What an option writes before its first draw or rule: the leading tokens that involve no choice."""
    return tuple(itertools.takewhile(lambda token: token.kind in ("text", "mention"), tokens))


def collisions(rules, variables, tables):
    """Where a reader could not tell which alternative was taken: a list of descriptions, empty if all is well.

    Two alternatives can be told apart if neither writes first what is a prefix of what the other writes first, whatever
    the values of the variables in it. For an option that is its head; for a row, the form that is written at the draw.
    """
    found = []
    for rule, options in rules.items():
        for (_, one), (_, other) in itertools.combinations(options, 2):
            pair = _collision(head(one), head(other), {}, variables, tables)
            found += [f"rule {rule!r}: {pair[0]!r} and {pair[1]!r}"] if pair else []
    draws = {token for options in rules.values() for _, tokens in options for token in tokens if token.kind == "draw"}
    for _, variable, form in sorted(draws):
        texts = sorted(form_of(row, form) for row in tables[variables[variable][0]])
        # In sorted order a text stands right before the first of those that it begins.
        found += [f"variable {variable!r}, form {form!r}: {a!r} and {b!r}"
                  for a, b in itertools.pairwise(texts) if b.startswith(a)][:1]
    return found


def _collision(one, other, values, variables, tables):
    """Two heads' texts of which one begins the other, for some values of the variables not yet given; None if none."""
    (a, a_needs), (b, b_needs) = (_written(tokens, values, variables, tables) for tokens in (one, other))
    shared = min(len(a), len(b))
    if a[:shared] != b[:shared]:
        return None
    variable = a_needs if len(a) == shared and a_needs is not None else b_needs
    if len(a) == shared and a_needs is None or len(b) == shared and b_needs is None:
        return a, b  # the shorter is complete
    table, unlike = variables[variable]
    for row in range(len(tables[table])):
        now = values | {variable: row}
        if any(variables[name][1] in now and now[variables[name][1]] == now[name] for name in now):
            continue  # this variable may not have the row of that one
        pair = _collision(one, other, now, variables, tables)
        if pair:
            return pair
    return None


def _written(tokens, values, variables, tables):
    """What a head writes up to the first variable without a value, and that variable (None: all is written)."""
    text = ""
    for token in tokens:
        if token.kind == "text":
            text += token.name
        elif token.name in values:
            text += form_of(tables[variables[token.name][0]][values[token.name]], token.form)
        else:
            return text, token.name
    return text, None


def common(one, other):
    """How many leading characters two texts share."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                min(len(one), len(other)))


@functools.lru_cache(maxsize=8192)
def distinguish(texts, weights):
    """For each of some texts, none a prefix of another: log P(character | those before it), in nats.

    The probability that a text begins with some characters is the sum of the weights of those that do; a character's
    conditional probability is the quotient of two such sums. Over one text they multiply to its weight.

    Shapes:   texts and weights, tuples of equal length → a list of arrays (length of text,)
    """
    begins = {}
    for text, weight in zip(texts, weights, strict=True):
        for length in range(len(text) + 1):
            begins[text[:length]] = begins.get(text[:length], 0.0) + weight
    return [np.diff(np.log([begins[text[:length]] for length in range(len(text) + 1)])) for text in texts]
