"""Exercises of lesson 02, a neuron, a graph, a gradient."""

import numpy as np

import minigen as mg
from minigen.learn import rules
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.rules import (
    backward,
    cross_entropy_gradient,
    elementwise_rules,
    layer_rules,
    mixed,
    slope_squared,
    softmax_rules,
    waves,
)
from minigen.ops.elementwise import exp, mul, tanh
from minigen.ops.linalg import _matmul
from minigen.ops.loss import cross_entropy
from minigen.ops.reduce import log_softmax, softmax

# -- 02.1 accumulation ------------------------------------------------------------------------------------------------


def _walk(order, add=True, weigh=True, both=False):
    """`backward` with a choice left open: the order of the walk, whether to add, whether to weigh by the slope."""

    def erring(parents, slopes):
        grads = np.zeros(len(parents))
        grads[-1] = 1.0
        for node in order(len(parents)):
            for parent, slope in zip(parents[node], slopes[node], strict=True):
                handed = (slope if weigh else 1.0) * (1.0 if both else grads[node])
                grads[parent] = grads[parent] + handed if add else handed
        return grads

    return erring


def _graphs(rng):
    chain = [[], [0], [1]], [[], [2.0], [-3.0]]
    diamond = [[], [0, 0], [1, 1]], [[], [1.0, 1.0], [1.0, 1.0]]  # b = a + a; c = b + b
    parents = [[], [], *([int(p) for p in rng.integers(0, node, size=2)] for node in range(2, 9))]
    slopes = [[float(s) for s in rng.normal(size=len(above)).round(2)] for above in parents]
    late = [[], [0], [0], [1, 2], [3, 0]], [[], [2.0], [3.0], [1.0, -1.0], [0.5, 4.0]]  # node 0 is reached three ways
    return [chain, diamond, late, (parents, slopes)]


ACCUMULATION = Exercise(
    id="02.1",
    title="Find the bug in backward",
    signature="my_backward(parents, slopes)",
    reference=backward,
    cases=_graphs,
    hints=(
        "Run the broken one on b = a + a by hand. What reaches a first, what reaches it second, and what is left?",
        "A node that is used twice has two terms in (2.4). Which line of the broken one forgets the first?",
        "grads[parent] += slope * grads[node], where the broken one has =. The order of the walk was right.",
    ),
    mistakes=(
        Mistake("A parent that is used twice keeps only what it was handed last: add to its gradient (+=), do not "
                "replace it (=).", _walk(lambda n: reversed(range(n)), add=False)),
        Mistake("You walk from the oldest node to the newest, and hand on gradients that are still 0: walk in reverse.",
                _walk(range)),
        Mistake("You hand on the node's gradient without its slope: multiply by ∂node/∂parent.",
                _walk(lambda n: reversed(range(n)), weigh=False)),
        Mistake("You add up the slopes alone: multiply each by the gradient that has reached the node.",
                _walk(lambda n: reversed(range(n)), both=True)),
        Mistake("The last node's own gradient, ∂L/∂L, is 1, and nothing flows without it.",
                lambda parents, slopes: np.zeros(len(parents))),
    ),
    afterword="This is the whole of backpropagation; the rest is a table of slopes.",
)  # fmt: skip

# -- 02.2 rules number by number --------------------------------------------------------------------------------------


ELEMENTWISE = Exercise(
    id="02.2",
    title="Rules for mul, exp and tanh",
    signature="my_rules(g, a, b)",
    reference=elementwise_rules,
    solution=(mul, exp, tanh),
    cases=lambda rng: [tuple(rng.normal(size=(3, *shape))) for shape in ((4,), (2, 3))],
    observe=rules.elementwise,
    hints=(
        "Number by number: the gradient of an input is g times the ordinary derivative of the result, (2.6).",
        "∂(ab)/∂a = b and ∂(ab)/∂b = a; exp is its own derivative; tanh′ = 1 − tanh².",
        "return g * b, g * a, g * np.exp(a), g * (1 - np.tanh(a)**2)",
    ),
    mistakes=(
        Mistake("The two gradients of a·b are the wrong way round: ∂(ab)/∂a is b.",
                lambda g, a, b: (g * a, g * b, *elementwise_rules(g, a, b)[2:])),
        Mistake("These are the slopes alone: multiply each by g, the gradient that arrives at the result.",
                lambda g, a, b: elementwise_rules(np.ones_like(np.asarray(g)), a, b)),
        Mistake("tanh′ is 1 − tanh², not 1 − tanh.",
                lambda g, a, b: (*elementwise_rules(g, a, b)[:3], g * (1 - mg.tanh(a)))),
        Mistake("tanh′ is 1 − tanh(a)²; you squared a itself.",
                lambda g, a, b: (*elementwise_rules(g, a, b)[:3], g * (1 - a * a))),
        Mistake("The derivative of exp is exp itself, not the input.",
                lambda g, a, b: (*elementwise_rules(g, a, b)[:2], g * a, elementwise_rules(g, a, b)[3])),
        Mistake("g is missing in the rule of exp.",
                lambda g, a, b: (*elementwise_rules(g, a, b)[:2], mg.exp(a), elementwise_rules(g, a, b)[3])),
        Mistake("g is missing in the rule of tanh.",
                lambda g, a, b: (*elementwise_rules(g, a, b)[:3], 1 - mg.tanh(a) * mg.tanh(a))),
    ),
    afterword="Look how the package writes them: learn.solution(\"02.2\").",
)  # fmt: skip

