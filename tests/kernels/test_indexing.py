"""Picking and adding rows: against NumPy, for every kind of index, with guarded arrays, on any number of threads."""

import numpy as np
import pytest
from guarded import ORDERS, guarded, guarding, same_bits

from minigen import ops
from minigen.autograd import Tensor, grad
from minigen.errors import ShapeError
from minigen.kernels import indexing, jit, reference, threads


def draw(rng, shape, dtype, order="C"):
    return guarded(shape, dtype, order, values=rng.normal(size=shape)).array


def watched(function, *arguments, **settings):
    """The function's result, made in guarded arrays."""
    function(*arguments, **settings)  # compiles what is not compiled yet; the compiler must see the true np.empty
    with guarding():
        return function(*arguments, **settings)


def test_a_thousand_random_indices_equal_the_definition():
    rng = np.random.default_rng(1)
    for _ in range(1000):
        dtype = (np.float32, np.float64)[rng.integers(2)]
        rows, trailing = int(rng.integers(1, 40)), tuple(int(n) for n in rng.integers(0, 8, size=rng.integers(3)))
        trailing = rng.choice([1, 2, 31, 32, 33, 65], size=1).tolist() if rng.random() < 0.3 else list(trailing)
        shape = (rows, *trailing)
        index = rng.integers(-rows, rows, size=rng.integers(0, 6, size=rng.integers(1, 3)))
        index = index.astype(rng.choice([np.int64, np.int32, np.int16]))
        table = draw(rng, shape, dtype, str(rng.choice(["C", "F", "strided", "reversed"])))
        g = draw(rng, (*index.shape, *trailing), dtype, str(rng.choice(["C", "F", "strided", "reversed"])))
        added = watched(indexing.add_rows, g, index, shape)
        assert same_bits(watched(indexing.take_rows, table, index), reference.take_rows(table, index))
        expected = reference.add_rows(g, index, shape)
        assert added.shape == expected.shape and added.dtype == expected.dtype
        np.testing.assert_allclose(added, expected, rtol=1e-5, atol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("bad", [[5], [0, -6], [2**40]])
def test_an_index_outside_the_table_is_refused_before_any_memory_is_touched(bad):
    index = np.array(bad)
    with pytest.raises(IndexError):
        indexing.take_rows(np.ones((5, 4000), np.float32), index)
    with pytest.raises(IndexError):
        indexing.add_rows(np.ones((len(bad), 4000), np.float32), index, (5, 4000))
    with pytest.raises(ShapeError):
        Tensor(np.ones((5, 4000), np.float32))[index]


def test_rows_named_often_are_added_in_their_order_on_any_number_of_threads():
    rng = np.random.default_rng(2)
    g = rng.normal(size=(3000, 70)).astype(np.float32)
    index = rng.integers(0, 5, size=3000)
    assert g.size > jit.PARALLEL_FROM
    expected = np.zeros((5, 70), np.float32)
    for row, i in zip(g, index, strict=True):
        expected[i] += row
    for n in range(1, threads.get_num_threads() + 1):
        with threads.num_threads(n):
            assert same_bits(indexing.add_rows(g, index, (5, 70)), expected)


def test_nan_infinity_and_denormals_pass_unchanged():
    table = np.zeros((4, 600), np.float32)
    table[1], table[2], table[3] = np.nan, -np.inf, 1e-42
    assert same_bits(indexing.take_rows(table, np.array([3, 1, 2, 0])), table[[3, 1, 2, 0]])
    added = indexing.add_rows(table, np.array([0, 1, 2, 3]), (4, 600))
    assert same_bits(added, table)


@pytest.mark.parametrize("order", [order for order in ORDERS])
def test_the_gradient_of_an_embedding_counts_every_use(order):
    weight = Tensor(guarded((50, 64), np.float32, order, values=1.0).array, requires_grad=True)
    tokens = np.random.default_rng(3).integers(0, 50, size=(8, 16))
    (g,) = grad(ops.take(weight, tokens).sum(), weight)
    assert np.array_equal(g.data, np.repeat(np.bincount(tokens.ravel(), minlength=50)[:, None], 64, axis=1))
