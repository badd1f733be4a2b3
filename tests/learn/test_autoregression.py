"""Lesson 06's tools, held to truths: enumeration, finite differences, scipy's logistic, a measured receptive field."""

import numpy as np
import pytest
from scipy import stats

import minigen as mg
from minigen import nn
from minigen.learn import autoregression as ar
from minigen.learn import pixel_worlds as worlds
from minigen.learn.exercise import WrongForm


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_all_pictures_are_all_and_each_once():
    x = ar.all_pictures(5)
    assert x.shape == (32, 5) and len({tuple(row) for row in x}) == 32
    np.testing.assert_array_equal(x @ 2 ** np.arange(5)[::-1], np.arange(32))


def test_slopes_are_those_of_finite_differences(rng):
    (network, x), *_ = worlds.networks(rng)
    step = 1e-6 * np.eye(x.shape[1])
    wanted = [[(network(mg.tensor(x + step[e])).data[:, d] - network(mg.tensor(x - step[e])).data[:, d]) / 2e-6
               for e in range(x.shape[1])] for d in range(x.shape[1])]  # [d][e] (B,)
    np.testing.assert_allclose(ar.slopes(network, x), np.array(wanted).transpose(0, 2, 1), atol=1e-7)
    np.testing.assert_allclose(ar.largest_slopes(network, x), np.abs(wanted).max(axis=2), atol=1e-7)


def test_the_networks_are_sound_leaky_and_open_as_their_case_says(rng):
    leaks = [np.triu(ar.largest_slopes(network, x)) > 0 for network, x in worlds.networks(rng)]
    assert not leaks[0].any()
    assert leaks[1][1, 4] and leaks[2].sum() == 6


def test_the_total_of_a_distribution_is_one_and_of_a_scaled_one_its_scale():
    assert ar.total_probability(worlds.Measure(6, 1.0, 0), 6) == pytest.approx(1)
    assert ar.total_probability(worlds.Measure(4, 0.3, 1), 4) == pytest.approx(0.3)


def test_sampled_bits_come_as_often_as_their_probability_says(rng):
    world, pictures, n = worlds.World(), ar.all_pictures(3), 30_000
    p = np.ones(8)
    for d in range(3):
        one = world(pictures, d)
        p *= np.where(pictures[:, d] == 1, one, 1 - one)
    x = ar.sample_bits(world, 3, n, rng)
    assert stats.chisquare(np.bincount(x @ [4, 2, 1], minlength=8), n * p).pvalue > 1e-3
    in_ignorance = ar.sample_bits(world, 3, n, rng, sees=False)
    assert stats.chisquare(np.bincount(in_ignorance @ [4, 2, 1], minlength=8), n * p).pvalue < 1e-9


def test_the_world_says_what_it_was_asked_wrongly():
    with pytest.raises(WrongForm, match="pixel 3 of pictures"):
        worlds.World()(np.zeros((2, 3)), 3)
    with pytest.raises(WrongForm, match=r"returned shape \(5,\)"):
        ar.sampled_pictures(lambda *_: np.zeros(5), worlds.World(), 3, 5, np.random.default_rng(0))
    with pytest.raises(WrongForm, match="Pixels must be 0 or 1"):
        ar.sampled_pictures(lambda *_: np.full((5, 3), 0.5), worlds.World(), 3, 5, np.random.default_rng(0))


@pytest.mark.parametrize("mass", [lambda *a: ar.log_mass(*a).data, lambda *a: mg.log(ar.plain_mass(*a)).data])
def test_the_mass_of_a_bin_is_that_of_scipys_logistic(rng, mass):
    k, place, scale = np.arange(9), rng.uniform(-1, 1, 9), rng.uniform(0.2, 0.6, 9)
    x = 2 * k / 8 - 1
    bell = stats.logistic(place, scale)
    upper, lower = np.where(k == 8, 1, bell.cdf(x + 1 / 8)), np.where(k == 0, 0, bell.cdf(x - 1 / 8))
    np.testing.assert_allclose(mass(k, mg.tensor(place), mg.tensor(scale), 9), np.log(upper - lower), rtol=1e-9)


def test_the_right_choices_spelt_out_are_the_package_s_own(rng):
    k, place, scale = rng.integers(0, 17, 12), mg.tensor(rng.uniform(-1, 1, 12)), mg.tensor(rng.uniform(0.02, 0.5, 12))
    np.testing.assert_allclose(ar.log_mass(k, place, scale, 17, half=1 / 16).data,
                               ar.log_mass(k, place, scale, 17).data, rtol=1e-9)  # fmt: skip


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_blind_spot_is_the_one_that_gradients_measure(kernel, rng):
    layers = [nn.MaskedConv2d(4 if n else 1, 4, kernel, "B" if n else "A", rng=rng) for n in range(8)]
    network = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh()))).to(np.float64)
    x = mg.tensor(rng.normal(size=(2, 1, 7, 9)), requires_grad=True)
    network(x)[:, :, 5, 3].sum().backward()
    seen = np.abs(x.grad.data).max(axis=(0, 1)) > 0
    before = np.arange(63).reshape(7, 9) < 5 * 9 + 3
    np.testing.assert_array_equal(ar.blind_spot(7, 9, 5, 3, kernel), before & ~seen)
    assert not np.any(seen & ~before)
