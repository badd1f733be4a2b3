"""Sliders where a kernel and ipywidgets are, the same picture without them where they are not."""

import base64
import os

import pytest

from minigen import learn, viz
from minigen.errors import MinigenError

DRAW = """
from minigen import learn, viz
drawn = []

def draw(weight=1.0, steps=3, kind="a"):
    drawn.append((weight, steps, kind))
    figure, axes = viz.figure("Finding")
    axes.plot([0, weight])
    return figure

learn.explore(draw, weight=(-4, 4, 0.5), steps=(1, 9), kind=["a", "b"])
"""


def run_cells(*sources, **environment):
    """The outputs of cells executed in a fresh kernel."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client.NotebookClient(notebook, timeout=100, kernel_name="python3").execute(env=os.environ | environment)
    return [cell.outputs for cell in notebook.cells]


def is_png(text):
    return base64.b64decode(text)[:8] == b"\x89PNG\r\n\x1a\n"


def test_outside_a_notebook_it_returns_the_picture_of_the_defaults():
    asked = []

    def draw(weight=1.0):
        asked.append(weight)
        return viz.figure("Finding")[0]

    assert isinstance(learn.explore(draw, weight=(-4, 4)), viz.Picture)
    assert asked == [1.0]


@pytest.mark.parametrize(("controls", "message"), [
    ({}, r"takes \['weight'\], the controls are for \[\]"),
    ({"weight": (0, 2), "bias": (0, 1)}, "expected one control for each argument"),
    ({"weight": (2, 3)}, r"starts at 1.0, outside its control \(2, 3\)"),
    ({"weight": ["a", "b"]}, "starts at 1.0, outside its control"),
])  # fmt: skip
def test_controls_that_do_not_fit_are_named(controls, message):
    with pytest.raises(MinigenError, match=message):
        learn.explore(lambda weight=1.0: viz.figure("Finding")[0], **controls)


def test_an_argument_without_a_default_is_named():
    with pytest.raises(MinigenError, match="argument 'weight' has no default"):
        learn.explore(lambda weight: None, weight=(0, 1))


def test_in_a_live_notebook_the_output_holds_sliders_and_the_picture():
    pytest.importorskip("ipywidgets")
    # The second cell moves each slider, as a reader would.
    move = """
import ipywidgets
widgets = list(ipywidgets.Widget.widgets.values())
sliders = {widget.description: widget for widget in widgets if hasattr(widget, "description")}
(image,) = [widget for widget in widgets if isinstance(widget, ipywidgets.Image)]
before = image.value
sliders["weight"].value, sliders["steps"].value, sliders["kind"].value = 2.5, 7, "b"
print(type(sliders["weight"]).__name__, type(sliders["steps"]).__name__, drawn[0], drawn[-1], image.value != before)
"""
    shown, moved = run_cells(DRAW, move, MINIGEN_STATIC="")
    (bundle,) = [out.data for out in shown if out.output_type == "display_data"]
    assert "application/vnd.jupyter.widget-view+json" in bundle and is_png(bundle["image/png"])
    (text,) = [out.text for out in moved if out.get("name") == "stdout"]
    assert text.strip() == "FloatSlider IntSlider (1.0, 3, 'a') (2.5, 7, 'b') True"


def test_a_static_page_holds_the_picture_alone():
    ((out,),) = run_cells(DRAW, MINIGEN_STATIC="1")
    assert is_png(out.data["image/png"]) and not any("widget" in kind for kind in out.data)
