"""Lines with their names at their ends, and labels that do not overlap."""

import numpy as np
from matplotlib.transforms import Bbox

from minigen.viz.pictures import CYCLE, colour, figure, readable, save, style


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
        axes.autoscale_view()  # matplotlib puts it off until the limits are needed; here they are
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


def label_points(axes, points, names, *, fontsize=9, size=5):
    """Write each name beside its point, where it covers no point, no other name, and no text, level or upright line.

    The limits and scales of the axes, and what stands in other panels, must be what they will be. From a name that had
    to go farther away a thin line leads to its point. A name for which there is no place stands at the right.

    points:    pairs (x, y), in units of the data
    size:      half the side of the square about each point that is kept free, in points of type
    Returns:   the annotations, in the order given
    """
    axes.figure.draw_without_rendering()  # lays the figure out, so that places in pixels are known
    half = size * axes.figure.dpi / 72
    centres = [axes.transData.transform(point) for point in points]
    taken = [Bbox([centre - half, centre + half]) for centre in centres]
    taken += [text.get_window_extent() for text in axes.texts]
    lines = [line.get_window_extent() for line in axes.get_lines() if len(line.get_xdata())]
    taken += [box.padded(1) for box in lines if min(box.width, box.height) < 2 * half]
    frame, written, names_at = axes.get_window_extent(), {}, []
    for index in np.argsort([-centre[1] for centre in centres], kind="stable"):  # from top to bottom
        for dx, dy in AROUND:
            text = label(axes, *points[index], names[index], of="data", dx=dx, dy=dy, fontsize=fontsize)
            box = text.get_window_extent().padded(1)  # without the line that may lead there
            text.remove()
            way = [centres[index] + share * half / size * np.array([dx, dy]) for share in np.linspace(0, 1, 20)]
            crossed = any(other.contains(*place) for other in names_at for place in way)
            if _inside(frame, box) and not box.count_overlaps(taken) and not crossed:
                break
        else:
            dx, dy = AROUND[0]
        line = LEADER | {"relpos": (0.5 - 0.5 * np.sign(dx), 0.5)} if abs(dy) > FAR else None
        written[index] = label(axes, *points[index], names[index], of="data", dx=dx, dy=dy, fontsize=fontsize,
                               arrowprops=line)
        taken.append(box)
        names_at.append(box)
    return [written[index] for index in range(len(points))]


LEADER, FAR = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3}, 20
# Where the name of a point may stand, in points of type from it: the first that is free.
AROUND = ((8, 0), (-8, 0), (0, 13), (0, -13), (8, 9), (8, -9), (-8, 9), (-8, -9), (0, 26), (0, -26), (8, 22), (8, -22),
          (-8, 22), (-8, -22), (0, 40), (0, -40), (8, 36), (8, -36), (-8, 36), (-8, -36), (8, 50),
          (8, -50))  # fmt: skip


def _inside(frame, box):
    return frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1


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
