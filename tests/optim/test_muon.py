"""Muon: what (O.12) does to singular values, one step by hand, PyTorch's own, and a restored run."""

import numpy as np
import pytest

from minigen import optim, tensor
from minigen.errors import ShapeError
from minigen.optim.muon import orthogonal


@pytest.mark.parametrize("shape", [(6, 6), (5, 40), (40, 5), (1, 7)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    matrix = np.random.default_rng(0).normal(size=shape) * 1e3
    found = orthogonal(matrix)
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    assert found.shape == shape
    inside = u.T @ found @ vt.T  # the same singular vectors: diagonal
    np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=1e-9)
    assert 0.6 < np.diag(inside).min() and np.diag(inside).max() < 1.21


def test_small_singular_values_grow_by_the_polynomial():
    one = orthogonal(np.diag([1.0, 1e-3]), steps=1)
    np.testing.assert_allclose(np.diag(one), [3.4445 - 4.7750 + 2.0315, 3.4445e-3], rtol=1e-5)


def test_zero_stays_zero():
    assert not orthogonal(np.zeros((3, 4), dtype=np.float32)).any()


def test_the_first_step_by_hand_whatever_the_size_of_the_gradient():
    for scale in (1e-4, 1.0, 1e4):
        p = tensor(np.full((8, 2), 0.5), requires_grad=True)
        gradient = scale * np.random.default_rng(1).normal(size=(8, 2))
        (p * tensor(gradient)).sum().backward()
        optim.Muon([p], lr=0.1, weight_decay=0.2).step()
        np.testing.assert_allclose(p.data, 0.5 * (1 - 0.02) - 0.1 * 2 * orthogonal(gradient), rtol=1e-6)  # √(8/2) = 2


@pytest.mark.parametrize("nesterov", [True, False])
def test_three_steps_by_hand_with_momentum(nesterov):
    rng = np.random.default_rng(3)
    p, mean = tensor(rng.normal(size=(3, 5)), requires_grad=True), np.zeros((3, 5))
    expected = p.data.copy()
    optimizer = optim.Muon([p], lr=0.1, momentum=0.8, weight_decay=0.0, nesterov=nesterov)
    for _ in range(3):
        gradient = rng.normal(size=(3, 5))
        optimizer.zero_grad()
        (p * tensor(gradient)).sum().backward()
        optimizer.step()
        mean = 0.8 * mean + 0.2 * gradient  # (O.13)
        ahead = 0.2 * gradient + 0.8 * mean if nesterov else mean
        expected = expected - 0.1 * orthogonal(ahead)  # (O.14): √max(1, 3/5) = 1
        np.testing.assert_allclose(p.data, expected, rtol=1e-9, atol=1e-12)


def test_twenty_steps_equal_those_of_pytorch_up_to_its_bfloat16():
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    rng = np.random.default_rng(2)
    start = [rng.normal(size=shape).astype(np.float32) for shape in ((6, 10), (12, 4))]
    ours = [tensor(array.copy(), requires_grad=True) for array in start]
    theirs = [torch.tensor(array.copy(), requires_grad=True) for array in start]
    mine, other = optim.Muon(ours, lr=0.02, weight_decay=0.1), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for _ in range(20):
        for p, q in zip(ours, theirs, strict=True):
            gradient = rng.normal(size=p.shape).astype(np.float32)
            p.grad, q.grad = tensor(gradient), torch.tensor(gradient)
        mine.step()
        other.step()
    for p, q, first in zip(ours, theirs, start, strict=True):
        moved = np.abs(p.data - first).max()
        assert np.abs(p.data - q.detach().numpy()).max() < 0.03 * moved


def test_a_restored_run_ends_in_the_same_bits():
    def steps(optimizer, p, n):
        for _ in range(n):
            optimizer.zero_grad()
            ((p @ p.T) * (p @ p.T)).sum().backward()
            optimizer.step()

    start = np.random.default_rng(3).normal(size=(4, 3))
    whole = tensor(start.copy(), requires_grad=True)
    steps(optim.Muon([whole], lr=0.01), whole, 6)
    half = tensor(start.copy(), requires_grad=True)
    first = optim.Muon([half], lr=0.01)
    steps(first, half, 3)
    rest = tensor(half.data.copy(), requires_grad=True)
    second = optim.Muon([rest], lr=0.01)
    second.load_state_dict(first.state_dict())
    steps(second, rest, 3)
    np.testing.assert_array_equal(rest.data, whole.data)


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ShapeError, match=r"parameter 1 has shape \(3,\); expected matrices"):
        optim.Muon([tensor(np.ones((2, 2)), requires_grad=True), tensor(np.ones(3), requires_grad=True)])
    with pytest.raises(ValueError, match="momentum=1"):
        optim.Muon([tensor(np.ones((2, 2)), requires_grad=True)], momentum=1.0)
