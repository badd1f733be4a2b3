import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from minigen.data import cache, glyphs
from minigen.errors import DataError, ShapeError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def drawn():
    return glyphs.draw_atlas()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder of this test's own, and no table remembered from another."""
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "cache"))
    glyphs._tables.cache_clear()
    yield tmp_path / "cache"
    glyphs._tables.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def module_folder(tmp_path_factory):
    old = os.environ.get("MINIGEN_CACHE")
    os.environ["MINIGEN_CACHE"] = str(tmp_path_factory.mktemp("glyphs"))
    glyphs._tables.cache_clear()
    yield
    glyphs._tables.cache_clear()
    if old is None:
        del os.environ["MINIGEN_CACHE"]
    else:
        os.environ["MINIGEN_CACHE"] = old


SIZES = pytest.mark.parametrize("size", [28, 16])


@SIZES
def test_same_seed_gives_same_bits_and_another_seed_others(size):
    first, second, other = (glyphs.load(50, size=size, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
    assert first.images.shape == (50, 1, size, size) and first.images.dtype == np.uint8
    assert first.images.tobytes() != other.images.tobytes()


def test_a_longer_load_begins_with_the_shorter_one():
    # 700 crosses the borders of the drawing's chunks.
    for short, long in zip(glyphs.load(600, seed=1), glyphs.load(1300, seed=1), strict=True):
        np.testing.assert_array_equal(short, long[:600])
    assert glyphs.load(0).images.shape == (0, 1, 28, 28)


@SIZES
def test_no_glyph_is_clipped_and_none_is_faint(size):
    for made in (glyphs.load(4000, size=size, seed=5), glyphs.load_clean(size=size)):
        picture = made.images[:, 0]
        border = np.concatenate([picture[:, [0, -1]].reshape(-1), picture[:, :, [0, -1]].reshape(-1)])
        assert border.max() == 0
        assert picture.max((1, 2)).min() >= 100


@SIZES
def test_ink_is_kept_to_the_pixel(size, drawn):
    # All of a mask's ink must arrive, times the square of the scale: exactly what equation (1) promises.
    masks, shape = drawn
    ends = np.cumsum(shape.prod(1))
    chosen = np.arange(0, len(shape), 37)
    rng = np.random.default_rng(0)
    capital, place = rng.uniform(6, 9, len(chosen)), rng.random((len(chosen), 2))
    images = glyphs.render(size, chosen, capital, place)
    for image, index, height in zip(images, chosen, capital, strict=True):
        scale = min(height / glyphs.CAPITAL, (size - 2) / shape[index].max())
        ink = masks[ends[index] - shape[index].prod() : ends[index]].sum(dtype=float) * scale**2
        # Every inked pixel is rounded by at most a half.
        assert abs(image.sum(dtype=float) - ink) <= 0.5 * (image > 0).sum() + 0.5 * 28


def test_a_pixel_is_the_mean_ink_over_the_square_that_it_covers(drawn):
    # At a scale of one eighth with the corner on a whole pixel, that is an 8 × 8 block mean.
    masks, shape = drawn
    ends = np.cumsum(shape.prod(1))
    for index in range(0, len(shape), 97):
        height, width = shape[index]
        mask = masks[ends[index] - height * width : ends[index]].reshape(height, width)
        padded = np.zeros((26 * 8, 26 * 8))
        padded[:height, :width] = mask
        expected = np.floor(padded.reshape(26, 8, 26, 8).mean((1, 3)) + 0.5)
        image = glyphs.render(28, np.array([index]), np.array([glyphs.CAPITAL / 8]), np.zeros((1, 2)))[0]
        np.testing.assert_array_equal(image[1:-1, 1:-1], expected)


def test_capitals_have_the_height_that_their_size_class_says():
    made = glyphs.load(3000, seed=6, characters="HEI")
    rows = (made.images[:, 0] > 127).any(2).sum(1)
    for index, nominal in enumerate(glyphs.CAPITAL_HEIGHTS[28]):
        heights = rows[made.size == index]
        assert abs(heights - nominal).max() <= 0.05 * nominal + 1.5
        assert abs(heights.mean() - nominal) < 0.6


def test_position_says_where_the_ink_is():
    made = glyphs.load(3000, seed=7)
    ink = made.images[:, 0].astype(float)
    shift = []
    for axis in (1, 2):
        # Margins before and after the ink, compared: −1 flush at the start, +1 at the end.
        inked = (ink > 0).any(3 - axis)
        before, after = inked.argmax(1) - 1, inked[:, ::-1].argmax(1) - 1
        free = np.maximum(before + after, 1)
        shift.append(np.where(before + after >= 4, (before - after) / free, np.nan))
    for index in range(9):
        here = made.position == index
        for values, wanted in zip(shift, (index // 3 - 1, index % 3 - 1), strict=True):
            known = values[here][~np.isnan(values[here])]
            assert len(known) > 50
            assert abs(known - wanted).max() <= 0.6


def test_bold_has_more_ink_and_every_attribute_changes_the_picture(drawn):
    clean = glyphs.load_clean()
    assert len(clean.images) == len(glyphs.FONTS) * 62
    dejavu = clean.typeface == glyphs.TYPEFACES.index("DejaVu")
    bold = clean.images[dejavu & (clean.weight == 1)].mean()
    assert bold > 1.2 * clean.images[dejavu & (clean.weight == 0)].mean()
    pictures = clean.images.reshape(len(glyphs.FONTS), 62, -1)
    for letter in range(62):
        assert len({picture.tobytes() for picture in pictures[:, letter]}) == len(glyphs.FONTS)


@SIZES
def test_characters_of_one_font_differ_clearly_save_those_that_never_do(size):
    # Squared distance to every other character of the same font, relative to the glyph's own ink.
    clean = glyphs.load_clean(size=size)
    pictures = clean.images.reshape(len(glyphs.FONTS), 62, -1) / 255
    for font in pictures:
        relative = ((font[:, None] - font) ** 2).sum(-1) / (font**2).sum(1)[:, None] + np.eye(62)
        assert relative.min() > 0.01
        assert {glyphs.CHARACTERS[index] for index in np.argwhere(relative < 0.05).ravel()} <= set("Il1")
        assert np.median(relative.min(1)) > 0.2


def test_attributes_are_uniform_and_belong_to_a_real_font():
    made = glyphs.load(20_000, seed=8)
    counts = {"character": 62, "family": 3, "weight": 2, "slant": 2, "size": 3, "position": 9}
    for name, count in counts.items():
        share = np.bincount(getattr(made, name), minlength=count) / 20_000
        assert len(share) == count
        assert abs(share * count - 1).max() < 5 * np.sqrt(count / 20_000)
    fonts = {font[1:] for font in glyphs.FONTS}
    styles = np.stack([made.family, made.typeface, made.weight, made.slant], -1)
    assert set(map(tuple, styles.tolist())) == fonts


def test_captions_are_composed_from_the_attributes():
    R = glyphs.CHARACTERS.index("R")
    assert glyphs.caption(R, 1, 1, 1, 0, 0) == "a bold italic serif R, small, top left"
    assert glyphs.caption(R, 0, 0, 1, 2, 4) == "an italic sans R, large, centre"
    assert glyphs.caption(R, 2, 0, 0, 1, 8) == "a mono R, medium, bottom right"
    made = glyphs.load(300, seed=9)
    captions = made.captions()
    for index, phrase in enumerate(captions):
        assert glyphs.FAMILIES[made.family[index]] in phrase
        assert ("bold" in phrase) == bool(made.weight[index])
        assert phrase.endswith(f"{glyphs.SIZES[made.size[index]]}, {glyphs.POSITIONS[made.position[index]]}")
        assert f" {glyphs.CHARACTERS[made.character[index]]}, " in phrase


def test_characters_can_be_chosen():
    made = glyphs.load(200, seed=10, characters="07z")
    assert {glyphs.CHARACTERS[index] for index in made.character} == set("07z")
    np.testing.assert_array_equal(made.images, glyphs.load(200, seed=10, characters=list("07z")).images)


def test_wrong_sizes_and_characters_are_named():
    with pytest.raises(ShapeError, match=r"32.*\[16, 28\]"):
        glyphs.load(1, size=32)
    for characters in ("é", "", ["ab"]):
        with pytest.raises(DataError, match="characters"):
            glyphs.load(1, characters=characters)


def test_the_drawn_fonts_are_kept_and_read_back_without_matplotlib(folder):
    first = glyphs.load(20, seed=1).images
    [path] = folder.iterdir()
    program = """
import sys
from minigen.data import cache, glyphs
print(cache.sha256(glyphs.load(20, seed=1).images.tobytes()), "matplotlib.ft2font" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120)
    assert done.stdout.split() == [cache.sha256(first.tobytes()), "False"]
    assert [path] == list(folder.iterdir())


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "rubbish", "changed"])
def test_a_damaged_cache_is_noticed_and_rebuilt(folder, damage):
    expected = glyphs.load(20, seed=1).images
    [path] = folder.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "changed":
        # A whole and readable archive whose masks are not those of its digest.
        with np.load(path) as archive:
            contents = dict(archive)
        contents["masks"] = contents["masks"] ^ 1
        np.savez(path, **contents)
    else:
        data[len(data) // 2] ^= 0xFF
        rubbish = b"\x80\x04N." * 99
        path.write_bytes({"empty": b"", "cut": data[:-5000], "flipped": data, "rubbish": rubbish}[damage])
    glyphs._tables.cache_clear()
    with pytest.warns(UserWarning, match="damaged.*drawn anew"):
        again = glyphs.load(20, seed=1).images
    assert again.tobytes() == expected.tobytes()
    glyphs._tables.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glyphs.load(1)


def test_a_folder_that_cannot_be_written_is_reported_and_done_without(folder, tmp_path, monkeypatch):
    expected = glyphs.load(20, seed=1).images
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "file" / "below"))
    glyphs._tables.cache_clear()
    with pytest.warns(UserWarning, match="MINIGEN_CACHE"):
        again = glyphs.load(20, seed=1).images
    assert again.tobytes() == expected.tobytes()
