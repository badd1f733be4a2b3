"""draw_graph: the graph behind a Tensor, drawn as it stands in memory.

Time runs from left to right, or from top to bottom where that would be too wide. A box is an array: its name or the
operation that made it, its value (or shape), and the gradient of the drawn Tensor with respect to it. The small numbers
say in which order the walk backwards comes by, the numbers on the edges what it hands to each parent; where several
edges leave one box, its gradient is the sum of what they bring back.
"""

import numpy as np
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from minigen.errors import GraphError
from minigen.viz.layers import places
from minigen.viz.lines import spread
from minigen.viz.pictures import colour, figure, readable, save, style
from minigen.viz.trace import count, named_tensors, trace

MOST = 120  # boxes
WIDEST = 8.5  # inches: a graph that needs more runs from top to bottom instead,
LARGEST = 24.0  # and one that needs more than this is drawn smaller
LINE, CHARACTER, PAD = 0.165, 0.082, 0.09  # inches: a line of 9-point text, one of its characters, a margin
ROW = 0.24  # inches between neighbours
SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷"}


def draw_graph(tensor, title="", path=None, *, names=None, grads=False, most=MOST):
    """A Picture of the graph behind a Tensor: its leaves, operations, values and, if wanted, gradients.

    title:    the finding; "" leaves it out
    path:     where to save it as a PNG; None only makes it
    names:    a dict from name to Tensor, or a Module: names for leaves, results, and constants that the graph kept
    grads:    also draw ∂(tensor)/∂(each box), the order of the walk backwards, and what passes along each edge. Of a
              Tensor with many elements, the gradient of their sum. No `.grad` is touched. If an earlier backward()
              released the graph, the gradients that it gave the leaves.
    most:     the largest number of leaves and operations to draw

    A Tensor without history (a constant, a result made under no_grad) is one box. Values that nobody kept and that
    cannot be computed again are shown by their shape; name the Tensor to see them.

    Raises:   GraphError if the graph is larger than `most`, if `names` is something else, or (with grads) if a saved
              input was changed in place.
    """
    counts = count(tensor)
    names = named_tensors(names)
    if sum(counts.values()) > most:
        often = sorted(counts.items(), key=lambda pair: -pair[1])[:6]
        summary = ", ".join(f"{name} ×{number}" for name, number in often) + (", …" if len(counts) > 6 else "")
        raise GraphError(f"draw_graph: {sum(counts.values())} operations are behind this tensor ({summary}), and at "
                         f"most {most} are drawn. Draw a smaller example, a part of it, or pass a larger most=…")
    items = trace(tensor, names, grads)
    texts = [_texts(item, items, grads) for item in items]
    handed = [[_number(g) if g is not None and g.shape == () else "" for g in item.passed] for item in items]
    parents, numbers = [item.parents for item in items], any(any(some) for some in handed)
    layout = _Layout(parents, texts, (0.85 if numbers else 0.4), down=False)
    if layout.width > WIDEST:
        layout = _Layout(parents, texts, (0.45 if numbers else 0.3), down=True)
    scale = min(1.0, LARGEST / max(layout.width, layout.height))
    picture, axes = figure(title, width=max(layout.width * scale, 4.0), height=layout.height * scale + 0.45)
    axes.set_axis_off()
    axes.set(xlim=(0, layout.width), ylim=(0, layout.height), aspect="equal")
    with style():
        for item, paths, numbers in zip(items, layout.paths, handed, strict=True):
            for points, parent in zip(paths, item.parents, strict=True):
                _draw_edge(axes, points, scale, layout.down, constant=items[parent].kind == "constant")
            _write_numbers(axes, paths, numbers, scale, layout.down)
        for item, lines, box in zip(items, texts, layout.boxes, strict=True):
            _draw_box(axes, item, lines, box, scale, last=item is items[-1], turn=grads and item.turn)
    return picture if path is None else save(picture, path)


