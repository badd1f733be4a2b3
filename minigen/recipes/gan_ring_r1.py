"""gan-ring-r1: the non-saturating game with R1, fading as in gan-ring.

A variant of gan-ring, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_ring


class Experiment(gan_ring.Experiment):
    """The experiment of gan-ring with another game."""

    game = {"objective": "non-saturating", "r1": 0.1}


RECIPE = base.Recipe(
    name="gan-ring-r1",
    summary="for comparison with gan-ring: the non-saturating game with R1",
    lesson="08",
    build=Experiment,
    band={"modes": (1, 8)},
    quick_band={"modes": (0, 8)},
    anchor="gan-ring",
    source="Mescheder et al. 2018, arXiv:1801.04406",
    budget_seconds=180,
)
