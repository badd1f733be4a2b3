import numpy as np

from minigen import viz

PIECES = ["There", " was", " a", " girl", " called", " Mia", "."]


def drawn(**settings):
    picture, axes = viz.figure("Finding", height=2)
    lines = viz.shaded_text(axes, PIECES, np.linspace(0, 1, len(PIECES)), **settings)
    picture.draw_without_rendering()
    return lines, axes.texts


def test_all_pieces_are_there_in_order_and_none_overlaps_its_neighbour():
    lines, texts = drawn(columns=40)
    assert lines == 1
    assert [text.get_text() for text in texts] == [piece.strip() for piece in PIECES]
    boxes = [text.get_window_extent() for text in texts]
    assert all(left.x1 <= right.x0 + 1.5 for left, right in zip(boxes, boxes[1:], strict=False))


def test_lines_break_and_the_ground_is_as_dark_as_the_weight():
    lines, texts = drawn(columns=16, marked=3)
    assert lines == 2
    rows = [text.get_position()[1] for text in texts]
    assert rows == sorted(rows) and set(rows) == {0, 1}
    assert [round(text.get_bbox_patch().get_facecolor()[3], 3) for text in texts] == [
        round(weight, 3) for weight in np.linspace(0, 1, len(PIECES))]
    framed = [text.get_bbox_patch().get_edgecolor()[3] > 0 for text in texts]
    assert framed == [index == 3 for index in range(len(PIECES))]
