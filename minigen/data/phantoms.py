"""Phantoms: slices of heads that never were, like a magnetic resonance scan, some with a lesion whose place is known.

Medical pictures may not be passed around, and nobody knows for certain what is in them. A *phantom* is drawn from
ellipses (Shepp and Logan's head is the famous one), so the truth is known to the pixel. Here every head is another one:
size, tilt, tissue brightness and the shape of all parts are drawn anew. From outside in: a bright scalp and skull, a
dark rim of fluid, grey matter, white matter in two halves, the dark fissure between them, grey nuclei, and the dark
ventricles. A lesion is a brighter blob within the brain, outside the ventricles.

**Painting.** In an ellipse's own coordinates (u, v), turned by its angle, ρ = √((u/a)² + (v/b)²) is 1 at its edge. The
distance to the edge is about d = (ρ − 1)/|∇ρ|, to first order. A pixel that the edge crosses is partly covered,

    cover = clip(½ − d, 0, 1),      d in pixels,      image ← (1 − cover) image + cover · brightness,        (1)

which gives smooth edges without drawing at a higher resolution.

**Noise.** A scanner measures a complex number per pixel, with normal noise on both parts, and shows its length:

    m = √((A + σ n₁)² + (σ n₂)²),      n₁, n₂ ~ N(0, 1):      the Rician law.                                (2)

Where A ≫ σ it is nearly N(A, σ²). In the dark it is not: for A = 0 it is Rayleigh's law, with mean σ √(π/2), so the
air around the head is not black. The receiver's coil also hears some places better than others: A is multiplied with a
plane that tilts by some per cent.

Sources: Shepp & Logan 1974, IEEE Transactions on Nuclear Science 21(3); (2): Gudbjartsson & Patz 1995, Magnetic
Resonance in Medicine 34(6). Differs from Shepp and Logan: ellipses replace what is under them instead of adding to it,
and all of it is random. It looks like a head; it is none, and no diagnosis may be tried on it.
"""

from typing import NamedTuple

import numpy as np

from minigen.errors import DataError

SIZE = 32
NOISE = 0.03                                     # σ of (2), for brightness 0 … 1
CONTRAST = (0.25, 0.45)                          # how much brighter than the tissue a lesion is
RADIUS = (0.09, 0.2)                             # its half axes, where half the picture is 1
CANDIDATES = 16                                  # places tried for a lesion
PARTS = 15                                       # ellipses of a healthy head
_PARAMETERS = 64 + 2 * CANDIDATES


class Phantoms(NamedTuple):
    """Slices and what is true of them."""

    images: np.ndarray                           # (B, 1, H, W) uint8, 0 black … 255 white, with noise
    masks: np.ndarray                            # (B, 1, H, W) bool: pixels that a lesion covers by half or more
    lesion: np.ndarray                           # (B,) bool: whether there is one
    clean: np.ndarray                            # (B, 1, H, W) float32, 0 … 1: the same without noise
    healthy: np.ndarray                          # (B, 1, H, W) float32: the same without noise and without lesion
    tilt: np.ndarray                             # (B,) radians, to the right
    width: np.ndarray                            # (B,) half axis across the head, where half the picture is 1
    grey: np.ndarray                             # (B,) brightness of grey matter, before the coil's slope
    ventricles: np.ndarray                       # (B,) area of all four together, in pixels


def load(n, *, seed=0, **settings):
    """The first n of the endless sequence that `seed` names: load(10) begins load(20). Settings as in `sample`."""
    parameters, noise = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    return _make(n, parameters, noise, **settings)


def sample(n, *, rng, **settings):
    """n random slices.

    lesions:   the share that has a lesion, 0 … 1 (½ by default); each picture is drawn for itself
    size:      H = W in pixels, at least 16
    noise:     σ of (2);  contrast, radius: ranges of a lesion's brightness above the tissue, and of its half axes
    Shapes:    → Phantoms, images (n, 1, size, size)
    Raises:    DataError for a share outside 0 … 1, a size below 16 or negative noise.
    """
    return _make(n, rng, rng, **settings)


