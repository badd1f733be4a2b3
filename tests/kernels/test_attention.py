"""Attention in tiles: held against the definition over random shapes and masks, in guarded memory."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

from guarded import ORDERS, guarded, guarding, same_bits

import minigen.kernels.attention as compiled
from minigen import errors, ops
from minigen.autograd import Tensor, grad
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.kernels import reference, threads
from minigen.kernels.flash import KEYS, QUERIES
from minigen.kernels.tile import ROWS
from minigen.ops.attention import self_attention

TOLERANCE = {np.float64: 1e-11, np.float32: 2e-4}
SIZES = (1, 2, 3, 7, 13, 16, 17, 31, 32, 33, 48, 61, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, QUERIES, QUERIES + 1)
WIDTHS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 40)
LEADS = ((), (1,), (3,), (2, 1), (1, 3), (2, 2), (2, 1, 2))


def forward_and_backward(module, q, k, v, g, **settings):
    """Result, λ and the three gradients."""
    y, extras = module.scaled_dot_product_attention(q, k, v, **settings)
    return (y, extras[1], *module.scaled_dot_product_attention_backward(g, q, k, v, *extras, **settings))


def assert_close(found, expected, dtype, message=""):
    for name, a, b in zip(("y", "lse", "dq", "dk", "dv"), found, expected, strict=True):
        size = np.abs(b[np.isfinite(b)]).max(initial=1)
        np.testing.assert_allclose(a / size, b / size, rtol=0, atol=TOLERANCE[dtype], err_msg=f"{name} {message}")


def random_mask(rng, lead, t, s, dtype):
    """None, or numbers that broadcast to (*lead, T, S), sometimes with −∞ among them, but never in a whole row."""
    kind = rng.integers(4)
    if kind == 0:
        return None
    kept = [n if rng.random() < 0.6 else 1 for n in (*lead, t, s)]
    mask = rng.normal(size=kept[rng.integers(len(lead) + 1) :]).astype(dtype)
    if kind == 2:
        mask[rng.random(mask.shape) < 0.4] = -np.inf
        mask[..., 0] = 0
    return mask


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_kernel_equals_definition_over_random_shapes_in_guarded_memory(dtype):
    rng = np.random.default_rng(0)
    for case in range(1200):
        lead = LEADS[rng.integers(len(LEADS))]
        t, s = rng.choice(SIZES, 2)
        d, e = rng.choice(WIDTHS, 2)
        causal, mask = bool(rng.integers(2)), random_mask(rng, lead, t, s, dtype)
        q, k, v, g = (
            guarded(shape, dtype, ORDERS[rng.integers(len(ORDERS))], rng.normal(size=shape))
            for shape in ((*lead, t, d), (*lead, s, d), (*lead, s, e), (*lead, t, e))
        )
        arrays = [x.array for x in (q, k, v, g)]
        with guarding():
            found = forward_and_backward(compiled, *arrays, mask=mask, is_causal=causal)
        expected = forward_and_backward(reference, *arrays, mask=mask, is_causal=causal)
        message = f"case {case}: lead {lead}, T {t}, S {s}, D {d}, E {e}, causal {causal}, mask {np.shape(mask)}"
        assert_close(found, expected, dtype, message)
        for x in (q, k, v, g):
            x.check()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 500, 701, 33, 65), (1, 3, 300, 300, 32, 32), (4, 3, 129, 260, 20, 48)])
def test_several_blocks_and_groups_equal_the_definition(shape, causal):
    b, n, t, s, d, e = shape
    rng = np.random.default_rng(1)
    q, k, v, g = (rng.normal(size=(b, n, *x)) for x in ((t, d), (s, d), (s, e), (t, e)))
    mask = rng.normal(size=(b, 1, t, s))
    with guarding():
        found = forward_and_backward(compiled, q, k, v, g, mask=mask, is_causal=causal)
    assert_close(found, forward_and_backward(reference, q, k, v, g, mask=mask, is_causal=causal), np.float64)


@pytest.mark.parametrize("shape", [(1, 1, 3 * KEYS + 5), (3, 5, 150), (2, 4, 64)])
def test_results_have_the_same_bits_for_any_number_of_threads(shape):
    b, n, t = shape
    rng = np.random.default_rng(2)
    q, k, v, g = (rng.normal(size=(b, n, t, 24)).astype(np.float32) for _ in range(4))
    for causal in (False, True):
        with threads.num_threads(1):
            alone = forward_and_backward(compiled, q, k, v, g, is_causal=causal)
        together = forward_and_backward(compiled, q, k, v, g, is_causal=causal)
        assert all(same_bits(a, b) for a, b in zip(alone, together, strict=True))


def test_leading_axes_broadcast_and_their_gradients_are_summed_by_the_engine():
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape) for shape in ((3, 2, 40, 8), (2, 50, 8), (1, 1, 50, 8))]
    g = rng.normal(size=(3, 2, 40, 8))
    inputs = [Tensor(x, requires_grad=True) for x in arrays]
    found = grad(ops.scaled_dot_product_attention(*inputs), inputs, g)
    full = [Tensor(np.broadcast_to(x, (3, 2, *x.shape[-2:])).copy(), requires_grad=True) for x in arrays]
    expected = grad(ops.scaled_dot_product_attention(*full), full, g)
    for x, a, b in zip(arrays, found, expected, strict=True):
        lead = x.shape[:-2]
        axes = tuple(i for i in range(2) if ((1,) * (2 - len(lead)) + lead)[i] == 1)
        assert np.allclose(a.data, b.data.sum(axis=axes, keepdims=True).reshape(x.shape), atol=1e-12)


@pytest.mark.parametrize("lead", [(0,), (2, 0)])
def test_an_empty_batch_gives_empty_results(lead):
    q, g = np.zeros((*lead, 5, 3), np.float32), np.zeros((*lead, 5, 3), np.float32)
    assert [x.shape for x in forward_and_backward(compiled, q, q, q, g)] == [q.shape, (*lead, 5), *[q.shape] * 3]


def test_nan_and_infinity_reach_all_that_see_them_and_nobody_else():
    rng = np.random.default_rng(4)
    for bad in (np.nan, np.inf):
        q, k, v = (rng.normal(size=(60, 8)).astype(np.float32) for _ in range(3))
        q[20, 3] = bad
        found, expected = (module.scaled_dot_product_attention(q, k, v)[0] for module in (compiled, reference))
        assert np.array_equal(np.isfinite(found), np.isfinite(expected)) and not np.isfinite(found[20]).any()
        q[20, 3] = 0
        v[30, 2] = bad
        found = compiled.scaled_dot_product_attention(q, k, v, is_causal=True)[0]
        finite = np.isfinite(found)
        assert not finite[30:, 2].any() and finite[: 30 // ROWS * ROWS].all() and np.delete(finite, 2, axis=1).all()


def test_a_query_that_may_look_nowhere_gives_nan_as_in_the_definition():
    rng = np.random.default_rng(5)
    q, k, v, g = (rng.normal(size=(60, 8)) for _ in range(4))
    mask = np.zeros((60, 60))
    mask[17] = -np.inf
    found = forward_and_backward(compiled, q, k, v, g, mask=mask)
    expected = forward_and_backward(reference, q, k, v, g, mask=mask)
    assert np.isnan(found[0][17]).all() and np.isfinite(np.delete(found[0], 17, axis=0)).all()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    with np.errstate(invalid="ignore"):
        assert np.isnan(ops.scaled_dot_product_attention(*map(Tensor, (q, k, v)), attn_mask=mask).data[17]).all()


def test_large_scores_do_not_overflow():
    q = 40 * np.random.default_rng(6).normal(size=(2, 64, 32)).astype(np.float32)
    y = compiled.scaled_dot_product_attention(q, q, q)[0]
    assert np.allclose(y, reference.scaled_dot_product_attention(*[q.astype(np.float64)] * 3)[0], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_packed_heads_equal_separate_ones(dtype):
    rng = np.random.default_rng(7)
    for b, t, n, d, causal in ((2, 33, 3, 8, True), (1, 90, 2, 17, False), (3, 64, 4, 32, True)):
        qkv, g = rng.normal(size=(b, t, 3 * n * d)).astype(dtype), rng.normal(size=(b, t, n * d)).astype(dtype)
        with guarding():
            y, extras = compiled.self_attention(qkv, num_heads=n, is_causal=causal)
            (found,) = compiled.self_attention_backward(g, qkv, *extras, num_heads=n, is_causal=causal)
        z, more = reference.self_attention(qkv, num_heads=n, is_causal=causal)
        (expected,) = reference.self_attention_backward(g, qkv, *more, num_heads=n, is_causal=causal)
        assert np.allclose(y, z, atol=TOLERANCE[dtype]) and np.allclose(found, expected, atol=10 * TOLERANCE[dtype])
        # λ of one backend serves the other
        (mixed,) = compiled.self_attention_backward(g, qkv, *more, num_heads=n, is_causal=causal)
        assert np.allclose(mixed, expected, atol=10 * TOLERANCE[dtype])


def test_heads_are_read_and_joined_without_copies():
    qkv = np.random.default_rng(8).normal(size=(2, 64, 3 * 4 * 16)).astype(np.float32)
    q, k, v = compiled.heads_of(qkv, 4)
    assert all(np.shares_memory(x, qkv) for x in (q, k, v))
    y, extras = compiled.scaled_dot_product_attention(q, k, v)
    assert extras[0] is y and compiled.join_heads(y).base is not None and np.shares_memory(compiled.join_heads(y), y)
    for d in compiled.scaled_dot_product_attention_backward(y, q, k, v, *extras):
        assert np.shares_memory(compiled.join_heads(d), d)


def test_gradients_of_any_order_agree_with_finite_differences():
    rng = np.random.default_rng(9)
    q, k, v = (rng.normal(size=(1, 2, *s)) for s in ((18, 4), (35, 4), (35, 3)))
    mask = rng.random((18, 35)) < 0.8
    mask[:, 0] = True
    for settings in ({}, {"is_causal": True}, {"attn_mask": mask}, {"attn_mask": rng.normal(size=(1, 1, 35))}):
        gradcheck(lambda *x, s=settings: ops.scaled_dot_product_attention(*x, **s), (q, k, v))
    gradgradcheck(lambda *x: ops.scaled_dot_product_attention(*x, is_causal=True), (q, k, v))
    qkv = rng.normal(size=(2, 16, 24))
    gradcheck(lambda x: self_attention(x, 2, is_causal=True), (qkv,))
    gradgradcheck(lambda x: self_attention(x, 2), (qkv,))


def test_packed_attention_equals_split_permute_attend_and_join():
    rng = np.random.default_rng(10)
    x = Tensor(rng.normal(size=(2, 40, 3 * 2 * 8)), requires_grad=True)
    g, mask = rng.normal(size=(2, 40, 16)), np.tri(40, dtype=bool)[None, None]
    q, k, v = (part.reshape(2, 40, 2, 8).permute(0, 2, 1, 3) for part in ops.split(x, 16, dim=-1))
    y = ops.scaled_dot_product_attention(q, k, v, attn_mask=mask).permute(0, 2, 1, 3).reshape(2, 40, 16)
    z = self_attention(x, 2, attn_mask=mask)
    assert np.allclose(y.data, z.data, atol=1e-12)
    assert np.allclose(grad(y, x, g)[0].data, grad(z, x, g)[0].data, atol=1e-12)


def test_a_mask_changed_after_the_call_does_not_change_the_gradient():
    rng = np.random.default_rng(11)
    x, mask = Tensor(rng.normal(size=(2, 50, 24)), requires_grad=True), rng.normal(size=(50, 50))
    y = ops.scaled_dot_product_attention(x, x, x, attn_mask=mask)
    (before,) = grad(y, x, np.ones(y.shape))
    mask[:] = 0
    assert np.array_equal(before.data, grad(y, x, np.ones(y.shape))[0].data)


def test_shapes_that_do_not_fit_are_named():
    x = Tensor(np.zeros((2, 5, 12)))
    with pytest.raises(errors.ShapeError, match=r"self_attention: qkv \(2, 5, 12\)"):
        self_attention(x, 5)
    with pytest.raises(errors.ShapeError, match=r"mask \(4, 5\)"):
        self_attention(x, 2, attn_mask=np.zeros((4, 5)))


MEMORY = """
import resource, numpy as np
import minigen.kernels.attention as compiled
def run(t):
    q = np.random.default_rng(0).normal(size=(1, 2, t, 32)).astype(np.float32)
    y, extras = compiled.scaled_dot_product_attention(q, q, q, is_causal=True)
    compiled.scaled_dot_product_attention_backward(y, q, q, q, *extras, is_causal=True)
run(300)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(4096)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_grows_with_the_sequence_not_with_its_square():
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    unit = 1024 if sys.platform == "darwin" else 1  # ru_maxrss: bytes there, KB elsewhere
    one_matrix_of_scores = 4096 * 4096 * 4 // 1024
    assert int(run.stdout) // unit < one_matrix_of_scores / 2, run.stdout
