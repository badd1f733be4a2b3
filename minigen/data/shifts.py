"""Pictures moved by a pixel or two. A digit that has moved is the same digit, and to a network it is a new example.

Such *augmentation* tells a model something that we know and that a thousand examples do not say.
"""

import numpy as np

from minigen.errors import ShapeError


def shifted(images, most, *, rng, paper=0):
    """Each picture moved by −most … most whole pixels down and to the right, at random; what moves in is `paper`.

    Shapes:   (B, C, H, W) → (B, C, H, W), the same dtype, a new array
    Raises:   ShapeError for another number of axes; ValueError unless 0 ≤ most < min(H, W).
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ShapeError(f"shifted: images have shape {images.shape}; expected (B, C, H, W)")
    count, channels, height, width = images.shape
    if not 0 <= most < min(height, width):
        raise ValueError(f"shifted: most={most}; expected 0 ≤ most < {min(height, width)}, the smaller side")
    edges = ((0, 0), (0, 0), (most, most), (most, most))
    padded = np.pad(images, edges, constant_values=paper)  # (B, C, H + 2·most, W + 2·most)
    down, right = rng.integers(0, 2 * most + 1, size=(2, count))  # where each picture's window begins
    rows = (down[:, None] + np.arange(height))[:, None, :, None]  # (B, 1, H, 1)
    columns = (right[:, None] + np.arange(width))[:, None, None, :]  # (B, 1, 1, W)
    which, channel = np.arange(count)[:, None, None, None], np.arange(channels)[None, :, None, None]
    return padded[which, channel, rows, columns]
