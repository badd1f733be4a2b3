"""Lesson 07 in plain NumPy: attention written out, a cache, one merge; what exercises compare with, and their slips."""

import numpy as np

import minigen as mg
from minigen.autograd import no_grad
from minigen.data.tokenizer import replaced
from minigen.models.generation import next_probabilities
from minigen.models.gpt import rotate


def causal_attention(query, key, value, *, scale=None, see=np.tri, late=False, dim=1):
    """Attention of T positions, each to itself and those before it; arrays or Tensors.

    scale, see, late, dim:  what a slip does otherwise: the factor of the scores, by default 1/√d; (T, T) → the mask;
                            masking after the softmax; the axis over which the softmax sums to 1
    Equation: (7.3)
    Shapes:   three of (T, d) → (T, d)
    """
    t, d = query.shape
    mask = see(t, t).astype(bool)
    scores = mg.matmul(query, mg.transpose(key, 0, 1)) * (d**-0.5 if scale is None else scale)
    if late:
        return mg.matmul(mg.softmax(scores, dim=dim) * mask, value)
    return mg.matmul(mg.softmax(mg.where(mask, scores, -np.inf), dim=dim), value)


def reach(logits, tokens, size):
    """Which outputs feel which inputs: entry [t, s] is True if the logits at t change with token s.

    logits:   a function (T,) → (T, V)
    Shapes:   tokens (T,), whole numbers below size → (T, T) bool
    """
    before = logits(tokens)
    found = np.zeros((len(tokens), len(tokens)), dtype=bool)
    for s in range(len(tokens)):
        changed = tokens.copy()
        changed[s] = (changed[s] + 1) % size
        found[:, s] = np.any(logits(changed) != before, axis=1)
    return found


def next_token_loss(logits, tokens):
    """−log p of every token but the first, summed over each row, in nats.

    Equation: (7.1), with the logits at t for the token at t + 1
    Shapes:   logits (B, T, V), tokens (B, T) → (B,)
    """
    log_p = mg.log_softmax(logits[:, :-1], dim=2)  # (B, T − 1, V)
    rows, places = np.arange(len(tokens))[:, None], np.arange(tokens.shape[1] - 1)
    return -mg.sum(log_p[rows, places, tokens[:, 1:]], dim=1)


def merge_once(tokens, new, *, best=None, replace=None):
    """One step of byte-pair encoding: the most frequent pair of neighbours becomes one new token, everywhere.

    best, replace:  what a slip does otherwise: (pairs, counts) → the pair; (tokens, pair, new) → the tokens
    Equation: (7.16); of equally frequent pairs the one with the smaller numbers
    Shapes:   a list of at least two whole numbers → a list
    """
    pairs = list(zip(tokens, tokens[1:], strict=False))
    counts = {pair: pairs.count(pair) for pair in pairs}
    pair = (best or most_frequent)(pairs, counts)
    return (replace or replaced)(tokens, pair, new)


def most_frequent(pairs, counts):
    """The pair of (7.16)."""
    return min(counts, key=lambda pair: (-counts[pair], pair))


def nucleus(p, share):
    """The fewest tokens, likeliest first, whose sum reaches the share; the others 0; rescaled to sum to 1.

    Equation: (7.13)
    Shapes:   (V,) → (V,)
    """
    with np.errstate(divide="ignore"):
        return next_probabilities(np.log(p)[None], top_p=share)[0]


def nucleus_slip(p, share, *, order=None, keep=None, rescale=True, sort_back=True):
    """`nucleus` with one step done otherwise.   keep: (sums up to and with, sums before, share) → bool"""
    order = np.argsort(-p, kind="stable") if order is None else order(p)
    sums = np.cumsum(p[order])
    kept = (lambda upto, before, share: before < share - 1e-12)(sums, sums - p[order], share) if keep is None else keep(
        sums, sums - p[order], share)  # fmt: skip
    chosen = np.where(kept, p[order], 0)
    chosen = chosen / chosen.sum() if rescale else chosen
    if not sort_back:
        return chosen
    result = np.empty_like(p)
    result[order] = chosen
    return result


def cached_step(q, k, v, keys, values, *, scale=None, itself=True, axis=1):
    """Attention of one new position to all before it and itself, with their keys and values kept.

    scale, itself, axis:  what a slip does otherwise
    Equation: (7.3), its last row
    Shapes:   q, k, v (N, d); keys, values (N, S, d) → y (N, d), keys and values (N, S + 1, d)
    """
    more_keys, more_values = (np.concatenate([old, new[:, None]], axis=1)
                              for old, new in ((keys, k), (values, v)))  # fmt: skip
    seen_keys, seen_values = (more_keys, more_values) if itself else (keys, values)
    scores = (seen_keys @ q[:, :, None])[:, :, 0] * (q.shape[1] ** -0.5 if scale is None else scale)  # (N, S + 1)
    weights = np.exp(scores - scores.max())
    weights = weights / weights.sum(axis=axis, keepdims=True)
    return (weights[:, :, None] * seen_values).sum(1), more_keys, more_values


@no_grad()
def attention_maps(model, tokens):
    """The weights a_ts of every head of a trained GPT, which its own kernel never stores.

    Equation: (7.3)
    Shapes:   tokens (B, T) → (L, B, N, T, T), an array
    """
    maps = []

    def watch(attention):
        forward = attention.forward

        def recording(x, past=None):
            qkv = attention.c_attn(x)
            qkv = rotate(qkv, attention.heads) if attention.rotary else qkv  # (B, T, 3·D)
            batch, t, width = qkv.shape
            query, key, _ = qkv.data.reshape(batch, t, 3, attention.heads, -1).transpose(2, 0, 3, 1, 4)
            scores = query @ key.swapaxes(2, 3) / query.shape[3] ** 0.5  # (B, N, T, T)
            scores = np.where(np.tri(t, dtype=bool), scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=3, keepdims=True))
            maps.append(weights / weights.sum(axis=3, keepdims=True))
            return forward(x, past)

        attention.forward = recording

    for block in model.h:
        watch(block.attn)
    try:
        model(tokens)
    finally:
        for block in model.h:
            del block.attn.forward  # the class's own is there again
    return np.stack(maps)
