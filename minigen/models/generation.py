"""Generation: from a model that says how likely each next token is, to a text.

Whoever draws each token from p(· | before) draws whole texts from the model, (7.1). Mostly one wants less: the tail of
a softmax over many tokens is wrong more often than its head. Let ℓ be the logits (V,) and p = softmax(ℓ).

    temperature τ         p_w ∝ exp(ℓ_w/τ); τ → 0 takes the likeliest                               (7.11)
    top-k                 all but the k likeliest tokens get 0                                      (7.12)
    nucleus, top-p        the fewest tokens, likeliest first, whose sum reaches the share P; the
                          others get 0                                                              (7.13)
    repetition penalty θ  of tokens that occurred: ℓ_w/θ if ℓ_w > 0, else ℓ_w·θ                     (7.14)

They apply in the order penalty, temperature, top-k, top-p; what is left is made to sum to 1. Beam search draws nothing:
it keeps the `width` best beginnings and their log-probabilities, extends each by every token, and keeps the best again,

    score(x₁ … x_t) = Σ log p(x_s | x₁ … x_{s−1}).                                                  (7.15)

With width 1 it is greedy; with a width of all V^(n−1) beginnings it is exhaustive.

The model reads with a cache of `block_size` places. When it is full, the oldest `forget` tokens of the window are
forgotten and the rest is read afresh, from position 0: so every token is predicted from at least block_size − forget
and at most block_size tokens before it. forget=1 always uses the longest window, as nanoGPT does, and pays for it with
a whole window per token; the default, half a block, pays about two positions per token.

Any model will do that has `config.block_size`, `cache(batch)` and `read(tokens, cache)` as in `gpt`: this file imports
no model. Switch the model to `eval()` first.

Source: Fan et al. 2018, arXiv:1805.04833 (top-k); Holtzman et al. 2019, arXiv:1904.09751 (nucleus); Keskar et al.
2019, arXiv:1909.05858 (penalty).  Differs: the penalty multiplies negative logits, as everywhere today.
"""

import numpy as np

from minigen.errors import ShapeError


def next_probabilities(logits, *, seen=None, temperature=1.0, top_k=None, top_p=None, repetition_penalty=1.0):
    """The distribution from which the next token is drawn.

    seen:     tokens that occurred, (B, S), for the penalty.
    Equation: (7.11) to (7.14). Of equally likely tokens those with smaller numbers come first.
    Shapes:   logits (B, V) → (B, V), rows that sum to 1, float64
    Raises:   ShapeError if a setting is out of range.
    """
    good = {"temperature": temperature >= 0, "top_k": top_k is None or top_k >= 1,
            "top_p": top_p is None or 0 < top_p <= 1, "repetition_penalty": repetition_penalty > 0}
    if not all(good.values()):
        raise ShapeError(f"next_probabilities: temperature {temperature}, top_k {top_k}, top_p {top_p}, "
                         f"repetition_penalty {repetition_penalty}; expected ≥ 0, ≥ 1, above 0 and ≤ 1, above 0")
    logits = np.array(logits, dtype=np.float64)
    if repetition_penalty != 1 and seen is not None:
        rows, used = np.arange(len(logits))[:, None], np.asarray(seen)
        chosen = logits[rows, used]
        logits[rows, used] = np.where(chosen > 0, chosen / repetition_penalty, chosen * repetition_penalty)  # (7.14)
    if temperature == 0:
        top_k = 1
    else:
        logits /= temperature  # (7.11)
    order = np.argsort(-logits, axis=1, kind="stable")
    p = np.take_along_axis(np.exp(logits - logits.max(axis=1, keepdims=True)), order, axis=1)  # likeliest first
    if top_k is not None:
        p[:, top_k:] = 0  # (7.12)
    p /= p.sum(axis=1, keepdims=True)
    if top_p is not None:
        before = np.cumsum(p, axis=1) - p
        p[before >= top_p - 1e-12] = 0  # (7.13): not needed, if those before it reach the share
        p /= p.sum(axis=1, keepdims=True)
    result = np.empty_like(p)
    np.put_along_axis(result, order, p, axis=1)
    return result


def draw(p, *, rng):
    """One token from each row of probabilities.   Shapes: (B, V) → (B,) int64"""
    total = np.cumsum(p, axis=1)
    token = (total <= rng.random((len(p), 1)) * total[:, -1:]).sum(axis=1)
    return np.minimum(token, p.shape[1] - 1 - np.argmax(p[:, ::-1] > 0, axis=1))  # rounding must not pick a 0


