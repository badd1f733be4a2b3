"""What an engine costs per operation: y ← y · W + B, fifty times on 4×4 numbers, forward and backward.

The arithmetic is next to nothing, so the time is the engine's own: recording, walking back, calling. "numpy" does the
same arithmetic with a list written by hand; no engine above NumPy can go below it.
"""

import numpy as np

STEPS = 50
OPERATIONS = 2 * STEPS
NUMBERS = np.random.default_rng(0).uniform(0.9, 1.0, (4, 4)).astype(np.float32)  # chains neither grow nor vanish


def build(engine):
    """One forward and backward pass as a function."""
    makers = {"minigen": _minigen, "torch": _torch, "autograd": _hips, "numpy": by_hand}
    return makers[engine]()


def _minigen():
    from minigen import tensor

    w, b = tensor(NUMBERS, requires_grad=True), tensor(NUMBERS, requires_grad=True)
    x = tensor(NUMBERS)

    def run():
        w.grad = b.grad = None
        y = x
        for _ in range(STEPS):
            y = y * w + b
        y.backward(NUMBERS)

    return run


def _torch():
    import torch

    w, b = (torch.from_numpy(NUMBERS.copy()).requires_grad_() for _ in range(2))
    x, one = torch.from_numpy(NUMBERS.copy()), torch.from_numpy(NUMBERS.copy())

    def run():
        w.grad = b.grad = None
        y = x
        for _ in range(STEPS):
            y = y * w + b
        y.backward(one)

    return run


def _hips():
    import autograd.numpy as xp
    from autograd import grad

    def total(w, b):
        y = NUMBERS
        for _ in range(STEPS):
            y = y * w + b
        return xp.sum(y)

    gradient = grad(total, (0, 1))
    return lambda: gradient(NUMBERS, NUMBERS)


def by_hand():
    """The same on arrays: save each y, walk back, add up."""

    def run():
        y, saved = NUMBERS, []
        for _ in range(STEPS):
            saved.append(y)
            y = y * NUMBERS
            y = y + NUMBERS
        g, g_w, g_b = np.ones_like(y), None, None
        for y in reversed(saved):
            g_b = g if g_b is None else g_b + g
            term = g * y
            g_w = term if g_w is None else g_w + term
            g = g * NUMBERS

    return run
