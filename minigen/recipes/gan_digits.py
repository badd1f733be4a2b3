"""gan-digits: a GAN that draws the digit it is asked for, 8×8 pixels.

Generator and discriminator are small convolutional networks (DCGAN, `models/gan_networks.py`) that are told the class:
the generator gets an embedding of it beside its noise, the discriminator one vector a class, (8.17). The game is that
of `gan-ring`: relativistic (8.10), with R1 and R2 (8.12), Adam without momentum, a rate that falls, an average of the
generator's weights.
"""

from pathlib import Path

import numpy as np

from minigen.data import digits
from minigen.data.batches import Batches
from minigen.metrics import features
from minigen.metrics.classification import accuracy
from minigen.models.gan import GAN
from minigen.models.gan_networks import Conditional, Projection, dcgan_features, dcgan_generator
from minigen.optim import EMA, Adam
from minigen.recipes import base, judging
from minigen.train import Counter

HIGH = digits.LEVELS - 1


class Experiment(base.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    game = {"objective": "relativistic", "r1": 1.0, "r2": 1.0}
    lazy = 1
    size, classes = digits.SIDE, digits.CLASSES
    batch_size = 64
    full_steps, quick_steps = 4_000, 200
    rate, betas = 1e-3, (0.0, 0.99)
    last_rate = 0.02
    averaging = 0.995
    latent, embedding, width = 16, 8, 24

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        self.load(quick)
        generator = dcgan_generator(self.latent + self.embedding, width=self.width, size=self.size, rng=self.rng)
        generator = Conditional(generator, self.classes, self.embedding, rng=self.rng)
        critic = dcgan_features(width=self.width, size=self.size, rng=self.rng)
        critic = Projection(critic, 4 * self.width * (self.size // 4) ** 2, self.classes, rng=self.rng)
        self.model = GAN(generator, critic, latent=self.latent, **self.game)
        self.batches = Batches(self.train, self.batch_size, rng=np.random.default_rng([seed, 1]))
        self.forger, self.critic = (Adam(part.parameters(), lr=self.rate, betas=self.betas)
                                    for part in (self.model.generator, self.model.discriminator))
        self.ema = EMA(self.model.generator, self.averaging)
        self.taken = Counter()
        self.state = {"model": self.model, "generator": self.forger, "discriminator": self.critic, "ema": self.ema,
                      "batches": self.batches, "steps": self.taken, "rng": self.rng}

    def load(self, quick):
        splits = digits.splits(flat=False)
        self.train, self.held_out = splits.train, splits.test

    def real_batch(self):
        images, labels = next(self.batches)
        return (images / (HIGH / 2) - 1).astype(np.float32).reshape(-1, 1, self.size, self.size), labels

    def step(self):
        share = self.taken.advance() / self.steps
        for optimizer in (self.forger, self.critic):
            optimizer.param_groups[0]["lr"] = self.rate * min(1.0, max(self.last_rate, 2 * (1 - share)))
        due = self.lazy * (self.taken.value % self.lazy == 0)
        for name in ("r1", "r2"):
            setattr(self.model, name, due * self.game.get(name, 0.0))
        told = base.descend(self.model.discriminator_loss(*self.real_batch(), rng=self.rng).mean(), self.critic)
        forged = base.descend(self.model.generator_loss(*self.real_batch(), rng=self.rng).mean(), self.forger)
        self.ema.update()
        return {"discriminator": told, "generator": forged}

    def evaluate(self):
        asked = np.repeat(np.arange(self.classes), 100)
        drawn = self.draw_asked(asked, np.random.default_rng([self.seed, 2]))
        found = judging.judge(self, seed=self.seed).figures
        return {
            "read_as_asked": accuracy(asked, self.read(drawn)), "real_as_asked": accuracy(self.held_out[1], self.read(self.held_out[0])),
            **{n + e: float(v) for n in ("frechet", "precision", "recall", "density", "coverage", "nearest_ratio") for e, v in (("", found[n].samples), ("_real", found[n].floor))},
        }

    def read(self, images):
        return features.load("digits").answers(np.asarray(images) / HIGH)

    def draw_asked(self, labels, rng):
        with self.ema.averaged():
            samples = self.model.sample(len(labels), np.asarray(labels), rng=rng)
        return (samples[:, 0] + 1) * (HIGH / 2)

    def sample(self, n, rng):
        return self.draw_asked(np.arange(n) % self.classes, rng)

    def real(self):
        return judging.Pictures(self.train[0], self.held_out[0], HIGH, "digits")
