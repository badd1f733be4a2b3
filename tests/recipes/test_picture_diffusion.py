"""What recipes of pictures by diffusion share: every sampler draws from the same noise, and few_steps measures them."""

import numpy as np
import pytest

from minigen.data import digits
from minigen.metrics.classification import accuracy
from minigen.recipes import asked, picture_diffusion
from minigen.recipes.picture_diffusion import SAMPLERS


class Tiny(picture_diffusion.Experiment):
    high, side, classes, reader = 16, digits.SIDE, digits.CLASSES, "digits"
    width, multiples, attention = 8, (1, 2), ()

    def load(self, quick):
        splits = digits.splits()
        return splits.train, splits.test


@pytest.fixture(scope="module")
def experiment():
    tiny = Tiny(0, True, steps=8)
    for _ in tiny.fit(progress=False):
        pass
    return tiny


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_draws_the_same_pictures_from_the_same_noise_and_others_from_other_noise(experiment, sampler):
    labels = [7, 2, 5]
    drawn, again = (experiment.drawn_by(sampler, 5, labels, np.random.default_rng(1)) for _ in range(2))
    assert drawn.shape == (3, 8, 8) and drawn.min() >= 0 and drawn.max() <= 16 and np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, again)
    assert np.abs(drawn - experiment.drawn_by(sampler, 5, labels, np.random.default_rng(2))).max() > 0.1


def test_pictures_drawn_in_parts_are_those_drawn_together(experiment, monkeypatch):
    labels = np.arange(7)
    together = experiment.drawn_by("DDIM", 5, labels, np.random.default_rng(3))
    monkeypatch.setattr(experiment, "at_once", 3)
    np.testing.assert_allclose(experiment.drawn_by("DDIM", 5, labels, np.random.default_rng(3)), together, atol=1e-3)


def test_pictures_come_from_the_average_with_the_class_and_its_guidance(experiment):
    before = {name: p.data.copy() for name, p in experiment.model.named_parameters()}

    def drawn(labels, guidance):
        return experiment.drawn_by("DDIM", 5, labels, np.random.default_rng(4), guidance=guidance)

    one, two = np.full(3, 1), np.full(3, 2)
    np.testing.assert_array_equal(drawn(one, 0), drawn(two, 0))  # without guidance no class counts
    assert np.abs(drawn(one, 1) - drawn(two, 1)).max() > 0
    plain = drawn(one, 1)
    for average in experiment.ema._average.values():
        average += 0.1
    changed = drawn(one, 1)
    for average in experiment.ema._average.values():
        average -= 0.1
    assert np.abs(changed - plain).max() > 0.1
    for name, p in experiment.model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])


def test_few_steps_measures_each_sampler_and_shows_the_first_of_each_class(experiment, tmp_path):
    lines = []
    table, shown = picture_diffusion.few_steps(experiment, 60, steps=(2, 3), chosen=("DDIM", "Heun"), say=lines.append)
    assert list(table) == ["floor", "DDIM", "Heun"] and len(lines) == 4
    assert table["floor"]["read"] > 0.95 and "milliseconds" not in table["floor"]
    labels = np.arange(60) % 10
    drawn = experiment.drawn_by("Heun", 3, labels, np.random.default_rng([0, 4]))
    np.testing.assert_array_equal(shown["Heun"][3], drawn[:10])
    assert table["Heun"][3]["read"] == accuracy(labels, experiment.read(drawn))
    assert table["DDIM"][2]["frechet"] > table["floor"]["frechet"]
    path = picture_diffusion.steps_picture(shown, [0, 3], 16, tmp_path / "steps.png", "Fewer steps")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_evaluate_judges_what_it_reads(experiment):
    figures = experiment.evaluate()
    assert figures["real_as_asked"] > 0.98 and figures["frechet"] > figures["frechet_real"]
    assert {f"{name}{ending}" for name in asked.WITH_FLOOR for ending in ("", "_real")} < set(figures)
