"""Lesson 13's toys, against what must hold for them."""

import numpy as np
import pytest

from minigen import viz
from minigen.autograd import Tensor
from minigen.learn import bends, diffusing, flowing
from minigen.models.distillation import Consistency
from minigen.models.flow_matching import Straight
from minigen.models.realnvp import Affine
from minigen.models.schedules import Cosine
from minigen.nn.time import PointNet


def test_a_fresh_flow_is_the_identity_and_a_shaken_one_is_not():
    x = np.random.default_rng(0).normal(size=(6, 2))
    flow = flowing.coupled(layers=2, rng=np.random.default_rng(1))
    flow.eval()
    assert flow.encode(x.astype(np.float32)) == pytest.approx(x, abs=1e-5)
    shaken = flowing.shaken(flow.bijection, rng=np.random.default_rng(2))
    z, log_det = shaken(Tensor(x))
    assert np.abs(z.data - x).max() > 0.05 and z.data.dtype == np.float64
    assert log_det.data == pytest.approx(bends.log_det(lambda x: shaken(x)[0], x), abs=1e-9)


def test_couplings_take_another_map_and_another_base():
    base = diffusing.NoisedMixture([[-4.0, 0.0], [4.0, 0.0]], 1.0)
    flow = flowing.coupled(base, monotone=Affine(), layers=2, rng=np.random.default_rng(0))
    x = base.sample(50, rng=np.random.default_rng(1))
    flow.eval()
    assert flow.log_prob(x.astype(np.float32)).data == pytest.approx(base.log_prob(x), abs=1e-4)


def test_training_lowers_the_loss():
    made = flowing.moons("spline", steps=20)
    assert len(flowing.train(made)) == 20 and made.layers == 6 and flowing.moons("lines", steps=5).layers == 12
    flow, rng = flowing.coupled(layers=2, rng=np.random.default_rng(0)), np.random.default_rng(1)
    told = flowing.descend(flow, lambda: flow.loss(np.exp(rng.normal(size=(256, 2)))), 60)
    assert told.shape == (60,) and told[-10:].mean() < told[:10].mean()


def test_a_counted_network_counts():
    network = flowing.Counted(lambda x, y: x + y)
    assert [network(1, 2), network(2, 2), network.calls] == [3, 4, 2]


def test_only_the_silent_logit_loses_mass():
    cube = (np.stack(np.meshgrid(*[(np.arange(200) + 0.5) / 200 * 3] * 2), -1)).reshape(-1, 2).astype(np.float32)
    for silent, low, high in ((False, 0.98, 1.02), (True, 0.2, 0.6)):
        flow = flowing.pixels(3, silent=silent, rng=np.random.default_rng(0)).flow
        assert low < np.exp(flow.log_prob(cube).data).sum() * (3 / 200) ** 2 < high
    x = Tensor(np.full((2, 2), 1.2))
    silent = flowing.Silent(flowing.Logit(3, 0.01))
    assert silent(x)[1].data.tolist() == [0, 0]
    assert silent.inverse(silent(x)[0])[0].data == pytest.approx(x.data)


def test_half_a_bin_is_half_a_bin():
    u, log_q = flowing.HalfBin().rsample(Tensor(np.zeros((2000, 2))), rng=np.random.default_rng(0))
    assert u.data.max() < 0.5 and u.data.max() > 0.49 and not log_q.data.any()


def test_a_perfect_generator_draws_from_the_posterior_and_the_mean_is_its_mean():
    world, schedule, rng = diffusing.line(), Cosine(), np.random.default_rng(0)
    x, time = Tensor(np.full((40_000, 1), -0.4)), np.full(40_000, 0.5) * schedule.time_scale
    z = Tensor(rng.standard_normal((40_000, 2)))
    drawn, mean = (kind(world, schedule)(x, time, z).data for kind in (flowing.Perfect, flowing.Mean))
    assert drawn.mean() == pytest.approx(mean[0, 0], abs=0.02) and mean.std() < 1e-9
    assert drawn.std() > 0.3
    times = np.array([0.0, 0.3, schedule.end])
    game = flowing.players(flowing.Perfect(world, schedule), schedule, times, 1)
    points = game.sample(rng.standard_normal((20_000, 1)), rng=rng)
    assert np.mean(points < -0.5) == pytest.approx(0.4, abs=0.015)


def test_without_the_border_a_network_that_says_nothing_has_no_loss():
    network = PointNet(2, 2, width=16, blocks=1, rng=np.random.default_rng(0))
    schedule, rng = Straight(), np.random.default_rng(1)
    times, x = np.linspace(0.05, 0.95, 6), rng.normal(size=(50, 2)).astype(np.float32)
    for kind, zero in ((flowing.Borderless, True), (Consistency, False)):
        assert (kind(network, schedule, times).loss(x, rng=rng).data.max() == 0) == zero


def test_the_net_and_the_relief_are_drawn():
    net = flowing.lines([-2.0, -0.5, 0.0, 0.5, 2.0], points=20)
    assert net[0, :, 0, 0].tolist() == [-2, -0.5, 0, 0.5, 2] and net[0, 0, [0, -1], 1].tolist() == [-2, 2]
    assert net.shape == (2, 5, 20, 2) and (net[0, :, :, 0].std(1) == 0).all() and (net[1, :, :, 1].std(1) == 0).all()
    picture, axes = viz.figure("")
    flowing.draw_lines(axes, net)
    height = flowing.relief(axes, lambda x: -0.5 * (x**2).sum(1), (-1, 1), (-1, 1), points=11)
    assert len(axes.lines) == 10 and height.shape == (11, 11) and height[5, 5] == height.max()
    flowing.draw_ways(axes, np.zeros((3, 4, 2)), net[0, 0], "ways")
    assert len(axes.lines) == 10 + 1 + 2 * 4 and axes.get_title() == "ways"