# -- 02.3 a layer -----------------------------------------------------------------------------------------------------


LAYER = Exercise(
    id="02.3",
    title="Rules for a matrix product and a broadcast sum",
    signature="my_layer_rules(g, x, weight, bias)",
    reference=layer_rules,
    solution=(_matmul, mg.autograd.broadcasting.sum_to),
    cases=lambda rng: [tuple(rng.normal(size=shape) for shape in ((B, K), (B, D), (D, K), (K,)))
                       for B, D, K in ((5, 3, 2), (4, 4, 4), (1, 2, 3))],
    observe=rules.layer,
    hints=(
        "Each gradient has the shape of its input. That nearly decides which product to write.",
        "(2.7) gives the two of the product. The bias was copied to every row, and the adjoint of copying is a sum.",
        "return g @ weight.T, x.T @ g, g.sum(0)",
    ),
    mistakes=(
        Mistake("The bias was copied to all B rows, so its gradient is the sum over the rows: g.sum(0), shape (K,).",
                lambda g, x, w, b: (g @ w.T, x.T @ g, g)),
        Mistake("The bias takes the sum over the rows, not their mean: every copy counts in full.",
                lambda g, x, w, b: (g @ w.T, x.T @ g, g.mean(0))),
        Mistake("The bias takes the sum over the rows (axis 0), not over the columns.",
                lambda g, x, w, b: (g @ w.T, x.T @ g, g.sum(1))),
        Mistake("All numbers of the bias have the same gradient in yours: sum over the rows only.",
                lambda g, x, w, b: (g @ w.T, x.T @ g, g.sum() + 0 * b)),
        Mistake("The gradient of weight is transposed: it must have weight's own shape (D, K), so x.T @ g.",
                lambda g, x, w, b: (g @ w.T, g.T @ x, g.sum(0))),
        Mistake("These are the slopes without g: g must enter both products.",
                lambda g, x, w, b: (np.ones(g.shape) @ w.T, x.T @ np.ones(g.shape), np.ones(g.shape).sum(0))),
        Mistake("The gradients of a sum of B examples are sums over them, not means: do not divide by B.",
                lambda g, x, w, b: (g @ w.T, x.T @ g / len(x), g.sum(0))),
    ),
    afterword="Every layer of every network in this course goes back through these three lines.",
)  # fmt: skip

# -- 02.4 softmax -----------------------------------------------------------------------------------------------------


SOFTMAX = Exercise(
    id="02.4",
    title="Rules for softmax and log-softmax",
    signature="my_softmax_rules(g, p)",
    reference=softmax_rules,
    solution=(softmax, log_softmax),
    cases=lambda rng: [(rng.normal(size=shape), rules.softmax(rng.normal(size=shape))) for shape in ((4, 3), (3, 5))],
    observe=rules.softmaxes,
    hints=(
        "Raising one logit raises its own probability and lowers all others: so each row needs a sum.",
        "From (2.9a): Σ_k g_k p_k (δ_kj − p_j) = p_j (g_j − Σ_k g_k p_k). For the logarithm, Σ_k g_k (δ_kj − p_j).",
        "return p * (g - (g * p).sum(1, keepdims=True)), g - p * g.sum(1, keepdims=True)",
    ),
    mistakes=(
        Mistake("You treat softmax as if each number depended on its own logit only: p (1 − p). All probabilities of a "
                "row share one denominator.",
                lambda g, p: (g * p * (1 - p), softmax_rules(g, p)[1])),
        Mistake("You treat softmax as if each number depended on its own logit only: p (1 − p). All probabilities of a "
                "row share one denominator.",
                lambda g, p: (g * p * (1 - p), g * (1 - p))),
        Mistake("The log-softmax's own derivative is not 1 − p alone: the other logits of the row enter as well.",
                lambda g, p: (softmax_rules(g, p)[0], g * (1 - p))),
        Mistake("The sum runs over the kinds, within each row (axis 1), not over the examples.",
                lambda g, p: (p * (g - (g * p).sum(0)), g - p * g.sum(0))),
        Mistake("You sum over the whole array; each row is a softmax of its own: sum over axis 1, keepdims=True.",
                lambda g, p: (p * (g - (g * p).sum()), g - p * g.sum())),
        Mistake("Inside the bracket the sum is weighted with p: Σ_k g_k p_k, not Σ_k g_k.",
                lambda g, p: (p * (g - g.sum(1, keepdims=True)), softmax_rules(g, p)[1])),
        Mistake("The factor p in front of the bracket is missing in the rule of softmax.",
                lambda g, p: (g - (g * p).sum(1, keepdims=True), softmax_rules(g, p)[1])),
        Mistake("In the rule of log-softmax the sum is Σ_k g_k, without p inside: p stands before it.",
                lambda g, p: (softmax_rules(g, p)[0], g - p * (g * p).sum(1, keepdims=True))),
    ),
    afterword="If all g are equal the softmax hands back 0: its numbers always sum to 1.",
)  # fmt: skip

