"""vae-digits-categorical: the plain VAE of a well-known book's notebook, as a yardstick.

The reference (jmtomczak/intro_dgm) has three linear layers of 256 units with leaky relus on either side, codes of 16
numbers, a free probability for each of the 17 grey levels, Adamax at 0.001 with batches of 64, and stops when the
validation bound has not improved for 20 epochs. Measured with PyTorch under our protocol it reaches 96.4, 97.4 and 96.8
nats on the test digits for seeds 0, 1 and 2.

Differs: a rate of 0.003, which comes to the same validation bound in half the steps; dropout of 0.2 inside the
decoder; pixels scaled to −1 … 1 before the encoder; no clamp on probabilities. It is here to compare speed and quality
at equal size. See vae_digits.py for a better model.
"""

from minigen import likelihoods, nn
from minigen.data import digits
from minigen.models.vae import VAE
from minigen.optim import Adamax
from minigen.recipes import base, vae_digits

HIDDEN = 256


class Experiment(vae_digits.Experiment):
    """The same data and evaluation as vae-digits; model, optimiser and stopping are the notebook's."""

    batch_size = 64
    patience = 20
    validation_passes = 1
    schedule = None

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        super().__init__(seed, quick, data=data, steps=steps)
        self.validate_every = len(self.batches)  # once per epoch
        self.steps = steps or (20 if quick else 1000) * len(self.batches)

    def make_model(self, rng):
        """The VAE."""
        likelihood = likelihoods.Categorical(digits.LEVELS)
        encoder = nn.Sequential(nn.Scaled(digits.LEVELS - 1), *_layers(digits.PIXELS, 2 * self.latent, rng=rng))
        decoder = nn.Sequential(
            *_layers(self.latent, likelihood.channels * digits.PIXELS, dropout=0.2, rng=rng),
            nn.Unflatten(1, (likelihood.channels, digits.PIXELS)),
        )
        return VAE(encoder, decoder, likelihood, self.latent)

    def make_optimizer(self):
        """Adamax at a constant rate."""
        return Adamax(self.model.parameters(), lr=3e-3)


def _layers(inputs, outputs, *, dropout=0.0, rng):
    layers = []
    for size in (inputs, HIDDEN):
        layers += [nn.Linear(size, HIDDEN, rng=rng), nn.LeakyReLU()]
        layers += [nn.Dropout(dropout, rng=rng)] if dropout else []
    return (*layers, nn.Linear(HIDDEN, outputs, rng=rng))


RECIPE = base.Recipe(
    name="vae-digits-categorical",
    summary="plain categorical VAE on 8×8 digits, at the size of the reference notebook",
    lesson="05",
    build=Experiment,
    # Seeds 0, 1, 2 gave 96.7, 96.5 and 96.3 (quick: 101.9 to 103.3). The upper end leaves 0.5 nats for other machines'
    # rounding; the anchor, 96.6, is for the median.
    band={"test_elbo": (93.0, 97.0)},
    quick_band={"test_elbo": (97.0, 109.0)},
    anchor="the same split: reference VAE notebook 96.6 nats",
    source="Kingma & Welling 2013, arXiv:1312.6114; Tomczak 2022, Deep Generative Modeling",
    budget_seconds=60,
)
