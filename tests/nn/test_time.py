"""The time embedding's own law, and networks for points that begin at zero and differentiate."""

import numpy as np
import pytest

from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.nn.time import PointNet, TimeEmbedding, per_example, sinusoids


def test_a_shift_of_time_is_a_rotation_of_each_pair():
    t = np.array([0.0, 1.0, 37.5, 999.0])
    here, there = sinusoids(t, 16), sinusoids(t + 5, 16)
    angle = 5 * 10_000.0 ** (-np.arange(8) / 8)
    cos, sin = here[:, :8], here[:, 8:]
    np.testing.assert_allclose(there[:, :8], cos * np.cos(angle) - sin * np.sin(angle), atol=1e-9)
    np.testing.assert_allclose(there[:, 8:], sin * np.cos(angle) + cos * np.sin(angle), atol=1e-9)
    np.testing.assert_allclose((here**2).sum(1), 8)
    assert sinusoids(t.astype(np.float32), 16).dtype == np.float32


def test_no_class_is_a_class_of_its_own():
    embedding = TimeEmbedding(8, classes=3, rng=np.random.default_rng(0))
    t = np.array([1.0, 2.0], np.float32)
    np.testing.assert_array_equal(embedding(t).data, embedding(t, np.array([3, 3])).data)
    assert np.abs(embedding(t).data - embedding(t, np.array([0, 1])).data).max() > 0.1


@pytest.mark.parametrize("classes", [None, 2])
def test_a_network_for_points_begins_at_zero_and_its_gradients_are_right(classes):
    rng = np.random.default_rng(1)
    net = PointNet(2, 3, width=8, blocks=2, waves=2, classes=classes, rng=rng)
    labels = None if classes is None else np.array([0, 2, 1, 1])
    t = np.array([0.0, 10.0, 500.0, 999.0])
    assert np.all(net(rng.normal(size=(4, 2)).astype(np.float32), t.astype(np.float32), labels).data == 0)
    net = net.to(np.float64)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + 0.3 * rng.normal(size=tensor.shape))
    gradcheck(lambda x: net(x, t, labels), rng.normal(size=(4, 2)), parameters=dict(net.named_parameters()))


def test_numbers_per_example_take_the_type_and_the_axes_of_x():
    x = np.zeros((4, 3, 2), np.float32)
    column = per_example(np.arange(4.0), x)
    assert column.shape == (4, 1, 1) and column.dtype == np.float32 and column[2, 0, 0] == 2
    assert per_example(0.5, x).shape == () and per_example(0.5, x).dtype == np.float32


def test_what_does_not_fit_is_refused():
    t = np.zeros(2, np.float32)
    with pytest.raises(ShapeError, match=r"numbers \(3,\) for x \(4, 2\); expected one for each example"):
        per_example(np.zeros(3), np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="an even width"):
        sinusoids(t, 7)
    with pytest.raises(ShapeError, match="labels for a network without classes"):
        TimeEmbedding(8, rng=np.random.default_rng(0))(t, np.zeros(2, int))
    embedding = TimeEmbedding(8, classes=3, rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match="labels from 0 to 4; expected 0 to 3"):
        embedding(t, np.array([0, 4]))
    with pytest.raises(ShapeError, match=r"labels \(3,\) of int64; expected \(2,\)"):
        embedding(t, np.zeros(3, int))
