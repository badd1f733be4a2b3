import numpy as np
import pytest

from minigen import nn
from minigen.learn import mark, readers
from minigen.learn.checking import DONE
from minigen.learn.checking import WRONG as FAILED
from minigen.models.classifier import Classifier, conv_block, mlp_network


def small_convolutions(rng):
    return nn.Sequential(nn.Scaled(16), conv_block(1, 10, rng=rng), conv_block(10, 16, stride=2, rng=rng),
                         conv_block(16, 16, stride=2, rng=rng), nn.Flatten(), nn.Linear(64, 10, rng=rng))  # fmt: skip


@pytest.mark.slow
def test_the_open_exercise_can_be_solved_as_its_last_hint_says():
    result = mark("03.6", small_convolutions)
    assert result.status == DONE and "4,568 parameters" in result.message, result.message


def test_training_is_repeatable_and_learns():
    first, second = (readers.trained(small_convolutions, 0, steps=40).evaluate() for _ in range(2))
    assert first == second and first["validation_accuracy"] > 50


@pytest.mark.parametrize(("network", "mean", "seen", "phrase"), [
    (mlp_network(64, 10, high=16, rng=np.random.default_rng(0)), 12.0, 12.0, "near guessing"),
    (mlp_network(64, 10, high=16, rng=np.random.default_rng(0)), 90.0, 90.0, "no convolution in it"),
    (nn.Sequential(nn.Conv2d(1, 2, 3)), 90.0, 90.0, "Without normalisation"),
    (small_convolutions(np.random.default_rng(0)), 90.0, 99.0, "by heart"),
    (small_convolutions(np.random.default_rng(0)), 95.0, 96.0, "More channels"),
])  # fmt: skip
def test_the_advice_names_the_trouble(network, mean, seen, phrase):
    assert phrase in readers._advice(Classifier(network, 10), mean, seen)


def test_a_solved_exercise_tells_the_figures(monkeypatch):
    monkeypatch.setattr(readers, "STEPS", 5)
    monkeypatch.setattr(readers, "TO_BEAT", 0.0)
    monkeypatch.setattr(readers, "trained", lambda function, seed: readers._Small.__new__(readers._Small))
    monkeypatch.setattr(readers._Small, "evaluate", lambda self: {"validation_accuracy": 98.0})
    passed, text = readers.small_reader(small_convolutions)
    assert passed and "mean 98.0 %" in text
    assert mark("03.6", small_convolutions).status == DONE
    monkeypatch.setattr(readers, "LARGEST", 100)
    assert mark("03.6", small_convolutions).status == FAILED
