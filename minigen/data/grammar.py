"""A grammar that writes short texts with agreement and memory, and knows the exact probability of each.

Rules say what may be written, tables what the words are:

    TABLES = {"name": [{"": "Tom", "he": "he"}, {"": "Anna", "he": "she"}]}
    VARIABLES = {"hero": ("name", None), "friend": ("name", "hero")}            # the friend is not the hero
    RULES = {"story": [(2, "{+hero} met {+friend}. <end>"), (1, "{+hero} sang. {hero.He} was happy.")],
             "end":   [(1, "{hero} waved."), (3, "{friend} smiled.")]}

`{+hero}` draws a row of the table and writes its form ""; `{hero.he}` writes another form of the row that was drawn:
that is agreement, and memory. A form asked for with a capital letter is written with one. `<end>` is replaced by one of
its options, chosen with probability proportional to its weight.

**Exact entropy.** A derivation is the list of choices that were made: options and rows. If different derivations write
different texts, P(text) is the product of their probabilities p₁ p₂ … , and by the chain rule the entropy of a text,
H = −E log P, is the expected sum of the entropies of the choices met on the way. How likely an option is never depends
on a row, and rows are drawn uniformly (from n rows: log n; with one forbidden: log(n − 1)), so H needs no enumeration
of texts: each rule adds −Σ w log w and the mean of what its options contain,

    H(rule) = Σ_i w_i (−log w_i + Σ_{draw or rule inside option i} H(it)),                          (1.23)

with Σ_i w_i = 1. The expected length follows in the same way. Texts one after the other, each closed by an end mark,
are a stream whose entropy per character is

    H(text) / E[length of a text with its end mark],                                                (1.24)

because N texts carry N·H and, by the law of large numbers, take N·E[length] characters.

**Why different derivations write different texts.** At every choice, what the alternatives write first must be such
that none is a prefix of another: no name begins with another name, no option begins as another option begins and ends.
Then a reader who goes from left to right knows at each choice which alternative was taken, before coming to the next:
the text determines the derivation. `collisions()` checks this at every choice for all values of the variables, and the
constructor insists on it. The same reader computes log P exactly, character by character.
"""

import math

import numpy as np

from minigen.data.grammar_parts import Token, check_drawn, collisions, common, distinguish, form_of, head, parse
from minigen.errors import DataError

END = "\n"  # the mark that closes a text in a stream