# -- 02.5 cross-entropy -----------------------------------------------------------------------------------------------


def _logits(rng):
    large = np.array([[1000.0, 0.0, -1000.0], [0.0, -1000.0, 2.0]])
    return [(rng.normal(size=(4, 3)), np.array([0, 2, 1, 2])), (rng.normal(size=(3, 5)), np.array([4, 4, 0])),
            (large, np.array([1, 0]))]  # fmt: skip


def _plain_softmax(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1, keepdims=True)


CROSS_ENTROPY = Exercise(
    id="02.5",
    title="Gradient of the softmax cross-entropy",
    signature="my_loss_gradient(logits, y)",
    reference=cross_entropy_gradient,
    solution=(cross_entropy_gradient, cross_entropy),
    cases=_logits,
    hints=(
        "(2.10) is two terms: what the model says, and what is true. Which sign has which?",
        "np.eye(K)[y] has a 1 at each example's kind. For logits of 1000, take each row's largest out before exp.",
        "e = np.exp(logits - logits.max(1, keepdims=True)); p = e / e.sum(1, keepdims=True); then p - np.eye(K)[y].",
    ),
    mistakes=(
        Mistake("The sign is the wrong way round: raising the logit of a wrong kind raises the loss, so p − onehot.",
                lambda logits, y: -cross_entropy_gradient(logits, y)),
        Mistake("That is p itself; the 1 at the true kind has to be taken away.",
                lambda logits, y: rules.softmax(logits)),
        Mistake("You divided by the number of examples: here the loss is the sum over them.",
                lambda logits, y: cross_entropy_gradient(logits, y) / len(y)),
        Mistake("e^1000 overflows to inf, and inf/inf is nan: subtract each row's maximum before exp, which changes no "
                "probability.",
                lambda logits, y: _plain_softmax(logits) - np.eye(logits.shape[1])[y]),
        Mistake("Only the numbers at the true kinds are filled in; the other logits move as well, by p.",
                lambda logits, y: cross_entropy_gradient(logits, y) * np.eye(logits.shape[1])[y]),
        Mistake("That is the gradient for the probabilities, −1/p at the true kind: go one step further, through the "
                "softmax, to the logits.",
                lambda logits, y: -np.eye(logits.shape[1])[y] / rules.softmax(logits)),
        Mistake("The softmax runs over the kinds of each example (axis 1), not over the examples.",
                lambda logits, y: rules.softmax(logits.T).T - np.eye(logits.shape[1])[y]),
    ),
    afterword="What the model says minus what is true: every classifier on earth learns from this difference.",
)  # fmt: skip

# -- 02.6 reverse over reverse ----------------------------------------------------------------------------------------


def _slope(f, x, create_graph=True):
    return mg.grad(mg.sum(f(x)), x, create_graph=create_graph)[0]


PENALTY = Exercise(
    id="02.6",
    title="Reverse over reverse: the squared length of a gradient",
    signature="my_slope_squared(f, x)",
    reference=slope_squared,
    cases=lambda rng: [(waves, rng.normal(size=(3, 2))), (mixed, 0.5 * rng.normal(size=(2, 3)))],
    observe=rules.penalty,
    tensors=True,
    tolerance=1e-8,
    hints=(
        "mg.grad wants one number to differentiate. Each example depends on its own row, so their sum will do.",
        "(g,) = mg.grad(f(x).sum(), x, create_graph=True) gives a gradient that has a graph of its own.",
        "Then return (g * g).sum(1): one squared length per example.",
    ),
    mistakes=(
        Mistake("The values are right, but the gradient has no graph of its own: pass create_graph=True.",
                lambda f, x: mg.sum(_slope(f, x, False) * _slope(f, x, False), dim=1)),
        Mistake("You return the length; wanted is its square (whose derivative exists at 0 too).",
                lambda f, x: mg.sqrt(slope_squared(f, x))),
        Mistake("You summed over the examples as well: one squared length per example, so sum over axis 1 only.",
                lambda f, x: mg.sum(slope_squared(f, x))),
        Mistake("Sum the squares over axis 1: one number per example.",
                lambda f, x: _slope(f, x) * _slope(f, x)),
        Mistake("You averaged over the components; the squared length is their sum.",
                lambda f, x: slope_squared(f, x) / x.shape[1]),
        Mistake("You divided by the number of examples: differentiate the sum of f(x), not its mean.",
                lambda f, x: slope_squared(f, x) / len(x) ** 2),
        Mistake("You summed the components and squared afterwards: square each one first.",
                lambda f, x: mg.sum(_slope(f, x), dim=1) * mg.sum(_slope(f, x), dim=1)),
    ),
    afterword="WGAN-GP and R1 (lesson 08) are this function inside a loss, and score matching (lesson 10) is a cousin.",
)  # fmt: skip

EXERCISES = [ACCUMULATION, ELEMENTWISE, LAYER, SOFTMAX, CROSS_ENTROPY, PENALTY]
