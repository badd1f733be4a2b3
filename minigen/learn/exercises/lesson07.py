"""Exercises of lesson 07, transformers and GPT."""

import numpy as np

import minigen as mg
from minigen import ops
from minigen.data import tokenizer
from minigen.learn import attending
from minigen.learn import text_slips as slips
from minigen.learn.attending import cached_step, causal_attention, merge_once, next_token_loss, nucleus, nucleus_slip
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.recall import quick_recall
from minigen.learn.text_slips import ALL, FIRST, LAST, picked
from minigen.models import generation, gpt

# -- 07.1 attention ---------------------------------------------------------------------------------------------------


def _three(rng, t, d, scale=1.0):
    return tuple(scale * rng.normal(size=(t, d)) for _ in range(3))


ATTENTION = Exercise(
    id="07.1",
    title="Causal attention from scratch",
    signature="my_attention(query, key, value)",
    reference=causal_attention,
    solution=(attending.causal_attention, ops.scaled_dot_product_attention),
    cases=lambda rng: [_three(rng, 5, 4), _three(rng, 1, 3), _three(rng, 7, 2), _three(rng, 6, 9, 3.0)],
    gradcheck=True,
    hints=(
        "Four steps: a table of scores q_t·k_s (one matrix product), divide, forbid the future, softmax over the keys; "
        "then one more matrix product takes the means of the values.",
        "np.tri(T, T) is 1 where s ≤ t. Forbidden scores become −∞ before the softmax, so that their weights are "
        "exactly 0 and the others sum to 1. The softmax runs over s, the last axis.",
        "scores = query @ key.T / np.sqrt(query.shape[1]); scores = mg.where(np.tri(*scores.shape).astype(bool), "
        "scores, -np.inf); return mg.softmax(scores, dim=1) @ value.",
    ),
    mistakes=(
        Mistake("You did not divide the scores by √d.", lambda q, k, v: causal_attention(q, k, v, scale=1.0)),
        Mistake("You divided the scores by d; by its square root is wanted: the deviation of a score is √d.",
                lambda q, k, v: causal_attention(q, k, v, scale=1 / q.shape[1])),
        Mistake("You multiplied the scores by √d instead of dividing.",
                lambda q, k, v: causal_attention(q, k, v, scale=q.shape[1] ** 0.5)),
        Mistake("There is no mask: every position also looks at those after it.",
                lambda q, k, v: causal_attention(q, k, v, see=lambda t, s: np.ones((t, s)))),
        Mistake("Your mask is the wrong way round: position t sees s ≥ t. Row t may see the columns up to t.",
                lambda q, k, v: causal_attention(q, k, v, see=lambda t, s: np.tri(t, s).T)),
        Mistake("Your mask hides each position from itself; s = t is allowed.",
                lambda q, k, v: causal_attention(q, k, v, see=lambda t, s: np.tri(t, s, -1))),
        Mistake("Your mask is one place too wide: position t also sees t + 1.",
                lambda q, k, v: causal_attention(q, k, v, see=lambda t, s: np.tri(t, s, 1))),
        Mistake("You masked after the softmax: what is left of a row no longer sums to 1. Set forbidden scores to −∞ "
                "before the softmax.", lambda q, k, v: causal_attention(q, k, v, late=True)),
        Mistake("Your softmax runs over the queries (axis 0); each query shares out 1 among the keys: the last axis.",
                lambda q, k, v: causal_attention(q, k, v, dim=0)),
        Mistake("You set forbidden scores to 0; e⁰ is 1, so they keep a weight. They must be −∞.",
                lambda q, k, v: slips.zeroed(q, k, v)),
        Mistake("You multiplied the weights with the keys; the mean of the values is wanted.",
                lambda q, k, v: causal_attention(q, k, k)),
        Mistake("You returned the weights; multiply them with the values.",
                lambda q, k, v: causal_attention(q, k, np.eye(len(q)))),
    ),
    afterword="That is the whole of (7.3), for one head.",
)  # fmt: skip


# -- 07.2 what feels what ---------------------------------------------------------------------------------------------


