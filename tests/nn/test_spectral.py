"""Spectral normalisation against the singular value decomposition."""

import numpy as np
import pytest

from minigen import Tensor, autograd, nn, ops
from minigen.errors import StateError


@pytest.mark.parametrize("make", [lambda rng: nn.Linear(7, 4, rng=rng), lambda rng: nn.Conv2d(3, 5, 3, rng=rng)])
def test_sigma_is_the_largest_singular_value(make):
    rng = np.random.default_rng(0)
    layer = nn.SpectralNorm(make(rng), rounds=200, rng=rng)
    matrix = layer.layer.weight.data.reshape(len(layer.u), -1)
    u, s, vt = np.linalg.svd(matrix)
    sigma = layer.sigma()
    assert sigma.item() == pytest.approx(s[0], rel=1e-5)
    (slope,) = autograd.grad(sigma, layer.layer.weight)
    np.testing.assert_allclose(slope.data.reshape(matrix.shape), np.outer(u[:, 0], vt[0]), atol=1e-4)


def test_one_round_a_step_keeps_up_and_evaluation_changes_nothing():
    rng = np.random.default_rng(1)
    layer = nn.SpectralNorm(nn.Linear(6, 6, rng=rng), rng=rng)
    x = Tensor(rng.normal(size=(3, 6)).astype(np.float32))
    for _ in range(200):
        layer.layer.weight.overwrite(layer.layer.weight.data + 0.01 * rng.normal(size=(6, 6)).astype(np.float32))
        layer(x)
    exact = np.linalg.svd(layer.layer.weight.data)[1][0]
    assert layer.sigma().item() == pytest.approx(exact, rel=0.02)
    layer.eval()
    u, weight = layer.u.copy(), layer.layer.weight
    first, second = layer(x).data, layer(x).data
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(u, layer.u)
    assert layer.layer.weight is weight  # the parameter is back in its place


def test_only_the_direction_of_the_weights_counts():
    rng = np.random.default_rng(2)
    layer = nn.SpectralNorm(nn.Linear(4, 3, bias=False, rng=rng), rounds=100, rng=rng)
    x = Tensor(rng.normal(size=(5, 4)).astype(np.float32))
    before = layer(x).data
    layer.layer.weight.overwrite(7 * layer.layer.weight.data)
    np.testing.assert_allclose(layer(x).data, before, atol=1e-5)
    loss = ops.sum(layer(x) ** 2)
    (slope,) = autograd.grad(loss, layer.layer.weight)
    assert abs(float((slope.data * layer.layer.weight.data).sum())) < 1e-4  # so the gradient has no part along them


def test_replaced_parameters_come_back_even_after_an_error():
    rng = np.random.default_rng(3)
    network = nn.Sequential(nn.Linear(2, 3, rng=rng), nn.Linear(3, 1, rng=rng))
    own, other = dict(network.named_parameters()), Tensor(np.zeros((1, 3), dtype=np.float32))
    x = Tensor(np.ones((1, 2), dtype=np.float32))
    with network.replaced({"1.weight": other}):
        assert network(x).item() == own["1.bias"].item()
    with pytest.raises(ZeroDivisionError), network.replaced({"1.weight": other}):
        raise ZeroDivisionError
    assert all(dict(network.named_parameters())[path] is tensor for path, tensor in own.items())
    for wrong in ({"2.weight": other}, {"0.weight": other}):
        with pytest.raises(StateError, match="no parameters, or misshapen"), network.replaced(wrong):
            pass
