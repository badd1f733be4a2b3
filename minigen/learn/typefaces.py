"""Watching a style-based generator of letters while it trains, and asking a reader what it drew (lesson 09)."""

import copy
import json
import os
from pathlib import Path

import numpy as np

import minigen
from minigen import viz
from minigen.autograd import Tensor
from minigen.learn.exercise import WrongForm
from minigen.learn.page import Live, say
from minigen.learn.watching import smooth
from minigen.metrics import features
from minigen.metrics.neighbours import manifold_scores
from minigen.optim import Adam

ATTRIBUTES = ("letter", "weight", "slant", "family")


class Film:
    """A training of stylegan-glyphs' kind that goes on from cell to cell, and what was seen of it.

        film = Film(experiment, real)
        film.until(400, "first letters")     # trains, shows, and prints how good it is; call again to go on

    real:     pictures that were held out, (n, 1, 28, 28) in −1 … 1, against which precision and recall are measured
    columns:  how many styles a sheet has, always the same ones
    keep:     steps whose sheets are kept, beside those at which training stops
    losses:   a dict from "discriminator" and "generator" to one number per step
    sheets:   a dict from a step to pictures (letters · columns, 1, 28, 28), one row for each letter
    figures:  a dict from a step to what `scores` said
    """

    def __init__(self, experiment, real, columns=12, keep=()):
        self.experiment, self.real, self.columns, self.keep = experiment, real, columns, set(keep)
        self.losses, self.sheets, self.figures = {"discriminator": [], "generator": []}, {}, {}
        self._run, self._live, self._last = experiment.fit(progress=False), None, 0
        self.z = np.random.default_rng(0).standard_normal((columns, experiment.latent), dtype=np.float32)

    def until(self, step, title, *, every=100):
        """Train until after this step. In a live notebook the sheet is drawn anew every so many steps."""
        static, live = bool(os.environ.get("MINIGEN_STATIC")), Live()
        while self._last < step:
            report = next(self._run)
            self._last = report.step
            for name, values in self.losses.items():
                values.append(report.metrics[name])
            if self._last == step or (self._last % every == 0 and not static):
                live.show(self.picture(f"Step {self._last:,}: {title}"))
            if self._last in self.keep | {step}:
                self.sheets[self._last] = self.sheet()
        if self._last == self.experiment.steps:
            for _ in self._run:  # there is no further step, but an end: threads and files are given back
                pass
        found = self.figures[step] = scores(self.generator(), self.experiment.letters, self.real)
        say(f"step {step:5,}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))

    def picture(self, title):
        """The sheet as it is now, as a picture."""
        return viz.image_grid(self.sheet(), self.columns, title, scale=(-1, 1),
                              row_labels=list(self.experiment.letters))

    def sheet(self):
        """Every letter in the same styles, as the averaged generator draws them now: (letters · columns, 1, H, W)."""
        generator = self.generator()
        return sheet(generator, generator.styles(self.z), len(self.experiment.letters))

    def generator(self):
        """A copy of the generator with its averaged weights, as it is now."""
        with self.experiment.ema.averaged():
            return copy.deepcopy(self.experiment.model.generator).eval()

    def strip(self, title, steps, path, columns=4):
        """A filmstrip of the sheets after some steps, each with its first few columns; saved to a file."""
        picture, panels = viz.figure(title, 1, len(steps), width=8.4,
                                    height=8.4 / len(steps) / columns * len(self.experiment.letters) + 0.7)
        for axes, step in zip(panels, steps, strict=True):
            letters = self.sheets[step].reshape(-1, self.columns, *self.sheets[step].shape[1:])[:, :columns]
            viz.draw_images(axes, letters.reshape(-1, *letters.shape[2:]), columns, scale=(-1, 1))
            axes.set_title(f"step {step:,}", fontsize=10)
        return viz.save(picture, path)

    def draw_losses(self, axes):
        """The two losses over the steps, in nats."""
        for name, values in self.losses.items():
            axes.plot(*smooth(values, 80), color=viz.colour(name), linewidth=1.4)
        axes.set(xlabel="step    (dark: D, green: G)", ylabel="loss, nats")


def sheet(generator, w, letters):
    """Every letter in every style, the noise left out: row by row a letter.   Shapes: w (n, L) → (letters · n, 1, H, W)

    w:   also (depth, n, L), one style for each layer
    """
    w = np.asarray(w)
    tiled = np.tile(w, (letters, 1)) if w.ndim == 2 else np.tile(w, (1, letters, 1))
    return generator.pictures(tiled, np.repeat(np.arange(letters), w.shape[-2]))


def drawn(generator, letters, n, *, truncation=1.0, noise=True, seed=1):
    """n pictures, the letters in turn: their z (n, L), w (n, L), labels (n,) and the pictures (n, 1, H, W)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(letters)
    z = rng.standard_normal((n, generator.latent), dtype=np.float32)
    w = generator.styles(z, truncation=truncation)
    return z, w, labels, generator.pictures(w, labels, rng=rng if noise else None)


def scores(generator, letters, real, *, truncation=1.0, n=1000):
    """Of n pictures: the share of right letters, precision and recall against real ones, as a dict."""
    _, _, labels, pictures = drawn(generator, letters, n, truncation=truncation)
    network = features.load("glyphs")
    found = manifold_scores(network(ink(real)), network(ink(pictures)))
    right = np.mean(read(pictures, letters)["letter"] == labels)
    return {"right letters": float(right), "precision": found.precision, "recall": found.recall}


def published(recipe, metrics, path=None):
    """Say what the repository's figures/results.json has of a recipe: the figures named, seed by seed.

    path:   of another such file
    """
    path = Path(minigen.__file__).parents[1] / "figures" / "results.json" if path is None else Path(path)
    try:
        runs = json.loads(path.read_text(encoding="utf-8")).get(recipe, [])
    except OSError:
        runs = []
    for run in runs:
        told = ", ".join(f"{name.replace('_', ' ')} {run['metrics'][name]:.3f}" for name in metrics)
        say(f"{recipe}, {run['steps']:,} steps, seed {run['seed']}: {told}; {run['seconds'] / 60:.0f} minutes")
    if not runs:
        say(f"(The figures of {recipe} are in the repository, figures/results.json.)")


def search_errors(generator, targets, labels, *, noise=None, steps=100, rate=0.1):
    """The mean error (9.12) at each step of a search for styles by Adam, from the mean style.

    noise:   a generator of random numbers if fresh noise is to stay in the drawings, as it should not
    """
    w = Tensor(np.repeat(generator.mean_style, len(targets), axis=0), requires_grad=True)
    optimizer, errors = Adam([w], lr=rate), []
    for _ in range(steps):
        drawing = generator.synthesis([w] * generator.synthesis.depth, labels, rng=noise)
        found = ((drawing - targets) ** 2).mean((1, 2, 3))
        errors.append(float(found.data.mean()))
        optimizer.zero_grad()
        found.sum().backward()
        optimizer.step()
    return np.array(errors)


def ink(pictures):
    """Pictures in −1 … 1 as ink from 0 to 1; what lies outside is cut off.   Shapes: (n, 1, H, W), the same"""
    return np.clip((np.asarray(pictures, dtype=np.float32) + 1) / 2, 0, 1)


def read(pictures, letters):
    """What the frozen reader sees: a dict from letter, weight, slant and family to whole numbers (n,).

    letter: place in `letters`; weight: 1 for bold; slant: 1 for italic; family: sans, serif, mono
    """
    network, seen = features.load("glyphs"), ink(pictures)
    answers = {name: network.answers(seen, name) for name in ATTRIBUTES[1:]}
    return {"letter": network.answers(seen, "character", among=letters)} | answers


def shares(pictures, labels, letters):
    """What share of pictures the reader takes for bold, for italic, and for the letter asked for, as a dict."""
    found = read(pictures, letters)
    return {"bold": float(np.mean(found["weight"] == 1)), "italic": float(np.mean(found["slant"] == 1)),
            "right letters": float(np.mean(found["letter"] == labels))}


def chance(pictures, question):
    """The reader's probability of the last answer to a question: of bold, of italic.   Shapes: → (n,)"""
    return features.load("glyphs").probabilities(ink(pictures), question)[:, -1]


def follows(first, other, mixed):
    """For each attribute: among pictures whose two sources differ in it, the share in which the mixed one has the
    other's. Each argument is what `read` gave; the result a dict from name to a share."""
    found = {}
    for name in first:
        differ = first[name] != other[name]
        found[name] = float(np.mean(mixed[name][differ] == other[name][differ])) if differ.any() else float("nan")
    return found


def per_layer(w, other, layers, depth):
    """Styles for every layer: w, but `other` in the layers listed.   Shapes: (n, L) and (n, L) → (depth, n, L)"""
    return np.stack([other if layer in set(layers) else w for layer in range(depth)])


def log_odds(pictures, question):
    """log p/(1 − p) of the reader's probability of the last answer: of bold, of italic.   Shapes: → (n,)"""
    p = np.clip(chance(pictures, question), 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))


