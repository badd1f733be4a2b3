"""What the exercises of lesson 10 are compared with, and what several of their typical mistakes have in common."""

import numpy as np

import minigen as mg
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.learn.exercise import WrongForm
from minigen.models import langevin, score

# -- Hutchinson's estimate of a trace ---------------------------------------------------------------------------------

_DICE = np.random.default_rng(10)
FIRST, SECOND = _DICE.normal(size=(2, 4)), _DICE.normal(size=(4, 2))


def whirl(x):
    """A vector field of the plane that is no gradient: tanh(x W) V − x/2.   Shapes: (B, 2) → (B, 2)"""
    return mg.tanh(x @ FIRST) @ SECOND - x * 0.5


def both_ways(x):
    """The same times the first coordinate: it turns one way here, the other way there.   Shapes: (B, 2) → (B, 2)"""
    return whirl(x) * x[:, :1]


def hill(x):
    """A vector field that is a gradient: that of −Σ log cosh(x W), a hill.   Shapes: (B, 2) → (B, 2)"""
    return -mg.tanh(x @ FIRST) @ FIRST.T


def turned(x):
    """In three dimensions: every entry is squared and goes to the next place.   Shapes: (B, 3) → (B, 3)"""
    y = x * x
    return mg.concatenate([y[:, 2:], y[:, :2]], dim=1) + 0.3 * x * y


def slope(output, x):
    """The gradient of a sum in x, an array.   Shapes: output any, x (B, D) → (B, D)"""
    return mg.grad(mg.sum(output), x)[0].data


def probed(field, x, probes):
    """The mean over the probes of vᵀ (∂s/∂x) v, (10.4), an array.   Shapes: x (B, D), probes (n, B, D) → (B,)"""
    return sandwiched(field, x, probes, lambda row, v: row * v).mean(0)


def sandwiched(field, x, probes, ending):
    """The sum over the D entries of ending(vᵀ ∂s/∂x, v) for each probe.   Shapes: → (n, B)"""
    found = []
    for v in probes:
        leaf = mg.tensor(np.asarray(x), requires_grad=True)
        found.append(ending(slope(field(leaf) * v, leaf), v).sum(1))
    return np.array(found)


def exact_trace(field, x):
    """tr ∂s/∂x by D gradients, an array.   Shapes: (B, D) → (B,)"""
    return np.trace(score.jacobian(field, np.asarray(x)), axis1=1, axis2=2)


# -- two gradients ----------------------------------------------------------------------------------------------------


def bends(x):
    """Three features of a number: 1, x and tanh x.   Shapes: (n,) → (n, 3)"""
    return np.stack([np.ones_like(x), x, np.tanh(x)], axis=1)


def one_hill(y):
    """The score of N(0.5, 2).   Shapes: (n,) → (n,)"""
    return (0.5 - y) / 2


def two_slopes(theta, features, x, noise, sigma, truth):
    """The gradients in θ of (10.7) and of (10.2), for s_θ(y) = features(y) · θ: two vectors (F,)."""
    y = x + sigma * noise
    seen = features(y)  # (n, F)
    said = seen @ theta  # (n,)
    return seen.T @ (said + noise / sigma) / len(x), seen.T @ (said - truth(y)) / len(x)


def bent_slopes(theta, features, x, noise, sigma, truth, *, target=lambda e, s: -e / s, place=None, times=1.0):
    """The same with choices left open.

    target:   what the network is fitted to in (10.7), from ε and σ
    place:    where the network is asked, from x, ε and σ
    times:    what both gradients are multiplied with
    """
    y = x + sigma * noise if place is None else place(x, noise, sigma)
    seen = features(y)
    said = seen @ theta
    mean = times / len(x)
    return mean * seen.T @ (said - target(noise, sigma)), mean * seen.T @ (said - truth(y))


