"""The forward half of diffusion: how data x₀ is drowned in noise, and what is known exactly about the way.

Choose numbers β_t in (0, 1) for t = 1 … T. Each step shrinks what there is and adds a little fresh noise,

    q(x_t | x_{t−1}) = N( √(1 − β_t) x_{t−1},  β_t I ).                                               (11.1)

A sum of independent Gaussians is a Gaussian, so all steps up to t are one. Shrinking factors multiply; and if the
variance so far is 1 − ᾱ, one more step makes it (1 − β)(1 − ᾱ) + β = 1 − (1 − β) ᾱ, again of this form. With

    ᾱ_t = Π_{s≤t} (1 − β_s),      α_t = √ᾱ_t,      σ_t = √(1 − ᾱ_t),                                  (11.2)

    x_t = α_t x₀ + σ_t ε,      ε ~ N(0, I).                                                           (11.3)

(α and σ here scale signal and noise; the original paper's α_t is 1 − β_t.) Only the two numbers α and σ matter, and
they may as well be functions of a continuous time: α² + σ² = 1 "preserves the variance", α = 1 lets it "explode". How
hard the noise makes it to see x₀ is measured by the log signal-to-noise ratio, which falls with t:

    λ_t = log(α_t² / σ_t²),      and α² = sigmoid(λ), σ² = sigmoid(−λ) if α² + σ² = 1.                 (11.4)

**One step back, if x₀ were known.** For times s < t, x_t = (α_t/α_s) x_s + noise of variance c σ_t² with

    c = 1 − e^(λ_t − λ_s)                                                                             (11.5)

(what is missing from (α_t/α_s)² σ_s² to make σ_t²). By Bayes' rule q(x_s | x_t, x₀) ∝ q(x_t | x_s) q(x_s | x₀), a
product of two Gaussians in x_s. Their precisions add up, and the means count by precision:

    q(x_s | x_t, x₀) = N( α_s [ (1 − c) x_t/α_t + c x₀ ],  c σ_s² I ).                                 (11.6)

The mean lies between where x_t points and x₀. For s = t − 1 this is Ho's posterior, c σ_t² = β_t and c σ_s² = β̃_t.

**Three things to predict.** Given x_t, each of x₀, ε and the velocity v determines the others:

    v = α ε − σ x₀,      x₀ = (α x_t − σ v)/(α² + σ²),      ε = (σ x_t + α v)/(α² + σ²).                (11.7)

**Four ways to choose λ.** Linear: β_t runs linearly, from 10⁻⁴ to 0.02 for T = 1000; in the limit of many steps

    ᾱ(t) = exp(−B(t)),  B = β₀ t + ½ (β₁ − β₀) t²,  t in [0, 1],  λ = −log(e^B − 1);                    (11.8)
    cosine:   ᾱ = cos²θ / cos²θ₀,  θ runs evenly from θ₀ = (π/2) 0.008/1.008 to almost π/2;              (11.9)
    sigmoid:  ᾱ = (S(b) − S(z)) / (S(b) − S(a)),  S the sigmoid, z runs evenly from a to almost b;      (11.10)
    exploding: α = 1, σ = σ_min (σ_max/σ_min)^t, that is λ = −2 log σ falls evenly.                     (11.11)

Sources: (11.1), (11.6), linear: Ho, Jain & Abbeel 2020, arXiv:2006.11239; (11.5), λ: Kingma et al. 2021,
arXiv:2107.00630; v: Salimans & Ho 2022, arXiv:2202.00512; (11.8), (11.11): Song et al. 2021, arXiv:2011.13456; cosine:
Nichol & Dhariwal 2021, arXiv:2102.09672; sigmoid: Jabri et al. 2022, arXiv:2212.11972. Differs: where ᾱ would reach 0,
time is stretched a little so that it ends at λ = `lowest` instead; discrete steps keep β ≤ 0.999, as Nichol & Dhariwal.
"""

import math

import numpy as np
from scipy.special import expit, logit

from minigen.errors import MinigenError
from minigen.nn.time import per_example


