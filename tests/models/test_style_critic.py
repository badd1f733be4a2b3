"""The critic of pairs against plain NumPy, and what it must not depend on."""

import numpy as np
import pytest

from minigen import Tensor, nn
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.errors import ShapeError
from minigen.models.style_critic import PairCritic, critic_features


def critic(seed=0):
    rng = np.random.default_rng(seed)
    features = nn.Sequential(nn.Flatten(), nn.Linear(16, 6, rng=rng), nn.Tanh())
    return PairCritic(features, 6, 3, hidden=4, rng=rng)


def pictures(count, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 1, 4, 4)).astype(np.float32)


LABELS = np.array([0, 1, 2, 2, 0, 1])


def test_the_logit_is_that_of_each_picture_and_one_of_both():
    model, x = critic(), pictures(6)
    phi = model.single.features(Tensor(x)).data
    alone = model.single(Tensor(x), LABELS).data
    e = phi @ model.essence.weight.data.T + model.essence.bias.data
    e = e / np.sqrt((e**2).mean(axis=1, keepdims=True) + 1e-4)
    total, product = e[:3] + e[3:], e[:3] * e[3:]
    spread = np.tile(np.sqrt(total.var(axis=0) + 1e-8), (3, 1))
    together = model.compare(Tensor(np.concatenate([total, product, spread], axis=1))).data[:, 0]  # (9.10), (9.11)
    np.testing.assert_allclose(model(Tensor(x), LABELS).data, alone[:3] + alone[3:] + together, rtol=1e-4)


def test_the_two_of_a_pair_may_change_places():
    model, x = critic(), pictures(6)
    turned = np.r_[3:6, 0:3]
    np.testing.assert_allclose(model(Tensor(x), LABELS).data, model(Tensor(x[turned]), LABELS[turned]).data, atol=1e-5)


def test_who_goes_with_whom_matters():
    model, x = critic(), pictures(6)
    other = np.r_[0:3, 4, 5, 3]  # the same six pictures, paired otherwise
    here, there = model(Tensor(x), LABELS).data, model(Tensor(x[other]), LABELS[other]).data
    assert abs(here.sum() - there.sum()) > 1e-3  # each picture's own logit is in both sums


def test_a_batch_of_one_style_is_told_from_a_batch_of_many():
    model, x = critic(), pictures(6)
    same = np.concatenate([x[:1]] * 3 + [x[3:4]] * 3)
    labels = np.array([0, 0, 0, 2, 2, 2])
    alone = model(Tensor(same), labels).data
    among = model(Tensor(np.concatenate([x[:3], x[3:]])), np.array([0, 1, 2, 2, 0, 1])).data
    assert np.ptp(alone) < 1e-6 and abs(alone[0] - among[0]) > 1e-3  # the same first pair, another answer


def test_both_orders_of_gradients():
    model = critic().to(np.float64)
    x = np.random.default_rng(2).normal(size=(6, 1, 4, 4))
    parameters = dict(model.named_parameters())
    assert gradcheck(lambda x: model(x, LABELS), (x,), parameters=parameters).error < 1e-6
    assert gradgradcheck(lambda x: model(x, LABELS), (x,), parameters=parameters).error < 1e-5


def test_an_odd_number_of_pictures_has_no_pairs():
    with pytest.raises(ShapeError, match="PairCritic: 3 pictures"):
        critic()(Tensor(pictures(3)), LABELS[:3])


def test_features_begin_with_mean_squares_of_about_one():
    rng = np.random.default_rng(3)
    features = critic_features((16, 32, 32), 64, rng=rng)
    phi = features(Tensor(rng.standard_normal((64, 1, 28, 28), dtype=np.float32))).data
    assert phi.shape == (64, 64) and 0.3 < (phi**2).mean() < 3
    with pytest.raises(ShapeError, match="critic_features: size is 30"):
        critic_features((4, 4, 4), 8, size=30, rng=rng)
