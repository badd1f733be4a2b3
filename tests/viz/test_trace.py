import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.errors import GraphError
from minigen.samples import discover, samples
from minigen.viz.trace import count, named_tensors, trace


def leaf(value):
    return mg.tensor(np.array(value, dtype=np.float64), requires_grad=True)


def neuron():
    w, b, x = leaf(2.0), leaf(-1.0), mg.tensor(np.array(1.5))
    z = w * x + b
    return {"w": w, "b": b, "x": x, "z": z, "f": mg.sigmoid(z)}


def by_name(items):
    return {item.name: item for item in items if item.name}


def test_items_come_in_order_with_their_values_operations_and_parents():
    named = neuron()
    items = trace(named["f"], named, grads=False)
    found = by_name(items)
    assert set(found) == set(named) and items[-1] is found["f"]
    assert all(parent < place for place, item in enumerate(items) for parent in item.parents)
    assert {name: item.kind for name, item in found.items()} == {
        "w": "leaf", "b": "leaf", "x": "constant", "z": "result", "f": "result"}  # fmt: skip
    for name, tensor in named.items():
        assert found[name].value == tensor.data
    (product,) = (item for item in items if item.op == "mul")
    assert [items[at].name for at in product.operands] == ["w", "x"]
    assert product.value == 3.0  # nobody kept it: computed again
    assert count(named["f"]) == {"mul": 1, "add": 1, "sigmoid": 1}


def test_gradients_are_the_engines_own_and_no_grad_is_touched():
    named = neuron()
    found = by_name(trace(named["f"], named, grads=True))
    for name in ("w", "b", "z"):
        assert found[name].grad == mg.grad(named["f"], named[name])[0].data
        assert named[name].grad is None
    assert found["f"].grad == 1 and found["x"].grad is None


def test_what_a_node_hands_to_its_parents_adds_up_to_their_gradient():
    a = leaf(3.0)
    b = a + a
    c = b + b
    items = trace(c, {"a": a, "b": b, "c": c}, grads=True)
    found = by_name(items)
    assert [float(g) for g in found["b"].passed] == [2, 2] and found["a"].grad == 4
    net, rng = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 3)), np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(4, 2)).astype(np.float32), requires_grad=True)
    items = trace((mg.cross_entropy(net(x), np.array([0, 1, 2, 0])) * 2.0).sum(), {"x": x}, grads=True)
    received = {}
    for item in items:
        for parent, g in zip(item.parents, item.passed, strict=False):
            received[parent] = received.get(parent, 0) + g
    for place, g in received.items():
        np.testing.assert_allclose(g, items[place].grad, atol=1e-6)


def test_the_walk_backwards_is_numbered_by_falling_age():
    named = neuron()
    items = trace(named["f"], named, grads=False)
    assert [item.op for item in sorted(items, key=lambda item: item.turn) if item.turn] == ["sigmoid", "add", "mul"]


def test_a_broadcast_input_receives_the_sum_over_its_copies():
    w, x = leaf([1.0, 2.0]), leaf(np.ones((3, 2)))
    (item,) = (item for item in trace(w * x, {}, grads=True) if item.op == "mul")
    assert item.passed[0].tolist() == [3, 3]


@pytest.mark.parametrize("make", [
    lambda: mg.tensor([1.0, 2.0]),
    lambda: leaf([1.0, 2.0]),
    lambda: leaf([1.0, 2.0]).detach() * 2.0,
])  # fmt: skip
def test_a_tensor_without_operations_is_one_item(make):
    tensor = make()
    (item,) = trace(tensor, {"t": tensor}, grads=True)
    assert (item.op, item.name, item.shape) == ("", "t", (2,))
    assert item.value is tensor._data


@pytest.mark.parametrize("name", discover())
def test_whatever_has_a_gradient_can_be_traced(name):
    """Every operation and layer there is: values as computed, gradients as the engine's, edges that add up to them."""
    for case in samples(name):
        inputs = [mg.tensor(x, requires_grad=True) for x in case.arrays]
        results = case(*inputs)
        result = results[0] if isinstance(results, tuple) else results
        items = trace(result, {f"x{i}": x for i, x in enumerate(inputs)}, grads=True)
        assert items[-1].value is result._data and all(item.shape == np.shape(item.value) for item in items
                                                       if item.value is not None)
        found = by_name(items)
        for i, x in enumerate(inputs):
            if f"x{i}" in found:
                (g,) = mg.grad(result, x, np.ones_like(result.data), allow_unused=True)
                assert np.array_equal(found[f"x{i}"].grad, None if g is None else g.data)
        received = {}
        for item in items:
            for parent, g in zip(item.parents, item.passed, strict=False):
                received[parent] = g if parent not in received or received[parent] is None else received[parent] + g
        for place, g in received.items():
            if g is not None:
                np.testing.assert_allclose(g + (place == len(items) - 1), items[place].grad, rtol=1e-9, atol=1e-12)


def test_a_value_that_nobody_kept_is_unknown_unless_it_is_named():
    a = leaf(2.0)
    b = a + 1.0
    c = mg.exp(b)
    assert [item.value for item in trace(c, {}, grads=False) if item.op == "add"] == [None]
    assert [item.value for item in trace(c, {"b": b}, grads=False) if item.op == "add"] == [3.0]


def test_no_value_is_computed_again_from_a_parent_that_was_changed_since():
    a, b = leaf(2.0), leaf(1.0)
    c = a + b
    d = mg.exp(c)
    with mg.no_grad():
        a += 1.0
    assert [item.value for item in trace(d, {}, grads=False) if item.op == "add"] == [None]


def test_after_backward_the_gradients_of_the_leaves_are_left():
    named = neuron()
    named["f"].backward()
    found = by_name(trace(named["f"], named, grads=True))
    assert found["w"].grad == named["w"].grad.item() and found["z"].grad is None


def test_a_changed_input_is_an_error_only_where_gradients_are_wanted():
    w = leaf(2.0)
    y = w * w
    with mg.no_grad():
        w += 1.0
    trace(y, {}, grads=False)
    with pytest.raises(GraphError, match="changed in place"):
        trace(y, {}, grads=True)


def test_names_are_a_dict_or_a_modules_parameters():
    net = nn.Linear(2, 3)
    assert list(named_tensors(net)) == ["weight", "bias"] and named_tensors(None) == {}
    for wrong in ([net.weight], {"w": 3.0}):
        with pytest.raises(GraphError, match="names is"):
            named_tensors(wrong)
