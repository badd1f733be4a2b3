"""Muon: momentum whose step has the same length in every direction of a matrix.

The gradient of a weight matrix is often nearly of low rank: a few directions get large steps, the rest next to none.
Write it by its singular values, G = U S Vᵀ. Muon steps along the nearest orthogonal matrix, U Vᵀ: the same directions,
all singular values 1. The decomposition itself would be slow; an odd polynomial does nearly the same. For X = U S Vᵀ,

    a X + b (X Xᵀ) X + c (X Xᵀ)² X  =  U (a S + b S³ + c S⁵) Vᵀ,                               (O.12)

so iterating it iterates s → a s + b s³ + c s⁵ on every singular value. Begin with X = G/‖G‖, all of whose singular
values are at most 1. With a, b, c = 3.4445, −4.7750, 2.0315 small values grow by 3.4 each time and large ones stay near
1: after five iterations all that began above 0.002 lie between 0.68 and 1.21. Nearer is not needed.

    m ← μ m + (1 − μ) g,      u = (1 − μ) g + μ m  (look ahead)                                (O.13)
    p ← (1 − lr · weight_decay) p − lr · √max(1, rows/columns) · orthogonal(u)                 (O.14)

The step's size has nothing to do with the gradient's, as in Adam. For embeddings, biases and gains take AdamW.
"""

import numpy as np

from minigen import kernels
from minigen.errors import ShapeError
from minigen.optim.optimizer import Optimizer

A, B, C = 3.4445, -4.7750, 2.0315


class Muon(Optimizer):
    """Momentum with orthogonal steps, for matrices.

    params:        Tensors with two axes, or a list of dicts (groups); see Optimizer.
    lr:            the length of the step in every direction; 0.02 is usual.
    weight_decay:  parameters shrink by lr · weight_decay per step, as in AdamW.
    momentum:      μ, the share of the running mean that is kept.
    nesterov:      look ahead along the momentum.
    eps:           the least length by which a matrix is divided.
    ns_steps:      iterations of (O.12).

    Equation: (O.12)–(O.14) in the module's docstring.
    Source:   Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; decoupled decay: Liu et al.
              2025, arXiv:2502.16982.  Differs: float32 where the authors have bfloat16.
    Raises:   ShapeError for a parameter that is no matrix.
    """

    limits = {"lr": (0.0, np.inf), "momentum": (0.0, 1.0), "weight_decay": (0.0, np.inf), "ns_steps": (1.0, 100.0)}

    def __init__(self, params, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True, eps=1e-7, ns_steps=5):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
                                  "eps": eps, "ns_steps": ns_steps})

    def _check_params(self, params):
        super()._check_params(params)
        for position, p in enumerate(params):
            if p.ndim != 2:
                raise ShapeError(f"Muon: parameter {position} has shape {p.shape}; expected matrices, two axes")

    def _state_names(self, options):
        return ("momentum_buffer",)

    def _update(self, options, step, p, gradients, momentum_buffer):
        keep, place = options["momentum"], 0
        p *= 1.0 - options["lr"] * options["weight_decay"]
        for gradient in gradients:
            part = slice(place, place + gradient.size)
            mean = momentum_buffer[part].reshape(gradient.shape)
            mean += (1.0 - keep) * (gradient - mean)
            ahead = gradient + keep * (mean - gradient) if options["nesterov"] else mean  # (O.13)
            rows, columns = gradient.shape
            length = options["lr"] * max(1.0, rows / columns) ** 0.5
            p[part] -= (length * orthogonal(ahead, int(options["ns_steps"]), options["eps"])).reshape(-1)  # (O.14)
            place = part.stop


def orthogonal(matrix, steps=5, eps=1e-7):
    """Nearly U Vᵀ of a matrix U S Vᵀ: singular values between 0.68 and 1.21, if they were not tiny.

    Equation: (O.12), `steps` times, on the matrix divided by its length
    Shapes:   (rows, columns) → (rows, columns)
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix  # X Xᵀ is as small as it can be
    x = wide / max(float(np.linalg.norm(wide)), eps)
    for _ in range(steps):
        square = kernels.matrix_product(x, x.T)
        x = A * x + kernels.matrix_product(B * square + C * kernels.matrix_product(square, square), x)
    return x.T if wide is not matrix else x
