"""Phantoms: repeatable, true to their masks, anatomically in order, noisy as the Rician law says."""

import numpy as np
import pytest
from scipy import ndimage, stats

from minigen.data import phantoms
from minigen.errors import DataError

MANY = phantoms.load(300, seed=3)


def test_shapes_types_and_ranges():
    assert MANY.images.shape == MANY.masks.shape == MANY.clean.shape == MANY.healthy.shape == (300, 1, 32, 32)
    assert MANY.images.dtype == np.uint8 and MANY.masks.dtype == bool and MANY.clean.dtype == np.float32
    assert 0 <= MANY.clean.min() and MANY.clean.max() <= 1.15  # the coil's slope may lift a little above 1
    assert phantoms.sample(2, rng=np.random.default_rng(0), size=48).images.shape == (2, 1, 48, 48)


def test_the_same_seed_gives_the_same_heads_and_more_of_them_begin_alike():
    for few, many in zip(phantoms.load(7, seed=3), MANY, strict=True):
        np.testing.assert_array_equal(few, many[:7])
    first, second = (phantoms.sample(5, rng=np.random.default_rng(1)).images for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.any(phantoms.load(7, seed=4).images != MANY.images[:7])


def test_lesions_are_as_frequent_as_asked_and_the_rest_does_not_depend_on_them():
    assert MANY.lesion.mean() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(MANY.masks.any(axis=(1, 2, 3)), MANY.lesion)
    none, all_ = phantoms.load(50, seed=3, lesions=0), phantoms.load(50, seed=3, lesions=1)
    assert not none.lesion.any() and not none.masks.any() and all_.lesion.all()
    np.testing.assert_array_equal(none.healthy, all_.healthy)
    np.testing.assert_array_equal(none.clean, none.healthy)


def test_a_lesion_is_one_bright_blob_where_the_mask_says():
    change = MANY.clean - MANY.healthy
    assert np.all(change[~MANY.lesion] == 0)
    some = MANY.lesion
    for image, mask, before in zip(change[some], MANY.masks[some], MANY.healthy[some], strict=True):
        assert change.min() >= 0 and np.all(image[0][mask[0]] > 0.05)
        around = ndimage.binary_dilation(mask[0], iterations=2)
        assert np.abs(image[0][~around]).max() < 0.05
        assert ndimage.label(mask[0], np.ones((3, 3)))[1] == 1 and 3 <= mask.sum() <= 60
        assert before[0][mask[0]].mean() > 0.22  # tissue, neither fluid nor air


def test_lesions_occur_all_over_the_brain_and_never_outside():
    many = phantoms.load(600, seed=5, lesions=1)
    centres = np.array([ndimage.center_of_mass(mask[0]) for mask in many.masks])
    assert np.abs(np.mean(centres[:, 1] > 15.5) - 0.5) < 0.08 and np.abs(np.mean(centres[:, 0] > 15.5) - 0.5) < 0.15
    head = many.healthy[:, 0] > 0.05
    assert np.all(head[many.masks[:, 0]])
    assert len(np.unique(np.round(centres), axis=0)) > 100


def test_from_outside_in_air_bone_fluid_tissue():
    healthy = MANY.healthy[:, 0]
    assert np.all(healthy[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 0)
    outer = healthy[:, :, :8].max(axis=2).max(axis=1)
    assert np.all(outer > 0.6)  # the scalp is the brightest there is
    middle = healthy[:, 12:20, 12:20].min(axis=(1, 2))
    assert np.all(middle < 0.3)  # ventricles
    assert healthy.std(axis=0).max() > 0.1  # no two heads are alike


def test_left_and_right_are_nearly_mirror_images():
    straight = phantoms.load(200, seed=6).healthy.mean(axis=(0, 1))
    assert np.abs(straight - straight[:, ::-1]).max() < 0.08


def test_coverage_is_the_share_of_a_pixel():
    ellipse = np.array([[0.1, -0.05, 0.5, 0.7, 0.4]])
    fine = phantoms.coverage(ellipse, 512)[0].reshape(32, 16, 32, 16).mean(axis=(1, 3))
    coarse = phantoms.coverage(ellipse, 32)[0]
    assert np.abs(fine - coarse).max() < 0.12 and np.abs(fine - coarse).mean() < 0.005
    assert coarse.sum() * (2 / 32) ** 2 == pytest.approx(np.pi * 0.5 * 0.7, rel=0.01)


def test_the_noise_is_rician():
    quiet, loud = phantoms.load(150, seed=7, noise=0), phantoms.load(150, seed=7, noise=0.06)
    np.testing.assert_array_equal(quiet.clean, loud.clean)
    np.testing.assert_allclose(quiet.images, np.round(255 * np.clip(quiet.clean, 0, 1)), atol=1)
    air = loud.images[loud.clean == 0] / 255
    assert len(air) > 10_000
    assert air.mean() == pytest.approx(0.06 * np.sqrt(np.pi / 2), rel=0.02)  # Rayleigh
    assert air.std() == pytest.approx(0.06 * np.sqrt(2 - np.pi / 2), rel=0.03)
    tissue = (loud.clean > 0.5) & (loud.clean < 0.52)
    theory = stats.rice(0.51 / 0.06, scale=0.06)
    assert (loud.images[tissue] / 255).mean() == pytest.approx(theory.mean(), abs=0.003)
    assert (loud.images[tissue] / 255).std() == pytest.approx(theory.std(), rel=0.05)


def test_tilt_and_width_are_those_of_the_head_and_the_ventricles_are_as_large_as_said():
    for image, tilt, width in zip(MANY.healthy[:60, 0], MANY.tilt, MANY.width, strict=False):
        y, x = np.argwhere(ndimage.binary_fill_holes(image > 0.43)).T  # half of the skull's brightness
        across, along = np.linalg.eigh(np.cov(x, y))[0]  # of a full ellipse: a quarter of its half axes' squares
        axis = np.linalg.eigh(np.cov(x, y))[1][:, 1]
        assert 2 * np.sqrt(across) / 16 == pytest.approx(width, abs=0.025) and along > across
        assert np.arctan(-axis[0] / axis[1]) == pytest.approx(tilt, abs=0.07)
    plain = phantoms.load(1000, seed=8, lesions=0)
    middle = np.abs(plain.healthy[:, 0, 8:24, 9:23] - 0.14) < 0.06  # dark, and not the rim around the brain
    assert np.corrcoef(middle.sum((1, 2)), plain.ventricles)[0, 1] > 0.7
    assert 15 < plain.ventricles.min() and plain.ventricles.max() < 80
    white = plain.healthy[:, 0].max((1, 2))
    assert np.all(plain.grey < white) and 0.34 <= plain.grey.min() and plain.grey.max() <= 0.42


def test_what_makes_no_sense_is_refused():
    for settings in ({"lesions": 1.5}, {"size": 8}, {"noise": -0.1}):
        with pytest.raises(DataError, match="phantoms: lesions="):
            phantoms.load(1, **settings)
