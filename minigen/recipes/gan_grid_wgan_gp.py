"""gan-grid-wgan-gp: the Wasserstein game with gradient penalty, two steps of the critic for each of the generator.

A variant of gan-grid, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_grid


class Experiment(gan_grid.Experiment):
    """The experiment of gan-grid with another game."""

    game = {"objective": "wasserstein", "gp": 0.1}
    critic_steps = 2


RECIPE = base.Recipe(
    name="gan-grid-wgan-gp",
    summary="for comparison with gan-grid: the Wasserstein game with gradient penalty",
    lesson="08",
    build=Experiment,
    band={"modes": (24, 25), "high_quality": (0.88, 1.0), "reverse_kl": (0.0, 0.03)},
    quick_band={"modes": (16, 25), "reverse_kl": (0.0, 0.15)},
    anchor="gan-grid",
    source="Gulrajani et al. 2017, arXiv:1704.00028",
    budget_seconds=180,
)
