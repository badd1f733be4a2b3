"""Masked autoregressive flows against truths: who may see whom, the conditionals, and how many passes it takes."""

import numpy as np
import pytest
from scipy import stats

from minigen.autograd import Tensor
from minigen.errors import ShapeError
from minigen.models.bijections import Flow, standard_normal
from minigen.models.maf import MaskedNet, autoregressive, iaf, maf
from minigen.models.realnvp import Affine
from minigen.models.score import jacobian
from minigen.models.splines import RationalQuadratic


def shaken(module, seed=0, by=0.3):
    rng = np.random.default_rng(seed)
    for tensor in module.parameters():
        tensor.overwrite(tensor.data + by * rng.normal(size=tensor.shape))
    return module.to(np.float64).eval()


@pytest.mark.parametrize("hidden", [(30, 30), (17,), (25, 40)])
@pytest.mark.parametrize("monotone", [Affine(), RationalQuadratic(4)])
def test_a_number_is_moved_by_those_before_it_in_its_order_and_by_all_of_them(hidden, monotone):
    order = np.array([2, 0, 3, 1, 4])
    layer = shaken(autoregressive(5, monotone=monotone, order=order, hidden=hidden, rng=np.random.default_rng(0)))
    x = Tensor(np.random.default_rng(1).normal(size=(8, 5)))
    matrices = jacobian(lambda x: layer(x)[0], x)
    place = np.argsort(order)
    np.testing.assert_array_equal((matrices != 0).any(0), place[:, None] >= place[None])


def test_one_affine_layer_is_an_autoregressive_model_with_gaussian_conditionals():
    flow = Flow(shaken(maf(4, 1, hidden=(20, 20), rng=np.random.default_rng(0))), standard_normal(4))
    x = np.random.default_rng(1).normal(size=(6, 4))
    numbers = list(flow.bijection.steps)[0].network(Tensor(x)).data
    s, t = 2 * np.tanh(numbers[..., 0] / 2), numbers[..., 1]
    expected = stats.norm(-t * np.exp(-s), np.exp(-s)).logpdf(x).sum(1)
    np.testing.assert_allclose(flow.log_prob(x).data, expected, atol=1e-12)


def test_densities_take_one_pass_and_samples_d_and_iaf_the_other_way_round():
    calls = []

    def counted(layer):
        network = layer.network

        def call(*arguments):
            calls.append(1)
            return network(*arguments)

        layer.network = call

    rng = np.random.default_rng(0)
    for make, forward, inverse in ((maf, 1, 5), (iaf, 5, 1)):
        bijection = make(5, 1, hidden=(8,), rng=rng)
        counted(list((bijection if make is maf else bijection.bijection).steps)[0])
        x = Tensor(np.zeros((2, 5), dtype=np.float32))
        for map, expected in ((bijection.forward, forward), (bijection.inverse, inverse)):
            calls.clear()
            map(x)
            assert len(calls) == expected


def test_orders_are_reversed_in_turn():
    steps = list(maf(3, 3, hidden=(6,), rng=np.random.default_rng(0)).steps)
    assert [list(step.order) for step in steps] == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]


def test_one_number_is_a_flow_too():
    flow = Flow(shaken(maf(1, 2, hidden=(4,), rng=np.random.default_rng(0))), standard_normal(1))
    x = np.linspace(-30, 30, 20_001)[:, None]
    assert np.exp(flow.log_prob(x).data).sum() * 0.003 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("make, message", [
    (lambda rng: MaskedNet([0, 2], Affine(), rng=rng), r"order \[0 2\]"),
    (lambda rng: MaskedNet([0, 1], Affine(), hidden=(), rng=rng), r"hidden \(\)"),
    (lambda rng: maf(3, 1, rng=rng)(Tensor(np.zeros((2, 4)))), r"\(2, 4\); expected \(B, 3\)"),
])  # fmt: skip
def test_mistakes_are_told(make, message):
    with pytest.raises(ShapeError, match=message):
        make(np.random.default_rng(0))
