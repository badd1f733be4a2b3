"""The learning rate over time.

Large steps cover ground, small ones settle; at the very start Adam's v is an average over few gradients and large
steps are dangerous. Hence the usual shape: rise for `warmup` steps, then fall along half a cosine until step `total`.

A schedule here is a function of the step number and has no memory: resuming at step 1,000 means calling it with 1000.
The functions give the *factor* by which each group's own learning rate is multiplied. Steps count from 0.
"""

import math


def constant(step, warmup=0):
    """1, after a linear rise over the first `warmup` steps: (step + 1) / warmup."""
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def linear(step, total, warmup=0, final=0.0):
    """Rise over `warmup` steps, then fall in a straight line from 1 to `final` at step `total`; `final` after that."""
    if step < warmup:
        return constant(step, warmup)
    return 1.0 + (final - 1.0) * _progress(step, total, warmup)


def cosine(step, total, warmup=0, final=0.0):
    """Rise over `warmup` steps, then fall along half a cosine from 1 to `final` at step `total`; `final` after that.

    Equation: final + (1 − final) · ½ (1 + cos(π · (step − warmup) / (total − warmup)))
    Source:   Loshchilov & Hutter 2016, arXiv:1608.03983.  Differs: warm-up, no restarts.
    """
    if step < warmup:
        return constant(step, warmup)
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * _progress(step, total, warmup)))


def _progress(step, total, warmup):
    return min(1.0, (step - warmup) / (total - warmup))


class Schedule:
    """Sets the learning rate of every group of an optimiser: its initial one, times a factor.

    optimizer:  any Optimizer. The rates that its groups have now become their "initial_lr" and are saved with it.
    factor:     a function of the step, `constant`, `linear`, `cosine` or your own.
    settings:   what the function takes besides the step.

    Use:  schedule = Schedule(optimizer, cosine, total=2000, warmup=100)
          for step in range(2000): schedule(step); …; optimizer.step()

    Nothing needs saving but the step number. On resuming, restore the optimiser and call `schedule(step)`: the initial
    rates come back with the optimiser.

    Raises: ValueError if warmup is negative or not below total.
    """

    def __init__(self, optimizer, factor, **settings):
        warmup, total = settings.get("warmup", 0), settings.get("total", math.inf)
        if not 0 <= warmup < total:
            raise ValueError(f"Schedule: warmup={warmup} and total={total}; expected 0 ≤ warmup < total")
        self.optimizer = optimizer
        self.factor = factor
        self.settings = settings
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def __call__(self, step):
        """Set the learning rates for this step; returns the factor."""
        factor = self.factor(step, **self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        return factor
