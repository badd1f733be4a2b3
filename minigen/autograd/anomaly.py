"""Who made the first NaN? The forward half of `detect_anomaly`."""

import os
import traceback

import numpy as np

from minigen.errors import AnomalyError

# Frames in these folders are machinery; the line that called them is the one worth naming.
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_MACHINERY = tuple(os.path.join(_PACKAGE, folder) + os.sep for folder in ("autograd", "ops", "kernels"))


def check_forward(name, y, arrays, settings):
    """Return the calling line as text, after raising AnomalyError if y holds a NaN, or an infinity that was not put in.

    An infinity among the inputs or settings is there on purpose: masks of −∞ before a softmax, padding of a max-pool.
    """
    where = calling_line()
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        given = [x for x in (*arrays, *settings.values()) if isinstance(x, float | np.ndarray)]
        if not np.isnan(y).any() and any(np.isinf(x).any() for x in given if np.asarray(x).dtype.kind == "f"):
            return where
        kind = "NaN" if np.isnan(y).any() else "infinity"
        shapes = ", ".join(str(np.shape(x)) for x in arrays if x is not None)
        clean = all(np.isfinite(x).all() for x in arrays if isinstance(x, np.ndarray) and x.dtype.kind == "f")
        source = "from finite inputs" if clean else "its inputs already held one, which came from outside"
        raise AnomalyError(f"`{name}` on shapes {shapes} made the first {kind} ({source}), called at {where}")
    return where


def calling_line():
    """file:line, and the text of the line, of the innermost caller outside the machinery."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(_MACHINERY):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "an unknown line"
