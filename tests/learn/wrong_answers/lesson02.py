"""What learners typically write in lesson 02, as they would write it, and a phrase that the feedback must contain."""

import numpy as np

import minigen as mg

# -- 02.1 -------------------------------------------------------------------------------------------------------------


def still_replaces(parents, slopes):
    grads = [0.0] * len(parents)
    grads[-1] = 1.0
    for i in range(len(parents) - 1, -1, -1):
        for parent, slope in zip(parents[i], slopes[i], strict=True):
            grads[parent] = slope * grads[i]
    return grads


def forgets_the_slope(parents, slopes):
    grads = np.zeros(len(parents))
    grads[-1] = 1
    for i in range(len(parents))[::-1]:
        for parent in parents[i]:
            grads[parent] += grads[i]
    return grads


def oldest_first(parents, slopes):
    grads = np.zeros(len(parents))
    grads[-1] = 1
    for i in range(len(parents)):
        for j, parent in enumerate(parents[i]):
            grads[parent] += slopes[i][j] * grads[i]
    return grads


def no_seed(parents, slopes):
    grads = np.zeros(len(parents))
    for i in reversed(range(len(parents))):
        for parent, slope in zip(parents[i], slopes[i], strict=True):
            grads[parent] += slope * grads[i]
    return grads


def each_parent_once(parents, slopes):
    grads = np.zeros(len(parents))
    grads[-1] = 1
    for i in reversed(range(len(parents))):
        for parent, slope in dict(zip(parents[i], slopes[i], strict=True)).items():
            grads[parent] += slope * grads[i]
    return grads


def nothing_returned(parents, slopes):
    grads = np.zeros(len(parents))
    grads[-1] = 1


def only_the_first_node(parents, slopes):
    grads = np.zeros(len(parents))
    grads[-1] = 1
    for i in reversed(range(len(parents))):
        for parent, slope in zip(parents[i], slopes[i], strict=True):
            grads[parent] += slope * grads[i]
    return grads[0]


# -- 02.2 -------------------------------------------------------------------------------------------------------------


def swapped(g, a, b):
    return g * a, g * b, g * np.exp(a), g * (1 - np.tanh(a) ** 2)


def without_g(g, a, b):
    return b, a, np.exp(a), 1 - np.tanh(a) ** 2


def tanh_not_squared(g, a, b):
    return g * b, g * a, g * np.exp(a), g * (1 - np.tanh(a))


def input_squared(g, a, b):
    return g * b, g * a, g * np.exp(a), g * (1 - a**2)


def exp_is_not_its_input(g, a, b):
    return g * b, g * a, g * a, g * (1 - np.tanh(a) ** 2)


def forgot_g_at_exp(g, a, b):
    return g * b, g * a, np.exp(a), g * (1 - np.tanh(a) ** 2)


def only_three(g, a, b):
    return g * b, g * a, g * np.exp(a)


def power_rule(g, a, b):
    return g * b, g * a, g * a * np.exp(a - 1), g * (1 - np.tanh(a) ** 2)


# -- 02.3 -------------------------------------------------------------------------------------------------------------


def bias_not_summed(g, x, weight, bias):
    return g @ weight.T, x.T @ g, g


def bias_averaged(g, x, weight, bias):
    return g @ weight.T, x.T @ g, g.mean(axis=0)


def bias_summed_along_rows(g, x, weight, bias):
    return g @ weight.T, x.T @ g, g.sum(axis=1)


def weight_not_transposed(g, x, weight, bias):
    return g @ weight, x.T @ g, g.sum(axis=0)


def weight_gradient_transposed(g, x, weight, bias):
    return g @ weight.T, g.T @ x, g.sum(axis=0)


def weight_gradient_averaged(g, x, weight, bias):
    return g @ weight.T, x.T @ g / len(x), g.sum(axis=0)


def elementwise_product(g, x, weight, bias):
    return g * weight, g * x, g


# -- 02.4 -------------------------------------------------------------------------------------------------------------


def like_a_sigmoid(g, p):
    return g * p * (1 - p), g * (1 - p)


def wrong_axis(g, p):
    return p * (g - (g * p).sum(axis=0)), g - p * g.sum(axis=0)


def no_axis(g, p):
    return p * (g - np.sum(g * p)), g - p * np.sum(g)


def unweighted(g, p):
    return p * (g - g.sum(1, keepdims=True)), g - p * g.sum(1, keepdims=True)


def factor_forgotten(g, p):
    return g - (g * p).sum(1, keepdims=True), g - p * g.sum(1, keepdims=True)


def weighted_twice(g, p):
    return p * (g - (g * p).sum(1, keepdims=True)), g - p * (g * p).sum(1, keepdims=True)


