"""What recipes share that draw pictures by diffusion: training step, samplers, and what few steps cost.

The network predicts v, (11.7), with equal weight at all times of the cosine schedule; Adam's rate rises over the first
hundred steps and falls along a cosine; samples come from the weights' moving average. The class is withheld from one
example in ten, so that the same network also knows pictures of any class (guidance, lesson 12).

`few_steps` draws pictures from the same noise with few steps of each sampler, and with many:

    python -m minigen.recipes.picture_diffusion RUN [--pictures 260] [--out FOLDER]

reads a finished run, prints the table and writes it to steps.json; steps.png shows the first eight pictures,
steps_curves.png the figures.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from minigen.data.batches import Batches
from minigen.data.cache import atomic_write
from minigen.metrics import features, neighbours
from minigen.metrics.classification import accuracy
from minigen.metrics.frechet import frechet_distance
from minigen.models import samplers
from minigen.models.diffusion import Diffusion
from minigen.models.schedules import Cosine
from minigen.nn.unet import UNet
from minigen.optim import EMA, Adam, Schedule, cosine
from minigen.recipes import asked, base, judging
from minigen.train import Counter

STEPS = (5, 10, 20, 50, 100, 1000)


def _karras(predict, schedule, steps, x, rng):
    return samplers.heun(predict, schedule, samplers.snr_times(schedule, steps), x, churn=0.4 * steps,
                         churn_range=(0.05, 50.0), rng=rng)  # fmt: skip


# How each sampler takes `steps` steps; ancestral and DDIM at even times, as their authors did.
SAMPLERS = {
    "ancestral": lambda predict, schedule, steps, x, rng: samplers.ancestral(
        predict, schedule, samplers.even_times(schedule, steps), x, rng=rng, clip=(-1, 1)),
    "DDIM": lambda predict, schedule, steps, x, rng: samplers.ddim(
        predict, schedule, samplers.even_times(schedule, steps), x, clip=(-1, 1)),
    "DPM-Solver++": lambda predict, schedule, steps, x, rng: samplers.dpm_solver(
        predict, schedule, samplers.snr_times(schedule, steps), x),
    "Heun": lambda predict, schedule, steps, x, rng: samplers.heun(
        predict, schedule, samplers.snr_times(schedule, steps), x),
    "Karras, stochastic": _karras,
}  # fmt: skip


class Experiment(asked.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py); a subclass defines `load` and the sizes."""

    schedule = Cosine(lowest=-10)
    prediction, weighting, withheld = "v", "simple", 0.1
    width, multiples, attention, patch = 32, (1, 2), (1,), 2  # of the U-Net
    batch_size, rate, averaging, quick_averaging = 32, 1e-3, 0.998, 0.96
    full_steps, quick_steps = 7_000, 300
    sampler, calls, guidance = "DPM-Solver++", 20, 1.0  # guidance: w of (11.20)
    ways = {"ancestral": (5, 10, 20, 50, 100), "DDIM": (1, 2, 4, 5, 10, 20, 50, 100),
            "DPM-Solver++": (1, 2, 4, 5, 10, 20, 50)}  # to draw, with so many calls of the network; see few_calls.py
    at_once = 65  # pictures that are drawn together
    checkpoint_every = 400

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        self.train, self.held_out = self.load(quick)
        self.judged_on = 130 if quick else None  # samples; default as many as there are pictures held out
        self.model = self.make_model(self.rng)
        self.batches = Batches(self.train, self.batch_size, rng=np.random.default_rng([seed, 1]))
        self.optimizer = Adam(self.model.parameters(), lr=self.rate)
        self.rates = Schedule(self.optimizer, cosine, total=self.steps, warmup=min(100, self.steps // 4), final=0.02)
        self.ema = EMA(self.model, self.quick_averaging if quick else self.averaging)
        self.taken = Counter()
        self.state = {"model": self.model, "optimizer": self.optimizer, "ema": self.ema, "steps": self.taken,
                      "batches": self.batches, "rng": self.rng}

    def make_network(self, rng):
        """A U-Net that is told the class."""
        return UNet(1, 1, width=self.width, multiples=self.multiples, attention=self.attention,
                    patch=self.patch, classes=self.classes, rng=rng)  # fmt: skip

    def make_model(self, rng):
        """The process with its network."""
        return Diffusion(self.make_network(rng), self.schedule, prediction=self.prediction, weighting=self.weighting,
                         drop_labels=self.withheld)

    def step(self):
        """One step on the loss (11.17), written for v."""
        self.rates(self.taken.advance())
        images, labels = next(self.batches)
        loss = base.descend(self.losses(images, labels).mean(), self.optimizer)
        self.ema.update()
        return {"loss": loss}

    def losses(self, images, labels):
        """The loss of each picture of a batch, (B,)."""
        return self.model.loss(self.seen(images), labels, rng=self.rng)

    def evaluate(self):
        """The figures that `asked.py` explains; the pictures that are judged are read as well, for they take time."""
        judgement = judging.judge(self, self.judged_on, seed=self.seed)
        drawn = judgement.drawn[0] * self.high
        return {"read_as_asked": accuracy(np.arange(len(drawn)) % self.classes, self.read(drawn)),
                "real_as_asked": accuracy(self.held_out[1], self.read(self.held_out[0]))
                } | asked.with_floors(judgement.figures) | self.measured(drawn)  # fmt: skip

    def measured(self, drawn):
        """What else a recipe measures of the drawn pictures, (n, H, W) of 0 … high: a dict of figures."""
        return {}

    def draw_asked(self, labels, rng):
        """One picture for each label, (B,) → (B, H, W) of 0 … high."""
        return self.drawn_by(self.sampler, self.calls, labels, rng)

    def drawn_by(self, sampler, steps, labels, rng, *, guidance=None):
        """The same with a sampler of SAMPLERS and its number of steps; the same rng means the same noise to begin."""
        labels, guidance = np.asarray(labels), self.guidance if guidance is None else guidance
        return self.walked(sampler, steps, len(labels), rng,
                           lambda part: self.model.predictor(labels[part], guidance=guidance))

    def drawn_along(self, way, calls, labels, rng):
        """The same along one of `ways`, with so many calls of the network."""
        return self.drawn_by(way, calls, labels, rng)

    def walked(self, sampler, steps, n, rng, predictor):
        """n pictures from noise, (n, H, W) of 0 … high; `predictor` makes ε̂ for a slice of them."""
        noise = samplers.starting_noise(self.schedule, (n, 1, self.side, self.side), rng=rng)
        parts = [slice(i, i + self.at_once) for i in range(0, n, self.at_once)]
        with self.ema.averaged():
            pictures = [SAMPLERS[sampler](predictor(part), self.schedule, steps, noise[part], rng) for part in parts]
        return self.ink(np.concatenate(pictures))


# -- few steps --------------------------------------------------------------------------------------------------------


def few_steps(experiment, pictures, *, steps=STEPS, chosen=tuple(SAMPLERS), say=print):
    """What each sampler makes of the same noise in so many steps: figures, and the first pictures.

    The distances are those of `pictures` samples, evenly from all classes, from the training pictures; with so few
    they are larger than those of `evaluate`, in which there are more. The floor is that of as many held-out pictures.

    Returns:  {"floor": figures, sampler: {steps: figures}}, {sampler: {steps: (K, H, W)}} with at least eight pictures
    """
    asked_for = np.arange(pictures) % experiment.classes
    read = features.load(experiment.reader)
    train = read(experiment.train[0].reshape(-1, experiment.side, experiment.side) / experiment.high)

    def figures(drawn, labels):
        z = read(drawn / experiment.high)
        near = neighbours.manifold_scores(train, z)
        return {"read": accuracy(labels, experiment.read(drawn)), "frechet": float(frechet_distance(z, train)),
                "precision": near.precision, "recall": near.recall, "density": near.density,
                "coverage": near.coverage}  # fmt: skip

    images, labels = (part[:pictures] for part in experiment.held_out)
    table = {"floor": figures(images.reshape(-1, experiment.side, experiment.side), labels)}
    shown = {}
    for sampler in chosen:
        table[sampler], shown[sampler] = {}, {}
        for count in steps:
            began = time.process_time()
            drawn = experiment.drawn_by(sampler, count, asked_for, np.random.default_rng([experiment.seed, 4]))
            found = {"milliseconds": 1000 * (time.process_time() - began) / pictures} | figures(drawn, asked_for)
            table[sampler][count], shown[sampler][count] = found, experiment.shown(drawn[: max(8, experiment.classes)])
            say(f"{sampler:<20} {count:>5} steps   " + "   ".join(f"{key} {x:.3f}" for key, x in found.items()))
    return table, shown


def steps_picture(shown, chosen, high, path, title):
    """Chosen pictures by each sampler (rows) with each number of steps (columns), into a PNG file."""
    from minigen import viz

    counts = list(next(iter(shown.values())))
    figure, axes = viz.figure(title, len(shown), len(counts), height=viz.WIDTH * 0.47 * len(shown) / len(counts) + 0.8)
    for row, (sampler, drawn) in zip(np.reshape(axes, (len(shown), -1)), shown.items(), strict=True):
        for axis, count in zip(row, counts, strict=True):
            viz.draw_images(axis, drawn[count][list(chosen)], 4, scale=(0, high),
                            title=f"{count:,} steps" if axis.get_subplotspec().is_first_row() else None)
        name = sampler.replace(", ", ",\n").replace("-S", "-\nS")
        row[0].set_ylabel(name, rotation=0, horizontalalignment="right", verticalalignment="center", fontsize=9)
    viz.save(figure, path)
    return path


def steps_curves(table, path, title):
    """Fréchet distance and the share read as asked, over the number of steps, and their floors, into a PNG file."""
    from minigen import viz

    figure, axes = viz.figure(title, 1, 2, height=3.6)
    names = {"frechet": "Fréchet distance", "read": "share read as asked"}
    for axis, (key, name) in zip(axes, names.items(), strict=True):
        for (sampler, found), marker in zip(list(table.items())[1:], "osD^v", strict=False):
            values = [row[key] for row in found.values()]
            axis.plot([int(count) for count in found], values, marker=marker, markersize=5, label=sampler)
        axis.axhline(table["floor"][key], color=viz.colour("data"), linestyle="--", label="held-out pictures")
        axis.set(xscale="log", xlabel="steps", ylabel=name)
        axis.set_xticks(counts := [int(count) for count in found], [f"{count:,}" for count in counts], minor=False)
        axis.minorticks_off()
    axes[0].set_ylim(0, None)
    axes[0].legend(fontsize=8, loc="upper right")
    viz.save(figure, path)
    return path


def main(arguments=None):
    """Measure a run's samplers."""
    from minigen.recipes import load

    parser = argparse.ArgumentParser(prog="python -m minigen.recipes.picture_diffusion",
                                     description="Measure what each sampler makes of few steps.")
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--pictures", type=int, default=260)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--out", type=Path, help="where steps.json and steps.png go; default the run's folder")
    options = parser.parse_args(arguments)
    experiment, out = load(options.run), options.out or options.run
    table, shown = few_steps(experiment, options.pictures, steps=options.steps, chosen=options.samplers)
    with atomic_write(out / "steps.json") as stream:
        stream.write((json.dumps(table, indent=1) + "\n").encode())
    steps_picture(shown, range(8), experiment.high, out / "steps.png", "The same noise, more and more steps")
    steps_curves(table, out / "steps_curves.png", f"What so many steps are worth: {options.pictures} pictures each")


if __name__ == "__main__":
    main()
