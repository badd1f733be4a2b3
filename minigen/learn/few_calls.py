"""Lesson 13: the grid of lesson 08 in few calls of a network. A teacher, and three ways to be quicker than it."""

import numpy as np

from minigen.metrics.modes import count_modes
from minigen.models import samplers
from minigen.models.distillation import Consistency
from minigen.models.flow_matching import follow
from minigen.models.schedules import Growing
from minigen.optim import EMA
from minigen.recipes import base, diffusion_gan_grid, flow_matching_grid


def teacher(seed=0, *, steps, **changes):
    """The experiment of `flow-matching-grid` with other class attributes: batch_size, width, …"""
    return type("Changed", (flow_matching_grid.Experiment,), changes)(seed, steps=steps)


def hybrid(seed=0, *, steps, **changes):
    """The experiment of `diffusion-gan-grid` with other class attributes."""
    return type("Changed", (diffusion_gan_grid.Experiment,), changes)(seed, steps=steps)


class Reflow(flow_matching_grid.Experiment):
    """A second flow, trained on the pairs that the first one makes; it begins with the first one's weights.

    first:    a trained `teacher`
    """

    rate = 1e-3

    def __init__(self, first, *, steps, pairs=20_000, seed=1):
        for name in ("width", "blocks", "waves", "batch_size"):
            setattr(self, name, getattr(first, name))
        super().__init__(seed, steps=steps)
        self.noise = self.rng.standard_normal((pairs, 2), dtype=np.float32)
        with first.ema.averaged():
            self.model.load_state_dict(first.model.state_dict())
            self.made = follow(first.model.velocity(), self.noise, np.linspace(1, 0, 31) ** 2)
        self.ema = self.state["ema"] = EMA(self.model, self.ema.decay)

    def step(self):
        """One step on (13.51), noise and data as they are paired."""
        self.rates(self.taken.advance())
        chosen = self.rng.integers(len(self.noise), size=self.batch_size)
        loss = self.model.loss(self.made[chosen], rng=self.rng, noise=self.noise[chosen]).mean()
        value = base.descend(loss, self.optimizer)
        self.ema.update()
        return {"loss": value}


class Leap(flow_matching_grid.Experiment):
    rate = 1e-3
    memory = 0.95
    low, high, count = 0.004, 60.0, 24

    def __init__(self, first, *, steps, seed=1, **changes):
        for name in ("width", "blocks", "waves", "batch_size"):
            setattr(self, name, getattr(first, name))
        for name, value in changes.items():
            setattr(self, name, value)
        super().__init__(seed, steps=steps)
        schedule = first.model.schedule
        ratios = (self.low ** (1 / 7) + np.linspace(0, 1, self.count) * (self.high ** (1 / 7) - self.low ** (1 / 7))) ** 7
        times = schedule.time_of(-2 * np.log(ratios))
        network = self.model.network
        with first.ema.averaged():
            network.load_state_dict(first.model.network.state_dict())
            if changes.get("fresh"):
                pass
        self.first = first
        self.predict = first.model.predictor()
        self.model = Consistency(network, schedule, times, sigma_data=1.0)
        from minigen.optim import Adam, Schedule, cosine
        self.optimizer = Adam(self.model.parameters(), lr=self.rate)
        self.rates = Schedule(self.optimizer, cosine, total=self.steps, warmup=min(100, self.steps // 2),
                              final=self.last_rate)
        self.ema = EMA(self.model, self.memory)
        self.state = {"model": self.model, "optimizer": self.optimizer, "ema": self.ema, "steps": self.taken,
                      "rng": self.rng}

    def step(self):
        self.rates(self.taken.advance())
        loss = self.model.loss(self.points(), self.predict, rng=self.rng, averaged=self.ema.averaged)
        value = base.descend(loss.mean(), self.optimizer)
        self.ema.update()
        return {"loss": value}
