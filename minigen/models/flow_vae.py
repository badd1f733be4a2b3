"""VAE and flow in one: a prior, or a posterior, that is no longer one round hill.

A VAE (`vae`) has two Gaussians that it did not have to have: the prior p(z) = N(0, I) of its codes, and the encoder's
guess q(z|x) = N(μ(x), diag σ(x)²). A flow (`bijections`) can bend either, and the bound (5.3) stays a bound.

**A flow prior.** Let f carry codes to a base, e = f(z). By (13.1)

    log p(z) = log N(f(z); 0, I) + log |det ∂f/∂z|,                                                    (13.35)

learnt together with encoder and decoder. What is there to gain? Take the mean of the KL in (5.4) over the data, and
put the mean of all guesses, q(z) = E_x q(z|x), above and below:

    E_x KL( q(z|x) ‖ p(z) ) = E_x E_q log q(z|x)/q(z) + E_q(z) log q(z)/p(z) = I(x; z) + KL( q(z) ‖ p(z) ).   (13.36)

The first term is what a code tells about its picture; the decoder lives on it. The second is waste: codes of real
pictures do not fill N(0, I) evenly, it has lumps and holes, and p(z) pays for the holes. No other prior does better
than p(z) = q(z), and a sample from it is never a code that the decoder has not met. Only the second term depends on
the prior, so training it *is* fitting a flow to the codes by maximum likelihood.

**A flow posterior.** Draw z₀ from the Gaussian, and bend it by a bijection that may look at x through some numbers
c(x), which the encoder says as well. With g from codes to z₀, as flows are read here, z = g⁻¹(z₀; c(x)), and by (13.4)

    log q(z|x) = log N(z₀; μ(x), diag σ(x)²) − log |det ∂z/∂z₀|,     z₀ = μ + σ ε.                     (13.37)

Only the q's own draws are ever scored, so g may be slow the other way: IAF (13.26) is made for this. It lowers the loss
of (5.5), KL( q(z|x) ‖ p(z|x) ), to which the true posterior's bends and correlations contribute.

**The bound with both**, for one draw of ε:

    ELBO = E_ε[ log p(x|z) − ( log q(z|x) − log p(z) ) ],                                              (13.38)

with (13.37) and (13.35) in the inner bracket, whose mean is the KL. It has no closed form any more. But nothing is
lost: what (5.7) integrates exactly is here averaged over the same draws.

**Are the two different?** Read the codes e = f(z) for z. They have the prior N(0, I) again, the decoder p(x|f⁻¹(e)),
and the posterior that f makes of q(z|x), whose log-density is log q(z|x) − log |det ∂f/∂z|. So

    log p(z) − log q(z|x) = log N(e; 0, I) − log q(e|x):                                               (13.39)

a flow prior is a flow posterior that does not see x, before a decoder that begins by undoing it. (For an autoregressive
f it is an IAF posterior.) It makes p more able, not only q; a posterior that sees x tightens the bound on a p which
stays as it is.

Sources: flow posterior: Rezende & Mohamed 2015, arXiv:1505.05770; IAF: Kingma et al. 2016, arXiv:1606.04934; flow prior
and (13.39): Chen et al. 2016, arXiv:1611.02731; (13.36): Hoffman & Johnson 2016, "ELBO surgery". Differs: no free bits,
which (5.10) charges per code; a bent code has no KL of its own.
"""

import math

import numpy as np

from minigen import ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import ShapeError
from minigen.models.bijections import Chain, Flow, each_sum, standard_normal
from minigen.models.vae import VAE, Elbo, slerp


