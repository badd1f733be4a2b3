import numpy as np
import pytest

from minigen import viz
from minigen.data import digits
from minigen.recipes import classifier_digits


def rows(images):
    return {image.tobytes() for image in images}


def test_the_recipe_never_trains_on_what_it_is_judged_by():
    final = classifier_digits.Experiment(0, True, steps=5)
    development = classifier_digits.Development(0, True, steps=5)
    images, labels = digits.load(flat=False)
    for experiment, train, held_out in ((final, slice(0, 1350), slice(1350, 1797)),
                                        (development, slice(0, 1000), slice(1000, 1350))):
        for part, place in ((experiment.train, train), (experiment.held_out, held_out)):
            np.testing.assert_array_equal(part.images, images[place])
            np.testing.assert_array_equal(part.labels, labels[place])
        assert not rows(experiment.train.images) & rows(experiment.held_out.images)
        assert len(experiment.batches.arrays[0]) == len(experiment.train.images)


def test_the_figures_are_those_of_the_predictions():
    experiment = classifier_digits.Experiment(0, True, steps=5)
    _, labels, predicted = experiment.predictions()
    figures = experiment.evaluate()
    assert figures["test_accuracy"] == pytest.approx(100 * np.mean(labels == predicted))
    assert set(classifier_digits.Development(0, True, steps=5).evaluate()) == {
        "validation_accuracy", "validation_accuracy_error", "validation_nats"
    }


def test_every_digit_gets_its_label_and_every_mistake_a_frame():
    _, axes = viz.figure("")
    images = digits.load(flat=False).images[:4]
    classifier_digits.draw_labelled(axes, images, np.array([1, 2, 3, 4]), np.array([1, 7, 3, 0]), 2)
    assert [text.get_text() for text in axes.texts] == ["1", "7 (2)", "3", "0 (4)"]
    assert len(axes.get_lines()) == 2


def test_the_confusion_picture_shows_every_count_that_is_not_zero():
    _, axes = viz.figure("")
    classifier_digits.draw_confusion(axes, np.array([[3, 0, 1], [0, 5, 0], [0, 2, 4]]))
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3", "4", "5"]
    assert axes.get_xlabel() == "read as" and axes.get_ylabel() == "meant as"


def test_a_run_without_mistakes_still_has_its_pictures(tmp_path, monkeypatch):
    experiment = classifier_digits.Experiment(0, True, steps=5)
    monkeypatch.setattr(experiment, "predictions", lambda: (*experiment.held_out, experiment.held_out.labels))
    assert experiment.mistakes_picture(tmp_path / "mistakes.png").is_file()
    assert experiment.confusion_picture(tmp_path / "confusion.png").is_file()
