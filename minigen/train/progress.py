"""What a run tells: a progress bar on the screen, and one line of JSON per step in metrics.jsonl."""

import json
import math
import sys
import warnings
from pathlib import Path

from minigen.data.cache import atomic_write


def bar(total, start, *, wanted, label=""):
    """A tqdm bar with rate and time left; in a notebook a graphical one, and none where nobody watches.

    Nobody watches when `wanted` is False or standard error is not a terminal.
    """
    if not wanted:
        return Silence()
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # ipywidgets is missing: tqdm then draws in text, which will do
        from tqdm.auto import tqdm
    # disable=None: silent when the stream is no terminal. A notebook's stream is none either, but somebody watches.
    disable = False if _in_notebook() else None
    return tqdm(total=total, initial=start, desc=label or None, disable=disable, file=sys.stderr, dynamic_ncols=True,
                unit="step", smoothing=0.05)


def _in_notebook():
    """True in a notebook's kernel: asked of IPython only if it is there already."""
    find_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return find_shell is not None and hasattr(find_shell(), "kernel")


class Silence:
    """A bar that draws nothing."""

    def update(self, n=1):
        """Pass over one step."""

    def set_postfix_str(self, text, refresh=True):
        """Pass over a text."""

    def close(self):
        """Nothing to take down."""


class MetricsLog:
    """metrics.jsonl: one line per step, `{"step": 3, "loss": 181.2, …, "seconds": 0.01}`.

    A resumed run starts again from its checkpoint, so the lines after the checkpoint's step are dropped first: every
    step stands in the file once.
    """

    def __init__(self, folder, start):
        self._stream = None
        if folder is None:
            return
        path = Path(folder) / "metrics.jsonl"
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= start] if start else []
        with atomic_write(path) as stream:
            stream.write("".join(line + "\n" for line in kept).encode())
        self._stream = open(path, "a", encoding="utf-8")

    def write(self, report):
        """Append one report."""
        if self._stream is None:
            return
        line = {"step": report.step, **report.metrics, "seconds": round(report.seconds, 6)}
        # JSON has no NaN: a metric that is not finite is null.
        line = {name: value if math.isfinite(value) else None for name, value in line.items()}
        self._stream.write(json.dumps(line) + "\n")

    def flush(self):
        """Hand all lines to the operating system: done before each checkpoint, so that none is missing behind it."""
        if self._stream is not None:
            self._stream.flush()

    def close(self):
        """Flush and close."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def read_metrics(folder):
    """The metrics of a run as a dict from name to the list of pairs (step, value): for loss curves."""
    curves = {}
    for line in _whole_lines(Path(folder) / "metrics.jsonl"):
        record = json.loads(line)
        step = record.pop("step")
        for name, value in record.items():
            curves.setdefault(name, []).append((step, value))
    return curves


def _whole_lines(path):
    """The complete lines of the file; what a killed process left half written is passed over."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")[:-1]  # the piece after the last line break is empty, or half a line
    return [line for line in lines if line.startswith("{") and line.endswith("}")]
