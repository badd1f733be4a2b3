"""Gradient rules written out in plain form, and how a learner's are judged.

A learner's rule becomes an operation of the engine, and the gradient checks run on it. Equation numbers: lesson 02.
"""

import numpy as np

import minigen as mg
from minigen.autograd.primitive import Op
from minigen.errors import MinigenError
from minigen.learn.exercise import WrongForm


def softmax(x):
    """Softmax of each row, in NumPy."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def backward(parents, slopes):
    """∂(last node)/∂(each node) of a graph of numbers, by walking from the newest node to the oldest.

    parents:  for each node the numbers of the nodes that it was computed from; they are smaller than its own
    slopes:   for each node its derivative with respect to each of them
    """
    grads = np.zeros(len(parents))
    grads[-1] = 1.0
    for node in reversed(range(len(parents))):
        for parent, slope in zip(parents[node], slopes[node], strict=True):
            grads[parent] += slope * grads[node]  # (2.4)
    return grads


def elementwise_rules(g, a, b):
    """The gradients that reach a and b of a·b, a of eᵃ and a of tanh a, if g is that of the result."""
    return g * b, g * a, g * mg.exp(a), g * (1 - mg.tanh(a) * mg.tanh(a))


def layer_rules(g, x, weight, bias):
    """The gradients that reach x, weight and bias of x @ weight + bias, if g is that of the result."""
    return g @ weight.T, x.T @ g, g.sum(0)


def softmax_rules(g, p):
    """The gradients that reach l of softmax(l) and of log softmax(l), if p = softmax(l), row by row."""
    return p * (g - (g * p).sum(1, keepdims=True)), g - p * g.sum(1, keepdims=True)


def cross_entropy_gradient(logits, y):
    """∂/∂logits of Σ over the examples of −log softmax(logits)[y], (2.10)."""
    return softmax(logits) - np.eye(logits.shape[1])[y]


def waves(x):
    """(B, D) → (B,): a smooth function whose gradient bends."""
    return mg.sum(mg.sin(x) * mg.exp(0.3 * x), dim=1)


def mixed(x):
    """(B, D) → (B,): every input shakes every other."""
    return mg.tanh(mg.sum(x * x, dim=1) - x[:, 0])


def slope_squared(f, x):
    """‖∇f(x)‖² for each example, (B,), as a Tensor that can be differentiated again."""
    (g,) = mg.grad(mg.sum(f(x)), x, create_graph=True)  # each f(x)_b depends on its own row only
    return mg.sum(g * g, dim=1)


# -- judging -----------------------------------------------------------------------------------------------------------


def passes(forward, rules, inputs, *, order=1):
    """1.0 if an operation with these rules passes gradcheck (or gradgradcheck, order=2) in float64, else 0.0.

    forward:  a function of arrays;   rules: dict from each argument's name to its rule, as for `primitive`
    """
    check = mg.gradcheck if order == 1 else mg.gradgradcheck
    try:
        check(Op(forward, rules).as_function(), list(inputs))  # made by hand: it enters no table of operations
    except (MinigenError, ValueError, TypeError, AttributeError, IndexError):
        return 0.0
    return 1.0


def several(result, count, what):
    """The learner's result as a tuple of `count` things.

    Raises:   WrongForm if it is not one.
    """
    if not isinstance(result, tuple | list) or len(result) != count:
        got = f"{len(result)} things" if isinstance(result, tuple | list) else type(result).__name__
        raise WrongForm(f"It returned {got}, wanted {count}: {what}. (Is a `return` or a comma missing?)")
    return tuple(result)


def elementwise(function, g, a, b):
    """What a learner's rules for a·b, eᵃ and tanh a return, and whether gradcheck passes operations made of them."""
    found = several(function(g, a, b), 4, "for a and b of a * b, for a of exp(a), for a of tanh(a)")
    arrays = [np.asarray(mg.tensor(x).data) for x in (a, b)]

    def part(i):
        return lambda g, a, b: several(function(g, a, b), 4, "")[i]

    def alone(i):
        return lambda g, x: several(function(g, x, x), 4, "")[i]

    checks = [passes(lambda a, b: a * b, {"a": part(0), "b": part(1)}, arrays),
              passes(lambda x: np.exp(x), {"x": alone(2)}, arrays[:1]),
              passes(lambda x: np.tanh(x), {"x": alone(3)}, arrays[:1])]  # fmt: skip
    return {"a * b, for a": found[0], "a * b, for b": found[1], "exp(a), for a": found[2], "tanh(a), for a": found[3],
            "gradcheck passes (mul, exp, tanh)": np.array(checks)}  # fmt: skip


def layer(function, g, x, weight, bias):
    """The same for the rules of x @ weight + bias."""
    found = several(function(g, x, weight, bias), 3, "for x, for weight, for bias")
    arrays = [np.asarray(mg.tensor(part).data) for part in (x, weight, bias)]

    def part(i):
        return lambda g, x, weight, bias: several(function(g, x, weight, bias), 3, "")[i]

    check = passes(lambda x, weight, bias: x @ weight + bias,
                   {"x": part(0), "weight": part(1), "bias": part(2)}, arrays)  # fmt: skip
    return {"for x": found[0], "for weight": found[1], "for bias": found[2], "gradcheck passes": check}


def softmaxes(function, g, p):
    """The same for the rules of softmax and log-softmax, both given p = softmax(l)."""
    found = several(function(g, p), 2, "for l of softmax(l), for l of log_softmax(l)")
    logits = np.log(np.asarray(mg.tensor(p).data))
    checks = [passes(softmax, {"x": lambda g, x: several(function(g, softmax(x)), 2, "")[0]}, [logits]),
              passes(lambda x: np.log(softmax(x)), {"x": lambda g, x: several(function(g, softmax(x)), 2, "")[1]},
                     [logits])]  # fmt: skip
    return {"softmax": found[0], "log_softmax": found[1], "gradcheck passes (softmax, log_softmax)": np.array(checks)}


def penalty(function, f, x):
    """What a learner's ‖∇f‖² returns, its gradient, and whether gradgradcheck can differentiate it twice more.

    Raises:   WrongForm if it returns no Tensor.
    """
    value = function(f, x)
    if not isinstance(value, mg.Tensor):
        raise WrongForm(f"It returned {type(value).__name__}, wanted a Tensor of shape ({len(x)},).")
    found = {"‖∇f‖²": value, "gradient of its sum": np.zeros(x.shape), "gradgradcheck passes": 0.0}
    if not value.requires_grad:
        return found
    (g,) = mg.grad(value.sum(), x, allow_unused=True)
    if g is not None:
        found["gradient of its sum"] = g
    try:
        mg.gradgradcheck(lambda x: function(f, x), [x.data])
    except (MinigenError, TypeError, AttributeError, ValueError):
        return found
    return found | {"gradgradcheck passes": 1.0}
