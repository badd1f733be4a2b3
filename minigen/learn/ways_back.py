"""What the exercises of lesson 11 are compared with, and what several of their typical mistakes have in common."""

import numpy as np

from minigen.distributions.noised_mixture import NoisedMixture
from minigen.learn.exercise import WrongForm
from minigen.learn.slopes import Dealt
from minigen.models import samplers
from minigen.models.schedules import Schedule, Steps


class Given(Schedule):
    """A schedule that knows a few times only.

    levels:    a dict from time to (α, σ)
    """

    def __init__(self, levels):
        self.levels = levels

    def alpha(self, t):
        """α at a known time, or at each of several equal ones."""
        return self._at(t)[0]

    def sigma(self, t):
        """σ likewise."""
        return self._at(t)[1]

    def log_snr(self, t):
        """λ likewise."""
        alpha, sigma = self._at(t)
        with np.errstate(divide="ignore"):
            return 2 * (np.log(alpha) - np.log(sigma))

    def _at(self, t):
        alpha, sigma = self.levels[float(np.ravel(t)[0])]
        return np.full(np.shape(t), alpha, dtype=float), np.full(np.shape(t), sigma, dtype=float)


# -- forward moments --------------------------------------------------------------------------------------------------


def moments(betas, mean, variance):
    """Mean and variance of x_t for t = 0 … T, by (11.2) and (11.3).   Shapes: betas (T,) → two of (T + 1,)"""
    steps, t = Steps(betas), np.arange(len(betas) + 1)
    alpha, sigma = steps.alpha(t), steps.sigma(t)
    return alpha * mean, alpha**2 * variance + sigma**2


def bent_moments(betas, mean, variance, *, bar=np.cumprod, of_mean=np.sqrt, of_variance=None):
    """The same with choices left open: ᾱ from 1 − β; the mean's factor, and x_t's variance, from ᾱ."""
    kept = np.concatenate([[1.0], bar(1 - np.asarray(betas))])
    spread = (lambda a, v: a * v + 1 - a) if of_variance is None else of_variance
    return of_mean(kept) * mean, np.broadcast_to(spread(kept, variance), kept.shape)


def two_rows(function, betas, *rest):
    """The means and variances that a learner returns, by their names."""
    found = function(betas, *rest)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise WrongForm("Wanted are two arrays: return means, variances.")
    for part in found:
        if np.shape(part) == (len(betas),):
            raise WrongForm(f"You give {len(betas)} numbers for {len(betas)} steps; with t = 0, the clean data, there "
                            f"are {len(betas) + 1}.")  # fmt: skip
    return {"means": np.asarray(found[0]), "variances": np.asarray(found[1])}


# -- the posterior ----------------------------------------------------------------------------------------------------


def posterior_on(grid, x_t, x_0, alphas, sigmas):
    """The density of x_s on an even grid given x_t and x₀, by Bayes' rule.   Shapes: grid (n,) → (n,)"""
    return bent_posterior(grid, x_t, x_0, alphas, sigmas)


def bent_posterior(grid, x_t, x_0, alphas, sigmas, *, variance=None, ratio=None, prior=True, step=True, sum_to=None):
    """The same with choices left open.

    variance:   of the step from s to t, from α's and σ's;  ratio: what x_s is multiplied with in it, likewise
    prior, step:  whether the factors q(x_s | x₀) and q(x_t | x_s) are there
    sum_to:     what the numbers add up to, from the distance of two points; None leaves them as they are
    """
    (alpha_s, alpha_t), (sigma_s, sigma_t) = alphas, sigmas
    shrink = alpha_t / alpha_s if ratio is None else ratio(alpha_s, alpha_t)
    fresh = sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2 if variance is None else variance(*alphas, *sigmas)
    density = np.ones_like(grid)
    if prior:
        density = density * np.exp(-((grid - alpha_s * x_0) ** 2) / (2 * sigma_s**2))
    if step:
        density = density * np.exp(-((x_t - shrink * grid) ** 2) / (2 * fresh))
    total = 1 / (grid[1] - grid[0]) if sum_to is None else sum_to
    return density * total / density.sum() if total else density


# -- what a network says ----------------------------------------------------------------------------------------------


def noise_of(kind, said, x_t, alpha, sigma):
    """ε̂ from what the network said, (11.3) or (11.7).   Shapes: said, x_t (B, D) → (B, D)"""
    return Given({0.5: (alpha, sigma)}).noise_from(kind, said, x_t, 0.5)


def bent_noise(kind, said, x_t, alpha, sigma, *, from_x0=None, from_v=None):
    """The same with another formula for one of the kinds: a function of (said, x_t, α, σ)."""
    other = {"x0": from_x0, "v": from_v}.get(kind)
    return noise_of(kind, said, x_t, alpha, sigma) if other is None else other(said, x_t, alpha, sigma)


