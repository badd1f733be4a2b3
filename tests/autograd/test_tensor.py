"""Tensor: who may write into it, who shares its memory, and what it accepts."""

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import (
    OPS,
    Tensor,
    grad,
    no_grad,
)
from minigen.errors import GraphError, ShapeError
from minigen.samples import samples


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(normal(*shape, seed=seed, dtype=dtype), requires_grad=True)


# -- changes in place ------------------------------------------------------------------------------------------


def test_data_is_read_only_and_stays_so():
    x = leaf(3)
    handle = x.data
    with pytest.raises(ValueError, match="read-only"):
        handle[0] = 1
    with no_grad():
        x[0] = 5.0
    assert handle[0] == 5
    with pytest.raises(ValueError, match="read-only"):
        handle[0] = 1
    own = x.numpy()
    own[0] = 7
    assert x.data[0] == 5


def test_the_callers_array_is_copied():
    array = normal(3)
    x = Tensor(array, requires_grad=True)
    y = (x * x).sum()
    array[:] = 0
    y.backward()
    assert np.all(x.grad.data != 0)


def test_arrays_given_to_operations_may_be_reused():
    """A batch buffer, an index and a mask, all overwritten between forward and backward."""
    x, buffer, index, mask = leaf(3, 2), normal(3, 2, seed=1), np.array([0, 2, 0]), np.array([[True], [False], [True]])
    numbers = buffer.copy()
    y = (x * buffer).sum() + (x[index] * 2.0).sum() + ops.where(mask, x, 0.0).sum() + ops.take(x, index).sum()
    targets = np.array([0, 1, 0])
    z = ops.cross_entropy(x, targets).sum()
    index[:], mask[:], buffer[:], targets[:] = 1, False, 0.0, 1
    (g,) = grad(y, x)
    assert np.allclose(g.data, numbers + [[7, 7], [0, 0], [4, 4]])
    p = np.exp(x.data) / np.exp(x.data).sum(1, keepdims=True)
    assert np.allclose(grad(z, x)[0].data, p - [[1, 0], [0, 1], [1, 0]])


SAVED = {
    "a leaf that a rule reads": lambda x: (x * x, x),
    "a view of a leaf": lambda x: (ops.exp(x) * x[1:2].reshape(1), x),
    "a detached alias": lambda x: (x * x, x.detach()),
    "a detached view": lambda x: (x[0:2] * x[0:2], x.detach()[0:1]),
    "a view of a view": lambda x: (x[0:2][0:1] * x[0:2][0:1], x),
}


@pytest.mark.parametrize("case", SAVED)
def test_changing_saved_data_before_backward_is_an_error(case):
    x = leaf(3)
    y, target = SAVED[case](x)
    with no_grad():
        target.write_(np.zeros(target.shape))
    with pytest.raises(GraphError, match="`mul` was changed in place after the operation ran"):
        y.sum().backward()


def test_changing_a_constant_that_was_saved_is_an_error():
    x, constant = leaf(3), Tensor(normal(3))
    y = (x * constant).sum()
    constant[0] = 5.0
    with pytest.raises(GraphError, match="`mul` was changed in place"):
        y.backward()


def test_changing_the_input_of_a_fused_operation_is_an_error():
    x, target = leaf(3, 4), Tensor(normal(3, 4))
    y = ops.mse(x, target).sum()
    target[0] = 0.0
    with pytest.raises(GraphError, match="`squared_error` was changed in place"):
        y.backward()


def test_changing_what_no_rule_reads_is_allowed():
    x, constant = leaf(3), Tensor(normal(3))
    y = (x + constant).sum()
    constant[0] = 5.0
    with no_grad():
        x[0] = 7.0
    y.backward()
    assert np.allclose(x.grad.data, 1)


def test_a_change_before_the_operation_is_allowed():
    x, constant = leaf(3), Tensor(normal(3))
    constant[0] = 5.0
    with no_grad():
        x *= 2.0
    (x * constant).sum().backward()
    assert np.allclose(x.grad.data, constant.data)


def test_replacing_the_array_is_always_allowed():
    x = leaf(3)
    before = x.numpy()
    y = (x * x).sum()
    x.data = np.zeros(3)
    y.backward()
    assert np.allclose(x.grad.data, 2 * before)
    with pytest.raises(ShapeError, match=r"shape \(2,\) cannot replace \(3,\)"):
        x.data = np.zeros(2)


