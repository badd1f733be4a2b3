"""gan-ring-packed: the non-saturating game, the discriminator seeing two samples at once.

A variant of gan-ring, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
"""

from minigen.recipes import base, gan_ring


class Experiment(gan_ring.Experiment):
    """The experiment of gan-ring with another game."""

    game = {"objective": "non-saturating", "packing": 2}


RECIPE = base.Recipe(
    name="gan-ring-packed",
    summary="for comparison with gan-ring: the non-saturating game in packs of two",
    lesson="08",
    build=Experiment,
    band={"modes": (7, 8), "high_quality": (0.88, 1.0), "reverse_kl": (0.0, 0.06)},
    quick_band={"modes": (6, 8), "reverse_kl": (0.0, 0.05)},
    anchor="gan-ring",
    source="Lin et al. 2017, arXiv:1712.04086",
    budget_seconds=180,
)
