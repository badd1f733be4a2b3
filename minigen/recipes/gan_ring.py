"""gan-ring: a GAN on the ring of eight Gaussians that finds every mode and stays on it.

A GAN as it is first written (Adam with β₁ = 0.9) forgets modes of this ring, or jumps from one to the next. What it
takes here, found by trying:

- no momentum, β₁ = 0: the first need. With it, a falling rate and enough steps, the game with nothing else added finds
  all eight modes (`gan-ring-vanilla`); on the grid it does not (the table is in `gan_grid`);
- the *relativistic* game (8.10): a forged sample is compared with a real one, so a mode that is missing pulls;
- both penalties, R1 and R2 (8.12), which keep the discriminator flat where the samples are, so that the game does not
  circle. A discriminator that is to be flat cannot see a width of 0.01. So the penalties fade, to a hundred-thousandth
  at four fifths of the training: first all modes are found, then they are sharpened;
- a generator with ReLU, whose kinks let it tear the plane of z into eight pieces (leaky ReLU: 86 % of the samples
  within 3σ where ReLU has 97 %);
- a rate that falls to 2 % over the second half, and an average of the generator's weights over some hundred steps.

The variants `gan-ring-vanilla`, `-packed`, `-r1` and `-wgan-gp` change the game and nothing else: the same networks,
optimisers, rates, batches and number of steps.

Protocol (VEEGAN): 2,500 samples; high quality is within 3σ of the nearest mode; a mode counts with one such sample; the
reverse KL over modes beside it. Training points are drawn afresh from the true density for every step.
"""

import numpy as np

from minigen.data import toy2d
from minigen.models.gan import GAN
from minigen.models.gan_networks import mlp
from minigen.optim import EMA, Adam
from minigen.recipes import base, planar
from minigen.train import Counter


class Experiment(planar.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    truth, scale = toy2d.ring(), 1.0  # scale: what points are multiplied with for the networks
    game = {"objective": "relativistic", "r1": 0.1, "r2": 0.1}
    fading = 1e-5  # what is left of the penalties r1 and r2 when four fifths of the training are over
    critic_steps = 1
    batch_size = 256
    full_steps, quick_steps = 8_000, 600
    rate, betas = 1e-3, (0.0, 0.99)
    last_rate = 0.02  # the share of the rate that is left at the end; it falls from the half on
    averaging = 0.99  # of the generator's weights, (O.11); 0 takes them as they are
    latent, width, depth = 2, 128, 3
    checkpoint_every = 2_000
    threads = 1  # the networks are so small that a second thread costs more than it brings

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        packing = self.game.get("packing", 1)
        self.model = GAN(mlp(self.latent, 2, width=self.width, depth=self.depth, rng=self.rng),
                         mlp(2 * packing, 1, width=self.width, depth=self.depth, rng=self.rng),
                         latent=self.latent, **self.game)
        self.forger, self.critic = (Adam(part.parameters(), lr=self.rate, betas=self.betas)
                                    for part in (self.model.generator, self.model.discriminator))
        self.ema = EMA(self.model.generator, self.averaging)
        self.taken = Counter()
        self.state = {"model": self.model, "generator": self.forger, "discriminator": self.critic, "ema": self.ema,
                      "steps": self.taken, "rng": self.rng}

    def step(self):
        """The discriminator's step or steps, then the generator's."""
        share = self.taken.advance() / self.steps
        for optimizer in (self.forger, self.critic):
            optimizer.param_groups[0]["lr"] = self.rate * min(1.0, max(self.last_rate, 2 * (1 - share)))
        for name in ("r1", "r2"):
            setattr(self.model, name, self.game.get(name, 0.0) * self.fading ** min(1.0, share / 0.8))
        for _ in range(self.critic_steps):
            told = descend(self.critic, self.model.discriminator_loss(self.points(), rng=self.rng))
        forged = descend(self.forger, self.model.generator_loss(self.points(), rng=self.rng))
        self.ema.update()
        return {"discriminator": told, "generator": forged}

    def evaluate(self):
        """Modes captured, share of high quality, reverse KL over the modes in nats: of 2,500 samples."""
        return self.counted(self.sample)

    def sample(self, n, rng):
        """n points, (n, 2), of the averaged generator."""
        with self.ema.averaged():
            return self.model.sample(n, rng=rng) / self.scale


def descend(optimizer, losses):
    """One step on the mean of some losses; returns the mean."""
    return base.descend(losses.mean(), optimizer)


RECIPE = base.Recipe(
    name="gan-ring",
    summary="a GAN that finds all eight modes of the ring: relativistic game, fading penalties",
    lesson="08",
    build=Experiment,
    band={"modes": (8, 8), "high_quality": (0.95, 1.0), "reverse_kl": (0.0, 0.04)},
    quick_band={"modes": (6, 8), "high_quality": (0.2, 1.0), "reverse_kl": (0.0, 0.1)},
    anchor="VEEGAN's table: GAN 1 mode, 99 %; VEEGAN 8, 53 %; PacGAN2 7.9, 96 %",
    source="Huang et al. 2024, arXiv:2501.05441; Srivastava et al. 2017, arXiv:1705.07761 (the ring)",
    budget_seconds=180,
)