def only_softmax(g, p):
    return p * (g - (g * p).sum(1, keepdims=True))


# -- 02.5 -------------------------------------------------------------------------------------------------------------


def _softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def _onehot(logits, y):
    truth = np.zeros(logits.shape)
    truth[np.arange(len(y)), y] = 1
    return truth


def truth_minus_p(logits, y):
    return _onehot(logits, y) - _softmax(logits)


def only_p(logits, y):
    return _softmax(logits)


def averaged(logits, y):
    return (_softmax(logits) - _onehot(logits, y)) / logits.shape[0]


def overflowing(logits, y):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p - _onehot(logits, y)


def for_the_probabilities(logits, y):
    return -_onehot(logits, y) / _softmax(logits)


def over_the_examples(logits, y):
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0) - _onehot(logits, y)


def only_the_true_kind(logits, y):
    result = np.zeros(logits.shape)
    rows = np.arange(len(y))
    result[rows, y] = _softmax(logits)[rows, y] - 1
    return result


# -- 02.6 -------------------------------------------------------------------------------------------------------------


def no_graph(f, x):
    (g,) = mg.grad(f(x).sum(), x)
    return (g * g).sum(1)


def not_squared(f, x):
    (g,) = mg.grad(f(x).sum(), x, create_graph=True)
    return mg.sqrt((g * g).sum(1))


def one_number(f, x):
    (g,) = mg.grad(f(x).sum(), x, create_graph=True)
    return (g**2).sum()


def not_summed(f, x):
    (g,) = mg.grad(f(x).sum(), x, create_graph=True)
    return g**2


def averaged_examples(f, x):
    (g,) = mg.grad(f(x).mean(), x, create_graph=True)
    return (g * g).sum(1)


def averaged_components(f, x):
    (g,) = mg.grad(f(x).sum(), x, create_graph=True)
    return (g * g).mean(1)


def summed_then_squared(f, x):
    (g,) = mg.grad(f(x).sum(), x, create_graph=True)
    return g.sum(1) ** 2


def in_numpy(f, x):
    (g,) = mg.grad(f(x).sum(), x, create_graph=True)
    return (g.data**2).sum(1)


def backward_of_many(f, x):
    (g,) = mg.grad(f(x), x, create_graph=True)
    return (g * g).sum(1)


WRONG = {
    "02.1": [
        (still_replaces, "add to its gradient (+=)"),
        (forgets_the_slope, "without its slope"),
        (oldest_first, "from the oldest node to the newest"),
        (no_seed, "is 1, and nothing flows without it"),
        (each_parent_once, "First differing case"),
        (nothing_returned, "is the `return` missing"),
        (only_the_first_node, "shape (), wanted (3,)"),
    ],
    "02.2": [
        (swapped, "the wrong way round"),
        (without_g, "the slopes alone"),
        (tanh_not_squared, "1 − tanh², not 1 − tanh"),
        (input_squared, "you squared a itself"),
        (exp_is_not_its_input, "exp is exp itself"),
        (forgot_g_at_exp, "g is missing in the rule of exp"),
        (only_three, "It returned 3 things, wanted 4"),
        (power_rule, "exp(a), for a"),
    ],
    "02.3": [
        (bias_not_summed, "the sum over the rows: g.sum(0)"),
        (bias_averaged, "not their mean"),
        (bias_summed_along_rows, "not over the columns"),
        (weight_not_transposed, "mismatch"),
        (weight_gradient_transposed, "it must have weight's own shape"),
        (weight_gradient_averaged, "do not divide by B"),
        (elementwise_product, "could not be broadcast"),
    ],
    "02.4": [
        (like_a_sigmoid, "depended on its own logit only"),
        (wrong_axis, "within each row (axis 1)"),
        (no_axis, "sum over the whole array"),
        (unweighted, "weighted with p"),
        (factor_forgotten, "The factor p in front"),
        (weighted_twice, "without p inside"),
        (only_softmax, "wanted 2"),
    ],
    "02.5": [
        (truth_minus_p, "the wrong way round"),
        (only_p, "That is p itself"),
        (averaged, "divided by the number of examples"),
        (overflowing, "subtract each row's maximum"),
        (for_the_probabilities, "go one step further"),
        (over_the_examples, "not over the examples"),
        (only_the_true_kind, "the other logits move as well"),
    ],
    "02.6": [
        (no_graph, "create_graph=True"),
        (not_squared, "You return the length"),
        (one_number, "summed over the examples as well"),
        (not_summed, "one number per example"),
        (averaged_examples, "not its mean"),
        (averaged_components, "averaged over the components"),
        (summed_then_squared, "square each one first"),
        (in_numpy, "wanted a Tensor"),
        (backward_of_many, "needs a gradient of that shape"),
    ],
}
