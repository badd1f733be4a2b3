"""Samples for every operation and loss: one entry per name, a function of d (a source of arrays, draws.py) that gives
calls, each a tuple of input arrays and a dict of settings.

They visit broadcasting, axes of length 1, negative axes, odd sizes, strides that do not divide, and the corners where
an operation is still smooth. elementwise.py, moves.py and products.py hold them; here they become Samples.
"""

from minigen import ops
from minigen.autograd import OPS
from minigen.samples import Sample, public_functions
from minigen.samples.draws import Draws
from minigen.samples.elementwise import ELEMENTWISE, REDUCTIONS
from minigen.samples.moves import INDEXING, SHAPES
from minigen.samples.products import LAYERED, MATRICES, PICTURES, POOLING

TABLE = ELEMENTWISE | REDUCTIONS | SHAPES | INDEXING | MATRICES | PICTURES | POOLING | LAYERED

CALLS = {
    # The functions whose Tensors are not simply the first arguments.
    "concatenate": lambda *tensors, dim: ops.concatenate(tensors, dim=dim),
    "stack": lambda *tensors, dim: ops.stack(tensors, dim=dim),
    "einsum": lambda *tensors, subscripts: ops.einsum(subscripts, *tensors),
    "where": lambda a, b, condition: ops.where(condition, a, b),
    "scatter_add": lambda x, src, dim, index: ops.scatter_add(x, dim, index, src),
    "slogdet": lambda x: ops.slogdet(x)[1],
    # The factorisation reads one triangle; a step that leaves the symmetric matrices means nothing to it.
    "cholesky": lambda x: ops.cholesky(0.5 * (x + ops.transpose(x))),
    "group_norm": lambda x, weight, bias, num_groups: ops.group_norm(x, num_groups, weight, bias),
    "clip": lambda x, min=None, max=None: ops.clip(x, min=min, max=max),
    "expand": lambda x, shape: ops.expand(x, *shape),
    "pow": lambda x, *exponents, exponent=None: ops.pow(x, *exponents) if exponents else ops.pow(x, exponent),
}


def function_of(name):
    """The function to call for a name: a public one, or an operation of the engine that has no public name."""
    if name in CALLS:
        return CALLS[name]
    return public_functions().get(name) or OPS[name].as_function()


def _entry(name):
    def make(rng):
        return [Sample(function_of(name), arrays, settings) for arrays, settings in TABLE[name](Draws(rng))]

    return make


OPERATIONS = {name: _entry(name) for name in TABLE}
