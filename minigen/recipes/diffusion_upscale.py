"""diffusion-upscale: from 8×8 pixels to 16×16, by a diffusion model that sees the small picture beside the noise.

The letters are capitals in many typefaces, 16×16 pixels; the small picture is the mean of each 2×2 of them. Many sharp
letters have the same small picture, so there is no right answer, only a law p(x | small), and the model draws from it.

Protocol: 6,000 letters to train on, 1,000 to report, from other seeds. The network sees the small picture as a second
channel, each of its pixels as a square of four. It is not told the letter. What is reported, of one drawing for each of
the 1,000, beside bilinear interpolation of the same small pictures:

    read, read_bilinear, read_real    the frozen network's share of right letters (all enlarged to its 28×28)
    mean_error                        root mean square of what is wrong in the means of 2×2, ink being 1
    psnr, psnr_bilinear, psnr_mean    −10 log₁₀ of the mean squared error to the true letter, in decibels; psnr_mean is
                                      that of the mean of 8 drawings (of the first 200 letters)
    sharpness, sharpness_bilinear     mean size of the difference between neighbours, divided by that of the true letters

A drawing from the right law has twice the squared error of the law's mean, so a lower PSNR than a blurred mean; see
`expected_gain`.
"""

from pathlib import Path

import numpy as np

from minigen.data import glyphs
from minigen.metrics import features
from minigen.metrics.classification import accuracy
from minigen.models.diffusion import Diffusion
from minigen.nn.unet import UNet
from minigen.recipes import base, picture_diffusion
from minigen.recipes.vae_glyphs import CAPITALS

SIDE = 16
DRAWINGS = 8  # whose mean is taken


class Experiment(picture_diffusion.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    high, side, classes = 255, SIDE, None
    reader, among = "glyphs", CAPITALS
    width, multiples, attention = 24, (1, 2), (1,)
    full_steps = 2_400
    at_once = 100

    def load(self, quick):
        """Letters to train on, and those that are reported."""
        return letters(1500 if quick else 6000, seed=1), letters(200 if quick else 1000, seed=3)

    def make_model(self, rng):
        """A U-Net that sees two pictures."""
        network = UNet(2, 1, width=self.width, multiples=self.multiples, attention=self.attention, rng=rng)
        return Diffusion(network, self.schedule, prediction=self.prediction, weighting=self.weighting)

    def losses(self, images, labels):
        """The loss of each picture of a batch, given the small ones."""
        return self.model.loss(self.seen(images), rng=self.rng, given=self.given(small(images)))

    def given(self, pictures):
        """Small pictures as the network sees them: (B, 8, 8) → (B, 1, 16, 16) in −1 … 1."""
        return self.seen(np.kron(pictures, np.ones((1, 2, 2))))

    def enlarge(self, pictures, rng, *, sampler=None, steps=None):
        """One drawing for each small picture, (B, 8, 8) → (B, 16, 16), of 0 … 255."""
        given = self.given(pictures)
        return self.walked(sampler or self.sampler, steps or self.calls, len(given), rng,
                           lambda part: self.model.predictor(given=given[part]))

    def sample(self, n, rng):
        """The first n letters of those reported, enlarged, (n, 16, 16)."""
        return self.enlarge(small(np.resize(self.held_out[0], (n, SIDE, SIDE))), rng)

    def read(self, images):
        """What the frozen network takes pictures for, enlarged to the size that it knows."""
        network = features.load(self.reader)
        return network.answers(features.enlarged(np.asarray(images) / self.high, network.size), among=self.among)

    def evaluate(self):
        """The figures of the module's docstring."""
        (images, labels), rng = self.held_out, np.random.default_rng([self.seed, 2])
        given = small(images)
        smooth, drawn = features.enlarged(given, SIDE), self.enlarge(given, rng)
        few = slice(0, min(200, len(images)))
        several = np.mean([drawn[few], *(self.enlarge(given[few], rng) for _ in range(DRAWINGS - 1))], axis=0)
        wrong = (small(drawn) - given) / self.high
        return {
            "read": accuracy(labels, self.read(drawn)),
            "read_bilinear": accuracy(labels, self.read(smooth)),
            "read_real": accuracy(labels, self.read(images)),
            "mean_error": float(np.sqrt((wrong**2).mean())),
            "psnr": psnr(drawn, images, self.high),
            "psnr_bilinear": psnr(smooth, images, self.high),
            "psnr_gain": psnr(several, images[few], self.high) - psnr(drawn[few], images[few], self.high),
            "sharpness": sharpness(drawn) / sharpness(images),
            "sharpness_bilinear": sharpness(smooth) / sharpness(images),
        }

    def pictures(self, folder):
        """samples.png: small pictures, what bilinear and three drawings make of them, the true letters; loss.png."""
        from minigen import viz

        images, rng = self.held_out[0][:12], np.random.default_rng(0)
        given = small(images)
        rows = [np.kron(given, np.ones((1, 2, 2))), features.enlarged(given, SIDE),
                *(self.enlarge(given, rng) for _ in range(3)), images]  # fmt: skip
        path = Path(folder) / "samples.png"
        viz.image_grid(np.concatenate(rows), len(images), "8×8 letters (not picked) and what they may have been", path,
                       scale=(0, self.high), row_labels=["small", "bilinear", "drawn", "drawn", "drawn", "true"])
        return [path, base.loss_picture(folder)]


def letters(n, seed):
    """n capitals of 16×16 pixels, large and centred, and which they are: (n, 16, 16) of 0 … 255, (n,)."""
    drawn = glyphs.load(n, seed=seed, size=SIDE, characters=CAPITALS, sizes=("large",), positions=("centre",))
    return drawn.images[:, 0].astype(np.float64), drawn.character


def small(images):
    """The mean of each 2×2 pixels.   Shapes: (B, H, W) → (B, H/2, W/2)"""
    count, height, width = images.shape
    return images.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))


def psnr(images, truth, high):
    """Peak signal-to-noise ratio, in decibels: −10 log₁₀ of the mean squared error, `high` being 1."""
    return float(-10 * np.log10((((images - truth) / high) ** 2).mean()))


def sharpness(images):
    """The mean size of the difference between neighbouring pixels, down and across, in levels."""
    return float((np.abs(np.diff(images, axis=1)).mean() + np.abs(np.diff(images, axis=2)).mean()) / 2)


def expected_gain(drawings):
    """By how many decibels the mean of some drawings is better than one, if they come from the true law.

    Given the small picture, let the true x and the drawings be independent, all of mean m and total variance V. Then
    E|x̂ − x|² = V + V for one drawing, and V + V/n for the mean of n: a gain of 10 log₁₀ (2n/(n + 1)).   (11.49)
    """
    return float(10 * np.log10(2 * drawings / (drawings + 1)))


RECIPE = base.Recipe(
    name="diffusion-upscale",
    summary="a diffusion model that enlarges 8×8 letters to 16×16, given the small ones",
    lesson="12",
    build=Experiment,
    band={"read": (0.5, 1.0)},
    quick_band={"read": (0.0, 1.0)},
    anchor="bilinear",
    source="Saharia et al. 2021, arXiv:2104.07636",
    budget_seconds=300,
)
