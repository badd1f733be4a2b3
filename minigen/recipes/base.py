"""What a recipe is: one definition of one result.

A `Recipe` says what is to be reached: the figures and the band in which each must land, where the anchor comes from,
the seed, the time allowed. Its `build` makes an `Experiment`: data, model, training step and evaluation, ready to run.
The command line, the lesson, the acceptance test and the benchmark all run the same two objects.

A recipe is one module in this folder, named like the recipe with underscores for dashes, that defines RECIPE:

    class Experiment(base.Experiment):
        def __init__(self, seed, quick, *, data=None, steps=None): …

    RECIPE = Recipe(name="vae-digits", build=Experiment, …)
"""

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minigen.errors import RecipeError
from minigen.optim import clip_grad_norm_
from minigen.train import fit, read_metrics


@dataclass(frozen=True)
class Recipe:
    """One result: how to make it and what it must be.

    name:            as on the command line, "vae-digits"
    summary:         one line: what is trained on what
    lesson:          the lesson that tells its story, "05"
    build:           build(seed, quick, *, data=None, steps=None) → Experiment; `data` is a local path that stands in
                     for a download, or a teacher's run; `steps` overrides the number of steps
    band:            dict from metric to (low, high), a number or None for an open end: where the full size must land
    quick_band:      the same for the quick size, which takes seconds
    anchor:          text: the number to compare with, and whose it is
    seed:            the one used when none is given
    budget_seconds:  training time allowed for the full size on two cores
    source:          the paper: authors, year, arXiv number
    demo_steps:      steps of the quick size for `minigen demo`; None leaves the recipe out of the demo
    takes_data:      True if the recipe downloads something for which `data` may stand in, or is taught by another's run
    seeded:          False if training draws no random number, so that every seed gives the same figures
    """

    name: str
    summary: str
    lesson: str
    build: Callable
    band: dict
    anchor: str
    source: str
    budget_seconds: float
    quick_band: dict = field(default_factory=dict)
    seed: int = 0
    demo_steps: int | None = None
    takes_data: bool = False
    seeded: bool = True

    def __post_init__(self):
        for metric, (low, high) in (*self.band.items(), *self.quick_band.items()):
            if low is not None and high is not None and low > high:
                raise RecipeError(f"recipe {self.name}: the band of {metric} is ({low}, {high}); expected low ≤ high")

    def landed(self, metrics, quick=False):
        """Dict from each metric of the band to whether it lies inside.

        Raises:   RecipeError if a metric of the band was not measured.
        """
        band = self.quick_band if quick else self.band
        missing = sorted(set(band) - set(metrics))
        if missing:
            raise RecipeError(f"recipe {self.name}: the band names {missing}, but the evaluation gave only "
                              f"{sorted(metrics)}")
        return {name: (low is None or low <= metrics[name]) and (high is None or metrics[name] <= high)
                for name, (low, high) in band.items()}


