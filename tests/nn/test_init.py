"""Initialisers: the variances they promise."""

import numpy as np
import pytest

from minigen.nn import init


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_xavier_variance_is_two_over_the_sum_of_fans(rng):
    for draw in (init.xavier_uniform, init.xavier_normal):
        weight = draw((300, 500), gain=2.0, rng=rng)
        assert weight.dtype == np.float32
        assert weight.var() == pytest.approx(4 * 2 / 800, rel=0.02)


def test_kaiming_keeps_the_variance_of_a_relu_network(rng):
    x = rng.standard_normal((256, 512))
    for draw in (init.kaiming_uniform, init.kaiming_normal):
        signal = x
        for _ in range(10):
            weight = draw((512, 512), nonlinearity="relu", rng=rng)
            signal = np.maximum(signal @ weight.T, 0)
        assert np.mean(signal**2) == pytest.approx(1, rel=0.35)


def test_fan_out_counts_outputs_and_receptive_field(rng):
    assert init.fans((8, 4, 3, 5)) == (60, 120)
    weight = init.kaiming_normal((64, 16, 5, 5), mode="fan_out", nonlinearity="relu", rng=rng)
    assert weight.var() == pytest.approx(2 / (64 * 25), rel=0.05)


def test_orthogonal_rows_or_columns_are_orthonormal(rng):
    tall, wide = init.orthogonal((7, 3), rng=rng), init.orthogonal((3, 2, 4), gain=2.0, rng=rng).reshape(3, 8)
    np.testing.assert_allclose(tall.T @ tall, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(wide @ wide.T, 4 * np.eye(3), atol=1e-5)


def test_same_seed_same_bits():
    a, b = (init.normal((4, 4), rng=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_unknown_names_are_errors(rng):
    with pytest.raises(ValueError, match="swish"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="fan_sideways"):
        init.kaiming_normal((2, 2), mode="fan_sideways", rng=rng)
    with pytest.raises(ValueError, match="at least two axes"):
        init.xavier_normal((3,), rng=rng)