# -- texts ------------------------------------------------------------------------------------------------------------


def _texts(item, items, grads):
    """The lines in a box: what it is, its value, its gradient."""
    heading = item.name
    if item.kind == "result":
        heading = " = ".join(filter(None, [item.name, _expression(item, items)]))
    lines = [heading or ("leaf" if item.kind == "leaf" else ""), _value(item.shape, item.value)]
    if grads and item.kind != "constant":
        lines.append("" if item.grad is None else f"∂ {_value(item.shape, item.grad, gradient=True)}")
    return [line for line in lines if line]


def _expression(item, items):
    """The operation with its operands where they have short names: "w × x", "tanh(z)", "+"."""
    operands = [items[at] if at is not None else None for at in item.operands]
    words = ["…" if operand is None else operand.name if 0 < len(operand.name) <= 3
             else _number(operand.value) if operand.kind == "constant" and operand.shape == () and not operand.name
             else "…" for operand in operands]
    if item.op in SIGNS:
        return SIGNS[item.op] if set(words) == {"…"} else f"{words[0]} {SIGNS[item.op]} {words[1]}"
    return item.op if len(words) != 1 or words[0] == "…" else f"{item.op}({words[0]})"


def _value(shape, value, gradient=False):
    """A number, up to three of them, or a shape; for a gradient of many numbers its length."""
    if value is not None and np.size(value) <= 3 and np.ndim(value) <= 1:
        numbers = [_number(x) for x in np.ravel(value)]
        return numbers[0] if np.ndim(value) == 0 else f"[{', '.join(numbers)}]"
    if gradient:
        return f"length {_number(np.linalg.norm(value))}"
    return str(tuple(int(n) for n in shape)) if shape else "a number"


def _number(value):
    """Three significant digits, with a real minus sign."""
    return f"{float(np.asarray(value).reshape(())):.3g}".replace("-", "−")


# -- places in inches -------------------------------------------------------------------------------------------------


class _Layout:
    """Boxes and paths in inches, from left to right or, if `down`, from top to bottom.

    boxes:   (x, y, width, height) of each item, its lower left corner first
    paths:   for each item one list of points per parent, from the parent's box to its own
    """

    def __init__(self, parents, texts, gap, down):
        layer, level, ways = places(parents)
        if down:  # the first parent is on top, and becomes the one on the left
            level, ways = -level, [[[(at, -y) for at, y in path] for path in way] for way in ways]
        self.down = down
        sizes = np.array([(CHARACTER * max(map(len, lines)) + 2 * PAD, LINE * len(lines) + 2 * PAD) for lines in texts])
        along, across = (sizes[:, 1], sizes[:, 0]) if down else (sizes[:, 0], sizes[:, 1])
        depth = np.array([max(along[np.equal(layer, at)]) for at in range(max(layer) + 1)])
        begin = np.concatenate([[0], np.cumsum(depth + gap)[:-1]]) + 2 * PAD
        levels = np.array([y for way in ways for path in way for _, y in path] + list(level))
        row = across.max() + ROW

        def middle(y):
            return (y - levels.min()) * row + across.max() / 2 + 2 * PAD

        length, breadth = begin[-1] + depth[-1] + 2 * PAD, middle(levels.max()) + across.max() / 2 + 2 * PAD
        self.width, self.height = (breadth, length) if down else (length, breadth)
        self.boxes, self.paths = [], []
        for at, y, (wide, tall) in zip(layer, level, sizes, strict=True):
            x, y = self._turn(begin[at] + depth[at] / 2, middle(y))
            self.boxes.append((x - wide / 2, y - tall / 2, wide, tall))
        for child, (above, way) in enumerate(zip(parents, ways, strict=True)):
            # Where the edges arrive: side by side, in the order of the heights that they come from.
            order = np.argsort([path[-2][1] for path in way], kind="stable")
            ports = np.linspace(-0.6, 0.6, len(way) + 2)[1:-1] * across[child]
            arrive = dict(zip(order.tolist(), ports, strict=True))
            self.paths.append([])
            for index, (parent, path) in enumerate(zip(above, way, strict=True)):
                at = layer[parent]
                points = [(begin[at] + (depth[at] + along[parent]) / 2, middle(level[parent]))]
                for at, y in path[1:-1]:
                    points += [(begin[at], middle(y)), (begin[at] + depth[at], middle(y))]
                at = layer[child]
                points.append((begin[at] + (depth[at] - along[child]) / 2, middle(level[child]) + arrive[index]))
                self.paths[-1].append([self._turn(*point) for point in points])

    def _turn(self, along, across):
        """A point as (x, y)."""
        return (across, self.height - along) if self.down else (along, across)


