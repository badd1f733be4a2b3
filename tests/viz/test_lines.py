import itertools

import numpy as np
import pytest
from matplotlib.text import Text

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


def test_names_of_points_cover_no_point_no_line_and_no_other_name():
    rng = np.random.default_rng(0)
    picture, axes = viz.figure("Finding", width=8)
    points = [(0.3, 0.5), (0.3, 0.5), (0.31, 0.52), *rng.random((9, 2))]
    axes.set(xlim=(0, 1.3), ylim=(-0.1, 1.1))
    axes.plot([0, 1.3], [0.7, 0.7])
    axes.text(0.5, 0.9, "was here before")
    names = [f"point {index}" for index in range(len(points))]
    texts = viz.label_points(axes, points, names)
    assert [text.get_text() for text in texts] == names
    picture.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the lines to those farther away
    assert len(boxes) == 13 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for point in points:
        assert not any(box.contains(*axes.transData.transform(point)) for box in boxes)
    level = axes.transData.transform((0, 0.7))[1]
    assert not any(box.y0 < level < box.y1 for box in boxes)


def test_a_name_stays_inside_of_the_axes():
    picture, axes = viz.figure("Finding")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    (text,) = viz.label_points(axes, [(0.98, 0.5)], ["a name at the edge"])
    picture.draw_without_rendering()
    assert text.get_window_extent().x1 < axes.get_window_extent().x1


def test_where_there_is_no_place_the_name_stands_at_the_right():
    _, axes = viz.figure("", width=2)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    (text,) = viz.label_points(axes, [(0.5, 0.5)], ["a name that is wider than the whole of this picture"])
    assert text.xyann == viz.lines.AROUND[0]