class Schedule:
    """α, σ and λ as functions of time, and all that follows from them. Times are numbers or arrays (B,).

    end:         the time at which all is noise; time 0 is clean data
    discrete:    whether a model is trained at whole times 1 … end only
    time_scale:  what the time is multiplied with before a network is told it
    """

    end, discrete, time_scale = 1.0, False, 1000.0

    def log_snr(self, t):
        """λ_t of (11.4), +∞ where there is no noise.   Shapes: (B,) → (B,), float64"""
        raise NotImplementedError

    def time_of(self, log_snr):
        """The time at which λ is this: the inverse of `log_snr`."""
        raise NotImplementedError

    def slope(self, t):
        """dλ/dt, a negative number; for continuous times only."""
        raise NotImplementedError

    def alpha(self, t):
        """α_t, what the data is multiplied with."""
        return np.sqrt(expit(self.log_snr(t)))

    def sigma(self, t):
        """σ_t, the standard deviation of the noise."""
        return np.sqrt(expit(-self.log_snr(t)))

    def spread(self):
        """The standard deviation of x at the end, for data of variance 1: where sampling starts, a number."""
        return float(np.hypot(self.alpha(self.end), self.sigma(self.end)))

    def draw(self, n, *, rng):
        """n times for training, spread evenly: whole numbers from 1 to T, or one of each n-th part of (0, end).

        Source:   the even spread, which makes the loss less noisy: Kingma et al. 2021, appendix I.1.
        """
        if self.discrete:
            return rng.integers(1, int(self.end) + 1, size=n)
        return self.end * rng.permutation((np.arange(n) + rng.random(n)) / n)

    def noised(self, clean, t, noise):
        """x_t of (11.3).   Shapes: x₀ (B, …), t (B,) or a number, ε (B, …) → (B, …)"""
        return per_example(self.alpha(t), clean) * clean + per_example(self.sigma(t), clean) * noise

    def share(self, t, s):
        """c of (11.5), the share of new noise on the way from s to t: between 0 and 1."""
        return -np.expm1(self.log_snr(t) - self.log_snr(s))

    def posterior(self, x, clean, t, s):
        """Mean and variance of q(x_s | x_t, x₀), (11.6).   Shapes: x, x₀ (B, …), t, s (B,) → (B, …), (B,)"""
        share = self.share(t, s)
        of_x, of_clean = self.alpha(s) * (1 - share) / self.alpha(t), self.alpha(s) * share
        return per_example(of_x, x) * x + per_example(of_clean, x) * clean, share * self.sigma(s) ** 2

    def target(self, kind, clean, noise, t):
        """What a network of this kind should say: "eps", "x0", or "v" by (11.7).   Shapes: (B, …) → (B, …)"""
        if kind == "v":
            return per_example(self.alpha(t), clean) * noise - per_example(self.sigma(t), clean) * clean
        return {"eps": noise, "x0": clean}[_kind(kind)]

    def noise_from(self, kind, output, x, t):
        """ε̂ from what the network said at x_t, (11.7) or (11.3).   Shapes: (B, …), x (B, …), t (B,) → (B, …)"""
        alpha, sigma = per_example(self.alpha(t), x), per_example(self.sigma(t), x)
        if kind == "v":
            return (sigma * x + alpha * output) / (alpha * alpha + sigma * sigma)
        return output if _kind(kind) == "eps" else (x - alpha * output) / sigma

    def clean_from(self, kind, output, x, t):
        """x̂₀ from what the network said at x_t, (11.7) or (11.3).   Shapes: as `noise_from`"""
        alpha, sigma = per_example(self.alpha(t), x), per_example(self.sigma(t), x)
        if kind == "v":
            return (alpha * x - sigma * output) / (alpha * alpha + sigma * sigma)
        return output if _kind(kind) == "x0" else (x - sigma * output) / alpha


def _kind(kind):
    if kind not in ("eps", "x0", "v"):
        raise MinigenError(f"diffusion: prediction is {kind!r}; expected 'eps', 'x0' or 'v'")
    return kind


class Steps(Schedule):
    """T steps with the given β_t, (11.1) and (11.2). Between whole times, λ is interpolated linearly.

    betas:    (T,), each in (0, 1)
    """

    discrete = True

    def __init__(self, betas):
        betas = np.asarray(betas, dtype=np.float64)
        if betas.ndim != 1 or not len(betas) or not np.all((betas > 0) & (betas < 1)):
            raise MinigenError(f"Steps: betas of shape {betas.shape}; expected (T,) numbers between 0 and 1")
        self.end, self.betas, self.time_scale = len(betas), betas, 1000 / len(betas)
        log_bar = np.concatenate([[0.0], np.cumsum(np.log1p(-betas))])  # log ᾱ_t, t = 0 … T
        with np.errstate(divide="ignore"):
            self._log_snr = log_bar - np.log(-np.expm1(log_bar))  # (T + 1,), λ_0 = ∞

    @classmethod
    def linear(cls, count=1000, first=1e-4, last=0.02):
        """β from `first` to `last`, as for 1000 steps; with other numbers they scale so that the end is as noisy."""
        return cls(np.minimum(np.linspace(first, last, count) * 1000 / count, 0.999))

    @classmethod
    def of(cls, schedule, count=1000, most=0.999):
        """The T steps along a continuous schedule: β_t = 1 − ᾱ(t/T)/ᾱ((t − 1)/T), at most `most`."""
        alpha = schedule.alpha(schedule.end * np.arange(count + 1) / count)
        return cls(np.minimum(1 - (alpha[1:] / alpha[:-1]) ** 2, most))

    def log_snr(self, t):
        t = np.asarray(t, dtype=np.float64)
        between = np.interp(t, np.arange(1, self.end + 1), self._log_snr[1:])
        return np.where(t == 0, np.inf, between)

    def time_of(self, log_snr):
        return np.interp(-np.asarray(log_snr), -self._log_snr[1:], np.arange(1.0, self.end + 1))


