"""Watching a game of two networks while they train: samples, the discriminator's surface, the losses (lesson 08)."""

import os
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from minigen import viz
from minigen.autograd import Tensor, grad, no_grad
from minigen.learn.page import Live, say
from minigen.metrics.modes import count_modes
from minigen.models.gan import OBJECTIVES

SHADES = "RdPu"  # from white, surely forged, to dark, surely real


class Game(NamedTuple):
    """What was seen: losses, a dict from "discriminator" and "generator" to one number per step; samples, a dict from
    some steps to points (n, 2) or pictures (n, H, W) of the generator as it was then."""

    losses: dict
    samples: dict


def watch(experiment, title, *, every=500, keep=(), n=1000):
    """Train an experiment of gan-ring's or gan-digits' kind and show it: a picture drawn anew every so many steps.

    In a page without a kernel (MINIGEN_STATIC) and outside notebooks only the last state is drawn.

    title:    of the picture; the step is put before it
    keep:     steps after which samples are kept, 0 being the start; the last step always is
    Returns:  the Game
    """
    live, losses, samples = Live(), {"discriminator": [], "generator": []}, {}
    static = bool(os.environ.get("MINIGEN_STATIC"))
    keep = {*keep, experiment.steps}
    if 0 in keep:
        samples[0] = forged(experiment, n)
    for report in experiment.fit(progress=False):
        for name, values in losses.items():
            values.append(report.metrics[name])
        if report.step in keep:
            samples[report.step] = forged(experiment, n)
        if report.step == experiment.steps or (report.step % every == 0 and not static):
            live.show(_snapshot(experiment)(experiment, losses, f"Step {report.step:,}: {title}"))
    return Game({name: np.array(values) for name, values in losses.items()}, samples)


def tell(game, truth):
    """Print how many modes the kept samples have, one line for each step."""
    for step, points in game.samples.items():
        found = count_modes(points, truth.means, truth.sigma)
        say(f"step {step:5,}: {found.captured} modes, {found.high_quality:6.1%} of high quality, reverse KL "
            f"{found.reverse_kl:.3f}; shares {' '.join(f'{count / len(points):.2f}' for count in found.counts)}")


def filmstrip(title, rows, steps, path):
    """Samples of several games at some steps, a game in each row, into a file.

    rows:     a dict from a short name to (experiment, Game)
    Returns:  the picture
    """
    picture, panels = viz.figure(title, len(rows), len(steps), width=8.4, height=1.75 * len(rows) + 0.45)
    for row, (name, (experiment, game)) in zip(panels, rows.items(), strict=True):
        for axes, step in zip(row, steps, strict=True):
            points = game.samples[step]
            draw_samples(axes, experiment, points)
            found = count_modes(points, experiment.truth.means, experiment.truth.sigma)
            axes.set_title(f"{step:,}: {found.captured} of {len(found.counts)}", fontsize=9)
        row[0].set_ylabel(name, fontsize=9)
    return viz.save(picture, path)


def forged(experiment, n, seed=0):
    """n points of the generator as it is now, not averaged, in the data's units, (n, 2); or n of its pictures."""
    if not hasattr(experiment, "truth"):
        return experiment.sample(n, np.random.default_rng(seed))
    return experiment.model.sample(n, rng=np.random.default_rng(seed)) / experiment.scale


def _snapshot(experiment):
    return snapshot if hasattr(experiment, "truth") else picture_snapshot


def picture_snapshot(experiment, losses, title, *, rows=5, columns=10):
    """Pictures of the generator, each from the same noise every time; the two losses so far."""
    picture, (left, right) = viz.figure(title, 1, 2, width=8.4, height=3.3, width_ratios=(2, 1))
    viz.draw_images(left, forged(experiment, rows * columns), columns, scale=(0, experiment.high))
    left.set_title("forged samples", fontsize=9)
    draw_losses(right, losses)
    return picture


def snapshot(experiment, losses, title):
    """Samples over the data's modes; the discriminator's surface; the two losses so far."""
    picture, (left, middle, right) = viz.figure(title, 1, 3, width=8.4, height=3.1)
    draw_samples(left, experiment, forged(experiment, 1000))
    left.set_title("forged samples (dots), modes (circles)", fontsize=9)
    draw_surface(middle, experiment)
    middle.set_title("D(x): dark = “real”", fontsize=9)
    draw_losses(right, losses)
    return picture


def draw_losses(axes, losses):
    """The losses of both players so far, smoothed."""
    for name, values in losses.items():
        tail = smooth(values)
        axes.plot(*tail, color=viz.colour(name), linewidth=1.2)
        viz.label(axes, tail[0][-1], tail[1][-1], name[0].upper(), of=name, dx=3)
    axes.set_xlabel("step", fontsize=9)
    axes.set_title("losses of D and G, nats", fontsize=9)


def smooth(values, pieces=100):
    """(steps, means): the values in at most so many pieces of equal length, each piece by its mean."""
    values = np.asarray(values, dtype=float)
    width = max(1, len(values) // pieces)
    usable = len(values) // width * width
    return (np.arange(usable) + 1.0).reshape(-1, width).mean(1), values[:usable].reshape(-1, width).mean(1)


def draw_samples(axes, experiment, points, *, size=2):
    """Points, and a circle about each mode of the data."""
    axes.plot(*experiment.truth.means.T, "o", markersize=9, fillstyle="none", color=viz.colour("data"), linewidth=0.8)
    axes.plot(*points.T, ".", color=viz.colour("model"), markersize=size, alpha=0.6)
    reach = view(experiment)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])


def draw_surface(axes, experiment, *, cells=90, contrast=1.0):
    """D(x) = σ(t(x)) in the plane, from 0 (white) to 1 (dark).   contrast: what t is multiplied with for the eye"""
    reach = view(experiment)
    ticks = np.linspace(-reach, reach, cells)
    plane = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    t = logits(experiment, plane).reshape(cells, cells)
    axes.imshow(expit(contrast * t), extent=(-reach, reach, -reach, reach), origin="lower", cmap=SHADES, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def view(experiment):
    """Half the side of the square that is drawn."""
    return 1.6 * float(np.abs(experiment.truth.means).max())


@no_grad()
def logits(experiment, points):
    """t at points in the data's units; with packing, of a pack of equal points.   Shapes: (n, 2) → (n,)"""
    scaled = np.repeat(experiment.scale * points, experiment.model.packing, axis=0).astype(np.float32)
    return experiment.model.logits(scaled).data


def pushes(experiment, points, *, seed=0):
    """Where the generator's loss pushes samples at these points, −∂L_G/∂x, (n, 2).

    For the relativistic game (8.10), which compares with real samples, the mean over 256 of them.
    """
    model = experiment.model
    x = Tensor((experiment.scale * points).astype(np.float32), requires_grad=True)
    fake = model.discriminator(x).reshape((-1, 1))  # (n, 1)
    real = experiment.scale * experiment.truth.sample(256, rng=np.random.default_rng(seed))
    with no_grad():
        real = model.discriminator(Tensor(real.astype(np.float32))).reshape((1, -1))  # (1, 256)
    losses = OBJECTIVES[model.objective].generator(real, fake)
    (slope,) = grad(losses.mean(dim=1).sum(), x)
    return -slope.data
