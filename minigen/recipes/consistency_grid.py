"""consistency-grid: the grid of twenty-five Gaussians in one call, by a consistency model with a perfect teacher.

The teacher is the exact prediction of the noise, (D.9), so that all that is wrong is the student's own. Twenty
intervals with even steps of λ from noise to ς = 0.005, a third of a mode's width, the teacher's steps Heun's; f⁻ is the
moving average. Network, batch and rates are those of diffusion-grid. The points are divided by 3.

Reported of 2,500 points, as in gan-grid: modes, high_quality and reverse_kl of 1, 2 and 4 calls. More calls than one
go back to about ς = 0.3, or to 1, 0.3 and 0.1, with fresh noise, (13.75), each time to the nearest of the levels that
are practised; the modes are 0.67 apart.
"""

import numpy as np

from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.models import samplers
from minigen.models.distillation import Consistency
from minigen.models.gan_networks import mlp
from minigen.models.schedules import Cosine
from minigen.models.sharpening import Sharpened
from minigen.nn.time import PointNet
from minigen.optim import EMA, Adam, Schedule, cosine
from minigen.recipes import base, planar
from minigen.train import Counter


class Experiment(planar.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    truth, scale = toy2d.grid(), 1 / 3
    schedule, intervals, least_noise = Cosine(lowest=-10), 20, 0.005
    batch_size, width, blocks, waves = 512, 128, 3, 4
    full_steps, quick_steps = 4_000, 300
    rate, last_rate, averaging = 2e-3, 0.02, 0.99
    weight, fading = 0.0, 1e-5  # of the critic's word, w of (13.81); what is left of its penalties in the end
    through = {1: (), 2: (0.3,), 4: (1.0, 0.3, 0.1)}  # calls, and ς to go back to before all but the first
    checkpoint_every, threads = 2_000, 1

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        law = NoisedMixture(self.truth.means * self.scale, self.truth.sigma * self.scale, self.truth.weights)
        self.teacher = law.predictor(self.schedule)
        times = samplers.snr_times(self.schedule, self.intervals, highest=-2 * np.log(self.least_noise), clean=False)
        network = PointNet(2, 2, width=self.width, blocks=self.blocks, waves=self.waves, rng=self.rng)
        critic = mlp(2, 1, width=self.width, depth=3, slope=0.2, rng=self.rng)
        self.model = Sharpened(Consistency(network, self.schedule, times[::-1]), critic, weight=self.weight)
        self.optimizer = Adam(self.model.student.parameters(), lr=self.rate)
        self.watcher = Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.99))
        critic.requires_grad_(self.weight > 0)  # nobody asks it otherwise
        self.rates = Schedule(self.optimizer, cosine, total=self.steps, warmup=min(100, self.steps // 4),
                              final=self.last_rate)
        self.ema = EMA(self.model.student, self.averaging)
        self.taken = Counter()
        self.state = {"model": self.model, "optimizer": self.optimizer, "critic": self.watcher, "ema": self.ema,
                      "steps": self.taken, "rng": self.rng}

    def step(self):
        """One step of the student on (13.81), and one of the critic, if it is asked."""
        share = self.taken.value / self.steps
        self.rates(self.taken.advance())
        x = self.points()
        loss, leaps = self.model.student_loss(x, self.teacher, rng=self.rng, averaged=self.ema.averaged)
        found = {"loss": base.descend(loss.mean(), self.optimizer)}
        self.ema.update()
        if self.weight:
            self.model.r1 = self.model.r2 = 0.1 * self.fading ** min(1.0, share / 0.8)
            found["critic"] = base.descend(self.model.critic_loss(x, leaps).mean(), self.watcher)
        return found

    def evaluate(self):
        """Modes, share of high quality and reverse KL of 2,500 samples of one, two and four calls."""
        found = {}
        for calls in self.through:
            counted = self.counted(lambda n, rng, calls=calls: self.sample(n, rng, calls=calls))
            found |= {f"{name}_{calls}": value for name, value in counted.items()}
        return found

    def sample(self, n, rng, *, calls=1):
        """n points, (n, 2), of the averaged student."""
        student = self.model.student
        levels = np.log(samplers.noise_ratio(self.schedule, student.times))
        through = [student.times[np.abs(levels - np.log(ratio)).argmin()] for ratio in self.through[calls]]
        with self.ema.averaged():
            return student.sample(student.noise((n, 2), rng=rng), through=through, rng=rng) / self.scale


RECIPE = base.Recipe(
    name="consistency-grid",
    summary="the grid in one call, by a consistency model with a perfect teacher",
    lesson="13",
    build=Experiment,
    # Seeds 0, 1, 2 gave 25 modes; of high quality 0.78, 0.78 and 0.81 with one call, 0.87 to 0.89 with two, 0.85 to
    # 0.86 with four. Quick, seeds 0 and 1: reverse KL of four calls 0.175 and 0.186, of an untrained network 0.70.
    band={"modes_1": (25, 25), "high_quality_1": (0.72, 0.87), "high_quality_2": (0.83, 0.93)},
    quick_band={"reverse_kl_4": (0.05, 0.4)},
    anchor="the grid itself: 25 modes, 98.9 %; diffusion-grid: 99 % with 79 calls",
    source="Song, Dhariwal, Chen & Sutskever 2023, arXiv:2303.01469",
    budget_seconds=300,
)