def test_results_cannot_be_changed_in_place_by_any_way():
    x = leaf(3)
    h = ops.exp(x)
    with no_grad():
        view = h[0:2]
    for target in (h, h.detach(), view, h.detach()[0:1]):
        with no_grad(), pytest.raises(GraphError, match="in-place change"):
            target[...] = 0.0
    h.sum().backward()
    assert np.allclose(x.grad.data, np.exp(x.data))


def test_results_without_history_can_be_changed():
    with no_grad():
        y = ops.exp(leaf(3))
    y[0] = 5.0
    assert y.data[0] == 5


def test_in_place_change_of_a_leaf_while_recording_is_an_error():
    x = leaf(3)
    with pytest.raises(GraphError, match="no_grad"):
        x += 1.0
    with pytest.raises(GraphError, match="no_grad"):
        x[0] = 1.0


def test_an_update_like_an_optimisers():
    w = leaf(3)
    for _ in range(3):
        (w * w).sum().backward()
        with no_grad():
            before = w.numpy()
            w -= 0.1 * w.grad
        assert np.allclose(w.data, 0.8 * before) and w.requires_grad and w.is_leaf
        w.grad = None


def test_an_update_between_forward_and_backward_is_an_error():
    w = leaf(3)
    loss = (w * w).sum()
    with no_grad():
        w -= 0.1
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_adding_up_losses_keeps_their_history():
    x = leaf(3)
    total = Tensor(np.float64(0.0))
    for k in (1.0, 2.0):
        total += (x * k).sum()
    total.backward()
    assert np.allclose(x.grad.data, 3)


def test_a_broadcast_view_cannot_be_changed():
    x = Tensor(normal(3))
    with pytest.raises(GraphError, match="share memory"):
        ops.broadcast_to(x, shape=(2, 3))[0] = 0.0


def test_a_change_of_the_wrong_shape_is_an_error():
    with pytest.raises(ShapeError, match=r"shape \(3,\)"):
        Tensor(normal(3))[...] = np.zeros(4)


# -- who shares memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_two_leaves_never_share_gradient_memory(create_graph):
    a, b = leaf(3), leaf(3, seed=1)
    g = Tensor(normal(3))
    (a + b).backward(g, create_graph=create_graph)
    tensors = [a.grad, b.grad, g]
    for i, s in enumerate(tensors):
        for t in tensors[i + 1 :]:
            assert not np.shares_memory(s._data, t._data)


@pytest.mark.parametrize("create_graph", [False, True])
def test_results_of_grad_never_share_memory(create_graph):
    a, b, g = leaf(3), leaf(3, seed=1), Tensor(normal(3))
    first, second = grad(a + b, [a, b], g, create_graph=create_graph)
    first *= 2.0
    assert np.array_equal(second.data, g.data) and np.array_equal(g.data, normal(3))


def test_no_operation_returns_the_very_array_it_was_given():
    for name in OPS:
        for case in samples(name):
            arrays = [Tensor(x, requires_grad=True) for x in case.arrays]
            y = case(*arrays)
            for result in y if isinstance(y, tuple) else (y,):
                assert not any(result._data is x._data for x in arrays), name


# -- the box ---------------------------------------------------------------------------------------------------


def test_python_floats_become_float32_and_arrays_keep_their_dtype():
    assert Tensor([1.0, 2.0]).dtype == np.float32 and Tensor(np.ones(2)).dtype == np.float64
    assert Tensor([1, 2]).dtype.kind == "i" and Tensor([1, 2], dtype=np.float64).dtype == np.float64


def test_whole_numbers_have_no_gradient():
    with pytest.raises(GraphError, match="int64 has no gradient"):
        Tensor([1, 2], requires_grad=True)


def test_ragged_data_is_an_error():
    with pytest.raises(ShapeError, match="no regular array"):
        Tensor([[1.0, 2.0], [3.0]])


def test_numpy_does_not_swallow_history():
    x = leaf(3)
    with pytest.raises(GraphError, match="lose its history"):
        np.asarray(x)
    assert np.array_equal(np.asarray(x.detach()), x.data)
    assert isinstance(normal(3) * x, Tensor)  # not an object array of Tensors


def test_setting_a_gradient_checks_its_shape():
    x = leaf(3)
    with pytest.raises(ShapeError, match=r"shape \(2,\), expected that of the tensor, \(3,\)"):
        x.grad = np.zeros(2)


def test_freezing_a_leaf_and_not_a_result():
    x = leaf(3)
    y = x * 2.0
    with pytest.raises(GraphError, match="detach"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2.0).requires_grad
