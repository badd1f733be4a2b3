"""Denoising diffusion: learn to undo one small step of noise, and undo them all.

The forward process (see `schedules`, (11.1) to (11.6)) turns data x₀ into x_t = α_t x₀ + σ_t ε. We want the way back,
p(x_s | x_t) for s < t. If x₀ were known it would be the Gaussian (11.6). So let a network guess x̂₀(x_t, t), and put the
guess where x₀ stood:

    p(x_s | x_t) = N( α_s [ (1 − c) x_t/α_t + c x̂₀ ],  Σ ),      Σ = c σ_s² (β̃) or c σ_t² (β).         (11.12)

**How good is it?** x₁ … x_T are latent variables, the fixed q(x_{1:T} | x₀) is the encoder. The bound of lesson 05,
−log p(x₀) ≤ E_q[ log q(x_{1:T} | x₀) − log p(x_{0:T}) ], falls into one term for each step once q is written backwards,
q(x_{1:T} | x₀) = q(x_T | x₀) Π_{t≥2} q(x_{t−1} | x_t, x₀):

    −log p(x₀) ≤ KL(q(x_T|x₀) ‖ p(x_T)) + Σ_{t≥2} E KL(q(x_{t−1}|x_t, x₀) ‖ p(x_{t−1}|x_t)) − E log p(x₀|x₁).  (11.13)

Both Gaussians of a term have the variance c σ_s², so their KL is |difference of means|² / 2cσ_s². By (11.6) and (11.12)
the means differ by α_s c (x₀ − x̂₀). With SNR = e^λ = α²/σ² and c SNR_s = SNR_s − SNR_t from (11.5),

    KL = ½ (SNR_s − SNR_t) |x₀ − x̂₀|²                                                                 (11.14)
       = ½ (e^(λ_s − λ_t) − 1) |ε − ε̂|²,      since x₀ − x̂₀ = −(σ_t/α_t)(ε − ε̂).                       (11.15)

In the limit of many steps the sum becomes an integral, ½ ∫ −λ′(t) E|ε − ε̂|² dt, in which only λ matters:  (11.16)
substitute λ for t, and the schedule is gone but for its two ends.

**The simple loss.** Drop the weight, and draw the time at random:

    L_simple = E |ε − ε̂(α_t x₀ + σ_t ε, t)|².                                                          (11.17)

Compared with the bound it cares less for low noise, for what the eye does not see. Written for x₀, its weight is SNR;
predicting v means SNR + 1, predicting x₀ means 1. *Min-SNR* weights, the same for all three when written for x₀, do not
let the nearly clean images outweigh the others:

    w_x₀ = min(SNR, γ),      w_ε = min(SNR, γ)/SNR,      w_v = min(SNR, γ)/(SNR + 1).                   (11.18)

**A learned variance** lies between the two of (11.12). The simple loss does not see it, so a little of the bound is
added, whose gradient may move the variance only, not ε̂:

    log Σ = v log(c σ_t²) + (1 − v) log(c σ_s²),      L = L_simple + 0.001 · T · L_t (bits/dim).         (11.19)

**Guidance.** A network trained with and without the class y pushes towards it by exaggerating the difference,

    ε̃ = ε̂(x) + w (ε̂(x, y) − ε̂(x)),                                                                   (11.20)

w = 0 ignores the class, w = 1 is the conditional model, w > 1 goes beyond it (lesson 12).

**A picture that is given**, the same size, from which x₀ is to be made (a small one enlarged, a drawing, …), is put
beside x_t as further channels. Nothing else changes: (11.17) then learns p(x₀ | given), for ε̂(x_t, given, t) with the
least mean square is E[ε | x_t, given].

Sources: Sohl-Dickstein et al. 2015, arXiv:1503.03585; Ho, Jain & Abbeel 2020, arXiv:2006.11239; (11.14), (11.16):
Kingma et al. 2021, arXiv:2107.00630; (11.18): Hang et al. 2023, arXiv:2303.09556; (11.19): Nichol & Dhariwal 2021,
arXiv:2102.09672; (11.20): Ho & Salimans 2022, arXiv:2207.12598; a given picture: Saharia et al. 2021, arXiv:2104.07636. Differs: losses are per example; at s = 0 the variance
is σ_t², learned or not.
"""

