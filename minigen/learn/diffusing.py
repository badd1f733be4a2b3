"""Lesson 11's toys: three hills on a line, the best possible network for them, models with a mistake, and pictures."""

import numpy as np

from minigen import nn, viz
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.metrics.modes import count_modes
from minigen.models.diffusion import Diffusion
from minigen.models.schedules import Steps
from minigen.recipes import diffusion_grid

GREYS = "Greys"


def line():
    """Three hills of width 0.2 on a line, of variance 1.06 together, as a NoisedMixture."""
    return NoisedMixture([[-1.2], [0.2], [1.05]], 0.2, [0.4, 0.2, 0.4])


class Best(nn.Module):
    """In the place of a network: the best prediction of the noise that there is, E[ε | x_t] of a mixture.

    world:      a NoisedMixture;  schedule: one with α² + σ² = 1, so that x_t is seen as it is
    """

    def __init__(self, world, schedule):
        self.world, self.schedule = world, schedule

    def forward(self, x, time):
        """Shapes: x (B, D), the time as networks are told it (B,) → (B, D)"""
        t = np.asarray(time, dtype=np.float64) / self.schedule.time_scale
        t = np.round(t) if self.schedule.discrete else t
        return self.world.noise(x, self.schedule.alpha(t), self.schedule.sigma(t))


def best(world, schedule):
    """The Diffusion whose network cannot be improved."""
    return Diffusion(Best(world, schedule), schedule)


def true_reverse(world, schedule, lattice, x, t, s):
    """The true densities of x_s given x_t = x, on a fine even lattice: not Gaussian.   Shapes: (n,), x (B,) → (B, n)

    Equation: q(x_s | x_t) ∝ q(x_t | x_s) q(x_s), Bayes' rule
    """
    ratio = schedule.alpha(t) / schedule.alpha(s)
    variance = schedule.share(t, s) * schedule.sigma(t) ** 2
    log_p = world.log_prob(lattice[:, None], schedule.alpha(s), schedule.sigma(s))
    log_p = log_p - (np.reshape(x, (-1, 1)) - ratio * lattice) ** 2 / (2 * variance)
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return p / (p.sum(axis=1, keepdims=True) * (lattice[1] - lattice[0]))


