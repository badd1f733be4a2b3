"""The training loop. It knows nothing about models: it calls `step()` again and again, and keeps what it was told.

What it adds to a bare `for` loop: a progress bar, a log of metrics, early stopping, and checkpoints from which a run
that was killed at any moment goes on in the same bits as if it had never stopped. A Ctrl-C waits for the running step,
saves, and says how to go on. A loss that is no longer a number stops the run, and the last good checkpoint stays.

Order of one turn, which is what makes resuming exact: the step; the validation; the log; the caller's own loop body;
the checkpoint. So a checkpoint of step k contains all that was done for step k, and nothing of step k + 1.
"""

import contextlib
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

from minigen.errors import CheckpointError, TrainingError
from minigen.kernels.threads import num_threads
from minigen.train.checkpoint import Checkpoints
from minigen.train.interrupts import Interrupts
from minigen.train.progress import MetricsLog, bar
from minigen.train.state import capture, check_names, finite_paths, first_spoilt, restore


class Report(NamedTuple):
    """What one step came to: its number (from 1), its metrics as floats, the seconds of training so far."""

    step: int
    metrics: dict
    seconds: float


class EarlyStopping:
    """The best validation so far, the state that reached it, and how long ago that was."""

    def __init__(self, state, names, patience):
        self.state = {name: state[name] for name in names}
        self.patience = patience
        self.best, self.best_step, self.since, self.kept = math.inf, 0, 0, None

    def update(self, step, value):
        """Take in one validation; remember the state if it is the best."""
        self.since += 1
        if value < self.best:
            self.best, self.best_step, self.since, self.kept = value, step, 0, capture(self.state)

    @property
    def exhausted(self):
        """True when `patience` validations in a row brought nothing better."""
        return self.patience is not None and self.since >= self.patience

    def state_dict(self):
        """For the checkpoint."""
        return {"best": self.best, "best_step": self.best_step, "since": self.since, "kept": self.kept}

    def load_state_dict(self, tree):
        """From the checkpoint."""
        for name in ("best", "best_step", "since", "kept"):
            setattr(self, name, tree[name])

    def put_back(self):
        """Put the best state into the live objects."""
        if self.kept is not None:
            restore(self.state, self.kept)


