"""gan-ring-vanilla: the non-saturating game without any help.

A variant of gan-ring, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_ring


class Experiment(gan_ring.Experiment):
    """The experiment of gan-ring with another game."""

    game = {"objective": "non-saturating"}


RECIPE = base.Recipe(
    name="gan-ring-vanilla",
    summary="for comparison with gan-ring: the first GAN: non-saturating, nothing added",
    lesson="08",
    build=Experiment,
    band={"modes": (6, 8), "high_quality": (0.9, 1.0), "reverse_kl": (0.0, 0.15)},
    quick_band={"modes": (6, 8), "reverse_kl": (0.0, 0.3)},
    anchor="gan-ring",
    source="Goodfellow et al. 2014, arXiv:1406.2661",
    budget_seconds=180,
)
