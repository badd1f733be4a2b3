"""What stands behind a Tensor: its nodes, their values as far as they are known, and the gradients that pass.

A node keeps what its gradient rules will read and no more (autograd/primitive.py), so many values of a computation are
gone when it is drawn. They come back from four places: the leaves hold theirs; so do Tensors that the caller names;
rules kept some inputs and results; and the rest is computed again where an operation has no settings and all of its
inputs are known. What is then still unknown (a sum with a constant, say) is shown by its shape.
"""

from dataclasses import dataclass, field

import numpy as np

from minigen.autograd import Tensor, grad, no_grad, sum_to
from minigen.autograd.tensor import with_node
from minigen.errors import GraphError

UP_TO = 100_000  # a result with more elements is not computed again for a picture


@dataclass(eq=False)
class Item:
    """One box of the picture.

    kind:      "leaf", "result", or "constant" (an input without a gradient that some rule kept)
    name:      the caller's, or ""
    op:        the operation that made it, "" if none did
    shape:     of the value
    value:     the array, or None where it is not known
    parents:   positions of its inputs in the list of items: those with a gradient, then the constants that were kept
    operands:  for each argument of the operation its position, or None if nobody kept it; empty where that varies
    turn:      when the walk backwards comes here: 1, 2, …; 0 for what it does not visit
    grad:      ∂(the drawn Tensor)/∂this, or None
    passed:    for each parent the gradient that this hands to it, or None
    """

    kind: str
    shape: tuple
    op: str = ""
    name: str = ""
    value: object = None
    parents: list = field(default_factory=list)
    operands: list = field(default_factory=list)
    turn: int = 0
    grad: object = None
    passed: list = field(default_factory=list)


def count(tensor):
    """A dict from the name of each operation behind a Tensor to how often it occurs, without reading any value."""
    found = {}
    for node in _nodes(tensor):
        if node.plan is not None:
            found[node.plan.op.name] = found.get(node.plan.op.name, 0) + 1
    return found


def trace(tensor, names, grads):
    """The Items behind a Tensor, inputs before what is made of them; the Tensor itself comes last.

    names:  dict from name to Tensor
    grads:  True fills in `grad` and `passed`: of the sum of its elements, if the Tensor has more than one
    Raises: GraphError if a saved input was changed in place, or if the Tensor has no history to walk over (grads only)
    """
    called = {named._node: name for name, named in names.items() if named._node is not None}
    constants = {id(named._data): name for name, named in names.items() if named._node is None}
    if tensor._node is None:
        name = next((name for name, named in names.items() if named is tensor), "")
        return [Item("constant", tensor.shape, name=name, value=tensor._data)]
    nodes = _nodes(tensor)
    values = _values(nodes, tensor, [named for named in names.values() if named._node is not None])
    items, place = [], {}
    for node in nodes:
        kind = "leaf" if node.plan is None else "result"
        item = Item(kind, node.shape, name=called.get(node, ""), value=values.get(node))
        if node.plan is not None:
            item.op = node.plan.op.name
            item.parents = [place[parent] for parent in node.parents]
            at = dict(zip(getattr(node.plan, "wanted", ()), item.parents, strict=False))
            for i, value in _kept_constants(node):
                at[i] = len(items)
                item.parents.append(len(items))
                items.append(Item("constant", np.shape(value), name=constants.get(id(value), ""), value=value))
            item.operands = [] if node.plan.op.variadic else [at.get(i) for i in range(len(node.plan.op.inputs))]
        place[node] = len(items)
        items.append(item)
    for turn, node in enumerate((node for node in reversed(nodes) if node.plan is not None), 1):
        items[place[node]].turn = turn
    if grads:
        _fill_in_gradients(tensor, nodes, items, place)
    return items


def _nodes(tensor):
    """All nodes behind a Tensor, in the order in which they were made."""
    if tensor._node is None:
        return []
    seen, stack = {tensor._node.order: tensor._node}, [tensor._node]
    while stack:
        for parent in stack.pop().parents:
            if parent.order not in seen:
                seen[parent.order] = parent
                stack.append(parent)
    return [seen[order] for order in sorted(seen)]


# -- values -----------------------------------------------------------------------------------------------------------


