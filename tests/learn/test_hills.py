"""Lesson 10's helpers: the toy, the models with something left out, the pictures."""

import numpy as np
import pytest

from minigen import viz
from minigen.learn import hills
from minigen.models.score import NoiseConditionalScore, denoising


def test_the_hills_are_as_said():
    world = hills.three()
    points = world.sample(20_000, rng=np.random.default_rng(0))
    nearest = ((points[:, None] - world.means) ** 2).sum(-1).argmin(1)
    assert np.bincount(nearest) / len(points) == pytest.approx([0.5, 0.3, 0.2], abs=0.02)


def test_fitting_lowers_the_loss_and_the_error():
    rng, world = np.random.default_rng(1), hills.three()
    net = hills.network(2, rng=rng)
    told = hills.fit(net, lambda: denoising(net, world.sample(128, rng=rng).astype("f4"), 0.5, rng=rng), steps=200)
    assert told.shape == (200,) and told[-40:].mean() < told[:10].mean() - 0.5


def test_the_relative_error_of_nothing_is_1_and_of_the_truth_0():
    best = np.random.default_rng(2).normal(size=(9, 2))
    assert hills.relative_error(0 * best, best) == 1 and hills.relative_error(best, best) == 0


def test_what_is_left_out_is_left_out_and_nothing_else():
    levels, noise = np.full(64, 0.1), np.random.default_rng(3).normal(size=(64, 2)).astype("f4")
    x, made = np.zeros((64, 2), dtype="f4"), {}
    for kind in (NoiseConditionalScore, hills.Unscaled, hills.Unweighted, hills.OneLevel):
        model = hills.grid(kind, steps=1).model
        model.network.last.bias.overwrite(np.ones(2))  # F = 1
        made[kind] = model.loss(x, rng=None, sigma=levels, noise=noise).data
        assert model(x, levels).data == pytest.approx(1.0 if issubclass(kind, hills.Unscaled) else 10.0, rel=1e-5)
    assert made[NoiseConditionalScore] == pytest.approx(0.25 * ((noise + 1) ** 2).sum(1), rel=1e-4)
    assert made[hills.Unscaled] == pytest.approx(0.25 * ((noise + 0.1) ** 2).sum(1), rel=1e-4)
    assert made[hills.Unweighted] == pytest.approx(100 * made[hills.Unscaled], rel=1e-4)
    assert made[hills.OneLevel] == pytest.approx(made[NoiseConditionalScore])


def test_one_level_draws_the_lowest_only():
    model = hills.grid(hills.OneLevel, steps=1, sigmas=np.array([3.0, 0.3])).model
    assert model.draw(5, rng=None) == pytest.approx(np.full(5, 0.1))


def test_training_and_counting_give_what_they_say():
    made = hills.train(hills.grid(NoiseConditionalScore, steps=2))
    (error,) = hills.errors(made, (1.0,))
    assert 0.5 < error < 1.5
    assert hills.counted(made.truth.means, made.truth) == "25 of 25 modes, 100.0% good, KL 0.000"


def test_arrows_are_pressed_into_their_room():
    figure, axes = viz.figure("arrows")
    hills.arrows(axes, np.zeros((2, 2)), np.array([[1e9, 0.0], [2.0, 0.0]]), room=0.5, typical=2.0)
    (quiver,) = axes.collections
    assert quiver.U == pytest.approx([0.5, 0.25])


def test_a_filmstrip_is_written_with_its_notes(tmp_path):
    world = hills.three()
    points = world.sample(50, rng=np.random.default_rng(4))
    rows = {"one": {"start": points, "end": points}, "other": {"start": points}}
    figure = hills.filmstrip("t", rows, tmp_path / "film.png", reach=3, note=lambda x: f"{len(x)} points")
    assert (tmp_path / "film.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_xlabel() for axes in figure.axes] == ["50 points", "50 points", "50 points", ""]
    hills.shade(figure.axes[3], world.log_prob, 3.0)
    assert figure.axes[3].images[0].get_array().shape == (120, 120)
