"""The call of an operation, unrolled for one and for two Tensors.

An operation on a 4×4 array takes NumPy 0.3 µs; everything else is bookkeeping. This file does exactly what `Op` in
primitive.py does, without its loops, for the calls that make up most of a model: one or two Tensors, no settings,
gradients wanted for all of them. Every other call goes to the general path. (A test holds the two together.)
"""

import numpy as np

from minigen.autograd.graph import Node
from minigen.autograd.mode import mode
from minigen.autograd.tensor import Tensor


def shortcut(op, general):
    """`general`, the callable of `op`, behind a quick path; unchanged for operations of three or more inputs."""
    return {1: _for_one, 2: _for_two}.get(len(op.inputs), lambda op, general: general)(op, general)


def _for_one(op, general):
    forward, plans = op.forward, op.plans

    def call(x=_NOTHING, /, *more, **settings):
        if more or settings or type(x) is not Tensor or mode.unusual or 1 not in plans or x._node is None:
            if type(x) is np.ndarray:
                return forward(x, *more, **settings)
            return general(*(() if x is _NOTHING else (x,)), *more, **settings)
        value = x._data
        try:
            y = forward(value)
        except (ValueError, IndexError) as error:
            raise op.explain(error, (value,), settings) from error
        plan = plans[1]
        if type(y) is not np.ndarray or y.base is not None or plan.keeps_more:
            return op.finish((x,), [value], y, settings)
        keep_x, keep_y = plan.keeps
        return _tensor(y, Node(plan, (x._node,), (value if keep_x else None, y if keep_y else None), y.shape))

    return call


def _for_two(op, general):
    forward, plans = op.forward, op.plans

    def call(a=_NOTHING, b=_NOTHING, /, *more, **settings):
        if more or settings or type(a) is not Tensor or type(b) is not Tensor or mode.unusual or 3 not in plans:
            if type(a) is np.ndarray and type(b) is np.ndarray:
                return forward(a, b, *more, **settings)
            return general(*(x for x in (a, b) if x is not _NOTHING), *more, **settings)
        p, q, x, z = a._node, b._node, a._data, b._data
        try:
            y = forward(x, z)
        except (ValueError, IndexError) as error:
            raise op.explain(error, (x, z), settings) from error
        plan = plans[3]
        if p is None or q is None or type(y) is not np.ndarray or y.base is not None or plan.keeps_more:
            return op.finish((a, b), [x, z], y, settings)
        keep_a, keep_b, keep_y = plan.keeps
        saved = (x if keep_a else None, z if keep_b else None, y if keep_y else None)
        return _tensor(y, Node(plan, (p, q), saved, y.shape))

    return call


_NOTHING = object()
_new = object.__new__


def _tensor(y, node):
    """A result in the graph; nobody can change it in place, so it has no Version."""
    tensor = _new(Tensor)
    tensor._data = y
    tensor._node = node
    tensor._grad = tensor._version = None
    return tensor
