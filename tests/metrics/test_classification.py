import numpy as np
import pytest

from minigen.errors import DataError, ShapeError
from minigen.metrics.classification import accuracy, accuracy_error, confusion


def test_accuracy_counts():
    assert accuracy([0, 1, 2, 2], [0, 1, 1, 2]) == 0.75
    assert accuracy(np.array([True]), np.array([False])) == 0.0


def test_the_standard_error_is_that_of_repeated_measurements():
    rng = np.random.default_rng(0)
    shares = (rng.random((20_000, 100)) < 0.9).mean(1)
    assert accuracy_error(0.9, 100) == pytest.approx(shares.std(), rel=0.03)
    assert accuracy_error(1.0, 5) == 0.0


def test_the_confusions_add_up():
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 4, (2, 200))
    counts = confusion(labels, predicted, 5)
    assert counts.shape == (5, 5) and counts.sum() == 200
    np.testing.assert_array_equal(counts.sum(1), np.bincount(labels, minlength=5))
    np.testing.assert_array_equal(counts.sum(0), np.bincount(predicted, minlength=5))
    assert np.trace(counts) / 200 == accuracy(labels, predicted)
    assert confusion([1, 1, 0], [0, 0, 0], 2).tolist() == [[1, 0], [2, 0]]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"accuracy: labels \(2,\) .* predicted \(3,\)"):
        accuracy([0, 1], [0, 1, 1])
    with pytest.raises(ShapeError, match="whole numbers"):
        accuracy([0, 1], [0.2, 0.8])
    with pytest.raises(ShapeError, match="n ≥ 1"):
        accuracy(np.empty(0, int), np.empty(0, int))
    with pytest.raises(DataError, match="predicted go from 0 to 3, but there are 3 classes"):
        confusion([0, 1], [0, 3], 3)
    with pytest.raises(DataError, match="share=1.2"):
        accuracy_error(1.2, 10)
