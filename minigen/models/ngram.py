"""The n-gram: guess the next character from the n − 1 before it, by counting.

Let h be a context (the last characters seen) and w a character that may follow. From a training text, count c(hw), how
often w followed h, and c(h) = Σ_w c(hw). The likelihood of the text is largest for the relative frequencies

    P_ML(w|h) = c(hw) / c(h),                                                                       (1.20)

but they give probability 0 to whatever did not happen, and a single such event in another text makes its log-likelihood
−∞. Some probability must be kept for what is new in h. How much? Let T(h) be the number of *different* characters that
followed h. Reading the training text from left to right, it happened exactly T(h) times that something new followed h:
each of them was new once. So Witten and Bell count "something new" as an event of its own, seen T(h) times beside the
c(h) ordinary ones:

    P(new|h) = T(h) / (c(h) + T(h)).

When it occurs, we ask the context h′, which is h without its oldest character and has been seen more often. Together

    P(w|h) = c(h)/(c(h) + T(h)) · c(hw)/c(h)  +  T(h)/(c(h) + T(h)) · P(w|h′)
           = (c(hw) + T(h) P(w|h′)) / (c(h) + T(h)).                                                 (1.21)

It sums to 1 over w if P(·|h′) does, since Σ_w c(hw) = c(h). The chain of ever shorter contexts ends below the empty one
(whose P counts single characters) with all V characters alike:

    P(w) below the empty context = 1/V.                                                             (1.22)

A context that never occurred has c(h) = T(h) = 0, and no say: P(w|h) = P(w|h′). It *falls through*.

How it is stored. The contexts form a tree: the children of h are its extensions by one *older* character. All contexts
of one length are one level, numbered 0, 1, 2, …; a child's key is (number of its parent)·V + (older character), and the
sorted keys of a level are an array in which `searchsorted` finds the numbers of a million contexts at once. So a
model of order n is n levels, and contains every model of a lower order.

Source: Witten & Bell 1991, "The zero-frequency problem", IEEE Trans. Information Theory 37(4), method C, interpolated
as in Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling". Differs: nothing.
"""

import numpy as np

from minigen.errors import ShapeError, StateError


