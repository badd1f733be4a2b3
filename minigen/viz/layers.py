"""Where the nodes of a graph go: columns by the longest path, heights near those of their neighbours.

Three steps, after Sugiyama, Tagawa and Toda 1981 (Methods for visual understanding of hierarchical system structures):

1. A node's layer is one more than the largest of its parents' layers; what has no parents stands one layer before the
   first thing that uses it.
2. An edge across several layers gets a waypoint in each layer between, so that it finds a way around the boxes.
3. Sweep over the layers to and fro, and move everything to the mean height of its neighbours in the layer before (or
   after), as far as the least distance allows. Order and height come out together.
"""

from collections import defaultdict

import numpy as np

from minigen.viz.lines import spread

SWEEPS = 8


def layers(parents):
    """The layer of each node, from 0.

    parents:  for each node the list of its parents' positions, which come before its own
    """
    layer = []
    for above in parents:
        layer.append(1 + max((layer[p] for p in above), default=-1))
    nearest = {}
    for child, above in enumerate(parents):
        for p in above:
            nearest[p] = min(nearest.get(p, layer[child]), layer[child])
    return [nearest.get(n, 1) - 1 if not above else layer[n] for n, above in enumerate(parents)]


def places(parents, least=1.0):
    """A place for every node and a path for every edge.

    parents:  as for `layers`; a parent that is named twice has two edges
    least:    the least distance of two heights in one layer
    Returns:  layer (n,) whole numbers, height (n,), and for each node a list with one path per parent: the points
              (layer, height) from parent to child.
    """
    layer = layers(parents)
    column = defaultdict(list)  # layer → the positions of what stands in it: nodes, then waypoints
    for n, at in enumerate(layer):
        column[at].append(n)
    chains, steps = [], []  # the way of each edge as positions; all pairs of positions one layer apart
    total = len(parents)
    for child, above in enumerate(parents):
        chains.append([])
        for p in above:
            between = range(layer[p] + 1, layer[child])
            way = [p, *range(total, total + len(between)), child]
            for at, waypoint in zip(between, way[1:-1], strict=True):
                column[at].append(waypoint)
            total += len(between)
            chains[-1].append(way)
            steps += zip(way, way[1:], strict=False)
    level = np.zeros(total, dtype=int)
    for at, members in column.items():
        level[members] = at
    height = _heights(column, steps, total, least)
    paths = [[[(int(level[n]), float(height[n])) for n in way] for way in ways] for ways in chains]
    return layer, height[: len(parents)], paths


def _heights(column, steps, total, least):
    before, after = defaultdict(list), defaultdict(list)
    for left, right in steps:
        before[right].append(left)
        after[left].append(right)
    height = np.zeros(total)
    for members in column.values():
        height[members] = -least * (np.arange(len(members)) - (len(members) - 1) / 2)  # the first on top
    order = sorted(column)
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for at in order if sweep % 2 == 0 else order[::-1]:
            wanted = np.array([np.mean(height[neighbours[n]]) if neighbours[n] else height[n] for n in column[at]])
            # Equal wishes are granted in the order of the moment: spread sorts from below, and is stable.
            now = np.argsort(height[column[at]], kind="stable")
            members = np.array(column[at])[now]
            height[members] = spread(wanted[now], least)
    return height - height.mean()
