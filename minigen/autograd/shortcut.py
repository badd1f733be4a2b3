"""The call of an operation, unrolled for one and for two inputs.

An operation on a 4×4 array takes NumPy 0.3 µs; everything else is bookkeeping. This file does exactly what `Op` in
primitive.py does, without its loops, for the calls that make up most of a model: operations without settings on one
Tensor, on two, or on a Tensor and a Python number, and fused operations on one Tensor. Every other call goes to the
general path. (A test holds the two together.)
"""

import numpy as np

from minigen.autograd.graph import Node
from minigen.autograd.mode import switches
from minigen.autograd.tensor import Tensor, clock

_new = object.__new__


def shortcut(op, general):
    """`general`, the callable of `op`, behind a quick path where there is one for its inputs."""
    if op.definition is not None:
        return _fused_for_one(op, general) if op.inputs == ("x",) else general
    unrolled = {("x",): _for_one, ("a", "b"): _for_two}.get(op.inputs)
    return general if op.settings or unrolled is None else unrolled(op, general)


def _for_one(op, general):
    forward, plans = op.forward, op.plans

    def call(x):
        if type(x) is np.ndarray:
            return forward(x)
        if type(x) is not Tensor or switches.in_use or x._node is None or 1 not in plans:
            return general(x)
        value = x._data
        try:
            y = forward(value)
        except (ValueError, IndexError) as error:
            raise op.explain(error, (value,), {}) from error
        plan = plans[1]
        if type(y) is not np.ndarray or y.base is not None or plan.keeps_more:
            return op.finish((x,), [value], y, {})
        keep_x, keep_y = plan.keeps
        result, node = _new(Tensor), _new(Node)
        result._data = y
        result._node = node
        result._grad = result._version = None  # nobody can change a result in place, so it has no Version
        node.order = next(clock)
        node.plan = plan
        node.parents = (x._node,)
        node.saved = (value if keep_x else None, y if keep_y else None)
        node.shape = y.shape
        return result

    return call


def _fused_for_one(op, general):
    forward, plans = op.forward, op.plans

    def call(x, **settings):
        if settings or type(x) is not Tensor or switches.in_use or x._node is None or 1 not in plans:
            return general(x, **settings)
        value = x._data
        try:
            y, extras = forward(value)
        except (ValueError, IndexError) as error:
            raise op.explain(error, (value,), {}) from error
        if type(y) is not np.ndarray or y.base is not None:
            return op.finish((x,), [value], (y, extras), {})
        result, node = _new(Tensor), _new(Node)
        result._data = y
        result._node = node
        result._grad = result._version = None
        node.order = next(clock)
        node.plan = plans[1]
        node.parents = (x._node,)
        node.saved = ((value,), extras, settings)
        node.shape = y.shape
        return result

    return call


def _for_two(op, general):
    forward, plans = op.forward, op.plans

    def call(a, b):
        if type(a) is not Tensor or switches.in_use:
            return forward(a, b) if type(a) is type(b) is np.ndarray else general(a, b)
        x, p = a._data, a._node
        if type(b) is Tensor:
            z, q = b._data, b._node
            if p is None or q is None or 3 not in plans:
                return general(a, b)
            plan, parents = plans[3], (p, q)
        elif (type(b) is float or type(b) is int) and p is not None and 1 in plans:
            z, plan, parents = b, plans[1], (p,)
        else:
            return general(a, b)
        try:
            y = forward(x, z)
        except (ValueError, IndexError) as error:
            raise op.explain(error, (x, z), {}) from error
        if type(y) is not np.ndarray or y.base is not None or plan.keeps_more:
            return op.finish((a, b), [x, z], y, {})
        keep_a, keep_b, keep_y = plan.keeps
        result, node = _new(Tensor), _new(Node)
        result._data = y
        result._node = node
        result._grad = result._version = None
        node.order = next(clock)
        node.plan = plan
        node.parents = parents
        node.saved = (x if keep_a else None, z if keep_b else None, y if keep_y else None)
        node.shape = y.shape
        return result

    return call
