"""Generation: settings on known distributions, draws against likelihoods, beams against enumeration."""

import itertools

import numpy as np
import pytest
from scipy import stats

from minigen.errors import ShapeError
from minigen.models import generation
from minigen.models.generation import next_probabilities
from minigen.models.gpt import GPT, Config

V = 5
KNOWN = np.array([0.1, 0.4, 0.05, 0.3, 0.15])


@pytest.fixture(scope="module")
def model():
    found = GPT(Config(V, block_size=6, layers=2, heads=2, width=8), rng=np.random.default_rng(3)).eval()
    for parameter in found.parameters():
        if parameter.ndim == 2:
            parameter.overwrite(parameter.data * 12)
    return found


def of_known(**settings):
    return next_probabilities(np.log(KNOWN)[None] + 3, **settings)[0]


def test_settings_on_a_known_distribution():
    np.testing.assert_allclose(of_known(), KNOWN)
    np.testing.assert_allclose(of_known(temperature=0.5), KNOWN**2 / (KNOWN**2).sum())
    np.testing.assert_allclose(of_known(temperature=0), [0, 1, 0, 0, 0])
    np.testing.assert_allclose(of_known(top_k=2), [0, 4 / 7, 0, 3 / 7, 0])
    np.testing.assert_allclose(of_known(top_k=9), KNOWN)
    np.testing.assert_allclose(of_known(top_p=0.4), [0, 1, 0, 0, 0])
    np.testing.assert_allclose(of_known(top_p=0.41), [0, 4 / 7, 0, 3 / 7, 0])
    np.testing.assert_allclose(of_known(top_p=0.8), [0, 8 / 17, 0, 6 / 17, 3 / 17])
    np.testing.assert_allclose(of_known(top_p=1.0), KNOWN)


def test_top_p_counts_within_what_top_k_left():
    np.testing.assert_allclose(of_known(top_k=2, top_p=0.5), [0, 1, 0, 0, 0])  # 4/7 of the rest


def test_the_penalty_makes_what_occurred_less_likely_on_either_side_of_zero():
    logits = np.array([[2.0, -2.0, 1.0]])
    p = next_probabilities(logits, seen=np.array([[0, 1, 1]]), repetition_penalty=2.0)[0]
    expected = np.exp([1.0, -4.0, 1.0])
    np.testing.assert_allclose(p, expected / expected.sum())
    np.testing.assert_array_equal(logits, [[2.0, -2.0, 1.0]])


@pytest.mark.parametrize("settings", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.1},
                                      {"repetition_penalty": 0}])  # fmt: skip
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ShapeError, match="next_probabilities"):
        of_known(**settings)


def test_draws_have_the_likelihood_of_the_model(model):
    n = 6000
    rows = generation.generate(model, np.full((n, 1), 1), 2, rng=np.random.default_rng(0))
    counts = np.bincount([row[0] * V + row[1] for row in rows], minlength=V * V)
    pairs = np.array(list(itertools.product(range(V), repeat=2)))
    p = np.exp(-model.loss(np.concatenate([np.full((V * V, 1), 1), pairs], axis=1)).data.astype(float))
    rare = n * p < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(n * p[~rare], n * p[rare].sum())
    keep = expected > 0
    assert stats.chisquare(observed[keep], expected[keep] * n / expected.sum()).pvalue > 1e-3


def test_a_token_of_probability_zero_is_never_drawn():
    class Highest:
        def random(self, shape):
            return np.full(shape, 1 - 2**-53)

    assert generation.draw(np.array([[0.5, 0.5, 0, 0]]), rng=Highest()).tolist() == [1]
    p = np.tile([0.0, 0.3, 0.0, 0.7, 0.0], (4000, 1))
    drawn = generation.draw(p, rng=np.random.default_rng(0))
    assert set(drawn.tolist()) == {1, 3} and abs((drawn == 3).mean() - 0.7) < 0.03


