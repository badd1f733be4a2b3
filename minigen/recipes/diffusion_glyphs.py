"""diffusion-glyphs: a diffusion model that draws the letter it is asked for, 28×28 pixels, in many typefaces."""

from minigen.recipes import base, picture_diffusion
from minigen.recipes.pixelcnn_glyphs import letters
from minigen.recipes.vae_glyphs import CAPITALS, LEVELS, SIZE


class Experiment(picture_diffusion.Experiment):
    """The letters of vae-glyphs; the rest is in picture_diffusion.py."""

    high, side, classes = LEVELS - 1, SIZE, len(CAPITALS)
    reader, among = "glyphs", CAPITALS

    def load(self, quick):
        """Letters to train on, and 1,000 that were held out."""
        return letters(1500 if quick else 6000, seed=1), letters(1000, seed=3)


RECIPE = base.Recipe(
    name="diffusion-glyphs",
    summary="a diffusion model that draws the letter asked for, 28×28 capitals in many typefaces",
    lesson="11",
    build=Experiment,
    band={"read_as_asked": (0.9, 1.0)},
    quick_band={"read_as_asked": (0.0, 1.0)},
    anchor="real held-out letters: read 0.998, Fréchet 0.28, recall 0.99",
    source="Ho, Jain & Abbeel 2020, arXiv:2006.11239; Salimans & Ho 2022, arXiv:2202.00512 (v)",
    budget_seconds=600,
)
