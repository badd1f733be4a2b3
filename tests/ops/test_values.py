"""Operations by truths that need no other library: closed forms, extremes, conventions at kinks, adjoint pairs."""

import math

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import OPS, Tensor, grad
from minigen.samples import samples


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def leaf(array):
    return Tensor(np.asarray(array, dtype=float), requires_grad=True)


def derivative(f, x):
    """(f(x), f′(x)) for an elementwise f."""
    x = leaf(x)
    y = f(x)
    (g,) = grad(y, x, np.ones(y.shape))
    return y.data, g.data


# -- extremes: no overflow, no lost digits ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_overflows_for_large_numbers(dtype):
    x = Tensor(np.array([-1e4, -90.0, 0.0, 90.0, 1e4]), requires_grad=True, dtype=dtype)
    for f in (ops.sigmoid, ops.softplus, ops.tanh, ops.silu, ops.gelu, ops.elu, ops.softmax, ops.log_softmax, ops.erf):
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            y = f(x)
            (g,) = grad(y, x, np.ones(5))
        assert np.isfinite(y.data).all() and np.isfinite(g.data).all()
    assert ops.softplus(x).data[-1] == 1e4 and ops.sigmoid(x).data[0] == 0 and ops.sigmoid(x).data[-1] == 1
    for target in (0.0, 1.0):
        y = ops.bce_with_logits(x, np.full(5, target))
        assert np.isfinite(y.data).all() and np.isfinite(grad(y, x, np.ones(5))[0].data).all()


def test_logsumexp_of_large_numbers_and_of_minus_infinity():
    assert ops.logsumexp(np.array([1000.0, 1000.0])) == pytest.approx(1000 + math.log(2))
    assert ops.logsumexp(np.array([-np.inf, 3.0])) == 3.0
    assert ops.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf
    x = leaf([-np.inf, 3.0, 3.0])
    assert np.allclose(grad(ops.logsumexp(x), x)[0].data, [0, 0.5, 0.5], atol=0)


def test_small_numbers_keep_their_digits():
    assert ops.log1p(np.array(1e-18)) == 1e-18 and ops.expm1(np.array(1e-18)) == 1e-18
    assert ops.softplus(np.array(-50.0)) == pytest.approx(math.exp(-50), rel=1e-12)
    assert ops.sigmoid(np.array(-50.0)) == pytest.approx(math.exp(-50), rel=1e-12)


def test_log_softmax_is_exact_where_softmax_underflows():
    assert np.allclose(ops.log_softmax(np.array([0.0, -2000.0])), [0, -2000])


# -- conventions at kinks and ties -----------------------------------------------------------------------------


def test_gradients_at_kinks():
    assert derivative(ops.abs, [0.0])[1] == 0
    assert derivative(ops.relu, [0.0])[1] == 0
    assert derivative(lambda x: ops.leaky_relu(x, 0.2), [0.0])[1] == 0.2
    assert derivative(ops.elu, [0.0])[1] == 1
    assert np.array_equal(derivative(lambda x: ops.clip(x, -1, 1), [-1.0, 1.0, 1.1])[1], [1, 1, 0])


def test_ties_share_the_gradient():
    x = leaf([2.0, 1.0, 2.0])
    assert np.array_equal(grad(ops.max(x), x)[0].data, [0.5, 0, 0.5])
    assert np.array_equal(grad(ops.min(-x), x)[0].data, [-0.5, 0, -0.5])
    a, b = leaf([1.0]), leaf([1.0])
    for f in (ops.maximum, ops.minimum):
        assert [g.item() for g in grad(f(a, b).sum(), [a, b])] == [0.5, 0.5]


def test_powers_at_zero():
    for exponent, slope in ((0, 0), (1, 1), (2, 0), (3, 0)):
        with np.errstate(all="raise"):
            value, g = derivative(lambda x, n=exponent: x**n, [0.0])
        assert value == (exponent == 0) and g == slope


def test_negative_bases_with_whole_exponents():
    value, g = derivative(lambda x: x**3, [-2.0])
    assert value == -8 and g == 12
    value, g = derivative(lambda x: x ** np.array([3.0]), [-2.0])
    assert value == -8 and g == 12


def test_products_with_zeros_have_the_right_gradient():
    x = leaf([2.0, 0.0, 3.0])
    assert np.array_equal(grad(ops.prod(x), x)[0].data, [0, 6, 0])
    (g,) = grad(ops.prod(x), x, create_graph=True)
    assert np.array_equal(grad(g[0], x)[0].data, [0, 3, 0])


# -- values ----------------------------------------------------------------------------------------------------


