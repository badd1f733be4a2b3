"""The n-gram: Witten–Bell by hand and by a slow definition; it sums to 1, falls through, samples what it says."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.errors import ShapeError, StateError
from minigen.models.ngram import NGram

V = 5


def tokens(length, seed=0, v=V):
    """Tokens that depend on the two before them."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(v, 0.5), size=(v, v))
    row = [0, 1]
    for _ in range(length):
        row.append(int(rng.choice(v, p=table[row[-2], row[-1]])))
    return np.array(row[2:])


def by_definition(documents, context, w, order, v):
    """Equation (1.21), word by word, with a dictionary."""
    p = 1 / v
    for k in range(order):
        if k > len(context):
            break
        h = tuple(context[len(context) - k :])
        after = Counter(int(d[t]) for d in documents for t in range(k, len(d)) if tuple(d[t - k : t].tolist()) == h)
        if not after:
            break
        c, types = sum(after.values()), len(after)
        p = (after[w] + types * p) / (c + types)
    return p


def test_a_case_worked_out_by_hand():
    """abac with V = 3. Empty context: a 2, b 1, c 1, T = 3. After a: b 1, c 1, T = 2."""
    model = NGram(2, 3).fit([0, 1, 0, 2])
    unigram = [(2 + 3 / 3) / 7, (1 + 3 / 3) / 7, (1 + 3 / 3) / 7]
    np.testing.assert_allclose(model.probabilities(), unigram)
    after_a = [(0 + 2 * 3 / 7) / 4, (1 + 2 * 2 / 7) / 4, (1 + 2 * 2 / 7) / 4]
    np.testing.assert_allclose(model.probabilities([0]), after_a)
    np.testing.assert_allclose(model.probabilities([2]), unigram)  # nothing ever followed c


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 1000), st.booleans())
def test_every_probability_is_that_of_the_definition(order, length, seed, split):
    text = tokens(length, seed)
    documents = [text[: length // 2], text[length // 2 :]] if split else [text]
    model = NGram(order, V).fit(documents if split else text)
    other = tokens(12, seed + 1)
    expected = [by_definition(documents, other[max(0, t - order + 1) : t].tolist(), int(other[t]), order, V)
                for t in range(len(other))]
    np.testing.assert_allclose(np.exp(model.log_prob(other)), expected, rtol=1e-12)
    for t in range(len(other)):
        p = model.probabilities(other[:t])
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
        np.testing.assert_allclose(p[other[t]], expected[t], rtol=1e-12)


def test_all_texts_of_one_length_have_total_probability_one():
    model = NGram(3, 3).fit(tokens(30, v=3))
    texts = np.stack(np.meshgrid(*[np.arange(3)] * 5), -1).reshape(-1, 5)
    total = sum(np.exp(model.log_prob(text).sum()) for text in texts)
    np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_no_context_crosses_the_border_of_a_document():
    together, apart = NGram(2, 3).fit([0, 1, 2]), NGram(2, 3).fit([[0, 1], [2]])
    assert together.probabilities([1])[2] > apart.probabilities([1])[2]
    np.testing.assert_allclose(apart.probabilities([1]), apart.probabilities())
    scores = apart.log_prob([[0, 1], [2]])
    np.testing.assert_allclose(scores, np.concatenate([apart.log_prob([0, 1]), apart.log_prob([2])]))


def test_a_lower_order_is_contained_in_a_higher_one():
    text, other = tokens(500), tokens(100, 1)
    high = NGram(5, V).fit(text)
    for order in range(1, 6):
        low = NGram(order, V).fit(text)
        np.testing.assert_array_equal(high.log_prob(other, order=order), low.log_prob(other))
        np.testing.assert_array_equal(high.probabilities(other, order=order), low.probabilities(other))


@pytest.mark.parametrize("documents", [False, True])
def test_deepening_step_by_step_comes_to_the_same_counts(documents):
    text = tokens(300)
    text = [text[:100], text[100:]] if documents else text
    whole, grown = NGram(6, V).fit(text), NGram(1, V)
    for order in range(1, 7):
        assert grown.deepen(text).order == order
    assert leaves(whole) == leaves(grown)


def leaves(model):
    return {name: array.tolist() for name, array in model.state_dict().items()}


def test_the_order_has_no_limit():
    """Keys stay small numbers: 60 tokens of context of 1,000 kinds would overflow any code of the whole context."""
    text = np.random.default_rng(0).integers(1000, size=200)
    model = NGram(60, 1000).fit(text)
    assert model.log_prob(text)[60:].min() > np.log(0.9)


def test_it_comes_near_the_entropy_of_a_source_within_its_reach():
    rng = np.random.default_rng(3)
    table = rng.dirichlet(np.full(V, 0.5), size=V)  # a chain with one token of memory
    text = [0]
    for u in rng.random(60_000):
        text.append(int(np.searchsorted(np.cumsum(table[text[-1]])[:-1], u, side="right")))
    train, test = np.array(text[:50_000]), np.array(text[50_000:])
    best = -np.log(table[test[:-1], test[1:]]).mean()
    model = NGram(2, V).fit(train)
    assert 0 < -model.log_prob(test)[1:].mean() - best < 0.003
    assert model.cross_entropy(test, order=1) > best + 0.05


def test_samples_are_drawn_with_the_probabilities_that_it_states():
    model = NGram(2, 3).fit(tokens(60, v=3))
    sampled = model.sample(20_000, rng=np.random.default_rng(0))
    for h in range(3):
        after = sampled[1:][sampled[:-1] == h]
        p = model.probabilities([h])
        error = np.sqrt(p * (1 - p) / len(after))
        assert (abs(np.bincount(after, minlength=3) / len(after) - p) < 4 * error).all()


def test_temperature_sharpens_and_zero_takes_the_likeliest():
    model = NGram(3, V).fit(tokens(400))
    rng = np.random.default_rng(0)
    greedy = model.sample(30, rng=rng, temperature=0, context=[1, 2])
    assert greedy[0] == model.probabilities([1, 2]).argmax()
    np.testing.assert_array_equal(greedy, model.sample(30, rng=rng, temperature=1e-4, context=[1, 2]))
    cold, warm = (-model.log_prob(model.sample(2000, rng=rng, temperature=t)).mean() for t in (0.5, 1.0))
    assert cold < warm


def test_the_same_seed_gives_the_same_sample():
    model = NGram(3, V).fit(tokens(200))
    first, second = (model.sample(50, rng=np.random.default_rng(7), context=[1]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (50,) and first.dtype == np.int64


def test_the_state_comes_back_in_the_same_bits(tmp_path):
    from minigen.train import capture, load, restore, save

    text = tokens(300)
    model, other = NGram(4, V).fit(text), NGram(1, V)
    save(tmp_path / "model.npz", capture({"model": model}))
    restore({"model": other}, load(tmp_path / "model.npz"))
    assert other.order == 4
    np.testing.assert_array_equal(other.log_prob(text), model.log_prob(text))
    with pytest.raises(StateError, match="5 tokens"):
        NGram(4, V + 1).load_state_dict(model.state_dict())
    with pytest.raises(StateError, match="expected order"):
        NGram(4, V).load_state_dict({"order": np.array(4)})


@pytest.mark.parametrize(("call", "message"), [
    (lambda: NGram(0, 3), "order is 0"),
    (lambda: NGram(2, True), "vocabulary_size is True"),
    (lambda: NGram(2, 3).log_prob([0]), "call fit first"),
    (lambda: NGram(2, 3).fit([]), "no tokens"),
    (lambda: NGram(2, 3).fit([0, 3]), "run from 0 to 3"),
    (lambda: NGram(2, 3).fit([0.5]), "whole numbers"),
    (lambda: NGram(2, 3).fit("abc"), "whole numbers"),
    (lambda: NGram(2, 3).fit([0, 1]).log_prob([0], order=3), "order is 3; expected 1 to 2"),
    (lambda: NGram(2, 3).fit([0, 1]).sample(1, rng=np.random.default_rng(0), temperature=-1), "temperature is -1"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ShapeError, match=message):
        call()
