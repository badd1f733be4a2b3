import itertools

import numpy as np
import pytest

from minigen import viz


def test_curves_are_labelled_at_their_ends_and_labels_do_not_overlap():
    x = np.arange(10)
    picture = viz.curves({"one": x, "two": x + 0.01, "three": (x, x * 0.5)}, "Finding", xlabel="step", ylabel="nats")
    picture.draw_without_rendering()
    (axes,) = picture.axes
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert [text.get_text() for text in axes.texts] == ["one", "two", "three"]
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))
    assert axes.get_xlabel() == "step" and axes.get_ylabel() == "nats"


@pytest.mark.parametrize("heights", [[0.5, 0.5, 0.5], [0.1, 0.9], [0.9, 0.1, 0.12, 0.11], [0.3]])
def test_spreading_keeps_the_order_and_the_distance_and_moves_little(heights):
    moved = viz.spread(np.array(heights), 0.1)
    order = np.argsort(heights, kind="stable")
    assert np.all(np.diff(moved[order]) >= 0.1 - 1e-12)
    assert abs(moved.mean() - np.mean(heights)) < 0.05 * len(heights)
    far = viz.spread(np.array([0.0, 1.0]), 0.1)
    assert far.tolist() == [0.0, 1.0]


def test_labels_stand_at_their_lines_ends_though_no_limits_were_set():
    picture, axes = viz.figure("Finding")
    axes.plot([0, 1], [0, 1000.0], label="up")
    axes.plot([0, 1], [0, 200.0], label="low")
    up, low = (label.xyann[1] for label in viz.label_lines(axes))
    bottom, top = axes.get_ylim()
    assert abs(up - (1000 - bottom) / (top - bottom)) < 1e-6 and abs(low - (200 - bottom) / (top - bottom)) < 1e-6
