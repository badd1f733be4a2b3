"""The compiled matrix product against NumPy's, for any shapes and strides, with memory watched on all sides.

Run as a program, `python test_product.py 500 0` tries 500 random products with arrays at the edge of memory, seed 0.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from guarded import guarding, in_every_order  # noqa: E402
from pages import SUPPORTED, everything_at_the_edge, in_memory_order, run_alone  # noqa: E402

from minigen.kernels import product, reference, threads  # noqa: E402
from minigen.kernels.tile import ROWS, columns  # noqa: E402


@pytest.fixture
def no_shortcut(monkeypatch):
    """Small products take the compiled path as well, and all paths are reached by small sizes."""
    monkeypatch.setattr(product, "SMALLEST", 0)


def close(dtype, depth):
    """How far sums of `depth` products may be apart that are added in another order."""
    unit = np.finfo(dtype).eps
    return dict(rtol=16 * unit, atol=4 * unit * max(1, depth))


def random_size(rng, *multiples):
    """1, a prime, or near a multiple of one of these."""
    kind = rng.integers(4)
    if kind == 0:
        return int(rng.choice([1, 2, 3]))
    if kind == 1:
        return int(rng.choice([5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53]))
    return max(1, int(rng.choice(multiples)) * int(rng.integers(1, 5)) + int(rng.integers(-1, 2)))


def try_products(count, seed):
    """Random products with every array at the edge of memory, and the paths chosen by random thresholds."""
    rng = np.random.default_rng(seed)
    threads.settle()
    product.SMALLEST = 0
    for _ in range(count):
        dtype = rng.choice(["f4", "f8"])
        product.REUSE = int(rng.choice([1, 2, 16]))
        m, n = random_size(rng, ROWS, 8 * ROWS), random_size(rng, columns(dtype))
        k = int(rng.choice([1, 2, 3, 17, 64, 383, 384, 385, 769, 1000]))
        a, b, bias = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n), (n,)))
        expected = a.astype("f8") @ b.astype("f8")
        end = rng.random() < 0.7
        a, b = (in_memory_order(x, rng.permutation(2), end) for x in (a, b))
        bias = in_memory_order(bias, (0,), end) if rng.random() < 0.5 else None
        if rng.random() < 0.2:
            a, b = a[::-1], b[:, ::-1]
            expected = expected[::-1, ::-1]
        with everything_at_the_edge(rng):
            c = product.matrix_product(a, b, bias)
        if bias is not None:
            expected = expected + bias
        np.testing.assert_allclose(c, expected, **close(dtype, k), err_msg=f"{dtype} {m}×{k}×{n}")


if __name__ == "__main__":
    try_products(int(sys.argv[1]), int(sys.argv[2]))
    sys.exit()


@pytest.mark.skipif(not SUPPORTED, reason="needs mmap and mprotect")
def test_random_products_stay_within_their_memory():
    run_alone(__file__, 1500, 0)


@pytest.mark.slow
@pytest.mark.skipif(not SUPPORTED, reason="needs mmap and mprotect")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_random_products_stay_within_their_memory(seed):
    run_alone(__file__, 5000, seed)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_any_strides_give_the_same_numbers(no_shortcut, dtype):
    rng = np.random.default_rng(0)
    a, b, bias = (rng.normal(size=shape).astype(dtype) for shape in ((3 * ROWS + 1, 37), (37, 71), (71,)))
    expected = reference.matrix_product(a, b, bias)
    for order_a, guarded_a in in_every_order(a):
        for order_b, guarded_b in in_every_order(b):
            with guarding():
                found = product.matrix_product(guarded_a.array, guarded_b.array, bias)
            np.testing.assert_allclose(found, expected, **close(dtype, 37), err_msg=f"{order_a} × {order_b}")
            guarded_a.check()
            guarded_b.check()


def test_locked_and_broadcast_matrices_compile_nothing_new(no_shortcut):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(40, 50)).astype("f4"), rng.normal(size=(50, 60)).astype("f4")
    expected = product.matrix_product(a, b)
    before = product._product.parallel.nopython_signatures, product._pack.serial.nopython_signatures
    a.flags.writeable = b.flags.writeable = False
    np.testing.assert_array_equal(product.matrix_product(a, b), expected)
    np.testing.assert_array_equal(product.matrix_product(a, b.copy(order="F")), expected)
    row = np.broadcast_to(a[:1], a.shape)
    np.testing.assert_allclose(product.matrix_product(row, b), row @ b, rtol=1e-4, atol=1e-4)
    assert before == (product._product.parallel.nopython_signatures, product._pack.serial.nopython_signatures)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty_matrices(shape):
    m, k, n = shape
    a, b, bias = np.ones((m, k), "f4"), np.ones((k, n), "f4"), np.ones(n, "f4")
    np.testing.assert_array_equal(product.matrix_product(a, b, bias), reference.matrix_product(a, b, bias))


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_a_spoilt_number_spoils_its_row_or_column_only(no_shortcut, spoilt):
    rng = np.random.default_rng(2)
    for m, k, n in ((ROWS + 1, 400, 33), (2 * ROWS, 5, 64), (3, 800, 7)):
        for dtype in ("f4", "f8"):
            a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
            a[m // 2, k - 1] = spoilt
            finite = np.isfinite(product.matrix_product(a, b))
            assert not finite[m // 2].any() and np.delete(finite, m // 2, axis=0).all()
            a[m // 2, k - 1] = 1
            b[0, n - 1] = spoilt
            finite = np.isfinite(product.matrix_product(a, b))
            assert not finite[:, n - 1].any() and finite[:, : n - 1].all()


def test_denormals_pass(no_shortcut):
    for dtype in ("f4", "f8"):
        small = np.finfo(dtype).smallest_subnormal
        a = np.full((ROWS + 2, 3), small, dtype)
        found = product.matrix_product(a, np.ones((3, 35), dtype))
        np.testing.assert_array_equal(found, np.full((ROWS + 2, 35), 3 * small))


def test_bits_do_not_depend_on_the_number_of_threads(no_shortcut):
    rng = np.random.default_rng(3)
    for m, k, n in ((300, 500, 130), (33, 1000, 700), (1000, 20, 1), (1, 2000, 333)):
        a, b, bias = (rng.normal(size=shape).astype("f4") for shape in ((m, k), (k, n), (n,)))
        found = []
        for count in range(1, threads._most() + 1):
            with threads.num_threads(count):
                found.append(product.matrix_product(a, b, bias).tobytes())
        assert len(set(found)) == 1


def test_other_types_are_left_to_numpy():
    a, b = np.ones((600, 700), "f4"), np.ones((700, 3), "f8")
    assert product.matrix_product(a, b).dtype == np.float64
