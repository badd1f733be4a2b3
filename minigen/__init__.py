"""minigen: generative modelling, built from the first matrix product up.

import minigen as mg
x = mg.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
x.grad                                    # tensor([2., 4.])
"""

from minigen import nn, ops
from minigen.autograd import (
    Tensor,
    backward,
    detect_anomaly,
    enable_grad,
    fused,
    grad,
    is_grad_enabled,
    no_grad,
    primitive,
)  # fmt: skip
from minigen.ops import *  # noqa: F403
from minigen.ops import __all__ as _operations
from minigen.version import __version__


def tensor(data, requires_grad=False, dtype=None):
    """A Tensor holding a copy of `data` (PyTorch's name for the constructor)."""
    return Tensor(data, requires_grad=requires_grad, dtype=dtype)
