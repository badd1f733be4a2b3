"""gan-grid-unrolled: the non-saturating game, the generator looking three steps of the discriminator ahead, (8.18).

A variant of gan-grid, to be compared with it: networks, optimisers, rates, batches, steps and protocol are the same.
The steps that are looked ahead are of plain gradient descent with η = 0.003; the discriminator itself goes on with
Adam. η decides: with 0.02 the generator, after 1,200 steps, had 4 of the 25 modes where without looking ahead it had
22, and with 0.003 it had 24. A step of the whole game takes about five times as long as without looking ahead.
"""

from minigen.recipes import base, gan_grid, gan_ring


class Experiment(gan_grid.Experiment):
    """The experiment of gan-grid with another game."""

    game = {"objective": "non-saturating"}
    ahead, ahead_rate = 3, 0.003  # k and η of (8.18)

    def step(self):
        """The discriminator's step, then the generator's, which looks ahead."""
        share = self.taken.advance() / self.steps
        for optimizer in (self.forger, self.critic):
            optimizer.param_groups[0]["lr"] = self.rate * min(1.0, max(self.last_rate, 2 * (1 - share)))
        told = gan_ring.descend(self.critic, self.model.discriminator_loss(self.points(), rng=self.rng))
        seen = self.model.unrolled_generator_loss(self.points(), steps=self.ahead, rate=self.ahead_rate, rng=self.rng)
        forged = gan_ring.descend(self.forger, seen)
        self.ema.update()
        return {"discriminator": told, "generator": forged}


RECIPE = base.Recipe(
    name="gan-grid-unrolled",
    summary="for comparison with gan-grid: the first GAN, the generator looking three steps ahead",
    lesson="08",
    build=Experiment,
    band={"modes": (12, 25), "high_quality": (0.5, 1.0), "reverse_kl": (0.0, 1.2)},
    quick_band={"modes": (8, 25), "reverse_kl": (0.0, 0.8)},
    anchor="gan-grid",
    source="Metz et al. 2016, arXiv:1611.02163",
    budget_seconds=600,
)
