"""Operations: how they are declared, their quick path, their dtypes."""

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import (
    OPS,
    Tensor,
    detect_anomaly,
    fused,
    grad,
    no_grad,
    primitive,
)
from minigen.errors import MinigenError, ShapeError
from minigen.samples import discover, samples


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(normal(*shape, seed=seed, dtype=dtype), requires_grad=True)


# -- float32 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in discover() if name != "cast"])
def test_float32_stays_float32_forward_and_backward(name):
    for case in samples(name):
        if hasattr(case.function, "to"):
            case.function.to(np.float32)
            case.parameters = dict(case.function.named_parameters())
        inputs = [Tensor(x, requires_grad=True, dtype=np.float32) for x in case.arrays]
        y = case(*inputs)
        outputs = [t for t in (y if isinstance(y, tuple) else (y,)) if isinstance(t, Tensor)]
        assert all(t.dtype == np.float32 for t in outputs)
        varied = [*inputs, *case.parameters.values()]
        weights = [np.ones(t.shape, np.float32) for t in outputs]
        for create_graph in (False, True):
            gradients = grad(outputs, varied, weights, create_graph=create_graph, allow_unused=True)
            assert all(g is None or g.dtype == np.float32 for g in gradients), create_graph


def test_numbers_and_arrays_take_the_tensors_dtype():
    x = leaf(3, dtype=np.float32)
    for y in (2.0**x, 1 / (2.0 + x**2), np.float64(2) * x, normal(3) * x, x - np.arange(3), ops.maximum(x, 0.5)):
        assert y.dtype == np.float32
        for create_graph in (False, True):
            (g,) = grad(y, x, np.ones(3), create_graph=create_graph)
            assert g.dtype == np.float32


def test_gradients_keep_the_leafs_dtype_when_dtypes_mix():
    x, y = leaf(3, dtype=np.float32), leaf(3)
    for _ in range(2):
        (x * y).sum().backward()
    assert x.grad.dtype == np.float32 and y.grad.dtype == np.float64


# -- the quick path --------------------------------------------------------------------------------------------


def _shortcut_calls():
    """Operations of one or two inputs without settings, with every mixture of inputs that they meet."""
    matrices = ("matmul", "solve")
    for name, op in OPS.items():
        if op.settings or op.variadic or op.definition is not None or len(op.inputs) > 2:
            continue
        for case in samples(name):
            axes = [x.ndim for x in case.arrays]
            if len(axes) != len(op.inputs) or (name in matrices and (min(axes) < 2 or axes[1] < axes[0])):
                continue  # biases and vectors are the public function's business, not that of the operation below it
            tensors = [Tensor(x, requires_grad=True) for x in case.arrays]
            yield name, op, tensors
            if len(tensors) == 2:
                yield name, op, [tensors[0], Tensor(case.arrays[1])]
                yield name, op, [Tensor(case.arrays[0]), tensors[1]]
                if name not in (*matrices, "linear"):
                    yield name, op, [tensors[0], 1.7]
                    yield name, op, [tensors[0], 2]


def test_the_quick_path_does_what_the_general_path_does():
    tried = set()
    for name, op, inputs in _shortcut_calls():
        call = op.as_function()
        for _ in range(2):  # the quick path is taken from the second call on, once a plan exists
            quick = call(*inputs)
        with detect_anomaly():  # anything unusual goes the general way
            general = call(*inputs)
        assert np.array_equal(quick.data, general.data) and quick.dtype == general.dtype
        assert quick._node.plan is general._node.plan and list(quick._node.parents) == list(general._node.parents)
        for a, b in zip(_values(quick), _values(general), strict=True):
            assert (a is None) == (b is None) and (a is None or np.array_equal(a, b)), name
        varied = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
        v = normal(*quick.shape, seed=3)
        for create_graph in (False, True):
            pairs = (grad(y, varied, v, create_graph=create_graph) for y in (quick, general))
            for a, b in zip(*pairs, strict=True):
                assert np.array_equal(a.data, b.data)
        tried.add(name)
    assert {"add", "mul", "exp", "matmul", "relu"} <= tried and len(tried) >= 25


def _values(tensor):
    saved = tensor._node.saved
    return saved.values() if isinstance(saved, dict) else saved


def test_the_quick_path_is_not_taken_inside_no_grad():
    a, b = leaf(3), leaf(3)
    ops.mul(a, b)
    with no_grad():
        assert not ops.mul(a, b).requires_grad and not ops.exp(a).requires_grad


def test_keyword_inputs_are_inputs():
    a, b = leaf(2, 3), leaf(3, seed=1)
    for y in (ops.mul(a, b=b), ops.mul(a=a, b=b), ops.mul(b=b, a=a)):
        g_a, g_b = grad(y.sum(), [a, b])
        assert g_a.shape == (2, 3) and g_b.shape == (3,)
    w = leaf(3, seed=2)
    (g,) = grad(ops.layer_norm(a, bias=b, weight=w).sum(), b)
    assert np.allclose(g.data, 2)


def test_wrong_arguments_are_type_errors():
    x = leaf(2, 3)
    with pytest.raises(TypeError):
        ops.mul(x)
    with pytest.raises(TypeError):
        ops.exp(x, 1, 2)
    with pytest.raises(TypeError):
        ops.sum(x, dims=1)
    with pytest.raises(TypeError, match="missing argument `bias`"):
        ops.layer_norm(x, x)


# -- declaring operations --------------------------------------------------------------------------------------


def test_a_rule_for_something_that_is_no_argument_is_an_error():
    with pytest.raises(MinigenError, match="primitive f: rules"):

        @primitive(z=lambda g: g)
        def f(x):
            return x


def test_a_rule_that_returns_a_wrong_shape_is_named():
    @primitive(a=lambda g, b: g * b, b=lambda g, a: ops.transpose(g * a))
    def faulty(a, b):
        return a * b

    del OPS["faulty"]
    with pytest.raises(ShapeError, match=r"rule of `faulty` returned a gradient of shape \(3, 2\)"):
        faulty(leaf(2, 3), leaf(2, 3)).sum().backward()


def test_optional_inputs_of_fused_operations():
    @fused(
        forward=lambda x, bias: (x if bias is None else x + bias, ()),
        backward=lambda g, x, bias: (g, None if bias is None else g),
    )
    def shift(x, bias=None):
        return x * 1.0 if bias is None else x + bias

    del OPS["shift"]
    x, b = leaf(2, 3), leaf(3)
    assert np.allclose(grad(shift(x).sum(), x)[0].data, 1)
    for create_graph in (False, True):
        assert np.allclose(grad(shift(x, b).sum(), b, create_graph=create_graph)[0].data, 2)


def test_functions_accept_plain_arrays_and_return_arrays():
    for name in OPS:
        for case in samples(name):
            y = case(*case.arrays)
            for result in y if isinstance(y, tuple) else (y,):
                assert not isinstance(result, Tensor), name
