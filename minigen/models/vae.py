"""The variational autoencoder.

We want a density for pictures x. Suppose each picture comes from a short hidden code z, drawn from a fixed prior
p(z) = N(0, I), by a network that turns codes into pictures, p(x|z):

    p(x) = ∫ p(x|z) p(z) dz.                                                                         (5.1)

The integral runs over all codes and cannot be done. But for a given x only few codes matter. Let a second network, the
*encoder*, guess them: q(z|x) = N(μ(x), diag σ(x)²). Multiply and divide by q,

    log p(x) = log E_q[ p(x|z) p(z) / q(z|x) ],                                                      (5.2)

and pull the logarithm inside the mean. It is concave, so by Jensen's inequality this can only lose:

    log p(x) ≥ E_q[ log p(x|z) + log p(z) − log q(z|x) ]                                             (5.3)
             = E_q[ log p(x|z) ] − KL( q(z|x) ‖ p(z) )  =: ELBO.                                     (5.4)

How much is lost is known exactly: log p(x) = ELBO + KL( q(z|x) ‖ p(z|x) ), the error of the guess.   (5.5)

To differentiate the mean over q with respect to q's own parameters, write the sample as a function of them,

    z = μ + σ · ε,   ε ~ N(0, I),                                                                    (5.6)

and let gradients flow through it (the *reparameterisation*). The other term has a closed form,

    KL = ½ Σ_j (μ_j² + σ_j² − 1 − log σ_j²).                                                          (5.7)

Training minimises −E_q[log p(x|z)] + β KL; β = 1 is the bound, other β trade detail against order in the codes. (5.8)
With k samples instead of one the bound tightens towards log p(x):

    L_k = E[ log 1/k Σᵢ wᵢ ],   wᵢ = p(x|zᵢ) p(zᵢ) / q(zᵢ|x),   ELBO = L_1 ≤ L_2 ≤ … ≤ log p(x).      (5.9)

If the decoder is strong, the encoder may find it cheapest to say nothing (posterior collapse). *Free bits* take away
the reward for that: codes are charged at least λ nats each, Σ_j max(λ, mean over the batch of KL_j).  (5.10)

Sources: Kingma & Welling 2013, arXiv:1312.6114; Rezende et al. 2014, arXiv:1401.4082; β: Higgins et al. 2017; (5.9):
Burda et al. 2015, arXiv:1509.00519; (5.10): Kingma et al. 2016, arXiv:1606.04934. Differs: the networks are ours.
"""

from typing import NamedTuple

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.distributions import kl_standard_normal
from minigen.errors import ShapeError


class Elbo(NamedTuple):
    """The bound (5.4) and its two terms, one value per example, in nats."""

    elbo: Tensor
    log_likelihood: Tensor
    kl: Tensor


