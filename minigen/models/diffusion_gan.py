"""Denoising diffusion GANs: four large steps back in place of hundreds of small ones.

A diffusion walks back in small steps because only then one Gaussian is the right answer. Take times s < t. What has to
be drawn is x_s for a known x_t, and by (11.6)

    q(x_s | x_t) = ∫ q(x_s | x_t, x₀) q(x₀ | x_t) dx₀:                                                 (13.60)

a Gaussian for each x₀ that x_t may have come from, blended by how likely each is. If s is near t, x₀ hardly moves these
Gaussians (its weight α_s c in (11.6) is nearly 0) and they are one. If s is far from t, each mode of the data that can
be reached has its own. A diffusion model puts x̂₀ = E[x₀ | x_t] for them all, (11.12): one Gaussian in the middle,
between the modes.

**A law that can be anything.** Let a generator have noise of its own, z ~ N(0, I), and guess *one* x₀:

    x̃₀ = G(x_t, t, z),      x̃_s ~ q(x_s | x_t, x̃₀).                                                   (13.61)

That is (13.60) with the law of x̃₀ in the place of q(x₀ | x_t). If G draws from q(x₀ | x_t), a step has no error
however large it is, and neither have T steps after each other: if x_t has the law q(x_t), then x̃_s has

    ∫ q(x_s | x_t) q(x_t) dx_t = q(x_s).                                                               (13.62)

All that is left is the start, N(0, I) for q(x_T).

**The game.** G's law has no density that we know, so it is judged by a discriminator, as in lesson 08. Real pairs come
from the process itself: noise x₀ to s, and from there to t, with c of (11.5),

    x_s = α_s x₀ + σ_s ε,      x_t = (α_t/α_s) x_s + √c σ_t ε′.                                        (13.63)

Forged ones: the same x_t, and x̃_s from (13.61). D sees both and the time. In the game (8.4) the best logit is, as in
(8.2), the log ratio of the two joint laws, in which q(x_t) cancels:

    t*(x_s, x_t, t) = log q(x_s | x_t) − log p_G(x_s | x_t).                                          (13.64)

So D is no judge of x_s alone: it asks if x_s is what *this* x_t could have come from. And G plays T games, of which
none is as hard as the one from noise to data: each x_t leaves few modes to choose from, and the noise in x_s blurs both
laws, so that they overlap and D's slope says where to go. Only the last, s = 0, is without noise.

The penalties (8.11) and (8.12) take the slope with respect to x_s. In the relativistic game (8.10) a forged x_s is
compared with the real one of the same x_t.

**Pictures.** The generator is the U-Net of lesson 11. Besides the time it is told z: two layers make of z a vector that
is added to the time's, and so every block's scales and shifts (N.3) depend on it. The discriminator sees x_s and x_t
as two channels, halves them twice, and is told the time by a shift of each channel, the class by projection, (8.17).
What x_s shows under its noise it need not learn to see, if a trained diffusion's maps of x_s come beside its own.

Source: Xiao, Kreis & Vahdat 2021, arXiv:2112.07804. Differs: any game of `gan.OBJECTIVES` and its penalties (the paper:
non-saturating with R1), any schedule and times, x₀ said by way of ε or v as well, classes; z is told like the
time; a judge that sees by a trained network (Sauer et al. 2024, arXiv:2403.12015, judge by its maps alone).
"""

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError
from minigen.models.gan import OBJECTIVES, gradient_penalty, squared_slope
from minigen.models.gan_networks import Projection, mlp
from minigen.nn.inputs import evaluating, floating
from minigen.nn.time import TimeEmbedding, per_example, sinusoids
from minigen.nn.unet import groups_for


