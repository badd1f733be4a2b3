"""The vector-quantised autoencoder: nearest codes, straight-through gradients, a dictionary that is used."""

import numpy as np
import pytest

import minigen as mg
from minigen import likelihoods
from minigen.data import digits
from minigen.errors import ShapeError
from minigen.models.vqvae import VectorQuantiser, mlp_vqvae


def quantiser(codes=6, width=3, seed=0):
    return VectorQuantiser(codes, width, rng=np.random.default_rng(seed))


def test_each_vector_goes_to_its_nearest_code():
    q = quantiser().eval()
    e = np.random.default_rng(1).normal(size=(4, 5, 3)).astype(np.float32)
    z, indices, commitment = q(mg.tensor(e))
    distances = ((e[:, :, None] - q.codebook) ** 2).sum(-1)  # (B, T, K)
    np.testing.assert_array_equal(indices, distances.argmin(-1))
    np.testing.assert_allclose(z.data, q.codebook[indices], atol=1e-6)
    np.testing.assert_allclose(commitment.data, distances.min(-1).sum(-1), rtol=1e-5)


def test_the_gradient_goes_straight_through():
    q = quantiser().eval()
    e = mg.tensor(np.random.default_rng(1).normal(size=(2, 5, 3)), requires_grad=True, dtype=np.float32)
    z, _, _ = q(e)
    weight = np.random.default_rng(2).normal(size=z.shape)
    z.backward(weight)
    np.testing.assert_allclose(e.grad.data, weight, rtol=1e-6)


def test_commitment_pulls_the_encoder_to_its_code():
    q = quantiser().eval()
    e = mg.tensor(np.random.default_rng(1).normal(size=(2, 5, 3)), requires_grad=True, dtype=np.float32)
    _, indices, commitment = q(e)
    commitment.sum().backward()
    np.testing.assert_allclose(e.grad.data, 2 * (e.data - q.codebook[indices]), rtol=1e-4, atol=1e-6)


def test_codes_converge_to_the_means_of_their_clusters():
    rng = np.random.default_rng(0)
    centres = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    q = VectorQuantiser(4, 2, decay=0.9, rng=rng)
    for _ in range(200):
        e = centres[rng.integers(4, size=(8, 16))] + 0.1 * rng.normal(size=(8, 16, 2))
        q(mg.tensor(e, dtype=np.float32))
    nearest = np.abs(q.codebook[:, None] - centres).sum(-1).min(1)
    assert np.all(nearest < 0.15) and len(np.unique(q.nearest(centres))) == 4


def test_evaluation_leaves_the_dictionary_alone():
    q = quantiser().eval()
    before = q.state_dict()
    q(mg.tensor(np.ones((2, 5, 3)), dtype=np.float32))
    for name, array in q.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_model_learns_digits_and_uses_its_dictionary():
    rng = np.random.default_rng(0)
    images = digits.splits().train.images[:500]
    model = mlp_vqvae(64, likelihoods.DiscretizedLogistic(17), codes=16, width=8, places=4, hidden=64, high=16, rng=rng)
    optimizer = mg.optim.Adam(model.parameters(), lr=3e-3)
    start = model.eval().elbo(images).data.mean()
    model.train()
    for _ in range(250):
        loss = model.loss(images[rng.integers(0, 500, 64)]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    assert model.elbo(images).data.mean() > start + 30
    codes = model.encode(images)
    assert codes.shape == (500, 4) and len(np.unique(codes)) >= 12
    np.testing.assert_allclose(model.decode(codes), model.reconstruct(images))
    restored = mlp_vqvae(
        64, likelihoods.DiscretizedLogistic(17), codes=16, width=8, places=4, hidden=64, high=16, rng=rng
    )
    restored.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(restored.eval().encode(images), codes)


def test_a_wrong_shape_is_named():
    with pytest.raises(ShapeError, match=r"input \(2, 5, 4\); expected \(B, T, 3\)"):
        quantiser()(mg.tensor(np.zeros((2, 5, 4))))
