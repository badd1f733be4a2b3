"""Letters and figures drawn from matplotlib's own fonts, any number of them, with attributes and captions.

A glyph has a character (A–Z a–z 0–9), a family (sans, serif, mono), a typeface (DejaVu, STIX, Computer
Modern), a weight, a slant, a size and a position. The same seed gives the same bits on the same matplotlib.

Drawing has two stages. First, once, every character of every font is rasterised large (capitals are CAPITAL
pixels tall) and cropped to its ink: the atlas, kept in the cache folder. Then each sample scales and places
one of these masks by exact area averaging: a pixel's value is the mean ink over the square of mask that it
covers. With the summed-area table S(y, x) = Σ_{i<y, j<x} mask[i, j], interpolated linearly between whole
pixels, the ink of any box is

    ink(y₀, y₁, x₀, x₁) = S(y₁, x₁) − S(y₀, x₁) − S(y₁, x₀) + S(y₀, x₀),                                 (1)

exactly, whatever the fractions (Crow 1984, "Summed-area tables for texture mapping"). So a glyph costs a few
array look-ups and no call to the font engine, and its edges are antialiased at any size.
"""

import functools
import importlib.metadata
import warnings
import zipfile
import zlib
from collections import namedtuple
from typing import NamedTuple

import numpy as np

from minigen.data.cache import atomic_write, cache_dir, sha256
from minigen.errors import CorruptError, DataError, ShapeError

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
FAMILIES = ("sans", "serif", "mono")
TYPEFACES = ("DejaVu", "STIX", "Computer Modern")
WEIGHTS = ("regular", "bold")
SLANTS = ("upright", "italic")
SIZES = ("small", "medium", "large")
POSITIONS = ("top left", "top", "top right",
             "left", "centre", "right",
             "bottom left", "bottom", "bottom right")

Font = namedtuple("Font", "file family typeface weight slant")
FONTS = (
    Font("DejaVuSans.ttf", 0, 0, 0, 0),
    Font("DejaVuSans-Oblique.ttf", 0, 0, 0, 1),
    Font("DejaVuSans-Bold.ttf", 0, 0, 1, 0),
    Font("DejaVuSans-BoldOblique.ttf", 0, 0, 1, 1),
    Font("cmss10.ttf", 0, 2, 0, 0),
    Font("DejaVuSerif.ttf", 1, 0, 0, 0),
    Font("DejaVuSerif-Italic.ttf", 1, 0, 0, 1),
    Font("DejaVuSerif-Bold.ttf", 1, 0, 1, 0),
    Font("DejaVuSerif-BoldItalic.ttf", 1, 0, 1, 1),
    Font("STIXGeneral.ttf", 1, 1, 0, 0),
    Font("STIXGeneralItalic.ttf", 1, 1, 0, 1),
    Font("STIXGeneralBol.ttf", 1, 1, 1, 0),
    Font("STIXGeneralBolIta.ttf", 1, 1, 1, 1),
    Font("cmr10.ttf", 1, 2, 0, 0),
    Font("cmb10.ttf", 1, 2, 1, 0),
    Font("DejaVuSansMono.ttf", 2, 0, 0, 0),
    Font("DejaVuSansMono-Oblique.ttf", 2, 0, 0, 1),
    Font("DejaVuSansMono-Bold.ttf", 2, 0, 1, 0),
    Font("DejaVuSansMono-BoldOblique.ttf", 2, 0, 1, 1),
    Font("cmtt10.ttf", 2, 2, 0, 0),
)

# For each style, numbered (family, weight, slant): how many fonts have it, and which, padded with −1.
_STYLES = [[index for index, font in enumerate(FONTS) if (font.family, font.weight, font.slant) == style]
           for style in np.ndindex(len(FAMILIES), len(WEIGHTS), len(SLANTS))]
FONT_COUNTS = np.array([len(fonts) for fonts in _STYLES])
FONTS_OF_STYLE = np.array([fonts + [-1] * (FONT_COUNTS.max() - len(fonts)) for fonts in _STYLES])

CAPITAL = 64                                     # height in pixels of a capital H in the atlas
MARGIN = 1.0                                     # empty pixels kept at every edge
SIZE_JITTER = 0.05                               # ± this fraction of the nominal height
POSITION_JITTER = 0.08                           # ± this fraction of the free space
# Height of a capital in pixels, per image size: small, medium, large.
CAPITAL_HEIGHTS = {28: (9.0, 12.5, 16.5), 16: (6.5, 8.0, 10.0)}
ATLAS_VERSION = 2


class Glyphs(NamedTuple):
    """Images with one small integer per attribute, each an index into the tuple of its name (FAMILIES, …)."""

    images: np.ndarray                           # (B, 1, H, W) uint8, 0 paper … 255 ink
    character: np.ndarray                        # (B,) int64, as all that follow
    family: np.ndarray
    typeface: np.ndarray
    weight: np.ndarray
    slant: np.ndarray
    size: np.ndarray
    position: np.ndarray

    def captions(self):
        """One phrase each, such as "a bold italic serif R, small, top left"; regular, upright go unsaid."""
        columns = zip(self.character, self.family, self.weight, self.slant, self.size, self.position,
                      strict=True)
        return [caption(*row) for row in columns]


