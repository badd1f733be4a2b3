"""Grids of grey images on one shared scale."""

import math

import numpy as np

from minigen.errors import ShapeError
from minigen.viz.pictures import WIDTH, figure, save


def as_images(images):
    """Any usual form of grey images as (B, H, W): also (B, 1, H, W), and flat (B, H·W) if H·W is a square.

    Raises:   ShapeError for anything else.
    """
    images = np.asarray(getattr(images, "data", images))
    if images.ndim == 4 and images.shape[1] == 1:
        return images[:, 0]  # (B, H, W)
    if images.ndim == 3:
        return images
    side = math.isqrt(images.shape[-1]) if images.ndim == 2 else 0
    if side and side * side == images.shape[1]:
        return images.reshape(-1, side, side)
    raise ShapeError(f"image_grid: images have shape {images.shape}; expected (B, H, W), (B, 1, H, W), "
                     "or (B, H·W) with a square number of pixels")


def mosaic(images, columns, *, gap=1, scale=None):
    """Images side by side as one array of numbers in [0, 1], NaN in the gaps.

    scale:    (low, high), the values drawn as white and black; by default the extremes over *all* images, so that
              two images can be compared.
    Shapes:   images (B, H, W) and the like → (rows·(H + gap) − gap, columns·(W + gap) − gap)
    """
    images = as_images(images).astype(np.float64)
    count, height, width = images.shape
    if count == 0 or columns < 1:
        raise ShapeError(f"image_grid: {count} images in {columns} columns; expected at least one of each")
    low, high = scale if scale is not None else (np.nanmin(images), np.nanmax(images))
    images = np.clip((images - low) / (high - low if high > low else 1.0), 0, 1)
    rows = -(-count // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def draw_images(axes, images, columns, *, title=None, scale=None, row_labels=None, gap=1):
    """An image grid on axes that you have: ink is dark, paper white. row_labels: one text for each row."""
    canvas = mosaic(images, columns, gap=gap, scale=scale)
    axes.imshow(canvas, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set_facecolor("#d9e6ee")  # the gaps: tinted, so that white paper shows its edge
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    if row_labels is not None:
        step = as_images(images).shape[1] + gap
        axes.set_yticks([(step - 1) / 2 - 0.5 + step * row for row in range(len(row_labels))], row_labels)
        axes.tick_params(axis="y", length=0)
    if title:
        axes.set_title(title, loc="left")
    return axes


def image_grid(images, columns, title, path=None, *, scale=None, row_labels=None, width=None):
    """A figure of grey images on one shared grey scale. The title says how they were chosen.

    path:     where to save it as a PNG; None only makes it.
    scale:    (low, high) drawn as white and black; by default the extremes over all images.
    Shapes:   images (B, H, W), (B, 1, H, W) or (B, H·W), filled row by row
    Raises:   ShapeError if the images have another shape.
    """
    canvas = mosaic(images, columns, scale=scale)
    if width is None:
        width = float(np.clip(0.55 * min(columns, len(as_images(images))), 3.0, WIDTH))
    height = width * canvas.shape[0] / canvas.shape[1] + 0.5
    picture, axes = figure(title, width=width, height=height)
    draw_images(axes, images, columns, scale=scale, row_labels=row_labels)
    return picture if path is None else save(picture, path)
