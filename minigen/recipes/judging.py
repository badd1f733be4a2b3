"""How good are a run's samples? `minigen evaluate DIR`: every measure of `metrics/`, beside that of real pictures.

A figure alone says little: a Fréchet distance depends on the features and on the number of samples, a precision on the
data. So each figure stands beside its *floor*, the same figure for real pictures that were held out, measured against
the same training pictures. A model that is as good as the floor cannot be told from the data; being better is no merit
(a model that copies the training set is better in all but the last two).

A recipe says by `Experiment.real()` what its samples are measured against: `Pictures`, or `Points` of a known law.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigen.data.cache import atomic_write
from minigen.errors import CommandError, RecipeError, ShapeError
from minigen.metrics import features, kernel, neighbours
from minigen.metrics.frechet import frechet_distance
from minigen.metrics.likelihood import Estimate
from minigen.metrics.modes import count_modes, reverse_kl

LEAST = 50  # samples; with fewer no figure says anything
POINTS = 2500  # the protocol of the published figures on ring and grid
SHOWN = 12  # samples in a row of the picture


class Pictures(NamedTuple):
    """Real pictures of levels 0 (paper) … high (ink), any shape that `viz.as_images` takes.

    features:  the name of the frozen network (`metrics/features.py`) in whose features they are compared
    among:     what they can show, as answers to the network's first question; None: any of its answers
    """

    train: np.ndarray
    held_out: np.ndarray
    high: float
    features: str
    among: str | tuple | None = None


class Points(NamedTuple):
    """Points in the plane: the law that they follow, with `sample(n, rng=…)`; with `means` and `sigma` it has modes."""

    law: Any


class Figure(NamedTuple):
    """One line of the table: the figure of the samples, its floor, and what it should be; figures may be Estimates."""

    label: str
    samples: Any
    floor: Any
    aim: str


class Judgement(NamedTuple):
    """What `judge` found: dict from a plain name to Figure; counts; the network's name; what the picture needs."""

    figures: dict
    counts: dict
    features: str | None
    drawn: tuple | None


def judge(experiment, n=None, *, seed=0):
    """Draw n samples of a trained experiment and measure them and the floor.

    n:        how many samples; default as many as there are pictures held out, or 2,500 points.
    seed:     of the samples, and of what is drawn at random in measuring.
    Raises:   RecipeError if the experiment's samples have no such measure, are too few or not finite.
    """
    real = experiment.real()
    if real is None:
        raise RecipeError(f"evaluate: {type(experiment).__module__.rpartition('.')[2].replace('_', '-')} makes neither "
                          "pictures nor points to be compared with real ones; its figures are in result.json")
    if n is not None and n < LEAST:
        raise RecipeError(f"evaluate: {n} samples are too few to say anything; expected at least {LEAST}")
    rng = np.random.default_rng([seed, 1])
    if isinstance(real, Points):
        return _judge_points(experiment, real.law, n or POINTS, seed, rng)
    return _judge_pictures(experiment, real, n or len(real.held_out), seed, rng)


def _judge_pictures(experiment, real, n, seed, rng):
    network = features.load(real.features)
    samples, train, held_out = (_unit(images, real.high, network.size) for images in (
        experiment.sample(n, np.random.default_rng(seed)), real.train, real.held_out))
    held_out = held_out[rng.permutation(len(held_out))[:n]]  # as many as samples, where there are so many
    z, z_train, z_held_out = map(network, (samples, train, held_out))
    found = _compare(z, z_train, z_held_out, rng)
    distances = [kernel.kernel_distance(part, z_train, rng=rng) for part in (z, z_held_out)]
    found = {"frechet": found.pop("frechet"), "kernel": Figure("kernel distance", *distances, "0")} | found
    found |= _reading(network, real.among, samples, train, held_out)
    flat, flat_train, flat_held_out = (part.reshape(len(part), -1) for part in (samples, train, held_out))
    copies = neighbours.copying(flat, flat_train, flat_held_out)
    floor = neighbours.copying_floor(flat_train, flat_held_out)
    found["nearest_ratio"] = Figure("nearest training ÷ held-out picture", copies.ratio, floor.ratio, "as held out")
    found["copied"] = Figure("nearer to training than held out", copies.copied, floor.copied, "½; copies: 1")
    counts = {"samples": len(samples), "held_out": len(held_out), "train": len(train)}
    return Judgement(found, counts, network.name, (samples, train, copies.ratio, floor.ratio))


