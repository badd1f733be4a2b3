"""score-grid: the slope of log p on the grid of twenty-five Gaussians, learnt at all levels of noise by denoising.

One network for every σ from 10, where the whole grid is one hill, down to 0.02, less than the width 0.05 of a mode. It
is trained by (10.9) and never sees a density. The true score of the noised grid is known, so the error is a number:

    relative error at σ:   √( E|s − s*|² / E|s*|² ),  over 10,000 noised points x + σ ε.

`score_error` is the largest of those at σ = 0.2, 0.3, 0.5, 1, 2, 4 and 8; in the evaluation they stand one by one, with
those below 0.2, too. Half-way, at σ from 0.3 to 1, it is largest: there the noise is as wide as the way from a mode to
the borders of its cell, and the score bends sharply. Below 0.2 the task is nearly −ε/σ within one lone mode.

What it takes: the network sees the grid divided by 3 and sines of the coordinates (`waves`), a rate that falls to 0,
and an average of the weights. 8,000 steps; the error goes on falling with more.

Protocol of the samples: annealed Langevin (10.14), 40 levels of 10 steps with η = σ²/5, then the last noise is taken
away (10.8); 2,500 samples counted as in gan-grid. The predictor–corrector (10.15) down the same 40 levels asks the
score 79 times in place of 441.

Bands: the goal for the error is 0.1; seeds 0, 1 and 2 had 0.059, 0.060 and 0.066, the quick size 0.21 (0.02 and 0.08:
less would be too good). High quality 99.1 to 99.2 %, reverse KL 0.006 to 0.009, where true points have about 0.005.
"""

import numpy as np

from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.models import langevin
from minigen.models.score import NoiseConditionalScore, geometric
from minigen.nn.time import PointNet
from minigen.optim import EMA, Adam
from minigen.recipes import base, planar
from minigen.train import Counter


class Experiment(planar.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    truth, scale = toy2d.grid(), 1 / 3  # scale: what points and σ are multiplied with for the network
    oracle = NoisedMixture(truth.means, truth.sigma, truth.weights)
    sigmas = geometric(10.0, 0.02, 40)
    judged_at = (0.2, 0.3, 0.5, 1.0, 2.0, 4.0, 8.0)
    below = (0.03, 0.05, 0.1)  # shown, but no part of `score_error`
    batch_size, width, blocks, waves = 512, 128, 3, 3
    full_steps, quick_steps = 8_000, 600
    rate, warming = 2e-3, 0.02  # the share of the steps in which the rate rises from 0
    memory = 1 / 8  # how far the average of the weights reaches back, as a share of the steps
    size, count = 0.2, 10  # the annealed walk: η in units of σ², steps at each level
    checkpoint_every = 2_000
    threads = 1  # as for gan-ring: a second thread costs more than it brings

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        network = PointNet(2, 2, width=self.width, blocks=self.blocks, waves=self.waves, rng=self.rng)
        self.model = NoiseConditionalScore(network, self.scale * self.sigmas, between=True)
        self.optimizer = Adam(self.model.parameters(), lr=self.rate)
        self.ema = EMA(self.model, 1 - 1 / max(1.0, self.memory * self.steps))
        self.taken = Counter()
        self.state = {"model": self.model, "optimizer": self.optimizer, "ema": self.ema, "steps": self.taken,
                      "rng": self.rng}

    def step(self):
        """One step on (10.9), at a rate that rises quickly and then falls to 0 like a cosine."""
        share = self.taken.advance() / self.steps
        rising = min(1.0, share / self.warming + 1e-3)
        self.optimizer.param_groups[0]["lr"] = self.rate * rising * 0.5 * (1 + np.cos(np.pi * share))
        loss = base.descend(self.model.loss(self.points(), rng=self.rng).mean(), self.optimizer)
        self.ema.update()
        return {"loss": loss}

    def score(self, x, sigma):
        """The score in the units of the data, with the weights as they are.   Shapes: x (B, 2), σ a number → (B, 2)"""
        seen = np.asarray(x * self.scale, dtype=np.float32)
        return (self.scale * self.model.score(seen, self.scale * sigma)).astype(x.dtype)

    def exact(self, x, sigma):
        """The true score of the noised grid.   Shapes: as `score`"""
        return self.oracle.score(x, 1.0, sigma)

    def relative_error(self, sigma, n=10_000):
        """√(E|s − s*|²/E|s*|²) of the averaged weights at noise σ: a number."""
        rng = np.random.default_rng([self.seed, 2])
        x = self.truth.sample(n, rng=rng) + sigma * rng.standard_normal((n, 2))
        best = self.exact(x, sigma)
        with self.ema.averaged():
            error = self.score(x, sigma) - best
        return float(np.sqrt((error**2).sum() / (best**2).sum()))

    def evaluate(self):
        """Relative errors of the score, and what 2,500 samples of both samplers are worth."""
        errors = {f"error_{sigma:g}": self.relative_error(sigma) for sigma in self.below + self.judged_at}
        found = {"score_error": max(errors[f"error_{sigma:g}"] for sigma in self.judged_at), **errors}
        return found | self.counted(self.sample) | self.counted(self.corrected, "corrector_")

    def noise(self, n, rng):
        """n points to begin with, as wide as the first level: (n, 2)."""
        return self.sigmas[0] * rng.standard_normal((n, 2))

    def sample(self, n, rng):
        """n points, (n, 2), of the annealed Langevin walk (10.14) along the averaged network's score."""
        with self.ema.averaged():
            return langevin.annealed(self.score, self.sigmas, self.noise(n, rng), rng=rng, count=self.count,
                                     step=self.size * self.sigmas[-1] ** 2)

    def corrected(self, n, rng):
        """n points of the predictor–corrector, (10.15) and (10.16)."""
        with self.ema.averaged():
            return langevin.predictor_corrector(self.score, self.sigmas, self.noise(n, rng), rng=rng)


RECIPE = base.Recipe(
    name="score-grid",
    summary="the score of the noised grid, at every level of noise, by denoising; sampled by annealed Langevin",
    lesson="10",
    build=Experiment,
    band={"score_error": (0.02, 0.1), "modes": (25, 25), "high_quality": (0.95, 1.0), "reverse_kl": (0.0, 0.02)},
    quick_band={"score_error": (0.08, 0.35), "modes": (24, 25), "reverse_kl": (0.0, 0.05)},
    anchor="the exact score of the noised grid: error 0; gan-grid: 25 modes, 96 %, reverse KL 0.02",
    source="Song & Ermon 2019, arXiv:1907.05600; Vincent 2011, Neural Computation 23(7)",
    budget_seconds=120,
)
