"""What a model does with what it is handed, and with itself meanwhile: floating-point numbers, and evaluation mode."""

import contextlib

import numpy as np

from minigen.autograd import Tensor


def floating(x):
    """x, or what a Tensor holds, as an array of floating-point numbers; other numbers become float32.

    Otherwise noise that is added in the type of x would be cut to whole numbers without a word.
    """
    x = x.data if isinstance(x, Tensor) else np.asarray(x)
    return x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float32)


@contextlib.contextmanager
def evaluating(module):
    """Inside `with`, the module drops nothing; then each of its parts returns to the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for part, mode in modes:
            part.training = mode
