"""Pictures on demand: an artist who copies training digits is read as asked, and is found out as a copyist."""

import numpy as np
import pytest

from minigen.data import digits
from minigen.recipes import asked


class Copyist(asked.Experiment):
    """Draws a training digit of the class asked for; `shift` classes further, if it does not listen."""

    high, side, classes, reader, drawn, seed, shift = 16, digits.SIDE, digits.CLASSES, "digits", 5, 0, 0

    def __init__(self):
        self.train, self.held_out = self.load(True)

    def load(self, quick):
        splits = digits.splits()
        return splits.train, splits.test

    def draw_asked(self, labels, rng):
        images, classes = self.train
        return np.stack([images[rng.choice(np.flatnonzero(classes == (label + self.shift) % 10))]
                         for label in labels]).reshape(-1, 8, 8)  # fmt: skip


def test_who_listens_is_read_as_asked_and_who_copies_is_found_out():
    figures = Copyist().evaluate()
    assert figures["read_as_asked"] > 0.95 and figures["nearest_ratio"] == 0
    assert figures["nearest_ratio_real"] > 0.5 and figures["frechet"] < figures["frechet_real"]
    deaf = Copyist()
    deaf.shift = 1
    assert deaf.evaluate()["read_as_asked"] < 0.1


def test_ink_and_what_networks_see_are_inverses_and_cut_what_is_beyond():
    artist = Copyist()
    images = artist.train[0][:9]
    seen = artist.seen(images)
    assert seen.shape == (9, 1, 8, 8) and seen.dtype == np.float32 and (seen.min(), seen.max()) == (-1, 1)
    np.testing.assert_allclose(artist.ink(seen).reshape(9, -1), images, atol=1e-5)
    assert artist.ink(np.array([[[[-3.0, 0.0, 1.5]]]])).tolist() == [[[0, 8, 16]]]


def test_samples_are_each_class_in_turn_and_what_is_not_defined_says_so():
    artist = Copyist()
    np.testing.assert_array_equal(artist.sample(12, np.random.default_rng(1)),
                                  artist.draw_asked([*range(10), 0, 1], np.random.default_rng(1)))  # fmt: skip
    with pytest.raises(NotImplementedError, match="Nothing does not define load"):
        type("Nothing", (asked.Experiment,), {})().load(True)
