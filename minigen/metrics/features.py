"""Features: a picture as a few numbers that say what it shows, from a small network that was trained here and frozen.

Two pictures of the letter R, one a pixel to the left of the other, differ in half of their pixels; two different
letters may differ in fewer. Distances between pictures are therefore measured between *features*, the last hidden layer
h(x) of a network that has learnt to answer questions about pictures, scaled to the length √F of F ones:

    z = √F h / |h|.                                                                                      (8.61)

The scaling keeps the distances within bounds, 2√F, whatever a bad model draws: a network says anything of pictures that
are like none it has seen, and unscaled a single one of them can decide a mean of squares. Every question has a linear
layer on top,

    p(answer | x) = softmax(W z + b),                                                                    (8.62)

so z keeps what the answers need (which letter, which style, where) and forgets the rest (noise, grey of an edge).

A distance between features means nothing without the network that made them: with another one it is another number.
So the networks have names. Their weights are files of this package, `load` checks their SHA-256, and every figure that
`minigen evaluate` prints names the network with the first digits of its checksum.

    network    pictures        features   questions
    glyphs     28×28 letters   64         character (62), family, weight, slant, size, position
    digits     8×8 digits      32         digit (10)
    phantoms   32×32 heads     32         lesion, its place and extent; tilt, width, grey, ventricles

How well they answer, on pictures that were not trained on:

    glyphs     97.5 % of the 26 capitals (large, centred, all styles) in STIX, a typeface that the network never saw: 84
               of 86 errors among 3,324 letters are one letter, the italic Q, read as O. 100.0 % in the other typefaces,
               in fresh sizes and places. Of all 62 characters in any size and place 89.8 % and 97.2 %; among these are
               some that are one shape in two sizes (O o 0, S s, …). For letters, say which can be:
               `answers(images, among=CAPITALS)`. Other questions, in any size and place, in STIX and in the others:
               family 92.5, 89.9 %; weight 94.6, 99.8 %; slant 95.8, 100.0 %; size 88.2, 96.8 %; position 99.9, 99.9 %.
               Glyphs of 16×16 are `enlarged` first; of their capitals it reads 97.6 % and 100.0 %.
    digits     99.3 % of the 447 test digits (444)
    phantoms   lesion or healthy: 99.98 % of 4,000 fresh heads. Place of the lesion 98.5 %, its extent 91.1; the head's
               tilt in five classes 93.7, width in three 96.3, brightness of grey matter 82.9, size of the ventricles
               93.4 %. Most classes are pieces of a range, so many errors are near an edge between two.

`minigen/recipes/features.py` trained them and trains them again: `python -m minigen.recipes.features glyphs`.

Source: the idea is Heusel et al. 2017, arXiv:1706.08500, and Szegedy et al. 2015, arXiv:1512.00567.  Differs: a network
of our own, a hundred times smaller, for these pictures. Its distances are not comparable with those of other papers.
"""

import functools
import hashlib
import io
import json
from importlib.resources import files

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import CorruptError, DataError, ShapeError

# Of the files minigen/metrics/features_NAME.npz.
SHA256 = {
    "glyphs": "2ba96b76fa15234481f8e5933e6cc40afa9d5899e73f37c66713e014f8afa6fb",
    "digits": "d0deec11d5e839926e07cf391eaf641553625c17ada6ac4f29db998ba93b24ec",
    "phantoms": "38c8ea7665b3aa1097e07c2f982989cc8523240a8c3d0008223de254443ba7a0",
}


class FeatureNetwork(nn.Module):
    """Pictures to features, features to answers.

    size:       H = W of the pictures
    widths:     channels of the convolutions; the first keeps the size, each further one halves it, except where two
                neighbours are equal
    features:   F, how many numbers describe a picture
    questions:  dict from a question to the tuple of its possible answers
    """

    def __init__(self, size, widths, features, questions, *, rng):
        self.questions = {question: tuple(answers) for question, answers in questions.items()}
        self.settings = {"size": size, "widths": list(widths), "features": features}
        blocks, inputs, side = [], 1, size
        for outputs in widths:
            stride = 2 if inputs not in (1, outputs) else 1
            blocks += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False, rng=rng),
                       nn.BatchNorm2d(outputs), nn.ReLU()]  # fmt: skip
            inputs, side = outputs, -(-side // stride)
        self.body = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(inputs * side * side, features, bias=False, rng=rng),
                                  nn.BatchNorm1d(features))  # fmt: skip
        self.head = nn.Linear(features, sum(map(len, self.questions.values())), rng=rng)

    def forward(self, x):
        """The features z, (8.61).  Shapes: (B, 1, H, W) → (B, F)"""
        h = self.body(x)
        return ops.rms_norm(h, np.ones(h.shape[1], dtype=h.dtype))

    def logits(self, z):
        """Dict from question to the logits of its answers, (8.62) before the softmax.  Shapes: (B, F) → (B, K) each"""
        every, start, split = self.head(z), 0, {}
        for question, answers in self.questions.items():
            split[question] = every[:, start : start + len(answers)]
            start += len(answers)
        return split


