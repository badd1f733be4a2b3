"""Lesson 13: the grid of lesson 08 in few calls of a network. A teacher, and three ways to be quicker than it."""

import copy

import numpy as np

from minigen import viz
from minigen.metrics.modes import count_modes
from minigen.models import samplers
from minigen.models.distillation import Consistency
from minigen.models.flow_matching import follow
from minigen.optim import EMA
from minigen.recipes import base, diffusion_gan_grid, flow_matching_grid

NOISIEST, CLEANEST = -8.0, 9.0  # λ of the first time that samplers of lesson 11 ask at, and of the last


def teacher(seed=0, *, steps, **changes):
    """The experiment of `flow-matching-grid` with other class attributes: batch_size, width, …"""
    return type("Changed", (flow_matching_grid.Experiment,), changes)(seed, steps=steps)


def hybrid(seed=0, *, steps, **changes):
    """The experiment of `diffusion-gan-grid` with other class attributes."""
    return type("Changed", (diffusion_gan_grid.Experiment,), changes)(seed, steps=steps)


class Pupil(flow_matching_grid.Experiment):
    """What begins with a teacher's averaged weights, and learns from it."""

    def __init__(self, first, *, steps, seed=1):
        for name in ("width", "blocks", "waves", "batch_size"):
            setattr(self, name, getattr(first, name))
        super().__init__(seed, steps=steps)
        with first.ema.averaged():
            self.model.load_state_dict(first.model.state_dict())
        self.first = first
        self.begin()
        self.state |= {"model": self.model, "ema": self.ema}

    def begin(self):
        """What is made of the teacher before the first step: the model, its average."""
        self.ema = EMA(self.model, self.ema.decay)


class Reflow(Pupil):
    """A second flow, trained on the pairs that the first one makes, (13.54).

    first:    a trained `teacher`
    """

    rate, count = 1e-3, 20_000

    def begin(self):
        """The pairs, by thirty steps of Heun's."""
        super().begin()
        self.noise = self.rng.standard_normal((self.count, 2), dtype=np.float32)
        self.made = follow(self.model.velocity(), self.noise, np.linspace(1, 0, 31) ** 2)

    def step(self):
        """One step on (13.51), noise and data as they are paired."""
        self.rates(self.taken.advance())
        chosen = self.rng.integers(self.count, size=self.batch_size)
        loss = self.model.loss(self.made[chosen], rng=self.rng, noise=self.noise[chosen]).mean()
        value = base.descend(loss, self.optimizer)
        self.ema.update()
        return {"loss": value}


class Leap(Pupil):
    """A consistency function of the teacher's paths, (13.73); f⁻ has the averaged weights.

    first:    a trained `teacher`
    kind:     Consistency, or a class made from it
    """

    rate, memory = 2e-3, 0.95
    low, high, count = 0.005, 60.0, 24  # ς of the first and the last time, and how many there are
    kind = Consistency

    def begin(self):
        """The times, evenly in the seventh root of ς."""
        schedule = self.model.schedule
        ratios = np.linspace(self.low ** (1 / 7), self.high ** (1 / 7), self.count) ** 7
        self.predict = copy.deepcopy(self.model).predictor()
        self.model = self.kind(self.model.network, schedule, schedule.time_of(-2 * np.log(ratios)))
        self.ema = EMA(self.model, self.memory)

    def step(self):
        """One step on (13.73)."""
        self.rates(self.taken.advance())
        loss = self.model.loss(self.points(), self.predict, rng=self.rng, averaged=self.ema.averaged).mean()
        value = base.descend(loss, self.optimizer)
        self.ema.update()
        return {"loss": value}

    def leap(self, n, *, calls=1, seed=0):
        """n points in 1, 2, 3, … calls: back to noise of about ς = 0.7, 0.35, … between them, (13.75).

        Shapes:   → (n, 2)
        """
        rng, model = np.random.default_rng(seed), self.model
        ratios = samplers.noise_ratio(model.schedule, model.times)
        wanted = 0.7 * 0.5 ** np.arange(calls - 1)
        through = model.times[[np.abs(ratios - ratio).argmin() for ratio in wanted]]
        with self.ema.averaged():
            return model.sample(model.noise((n, 2), rng=rng), through=through, rng=rng) / self.scale


