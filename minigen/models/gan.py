"""Generative adversarial networks: two networks, one forges, one tells forgeries from the real thing.

A *generator* G turns noise z, drawn from a fixed prior, into a sample G(z). A *discriminator* gives every sample x a
number t(x), its *logit*, and D(x) = σ(t(x)) as its probability of being real. One wants to be right, one wants it to be
wrong:

    min_G max_D V(D, G),      V = E_{x~p}[ log D(x) ] + E_{x~q}[ log(1 − D(x)) ],                     (8.1)

p the law of the data, q that of G(z). For a fixed G every x stands for itself: p(x) log D + q(x) log(1 − D) is largest
at

    D*(x) = p(x) / (p(x) + q(x)),      t*(x) = log p(x) − log q(x),                                   (8.2)
    V(D*, G) = 2 JSD(p ‖ q) − log 4,                                                                  (8.3)

with the Jensen–Shannon divergence, which is 0 only if q = p. Written with logits, log σ(t) = −softplus(−t), so what the
discriminator makes small is

    L_D = softplus(−t(x)) + softplus(t(G(z))).                                                        (8.4)

**What the generator makes small.** By (8.1) it would be log(1 − D) = −softplus(t), whose slope −σ(t) dies when the
forgery is found out (t → −∞), just when it is needed. Turning the question round gives the same fixed point and a slope
that does not die:

    saturating      L_G = −softplus(t(G(z))),     dL/dt = −σ(t);                                       (8.5)
    non-saturating  L_G =  softplus(−t(G(z))),    dL/dt = −σ(−t).                                      (8.6)

**Other games.** With t_r = t(x) of a real and t_f = t(G(z)) of a forged sample:

    hinge            L_D = max(0, 1 − t_r) + max(0, 1 + t_f),        L_G = −t_f                        (8.7)
    least squares    L_D = ½ (t_r − 1)² + ½ t_f²,                    L_G = ½ (t_f − 1)²                (8.8)
    Wasserstein      L_D = t_f − t_r,  t with slope at most 1,       L_G = −t_f                        (8.9)
    relativistic     L_D = softplus(t_f − t_r),                      L_G = softplus(t_r − t_f)         (8.10)

**Penalties on the slope of t.** The Wasserstein critic must have slope 1 almost everywhere between the two laws; this
asks for it at random places on the lines between real and forged samples:

    GP = ( |∇t(x̂)| − 1 )²,    x̂ = ε x + (1 − ε) G(z),  ε ~ U[0, 1].                                   (8.11)

The others want it flat where the samples are, which is what damps the game's circling (see `dirac_gan`):

    R1 = ½ |∇t(x)|² at real samples,      R2 = ½ |∇t(G(z))|² at forged ones.                           (8.12)

All three are gradients inside a loss: training needs the gradient of a gradient, which this engine has.

**Packing.** A discriminator that sees m samples at once, side by side, sees at a glance that a generator repeats
itself: the law of m samples of a collapsed q differs far more from that of m real ones than one does from one.  (8.13)

**Unrolling.** G answers today's D; by the time it has moved, D has moved too. Let G look ahead: let a copy of D take k
steps of gradient descent, ψ_{j+1} = ψ_j − η ∇_ψ L_D(ψ_j), and make L_G small for *that* D,

    L_G(θ) = L_G(θ, ψ_k(θ)),                                                                          (8.18)

with the gradient through all k steps: moving its samples together would show at once.

Sources: Goodfellow et al. 2014, arXiv:1406.2661; (8.7): Lim & Ye 2017, arXiv:1705.02894; (8.8): Mao et al. 2016,
arXiv:1611.04076; (8.9): Arjovsky et al. 2017, arXiv:1701.07875; (8.10): Jolicoeur-Martineau 2018, arXiv:1807.00734,
with both penalties Huang et al. 2024, arXiv:2501.05441; (8.11): Gulrajani et al. 2017, arXiv:1704.00028; (8.12):
Mescheder et al. 2018, arXiv:1801.04406; (8.13): Lin et al. 2017, arXiv:1712.04086; (8.18): Metz et al. 2016,
arXiv:1611.02163. Differs: losses are per example.
"""

from typing import NamedTuple

import numpy as np

