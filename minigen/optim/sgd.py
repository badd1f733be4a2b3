"""Stochastic gradient descent, with momentum.

    g ← g + weight_decay · p                                                                    (O.1)
    b ← momentum · b + (1 − dampening) · g,     b = g at the first step                         (O.2)
    p ← p − lr · b                      or with Nesterov's look ahead  p ← p − lr (g + momentum · b)     (O.3)

Momentum adds up gradients that agree and cancels those that alternate: with a steady gradient the speed grows to
lr · g / (1 − momentum), ten times the plain step at momentum 0.9.
"""

import numpy as np

from minigen import kernels
from minigen.optim.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent.

    params:        Tensors, or a list of dicts (groups); see Optimizer.
    lr:            step size.
    momentum:      how much of the last direction is kept, 0 for none.
    dampening:     takes this share off the gradient that enters the momentum.
    weight_decay:  adds this multiple of the parameter to its gradient (an L2 penalty).
    nesterov:      look ahead along the momentum; needs momentum > 0 and dampening = 0.

    Equation: (O.1)–(O.3) in the module's docstring.
    Source:   Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
              Differs: lr multiplies the momentum, not the gradient that enters it, as in PyTorch.
    """

    limits = {name: (0.0, np.inf) for name in ("lr", "momentum", "weight_decay")}

    def __init__(self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
        options = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**options, "nesterov": nesterov})

    def _check_options(self, options):
        super()._check_options(options)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov=True with momentum={options['momentum']} and dampening={options['dampening']}; "
                "expected momentum > 0 and dampening = 0"
            )

    def _state_names(self, options):
        return ("momentum_buffer",) if options["momentum"] else ()

    def _update(self, options, step, p, gradients, momentum_buffer=None):
        momentum = options["momentum"]
        kernels.sgd(
            p,
            gradients,
            momentum_buffer,
            lr=options["lr"],
            keep=momentum,
            enter=1.0 if step == 1 else 1.0 - options["dampening"],  # (O.2); b is 0 before the first step
            look_ahead=momentum if options["nesterov"] else 0.0,
            decay=options["weight_decay"],
        )
