"""What learners typically write in lesson 07, as they would write it, and a phrase that the feedback must contain."""

from collections import Counter

import numpy as np

import minigen as mg
from minigen.models.gpt import Config

# -- 07.1 -------------------------------------------------------------------------------------------------------------


def softmax(scores, axis=-1):
    e = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def unscaled(query, key, value):
    scores = query @ key.T
    scores[np.triu_indices(len(query), 1)] = -np.inf
    return softmax(scores) @ value


def divided_by_d(query, key, value):
    scores = query @ key.T / query.shape[1]
    scores[np.triu_indices(len(query), 1)] = -np.inf
    return softmax(scores) @ value


def everybody_sees_everything(query, key, value):
    return softmax(query @ key.T / np.sqrt(query.shape[-1])) @ value


def only_the_future(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return softmax(np.where(np.triu(np.ones_like(scores)) == 1, scores, -np.inf)) @ value


def never_itself(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return softmax(np.where(np.tri(len(query), k=-1) == 1, scores, -np.inf)) @ value


def masked_too_late(query, key, value):
    weights = softmax(query @ key.T / np.sqrt(query.shape[-1]))
    return np.tril(weights) @ value


def zero_instead_of_minus_infinity(query, key, value):
    scores = np.tril(query @ key.T / np.sqrt(query.shape[-1]))
    return softmax(scores) @ value


def over_the_queries(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return softmax(np.where(np.tri(len(query)) == 1, scores, -np.inf), axis=0) @ value


def only_the_weights(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return softmax(np.where(np.tri(len(query)) == 1, scores, -np.inf))


def cut_from_the_graph(query, key, value):
    q, k, v = (mg.tensor(x).data for x in (query, key, value))
    scores = q @ k.T / np.sqrt(q.shape[-1])
    return mg.tensor(softmax(np.where(np.tri(len(q)) == 1, scores, -np.inf)) @ v)


# -- 07.2 -------------------------------------------------------------------------------------------------------------


def transposed(logits, tokens, size):
    rows = []
    for s in range(len(tokens)):
        new = tokens.copy()
        new[s] = (new[s] + 1) % size
        rows.append((logits(new) != logits(tokens)).any(axis=1))
    return np.array(rows)


def never_changed_back(logits, tokens, size):
    new, found = tokens.copy(), np.zeros((len(tokens), len(tokens)), bool)
    for s in range(len(tokens)):
        new[s] = (new[s] + 1) % size
        found[:, s] = (logits(new) != logits(tokens)).any(axis=1)
    return found


def changes_the_input(logits, tokens, size):
    before, found = logits(tokens), np.zeros((len(tokens), len(tokens)), bool)
    for s in range(len(tokens)):
        tokens[s] = (tokens[s] + 1) % size
        found[:, s] = (logits(tokens) != before).any(axis=1)
    return found


def unchanged_rows(logits, tokens, size):
    found = np.zeros((len(tokens), len(tokens)), bool)
    for s in range(len(tokens)):
        new = tokens.copy()
        new[s] = (new[s] + 1) % size
        found[:, s] = (logits(new) == logits(tokens)).all(axis=1)
    return found


def assumed(logits, tokens, size):
    return np.tril(np.ones((len(tokens), len(tokens))))


def last_row_only(logits, tokens, size):
    found = []
    for s in range(len(tokens)):
        new = tokens.copy()
        new[s] = (new[s] + 1) % size
        found.append(np.any(logits(new)[-1] != logits(tokens)[-1]))
    return np.array(found)


# -- 07.3 -------------------------------------------------------------------------------------------------------------


def _log_softmax(logits):
    m = logits.max(axis=-1, keepdims=True)
    return logits - m - np.log(np.exp(logits - m).sum(axis=-1, keepdims=True))


def same_place(logits, tokens):
    log_p = _log_softmax(logits)
    return -np.take_along_axis(log_p, tokens[:, :, None], axis=2)[:, :, 0].sum(1)


def same_place_without_the_first(logits, tokens):
    log_p = _log_softmax(logits)[:, 1:]
    return -np.take_along_axis(log_p, tokens[:, 1:, None], axis=2)[:, :, 0].sum(1)


def backwards(logits, tokens):
    log_p = _log_softmax(logits)[:, 1:]
    return -np.take_along_axis(log_p, tokens[:, :-1, None], axis=2)[:, :, 0].sum(1)


def mean_over_places(logits, tokens):
    log_p = _log_softmax(logits)[:, :-1]
    return -np.take_along_axis(log_p, tokens[:, 1:, None], axis=2)[:, :, 0].mean(1)


def one_number(logits, tokens):
    log_p = _log_softmax(logits)[:, :-1]
    return -np.take_along_axis(log_p, tokens[:, 1:, None], axis=2)[:, :, 0].mean()


def all_places(logits, tokens):
    log_p = _log_softmax(logits)[:, :-1]
    return -np.take_along_axis(log_p, tokens[:, 1:, None], axis=2)[:, :, 0]


def log_likelihood(logits, tokens):
    log_p = _log_softmax(logits)[:, :-1]
    return np.take_along_axis(log_p, tokens[:, 1:, None], axis=2)[:, :, 0].sum(1)


def raw_logits(logits, tokens):
    return -np.take_along_axis(logits[:, :-1], tokens[:, 1:, None], axis=2)[:, :, 0].sum(1)


# -- 07.4 -------------------------------------------------------------------------------------------------------------


def first_met(tokens, new):
    pair = Counter(zip(tokens, tokens[1:], strict=False)).most_common(1)[0][0]
    out, i = [], 0
    while i < len(tokens):
        if i + 1 < len(tokens) and (tokens[i], tokens[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(tokens[i])
            i += 1
    return out


def _winner(tokens):
    counts = Counter(zip(tokens, tokens[1:], strict=False))
    return min(counts, key=lambda pair: (-counts[pair], pair))


def one_place_only(tokens, new):
    pair = _winner(tokens)
    for i in range(len(tokens) - 1):
        if (tokens[i], tokens[i + 1]) == pair:
            return tokens[:i] + [new] + tokens[i + 2 :]


def second_left_in_place(tokens, new):
    pair = _winner(tokens)
    out = list(tokens)
    for i in range(len(tokens) - 1):
        if (tokens[i], tokens[i + 1]) == pair:
            out[i] = new
    return out


def overlapping(tokens, new):
    pair = _winner(tokens)
    starts = [i for i in range(len(tokens) - 1) if (tokens[i], tokens[i + 1]) == pair]
    return [new if i in starts else token for i, token in enumerate(tokens) if i in starts or i - 1 not in starts]


def the_pair(tokens, new):
    return list(_winner(tokens))


# -- 07.5 -------------------------------------------------------------------------------------------------------------


def without_the_one_that_crosses(p, share):
    order = np.argsort(-p)
    keep = order[np.cumsum(p[order]) <= share]
    q = np.zeros_like(p)
    q[keep] = p[keep]
    return q / q.sum()


def not_rescaled(p, share):
    order = np.argsort(-p)
    keep = order[: np.searchsorted(np.cumsum(p[order]), share - 1e-12) + 1]
    q = np.zeros_like(p)
    q[keep] = p[keep]
    return q


def left_in_sorted_order(p, share):
    s = np.sort(p)[::-1]
    s = np.where(np.cumsum(s) - s < share - 1e-12, s, 0)
    return s / s.sum()


def unlikely_first(p, share):
    order = np.argsort(p)
    keep = order[np.cumsum(p[order]) - p[order] < share - 1e-12]
    q = np.zeros_like(p)
    q[keep] = p[keep]
    return q / q.sum()


def unsorted(p, share):
    q = np.where(np.cumsum(p) - p < share - 1e-12, p, 0)
    return q / q.sum()


def min_p(p, share):
    q = np.where(p >= share * p.max(), p, 0)
    return q / q.sum()


# -- 07.6 -------------------------------------------------------------------------------------------------------------


def _attend(q, keys, values, scale=None):
    scores = np.einsum("nd,nsd->ns", q, keys) / (np.sqrt(q.shape[1]) if scale is None else scale)
    return np.einsum("ns,nsd->nd", softmax(scores), values)


def _append(keys, k):
    return np.concatenate([keys, k[:, None]], axis=1)


def attends_before_it_appends(q, k, v, keys, values):
    return _attend(q, keys, values), _append(keys, k), _append(values, v)


def no_root(q, k, v, keys, values):
    keys, values = _append(keys, k), _append(values, v)
    return _attend(q, keys, values, scale=1), keys, values


def over_the_heads(q, k, v, keys, values):
    keys, values = _append(keys, k), _append(values, v)
    scores = np.einsum("nd,nsd->ns", q, keys) / np.sqrt(q.shape[1])
    return np.einsum("ns,nsd->nd", softmax(scores, axis=0), values), keys, values


def cache_not_returned(q, k, v, keys, values):
    y = _attend(q, _append(keys, k), _append(values, v))
    return y, keys, values


def newest_in_front(q, k, v, keys, values):
    keys = np.concatenate([k[:, None], keys], axis=1)
    values = np.concatenate([v[:, None], values], axis=1)
    return _attend(q, keys, values), keys, values


def only_y(q, k, v, keys, values):
    return _attend(q, _append(keys, k), _append(values, v))


def appends_the_query(q, k, v, keys, values):
    keys, values = _append(keys, q), _append(values, v)
    return _attend(q, keys, values), keys, values


# -- 07.7 -------------------------------------------------------------------------------------------------------------


def too_large():
    return Config(8, block_size=24, layers=2, heads=1, width=64, bias=False)


def one_layer():
    return Config(8, block_size=24, layers=1, heads=4, width=32, bias=False)


def another_vocabulary():
    return Config(65, block_size=24, layers=2, heads=1, width=16)


def too_narrow():
    return Config(8, block_size=24, layers=2, heads=1, width=4, bias=False)


def a_dictionary():
    return {"layers": 2, "width": 24}


WRONG = {
    "07.1": [
        (unscaled, "did not divide the scores by √d"),
        (divided_by_d, "by its square root is wanted"),
        (everybody_sees_everything, "There is no mask"),
        (only_the_future, "the wrong way round"),
        (never_itself, "hides each position from itself"),
        (masked_too_late, "You masked after the softmax"),
        (zero_instead_of_minus_infinity, "e⁰ is 1"),
        (over_the_queries, "runs over the queries"),
        (only_the_weights, "You returned the weights"),
        (cut_from_the_graph, "the gradient is not"),
    ],
    "07.2": [
        (transposed, "Yours is transposed"),
        (never_changed_back, "without changing them back"),
        (changes_the_input, "changes its input in place"),
        (unchanged_rows, "the opposite"),
        (assumed, "measure what this one does"),
        (last_row_only, "the last row only"),
    ],
    "07.3": [
        (same_place, "Off by one"),
        (same_place_without_the_first, "Off by one"),
        (backwards, "Shifted the wrong way"),
        (mean_over_places, "averaged over the places"),
        (one_number, "averaged over the rows as well"),
        (all_places, "Keep one value per row"),
        (log_likelihood, "The sign"),
        (raw_logits, "they become log p by log_softmax"),
    ],
    "07.4": [
        (first_met, "not the one met first"),
        (one_place_only, "the first occurrence only"),
        (second_left_in_place, "left the second in its place"),
        (overlapping, "go on behind it"),
        (the_pair, "You returned the pair"),
    ],
    "07.5": [
        (without_the_one_that_crosses, "the token that crosses the share"),
        (not_rescaled, "must sum to 1 again"),
        (left_in_sorted_order, "in sorted order"),
        (unlikely_first, "from the unlikely end"),
        (unsorted, "in the order of the vocabulary"),
        (min_p, "min-p"),
    ],
    "07.6": [
        (attends_before_it_appends, "must see itself too"),
        (no_root, "did not divide the scores by √d"),
        (over_the_heads, "runs over the heads"),
        (cache_not_returned, "without the new key and value"),
        (newest_in_front, "in front"),
        (only_y, "wanted three"),
        (appends_the_query, "the query where the key belongs"),
    ],
    "07.7": [
        (too_large, "at most"),
        (one_layer, "One layer gets only part of the way"),
        (another_vocabulary, "vocabulary_size=8"),
        (too_narrow, "Asked for is"),
        (a_dictionary, "wanted a Config"),
    ],
}
