"""vae-flow-digits: a variational autoencoder whose posterior is a flow, on 8×8 handwritten digits.

Data, protocol, networks and likelihood are those of vae-digits; only the encoder's Gaussian is bent, by four layers of
inverse autoregressive flow that see the picture through 32 numbers of context (`models/flow_vae.py`, (13.37)).

**What is a flow worth here?** −ELBO of the 350 validation digits, seeds 0 and 1, nats:

    neither                            92.2   91.8
    prior: 6 couplings                 91.7
    posterior: IAF, 2 layers           91.3   91.5
    posterior: IAF, 4 layers, dropout  91.2   91.1   this recipe
    both, with dropout                 91.8   91.9

Less than one nat, and on the test digits less than seeds differ by: medians of 87.9 with this flow and 88.1 without.
The digits that it was trained on cost 15 nats less than others: what this model lacks is data, not bends. A flow prior
does save 1.3 nats of KL, by (13.36), but on new digits the decoder loses about as much.
"""

from minigen import likelihoods
from minigen.data import digits
from minigen.models.bijections import Chain, Flow, standard_normal
from minigen.models.flow_vae import FlowVAE
from minigen.models.maf import iaf
from minigen.models.realnvp import Affine, VectorNet, couplings, random_halves
from minigen.models.vae import mlp_decoder, mlp_encoder
from minigen.recipes import base, vae_digits

LEVELS = digits.LEVELS


class Experiment(vae_digits.Experiment):
    """The same with flows; a number of layers of 0 means none."""

    posterior_layers, prior_layers, context = 4, 0, 32
    width, dropout = 64, 0.2  # of the flows' networks
    monotone = Affine(bound=1.0)

    def make_model(self, rng):
        """The VAE, between its two flows."""
        likelihood = likelihoods.DiscretizedLogisticMixture(LEVELS, components=3)
        numbers = self.latent + self.context // 2  # the encoder says twice as many: means, log-variances, context
        encoder = mlp_encoder(digits.PIXELS, numbers, hidden=256, dropout=0.2, high=LEVELS - 1, rng=rng)
        decoder = mlp_decoder(self.latent, likelihood, digits.PIXELS, hidden=256, dropout=0.2, rng=rng)
        return FlowVAE(encoder, decoder, likelihood, self.latent, prior=self.make_prior(rng),
                       posterior=self.make_posterior(rng), context=self.context)

    def make_posterior(self, rng):
        """IAF over codes: only its own draws are scored."""
        if not self.posterior_layers:
            return None
        return iaf(self.latent, self.posterior_layers, monotone=self.monotone, condition=self.context,
                   hidden=(self.width, self.width), dropout=self.dropout, rng=rng)

    def make_prior(self, rng):
        """RealNVP over codes: it must be quick both ways, to score codes and to draw them."""
        if not self.prior_layers:
            return None

        def network(mask, monotone):
            return VectorNet(mask, monotone, hidden=self.width, blocks=1, dropout=self.dropout, rng=rng)

        masks = random_halves(self.latent, self.prior_layers, rng=rng)
        return Flow(Chain(*couplings(masks, network, self.monotone)), standard_normal(self.latent))


RECIPE = base.Recipe(
    name="vae-flow-digits",
    summary="VAE whose posterior is an inverse autoregressive flow, on 8×8 digits",
    lesson="13",
    build=Experiment,
    # Seeds 0, 1, 2 gave 87.9, 87.8 and 88.3, and 84.7 to 85.2; the goal was to be below vae-digits' 88.1. Quick,
    # seeds 0 and 1: 92.6 and 92.6.
    # A figure below the lower ends would mean that the test digits had been seen in training.
    band={"test_elbo": (84.0, 90.0), "test_iwae500": (81.0, 88.0)},
    quick_band={"test_elbo": (88.0, 98.0)},
    anchor="the same split, without flow: vae-digits 88.1 and 84.8",
    source="Kingma et al. 2016, arXiv:1606.04934; Rezende & Mohamed 2015, arXiv:1505.05770",
    budget_seconds=40,
)
