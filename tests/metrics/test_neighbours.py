import time

import numpy as np
import pytest

from minigen.errors import DataError, ShapeError
from minigen.metrics import neighbours
from minigen.metrics.neighbours import Scores, copying, copying_floor, manifold_scores, nearest


def by_loops(real, samples, k):
    """(8.51) to (8.54), ball by ball."""
    def radius(points, at):
        return sorted(np.linalg.norm(points - points[at], axis=1))[k]  # the first is the point itself

    inside = np.array([[np.linalg.norm(y - x) < radius(real, i) for i, x in enumerate(real)] for y in samples])
    reached = [any(np.linalg.norm(x - y) < radius(samples, j) for j, y in enumerate(samples)) for x in real]
    return inside.any(1).mean(), np.mean(reached), inside.sum() / (k * len(samples)), inside.any(0).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_scores_are_their_formulas(k):
    rng = np.random.default_rng(k)
    real, samples = rng.normal(size=(30, 3)), rng.normal(size=(22, 3)) * 0.8 + 0.3
    found = manifold_scores(real, samples, k)
    assert found == pytest.approx(by_loops(real, samples, k), abs=1e-12)
    shuffled = manifold_scores(real[rng.permutation(30)], samples[rng.permutation(22)], k)
    assert shuffled == pytest.approx(found, abs=1e-12)
    swapped = manifold_scores(samples, real, k)
    assert (swapped.precision, swapped.recall) == pytest.approx((found.recall, found.precision))


def test_blocks_make_no_difference(monkeypatch):
    rng = np.random.default_rng(1)
    real, samples = rng.normal(size=(50, 4)), rng.normal(size=(40, 4))
    scores, (distances, indices) = manifold_scores(real, samples), nearest(samples, real, 3)
    monkeypatch.setattr(neighbours, "CELLS", 7)
    assert manifold_scores(real, samples) == scores
    again = nearest(samples, real, 3)
    np.testing.assert_array_equal(again[1], indices)
    np.testing.assert_allclose(again[0], distances, rtol=1e-12)


def test_a_set_against_itself_is_perfect_and_a_far_one_hopeless():
    x = np.random.default_rng(2).normal(size=(200, 5))
    assert manifold_scores(x, x) == Scores(1, 1, 1, 1)  # in k balls each: its own and those of its k − 1 nearest
    assert manifold_scores(x, x + 100) == Scores(0, 0, 0, 0)
    assert manifold_scores(x + 1e4, x + 1e4) == Scores(1, 1, 1, 1)  # rounding does not decide


def test_equal_distributions_have_density_1_and_the_coverage_of_the_formula():
    rng, n, m, k = np.random.default_rng(3), 60, 40, 5
    found = [manifold_scores(rng.standard_t(3, size=(n, 2)), rng.standard_t(3, size=(m, 2)), k) for _ in range(300)]
    i = np.arange(1, k + 1)
    covered = np.mean([scores.coverage for scores in found])
    assert covered == pytest.approx(1 - np.prod((n - i) / (n + m - i)), abs=0.008)
    densities = [scores.density for scores in found]
    assert np.mean(densities) == pytest.approx(1, abs=4 * np.std(densities) / np.sqrt(300))


def test_lost_modes_cost_recall_and_coverage_and_bad_samples_precision_and_density():
    rng = np.random.default_rng(4)
    real = rng.normal(size=(400, 2)) + np.repeat([[0, 0], [20, 0]], 200, axis=0)
    half = manifold_scores(real, rng.normal(size=(400, 2)))
    assert half.precision > 0.95 and half.recall < 0.55 and half.coverage < 0.55
    spoilt = manifold_scores(real, np.concatenate([real[::2], real[::2] + [0, 50]]))
    assert spoilt.precision == pytest.approx(0.5, abs=0.01) and spoilt.density < 0.55 and spoilt.recall > 0.85


# -- nearest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leave_out_self", [False, True])
def test_nearest_is_scikit_learns(leave_out_self):
    learn = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(5)
    references = rng.normal(size=(300, 7)) + 5
    queries = references if leave_out_self else rng.normal(size=(120, 7)) + 5
    distances, indices = nearest(queries, references, 4, leave_out_self=leave_out_self)
    finder = learn.NearestNeighbors(n_neighbors=4, algorithm="kd_tree").fit(references)
    expected = finder.kneighbors(None if leave_out_self else queries)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-12)
    np.testing.assert_array_equal(indices, expected[1])


