"""The networks for adversarial training against plain loops."""

import numpy as np
import pytest

from minigen import Tensor, autograd, ops
from minigen.errors import ShapeError
from minigen.models.gan import GAN
from minigen.models.gan_networks import (
    Conditional,
    MinibatchDiscrimination,
    Projection,
    dcgan_discriminator,
    dcgan_features,
    dcgan_generator,
    mlp,
)


def test_minibatch_discrimination_by_loops():
    rng = np.random.default_rng(0)
    layer = MinibatchDiscrimination(5, kernels=3, dims=2, rng=rng)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    m = (x @ layer.tensor.data).reshape(4, 3, 2)
    near = [[sum(np.exp(-np.abs(m[i, b] - m[j, b]).sum()) for j in range(4) if j != i) for b in range(3)]
            for i in range(4)]  # fmt: skip
    y = layer(Tensor(x)).data
    np.testing.assert_array_equal(y[:, :5], x)
    np.testing.assert_allclose(y[:, 5:], near, rtol=1e-5)
    same = layer(Tensor(np.repeat(x[:1], 4, axis=0))).data
    np.testing.assert_allclose(same[:, 5:], 3.0, rtol=1e-6)  # each of the three others is at distance 0


def test_the_projection_is_the_log_ratio_of_two_softmax_classifiers():
    rng = np.random.default_rng(1)
    model = Projection(mlp(2, 6, width=8, depth=1, rng=rng), 6, 3, rng=rng)
    x, labels = rng.normal(size=(5, 2)).astype(np.float32), np.array([0, 2, 1, 1, 0])
    phi = model.features(Tensor(x)).data
    expected = [model.head.weight.data[0] @ f + model.head.bias.data[0] + model.vectors.weight.data[y] @ f
                for f, y in zip(phi, labels, strict=True)]  # fmt: skip
    np.testing.assert_allclose(model(Tensor(x), labels).data, expected, rtol=1e-5)


def test_labels_reach_both_networks():
    rng = np.random.default_rng(2)
    generator = Conditional(mlp(3 + 2, 2, width=8, depth=1, rng=rng), 4, 2, rng=rng)
    gan = GAN(generator, Projection(mlp(2, 6, width=8, depth=1, rng=rng), 6, 4, rng=rng), latent=3, r1=1.0)
    x, labels = rng.normal(size=(6, 2)).astype(np.float32), np.array([0, 1, 2, 3, 0, 1])
    assert gan.discriminator_loss(x, labels, rng=rng).shape == gan.generator_loss(x, labels, rng=rng).shape == (6,)
    one, other = (gan.sample(6, y, rng=np.random.default_rng(3)) for y in (labels, (labels + 1) % 4))
    assert np.abs(one - other).max() > 1e-3
    for wrong in (labels[:5], labels + 0.0, labels + 1):
        with pytest.raises(ShapeError, match="labels"):
            gan.sample(6, wrong, rng=rng)


@pytest.mark.parametrize("size", [8, 28])
def test_pictures_go_there_and_back(size):
    rng = np.random.default_rng(3)
    generator = dcgan_generator(5, width=4, size=size, rng=rng)
    pictures = generator(Tensor(rng.standard_normal((6, 5), dtype=np.float32)))
    assert pictures.shape == (6, 1, size, size) and np.abs(pictures.data).max() <= 1
    assert dcgan_discriminator(width=4, size=size, rng=rng)(pictures).shape == (6, 1)
    packed = dcgan_discriminator(width=4, size=size, packing=3, rng=rng)
    assert packed(ops.reshape(pictures, (2, 3, size, size))).shape == (2, 1)
    with pytest.raises(ShapeError, match="multiple of 4"):
        dcgan_features(size=10, rng=rng)


def test_a_spectral_discriminator_of_points_has_slope_of_at_most_one():
    rng = np.random.default_rng(4)
    from minigen import nn

    layers = [nn.SpectralNorm(layer, rounds=20, rng=rng) if isinstance(layer, nn.Linear) else layer
              for layer in mlp(2, 1, width=32, depth=3, rng=rng)]  # fmt: skip
    network = nn.Sequential(*layers)
    for layer in layers[::2]:
        layer.layer.weight.overwrite(5 * layer.layer.weight.data)
    x = Tensor(rng.normal(size=(500, 2)).astype(np.float32), requires_grad=True)
    (slope,) = autograd.grad(ops.sum(network(x)), x)
    assert np.linalg.norm(slope.data, axis=1).max() <= 1 + 1e-4
