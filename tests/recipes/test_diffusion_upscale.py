"""Enlarging letters: what is measured is what is said, for enlargers whose faults are known."""

import numpy as np
import pytest

from minigen.metrics import features
from minigen.recipes import diffusion_upscale
from minigen.recipes.diffusion_upscale import expected_gain, psnr, sharpness, small


@pytest.fixture(scope="module")
def experiment():
    return diffusion_upscale.Experiment(0, True, steps=4)


def test_a_small_picture_is_the_mean_of_each_square():
    images = np.arange(2 * 4 * 4.0).reshape(2, 4, 4)
    np.testing.assert_array_equal(small(images)[0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(small(np.kron(small(images), np.ones((1, 2, 2)))), small(images))


def test_the_network_sees_the_small_picture_beside_the_noise_and_nothing_of_the_large_one(experiment):
    seen = []
    network, experiment.model.network = experiment.model.network, lambda x, t: seen.append(x.data) or x[:, :1] * 0.0
    try:
        images, labels = (part[:5] for part in experiment.train)
        experiment.losses(images, labels)
    finally:
        experiment.model.network = network
    given = seen[0][:, 1]
    assert seen[0].shape == (5, 2, 16, 16)
    np.testing.assert_allclose(given[:, ::2, ::2], small(images) / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(given[:, ::2, ::2], given[:, 1::2, 1::2])


def test_it_learns_and_draws_in_range(experiment):
    first = [experiment.step()["loss"] for _ in range(4)]
    assert np.isfinite(first).all()
    drawn = experiment.sample(3, np.random.default_rng(0))
    assert drawn.shape == (3, 16, 16) and drawn.min() >= 0 and drawn.max() <= 255
    again = experiment.sample(3, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, again)
    assert np.any(experiment.sample(3, np.random.default_rng(1)) != drawn)


def test_an_enlarger_that_knows_the_letter_is_perfect_and_bilinear_is_as_reported(experiment, monkeypatch):
    images, labels = experiment.held_out
    monkeypatch.setattr(experiment, "enlarge", lambda pictures, rng: images[: len(pictures)])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = experiment.evaluate()
    assert found["read"] == found["read_real"] > 0.98 and found["mean_error"] == 0 and found["sharpness"] == 1
    monkeypatch.setattr(experiment, "enlarge", lambda pictures, rng: features.enlarged(pictures, 16))
    found = experiment.evaluate()
    assert found["psnr"] == found["psnr_bilinear"] < 20 and found["psnr_gain"] == pytest.approx(0)
    assert found["sharpness"] == found["sharpness_bilinear"] < 0.7 and found["read"] == found["read_bilinear"] < 0.5
    assert found["mean_error"] > 0.03


def test_the_mean_of_several_drawings_from_a_law_is_better_by_what_the_formula_says():
    rng = np.random.default_rng(0)
    truth, *drawings = 0.3 * rng.standard_normal((9, 200, 16, 16))
    gain = psnr(np.mean(drawings, axis=0), truth, 1) - psnr(drawings[0], truth, 1)
    assert gain == pytest.approx(expected_gain(8), abs=0.1) and expected_gain(1) == 0


def test_sharpness_and_psnr_of_known_pictures():
    board = np.indices((8, 8)).sum(0)[None] % 2
    assert sharpness(255 * board) == 255 and sharpness(np.ones((1, 8, 8))) == 0
    assert psnr(np.full((1, 4, 4), 25.5), np.zeros((1, 4, 4)), 255) == pytest.approx(20)