class Experiment:
    """Data, model, training step and evaluation of one recipe, at one size and seed.

    A subclass sets in __init__:
        model            what is trained (a Module)
        steps            how many training steps
        state            dict from name to live object, all that training changes, as `train.fit` wants it: at least
                         "model", the optimiser, every np.random.Generator, the Batches; "ema" if there is one
    and where wanted:
        validate_every   steps between validations, with a method `validate()` that returns a number to be made small
        patience         validations without a new best before training stops early
        keep_best        names from the state that are set back to the best; default those called "model" and "ema"
        checkpoint_every steps between checkpoints
        threads          threads that compute while training, see `train.fit`
        text             True if samples are texts

    The evaluation, the pictures and the validation take their random numbers from generators of their own, made from
    the seed when they are called, so that a resumed run comes to the same figures.
    """

    model = None
    steps = 0
    state = None
    metrics = None  # what evaluate() returned, once it has run
    validate = None
    validate_every = 0
    patience = None
    keep_best = None
    checkpoint_every = None
    threads = None
    text = False

    def step(self):
        """One training step. Returns a dict of floats, "loss" first, or the loss alone."""
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    def evaluate(self):
        """The figures of the trained model: a dict from plain names (test_elbo, modes, …) to floats."""
        raise NotImplementedError(f"{type(self).__name__} does not define evaluate")

    def sample(self, n, rng):
        """n samples from the trained model, by default images (n, H·W), (n, H, W) or (n, 1, H, W); texts: a list."""
        raise NotImplementedError(f"{type(self).__name__} does not define sample")

    def fit(self, **settings):
        """Train: `for report in experiment.fit(): …`, with the settings of `train.fit` (folder, resume, …)."""
        return fit(self.step, self.steps, state=self.state, validate=self.validate, patience=self.patience,
                   validate_every=self.validate_every, keep_best=self.keep_best,
                   **{"checkpoint_every": self.checkpoint_every, "threads": self.threads, **settings})

    def kept(self):
        """The part of the state that makes the trained model: what is saved as its weights."""
        names = [name for name in ("model", "ema") if name in self.state] if self.keep_best is None else self.keep_best
        return {name: self.state[name] for name in names}

    def real(self):
        """What samples are measured against by `minigen evaluate`, a `judging.Pictures` or `judging.Points`.

        None, the default: the samples are neither pictures nor points, or there is no measure for them.
        """
        return None

    def draw(self, axes, n, rng, title=None):
        """Draw n samples on matplotlib axes. What is not an image (points in the plane, text) overrides this."""
        from minigen import viz

        viz.draw_images(axes, self.sample(n, rng), _columns(n), title=title)

    def sample_picture(self, path, n, rng):
        """Draw n samples into a PNG file; returns the path."""
        from minigen import viz

        rows = -(-n // _columns(n))
        height = viz.WIDTH * min(rows / _columns(n), 2.5) + 0.6
        picture, axes = viz.figure(f"The first {n} samples, not picked", height=height)
        self.draw(axes, n, rng)
        viz.save(picture, path)
        return Path(path)

    def pictures(self, folder):
        """Draw what is worth seeing of the finished run into its folder; returns the paths."""
        return [self.sample_picture(Path(folder) / "samples.png", 64, np.random.default_rng(0)), loss_picture(folder)]


def descend(loss, *optimizers, clipped=()):
    """One step downhill on a loss, a Tensor of one number; returns it as a float.

    The three lines that the first recipes, mlp_moons and classifier_digits, write out, as their lessons show them.

    optimizers: they share the parameters, each has some.
    clipped:    parameters whose gradients, as one vector, are cut to length 1 at most
    """
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    clipped = list(clipped)
    if clipped:
        clip_grad_norm_(clipped, 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


def loss_picture(folder):
    """loss.png from the run's metrics.jsonl: the training loss, smoothed, and the validation if there was one."""
    from minigen import viz

    curves = read_metrics(folder)
    loss = next(iter(curves))  # the first metric of a step is its loss
    steps, values = (np.array(column, float) for column in zip(*curves[loss], strict=True))
    width = max(1, len(values) // 100)
    usable = len(values) // width * width
    series = {"training": tuple(column[:usable].reshape(-1, width).mean(1) for column in (steps, values))}
    if "validation" in curves:
        series["validation"] = tuple(np.array(column, float) for column in zip(*curves["validation"], strict=True))
    path = Path(folder) / "loss.png"
    viz.curves(series, "Loss over the steps", xlabel="step", ylabel=loss, path=path,
               colours={"training": "muted", "validation": "model"})
    return path


BETWEEN = "\n\n* * *\n\n"  # two texts in one file
LINE = 1.4  # from one line of text to the next, in sizes of its letters


def draw_text(axes, texts, *, size=8, title=None, family=None):
    """Write texts on matplotlib axes, one below the other, wrapped to their width: as many as there is room for.

    size:     of the letters, in points.
    family:   of fonts: "monospace" for code.
    Returns:  how many lines it came to.
    """
    axes.set_axis_off()
    if title:
        axes.set_title(title, loc="left")
    axes.figure.draw_without_rendering()  # lays the figure out: now the axes have the size that they will have
    width, height = (length / axes.figure.dpi * 72 for length in (axes.bbox.width, axes.bbox.height))  # in points
    lines = text_lines(texts, width, size, family)
    room = max(1, int(height / (LINE * size)))
    axes.text(0, 1, "\n".join(lines[:room]), size=size, va="top", ha="left", linespacing=LINE, parse_math=False,
              family=family, transform=axes.transAxes, clip_on=True)
    return len(lines)


def text_lines(texts, width, size, family=None):
    """Texts as lines that fit into a width in points; an empty line between two texts."""
    letter = 0.63 if family == "monospace" else 0.54  # how wide a letter is about, in sizes
    characters = max(20, int(width / (letter * size)))
    lines = []
    for text in map(printable, texts):
        lines += [""] * bool(lines)
        for line in text.split("\n"):
            lines += textwrap.wrap(line, characters) or [""]
    return lines


def printable(text):
    """A text in which control characters, which an untrained model may write, are shown as the sign �."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in text)


def _columns(n):
    return max(1, min(16, math.ceil(math.sqrt(n))))
