"""diffusion-gan-grid: the grid of twenty-five Gaussians in four steps, each of them a GAN.

The plain game (non-saturating, nothing added) loses modes of this grid: gan-grid-vanilla finds 19. Cut into four steps,
each x_t leaves the generator few modes to choose from. The steps lead from noise to ς = σ/α of 1.5, 0.5 and 0.15 and
then to 0, the data divided by 3: so the modes are 0.67 apart and 0.017 wide. At ς = 0.15 a point belongs to one mode
nearly always, at 0.5 to one of a few.

Networks of gan-grid's size, told the time and x_t, and its rates, its game and fading penalties: see `gan_ring`.

Protocol: as gan-ring, 2,500 samples, 4 calls of the generator each.

Bands: the goals, 24 modes and 90 %, up to the 98.9 % of the true law. Seeds 0, 1, 2 had all 25 modes, 91.4, 95.3 and
93.7 %, reverse KL 0.009, 0.005 and 0.008 (of 2,500 true points it is 0.005 on average); quick, seeds 0 and 1: 20 and 18
modes, 0.016 and 0.021. With 8,000 steps and an average over 100 steps, not 333, it was 94.1, 92.2 and 89.9 %.
"""

import numpy as np

from minigen.data import toy2d
from minigen.models import samplers
from minigen.models.diffusion_gan import DiffusionGAN, PointForger, PointJudge
from minigen.models.schedules import Cosine
from minigen.optim import EMA, Adam
from minigen.recipes import base, planar
from minigen.train import Counter


class Experiment(planar.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    truth, scale = toy2d.grid(), 1 / 3
    schedule, ratios = Cosine(), (0.15, 0.5, 1.5)  # ς between the steps
    game = {"objective": "relativistic", "r1": 0.1, "r2": 0.1}
    fading = 1e-5  # what is left of the penalties when four fifths of the training are over
    batch_size = 256
    full_steps, quick_steps = 10_000, 600
    rate, betas = 1e-3, (0.0, 0.99)
    last_rate = 0.02  # the share of the rate that is left at the end; it falls from the half on
    averaging, quick_averaging = 0.997, 0.99
    latent, width, depth = 2, 128, 3
    checkpoint_every, threads = 2_000, 1

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        times = np.concatenate([[0.0], self.schedule.time_of(-2 * np.log(self.ratios)), [self.schedule.end]])
        self.model = DiffusionGAN(PointForger(2, self.latent, width=self.width, depth=self.depth, rng=self.rng),
                                  PointJudge(2, width=self.width, depth=self.depth, rng=self.rng),
                                  self.schedule, times, latent=self.latent, **self.game)
        self.forger, self.critic = (Adam(part.parameters(), lr=self.rate, betas=self.betas)
                                    for part in (self.model.generator, self.model.discriminator))
        self.ema = EMA(self.model.generator, self.quick_averaging if quick else self.averaging)
        self.taken = Counter()
        self.state = {"model": self.model, "generator": self.forger, "discriminator": self.critic, "ema": self.ema,
                      "steps": self.taken, "rng": self.rng}

    def step(self):
        """The discriminator's step, then the generator's."""
        share = self.taken.advance() / self.steps
        for optimizer in (self.forger, self.critic):
            optimizer.param_groups[0]["lr"] = self.rate * min(1.0, max(self.last_rate, 2 * (1 - share)))
        for name in ("r1", "r2"):
            setattr(self.model, name, self.game.get(name, 0.0) * self.fading ** min(1.0, share / 0.8))
        told = base.descend(self.model.discriminator_loss(self.points(), rng=self.rng).mean(), self.critic)
        forged = base.descend(self.model.generator_loss(self.points(), rng=self.rng).mean(), self.forger)
        self.ema.update()
        return {"discriminator": told, "generator": forged}

    def evaluate(self):
        """Modes captured, share of high quality, reverse KL over the modes in nats: of 2,500 samples."""
        return self.counted(self.sample)

    def sample(self, n, rng):
        """n points, (n, 2), of the averaged generator, in four steps."""
        with self.ema.averaged():
            return self.model.sample(samplers.starting_noise(self.schedule, (n, 2), rng=rng), rng=rng) / self.scale


RECIPE = base.Recipe(
    name="diffusion-gan-grid",
    summary="the grid in four steps of a diffusion, each of them a GAN",
    lesson="13",
    build=Experiment,
    band={"modes": (24, 25), "high_quality": (0.90, 0.99), "reverse_kl": (0.0, 0.05)},
    quick_band={"modes": (15, 25), "reverse_kl": (0.0, 0.15)},
    anchor="gan-grid: 25 modes, 96 %, reverse KL 0.02; diffusion-grid: 25 modes in 79 calls",
    source="Xiao, Kreis & Vahdat 2021, arXiv:2112.07804",
    budget_seconds=900,  # beside other programs; alone on one core it takes about 80
)
