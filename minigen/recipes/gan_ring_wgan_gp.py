"""gan-ring-wgan-gp: the Wasserstein game with gradient penalty, two steps of the critic for each of the generator.

A variant of gan-ring, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_ring


class Experiment(gan_ring.Experiment):
    """The experiment of gan-ring with another game."""

    game = {"objective": "wasserstein", "gp": 0.1}
    critic_steps = 2


RECIPE = base.Recipe(
    name="gan-ring-wgan-gp",
    summary="for comparison with gan-ring: the Wasserstein game with gradient penalty",
    lesson="08",
    build=Experiment,
    band={"modes": (7, 8), "high_quality": (0.93, 1.0), "reverse_kl": (0.0, 0.03)},
    quick_band={"modes": (6, 8), "reverse_kl": (0.0, 0.05)},
    anchor="gan-ring",
    source="Gulrajani et al. 2017, arXiv:1704.00028",
    budget_seconds=180,
)