REACH = Exercise(
    id="07.2",
    title="Which output feels which token?",
    signature="my_reach(logits, tokens, size)",
    reference=attending.reach,
    cases=lambda rng: [(slips.bag, np.array([0, 3, 1, 4, 0, 2]), 5), (slips.last_two, rng.integers(0, 5, 7), 5),
                       (slips.peeking, rng.integers(0, 5, 5), 5)],
    hints=(
        "Do the experiment: compute the logits, change one token, compute them again. Which rows moved?",
        "For each s: a copy of tokens, another number at place s (below size), and then compare all T rows at once.",
        "found[:, s] = np.any(logits(changed) != before, axis=1), with changed[s] = (tokens[s] + 1) % size.",
    ),
    mistakes=(
        Mistake("Yours is transposed: row t says which tokens s the logits at t feel.",
                slips.reach_slip(observe=lambda found: found.T)),
        Mistake("You changed tokens one after the other without changing them back: take a fresh copy each time.",
                slips.reach_slip(changed=True)),
        Mistake("You always put in token 0; a token that is 0 already would not change. Choose a different one: "
                "(tokens[s] + 1) % size.", slips.reach_slip(other=0)),
        Mistake("You return the opposite: True where nothing changed.", slips.reach_slip(observe=lambda found: ~found)),
        Mistake("You looked at the logits at place s only: compare all T rows.",
                slips.reach_slip(observe=lambda found: found & np.eye(len(found), dtype=bool))),
        Mistake("You return one answer for each token; one for each pair (t, s) is wanted.",
                slips.reach_slip(observe=lambda found: found.any(0))),
        Mistake("You looked at the last row only: compare all T rows, one for each t.",
                slips.reach_slip(observe=lambda found: found[-1])),
        Mistake("That is the triangle which a causal model should have; measure what this one does.",
                lambda logits, tokens, size: np.tri(len(tokens), dtype=bool)),
    ),
    afterword="Of a causal model this table has nothing above its diagonal. Run it on anything you are given.",
)  # fmt: skip

# -- 07.3 the loss ----------------------------------------------------------------------------------------------------


def _text(rng, batch, t, v, scale=2.0):
    return scale * rng.normal(size=(batch, t, v)), rng.integers(0, v, (batch, t))


OFF_BY_ONE = ("Off by one: you compare the logits at t with the token at t, which they have already seen. They are "
              "about the token at t + 1.")
LOSS = Exercise(
    id="07.3",
    title="The loss of a text, and what a fresh model pays",
    signature="my_loss(logits, tokens)",
    reference=next_token_loss,
    solution=(gpt.GPT.log_prob, gpt.GPT.loss),
    cases=lambda rng: [_text(rng, 3, 6, 5), _text(rng, 2, 2, 4), (np.zeros((2, 9, 65)), rng.integers(0, 65, (2, 9)))],
    gradcheck=True,
    hints=(
        "The logits at place t were computed from the tokens up to t. Which token are they about?",
        "Logits at places 0 … T − 2 go with tokens 1 … T − 1: logits[:, :-1] and tokens[:, 1:]. The last logits are "
        "about a token that is not there.",
        "log_p = mg.log_softmax(logits[:, :-1], dim=2); then pick log_p[b, t, tokens[b, t + 1]], change the sign, and "
        "sum over t.",
    ),
    mistakes=(
        Mistake(OFF_BY_ONE, lambda y, x: mg.sum(picked(y, x, ALL, ALL), dim=1)),
        Mistake(OFF_BY_ONE, lambda y, x: mg.sum(picked(y, x, LAST, LAST), dim=1)),
        Mistake(OFF_BY_ONE, lambda y, x: mg.sum(picked(y, x, FIRST, FIRST), dim=1)),
        Mistake("Shifted the wrong way: you ask the logits at t for the token at t − 1.",
                lambda y, x: mg.sum(picked(y, x, LAST, FIRST), dim=1)),
        Mistake("You averaged over the places; the loss of a row is the sum.",
                lambda y, x: mg.mean(picked(y, x, FIRST, LAST), dim=1)),
        Mistake("You averaged over the rows as well; keep one value per row.",
                lambda y, x: mg.mean(picked(y, x, FIRST, LAST))),
        Mistake("You summed over the rows as well; keep one value per row.",
                lambda y, x: mg.sum(picked(y, x, FIRST, LAST))),
        Mistake("Keep one value per row: sum over the places.", lambda y, x: picked(y, x, FIRST, LAST)),
        Mistake("The sign: −log p is never negative.", lambda y, x: -mg.sum(picked(y, x, FIRST, LAST), dim=1)),
        Mistake("You picked the logits themselves; they become log p by log_softmax.",
                lambda y, x: -mg.sum(y[np.arange(len(x))[:, None], np.arange(x.shape[1] - 1), x[:, 1:]],
                                     dim=1)),
        Mistake("The softmax runs over the vocabulary, the last axis.",
                lambda y, x: -mg.sum(mg.log_softmax(y[:, :-1], dim=1)[
                    np.arange(len(x))[:, None], np.arange(x.shape[1] - 1), x[:, 1:]], dim=1)),
    ),
    afterword="With logits 0 each of T − 1 tokens costs ln V: a fresh model that pays much more is broken.",
)  # fmt: skip

