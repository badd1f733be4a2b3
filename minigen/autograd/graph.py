"""The computation graph, and the walk backwards over it.

Let y = f(x₁, …, xₙ) be one operation and L the scalar at the end of the computation. If g = ∂L/∂y is known, the
chain rule gives

    ∂L/∂xᵢ = (∂y/∂xᵢ)ᵀ g                                                                       (G.1)

the *vector–Jacobian product* (VJP) of f at input i. Every operation in minigen is its forward function plus one
such rule per input; nothing else knows about derivatives. Reverse-mode differentiation visits the operations in
the opposite of the order in which they ran, hands each its g, and adds what the rules return to the g of the
inputs. (If x is used twice, its gradient is the sum over both uses: that is the multivariate chain rule.)

Three decisions shape this file.

* **Order by counting.** Each node gets the next integer when it is made. Inputs exist before outputs, so walking
  by falling number is a reverse topological order: no recursion, no depth-first search.
* **Nodes point to their parents only**, never to Tensors or to children. There are no reference cycles: when the
  last Tensor of a computation goes, its graph and every array in it go at once, without the garbage collector.
* **One rule, two uses.** Rules are written in operations that accept arrays and Tensors alike. An ordinary backward
  pass calls them with arrays and pays nothing for bookkeeping. With `create_graph=True` the same rules are called
  with Tensors, so the gradient has a graph of its own and can be differentiated again, to any order.
"""

import sys
import weakref

import numpy as np

from minigen import kernels
from minigen.autograd.mode import enable_grad, mode, no_grad
from minigen.autograd.tensor import Tensor, Version, clock, constant
from minigen.errors import AnomalyError, GraphError, ShapeError


class Node:
    """One executed operation: which rules to run, for which parents, and what the rules will read.

    order:     the creation number.
    plan:      the operation's Plan (primitive.py); None for a leaf.
    parents:   the nodes of the inputs that require gradients.
    saved:     what the plan kept for its rules; None once released.
    shape:     the result's shape, hence that of its gradient.

    Most nodes have nothing else to remember. Those that do are NotedNodes.
    """

    __slots__ = ("order", "plan", "parents", "saved", "shape")
    constants = version = where = leaf = None

    def __init__(self, plan, parents, saved, shape):
        self.order = next(clock)
        self.plan = plan
        self.parents = parents
        self.saved = saved
        self.shape = shape


class NotedNode(Node):
    """A node with more to remember.

    constants: the Versions of the inputs that require no gradient, or None.
    version:   of a leaf, or of a view of one: its Version. None for a result that nobody can change in place.
    where:     the calling line, under detect_anomaly.
    leaf:      a weak reference to a leaf's Tensor.
    """

    __slots__ = ("constants", "version", "where", "leaf")

    def __init__(self, plan, parents, saved, shape, constants=None, version=None, where=None, leaf=None):
        super().__init__(plan, parents, saved, shape)
        self.constants = constants
        self.version = version
        self.where = where
        self.leaf = leaf


def leaf_node(tensor):
    """The node of a tensor that nobody computed but whose gradient is wanted. It knows its Tensor, weakly."""
    return NotedNode(None, (), (), tensor._data.shape, version=tensor._version, leaf=weakref.ref(tensor))


def grad(outputs, inputs, grad_outputs=None, create_graph=False, allow_unused=False):
    """∂(Σ outputs · grad_outputs)/∂ each input, as a tuple of Tensors.

    outputs:       a Tensor or a sequence of them.
    inputs:        a Tensor or a sequence of them, leaves or intermediate results.
    grad_outputs:  the g of (G.1) at each output, same shapes; may be None for outputs with one element (then 1).
    create_graph:  True makes the gradients differentiable themselves.
    allow_unused:  True returns None for an input on which no output depends; otherwise that is an error.

    Raises:  GraphError for an output without history or an unused input; ShapeError for a g of the wrong shape.
    Differs from torch.autograd.grad: the graph is kept, so it may be called again (`Tensor.backward` frees it).
    """
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    for position, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor) or tensor._node is None:
            raise GraphError(f"grad: input {position} does not require grad")
    wanted = {tensor._node: None for tensor in inputs}
    _walk(_seeds("grad", outputs, grad_outputs), create_graph, wanted=wanted)
    for position, tensor in enumerate(inputs):
        if wanted[tensor._node] is None and not allow_unused:
            raise GraphError(
                f"grad: no output depends on input {position} (shape {tensor.shape}); "
                "pass allow_unused=True to get None for it"
            )
    return tuple(_own(wanted[tensor._node]) for tensor in inputs)


