"""Muon: the polynomial acts on singular values only; the step against its formula and against torch."""

import numpy as np
import pytest

from minigen import nn
from minigen.autograd.tensor import constant
from minigen.errors import ShapeError
from minigen.optim import Muon
from minigen.optim.muon import COEFFICIENTS, orthogonalized

SHAPES = [(6, 6), (4, 9), (9, 4), (1, 5), (70, 40)]


def matrix(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonalising_applies_the_polynomial_to_the_singular_values_and_keeps_the_directions(shape):
    u, s, vt = np.linalg.svd(matrix(shape), full_matrices=False)
    s = s / np.linalg.norm(s)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    np.testing.assert_allclose(orthogonalized(matrix(shape)), (u * s) @ vt, atol=1e-6)


def test_singular_values_from_0_003_to_1_end_between_0_67_and_1_21():
    s = np.geomspace(0.003, 1, 2_000)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    assert 0.67 < s.min() and s.max() < 1.21


@pytest.mark.parametrize("shape", SHAPES)
def test_the_step_has_the_length_of_its_formula_whatever_the_gradients_scale(shape):
    moves = []
    for scale in (1.0, 1e-3):
        p = nn.Parameter(np.zeros(shape)) if hasattr(nn, "Parameter") else constant(np.zeros(shape))
        p.requires_grad = True
        p.grad = constant(scale * matrix(shape))
        Muon([p], lr=0.1).step()
        moves.append(p.numpy().copy())
    expected = -0.1 * max(1, shape[0] / shape[1]) ** 0.5 * orthogonalized(matrix(shape))
    np.testing.assert_allclose(moves[0], expected, atol=1e-6)
    np.testing.assert_allclose(moves[1], expected, atol=1e-4)


def test_it_takes_the_steps_of_torch():
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    shapes = [(6, 6), (4, 9), (9, 4)]
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
    ours = [constant(matrix(shape, 1).astype(np.float32)) for shape in shapes]
    for p in ours:
        p.requires_grad = True
    theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in ours]
    mine, other = Muon(ours, **settings), torch.optim.Muon(theirs, ns_steps=5, **settings)
    for step in range(10):
        for p, q, shape in zip(ours, theirs, shapes, strict=True):
            gradient = matrix(shape, 10 + step).astype(np.float32)
            p.grad, q.grad = constant(gradient), torch.from_numpy(gradient)
        mine.step()
        other.step()
    for p, q in zip(ours, theirs, strict=True):  # torch computes (O.15) with 8 bits of precision
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), atol=0.03)
        assert np.abs(p.numpy() - matrix(p.shape, 1)).max() > 0.1


def test_what_is_no_matrix_is_refused():
    p = constant(np.zeros(3))
    p.requires_grad = True
    with pytest.raises(ShapeError, match=r"shape \(3,\); expected two axes"):
        Muon([p])


def test_it_resumes_in_the_same_bits():
    def made():
        p = constant(matrix((5, 3), 2))
        p.requires_grad = True
        return p, Muon([p], lr=0.1)

    def steps(p, optimizer, first, last):
        for step in range(first, last):
            p.grad = constant(matrix((5, 3), 20 + step))
            optimizer.step()

    p, optimizer = made()
    steps(p, optimizer, 0, 6)
    q, other = made()
    steps(q, other, 0, 3)
    r, resumed = made()
    r.overwrite(q.data)
    resumed.load_state_dict(other.state_dict())
    steps(r, resumed, 3, 6)
    np.testing.assert_array_equal(p.numpy(), r.numpy())