# -- 07.4 byte pairs --------------------------------------------------------------------------------------------------


def _letters(rng, n, size):
    return rng.integers(0, size, n).tolist()


MERGE = Exercise(
    id="07.4",
    title="One merge of byte-pair encoding",
    signature="my_merge(tokens, new)",
    reference=merge_once,
    solution=(attending.merge_once, attending.most_frequent, attending.replaced, tokenizer.BytePairs.train),
    cases=lambda rng: [([1, 2, 3, 1, 2, 4], 9), ([5, 5, 5, 5, 5, 7], 9), ([3, 2, 4, 1], 9),
                       ([6, 2, 6, 1, 6, 2, 6, 1], 9), (_letters(rng, 40, 4), 99), (_letters(rng, 30, 2), 99)],
    hints=(
        "Two steps: count all pairs of neighbours; then walk from left to right and write `new` wherever the winner "
        "stands.",
        "collections.Counter(zip(tokens, tokens[1:])) counts. Of equally frequent pairs take the smallest: "
        "min(counts, key=lambda pair: (-counts[pair], pair)).",
        "A while loop with i: if tokens[i : i + 2] is the pair, append new and go on at i + 2, else append tokens[i] "
        "and go on at i + 1.",
    ),
    mistakes=(
        Mistake("In 5 5 5 the pair 5 5 may be taken once only: after a merge go on behind it, at i + 2.",
                lambda x, n: merge_once(x, n, replace=slips.overlapping)),
        Mistake("You merged the first occurrence only; merge all.", lambda x, n: merge_once(x, n, replace=slips.once)),
        Mistake("Of equally frequent pairs the one with the smaller numbers is taken, not the one met first.",
                lambda x, n: merge_once(x, n, best=lambda pairs, c: max(c, key=c.get))),
        Mistake("Of equally frequent pairs the one with the smaller numbers is taken, not the largest.",
                lambda x, n: merge_once(x, n, best=lambda pairs, c: max(c, key=lambda p: (c[p], p)))),
        Mistake("You merged from right to left; in 5 5 5 the left pair is taken.",
                lambda x, n: merge_once(x, n, replace=lambda x, pair, n: attending.replaced(
                    x[::-1], pair[::-1], n)[::-1])),
        Mistake("You replaced the first token of the pair and left the second in its place.",
                lambda x, n: merge_once(x, n, replace=lambda x, pair, n: slips.kept(x, pair, n))),
        Mistake("You returned the pair; the new row of tokens is wanted.",
                lambda x, n: list(merge_once(x, n, replace=lambda x, pair, n: pair))),
    ),
    afterword="A few hundred of these, and common words are single tokens.",
)  # fmt: skip


# -- 07.5 the nucleus -------------------------------------------------------------------------------------------------


def _shares(rng, v, sharpness=1.5):
    p = np.exp(sharpness * rng.normal(size=v))
    return p / p.sum()


NUCLEUS = Exercise(
    id="07.5",
    title="Top-p",
    signature="my_nucleus(p, share)",
    reference=nucleus,
    solution=(generation.next_probabilities,),
    cases=lambda rng: [(np.array([0.1, 0.5, 0.15, 0.25]), 0.7), (_shares(rng, 12), 0.9), (_shares(rng, 6), 0.3),
                       (_shares(rng, 30, 0.3), 0.5), (np.array([0.05, 0.9, 0.05]), 0.5), (_shares(rng, 5), 1.0)],
    hints=(
        "Sort from likely to unlikely, add up until the share is reached, forget the rest, rescale.",
        "order = np.argsort(-p); a token is needed as long as the sum of those *before* it is still below the share. "
        "So the one that crosses the share is kept.",
        "before = np.cumsum(p[order]) - p[order]; keep = order[before < share]; result = np.zeros_like(p); "
        "result[keep] = p[keep]; return result / result.sum().",
    ),
    mistakes=(
        Mistake("You left out the token that crosses the share: what you keep does not reach it.",
                lambda p, s: nucleus_slip(p, s, keep=lambda upto, before, share: upto <= share + 1e-12)),
        Mistake("What is kept must sum to 1 again: divide by its sum.", lambda p, s: nucleus_slip(p, s, rescale=False)),
        Mistake("You added up in the order of the vocabulary; go from likely to unlikely.",
                lambda p, s: nucleus_slip(p, s, order=lambda p: np.arange(len(p)))),
        Mistake("You added up from the unlikely end: argsort sorts ascending.",
                lambda p, s: nucleus_slip(p, s, order=lambda p: np.argsort(p, kind="stable"))),
        Mistake("The result is in sorted order; put each probability back to its own token.",
                lambda p, s: nucleus_slip(p, s, sort_back=False)),
        Mistake("You compared single probabilities with the share; it is their running sum that counts.",
                lambda p, s: np.where(p >= s, p, 0) / max(p[p >= s].sum(), 1e-300)),
        Mistake("You kept one token too many: as soon as the share is reached, stop.",
                lambda p, s: nucleus_slip(p, s, keep=lambda upto, before, share: np.concatenate(
                    [[True], before[:-1] < share - 1e-12]))),
        Mistake("You took the tokens that are likely compared with the likeliest (that is min-p, another rule).",
                lambda p, s: np.where(p >= s * p.max(), p, 0) / p[p >= s * p.max()].sum()),
    ),
    afterword="How many tokens it keeps depends on how sure the model is; top-k cannot do that.",
)  # fmt: skip

