"""What the engine is doing at the moment, per thread: recording or not, watching for NaN or not."""

import functools
import threading


class _Mode(threading.local):
    """Class attributes are the defaults that every new thread starts with."""

    recording = True
    anomaly = False


mode = _Mode()


class _Switches:
    """How many of the switches below are in use, in all threads together: a quick "is anything unusual?"."""

    in_use = 0
    lock = threading.Lock()


switches = _Switches()


class _Switch:
    """Set one field of `mode` inside a `with` block (or a decorated function), and put it back after."""

    field = ""
    value = False

    def __init__(self):
        self._before = []

    def __enter__(self):
        self._before.append(getattr(mode, self.field))
        setattr(mode, self.field, self.value)
        with switches.lock:
            switches.in_use += 1
        return self

    def __exit__(self, *exc_info):
        setattr(mode, self.field, self._before.pop())
        with switches.lock:
            switches.in_use -= 1

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)

        return wrapped


class no_grad(_Switch):
    """Inside `with no_grad():` operations leave no trace: results have no history and cost no memory.

    Also a decorator, `@no_grad()`. Parameters may be changed in place inside it (`weight -= 0.1 * weight.grad`).
    """

    field, value = "recording", False


class enable_grad(_Switch):
    """Undo an enclosing `no_grad` for a block, or for a decorated function."""

    field, value = "recording", True


class detect_anomaly(_Switch):
    """Inside `with detect_anomaly():` the first NaN or infinity raises an AnomalyError that says who made it.

    The message names the operation, whether it happened going forward or in a gradient, and the line of
    your code that called the operation. Every result is scanned, so training is slower; use it to find a fault.
    """

    field, value = "anomaly", True


def is_grad_enabled():
    """True when operations on tensors that require gradients are being recorded."""
    return mode.recording