class DiffusionGAN(nn.Module):
    """A generator that draws x₀ for a noised x_t, a discriminator of steps, and the process between.

        model = DiffusionGAN(PointForger(…), PointJudge(…), Cosine(), times, latent=4, r1=0.05)
        model.discriminator_loss(x, rng=rng)         # (B,): its mean is what D's optimiser makes small
        model.generator_loss(x, rng=rng)             # the same for G
        model.sample(noise, rng=rng)                 # T calls of G

    All methods that take `labels` (B,) hand them to both networks as a last argument; None: nothing is handed on.

    generator:      (x_t (B, …), time (B,), z (B, L)) → x̃₀ (B, …), or what `prediction` says
    discriminator:  (x_s (B, …), x_t (B, …), time (B,)) → logits (B,) or (B, 1)
    schedule:       alpha, sigma, share, posterior, … of `schedules`
    times:          (T + 1,), rising: t_0, as a rule 0, to t_T, where all is noise
    latent:         L; z ~ N(0, I)
    objective:      a name from gan.OBJECTIVES
    r1, r2, gp:     what (8.12) and (8.11) are multiplied with
    prediction:     "x0", "eps" or "v": what G's network says, from which x̃₀ follows by (11.7)
    """

    def __init__(self, generator, discriminator, schedule, times, *, latent, objective="non-saturating", r1=0.0, r2=0.0,
                 gp=0.0, prediction="x0"):
        times = np.asarray(times, dtype=np.float64)
        if times.ndim != 1 or len(times) < 2 or np.any(np.diff(times) <= 0) or not schedule.alpha(times[-1]) > 0:
            raise ShapeError(f"DiffusionGAN: times are {times}; expected at least two, rising, the last with α > 0")
        if objective not in OBJECTIVES or prediction not in ("x0", "eps", "v") or min(r1, r2, gp) < 0:
            raise MinigenError(f"DiffusionGAN: objective {objective!r}, prediction {prediction!r}, r1={r1}, r2={r2}, "
                               f"gp={gp}; expected one of {', '.join(OBJECTIVES)}, one of x0, eps, v, none below 0")
        self.generator, self.discriminator, self.schedule, self.times = generator, discriminator, schedule, times
        self.latent, self.objective, self.r1, self.r2, self.gp = latent, objective, r1, r2, gp
        self.prediction = prediction

    @property
    def steps(self):
        """T, how many steps lead from noise to data."""
        return len(self.times) - 1

    # -- one step, real and forged ------------------------------------------------------------------------------------

    def pairs(self, x, *, rng, n=None):
        """Real x_s and x_t of (13.63), and the number n of the step, from 1 to T: s = times[n − 1], t = times[n].

        n:        (B,), drawn if not given
        Shapes:   x (B, …) → (B, …), (B, …), (B,), arrays
        """
        x = floating(x)
        n = rng.integers(1, self.steps + 1, size=len(x)) if n is None else np.asarray(n)
        if n.size and not 1 <= n.min() <= n.max() <= self.steps:
            raise ShapeError(f"DiffusionGAN: steps from {n.min()} to {n.max()}; expected 1 to {self.steps}")
        s, t = self.times[n - 1], self.times[n]
        low = self.schedule.noised(x, s, rng.standard_normal(x.shape).astype(x.dtype))
        kept = self.schedule.alpha(t) / self.schedule.alpha(s)
        fresh = np.sqrt(self.schedule.share(t, s)) * self.schedule.sigma(t)
        high = per_example(kept, x) * low + per_example(fresh, x) * rng.standard_normal(x.shape).astype(x.dtype)
        return low, high, n

    def forge(self, high, n, labels=None, *, rng):
        """x̃_s of (13.61) for an x_t and the number of the step, with the graph that leads to G's parameters.

        Shapes:   high (B, …), n (B,) → (B, …)
        """
        clean = self.clean(high, n, labels, rng=rng)
        mean, variance = self.schedule.posterior(high, clean, self.times[n], self.times[n - 1])
        fresh = per_example(np.sqrt(variance), high) * rng.standard_normal(high.shape).astype(high.dtype)
        return mean + fresh

    def clean(self, high, n, labels=None, *, rng):
        """x̃₀ = G(x_t, t, z) for fresh z.   Shapes: x_t (B, …), n (B,) → (B, …)"""
        z = Tensor(rng.standard_normal((len(high), self.latent)).astype(high.dtype))
        found = self.generator(Tensor(high), self._told(n, high), z, *_given(labels))
        if found.shape != high.shape:
            raise ShapeError(f"DiffusionGAN: the generator returned {found.shape} for {high.shape}; expected the same")
        return self.schedule.clean_from(self.prediction, found, Tensor(high), self.times[n])

    def logits(self, low, high, n, labels=None):
        """t(x_s, x_t, t).   Shapes: x_s a Tensor, x_t (B, …), n (B,) → (B,)"""
        return ops.reshape(self.discriminator(low, Tensor(high), self._told(n, high), *_given(labels)), (-1,))

    def _told(self, n, x):
        """The time as the networks are told it."""
        return (self.times[n] * self.schedule.time_scale).astype(x.dtype)

    # -- the two losses -----------------------------------------------------------------------------------------------

    def discriminator_loss(self, x, labels=None, *, rng, n=None):
        """L_D of the objective for (13.64), and its penalties. The forged x_s are made without a graph.

        Shapes:   x (B, …), n (B,) drawn if not given → (B,)
        """
        low, high, n = self.pairs(x, rng=rng, n=n)
        with no_grad():
            fake = self.forge(high, n, labels, rng=rng)
        real, fake = Tensor(low, requires_grad=bool(self.r1)), Tensor(fake.data, requires_grad=bool(self.r2))
        t_real, t_fake = self.logits(real, high, n, labels), self.logits(fake, high, n, labels)
        loss = OBJECTIVES[self.objective].discriminator(t_real, t_fake)
        if self.r1:
            loss = loss + 0.5 * self.r1 * squared_slope(t_real, real)  # (8.12)
        if self.r2:
            loss = loss + 0.5 * self.r2 * squared_slope(t_fake, fake)
        if self.gp:
            loss = loss + self.gp * gradient_penalty(lambda mixed: self.logits(mixed, high, n, labels), real, fake,
                                                     rng=rng)  # fmt: skip
        return loss

    def generator_loss(self, x, labels=None, *, rng, n=None):
        """L_G of the objective, with the graph through (11.6).   Shapes: as `discriminator_loss`"""
        low, high, n = self.pairs(x, rng=rng, n=n)
        t_fake = self.logits(self.forge(high, n, labels, rng=rng), high, n, labels)
        t_real = None
        if self.objective == "relativistic":
            with no_grad():
                t_real = self.logits(Tensor(low), high, n, labels)
        return OBJECTIVES[self.objective].generator(t_real, t_fake)

    # -- samples ------------------------------------------------------------------------------------------------------

    @no_grad()
    def sample(self, noise, labels=None, *, rng, keep=False, until=0):
        """Data from noise in T steps, an array.

        noise:    x at the last time: `samplers.starting_noise` for data of variance 1
        keep:     True for all x on the way
        until:    how many steps are left undone: x is that of times[until] then
        Shapes:   (B, …) → (B, …), or (T − until + 1, B, …)
        """
        if not 0 <= until < self.steps:
            raise ShapeError(f"DiffusionGAN.sample: until={until}; expected 0 to {self.steps - 1}")
        path = [floating(noise)]
        with evaluating(self.generator):
            for n in range(self.steps, until, -1):
                path.append(self.forge(path[-1], np.full(len(noise), n), labels, rng=rng).data)
        return np.stack(path) if keep else path[-1]


