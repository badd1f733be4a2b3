"""What the exercises of lesson 08 are compared with, and what several of their typical mistakes have in common."""

import numpy as np
from scipy.special import expit

import minigen as mg
from minigen.learn.exercise import WrongForm
from minigen.metrics.modes import count_modes
from minigen.models import dirac_gan, gan

# -- the best discriminator -------------------------------------------------------------------------------------------


def optimal_discriminator(log_p, log_q):
    """D*(x) = p(x) / (p(x) + q(x)) from two log densities, (8.2).   Shapes: (B,) and (B,) → (B,)"""
    return expit(log_p - log_q)


# -- counting modes ---------------------------------------------------------------------------------------------------


def counted(function, samples, means, sigma):
    """The three numbers that a learner's count gives, by their names."""
    result = function(samples, means, sigma)
    if not isinstance(result, tuple | list) or len(result) != 3:
        got = f"{len(result)} things" if isinstance(result, tuple | list) else type(result).__name__
        raise WrongForm(f"It returned {got}, wanted 3: modes captured, share of high quality, reverse KL.")
    return dict(zip(("modes captured", "share of high quality", "reverse KL"), map(float, result), strict=True))


def three_counts(samples, means, sigma):
    """Modes captured, share of high quality, reverse KL in nats: (8.31) to (8.33), as a tuple of numbers."""
    found = count_modes(samples, means, sigma)
    return found.captured, found.high_quality, found.reverse_kl


def recount(samples, means, sigma, *, within=3.0, good_only=False, any_quality=False, kl=None):
    """The same with a choice left open, so that it can be made wrongly.

    within:       widths that a sample of high quality may be away
    good_only:    the histogram counts samples of high quality only
    any_quality:  a mode counts as captured by any nearest sample
    kl:           function of the two laws q and p over the modes, in place of (8.33)
    """
    distance = np.linalg.norm(samples[:, None] - means, axis=2)  # (n, K)
    nearest, good = distance.argmin(axis=1), distance.min(axis=1) <= within * sigma
    counts = np.bincount(nearest[good] if good_only else nearest, minlength=len(means))
    q, p = counts / max(1, counts.sum()), np.full(len(means), 1 / len(means))
    captured = len(np.unique(nearest if any_quality else nearest[good]))
    return captured, good.mean(), (divergence if kl is None else kl)(q, p)


def divergence(q, p):
    """Σ q log(q/p), with 0 log 0 = 0.   Shapes: (K,) and (K,) → a number"""
    some = q > 0
    with np.errstate(divide="ignore"):
        return float(np.sum(q[some] * np.log(q[some] / p[some])))


# -- the Dirac-GAN ----------------------------------------------------------------------------------------------------


def dirac_path(steps, rate, gamma):
    """(θ, ψ) of the saturating Dirac-GAN with R1, both stepping at once from (1, 1): (8.21), (8.24). (steps + 1, 2)"""
    return dirac_gan.play(steps, rate=rate, gamma=gamma)


def path(steps, rate, gamma, slopes, *, turns=None, keep_start=True):
    """The path of (θ, ψ) along any directions slopes(θ, ψ, γ).   turns: None, both at once; "θ first"; "ψ first" """
    theta, psi = 1.0, 1.0
    found = [(theta, psi)] if keep_start else []
    for _ in range(steps):
        old = theta, psi
        if turns == "θ first":
            theta = theta + rate * slopes(theta, psi, gamma)[0]
            psi = psi + rate * slopes(theta, psi, gamma)[1]
        else:
            psi = psi + rate * slopes(*old, gamma)[1]
            theta = theta + rate * slopes(old[0], psi if turns else old[1], gamma)[0]
        found.append((theta, psi))
    return np.array(found).reshape(-1, 2)


def radius(rate, gamma):
    """The largest |eigenvalue| of one step of the Dirac-GAN near (0, 0): below 1, it comes home. A number."""
    return float(np.abs(np.linalg.eigvals(dirac_gan.step_matrix(rate, gamma=gamma))).max())


def radius_with_momentum(rate, gamma, momentum):
    """The same if both players have momentum: v ← b v + J w, w ← w + h v for w = (θ, ψ). A number.

    Adam keeps a mean, v ← b v + (1 − b) J w: that is the same with the rate h (1 − b).
    """
    j, one = dirac_gan.jacobian(gamma=gamma), np.eye(2)
    step = np.block([[one + rate * j, rate * momentum * one], [j, momentum * one]])  # of (w, v)
    return float(np.abs(np.linalg.eigvals(step)).max())


# -- the penalty on the slope -----------------------------------------------------------------------------------------

_DICE = np.random.default_rng(8)
WEIGHTS = tuple(mg.tensor(_DICE.normal(size=shape), requires_grad=True) for shape in ((2, 5), (5,)))


def curved(x):
    """A small critic: tanh(x W) · v with the two WEIGHTS.   Shapes: (B, 2) → (B,)"""
    return mg.tanh(x @ WEIGHTS[0]) @ WEIGHTS[1]


def squared(x):
    """A critic whose slope has another length at every point: ½ |x|², and a little of the WEIGHTS.  (B, 2) → (B,)"""
    return 0.5 * mg.sum(x * x, dim=1) + 0.1 * curved(x)


class Given:
    """In the place of a generator: `random` gives what was prepared."""

    def __init__(self, share):
        self.share = share

    def random(self, shape):
        """The prepared numbers in the shape wanted."""
        return np.reshape(self.share, shape)


def penalty(critic, real, fake, share):
    """The package's gradient penalty (8.11) with ε given.   Shapes: real, fake (B, 2), share (B, 1) → (B,)"""
    return gan.gradient_penalty(critic, mg.tensor(real), mg.tensor(fake), rng=Given(share))


def mixed(real, fake, share):
    """The random points x̂, as a leaf.   Shapes: (B, 2), (B, 2), (B, 1) → (B, 2)"""
    return mg.tensor(share * real + (1 - share) * fake, requires_grad=True)


def slope(critic, x, create_graph=True):
    """∇t at every x, (B, 2)."""
    return mg.grad(mg.sum(critic(x)), x, create_graph=create_graph)[0]


def length(slopes):
    """The length of every slope: (B, 2) → (B,)."""
    return mg.sqrt(mg.sum(slopes * slopes, dim=1))


def penalised(function, critic, real, fake, share):
    """What a learner's penalty returns, and its gradient in the critic's weights, which is what training needs."""
    value = function(critic, real, fake, share)
    if not isinstance(value, mg.Tensor):
        raise WrongForm(f"It returned {type(value).__name__}, wanted a Tensor of shape ({len(real)},), for it shall be "
                        "part of a loss.")
    found = {"penalty": value}
    grads = mg.grad(mg.sum(value), WEIGHTS, allow_unused=True) if value.requires_grad else (None, None)
    for name, weight, g in zip(("W", "v"), WEIGHTS, grads, strict=True):
        found[f"its gradient in the critic's {name}"] = np.zeros(weight.shape) if g is None else g
    return found


# -- packing ----------------------------------------------------------------------------------------------------------


def packed_law(p, m):
    """The probabilities of all K^m packs of m independent draws.   Shapes: (K,) → (K^m,)"""
    law = np.ones(1)
    for _ in range(m):
        law = np.multiply.outer(law, p).reshape(-1)
    return law


def packed_distance(p, q, m):
    """Total variation ½ Σ |p − q| between packs of m draws, (8.13): a number from 0 to 1.   Shapes: (K,) and (K,)"""
    return float(0.5 * np.abs(packed_law(p, m) - packed_law(q, m)).sum())