def test_reductions_equal_numpys():
    x = normal(2, 3, 4)
    for dim in (None, 0, -1, (0, 2), [1, -1]):
        axis = tuple(dim) if isinstance(dim, list) else dim
        for keepdim in (False, True):
            for ours, theirs in ((ops.sum, np.sum), (ops.mean, np.mean), (ops.max, np.max), (ops.min, np.min)):
                y = ours(Tensor(x), dim=dim, keepdim=keepdim).data
                assert np.allclose(y, theirs(x, axis=axis, keepdims=keepdim), rtol=1e-14)
            y = ops.var(Tensor(x), dim=dim, correction=0, keepdim=keepdim).data
            assert np.allclose(y, x.var(axis=axis, keepdims=keepdim))
            y = ops.std(Tensor(x), dim=dim, keepdim=keepdim).data
            assert np.allclose(y, x.std(axis=axis, ddof=1, keepdims=keepdim))
            expected = np.log(np.exp(x).sum(axis=axis, keepdims=keepdim))
            assert np.allclose(ops.logsumexp(Tensor(x), dim=dim, keepdim=keepdim).data, expected)
            expected = np.sqrt((x * x).sum(axis=axis, keepdims=keepdim))
            assert np.allclose(ops.norm(Tensor(x), dim=dim, keepdim=keepdim).data, expected)
    for n in range(1, 9):
        assert ops.prod(Tensor(x.ravel()[:n])).item() == pytest.approx(np.prod(x.ravel()[:n]))
    assert np.array_equal(ops.argmax(Tensor(x), dim=1), x.argmax(1)) and ops.argmin(Tensor(x)) == x.argmin()


INDICES = [
    2, -1, slice(1, None), (slice(None), 1), (Ellipsis, 0), None, (0, None, slice(None, None, -1)), [0, 2, 2],
    np.array([[0, 1], [2, 2]]), (slice(None), [1, 0]), ([0, 2], [1, 3]), np.array([True, False, True]), np.int64(1),
    (np.array([True, False, True]), 2), (), (slice(None), slice(None, None, 2)), (np.array(1), slice(None)),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_equals_numpys_and_its_gradient_counts_reads(index):
    x = leaf(normal(3, 4))
    y = x[index]
    plain = tuple(np.array(i) if isinstance(i, list) else i for i in index) if isinstance(index, tuple) else index
    assert np.array_equal(y.data, x.data[plain])
    reads = np.zeros((3, 4))
    np.add.at(reads, plain, 1)
    assert np.array_equal(grad(y, x, np.ones(y.shape))[0].data, reads)


def test_tensors_serve_as_indices():
    x = leaf(normal(3, 4))
    assert np.array_equal(x[Tensor(np.array([2, 0]))].data, x.data[[2, 0]])
    assert np.array_equal(x[x > 0].data, x.data[x.data > 0])
    assert np.array_equal(ops.take(x, Tensor(np.array([[1, 1]]))).data, x.data[[[1, 1]]])


def test_convolution_equals_its_definition_written_as_loops():
    x, w, b = normal(2, 4, 6, 5), normal(6, 2, 3, 2, seed=1), normal(6, seed=2)
    (sh, sw), (ph, pw), (dh, dw), groups = (2, 1), (1, 2), (1, 2), 2
    y = ops.conv2d(Tensor(x), Tensor(w), Tensor(b), stride=(sh, sw), padding=(ph, pw), dilation=(dh, dw), groups=groups)
    wide = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    for n, o, i, j in np.ndindex(y.shape):
        group = o // 3
        total = b[o]
        for c, u, v in np.ndindex(2, 3, 2):
            total += w[o, c, u, v] * wide[n, group * 2 + c, i * sh + u * dh, j * sw + v * dw]
        assert y.data[n, o, i, j] == pytest.approx(total, rel=1e-10, abs=1e-12)


def test_pooling_equals_loops():
    x = normal(1, 2, 5, 4)
    y, z = ops.max_pool2d(Tensor(x), 3, stride=2, padding=1), ops.avg_pool2d(Tensor(x), 3, stride=2, padding=1)
    low, zero = (np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=value) for value in (-np.inf, 0))
    for n, c, i, j in np.ndindex(y.shape):
        window = (n, c, slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3))
        assert y.data[n, c, i, j] == low[window].max() and z.data[n, c, i, j] == pytest.approx(zero[window].mean())


def test_attention_equals_loops():
    q, k, v = normal(3, 4), normal(5, 4, seed=1), normal(5, 2, seed=2)
    y = ops.scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), is_causal=True).data
    for t in range(3):
        scores = np.array([q[t] @ k[s] / 2 for s in range(t + 1)])
        p = np.exp(scores) / np.exp(scores).sum()
        assert np.allclose(y[t], p @ v[: t + 1])


