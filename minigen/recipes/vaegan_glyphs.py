"""vaegan-glyphs: a VAE whose discriminator says how alike two letters are, on the letters of vae-glyphs.

Encoder and discriminator are DCGAN's discriminator, the generator is DCGAN's (`models/gan_networks.py`), and none of
them is told the letter. The game is the relativistic one with lazy R1, as in `dcgan-glyphs`; γ = 0.003 weighs an
error of hundreds of nats against a game of some tenths, and s = 0.35 makes it worth the encoder's while to say much.

What is reported, of samples from the prior: the judge's figures (`minigen evaluate`), each with its floor; `legible` is
the share that the frozen network reads with p > 0.9; `grey`, the mean of 4p(1 − p) over all pixels, p being ink from 0
to 1: how much is neither black nor white. Of the 1,000 held-out letters: `reconstruction_mse`, the mean
squared error per pixel (paper 0, ink 1) of what is decoded from the mean code; `reconstruction_read`, the share of
these reconstructions that are read as the letter that went in (of the letters themselves 0.998); and
`reconstruction_frechet`, their Fréchet distance from the training letters (of the letters themselves: `frechet_real`).

Measured beside a VAE that was given the same time (about two minutes of one core each): vae-glyphs with 5,600 steps in
place of its 3,000, by `measured(experiment, lambda x: experiment.model.reconstruct(x[:, None]))`. Smallest and largest
of three seeds here, of the seeds 1 and 2 there:

                              vaegan-glyphs      vae-glyphs         real letters
    frechet                   3.03 … 3.37        4.40 … 4.47        0.28
    grey                      0.089 … 0.093      0.108 … 0.110      0.074
    legible                   0.38 … 0.42        0.37 … 0.41        0.99
    recall                    0.97 … 0.99        0.99              0.99
    precision                 0.001              0.003, 0.004      0.99
    reconstruction_mse        0.0047 … 0.0076    0.0011             0
    reconstruction_frechet    0.87 … 1.71        0.35 … 0.36        0.28
    reconstruction_grey       0.071 … 0.074      0.078 … 0.079      0.074
    reconstruction_read       0.97 … 0.99        0.997             0.998

So it buys samples with half of the surplus grey, whose law lies nearer to that of the letters by a quarter of the
distance. It does not buy letters: what lies between two letters is a sharper sign of no meaning, and four samples in
ten can be read, as with the VAE. And it costs likeness: the reconstructions are crisp, but four to seven times as wrong
per pixel, and further from the letters in the frozen features, too.
"""

import numpy as np

from minigen import nn
from minigen.metrics import features
from minigen.metrics.classification import accuracy
from minigen.metrics.frechet import frechet_distance
from minigen.models.gan_networks import dcgan_discriminator, dcgan_features, dcgan_generator
from minigen.models.vae_gan import VAEGAN
from minigen.optim import EMA, Adam
from minigen.recipes import asked, base, dcgan_glyphs, gan_digits, judging
from minigen.recipes.pixelcnn_glyphs import letters
from minigen.recipes.vae_glyphs import CAPITALS, LEVELS, SIZE


