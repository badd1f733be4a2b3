"""primitive: how an operation is declared, and what happens when it is called.

    @primitive(a=lambda g, b: g * b,
               b=lambda g, a: g * a)
    def mul(a, b):
        return a * b

reads: *mul is a * b on arrays; the gradient for a is g * b, the one for b is g * a.* A rule names what it reads,
and the graph keeps exactly that, no more:

    g          the gradient of the result (always first)
    y          the result itself (tanh: `lambda g, y: g * (1 - y * y)`)
    a, b, …    the inputs' values
    a_shape    an input's shape alone, so that the array need not be kept
    dim, …     any other argument of the operation (its *settings*), defaults filled in

Inputs that have a rule can be Tensors. Everything else is a setting: integers, index arrays, masks, shapes.
Rules may return a gradient that is larger than the input because the operation broadcast it; the engine sums it
back (see `broadcasting.py`), so that no rule has to.

The declared function accepts plain arrays too: if no input is a Tensor it is the forward function, nothing more.
That is what lets one set of rules serve the ordinary backward pass (on arrays) and the differentiable one (on
Tensors).
"""

import functools
import inspect

import numpy as np

from minigen.autograd.anomaly import check_forward
from minigen.autograd.graph import NotedNode
from minigen.autograd.mode import mode
from minigen.autograd.shortcut import shortcut
from minigen.autograd.tensor import Tensor, Version, with_node
from minigen.errors import MinigenError, ShapeError

OPS = {}  # name → Op: every differentiable operation there is, for the gradient checks


def primitive(**rules):
    """Declare an operation by its forward function and one vector–Jacobian product per input (see above)."""

    def declare(forward):
        op = Op(forward, rules)
        OPS[op.name] = op
        return op.as_function()

    return declare


class Op:
    """A declared operation. Its function is what users call; this object is what the engine and the checks read."""

    definition = None  # a fused operation has one

    def __init__(self, forward, rules):
        self.name = forward.__name__.strip("_")
        self.forward = forward
        self.rules = rules
        parameters = inspect.signature(forward).parameters
        names = list(parameters)
        self.inputs = tuple(name for name in names if name in rules)
        if self.inputs != tuple(names[: len(rules)]) or set(rules) - set(names):
            raise MinigenError(f"primitive {self.name}: rules {sorted(rules)} must be the first of {names}")
        self.variadic = parameters[names[0]].kind is inspect.Parameter.VAR_POSITIONAL
        self.settings = tuple(names[len(rules) :])
        self.defaults = {
            name: parameters[name].default
            for name in self.settings
            if parameters[name].default is not inspect.Parameter.empty
        }
        self.plans = {}

    def as_function(self):
        """The callable that users see."""

        def call(*inputs, **settings):
            if len(inputs) != len(self.inputs) and not self.variadic:
                inputs, settings = self.bind(inputs, settings)
            if not any(type(x) is Tensor for x in inputs):
                y = self.forward(*inputs, **settings)
                return y if self.definition is None else y[0]
            values = _values_of(inputs)
            try:
                y = self.forward(*values, **settings)
            except (ValueError, IndexError) as error:
                raise self.explain(error, values, settings) from error
            return self.finish(inputs, values, y, settings)

        if not self.variadic:
            call = shortcut(self, call)  # the same, unrolled for the common call on one or two Tensors
        functools.update_wrapper(call, self.definition or self.forward)  # name, docstring, signature
        call.op = self
        call.__name__ = self.name
        return call

    def finish(self, inputs, values, y, settings):
        """From the forward function's result to a Tensor, recorded if some input requires gradients."""
        extras = None
        if self.definition is not None:
            y, extras = y
        if type(y) is not np.ndarray:
            y = np.asarray(y)
        where = check_forward(self.name, y, values, settings) if mode.anomaly else None
        parents = [x._node for x in inputs if type(x) is Tensor and x._node is not None]
        if not parents or not mode.recording:
            return with_node(y, None, _version_of_result(y, inputs, Version()))

        needs = sum(1 << i for i, x in enumerate(inputs) if type(x) is Tensor and x._node is not None)
        plan = self.plans.get((needs, len(inputs)) if self.variadic else needs) or self.plan(needs, len(inputs))
        # A detached result of an operation has no Version: nobody can change it.
        constants = [x._version for x in inputs if type(x) is Tensor and x._node is None and x._version is not None]
        version = _version_of_result(y, inputs, None)
        saved = plan.save(values, y, settings, extras)
        node = NotedNode(plan, parents, saved, y.shape, constants=constants, version=version, where=where)
        return with_node(y, node, version)

    def explain(self, error, values, settings):
        """The error to raise for one from inside NumPy: it names the operation and the shapes."""
        if isinstance(error, MinigenError):
            return error
        shapes = " and ".join(str(np.shape(x)) for x in values if x is not None)
        given = "".join(f", {name}={value!r}" for name, value in settings.items() if np.size(value) < 10)
        return ShapeError(f"{self.name}: shapes {shapes}{given}: {error}")

    def bind(self, inputs, settings):
        """Sort a call with keyword inputs or positional settings into (inputs, settings)."""
        settings = dict(settings)
        extra = inputs[len(self.inputs) :]
        if len(extra) > len(self.settings):
            raise TypeError(f"{self.name}: takes {len(self.inputs) + len(self.settings)} arguments, got {len(inputs)}")
        for name, value in zip(self.settings, extra, strict=False):
            if name in settings:
                raise TypeError(f"{self.name}: got two values for `{name}`")
            settings[name] = value
        inputs = list(inputs[: len(self.inputs)])
        for name in self.inputs[len(inputs) :]:
            if name not in settings:
                raise TypeError(f"{self.name}: missing argument `{name}`")
            inputs.append(settings.pop(name))
        return tuple(inputs), settings

    def plan(self, needs, count):
        """The Plan for one pattern of inputs that require gradients, made once and kept."""
        key = (needs, count) if self.variadic else needs
        made = self.plans[key] = VariadicPlan(self, needs, count) if self.variadic else Plan(self, needs)
        return made