def _own(g):
    """The gradient as a Tensor that shares memory with no other: rules may hand one array to several inputs."""
    if g is None or (isinstance(g, Tensor) and g._node is not None):
        return g
    return constant(np.array(g._data if isinstance(g, Tensor) else g))


def backward(outputs, grad_outputs=None, retain_graph=False, create_graph=False):
    """Add ∂(Σ outputs · grad_outputs)/∂leaf to `.grad` of every leaf that the outputs depend on.

    The saved arrays are released on the way, so memory falls while the gradients are computed; a second call over
    the same graph raises GraphError unless this one had `retain_graph=True` (or `create_graph=True`).
    """
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    seeds = _seeds("backward", outputs, grad_outputs)
    _walk(seeds, create_graph, release=not (retain_graph or create_graph))


def _seeds(name, outputs, grad_outputs):
    """Pairs (node, g) to start from, with every g checked."""
    if grad_outputs is None or isinstance(grad_outputs, Tensor | np.ndarray | int | float):
        grad_outputs = (grad_outputs,) * len(outputs)
    if len(grad_outputs) != len(outputs):
        raise ShapeError(f"{name}: {len(outputs)} outputs but {len(grad_outputs)} grad_outputs")
    seeds = []
    for y, g in zip(outputs, grad_outputs, strict=True):
        if not isinstance(y, Tensor) or y._node is None:
            raise GraphError(f"{name}: an output does not require grad: it does not depend on any leaf that does")
        if g is None:
            if y.size != 1:
                raise ShapeError(f"{name}: output of shape {y.shape} needs a gradient of that shape (grad_outputs)")
            g = constant(np.ones_like(y._data))
        elif not isinstance(g, Tensor):
            g = constant(np.asarray(g, y.dtype))
        if g.shape != y.shape:
            raise ShapeError(f"{name}: gradient of shape {g.shape} for an output of shape {y.shape}")
        seeds.append((y._node, g))
    return seeds


def _walk(seeds, create_graph, wanted=None, release=False):
    """Visit the ancestors of the seeds by falling number and pass gradients to their parents, (G.1).

    wanted:  None to add gradients to the leaves; or a dict node → None to be filled with those nodes' gradients.
    """
    pending = {}
    for node, g in seeds:
        g = g if create_graph else g._data
        pending[node] = pending[node] + g if node in pending else g
    nodes = _ancestors(pending, wanted)
    relevant = None if wanted is None else _descendants(nodes, wanted)

    # Most walks need none of three checks: is this parent wanted, was it changed in place, is its gradient finite?
    oldest = next((node.order for node in reversed(nodes) if node.plan is not None), 0)
    watching = mode.anomaly
    careful = wanted is not None or watching or Version.latest > oldest

    with enable_grad() if create_graph else no_grad():
        for node in nodes:
            g = pending.pop(node, None)
            if g is None:
                continue
            if careful and wanted is not None and node in wanted:
                wanted[node] = g
                if not any(parent in relevant for parent in node.parents):
                    continue
            plan = node.plan
            if plan is None:
                if wanted is None:
                    _deposit(node, g)
                continue
            saved = node.saved
            if saved is None:
                raise GraphError(
                    f"backward: the graph of `{plan.op.name}` was released by an earlier backward(); "
                    "call that one with retain_graph=True"
                )
            if careful:
                _check_unchanged(node)
            # Plain operations have one rule per parent. Joint ones (fused, variadic) compute all gradients at once;
            # their "rules" pick from those.
            if plan.joint or create_graph:
                saved = plan.pull_back(node, g, create_graph) if plan.joint else plan.as_tensors(node)
            for parent, rule in zip(node.parents, plan.rules):  # noqa: B905 (strict costs 5 % here)
                if careful and relevant is not None and parent not in relevant:
                    continue
                contribution = rule(g, saved)
                if contribution is None:
                    continue
                if contribution.shape != parent.shape:
                    contribution = _summed_to(parent.shape, contribution, node)
                if watching:
                    _check_finite(node, contribution)
                if parent in pending:
                    contribution = _sum(pending[parent], contribution)
                pending[parent] = contribution
            if release:
                node.saved = None
            saved = contribution = None  # from here on a gradient is held by `pending` alone, see `_deposit`


