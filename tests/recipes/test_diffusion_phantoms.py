"""Heads by diffusion: figures of perfect and of faulty heads, and holes that are filled where they should be."""

import numpy as np
import pytest

from minigen.data import phantoms
from minigen.recipes import diffusion_phantoms
from minigen.recipes.diffusion_phantoms import air, quantile_distance, widened

REAL = phantoms.load(1000, seed=20)


@pytest.fixture(scope="module")
def experiment():
    return diffusion_phantoms.Experiment(0, True, steps=4)


def test_the_air_of_real_heads_follows_rayleighs_law_and_other_air_does_not():
    sigma, gap = air(REAL.images[:, 0])
    assert sigma == pytest.approx(phantoms.NOISE, rel=0.01) and gap < 0.01
    loud = phantoms.load(300, seed=20, noise=0.04).images[:, 0]
    assert air(loud)[0] == pytest.approx(0.04, rel=0.02) and air(loud)[1] > 0.15
    still = np.full((300, 32, 32), round(255 * 0.03 * np.sqrt(2)))  # the same mean square, no noise
    assert air(still)[0] == pytest.approx(0.03, rel=0.05) and air(still)[1] > 0.4


def test_no_head_reaches_the_corners_where_the_air_is_measured():
    ends = [slice(None, diffusion_phantoms.CORNER), slice(-diffusion_phantoms.CORNER, None)]
    assert not any(REAL.clean[:, 0, i, j].any() for i in ends for j in ends)


def test_the_distance_of_brightness_is_how_far_it_is_shifted():
    images = REAL.images[:200, 0].astype(float)
    assert quantile_distance(images, images) == 0
    assert quantile_distance(images + 7, images) == pytest.approx(7)
    assert quantile_distance(images[:100], images[100:]) < 3


def test_a_mask_is_widened_by_a_disc_and_stays_in_the_picture():
    mask = np.zeros((2, 9, 9), bool)
    mask[0, 4, 4] = mask[1, 0, 8] = True
    wide = widened(mask, 2)
    y, x = np.indices((9, 9))
    np.testing.assert_array_equal(wide[0], (y - 4) ** 2 + (x - 4) ** 2 <= 4)
    np.testing.assert_array_equal(wide[1], y**2 + (x - 8) ** 2 <= 4)
    np.testing.assert_array_equal(widened(mask, 0), mask)


def test_healing_changes_the_hole_and_nothing_else(experiment):
    which = np.flatnonzero(experiment.truth.lesion)[:3]
    images, masks = experiment.held_out[0][which], experiment.truth.masks[which, 0]
    healed = experiment.healed(images, masks, np.random.default_rng(0), steps=3, repeats=2)
    hole = widened(masks, diffusion_phantoms.AROUND)
    np.testing.assert_allclose(healed[~hole], images[~hole], atol=1e-4)
    assert np.abs(healed[masks] - images[masks]).mean() > 1 and 0 <= healed.min() and healed.max() <= 255


def test_a_perfect_healer_has_the_noise_as_its_error(experiment, monkeypatch):
    truth = experiment.truth

    def perfect(images, masks, rng):
        which = np.flatnonzero(truth.lesion)[: len(images)]
        shake = phantoms.NOISE * rng.standard_normal((2, len(images), 32, 32))
        return 255 * np.minimum(np.hypot(truth.healthy[which, 0] + shake[0], shake[1]), 1)

    monkeypatch.setattr(experiment, "healed", perfect)
    found = experiment.healing(60)
    assert found["healed_error"] == pytest.approx(0.03, abs=0.003) and found["lesion_error"] > 0.2
    assert found["healed_as_healthy"] > 0.95 and found["lesion_as_healthy"] < 0.1


def test_training_and_held_out_heads_are_others_and_half_have_a_lesion(experiment):
    (train, labels), (held_out, other) = experiment.train, experiment.held_out
    assert train.shape == (1500, 32, 32) and held_out.shape == (1000, 32, 32)
    assert labels.mean() == pytest.approx(0.5, abs=0.05) and other.mean() == pytest.approx(0.5, abs=0.05)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in held_out}
    assert np.isfinite(experiment.step()["loss"])
