"""Lesson 13's toys: flows with a mistake, perfect players, and lines that a bijection bends."""

import numpy as np
from scipy.special import ndtr

from minigen import nn, viz
from minigen.autograd import Tensor
from minigen.models.bijections import Bijection, Chain, Flow, standard_normal, zeros
from minigen.models.dequantisation import Dequantised, Logit, UniformNoise
from minigen.models.diffusion_gan import DiffusionGAN
from minigen.models.distillation import Consistency
from minigen.models.glow import ActNorm
from minigen.models.maf import maf
from minigen.models.realnvp import VectorNet, alternating, couplings
from minigen.models.splines import RationalQuadratic
from minigen.optim import Adam
from minigen.recipes import base, realnvp_moons, spline_moons

# -- flows ------------------------------------------------------------------------------------------------------------


def shaken(module, *, rng, size=0.3):
    """The same module, in float64, with random weights: fresh networks of a flow say the identity.  Returns it."""
    module.to(np.float64)
    for weight in module.parameters():
        weight.overwrite(weight.data + size * rng.standard_normal(weight.shape))
    return module


def moons(kind="spline", seed=0, *, steps, **changes):
    """The experiment of `spline-moons` ("spline") or `realnvp-moons` ("lines") with other class attributes."""
    recipe = {"spline": spline_moons, "lines": realnvp_moons}[kind]
    return type("Changed", (recipe.Experiment,), changes)(seed, steps=steps)


def train(experiment):
    """Train without a picture: the last metric of each step, (steps,)."""
    return np.array([list(report.metrics.values())[-1] for report in experiment.fit(progress=False)])


class Counted:
    """A network, or any function, that counts how often it is asked."""

    def __init__(self, network):
        self.network, self.calls = network, 0

    def __call__(self, *given):
        self.calls += 1
        return self.network(*given)


def descend(model, loss, steps, *, rate=5e-3):
    """Adam on the mean of loss() for some steps; the rate falls to 0.  Returns the losses, (steps,)."""
    optimizer, told = Adam(model.parameters(), lr=rate), []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        told.append(base.descend(loss().mean(), optimizer, clipped=model.parameters()))
    return np.array(told)


def coupled(base=None, *, monotone=None, layers=6, hidden=48, rng):
    """A flow of couplings in the plane, as in `spline-moons` but smaller, over any base; splines unless `monotone`."""
    monotone = monotone or RationalQuadratic(12, tail=4.0)

    def network(mask, monotone):
        return VectorNet(mask, monotone, hidden=hidden, blocks=1, rng=rng)

    moves = [ActNorm(2)]
    for coupling in couplings(alternating(2, layers), network, monotone):
        moves += [coupling, ActNorm(2)]
    return Flow(Chain(*moves), base or standard_normal(2))


# -- whole numbers ----------------------------------------------------------------------------------------------------


class Silent(Bijection):
    """What goes wrong: a bijection that forgets its log-determinant."""

    def __init__(self, bijection):
        self.bijection = bijection

    def forward(self, x, condition=None):
        return self.bijection(x)[0], zeros(x)

    def inverse(self, z, condition=None):
        return self.bijection.inverse(z)[0], zeros(z)


class HalfBin(UniformNoise):
    """What goes wrong: noise over the lower half of a bin, and nothing said about its density, 2 a number."""

    def rsample(self, x, *, rng):
        u, log_q = super().rsample(x, rng=rng)
        return u * 0.5, log_q


def pixels(levels, *, noise=None, silent=False, size=2, bins=16, rng):
    """A small model of pictures of `size` pixels: a `Dequantised` MAF with splines.

    silent:   True forgets the log-determinant of the logit
    """
    logit = Logit(levels, 0.01)
    moves = maf(size, 2, monotone=RationalQuadratic(bins, tail=5.0), hidden=(48, 48), rng=rng)
    flow = Flow(Chain(Silent(logit) if silent else logit, moves), standard_normal(size))
    return Dequantised(flow, high=levels - 1, noise=noise)


# -- few steps --------------------------------------------------------------------------------------------------------


