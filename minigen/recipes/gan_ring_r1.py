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
    band={"modes": (7, 8), "high_quality": (0.93, 1.0), "reverse_kl": (0.0, 0.1)},
    quick_band={"modes": (6, 8), "reverse_kl": (0.0, 0.1)},
    anchor="gan-ring",
    source="Mescheder et al. 2018, arXiv:1801.04406",
    budget_seconds=180,
)