def features_of(pictures):
    """The reader's features of drawn pictures, (n, F)."""
    return features.load("glyphs")(ink(pictures))


# -- the judge of exercise 09.3 ---------------------------------------------------------------------------------------

PAIRS = 240
FOLLOWS, STAYS = 0.5, 0.3  # the least share of weights that follow, the largest of slants


def layers_of_weight(function):
    """Open exercise 09.3: mixing in some layers hands over the weight, and neither the slant nor the letter."""
    generator, layers = _layers(function())
    rng = np.random.default_rng(0)
    labels = np.arange(PAIRS) % generator.synthesis.starts
    w, other = (generator.styles(rng.standard_normal((PAIRS, generator.latent), dtype=np.float32)) for _ in range(2))
    mixed = per_layer(w, other, layers, generator.synthesis.depth)
    letters = tuple(map(chr, range(ord("A"), ord("Z") + 1)))
    first, second, found = (read(generator.pictures(style, labels), letters) for style in (w, other, mixed))
    share, kept = follows(first, second, found), float(np.mean(found["letter"] == first["letter"]))
    if not (np.isfinite(share["weight"]) and np.isfinite(share["slant"])):
        return False, "All drawings of this generator have one weight or one slant: is this the trained generator?"
    text = (f"With the other style in the layers {layers}, of {PAIRS} drawings: the weight follows it in "
            f"{share['weight']:.0%} of those that differ, the slant in {share['slant']:.0%}, and {kept:.1%} of the "
            "letters stay.")
    if kept < 0.95:
        return False, f"{text} Letters must stay (95 %): is this the trained generator?"
    if share["weight"] < FOLLOWS:
        return False, f"{text} At least {FOLLOWS:.0%} of the weights shall follow. Which layers draw strokes?"
    if share["slant"] > STAYS:
        return False, (f"{text} The slant comes along; at most {STAYS:.0%} of the slants may follow. Take fewer, and "
                       "finer layers.")
    return True, f"{text} The layers hold different things, although nobody told them to."


def _layers(answer):
    if not isinstance(answer, tuple) or len(answer) != 2 or not hasattr(answer[0], "synthesis"):
        raise WrongForm("It returned something else, wanted a pair: your trained generator, and a list of layers.")
    generator, layers = answer
    depth = generator.synthesis.depth
    layers = sorted({int(layer) for layer in np.atleast_1d(layers)}) if np.size(layers) else []
    if not layers or not 0 <= layers[0] <= layers[-1] < depth:
        raise WrongForm(f"The layers are {layers}; wanted at least one, numbered 0 to {depth - 1}.")
    return generator, layers
