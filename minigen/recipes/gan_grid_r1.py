"""gan-grid-r1: the non-saturating game with R1, fading as in gan-grid.

A variant of gan-grid, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_grid


class Experiment(gan_grid.Experiment):
    """The experiment of gan-grid with another game."""

    game = {"objective": "non-saturating", "r1": 0.1}


RECIPE = base.Recipe(
    name="gan-grid-r1",
    summary="for comparison with gan-grid: the non-saturating game with R1",
    lesson="08",
    build=Experiment,
    band={"modes": (22, 25), "high_quality": (0.9, 1.0), "reverse_kl": (0.0, 0.4)},
    quick_band={"modes": (16, 25), "reverse_kl": (0.0, 0.3)},
    anchor="gan-grid",
    source="Mescheder et al. 2018, arXiv:1801.04406",
    budget_seconds=180,
)
