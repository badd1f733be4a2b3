"""The vector-quantised autoencoder: codes that are words from a learnt dictionary.

The encoder gives a vector e at each of T places. It is replaced by the nearest of K code vectors c_1 … c_K,

    k*(e) = argmin_k ‖e − c_k‖²,     z = c_{k*}.                                                    (5.12)

The choice is a step function: its derivative is 0 almost everywhere, and no gradient would reach the encoder. The
*straight-through* estimator pretends, going backward only, that z were e:

    z = e + constant(c_{k*} − e),    so  ∂z/∂e = I.                                                  (5.13)

What the decoder wants of z is then handed to e unchanged. Two more terms keep e and the codes together: the
*commitment* loss ‖e − constant(c_{k*})‖² pulls the encoder to the codes, and the codes follow the encoder as running
means of the vectors that chose them (decay γ):

    N_k ← γ N_k + (1 − γ) n_k,   S_k ← γ S_k + (1 − γ) Σ_{e chose k} e,   c_k = S_k / N_k.             (5.14)

If the prior over codes is uniform and independent, −log p(x) ≤ −log p(x|z) + T log K: quantising is a code in the
literal sense, T log₂ K bits long.                                                                   (5.15)

Source: van den Oord et al. 2017, arXiv:1711.00937, with the running means of its appendix A. Differs: a code that
nobody has chosen for a while is moved onto a random encoder output, so that the whole dictionary is used.
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.autograd import no_grad
from minigen.errors import ShapeError


class VectorQuantiser(nn.Module):
    """The dictionary: nearest code forward, straight through backward, running means for learning.

    Shapes:  e (B, T, D) → z (B, T, D), indices (B, T) of whole numbers below K, commitment (B,)
    """

    def __init__(self, codes, width, *, decay=0.99, rng):
        self.decay = decay
        self.codebook = rng.standard_normal((codes, width)).astype(np.float32)  # c_k
        self.counts = np.ones(codes, dtype=np.float32)  # N_k
        self.sums = self.codebook.copy()  # S_k
        self.rng = rng

    def forward(self, e):
        if e.ndim != 3 or e.shape[2] != self.codebook.shape[1]:
            raise ShapeError(f"VectorQuantiser: input {e.shape}; expected (B, T, {self.codebook.shape[1]})")
        vectors = e.detach().data.reshape(-1, e.shape[2])  # (B·T, D)
        indices = self.nearest(vectors)
        if self.training:
            self._follow(vectors, indices)
        codes = self.codebook[indices].reshape(e.shape)
        z = e + (codes - e.detach().data)  # (5.13)
        commitment = ops.sum((e - codes) ** 2, dim=(1, 2))
        return z, indices.reshape(e.shape[:2]), commitment

    def nearest(self, vectors):
        """(5.12): ‖e − c‖² = ‖e‖² − 2 e·c + ‖c‖², and ‖e‖² is the same for all c.  (N, D) → (N,)"""
        return np.argmin((self.codebook**2).sum(axis=1) - 2 * vectors @ self.codebook.T, axis=1)

    def _follow(self, vectors, indices):
        """(5.14), then a new start for codes that lost all their followers."""
        k, gamma = len(self.codebook), np.float32(self.decay)
        chosen = np.bincount(indices, minlength=k).astype(np.float32)
        sums = np.zeros_like(self.sums)
        np.add.at(sums, indices, vectors)
        self.counts[...] = gamma * self.counts + (1 - gamma) * chosen
        self.sums[...] = gamma * self.sums + (1 - gamma) * sums
        dead = self.counts < 0.02 * len(vectors) / k
        if dead.any():
            self.sums[dead] = vectors[self.rng.integers(len(vectors), size=dead.sum())]
            self.counts[dead] = 1
        self.codebook[...] = self.sums / self.counts[:, None]


class VQVAE(nn.Module):
    """Encoder, dictionary, decoder.

    encoder:     x → e (B, T, D)
    decoder:     z (B, T, D) → the numbers that the likelihood needs, (B, channels, …)
    likelihood:  one of minigen.likelihoods
    commitment:  the weight of the commitment loss (0.25 in the paper)
    """

    def __init__(self, encoder, decoder, likelihood, *, codes, width, places, decay=0.99, commitment=0.25, rng):
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.quantiser = VectorQuantiser(codes, width, decay=decay, rng=rng)
        self.places = places
        self.commitment = commitment

    def loss(self, x, *, rng=None):
        """−log p(x|z) + commitment, one value per example (B,), in nats (the commitment is a plain number)."""
        z, _, commitment = self.quantiser(self.encoder(x))
        return self.commitment * commitment - self.likelihood.log_prob(self.decoder(z), x)

    @no_grad()
    def elbo(self, x):
        """The bound (5.15) with a uniform prior over codes, (B,), in nats."""
        z, _, _ = self.quantiser(self.encoder(x))
        return self.likelihood.log_prob(self.decoder(z), x) - self.places * math.log(len(self.quantiser.codebook))

    @no_grad()
    def encode(self, x):
        """Each example as a row of T whole numbers: what an autoregressive prior learns to write."""
        return self.quantiser(self.encoder(x))[1]

    @no_grad()
    def decode(self, indices):
        """Pictures from rows of code numbers: the mean of p(x|z)."""
        z = ops.take(self.quantiser.codebook, indices)
        return self.likelihood.mean(self.decoder(z))

    def reconstruct(self, x):
        """decode(encode(x))."""
        return self.decode(self.encode(x))


def mlp_vqvae(pixels, likelihood, *, codes, width, places, hidden, high, rng):
    """A VQ-VAE for flat pictures (B, pixels) of values 0 … high, with one hidden layer on either side."""
    encoder = nn.Sequential(
        nn.Scaled(high),
        nn.Linear(pixels, hidden, rng=rng),
        nn.SiLU(),
        nn.Linear(hidden, places * width, rng=rng),
        nn.Unflatten(1, (places, width)),
    )
    decoder = nn.Sequential(
        nn.Flatten(),
        nn.Linear(places * width, hidden, rng=rng),
        nn.SiLU(),
        nn.Linear(hidden, likelihood.channels * pixels, rng=rng),
        nn.Unflatten(1, (likelihood.channels, pixels)),
    )
    return VQVAE(encoder, decoder, likelihood, codes=codes, width=width, places=places, rng=rng)