class Perfect(nn.Module):
    """In the place of a diffusion GAN's generator: draws from q(x₀ | x_t) of a mixture, (13.60).

    z[:, 0] chooses the hill by its probability, the others a point of its Gaussian.
    """

    def __init__(self, world, schedule):
        self.world, self.schedule = world, schedule

    def forward(self, x, time, z):
        """Shapes: x_t (B, D), the time as networks are told it (B,), z (B, 1 + D) → (B, D)"""
        t, world = np.asarray(time, dtype=np.float64) / self.schedule.time_scale, self.world
        x, z = (part.data.astype(np.float64) for part in (x, z))
        alpha, sigma = (part(t)[:, None] for part in (self.schedule.alpha, self.schedule.sigma))
        variance = alpha**2 * world.sigma**2 + sigma**2
        apart = ((x[:, None] - alpha[:, :, None] * world.means) ** 2).sum(-1)  # (B, K)
        weights = np.log(world.weights) - apart / (2 * variance)
        weights = np.exp(weights - weights.max(1, keepdims=True))
        ends = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
        means = world.means[np.minimum((ndtr(z[:, :1]) > ends).sum(1), len(world.means) - 1)]
        gain = alpha * world.sigma**2 / variance  # of the regression of x₀ on x_t within a hill
        return Tensor(means + gain * (x - alpha * means) + world.sigma * sigma / np.sqrt(variance) * z[:, 1:])


class Mean(Perfect):
    """Says E[x₀ | x_t] instead, as a diffusion model does."""

    def forward(self, x, time, z):
        """Shapes: as `Perfect`"""
        t = np.asarray(time, dtype=np.float64) / self.schedule.time_scale
        return Tensor(self.world.clean(x.data, self.schedule.alpha(t), self.schedule.sigma(t)))


def players(generator, schedule, times, dims):
    """A DiffusionGAN with such a generator, for sampling only.   times: (T + 1,), rising"""
    return DiffusionGAN(generator, nn.Identity(), schedule, times, latent=1 + dims)


class Borderless(Consistency):
    """What goes wrong: f is the network alone, c_skip = 0 and c_out = 1, so that nothing is right at ς_min."""

    def coefficients(self, t):
        """c_skip, c_out and c_in.   Shapes: (B,) → three of (B,)"""
        _, _, c_in = super().coefficients(t)
        return 0.0 * c_in, 1.0 + 0.0 * c_in, c_in


# -- pictures ---------------------------------------------------------------------------------------------------------


def lines(places, points=400):
    """A net of straight lines in the plane: those with equal first number, those with equal second.

    places:   where they stand, rising; each goes from the first place to the last
    Shapes:   (count,) → (2, count, points, 2)
    """
    at, along = np.asarray(places), np.linspace(places[0], places[-1], points)
    first = np.stack(np.broadcast_arrays(at[:, None], along[None]), -1)
    return np.stack([first, first[..., ::-1]])


def draw_lines(axes, net, tints=("model", "encoder"), **settings):
    """Draw such a net, (2, count, points, 2), bent or not."""
    for group, tint in zip(net, tints, strict=True):
        for line in group:
            axes.plot(*line.T, color=viz.colour(tint), **({"linewidth": 0.8} | settings))


def relief(axes, log_prob, xlim, ylim, *, points=200, depth=9.0, top=None):
    """A log density as shades of grey, cut off `depth` nats below its top.  Returns the heights (points, points)."""
    plane = np.stack(np.meshgrid(np.linspace(*xlim, points), np.linspace(*ylim, points)), -1)
    height = np.asarray(log_prob(plane.reshape(-1, 2))).reshape(points, points)
    top = height.max() if top is None else top
    axes.imshow(height, extent=(*xlim, *ylim), origin="lower", cmap="Greys", vmin=top - depth, vmax=top)
    axes.grid(False)
    axes.set(xlim=xlim, ylim=ylim, aspect="equal")
    return height


def draw_ways(axes, ways, means, title, *, tint="model"):
    """Where points go, over the places of the hills; a dot at the end of each way.   Shapes: ways (n, B, 2)"""
    axes.plot(*means.T, "o", color=viz.colour("muted"), markersize=7)
    for way in ways.transpose(1, 0, 2):
        axes.plot(*way.T, color=viz.colour(tint), linewidth=0.8)
        axes.plot(*way[-1], ".", color=viz.colour("data"), markersize=4)
    axes.set(title=title, xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", xticks=(-2, 0, 2), yticks=(-2, 0, 2))
    axes.grid(False)