def test_attention_masks_say_the_same_in_three_ways():
    q, k, v = (Tensor(normal(2, 4, 3, seed=seed)) for seed in range(3))
    allowed = np.tri(4, dtype=bool)
    causal = ops.scaled_dot_product_attention(q, k, v, is_causal=True).data
    assert np.allclose(causal, ops.scaled_dot_product_attention(q, k, v, attn_mask=allowed).data)
    added = np.where(allowed, 0.0, -np.inf)
    assert np.allclose(causal, ops.scaled_dot_product_attention(q, k, v, attn_mask=added).data)


def test_factorisations_multiply_back():
    a = normal(2, 4, 4) + 4 * np.eye(4)
    assert np.allclose(ops.matmul(Tensor(a), ops.inverse(Tensor(a))).data, np.eye(4))
    spd = a @ a.swapaxes(1, 2)
    lower = ops.cholesky(Tensor(spd)).data
    assert np.allclose(lower @ lower.swapaxes(1, 2), spd) and np.array_equal(lower, np.tril(lower))
    sign, logarithm = ops.slogdet(Tensor(a))
    assert np.allclose(sign * np.exp(logarithm.data), np.linalg.det(a))
    b = normal(2, 4, seed=3)
    assert np.allclose(a @ ops.solve(Tensor(a), Tensor(b)).data[..., None], b[..., None])


def test_einsum_equals_numpys_on_permuted_and_summed_axes():
    a, b, c = normal(2, 3, 4), normal(4, 5, seed=1), normal(3, seed=2)
    cases = [("bij,jk->kib", (a, b)), ("bij->", (a,)), ("bij,jk,i->bk", (a, b, c)), ("i,j->ij", (c, c))]
    for subscripts, operands in cases:
        y = ops.einsum(subscripts, *map(Tensor, operands)).data
        assert np.allclose(y, np.einsum(subscripts, *operands))


def test_normalisations_give_mean_zero_and_variance_one():
    x = 3 + 5 * normal(8, 6, 4)
    for y, axes in (
        (ops.layer_norm(Tensor(x), Tensor(np.ones(4)), Tensor(np.zeros(4)), eps=1e-12).data, (2,)),
        (ops.batch_norm(Tensor(x), Tensor(np.ones(6)), Tensor(np.zeros(6)), eps=1e-12).data, (0, 2)),
        (ops.group_norm(Tensor(x), 2, Tensor(np.ones(6)), Tensor(np.zeros(6)), eps=1e-12).data.reshape(8, 2, -1), (2,)),
    ):
        assert np.allclose(y.mean(axis=axes), 0, atol=1e-12) and np.allclose(y.var(axis=axes), 1, atol=1e-9)


# -- losses ----------------------------------------------------------------------------------------------------


def test_cross_entropy_of_no_opinion_is_the_logarithm_of_the_number_of_classes():
    assert np.allclose(ops.cross_entropy(Tensor(np.zeros((3, 17))), np.arange(3)).data, math.log(17))


def test_gradient_of_cross_entropy_is_predicted_minus_true():
    x, target = leaf(normal(4, 3)), np.array([0, 2, 1, 1])
    (g,) = grad(ops.cross_entropy(x, target).sum(), x)
    p = np.exp(x.data) / np.exp(x.data).sum(1, keepdims=True)
    assert np.allclose(g.data, p - np.eye(3)[target])


def test_losses_give_one_number_per_example_unless_told_otherwise():
    x, t, k = Tensor(normal(2, 3, 4)), Tensor(normal(2, 3, 4, seed=1)), np.zeros((2, 4), dtype=int)
    for loss, target in ((ops.mse, t), (ops.bce_with_logits, Tensor(np.abs(np.sin(t.data)))), (ops.cross_entropy, k)):
        whole = loss(x, target, reduction="none").data
        per_example = loss(x, target).data
        assert per_example.shape == (2,) and np.allclose(per_example, whole.reshape(2, -1).sum(1))
        assert loss(x, target, reduction="sum").item() == pytest.approx(whole.sum())
        assert loss(x, target, reduction="mean").item() == pytest.approx(whole.mean())
        with pytest.raises(ValueError, match='reduction="average"'):
            loss(x, target, reduction="average")


def test_binary_cross_entropy_is_the_cross_entropy_of_two_classes():
    x = normal(5)
    two = np.stack([np.zeros(5), x], axis=1)
    k = np.array([0, 1, 1, 0, 1])
    assert np.allclose(ops.bce_with_logits(Tensor(x), k.astype(float)).data, ops.cross_entropy(Tensor(two), k).data)