class Linear(Schedule):
    """β(t) = β₀ + (β₁ − β₀) t on [0, 1]: the "VP" diffusion of Song et al., (11.8)."""

    def __init__(self, low=0.1, high=20.0):
        self.low, self.high = low, high

    def log_snr(self, t):
        total = self.low * np.asarray(t) + 0.5 * (self.high - self.low) * np.square(t)  # B(t)
        with np.errstate(divide="ignore"):
            return -np.log(np.expm1(total))

    def time_of(self, log_snr):
        total = np.logaddexp(0.0, -np.asarray(log_snr))  # B = log(1 + e^−λ)
        return 2 * total / (self.low + np.sqrt(self.low**2 + 2 * (self.high - self.low) * total))

    def slope(self, t):
        return -(self.low + (self.high - self.low) * np.asarray(t)) / self.sigma(t) ** 2


class Cosine(Schedule):
    """ᾱ falls like a squared cosine, (11.9): slowly at both ends.   lowest: λ at time 1"""

    def __init__(self, offset=0.008, lowest=-10.0):
        self.first = 0.5 * math.pi * offset / (1 + offset)  # θ₀
        self.width = self._angle(lowest) - self.first

    def _angle(self, log_snr):
        """θ at which λ is this: sin²θ = σ² + ᾱ sin²θ₀."""
        kept = expit(log_snr)
        return np.arctan2(np.sqrt(expit(-np.asarray(log_snr)) + kept * math.sin(self.first) ** 2),
                          np.sqrt(kept) * math.cos(self.first))  # fmt: skip

    def log_snr(self, t):
        gone = self.width * np.asarray(t)  # θ − θ₀;  cos²θ₀ − cos²θ = sin(θ − θ₀) sin(θ + θ₀)
        theta = gone + self.first
        with np.errstate(divide="ignore"):
            return 2 * np.log(np.cos(theta)) - np.log(np.sin(gone)) - np.log(np.sin(theta + self.first))

    def time_of(self, log_snr):
        return (self._angle(log_snr) - self.first) / self.width

    def slope(self, t):
        gone = self.width * np.asarray(t)
        theta = gone + self.first
        return -self.width * (2 * np.tan(theta) + 1 / np.tan(gone) + 1 / np.tan(theta + self.first))


class Sigmoid(Schedule):
    """ᾱ falls like a piece of the sigmoid between `first` and `last`, (11.10).   lowest: λ at time 1"""

    def __init__(self, first=-3.0, last=3.0, lowest=-10.0):
        self.first, self.last, self.width = first, last, 1.0
        self.width = float(self.time_of(lowest))

    def log_snr(self, t):
        now = expit(self.first + (self.last - self.first) * self.width * np.asarray(t))
        with np.errstate(divide="ignore"):
            return np.log(expit(self.last) - now) - np.log(now - expit(self.first))

    def time_of(self, log_snr):
        low, high = expit(self.first), expit(self.last)
        place = logit(low + expit(-np.asarray(log_snr)) * (high - low))
        return (place - self.first) / (self.last - self.first) / self.width

    def slope(self, t):
        now = expit(self.first + (self.last - self.first) * self.width * np.asarray(t))
        rate = now * (1 - now) * (self.last - self.first) * self.width
        return -rate * (1 / (expit(self.last) - now) + 1 / (now - expit(self.first)))


class Exploding(Schedule):
    """α = 1, σ from `low` to `high` by equal factors, (11.11): the "VE" diffusion. At time 0 some noise is left."""

    def __init__(self, low=0.01, high=50.0):
        self.low, self.high = low, high

    def log_snr(self, t):
        return -2 * (math.log(self.low) + math.log(self.high / self.low) * np.asarray(t))

    def time_of(self, log_snr):
        return (-0.5 * np.asarray(log_snr) - math.log(self.low)) / math.log(self.high / self.low)

    def slope(self, t):
        return np.full(np.shape(t), -2 * math.log(self.high / self.low))

    def alpha(self, t):
        return np.ones(np.shape(t))

    def sigma(self, t):
        return np.exp(-0.5 * self.log_snr(t))


class Growing(Exploding):
    """α = 1 and σ = t, from 0 to `end`: the schedule of Karras et al. 2022, arXiv:2206.00364."""

    def __init__(self, end=80.0):
        self.end, self.time_scale = float(end), 1.0

    def log_snr(self, t):
        with np.errstate(divide="ignore"):
            return -2 * np.log(np.asarray(t, dtype=np.float64))

    def time_of(self, log_snr):
        return np.exp(-0.5 * np.asarray(log_snr))

    def slope(self, t):
        return -2 / np.asarray(t)
