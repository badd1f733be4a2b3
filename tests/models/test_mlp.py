"""The multilayer perceptron: what it computes, what it cannot do without a bend, and its gradients."""

import itertools

import numpy as np
import pytest

import minigen as mg
from minigen.errors import ShapeError
from minigen.models.mlp import ACTIVATIONS, MLP
from minigen.optim import SGD

CORNERS = np.array(list(itertools.product([0.0, 1.0], repeat=2)))
XOR = np.array([0, 1, 1, 0])


def mlp(widths=(2, 5, 3), seed=0, **settings):
    return MLP(widths, rng=np.random.default_rng(seed), **settings)


def points(count=7, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 2))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_its_two_equations(activation):
    model, x = mlp(activation=activation).to(np.float64), points()
    bend = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0), "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
            "none": lambda z: z}[activation]  # fmt: skip
    first, last = model.layers[0], model.layers[2]
    h = bend(x @ first.weight.data.T + first.bias.data)  # (2.11)
    logits = h @ last.weight.data.T + last.bias.data
    np.testing.assert_allclose(model(mg.tensor(x)).data, logits, rtol=1e-6)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)  # (2.9)
    np.testing.assert_allclose(model.probabilities(mg.tensor(x)), p, rtol=1e-6)
    y = np.arange(7) % 3
    np.testing.assert_allclose(model.loss(mg.tensor(x), y).data, -np.log(p[np.arange(7), y]), rtol=1e-6)


def test_the_gradient_for_the_logits_is_p_minus_onehot():
    logits, y = mg.tensor(points(6).reshape(4, 3), requires_grad=True), np.array([0, 2, 1, 2])
    (g,) = mg.grad(mg.cross_entropy(logits, y).sum(), logits)
    np.testing.assert_allclose(g.data, mg.softmax(logits, dim=1).data - np.eye(3)[y], atol=1e-12)  # (2.10)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "none"])
def test_all_its_gradients_pass_the_check(activation):
    model, y = mlp((2, 4, 4, 3), activation=activation).to(np.float64), np.arange(5) % 3
    assert mg.gradcheck(lambda x: model.loss(x, y), [points(5)], parameters=dict(model.named_parameters()))


def test_without_a_bend_three_layers_are_one_straight_map():
    model = mlp((2, 8, 8, 2), activation="none").to(np.float64)
    a, b = points(4, 1), points(4, 2)
    origin = model(mg.tensor(np.zeros((1, 2)))).data
    both = model(mg.tensor(a + b)).data - origin
    np.testing.assert_allclose(both, model(mg.tensor(a)).data + model(mg.tensor(b)).data - 2 * origin, atol=1e-12)


@pytest.mark.parametrize(("activation", "reached"), [("tanh", 1.0), ("none", 0.75)])
def test_exclusive_or_needs_the_bend(activation, reached):
    model = mlp((2, 8, 2), activation=activation)
    optimizer = SGD(model.parameters(), lr=0.5)
    best = 0.0
    for _ in range(400):
        loss = model.loss(CORNERS, XOR).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        best = max(best, model.accuracy(CORNERS, XOR))
    assert best <= reached
    assert model.accuracy(CORNERS, XOR) == 1.0 if reached == 1 else best < 1


def test_accuracy_counts_the_most_probable_kinds():
    model, x = mlp(), points(50)
    kinds = model.predict(x)
    assert set(kinds) <= {0, 1, 2} and model.accuracy(x, kinds) == 1.0
    changed = np.where(np.arange(50) < 10, (kinds + 1) % 3, kinds)
    assert model.accuracy(x, changed) == 0.8


def test_the_same_generator_gives_the_same_network():
    for a, b in zip(mlp(seed=3).parameters(), mlp(seed=3).parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_what_makes_no_network_is_refused():
    with pytest.raises(ShapeError, match=r"MLP: widths \(2,\)"):
        mlp((2,))
    with pytest.raises(ValueError, match="activation 'swish'; expected one of tanh, relu"):
        mlp(activation="swish")
