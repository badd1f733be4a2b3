"""classifier-digits: a convolutional network that reads 8×8 handwritten digits.

Four blocks of convolution, batch normalisation and relu, AdamW with a cosine schedule, and digits moved by up to one
pixel: with 1,350 examples, knowing that a digit may stand a little to the left is worth more than any other choice.

Protocol: `Development` trains on the first 1,000 digits and looks at the next 350; width, dropout, rate, decay, shifts
and number of steps were chosen there. The recipe then trains on all 1,350 with these choices, for a fixed number of
steps, and looks at the last 447 once, in `evaluate`.
"""

import math
from pathlib import Path

import numpy as np

from minigen.data import digits
from minigen.data.batches import Batches
from minigen.data.shifts import shifted
from minigen.metrics.classification import accuracy, accuracy_error, confusion
from minigen.models.classifier import Classifier, conv_network
from minigen.optim import AdamW, Schedule, cosine, decay_groups
from minigen.recipes import base


class Experiment(base.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    batch_size = 64
    most_shifted = 1  # pixels
    threads = 1  # arrays this small gain little from a second thread, and lose much where that has to wait for a core

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.rng = np.random.default_rng(seed)
        self.splits = digits.splits(flat=False)
        self.train, self.held_out = self.parts()
        self.steps = steps or (200 if quick else 800)
        self.model = self.make_model(self.rng)
        self.batches = Batches(tuple(self.train), self.batch_size, rng=np.random.default_rng([seed, 1]), drop_last=True)
        self.optimizer = AdamW(decay_groups(self.model.parameters(), 1e-2), lr=3e-3)
        self.schedule = Schedule(self.optimizer, cosine, total=self.steps, warmup=min(50, self.steps // 5))
        self.state = {"model": self.model, "optimizer": self.optimizer, "batches": self.batches, "rng": self.rng}

    def parts(self):
        """What to train on, and what to look at afterwards, as two Digits: here the first 1,350 and the test digits."""
        train, validation, test = self.splits
        return digits.Digits(*map(np.concatenate, zip(train, validation, strict=True))), test

    def make_model(self, rng):
        """The classifier."""
        return Classifier(conv_network(digits.SIDE, digits.CLASSES, width=32, dropout=0.2, high=digits.LEVELS - 1,
                                       rng=rng), digits.CLASSES)  # fmt: skip

    def step(self):
        """One step: a batch, its mean loss, the gradient by backpropagation, the optimiser's move."""
        self.schedule(self.batches.epoch * len(self.batches) + self.batches.position // self.batch_size)
        self.model.train()
        images, labels = next(self.batches)
        loss = self.model.loss(shifted(images, self.most_shifted, rng=self.rng), labels).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}

    def evaluate(self):
        """On the test digits: accuracy in percent, its standard error, and the loss in nats per digit."""
        return self._figures("test", self.held_out)

    def _figures(self, name, part):
        self.model.eval()
        log_probs = self.model.log_probs(part.images)  # (B, K)
        share = accuracy(part.labels, log_probs.argmax(axis=1))
        return {
            f"{name}_accuracy": 100 * share,
            f"{name}_accuracy_error": 100 * accuracy_error(share, len(part.labels)),
            f"{name}_nats": float(-log_probs[np.arange(len(part.labels)), part.labels].mean()),
        }

    # -- pictures -----------------------------------------------------------------------------------------------------

    def predictions(self):
        """(images (B, 1, 8, 8), labels (B,), predicted (B,)) of the digits that were held out."""
        self.model.eval()
        return *self.held_out, self.model.predict(self.held_out.images)

    def sample(self, n, rng):
        """n digits that were held out, drawn at random, (n, 8, 8)."""
        chosen = rng.choice(len(self.held_out.images), size=n, replace=n > len(self.held_out.images))
        return self.held_out.images[chosen, 0]

    def draw(self, axes, n, rng, title=None):
        """n digits that were held out, each with the label it was given; mistakes in a frame."""
        images, labels, predicted = self.predictions()
        chosen = rng.choice(len(images), size=n, replace=n > len(images))
        draw_labelled(axes, images[chosen], labels[chosen], predicted[chosen], math.ceil(math.sqrt(n)))
        if title:
            axes.set_title(title, loc="left")

    def sample_picture(self, path, n, rng):
        """Draw n digits with their labels into a PNG file; returns the path."""
        from minigen import viz

        picture, axes = viz.figure("Read as (and meant as); mistakes framed", height=6.6)
        self.draw(axes, n, rng)
        viz.save(picture, path)
        return Path(path)

    def pictures(self, folder):
        """Random digits with their labels, all mistakes, the confusions, and the loss over the steps."""
        folder = Path(folder)
        return [*super().pictures(folder), self.mistakes_picture(folder / "mistakes.png"),
                self.confusion_picture(folder / "confusion.png")]

    def mistakes_picture(self, path):
        """All digits that were taken for something else, as a PNG file; returns the path."""
        from minigen import viz

        images, labels, predicted = self.predictions()
        wrong = np.flatnonzero(labels != predicted)
        title = f"All {len(wrong)} mistakes among {len(labels)} digits: read as (and meant as)"
        picture, axes = viz.figure(title, height=0.5 + 0.75 * max(1, math.ceil(len(wrong) / 8)))
        axes.set_axis_off()
        if len(wrong):
            draw_labelled(axes, images[wrong], labels[wrong], predicted[wrong], 8)
        viz.save(picture, path)
        return path

    def confusion_picture(self, path):
        """How many of each digit were taken for which, as a PNG file; returns the path."""
        from minigen import viz

        _, labels, predicted = self.predictions()
        picture, axes = viz.figure("What was taken for what", height=5.2)
        draw_confusion(axes, confusion(labels, predicted, digits.CLASSES))
        viz.save(picture, path)
        return path


class Development(Experiment):
    """For making choices: trains on the first 1,000 digits, looks at the next 350, never at the test digits."""

    validate_every = 25

    def parts(self):
        """The training and the validation digits."""
        return self.splits.train, self.splits.validation

    def validate(self):
        """The loss on the validation digits, in nats per digit."""
        return self.evaluate()["validation_nats"]

    def evaluate(self):
        """On the validation digits: accuracy in percent, its standard error, and the loss in nats per digit."""
        return self._figures("validation", self.held_out)


def draw_labelled(axes, images, labels, predicted, columns):
    """A grid of digits, above each what it was read as; a mistake has a frame and names the truth in brackets.

    Shapes:   images (n, 1, 8, 8), labels (n,), predicted (n,)
    """
    from minigen import viz

    gap, side = 4, digits.SIDE
    viz.draw_images(axes, images, columns, scale=(0, digits.LEVELS - 1), gap=gap)
    axes.set_ylim(axes.get_ylim()[0] + 1, -gap)
    axes.set_xlim(-1.5, min(columns, len(images)) * (side + gap) - gap + 0.5)
    for index, (label, guess) in enumerate(zip(labels, predicted, strict=True)):
        top, left = index // columns * (side + gap), index % columns * (side + gap)
        tint = viz.colour("model" if label == guess else "discriminator")
        text = f"{guess}" if label == guess else f"{guess} ({label})"
        axes.text(left + side / 2 - 0.5, top - 1.1, text, color=tint, fontsize=9, fontweight="bold", ha="center")
        if label != guess:
            low, right, high, foot = left - 0.7, left + side - 0.3, top - 0.7, top + side - 0.3
            axes.plot([low, right, right, low, low], [high, high, foot, foot, high], color=tint)


def draw_confusion(axes, counts):
    """A table of counts, rows what was meant, columns what was read; mistakes are coloured, right answers grey.

    Shapes:   counts (K, K)
    """
    from minigen import viz

    classes = len(counts)
    wrong = counts * (1 - np.eye(classes, dtype=int))
    axes.imshow(np.where(wrong > 0, wrong, np.nan), cmap="Oranges", vmin=0, vmax=max(1, 1.6 * wrong.max()))
    for row in range(classes):
        for column in range(classes):
            if counts[row, column]:
                right = row == column
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=10,
                          color="#777777" if right else viz.colour("data"), fontweight="normal" if right else "bold")
    axes.set(xticks=range(classes), yticks=range(classes), xlabel="read as", ylabel="meant as")
    axes.grid(False)


RECIPE = base.Recipe(
    name="classifier-digits",
    summary="convolutional classifier of 8×8 digits, shifted by up to a pixel",
    lesson="03",
    build=Experiment,
    # Seeds 0, 1, 2 gave 98.2, 98.0 and 98.2 (quick: 96.6, 97.8, 96.6); one digit is 0.22 %. The lower end is the goal
    # that was set. Above the upper end the test digits would have been seen in training.
    band={"test_accuracy": (97.0, 99.6)},
    quick_band={"test_accuracy": (94.5, 99.4)},
    anchor="the goal set: 97 %",
    source="LeCun et al. 1998; Ioffe & Szegedy 2015, arXiv:1502.03167",
    budget_seconds=30,
)
