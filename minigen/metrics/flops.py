"""What a computation costs: the floating-point operations of its products, counted while it runs.

    with count_flops() as count:
        model.loss(x, rng=rng).mean().backward()
    count.total                 # a whole number
    count.kinds                 # the same by kind: {"matmul": …, "convolution": …, "attention": …}

A product of matrices (n, k) and (k, m) takes n·k·m multiplications and as many additions:

    FLOPs(A B) = 2 n k m,                                                                                   (M.2)

and every other product is a product of matrices, seen in another order: a convolution one of windows and filters, 2
for each number of its result and each weight of a filter; attention two, of T queries and S keys D wide, and of T·S
weights and values E wide, 2·T·S·(D + E) for each head. Sums, nonlinearities, normalisations, losses, optimisers are not
counted: they are some per cent of a network's arithmetic, and no two texts count them alike.

**Counted is what is computed**, in either direction. A layer y = W x has its one product going forward, and two going
backward, for W and for x. So a training step costs three forward passes: with N weights and B examples

    FLOPs of a step ≈ 6 N B                                                                                 (M.3)

(Kaplan et al. count so). It is less by the first layer's second product, since nobody asks for the gradient of the
data; and more where a gradient is differentiated again, as by the penalties R1 and R2. Neither needs a rule here: the
gradient rules are written in operations, and these count themselves.

By convention, not by what the machine does: attention counts all pairs, also those that a causal mask hides and a
kernel leaves out; its backward pass twice the forward one, though the kernel computes the scores again; a convolution
counts by its formula, though some kernels (`kernels/winograd.py`) take fewer multiplications for more additions.
Factorisations and inverses of matrices are not counted, nor is NumPy when it is called directly.

Source: Kaplan et al. 2020, arXiv:2001.08361, section 2.1 (6 N per token).  Differs: they count all layers alike, also
the first.
"""

import math

from minigen.autograd import OPS
from minigen.errors import MinigenError
from minigen.ops import linalg


class count_flops:
    """Inside `with count_flops() as count:` products are counted, of all Python threads; before and after, for nothing.

    total:    FLOPs so far, a whole number
    kinds:    dict from "matmul", "einsum", "convolution", "attention" to their part of it; of what occurred

    Counters may be nested: each counts what happens inside it. One counter may be entered again later, and goes on.

    Source:   the module's docstring, (M.2).
    """

    def __init__(self):
        self.kinds = {}

    @property
    def total(self):
        """FLOPs so far."""
        return sum(self.kinds.values())

    def __enter__(self):
        if self in _active:
            raise MinigenError("count_flops: this counter is counting already; expected another one inside of it")
        if not _active:
            _install()
        _active.append(self)
        return self

    def __exit__(self, *exc_info):
        _active.remove(self)
        if not _active:
            _remove()


# -- what each operation costs: (inputs, settings, result) → FLOPs ---------------------------------------------------


def _product(inputs, settings, y):
    return 2 * math.prod(y.shape) * inputs[0].shape[-1]


def _einsum(inputs, settings, y):
    """2 for each combination of indices and each operand after the first; a sum of one operand has no product."""
    terms = settings["subscripts"].split("->")[0].split(",")
    sizes = {letter: n for term, x in zip(terms, inputs, strict=True) for letter, n in zip(term, x.shape, strict=True)}
    return 2 * math.prod(sizes.values()) * (len(inputs) - 1)


def _convolution(inputs, settings, y):
    return 2 * math.prod(y.shape) * math.prod(inputs[1].shape[1:])  # each number of y has a filter's weights


def _input_adjoint(inputs, settings, y):
    return 2 * math.prod(inputs[0].shape) * math.prod(inputs[1].shape[1:])  # the same pairs, seen from g


def _weight_adjoint(inputs, settings, y):
    return 2 * math.prod(inputs[1].shape) * math.prod(settings["shape"][1:])


def _attention(inputs, settings, result):
    query, key = inputs[:2]
    y = result[0]  # (…, T, E)
    return 2 * math.prod(y.shape[:-1]) * key.shape[-2] * (query.shape[-1] + y.shape[-1])


def _self_attention(inputs, settings, result):
    *lead, length, width = inputs[0].shape  # (…, T, 3·N·D)
    return 4 * math.prod(lead) * length * length * (width // 3)  # all heads together are N·D wide


COSTS = {
    "einsum": ("einsum", _einsum),
    "convolution": ("convolution", _convolution),
    "biased_convolution": ("convolution", _convolution),
    "convolution_input_adjoint": ("convolution", _input_adjoint),
    "biased_input_adjoint": ("convolution", _input_adjoint),
    "convolution_weight_adjoint": ("convolution", _weight_adjoint),
    "scaled_dot_product_attention": ("attention", _attention),
    "self_attention": ("attention", _self_attention),
}
PRODUCTS = {"matmul", "linear", "affine"}  # these three have one function in common, `linalg._product`


# -- counting: the functions that compute are replaced by ones that count as well ------------------------------------

_active, _replaced = [], []


def _install():
    _replace(linalg, "_product", "matmul", _product)
    for name, (kind, cost) in COSTS.items():
        op = OPS[name]
        _replace(op, "forward", kind, cost)
        if op.definition is not None:  # a fused operation goes back by a kernel; the others' rules are operations
            _replace(op, "backward", kind, _twice(op, cost))


def _replace(holder, name, kind, cost):
    plain = getattr(holder, name)

    def counting(*inputs, **settings):
        result = plain(*inputs, **settings)
        flops = cost(inputs, settings, result)
        for counter in _active:
            counter.kinds[kind] = counter.kinds.get(kind, 0) + flops
        return result

    _replaced.append((holder, name, plain))
    setattr(holder, name, counting)


def _twice(op, cost):
    """The cost of a fused operation's backward kernel, whose inputs are g, the operation's inputs and its extras."""

    def backward(inputs, settings, result):
        g, *inputs = inputs
        return 2 * cost(inputs[: len(op.inputs)], settings, (g,))  # g has the shape of the result

    return backward


def _remove():
    while _replaced:
        holder, name, plain = _replaced.pop()
        setattr(holder, name, plain)