def _make(n, rng, noise_rng, *, lesions=0.5, size=SIZE, noise=NOISE, contrast=CONTRAST, radius=RADIUS):
    if not 0 <= lesions <= 1 or size < 16 or noise < 0:
        raise DataError(f"phantoms: lesions={lesions}, size={size}, noise={noise}; expected a share from 0 to 1, at "
                        "least 16 pixels, and no negative noise")
    u = Uniforms(rng.random((n, _PARAMETERS)))
    ellipses, tilt, bias, brain = head(u)
    healthy = np.zeros((n, size, size))
    for k in range(PARTS):
        cover = coverage(ellipses[:, k, :5], size)                                       # (n, size, size)
        healthy += cover * (ellipses[:, k, 5, None, None] - healthy)                     # (1)
    lesion = u.next(0, 1) < lesions
    blob = place_lesion(u, ellipses, brain, tilt, radius)
    cover = coverage(blob, size) * lesion[:, None, None]
    clean = healthy + cover * np.minimum(u.next(*contrast)[:, None, None], 1 - healthy)
    ticks = (2 * np.arange(size) + 1) / size - 1
    plane = 1 + bias[:, 0, None, None] * ticks + bias[:, 1, None, None] * ticks[:, None]
    clean, healthy = clean * plane, healthy * plane
    shake = noise * noise_rng.standard_normal((n, 2, size, size))
    seen = np.hypot(clean + shake[:, 0], shake[:, 1])                                    # (2)
    images = np.round(255 * np.clip(seen, 0, 1)).astype(np.uint8)
    ventricles = np.pi * (ellipses[:, PARTS - 4 :, 2:4].prod(2) * (size / 2) ** 2).sum(1)
    return Phantoms(images[:, None], (cover >= 0.5)[:, None], lesion, clean[:, None].astype(np.float32),
                    healthy[:, None].astype(np.float32), tilt, ellipses[:, 0, 2], ellipses[:, 2, 5], ventricles)


class Uniforms:
    """Columns of uniform numbers, handed out one after the other, each stretched to a range."""

    def __init__(self, numbers):
        self.numbers, self.used = numbers, 0

    def next(self, low, high):
        """The next column, uniform on (low, high), (n,)."""
        self.used += 1
        return low + (high - low) * self.numbers[:, self.used - 1]


def head(u):
    """The ellipses of random heads, from outside in.

    Coordinates run from −1 to 1 across the picture, x to the right and y down; the nose is up.

    Shapes:   → ellipses (n, PARTS, 6) of (x, y, half axis across, half axis along, angle, brightness), the tilts (n,),
              the coils' slopes (n, 2), the brains' half axes (n, 2)
    """
    n = len(u.numbers)
    across, along = u.next(0.66, 0.76), u.next(0.82, 0.91)
    x, y, tilt = u.next(-0.05, 0.05), u.next(-0.04, 0.04), u.next(-0.22, 0.22)
    bone, fluid = u.next(0.09, 0.13), u.next(0.045, 0.075)
    scalp, csf, grey = u.next(0.82, 0.95), u.next(0.1, 0.17), u.next(0.34, 0.42)
    white = grey + u.next(0.16, 0.22)
    brain = np.stack([across - bone - fluid, along - bone - fluid], axis=1)
    parts = []

    def add(dx, dy, wide, long, angle, brightness):
        """One ellipse, placed on the head, with its centre and angle turned along."""
        cos, sin = np.cos(tilt), np.sin(tilt)
        parts.append(np.stack(np.broadcast_arrays(x + cos * dx - sin * dy, y + sin * dx + cos * dy, wide, long,
                                                  tilt + angle, brightness), axis=1))  # fmt: skip

    def pair(dx, dy, wide, long, angle, brightness, *, differ=0.1):
        """A left and a right one, almost mirror images."""
        for side in (-1, 1):
            stretch = u.next(1 - differ, 1 + differ)
            add(side * dx, dy, wide * stretch, long * stretch, side * angle, brightness)

    zero = np.zeros(n)
    add(zero, zero, across, along, 0, scalp)
    add(zero, zero, across - bone, along - bone, 0, csf)
    add(zero, zero, *brain.T, 0, grey)
    wide, long = brain.T
    # White matter: in each half a front and a back lobe.
    pair(0.43 * wide, -u.next(0.33, 0.43) * long, 0.37 * wide, 0.4 * long, -u.next(0.1, 0.3), white)
    pair(0.45 * wide, u.next(0.2, 0.34) * long, 0.4 * wide, 0.5 * long, u.next(0.05, 0.25), white)
    add(zero, zero, u.next(0.03, 0.05), 0.97 * long, 0, csf + 0.08)  # the fissure
    add(zero, -u.next(-0.05, 0.05), 0.34 * wide, u.next(0.24, 0.32) * long, 0, white)  # where the halves join
    pair(0.33 * wide, u.next(-0.02, 0.08), u.next(0.09, 0.13), u.next(0.13, 0.19), u.next(-0.2, 0.3), grey)  # nuclei
    size = u.next(0.75, 1.3)  # of the ventricles, whose front horns spread forwards and back horns backwards
    pair(0.13 * wide + 0.02 * size, -0.21 * long, 0.07 * size, 0.17 * size, u.next(0.15, 0.4), csf)
    pair(0.17 * wide + 0.02 * size, 0.24 * long, 0.06 * size, 0.18 * size, -u.next(0.15, 0.45), csf)
    ellipses = np.stack(parts, axis=1)
    bias = np.stack([u.next(-0.07, 0.07), u.next(-0.07, 0.07)], axis=1)
    return ellipses[:, :PARTS], tilt, bias, brain