@pytest.mark.parametrize("leave_out_self", [False, True])
def test_nearest_is_sorting_all(leave_out_self):
    rng = np.random.default_rng(6)
    references = rng.normal(size=(60, 3))
    queries = references if leave_out_self else rng.normal(size=(20, 3))
    every = np.linalg.norm(queries[:, None] - references, axis=2)
    if leave_out_self:
        np.fill_diagonal(every, np.inf)
    for k in (1, 2, 59):
        distances, indices = nearest(queries, references, k, leave_out_self=leave_out_self)
        np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], rtol=1e-12)
        np.testing.assert_array_equal(indices, np.argsort(every, axis=1)[:, :k])


def test_a_copy_has_distance_nought_even_far_from_the_origin():
    references = np.random.default_rng(7).normal(size=(50, 64)) + 1e6
    distances, indices = nearest(references[[3, 17]], references)
    assert distances[:, 0].tolist() == [0, 0] and indices[:, 0].tolist() == [3, 17]


# -- copies -----------------------------------------------------------------------------------------------------------


def test_copies_are_found_and_fresh_samples_are_not():
    rng = np.random.default_rng(8)
    train, held_out, fresh = rng.normal(size=(3, 500, 3))
    assert copying(train[:100], train, held_out) == (0.0, 1.0)
    ratio, copied = copying(fresh, train, held_out)
    assert ratio == pytest.approx(1, abs=0.1) and copied == pytest.approx(0.5, abs=0.06)
    near = copying(train[:300] + 0.02 * rng.normal(size=(300, 3)), train, held_out)
    assert near.ratio < 0.3 and near.copied > 0.9
    far = copying(fresh + 50, train, held_out)
    assert far.ratio == pytest.approx(1, abs=0.1) and far.copied == 0


def test_the_floor_is_what_a_perfect_model_gets_whatever_the_sizes():
    rng = np.random.default_rng(9)
    train, held_out, fresh = rng.normal(size=(2000, 3)), rng.normal(size=(500, 3)), rng.normal(size=(500, 3))
    floor = copying_floor(train, held_out)
    assert floor.copied == 0.5
    assert floor.ratio < 0.75 and copying(fresh, train, held_out).ratio == pytest.approx(floor.ratio, abs=0.06)


def test_a_sample_that_is_in_both_sets_is_a_tie():
    x = np.random.default_rng(10).normal(size=(9, 2))
    assert copying(x, x, x) == (1.0, 0.5)


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y"), [((5, 3), (5, 4)), ((5,), (5, 3)), ((0, 3), (5, 3))])
def test_what_does_not_fit_is_refused(x, y):
    for name, function in (("nearest", nearest), ("manifold_scores", lambda a, b: manifold_scores(b, a))):
        with pytest.raises(ShapeError, match=rf"{name}: points \("):
            function(np.ones(x), np.ones(y))


def test_too_few_points_and_nans_are_refused():
    with pytest.raises(ShapeError, match="k=5 with 5 real points and 9 samples"):
        manifold_scores(np.ones((5, 2)), np.ones((9, 2)))
    with pytest.raises(ShapeError, match="k=3 of 3 references without itself"):
        nearest(np.ones((3, 2)), np.ones((3, 2)), 3, leave_out_self=True)
    with pytest.raises(ShapeError, match="2 queries and 3 references"):
        nearest(np.ones((2, 2)), np.ones((3, 2)), leave_out_self=True)
    with pytest.raises(DataError, match="0 and 1 of 3 and 2 points are NaN"):
        nearest(np.ones((3, 2)), np.array([[0, np.nan], [1, 1]]))


# -- the published example --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_published_example_of_prdc():
    """N(0, I) against N(0, I), 10,000 against 10,000, 1,000 features, k = 5: the README of prdc (Naeem et al.).

    In so many dimensions a few samples lie in very many balls, and the figures scatter. Seeds 0 to 4 gave a precision
    of 0.456 to 0.497, recall 0.474 to 0.493, density 0.912 to 1.070, coverage 0.956 to 0.974: the published ones are
    such a draw. The tolerances are three standard deviations of a difference of two.
    """
    rng = np.random.default_rng(1)
    real, samples = rng.normal(size=(2, 10_000, 1000))
    began = time.process_time()
    found = manifold_scores(real, samples)
    print(f"{found}, {time.process_time() - began:.0f} s of CPU")
    assert found.precision == pytest.approx(0.4772, abs=0.06)
    assert found.recall == pytest.approx(0.4705, abs=0.03)
    assert found.density == pytest.approx(1.0555, abs=0.25)
    assert found.coverage == pytest.approx(0.9735, abs=0.03)