def test_a_stream_is_the_row_that_generate_gives_and_stops_alike(model):
    context = np.array([1, 2])
    for stop in ((), (0,), (3, 4)):
        one = list(generation.stream(model, context, 15, rng=np.random.default_rng(7), stop=stop))
        (row,) = generation.generate(model, context[None], 15, rng=np.random.default_rng(7), stop=stop)
        assert one == row.tolist()
        assert len(one) == 15 or one[-1] in stop
        assert not set(one[:-1]) & set(stop)


def test_each_row_of_a_batch_ends_at_its_own_stop(model):
    rows = generation.generate(model, np.full((50, 1), 1), 10, rng=np.random.default_rng(0), stop=(0,))
    assert len({len(row) for row in rows}) > 1
    for row in rows:
        assert 0 not in row[:-1] and (row[-1] == 0 or len(row) == 10)


def test_a_stream_draws_only_when_asked(model):
    rng = np.random.default_rng(0)
    stream = generation.stream(model, [1], 5, rng=rng)
    before = rng.bit_generator.state
    next(stream)
    after = rng.bit_generator.state
    assert before != after
    assert rng.bit_generator.state == after


@pytest.mark.parametrize("forget", [1, 3, 6])
def test_past_the_block_the_window_is_what_the_definition_says(model, forget):
    """Greedy, so that tokens can be compared; the window's start moves by `forget` when the block is full."""
    row = [1, 4]
    start = 0
    for _ in range(20):
        if len(row) - start > 6:
            start = min(start + forget, len(row) - 1)
        row.append(int(np.argmax(model(np.array([row[start:]])).data[0, -1])))
    (found,) = generation.generate(model, [[1, 4]], 20, rng=np.random.default_rng(0), temperature=0, forget=forget)
    assert found.tolist() == row[2:]


def test_a_context_longer_than_the_block_is_read_from_its_last_tokens(model):
    context = np.arange(9) % V
    window = generation.Window(model, context[None])
    np.testing.assert_allclose(window.logits, model(context[None, -6:]).data[:, -1], atol=1e-5)


def score_of(model, context, rest):
    """log p(rest | context), from two calls of the loss."""
    return float(model.loss(np.array([context])).data[0] - model.loss(np.array([[*context, *rest]])).data[0])


def best_by_enumeration(model, context, n, stop):
    found = {}
    for rest in itertools.product(range(V), repeat=n):
        cut = next((i + 1 for i, token in enumerate(rest) if token in stop), n)
        found[rest[:cut]] = None
    return max(((rest, score_of(model, context, rest)) for rest in found), key=lambda pair: pair[1])


@pytest.mark.parametrize("stop", [(), (0,), (2, 3)])
def test_a_wide_beam_finds_the_best_sequence(model, stop):
    context, n = [1, 2], 3
    expected, score = best_by_enumeration(model, context, n, stop)
    found = generation.beam_search(model, context, n, width=V ** (n - 1), stop=stop)
    assert tuple(found[0][0].tolist()) == expected
    assert found[0][1] == pytest.approx(score, abs=1e-4)
    scores = [value for _, value in found]
    assert scores == sorted(scores, reverse=True)
    for row, value in found[:10]:
        assert value == pytest.approx(score_of(model, context, row), abs=1e-4)


def test_one_beam_is_greedy(model):
    (greedy,) = generation.generate(model, [[1, 2]], 5, rng=np.random.default_rng(0), temperature=0)
    ((row, _),) = generation.beam_search(model, [1, 2], 5, width=1)
    assert row.tolist() == greedy.tolist()


def test_what_cannot_be_read_is_refused(model):
    for call in (lambda: generation.generate(model, np.zeros((1, 0), int), 2, rng=np.random.default_rng(0)),
                 lambda: generation.generate(model, [[1]], 2, rng=np.random.default_rng(0), forget=7),
                 lambda: generation.beam_search(model, [1], 2, width=0)):
        with pytest.raises(ShapeError):
            call()