def _sum(a, b):
    """a + b: of arrays by the kernel, on all threads if they are large."""
    return kernels.add(a, b) if type(a) is np.ndarray else a + b


def _summed_to(shape, contribution, node):
    """The gradient of an input that was broadcast: summed over its copies."""
    from minigen.autograd.broadcasting import sum_to  # sum_to is itself an operation, declared with this engine

    try:
        return sum_to(contribution, shape=shape)
    except ValueError:
        name, got = node.plan.op.name, tuple(contribution.shape)
        error = ShapeError(f"backward: a rule of `{name}` returned a gradient of shape {got} for an input of {shape}")
        error.shapes = (got, tuple(shape))
        raise error from None


def _ancestors(starts, wanted):
    """All nodes that the start nodes depend on, by falling number. Nothing older than every wanted node matters."""
    oldest = -1 if wanted is None else min(node.order for node in wanted)
    seen = {node.order: node for node in starts}
    stack = list(seen.values())
    while stack:
        for parent in stack.pop().parents:
            order = parent.order
            if order not in seen and order >= oldest:
                seen[order] = parent
                stack.append(parent)
    return [seen[order] for order in sorted(seen, reverse=True)]


def _descendants(nodes, wanted):
    """Those of `nodes` through which a gradient can reach a wanted node."""
    relevant = set()
    for node in reversed(nodes):
        if node in wanted or any(parent in relevant for parent in node.parents):
            relevant.add(node)
    return relevant


def _deposit(node, g):
    """Add g to the `.grad` of a leaf, in the leaf's own dtype."""
    tensor = node.leaf()
    if tensor is None:
        return  # the leaf is gone, so nobody can ask for its gradient
    if isinstance(g, Tensor):
        tensor._grad = _own(g) if tensor._grad is None else tensor._grad + g
    elif tensor._grad is None:
        # Rules may hand one array to several inputs (add does), and a gradient may be changed in place: so a copy,
        # unless nobody else holds the array (three references: in `_walk`, here, and the argument below).
        alone = type(g) is np.ndarray and sys.getrefcount(g) <= 3 and (g.base is None or _is_only_view(g))
        ours = alone and g.dtype == tensor._data.dtype  # (not an array: NumPy computes with scalars for a 0-d input)
        tensor._grad = constant(g if ours else np.array(g, dtype=tensor._data.dtype))
    else:
        tensor._grad = constant(np.asarray(tensor._grad._data + g, dtype=tensor._data.dtype))


def _is_only_view(g):
    """Does g show the whole of an array that nobody else holds? Images are such: (B, H, W, C) seen as (B, C, H, W)."""
    base = g.base
    whole = type(base) is np.ndarray and base.base is None and base.size == g.size
    return whole and sys.getrefcount(base) <= 3  # in g, here, and the argument


def _check_unchanged(node):
    """Refuse to use an operation's saved values if an input that its rules read was changed in place since it ran."""
    if node.plan.reads_no_values:
        return
    versions = [parent.version for parent in node.parents] + (node.constants or [])
    if any(version is not None and version.changed > node.order for version in versions):
        raise GraphError(
            f"backward: an input of `{node.plan.op.name}` was changed in place after the operation ran; "
            "the gradient would be wrong. Change parameters after backward, or work on a copy."
        )


def _check_finite(node, contribution):
    array = contribution._data if isinstance(contribution, Tensor) else contribution
    if not np.isfinite(array).all():
        kind = "NaN" if np.isnan(array).any() else "infinity"
        raise AnomalyError(
            f"the gradient of `{node.plan.op.name}` is the first {kind}; the operation was called at "
            + (node.where or "a line that was not noted: run the forward pass inside detect_anomaly() too")
        )
