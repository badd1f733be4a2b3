"""The engine: what backward and grad compute, what they refuse, and what they keep alive."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import (
    Tensor,
    backward,
    grad,
    primitive,
)
from minigen.errors import GraphError, ShapeError

primitives = sys.modules["minigen.autograd.primitive"]  # the name `primitive` is the decorator's


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(normal(*shape, seed=seed, dtype=dtype), requires_grad=True)


# -- what is computed ------------------------------------------------------------------------------------------


def test_a_tensor_used_twice_gets_the_sum_over_both_uses():
    x = leaf(3)
    (x * x + x).sum().backward()
    assert np.allclose(x.grad.data, 2 * x.data + 1)


def test_one_tensor_as_both_inputs_of_one_operation():
    x = leaf(3, 3)
    ops.matmul(x, x).sum().backward()
    ones = np.ones((3, 3))
    assert np.allclose(x.grad.data, ones @ x.data.T + x.data.T @ ones)


def test_a_diamond_of_paths_adds_up():
    x = leaf(3)
    a = ops.exp(x)
    b, c = a * 2.0, a * a
    (b * c).sum().backward()  # 2 e^{3x}
    assert np.allclose(x.grad.data, 6 * np.exp(3 * x.data))


def test_gradients_add_up_over_calls_of_backward():
    x = leaf(3)
    for _ in range(3):
        (x * 2.0).sum().backward()
    assert np.allclose(x.grad.data, 6)
    x.grad = None
    (x * 2.0).sum().backward()
    assert np.allclose(x.grad.data, 2)


def test_grad_does_not_touch_the_leaves():
    x = leaf(3)
    (g,) = grad((x * x).sum(), x)
    assert np.allclose(g.data, 2 * x.data) and x.grad is None


def test_backward_from_several_outputs():
    x, y = leaf(3), leaf(2, seed=1)
    backward([(x * x).sum(), ops.exp(y)], [None, np.array([1.0, 2.0])])
    assert np.allclose(x.grad.data, 2 * x.data) and np.allclose(y.grad.data, [1, 2] * np.exp(y.data))


def test_the_same_output_twice_counts_twice():
    x = leaf(3)
    y = x.sum()
    (g,) = grad([y, y], x)
    assert np.allclose(g.data, 2)


def test_weights_of_the_outputs_are_respected():
    x, v = leaf(3, 4), normal(3, 4, seed=1)
    (g,) = grad(ops.exp(x), x, v)
    assert np.allclose(g.data, v * np.exp(x.data))
    (g,) = grad(ops.exp(x), x, Tensor(v))
    assert np.allclose(g.data, v * np.exp(x.data))
    assert np.allclose(grad(x.sum(), x, 2.0)[0].data, 2.0)


def test_gradients_of_intermediate_results():
    x = leaf(3)
    h = ops.exp(x)
    y = (h * h).sum()
    g_x, g_h = grad(y, [x, h])
    assert np.allclose(g_h.data, 2 * h.data) and np.allclose(g_x.data, 2 * h.data**2)


def test_inputs_that_are_ancestors_of_each_other():
    x = leaf(3)
    a = ops.exp(x)
    b = ops.sin(a)
    c = b * a
    g_b, g_x, g_a = grad(c.sum(), [b, x, a])
    assert np.allclose(g_b.data, a.data)
    assert np.allclose(g_a.data, b.data + a.data * np.cos(a.data))
    assert np.allclose(g_x.data, g_a.data * np.exp(x.data))


def test_an_output_can_be_an_input():
    x = leaf(3)
    y = ops.exp(x)
    g_y, g_x = grad(y, [y, x], np.ones(3))
    assert np.allclose(g_y.data, 1) and np.allclose(g_x.data, y.data)
    assert np.allclose(grad(x, x, np.full(3, 4.0))[0].data, 4)


def test_the_gradient_of_an_intermediate_needs_nothing_before_it():
    """The graph below h was released; the gradient with respect to h does not pass there."""
    x = leaf(3)
    h = x * x
    h.sum().backward()
    (g,) = grad(h * 3.0, h, np.ones(3))
    assert np.allclose(g.data, 3)


def test_unused_inputs_are_an_error_or_none():
    x, unused = leaf(3), leaf(2)
    with pytest.raises(GraphError, match=r"no output depends on input 1 \(shape \(2,\)\).*allow_unused"):
        grad(x.sum(), [x, unused])
    g, nothing = grad(x.sum(), [x, unused], allow_unused=True)
    assert nothing is None and np.allclose(g.data, 1)


def test_errors_of_grad_and_backward():
    x, constant = leaf(3), Tensor(normal(3))
    with pytest.raises(GraphError, match="input 0 does not require grad"):
        grad(x.sum(), constant)
    with pytest.raises(GraphError, match="does not depend on any leaf"):
        constant.sum().backward()
    with pytest.raises(ShapeError, match=r"shape \(3,\) needs a gradient of that shape"):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"gradient of shape \(2,\) for an output of shape \(3,\)"):
        (x * 2.0).backward(np.ones(2))
    with pytest.raises(ShapeError, match="2 outputs but 1 grad_outputs"):
        grad([x.sum(), x.sum()], x, [None])


def test_derivatives_to_third_order_equal_closed_forms():
    x = leaf(4)
    cases = [
        (ops.sin, [np.cos, lambda z: -np.sin(z), lambda z: -np.cos(z)]),
        (lambda z: z**4, [lambda z: 4 * z**3, lambda z: 12 * z**2, lambda z: 24 * z]),
        (ops.exp, [np.exp] * 3),
        (
            ops.tanh,
            [
                lambda z: 1 - np.tanh(z) ** 2,
                lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2),
                lambda z: (1 - np.tanh(z) ** 2) * (6 * np.tanh(z) ** 2 - 2),
            ],
        ),
        (lambda z: z * ops.exp(z), [lambda z, k=k: (z + k) * np.exp(z) for k in (1, 2, 3)]),
    ]
    for f, closed in cases:
        y = f(x)
        for derivative in closed:
            (y,) = grad(y, x, np.ones(4), create_graph=True)
            assert np.allclose(y.data, derivative(x.data), rtol=1e-10, atol=1e-12)


def test_third_derivative_of_a_fused_operation():
    """Kernels give the first order only; the rest comes from the definition."""
    x = leaf(1, 2)
    y = ops.cross_entropy(x, np.array([0]))
    for _ in range(3):
        (g,) = grad(y.sum(), x, create_graph=True)
        y = g[:, :1]
    p = 1 / (1 + np.exp(x.data[0, 1] - x.data[0, 0]))
    assert y.item() == pytest.approx(p * (1 - p) * (1 - 2 * p), rel=1e-10)


def test_hessian_of_a_quadratic_form():
    a, x = normal(4, 4), leaf(4, seed=1)
    y = ops.matmul(x, ops.matmul(Tensor(a), x))
    (g,) = grad(y, x, create_graph=True)
    hessian = np.stack([grad(g[i], x)[0].data for i in range(4)])
    assert np.allclose(hessian, a + a.T)


def test_backward_with_create_graph_gives_gradients_with_history():
    x = leaf(3)
    (x**3).sum().backward(create_graph=True)
    assert np.allclose(x.grad.data, 3 * x.data**2)
    (g,) = grad(x.grad.sum(), x)
    assert np.allclose(g.data, 6 * x.data)


# -- releasing the graph ---------------------------------------------------------------------------------------


def test_a_second_backward_over_a_released_graph_is_an_error():
    x = leaf(3)
    y = ops.exp(x).sum()
    y.backward()
    with pytest.raises(GraphError, match="`sum`|`exp`.*released.*retain_graph=True"):
        y.backward()


def test_retain_graph_allows_another_backward():
    x = leaf(3)
    y = ops.exp(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert np.allclose(x.grad.data, 2 * np.exp(x.data))


def test_a_shared_part_that_was_released_is_reported():
    x = leaf(3)
    h = ops.exp(x)
    (h * 2.0).sum().backward()
    with pytest.raises(GraphError, match="`exp` was released"):
        (h * 3.0).sum().backward()


def test_grad_keeps_the_graph():
    x = leaf(3)
    y = ops.exp(x).sum()
    for _ in range(2):
        (g,) = grad(y, x)
        assert np.allclose(g.data, np.exp(x.data))


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_graph_memory_goes_with_the_last_reference(no_collector):
    x = leaf(100)
    h = ops.exp(x)
    y = (ops.tanh(h) * h).sum()
    watched = [weakref.ref(h), weakref.ref(h._data), weakref.ref(h._node.saved[1])]
    del h
    assert watched[1]() is not None  # the graph needs the numbers
    del y
    assert [w() for w in watched] == [None] * 3


def test_activations_go_during_backward(no_collector):
    x = leaf(100)
    h = ops.exp(x)
    array = weakref.ref(h._data)
    y = (h * h).sum()
    del h
    y.backward()
    assert array() is None


def test_graphs_of_gradients_go_too(no_collector):
    x = leaf(100)
    (g,) = grad((ops.tanh(x) ** 3).sum(), x, create_graph=True)
    (gg,) = grad(g.sum(), x, create_graph=True)
    watched = [weakref.ref(g._data), weakref.ref(gg._data), weakref.ref(gg)]
    del g, gg
    assert [w() for w in watched] == [None] * 3


def test_fused_graphs_go_too(no_collector):
    x, w, b = leaf(5, 4), leaf(4, seed=1), leaf(4, seed=2)
    h = ops.layer_norm(x * 1.0, w, b)
    (g,) = grad(h.sum(), x, create_graph=True)
    watched = [weakref.ref(h._data), weakref.ref(g._data)]
    del h, g
    assert [w() for w in watched] == [None] * 2


def test_leaves_hold_no_graph_after_backward(no_collector):
    x = leaf(100)
    y = ops.exp(x)
    node = y._node
    count = sys.getrefcount(node)
    y.sum().backward()
    assert sys.getrefcount(node) <= count


def test_a_leaf_that_is_gone_gets_no_gradient_and_does_no_harm():
    x, y = leaf(3), leaf(3)
    z = (x * y).sum()
    numbers = x.numpy()
    del x
    z.backward()
    assert np.allclose(y.grad.data, numbers)


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_long_chains_recurse_neither_in_backward_nor_in_release(length):
    """Run in a thread with a small stack and a low recursion limit: any recursion would end it."""
    results = []

    def run():
        x = Tensor(np.ones(1), requires_grad=True)
        y = x
        for _ in range(length):
            y = y + x
        results.append(y.item())
        y.backward(retain_graph=True)
        results.append(x.grad.item())
        (g,) = grad(y, x, create_graph=True)
        results.append(g.item())
        del y, g
        results.append("released")

    limit, size = sys.getrecursionlimit(), threading.stack_size(512 * 1024)
    sys.setrecursionlimit(200)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    assert results == [length + 1, length + 1, length + 1, "released"]


# -- gradients are handed over, not copied, where nobody else holds them ---------------------------------------


@pytest.fixture
def own_operations(monkeypatch):
    """Operations that a test declares are not for the gradient table."""
    monkeypatch.setattr(primitives, "OPS", {})


def test_a_leaf_takes_a_fresh_gradient_without_a_copy_even_if_it_is_a_view_of_an_image(own_operations):
    addresses = []

    def image_of(g):
        memory = np.ascontiguousarray(g.transpose(0, 2, 3, 1))
        addresses.append(memory.__array_interface__["data"][0])
        return memory.transpose(0, 3, 1, 2)

    @primitive(x=lambda g: image_of(g))
    def passing(x):
        return x.copy()

    x = Tensor(np.ones((2, 3, 4, 5)), requires_grad=True)
    passing(x).backward(np.full((2, 3, 4, 5), 2.0))
    assert x.grad.data.__array_interface__["data"][0] == addresses[0]
    assert (x.grad.data == 2).all()


def test_gradients_that_somebody_else_holds_are_copied(own_operations):
    kept = np.full((2, 3), 2.0)
    for g in (kept, np.full((3, 2), 2.0).T, np.broadcast_to(2.0, (2, 3))):
        a, b = (Tensor(np.ones((2, 3)), requires_grad=True) for _ in range(2))
        (a + b).backward(g)  # add hands one array to both
        assert not np.shares_memory(a.grad.data, b.grad.data)
        assert not np.shares_memory(a.grad.data, g) and not np.shares_memory(b.grad.data, g)

    held = []

    @primitive(x=lambda g: held[-1].T)
    def remembers(x):
        return x.copy()

    held.append(np.full((3, 2), 2.0))
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    remembers(x).backward(kept)
    assert not np.shares_memory(x.grad.data, held[0])


def test_the_gradient_of_a_number_is_an_array_without_axes():
    w = Tensor(np.array(2.0), requires_grad=True)
    (w * 3.0).backward()
    assert type(w.grad.data) is np.ndarray and w.grad.data == 3


def test_large_gradients_that_meet_are_added_as_small_ones_are():
    rng = np.random.default_rng(3)
    x = Tensor(rng.normal(size=(300, 300)), requires_grad=True)
    (x * 2.0 + x * x + x).sum().backward()
    np.testing.assert_allclose(x.grad.data, 3 + 2 * x.data, rtol=1e-14)
