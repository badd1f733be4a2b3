"""From noise to data: the ways to walk back through a diffusion.

All samplers here take the same things: `predict`, a function (x (B, …), t (B,)) → ε̂ (B, …) (a trained model's
`predictor()`, or a mixture's exact one); the `schedule`; falling `times`, the first the noisiest, the last usually 0;
and x, the noise to begin with. A step goes from a time t to the next, s. Throughout

    x̂₀ = (x_t − σ_t ε̂)/α_t,      c = 1 − e^(λ_t − λ_s),      h = ½ (λ_s − λ_t) > 0.                    (11.21)

**Ancestral** (DDPM): draw from the model's own p(x_s | x_t), (11.12): the mean of (11.6) with x̂₀ for x₀, and noise of a
variance between c σ_s² and c σ_t².

**DDIM.** The loss depends on the laws q(x_t | x₀) only, not on how x_t and x_s belong together. So choose them
otherwise: keep the noise that was found, and renew only a part of it,

    x_s = α_s x̂₀ + √(σ_s² − η² c σ_s²) ε̂ + η √(c σ_s²) z.                                             (11.22)

If ε̂ is right, x_s again has noise σ_s, whatever η. With η = 1 it is the ancestral step with variance c σ_s² (put x_t =
α_t x̂₀ + σ_t ε̂ into (11.6)); with η = 0 nothing is random: the same noise gives the same image, and few steps suffice.

**An ordinary differential equation.** Divide (11.22) with η = 0 by α_s, and write y = x/α, ς = σ/α:

    y_s = y_t + (ς_s − ς_t) ε̂,      a step of Euler's for      dy/dς = ε̂(α y, t),                      (11.23)

the *probability-flow ODE*. In these coordinates no schedule is left. A better step asks twice (Heun):

    y′ = y_t + (ς_s − ς_t) ε̂_t,      y_s = y_t + (ς_s − ς_t) ½ (ε̂_t + ε̂_s(y′)).                        (11.24)

Karras' *stochastic* sampler first goes back, to ς̂ = (1 + γ) ς_t, by adding fresh noise of variance ς̂² − ς_t², and then
makes Heun's step from there: noise corrects errors that were made before, at the price of more steps.  (11.25)

**DPM-Solver++.** x̂₀ changes slowly, so solve for it: with the time ½λ instead of t, the ODE reads
d(x/σ)/d(½λ) = (α/σ) x̂₀, and α/σ = e^(λ/2) can be integrated by hand. If x̂₀ stood still,

    x_s = (σ_s/σ_t) x_t + α_s (1 − e^−h) x̂₀,                                                          (11.26)

which is DDIM once more. Second order: use the line through this x̂₀ and that of the step before (of width h₀),

    D = x̂₀ + (h / 2h₀) (x̂₀ − x̂₀ before)      in place of x̂₀, from the second step on.                   (11.27)

The first step and the last have nothing to go by, or end where h = ∞, and take (11.26).

Sources: ancestral: Ho, Jain & Abbeel 2020, arXiv:2006.11239; DDIM: Song, Meng & Ermon 2020, arXiv:2010.02502; the ODE:
Song et al. 2021, arXiv:2011.13456; (11.24), (11.25): Karras et al. 2022, arXiv:2206.00364; (11.26), (11.27): Lu et al.
2022, arXiv:2211.01095. Differs: (11.24) and (11.25) are written for any schedule, where Karras has α = 1 and ς = t.
"""

import numpy as np

from minigen.errors import MinigenError, ShapeError
from minigen.nn.time import per_example

# -- times ------------------------------------------------------------------------------------------------------------


def even_times(schedule, count, *, end=0.0):
    """count + 1 times, evenly from the schedule's end down to `end`; whole numbers if the schedule is discrete."""
    times = np.linspace(schedule.end, end, count + 1)
    return np.round(times) if schedule.discrete else times


def snr_times(schedule, count, *, highest=10.0, clean=True):
    """Times at which λ rises evenly, up to `highest`, then 0 (if `clean`): good for few steps.   Shapes: (count + 1,)

    clean:    False ends at λ = `highest` instead of with a step that jumps to x̂₀.
    """
    steps = count if clean else count + 1
    log_snr = np.linspace(float(schedule.log_snr(schedule.end)), highest, steps)
    times = np.concatenate([[schedule.end], schedule.time_of(log_snr[1:])])
    return np.append(times, 0.0) if clean else times


