"""What lesson 08's exercises are compared with, held to truths."""

import numpy as np
import pytest
from scipy.stats import norm

import minigen as mg
from minigen.learn import games
from minigen.metrics.modes import count_modes


def test_no_other_answer_of_the_judge_earns_more():
    x = np.linspace(-4, 4, 401)
    log_p, log_q = norm.logpdf(x, 0.5), norm.logpdf(x, -1, 2)
    best = games.optimal_discriminator(log_p, log_q)

    def value(d):
        return np.sum(np.exp(log_p) * np.log(d) + np.exp(log_q) * np.log(1 - d))

    rng = np.random.default_rng(0)
    for _ in range(50):
        assert value(np.clip(best + 0.05 * rng.normal(size=best.shape), 1e-6, 1 - 1e-6)) < value(best)


def test_the_count_with_open_choices_is_the_count_when_none_is_made_wrongly():
    rng = np.random.default_rng(1)
    means, samples = rng.normal(size=(5, 2)), rng.normal(size=(300, 2))
    found = count_modes(samples, means, 0.2)
    right = (found.captured, found.high_quality, found.reverse_kl)
    assert games.recount(samples, means, 0.2) == pytest.approx(right)
    assert games.three_counts(samples, means, 0.2) == pytest.approx(right)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0])
def test_the_radius_is_what_a_step_multiplies_the_distance_with(gamma):
    theta, psi = 1e-6, 0.0
    distances = []
    for _ in range(400):
        theta, psi = theta + 0.2 * psi / 2, psi - 0.2 * (theta / 2 + gamma * psi)
        distances.append(np.hypot(theta, psi))
    assert (distances[399] / distances[199]) ** (1 / 200) == pytest.approx(games.radius(0.2, gamma), abs=3e-3)


def test_momentum_of_zero_changes_nothing_and_more_drives_the_game_outward():
    assert games.radius_with_momentum(0.2, 0.3, 0.0) == pytest.approx(games.radius(0.2, 0.3))
    theta_psi, velocity = np.array([1e-6, 0.0]), np.zeros(2)
    j = np.array([[0, 0.5], [-0.5, -0.3]])
    sizes = []
    for _ in range(200):
        velocity = 0.9 * velocity + j @ theta_psi
        theta_psi = theta_psi + 0.2 * velocity
        sizes.append(np.linalg.norm(theta_psi))
    growth = (sizes[199] / sizes[99]) ** (1 / 100)
    assert growth == pytest.approx(games.radius_with_momentum(0.2, 0.3, 0.9), abs=1e-2) and growth > 1


def test_packs_of_a_law_cut_to_a_part_are_told_apart_by_one_minus_a_power():
    p, q = np.full(10, 0.1), np.repeat([0.125, 0.0], [8, 2])
    for m in (1, 2, 4):
        assert games.packed_law(q, m).sum() == pytest.approx(1)
        assert games.packed_distance(p, q, m) == pytest.approx(1 - 0.8**m)
        assert games.packed_distance(p, p, m) == 0


def test_the_penalty_takes_the_share_that_it_is_given():
    x, y = np.array([[3.0, 4.0]]), np.zeros((1, 2))
    bowl = games.penalty(lambda at: 0.5 * mg.sum(at * at, dim=1), x, y, np.array([[0.5]]))
    assert bowl.data == pytest.approx([(2.5 - 1) ** 2])  # the slope of ½|x|² is x itself, here of length 2.5