# -- one step of DDIM -------------------------------------------------------------------------------------------------


def ddim_step(x_t, noise, alphas, sigmas, eta, z):
    """One step (11.22); with η = 1 it is the ancestral one, (11.12).   Shapes: x_t, ε̂, z (B, D) → (B, D)"""
    (alpha_t, alpha_s), (sigma_t, sigma_s) = alphas, sigmas
    schedule, dice = Given({1.0: (alpha_t, sigma_t), 0.5: (alpha_s, sigma_s)}), Dealt([z])
    if eta == 1:
        return samplers.ancestral(lambda x, t: noise, schedule, [1.0, 0.5], x_t, rng=dice)
    return samplers.ddim(lambda x, t: noise, schedule, [1.0, 0.5], x_t, eta=eta, rng=dice)


def bent_ddim(x_t, noise, alphas, sigmas, eta, z, *, clean=None, share=None, kept=None, shake=None):
    """The same with choices left open.

    clean:   x̂₀ from (x_t, ε̂, α_t, σ_t);  share: c from (α_t, α_s, σ_t, σ_s)
    kept:    the factor of ε̂, and shake that of z, from (σ_s², c, η, σ_t²)
    """
    (alpha_t, alpha_s), (sigma_t, sigma_s) = alphas, sigmas
    guess = (x_t - sigma_t * noise) / alpha_t if clean is None else clean(x_t, noise, alpha_t, sigma_t)
    c = 1 - (alpha_t * sigma_s / (sigma_t * alpha_s)) ** 2 if share is None else share(*alphas, *sigmas)
    given = sigma_s**2, c, eta, sigma_t**2
    of_noise = np.sqrt(max(given[0] * (1 - eta**2 * c), 0.0)) if kept is None else kept(*given)
    of_z = eta * np.sqrt(c) * sigma_s if shake is None else shake(*given)
    return alpha_s * guess + of_noise * noise + of_z * z


# -- log p along the flow ---------------------------------------------------------------------------------------------


def _flow_of(means, weights, width):
    """ε̂ and ∂ε̂/∂y of a mixture on the line, two functions of (y (n,), ς)."""
    world = NoisedMixture(np.reshape(means, (-1, 1)), width, weights)

    def noise(y, ratio):
        return world.noise(np.reshape(y, (-1, 1)), 1.0, ratio)[:, 0]

    return noise, lambda y, ratio: (noise(y + 1e-5, ratio) - noise(y - 1e-5, ratio)) / 2e-5


two_hills = _flow_of([-1.0, 1.2], [0.3, 0.7], 0.5)
one_hill = _flow_of([0.4], [1.0], 0.8)


def euler_log_p(noise, slope, x, ratios):
    """log p(x) by Euler's steps of (11.23) and the sum (11.31), for numbers with α = 1.   Shapes: x (n,) → (n,)"""
    return bent_log_p(noise, slope, x, ratios)


def bent_log_p(noise, slope, x, ratios, *, sign=1.0, width=None, late=False, step=None, end=None):
    """The same with choices left open: the trace's sign; whether it is asked after the move; what it is multiplied
    with, from (ς, next ς); the width of the last density; where it is asked, from (x, y at the end)."""
    y, total = x, 0.0
    for now, then in zip(ratios[:-1], ratios[1:], strict=True):
        moved = y + (then - now) * noise(y, now)
        squeezed = slope(moved, then) if late else slope(y, now)
        total = total + sign * (then - now if step is None else step(now, then)) * squeezed
        y = moved
    deviation = ratios[-1] if width is None else width
    y = y if end is None else end(x, y)
    return total - 0.5 * (y / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi))


def with_integral(function, noise, slope, x, ratios):
    """A learner's log p at x, and what their densities add up to over a fine lattice."""
    found = np.asarray(function(noise, slope, x, ratios))
    if found.shape != np.shape(x):
        raise WrongForm(f"Wanted is one log p for each of the {len(x)} points; you return the shape {found.shape}.")
    lattice = np.linspace(-12, 12, 2401)
    return {"log p": found, "∫ p dx": np.sum(np.exp(function(noise, slope, lattice, ratios))) * 0.01}


# -- guidance ---------------------------------------------------------------------------------------------------------


def guided(predict, x, t, labels, w):
    """ε̃ of (11.20).   Shapes: predict: (x (B, D), t, labels (B,) or None) → (B, D); w a number → (B, D)"""
    without = predict(x, t, None)
    return without + w * (predict(x, t, labels) - without)


def classes(x, t, labels):
    """A toy prediction for three classes, and for none.   Shapes: x (B, D), labels (B,) or None → (B, D)"""
    pull = np.zeros(len(x)) if labels is None else np.asarray(labels) - 1.0
    return np.tanh(x + t) - 0.5 * pull[:, None] * np.cos(x)
