"""How the feature networks of `metrics/features.py` were trained: `python -m minigen.recipes.features glyphs`.

These are experiments like any other, but their product is a file of the package, not a result: whoever measures with
them needs the very same weights. So they are not listed among the recipes, and are run once.

    glyphs    endless letters in every size and place, from all fonts but those of the typeface STIX, which is kept to
              see what the network makes of a typeface that it never saw. Six questions at once.
    digits    the first 1,350 digits, in the order of the file; the last 447 are looked at once.
    phantoms  endless heads, half of them with a lesion. Seven questions at once, to which the generator knows the
              answers, numbers in classes. Not warped: that would change what is right.

Each picture is warped, blurred and made noisy a little: the pictures that the network will have to judge are not clean.
"""

import argparse
from collections import deque
from pathlib import Path

import numpy as np

from minigen import ops
from minigen.data import digits, glyphs, phantoms
from minigen.data.batches import Batches
from minigen.data.cache import atomic_write, sha256
from minigen.metrics import features
from minigen.metrics.classification import accuracy
from minigen.optim import AdamW, Schedule, cosine, decay_groups
from minigen.recipes import base
from minigen.train import Counter

HELD_OUT = "STIX"
# What training pays for being wrong, per question: the letter matters most.
IMPORTANCE = {"character": 1.0, "digit": 1.0, "lesion": 1.0}
OTHERS = 0.5
ANSWERS = {"character": tuple(glyphs.CHARACTERS), "family": glyphs.FAMILIES, "weight": glyphs.WEIGHTS,
           "slant": glyphs.SLANTS, "size": glyphs.SIZES, "position": glyphs.POSITIONS}  # fmt: skip
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


# Of a head: each question, its answers, and the numbers between which they change.
SIGNS = {"lesion": (("healthy", "lesion"), None),
         "place": (("none", "front left", "front right", "back left", "back right"), None),
         "extent": (("none", "small", "large"), (1, 16)),  # pixels of the lesion
         "tilt": (("far left", "left", "upright", "right", "far right"), (-0.132, -0.044, 0.044, 0.132)),
         "width": (("narrow", "middle", "wide"), (0.693, 0.727)),
         "grey": (("dark", "middle", "bright"), (0.367, 0.393)),
         "ventricles": (("small", "middle", "large"), (32, 45))}  # fmt: skip


