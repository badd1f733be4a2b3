"""Editing with a diffusion that was trained for nothing but drawing: fill holes, repaint, interpolate.

All functions take what the samplers take: `predict`, (x (B, …), t (B,)) → ε̂ (B, …), the `schedule`, and falling
`times`. None of them trains anything. (For what training can do, a picture `given` beside the noise, see `diffusion`.)

**Filling holes.** Of a picture the pixels in a mask are known, k₀; the others, u₀, are wanted: a draw from p(u₀ | k₀).
How the known ones look under noise is known too, so after each step to s put them back:

    k_s = α_s k₀ + σ_s ε,  ε fresh;      u_s as the sampler made it.                                   (11.40)

At the end, σ = 0, they are k₀ exactly. But u₀ does not fit to them, and there are *seams*. For the sampler sees k_s
only, one noisy look at k₀. It makes u_s fit to what k₀ *might* be, given k_s and u_t: to p(k₀ | k_s, u_t), which is
broad, while the truth is one point of it. Then the known pixels get other noise, and u_s, made for the old ones, is all
that is left of the guess. The unknown part hears of the known one, but the known part never moves towards the unknown:
in a true draw from p(x_s | x_t) both would have.

For a Gaussian this can be counted. Let x₀ = (k, u) have variances 1 and correlation ρ, and α² + σ² = 1. Then k_t and
u_t have variances 1 and covariance α²ρ. The best guess of u₀ from them gives k_t the weight αρσ²/(1 − α⁴ρ²), so k₀, of
which k_t holds αk₀ on average, counts α²ρσ²/(1 − α⁴ρ²). For someone who knows k₀, u₀ ~ N(ρk₀, 1 − ρ²), and the best
guess from k₀ and u_t gives k₀ the weight ρσ²/(1 − α²ρ²). The known pixel counts too little by the factor

    α² (1 − α²ρ²) / (1 − α⁴ρ²),                                                                        (11.41)

which is near 0 while all is noise, and 1 at the end, when u is settled.

*Resampling* lets them agree. From s go back to t by the forward process, and down again, some times over:

    x_t = (α_t/α_s) x_s + √c σ_t ε,      c = 1 − e^(λ_t − λ_s), (11.5),                                (11.42)
    x_s = a sampler's step from x_t,  then (11.40) again.

Back and down leaves the law p(x_s) as it is: if x_s follows it, so does x_t, and the step's result. With known pixels
put back each time, it is a Markov chain that moves u_s about among what fits to k_s, like Gibbs sampling: it forgets
where it began, and draws near to p(u_s | k_s). Towards the end k_s is k₀, and that is the law that was wanted. The
price is `repeats` times a sampler's; as one step changes little, `jump` goes back over several. For ρ = 0.9, k₀ = 1.5
and 100 ancestral steps the mean of u₀, which should be 1.35, comes out as 0.91 with one walk, 1.13 with 2, 1.27 with
5, 1.34 with 20.

**Repainting** (SDEdit). A drawing g, a few strokes, is no picture; noise makes them alike. Noised to t₀,

    x_{t₀} = α_{t₀} g + σ_{t₀} ε,                                                                       (11.43)

whatever is finer than the noise is gone, and the way down from t₀ paints it anew, as pictures are. A small t₀ is
*faithful* to the drawing and paints strokes; a large one is *realistic* and forgets what was drawn. For two drawings
that differ by d, the laws of x_{t₀} differ in their means by α d, in units of their noise by

    (α_{t₀}/σ_{t₀}) |d| = e^(λ/2) |d|,                                                                  (11.44)

so it is λ at t₀, and nothing else, that says how large a difference survives: one of size e^(−λ/2) is about as large
as the noise.

**Interpolating.** The probability-flow ODE (11.29) has no randomness and can be walked both ways: `encode` takes data
up to noise z, and `decode` back to the same data. Between two codes lie codes. Not on the straight line, though: if z
and z′ are independent, standard normal,

    Var[(1 − a) z + a z′] = (1 − a)² + a² < 1      for 0 < a < 1,                                      (11.45)

in the middle ½: a point whose length, √(D/2), no sample has (nearly all have √D), and of which the network has seen
none. Weights whose *squares* add up to 1 keep the law. Along the great circle, with θ the angle between z and z′,

    z_a = [sin((1 − a) θ) z + sin(a θ) z′] / sin θ,                                                    (11.46)

goes at even speed, keeps the length if both have the same, and for θ = 90°, as nearly all pairs have, its weights
are cos and sin.

Sources: (11.40): Song & Ermon 2019, arXiv:1907.05600, and Song et al. 2021, arXiv:2011.13456; (11.42): Lugmayr et al.
2022, arXiv:2201.09865 (RePaint); (11.43): Meng et al. 2021, arXiv:2108.01073; (11.46): Shoemake 1985, SIGGRAPH, as
Song, Meng & Ermon 2020, arXiv:2010.02502, use it. Differs: with any schedule and any of the samplers; `jump` counts
steps of the given times; the last step is resampled as well.
"""