def _reading(network, among, samples, train, held_out):
    """What the network reads: is it legible, does each class come, as often as in training? Dict of Figures."""
    question, answers = next(iter(network.questions.items()))
    among = tuple(answers if among is None else among)
    seen = np.unique(network.answers(train, among=among))
    among = [among[answer] for answer in seen]  # of a class that is not there no share can be asked
    ours, usual, floor = (network.probabilities(part, among=among) for part in (samples, train, held_out))
    counts = [np.bincount(part.argmax(axis=1), minlength=len(among)) for part in (ours, usual, floor)]
    legible = [float((part.max(axis=1) > 0.9).mean()) for part in (ours, floor)]
    divergence = [reverse_kl(part, counts[1]) for part in (counts[0], counts[2])]
    drawn = [int((part > 0).sum()) for part in (counts[0], counts[2])]
    return {"legible": Figure(f"share legible ({question}, p > 0.9)", *legible, "as held out"),
            "classes": Figure(f"different {question}s, of {len(among)}", *drawn, "all"),
            "classes_kl": Figure(f"reverse KL of each {question}'s share, nats", *divergence, "0")}


def _judge_points(experiment, law, n, seed, rng):
    samples = np.asarray(experiment.sample(n, np.random.default_rng(seed)), dtype=np.float64)
    if not np.isfinite(samples).all():
        raise RecipeError(f"evaluate: {np.sum(~np.isfinite(samples).all(1))} of {n} samples are not finite")
    train, held_out = law.sample(n, rng=rng), law.sample(n, rng=rng)
    found = {}
    if hasattr(law, "means"):
        ours, floor = (count_modes(part, law.means, law.sigma, law.weights) for part in (samples, held_out))
        found["modes"] = Figure(f"modes captured, of {len(law.means)}", ours.captured, floor.captured, "all")
        found["high_quality"] = Figure("share of high quality (3σ)", ours.high_quality, floor.high_quality, "0.989")
        found["reverse_kl"] = Figure("reverse KL over the modes, nats", ours.reverse_kl, floor.reverse_kl, "0")
    counts = dict.fromkeys(("samples", "held_out", "train"), n)
    return Judgement(found | _compare(samples, train, held_out, rng), counts, None, None)


def _compare(samples, train, held_out, rng):
    """What can be measured of any points: dict of Figures."""
    middle = kernel.median_distance(train, train)
    several = kernel.rbf(middle / 2, middle, 2 * middle)
    scores = [neighbours.manifold_scores(train, part) for part in (samples, held_out)]
    blocks = [Estimate(kernel.mmd(part, train, several), kernel.block_mmd(part, train, several, rng=rng).error)
              for part in (samples, held_out)]  # fmt: skip
    return {
        "frechet": Figure("Fréchet distance", *(frechet_distance(part, train) for part in (samples, held_out)),
                          "as held out"),
        "mmd": Figure("MMD², RBF kernel", *blocks, "0"),
        "precision": Figure("precision", scores[0].precision, scores[1].precision, "as held out"),
        "recall": Figure("recall", scores[0].recall, scores[1].recall, "as held out"),
        "density": Figure("density", scores[0].density, scores[1].density, "1"),
        "coverage": Figure("coverage", scores[0].coverage, scores[1].coverage, "as held out"),
    }  # fmt: skip


def _unit(images, high, side):
    """Pictures as (n, side, side) in [0, 1]; what a model drew beyond paper and ink is cut off."""
    from minigen.viz import as_images

    images = as_images(images) / high
    height, width = images.shape[1:]
    if height != width or not side / 2 <= width <= side:
        raise ShapeError(f"evaluate: pictures of {height}×{width} pixels; the feature network takes {side}×{side}, or "
                         "squares of at least half that, which are enlarged")
    finite = np.isfinite(images).all((1, 2))
    if not finite.all():
        raise RecipeError(f"evaluate: {np.sum(~finite)} of {len(images)} samples are not finite")
    images = np.clip(images, 0, 1)
    return features.enlarged(images, side) if width < side else images