# -- ink --------------------------------------------------------------------------------------------------------------


def _draw_edge(axes, points, scale, down, constant):
    """A smooth line that leaves and arrives level, with an arrow's head at its end."""
    points = np.array(points)
    flat = np.array([0, 1]) if down else np.array([1, 0])
    vertices, codes = [points[0]], [Path.MOVETO]
    for start, end in zip(points, points[1:], strict=False):
        bend = (end - start) / 2 * flat
        vertices += [start + bend, end - bend, end]
        codes += [Path.CURVE4] * 3
    tint = colour("muted") if constant else "#8c8c8c"
    axes.add_patch(PathPatch(Path(vertices, codes), fill=False, edgecolor=tint, linewidth=1.4 * scale))
    back, side = np.array([[0, 0.09], [0.045, 0]]) if down else np.array([[-0.09, 0], [0, 0.045]])
    axes.add_patch(PathPatch(Path([end, end + back + side, end + back - side, end]), facecolor=tint, edgecolor="none"))


def _write_numbers(axes, paths, numbers, scale, down):
    """What passes along the edges into one box, each on its edge, moved apart where two would overlap."""
    written = [(np.array(path[-2:]), text) for path, text in zip(paths, numbers, strict=False) if text]
    if not written:
        return
    # On the curve, nearer the child, where edges from one parent have parted.
    at = np.array([start + (end - start) * ((0.65, 0.59) if down else (0.55, 0.58)) for (start, end), _ in written])
    across = 0 if down else 1
    at[:, across] = spread(at[:, across], (max(len(text) for _, text in written) + 2) * 0.088 if down else 0.15)
    for (x, y), (_, text) in zip(at, written, strict=True):
        axes.text(x, y, f"{'▴' if down else '◂'} {text}", ha="center", va="center", fontsize=8.5 * scale,
                  color=readable(colour("discriminator")), zorder=3.5,
                  path_effects=[withStroke(linewidth=4 * scale, foreground="white")])


def _draw_box(axes, item, lines, box, scale, last, turn):
    x, y, wide, tall = box
    edge = {"leaf": colour("model"), "result": "#555555", "constant": colour("muted")}[item.kind]
    fill = "#e3eff8" if item.kind == "leaf" else "white"
    axes.add_patch(FancyBboxPatch((x, y), wide, tall, boxstyle="round,pad=0,rounding_size=0.07", facecolor=fill,
                                  edgecolor=edge, linewidth=(2.4 if last else 1.2) * scale, zorder=3))
    for index, line in enumerate(lines):
        tint = readable(colour("discriminator")) if line.startswith("∂") else colour("data")
        axes.text(x + wide / 2, y + tall - PAD - LINE * (index + 0.5), line, ha="center", va="center", zorder=4,
                  fontsize=9 * scale, color=tint, fontweight="bold" if index == 0 and len(lines) > 1 else "normal")
    if turn:
        axes.text(x, y + tall, str(turn), ha="center", va="center", fontsize=7.5 * scale, color="white", zorder=5,
                  bbox={"boxstyle": "circle,pad=0.22", "facecolor": colour("discriminator"), "edgecolor": "none"})
