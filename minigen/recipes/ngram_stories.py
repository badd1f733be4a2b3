"""ngram-stories: n-grams of rising order on stories whose exact entropy is known.

An n-gram has no gradient: a step counts one character more of context, so that step k makes the model of order k. With
the order the cross-entropy falls towards the exact entropy of the story grammar, but stays well above it: who has the
kite at the end was said a hundred characters before. And then it rises again, because most long contexts were seen once
only.

Protocol: about 1,000,000 characters to count in, a tenth as many to choose the order on, a tenth as many for the
figures, from three generators. Nats per character; the floor is the exact entropy, `stories.entropy_per_character()`.
"""

from pathlib import Path

import numpy as np

from minigen.data import stories
from minigen.data.characters import Characters
from minigen.models.ngram import NGram
from minigen.recipes import base
from minigen.train import read_metrics

LONGEST = 1_000  # characters: a story that goes on for longer is cut there


class Experiment(base.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    text = True
    checkpoint_every = 1_000  # counting again is as fast as reading a checkpoint
    part = "test"             # what the figures are measured on
    in_picture = 8

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed = seed
        self.load(seed, quick, data)
        self.steps = steps or self.orders(quick)
        self.model = NGram(1, self.characters.size)
        self.state = {"model": self.model}

    def orders(self, quick):
        """The highest order: the number of steps."""
        return 8 if quick else 14

    def load(self, seed, quick, data):
        """Set what the model is fitted to and measured on, as numbers, and the alphabet."""
        self.characters = Characters(stories.alphabet())
        splits = stories.splits(100_000 if quick else 1_000_000, seed=seed)
        self.train, self.validation, self.test = map(self.characters.encode, splits)

    def step(self):
        """One character more of context. The cross-entropies of the new order, in nats per character."""
        self.model.deepen(self.train)
        return {"validation": self.model.cross_entropy(self.validation),
                "training": self.model.cross_entropy(self.train[: len(self.validation)])}

    def best_order(self):
        """The order with the least cross-entropy on the validation text."""
        orders = range(1, self.model.order + 1)
        return min(orders, key=lambda order: self.model.cross_entropy(self.validation, order=order))

    def evaluate(self):
        """The cross-entropy for every order, in nats per character; for stories also the floor, and the best order."""
        measured = getattr(self, self.part)
        by_order = {f"{self.part}_order{order}": self.model.cross_entropy(measured, order=order)
                    for order in range(1, self.model.order + 1)}
        best = self.best_order()
        chosen = {"best_order": best, f"{self.part}_best": by_order[f"{self.part}_order{best}"]}
        return chosen | by_order | self.floor()

    def floor(self):
        """Figures that no model can beat."""
        return {"exact_entropy": stories.entropy_per_character()}

    def sample(self, n, rng):
        """n new stories of the best order, a list of str. They are rarely true to the grammar."""
        end = self.characters.encode(stories.END)
        found, order = [], self.best_order()
        while len(found) < n:
            tokens = self.model.sample(LONGEST, rng=rng, context=end, order=order)
            whole = self.characters.decode(tokens).split(stories.END)
            found += whole[:-1] or whole
        return found[:n]

    def draw(self, axes, n, rng, title=None):
        """As many of n samples as there is room for."""
        base.draw_text(axes, self.sample(min(n, self.in_picture), rng), title=title)

    def sample_picture(self, path, n, rng):
        """n samples in a PNG file, as tall as they need; returns the path."""
        from minigen import viz

        texts, size = self.sample(n, rng), 9
        lines = 1 + len(base.text_lines(texts, 72 * viz.WIDTH, size))
        height = lines * base.LINE * size / 72 + 0.5
        picture, axes = viz.figure(f"The first {n} samples, not picked", height=height)
        base.draw_text(axes, texts, size=size)
        viz.save(picture, path)
        return Path(path)

    def pictures(self, folder):
        """Samples, and the cross-entropy against the order."""
        samples = self.sample_picture(Path(folder) / "samples.png", self.in_picture, np.random.default_rng(0))
        return [samples, self.order_picture(folder)]

    def order_picture(self, folder):
        """orders.png from the run's metrics.jsonl."""
        from minigen import viz

        curves = read_metrics(folder)
        series = {name: tuple(np.array(column, float) for column in zip(*curves[name], strict=True))
                  for name in ("training", "validation")}
        name, value = self.reference()
        orders, highest = series["training"][0], series["validation"][1].max()
        series[name] = (orders, np.full(len(orders), value))
        least = min(values.min() for _, values in series.values())
        picture = viz.curves(
            series, self.finding(), xlabel="order (characters of context, plus one)", ylabel="nats per character",
            colours={"training": "muted", "validation": "model", name: "data"}, styles={name: "--"},
            yscale="log", ylim=(0.8 * least, 1.2 * highest), **_ticks(least, highest),
        )  # fmt: skip
        picture.axes[0].minorticks_off()
        path = Path(folder) / "orders.png"
        viz.save(picture, path)
        return path

    def reference(self):
        """A figure to draw beside the curves: (name, nats per character)."""
        return "exact entropy", stories.entropy_per_character()

    def finding(self):
        """The title of the picture."""
        return f"Longer contexts help up to order {self.best_order()}; what was said long before stays out of reach"


def _ticks(low, high):
    """Plain numbers on a logarithmic axis."""
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4) if 0.8 * low < tick < 1.2 * high]
    return {"yticks": ticks, "yticklabels": [f"{tick:g}" for tick in ticks]}


RECIPE = base.Recipe(
    name="ngram-stories",
    summary="n-grams with Witten–Bell interpolation on stories of known entropy",
    lesson="01",
    build=Experiment,
    band={"test_best": (0.28, 0.30), "test_order5": (0.53, 0.55), "test_order8": (0.32, 0.34)},
    quick_band={"test_best": (0.37, 0.46)},
    anchor="the exact entropy of the grammar: 0.1167 nats per character",
    source="Witten & Bell 1991, IEEE Trans. Information Theory 37(4); Chen & Goodman 1999",
    budget_seconds=30,
    demo_steps=8,
)
