"""sum_to and broadcast_to: the adjoint pair behind broadcasting.

Broadcasting copies a number to many places: y = B x, with a matrix B of zeros and ones. Its adjoint Bᵀ adds up, for
every x, the gradients of all its copies. So each is the other's rule:

    broadcast_to(x, shape):  ∂L/∂x = sum_to(g, shape of x)
    sum_to(x, shape):        ∂L/∂x = broadcast_to(g, shape of x)

The engine calls sum_to whenever a rule returns a gradient larger than the input (`graph.py`); no rule has to think
of it.
"""

import numpy as np

from minigen.autograd.primitive import primitive


@primitive(x=lambda g, x_shape: sum_to(g, shape=x_shape))
def broadcast_to(x, shape):
    """Repeat x along new axes and axes of length 1, by NumPy's rules, until it has the given shape."""
    return np.broadcast_to(x, shape)


@primitive(x=lambda g, x_shape: broadcast_to(g, shape=x_shape))
def sum_to(x, shape):
    """Sum x over the axes along which `shape` was broadcast to x's shape: the adjoint of broadcast_to."""
    shape = tuple(shape)
    extra = x.ndim - len(shape)
    axes = (*range(extra), *(extra + i for i, n in enumerate(shape) if n == 1 and x.shape[extra + i] != 1))
    if extra < 0 or any(n not in (1, x.shape[extra + i]) for i, n in enumerate(shape)):
        raise ValueError(f"sum_to: {shape} does not broadcast to {x.shape}")
    return x.sum(axis=axes).reshape(shape) if axes else x[...]


@primitive(x=lambda g: g)
def alias(x):
    """The same numbers at a new place in the graph."""
    return x[...]