import math

import numpy as np
from scipy.special import log_ndtr

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError
from minigen.nn.time import per_example

WEIGHTINGS = ("simple", "min-snr", "variational")
VARIANCES = {"posterior": 0.0, "forward": 1.0, "learned": None}  # v of (11.19)


class Diffusion(nn.Module):
    """A network that predicts noise, and the forward process that it undoes.

        model = Diffusion(UNet(1, 1, …), Steps.linear(1000))
        model.loss(x, rng=rng)                       # (B,): its mean is what training makes small
        samplers.ddim(model.predictor(), model.schedule, times, noise)

    All methods that take `labels` also take `given` (B, G, …), pictures that the network sees beside x_t.

    network:      (x (B, C, …), time (B,)) → (B, C, …), or (B, 2C, …) for a learned variance; with classes (x, time,
                  labels), labels None or equal to network.classes meaning "no class"; x (B, C + G, …) with given ones
    schedule:     what `schedules` offers: alpha, sigma, log_snr, noised, posterior, …
    prediction:   "eps", "x0" or "v": what the network says, (11.7)
    weighting:    "simple": mean square of the predicted thing, (11.17); "min-snr": (11.18); "variational": (11.15) or
                  (11.16), in nats per dimension
    gamma:        γ of (11.18)
    variance:     "posterior", "forward" or "learned", (11.12) and (11.19)
    drop_labels:  how often the class is withheld in training, so that guidance is possible
    """

    def __init__(self, network, schedule, *, prediction="eps", weighting="simple", gamma=5.0, variance="posterior",
                 drop_labels=0.0):
        if weighting not in WEIGHTINGS or variance not in VARIANCES or prediction not in ("eps", "x0", "v"):
            raise MinigenError(f"Diffusion: prediction {prediction!r}, weighting {weighting!r}, variance {variance!r}; "
                               f"expected 'eps', 'x0' or 'v', one of {WEIGHTINGS}, and one of {tuple(VARIANCES)}")
        if variance == "learned" and not schedule.discrete:
            raise MinigenError("Diffusion: a learned variance needs a schedule of discrete steps")
        if drop_labels and getattr(network, "classes", None) is None:
            raise MinigenError(f"Diffusion: drop_labels={drop_labels} needs a network with classes")
        self.network, self.schedule, self.prediction, self.weighting = network, schedule, prediction, weighting
        self.gamma, self.variance, self.drop_labels = gamma, variance, drop_labels

    def output(self, x, t, labels=None, given=None):
        """What the network says about x_t, and v of (11.19): learned, or the fixed number.

        The network sees x_t at variance 1 (for data of variance 1), and the time on the schedule's own scale.

        Shapes:   x (B, C, …) a Tensor, t (B,), labels (B,) or None → (B, C, …), and (B, C, …) or a number
        """
        size = np.hypot(self.schedule.alpha(t), self.schedule.sigma(t))
        time = np.asarray(np.broadcast_to(t, len(x)) * self.schedule.time_scale, dtype=x.dtype)
        seen = _beside(x * per_example(1 / size, x), given)
        said = self.network(seen, time) if labels is None else self.network(seen, time, labels)
        if self.variance != "learned":
            return _as_wide(said, x, 1), VARIANCES[self.variance]
        said, between = ops.chunk(_as_wide(said, x, 2), 2, dim=1)
        return said, 0.5 * (between + 1.0)

    def loss(self, x, labels=None, *, rng, given=None, t=None, noise=None):
        """What training makes small, averaged over the numbers of one example: 1 for a network that says 0 for ε.

        Equation: (11.17), (11.18), or T times (11.15); with a learned variance (11.19)
        Shapes:   x (B, C, …), t (B,) drawn if not given, noise (B, C, …) likewise → (B,)
        """
        x = _array(x)
        t = self.schedule.draw(len(x), rng=rng) if t is None else np.asarray(t)
        noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype) if noise is None else noise
        if labels is not None and self.drop_labels:
            labels = np.where(rng.random(len(x)) < self.drop_labels, self.network.classes, labels)
        if self.weighting == "variational" and self.schedule.discrete:
            bits = self.bound_term(x, t, t - 1, labels, rng=rng, given=given, noise=noise) / x[0].size
            return bits * float(self.schedule.end)
        noised = Tensor(self.schedule.noised(x, t, noise))
        said, between = self.output(noised, t, labels, given)
        error = said - self.schedule.target(self.prediction, x, noise, t)
        loss = _example_mean(error * error) * self._weight(t).astype(x.dtype)
        if self.variance == "learned":
            nats = self._term(x, noised, said.detach(), between, t, t - 1) / x[0].size
            loss = loss + nats * (0.001 * self.schedule.end / math.log(2))
        return loss

    def _weight(self, t):
        """What the squared error of the predicted thing is multiplied with, (B,)."""
        if self.weighting == "simple":
            return np.ones(len(t))
        snr = np.exp(self.schedule.log_snr(t))
        own = {"eps": snr, "x0": 1.0, "v": snr + 1}[self.prediction]  # weight of |x₀ − x̂₀|² without any
        if self.weighting == "min-snr":
            return np.minimum(snr, self.gamma) / own
        return -0.5 * self.schedule.slope(t) * snr / own  # (11.16)

    # -- the bound ----------------------------------------------------------------------------------------------------

    def bound_term(self, x, t, s, labels=None, *, rng, given=None, levels=None, noise=None):
        """One term of (11.13) for each example, in nats, summed over its numbers.

        Where s is 0 it is −log p(x₀ | x_t): of a density, or, for images of `levels` grey values evenly spaced from −1
        to 1, of the probability of the value's bin (the outer bins are open).

        Shapes:   x (B, C, …), t and s (B,) with s < t → (B,)
        """
        x = _array(x)
        noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype) if noise is None else noise
        noised = Tensor(self.schedule.noised(x, t, noise))
        return self._term(x, noised, *self.output(noised, t, labels, given), t, s, levels)

    def _term(self, x, noised, said, between, t, s, levels=None):
        guess = self.schedule.clean_from(self.prediction, said, noised, t)
        share, last = self.schedule.share(t, s), np.asarray(s) == 0
        with np.errstate(divide="ignore"):
            upper = np.log(share * self.schedule.sigma(t) ** 2)
            lower = np.where(last, upper, np.log(share * self.schedule.sigma(s) ** 2))
        mean, _ = self.schedule.posterior(noised, guess, t, s)
        true, _ = self.schedule.posterior(noised.data, x, t, s)  # x itself where s is 0
        low = per_example(lower, x)
        log_var = low + between * (per_example(upper, x) - low)
        gap = mean - true
        divergence = 0.5 * (log_var - low + ops.exp(low - log_var) - 1.0 + gap * gap * ops.exp(-log_var))
        if not last.any():
            return _example_sum(divergence)
        decoded = (0.5 * (gap * gap * ops.exp(-log_var) + log_var + math.log(2 * math.pi)) if levels is None
                   else Tensor(-_log_bin(x, mean.data, np.exp(0.5 * _array(log_var)), levels)))  # fmt: skip
        return _example_sum(ops.where(per_example(last, x).astype(bool), decoded, divergence))

    @no_grad()
    def bound(self, x, times, labels=None, *, rng, given=None, levels=None, draws=None):
        """The bound (11.13) on −log p(x₀), in nats: the price of the prior, of each step, and of the last; a dict.

        times:    from the end down to 0, (T + 1,): `range(T, −1, −1)`, or any others (fewer steps, a looser bound)
        draws:    only so many of the steps, spread evenly and weighted accordingly; the last step always counts. The
                  steps near the data are by far the largest, so this is unbiased but noisy
        Shapes:   x (B, C, …) → {"total", "prior", "steps", "decoder"}, each (B,)
        """
        x, times = _array(x), np.asarray(times)
        count = len(times) - 2  # steps before the last
        which = np.arange(count)
        if draws is not None and draws < count:
            which = np.floor((np.arange(draws) + rng.random(draws)) * count / draws).astype(int)
        steps = np.zeros(len(x))
        for i in which:
            pair = (np.full(len(x), times[i]), np.full(len(x), times[i + 1]))
            steps += self.bound_term(x, *pair, labels, rng=rng, given=given).data * (count / len(which))
        pair = (np.full(len(x), times[-2]), np.full(len(x), times[-1]))
        decoder = self.bound_term(x, *pair, labels, rng=rng, given=given, levels=levels).data
        alpha, sigma, spread = self.schedule.alpha(times[0]), self.schedule.sigma(times[0]), self.schedule.spread()
        prior = 0.5 * (((alpha * x) ** 2 + sigma**2) / spread**2 - 1 - 2 * np.log(sigma / spread))
        prior = prior.reshape(len(x), -1).sum(1)
        return {"total": prior + steps + decoder, "prior": prior, "steps": steps, "decoder": decoder}

    # -- for the samplers ---------------------------------------------------------------------------------------------

    def predictor(self, labels=None, *, given=None, guidance=1.0, hook=None):
        """ε̂ as a function of x (B, C, …) and t (B,), in evaluation mode; with a learned variance the pair (ε̂, v).

        An array gives an array, a Tensor a Tensor with its graph.

        labels:    (B,), or None for no class;  guidance: w of (11.20)
        hook:      (x, t, ε̂) → ε̂, changes every prediction: a classifier's gradient, an image to be kept, …
        """

        def predict(x, t):
            if not isinstance(x, Tensor):
                with no_grad():
                    found = predict(Tensor(x), t)
                return tuple(map(_array, found)) if isinstance(found, tuple) else found.data
            noise, between = self._noise(x, t, labels if guidance else None, given)
            if labels is not None and guidance not in (0, 1):
                without, _ = self._noise(x, t, None, given)
                noise = without + guidance * (noise - without)  # (11.20)
            noise = noise if hook is None else hook(x, t, noise)
            return (noise, between) if self.variance == "learned" else noise

        return predict

    def _noise(self, x, t, labels, given):
        training = self.network.training
        self.network.eval()
        said, between = self.output(x, t, labels, given)
        self.network.train(training)
        return self.schedule.noise_from(self.prediction, said, x, t), between