class Training(base.Experiment):
    """What the two have in common. A subclass defines `draw_batch` and sets the sizes."""

    network = ""
    questions = None
    side, widths, width = 0, (), 0
    full_steps, quick_steps, rate = 0, 0, 3e-3
    warp = {}

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.rng = np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        self.model = features.FeatureNetwork(self.side, self.widths, self.width, self.questions, rng=self.rng)
        self.optimizer = AdamW(decay_groups(self.model.parameters(), 1e-2), lr=self.rate)
        self.schedule = Schedule(self.optimizer, cosine, total=self.steps, warmup=min(100, self.steps // 5))
        self.counter = Counter()
        self.state = {"model": self.model, "optimizer": self.optimizer, "counter": self.counter, "rng": self.rng}

    def step(self):
        """One step on the sum of the questions' losses, in nats."""
        self.schedule(self.counter.advance())
        self.model.train()
        images, labels = self.draw_batch()
        images = warped(images, **self.warp, rng=self.rng) if self.warp else images
        logits = self.model.logits(self.model(blemished(images, rng=self.rng)))
        loss = sum(IMPORTANCE.get(question, OTHERS) * ops.cross_entropy(logits[question], right).mean()
                   for question, right in labels.items())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}

    def draw_batch(self):
        """Pictures (B, H, W) in [0, 1], and a dict from question to the right answers (B,)."""
        raise NotImplementedError

    def frozen(self):
        """The network as it will be read from its file."""
        return features.read(self.network, features.pack(self.model))


class Glyphs(Training):
    """The network "glyphs"."""

    network = "glyphs"
    questions = ANSWERS
    side, widths, width = 28, (16, 32, 32, 48, 64), 64
    full_steps, quick_steps, batch_size = 5000, 40, 128
    warp = {"shear": 0.06, "stretch": 0.10, "move": 1.0}

    def draw_batch(self):
        """Letters of all typefaces but the one held out."""
        found = glyphs.sample(self.batch_size + self.batch_size // 2, rng=self.rng)
        keep = np.flatnonzero(found.typeface != glyphs.TYPEFACES.index(HELD_OUT))[: self.batch_size]
        labels = {question: getattr(found, question)[keep] for question in self.questions}
        return found.images[keep, 0] / np.float32(255), labels

    def evaluate(self):
        """Accuracies in percent, on letters that were not trained on: see `glyph_figures`."""
        return glyph_figures(self.frozen())


class Digits(Training):
    """The network "digits"."""

    network = "digits"
    questions = {"digit": tuple("0123456789")}
    side, widths, width = 8, (24, 32, 32, 48), 32
    full_steps, quick_steps, batch_size = 1500, 40, 64
    warp = {"shear": 0.12, "stretch": 0.12, "move": 0.8}

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        super().__init__(seed, quick, data=data, steps=steps)
        train, validation, _ = digits.splits(flat=False)
        images, labels = map(np.concatenate, zip(train, validation, strict=True))
        self.batches = Batches((images[:, 0], labels), self.batch_size, rng=np.random.default_rng([seed, 1]),
                               drop_last=True)  # fmt: skip
        self.state["batches"] = self.batches

    def draw_batch(self):
        """Digits of the first 1,350."""
        images, labels = next(self.batches)
        return images / np.float32(digits.LEVELS - 1), {"digit": labels}

    def evaluate(self):
        """Accuracy in percent on the 447 test digits."""
        return digit_figures(self.frozen())


class Phantoms(Training):
    """The network "phantoms"."""

    network = "phantoms"
    questions = {question: answers for question, (answers, _) in SIGNS.items()}
    side, widths, width = phantoms.SIZE, (16, 24, 32, 48), 32
    full_steps, quick_steps, batch_size = 2500, 40, 64

    def draw_batch(self):
        """Heads that nobody has seen before."""
        found = phantoms.sample(self.batch_size, rng=self.rng)
        return found.images[:, 0] / np.float32(255), signs(found)

    def evaluate(self):
        """Accuracies in percent, on heads that were not trained on: see `phantom_figures`."""
        return phantom_figures(self.frozen())


TRAININGS = {"glyphs": Glyphs, "digits": Digits, "phantoms": Phantoms}


def signs(found):
    """The right answers about phantoms: dict from question to places among its answers, (B,)."""
    masks = found.masks[:, 0]
    extent = masks.sum((1, 2))
    down, right = (np.arange(masks.shape[1]) - (masks.shape[1] - 1) / 2) @ np.stack(
        [masks.sum(2).T, masks.sum(1).T], axis=0)  # of the lesion's pixels from the middle, added up; (B,) each
    known = {"extent": extent, "tilt": found.tilt, "width": found.width, "grey": found.grey,
             "ventricles": found.ventricles}
    place = np.where(found.lesion, 1 + 2 * (down > 0) + (right > 0), 0)
    return {"lesion": found.lesion.astype(np.int64), "place": place,
            **{question: np.digitize(values, SIGNS[question][1]) for question, values in known.items()}}


def glyph_figures(network, n=4000):
    """Accuracies of a network in percent, on n letters each: dict. `_unseen` is the typeface held out.

    capitals:            which of the 26 capitals, large and centred as in vae-glyphs
    character:           which of the 62 characters, in any size and place. Some cannot be told: O o 0, I l, c C, …
    family, weight, …:   the other questions, in any size and place
    """
    found = {}
    plain = {"characters": CAPITALS, "sizes": ("large",), "positions": ("centre",)}
    for choice, questions in ((plain, ("character",)), ({}, tuple(ANSWERS))):
        drawn = glyphs.load(8 * n, seed=10, **choice)
        unseen = drawn.typeface == glyphs.TYPEFACES.index(HELD_OUT)
        for suffix, which in (("_unseen", np.flatnonzero(unseen)[:n]), ("", np.flatnonzero(~unseen)[:n])):
            images = drawn.images[which, 0] / 255
            for question in questions:
                among = CAPITALS if choice else None
                share = accuracy(getattr(drawn, question)[which], network.answers(images, question, among=among))
                found[("capitals" if choice else question) + suffix] = 100 * share
    return found


def digit_figures(network):
    """Accuracy of a network in percent on the 447 test digits: dict."""
    test = digits.splits(flat=False).test
    return {"test": 100 * accuracy(test.labels, network.answers(test.images / (digits.LEVELS - 1)))}


def phantom_figures(network, n=4000):
    """Accuracies of a network in percent on n heads, of which half have a lesion: dict from each question."""
    found = phantoms.load(n, seed=10)
    images = found.images / 255
    return {question: 100 * accuracy(right, network.answers(images, question))
            for question, right in signs(found).items()}


# -- what pictures go through -----------------------------------------------------------------------------------------


def warped(images, *, shear, stretch, move, rng):
    """Each picture sheared, stretched and moved at random, by bilinear interpolation; what comes in is paper (0).

    The picture's coordinates y at the place of the new coordinates u, both from the centre: y = A u + t with A the
    identity plus uniform numbers: up to ± stretch on its diagonal, ± shear beside it; t up to ± move pixels.

    Shapes:   (B, H, W) → (B, H, W), float32
    """
    count, height, width = images.shape
    spread = np.array([[stretch, shear], [shear, stretch]])
    matrix = np.eye(2) + spread * rng.uniform(-1, 1, (count, 2, 2))
    shift = rng.uniform(-move, move, (count, 2, 1, 1))
    u = np.stack(np.mgrid[:height, :width]) - (np.array([height, width]) - 1)[:, None, None] / 2  # (2, H, W)
    y = np.einsum("bij,jhw->bihw", matrix, u) + shift + (np.array([height, width]) - 1)[:, None, None] / 2
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))  # one row of paper around, where all that is outside ends
    y = np.clip(y + 1, 0, np.array([height, width])[:, None, None] + 1 - 1e-3)
    whole = y.astype(np.int64)
    (row, column), (fy, fx) = whole.transpose(1, 0, 2, 3), (y - whole).transpose(1, 0, 2, 3)  # each (B, H, W)
    which = np.arange(count)[:, None, None]
    above = framed[which, row, column] * (1 - fx) + framed[which, row, column + 1] * fx
    below = framed[which, row + 1, column] * (1 - fx) + framed[which, row + 1, column + 1] * fx
    return (above * (1 - fy) + below * fy).astype(np.float32)


