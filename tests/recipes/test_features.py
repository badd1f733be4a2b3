"""How the feature networks were trained."""

import re

import numpy as np
import pytest

from minigen.data import digits, glyphs, phantoms
from minigen.metrics import features
from minigen.recipes import features as training


def test_a_picture_that_is_not_warped_stays_as_it_is_and_a_move_by_whole_pixels_is_one():
    images = np.random.default_rng(0).random((5, 8, 8)).astype(np.float32)
    still = training.warped(images, shear=0, stretch=0, move=0, rng=np.random.default_rng(1))
    np.testing.assert_allclose(still, images, atol=1e-3)  # the last row and column are read from a hair inside

    class Corner:
        """A generator whose every uniform number is the lower end."""

        def uniform(self, low, high, shape):
            return np.full(shape, float(low))

    moved = training.warped(images, shear=0, stretch=0, move=2, rng=Corner())
    np.testing.assert_allclose(moved[:, 2:, 2:], images[:, :-2, :-2], atol=1e-3)
    assert not moved[:, :2].any() and not moved[:, :, :2].any()  # paper moves in


def test_warps_keep_most_of_the_ink_where_there_is_room():
    images = np.zeros((50, 28, 28), dtype=np.float32)
    images[:, 10:18, 10:18] = 1
    found = training.warped(images, shear=0.06, stretch=0.1, move=1, rng=np.random.default_rng(2))
    assert found.dtype == np.float32 and found.shape == images.shape and found.min() >= 0 and found.max() <= 1
    assert 0.75 * 64 < found.sum((1, 2)).min() and found.sum((1, 2)).max() < 1.35 * 64
    assert np.ptp(found.sum((1, 2))) > 5


def test_blemishes_are_small_and_leave_pictures():
    images = np.full((200, 8, 8), 0.5, dtype=np.float32)
    found = training.blemished(images, rng=np.random.default_rng(3))
    assert found.shape == (200, 1, 8, 8) and found.dtype == np.float32 and 0 <= found.min() and found.max() <= 1
    inside = found[:, 0, 1:-1, 1:-1]
    assert inside.mean() == pytest.approx(0.5, abs=0.01) and inside.std((1, 2)).max() < 0.15


def test_the_letters_trained_on_are_of_all_typefaces_but_the_one_held_out(monkeypatch):
    seen, sample = [], glyphs.sample
    monkeypatch.setattr(glyphs, "sample", lambda *args, **kwargs: seen.append(sample(*args, **kwargs)) or seen[-1])
    images, labels = training.Glyphs(0, True).draw_batch()
    assert images.shape == (128, 28, 28) and images.max() == 1 and set(labels) == set(training.ANSWERS)
    kept = np.flatnonzero(seen[0].typeface != glyphs.TYPEFACES.index(training.HELD_OUT))[:128]
    np.testing.assert_array_equal(images, seen[0].images[kept, 0] / np.float32(255))
    np.testing.assert_array_equal(labels["character"], seen[0].character[kept])
    for question, right in labels.items():
        assert right.shape == (128,) and 0 <= right.min() and right.max() < len(training.ANSWERS[question])


def test_the_digits_trained_on_are_none_of_the_test_digits():
    stream = training.Digits(0, True).batches
    train, validation, _ = digits.splits(flat=False)
    np.testing.assert_array_equal(stream.arrays[0], np.concatenate([train.images, validation.images])[:, 0])


def test_the_signs_of_a_head_are_what_the_generator_knows():
    found = phantoms.load(400, seed=2)
    right = training.signs(found)
    assert set(right) == set(training.SIGNS)
    for question, places in right.items():
        shares = np.bincount(places, minlength=len(training.SIGNS[question][0])) / 400
        assert len(shares) == len(training.SIGNS[question][0]) and shares.min() > 0.08, question
    np.testing.assert_array_equal(right["lesion"], found.lesion)
    for question in ("place", "extent"):
        np.testing.assert_array_equal(right[question] == 0, ~found.lesion)
    mask = np.zeros((5, 1, 32, 32), bool)
    for i, (row, column) in enumerate([(4, 4), (4, 25), (25, 4), (25, 25)]):
        mask[i, 0, row : row + 3, column : column + 3] = True
    mask[3, 0, 22:30, 22:30] = True
    few = phantoms.load(5, seed=2)._replace(masks=mask, lesion=np.array([1, 1, 1, 1, 0], bool))
    right = training.signs(few)
    assert [training.SIGNS["place"][0][i] for i in right["place"]] == ["front left", "front right", "back left",
                                                                      "back right", "none"]
    np.testing.assert_array_equal(right["extent"], [1, 1, 1, 2, 0])
    for tilt, name in ((-0.2, "far left"), (-0.1, "left"), (0.0, "upright"), (0.2, "far right")):
        leaning = training.signs(few._replace(tilt=np.full(5, tilt)))["tilt"]
        assert {training.SIGNS["tilt"][0][i] for i in leaning} == {name}


def test_heads_are_not_warped_and_never_the_same():
    experiment = training.Phantoms(0, True)
    (first, labels), (second, _) = experiment.draw_batch(), experiment.draw_batch()
    assert not experiment.warp and first.shape == (64, 32, 32) and first.max() <= 1 and np.any(first != second)
    drawn = phantoms.sample(64, rng=np.random.default_rng(0))
    assert set(labels) == set(training.SIGNS) and drawn.lesion.shape == labels["lesion"].shape
    assert np.isfinite(experiment.step()["loss"])


def test_a_little_training_teaches_something_and_the_file_holds_it(tmp_path, capsys):
    training.main(["digits", "--steps", "60", "--seed", "1", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    content = (tmp_path / "features_digits.npz").read_bytes()
    digest = re.search(r'SHA256\["digits"\] = "([0-9a-f]{64})"', printed)[1]
    network = features.read("digits", content, digest)
    assert training.digit_figures(network)["test"] > 80
    assert f"test {training.digit_figures(network)['test']:18.2f} %".split() == printed.split("\n")[0].split()


def test_the_figures_of_the_letters_are_those_of_the_docstring():
    found = training.glyph_figures(features.load("glyphs"), n=300)
    assert set(found) == {f"{name}{suffix}" for name in ("capitals", *training.ANSWERS) for suffix in ("", "_unseen")}
    assert found["capitals"] > 99 and found["capitals_unseen"] > 95 and found["character"] > found["character_unseen"]


@pytest.mark.slow
def test_the_digits_network_trained_again_is_as_good():
    again = training.Digits(5)
    for _ in again.fit(progress=False):
        pass
    assert again.evaluate()["test"] > 98
