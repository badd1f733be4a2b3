import numpy as np
import pytest

from minigen import viz
from minigen.errors import ShapeError


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 1, 4, 4), (6, 16)])
def test_images_come_in_three_forms(shape):
    pixels = np.arange(6 * 16.0)
    assert np.array_equal(viz.as_images(pixels.reshape(shape)), pixels.reshape(6, 4, 4))


@pytest.mark.parametrize("shape", [(4,), (6, 15), (6, 3, 4, 4), (0, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="image_grid"):
        viz.mosaic(np.zeros(shape), 2)


def test_a_mosaic_puts_images_row_by_row_with_gaps():
    images = np.arange(3)[:, None, None] * np.ones((3, 2, 2))
    canvas = viz.mosaic(images, 2)
    expected = np.full((5, 5), np.nan)
    expected[:2, :2], expected[:2, 3:], expected[3:, :2] = 0.0, 0.5, 1.0
    assert np.array_equal(canvas, expected, equal_nan=True)


def test_all_images_share_one_scale():
    images = np.stack([np.full((2, 2), 1.0), np.full((2, 2), 3.0)])
    assert viz.mosaic(images, 2, scale=(0, 4))[0, [0, 3]].tolist() == [0.25, 0.75]
    assert viz.mosaic(images, 2)[0, [0, 3]].tolist() == [0.0, 1.0]


def test_images_that_are_all_alike_do_not_divide_by_zero():
    assert np.isfinite(viz.mosaic(np.full((1, 2, 2), 5.0), 1)).all()


def test_no_images_are_refused():
    with pytest.raises(ShapeError, match="0 images"):
        viz.mosaic(np.zeros((0, 2, 2)), 2)


def test_a_grid_is_saved_as_a_png_that_reads_on_a_phone(tmp_path):
    viz.image_grid(np.random.default_rng(0).random((64, 64)), 16, "First 64, not picked", tmp_path / "deep" / "x.png")
    content = (tmp_path / "deep" / "x.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert 700 <= int.from_bytes(content[16:20], "big") <= 1200  # pixels across
    assert len(content) < 200_000
