"""VAE and GAN in one: the discriminator says how alike two pictures are.

A VAE (`vae`) decodes a code z to a picture and pays for every pixel that is wrong. But its code does not say exactly
where each edge lies, and the picture with the least mean error has an edge at none of the places where it may be, but
grey at all of them: blur. A discriminator (`gan`) knows better. On the way to its logit it computes *features* φ(x),
its last hidden layer, in which an edge a pixel further left is nearly the same, while blur, which no real picture has,
stands out. So measure the error of a decoded picture there. With independent Gaussians of width s,

    p(φ(x) | z) = N(φ(x); φ(G(z)), s² I),      −log p = |φ(x) − φ(G(z))|² / 2s² + a constant.          (8.26)

Three networks play: an encoder E, which gives the mean μ(x) and the width σ(x) of q(z|x); the generator G, which is the
VAE's decoder as well; the discriminator D, with logit t = (a linear layer of φ). From a real picture x come the code
z = μ + σε (5.6) and its *reconstruction* G(z), from z₀ ~ N(0, I) the forgery G(z₀). Each network has a loss of its own:

    L_E = KL( q(z|x) ‖ N(0, I) ) + |φ(x) − φ(G(z))|² / 2s²,                                            (8.27)
    L_G = γ |φ(x) − φ(G(z))|² / 2s² + ½ l_G(t(x), t(G(z))) + ½ l_G(t(x), t(G(z₀))),                    (8.28)
    L_D = ½ l_D(t(x), t(G(z))) + ½ l_D(t(x), t(G(z₀))) + r1 · R1,                                      (8.29)

l_G and l_D being those of a game, (8.4) to (8.10), and R1 the penalty (8.12). (8.27) is −ELBO (5.4), with features for
pixels. γ weighs likeness to x against being taken for real. Who does *not* learn from a term matters as much:

- D does not learn from the error (8.26). It could bring it to 0 by φ = 0, and would.
- E does not learn from the game. It is to say what x is, not what will be taken for real.

It is no bound on log p(x) any more: φ changes as D learns, and what φ does not see costs nothing. The model has no
likelihood of pixels, and its error per pixel is larger than that of a VAE.

Source: Larsen, Sønderby, Larochelle & Winther 2015, arXiv:1512.09300.  Differs: any game of `gan.OBJECTIVES` in place
of the first one, with R1; the two halves of the game weigh ½ each.
"""

from typing import NamedTuple

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.distributions import kl_standard_normal
from minigen.errors import MinigenError, ShapeError
from minigen.models.gan import OBJECTIVES, squared_slope
from minigen.models.vae import reparameterise


class Losses(NamedTuple):
    """What E and G make small, (8.27) and (8.28), and the two terms of (8.27); one value per example, (B,)."""

    encoder: Tensor
    generator: Tensor
    error: Tensor
    kl: Tensor