from minigen import autograd, nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError


class Objective(NamedTuple):
    """What the two make small: functions of the logits of real and of forged samples, (B,) and (B,) → (B,)."""

    discriminator: callable
    generator: callable


def _tells_apart(real, fake):
    return ops.softplus(-real) + ops.softplus(fake)  # (8.4)


OBJECTIVES = {
    "saturating": Objective(_tells_apart, lambda real, fake: -ops.softplus(fake)),  # (8.5)
    "non-saturating": Objective(_tells_apart, lambda real, fake: ops.softplus(-fake)),  # (8.6)
    "hinge": Objective(lambda real, fake: ops.relu(1 - real) + ops.relu(1 + fake), lambda real, fake: -fake),  # (8.7)
    "least-squares": Objective(lambda real, fake: 0.5 * (real - 1) ** 2 + 0.5 * fake**2,
                               lambda real, fake: 0.5 * (fake - 1) ** 2),  # (8.8)
    "wasserstein": Objective(lambda real, fake: fake - real, lambda real, fake: -fake),  # (8.9)
    "relativistic": Objective(lambda real, fake: ops.softplus(fake - real),
                              lambda real, fake: ops.softplus(real - fake)),  # (8.10)
}  # fmt: skip


class GAN(nn.Module):
    """A generator, a discriminator, and the game that they play.

        gan = GAN(generator, discriminator, latent=8, objective="relativistic", r1=0.1, r2=0.1)
        gan.discriminator_loss(x, rng=rng)           # (B,): its mean is what D's optimiser makes small
        gan.generator_loss(x, rng=rng)               # the same for G
        gan.sample(64, rng=rng)

    generator:      z (B, L) → samples (B, …); with classes: also labels (B,)
    discriminator:  samples (B, …) → logits (B,) or (B, 1); with classes: also labels
    latent:         L; z ~ N(0, I)
    objective:      a name from OBJECTIVES
    r1, r2, gp:     what (8.12) and (8.11) are multiplied with
    packing:        m of (8.13): the discriminator gets m samples joined along dimension 1, (B/m, m·C, …)
    """

    def __init__(self, generator, discriminator, *, latent, objective="non-saturating", r1=0.0, r2=0.0, gp=0.0,
                 packing=1):
        if objective not in OBJECTIVES:
            raise MinigenError(f"GAN: objective is {objective!r}; expected one of {', '.join(OBJECTIVES)}")
        if min(r1, r2, gp) < 0 or packing < 1 or int(packing) != packing:
            raise MinigenError(f"GAN: r1={r1}, r2={r2}, gp={gp}, packing={packing}; expected numbers of at least 0, "
                               f"and a whole number of at least 1")
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.objective, self.r1, self.r2, self.gp, self.packing = objective, r1, r2, gp, packing

    # -- the two losses -----------------------------------------------------------------------------------------------

    def discriminator_loss(self, x, labels=None, *, rng):
        """L_D of the objective and its penalties, one value per sample (per pack of m, if there are packs).

        The forged samples are made without a graph: D's step is no business of G's.

        Shapes:   x (B, …), labels (B,) → (B/m,)
        """
        with no_grad():
            fake = self._packs(self.forge(len(x), labels, rng=rng))
        real = self._packs(Tensor(_array(x)))
        real, fake = (Tensor(t.data, requires_grad=bool(weight)) for t, weight in ((real, self.r1), (fake, self.r2)))
        t_real, t_fake = self._logits(real, labels), self._logits(fake, labels)
        loss = OBJECTIVES[self.objective].discriminator(t_real, t_fake)
        if self.r1:
            loss = loss + 0.5 * self.r1 * squared_slope(t_real, real)  # (8.12)
        if self.r2:
            loss = loss + 0.5 * self.r2 * squared_slope(t_fake, fake)
        if self.gp:
            loss = loss + self.gp * gradient_penalty(lambda mixed: self._logits(mixed, labels), real, fake, rng=rng)
        return loss

    def generator_loss(self, x, labels=None, *, rng):
        """L_G of the objective, for as many forged samples as there are real ones in x, (B, …) → (B/m,).

        Only the relativistic game (8.10) looks at x itself.
        """
        t_fake = self._logits(self._packs(self.forge(len(x), labels, rng=rng)), labels)
        t_real = None
        if self.objective == "relativistic":
            with no_grad():
                t_real = self._logits(self._packs(Tensor(_array(x))), labels)
        return OBJECTIVES[self.objective].generator(t_real, t_fake)

    def unrolled_generator_loss(self, x, *, steps, rate, rng):
        """L_G against the discriminator as it will be after some steps of gradient descent, (8.18), (B/m,).

        steps, rate:  k and η. D itself stays as it is: only a copy of its weights moves, as part of the graph.
        """
        fake = self._packs(self.forge(len(x), rng=rng))
        real = self._packs(Tensor(_array(x)))
        losses = OBJECTIVES[self.objective]
        weights = dict(self.discriminator.named_parameters())
        for _ in range(steps):
            with self.discriminator.replaced(weights):
                loss = ops.mean(losses.discriminator(self._logits(real, None), self._logits(fake, None)))
            slopes = autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {path: weight - rate * slope
                       for (path, weight), slope in zip(weights.items(), slopes, strict=True)}  # fmt: skip
        with self.discriminator.replaced(weights):
            return losses.generator(self._logits(real, None), self._logits(fake, None))

    def logits(self, x, labels=None):
        """t(x), (B, …) → (B/m,)."""
        return self._logits(self._packs(Tensor(_array(x))), labels)

    def _logits(self, packs, labels):
        t = self.discriminator(packs) if labels is None else self.discriminator(packs, labels)
        return ops.reshape(t, (-1,))

    def _packs(self, x):
        """m samples side by side, (8.13): (B, C, …) → (B/m, m·C, …)."""
        if self.packing == 1:
            return x
        if len(x) % self.packing:
            raise ShapeError(f"GAN: {len(x)} samples; expected a multiple of packing={self.packing}")
        return ops.reshape(x, (len(x) // self.packing, self.packing * x.shape[1], *x.shape[2:]))

    # -- samples ------------------------------------------------------------------------------------------------------

    def noise(self, n, *, rng):
        """z ~ N(0, I), (n, L)."""
        return Tensor(rng.standard_normal((n, self.latent), dtype=np.float32))

    def forge(self, n, labels=None, *, rng):
        """G(z) for n fresh z, with the graph that leads to G's parameters."""
        z = self.noise(n, rng=rng)
        return self.generator(z) if labels is None else self.generator(z, labels)

    @no_grad()
    def sample(self, n, labels=None, *, rng):
        """n samples, an array (n, …)."""
        training = self.generator.training
        self.generator.eval()
        samples = self.forge(n, labels, rng=rng).data
        self.generator.train(training)
        return samples


# -- penalties on the slope -------------------------------------------------------------------------------------------


def squared_slope(t, x):
    """|∇_x t|² of every sample, with a graph of its own: twice (8.12).

    Shapes:   t (B,), computed from x (B, …) → (B,)
    Raises:   GraphError if x does not require a gradient or t does not depend on it.
    """
    (slope,) = autograd.grad(ops.sum(t), x, create_graph=True)
    return ops.sum(slope * slope, dim=tuple(range(1, slope.ndim)))


def gradient_penalty(critic, real, fake, *, rng):
    """(|∇t(x̂)| − 1)² at random points between real and forged samples.

    critic:   samples → logits, (B, …) → (B,)
    Equation: (8.11)                                                                           [lesson 08, eq. 8.11]
    Shapes:   real, fake (B, …) → (B,)
    Raises:   ShapeError if the two differ in shape.
    Source:   Gulrajani et al. 2017, arXiv:1704.00028.  Differs: nothing; ε is drawn per sample, uniformly.
    """
    if real.shape != fake.shape:
        raise ShapeError(f"gradient_penalty: real {real.shape}, forged {fake.shape}; expected equal shapes")
    share = rng.random((len(real), *(1,) * (real.ndim - 1))).astype(real.dtype)
    mixed = Tensor(share * real.data + (1 - share) * fake.data, requires_grad=True)
    return (ops.sqrt(squared_slope(critic(mixed), mixed) + 1e-12) - 1) ** 2


def _array(x):
    return x.data if isinstance(x, Tensor) else np.asarray(x, dtype=np.float32)
