"""The engine: Tensor, the graph of operations, gradients of any order, and the checks that prove them.

Read in this order: tensor.py (the box), primitive.py (how an operation is declared), graph.py (the walk backwards),
broadcasting.py and fused.py (two refinements), gradcheck.py (why to believe it).
"""

from minigen.autograd.broadcasting import broadcast_to, sum_to
from minigen.autograd.fused import fused
from minigen.autograd.graph import backward, grad
from minigen.autograd.mode import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from minigen.autograd.primitive import OPS, primitive
from minigen.autograd.tensor import Tensor

__all__ = [
    "OPS", "Tensor", "backward", "broadcast_to", "detect_anomaly", "enable_grad", "fused", "grad", "is_grad_enabled",
    "no_grad", "primitive", "sum_to",
]  # fmt: skip