def two_named(function, *arguments):
    """The two vectors that a learner returns, by their names."""
    result = function(*arguments)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise WrongForm("Wanted are two gradients: return slope_of_107, slope_of_102.")
    wanted = np.shape(arguments[0])
    for part in result:
        if np.shape(part) != wanted:
            raise WrongForm(f"A gradient in θ has the shape of θ, {wanted}; one of yours has {np.shape(part)}. "
                            "Average over the n points, and keep the features apart.")  # fmt: skip
    return {"gradient of (10.7)": np.asarray(result[0]), "gradient of (10.2)": np.asarray(result[1])}


# -- Tweedie ----------------------------------------------------------------------------------------------------------


def cleaned(y, means, width, sigma):
    """E[x | y] for y = x + σ ε, x from equal Gaussians N(μ_k, width² I), (10.8).   Shapes: (B, D), (K, D) → (B, D)"""
    return NoisedMixture(means, width).score(mg.tensor(y), 1.0, sigma).data * sigma**2 + y


def tweedie(y, means, width, sigma, *, tau=None, factor=None, soft=True):
    """The same with choices left open: τ², the factor before the score, and whether all modes have a share in it."""
    tau = width**2 + sigma**2 if tau is None else tau
    factor = sigma**2 if factor is None else factor
    squares = ((y[:, None] - means) ** 2).sum(-1)  # (B, K)
    share = np.exp(-(squares - squares.min(1, keepdims=True)) / (2 * tau))
    share = share / share.sum(1, keepdims=True) if soft else (squares == squares.min(1, keepdims=True))
    return y + factor * (share @ means - y) / tau


# -- curl -------------------------------------------------------------------------------------------------------------


def curl(field, x):
    """∂s₂/∂x₁ − ∂s₁/∂x₂ at each point, an array.   Shapes: (B, 2) → (B,)"""
    j = score.jacobian(field, np.asarray(x))
    return j[:, 1, 0] - j[:, 0, 1]


# -- walks ------------------------------------------------------------------------------------------------------------


class Dealt:
    """In the place of a generator: gives prepared noise, one piece after the other."""

    def __init__(self, pieces):
        self.pieces = iter(pieces)

    def standard_normal(self, shape):
        """The next piece, in the shape wanted."""
        return np.reshape(next(self.pieces), shape)


def step(x, slope, step, noise):
    """One Langevin step (10.11).   Shapes: x, slope, noise (B, D) → (B, D)"""
    return langevin.langevin(lambda _: slope, x, step=step, count=1, rng=Dealt([noise]))


def annealed(score, sigmas, x, step, noise):
    """The package's annealed walk (10.14) on given noise.   Shapes: noise (levels, count, B, D), x (B, D) → (B, D)"""
    pieces = noise.reshape(-1, *x.shape)
    return langevin.annealed(score, sigmas, x, step=step, count=noise.shape[1], rng=Dealt(pieces))


def walk(score, sigmas, x, step, noise, *, size=lambda s, last: (s / last) ** 2, shake=2.0, clean=lambda s: s**2,
         asked=None):
    """The same with choices left open.

    size:    how a level's step grows, from σ_i and σ_n
    shake:   what is under the root beside η
    clean:   the factor of the last correction, from σ_n; None leaves it out
    asked:   the level that the score is asked for, in place of σ_i
    """  # fmt: skip
    for sigma, shakes in zip(sigmas, noise, strict=True):
        eta = step * size(sigma, sigmas[-1])
        for z in shakes:
            x = x + eta * score(x, sigma if asked is None else asked) + np.sqrt(shake * eta) * z
    return x if clean is None else x + clean(sigmas[-1]) * score(x, sigmas[-1])


def three_hills(x, sigma):
    """The score of three Gaussians of width 0.3, noised with σ.   Shapes: x (B, 2) → (B, 2)"""
    means = np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.5]])
    return NoisedMixture(means, 0.3, [0.5, 0.3, 0.2]).score(mg.tensor(np.asarray(x, float)), 1.0, sigma).data
