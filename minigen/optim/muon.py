"""Muon: a step that changes a matrix equally in all directions.

The gradient G of a weight matrix is a sum over examples, and a few directions outweigh the rest: of its singular values
G = U diag(s) Vᵀ the largest are many times the others. Steps along G move the weights in these few directions only. If
all of the s are made 1, directions that are rare in the data are learnt as fast as the frequent ones:

    b ← momentum · b + (1 − momentum) · G                                                      (O.12)
    O = U Vᵀ  of  G + momentum · (b − G)        Nesterov's look ahead                          (O.13)
    W ← (1 − lr · weight_decay) W − lr · √max(1, rows/columns) · O                             (O.14)

U Vᵀ without a singular value decomposition: for odd polynomials, φ(X) = aX + b(XXᵀ)X + c(XXᵀ)²X = U diag(φ(s)) Vᵀ,
since XXᵀ = U diag(s²) Uᵀ. So a few matrix products, repeated, bring all of the s near 1 (Newton–Schulz):

    X₀ = M/‖M‖,     X ← aX + b(XXᵀ)X + c(XXᵀ)²X,     a, b, c = 3.4445, −4.7750, 2.0315        (O.15)

Division by the length ‖M‖ (Frobenius) puts the s between 0 and 1. The steep slope a at 0 brings up small ones: after
five rounds all from 0.003 to 1 are between 0.67 and 1.21. Nearer to 1 it need not be.

It is for the matrices inside of a network. Embeddings, vectors and the last layer go to AdamW.
"""

import numpy as np

from minigen import kernels
from minigen.errors import ShapeError
from minigen.optim.optimizer import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Momentum, orthogonalised.

    params:        Tensors of two axes, or a list of dicts (groups); see Optimizer.
    lr:            step size: about how much each singular value of a square matrix changes per step.
    momentum:      how much of the last direction is kept.
    weight_decay:  parameters shrink by lr · weight_decay per step, as in AdamW.
    rounds:        of (O.15).

    Equation: (O.12)–(O.15) in the module's docstring.
    Source:   Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks" (kellerjordan.github.io).
              Differs: (O.15) in the parameters' own precision.
    Raises:   ShapeError for a parameter that is no matrix.
    """

    limits = {"lr": (0.0, np.inf), "momentum": (0.0, 1.0), "weight_decay": (0.0, np.inf), "rounds": (1, 100)}

    def __init__(self, params, lr=0.02, momentum=0.95, weight_decay=0.0, rounds=5):
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "rounds": rounds}
        super().__init__(params, options)

    def _check_params(self, params):
        super()._check_params(params)
        for position, p in enumerate(params):
            if p.ndim != 2:
                raise ShapeError(f"Muon: parameter {position} has shape {p.shape}; expected two axes. Give the others "
                                 f"to AdamW")

    def _state_names(self, options):
        return ("momentum_buffer",)

    def _update(self, options, step, p, gradients, momentum_buffer):
        momentum, end = options["momentum"], 0
        p *= 1.0 - options["lr"] * options["weight_decay"]
        for gradient in gradients:
            place = slice(end, end := end + gradient.size)
            average = momentum_buffer[place].reshape(gradient.shape)  # a view
            average += (1.0 - momentum) * (gradient - average)  # (O.12)
            direction = orthogonalized(gradient + momentum * (average - gradient), int(options["rounds"]))  # (O.13)
            rows, columns = gradient.shape
            p[place] -= options["lr"] * max(1.0, rows / columns) ** 0.5 * direction.reshape(-1)  # (O.14)


def orthogonalized(matrix, rounds=5):
    """The matrix with all its singular values brought near 1.

    Equation: (O.15)
    Shapes:   (M, N) → (M, N)
    """
    a, b, c = COEFFICIENTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix  # the small side first: XXᵀ is then small
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(rounds):
        square = kernels.matrix_product(x, x.T)
        x = a * x + kernels.matrix_product(b * square + c * kernels.matrix_product(square, square), x)
    return x.T if matrix.shape[0] > matrix.shape[1] else x
