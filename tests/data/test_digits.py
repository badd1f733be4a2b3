import hashlib

import numpy as np
import pytest

from minigen.data import digits


def test_content_has_the_published_checksum():
    images, labels = digits.load()
    assert images.shape == (1797, 64) and labels.shape == (1797,)
    content = images.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    assert hashlib.sha256(content).hexdigest() == digits.SHA256


def test_content_and_order_equal_scikit_learns_copy():
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_digits()
    images, labels = digits.load()
    np.testing.assert_array_equal(images, bunch.data)
    np.testing.assert_array_equal(labels, bunch.target)


def test_pixels_are_whole_numbers_from_0_to_16_and_arithmetic_does_not_wrap():
    images, labels = digits.load()
    assert images.dtype == labels.dtype == np.int64
    assert (images.min(), images.max(), labels.min(), labels.max()) == (0, 16, 0, 9)
    assert (images - 17).max() == -1


def test_splits_follow_the_order_of_the_file():
    images, labels = digits.load()
    train, validation, test = digits.splits()
    assert [len(part.images) for part in (train, validation, test)] == [1000, 350, 447]
    np.testing.assert_array_equal(np.concatenate([train.images, validation.images, test.images]), images)
    np.testing.assert_array_equal(np.concatenate([train.labels, validation.labels, test.labels]), labels)


def test_pictures_are_the_same_pixels_in_nchw():
    flat, square = digits.splits().test.images, digits.splits(flat=False).test.images
    assert square.shape == (447, 1, 8, 8)
    np.testing.assert_array_equal(square.reshape(447, 64), flat)


def test_loading_twice_gives_separate_arrays():
    first = digits.load().images
    first[:] = 99
    assert digits.load().images.max() == 16


def test_attribution_lies_beside_the_data():
    from importlib.resources import files

    text = files("minigen.data").joinpath("OPTDIGITS.md").read_text(encoding="utf-8")
    for phrase in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", digits.SHA256):
        assert phrase in text
