"""The house style: one palette, one set of fonts and lines, a Picture that shows itself, and how one is saved."""

import io
import textwrap
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

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


def blend(tints, count):
    """`count` colours that run evenly through the given ones."""
    from matplotlib.colors import to_rgb

    stops = np.array([to_rgb(colour(tint)) for tint in tints])
    at = np.linspace(0, len(stops) - 1, count)
    return [tuple(np.interp(at_one, np.arange(len(stops)), channel) for channel in stops.T) for at_one in at]
