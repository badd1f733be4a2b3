"""The picture games: what the networks see, rates and lazy penalties, whose gradient is taken, what the figures say."""

import numpy as np
import pytest

from minigen.data import digits
from minigen.recipes import dcgan_glyphs, gan_digits


@pytest.fixture(scope="module")
def experiment():
    return gan_digits.Experiment(0, True, steps=8)


def test_pictures_go_to_the_networks_and_back(experiment):
    images, labels = experiment.real_batch()
    assert images.shape == (64, 1, 8, 8) and images.dtype == np.float32 and labels.shape == (64,)
    assert images.min() == -1 and images.max() == 1
    levels = experiment.ink(images)
    known = {picture.tobytes() for picture in experiment.train.images}
    assert all(np.rint(picture).astype(np.int64).tobytes() in known for picture in levels)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-5)
    assert experiment.ink(np.array([[[[-1.5, 2.0]]]])).tolist() == [[[0, 16]]]


def test_the_rate_falls_and_lazy_penalties_come_every_fourth_step_four_times_as_strong():
    experiment = dcgan_glyphs.Experiment(0, True, steps=8)
    model, group, seen = experiment.model, experiment.forger.param_groups[0], []
    for _ in range(9):
        experiment.schedule(experiment.forger, experiment.critic)
        seen.append((group["lr"] / experiment.rate, model.r1, model.r2))
    full = 4 * experiment.game["r1"]
    assert [r1 for _, r1, _ in seen] == [r2 for *_, r2 in seen] == [full, 0, 0, 0, full, 0, 0, 0, full]
    np.testing.assert_allclose([rate for rate, *_ in seen], [1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0.02])
    assert experiment.critic.param_groups[0]["lr"] == group["lr"]


def test_the_generators_step_takes_no_gradient_in_the_discriminator(experiment):
    model = experiment.model
    for weight in model.parameters():
        weight.grad = None
    images, labels = experiment.real_batch()
    loss = model.generator_loss(images, labels, rng=np.random.default_rng(1)).mean()
    gan_digits.put_gradient(loss, model.generator)
    found = [weight.grad.data.copy() for weight in model.generator.parameters()]
    assert all(weight.grad is None for weight in model.discriminator.parameters())
    loss.backward()  # adds the same once more
    for weight, slope in zip(model.generator.parameters(), found, strict=True):
        np.testing.assert_allclose(weight.grad.data, 2 * slope, rtol=1e-4, atol=1e-7)
    assert any(weight.grad is not None for weight in model.discriminator.parameters())


def test_a_perfect_generator_is_read_as_asked_and_one_that_draws_other_digits_is_not(monkeypatch):
    experiment = gan_digits.Experiment(1, True)
    test = digits.splits().test

    def draw(shift):
        def drawn(labels, rng):
            return np.stack([test.images[rng.choice(np.flatnonzero(test.labels == (label + shift) % 10))]
                             for label in labels]).reshape(-1, 8, 8)  # fmt: skip
        return drawn

    monkeypatch.setattr(experiment, "draw_asked", draw(0))
    right = experiment.evaluate()
    assert right["read_as_asked"] == pytest.approx(right["real_as_asked"], abs=0.02) and right["real_as_asked"] > 0.98
    assert right["frechet"] == pytest.approx(right["frechet_real"], rel=0.3)
    assert right["precision"] == pytest.approx(right["precision_real"], abs=0.1)
    monkeypatch.setattr(experiment, "draw_asked", draw(1))
    assert experiment.evaluate()["read_as_asked"] < 0.05


def test_samples_are_each_class_in_turn():
    experiment = gan_digits.Experiment(2, True)
    one = experiment.sample(12, np.random.default_rng(5))
    assert one.shape == (12, 8, 8) and one.min() >= 0 and one.max() <= 16
    np.testing.assert_array_equal(one, experiment.draw_asked([*range(10), 0, 1], np.random.default_rng(5)))
