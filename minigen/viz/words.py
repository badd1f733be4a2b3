"""Text as a picture: pieces one after the other, each on a ground as dark as its weight."""

from minigen.viz.pictures import colour


def shaded_text(axes, pieces, weights, *, columns=72, of="model", marked=None):
    """Write pieces of text on axes, each shaded by its weight from 0, white, to 1, the full colour.

    pieces:   a list of str, written one after the other without anything between; broken at `columns` letters.
    weights:  a number from 0 to 1 for each piece
    of:       the colour of the ground, a name of the palette or any other
    marked:   the index of a piece that gets a frame, or None
    Returns:  how many lines it came to.
    """
    axes.set_axis_off()
    places, line, column = [], 0, 0
    for piece in pieces:
        if column and column + len(piece) > columns:
            line, column = line + 1, 0
        piece = piece if column else piece.lstrip(" ")
        places.append((line, column, piece))
        column += len(piece)
    axes.set(xlim=(0, columns), ylim=(line + 0.6, -0.6))
    axes.figure.draw_without_rendering()  # lays the figure out: now the axes have the size that they will have
    size = axes.bbox.width / axes.figure.dpi * 72 / columns / 0.602  # a letter of this font is 0.602 as wide as high
    for index, ((row, start, piece), weight) in enumerate(zip(places, weights, strict=True)):
        ink = "white" if weight > 0.55 else colour("data")
        shown = piece.lstrip(" ")
        start += len(piece) - len(shown)
        box = {"facecolor": (*_rgb(of), float(weight)), "edgecolor": colour("data") if index == marked else "none",
               "pad": 1.0, "linewidth": 1.2}
        axes.text(start, row, shown, fontsize=size, family="monospace", color=ink, va="center",
                  bbox=box, parse_math=False)
    return line + 1


def _rgb(name):
    from matplotlib.colors import to_rgb

    return to_rgb(colour(name))
