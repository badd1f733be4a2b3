"""Training: the loop (`loop.py`), what a checkpoint holds (`state.py`) and how it lies on disk (`checkpoint.py`), the
progress bar and the log (`progress.py`), Ctrl-C (`interrupts.py`). Read in this order."""

from minigen.train.checkpoint import Checkpoints, load, save
from minigen.train.loop import EarlyStopping, Report, fit
from minigen.train.progress import read_metrics
from minigen.train.state import Counter, capture, restore

__all__ = [
    "Checkpoints", "Counter", "EarlyStopping", "Report", "capture", "fit", "load", "read_metrics", "restore", "save",
]  # fmt: skip