class FlowVAE(VAE):
    """A VAE whose prior and whose posterior may be flows.

        model = FlowVAE(encoder, decoder, likelihood, 16,
                        prior=Flow(Chain(*couplings(…)), standard_normal(16)),
                        posterior=iaf(16, 2, condition=32, rng=rng), context=32)
        model.loss(x, rng=rng)          # (B,): −(13.38)

    encoder:     x (B, …) → (B, 2L + C): the means and log-variances of z₀, and c(x)
    decoder, likelihood, latent, beta: as VAE
    prior:       a Flow over codes (L,), (13.35); N(0, I) unless given
    posterior:   a Bijection from codes to z₀, (13.37), whose inverse must be cheap; none unless given
    context:     C, how many numbers c(x) the posterior is told as its condition; with 0 it does not see x
    """

    def __init__(self, encoder, decoder, likelihood, latent, *, prior=None, posterior=None, context=0, beta=1.0):
        super().__init__(encoder, decoder, likelihood, latent, beta=beta)
        self.prior = Flow(Chain(), standard_normal(latent)) if prior is None else prior
        self.posterior = Chain() if posterior is None else posterior
        self.context = context

    def encode(self, x):
        """μ and log σ² of z₀, each (B, L)."""
        return self._told(x)[:2]

    def posterior_sample(self, x, *, rng):
        """A draw z ~ q(z|x) and log q(z|x), (13.37), differentiable.   Shapes: x (B, …) → z (B, L), (B,)"""
        mean, log_var, context = self._told(x)
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        log_q = -0.5 * each_sum(log_var + (noise**2 + math.log(2 * math.pi)))  # of z₀
        z, log_det = self._bent(mean + ops.exp(0.5 * log_var) * noise, context)
        return z, log_q - log_det

    def elbo(self, x, *, rng):
        """The bound (13.38) with one sample of z per example, and its terms, each (B,), in nats.

        `kl` is the inner bracket: an estimate of the KL, which may come out below 0.
        """
        z, log_q = self.posterior_sample(x, rng=rng)
        log_likelihood = self.likelihood.log_prob(self.decode(z), x)
        kl = log_q - self.prior.log_prob(z)
        return Elbo(log_likelihood - kl, log_likelihood, kl)

    # -- evaluation -------------------------------------------------------------------------------------------

    @no_grad()
    def iwae(self, x, samples, *, rng, chunk=10_000):
        """The bound L_k of (5.9) with k = `samples`, (B,), in nats. One sample's log w is (13.38) itself.

        At most `chunk` codes are decoded at a time, to bound memory.
        """
        x = np.asarray(x.data if isinstance(x, Tensor) else x)
        repeats, log_weights, left = max(1, chunk // len(x)), [], samples
        while left:
            k = min(left, repeats)
            left -= k
            repeated = np.tile(x, (k, *(1,) * (x.ndim - 1)))  # (k·B, …)
            log_weights.append(self.elbo(repeated, rng=rng).elbo.data.reshape(k, -1))
        return ops.logsumexp(np.concatenate(log_weights), dim=0) - np.log(samples)

    @no_grad()
    def reconstruct(self, x, *, rng=None):
        """E[x|z] for the code that z₀ = μ(x) is bent to, or for a sampled one if an rng is given."""
        return self.likelihood.mean(self.decode(self.code(x) if rng is None else self.posterior_sample(x, rng=rng)[0]))

    @no_grad()
    def sample(self, n, *, rng, noise=True):
        """n new pictures: z from the prior, then x from p(x|z), or its mean if noise=False."""
        parameters = self.decode(Tensor(self.prior.sample(n, rng=rng)))
        return self.likelihood.sample(parameters, rng=rng) if noise else self.likelihood.mean(parameters)

    @no_grad()
    def interpolate(self, x0, x1, steps, spherical=False):
        """Pictures decoded along the path between two examples' codes that is straight, or a great circle, at the base.

        The prior's flow carries it back, so it does not cross holes of the prior.   Shapes: (1, …) twice → (steps, …)
        """
        e0, e1 = (self.prior.encode(self.code(x)) for x in (x0, x1))  # each (1, L)
        t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        path = slerp(e0, e1, t) if spherical else (1 - t) * e0 + t * e1
        return self.likelihood.mean(self.decode(Tensor(self.prior.decode(path))))

    def code(self, x):
        """The code that z₀ = μ(x) is bent to, (B, L): an example's place among the codes, without chance."""
        mean, _, context = self._told(x)
        return self._bent(mean, context)[0]

    def _bent(self, start, context):
        """z and log |det ∂z/∂z₀|."""
        return self.posterior.inverse(start, context) if self.context else self.posterior.inverse(start)

    def _told(self, x):
        numbers = self.encoder(x)
        expected = 2 * self.latent + self.context
        if numbers.ndim != 2 or numbers.shape[1] != expected:
            raise ShapeError(f"FlowVAE: the encoder returned {numbers.shape}; expected (B, {expected}): means, "
                             f"log-variances and {self.context} numbers of context")
        size = self.latent
        return numbers[:, :size], numbers[:, size : 2 * size], numbers[:, 2 * size :]
