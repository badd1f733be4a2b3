"""What lesson 10's exercises are compared with, held to truths."""

import numpy as np
import pytest

import minigen as mg
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.learn import slopes
from minigen.learn.exercise import WrongForm


def test_the_mean_over_many_probes_is_the_trace():
    rng = np.random.default_rng(0)
    x, probes = rng.normal(size=(3, 2)), rng.choice([-1.0, 1.0], size=(4000, 3, 2))
    assert slopes.probed(slopes.whirl, x, probes) == pytest.approx(slopes.exact_trace(slopes.whirl, x), abs=0.3)
    every = np.array([[1.0, 1.0], [1.0, -1.0]])[:, None].repeat(3, axis=1)  # all pairs of coins, up to a sign: exact
    assert slopes.probed(slopes.whirl, x, every) == pytest.approx(slopes.exact_trace(slopes.whirl, x))


def test_a_trace_by_differences_is_the_same():
    x, h = np.random.default_rng(1).normal(size=(4, 3)), 1e-5
    total = 0.0
    for d in range(3):
        e = h * np.eye(3)[d]
        total = total + (slopes.turned(mg.tensor(x + e)).data - slopes.turned(mg.tensor(x - e)).data)[:, d] / (2 * h)
    assert slopes.exact_trace(slopes.turned, x) == pytest.approx(total, abs=1e-8)


def test_both_losses_have_the_same_gradient_on_a_mixture():
    rng, world = np.random.default_rng(2), NoisedMixture([[-1.0], [1.5]], 0.4, [0.7, 0.3])
    x, noise, theta = world.sample(400_000, rng=rng)[:, 0], rng.normal(size=400_000), rng.normal(size=3)
    one, other = slopes.two_slopes(theta, slopes.bends, x, noise, 0.6,
                                   lambda y: world.score(y[:, None], 1.0, 0.6)[:, 0])  # fmt: skip
    assert one == pytest.approx(other, abs=0.02)
    assert np.abs(one).max() > 0.3


def test_the_open_choices_change_nothing_when_none_is_made_wrongly():
    rng = np.random.default_rng(3)
    given = rng.normal(size=3), slopes.bends, rng.normal(size=7), rng.normal(size=7), 0.5, slopes.one_hill
    for a, b in zip(slopes.bent_slopes(*given), slopes.two_slopes(*given), strict=True):
        assert a == pytest.approx(b)
    dirty = rng.normal(size=(5, 2)), rng.normal(size=(3, 2)), 0.3, 0.7
    assert slopes.tweedie(*dirty) == pytest.approx(slopes.cleaned(*dirty))
    ladder = (slopes.three_hills, np.array([1.0, 0.3]), rng.normal(size=(4, 2)), 0.01, rng.normal(size=(2, 3, 4, 2)))
    assert slopes.walk(*ladder) == pytest.approx(slopes.annealed(*ladder))


def test_the_best_guess_is_the_mean_of_many_clean_points_that_could_have_been():
    rng, means = np.random.default_rng(4), np.array([[0.0, 0.0], [1.0, 1.0]])
    x = means[rng.integers(2, size=600_000)] + 0.3 * rng.normal(size=(600_000, 2))
    y = x + 0.5 * rng.normal(size=x.shape)
    at = np.array([[0.4, 0.7]])
    near = x[np.abs(y - at).max(1) < 0.05]
    assert slopes.cleaned(at, means, 0.3, 0.5)[0] == pytest.approx(near.mean(0), abs=0.04)


def test_a_gradient_has_no_curl_and_the_whirl_has_one():
    x = np.random.default_rng(5).normal(size=(50, 2))
    assert slopes.curl(slopes.hill, x) == pytest.approx(np.zeros(50), abs=1e-12)
    assert np.abs(slopes.curl(slopes.whirl, x)).min() > 0.01
    assert slopes.curl(slopes.both_ways, x).min() < 0 < slopes.curl(slopes.both_ways, x).max()


def test_a_step_goes_uphill_and_is_shaken_by_the_root():
    x, s, z = np.random.default_rng(6).normal(size=(3, 4, 2))
    assert slopes.step(x, s, 0.5, z) == pytest.approx(x + 0.5 * s + z)


def test_answers_of_another_form_are_refused():
    given = np.zeros(3), slopes.bends, np.zeros(2), np.ones(2), 0.5, slopes.one_hill
    with pytest.raises(WrongForm, match="two gradients"):
        slopes.two_named(lambda *_: np.zeros(3), *given)
    with pytest.raises(WrongForm, match="the shape of θ"):
        slopes.two_named(lambda *_: (1.0, 2.0), *given)