class NGram:
    """A model of whole numbers 0 … V − 1 (characters, say) in a row, each guessed from the order − 1 before it.

        model = NGram(5, V).fit(tokens)
        model.cross_entropy(other)                      # nats per token
        model.sample(200, rng=rng, context=tokens[:4])

    Methods that take `order=` answer as a model of that lower order, fitted to the same tokens, would.

    Raises:   ShapeError if order or vocabulary_size is not a whole number of at least 1.
    """

    def __init__(self, order, vocabulary_size):
        for name, value in (("order", order), ("vocabulary_size", vocabulary_size)):
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ShapeError(f"NGram: {name} is {value!r}; expected a whole number of at least 1")
        self.order, self.vocabulary_size = int(order), int(vocabulary_size)
        self.levels = []  # level k: the contexts of k tokens

    # -- counting -----------------------------------------------------------------------------------------------------

    def fit(self, tokens):
        """Count, forgetting what was counted before.

        tokens:   one stream (T,), or a list of documents, each (T_i,): no context reaches over a document's border.
        Returns:  the model itself.
        Raises:   ShapeError if there are no tokens, or they are not whole numbers below V.
        """
        tokens, place = self._documents("fit", tokens)
        self.levels = []
        numbers = np.zeros(len(tokens), dtype=np.int64)
        for _ in range(self.order):
            numbers = self._count(tokens, place, numbers)
        return self

    def deepen(self, tokens):
        """Count one level more, in the same tokens as before: the order grows by one (from 0, if nothing was fitted).

        Returns:  the model itself.
        """
        tokens, place = self._documents("deepen", tokens)
        numbers = np.zeros(len(tokens), dtype=np.int64)
        for k in range(1, len(self.levels)):
            numbers = self.levels[k].find(_keys(tokens, place, k, numbers, self.vocabulary_size))
        self._count(tokens, place, numbers)
        self.order = len(self.levels)
        return self

    def _count(self, tokens, place, numbers):
        """Add the level of the contexts one token longer; `numbers` (T,) are each place's context in the last level."""
        k = len(self.levels)
        keys = _keys(tokens, place, k, numbers, self.vocabulary_size)  # (T,), −1 where the context is too short
        there = keys >= 0
        contexts, inverse = np.unique(keys[there], return_inverse=True)
        numbers = np.full(len(tokens), -1, dtype=np.int64)
        numbers[there] = inverse
        pairs, counts = np.unique(inverse * self.vocabulary_size + tokens[there], return_counts=True)
        self.levels.append(Level(contexts, pairs, counts, self.vocabulary_size))
        return numbers

    # -- probabilities ------------------------------------------------------------------------------------------------

    def log_prob(self, tokens, *, order=None):
        """log P of each token given those before it, in nats; the first ones have shorter contexts.

        Equation: (1.21), from the shortest context to the longest                            [lesson 01, eq. 1.21]
        Shapes:   tokens (T,), or a list of documents (T_i,) → (T,), for documents one after the other
        Raises:   ShapeError if the model was not fitted, or the tokens are not whole numbers below V.
        """
        levels = self._levels("log_prob", order)
        tokens, place = self._documents("log_prob", tokens)
        numbers = np.zeros(len(tokens), dtype=np.int64)
        p = np.full(len(tokens), 1 / self.vocabulary_size)  # (1.22)
        for k, level in enumerate(levels):
            numbers = level.find(_keys(tokens, place, k, numbers, self.vocabulary_size))
            there = np.flatnonzero(numbers >= 0)  # the others fall through, here and at all longer contexts
            h = numbers[there]
            c, t = level.totals[h], level.types[h]
            p[there] = (level.count(h * self.vocabulary_size + tokens[there]) + t * p[there]) / (c + t)  # (1.21)
        return np.log(p)

    def cross_entropy(self, tokens, *, order=None):
        """−mean log P: nats per token, lower is better.   Shapes: (T,) or a list of (T_i,) → float"""
        return -float(self.log_prob(tokens, order=order).mean())

    def probabilities(self, context=(), *, order=None):
        """P(·|context), which sums to 1; only the last order − 1 tokens of the context count.

        Equation: (1.21)                                                                      [lesson 01, eq. 1.21]
        Shapes:   context (any length,) → (V,)
        """
        levels = self._levels("probabilities", order)
        context = self._checked("probabilities", context)
        v = self.vocabulary_size
        p, number = np.full(v, 1 / v), 0  # (1.22)
        for k, level in enumerate(levels):
            if k > len(context):
                break
            if k:
                number = int(level.find(np.array([number * v + context[-k]]))[0])
            if number < 0:
                break
            p = level.types[number] * p
            first, last = np.searchsorted(level.pairs, (number * v, (number + 1) * v))
            p[level.pairs[first:last] - number * v] += level.counts[first:last]
            p /= level.totals[number] + level.types[number]  # (1.21)
        return p

    def sample(self, n, *, rng, context=(), temperature=1.0, order=None):
        """n new tokens that go on from the context, each drawn from P(·|what is before it).

        temperature:  P is raised to the power 1/temperature and made to sum to 1 again: below 1 the likely becomes more
                      likely, and 0 always takes the likeliest.
        Shapes:       → (n,) int64
        Raises:       ShapeError if the temperature is negative.
        """
        if not temperature >= 0:
            raise ShapeError(f"NGram.sample: temperature is {temperature}; expected 0 or more")
        text = self._checked("sample", context).tolist()
        start, reach = len(text), max(1, order or self.order)
        for _ in range(n):
            p = self.probabilities(text[-reach:], order=order)
            if temperature == 0:
                text.append(int(np.argmax(p)))
                continue
            if temperature != 1:
                p = np.exp((np.log(p) - np.log(p.max())) / temperature)
            total = np.cumsum(p)
            text.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
        return np.array(text[start:], dtype=np.int64)

    # -- for checkpoints ----------------------------------------------------------------------------------------------

    def state_dict(self):
        """The counts as a dict of arrays: `k.contexts`, `k.pairs`, `k.counts` of each level k, and the two sizes."""
        state = {"order": np.array(self.order), "vocabulary_size": np.array(self.vocabulary_size)}
        for k, level in enumerate(self.levels):
            state |= {f"{k}.contexts": level.contexts, f"{k}.pairs": level.pairs, f"{k}.counts": level.counts}
        return state

    def load_state_dict(self, state):
        """Take the counts of another model.

        Raises:   StateError if the names are not those of `state_dict`, or the vocabulary has another size.
        """
        depth = sum(name.endswith(".contexts") for name in state)
        names = {f"{k}.{part}" for k in range(depth) for part in ("contexts", "pairs", "counts")}
        if set(state) != names | {"order", "vocabulary_size"}:
            raise StateError(f"NGram.load_state_dict: found {sorted(state)}; expected order, vocabulary_size and "
                             f"contexts, pairs, counts for each level")
        if int(state["vocabulary_size"]) != self.vocabulary_size:
            raise StateError(f"NGram.load_state_dict: the state is for {int(state['vocabulary_size'])} tokens, the "
                             f"model for {self.vocabulary_size}")
        self.order = int(state["order"])
        self.levels = [Level(*(np.array(state[f"{k}.{part}"], dtype=np.int64) for part in
                               ("contexts", "pairs", "counts")), self.vocabulary_size) for k in range(depth)]

    # -- checks -------------------------------------------------------------------------------------------------------

    def _levels(self, method, order):
        if not self.levels:
            raise ShapeError(f"NGram.{method}: nothing is counted yet; call fit first")
        order = len(self.levels) if order is None else order
        if not 1 <= order <= len(self.levels):
            raise ShapeError(f"NGram.{method}: order is {order}; expected 1 to {len(self.levels)}")
        return self.levels[:order]

    def _checked(self, method, tokens):
        array = np.asarray(tokens)
        if array.size == 0 and array.ndim == 1:
            return np.zeros(0, dtype=np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ShapeError(f"NGram.{method}: tokens have shape {array.shape}, type {array.dtype}; expected (T,) "
                             f"whole numbers")
        if array.min() < 0 or array.max() >= self.vocabulary_size:
            raise ShapeError(f"NGram.{method}: tokens run from {array.min()} to {array.max()}; expected 0 to "
                             f"{self.vocabulary_size - 1}")
        return array.astype(np.int64)

    def _documents(self, method, tokens):
        """The tokens in one row, and for each how many stand before it in its document: two arrays (T,)."""
        documents = tokens if isinstance(tokens, (list, tuple)) and len(tokens) and np.ndim(tokens[0]) else [tokens]
        documents = [self._checked(method, document) for document in documents]
        if not sum(map(len, documents)):
            raise ShapeError(f"NGram.{method}: there are no tokens; expected at least one")
        return np.concatenate(documents), np.concatenate([np.arange(len(document)) for document in documents])


class Level:
    """All contexts of one length, and what followed them.

    contexts   (H,) sorted keys: (number of the context without its oldest token)·V + that token
    pairs      (P,) sorted keys: (number of the context)·V + the token that followed
    counts     (P,) c(hw), how often it did
    totals     (H,) c(h)
    types      (H,) T(h)
    """

    def __init__(self, contexts, pairs, counts, vocabulary_size):
        self.contexts, self.pairs, self.counts = contexts, pairs, counts
        owner = pairs // vocabulary_size
        self.totals = np.bincount(owner, weights=counts, minlength=len(contexts)).astype(np.int64)
        self.types = np.bincount(owner, minlength=len(contexts))

    def find(self, keys):
        """The number of each context, −1 if it never occurred.   Shapes: (T,) → (T,)"""
        return _search(self.contexts, keys, -1, None)

    def count(self, keys):
        """c(hw) of each pair, 0 if it never occurred.   Shapes: (T,) → (T,)"""
        return _search(self.pairs, keys, 0, self.counts)


def _search(table, keys, absent, values):
    """Where each key stands in a sorted table, or the value there; `absent` if it is not in it."""
    if not len(table):
        return np.full(len(keys), absent, dtype=np.int64)
    where = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[where] == keys, where if values is None else values[where], absent)


def _keys(tokens, place, k, numbers, vocabulary_size):
    """The keys of the contexts of length k before each token; −1 if its document is shorter, or h′ never occurred."""
    if k == 0:
        return np.zeros(len(tokens), dtype=np.int64)
    older = np.concatenate([np.zeros(min(k, len(tokens)), dtype=np.int64), tokens[:-k]])  # the token k places before
    return np.where((place >= k) & (numbers >= 0), numbers * vocabulary_size + older, -1)