class Features:
    """A frozen network: `network(images)` are the features.

    name:       with the checksum's first digits: "glyphs-0a1b2c3d"
    size:       H = W of the pictures that it takes
    questions:  dict from a question to the tuple of its possible answers
    """

    def __init__(self, name, network, size, questions):
        self.name, self.size, self.questions = name, size, questions
        self._network = network.eval().requires_grad_(False)

    def __call__(self, images):
        """The features of pictures.

        Shapes:   images (n, H, W), (n, 1, H, W) or (n, H·W), 0 paper … 1 ink → (n, F), float64
        Raises:   ShapeError for another shape; DataError for numbers outside [0, 1].
        """
        images = self._checked(images)
        with no_grad():
            parts = [self._network(Tensor(images[i : i + 256])).data for i in range(0, len(images), 256)]
        return np.concatenate(parts).astype(np.float64)

    def probabilities(self, images, question=None, *, among=None):
        """p(answer | x), (8.62), for a question (by default the first).

        among:    the answers that can be, such as the 26 capitals: the others get no column, and the rest sums to 1.
        Shapes:   images as for the features → (n, K), K the number of answers (or of those in `among`)
        Raises:   DataError for a question or an answer that there is not.
        """
        question = next(iter(self.questions)) if question is None else question
        if question not in self.questions:
            raise DataError(f"{self.name}: no question {question!r}; there are {', '.join(self.questions)}")
        answers = self.questions[question]
        among = answers if among is None else tuple(among)
        unknown = [answer for answer in among if answer not in answers]
        if unknown or not among:
            raise DataError(f"{self.name}: among={unknown or among}; expected some of the answers to {question!r}: "
                            f"{', '.join(map(str, answers))}")
        z = self(images)
        with no_grad():
            logits = self._network.logits(Tensor(z.astype(np.float32)))[question].data.astype(np.float64)
        logits = logits[:, [answers.index(answer) for answer in among]]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def answers(self, images, question=None, *, among=None):
        """The most probable answer for each picture, as its place among the answers (or in `among`).

        Shapes:   as `probabilities` → (n,), int64
        """
        return self.probabilities(images, question, among=among).argmax(axis=1)

    def _checked(self, images):
        images = np.asarray(getattr(images, "data", images), dtype=np.float32)
        side = self.size
        if images.shape[1:] not in ((side, side), (1, side, side), (side * side,)) or not len(images):
            raise ShapeError(f"features {self.name}: images {images.shape}; expected (n, {side}, {side}), "
                             f"(n, 1, {side}, {side}) or (n, {side * side}) with n ≥ 1")
        if not (images.min() >= -1e-4 and images.max() <= 1 + 1e-4):
            raise DataError(f"features {self.name}: pixels go from {images.min():.3g} to {images.max():.3g}; expected "
                            "0 (paper) … 1 (ink): divide by the largest level")
        return images.reshape(-1, 1, side, side)


@functools.cache
def load(name):
    """The frozen network "glyphs", "digits" or "phantoms", as Features.

    Raises:   DataError for another name; CorruptError if the file is not the one that was trained.
    """
    if name not in SHA256:
        raise DataError(f"features.load: no network {name!r}; there are {', '.join(SHA256)}")
    try:
        content = files(__package__).joinpath(f"features_{name}.npz").read_bytes()
    except OSError as error:
        raise CorruptError(f"features {name}: the file cannot be read ({error}); install minigen again") from error
    return read(name, content, SHA256[name])


def read(name, content, expected=None):
    """Features from the bytes of a file that `pack` made.

    expected:  the SHA-256 that the bytes must have; None takes them as they are.
    """
    digest = hashlib.sha256(content).hexdigest()
    if expected is not None and digest != expected:
        raise CorruptError(f"features {name}: the file's SHA-256 is {digest[:16]}…, expected {expected[:16]}…; "
                           "install minigen again")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        state = {key: archive[key] for key in archive.files}
    settings = json.loads(str(state.pop("settings")))
    questions = {question: tuple(answers) for question, answers in settings.pop("questions").items()}
    network = FeatureNetwork(**settings, questions=questions, rng=np.random.default_rng(0))
    network.load_state_dict({key: array.astype(np.float32) if array.dtype == np.float16 else array
                             for key, array in state.items()})
    return Features(f"{name}-{digest[:8]}", network, settings["size"], questions)


def enlarged(images, side):
    """Pictures enlarged to (side, side) pixels by bilinear interpolation between pixel centres.

    Shapes:   (n, h, w) → (n, side, side), float64
    Raises:   ShapeError for another number of axes, or pictures larger than that.
    """
    images = np.asarray(images, dtype=np.float64)
    if images.ndim != 3 or not 2 <= min(images.shape[1:]) <= max(images.shape[1:]) <= side:
        raise ShapeError(f"enlarged: images {images.shape}; expected (n, h, w) with h and w from 2 to {side}")
    for axis in (1, 2):
        count = images.shape[axis]
        at = np.clip((np.arange(side) + 0.5) * count / side - 0.5, 0, count - 1)  # new centres, in old pixels
        whole = np.minimum(at.astype(np.int64), count - 2)
        part = (at - whole)[:, None] if axis == 1 else at - whole
        images = images.take(whole, axis) * (1 - part) + images.take(whole + 1, axis) * part
    return images


def pack(network):
    """A FeatureNetwork as the bytes of an .npz file, its numbers rounded to float16 (about three digits)."""
    arrays = {key: array.astype(np.float16) if array.dtype.kind == "f" else array
              for key, array in network.state_dict().items()}
    stream = io.BytesIO()
    np.savez(stream, settings=json.dumps(network.settings | {"questions": network.questions}), **arrays)
    return stream.getvalue()
