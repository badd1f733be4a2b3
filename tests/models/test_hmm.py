"""The hidden Markov model, against the sum over all hidden paths."""

import itertools

import numpy as np
import pytest

from minigen.errors import DataError, MinigenError, ShapeError, TrainingError
from minigen.models import hmm
from minigen.models.hmm import HMM


def small(seed=0, states=3, symbols=4):
    return HMM(states, symbols).start(rng=np.random.default_rng(seed))


def enumerate_paths(model, sequence):
    """Every path of states with p(x, path), (4.10), term by term."""
    for path in itertools.product(range(model.states), repeat=len(sequence)):
        p = model.initial[path[0]] * model.emission[path[0], sequence[0]]
        for t in range(1, len(sequence)):
            p *= model.transition[path[t - 1], path[t]] * model.emission[path[t], sequence[t]]
        yield path, p


def known():
    """Three sticky states with dice that differ."""
    model = HMM(3, 4)
    model.initial = np.array([0.6, 0.3, 0.1])
    model.transition = np.array([[0.9, 0.1, 0.0], [0.0, 0.7, 0.3], [0.2, 0.1, 0.7]])
    model.emission = np.array([[0.8, 0.1, 0.05, 0.05], [0.05, 0.05, 0.1, 0.8], [0.05, 0.8, 0.1, 0.05]])
    return model


@pytest.mark.parametrize("length", [1, 2, 6])
def test_all_hidden_paths_give_the_same_answers(length):
    model, rng = small(), np.random.default_rng(1)
    x = rng.integers(4, size=(5, length))
    paths, best = model.viterbi(x)
    counts = model.e_step(x)
    first, moves, symbols = np.zeros(3), np.zeros((3, 3)), np.zeros((3, 4))
    for b, sequence in enumerate(x):
        table = dict(enumerate_paths(model, sequence))
        total = sum(table.values())
        gamma = np.zeros((length, 3))
        for path, p in table.items():
            gamma[np.arange(length), path] += p / total
            first[path[0]] += p / total
            np.add.at(symbols, (path, sequence), p / total)
            np.add.at(moves, (path[:-1], path[1:]), p / total)
        assert model.log_prob(sequence[None])[0] == pytest.approx(np.log(total), abs=1e-12)  # (4.11)
        assert model.posterior(x)[b] == pytest.approx(gamma, abs=1e-12)  # (4.12), (4.13)
        top = max(table, key=table.get)
        assert tuple(paths[b]) == top and best[b] == pytest.approx(np.log(table[top]), abs=1e-12)  # (4.15)
    assert counts.first == pytest.approx(first, abs=1e-12)
    assert counts.moves == pytest.approx(moves, abs=1e-12)
    assert counts.symbols == pytest.approx(symbols, abs=1e-12)


def test_the_probabilities_of_all_sequences_sum_to_one():
    x = np.array(list(itertools.product(range(4), repeat=5)))
    assert np.exp(small().log_prob(x)).sum() == pytest.approx(1, abs=1e-12)


def test_long_sequences_do_not_underflow():
    model = known()
    x = model.sample(2, 20_000, rng=np.random.default_rng(0))
    log_p = model.log_prob(x)
    assert np.isfinite(log_p).all() and (log_p < -10_000).all()
    assert model.posterior(x).sum(2) == pytest.approx(np.ones((2, 20_000)))


def test_the_likelihood_climbs_at_least_as_far_as_the_expected_log_joint():
    """log p_new − log p_old ≥ Q(new) − Q(old) ≥ 0, in every step."""
    x = known().sample(30, 25, rng=np.random.default_rng(2))
    model = small(3)
    for _ in range(40):
        counts = model.e_step(x)
        old = model.expected_log_joint(counts)
        model.m_step(counts)
        gain = model.expected_log_joint(counts) - old
        assert gain >= -1e-9
        assert model.log_prob(x).sum() - counts.log_prob.sum() >= gain - 1e-9


def test_no_change_of_the_rows_beats_the_m_step():
    x = known().sample(30, 25, rng=np.random.default_rng(2))
    model, rng = small(3), np.random.default_rng(4)
    counts = model.e_step(x)
    model.m_step(counts)
    best, top = model.state_dict(), model.expected_log_joint(counts)
    for name, rows in best.items():
        for _ in range(20):
            changed = rows * np.exp(0.05 * rng.normal(size=rows.shape))
            setattr(model, name, changed / changed.sum(-1, keepdims=True))
            assert model.expected_log_joint(counts) < top
        setattr(model, name, rows)