class Experiment(dcgan_glyphs.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    game = {"objective": "relativistic", "r1": 1.0, "gamma": 0.003, "spread": 0.35}
    full_steps, quick_steps = 1_600, 100

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        super().__init__(seed, quick, data=data, steps=steps)
        self.scribe = Adam(self.model.encoder.parameters(), lr=self.rate, betas=(0.9, 0.99))
        averaged = [*self.model.encoder.parameters(), *self.model.generator.parameters()]
        self.ema = EMA(averaged, self.ema.decay)
        self.state |= {"encoder": self.scribe, "ema": self.ema}

    def make_model(self, rng):
        """The VAE/GAN."""
        count = 4 * self.width * (self.side // 4) ** 2
        encoder = nn.Sequential(dcgan_features(width=self.width, size=self.side, rng=rng),
                                nn.Linear(count, 2 * self.latent, rng=rng))  # fmt: skip
        return VAEGAN(encoder, dcgan_generator(self.latent, width=self.width, size=self.side, rng=rng),
                      dcgan_discriminator(width=self.width, size=self.side, rng=rng), latent=self.latent, **self.game)

    def step(self):
        """The discriminator's step, then one of encoder and generator, each on its own loss."""
        self.schedule(self.forger, self.critic, self.scribe)
        told = base.descend(self.model.discriminator_loss(self.real_batch()[0], rng=self.rng).mean(), self.critic)
        losses = self.model.losses(self.real_batch()[0], rng=self.rng)
        gan_digits.put_gradient(losses.encoder.mean(), self.model.encoder)
        gan_digits.put_gradient(losses.generator.mean(), self.model.generator)
        self.scribe.step()
        self.forger.step()
        self.ema.update()
        means = {"generator": losses.generator, "error": losses.error, "kl": losses.kl}
        return {"discriminator": told, **{name: float(part.data.mean()) for name, part in means.items()}}

    def evaluate(self):
        """The figures of the module's docstring."""
        return measured(self, self.reconstruct)

    def sample(self, n, rng):
        """n letters, (n, 28, 28), of codes from the prior."""
        with self.ema.averaged():
            return self.ink(self.model.sample(n, rng=rng))

    def reconstruct(self, images):
        """Letters from the mean codes of letters, (B, …) → (B, 28, 28)."""
        with self.ema.averaged():
            return self.ink(self.model.reconstruct(self.seen(images)))


def measured(experiment, reconstruct):
    """The figures of this recipe for any experiment that draws these letters: see the module's docstring.

    experiment:   with `sample` and `real()`
    reconstruct:  pictures (B, 28, 28) of levels 0 … 16 → what is decoded from their codes, B pictures
    """
    found = judging.judge(experiment).figures
    images, labels = letters(1000, seed=3)
    drawn = np.asarray(reconstruct(images), dtype=np.float64).reshape(images.shape)
    network, unit = features.load("glyphs"), inked(drawn)
    real = network(inked(experiment.real().train.reshape(-1, SIZE, SIZE)))
    samples = experiment.sample(len(images), np.random.default_rng(0))
    figures = asked.with_floors(found, (*asked.WITH_FLOOR, "legible"))
    return figures | {"grey": grey(samples), "grey_real": grey(images),
                      "reconstruction_mse": float(np.mean((drawn - images) ** 2)) / (LEVELS - 1) ** 2,
                      "reconstruction_read": accuracy(labels, network.answers(unit, among=CAPITALS)),
                      "reconstruction_frechet": float(frechet_distance(network(unit), real)),
                      "reconstruction_grey": grey(drawn)}


def inked(pictures):
    """Levels 0 … 16 as ink 0 … 1."""
    return np.clip(np.asarray(pictures, dtype=np.float64) / (LEVELS - 1), 0, 1)


def grey(pictures):
    """Blur as a number: the mean of 4 p (1 − p) over all pixels of ink p, 0 if all are black or white."""
    ink = inked(pictures)
    return float(np.mean(4 * ink * (1 - ink)))


RECIPE = base.Recipe(
    name="vaegan-glyphs",
    summary="VAE/GAN on 28×28 capitals: the discriminator's features measure the error",
    lesson="08",
    build=Experiment,
    # The seeds: see the module's docstring; quick, seeds 0 and 1: Fréchet 26.6 and 26.4, squared error 0.041 and 0.038.
    band={"frechet": (1.5, 4.1), "reconstruction_mse": (0.003, 0.012), "reconstruction_read": (0.93, 1.0)},
    quick_band={"frechet": (18.0, 38.0), "reconstruction_mse": (0.025, 0.055)},
    anchor="vae-glyphs in the same time: Fréchet 4.4, squared error 0.0011; real letters: Fréchet 0.28",
    source="Larsen et al. 2015, arXiv:1512.09300",
    budget_seconds=900,
)