def _values(nodes, tensor, named):
    values = {node: node.leaf()._data for node in nodes if node.plan is None and node.leaf() is not None}
    for known in (*named, tensor):
        values[known._node] = known._data
    for node in nodes:
        inputs, result = _kept(node)
        for parent, value in zip(node.parents, inputs, strict=True):
            if value is not None:
                values.setdefault(parent, np.asarray(value))
        if result is not None:
            values.setdefault(node, result)
    for node in nodes:
        if node not in values and np.prod(node.shape) <= UP_TO:
            value = _again(node, values)
            if value is not None:
                values[node] = value
    return values


def _kept(node):
    """(the value of each parent or None, the result or None), as far as the node's plan kept them."""
    if node.plan is None or node.saved is None or node.plan.op.variadic:
        return [None] * len(node.parents), None
    if node.plan.joint:  # fused
        return [node.saved[0][i] for i in node.plan.wanted], None
    saved = _by_name(node)
    return [saved[node.plan.slots[i]] for i in node.plan.wanted], saved["y"]


def _kept_constants(node):
    """Pairs (which argument, its value) of the inputs without a gradient that the node kept: arrays and numbers."""
    plan = node.plan
    if node.saved is None or plan.op.variadic:
        return []
    kept = [node.saved[0][i] if plan.joint else _by_name(node)[name] for i, name in enumerate(plan.op.inputs)]
    return [(i, value) for i, value in enumerate(kept) if value is not None and i not in plan.wanted]


def _by_name(node):
    """What a node with one rule per input kept: a dict from the names that the rules use to values or None."""
    return node.saved if isinstance(node.saved, dict) else dict(zip(node.plan.slots, node.saved, strict=True))


def _again(node, values):
    """The result, computed again from what is known of the inputs, or None where that cannot be done for sure."""
    if node.plan is None or node.plan.op.variadic:
        return None
    op = node.plan.op
    versions = [parent.version for parent in node.parents] + (node.constants or [])
    if any(version is not None and version.changed > node.order for version in versions):
        return None  # an input has other numbers now
    if node.plan.joint and node.saved is not None:
        arguments, _, settings = node.saved
        return np.asarray(op.forward(*arguments, **settings)[0])
    inputs = dict(zip(node.plan.wanted, [values.get(parent) for parent in node.parents], strict=True))
    inputs |= dict(_kept_constants(node))
    arguments = [inputs.get(i) for i in range(len(op.inputs))]
    if any(argument is None for argument in arguments) or (op.settings and not isinstance(node.saved, dict)):
        return None
    result = op.forward(*arguments, **{name: node.saved[name] for name in op.settings})
    return np.asarray(result if op.definition is None else result[0])


# -- gradients --------------------------------------------------------------------------------------------------------


def _fill_in_gradients(tensor, nodes, items, place):
    """Gradients from the engine's own walk, and from its rules what each node hands to each parent (equation G.1)."""
    if any(node.plan is not None and node.saved is None for node in nodes):
        # An earlier backward() released the graph: what is left are the gradients that it gave the leaves.
        for node in nodes:
            leaf = node.leaf() if node.plan is None else None
            if leaf is not None and leaf.grad is not None:
                items[place[node]].grad = leaf.grad._data
        return
    everywhere = [with_node(np.broadcast_to(0.0, node.shape), node) for node in nodes]
    found = grad(tensor, everywhere, np.ones_like(tensor._data), allow_unused=True)
    for node, g in zip(nodes, found, strict=True):
        if g is None:
            continue
        items[place[node]].grad = g._data
        if node.plan is not None:
            with no_grad():
                saved = node.plan.pull_back(node, g._data, False) if node.plan.joint else node.saved
                for parent, rule in zip(node.parents, node.plan.rules, strict=True):
                    handed = rule(g._data, saved)
                    wide = handed is not None and handed.shape != parent.shape  # it was broadcast: sum over the copies
                    items[place[node]].passed.append(sum_to(handed, shape=parent.shape) if wide else handed)


def named_tensors(names):
    """A dict from name to Tensor: from a dict, or from anything with named_parameters (a Module).

    Raises:   GraphError for anything else.
    """
    if names is None:
        return {}
    if hasattr(names, "named_parameters"):
        return dict(names.named_parameters())
    if isinstance(names, dict) and all(isinstance(named, Tensor) for named in names.values()):
        return {str(name): named for name, named in names.items()}
    raise GraphError(f"draw_graph: names is {type(names).__name__}; expected a dict from name to Tensor, or a Module")
