"""fused: an operation with a definition to read and kernels to run.

    @fused(forward=kernels.gelu, backward=kernels.gelu_backward)
    def gelu(x):
        return 0.5 * x * (1 + erf(x / math.sqrt(2)))

The body is the *definition*: it is written in other operations, it is what a learner reads, and it is right by
inspection. The kernels compute the same numbers in one pass:

    forward(*inputs, **settings)                      → (result, extras)
    backward(g, *inputs, *extras, **settings)         → one gradient per input (None for an input that has none)

`extras` is a tuple of arrays that the backward kernel would otherwise have to compute again. The first derivative
runs the backward kernel. When the gradient itself must be differentiable (`create_graph=True`) the engine
differentiates the definition instead, so kernels never need a second derivative. The gradient checks hold kernel
and definition together, values and gradients.

Arguments before the bare `*` are inputs and may be Tensors; keyword-only arguments are settings.
"""

import functools
import inspect

import numpy as np

from minigen.autograd.broadcasting import alias
from minigen.autograd.graph import grad
from minigen.autograd.primitive import OPS, Op, at_place, pick_gradient
from minigen.autograd.tensor import constant


def fused(*, forward, backward):
    """Declare an operation by its definition (the decorated function) and a pair of kernels (see above)."""

    def declare(definition):
        op = FusedOp(definition, forward, backward)
        OPS[op.name] = op
        call = op.as_function()
        functools.update_wrapper(call, definition)
        call.definition = definition
        return call

    return declare


class FusedOp(Op):
    """An operation whose gradients come from one kernel, or from differentiating its definition."""

    def __init__(self, definition, forward, backward):
        parameters = inspect.signature(definition).parameters
        self.name = definition.__name__.strip("_")
        self.definition = definition
        self.variadic = False
        keyword_only = inspect.Parameter.KEYWORD_ONLY
        empty = inspect.Parameter.empty
        defaults = {n: p.default for n, p in parameters.items() if p.kind is keyword_only and p.default is not empty}
        self.forward = functools.partial(forward, **defaults)
        self.backward = functools.partial(backward, **defaults)
        self.inputs = tuple(name for name, p in parameters.items() if p.kind is not keyword_only)
        self.settings = tuple(name for name, p in parameters.items() if p.kind is keyword_only)
        self.optional = {name: parameters[name].default for name in self.inputs}
        self.plans = {}

    def bind(self, inputs, settings):
        """Sort keyword inputs into their places; optional inputs (bias=None) take their defaults."""
        settings = dict(settings)
        if len(inputs) > len(self.inputs):
            raise TypeError(f"{self.name}: takes {len(self.inputs)} inputs, got {len(inputs)}; settings by keyword")
        inputs = list(inputs)
        for name in self.inputs[len(inputs) :]:
            value = settings.pop(name, self.optional[name])
            if value is inspect.Parameter.empty:
                raise TypeError(f"{self.name}: missing argument `{name}`")
            inputs.append(value)
        return tuple(inputs), settings

    def plan(self, needs, count):
        made = self.plans[needs] = FusedPlan(self, needs)
        return made


class FusedPlan:
    """Saves the inputs and the kernel's extras; pulls gradients back by kernel, or by definition."""

    joint = True
    reads_no_values = False

    def __init__(self, op, needs):
        self.op = op
        self.wanted = [i for i in range(len(op.inputs)) if needs >> i & 1]
        self.rules = [pick_gradient(i) for i in self.wanted]

    def save(self, arrays, y, settings, extras):
        """Keep what the backward kernel reads."""
        return arrays, extras, settings

    def pull_back(self, node, g, create_graph):
        """The gradients of (G.1) for all inputs."""
        if create_graph:
            return self.differentiate_definition(node, g)
        arrays, extras, settings = node.saved
        return self.op.backward(g, *arrays, *extras, **settings)

    def differentiate_definition(self, node, g):
        """Run the definition on the saved inputs, recording, and differentiate that."""
        arrays, _, settings = node.saved
        inputs = [constant(x) if type(x) is np.ndarray else x for x in arrays]
        for parent, i in zip(node.parents, self.wanted, strict=True):
            # A new place in the graph for each input, so that one input's dependence on another is not followed here.
            inputs[i] = alias(at_place(arrays[i], parent))
        y = self.op.definition(*inputs, **settings)
        starts = [inputs[i] for i in self.wanted]
        return dict(zip(self.wanted, grad(y, starts, g, create_graph=True, allow_unused=True), strict=True))