def karras_times(schedule, count, *, low=0.002, high=80.0, rho=7.0):
    """Times with ς_i = (high^(1/ρ) + i/(n−1) (low^(1/ρ) − high^(1/ρ)))^ρ, i = 0 … n − 1, then 0.   Shapes: (count + 1,)

    Source:   Karras et al. 2022, equation 5.  Differs: for any schedule; ς stays within what the schedule has.
    """
    high = min(high, float(noise_ratio(schedule, schedule.end)))
    ratios = (high ** (1 / rho) + np.linspace(0, 1, count) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return np.append(schedule.time_of(-2 * np.log(ratios)), 0.0)


def noise_ratio(schedule, t):
    """ς = σ/α at time t."""
    return np.exp(-0.5 * schedule.log_snr(t))


def starting_noise(schedule, shape, *, rng, dtype=np.float32):
    """x at the end of the schedule, where all is noise (for data of variance 1).   Shapes: → shape"""
    return (schedule.spread() * rng.standard_normal(shape)).astype(dtype)


def kept_within(predict, schedule, low, high):
    """`predict` with an x̂₀ that stays within the range of the data: what `clip` is to samplers that follow ε̂.

    Noise far out is rare in training, and what a network says of it is far off. An ε̂ that is too small there leaves
    noise in x, which the division by a small α makes large. It shows in x̂₀, which then is where no data are.

    low, high:   numbers or arrays that fit x; where x̂₀ is clipped, ε̂ is that which still makes x_t with it
    Shapes:      a function (x (B, …), t (B,)) → ε̂ (B, …), an array; with the learned share of (11.19), if there is one
    Raises:      MinigenError for a range that is none.
    """
    if np.any(np.asarray(low) > np.asarray(high)):
        raise MinigenError(f"kept_within: low {low}, high {high}; expected a range")

    def noise_of(x, t):
        t = np.broadcast_to(t, len(x))
        alpha, sigma = per_example(schedule.alpha(t), x), per_example(schedule.sigma(t), x)
        noise, between = _parts(predict(x, t), x)
        clean = (x - sigma * noise) / alpha
        within = np.clip(clean, low, high)
        noise = np.where((clean == within) | (sigma == 0), noise, (x - alpha * within) / np.where(sigma == 0, 1, sigma))
        return noise if between is None else (noise, between)

    return noise_of


# -- samplers ---------------------------------------------------------------------------------------------------------


def ancestral(predict, schedule, times, x, *, rng, variance="posterior", clip=None, after=None, keep=False):
    """Draw from p(x_s | x_t) step by step, (11.12). A step to a time without noise adds none.

    predict:   may also return (ε̂, v), the learned share of (11.19); `variance` does not count then
    variance:  "posterior" (c σ_s²) or "forward" (c σ_t²)
    clip:      (low, high) to keep x̂₀ in
    after:     (x, s) → x, applied after each step: known pixels put back, a picture taken, …
    keep:      True returns all x on the way, (steps + 1, B, …)
    Shapes:    times (steps + 1,), x (B, …) → (B, …)
    """
    if variance not in ("posterior", "forward"):
        raise MinigenError(f"ancestral: variance is {variance!r}; expected 'posterior' or 'forward'")

    def step(x, t, s):
        noise, between = _parts(predict(x, _each(t, x)), x)
        mean, lower = schedule.posterior(x, _clean(schedule, x, noise, t, clip), t, s)
        if schedule.sigma(s) == 0:
            return mean
        upper = schedule.share(t, s) * schedule.sigma(t) ** 2
        between = float(variance == "forward") if between is None else between
        deviation = np.exp(0.5 * (between * np.log(upper) + (1 - between) * np.log(lower)))
        return mean + (deviation * rng.standard_normal(x.shape)).astype(x.dtype)

    return _walk(step, x, times, after, keep)


def ddim(predict, schedule, times, x, *, eta=0.0, rng=None, clip=None, after=None, keep=False):
    """The steps (11.22), from not random at all (η = 0) to ancestral (η = 1). Other arguments as in `ancestral`.

    Clipping x̂₀ changes ε̂ too, so that the two still make x_t.
    """
    if eta and rng is None:
        raise MinigenError(f"ddim: eta={eta} needs random numbers; expected rng")

    def step(x, t, s):
        noise, _ = _parts(predict(x, _each(t, x)), x)
        clean = _clean(schedule, x, noise, t, clip)
        if clip is not None:
            noise = (x - _of(schedule.alpha(t), x) * clean) / _of(schedule.sigma(t), x)
        fresh = eta**2 * schedule.share(t, s) * schedule.sigma(s) ** 2
        x = _of(schedule.alpha(s), x) * clean + _of(np.sqrt(schedule.sigma(s) ** 2 - fresh), x) * noise
        return x + _of(np.sqrt(fresh), x) * rng.standard_normal(x.shape).astype(x.dtype) if fresh > 0 else x

    return _walk(step, x, times, after, keep)


def dpm_solver(predict, schedule, times, x, *, clip=None, after=None, keep=False):
    """DPM-Solver++(2M), (11.26) and (11.27). Arguments as in `ancestral`; one prediction a step."""
    before = None  # x̂₀ and width of the step before

    def step(x, t, s):
        nonlocal before
        noise, _ = _parts(predict(x, _each(t, x)), x)
        clean = _clean(schedule, x, noise, t, clip)
        width = 0.5 * (schedule.log_snr(s) - schedule.log_snr(t))  # h
        guess = clean
        if before is not None and np.isfinite(width):
            guess = clean + _of(0.5 * width / before[1], x) * (clean - before[0])
        before = clean, width
        share = -np.expm1(-width)  # 1 − e^−h
        return _of(schedule.sigma(s) / schedule.sigma(t), x) * x + _of(schedule.alpha(s) * share, x) * guess

    return _walk(step, x, times, after, keep)


def heun(predict, schedule, times, x, *, churn=0.0, churn_range=(0.0, np.inf), churn_noise=1.0, rng=None, after=None,
         keep=False):
    """Heun's steps (11.24) along the probability-flow ODE, two predictions each; with churn > 0 Karras' (11.25).

    The last step, if it ends at ς = 0, is Euler's. Arguments as in `ancestral`, and Karras':

    churn:         S_churn: γ = min(S_churn / steps, √2 − 1), for ς within `churn_range` (S_tmin, S_tmax)
    churn_noise:   S_noise, the size of the added noise
    """
    if churn and rng is None:
        raise MinigenError(f"heun: churn={churn} needs random numbers; expected rng")
    most = min(churn / (len(times) - 1), np.sqrt(2) - 1)

    def step(x, t, s):
        ratio, next_ratio = float(noise_ratio(schedule, t)), float(noise_ratio(schedule, s))
        y = x / _of(schedule.alpha(t), x)
        if most and churn_range[0] <= ratio <= churn_range[1]:
            higher = min(ratio * (1 + most), float(noise_ratio(schedule, schedule.end)))
            fresh = churn_noise * rng.standard_normal(x.shape)
            y = y + (np.sqrt(higher**2 - ratio**2) * fresh).astype(x.dtype)
            ratio, t = higher, float(schedule.time_of(-2 * np.log(higher)))
        slope, _ = _parts(predict(y * _of(schedule.alpha(t), x), _each(t, x)), x)
        y_next = y + _of(next_ratio - ratio, x) * slope
        if next_ratio > 0:
            again, _ = _parts(predict(y_next * _of(schedule.alpha(s), x), _each(s, x)), x)
            y_next = y + _of(0.5 * (next_ratio - ratio), x) * (slope + again)
        return y_next * _of(schedule.alpha(s), x)

    return _walk(step, x, times, after, keep)


def _walk(step, x, times, after, keep):
    """All steps, one after the other."""
    times = np.asarray(times)
    if times.ndim != 1 or len(times) < 2 or np.any(np.diff(times) >= 0):
        raise ShapeError(f"sampler: times are {times}; expected at least two falling numbers")
    path = [x]
    for t, s in zip(times[:-1], times[1:], strict=True):
        x = step(x, t, s)
        x = x if after is None else after(x, s)
        if keep:
            path.append(x)
    return np.stack(path) if keep else x


def _clean(schedule, x, noise, t, clip):
    """x̂₀ of (11.21), clipped to a range if there is one."""
    clean = (x - _of(schedule.sigma(t), x) * noise) / _of(schedule.alpha(t), x)
    return clean if clip is None else np.clip(clean, *clip)


def _parts(found, x):
    """ε̂ in the type of x, and the learned share v, or None if there is none."""
    noise, between = found if isinstance(found, tuple) else (found, None)
    return np.asarray(noise, dtype=x.dtype), between


def _of(number, x):
    """A number in the type of x."""
    return x.dtype.type(number)


def _each(t, x):
    """The time of all examples, (B,)."""
    return np.full(len(x), t)
