import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.models.classifier import Classifier, conv_block, conv_network, he, mlp_network, multiply_adds


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pictures(rng, count, size=8):
    return rng.integers(0, 17, size=(count, 1, size, size))


def test_probabilities_sum_to_one_and_the_loss_is_their_negative_logarithm(rng):
    model = Classifier(mlp_network(64, 10, (12,), high=16, rng=rng), 10)
    x, labels = pictures(rng, 6), rng.integers(0, 10, 6)
    log_probs = model.log_probs(x)
    np.testing.assert_allclose(np.exp(log_probs).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(model.loss(x, labels).data, -log_probs[np.arange(6), labels], rtol=1e-5)
    assert model.loss(x, labels).shape == (6,)
    np.testing.assert_array_equal(model.predict(x), log_probs.argmax(1))


def test_knowing_nothing_costs_log_k(rng):
    network = mlp_network(64, 10, high=16, rng=rng)
    network[-1].weight.overwrite(np.zeros((10, 64)))
    network[-1].bias.overwrite(np.zeros(10))
    np.testing.assert_allclose(Classifier(network, 10).loss(pictures(rng, 3), np.array([0, 5, 9])).data, np.log(10))


def test_a_network_with_the_wrong_number_of_outputs_is_refused(rng):
    with pytest.raises(ShapeError, match=r"returned \(2, 7\); expected \(B, K\) = \(2, 10\)"):
        Classifier(mlp_network(64, 7, high=16, rng=rng), 10)(pictures(rng, 2))


def test_the_gradient_of_the_loss_is_right_for_every_parameter(rng):
    model = Classifier(conv_network(4, 3, width=2, high=16, rng=rng), 3).to(np.float64)
    x, labels = pictures(rng, 3, size=4), rng.integers(0, 3, 3)
    parameters = list(model.parameters())

    def loss(*values):
        for parameter, value in zip(slots, values, strict=True):
            parent, name = parameter
            setattr(parent, name, value)
        return model.loss(x, labels)

    slots = [(m, n) for m in model.modules() for n, v in list(vars(m).items())
             if isinstance(v, mg.Tensor) and v.requires_grad]
    assert len(slots) == len(parameters)
    gradcheck(loss, [getattr(parent, name).data for parent, name in slots])


def test_in_evaluation_a_picture_does_not_depend_on_its_neighbours_in_training_it_does(rng):
    model = Classifier(conv_network(8, 10, width=4, dropout=0.5, high=16, rng=rng), 10)
    x = pictures(rng, 8)
    for _ in range(5):
        model(x)  # moves the remembered averages
    model.eval()
    np.testing.assert_allclose(model(x[:1]).data, model(x).data[:1], rtol=1e-4, atol=1e-5)
    model.train()
    model.network[6].p = 0.0  # dropout off: what is left is batch normalisation
    assert np.abs(model(x[:2]).data - model(x).data[:2]).max() > 0.05


def test_hes_weights_keep_the_mean_square_through_a_relu(rng):
    layer = he(nn.Linear(2000, 2000, rng=rng), rng=rng)
    assert np.all(layer.bias.data == 0)
    z = layer(np.maximum(rng.standard_normal((50, 2000)), 0).astype(np.float32)).data
    assert z.var() == pytest.approx(1.0, rel=0.05)  # 100,000 numbers, but only 50 different inputs
    assert he(nn.Conv2d(8, 500, 3, rng=rng), rng=rng).weight.data.var() == pytest.approx(2 / 72, rel=0.03)


def test_a_block_halves_and_normalises(rng):
    y = conv_block(1, 5, stride=2, rng=rng)(mg.tensor(pictures(rng, 64).astype(np.float32)))
    assert y.shape == (64, 5, 4, 4) and np.all(y.data >= 0)
    assert (y.data**2).mean() == pytest.approx(0.5, abs=0.15)  # half of a variance of 1, were it a bell


def test_softmax_regression_is_linear_in_the_pixels(rng):
    network = mlp_network(64, 10, high=16, rng=rng)
    a, b = pictures(rng, 2).astype(np.float32)[:, None]
    middle = network(0.5 * (a + b)).data
    np.testing.assert_allclose(middle, 0.5 * (network(a).data + network(b).data), rtol=1e-4, atol=1e-5)


def test_the_costs_are_those_counted_by_hand_and_the_mode_comes_back(rng):
    network = conv_network(8, 10, width=32, high=16, rng=rng)
    assert multiply_adds(network, (1, 8, 8)) == [
        ("Conv2d", 1 * 32 * 9 * 64), ("Conv2d", 32 * 32 * 9 * 16), ("Conv2d", 32 * 64 * 9 * 16),
        ("Conv2d", 64 * 64 * 9 * 4), ("Linear", 256 * 10),
    ]  # fmt: skip
    assert all(module.training for module in network.modules())
    assert all(np.all(m.running_mean == 0) for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert multiply_adds(mlp_network(64, 10, (5,), high=16, rng=rng), (1, 8, 8)) == [("Linear", 320), ("Linear", 50)]


def test_an_odd_size_fits(rng):
    assert conv_network(7, 3, width=2, high=1, rng=rng)(pictures(rng, 2, size=7)).shape == (2, 3)
