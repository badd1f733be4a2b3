"""What recipes share whose model draws the picture that it is asked for: a digit, a letter, a head.

What they report of the trained model:

    read_as_asked    of 100 pictures drawn for each class, the share that a frozen network (`metrics/features.py`) takes
                     for the class that was asked for; it was trained on real pictures and has never seen a forged one
    real_as_asked    the same network's share of right answers on the held-out pictures: what it is worth
    frechet, precision, recall, density, coverage
                     in that network's features, as `minigen evaluate` measures them, against the training pictures
    …_real           the same for the held-out pictures
    nearest_ratio    how far the nearest training picture is, divided by how far the nearest held-out one; a copy has 0
"""

from pathlib import Path

import numpy as np

from minigen.metrics import features
from minigen.metrics.classification import accuracy
from minigen.recipes import base, judging

WITH_FLOOR = ("frechet", "precision", "recall", "density", "coverage", "nearest_ratio")


class Experiment(base.Experiment):
    """An experiment that draws what it is asked for; a subclass defines `load` and `draw_asked`.

    high, side, classes:   whole levels 0 … high of a pixel, pixels of a side, how many classes
    reader, among:         the frozen network, and what it may answer
    drawn:                 pictures of each class that the reader reads
    """

    high, side, classes = None, None, None
    reader, among = None, None
    drawn = 100
    train = held_out = None  # (pictures, labels)

    def load(self, quick):
        """Pictures and labels to train on, and those that are held out."""
        raise NotImplementedError(f"{type(self).__name__} does not define load")

    def draw_asked(self, labels, rng):
        """One picture for each label, (B,) → (B, H, W) of 0 … high."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw_asked")

    def seen(self, images):
        """Pictures of levels 0 … high as the networks see them: (B, …) → (B, 1, H, W) in −1 … 1."""
        return (images.reshape(-1, 1, self.side, self.side) * (2 / self.high) - 1).astype(np.float32)

    def ink(self, pictures):
        """The way back, (B, 1, H, W) → (B, H, W); in between the whole levels, too."""
        return np.clip((pictures[:, 0] + 1) * (self.high / 2), 0, self.high)

    def evaluate(self):
        """The figures of the module's docstring."""
        asked = np.repeat(np.arange(self.classes), self.drawn)
        drawn = self.draw_asked(asked, np.random.default_rng([self.seed, 2]))
        return {"read_as_asked": accuracy(asked, self.read(drawn)),
                "real_as_asked": accuracy(self.held_out[1], self.read(self.held_out[0]))} | self.judged()

    def judged(self):
        """The judge's figures of as many samples as there are pictures held out, each with its floor `…_real`."""
        return with_floors(judging.judge(self, seed=self.seed).figures)

    def read(self, images):
        """What the frozen network takes pictures for, (B, …) → (B,)."""
        return features.load(self.reader).answers(np.asarray(images) / self.high, among=self.among)

    def sample(self, n, rng):
        """n pictures, (n, H, W): each class in turn."""
        return self.draw_asked(np.arange(n) % self.classes, rng)

    def real(self):
        """The training pictures, and those that were held out."""
        return judging.Pictures(self.train[0], self.held_out[0], self.high, self.reader, self.among)

    def pictures(self, folder):
        """samples.png, a hundred of them, and loss.png."""
        from minigen import viz

        path = Path(folder) / "samples.png"
        viz.image_grid(self.sample(100, np.random.default_rng(0)), 10, "The first 100 samples, not picked", path,
                       scale=(0, self.high))
        return [path, base.loss_picture(folder)]


def with_floors(figures, names=WITH_FLOOR):
    """Some of the judge's figures as plain numbers: a dict with `name`, of the samples, and `name_real`, the floor."""
    return {f"{name}{ending}": float(value) for name in names
            for ending, value in (("", figures[name].samples), ("_real", figures[name].floor))}  # fmt: skip
