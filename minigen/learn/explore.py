"""`explore`: a picture with sliders where a kernel is running, and the same picture without them where none is.

    def draw(weight=1.0, bias=0.0):
        figure, axes = viz.figure("…")
        …
        return figure

    learn.explore(draw, weight=(-4, 4, 0.1), bias=["-1", "0", "1"])

The defaults in the function's signature are the picture that a reader without a kernel sees; it is part of the
notebook's saved output in any case. Sliders are added in a live notebook with ipywidgets (`pip install '.[lessons]'`
brings it), unless MINIGEN_STATIC is set, as it is while the lessons are executed for the repository.
"""

import inspect
import os

from minigen.errors import MinigenError
from minigen.learn.page import notebook_display, say


def explore(draw, **controls):
    """Show draw() with its defaults, and under it sliders that draw it again.

    draw:      returns a picture; every argument has a default, which is where its slider starts
    controls:  one for each argument: (low, high) or (low, high, step) for a slider, a list for a choice
    Returns:   nothing in a notebook, where the picture is displayed; elsewhere the picture of the defaults.
    Raises:    MinigenError if an argument has no control or no default, or a default lies outside its control.
    """
    defaults = _defaults(draw, controls)
    display = notebook_display()
    if display is None:
        return draw()
    widgets = _widgets()
    if widgets is None:
        display(draw())
        return None
    _live(draw, controls, defaults, widgets, display)
    return None


def _defaults(draw, controls):
    parameters = inspect.signature(draw).parameters
    if parameters.keys() != controls.keys():
        raise MinigenError(f"explore: the function takes {list(parameters)}, the controls are for {list(controls)}; "
                           "expected one control for each argument")
    for name, parameter in parameters.items():
        start, control = parameter.default, controls[name]
        if start is parameter.empty:
            raise MinigenError(f"explore: argument {name!r} has no default; the picture without sliders needs one")
        inside = start in control if isinstance(control, list) else control[0] <= start <= control[1]
        if not inside:
            raise MinigenError(f"explore: argument {name!r} starts at {start!r}, outside its control {control!r}")
    return {name: parameter.default for name, parameter in parameters.items()}


def _widgets():
    """ipywidgets, or None where there is nobody to move a slider."""
    if os.environ.get("MINIGEN_STATIC"):
        return None
    try:
        import ipywidgets
    except ImportError:
        say("(pip install ipywidgets gives this picture sliders.)")
        return None
    return ipywidgets


def _live(draw, controls, defaults, widgets, display):
    """One display that holds both: a front end that knows widgets shows the sliders, any other the picture."""
    sliders = {name: _slider(widgets, name, control, defaults[name]) for name, control in controls.items()}
    first = draw()._repr_png_()
    image = widgets.Image(value=first, format="png", layout={"max_width": "100%"})

    def redraw(_):
        image.value = draw(**{name: slider.value for name, slider in sliders.items()})._repr_png_()

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    panel = widgets.VBox([*sliders.values(), image])
    bundle = panel._repr_mimebundle_() | {"image/png": first}
    display({kind: _text(data) for kind, data in bundle.items()}, raw=True)


def _text(data):
    """Raw bundles hold text: pictures go in base64."""
    import base64

    return base64.b64encode(data).decode() if isinstance(data, bytes) else data


def _slider(widgets, name, control, start):
    """A drop-down for a list, else a slider over whole or real numbers, drawn again when it is let go."""
    label = {"description": name.replace("_", " "), "style": {"description_width": "initial"}}
    if isinstance(control, list):
        return widgets.Dropdown(options=control, value=start, **label)
    low, high, *step = control
    whole = all(isinstance(number, int) for number in (low, high, start, *step))
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    step = step[0] if step else 1 if whole else (high - low) / 50
    return kind(value=start, min=low, max=high, step=step, continuous_update=False, **label)
