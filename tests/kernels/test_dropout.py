"""Dropout: both backends give the same bits, the mask follows from key and place alone, and it looks random."""

import numpy as np
import pytest
from guarded import ORDERS, guarded, guarding, same_bits
from scipy import stats

from minigen import grad, kernels, nn, ops
from minigen.autograd import Tensor
from minigen.kernels import reference, threads
from minigen.kernels.reference.random import random_words

dropout = kernels.compiled("dropout")
KEYS = [0, 1, 12345, 2**32, 2**63 - 1, 2**64 - 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_backends_give_the_same_bits(dtype):
    rng = np.random.default_rng(0)
    for shape in [(), (1,), (2,), (7,), (8,), (9,), (15,), (16,), (17,), (3, 5), (2, 3, 4, 5), (0,), (3, 0), (1031,)]:
        x = rng.normal(size=shape).astype(dtype)
        for p, key, order in zip((0.0, 0.1, 0.5, 0.999), KEYS, ORDERS[:4], strict=False):
            held = guarded(shape, dtype, order, x)
            with guarding():
                y = dropout(held.array, p, key)
            assert same_bits(np.asarray(y), np.asarray(reference.dropout(x, p, key)))
            held.check()


def test_backends_agree_on_infinities_and_nans():
    x = np.tile(np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e-45], np.float32), 20)
    with np.errstate(invalid="ignore"):
        assert same_bits(dropout(x, 0.5, 3), reference.dropout(x, 0.5, 3))


def test_the_words_are_philox_with_ten_rounds():
    """Known answers of Philox4x64-10 from the test vectors of Random123 (kat_vectors): counter and key zero."""
    generator = np.random.Philox(key=0)
    state = generator.state
    state["state"]["counter"][:] = 2**64 - 1  # the next block has counter 0
    generator.state = state
    known = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert generator.random_raw(4).tolist() == known
    words = random_words(8, 0).view("<u8")
    assert words.tolist() == np.random.Philox(key=0).random_raw(4).tolist()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_the_share_of_zeros_is_p_and_the_mean_is_kept(p):
    n = 1_000_000
    y = dropout(np.ones(n, np.float32), p, 77)
    assert abs(np.mean(y == 0) - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-12
    assert np.unique(y[y != 0]).tolist() == [np.float32(1 / (1 - p))]


def test_the_words_are_uniform():
    words = random_words(2**20, 99)
    for bits in (words >> 24, words >> 12 & 255, words & 255):  # 256 classes
        assert stats.chisquare(np.bincount(bits, minlength=256)).pvalue > 1e-4


def test_every_bit_is_fair():
    words = random_words(2**20, 5)
    ones = np.array([np.sum(words >> bit & 1, dtype=np.int64) for bit in range(32)])
    assert np.abs(ones / words.size - 0.5).max() < 5 * 0.5 / np.sqrt(words.size)


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 7, 8, 16, 64, 784, 1024])
def test_neighbours_are_independent(distance):
    kept = (dropout(np.ones(2**20, np.float32), 0.5, 31) != 0).astype(float)
    correlation = np.corrcoef(kept[:-distance], kept[distance:])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(kept.size)


def test_masks_of_neighbouring_keys_are_independent():
    """Keys that differ in one bit, or by one: their masks agree in half of the places, no more."""
    n = 2**17
    first = dropout(np.ones(n, np.float32), 0.5, 1000) != 0
    for other in [1001, 999, *(1000 ^ 1 << bit for bit in range(0, 63, 7))]:
        agree = np.mean(first == (dropout(np.ones(n, np.float32), 0.5, other) != 0))
        assert abs(agree - 0.5) < 5 * 0.5 / np.sqrt(n)


def test_runs_have_the_lengths_of_coin_tosses():
    kept = dropout(np.ones(2**20, np.float32), 0.5, 8) != 0
    ends = np.flatnonzero(kept[1:] != kept[:-1])
    lengths = np.minimum(np.diff(ends), 12)
    share = np.array([0.5**k for k in range(1, 12)] + [0.5**11])
    assert stats.chisquare(np.bincount(lengths, minlength=13)[1:], share * lengths.size).pvalue > 1e-4


def test_the_mask_depends_on_the_key_and_the_place_only():
    x = np.ones((37, 53), np.float32)
    whole = dropout(x, 0.3, 4)
    assert same_bits(dropout(x[:20], 0.3, 4), whole[:20])  # a shorter array begins alike
    assert same_bits(dropout(np.asfortranarray(x), 0.3, 4), whole)
    assert np.array_equal(dropout(x.astype(np.float64), 0.3, 4) != 0, whole != 0)
    if threads.get_num_threads() > 1:
        x = np.ones(100_003, np.float32)
        with threads.num_threads(1):
            alone = dropout(x, 0.3, 4)
        with threads.num_threads(2):
            assert same_bits(dropout(x, 0.3, 4), alone)


def test_the_gradient_passes_where_the_value_did():
    x = Tensor(np.ones((50, 60)), requires_grad=True)
    y = ops.dropout(x, p=0.4, key=9)
    g = np.random.default_rng(0).normal(size=(50, 60))
    (plain,) = grad(y, x, g)
    assert np.array_equal(plain.data, y.data * g)
    (again,) = grad(ops.dropout(x, p=0.4, key=9), x, Tensor(g), create_graph=True)
    assert same_bits(again.data, plain.data)


def test_a_gradient_in_another_memory_order_meets_the_same_mask():
    x = Tensor(np.ones((6, 7, 8)), requires_grad=True)
    g = np.random.default_rng(0).normal(size=(8, 7, 6)).transpose(2, 1, 0)
    y = ops.dropout(x, p=0.4, key=9)
    assert np.array_equal(grad(y, x, g)[0].data, y.data * g)


def test_the_layer_draws_a_new_key_each_time_and_resumes_with_its_generator():
    layer = nn.Dropout(0.5, rng=np.random.default_rng(3))
    x = Tensor(np.ones((70, 50), np.float32))
    first, state = layer(x).data, layer.rng.bit_generator.state
    second = layer(x).data
    assert abs(np.mean((first == 0) == (second == 0)) - 0.5) < 0.05
    layer.rng.bit_generator.state = state
    assert same_bits(layer(x).data, second)
    assert same_bits(nn.Dropout(0.5, rng=np.random.default_rng(3))(x).data, first)


def test_impossible_rates_are_refused():
    for p in (-0.1, 1, 1.5):
        with pytest.raises(ValueError, match="expected 0 ≤ p < 1"):
            ops.dropout(np.ones(3), p=p, key=1)