# -- 07.6 the cache ---------------------------------------------------------------------------------------------------


def _read(rng, heads, old, d):
    return (*(rng.normal(size=(heads, d)) for _ in range(3)), *(rng.normal(size=(heads, old, d)) for _ in range(2)))


CACHE = Exercise(
    id="07.6",
    title="Attention with a cache",
    signature="my_step(q, k, v, keys, values)",
    reference=cached_step,
    solution=(attending.cached_step, gpt.Past.append, gpt.Attention._with_past),
    cases=lambda rng: [_read(rng, 2, 5, 4), _read(rng, 1, 1, 3), _read(rng, 3, 2, 6), _read(rng, 4, 4, 4)],
    observe=slips.three_things,
    hints=(
        "The new position sees all old ones and itself. So append first, then attend; no mask is needed.",
        "np.concatenate([keys, k[:, None]], axis=1) has shape (N, S + 1, d). The scores are (N, S + 1): one number for "
        "each head and each position.",
        "scores = np.einsum('nd,nsd->ns', q, keys) / np.sqrt(d); softmax over axis 1; y = np.einsum('ns,nsd->nd', "
        "weights, values); return y, keys, values.",
    ),
    mistakes=(
        Mistake("The new position must see itself too: append its key and value before you attend.",
                lambda *a: cached_step(*a, itself=False)),
        Mistake("You did not divide the scores by √d.", lambda *a: cached_step(*a, scale=1.0)),
        Mistake("You divided by √ of the wrong number: d is the width of one head, q.shape[1].",
                lambda *a: cached_step(*a, scale=a[0].size ** -0.5)),
        Mistake("Your softmax runs over the heads (axis 0); each head shares out 1 among the positions: axis 1.",
                lambda *a: cached_step(*a, axis=0)),
        Mistake("Your softmax runs over heads and positions together; each head has its own: axis 1.",
                lambda *a: cached_step(*a, axis=(0, 1))),
        Mistake("y is right, but you returned the cache without the new key and value: the next step will miss them.",
                lambda *a: (cached_step(*a)[0], *a[3:])),
        Mistake("y is right, but you put the new key and value in front; they are the newest, so they come last.",
                lambda *a: (cached_step(*a)[0], *(np.concatenate([new[:, None], old], axis=1)
                                                  for old, new in zip(a[3:], a[1:3], strict=True)))),
        Mistake("You appended the query where the key belongs.",
                lambda q, k, v, keys, values: cached_step(q, q, v, keys, values)),
        Mistake("Keys and values are exchanged.", lambda q, k, v, keys, values: cached_step(q, v, k, values, keys)),
        Mistake("The heads are mixed; each head has its own y.", slips.heads_mixed),
    ),
    afterword="It pays for one row of the table of scores instead of all of them.",
)  # fmt: skip

# -- 07.7 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="07.7",
    title="Open: a smaller machine that remembers",
    signature="my_config()",
    judge=quick_recall,
    solution=(quick_recall,),
    hints=(
        "How many blocks? Read section 6 again: a head must look one back, and one in a later block find the letter.",
        "Under the limit two blocks may be about 25 wide. More heads make each of them narrower: does a head of 8 "
        "numbers find its letter as well as one of 24?",
        "With tied weights one table must serve for reading and for writing; tied=False costs 8 · D weights more. And "
        "positions='rotary' saves the table P: one back is then the same look at every place.",
    ),
)

EXERCISES = [ATTENTION, REACH, LOSS, MERGE, NUCLEUS, CACHE, OPEN]