def _log_bin(x, mean, deviation, levels):
    """log of the mass that N(mean, deviation²) gives to the bin of the grey value x, the outer bins open."""
    half = 1 / (levels - 1)
    low, high = (x - half - mean) / deviation, (x + half - mean) / deviation
    low, high = np.where(x <= -1 + half, -np.inf, low), np.where(x >= 1 - half, np.inf, high)
    flip = low + high > 0  # in the left tail differences of Φ are exact: use −high … −low there
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    upper, lower = log_ndtr(high), log_ndtr(low)
    return upper + np.log1p(-np.exp(np.minimum(lower - upper, -1e-12)))


def _beside(x, given):
    """x and what is given, as one picture of more channels."""
    if given is None:
        return x
    given = _array(given)
    if given.ndim != x.ndim or (len(given), *given.shape[2:]) != (len(x), *x.shape[2:]):
        raise ShapeError(f"Diffusion: given {given.shape} beside x {tuple(x.shape)}; expected (B, G, …), equal but for "
                         "the number of channels")  # fmt: skip
    return ops.concatenate([x, Tensor(given.astype(x.dtype))], dim=1)


def _as_wide(said, x, times):
    if said.shape != (len(x), times * x.shape[1], *x.shape[2:]):
        raise ShapeError(f"Diffusion: the network returned {said.shape} for x {x.shape}; expected {times} times as "
                         "many channels and the rest equal")  # fmt: skip
    return said


def _example_sum(x):
    return ops.sum(x, dim=tuple(range(1, x.ndim)))


def _example_mean(x):
    return ops.mean(x, dim=tuple(range(1, x.ndim)))


def _array(x):
    return x.data if isinstance(x, Tensor) else np.asarray(x)
