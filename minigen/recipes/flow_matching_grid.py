"""flow-matching-grid: flow matching on the grid of twenty-five Gaussians, measured against the best that there is.

The network says the velocity from data to noise, (13.51), t uniform in (0, 1), independent pairs, the data divided by
3. For a mixture of Gaussians the marginal velocity v is known, (D.9), and with it the floor of the loss, (13.52): what
remains because many lines cross at one place. So the first figure is

    excess:   mean |v̂ − v|² over the floor's mean |ε − x₀ − v|², on 20,000 held-out points of the paths,

by how much the loss is above its floor, as in diffusion-grid. But the floor of the one is not that of the other: by
(13.56) the squares differ by (1 − t)², and the times are spread otherwise. The second is a likelihood, since the flow
has one, (13.42):

    nll:      the mean of −log p̂ of held-out points, in nats; the entropy, 0.065, is what the truth would have;
    kl:       the mean of log p − log p̂ of the same points, which is less noisy: an estimate of KL(p ‖ p̂).

Network, steps and rates are those of diffusion-grid. Its samplers fit as well, but the flow has its own: straight
through time, with steps that become shorter towards the data, where a mode is only 0.017 wide and v is steep.

Protocol of the samples: 2,500, by 40 steps of Heun's at times (i/40)²; counted as in gan-grid; `few_`: 8 steps.

Bands: the goals, 25 modes and 95 %; for the loss and the likelihood margins about seeds 0, 1 and 2, which had an
excess of 0.0009 to 0.0013, nll 0.087 to 0.122 and kl 0.024 to 0.034 (of the same points; that of nll is mostly chance,
for their own −log p has a mean of 0.063 to 0.087), 97.7 to 98.5 % of high quality; the quick size, seed 0, 0.012 and
kl 0.48 (of 200).
"""

import numpy as np

from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.models.flow_matching import FlowMatching, follow
from minigen.nn.time import PointNet
from minigen.optim import EMA, Adam, Schedule, cosine
from minigen.recipes import base, planar
from minigen.train import Counter

HELD_OUT = 20_000


class Experiment(planar.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    truth, scale = toy2d.grid(), 1 / 3
    batch_size, width, blocks, waves = 512, 128, 3, 4
    full_steps, quick_steps = 6_000, 500
    rate, last_rate, averaging = 2e-3, 0.02, 0.995
    calls, few = 40, 8  # steps of the sampler
    judged, quick_judged = 4_000, 200  # points whose likelihood is taken
    checkpoint_every, threads = 2_000, 1

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng, self.quick = seed, np.random.default_rng(seed), quick
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        self.oracle = NoisedMixture(self.truth.means * self.scale, self.truth.sigma * self.scale, self.truth.weights)
        self.model = FlowMatching(self.make_network(self.rng))
        self.optimizer = Adam(self.model.parameters(), lr=self.rate)
        self.rates = Schedule(self.optimizer, cosine, total=self.steps, warmup=min(100, self.steps // 2),
                              final=self.last_rate)
        self.ema = EMA(self.model, min(self.averaging, max(0.0, 1 - 10 / self.steps)))
        self.taken = Counter()
        self.state = {"model": self.model, "optimizer": self.optimizer, "ema": self.ema, "steps": self.taken,
                      "rng": self.rng}

    def make_network(self, rng):
        """The network of diffusion-grid."""
        return PointNet(2, 2, width=self.width, blocks=self.blocks, waves=self.waves, rng=rng)

    def step(self):
        """One step on (13.51)."""
        self.rates(self.taken.advance())
        loss = base.descend(self.losses().mean(), self.optimizer)
        self.ema.update()
        return {"loss": loss}

    def losses(self):
        """The loss of each point of a batch, (B,)."""
        return self.model.loss(self.points(), rng=self.rng)

    def evaluate(self):
        """The loss above its floor, the likelihood, and what 2,500 samples of many steps and of few are worth."""
        rng = np.random.default_rng([self.seed, 2])
        t, clean = rng.random(HELD_OUT), self.oracle.sample(HELD_OUT, rng=rng)
        noise = rng.standard_normal((HELD_OUT, 2))
        x = (1 - t[:, None]) * clean + t[:, None] * noise
        best = self.oracle.velocity(x, t)
        with self.ema.averaged():
            said = self.model.velocity()(x.astype(np.float32), t)
        floor = float(np.mean((noise - clean - best) ** 2))
        found = {"excess": float(np.mean((said - best) ** 2)) / floor, "floor": floor, **self.likelihood()}
        return found | self.counted(self.sample) | self.counted(self.hasty, "few_")

    def likelihood(self):
        """nll and kl, in nats, in the units of the data: the density of x is that of x·scale, times scale²."""
        points = self.truth.sample(self.quick_judged if self.quick else self.judged,
                                   rng=np.random.default_rng([self.seed, 3]))
        with self.ema.averaged():
            log_prob = self.model.log_prob((self.scale * points).astype(np.float32), rtol=1e-4, atol=1e-4)
        log_prob = log_prob + 2 * np.log(self.scale)
        return {"nll": float(-log_prob.mean()), "kl": float((self.truth.log_prob(points) - log_prob).mean())}

    def sample(self, n, rng, *, steps=None):
        """n points, (n, 2), along the averaged network's velocity."""
        steps = steps or self.calls
        with self.ema.averaged():
            start = rng.standard_normal((n, 2), dtype=np.float32)
            return follow(self.model.velocity(), start, np.linspace(1.0, 0.0, steps + 1) ** 2) / self.scale

    def hasty(self, n, rng):
        """The same in few steps."""
        return self.sample(n, rng, steps=self.few)


RECIPE = base.Recipe(
    name="flow-matching-grid",
    summary="flow matching on the grid: its loss against the smallest possible, and its likelihood",
    lesson="13",
    build=Experiment,
    band={"excess": (0.0003, 0.003), "nll": (0.02, 0.15), "kl": (0.005, 0.06), "modes": (25, 25),
          "high_quality": (0.95, 1.0), "reverse_kl": (0.0, 0.02)},
    quick_band={"excess": (0.003, 0.05), "kl": (0.1, 1.2), "modes": (24, 25)},
    anchor="the marginal velocity: excess 0, nll 0.065, the entropy of the grid",
    source="Lipman et al. 2022, arXiv:2210.02747; Liu, Gong & Liu 2022, arXiv:2209.03003",
    budget_seconds=300,  # beside other programs; alone on one core it takes about 40
)