def caption(character, family, weight, slant, size, position):
    """The phrase that describes one glyph, from its attribute indices (the typeface goes unsaid)."""
    words = (["bold"] if weight else []) + (["italic"] if slant else []) + [FAMILIES[family]]
    article = "an" if words[0] == "italic" else "a"
    return f"{article} {' '.join(words)} {CHARACTERS[character]}, {SIZES[size]}, {POSITIONS[position]}"


def load(n, *, size=28, seed=0, **choice):
    """The first n glyphs of the endless sequence that `seed` names: load(10) begins load(20). Choices as in `sample`.

    Shapes:   images (n, 1, size, size) uint8; attributes (n,)
    Raises:   ShapeError for a size other than 28 or 16; DataError for a character not among CHARACTERS.
    """
    return sample(n, size=size, rng=np.random.default_rng(seed), **choice)


def sample(n, *, rng, size=28, characters=CHARACTERS, sizes=SIZES, positions=POSITIONS):
    """n random glyphs with their attributes.

    Character, family, weight, slant, size and position are uniform over those listed and independent; the typeface
    is uniform among those that have the family, weight and slant. Size varies by ± 5 % within its class, position by
    ± 8 % of the free space. A glyph too wide or tall for the image at its size is shrunk to fit.

    Shapes:   images (n, 1, size, size) uint8; attributes (n,)
    Raises:   ShapeError for a size other than 28 or 16; DataError for a character not among CHARACTERS.
    """
    heights, allowed = _capital_heights(size), _listed("characters", characters, CHARACTERS)
    # One row of draws per glyph, so that a longer sequence begins with the shorter one.
    draws = rng.random((n, 10))

    def pick(column, count):
        return np.minimum((draws[:, column] * count).astype(np.int64), count - 1)

    character = allowed[pick(0, len(allowed))]
    family, weight, slant = pick(1, len(FAMILIES)), pick(2, len(WEIGHTS)), pick(3, len(SLANTS))
    size_class = _listed("sizes", sizes, SIZES)[pick(4, len(sizes))]
    position = _listed("positions", positions, POSITIONS)[pick(5, len(positions))]
    style = (family * len(WEIGHTS) + weight) * len(SLANTS) + slant
    font = FONTS_OF_STYLE[style, pick(6, FONT_COUNTS[style])]
    capital = heights[size_class] * (1 + SIZE_JITTER * (2 * draws[:, 7] - 1))
    # Nought is flush with the top or left margin, one with the bottom or right.
    place = np.stack([position // 3, position % 3], -1) / 2                                          # (B, 2)
    place = place * (1 - 2 * POSITION_JITTER) + POSITION_JITTER * 2 * draws[:, 8:10]
    return _glyphs(size, character, font, capital, place, size_class, position)


def load_clean(*, size=28, characters=CHARACTERS):
    """Every character in every font once, large, centred, without jitter, font by font in the order of FONTS.

    Shapes:   images (B, 1, size, size) uint8, B = fonts · characters; attributes (B,)
    """
    heights, allowed = _capital_heights(size), _listed("characters", characters, CHARACTERS)
    font, character = np.repeat(np.arange(len(FONTS)), len(allowed)), np.tile(allowed, len(FONTS))
    count = len(font)
    return _glyphs(size, character, font, np.full(count, heights[2]), np.full((count, 2), 0.5),
                   np.full(count, SIZES.index("large")), np.full(count, POSITIONS.index("centre")))


def _glyphs(size, character, font, capital, place, size_class, position):
    images = render(size, font * len(CHARACTERS) + character, capital, place)
    table = np.array([entry[1:] for entry in FONTS])
    family, typeface, weight, slant = table[font].T.copy()
    return Glyphs(images[:, None], character, family, typeface, weight, slant, size_class, position)


def render(size, mask, capital, place):
    """Masks scaled so that a capital is `capital` pixels tall, at `place` in the free space: equation (1).

    Shapes:   mask (B,) index into the atlas, capital (B,), place (B, 2) in [0, 1] → (B, size, size) uint8
    """
    tables = _tables()
    images = np.empty((len(mask), size, size), dtype=np.uint8)
    for start in range(0, len(mask), 512):
        rows = slice(start, start + 512)
        shape = tables.shape[mask[rows]].astype(np.float64)                                    # (B, 2)
        room = size - 2 * MARGIN
        scale = np.minimum(capital[rows] / CAPITAL, room / shape.max(1))  # image pixels per mask pixel
        corner = MARGIN + place[rows] * (room - scale[:, None] * shape)                        # (B, 2)
        edges = (np.arange(size + 1) - corner[:, :, None]) / scale[:, None, None]              # (B, 2, H+1)
        edges = np.clip(edges, 0, shape[:, :, None])
        whole = np.minimum(edges.astype(np.int64), tables.shape[mask[rows]][:, :, None] - 1)
        part = edges - whole
        (y, x), (fy, fx) = whole.transpose(1, 0, 2), part.transpose(1, 0, 2)                   # each (B, H+1)
        stride = tables.shape[mask[rows], 1][:, None, None] + 1
        first = tables.start[mask[rows]][:, None, None]                                        # (B, 1, 1)
        index = first + y[:, :, None] * stride + x[:, None, :]                                 # (B, H+1, W+1)
        values, fy, fx = tables.values, fy[:, :, None], fx[:, None, :]
        above = values[index] * (1 - fx) + values[index + 1] * fx
        below = values[index + stride] * (1 - fx) + values[index + stride + 1] * fx
        summed = above * (1 - fy) + below * fy                                                 # (B, H+1, W+1)
        ink = np.diff(np.diff(summed, axis=1), axis=2) * scale[:, None, None] ** 2                 # (B, H, W)
        images[rows] = np.clip(np.floor(ink + 0.5), 0, 255)
    return images


# The summed-area tables one after the other, flat; where each begins; (masks, 2) height and width of each mask.
Tables = namedtuple("Tables", "values start shape")


@functools.lru_cache(maxsize=1)
def _tables():
    """The summed-area table of each mask of the atlas. Sums of bytes, so exact in float64."""
    masks, shape = atlas()
    lengths = shape.prod(1)
    pieces = []
    for end, length, (height, width) in zip(np.cumsum(lengths), lengths, shape, strict=True):
        table = np.zeros((height + 1, width + 1))
        table[1:, 1:] = masks[end - length : end].reshape(height, width).cumsum(0, dtype=np.float64).cumsum(1)
        pieces.append(table.ravel())
    start = np.cumsum([0] + [len(piece) for piece in pieces[:-1]])
    return Tables(np.concatenate(pieces), start, shape)


def atlas():
    """The large masks of every font and character, from the cache folder or drawn anew: (bytes, shapes).

    A damaged cache file is reported and replaced. A folder that cannot be written is reported and done
    without.

    Shapes:   bytes (total,) uint8, the masks row by row one after the other; shapes (fonts · characters, 2)
    """
    path = cache_dir() / f"glyphs-{ATLAS_VERSION}-matplotlib-{importlib.metadata.version('matplotlib')}.npz"
    try:
        return _read_atlas(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (CorruptError, OSError) as error:
        warnings.warn(f"glyphs: {path} cannot be used ({error}); the fonts are drawn anew", stacklevel=2)
    masks, shape = draw_atlas()
    try:
        with atomic_write(path) as stream:
            np.savez_compressed(stream, masks=masks, shape=shape, digest=np.array(_digest(masks, shape)))
    except OSError as error:
        warnings.warn(f"glyphs: cannot keep the drawn fonts in {path.parent} ({error}); they are drawn again "
                      f"in each run. Set MINIGEN_CACHE to a folder that can be written.", stacklevel=2)
    return masks, shape


def _read_atlas(path):
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            masks, shape, digest = archive["masks"], archive["shape"], str(archive["digest"])
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise CorruptError(f"damaged: {error}") from error
    if digest != _digest(masks, shape):
        raise CorruptError("damaged: its SHA-256 does not match")
    return masks, shape


def _digest(masks, shape):
    return sha256(masks.tobytes() + shape.astype("<i8").tobytes())


def draw_atlas():
    """Rasterise every character of every font, unhinted, capitals CAPITAL pixels tall, cropped to the ink.

    Shapes:   as `atlas`
    """
    import matplotlib
    from matplotlib import ft2font

    flags = ft2font.LoadFlags.NO_HINTING if hasattr(ft2font, "LoadFlags") else ft2font.LOAD_NO_HINTING

    def ink(font, character):
        font.set_text(character, 0.0, flags=flags)
        font.draw_glyphs_to_bitmap(antialiased=True)
        image = np.array(font.get_image(), dtype=np.uint8)
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    masks, shape = [], []
    for entry in FONTS:
        font = ft2font.FT2Font(f"{matplotlib.get_data_path()}/fonts/ttf/{entry.file}")
        # At 72 dots per inch one point is one pixel of the em square; find the em at which H is CAPITAL tall.
        font.set_size(1000, 72)
        font.set_size(1000 * CAPITAL / ink(font, "H").shape[0], 72)
        for character in CHARACTERS:
            mask = ink(font, character)
            masks.append(mask.ravel())
            shape.append(mask.shape)
    return np.concatenate(masks), np.array(shape, dtype=np.int64)


def _capital_heights(size):
    if size not in CAPITAL_HEIGHTS:
        raise ShapeError(f"glyphs: size {size}; expected one of {sorted(CAPITAL_HEIGHTS)}")
    return np.array(CAPITAL_HEIGHTS[size])


def _listed(kind, chosen, known):
    """The places of the chosen words, or characters, in their vocabulary."""
    if not chosen or set(chosen) - set(known):
        raise DataError(f"glyphs: {kind} {chosen!r}; expected some of {known}")
    return np.array([known.index(word) for word in chosen], dtype=np.int64)
