"""`compare`: two ways to the same number, side by side."""

import numpy as np

from minigen.errors import ShapeError
from minigen.learn.page import say


def compare(a, b, expect, *, names=("one side", "the other"), relative=False):
    """Print two results, their largest difference, and whether it is within what was to be expected.

    expect:    the largest difference that the method allows: rounding for algebra, a few standard errors for Monte
               Carlo. Say it before you look.
    names:     what to call the two sides
    relative:  measure the difference relative to the size of b
    Raises:    ShapeError if the shapes differ. A difference that is too large is printed, not raised.
    """
    a, b = (np.asarray(getattr(side, "data", side), dtype=np.float64) for side in (a, b))
    if a.shape != b.shape:
        raise ShapeError(f"compare: {names[0]} has shape {a.shape}, {names[1]} has {b.shape}; expected the same")
    difference = np.abs(a - b)
    if relative:
        difference = difference / np.maximum(np.abs(b), np.finfo(float).tiny)
    largest = float(np.max(difference, initial=0.0))
    width = max(map(len, names)) + 1
    for name, side in zip(names, (a, b), strict=True):
        say(f"{name + ':':<{width}} {numbers(side)}")
    kind = "relative difference" if relative else "difference"
    passed = largest <= expect  # False for NaN
    verdict = "✓ agree" if passed else "✗ do NOT agree"
    say(f"{verdict}: largest {kind} {largest:.2g}, expected at most {expect:.2g}")


def numbers(array, most=6):
    """The first few numbers of an array, on one line."""
    array = np.asarray(array)
    if array.ndim == 0:
        return f"{array:.6g}"
    flat = array.reshape(-1)
    text = "  ".join(f"{value:.4g}" for value in flat[:most])
    return text + (f"  … ({flat.size} numbers)" if flat.size > most else "")