def test_a_known_model_is_recovered_up_to_the_names_of_its_states():
    truth = known()
    x = truth.sample(1000, 30, rng=np.random.default_rng(0))
    model = HMM(3, 4)
    history = model.fit(x, rng=np.random.default_rng(1), restarts=2, steps=200)
    assert (np.diff(history) > -1e-9).all()
    assert history[-1] >= truth.log_prob(x).mean()  # it is the maximum on these sequences
    order = min(itertools.permutations(range(3)),
                key=lambda names: np.abs(model.emission[list(names)] - truth.emission).sum())
    order = list(order)
    assert model.emission[order] == pytest.approx(truth.emission, abs=0.03)
    assert model.transition[np.ix_(order, order)] == pytest.approx(truth.transition, abs=0.03)
    assert model.initial[order] == pytest.approx(truth.initial, abs=0.04)


def test_one_state_is_the_table_of_frequencies():
    x = known().sample(50, 10, rng=np.random.default_rng(0))
    model = HMM(1, 4)
    model.fit(x, rng=np.random.default_rng(0))
    assert model.emission[0] == pytest.approx(np.bincount(x.ravel(), minlength=4) / x.size)


def test_samples_have_the_frequencies_of_the_model():
    model = known()
    x, z = model.sample(20_000, 3, rng=np.random.default_rng(5), with_states=True)
    assert np.bincount(z[:, 0]) / len(z) == pytest.approx(model.initial, abs=0.015)
    for k in range(3):
        after = z[:, 1][z[:, 0] == k]
        assert np.bincount(after, minlength=3) / len(after) == pytest.approx(model.transition[k], abs=0.03)
        written = x[z == k]
        assert np.bincount(written, minlength=4) / len(written) == pytest.approx(model.emission[k], abs=0.015)


def test_a_state_that_is_never_visited_keeps_its_row():
    model = known()
    model.initial, row = np.array([1.0, 0, 0]), model.transition[1].copy()
    model.transition = np.array([[1.0, 0, 0], row, [0, 0, 1.0]])
    model.step(np.zeros((4, 5), dtype=int))
    assert model.transition[1] == pytest.approx(row)
    assert np.isfinite(model.emission).all()


def test_an_impossible_sequence_has_log_probability_minus_infinity_and_no_posterior():
    model = known()
    model.emission[:, 3] = 0
    model.emission /= model.emission.sum(1, keepdims=True)
    x = np.array([[0, 1, 0, 0], [0, 3, 0, 1]])
    log_p = model.log_prob(x)
    assert np.isfinite(log_p[0]) and log_p[1] == -np.inf
    assert model.viterbi(x)[1][1] == -np.inf
    for ask in (model.e_step, model.posterior):
        with pytest.raises(DataError, match="sequence 1 has probability 0"):
            ask(x)


def test_a_fall_of_the_likelihood_is_reported(monkeypatch):
    monkeypatch.setattr(hmm, "_rows", lambda counts, before: before[::-1])
    with pytest.raises(TrainingError, match="log-likelihood fell"):
        small().fit(known().sample(20, 10, rng=np.random.default_rng(0)), start="current", steps=50, tol=-np.inf)


@pytest.mark.parametrize(("error", "what", "action"), [
    (DataError, "expected at least one of each", lambda x: HMM(0, 3)),
    (TrainingError, "no parameters yet", lambda x: HMM(2, 4).log_prob(x)),
    (TrainingError, "with an rng", lambda x: HMM(2, 4).fit(x)),
    (ShapeError, r"expected \(B, T\)", lambda x: small().log_prob(x[0])),
    (ShapeError, "at least one sequence", lambda x: small().log_prob(x[:0])),
    (DataError, "whole numbers 0 … 3", lambda x: small().log_prob(x + 1)),
    (DataError, "float64", lambda x: small().log_prob(x / 2)),
    (ShapeError, r"transition has shape \(2, 2\); expected \(3, 3\)", lambda x: bent(np.eye(2)).log_prob(x)),
    (DataError, "rows that sum to 1", lambda x: bent(np.ones((3, 3))).log_prob(x)),
])  # fmt: skip
def test_wrong_use_gives_a_clear_error(error, what, action):
    with pytest.raises(MinigenError, match=what) as caught:
        action(np.array([[0, 1, 2, 3], [3, 2, 1, 0]]))
    assert isinstance(caught.value, error)


def bent(transition):
    model = small()
    model.transition = transition
    return model
