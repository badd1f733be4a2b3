"""The letters' Glow: its data are those of the other letter recipes, and both temperatures are measured as such."""

import math

import numpy as np
import pytest

from minigen.recipes import asked, glow_glyphs, pixelcnn_glyphs


@pytest.fixture(scope="module")
def experiment():
    return glow_glyphs.Experiment(0, True, steps=3)


def test_the_letters_are_those_of_pixelcnn_glyphs(experiment):
    other = pixelcnn_glyphs.letters(300, seed=3)
    for ours, theirs in zip(experiment.held_out, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(experiment.train, pixelcnn_glyphs.letters(1500, seed=1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    pictures = [{image.tobytes() for image in part[0]} for part in (experiment.train, experiment.validation,
                                                                    experiment.held_out)]  # fmt: skip
    assert not pictures[0] & pictures[1] and not pictures[0] & pictures[2] and not pictures[1] & pictures[2]


def test_the_figures_are_measured_at_both_temperatures(experiment, monkeypatch):
    """Instead of the networks' judgement, a stand-in that tells at which temperature it was asked."""
    monkeypatch.setattr(asked.Experiment, "evaluate", lambda self: dict.fromkeys(
        ("read_as_asked", "frechet", "recall"), self.temperature))
    monkeypatch.setattr(experiment, "bound", lambda images, labels, draws: 100.0 + len(images))
    found = experiment.evaluate()
    assert found["test_bound"] == 400 and found["validation_bound"] == 300
    assert found["test_unasked"] == pytest.approx(400 + math.log(26))
    assert found["test_bits_per_dim"] == pytest.approx(400 / (784 * math.log(2)))
    for name in ("read_as_asked", "frechet", "recall"):
        assert found[name] == 0.7 and found[f"{name}_at_one"] == 1.0
    assert experiment.temperature == 0.7


def test_letters_are_whole_levels_in_turn_and_cooler_ones_lie_nearer_to_their_middle(experiment):
    first, second = (experiment.sample(30, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (30, 28, 28) and first.dtype.kind == "i" and first.min() >= 0 and first.max() <= 16
    labels, spread = np.zeros(40, dtype=int), []
    for temperature in (0.3, 1.0):
        experiment.temperature = temperature
        spread.append(experiment.draw_asked(labels, np.random.default_rng(2)).std(axis=0).mean())
    experiment.temperature = 0.7
    assert spread[0] < 0.7 * spread[1]


def test_the_letter_is_told_to_the_bound_and_training_lowers_it(experiment):
    images, labels = (part[:60] for part in experiment.validation)
    before = experiment.bound(images, labels, draws=1)
    assert before == experiment.bound(images, labels, draws=1)
    for _ in range(3):
        assert set(experiment.step()) == {"loss"}
    assert experiment.bound(images, labels, draws=1) < before
    wrong = (labels + 1) % 26
    assert experiment.bound(images, wrong, draws=1) != experiment.bound(images, labels, draws=1)
