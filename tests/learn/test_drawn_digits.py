"""Lesson 11's digits."""

import numpy as np

from minigen.learn import drawn_digits


def test_a_few_steps_lower_the_loss_and_pictures_are_ink():
    digits = drawn_digits.Digits(steps=12)
    told = [report.metrics["loss"] for report in digits.fit(progress=False)]
    assert np.mean(told[-3:]) < np.mean(told[:3])
    pictures = digits.draw([3, 7], rule="ancestral", calls=3, guidance=2.0)
    assert pictures.shape == (2, 1, 8, 8) and pictures.min() >= 0 and pictures.max() <= 16


def test_ink_goes_both_ways():
    ink = np.arange(17.0)
    assert np.allclose(drawn_digits.inked(drawn_digits.signed(ink)), ink)


def test_real_digits_are_read_as_what_they_are():
    judge, digits = drawn_digits.Judge(), drawn_digits.Digits(steps=1)
    share, distance = judge.figures(drawn_digits.inked(digits.images), digits.labels)
    assert share > 0.98 and distance < judge.floor()