# -- networks for points ----------------------------------------------------------------------------------------------


class PointForger(nn.Module):
    """A generator for points, (x_t (B, D), time (B,), z (B, L)) → (B, D): a perceptron of all three side by side.

    ReLU, as in gan-ring: its kinks let it tear the plane of z between modes."""

    def __init__(self, dims, latent, *, width=128, depth=3, waves=16, rng):
        self.waves, self.network = waves, mlp(dims + latent + waves, dims, width=width, depth=depth, rng=rng)

    def forward(self, x, time, z):
        return self.network(ops.concatenate([x, z, Tensor(sinusoids(time, self.waves))], dim=1))


class PointJudge(nn.Module):
    """A discriminator for points, (x_s (B, D), x_t (B, D), time (B,)) → (B, 1)."""

    def __init__(self, dims, *, width=128, depth=3, waves=16, rng):
        self.waves, self.network = waves, mlp(2 * dims + waves, 1, width=width, depth=depth, rng=rng)

    def forward(self, low, high, time):
        return self.network(ops.concatenate([low, high, Tensor(sinusoids(time, self.waves))], dim=1))


# -- networks for pictures --------------------------------------------------------------------------------------------


class PictureForger(nn.Module):
    """A generator for pictures, (x_t (B, C, H, W), time (B,), z (B, L), labels (B,) or None) → (B, C, H, W).

    network:   an `nn.unet.UNet`, untrained or that of a diffusion model; its embedding is replaced by one that knows z
    """

    def __init__(self, network, latent, *, rng):
        network.embedding = StyledTime(network.embedding, latent, rng=rng)
        self.network = network

    def forward(self, x, time, z, labels=None):
        return self.network(x, time, (labels, z))