class VAEGAN(nn.Module):
    """Encoder, generator and discriminator, and the three losses.

        losses = model.losses(x, rng=rng)           # take autograd.grad of each in its own network's parameters
        model.discriminator_loss(x, rng=rng)        # (B,)
        model.sample(64, rng=rng);  model.reconstruct(x)

    encoder:        x (B, …) → (B, 2L), the means and log-variances of q(z|x) side by side
    generator:      z (B, L) → pictures (B, …)
    discriminator:  a Sequential of two: pictures (B, …) → φ (B, F), and φ → logits (B, 1); dcgan_discriminator is one
    latent:         L
    objective:      a name from `gan.OBJECTIVES`
    gamma, spread, r1:  γ, s and the strength of R1 in (8.26) to (8.29)
    """

    def __init__(self, encoder, generator, discriminator, *, latent, objective="non-saturating", gamma=0.01,
                 spread=1.0, r1=0.0):
        if not isinstance(discriminator, nn.Sequential) or len(discriminator) != 2:
            raise MinigenError(f"VAEGAN: discriminator is a {type(discriminator).__name__}; expected a Sequential of "
                               "two modules, the features and what turns them into logits")
        if objective not in OBJECTIVES:
            raise MinigenError(f"VAEGAN: objective is {objective!r}; expected one of {', '.join(OBJECTIVES)}")
        if min(gamma, r1) < 0 or spread <= 0:
            raise MinigenError(f"VAEGAN: gamma={gamma}, r1={r1}, spread={spread}; expected numbers of at least 0, the "
                               "spread above 0")
        self.encoder, self.generator, self.discriminator = encoder, generator, discriminator
        self.latent, self.objective, self.gamma, self.spread, self.r1 = latent, objective, gamma, spread, r1

    def encode(self, x):
        """μ and log σ² of q(z|x), each (B, L)."""
        numbers = self.encoder(x)
        if numbers.ndim != 2 or numbers.shape[1] != 2 * self.latent:
            raise ShapeError(f"VAEGAN.encode: the encoder returned {numbers.shape}; expected (B, {2 * self.latent})")
        return ops.chunk(numbers, 2, dim=1)

    def features(self, x):
        """φ(x), (B, F)."""
        return self.discriminator[0](x)

    # -- the losses ---------------------------------------------------------------------------------------------------

    def losses(self, x, *, rng):
        """L_E and L_G, one value per example.

        Both have graphs through all three networks, and the graph is shared. A training step takes the gradient of each
        in the parameters of its own network only, by `autograd.grad`; `backward` would mix them up.

        Shapes:   x (B, …) → four times (B,)
        """
        x = _tensor(x)
        mean, log_var = self.encode(x)
        forged = self._forge(mean, log_var, rng)  # (2B, …)
        with no_grad():
            phi_real = self.features(x)
            t_real = self._logits(phi_real)
        phi = self.features(forged)  # (2B, F)
        apart = phi[: len(x)] - phi_real
        error = ops.sum(apart * apart, dim=1) / (2 * self.spread**2)  # (8.26)
        kl = kl_standard_normal(mean, log_var)
        game = self._halves(OBJECTIVES[self.objective].generator, t_real, self._logits(phi))
        return Losses(kl + error, self.gamma * error + game, error, kl)  # (8.27), (8.28)

    def discriminator_loss(self, x, *, rng):
        """L_D, (8.29), one value per example. The forgeries are made without a graph.

        Shapes:   x (B, …) → (B,)
        """
        x = _tensor(x, requires_grad=bool(self.r1))
        with no_grad():
            forged = self._forge(*self.encode(x), rng)
        t_real = self._logits(self.features(x))
        t_fake = self._logits(self.features(forged))
        loss = self._halves(OBJECTIVES[self.objective].discriminator, t_real, t_fake)
        if self.r1:
            loss = loss + 0.5 * self.r1 * squared_slope(t_real, x)  # (8.12)
        return loss

    def _forge(self, mean, log_var, rng):
        """Reconstructions and forgeries below each other: G(z) and G(z₀), (2B, …)."""
        z = reparameterise(mean, log_var, rng=rng)
        return self.generator(ops.concatenate([z, self.noise(len(z), rng=rng)], dim=0))

    def _logits(self, phi):
        return ops.reshape(self.discriminator[1](phi), (-1,))

    @staticmethod
    def _halves(loss, t_real, t_fake):
        """½ of a game's loss against the reconstructions and ½ against the forgeries, (B,) and (2B,) → (B,)."""
        size = len(t_real)
        return 0.5 * loss(t_real, t_fake[:size]) + 0.5 * loss(t_real, t_fake[size:])

    # -- pictures -----------------------------------------------------------------------------------------------------

    def noise(self, n, *, rng):
        """z₀ ~ N(0, I), (n, L)."""
        return Tensor(rng.standard_normal((n, self.latent), dtype=np.float32))

    @no_grad()
    def sample(self, n, *, rng):
        """n samples, an array (n, …)."""
        return self._drawn(self.noise(n, rng=rng))

    @no_grad()
    def reconstruct(self, x):
        """G of each picture's mean code, an array of x's shape."""
        return self._drawn(self.encode(_tensor(x))[0])

    def _drawn(self, z):
        training = self.generator.training
        self.generator.eval()
        pictures = self.generator(z).data
        self.generator.train(training)
        return pictures


def _tensor(x, requires_grad=False):
    return Tensor(x.data if isinstance(x, Tensor) else np.asarray(x, dtype=np.float32), requires_grad=requires_grad)
