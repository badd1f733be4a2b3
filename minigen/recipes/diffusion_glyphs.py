"""diffusion-glyphs: a diffusion model that draws the letter it is asked for, 28×28 pixels, in many typefaces.

The letters are those of vae-glyphs, pixelcnn-glyphs and the GANs: 26 capitals, 17 grey levels, 6,000 to train on, 1,000
held out. Loss, training step and sampler are explained in `picture_diffusion.py`, the figures in `asked.py`; here a
precision of 0.1 says little (see dcgan-glyphs).

**Which network?** About 500 seconds of one core each, seed 0, 260 letters by 20 steps of DPM-Solver++. What counts is
where the time goes: at full size 24 channels cost as much as 48 at half size.

    network                                       parameters   steps   read as asked   Fréchet
    U-Net at full size, width 24, (1, 2, 2)          0.66 M    2,400       0.950         2.4
    DiT, patches of 4, width 128, 4 blocks           1.26 M    7,000       0.938         2.3
    U-Net on patches of 2, width 48, (1, 2)          1.66 M    3,500       0.985         1.4
    U-Net on patches of 2, width 32, (1, 2)          0.74 M    7,000       0.988         1.0     this recipe

**How many steps?** Fréchet distance of 260 letters of seed 0, and in brackets the share read as asked, by
`picture_diffusion.few_steps`; of 260 held-out letters it is 0.58 (1.00). A share differs from another by chance up to
0.02. Each step of the last two samplers asks the network twice.

    steps                  5             10             20             50            100           1000
    ancestral         2.28 (1.00)    1.63 (.99)    1.09 (.99)    1.31 (.99)    0.96 (1.00)    0.82 (.98)
    DDIM              1.74 (1.00)    1.30 (.99)    1.14 (.99)    1.09 (.99)    1.08 (.99)     1.06 (.99)
    DPM-Solver++      2.19 (.99)     1.11 (.99)    1.04 (.99)    1.04 (.98)    1.05 (.98)     1.04 (.98)
    Heun              1.65 (.96)     0.93 (.98)    1.00 (.99)    1.03 (.98)    1.05 (.98)     1.04 (.98)
    Karras            2.19 (.95)     0.93 (.99)    0.95 (.99)    1.31 (1.00)   0.82 (.99)     1.37 (.95)

The three that follow the flow arrive at the same letters, and at the same distance, after 20 steps; what is left is the
network's error. Chance as it is renewed on the way (ancestral) takes more steps and then mends some of that. Karras'
noise, 40 % of the steps' own (γ at most 0.4), is too much for a thousand steps.

The figures 11_steps_letters.png and 11_letters_by_steps.png are drawn by `picture_diffusion.steps_curves`, from these
figures, and `steps_picture`, of eight letters that are not among the 260.
"""

from minigen.recipes import base, dcgan_glyphs, picture_diffusion
from minigen.recipes.vae_glyphs import CAPITALS, LEVELS, SIZE


class Experiment(picture_diffusion.Experiment):
    """The letters of vae-glyphs; the rest is in picture_diffusion.py."""

    high, side, classes = LEVELS - 1, SIZE, len(CAPITALS)
    reader, among = "glyphs", CAPITALS

    load = dcgan_glyphs.Experiment.load  # the letters to train on, and those held out, are those of the GAN


RECIPE = base.Recipe(
    name="diffusion-glyphs",
    summary="a diffusion model that draws the letter asked for, 28×28 capitals in many typefaces",
    lesson="11",
    build=Experiment,
    # Seeds 0, 1, 2 gave 0.986 to 0.988 read as asked, Fréchet 0.52, 0.55 and 0.82, recall 0.987 to 0.993; quick, seeds
    # 0 and 1: 0.26 and 0.22 of 130, Fréchet 23.6 and 22.1.
    band={"read_as_asked": (0.97, 1.0), "frechet": (0.28, 1.2), "recall": (0.95, 1.0)},
    quick_band={"read_as_asked": (0.1, 0.5), "frechet": (12.0, 40.0)},
    anchor="real held-out letters: read 0.998, Fréchet 0.28, recall 0.99",
    source="Ho, Jain & Abbeel 2020, arXiv:2006.11239; Salimans & Ho 2022, arXiv:2202.00512 (v)",
    budget_seconds=1500,  # beside other programs; alone on one core it takes about 500
)