# -- showing ----------------------------------------------------------------------------------------------------------


def evaluate(folder, *, n=None, seed=0, json_path=None, say=print):
    """`minigen evaluate`: judge the run in a folder, print the table, draw the picture, write the JSON file.

    Raises:   as `judge` and `running.load`; CommandError if a file cannot be written.
    """
    from minigen.recipes.running import load

    folder = Path(folder)
    judgement = judge(load(folder), n, seed=seed)
    for line in lines(judgement):
        say(line)
    try:
        drawn = picture(judgement, folder / f"nearest-seed{seed}.png")
        if json_path is not None:
            content = json.dumps({"run": str(folder), "seed": seed, **as_dict(judgement)}, indent=1)
            with atomic_write(json_path) as stream:
                stream.write((content + "\n").encode())
    except OSError as error:
        raise CommandError(f"evaluate: {error.filename or folder}: cannot be written ({error})") from error
    for path in (drawn, json_path):
        if path is not None:
            say(f"written: {path}")


def lines(judgement):
    """The table as lines of text."""
    counts = judgement.counts
    what = "pictures" if judgement.features else "points"
    yield (f"{counts['samples']:,} samples, and {counts['held_out']:,} real {what} that were held out, both against "
           f"{counts['train']:,} training {what}")
    if judgement.features:
        yield f"compared in the features of {judgement.features}; copies are looked for in pixels"
    width = max(len(figure.label) for figure in judgement.figures.values())
    yield f"{'':<{width}}  {'samples':>17}  {'held out':>17}  should be"
    for figure in judgement.figures.values():
        yield f"{figure.label:<{width}}  {_text(figure.samples):>17}  {_text(figure.floor):>17}  {figure.aim}"


def as_dict(judgement):
    """The same for a JSON file: figures as floats, errors of Estimates beside them."""
    figures = {}
    for name, figure in judgement.figures.items():
        figures[name] = {}
        for column, value in (("samples", figure.samples), ("held_out", figure.floor)):
            figures[name][column] = float(value.mean if isinstance(value, Estimate) else value)
            if isinstance(value, Estimate):
                figures[name][f"{column}_error"] = value.error
    return {"figures": figures, "counts": judgement.counts, "features": judgement.features}


def picture(judgement, path):
    """Samples beside their nearest training pictures, by pixels, into a PNG file; None if there are no pictures.

    Above the first samples, not picked; below those that lie nearest to a training picture: copies would be here.
    """
    from minigen import viz

    if judgement.drawn is None:
        return None
    samples, train, ratio, floor = judgement.drawn
    distance, which = neighbours.nearest(samples.reshape(len(samples), -1), train.reshape(len(train), -1))
    rows = []
    for chosen in (np.arange(SHOWN), distance[:, 0].argsort(kind="stable")[:SHOWN]):
        rows += [samples[chosen], train[which[chosen, 0]]]
    title = (f"Samples and their nearest training pictures, {ratio:.2f} as far away as the nearest held-out ones "
             f"(for real pictures {floor:.2f})")
    figure, axes = viz.figure(title, 2, 1, height=viz.WIDTH * 4 / SHOWN + 1.15)
    names = f"the first {SHOWN} samples, not picked", f"the {SHOWN} nearest to a training picture"
    for part, name in enumerate(names):
        viz.draw_images(axes[part], np.concatenate(rows[2 * part : 2 * part + 2]), SHOWN, title=name, scale=(0, 1),
                        row_labels=("sample", "training"))  # fmt: skip
    viz.save(figure, path)
    return Path(path)


def _text(value):
    if isinstance(value, Estimate):
        digits = _decimals(value.error)
        return f"{value.mean:.{digits}f} ± {value.error:.{digits}f}"
    return f"{value:g}" if isinstance(value, int) or value == 0 else f"{value:.{_decimals(value)}f}"


def _decimals(value):
    """How many digits after the point: three, five below 0.01, fewer from 10 up."""
    size = abs(value)
    return 5 if size < 0.01 else 3 if size < 10 else 1 if size < 100 else 0