def place_lesion(u, ellipses, brain, tilt, radius):
    """A lesion's ellipse: at the first of some random places that is in the brain and not in a ventricle.

    Shapes:   → (n, 5)
    """
    n = len(u.numbers)
    wide, long, angle = u.next(*radius), u.next(*radius), u.next(0, np.pi)
    reach = np.maximum(wide, long)
    found, place = np.zeros(n, dtype=bool), np.zeros((n, 2))
    cos, sin = np.cos(tilt), np.sin(tilt)
    for _ in range(CANDIDATES):
        out, direction = np.sqrt(u.next(0, 1)), u.next(0, 2 * np.pi)
        dx = out * np.cos(direction) * (brain[:, 0] - reach)
        dy = out * np.sin(direction) * (brain[:, 1] - reach)
        at = ellipses[:, 0, :2] + np.stack([cos * dx - sin * dy, sin * dx + cos * dy], axis=1)
        free = np.abs(dx) > 0.8 * reach  # beside the fissure
        for ventricle in range(PARTS - 4, PARTS):
            free &= distance(ellipses[:, ventricle, :5], *at.T) > 0.8 * reach
        place = np.where((free & ~found)[:, None], at, place)
        found |= free
    side = np.where(u.next(-1, 1) < 0, -0.6, 0.6) * brain[:, 0]  # if none was free: far to a side
    aside = ellipses[:, 0, :2] + np.stack([cos * side, sin * side], axis=1)
    place = np.where(found[:, None], place, aside)
    return np.concatenate([place, np.stack([wide, long, angle], axis=1)], axis=1)


def coverage(ellipses, size):
    """How far each pixel is covered by one ellipse per picture, 0 … 1, (1).   Shapes: (n, 5) → (n, size, size)"""
    ticks = (2 * np.arange(size) + 1) / size - 1                                         # the pixels' centres
    columns = ellipses[:, :, None, None]
    return np.clip(0.5 - 0.5 * size * distance(columns, ticks[None, None, :], ticks[None, :, None]), 0, 1)


def distance(ellipses, x, y):
    """About how far points lie outside one ellipse per picture (inside: negative), to first order.

    Shapes:   (n, 5, …), and x and y that fit with (n, …) → (n, …)
    """
    cx, cy, wide, long, angle = np.moveaxis(ellipses, 1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = cos * (x - cx) + sin * (y - cy), -sin * (x - cx) + cos * (y - cy)
    rho = np.sqrt((u / wide) ** 2 + (v / long) ** 2) + 1e-9
    slope = np.sqrt((u / wide**2) ** 2 + (v / long**2) ** 2) / rho + 1e-9                # |∇ρ|
    return (rho - 1) / slope
