import numpy as np
import pytest
from scipy import stats

from minigen.errors import DataError, ShapeError
from minigen.metrics.ranking import auroc, auroc_error, ranks


def by_counting(labels, scores):
    """The definition (M.2): all pairs."""
    difference = scores[labels == 1][:, None] - scores[labels == 0]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


@pytest.mark.parametrize("levels", [1, 2, 3, 10, 1000])
def test_ranks_are_scipys_with_ties(levels):
    values = np.random.default_rng(levels).integers(0, levels, 200).astype(float)
    assert np.array_equal(ranks(values), stats.rankdata(values))


@pytest.mark.parametrize("levels", [2, 5, 50, None])
def test_auroc_is_the_count_of_pairs_with_ties(levels):
    rng = np.random.default_rng(0)
    for size in (2, 3, 30, 200):
        labels = rng.permutation(np.arange(size) % 2)
        scores = rng.normal(size=size) + labels if levels is None else rng.integers(0, levels, size).astype(float)
        assert auroc(labels, scores) == pytest.approx(by_counting(labels, scores), abs=1e-14)


def test_auroc_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 500), rng.integers(0, 20, 500)
    assert auroc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-14)


def test_known_values():
    assert auroc([0, 0, 1, 1], [1, 2, 3, 4]) == 1.0
    assert auroc([1, 1, 0, 0], [1, 2, 3, 4]) == 0.0
    assert auroc([0, 1, 0, 1], [5, 5, 5, 5]) == 0.5
    assert auroc([False, True], [-np.inf, np.inf]) == 1.0


def test_a_million_examples_do_not_overflow():
    labels = np.arange(1_000_000) % 2
    assert auroc(labels, labels * 1.0) == 1.0


def test_two_gaussians_have_the_auroc_of_the_formula():
    rng = np.random.default_rng(2)
    labels = np.arange(40_000) % 2
    scores = rng.normal(size=40_000) + 1.5 * labels
    assert auroc(labels, scores) == pytest.approx(stats.norm.cdf(1.5 / np.sqrt(2)), abs=0.01)


def test_the_standard_error_is_that_of_repeated_draws():
    rng = np.random.default_rng(3)
    labels = np.repeat([1, 0], [40, 80])
    areas = [auroc(labels, rng.exponential(size=120) * (1 + 2 * labels)) for _ in range(2000)]
    assert auroc_error(np.mean(areas), 40, 80) == pytest.approx(np.std(areas), rel=0.06)


@pytest.mark.parametrize(("labels", "scores", "error"), [
    ([0, 1], [1.0, 2.0, 3.0], ShapeError), ([[0, 1]], [[1.0, 2.0]], ShapeError), ([1, 1], [1.0, 2.0], DataError),
    ([0, 0], [1.0, 2.0], DataError), ([0, 2], [1.0, 2.0], DataError), ([0, 1], [1.0, np.nan], DataError),
])  # fmt: skip
def test_what_has_no_auroc_is_refused(labels, scores, error):
    with pytest.raises(error, match="auroc"):
        auroc(labels, scores)
