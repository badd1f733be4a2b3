"""stylegan-glyphs: a style-based generator that draws the letter asked for in a style of its own.
"""

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.data import glyphs
from minigen.data.batches import Batches
from minigen.metrics import features, neighbours
from minigen.metrics.classification import accuracy
from minigen.metrics.frechet import frechet_distance
from minigen.models.gan import OBJECTIVES, squared_slope
from minigen.models.style_critic import PairCritic, critic_features
from minigen.models.stylegan import PathLength, StyleGenerator, path_lengths
from minigen.optim import EMA, Adam
from minigen.recipes import base, judging
from minigen.recipes.vae_glyphs import CAPITALS, CHOICE
from minigen.train import Counter

LETTERS = len(CAPITALS)


class Game(nn.Module):
    """The two players, so that they are saved together."""

    def __init__(self, generator, critic):
        self.generator, self.critic = generator, critic


class Experiment(base.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    objective = "relativistic"
    latent, widths, critic_widths, features = 32, (64, 48, 24), (24, 48, 64), 128
    pairs = 16  # in a batch: 32 pictures
    full_steps, quick_steps = 6_000, 60
    rate, mapping_rate, critic_rate = 1.5e-3, 0.1, 1e-3
    betas = (0.0, 0.99)
    last_rate = 0.02
    r1, r2, lazy = 0.5, 0.5, 4
    path_weight, path_lazy, path_batch = 2.0, 8, 8
    averaging = 0.998
    alphabets = 240
    checkpoint_every = 1_000
    threads = 1

    def __init__(self, seed, quick=False, *, data=None, steps=None, **changes):
        for name, value in changes.items():
            setattr(self, name, value)
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        self.train = alphabets(self.alphabets, seed=1)
        generator = StyleGenerator(self.latent, self.widths, starts=LETTERS, rng=self.rng)
        critic = PairCritic(critic_features(self.critic_widths, self.features, rng=self.rng), self.features, LETTERS,
                            rng=self.rng)
        self.model = Game(generator, critic)
        groups = [{"params": list(generator.synthesis.parameters()), "lr": self.rate},
                  {"params": list(generator.mapping.parameters()), "lr": self.rate * self.mapping_rate}]
        self.forger, self.judge = Adam(groups, lr=self.rate, betas=self.betas), Adam(critic.parameters(), lr=self.critic_rate, betas=self.betas)
        self.rates = [(g, g["lr"]) for o in (self.forger, self.judge) for g in o.param_groups]
        self.ema = EMA(generator, self.averaging)
        self.path = PathLength()
        self.batches = Batches(np.arange(len(self.train)), self.pairs, rng=np.random.default_rng([seed, 1]), drop_last=True)
        self.taken = Counter()
        self.state = {"model": self.model, "generator": self.forger, "critic": self.judge, "ema": self.ema,
                      "path": self.path, "batches": self.batches, "steps": self.taken, "rng": self.rng}

    def batch(self):
        chosen = next(self.batches)
        first = self.rng.integers(LETTERS, size=len(chosen))
        second = (first + self.rng.integers(1, LETTERS, size=len(chosen))) % LETTERS
        labels = np.concatenate([first, second])
        images = self.train[np.concatenate([chosen, chosen]), labels]
        return scaled(images), labels

    def step(self):
        count = self.taken.advance()
        fall = min(1.0, max(self.last_rate, 2 * (1 - count / self.steps)))
        for group, rate in self.rates:
            group["lr"] = rate * fall
        real, labels = self.batch()
        generator, critic, game = self.model.generator, self.model.critic, OBJECTIVES[self.objective]
        z = Tensor(self.rng.standard_normal((len(real) // 2, self.latent), dtype=np.float32))
        styles = [ops.concatenate([w, w], dim=0) for w in generator.training_styles(z)]
        fake = generator.synthesis(styles, labels, rng=generator.rng)
        told = game.discriminator(critic(Tensor(real), labels), critic(Tensor(fake.data), labels)).mean()
        loss = told
        if count % self.lazy == 0:
            for weight, x in ((self.r1, real), (self.r2, fake.data)):
                if weight:
                    x = Tensor(x, requires_grad=True)
                    slope = squared_slope(critic(x, labels), x).mean()
                    loss = loss + 0.5 * weight * self.lazy * slope
        base.descend(loss, self.judge)
        critic.requires_grad_(False)
        with no_grad():
            t_real = critic(Tensor(real), labels)
        forged = game.generator(t_real, critic(fake, labels)).mean()
        loss = forged
        if count % self.path_lazy == 0 and self.path_weight:
            n = self.path_batch
            w = Tensor(generator.mapping(z[:n]).data, requires_grad=True)
            lengths = path_lengths(lambda w: generator.synthesis([w] * generator.synthesis.depth, labels[:n]), w, rng=self.rng)
            loss = loss + self.path_weight * self.path_lazy * self.path.penalty(lengths).mean()
        base.descend(loss, self.forger)
        critic.requires_grad_(True)
        self.ema.update()
        return {"discriminator": told.item(), "generator": forged.item()}


def alphabets(n, *, seed):
    """n alphabets, each of one typeface, size and place: bytes (n, 26, 28, 28)."""
    images = np.empty((n, LETTERS, 28, 28), dtype=np.uint8)
    for turn in range(LETTERS):
        drawn = glyphs.load(n, seed=seed, **CHOICE | {"characters": CAPITALS[turn:] + CAPITALS[:turn]})
        images[np.arange(n), drawn.character] = drawn.images[:, 0]
    return images


def scaled(images):
    """Bytes (B, 28, 28) to −1 … 1, (B, 1, 28, 28)."""
    return (images[:, None] / np.float32(127.5) - 1).astype(np.float32)
