"""Pictures: one palette, one style, and the four kinds of figure that lessons and recipes need.

    figure, axes = viz.figure("The bound tightens with k")    # axes in the house style, a title that states the finding
    viz.curves({"train": losses, "validation": (steps, held_out)}, "…", xlabel="step", ylabel="nats per image")
    viz.image_grid(images, 8, "First 64 samples, not picked", path="samples.png")
    viz.save(figure, "figures/05_iwae.png")

Colours name things, not positions: whatever came from the data has one colour in every lesson, whatever came from the
model another. The six differ in hue for readers who see all hues, for the three kinds of colour-blindness, and in
lightness on a grey printout (a test computes all of this).

Figures are made without pyplot: there is no list of open figures that grows, no window, no backend to choose. A
`Picture` shows itself in a notebook when it is the last line of a cell; everywhere else, save it.
"""

import io
import math
import textwrap
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from minigen.errors import ShapeError

PALETTE = {
    "data": "#262626",
    "discriminator": "#8a1f5c",
    "model": "#0067a5",
    "decoder": "#2f9e77",  # and whatever plays its part: the prior, the generator
    "encoder": "#f0a202",
    "muted": "#c9c9c9",
}
PALETTE["prior"] = PALETTE["generator"] = PALETTE["decoder"]
CYCLE = tuple(PALETTE[name] for name in ("model", "encoder", "decoder", "discriminator", "data", "muted"))

WIDTH = 6.0  # inches. On a phone 65 points wide per inch, so that 11-point text stays about 10 points tall.
SCREEN_DPI, FILE_DPI = 100, 160

STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.labelcolor": "#262626",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "image.interpolation": "nearest",
    "image.cmap": "gray_r",
    "figure.facecolor": "white",
}


class Picture(Figure):
    """A matplotlib Figure that shows itself as a PNG when it is the last value of a notebook cell."""

    def _repr_png_(self):
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=SCREEN_DPI)
        return buffer.getvalue()


def style():
    """The house style as a context: `with viz.style(): …` for what you draw with matplotlib yourself."""
    from cycler import cycler  # comes with matplotlib

    return rc_context(STYLE | {"axes.prop_cycle": cycler(color=CYCLE)})


def colour(name):
    """The colour of a thing by its name ("data", "model", …); any other colour passes through unchanged."""
    return PALETTE.get(name, name)


def figure(title, rows=1, columns=1, *, width=WIDTH, height=None, **subplots):
    """A Picture and its axes (one, or an array of them as in pyplot.subplots). The title states the finding.

    height:    inches; by default panels are about three units high for four wide.
    subplots:  passed to Figure.subplots, such as sharex=True.
    """
    if height is None:
        height = rows * 0.72 * width / columns + 0.5 if columns > 1 else rows * 0.6 * width
    with style():
        picture = Picture(figsize=(width, height), layout="constrained")
        axes = picture.subplots(rows, columns, **subplots)
    if title:
        set_title(picture, title)
    return picture, axes


def set_title(picture, title):
    """Write the finding above the figure, left-aligned, wrapped to its width."""
    characters = int(picture.get_size_inches()[0] * 9.8)  # bold 12-point text
    picture.suptitle(textwrap.fill(title, characters), x=0.02, ha="left", fontsize=12, fontweight="bold")


def save(picture, path):
    """Write a PNG that reads on a phone (about 1,000 pixels wide), and return the picture so that a cell shows it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=FILE_DPI, facecolor="white")
    return picture


# -- images ---------------------------------------------------------------------------------------------------------


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


# -- curves ---------------------------------------------------------------------------------------------------------


def curves(series, title, *, xlabel, ylabel, colours=None, path=None, axes=None, styles=None, **settings):
    """Lines with their names at their right ends instead of a legend.

    series:    a dict from name to y, or to (x, y).
    colours:   a dict from name to colour (a name of the palette or any other); the default goes through the palette.
    styles:    a dict from name to a matplotlib line style, such as "--".
    settings:  set on the axes, such as yscale="log".
    """
    if axes is None:
        picture, axes = figure(title)
    else:
        picture = axes.figure
        axes.set_title(title, loc="left")
    for index, (name, values) in enumerate(series.items()):
        x, y = values if isinstance(values, tuple) else (np.arange(len(values)), values)
        tint = colour((colours or {}).get(name, CYCLE[index % len(CYCLE)]))
        axes.plot(x, y, color=tint, label=name, linestyle=(styles or {}).get(name, "-"))
    axes.set(xlabel=xlabel, ylabel=ylabel, **settings)
    label_lines(axes)
    return picture if path is None else save(picture, path)


def label_lines(axes, *, gap=1.25):
    """Write each line's label at its right end in its colour, moved apart where two would overlap.

    gap:   the least distance of two labels, in lines of text.
    """
    with style():
        lines = [line for line in axes.get_lines() if not line.get_label().startswith("_") and len(line.get_xdata())]
        if not lines:
            return []
        to_axes = axes.transAxes.inverted()
        ends = []
        for line in lines:
            x, y = np.asarray(line.get_xdata(), float)[-1], _last_finite(line.get_ydata())
            ends.append(to_axes.transform(axes.transData.transform((x, y))))
        ends = np.clip(np.array(ends), 0, 1)
        text_height = 10 * gap / 72 / (axes.get_position().height * axes.figure.get_size_inches()[1])
        heights = spread(ends[:, 1], text_height)
        return [
            axes.annotate(line.get_label(), (1.02, height), xycoords="axes fraction", va="center", fontsize=10,
                          color=readable(line.get_color()))
            for line, height in zip(lines, heights, strict=True)
        ]  # fmt: skip


def label(axes, x, y, text, *, of="data", dx=6, dy=0, **settings):
    """Write a text beside a point, in the colour of the thing it names (`of`: "data", "model", …)."""
    align = "left" if dx > 0 else "right" if dx < 0 else "center"
    settings = {"ha": align, "va": "center", "fontsize": 10, "color": readable(colour(of))} | settings
    return axes.annotate(text, (x, y), xytext=(dx, dy), textcoords="offset points", **settings)


def readable(tint):
    """The colour, darkened until text in it has a contrast of at least 3 against white."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(tint))
    while 1.05 / (_luminance(rgb) + 0.05) < 3:
        rgb = rgb * 0.95
    return tuple(rgb)


def _luminance(rgb):
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _last_finite(values):
    values = np.asarray(values, float)
    finite = values[np.isfinite(values)]
    return finite[-1] if finite.size else 0.5


def spread(heights, least):
    """Move numbers as little as possible, in order, until neighbours are `least` apart.

    Shapes:   heights (n,) → (n,), in the order given
    """
    order = np.argsort(heights, kind="stable")
    # With slots subtracted, "least apart" becomes "non-decreasing": an isotonic regression, by pooling neighbours.
    pools = []
    for rank, index in enumerate(order):
        pools.append([heights[index] - rank * least, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            value, weight = pools.pop()
            total = pools[-1][1] + weight
            pools[-1] = [(pools[-1][0] * pools[-1][1] + value * weight) / total, total]
    flat = np.concatenate([np.full(weight, value) for value, weight in pools])
    moved = np.empty(len(order))
    moved[order] = flat + least * np.arange(len(order))
    return moved