class VAE(nn.Module):
    """A variational autoencoder from three parts.

    encoder:     x (B, …) → (B, 2L), the means and log-variances of q(z|x) side by side
    decoder:     z (B, L) → the numbers that the likelihood needs for every pixel, (B, channels, …)
    likelihood:  one of minigen.likelihoods: log p(x|z) and how to draw from it
    latent:      L, the length of a code
    """

    def __init__(self, encoder, decoder, likelihood, latent, *, beta=1.0, free_bits=0.0):
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.latent = latent
        self.beta = beta
        self.free_bits = free_bits

    def encode(self, x):
        """μ and log σ² of q(z|x), each (B, L)."""
        parameters = self.encoder(x)
        if parameters.ndim != 2 or parameters.shape[1] != 2 * self.latent:
            raise ShapeError(f"VAE.encode: the encoder returned {parameters.shape}; expected (B, {2 * self.latent})")
        return ops.chunk(parameters, 2, dim=1)

    def decode(self, z):
        """The parameters of p(x|z), (B, channels, …)."""
        return self.decoder(z)

    # -- the objective ----------------------------------------------------------------------------------------

    def elbo(self, x, *, rng):
        """The bound (5.4) with one sample of z per example, and its terms, each (B,), in nats."""
        mean, log_var = self.encode(x)
        z = reparameterise(mean, log_var, rng=rng)
        log_likelihood = self.likelihood.log_prob(self.decode(z), x)
        kl = kl_standard_normal(mean, log_var)
        return Elbo(log_likelihood - kl, log_likelihood, kl)

    def loss(self, x, *, rng):
        """What training minimises, (5.8) with (5.10): one value per example, (B,)."""
        if not self.free_bits:
            bound = self.elbo(x, rng=rng)
            return self.beta * bound.kl - bound.log_likelihood
        mean, log_var = self.encode(x)
        z = reparameterise(mean, log_var, rng=rng)
        kl_per_code = 0.5 * (mean * mean + ops.exp(log_var) - 1.0 - log_var)  # (B, L)
        charged = ops.maximum(ops.mean(kl_per_code, dim=0), np.full(self.latent, self.free_bits))  # (L,)
        return self.beta * ops.sum(charged) - self.likelihood.log_prob(self.decode(z), x)

    # -- evaluation -------------------------------------------------------------------------------------------

    @no_grad()
    def iwae(self, x, samples, *, rng, chunk=10_000):
        """The bound L_k of (5.9) with k = `samples`, (B,), in nats; an estimate of log p(x) from below.

        At most `chunk` codes are decoded at a time, to bound memory.
        """
        mean, log_var = (t.data for t in self.encode(x))
        repeats = max(1, chunk // len(mean))
        log_weights = []
        while samples:
            k = min(samples, repeats)
            samples -= k
            tiled_mean, tiled_log_var = np.tile(mean, (k, 1)), np.tile(log_var, (k, 1))  # (k·B, L)
            noise = rng.standard_normal(tiled_mean.shape).astype(mean.dtype)
            z = tiled_mean + np.exp(0.5 * tiled_log_var) * noise
            # log p(z) − log q(z|x): the constants −½ log 2π cancel.
            log_ratio = 0.5 * (noise**2 + tiled_log_var - z**2).sum(axis=1)
            repeated = np.tile(_array(x), (k, *(1,) * (x.ndim - 1)))
            log_likelihood = self.likelihood.log_prob(self.decode(Tensor(z)), repeated).data
            log_weights.append((log_likelihood + log_ratio).reshape(k, -1))
        log_weights = np.concatenate(log_weights)  # (samples, B)
        return ops.logsumexp(log_weights, dim=0) - np.log(len(log_weights))

    @no_grad()
    def reconstruct(self, x, *, rng=None):
        """E[x|z] for the mean code of each example, or for a sampled one if an rng is given."""
        mean, log_var = self.encode(x)
        z = mean if rng is None else reparameterise(mean, log_var, rng=rng)
        return self.likelihood.mean(self.decode(z))

    @no_grad()
    def sample(self, n, *, rng, noise=True):
        """n new pictures: z from the prior, then x from p(x|z), or its mean if noise=False."""
        z = Tensor(rng.standard_normal((n, self.latent)), dtype=np.float32)
        parameters = self.decode(z)
        return self.likelihood.sample(parameters, rng=rng) if noise else self.likelihood.mean(parameters)

    @no_grad()
    def interpolate(self, x0, x1, steps, spherical=False):
        """Pictures decoded along the path between the mean codes of two examples, ends included: (steps, …).

        In high dimensions N(0, I) lies on a shell of radius √L. A straight line between two of its points cuts through
        the empty middle; `spherical` follows the great circle instead (White 2016, arXiv:1609.04468).
        """
        z0, z1 = (self.encode(x)[0].data for x in (x0, x1))  # each (1, L)
        t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        path = slerp(z0, z1, t) if spherical else (1 - t) * z0 + t * z1
        return self.likelihood.mean(self.decode(Tensor(path)))

    @no_grad()
    def anomaly_score(self, x, *, rng, samples=16):
        """−ELBO averaged over `samples` codes, (B,), in nats: high for pictures unlike the training data."""
        return -np.mean([self.elbo(x, rng=rng).elbo.data for _ in range(samples)], axis=0)


def reparameterise(mean, log_var, *, rng):
    """A sample of N(mean, e^log_var) through which gradients flow, (5.6)."""
    noise = rng.standard_normal(mean.shape, dtype=np.float32)
    return mean + ops.exp(0.5 * log_var) * noise


def slerp(z0, z1, t):
    """Points at fractions t of the way from z0 to z1 at constant angular speed; lengths change linearly."""
    length0, length1 = np.linalg.norm(z0), np.linalg.norm(z1)
    cosine = np.clip(np.sum(z0 * z1) / (length0 * length1), -1, 1)
    angle = np.arccos(cosine)
    if angle < 1e-4:
        return (1 - t) * z0 + t * z1
    direction = (np.sin((1 - t) * angle) * z0 / length0 + np.sin(t * angle) * z1 / length1) / np.sin(angle)
    return direction * ((1 - t) * length0 + t * length1)


def _array(x):
    return x.data if isinstance(x, Tensor) else x


# -- networks -------------------------------------------------------------------------------------------------


def mlp_encoder(pixels, latent, *, hidden, dropout, high, rng):
    """(B, pixels) of values 0 … high → (B, 2L): two hidden layers, the second a residual block."""
    return nn.Sequential(nn.Scaled(high), *_hidden_layers(pixels, hidden, dropout, rng),
                         nn.Linear(hidden, 2 * latent, rng=rng))  # fmt: skip


def mlp_decoder(latent, likelihood, pixels, *, hidden, dropout, rng):
    """(B, L) → (B, channels, pixels): the encoder's mirror image. Starts from the likelihood's own guess."""
    last = nn.Linear(hidden, likelihood.channels * pixels, rng=rng)
    last.bias.overwrite(likelihood.initial_bias(pixels).reshape(-1))
    return nn.Sequential(*_hidden_layers(latent, hidden, dropout, rng), last,
                         nn.Unflatten(1, (likelihood.channels, pixels)))  # fmt: skip


def _hidden_layers(inputs, hidden, dropout, rng):
    return (
        nn.Linear(inputs, hidden, rng=rng),
        nn.GELU(),
        nn.Dropout(dropout, rng=rng),
        nn.Residual(nn.Linear(hidden, hidden, rng=rng), nn.GELU(), nn.Dropout(dropout, rng=rng)),
    )


def conv_encoder(size, latent, *, width, high, rng):
    """(B, 1, size, size) of values 0 … high → (B, 2L): halve the picture twice while the channels double."""
    small = size // 4
    return nn.Sequential(
        nn.Scaled(high),
        nn.Conv2d(1, width, 3, stride=2, padding=1, rng=rng),
        nn.SiLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, rng=rng),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(2 * width * small * small, 8 * width, rng=rng),
        nn.SiLU(),
        nn.Linear(8 * width, 2 * latent, rng=rng),
    )


def conv_decoder(latent, likelihood, size, *, width, rng):
    """(B, L) → (B, channels, size, size): the encoder's mirror image, with transposed convolutions."""
    small = size // 4
    return nn.Sequential(
        nn.Linear(latent, 8 * width, rng=rng),
        nn.SiLU(),
        nn.Linear(8 * width, 2 * width * small * small, rng=rng),
        nn.SiLU(),
        nn.Unflatten(1, (2 * width, small, small)),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, rng=rng),
        nn.SiLU(),
        nn.ConvTranspose2d(width, likelihood.channels, 4, stride=2, padding=1, rng=rng),
    )