def blemished(images, *, rng):
    """Half of the pictures a little blurred, all a little noisy, in [0, 1].  Shapes: (B, H, W) → (B, 1, H, W)"""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    blurred = (framed[:, :-2] + 2 * framed[:, 1:-1] + framed[:, 2:]) / 4  # (B, H, W + 2)
    blurred = (blurred[:, :, :-2] + 2 * blurred[:, :, 1:-1] + blurred[:, :, 2:]) / 4  # (B, H, W)
    share = np.maximum(rng.uniform(-1, 1, (len(images), 1, 1)), 0)
    noise = rng.uniform(0, 0.1, (len(images), 1, 1)) * rng.standard_normal(images.shape)
    return np.clip(images + share * (blurred - images) + noise, 0, 1).astype(np.float32)[:, None]


def main(arguments=None):
    """Train one network, print its figures, write its file and print the line for `features.SHA256`."""
    parser = argparse.ArgumentParser(prog="python -m minigen.recipes.features", description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=sorted(TRAININGS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, default=Path("."), help="the folder for features_NETWORK.npz")
    options = parser.parse_args(arguments)
    training = TRAININGS[options.network](options.seed, steps=options.steps)
    deque(training.fit(label=options.network), maxlen=0)
    for name, percent in training.evaluate().items():
        print(f"  {name:<18} {percent:6.2f} %")
    content = features.pack(training.model)
    path = options.out / f"features_{options.network}.npz"
    with atomic_write(path) as stream:
        stream.write(content)
    print(f'{path}: {len(content) / 1024:.0f} kB; features.SHA256["{options.network}"] = "{sha256(content)}"')


if __name__ == "__main__":
    main()
