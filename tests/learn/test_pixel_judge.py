"""The judge of exercise 06.7: what it trains and measures, and what it refuses (the refusals: wrong_answers)."""

import numpy as np
import pytest

from minigen import likelihoods
from minigen.data import digits
from minigen.learn import pixel_judge
from minigen.models.made import MADE
from minigen.models.pixelcnn import PixelCNN


def small(classes=0):
    return PixelCNN(likelihoods.DiscretizedLogisticMixture(17, 3), (8, 8), high=16, width=8, layers=1, classes=classes,
                    rng=np.random.default_rng(0))  # fmt: skip


def test_training_makes_digits_more_probable_and_leaves_the_model_in_eval_mode():
    model, (images, _) = small(), digits.splits().validation
    before = pixel_judge.nats(model, images).mean()
    trained = pixel_judge.train_pixels(model, rng=np.random.default_rng(1), steps=20)
    assert trained is model and not model.training
    assert pixel_judge.nats(model, images).mean() < before - 10


def test_a_model_with_classes_is_trained_on_pairs():
    images, labels = digits.splits().train
    model = pixel_judge.train_pixels(small(10), rng=np.random.default_rng(1), steps=3, images=(images, labels))
    assert pixel_judge.nats(model, images[:5], labels[:5]).shape == (5,)


@pytest.mark.slow
def test_the_hinted_model_passes_and_a_made_of_one_order_does_not():
    mixture = likelihoods.DiscretizedLogisticMixture(17, 5)
    passed, text = pixel_judge.better_pixels(lambda rng: PixelCNN(mixture, (8, 8), high=16, width=24, layers=4,
                                                                  dropout=0.1, orders=8, rng=rng))  # fmt: skip
    assert passed, text
    passed, text = pixel_judge.better_pixels(lambda rng: MADE(mixture, 64, high=16, hidden=(200,), rng=rng))
    assert not passed, text
