"""Lesson 11's small pictures: a conditional diffusion of the 8×8 digits, trained within the notebook, and its judge."""

import contextlib

import numpy as np

from minigen.data import digits
from minigen.metrics import features
from minigen.metrics.classification import accuracy
from minigen.metrics.frechet import frechet_distance
from minigen.models import samplers
from minigen.models.diffusion import Diffusion
from minigen.models.schedules import Cosine
from minigen.nn.unet import UNet
from minigen.optim import EMA, Adam
from minigen.recipes import base
from minigen.train import Counter

LEVELS = 16  # of ink


class Digits(base.Experiment):
    """A U-Net of two sizes that predicts v, told the digit in 85 % of the cases; a constant rate, averaged weights."""

    batch_size, width, rate, averaging, drop = 64, 24, 2e-3, 0.995, 0.15
    schedule = Cosine(lowest=-10)

    def __init__(self, seed=0, *, steps=1200):
        self.steps, self.rng = steps, np.random.default_rng(seed)
        train = digits.splits(flat=False).train
        self.images, self.labels = signed(train.images), train.labels
        network = UNet(1, 1, width=self.width, multiples=(1, 2), attention=(1,), classes=10, rng=self.rng)
        self.model = Diffusion(network, self.schedule, prediction="v", drop_labels=self.drop)
        self.optimizer = Adam(self.model.parameters(), lr=self.rate)
        self.ema, self.taken = EMA(self.model, self.averaging), Counter()
        self.state = {"model": self.model, "optimizer": self.optimizer, "ema": self.ema, "steps": self.taken,
                      "rng": self.rng}

    def step(self):
        """One step on the simple loss for v, after 100 steps at the full rate."""
        self.optimizer.param_groups[0]["lr"] = self.rate * min(1.0, (self.taken.advance() + 1) / 100)
        chosen = self.rng.integers(len(self.images), size=self.batch_size)
        loss = self.model.loss(self.images[chosen], self.labels[chosen], rng=self.rng).mean()
        told = base.descend(loss, self.optimizer)
        self.ema.update()
        return {"loss": told}

    def draw(self, labels, *, rule="dpm_solver", calls=20, averaged=True, guidance=1.0, seed=0, **settings):
        """A digit for each label, from the noise of a seed: levels of ink, 0 … 16.   Shapes: labels (n,) → (n, 1, 8, 8)

        rule:     the name of a sampler;  calls: its steps, with times even in λ
        """
        rng = np.random.default_rng(seed)
        start = samplers.starting_noise(self.schedule, (len(labels), 1, 8, 8), rng=rng)
        settings = settings | ({"rng": rng} if rule == "ancestral" else {})
        with self.ema.averaged() if averaged else contextlib.nullcontext():
            predict = self.model.predictor(np.asarray(labels), guidance=guidance)
            times = samplers.snr_times(self.schedule, calls)
            return inked(getattr(samplers, rule)(predict, self.schedule, times, start, **settings))


def signed(images):
    """Ink of 0 … 16 as the network sees it, −1 … 1."""
    return (images / (LEVELS / 2) - 1).astype(np.float32)


def inked(x):
    """The way back: ink of 0 … 16, what is beyond cut off."""
    return np.clip((x + 1) * (LEVELS / 2), 0, LEVELS)


class Judge:
    """The package's frozen reader of digits (metrics/features.py), and the training digits as it sees them."""

    def __init__(self):
        self.read = features.load("digits")
        parts = digits.splits(flat=False)
        self.train, self.held_out = (self.read(part.images[:, 0] / LEVELS) for part in (parts.train, parts.test))

    def figures(self, images, labels):
        """Share that is read as the digit asked for, and the Fréchet distance to the training digits."""
        ink = images[:, 0] / LEVELS
        return accuracy(labels, self.read.answers(ink)), frechet_distance(self.read(ink), self.train)

    def floor(self):
        """The Fréchet distance of real test digits to the training digits."""
        return frechet_distance(self.held_out, self.train)

    def told(self, images, labels):
        """The same in a few words."""
        share, distance = self.figures(images, labels)
        return f"{share:6.1%} read as asked, Fréchet {distance:.2f}"
