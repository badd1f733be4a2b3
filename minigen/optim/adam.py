"""Adam and its relatives: a step size for every parameter, learnt from the size of its gradients.

    m ← β₁ m + (1 − β₁) g            running mean of the gradient           `exp_avg`           (O.4)
    v ← β₂ v + (1 − β₂) g²           running mean of its square             `exp_avg_sq`        (O.5)
    m̂ = m / (1 − β₁ᵗ),   v̂ = v / (1 − β₂ᵗ)                                                    (O.6)
    p ← p − lr · m̂ / (√v̂ + ε)                                                                  (O.7)

m and v start at zero, so after t steps they are too small by the factors in (O.6): a running mean of a constant c is
c (1 − βᵗ). At the first step m̂ = g and v̂ = g²: every parameter moves by lr, whatever the size of its gradient.

So that the loop over the parameters has less to do, (O.6) is folded into (O.7). With r = √(1 − β₂ᵗ),

    m̂ / (√v̂ + ε) = r / (1 − β₁ᵗ) · m / (√v + r ε)                                              (O.8)

The loops themselves are in kernels/reference/optimizer.py, in plain NumPy, and kernels/optimizer.py.
"""

import numpy as np

from minigen import kernels
from minigen.optim.optimizer import Optimizer


class Adam(Optimizer):
    """Adaptive moment estimation.

    params:        Tensors, or a list of dicts (groups); see Optimizer.
    lr:            step size: about how far a parameter moves per step, in its own units.
    betas:         memory of the running means: about 1/(1 − β) steps each.
    eps:           added to √v̂, so that parameters with tiny gradients stay put.
    weight_decay:  adds this multiple of the parameter to its gradient (see AdamW for the better way).
    amsgrad:       divide by the largest v so far instead of the current one.

    Equation: (O.4)–(O.7) in the module's docstring.
    Source:   Kingma & Ba 2014, arXiv:1412.6980; amsgrad: Reddi et al. 2018, arXiv:1904.09237.  Differs: nothing.
    """

    limits = {"lr": (0.0, np.inf), "betas": (0.0, 1.0), "eps": (0.0, np.inf), "weight_decay": (0.0, np.inf)}

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, options)

    def _state_names(self, options):
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if options["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def _decay(self, options):
        """The two kinds of weight decay: what part of p is added to the gradient, and by what p is multiplied."""
        return {"decay": options["weight_decay"], "shrink": 1.0}

    def _update(self, options, step, p, gradients, exp_avg, exp_avg_sq, max_exp_avg_sq=None):
        beta1, beta2 = options["betas"]
        r = (1.0 - beta2**step) ** 0.5
        factors = {"rate": options["lr"] * r / (1.0 - beta1**step), "eps": r * options["eps"]}  # (O.8)
        factors |= self._decay(options)
        kernels.adam(p, gradients, exp_avg, exp_avg_sq, max_exp_avg_sq, betas=options["betas"], **factors)


class AdamW(Adam):
    """Adam with decoupled weight decay: parameters shrink by lr · weight_decay per step, whatever their gradients.

    In Adam the decay passes through the division by √v, so parameters with large gradients hardly decay. Here it
    does not: p ← (1 − lr · weight_decay) p, then Adam's step.

    Source:   Loshchilov & Hutter 2017, arXiv:1711.05101.  Differs: lr multiplies the decay, as in PyTorch.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)

    def _decay(self, options):
        return {"decay": 0.0, "shrink": 1.0 - options["lr"] * options["weight_decay"]}


class Adamax(Adam):
    """Adam with the largest recent |g| in place of the root of its mean square.

    u ← max(β₂ u, |g| + ε)            `exp_inf`                                                 (O.9)
    p ← p − lr · m̂ / u                                                                         (O.10)

    Source:   Kingma & Ba 2014, arXiv:1412.6980, section 7.1.  Differs: ε, as in PyTorch.
    """

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        Optimizer.__init__(self, params, options)

    def _state_names(self, options):
        return ("exp_avg", "exp_inf")

    def _update(self, options, step, p, gradients, exp_avg, exp_inf):
        rate = options["lr"] / (1.0 - options["betas"][0] ** step)
        settings = {"betas": options["betas"], "eps": options["eps"], "decay": options["weight_decay"]}
        kernels.adamax(p, gradients, exp_avg, exp_inf, rate=rate, **settings)
