import itertools

import numpy as np
import pytest

from minigen.viz.layers import layers, places

DIAMOND = [[], [0], [0], [1, 2]]
SKIP = [[], [0], [1], [2, 0]]
TWICE = [[], [0, 0], [1, 1]]


def random_graph(seed, nodes=30):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, n, size=rng.integers(0, 3)).tolist() if n else [] for n in range(nodes)]


def crossings(paths):
    """How many pairs of steps between the same two layers cross."""
    steps = {tuple(pair) for ways in paths for path in ways for pair in itertools.pairwise(path)}
    return sum((a[0][0] == b[0][0]) and (a[0][1] - b[0][1]) * (a[1][1] - b[1][1]) < 0
               for a, b in itertools.combinations(steps, 2))


def test_a_layer_is_the_longest_path_and_leaves_stand_before_their_first_use():
    assert layers(DIAMOND) == [0, 1, 1, 2]
    assert layers([[], [0], [1], [], [2, 3]]) == [0, 1, 2, 2, 3]  # the leaf 3 is needed late
    assert layers([[]]) == [0]


@pytest.mark.parametrize("parents", [DIAMOND, SKIP, TWICE, [[]], *map(random_graph, range(5))])
def test_edges_go_forward_one_layer_at_a_time_from_parent_to_child(parents):
    layer, height, paths = places(parents)
    for child, (above, ways) in enumerate(zip(parents, paths, strict=True)):
        assert len(ways) == len(above)
        for parent, path in zip(above, ways, strict=True):
            assert path[0] == (layer[parent], height[parent]) and path[-1] == (layer[child], height[child])
            assert [at for at, _ in path] == list(range(layer[parent], layer[child] + 1))


@pytest.mark.parametrize("parents", [DIAMOND, SKIP, TWICE, *map(random_graph, range(5))])
def test_nothing_in_a_layer_comes_closer_than_the_least_distance(parents):
    _, _, paths = places(parents, least=1.5)
    points = {point for ways in paths for path in ways for point in path}
    for (at, y), (other, z) in itertools.combinations(points, 2):
        assert at != other or abs(y - z) >= 1.5 - 1e-9


def test_a_chain_is_straight_and_a_long_edge_goes_around_what_it_skips():
    _, height, paths = places([[], [0], [1], [2]])
    assert np.ptp(height) == 0
    _, height, paths = places(SKIP)
    (_, around) = paths[3]
    assert [y for _, y in around[1:-1]] != [height[1], height[2]]


def test_a_tree_is_drawn_without_crossings():
    tree = [[], [], [], [], [0, 2], [1, 3], [4, 5]]
    assert crossings(places(tree)[2]) == 0