class Plan:
    """What to save and which rules to run, for one operation and one pattern of inputs that require gradients."""

    joint = False

    def __init__(self, op, needs):
        self.op = op
        self.wanted = [i for i in range(len(op.inputs)) if needs >> i & 1]
        rules = [op.rules[op.inputs[i]] for i in self.wanted]
        names = [_names_read(rule) for rule in rules]
        read = {name for some in names for name in some}
        # `saved` is the list [inputs…, y], with None for what no rule reads; or, if a rule reads settings or shapes,
        # a dict from every name to its value.
        self.slots = [*op.inputs, "y"]
        self.keeps = [name in read for name in self.slots]
        self.reads_no_values = not read & set(op.inputs)
        self.keeps_more = not read <= set(self.slots)
        self.rules = [
            _bound(rule, some if self.keeps_more else [self.slots.index(name) for name in some])
            for rule, some in zip(rules, names, strict=True)
        ]

    def save(self, values, y, settings, extras):
        """Keep what the rules read, and only that."""
        saved = [x if keep else None for x, keep in zip((*values, y), self.keeps, strict=True)]
        if not self.keeps_more:
            return saved
        known = {**self.op.defaults, **settings, **dict(zip(self.slots, saved, strict=True))}
        return known | {name + "_shape": np.shape(x) for name, x in zip(self.op.inputs, values, strict=True)}

    def as_tensors(self, node):
        """The saved values, with Tensors at their own places in the graph for those that depend on something."""
        places = dict(zip(self.wanted, node.parents, strict=True))
        saved = dict(node.saved) if self.keeps_more else list(node.saved)
        for i, name in enumerate(self.slots):
            key = name if self.keeps_more else i
            if saved[key] is not None and i in places:
                saved[key] = at_place(saved[key], places[i])
            elif name == "y" and saved[key] is not None:
                saved[key] = with_node(saved[key], node)
        return saved


class VariadicPlan:
    """The plan of an operation on any number of inputs (concatenate, einsum): one rule returns all gradients."""

    joint = True

    def __init__(self, op, needs, count):
        self.op = op
        self.name = op.inputs[0]
        self.rule = op.rules[self.name]
        self.names = _names_read(self.rule)
        self.wanted = [i for i in range(count) if needs >> i & 1]
        self.reads_no_values = self.name not in self.names
        self.rules = [pick_gradient(i) for i in self.wanted]

    def save(self, arrays, y, settings, extras):
        """The arguments of the rule."""
        known = {**self.op.defaults, **settings, self.name: arrays, self.name + "_shape": [np.shape(x) for x in arrays]}
        return [known[name] for name in self.names]

    def pull_back(self, node, g, create_graph):
        """The gradients of (G.1) for all inputs."""
        values = list(node.saved)
        if create_graph and self.name in self.names:
            arrays = list(values[self.names.index(self.name)])
            for i, parent in zip(self.wanted, node.parents, strict=True):
                arrays[i] = at_place(arrays[i], parent)
            values[self.names.index(self.name)] = arrays
        return self.rule(g, *values)


def pick_gradient(i):
    """The "rule" of a joint plan: its i-th gradient, from those that pull_back computed."""
    return lambda g, gradients: gradients[i]


def _bound(rule, keys):
    """The rule as a function of (g, saved): it looks its arguments up by their keys."""
    if not keys:
        return lambda g, saved: rule(g)
    if len(keys) == 1:
        (key,) = keys
        return lambda g, saved: rule(g, saved[key])
    return lambda g, saved: rule(g, *[saved[key] for key in keys])


def _values_of(inputs):
    """The arrays inside the inputs. Constants take the tensors' dtype: NumPy would promote float32 to float64."""
    dtype = next(x._data.dtype for x in inputs if type(x) is Tensor)
    values = []
    for x in inputs:
        if type(x) is Tensor:
            values.append(x._data)
        elif x is None or type(x) in (int, float, bool):
            values.append(x)
        else:
            array = np.asarray(x)
            cast = dtype.kind == "f" and array.dtype.kind in "fiu"
            values.append(array.astype(dtype if cast else array.dtype))  # a copy: guards must not lock yours
    return values


def at_place(value, parent):
    """A saved input as a Tensor: the leaf itself if it still holds that array, else a new Tensor on its node."""
    leaf = parent.leaf() if parent.plan is None else None
    return leaf if leaf is not None and leaf._data is value else with_node(value, parent)


def _version_of_result(y, inputs, of_new_memory):
    """For a view, the Version of the input it looks into: it changes when that input does.

    None if that input is the result of a recorded operation, which nobody may change, through a view neither.
    """
    if y.base is not None:
        for x in inputs:
            if type(x) is Tensor and np.may_share_memory(y, x._data):
                return x._version
    return of_new_memory


def _names_read(rule):
    """The names that a rule reads, after the gradient g."""
    return list(inspect.signature(rule).parameters)[1:]