class Grammar:
    """Rules, tables and variables as above; the rule "story" is where a text begins.

    tables:     dict from name to rows; a row is a dict from form to text
    variables:  dict from name to (table, None or the variable whose row it may not have)
    rules:      dict from name to options, each (weight, text)
    Raises:     DataError if a rule is malformed, contains itself or mentions what was not drawn, or if the reader could
                not tell two alternatives apart.

    `alphabet` is a str of the characters that occur in texts, and the end mark, sorted.
    """

    def __init__(self, tables, variables, rules, start="story"):
        self.tables, self.variables, self.rules, self.start = tables, variables, rules, start
        self._options, self._bounds = {}, {}
        for name, options in rules.items():
            total = sum(weight for weight, _ in options)
            self._options[name] = [(weight / total, parse(text)) for weight, text in options]
            self._bounds[name] = np.cumsum([p for p, _ in self._options[name]])[:-1].tolist()
        check_drawn(self._options, variables, tables, start)
        self.alphabet = self._alphabet()
        found = collisions(self._options, self.variables, self.tables)
        if found:
            raise DataError(f"Grammar: a reader could not tell two alternatives apart: {found[0]}")

    def cut(self, rows, options=None):
        """A smaller grammar of the same shape: the first rows of each table, the first options of each rule.

        rows:     a number, or a dict from table to number (1 for those not named)
        options:  a number; None keeps all
        """
        kept = {name: rows.get(name, 1) if isinstance(rows, dict) else rows for name in self.tables}
        return Grammar({name: table[: kept[name]] for name, table in self.tables.items()}, self.variables,
                       {name: chosen[:options] for name, chosen in self.rules.items()}, self.start)

    # -- writing ------------------------------------------------------------------------------------------------------

    def sample(self, n, *, rng):
        """n independent texts, without end marks: a list of str."""
        return ["".join(self._write(self.start, {}, rng.random)) for _ in range(n)]

    def _write(self, rule, values, uniform):
        """The pieces of one text. `values`: the row of each variable drawn so far; `uniform()`: a number in [0, 1)."""
        u = uniform()
        _, tokens = self._options[rule][sum(u >= bound for bound in self._bounds[rule])]
        for token in tokens:
            if token.kind == "rule":
                yield from self._write(token.name, values, uniform)
                continue
            if token.kind == "draw":
                rows = self._rows(token.name, values)
                values[token.name] = rows[int(uniform() * len(rows))]
            yield self._text(token, values)

    def enumerate(self):
        """Every derivation as (text, probability). For small grammars: see `count`."""
        yield from self._all((Token("rule", self.start),), {})

    def _all(self, tokens, values):
        if not tokens:
            yield "", 1.0
            return
        first, rest = tokens[0], tokens[1:]
        if first.kind == "rule":
            for p, option in self._options[first.name]:
                for text, q in self._all(option + rest, values):
                    yield text, p * q
            return
        for row in self._rows(first.name, values) if first.kind == "draw" else [None]:
            now = values if row is None else values | {first.name: row}
            for text, q in self._all(rest, now):
                yield self._text(first, now) + text, q / self._alternatives(first)

    def _rows(self, variable, values):
        """The numbers of the rows that a variable may be given now."""
        table, unlike = self.variables[variable]
        count = len(self.tables[table])
        return range(count) if unlike is None else [row for row in range(count) if row != values[unlike]]

    def _text(self, token, values):
        if token.kind == "text":
            return token.name
        return self._form(token, values[token.name])

    def _form(self, token, row):
        return form_of(self.tables[self.variables[token.name][0]][row], token.form)

    # -- reading ------------------------------------------------------------------------------------------------------

    def accepts(self, text):
        """True if the grammar writes exactly this text (without its end mark)."""
        return bool(np.isfinite(self.log_prob_per_character(text)).all())

    def log_prob(self, text):
        """log P(text) in nats, exact; −∞ if the grammar does not write it.   Shapes: a str → float"""
        return float(self.log_prob_per_character(text).sum())

    def log_prob_per_character(self, text):
        """log P(character | all before it) in nats, exact, for each character of the text and the end mark after it.

        From the first character on that the grammar cannot write there, all are −∞.

        Shapes:   a str of T characters → (T + 1,)
        """
        logs = np.zeros(len(text) + 1)
        place, complete = self._read(self.start, text, 0, {}, logs)
        if not complete or place < len(text):
            logs[place:] = -np.inf
        return logs

    def _read(self, rule, text, place, values, logs):
        """Read one rule from a place on, filling in logs. Returns (the place reached, whether the rule is complete)."""
        options = self._options[rule]
        if len(options) == 1:
            chosen = 0
        else:
            heads = tuple("".join(self._text(token, values) for token in head(option)) for _, option in options)
            place_after, chosen = self._choose(heads, tuple(p for p, _ in options), text, place, logs)
            if chosen is None:
                return place_after, False
        for token in options[chosen][1]:
            if token.kind == "rule":
                place, complete = self._read(token.name, text, place, values, logs)
                if not complete:
                    return place, False
                continue
            if token.kind == "draw":
                rows = self._rows(token.name, values)
                texts = tuple(self._form(token, row) for row in rows)
                place, chosen_row = self._choose(texts, (1 / len(rows),) * len(rows), text, place, logs)
                if chosen_row is None:
                    return place, False
                values[token.name] = rows[chosen_row]
                continue
            written = self._text(token, values)
            if not text.startswith(written, place):
                return place + common(written, text[place:]), False
            place += len(written)
        return place, True

    def _choose(self, texts, weights, text, place, logs):
        """Which of some texts stands at a place: (the place after it, its number), or (where it fails, None)."""
        alternatives = distinguish(texts, weights)
        for number, written in enumerate(texts):
            if text.startswith(written, place):
                logs[place : place + len(written)] = alternatives[number]
                return place + len(written), number
        # None fits. The longest part that one of them shares with the text still has its probabilities.
        shared = [common(written, text[place:]) for written in texts]
        nearest = int(np.argmax(shared))
        logs[place : place + shared[nearest]] = alternatives[nearest][: shared[nearest]]
        return place + shared[nearest], None

    # -- what is known exactly ----------------------------------------------------------------------------------------

    def entropy(self):
        """H = −E log P(text), in nats per text, exact.   Equation: (1.23)"""
        return self._expectation(self.start, lambda p: -math.log(p), self._draw_entropy)

    def expected_length(self):
        """E[characters of a text and its end mark], exact."""
        return 1 + self._expectation(self.start, lambda p: 0.0, self._mean_length)

    def entropy_per_character(self):
        """The entropy rate of the stream of texts with their end marks, in nats per character.   Equation: (1.24)"""
        return self.entropy() / self.expected_length()

    def count(self):
        """How many different texts there are."""
        def of(rule):
            return sum(math.prod(of(token.name) if token.kind == "rule" else self._alternatives(token)
                                 for token in tokens) for _, tokens in self._options[rule])
        return of(self.start)

    def _alphabet(self):
        tokens = {token for options in self._options.values() for _, option in options for token in option}
        written = {character for token in tokens for text in self._texts(token) for character in text}
        if END in written:
            raise DataError(f"Grammar: the end mark {END!r} stands inside a text")
        return "".join(sorted(written | {END}))

    def _texts(self, token):
        """All that a token may write by itself."""
        if token.kind in ("text", "rule"):
            return [token.name] if token.kind == "text" else []
        return [self._form(token, row) for row in range(len(self.tables[self.variables[token.name][0]]))]

    def _expectation(self, rule, of_choice, of_token):
        """The mean over derivations of a sum over their choices and tokens: linearity, from the inside out."""
        return sum(p * (of_choice(p) + sum(
            self._expectation(token.name, of_choice, of_token) if token.kind == "rule" else of_token(token)
            for token in tokens)) for p, tokens in self._options[rule])

    def _alternatives(self, token):
        table, unlike = self.variables[token.name] if token.kind == "draw" else (None, None)
        return 1 if table is None else len(self.tables[table]) - (unlike is not None)

    def _draw_entropy(self, token):
        return math.log(self._alternatives(token))

    def _mean_length(self, token):
        # Each row of a table is equally likely, also when one was forbidden that was itself drawn uniformly.
        texts = self._texts(token)
        return sum(map(len, texts)) / len(texts)
