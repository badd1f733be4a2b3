"""gan-grid-packed: the non-saturating game, the discriminator seeing two samples at once.

A variant of gan-grid, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_grid


class Experiment(gan_grid.Experiment):
    """The experiment of gan-grid with another game."""

    game = {"objective": "non-saturating", "packing": 2}


RECIPE = base.Recipe(
    name="gan-grid-packed",
    summary="for comparison with gan-grid: the non-saturating game in packs of two",
    lesson="08",
    build=Experiment,
    band={"modes": (22, 25), "high_quality": (0.55, 0.93), "reverse_kl": (0.0, 0.4)},
    quick_band={"modes": (10, 25), "reverse_kl": (0.0, 0.1)},
    anchor="gan-grid",
    source="Lin et al. 2017, arXiv:1712.04086",
    budget_seconds=180,
)
