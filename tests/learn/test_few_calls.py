"""The teacher of lesson 13 and those that are quicker than it."""

import json
from pathlib import Path

import numpy as np
import pytest

from minigen import viz
from minigen.learn import few_calls, flowing


@pytest.fixture(scope="module")
def teacher():
    made = few_calls.teacher(steps=60, batch_size=64, width=32, blocks=1)
    flowing.train(made)
    return made


def test_pupils_begin_as_their_teacher(teacher):
    x, t = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32), np.full(5, 0.4)
    with teacher.ema.averaged():
        wanted = teacher.model.velocity()(x, t)
    reflow = few_calls.Reflow(teacher, steps=5)
    assert reflow.model.velocity()(x, t) == pytest.approx(wanted, abs=1e-6)
    leap = few_calls.Leap(teacher, steps=5)
    noise = x + 0.6 * wanted
    assert leap.predict(x, t) == pytest.approx(noise, abs=1e-6)
    first, asked = leap.predict(x, t), flowing.train(leap)
    assert len(asked) == 5 and leap.predict(x, t) == pytest.approx(first, abs=0)  # the guide does not learn


def test_reflow_learns_the_pairs_that_the_first_flow_makes(teacher):
    made = type("Few", (few_calls.Reflow,), {"count": 200})(teacher, steps=3)
    with teacher.ema.averaged():
        end = few_calls.follow(teacher.model.velocity(), made.noise[:5], np.linspace(1, 0, 31) ** 2)
    assert made.made[:5] == pytest.approx(end, abs=1e-5)
    given, loss = [], made.model.loss
    made.model.loss = lambda x, **settings: given.append((x, settings["noise"])) or loss(x, **settings)
    assert flowing.train(made).shape == (3,) and len(given) == 3
    pairs = {tuple(noise): tuple(end) for noise, end in zip(made.noise, made.made, strict=True)}
    assert all(pairs[tuple(noise)] == tuple(x) for xs, noises in given for x, noise in zip(xs, noises, strict=True))


@pytest.mark.parametrize("rule", ["ancestral", "ddim", "dpm_solver", "euler", "heun"])
def test_every_rule_asks_as_often_as_it_is_told_to(teacher, rule, monkeypatch):
    output, calls = teacher.model.output, []
    monkeypatch.setattr(teacher.model, "output", lambda *given: calls.append(1) or output(*given))
    points = few_calls.walked(teacher, rule, 6, n=20)
    assert points.shape == (20, 2) and np.isfinite(points).all() and len(calls) == 6


def test_the_leap_takes_several_calls_at_times_that_it_knows(teacher):
    leap = few_calls.Leap(teacher, steps=5)
    one, three = (leap.leap(30, calls=calls) for calls in (1, 3))
    assert one.shape == three.shape == (30, 2) and not np.allclose(one, three)
    asked, model = [], leap.model

    def noted(x, t, labels=None, forward=model.forward):
        asked.append(float(np.max(t)))
        return forward(x, t, labels)

    model.forward = noted
    leap.leap(30, calls=4)
    assert len(asked) == 4 and set(asked) <= set(model.times) and asked == sorted(asked, reverse=True)


def test_the_race_is_drawn_and_the_hybrid_is_the_recipes():
    figure, panels = viz.figure("", 1, 2)
    asked = {"rectified": (1, 2), "diffusion GAN": (4,)}
    few_calls.race(panels, asked, {"rectified": [(10, 0.1), (20, 0.01)], "diffusion GAN": [(50, 0.1)]})
    assert [len(axes.lines) for axes in panels] == [3, 3]
    assert few_calls.hybrid(steps=10, width=16).model.steps == 4
    points = few_calls.flow_matching_grid.Experiment.truth.sample(2000, rng=np.random.default_rng(0))
    good, kl = few_calls.judged(points, few_calls.flow_matching_grid.Experiment.truth)
    assert good > 97 and kl < 0.02


def test_the_plain_game_is_quoted_as_it_was_recorded():
    kept = Path(__file__).parents[2] / "figures" / "results.json"
    runs = [run["metrics"] for run in json.loads(kept.read_text())["gan-grid"]]
    quality, unfair = (np.median([run[name] for run in runs]) for name in ("high_quality", "reverse_kl"))
    assert few_calls.PLAIN_GAN == (round(100 * quality, 1), round(unfair, 3))


def test_true_points_are_as_often_of_high_quality_as_the_line_says(teacher):
    points = teacher.truth.sample(50_000, rng=np.random.default_rng(0))
    assert few_calls.judged(points, teacher.truth)[0] == pytest.approx(few_calls.TRUE, abs=0.25)
