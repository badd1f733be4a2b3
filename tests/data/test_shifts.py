import numpy as np
import pytest

from minigen.data.shifts import shifted
from minigen.errors import ShapeError


def moved(picture, down, right):
    """One picture (C, H, W) moved by whole pixels, written the slow way."""
    out = np.zeros_like(picture)
    height, width = picture.shape[1:]
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                out[:, i, j] = picture[:, i - down, j - right]
    return out


def test_every_picture_is_one_of_the_moves_and_all_moves_occur():
    rng = np.random.default_rng(0)
    images = rng.integers(1, 17, size=(300, 2, 4, 5))
    before = images.copy()
    found = set()
    for given, result in zip(images, shifted(images, 1, rng=rng), strict=True):
        moves = [(d, r) for d in (-1, 0, 1) for r in (-1, 0, 1) if np.array_equal(result, moved(given, d, r))]
        assert len(moves) == 1
        found |= set(moves)
    assert len(found) == 9
    np.testing.assert_array_equal(images, before)


def test_nothing_moves_by_nothing_and_the_type_stays():
    images = np.arange(16, dtype=np.int16).reshape(1, 1, 4, 4)
    result = shifted(images, 0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(result, images)
    assert result.dtype == np.int16 and not np.shares_memory(result, images)


def test_the_moves_are_repeatable_and_the_paper_can_be_chosen():
    images = np.full((50, 1, 3, 3), 5)
    first, second = (shifted(images, 2, rng=np.random.default_rng(3), paper=-1) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert set(np.unique(first)) == {-1, 5}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"shape \(2, 64\)"):
        shifted(np.zeros((2, 64)), 1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="most=3; expected 0 ≤ most < 3"):
        shifted(np.zeros((2, 1, 3, 5)), 3, rng=np.random.default_rng(0))
