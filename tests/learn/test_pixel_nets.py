"""Lesson 06: NADE is the package's, masks leak exactly where they are wrong, drawing keeps its order."""

import numpy as np
import pytest

import minigen as mg
from minigen.learn.autoregression import all_pictures, largest_slopes
from minigen.learn.pixel_nets import MaskedNet, Nade, draw_in_order, masked_stack


def test_nade_sums_to_one_and_its_parameters_are_found():
    model = Nade(6, 5, rng=np.random.default_rng(0))
    assert np.exp(model.log_prob(all_pictures(6)).data.astype(float)).sum() == pytest.approx(1, abs=1e-5)
    assert model.num_parameters() == 6 * 5 + 5 + 6 * 5 + 6
    np.testing.assert_array_equal(model.loss(np.eye(6), rng=None).data, -model.log_prob(np.eye(6)).data)


@pytest.mark.parametrize(("kinds", "nearest"), [("ABBB", 1), ("AAAA", 4), ("BBBB", 0)])
def test_a_stack_sees_as_near_as_its_masks_say(kinds, nearest):
    """In one row the nearest pixel seen is 1 back for A then B, as many back as there are A, none back without A."""
    stack = masked_stack(kinds, rng=np.random.default_rng(0)).to(np.float64)
    row = lambda x: stack(mg.reshape(x, (-1, 1, 1, 8))).sum(1)[:, 0]  # noqa: E731  (B, 8) → (B, 8)
    seen = largest_slopes(row, np.random.default_rng(1).normal(size=(40, 8))) > 0
    back = np.subtract.outer(np.arange(8), np.arange(8))[seen]  # how far back, for all pairs that depend
    assert back.min() == nearest


def test_drawing_fills_pixel_after_pixel_in_the_order_given():
    net, asked = MaskedNet("ABBB", rng=np.random.default_rng(0)), []
    order = np.random.default_rng(1).permutation(64)

    class Spy:
        likelihood = net.likelihood

        def __call__(self, x):
            asked.append(np.count_nonzero(x.reshape(len(x), -1), axis=1).max())
            return net(x)

    x = draw_in_order(Spy(), 3, order, rng=np.random.default_rng(2))
    assert x.shape == (3, 8, 8) and x.min() >= 0 and x.max() <= 16
    assert asked[0] == 0 and all(count <= step for step, count in enumerate(asked))


def test_the_likelihood_of_a_masked_net_is_that_of_its_pixels():
    net = MaskedNet("ABBB", rng=np.random.default_rng(0))
    x = np.random.default_rng(1).integers(0, 17, (4, 64))
    pixels = net.likelihood.distribution(net(x)).log_prob(x.reshape(4, 8, 8)).data
    np.testing.assert_allclose(net.log_prob(x).data, pixels.sum(axis=(1, 2)), rtol=1e-5)