class StyledTime(nn.Module):
    """What a U-Net is told of time (B,) and (labels, z (B, L)): its own embedding, and two layers' of z, (B, width)."""

    def __init__(self, embedding, latent, *, rng):
        width = embedding.layers[-1].weight.shape[0]
        self.embedding = embedding
        self.style = nn.Sequential(nn.Linear(latent, width, rng=rng), nn.SiLU(), nn.Linear(width, width, rng=rng))

    def forward(self, time, told):
        labels, z = told
        return self.embedding(time, labels) + self.style(z)


class PictureJudge(nn.Module):
    """A discriminator for pictures, (x_s, x_t (B, C, H, W), time (B,), labels (B,)) → logits (B,).

    widths:    channels of the three convolutions: to half the size, to a quarter, and one that stays there
    features:  how many numbers φ are made of the last map, for (8.17)
    sight:     a trained `nn.unet.UNet` of two sizes on patches of 2, or None; it is frozen, and told s
    times:     (T + 1,), as the networks are told them; needed for s
    """

    def __init__(self, channels, classes, *, widths=(32, 64, 64), features=128, size=28, sight=None, times=None, rng):
        enters, kinds = 2 * channels, ((4, 2), (4, 2), (3, 1))  # kernel and stride
        more = [0, 0, 0] if sight is None else [0, *(block.conv2.weight.shape[0] for block in sight.down)]
        self.embedding = TimeEmbedding(widths[-1], rng=rng)
        self.layers, self.shifts = nn.ModuleList(), nn.ModuleList()
        for width, (kernel, stride), beside in zip(widths, kinds, more, strict=True):
            layer = nn.Conv2d(enters + beside, width, kernel, stride=stride, padding=1, rng=rng)
            self.layers.append(_started(layer, rng))
            self.shifts.append(nn.Linear(widths[-1], width, bias=False, rng=rng))
            enters = width
        last = _started(nn.Linear(enters * (size // 4) ** 2, features, rng=rng), rng)
        self.last = Projection(nn.Sequential(nn.Flatten(), last, nn.LeakyReLU(0.2)), features, classes, rng=rng)
        self.sight, self.times = sight, None if times is None else np.asarray(times, dtype=np.float64)
        if sight is not None:
            sight.requires_grad_(False)
            self.norms = nn.ModuleList(nn.GroupNorm(groups_for(width), width) for width in more[1:])

    def forward(self, low, high, time, labels):
        told, x, maps = ops.silu(self.embedding(time)), ops.concatenate([low, high], dim=1), (None,) * 3
        if self.sight is not None:
            s = self.times[np.searchsorted(self.times, time * (1 - 1e-5)) - 1].astype(time.dtype)
            with evaluating(self.sight):
                small, kept, _ = self.sight.seen(low, s, labels)
            maps = None, self.norms[0](kept[1]), self.norms[1](small)
        for layer, shift, beside in zip(self.layers, self.shifts, maps, strict=True):
            x = x if beside is None else ops.concatenate([x, beside], dim=1)
            x = ops.leaky_relu(layer(x) + ops.reshape(shift(told), (len(told), -1, 1, 1)), 0.2)
        return self.last(x, labels)


def _started(layer, rng):
    """The layer with weights that keep the mean square through a ReLU (He's)."""
    shape = layer.weight.shape
    layer.weight.overwrite((np.sqrt(2 / np.prod(shape[1:])) * rng.standard_normal(shape)).astype(np.float32))
    return layer


def _given(labels):
    return () if labels is None else (labels,)

