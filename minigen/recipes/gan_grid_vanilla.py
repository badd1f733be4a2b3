"""gan-grid-vanilla: the non-saturating game without any help.

A variant of gan-grid, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_grid


class Experiment(gan_grid.Experiment):
    """The experiment of gan-grid with another game."""

    game = {"objective": "non-saturating"}


RECIPE = base.Recipe(
    name="gan-grid-vanilla",
    summary="for comparison with gan-grid: the first GAN: non-saturating, nothing added",
    lesson="08",
    build=Experiment,
    band={"modes": (12, 24), "high_quality": (0.85, 1.0), "reverse_kl": (0.1, 1.2)},
    quick_band={"modes": (16, 25), "reverse_kl": (0.0, 0.3)},
    anchor="gan-grid",
    source="Goodfellow et al. 2014, arXiv:1406.2661",
    budget_seconds=180,
)