def model_reverse(world, schedule, lattice, x, t, s):
    """The Gaussians (11.12) with the best x̂₀ and the variance c σ_s², on a lattice.   Shapes: as `true_reverse`"""
    x = np.reshape(x, (-1, 1))
    guess = world.clean(x, schedule.alpha(t), schedule.sigma(t))
    mean, variance = schedule.posterior(x, guess, t, s)
    return np.exp(-((lattice - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def gap(world, schedule, times):
    """The mean over x_t of KL(true reverse ‖ (11.12)), summed over the steps but the last, in nats: a number."""
    lattice, places, total = np.linspace(-7, 7, 5601), np.linspace(-5, 5, 101)[:, None], 0.0
    for t, s in zip(times[:-2], times[1:-1], strict=True):
        weight = np.exp(world.log_prob(places, schedule.alpha(t), schedule.sigma(t)))
        true = true_reverse(world, schedule, lattice, places, t, s)
        model = np.maximum(model_reverse(world, schedule, lattice, places, t, s), 1e-300)
        divergence = np.sum(true * np.log(np.maximum(true, 1e-300) / model), axis=1) * (lattice[1] - lattice[0])
        total += weight @ divergence / weight.sum()
    return float(total)


# -- the grid, with a mistake -----------------------------------------------------------------------------------------


class PerStep(Steps):
    """What goes wrong: α_t is that of the one step t, √(1 − β_t), where that of all steps so far belongs."""

    def __init__(self, betas):
        super().__init__(betas)
        self._log_snr = np.concatenate([[np.inf], np.log1p(-self.betas) - np.log(self.betas)])


def grid(seed=0, *, steps, **changes):
    """The experiment of `diffusion-grid` with other class attributes: schedule, rate, last_rate, averaging, …"""
    return type("Changed", (diffusion_grid.Experiment,), changes)(seed, steps=steps)


def train(experiment):
    """Train without a picture: the loss of each step, (steps,)."""
    return np.array([report.metrics["loss"] for report in experiment.fit(progress=False)])


def errors(experiment, times, *, count=20_000, seed=0):
    """At each time: the mean squared error per number of the network's ε̂, and of the best possible, two arrays (n,).

    The first is the second plus the mean of |ε̂ − ε*|², which is measured; the second is exact (to a sum on a grid).
    """
    rng, schedule, world = np.random.default_rng(seed), experiment.schedule, experiment.oracle
    clean, noise = world.sample(count, rng=rng), rng.standard_normal((count, 2))
    floors, above = [], []
    for t in times:
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        noised = alpha * clean + sigma * noise
        with experiment.ema.averaged():
            said = experiment.model.predictor()(noised.astype(np.float32), np.full(count, t))
        above.append(np.mean((said - world.noise(noised, alpha, sigma)) ** 2))
        floors.append(world.noise_floor(alpha, sigma))
    return np.array(floors) + np.array(above), np.array(floors)


def excess(experiment, *, averaged=True, count=10_000):
    """By what share the loss is above its floor, as the recipe measures it, with or without the averaged weights."""
    rng, schedule = np.random.default_rng(3), experiment.schedule
    t, noise = schedule.draw(count, rng=rng), rng.standard_normal((count, 2))
    noised = schedule.noised(experiment.oracle.sample(count, rng=rng), t, noise)
    wanted = experiment.oracle.noise(noised, schedule.alpha(t), schedule.sigma(t))
    predict = experiment.model.predictor()
    if averaged:
        with experiment.ema.averaged():
            said = predict(noised.astype(np.float32), t)
    else:
        said = predict(noised.astype(np.float32), t)
    return float(np.mean((said - wanted) ** 2) / np.mean((noise - wanted) ** 2))


def counted(points, truth):
    """Modes, high quality and reverse KL in one line of text."""
    found = count_modes(points, truth.means, truth.sigma)
    return f"{found.captured:2d} of {len(truth.means)} modes, {found.high_quality:6.1%} good, KL {found.reverse_kl:.3f}"


# -- pictures ---------------------------------------------------------------------------------------------------------


def ground(axes, density, places, heights):
    """A density as shades of grey over a plane of place (across) and x (up); each column by its own maximum.

    Shapes:   density (n, m) at heights (n,) and places (m,), both even
    """
    shown = (density / density.max(axis=0)) ** 0.7
    axes.imshow(shown, extent=(places[0], places[-1], heights[0], heights[-1]), origin="lower", cmap=GREYS, alpha=0.6,
                aspect="auto", vmax=1.15)
    axes.grid(False)


def shade(axes, world, alpha, sigma, reach, *, count=150):
    """The plane density of α x₀ + σ ε as shades of grey; white is 0."""
    ticks = np.linspace(-reach, reach, count)
    plane = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    density = np.exp(world.log_prob(plane, alpha, sigma)).reshape(count, count)
    axes.imshow(density, extent=(-reach, reach) * 2, origin="lower", cmap=GREYS, alpha=0.7, vmax=1.2 * density.max())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.grid(False)


def filmstrip(title, world, schedule, rows, times, path, *, reach=2.6):
    """Moments of several walks through a diffusion over the exact density: rows of panels, saved to a file.

    rows:    a dict from name to (points at each of the times (n, B, 2), colour)
    """
    picture, panels = viz.figure(title, len(rows), len(times), width=8.4, height=2.05 * len(rows) + 0.6)
    for line_of, (name, (points, tint)) in zip(panels, rows.items(), strict=True):
        order = list(range(len(times))) if name.startswith("forward") else list(range(len(times)))[::-1]
        for axes, i in zip(line_of, order, strict=True):
            alpha, sigma = float(schedule.alpha(times[i])), float(schedule.sigma(times[i]))
            shade(axes, world, alpha, max(sigma, 0.03), reach)
            axes.plot(*points[i].T, ".", color=viz.colour(tint), markersize=2, alpha=0.4, markeredgewidth=0)
            axes.set_title(f"t = {times[i]:.2g}", fontsize=10)
        line_of[0].set_ylabel(name)
    return viz.save(picture, path)
