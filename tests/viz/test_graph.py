import itertools

import numpy as np
import pytest

import minigen as mg
from minigen import nn, viz
from minigen.errors import GraphError


def leaf(value):
    return mg.tensor(np.array(value, dtype=np.float64), requires_grad=True)


def texts(picture):
    return [text.get_text() for text in picture.axes[0].texts]


def boxes(picture):
    """The boxes in inches."""
    return [patch.get_bbox() for patch in picture.axes[0].patches if hasattr(patch, "get_boxstyle")]


def deep_network(layers):
    rng = np.random.default_rng(0)
    h = mg.tensor(rng.normal(size=(5, 3)))
    for _ in range(layers):
        weight = mg.tensor(rng.normal(size=(3, 3)), requires_grad=True)
        h = h + mg.tanh(h @ weight)
    return h


def test_a_drawn_neuron_shows_names_values_gradients_and_the_order_of_the_walk():
    w, b, x = leaf(2.0), leaf(-1.0), mg.tensor(np.array(1.5))
    z = w * x + b
    f = mg.tanh(z)
    picture = viz.draw_graph(f, "A finding", names={"w": w, "b": b, "x": x, "z": z, "f": f}, grads=True)
    shown = texts(picture)
    slope = 1 - np.tanh(2.0) ** 2
    for text in ("w", "b", "x", "w × x", "z = … + b", "f = tanh(z)", "2", "−1", "1.5", "3", "0.964", "1", "3",
                 f"∂ {slope:.3g}", f"∂ {1.5 * slope:.3g}", "∂ 1", f"◂ {slope:.3g}"):  # fmt: skip
        assert text in shown, text
    assert picture._suptitle.get_text() == "A finding"
    assert w.grad is None


def test_a_tensor_used_twice_has_two_edges_and_both_numbers():
    a = leaf(3.0)
    b = a + a
    shown = texts(viz.draw_graph(b + b, names={"a": a, "b": b}, grads=True))
    assert shown.count("◂ 1") == 2 and shown.count("◂ 2") == 2 and "∂ 4" in shown and "b = a + a" in shown


def test_arrays_show_their_shapes_and_the_lengths_of_their_gradients():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    loss = mg.cross_entropy(net(mg.tensor(np.ones((5, 2), np.float32))), np.array([0, 1, 0, 1, 1])).mean()
    shown = texts(viz.draw_graph(loss, names=net, grads=True))
    assert {"0.weight", "2.bias", "(8, 2)", "(5, 8)", "affine", "softmax_cross_entropy"} <= set(shown)
    (g,) = mg.grad(loss, net[0].weight)
    assert f"∂ length {np.linalg.norm(g.data):.3g}" in shown
    assert not any(text.startswith("∂") for text in texts(viz.draw_graph(loss, names=net)))


@pytest.mark.parametrize("make", [
    lambda: mg.tensor(np.array([1.0, 2.0])),
    lambda: leaf([1.0, 2.0]),
    lambda: leaf([1.0, 2.0]).detach() * 1.0,
])  # fmt: skip
def test_a_lone_tensor_is_one_box(make):
    tensor = make()
    picture = viz.draw_graph(tensor, names={"t": tensor}, grads=True)
    assert len(boxes(picture)) == 1 and {"t", "[1, 2]"} <= set(texts(picture))


@pytest.mark.parametrize("layers", [1, 3, 12])
def test_boxes_do_not_overlap_and_stay_inside(layers):
    picture = viz.draw_graph(deep_network(layers), grads=True)
    found, axes = boxes(picture), picture.axes[0]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(found, 2))
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(low < box.x0 and box.x1 < high and bottom < box.y0 and box.y1 < top for box in found)


@pytest.mark.parametrize("layers", [1, 8])
def test_texts_stay_inside_their_boxes(layers):
    picture = viz.draw_graph(deep_network(layers), grads=True)
    picture.draw_without_rendering()
    axes = picture.axes[0]
    found = boxes(picture)
    for text in axes.texts:
        if text.get_text()[0] not in "◂▴" and not (text.get_bbox_patch() and text.get_text().isdigit()):
            extent = text.get_window_extent().transformed(axes.transData.inverted())
            assert any(box.x0 <= extent.x0 and extent.x1 <= box.x1 for box in found), text.get_text()


def test_a_long_graph_runs_from_top_to_bottom_and_a_very_long_one_is_drawn_smaller():
    short, long = viz.draw_graph(deep_network(1)), viz.draw_graph(deep_network(12))
    assert short.get_size_inches()[0] > short.get_size_inches()[1]
    width, height = long.get_size_inches()
    assert width < height <= 25


def test_a_graph_that_is_too_large_is_refused_with_its_contents():
    tensor = deep_network(100)
    with pytest.raises(GraphError, match=r"300 operations .*matmul ×100, tanh ×100, add ×100.* at most 120"):
        viz.draw_graph(tensor)
    assert viz.draw_graph(deep_network(50), most=150)


def test_names_of_another_kind_are_refused():
    with pytest.raises(GraphError, match="names is list"):
        viz.draw_graph(leaf(1.0), names=["a"])


def test_it_is_saved_and_shows_itself(tmp_path):
    picture = viz.draw_graph(leaf(1.0) * 2.0, "Twice", tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes()[:4] == picture._repr_png_()[:4] == b"\x89PNG"
