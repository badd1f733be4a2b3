"""The 1,797 handwritten digits of UCI optdigits (test file), 8×8 pixels with 17 grey levels, inside the
package.

Thirteen people filled in forms; each digit was scanned as 32×32 black-and-white pixels, and every 4×4 block
was replaced by its number of inked pixels, which is why a pixel is an integer from 0 to 16. Small enough to
train on in seconds, real enough to be hard: a uniform guess costs 64 ln 17 = 181.3 nats per image.

The split is fixed and in the order of the file, so that figures from different models can be compared:
train [0:1000], validation [1000:1350], test [1350:1797].

Source: E. Alpaydin, C. Kaynak 1998, UCI Machine Learning Repository, doi 10.24432/C50P49, CC BY 4.0
(OPTDIGITS.md).
"""

from importlib.resources import files
from typing import NamedTuple

import numpy as np

LEVELS = 17
SIDE = 8
PIXELS = SIDE * SIDE
CLASSES = 10
TRAIN, VALIDATION, TEST = slice(0, 1000), slice(1000, 1350), slice(1350, 1797)
# Of the image bytes followed by the label bytes, both uint8.
SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


class Digits(NamedTuple):
    """Pictures of whole levels 0 … 16 and the digits that they show."""

    images: np.ndarray
    labels: np.ndarray


class Splits(NamedTuple):
    """The three parts of the protocol."""

    train: Digits
    validation: Digits
    test: Digits


def load(*, flat=True):
    """All 1,797 digits in the order of the original file: pixels 0…16 and labels 0…9, both int64.

    int64 so that arithmetic on pixels cannot wrap round as it does in uint8, and so that they can serve as
    class indices. Every call returns fresh arrays.

    Shapes:   images (B, 64), or (B, 1, 8, 8) with flat=False; labels (B,)
    Source:   Alpaydin & Kaynak 1998, doi 10.24432/C50P49.  Differs: nothing.
    """
    with files(__package__).joinpath("optdigits.npz").open("rb") as stream:
        with np.load(stream, allow_pickle=False) as archive:
            images, labels = archive["images"], archive["labels"]
    shape = (-1, PIXELS) if flat else (-1, 1, SIDE, SIDE)
    return Digits(images.reshape(shape).astype(np.int64), labels.astype(np.int64))


def splits(*, flat=True):
    """The fixed split: train (1,000 digits), validation (350), test (447), in the order of the file.

    Choose everything on validation; touch test once.

    Shapes:   as in `load`, three times: splits().train.images (1000, 64)
    """
    images, labels = load(flat=flat)
    return Splits(*(Digits(images[part], labels[part]) for part in (TRAIN, VALIDATION, TEST)))