# -- adjoints --------------------------------------------------------------------------------------------------

LINEAR = {
    # operations that are linear in their first input; the rest is held fixed
    "sum", "broadcast_to", "sum_to", "reshape", "permute", "flip", "roll", "cumsum", "getitem", "put_add", "im2col",
    "col2im", "convolution", "convolution_input_adjoint", "convolution_weight_adjoint", "matmul", "linear", "einsum",
    "concatenate", "select", "alias", "neg", "upsample_nearest", "unfold", "avg_pool2d", "mean", "transpose", "squeeze",
    "unsqueeze", "flatten", "expand", "gather", "take", "stack", "cast",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_gradients_of_linear_operations_are_their_adjoints(name):
    """⟨A x, g⟩ = ⟨x, Aᵀ g⟩, to the last digits: no finite differences needed."""
    for case in samples(name):
        if name == "linear" and len(case.arrays) == 3:
            continue  # with a bias it is affine
        inputs = [leaf(x) for x in case.arrays]
        y = case(*inputs)
        g = normal(*y.shape, seed=9)
        transposed = grad(y, inputs, g)
        if name in ("concatenate", "stack", "select"):  # linear in all inputs together
            right = sum((x.data * t.data).sum() for x, t in zip(inputs, transposed, strict=True))
        else:
            right = (inputs[0].data * transposed[0].data).sum()
        assert (y.data * g).sum() == pytest.approx(right, rel=1e-11, abs=1e-11)


def test_every_pair_of_adjoints_undoes_the_shape():
    for name in ("getitem", "put_add", "im2col", "col2im", "broadcast_to", "sum_to"):
        assert OPS[name].rules  # declared with rules of their own
        for case in samples(name):
            x = leaf(case.arrays[0])
            y = case(x)
            assert grad(y, x, np.ones(y.shape))[0].shape == x.shape


# -- methods and operators -------------------------------------------------------------------------------------


def test_operators_are_the_functions():
    a, b = normal(2, 3), np.abs(normal(2, 3, seed=1)) + 0.5
    x, y = Tensor(a), Tensor(b)
    cases = [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (-x, -a), (y**2, b**2), (abs(x), abs(a)),
        (2 + x, 2 + a), (2 - x, 2 - a), (2 * x, 2 * a), (2 / y, 2 / b), (2**x, 2**a), (y**x, b**a), (x @ y.T, a @ b.T),
        (a + y, a + b), (a - y, a - b), (a * y, a * b), (a / y, a / b), (a @ y.T, a @ b.T), (x.mT, a.T),
    ]  # fmt: skip
    for found, expected in cases:
        assert isinstance(found, Tensor) and np.allclose(found.data, expected)
    compared = [(x < y, a < b), (x <= a, a <= a), (x > 0, a > 0), (x >= y, a >= b), (x == y, a == b), (x != y, a != b)]
    for found, expected in compared:
        assert found.dtype == bool and np.array_equal(found, expected)


def test_methods_are_the_functions():
    x = Tensor(np.abs(normal(2, 3)) + 0.1)
    plain = "exp log log1p expm1 sqrt sin cos tanh sigmoid erf relu sum mean var std prod max min logsumexp norm"
    for name in plain.split():
        assert np.array_equal(getattr(x, name)().data, getattr(ops, name)(x).data), name
    arguments = {
        "softmax": (0,), "log_softmax": (1,), "cumsum": (1,), "flip": (0,), "roll": (1, 1), "pow": (3,),
        "clip": (0.2, 0.5), "transpose": (0, 1), "unsqueeze": (1,), "maximum": (0.5,), "expand": (2, 2, 3),
        "flatten": (),
    }  # fmt: skip
    for name, args in arguments.items():
        assert np.array_equal(getattr(x, name)(*args).data, getattr(ops, name)(x, *args).data), name
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == x.view(3, -1).shape == (3, 2)
    assert x.permute(1, 0).shape == x.permute((1, 0)).shape == (3, 2)
    assert [p.shape for p in x.split(2, dim=1)] == [(2, 2), (2, 1)] and [p.shape for p in x.chunk(2)] == [(1, 3)] * 2
    assert x.to(np.float32).dtype == np.float32
    assert [row.shape for row in x] == [(3,), (3,)] and len(x) == 2


def test_casting_brings_gradients_back_in_the_old_dtype():
    x = leaf([1.0, 2.0])
    y = ops.cast(x, np.float32)
    (g,) = grad(y * y, x, np.ones(2))
    assert y.dtype == np.float32 and g.dtype == np.float64 and np.allclose(g.data, 2 * x.data)
