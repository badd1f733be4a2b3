"""Sample inputs for everything that has a gradient: what the checks run on.

`discover()` walks the package and lists every operation, loss, layer and distribution that there is. `samples(name)`
gives the inputs to try it on. A test fails for a name that has none, so nothing new escapes the checks: see
operations.py, layers.py and probability.py for how one is added.
"""

import inspect
from dataclasses import dataclass, field

import numpy as np

from minigen import distributions, nn, ops
from minigen.autograd import OPS
from minigen.ops import loss as losses


@dataclass
class Sample:
    """One call: function(*Tensors of arrays, **settings). `parameters` are Tensors that the function holds."""

    function: object
    arrays: tuple
    settings: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)

    def __call__(self, *tensors):
        return self.function(*tensors, **self.settings)


# Functions of minigen.ops that return whole numbers, so have no gradient.
WITHOUT_GRADIENT = {"argmax", "argmin"}


def discover():
    """{name: kind} of all there is to check; kinds: primitive, fused, function, loss, layer, distribution."""
    found = {}
    for name, function in public_functions().items():
        if getattr(losses, name, None) is function and function.__module__ == losses.__name__:
            found[name] = "loss"
        elif hasattr(function, "op"):
            found[name] = kind_of(function.op)
        else:
            found[name] = "function"
    for name, op in OPS.items():
        found.setdefault(name, kind_of(op))
    found |= {name: "layer" for name in layer_classes()}
    found |= {name: "distribution" for name in distribution_methods()}
    return found


def kind_of(op):
    """primitive, or fused (an operation with a definition and kernels)."""
    return "primitive" if op.definition is None else "fused"


def public_functions():
    """The functions that minigen.ops exports, each under its first name."""
    exported = {name: getattr(ops, name) for name in sorted(ops.__all__) if name not in WITHOUT_GRADIENT}
    callables = {name: f for name, f in exported.items() if callable(f) and not inspect.isclass(f)}
    own = {name: f for name, f in callables.items() if getattr(f, "__name__", name) == name}
    return own | {name: f for name, f in callables.items() if not any(f is g for g in own.values())}


def layer_classes():
    """The classes of minigen.nn that compute something."""
    classes = {name: c for name, c in vars(nn).items() if inspect.isclass(c) and issubclass(c, nn.Module)}
    return {name: c for name, c in classes.items() if c.forward is not nn.Module.forward}


METHODS = ("log_prob", "rsample", "cdf", "entropy", "mean", "variance")


def distribution_methods():
    """Names such as Normal.log_prob of all that is closed, and every pair of families with a closed KL."""
    base = distributions.Distribution
    for family in vars(distributions).values():
        if inspect.isclass(family) and issubclass(family, base) and family is not base:
            for method in METHODS:
                if getattr(family, method) is not getattr(base, method):
                    yield f"{family.__name__}.{method}"
    for p, q in distributions.kl._CLOSED_FORMS:
        yield f"kl({p.__name__}, {q.__name__})"
    yield "kl_standard_normal"


def samples(name):
    """The samples of a name, made anew on each call (layers have state), from fixed seeds."""
    from minigen.samples.layers import LAYERS
    from minigen.samples.operations import OPERATIONS
    from minigen.samples.probability import PROBABILITY

    for table in (OPERATIONS, LAYERS, PROBABILITY):
        if name in table:
            return table[name](np.random.default_rng(list(name.encode())))
    return []
