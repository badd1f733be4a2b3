import math

import numpy as np
import pytest

from minigen.data import toy2d
from minigen.errors import DataError, ShapeError
from minigen.metrics.modes import count_modes, reverse_kl


@pytest.mark.parametrize("truth", [toy2d.ring(), toy2d.grid()], ids=["ring", "grid"])
def test_the_truth_has_all_modes_and_the_share_of_the_formula(truth):
    n = 50_000
    found = count_modes(truth.sample(n, rng=np.random.default_rng(0)), truth.means, truth.sigma)
    assert found.captured == len(truth.means) == len(found.counts) and found.counts.sum() == n
    share = 1 - math.exp(-4.5)
    assert found.high_quality == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / n))


def test_true_samples_have_the_reverse_kl_of_the_expansion():
    truth, n = toy2d.grid(), 2500
    values = [count_modes(truth.sample(n, rng=np.random.default_rng(seed)), truth.means, truth.sigma).reverse_kl
              for seed in range(200)]
    assert np.mean(values) == pytest.approx(24 / (2 * n), rel=0.1)


def test_every_part_against_a_loop_over_samples():
    rng = np.random.default_rng(1)
    truth = toy2d.GaussianMixture(rng.normal(size=(6, 2)) * 3, 0.3, weights=[1, 2, 3, 4, 5, 6])
    samples = np.concatenate([truth.sample(40, rng=rng), rng.normal(size=(60, 2)) * 3])
    found = count_modes(samples, truth.means, truth.sigma, truth.weights)
    counts, captured, good = [0] * 6, set(), 0
    for x in samples:
        distances = [math.dist(x, mean) for mean in truth.means]
        mode = distances.index(min(distances))
        counts[mode] += 1
        if distances[mode] <= 0.9:
            captured.add(mode)
            good += 1
    assert (found.captured, found.high_quality, found.counts.tolist()) == (len(captured), good / 100, counts)
    p = truth.weights / truth.weights.sum()
    kl = sum(c / 100 * math.log(c / 100 / weight) for c, weight in zip(counts, p, strict=True) if c)
    assert found.reverse_kl == pytest.approx(kl, abs=1e-12)
    shuffled = count_modes(samples[rng.permutation(100)], truth.means, truth.sigma, truth.weights)
    assert shuffled[:3] == pytest.approx(found[:3], abs=1e-14)


def test_known_reverse_kls():
    assert reverse_kl([5, 5, 5]) == 0
    assert reverse_kl([7, 0, 0, 0]) == pytest.approx(math.log(4))
    assert reverse_kl([3, 3, 0, 0]) == pytest.approx(math.log(2))
    assert reverse_kl([1, 2, 3], [10, 20, 30]) == pytest.approx(0, abs=1e-15)
    assert reverse_kl([1, 0], [0.25, 0.75]) == pytest.approx(math.log(4))


def test_a_sample_far_from_all_modes_belongs_to_one_and_captures_none():
    found = count_modes([[1.2, 0.0]], toy2d.ring().means, 0.01)
    assert (found.captured, found.high_quality, found.counts[0]) == (0, 0.0, 1)
    assert count_modes([[0.03, 0]], [[0, 0]], 0.01).captured == 1  # on the edge is within
    assert count_modes([[0.05, 0]], [[0, 0]], 0.01, within=6).high_quality == 1


@pytest.mark.parametrize(("samples", "means", "sigma", "weights", "error", "message"), [
    (np.ones((3, 2)), np.ones((4, 3)), 1, None, ShapeError, r"samples \(3, 2\) and means \(4, 3\)"),
    (np.ones(3), np.ones((4, 3)), 1, None, ShapeError, r"samples \(3,\)"),
    (np.ones((0, 2)), np.ones((4, 2)), 1, None, ShapeError, r"samples \(0, 2\)"),
    ([[np.nan, 0], [0, 0]], np.ones((4, 2)), 1, None, DataError, "1 samples are NaN"),
    (np.ones((3, 2)), np.ones((4, 2)), 0, None, DataError, "sigma is 0"),
    (np.ones((3, 2)), np.ones((4, 2)), 1, [1, 1, 1], ShapeError, r"reverse_kl: counts \(4,\) and weights \(3,\)"),
    (np.ones((3, 2)), np.ones((4, 2)), 1, [1, 1, 1, 0], DataError, "weights from 0"),
])  # fmt: skip
def test_what_cannot_be_counted_is_refused(samples, means, sigma, weights, error, message):
    with pytest.raises(error, match=message):
        count_modes(samples, means, sigma, weights)


def test_a_histogram_of_nothing_is_refused():
    with pytest.raises(DataError, match="sum 0"):
        reverse_kl([0, 0])