def fit(step, steps, *, state, folder=None, validate=None, validate_every=0, patience=None, keep_best=None,
        checkpoint_every=None, resume=False, progress=True, threads=None, settings=None, label="", how_to_resume=None):
    """Train: `for report in fit(step, 1000, state={"model": model, "optimizer": optimizer, "rng": rng}): …`

    step:              a function without arguments that does one training step and returns its loss as a float, or a
                       dict of floats whose first entry is the loss.
    steps:             how many steps in all.
    state:             dict from name to live object: all that changes in training (see `train/state.py`).
    folder:            where metrics.jsonl and checkpoints/ go; None keeps nothing on disk.
    validate:          a function without arguments that returns a number to be made small; called every
                       `validate_every` steps and after the last. When training ends, the entries of the state named in
                       `keep_best` (default: those called "model" and "ema") are set back to where it was smallest.
    patience:          stop after so many validations in a row without a new best; None: never.
    checkpoint_every:  in steps; default a twentieth of all.
    resume:            go on from the newest checkpoint in the folder; without one start at the beginning.
    threads:           how many threads compute while this trains, in the whole process; None: as many as
                       `kernels/threads.py` chose, or as `minigen.set_num_threads` said.
    settings:          a dict of plain values that identifies the run; a checkpoint with others is refused.

    Yields a Report after every step. Leaving the loop early (break, Ctrl-C) saves a checkpoint first.

    Raises:   TrainingError if the loss, the validation or a weight stops being finite: the last good checkpoint stays;
              CheckpointError if the folder holds a run and resume is False, or one that does not fit this one.
    """
    check_names(state)
    if validate is not None and validate_every < 1:
        raise TrainingError(f"fit: validate is given, but validate_every is {validate_every}; expected 1 or more")
    if validate is None and patience is not None:
        raise TrainingError("fit: patience is given, but validate is not")
    stopping = None
    if validate is not None:
        names = [name for name in ("model", "ema") if name in state] if keep_best is None else list(keep_best)
        if not names or set(names) - set(state):
            raise TrainingError(f"fit: keep_best is {names}; expected names from the state, {sorted(state)}")
        stopping = EarlyStopping(state, names, patience)
    settings = {"steps": steps, "validate_every": validate_every, "patience": patience, **(settings or {})}
    saver = _Saver(folder, state, stopping, settings, checkpoint_every or max(1, steps // 20))
    start, seconds = saver.begin(resume)
    # A fresh generator object, so that wrong arguments are reported by the call and not by the first iteration.
    return _steps(step, steps, start, seconds, validate, validate_every, stopping, saver, threads,
                  MetricsLog(folder, start), bar(steps, start, wanted=progress, label=label),
                  how_to_resume or f"the same call with resume=True and folder={str(folder)!r}")


def _steps(step, steps, start, seconds, validate, validate_every, stopping, saver, threads, log, screen, how_to_resume):
    interrupts, now = Interrupts(), start
    whole = True  # False while a step is under way
    limits = contextlib.ExitStack()
    limits.enter_context(num_threads(threads))
    try:
        while now < steps and not (stopping and stopping.exhausted):
            begun = time.perf_counter()
            with interrupts.held():
                whole = False
                metrics = _checked(step(), now + 1)
                if validate is not None and ((now + 1) % validate_every == 0 or now + 1 == steps):
                    metrics["validation"] = _finite(validate(), "validation", now + 1)
                    stopping.update(now + 1, metrics["validation"])
                now, seconds = now + 1, seconds + time.perf_counter() - begun
                report = Report(now, metrics, seconds)
                log.write(report)
                whole = True
            loss = next(iter(metrics))
            screen.set_postfix_str(f"{loss} {metrics[loss]:.4g}", refresh=False)
            screen.update()
            yield report
            if interrupts.noted:
                raise KeyboardInterrupt
            if now == steps or (stopping and stopping.exhausted) or now % saver.every == 0:
                with interrupts.held():
                    log.flush()
                    saver.write(now, seconds)
        if interrupts.noted:  # during the last checkpoint
            raise KeyboardInterrupt
        if stopping:
            stopping.put_back()
        screen.total = now  # after early stopping the bar is full too
    except (KeyboardInterrupt, GeneratorExit) as left:
        # GeneratorExit: the caller's loop was left, by break, by an error, or by Ctrl-C in its body.
        if whole and now > start:
            with interrupts.held():
                log.flush()
                saver.write(now, seconds)
        if isinstance(left, KeyboardInterrupt):
            screen.close()
            print(_farewell(now, steps, saver, how_to_resume), file=sys.stderr, flush=True)
        raise
    finally:
        limits.close()
        screen.close()
        log.close()


def _farewell(now, steps, saver, how_to_resume):
    if saver.files is None:
        return f"Stopped after step {now} of {steps}. Nothing was saved, because no folder was given."
    saved = saver.files.steps()
    if not saved:
        return f"Stopped after step {now} of {steps}, before the first checkpoint."
    return f"Stopped after step {now} of {steps}; saved at step {saved[-1]}. To go on: {how_to_resume}"


class _Saver:
    """Checkpoints of the state together with the loop's own."""

    def __init__(self, folder, state, stopping, settings, every):
        self.files = None if folder is None else Checkpoints(Path(folder) / "checkpoints")
        self.state, self.stopping, self.settings, self.every = state, stopping, settings, every
        self.written = None

    def begin(self, resume):
        """The step and the seconds at which to start: 0 and 0.0, or where the newest checkpoint was made."""
        step, seconds = 0, 0.0
        if self.files is not None and resume:
            tree = self.files.read_newest()
            if tree is not None:
                self._load(tree)
                step, seconds = tree["step"], tree["seconds"]
        elif self.files is not None and self.files.steps():
            raise CheckpointError(f"{self.files.folder}: holds checkpoints of an earlier run (step "
                                  f"{self.files.steps()[-1]}); resume it, or choose another folder")
        self.written = step if step else None
        self.finite = finite_paths(capture(self.state)) if self.files is not None else set()
        return step, seconds

    def _load(self, tree):
        if not {"step", "seconds", "settings", "state", "stopping"} <= set(tree):
            raise CheckpointError(f"{self.files.folder}: the newest checkpoint was not written by fit")
        differences = [
            f"{name}: then {tree['settings'].get(name)!r}, now {self.settings.get(name)!r}"
            for name in sorted(set(tree["settings"]) | set(self.settings))
            if tree["settings"].get(name) != self.settings.get(name)
        ]
        if differences:
            raise CheckpointError(f"{self.files.folder}: the checkpoint belongs to a run with other settings: "
                                  + "; ".join(differences))
        restore(self.state, tree["state"])
        if self.stopping:
            self.stopping.load_state_dict(tree["stopping"])

    def write(self, step, seconds):
        """Write a checkpoint, unless a weight has stopped being finite."""
        if self.files is None or self.written == step:
            return
        tree = capture(self.state)
        spoilt = first_spoilt(tree, self.finite)
        if spoilt is not None:
            raise TrainingError(f"fit: after step {step} {spoilt} is no longer finite; no checkpoint was written, the "
                                f"last good one is of step {self.written or 0}")
        self.files.write(step, {
            "step": step, "seconds": seconds, "settings": self.settings, "state": tree,
            "stopping": self.stopping.state_dict() if self.stopping else None,
        })
        self.written = step


def _checked(result, step):
    """A step's result as a dict of floats, its loss known to be finite."""
    metrics = result if isinstance(result, dict) else {"loss": result}
    if not metrics:
        raise TrainingError(f"fit: step {step} returned an empty dict; expected its loss first")
    metrics = {name: float(value) for name, value in metrics.items()}
    name = next(iter(metrics))
    _finite(metrics[name], name, step)
    return metrics


def _finite(value, name, step):
    value = float(value)
    if not math.isfinite(value):
        raise TrainingError(f"fit: {name} is {value} at step {step}. The last checkpoint, if any, is from before. A "
                            f"smaller learning rate or clipped gradients may help; minigen.detect_anomaly() finds the "
                            f"operation that made it.")
    return value
