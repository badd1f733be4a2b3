"""Couplings against truths: who is kept, who is moved, by what; and what the networks may see."""

import numpy as np
import pytest

from minigen.autograd import Tensor
from minigen.errors import ShapeError
from minigen.models.bijections import Chain
from minigen.models.realnvp import (
    Affine,
    Coupling,
    PictureNet,
    VectorNet,
    alternating,
    channel_halves,
    checkerboard,
    couplings,
    random_halves,
)
from minigen.models.score import jacobian


def shaken(module, seed=0, by=0.3):
    rng = np.random.default_rng(seed)
    for tensor in module.parameters():
        tensor.overwrite(tensor.data + by * rng.normal(size=tensor.shape))
    return module.to(np.float64)


def test_the_affine_coupling_is_its_formula():
    mask = np.array([True, False, True, False])
    numbers = np.array([[[0.5, 1.0], [-40.0, 2.0]]])  # (r, t) for the places 1 and 3
    coupling = Coupling(mask, lambda kept: Tensor(np.repeat(numbers, len(kept), axis=0)), Affine(bound=2.0))
    x = np.random.default_rng(0).normal(size=(3, 4))
    z, log_det = coupling(Tensor(x))
    s = 2 * np.tanh(numbers[0, :, 0] / 2)
    np.testing.assert_array_equal(z.data[:, mask], x[:, mask])
    np.testing.assert_allclose(z.data[:, ~mask], x[:, ~mask] * np.exp(s) + numbers[0, :, 1], rtol=1e-14)
    np.testing.assert_allclose(log_det.data, s.sum(), rtol=1e-14)
    assert s[1] == pytest.approx(-2)  # bounded


def test_the_network_is_shown_the_kept_numbers_only():
    seen = []

    def network(kept, condition):
        seen.extend([kept.data, condition])
        return Tensor(np.zeros((len(kept), 2, 2)))

    Coupling(np.array([True, False, False]), network)(Tensor(np.full((1, 3), 7.0)), "told")
    np.testing.assert_array_equal(seen[0], [[7, 0, 0]])
    assert seen[1] == "told"


@pytest.mark.parametrize("make, shape", [(VectorNet, (6,)), (PictureNet, (1, 2, 3))])
def test_the_jacobian_of_one_coupling_is_triangular_and_two_move_all(make, shape):
    masks = alternating(6, 2) if shape == (6,) else checkerboard(shape, 2)
    steps = couplings(masks, lambda mask, g: make(mask, g, rng=np.random.default_rng(0)))
    chain = shaken(Chain(*steps))
    x = np.random.default_rng(1).normal(size=(1, 6))

    def flat(step):
        return lambda y: step(y.reshape(len(y), *shape))[0].reshape(len(y), 6)

    one, both = (jacobian(flat(step), Tensor(x))[0] for step in (steps[0], chain))
    kept = masks[0].reshape(-1)
    np.testing.assert_array_equal(one[kept], np.eye(6)[kept])
    np.testing.assert_array_equal(one[np.ix_(~kept, ~kept)] != 0, np.eye(3, dtype=bool))
    assert (one[np.ix_(~kept, kept)] != 0).all()  # 2 × 3 pixels are within the filters' reach
    # After both, a number of the first group knows all six, one of the second the first group and itself.
    np.testing.assert_array_equal((both != 0).sum(1), np.where(kept, 6, 4))


def test_masks_are_complementary_in_turn_and_cover_all_places():
    rng = np.random.default_rng(0)
    for masks in (alternating(5, 4), random_halves(5, 4, rng=rng), checkerboard((2, 3, 4), 4),
                  channel_halves((3, 2, 2), 4)):  # fmt: skip
        assert len(masks) == 4 and all(mask.dtype == bool for mask in masks)
        for first, second in (masks[:2], masks[2:]):
            np.testing.assert_array_equal(first, ~second)
    assert len(random_halves(5, 3, rng=rng)) == 3 and random_halves(5, 1, rng=rng)[0].sum() == 2
    board = checkerboard((1, 3, 4), 1)[0][0]
    assert (board[1:] != board[:-1]).all() and (board[:, 1:] != board[:, :-1]).all() and board[0, 0]
    np.testing.assert_array_equal(channel_halves((3, 1, 1), 1)[0].ravel(), [True, True, False])


def test_a_picture_net_gives_each_place_its_own_numbers():
    """The order of (N, P) is that of the places in the mask: moving what the last layer says for one moves that one."""
    mask = channel_halves((4, 2, 3), 1)[0]
    net = PictureNet(mask, Affine(), width=8, blocks=0, rng=np.random.default_rng(0))
    bias = np.zeros((2, 4))
    bias[0, 2], bias[1, 3] = 5.0, 7.0  # r of channel 2, t of channel 3
    net.last.bias.overwrite(bias.reshape(-1))
    numbers = net(Tensor(np.zeros((1, 4, 2, 3), dtype=np.float32))).data[0].reshape(2, 2, 3, 2)  # channel, H, W, P
    np.testing.assert_array_equal(numbers[0], np.broadcast_to([5.0, 0.0], (2, 3, 2)))
    np.testing.assert_array_equal(numbers[1], np.broadcast_to([0.0, 7.0], (2, 3, 2)))


def test_learnt_places_tell_equal_neighbourhoods_apart():
    mask = checkerboard((1, 8, 8), 1)[0]
    x = Tensor(np.zeros((1, 1, 8, 8)))
    for places in (False, True):
        net = shaken(PictureNet(mask, Affine(), places=places, width=8, blocks=0, rng=np.random.default_rng(0)))
        inner = net(x).data[0].reshape(8, 4, 2)[3:5, 1:3]  # far from the border
        assert (np.ptp(inner.reshape(-1, 2), axis=0) > 1e-3).all() == places


def test_dropout_is_at_work_in_training_only():
    net = shaken(VectorNet(alternating(4, 1)[0], Affine(), dropout=0.5, rng=np.random.default_rng(0)))
    x = Tensor(np.ones((3, 4)))
    assert np.any(net(x).data != net(x).data)
    net.eval()
    np.testing.assert_array_equal(net(x).data, net(x).data)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)])
def test_a_condition_of_the_wrong_size_is_told(shape):
    net = VectorNet(np.arange(4) % 2 == 0, Affine(), condition=2, rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"VectorNet: a condition \(2, 3\); expected \(2, 2\)"):
        net(Tensor(np.zeros((2, *shape))), Tensor(np.zeros((2, 3))))
