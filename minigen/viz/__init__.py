"""Pictures: one palette, one style, and the kinds of figure that lessons and recipes need.

    figure, axes = viz.figure("The bound tightens with k")    # axes in the house style, a title that states the finding
    viz.curves({"train": losses, "validation": (steps, held_out)}, "…", xlabel="step", ylabel="nats per image")
    viz.image_grid(images, 8, "First 64 samples, not picked", path="samples.png")
    viz.draw_graph(loss, names={"w": w, "b": b}, grads=True)  # the graph behind a Tensor, with its gradients
    viz.save(figure, "figures/05_iwae.png")

Colours name things, not positions: whatever came from the data has one colour in every lesson, whatever came from the
model another. The six differ in hue for readers who see all hues, for the three kinds of colour-blindness, and in
lightness on a grey printout (a test computes all of this).

Figures are made without pyplot: there is no list of open figures that grows, no window, no backend to choose. A
`Picture` shows itself in a notebook when it is the last line of a cell; everywhere else, save it.

pictures.py has the style, lines.py, images.py and words.py curves, image grids and shaded text; trace.py reads a
graph, layers.py finds a place for each of its nodes, graph.py draws it.
"""

from minigen.viz.graph import draw_graph
from minigen.viz.images import as_images, draw_images, image_grid, mosaic
from minigen.viz.lines import curves, label, label_lines, label_points, spread
from minigen.viz.pictures import (
    CYCLE,
    FILE_DPI,
    PALETTE,
    SCREEN_DPI,
    STYLE,
    WIDTH,
    Picture,
    blend,
    colour,
    figure,
    readable,
    save,
    set_title,
    style,
)
from minigen.viz.words import shaded_text

__all__ = [
    "CYCLE", "FILE_DPI", "PALETTE", "SCREEN_DPI", "STYLE", "WIDTH", "Picture", "as_images", "blend", "colour", "curves",
    "draw_graph", "draw_images", "figure", "image_grid", "label", "label_lines", "label_points", "mosaic", "readable",
    "save", "set_title", "shaded_text", "spread", "style",
]  # fmt: skip