import numpy as np

from minigen.errors import MinigenError, ShapeError
from minigen.models import probability_flow, samplers
from minigen.nn.time import per_example


def inpaint(predict, schedule, times, x, known, mask, *, rng, repeats=1, jump=1, sampler=samplers.ancestral, keep=False,
            **options):
    """Fill what is not known, (11.40), with resampling (11.42) if repeats > 1.

    x:         noise to begin with, as for a sampler
    known:     the picture; what stands outside the mask does not count
    mask:      true where the picture is known, any shape that broadcasts to x's
    repeats:   how often each stretch of steps is walked; 1 only replaces
    jump:      how many steps a stretch has
    sampler:   with the arguments of `samplers.ancestral`; options (clip, variance, eta, …) are passed to it
    keep:      True returns all x on the way down, (steps + 1, B, …)
    Shapes:    x and known (B, …) → (B, …), equal to `known` in every bit where the mask is true
    Raises:    MinigenError for repeats or jump below 1; ShapeError for a picture or a mask that does not fit.
    """
    if repeats < 1 or jump < 1 or repeats != int(repeats) or jump != int(jump):
        raise MinigenError(f"inpaint: repeats={repeats}, jump={jump}; expected whole numbers from 1")
    times, known, mask = np.asarray(times), np.asarray(known, dtype=x.dtype), _mask(mask, x)
    if known.shape != x.shape:
        raise ShapeError(f"inpaint: known {known.shape}, x {x.shape}; expected the same shape")

    def put_back(x, s):
        noise = rng.standard_normal(x.shape).astype(x.dtype)
        return np.where(mask, schedule.noised(known, s, noise), x)  # (11.40)

    def agree(x, s):
        """Put the known pixels back, and at the end of a stretch walk it again."""
        x = put_back(x, s)
        done = int(np.flatnonzero(times == s)[0])  # steps taken
        if done % jump and done < len(times) - 1:
            return x
        stretch = times[jump * ((done - 1) // jump) : done + 1]
        for _ in range(repeats - 1):
            x = noised_further(schedule, x, s, stretch[0], rng=rng)
            x = sampler(predict, schedule, stretch, x, rng=rng, after=put_back, **options)
        return x

    found = sampler(predict, schedule, times, put_back(x, times[0]), rng=rng, after=agree, keep=keep, **options)
    if keep:
        found[-1] = np.where(mask, known, found[-1])
        return found
    return np.where(mask, known, found)  # exactly, even if the last time has noise


def noised_further(schedule, x, s, t, *, rng):
    """x_t from x_s by the forward process, s < t, (11.42).   Shapes: (B, …) → (B, …)"""
    if not s < t:
        raise MinigenError(f"noised_further: from s={s} to t={t}; expected a later time")
    size = np.sqrt(schedule.share(t, s)) * schedule.sigma(t)
    noise = rng.standard_normal(x.shape).astype(x.dtype)
    return per_example(schedule.alpha(t) / schedule.alpha(s), x) * x + per_example(size, x) * noise


def sdedit(predict, schedule, times, guide, *, start, rng, sampler=samplers.ancestral, **options):
    """Repaint a guide: noise it to the time `start`, (11.43), and walk down from there, by those times that are lower.

    start:     t₀: 0 returns the guide, the schedule's end forgets it, between them it is (11.44) that decides
    times:     falling; a sampler's for the whole way will do
    sampler:   with the arguments of `samplers.ancestral`; options are passed to it
    Shapes:    guide (B, …) → (B, …)
    Raises:    MinigenError for a start outside the schedule.
    """
    times = np.asarray(times)
    if not 0 <= start <= schedule.end:
        raise MinigenError(f"sdedit: start={start}; expected a time from 0 to {schedule.end}, the schedule's end")
    lower = times[times < start]
    if not len(lower):
        return guide
    noise = rng.standard_normal(guide.shape).astype(guide.dtype)
    x = schedule.noised(guide, start, noise)
    return sampler(predict, schedule, np.concatenate([[start], lower]), x, rng=rng, **options)


def encode(predict, schedule, x, *, low=None, **options):
    """Data to its code: up the probability-flow ODE.   Shapes: (B, …) → (B, …), about as large as a sampler's noise

    low:       the time at which the data stands; by default where the flow starts (`probability_flow.first_time`)
    options:   rtol, atol, method of `probability_flow.ode`
    """
    low = probability_flow.first_time(schedule) if low is None else low
    return probability_flow.ode(predict, schedule, x, times=(low, schedule.end), **options)


def decode(predict, schedule, z, *, low=None, **options):
    """A code to its data: down the same ODE. `decode(encode(x))` is x, as exactly as the solver works."""
    return probability_flow.ode(predict, schedule, z, low=low, **options)


def spherical(first, second, share):
    """A share of the way from one code to another on a great circle, (11.46), for each example.

    Equal or opposite directions, for which no circle is the one, take the straight line.

    share:     a of (11.46), 0 … 1
    Shapes:    (B, …), (B, …) → (B, …)
    Raises:    ShapeError if the two differ in shape.
    """
    if first.shape != second.shape:
        raise ShapeError(f"spherical: codes {first.shape} and {second.shape}; expected the same shape")
    flat, other = (part.reshape(len(part), -1).astype(np.float64) for part in (first, second))
    lengths = np.linalg.norm(flat, axis=1) * np.linalg.norm(other, axis=1)
    cosine = np.clip((flat * other).sum(1) / np.maximum(lengths, 1e-300), -1, 1)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    straight = sine < 1e-6
    sine = np.where(straight, 1, sine)
    weights = [np.where(straight, part, np.sin(part * angle) / sine) for part in (1 - share, share)]
    return per_example(weights[0], first) * first + per_example(weights[1], second) * second


def interpolate(predict, schedule, first, second, shares, **options):
    """Data between two pictures: their codes, places on the great circle between them, and back to data.

    predict:   one for all; with classes, both pictures' own class
    shares:    (n,) of 0 … 1, where 0 gives `first` again and 1 `second`
    options:   of `encode` and `decode`
    Shapes:    (B, …), (B, …) → (n, B, …)
    """
    codes = [encode(predict, schedule, x, **options) for x in (first, second)]
    return np.stack([decode(predict, schedule, spherical(*codes, share), **options) for share in shares])


def _mask(mask, x):
    """A mask of truth values in the shape of x."""
    mask = np.asarray(mask)
    try:
        fitting = np.broadcast_to(mask, x.shape)
    except ValueError:
        fitting = None
    if fitting is None or mask.dtype != bool:
        raise ShapeError(f"inpaint: mask {mask.shape} of {mask.dtype}; expected truth values that fit to x {x.shape}")
    return fitting
