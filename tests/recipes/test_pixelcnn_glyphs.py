"""The letters' recipe: its data are those of vae-glyphs, its reader and its Bayes say what they should."""

import numpy as np
import pytest

from minigen.autograd import no_grad
from minigen.recipes import pixelcnn_glyphs, vae_glyphs


@pytest.fixture(scope="module")
def experiment():
    return pixelcnn_glyphs.Experiment(0, True, steps=5)


def test_the_letters_are_those_of_vae_glyphs(experiment):
    other = vae_glyphs.Experiment(0, True, steps=5)
    for part in ("train", "test"):
        np.testing.assert_array_equal(getattr(experiment, part)[0], getattr(other, part)[:, 0])


def test_no_picture_is_in_two_parts(experiment):
    parts = [{image.tobytes() for image in part[0]} for part in (experiment.train, experiment.validation,
                                                                 experiment.test)]  # fmt: skip
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


def test_the_reader_finds_the_nearest_training_letter(experiment):
    images, labels = experiment.train
    assert np.array_equal(experiment.read(images[:50]), labels[:50])
    some = experiment.test[0][:20]
    distance = ((some[:, None].astype(float) - images) ** 2).sum(axis=(2, 3))  # (20, B)
    np.testing.assert_array_equal(experiment.read(some), labels[distance.argmin(axis=1)])


def test_the_posterior_is_bayes_rule_and_letters_change_the_likelihood(experiment):
    images = experiment.test[0][:3]
    posterior = experiment.posterior(images)
    assert posterior.shape == (3, 26)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    a, b = (experiment.log_prob(images, np.full(3, c)).astype(float) for c in (0, 1))
    np.testing.assert_allclose(np.log(posterior[:, 0] / posterior[:, 1]), a - b, atol=1e-3)
    assert np.abs(a - b).min() > 0


def test_samples_are_letters_in_turn_and_repeat_with_their_generator(experiment):
    first, second = (experiment.sample(2, np.random.default_rng(1)) for _ in range(2))
    assert first.shape == (2, 28, 28) and first.min() >= 0 and first.max() <= 16
    np.testing.assert_array_equal(first, second)
    with no_grad():
        assert experiment.validate() == pytest.approx(-experiment.log_prob(*experiment.validation).mean())


def test_drawn_as_asked_is_of_every_letter_as_often(experiment, monkeypatch):
    """Instead of the model, an artist who copies a training letter, but an A in place of every B."""
    images, labels = experiment.train
    of = {letter: images[labels == letter][0] for letter in range(26)}
    calls = []

    def draw_letters(asked, rng):
        calls.append(np.array(asked))
        return np.stack([of[0 if letter == 1 else letter] for letter in asked])

    monkeypatch.setattr(experiment, "draw_letters", draw_letters)
    found = experiment.evaluate()
    (asked,) = calls
    np.testing.assert_array_equal(np.bincount(asked, minlength=26), experiment.drawn)
    assert found["drawn_as_asked"] == pytest.approx(25 / 26) and found["real_as_asked"] > 0.9