# -- the same noise, by any rule --------------------------------------------------------------------------------------


def times(schedule, calls):
    """Falling times for the samplers of lesson 11, evenly in λ, then 0.   Shapes: → (calls + 1,)"""
    return np.append(schedule.time_of(np.linspace(NOISIEST, CLEANEST, calls)), 0.0)


def walked(experiment, rule, calls, *, n=2_500, seed=2):
    """n points of a flow-matching model by "ancestral", "ddim", "dpm_solver", or by "euler" or "heun" in time.

    calls:    how often the network is asked; "heun" asks twice a step
    Shapes:   → (n, 2)
    """
    rng = np.random.default_rng(seed)
    start, model = rng.standard_normal((n, 2), dtype=np.float32), experiment.model
    with experiment.ema.averaged():
        if rule in ("euler", "heun"):
            steps = calls // 2 if rule == "heun" else calls
            return follow(model.velocity(), start, np.linspace(1, 0, steps + 1), method=rule) / experiment.scale
        extra = {"rng": rng} if rule == "ancestral" else {}
        found = getattr(samplers, rule)(model.predictor(), model.schedule, times(model.schedule, calls), start, **extra)
        return found / experiment.scale


def judged(points, truth):
    """High quality in per cent, and reverse KL in nats: two numbers."""
    found = count_modes(points, truth.means, truth.sigma)
    return 100 * found.high_quality, found.reverse_kl


# -- the picture ------------------------------------------------------------------------------------------------------

WALK = "#777777"
LOOKS = {"ancestral": (WALK, "-", ""), "DDIM": (WALK, "--", ""), "DPM-Solver++": (WALK, "-.", ""),
         "flow, Euler": (WALK, ":", ""), "rectified": ("model", "-", "o"), "consistency": ("decoder", "--", "s"),
         "diffusion GAN": ("discriminator", "", "*"), "GAN, lesson 08": ("discriminator", "", "X")}  # fmt: skip
PLAIN_GAN = 96.2, 0.022  # one call of gan-grid: per cent and nats, the medians of its runs in figures/results.json
TRUE = 100 * (1 - np.exp(-4.5))  # per cent of true points within three widths of their hill, (8.32)


def race(panels, asked, marks, *, n=2_500):
    """Quality and fairness against calls, on two axes: the slow rules in grey, the quick ones with colours and signs.

    asked:    a dict from name to numbers of calls;  marks: from name to as many pairs, see `judged`
    n:        points that were judged: even shares alone have a reverse KL of 24/(2n) on average, 25 hills
    """
    for place, (axes, ylabel) in enumerate(zip(panels, ("high quality, per cent", "reverse KL of the shares, nats"),
                                               strict=True)):
        for name, pairs in marks.items():
            tint, line, sign = LOOKS[name]
            axes.plot(asked[name], [pair[place] for pair in pairs], linestyle=line or "none", marker=sign,
                      color=viz.colour(tint), markersize={"*": 13, "X": 9}.get(sign, 6), label=name)
        ticks = (1, 2, 4, 8, 16, 32, 64)
        axes.set(xscale="log", xlabel="calls of the network", ylabel=ylabel)
        axes.set_xticks(ticks, ticks, minor=False)
        axes.minorticks_off()
    for axes, height, name, up in ((panels[0], TRUE, f"true points: {TRUE:.1f}", 3),
                                   (panels[1], 12 / n, f"by chance alone: {12 / n:.2g}", -3)):
        axes.axhline(height, color=viz.colour("data"), linewidth=0.8, zorder=1)
        axes.annotate(name, (64, height), (0, up), textcoords="offset points", ha="right", fontsize=9,
                      va="bottom" if up > 0 else "top")
    panels[0].set_ylim(0, 108)
    panels[1].set_yscale("log")
    panels[1].set_ylim(bottom=2e-3)
    panels[0].figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
                            frameon=False)
