import numpy as np
import pytest
from scipy.special import logsumexp

from minigen.errors import ShapeError
from minigen.metrics.likelihood import bits_per_dim, estimate, log_mean_exp, nats


def test_a_uniform_guess_over_17_levels_costs_log2_17_bits_per_pixel():
    assert bits_per_dim(64 * np.log(17), 64) == pytest.approx(np.log2(17))


def test_nats_undoes_bits_per_dim():
    values = np.array([-3.0, 0.0, 181.3])
    assert nats(bits_per_dim(values, 64), 64) == pytest.approx(values)


def test_no_dimensions_is_an_error():
    for function in (bits_per_dim, nats):
        with pytest.raises(ShapeError, match="0 dimensions"):
            function(1.0, 0)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_mean_exp_is_logsumexp_less_log_k(axis):
    values = np.random.default_rng(0).normal(0, 300, size=(7, 5))
    expected = logsumexp(values, axis=axis) - np.log(values.shape[axis])
    assert log_mean_exp(values, axis=axis) == pytest.approx(expected)


def test_log_mean_exp_survives_extremes():
    assert log_mean_exp([-1500.0, -1500.0]) == -1500.0
    assert log_mean_exp([1200.0, -np.inf]) == pytest.approx(1200 - np.log(2))
    assert log_mean_exp([-np.inf, -np.inf]) == -np.inf


def test_log_mean_exp_of_nothing_is_an_error():
    with pytest.raises(ShapeError, match="nothing along axis 0"):
        log_mean_exp(np.zeros((0, 3)))


def test_an_estimate_has_the_standard_error_of_its_mean():
    values = np.random.default_rng(0).normal(3, 2, 10_000)
    result = estimate(values)
    assert result.mean == pytest.approx(3, abs=0.1) and result.error == pytest.approx(0.02, rel=0.05)
    assert str(estimate([1.0, 3.0])) == "2.00 ± 1.00"


@pytest.mark.parametrize("values", [[1.0], [[1.0, 2.0]]])
def test_an_estimate_needs_two_values_in_one_axis(values):
    with pytest.raises(ShapeError):
        estimate(values)
