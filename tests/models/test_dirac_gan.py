"""The Dirac-GAN: its eigenvalues, and the paths that they foretell."""

import numpy as np
import pytest

from minigen import Tensor, autograd
from minigen.errors import MinigenError
from minigen.models.dirac_gan import GAMES, gradients, jacobian, play, step_matrix
from minigen.models.gan import OBJECTIVES


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_the_directions_are_the_gradients_of_the_two_losses(game, gamma):
    rng = np.random.default_rng(0)
    for theta, psi in rng.normal(size=(5, 2)):
        t, p = (Tensor(np.array(value), requires_grad=True) for value in (theta, psi))
        losses = OBJECTIVES[game]
        zero = 0.0 * p  # ψ·0, the logit of the data
        (of_theta,) = autograd.grad(losses.generator(zero, p * t), t)
        (of_psi,) = autograd.grad(losses.discriminator(zero, p * t) + 0.5 * gamma * p * p, p)
        found = gradients(theta, psi, gamma=gamma, game=game)
        np.testing.assert_allclose(found, (-of_theta.item(), -of_psi.item()), atol=1e-12)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0])
def test_the_jacobian_by_differences_and_its_eigenvalues(game, gamma):
    e = 1e-6
    columns = [(np.array(gradients(*d, gamma=gamma, game=game)) - gradients(*-d, gamma=gamma, game=game)) / (2 * e)
               for d in e * np.eye(2)]  # fmt: skip
    np.testing.assert_allclose(np.transpose(columns), jacobian(gamma=gamma, game=game), atol=1e-9)
    c = 1.0 if game == "wasserstein" else 0.5
    root = np.sqrt(complex(gamma**2 - 4 * c**2)) / 2
    found = np.linalg.eigvals(jacobian(gamma=gamma, game=game))
    expected = np.array([-gamma / 2 + root, -gamma / 2 - root])  # (8.22), (8.24)
    assert np.abs(np.sort_complex(found) - np.sort_complex(expected)).max() < 1e-7


def test_the_continuous_game_circles_at_one_distance_and_the_non_saturating_one_comes_slowly_nearer():
    rate = 1e-4  # nearly continuous: (8.23) adds some 1e-5 in all
    for game, stays in (("saturating", True), ("non-saturating", False)):
        distance = np.linalg.norm(play(40_000, rate=rate, game=game), axis=1)
        if stays:
            assert np.abs(distance - distance[0]).max() < 1e-3
        else:
            assert (np.diff(distance) < 1e-8).all() and distance[-1] < 0.9 * distance[0]


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_in_steps_it_spirals_outward_at_the_foretold_rate(rate):
    path = play(300, rate=rate)
    forged = 1 / (1 + np.exp(-path.prod(axis=1)))
    squares = (path**2).sum(axis=1)
    np.testing.assert_allclose(squares[1:] / squares[:-1], (1 + rate**2 * forged**2)[:-1], rtol=1e-12)  # (8.23)
    near = np.linalg.norm(play(100, rate=rate, start=(1e-4, 0.0)), axis=1)
    growth = (near[-1] / near[0]) ** (1 / 100)
    assert np.abs(np.linalg.eigvals(step_matrix(rate))).max() == pytest.approx(growth, abs=1e-6)


def test_the_non_saturating_game_ends_on_a_circle():
    inside, outside = (np.linalg.norm(play(6000, rate=0.2, game="non-saturating", start=start), axis=1)[-200:].mean()
                       for start in ((0.1, 0.0), (2.0, 0.0)))  # fmt: skip
    assert inside == pytest.approx(outside, rel=0.05) and 0.4 < inside < 1


def test_with_r1_it_comes_home_at_the_foretold_rate():
    for gamma, rate in ((0.3, 0.2), (1.0, 0.1), (2.0, 0.1)):
        path = np.linalg.norm(play(400, rate=rate, gamma=gamma), axis=1)
        size = np.abs(np.linalg.eigvals(step_matrix(rate, gamma=gamma))).max()
        assert path[-1] < 0.1 and size < 1
        assert (path[-1] / path[300]) ** (1 / 100) == pytest.approx(size, abs=0.01)
    assert np.abs(np.linalg.eigvals(step_matrix(0.5, gamma=0.1))).max() > 1  # h > 4γ: too long a step


def test_taking_turns_circles_for_ever():
    for rate in (0.1, 1.0, 3.9):
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(step_matrix(rate, turns=True))), 1.0, atol=1e-9)  # (8.25)
    assert np.abs(np.linalg.eigvals(step_matrix(4.1, turns=True))).max() > 1
    together, turns = (np.linalg.norm(play(1500, rate=0.2, turns=turn), axis=1)[-300:] for turn in (False, True))
    assert together.min() > 3 and 1 < turns.min() and turns.max() < 2


def test_an_unknown_game_is_refused():
    with pytest.raises(MinigenError, match="'hinge'"):
        play(1, rate=0.1, game="hinge")
