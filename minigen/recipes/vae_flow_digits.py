"""vae-flow-digits: a variational autoencoder whose prior and posterior are flows, on 8×8 handwritten digits.

Data, protocol, networks and likelihood are those of vae-digits; only the two Gaussians are bent (`models/flow_vae.py`).
"""


from minigen import likelihoods
from minigen.data import digits
from minigen.models.bijections import Chain, Flow, standard_normal
from minigen.models.flow_vae import FlowVAE
from minigen.models.maf import iaf
from minigen.models.realnvp import Affine, VectorNet, couplings, random_halves
from minigen.models.vae import mlp_decoder, mlp_encoder
from minigen.recipes import vae_digits

LEVELS = digits.LEVELS


class Experiment(vae_digits.Experiment):
    """The same with flows."""

    prior_layers, prior_width = 6, 64
    posterior_layers, posterior_width, context = 2, 64, 32

    def make_model(self, rng):
        """The VAE, between its two flows."""
        likelihood = likelihoods.DiscretizedLogisticMixture(LEVELS, components=3)
        numbers = self.latent + self.context // 2  # the encoder says twice as many: means, log-variances, context
        encoder = mlp_encoder(digits.PIXELS, numbers, hidden=256, dropout=0.2, high=LEVELS - 1, rng=rng)
        decoder = mlp_decoder(self.latent, likelihood, digits.PIXELS, hidden=256, dropout=0.2, rng=rng)
        return FlowVAE(encoder, decoder, likelihood, self.latent, prior=self.make_prior(rng),
                       posterior=self.make_posterior(rng), context=self.context)

    def make_prior(self, rng):
        """RealNVP over codes: it must be quick both ways, to score codes and to draw them."""
        if not self.prior_layers:
            return None
        def network(mask, monotone):
            return VectorNet(mask, monotone, hidden=self.prior_width, blocks=1, rng=rng)

        masks = random_halves(self.latent, self.prior_layers, rng=rng)
        return Flow(Chain(*couplings(masks, network, Affine(bound=1.0))), standard_normal(self.latent))

    def make_posterior(self, rng):
        """IAF over codes: only its own draws are scored."""
        if not self.posterior_layers:
            return None
        return iaf(self.latent, self.posterior_layers, monotone=Affine(bound=1.0), condition=self.context,
                   hidden=(self.posterior_width, self.posterior_width), rng=rng)
