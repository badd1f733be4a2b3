"""minigen: generative modelling, built from the first matrix product up.

    import minigen as mg
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                    # tensor([2., 4.])

The operations are here under their PyTorch names (`mg.exp`, `mg.matmul`, …), and below them `mg.nn`, `mg.optim`,
`mg.distributions`, `mg.likelihoods` and `mg.data`. Models, recipes, training and pictures are imported by name:
`from minigen.models import vae`.
"""

from minigen import data, distributions, errors, likelihoods, nn, ops, optim
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
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.kernels.threads import get_num_threads, set_num_threads
from minigen.ops import *  # noqa: F403
from minigen.ops import __all__ as _operations
from minigen.version import __version__


def tensor(data, requires_grad=False, dtype=None):  # noqa: F811
    """A Tensor holding a copy of `data` (PyTorch's name for the constructor)."""
    return Tensor(data, requires_grad=requires_grad, dtype=dtype)