class Window:
    """The tokens that a model has read, and its cache: reading on, and forgetting when the block is full."""

    def __init__(self, model, context, forget=None):
        context = np.asarray(context)
        if context.ndim != 2 or context.shape[1] < 1:
            raise ShapeError(f"generation: the context has shape {context.shape}; expected (B, T) with T ≥ 1")
        size = model.config.block_size
        self.forget = max(1, size // 2) if forget is None else forget
        if not 1 <= self.forget <= size:
            raise ShapeError(f"generation: forget is {forget}; expected 1 to {size}, the block size")
        self.model, self.tokens = model, context  # tokens: all of them, from the first
        self.start = max(0, context.shape[1] - size)
        self.logits = self._afresh()  # (B, V), after the last token

    def _afresh(self):
        self.cache = self.model.cache(len(self.tokens))
        return self.model.read(self.tokens[:, self.start :], self.cache)[:, -1]

    def add(self, tokens):
        """Read one more token in each row, (B,)."""
        self.tokens = np.concatenate([self.tokens, tokens[:, None]], axis=1)
        if self.tokens.shape[1] - self.start > self.model.config.block_size:
            self.start += self.forget
            self.start = min(self.start, self.tokens.shape[1] - 1)
            self.logits = self._afresh()
        else:
            self.logits = self.model.read(tokens[:, None], self.cache)[:, -1]

    def select(self, rows):
        """Keep these rows, in this order; a row may be kept more than once."""
        self.tokens = self.tokens[rows]
        self.logits = self.logits[rows]
        for past in self.cache:
            past.select(rows)


def stream(model, context, n, *, rng, stop=(), forget=None, **settings):
    """Yield up to n tokens that go on from a context, one at a time, as they are drawn; a stop token is the last.

    settings: those of `next_probabilities`.
    Shapes:   context (T,) → ints
    """
    window = Window(model, np.asarray(context)[None], forget)
    for i in range(n):
        token = draw(next_probabilities(window.logits, seen=window.tokens, **settings), rng=rng)
        yield int(token[0])
        if int(token[0]) in stop or i == n - 1:
            return
        window.add(token)


def generate(model, contexts, n, *, rng, stop=(), forget=None, **settings):
    """Up to n new tokens for each row of contexts, all rows at once.

    settings: those of `next_probabilities`.
    Shapes:   contexts (B, T) → a list of B arrays (≤ n,), without the context; a stop token, if met, is the last
    """
    window = Window(model, contexts, forget)
    first = window.tokens.shape[1]
    ended = np.zeros(len(window.tokens), dtype=bool)
    for _ in range(n):
        token = draw(next_probabilities(window.logits, seen=window.tokens, **settings), rng=rng)
        ended |= np.isin(token, list(stop))
        if ended.all() or window.tokens.shape[1] - first == n - 1:
            window.tokens = np.concatenate([window.tokens, token[:, None]], axis=1)
            break
        window.add(token)
    return [_until(row, stop) for row in window.tokens[:, first:]]


def _until(row, stop):
    stops = np.flatnonzero(np.isin(row, list(stop)))
    return row[: stops[0] + 1] if len(stops) else row


def beam_search(model, context, n, *, width, stop=()):
    """The best continuations that a search with `width` beams finds, of n tokens, or fewer if they end in a stop token.

    Equation: (7.15)
    Shapes:   context (T,) → at most `width` pairs (tokens (≤ n,), log p in nats), best first
    Raises:   ShapeError if width is below 1.
    """
    if width < 1:
        raise ShapeError(f"beam_search: width is {width}; expected at least 1")
    window = Window(model, np.asarray(context)[None])
    first, scores, finished = window.tokens.shape[1], np.zeros(1), []
    for i in range(n):
        logits = window.logits.astype(np.float64)
        highest = logits.max(axis=1, keepdims=True)
        log_p = logits - highest - np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))
        total = scores[:, None] + log_p  # (beams, V)
        best = np.argsort(-total, axis=None, kind="stable")[:width]
        rows, tokens = np.unravel_index(best, total.shape)
        ends = np.isin(tokens, list(stop)) | (i == n - 1)
        for row, token in zip(rows[ends], tokens[ends], strict=True):
            finished.append((np.append(window.tokens[row, first:], token), float(total[row, token])))
        finished = sorted(finished, key=lambda pair: -pair[1])[:width]
        rows, tokens = rows[~ends], tokens[~ends]
        scores = total[rows, tokens]
        # Log-probabilities only fall: once `width` finished ones are better than every open one, nothing will change.
        if not len(rows) or (len(finished) == width and finished[-1][1] >= scores.max()):
            break
        window.select(rows)
        window.add(tokens)
    return finished
