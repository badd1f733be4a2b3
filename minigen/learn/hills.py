"""Lesson 10's toy: three hills in the plane, small networks for their slope, and pictures of arrows and walkers."""

import numpy as np

from minigen import nn, viz
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.metrics.modes import count_modes
from minigen.models import score
from minigen.optim import Adam
from minigen.recipes import base, score_grid

GREYS = "Greys"


def three():
    """Three round hills of width 0.5 with the weights ½, 0.3 and 0.2, as a NoisedMixture."""
    return NoisedMixture([[-1.5, -1.0], [1.5, -0.8], [0.0, 1.6]], 0.5, [0.5, 0.3, 0.2])


def network(outputs, *, rng, width=64, inputs=2):
    """Two hidden layers of 64 with SiLU, a smooth relu: x (B, 2) → (B, outputs)."""
    return nn.Sequential(nn.Linear(inputs, width, rng=rng), nn.SiLU(), nn.Linear(width, width, rng=rng), nn.SiLU(),
                         nn.Linear(width, outputs, rng=rng))  # fmt: skip


def fit(model, losses, *, steps, rate=3e-3):
    """Adam, its rate falling to 0 like a cosine, on the mean of `losses()`: the mean loss of each step, (steps,)."""
    optimizer, told = Adam(model.parameters(), lr=rate), []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
        told.append(base.descend(losses().mean(), optimizer))
    return np.array(told)


def relative_error(said, best):
    """√(Σ|s − s*|²/Σ|s*|²), a number.   Shapes: (n, D) and (n, D)"""
    return float(np.sqrt(((said - best) ** 2).sum() / (best**2).sum()))


# -- the grid, with something left out --------------------------------------------------------------------------------


class Unscaled(score.NoiseConditionalScore):
    """What goes wrong: the network has to say s itself, in place of F = σ s."""

    def forward(self, x, sigma):
        """As in (10.9), but without the division by σ."""
        return super().forward(x, sigma) * np.reshape(sigma, (-1, 1)).astype(x.dtype)


class Unweighted(Unscaled):
    """What goes wrong: besides, J_σ is not weighed with σ²."""

    def loss(self, x, *, rng, sigma=None, noise=None):
        """(10.7) as it stands, half of it for two dimensions."""
        sigma = self.draw(len(x), rng=rng) if sigma is None else sigma
        return super().loss(x, rng=rng, sigma=sigma, noise=noise) * (1 / sigma**2).astype(x.dtype)


class OneLevel(score.NoiseConditionalScore):
    """What goes wrong: only the lowest level is ever drawn in training."""

    def draw(self, n, *, rng):
        """The lowest level, n times."""
        return np.full(n, self.sigmas[-1])


def grid(kind, seed=0, *, steps, **changes):
    """The experiment of `score-grid` with another kind of model in place of its own.

    kind:     NoiseConditionalScore or one of the classes above
    changes:  class attributes, such as sigmas
    """
    made = type("Changed", (score_grid.Experiment,), changes)(seed, steps=steps)
    made.model.__class__ = kind
    return made


def train(experiment):
    """Train without a picture; returns the experiment."""
    for _ in experiment.fit(progress=False):
        pass
    return experiment


def errors(experiment, levels):
    """Relative errors of the score at these levels of noise: a list of numbers."""
    return [experiment.relative_error(sigma) for sigma in levels]


def counted(points, truth):
    """Modes, high quality and reverse KL in one line of text."""
    found = count_modes(points, truth.means, truth.sigma)
    return f"{found.captured} of {len(truth.means)} modes, {found.high_quality:.1%} good, KL {found.reverse_kl:.3f}"


# -- pictures ---------------------------------------------------------------------------------------------------------


def plane(reach, count):
    """A square lattice of count² points from −reach to reach.   Shapes: → (count², 2)"""
    ticks = np.linspace(-reach, reach, count)
    return np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)


def arrows(axes, x, s, *, of="data", room=0.5, typical=2.0, **settings):
    """An arrow s at each x. Lengths are pressed together, so that all fit: room · |s|/(|s| + typical).

    of:    the colour's name
    """
    length = np.linalg.norm(s, axis=1, keepdims=True)
    shown = room * s / (length + typical)
    settings = {"width": 0.005, "color": viz.colour(of)} | settings
    axes.quiver(*x.T, *shown.T, angles="xy", scale_units="xy", scale=1, **settings)


def shade(axes, log_prob, reach, *, count=120):
    """A density as shades of grey; white is 0."""
    x = plane(reach, count)
    density = np.exp(log_prob(x)).reshape(count, count)
    axes.imshow(density, extent=(-reach, reach, -reach, reach), origin="lower", cmap=GREYS, alpha=0.55,
                vmax=1.3 * density.max())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def filmstrip(title, rows, path, *, reach, note=None):
    """Points at several moments: rows from top to bottom, moments from left to right, saved to a file.

    rows:    a dict from name to a dict from the moment's title to points (n, 2)
    note:    points → a few words, written below the panel
    """
    count = max(len(row) for row in rows.values())
    picture, panels = viz.figure(title, len(rows), count, width=8.4, height=2.15 * len(rows) + 0.6, squeeze=False,
                                 sharex=True, sharey=True)
    for line, (name, row) in zip(panels, rows.items(), strict=True):
        for axes, (moment, points) in zip(line, row.items(), strict=False):
            axes.plot(*points.T, ".", color=viz.colour("model"), markersize=2, alpha=0.35, markeredgewidth=0)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
            axes.set_title(moment, fontsize=10)
            if note is not None:
                axes.set_xlabel(note(points))
        line[0].set_ylabel(name)
    return viz.save(picture, path)
