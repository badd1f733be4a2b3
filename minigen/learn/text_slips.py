"""Exercises of lesson 07 done with one thing wrong: what entries of their lists of mistakes need; and small models."""

import numpy as np

import minigen as mg
from minigen.learn.attending import cached_step
from minigen.learn.exercise import WrongForm

ALL, FIRST, LAST = slice(None), slice(None, -1), slice(1, None)


def zeroed(query, key, value):
    """Attention in which forbidden scores are 0, not −∞."""
    scores = mg.matmul(query, mg.transpose(key, 0, 1)) * query.shape[1] ** -0.5
    return mg.matmul(mg.softmax(scores * np.tri(len(query)), dim=1), value)


def bag(tokens):
    """Logits that know which tokens came so far, not in which order."""
    return np.cumsum(np.eye(5)[tokens] * [1.0, 2.0, 3.0, 5.0, 8.0], axis=0)


def last_two(tokens):
    """Logits that know the last two tokens."""
    row = np.eye(5)[tokens] * [1.0, 2.0, 3.0, 5.0, 8.0]
    return row + 0.5 * np.roll(row, 1, axis=0) * (np.arange(len(tokens))[:, None] > 0)


def peeking(tokens):
    """Logits that look one token ahead."""
    row = bag(tokens)
    return np.concatenate([row[1:], row[-1:]])


def reach_slip(observe=None, changed=None, other=None):
    """`attending.reach` with one step done otherwise."""

    def answer(logits, tokens, size):
        before, found, new = logits(tokens), np.zeros((len(tokens),) * 2, dtype=bool), tokens.copy()
        for s in range(len(tokens)):
            if not changed:
                new = tokens.copy()
            new[s] = (new[s] + 1) % size if other is None else other
            found[:, s] = np.any(logits(new) != before, axis=1)
        return found if observe is None else observe(found)

    return answer


def picked(logits, tokens, places, targets):
    """−log p of the targets, (B, T′), with the logits at some places."""
    log_p = mg.log_softmax(logits[:, places], dim=2)
    wanted = tokens[:, targets]
    return -log_p[np.arange(len(tokens))[:, None], np.arange(wanted.shape[1]), wanted]


def overlapping(tokens, pair, new):
    """Every place where the pair begins becomes new, also one that lies inside the pair before."""
    hits = {i for i, here in enumerate(zip(tokens, tokens[1:], strict=False)) if here == pair}
    return [new if i in hits else token for i, token in enumerate(tokens) if i in hits or i - 1 not in hits]


def once(tokens, pair, new):
    """Only the first occurrence of the pair becomes new."""
    place = list(zip(tokens, tokens[1:], strict=False)).index(pair)
    return [*tokens[:place], new, *tokens[place + 2 :]]


def kept(tokens, pair, new):
    """The first token of each pair becomes new, the second stays."""
    hits = [here == pair for here in zip(tokens, tokens[1:], strict=False)] + [False]
    return [new if hit else token for hit, token in zip(hits, tokens, strict=True)]


def three_things(function, q, k, v, keys, values):
    """What a step with a cache returns, by name.   Raises: WrongForm if it is not three things"""
    result = function(q, k, v, keys, values)
    if not isinstance(result, tuple | list) or len(result) != 3:
        got = f"{len(result)} things" if isinstance(result, tuple | list) else type(result).__name__
        raise WrongForm(f"It returned {got}, wanted three: y, the keys and the values (now one longer).")
    return dict(zip(("y", "keys", "values"), result, strict=True))


def heads_mixed(q, k, v, keys, values):
    """A step with a cache whose heads all return their mean."""
    y, more_keys, more_values = cached_step(q, k, v, keys, values)
    return np.tile(y.mean(0), (len(q), 1)), more_keys, more_values
