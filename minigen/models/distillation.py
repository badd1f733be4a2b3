"""Distillation: teach a network to do in one step what a diffusion or a flow does in many.

A trained teacher says ε̂. In y = x/α and ς = σ/α its samples follow, (11.23),

    dy/dς = ε̂(α y, t),                                                                                (13.70)

whatever the schedule; by (13.56) a flow-matching model says ε̂, too. Each step needs one call of the network or two.
But where the path ends depends on where it is now and on nothing else.

**Consistency.** Let Φ(y, ς) be the place where the path through (y, ς) is at a small ς_min, almost clean data. It is
known by two properties: it is the same all along a path, and at the end it is the place itself,

    Φ(y(ς), ς) = Φ(y(ς′), ς′)  on one path,      Φ(y, ς_min) = y.                                      (13.71)

The second is built in, so that it need not be learnt. With a network F and data of standard deviation σ_d,

    f(y, ς) = c_skip y + c_out F(c_in y, t),      c_skip = σ_d²/((ς − ς_min)² + σ_d²),
    c_out = σ_d (ς − ς_min)/√(ς² + σ_d²),         c_in = 1/√(ς² + σ_d²):                               (13.72)

(11.35) with ς − ς_min in the place of ς, so that c_skip = 1 and c_out = 0 at ς_min. The first is the loss. Choose times
t_0 < … < t_N, the first with ς_min. Noise data to a time t_{n+1}, let the teacher take one step down to t_n, and ask
that f says the same at both:

    L = E | f(y_{n+1}, ς_{n+1}) − f⁻(ŷ_n, ς_n) |².                                                     (13.73)

f⁻ is f with weights that are not moved by this loss: an average over earlier steps, or the same ones taken as fixed.
They must be, for f follows what is known nearer to the data, and not the other way round.

*Why it is enough.* Let e_n = f(y_n, ς_n) − Φ(y_n, ς_n) be the error on a path of exact steps. Φ is the same at both
ends of a step, so e_{n+1} − e_n = f(y_{n+1}, ς_{n+1}) − f(y_n, ς_n), what (13.73) squares; and e_0 = 0. So

    e_n = Σ_{m<n} ( f(y_{m+1}, ς_{m+1}) − f(y_m, ς_m) ):                                               (13.74)

if the loss is 0, f = Φ. The sum shows the price as well: N small mistakes may add up, and each step of the teacher's
adds its own, of the order h³ for Heun's. A coarse grid is learnt sooner, a fine one is right in the end.

**Steps.** One call makes data from noise, f(y_N, ς_N). If it is not good enough, noise the result again and call again,

    y_τ = f + √(ς_τ² − ς_min²) z,      z ~ N(0, I):                                                    (13.75)

f has the noise ς_min (all but none), and variances add. What the first call got wrong is drowned, the second starts
nearer.

**No teacher.** ε̂ is the mean of the ε that made y. Put this ε itself into the step, y_n = y_{n+1} + (ς_n − ς_{n+1}) ε =
x₀ + ς_n ε. It is right on average, so to first order in the step the loss asks the same of f, with more noise, (13.76).

**Halving.** *Progressive distillation* keeps the steps, but makes them longer. Let the teacher take two, from (y, ς) by
way of ς′ to (y″, ς″). The student is to land there with one of Euler's (DDIM's), for which it must say the mean slope,

    ε̃ = (y″ − y)/(ς″ − ς),      x̃₀ = y − ς ε̃,                                                         (13.77)
    L = E max(1, SNR) |x̃₀ − x̂₀|² = E max(1/SNR, 1) |ε̃ − ε̂|²,                                           (13.78)

SNR = 1/ς²: neither of the two may be neglected where it is the one that matters. The student is the next teacher: from
2N steps to N, to N/2, …, each time with targets without any noise.

**A patient teacher.** Two steps of DDIM's are no better than DDIM. Let the teacher go each of its steps in k smaller
and better ones: in (11.26), which holds for an x̂₀ that stands still, take the x̂₀ that it sees half-way, at m,

    x_s = (σ_s/σ_t) x_t + (α_s − α_t σ_s/σ_t) x̂₀(x_m, m),      x_m by a step of DDIM's from t to m,    (13.79)

with an error of the order h³ (but where s has no noise: there it is x̂₀(x_m), two steps of DDIM's). Its mean slope over
the whole step is again an ε̃, which (13.77) can use: the student learns from the start where the ODE leads, in few
stages or a single one.

Sources: Song, Dhariwal, Chen & Sutskever 2023, arXiv:2303.01469 ((13.71) to (13.76)); f⁻ with the weights themselves:
Song & Dhariwal 2023, arXiv:2310.14189; (13.77), (13.78): Salimans & Ho 2022, arXiv:2202.00512; (13.79) is a midpoint
rule, as in DPM-Solver-2: Lu et al. 2022, arXiv:2206.00927. Differs: any schedule;
the squared distance, unweighted, averaged over the numbers of one example; losses are per example.
"""

import contextlib

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError
from minigen.models.samplers import noise_ratio
from minigen.nn.inputs import evaluating, floating
from minigen.nn.time import per_example


class Consistency(nn.Module):
    """A network that leaps to the end of the path, (13.72).

        model = Consistency(network, teacher.schedule, samplers.karras_times(teacher.schedule, 31)[-2::-1])
        model.loss(x, teacher.predictor(), rng=rng, averaged=ema.averaged)      # (B,)
        model.sample(model.noise((64, 2), rng=rng), rng=rng)

    network:     (c_in y (B, …), time (B,)) → (B, …); with classes a third argument, as in `Diffusion`
    schedule:    of the teacher: alpha, sigma, log_snr
    times:       (N + 1,), rising, the first with ς_min > 0, the last where all is noise
    sigma_data:  σ_d
    """

    def __init__(self, network, schedule, times, *, sigma_data=1.0):
        times = np.asarray(times, dtype=np.float64)
        if times.ndim != 1 or len(times) < 2 or np.any(np.diff(times) <= 0) or not schedule.sigma(times[0]) > 0:
            raise ShapeError(f"Consistency: times are {times}; expected at least two, rising, with noise at the first")
        if not sigma_data > 0:
            raise MinigenError(f"Consistency: sigma_data={sigma_data}; expected a positive number")
        self.network, self.schedule, self.times, self.sigma_data = network, schedule, times, sigma_data
        self.lowest = float(noise_ratio(schedule, times[0]))  # ς_min

    def coefficients(self, t):
        """c_skip, c_out and c_in of (13.72).   Shapes: (B,) → three of (B,)"""
        ratio = noise_ratio(self.schedule, t)
        gone, size = ratio - self.lowest, np.hypot(ratio, self.sigma_data)
        return self.sigma_data**2 / (gone**2 + self.sigma_data**2), self.sigma_data * gone / size, 1 / size

    def forward(self, x, t, labels=None):
        """f, as the x of the first time: x itself if t is that time.   Shapes: x (B, …) a Tensor, t (B,) → (B, …)"""
        t = np.broadcast_to(np.asarray(t, dtype=np.float64), len(x))
        c_skip, c_out, c_in = self.coefficients(t)
        y = x * per_example(1 / self.schedule.alpha(t), x)
        time = (t * self.schedule.time_scale).astype(x.dtype)
        seen = y * per_example(c_in, x)
        said = self.network(seen, time) if labels is None else self.network(seen, time, labels)
        if said.shape != x.shape:
            raise ShapeError(f"Consistency: the network returned {said.shape} for {x.shape}; expected equal shapes")
        found = y * per_example(c_skip, x) + said * per_example(c_out, x)
        return found * float(self.schedule.alpha(self.times[0]))

    def loss(self, x, teacher=None, labels=None, **settings):
        """How much f changes over one step of the teacher's, (13.73), averaged over the numbers of one example.

        Arguments as in `leaps`.   Shapes: x (B, …) → (B,)
        """
        found, aim = self.leaps(x, teacher, labels, **settings)
        gap = found - aim
        return ops.mean(gap * gap, dim=tuple(range(1, gap.ndim)))

    def leaps(self, x, teacher=None, labels=None, *, rng, averaged=None, order=2, n=None, noise=None):
        """The two sides of (13.73): f from the higher time, a Tensor, and f⁻ from the lower, an array.

        teacher:   ε̂ (x (B, …), t (B,)) → (B, …), a `predictor()`; None: the noise itself, (13.76)
        averaged:  opens a context in which the weights are those of f⁻, such as `EMA.averaged`; None: as they are
        order:     of the teacher's step, see `one_step`
        n:         (B,) numbers of the lower times, from 0 to N − 1; drawn if not given, like the noise
        Shapes:    x (B, …) → (B, …), (B, …)
        """
        x = floating(x)
        steps = len(self.times) - 1
        n = rng.integers(steps, size=len(x)) if n is None else _numbers("Consistency", n, steps)
        noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype) if noise is None else noise
        t, s = self.times[n + 1], self.times[n]
        noised = self.schedule.noised(x, t, noise)
        lower = (self.schedule.noised(x, s, noise) if teacher is None
                 else one_step(teacher, self.schedule, noised, t, s, order=order))  # fmt: skip
        with no_grad(), averaged() if averaged else contextlib.nullcontext():
            aim = self(Tensor(lower), s, labels).data
        return self(Tensor(noised), t, labels), aim

    def noise(self, shape, *, rng):
        """What `sample` begins with: x at the last time, for data of standard deviation σ_d.   Shapes: → shape"""
        alpha, sigma = self.schedule.alpha(self.times[-1]), self.schedule.sigma(self.times[-1])
        return (np.hypot(alpha * self.sigma_data, sigma) * rng.standard_normal(shape)).astype(np.float32)

    @no_grad()
    def sample(self, noise, labels=None, *, through=(), rng=None):
        """Data from noise in one call, or more: an array.

        through:  falling times to go back to with fresh noise, (13.75), one more call each; best some of the `times` it
                  was trained at, for in between the loss never asked anything of f
        Shapes:   (B, …) → (B, …)
        """
        through = np.atleast_1d(np.asarray(through, dtype=np.float64))
        if np.any(np.diff(through) >= 0) or np.any((through < self.times[0]) | (through > self.times[-1])):
            raise ShapeError(f"Consistency.sample: through is {through}; expected falling times from "
                             f"{self.times[-1]:.4g} to {self.times[0]:.4g}")  # fmt: skip
        if len(through) and rng is None:
            raise MinigenError("Consistency.sample: more than one call needs random numbers; expected rng")
        with evaluating(self.network):
            x = self(Tensor(floating(noise)), self.times[-1], labels).data
            for t in through:
                fresh = np.sqrt(max(0.0, float(noise_ratio(self.schedule, t)) ** 2 - self.lowest**2))
                y = x / self.schedule.alpha(self.times[0]) + fresh * rng.standard_normal(x.shape)  # (13.75)
                x = self(Tensor((self.schedule.alpha(t) * y).astype(x.dtype)), t, labels).data
        return x


def halving_loss(student, teacher, schedule, x, times, *, rng, i=None, noise=None):
    """How far one step of the student's is from two of the teacher's, (13.78), averaged over an example's numbers.

    student:   ε̂ (x (B, …) Tensor, t (B,)) → (B, …) Tensor, the `predictor()` of a `Diffusion` or a `FlowMatching`;
               best of one that says "v" or "x0": from ε̂, x̂₀ cannot be told where all is noise
    teacher:   the same with arrays
    times:     (2N + 1,), falling: the teacher's; the student's are times[::2]
    i:         (B,) numbers of the student's steps, from 0 to N − 1; drawn if not given, like the noise
    Shapes:    x (B, …) → (B,)
    """
    x, times = floating(x), np.asarray(times, dtype=np.float64)
    if times.ndim != 1 or len(times) < 3 or len(times) % 2 == 0 or np.any(np.diff(times) >= 0):
        raise ShapeError(f"halving_loss: times are {times}; expected an odd number, at least three, falling")
    i = rng.integers(len(times) // 2, size=len(x)) if i is None else _numbers("halving_loss", i, len(times) // 2)
    noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype) if noise is None else noise
    t, half, s = times[2 * i], times[2 * i + 1], times[2 * i + 2]
    noised = schedule.noised(x, t, noise)
    return slope_loss(student, schedule, noised, t, mean_slope(teacher, schedule, noised, t, half, s))


def slope_loss(student, schedule, noised, t, slope):
    """How far what a student says is from the ε̃ that it should say, (13.78), averaged over an example's numbers.

    student:   ε̂, as in `halving_loss`
    slope:     ε̃, an array, which may have been made beforehand: it has no noise, and may serve several times
    Shapes:    noised, slope (B, …), t (B,) → (B,)
    """
    gap = student(Tensor(noised), t) - slope.astype(noised.dtype)
    weight = per_example(np.maximum(np.exp(-schedule.log_snr(t)), 1.0), noised)
    return ops.mean(gap * gap * weight, dim=tuple(range(1, noised.ndim)))


def mean_slope(teacher, schedule, x, t, half, s):
    """ε̃ of (13.77), for two of the teacher's steps, t to `half` to s.   Shapes: x (B, …), times (B,) → (B, …)"""
    a, b, c = (noise_ratio(schedule, time) for time in (t, half, s))
    first = teacher(x, t)
    second = teacher(one_step(lambda x, t: first, schedule, x, t, half, order=1), half)
    share = per_example((a - b) / (a - c), x)  # of the way that the first of the two steps goes
    return share * first + (1 - share) * second


def patient(predict, schedule, times, *, steps=2):
    """A teacher whose one step of DDIM's along `times` ends where `steps` of (13.79) do, each of two calls.

    times:    falling; the teacher can be asked at these (but the last), from where it goes to the next
    Shapes:   a function (x (B, …), t (B,)) → ε̃ (B, …), for `halving_loss` and `samplers.ddim`
    Raises:   ShapeError if it is asked at another time
    """
    times = np.asarray(times, dtype=np.float64)

    def slope(x, t):
        place = len(times) - 1 - np.searchsorted(times[::-1], np.broadcast_to(t, len(x)))
        if np.any(place >= len(times) - 1) or np.any(times[place] != t):
            raise ShapeError(f"patient: asked at {np.unique(t)}; expected some of {times[:-1]}")
        t, s = times[place], times[place + 1]
        end = many_steps(predict, schedule, x, t, s, steps=steps)
        moved = end / per_example(schedule.alpha(s), x) - x / per_example(schedule.alpha(t), x)
        return moved / per_example(noise_ratio(schedule, s) - noise_ratio(schedule, t), x)

    return slope


def many_steps(predict, schedule, x, t, s, *, steps=2):
    """From each example's time t to its s < t in `steps` steps of (13.79), each of two calls.

    Shapes:   x (B, …), t, s (B,) → (B, …), arrays
    """
    times = np.linspace(t, s, steps + 1)  # (steps + 1, B)
    for a, b in zip(times[:-1], times[1:], strict=True):
        half = 0.5 * (a + b)
        middle = one_step(predict, schedule, x, a, half, order=1)
        noise = predict(middle, half)
        clean = (middle - per_example(schedule.sigma(half), x) * noise) / per_example(schedule.alpha(half), x)
        kept = schedule.sigma(b) / schedule.sigma(a)
        x = per_example(kept, x) * x + per_example(schedule.alpha(b) - schedule.alpha(a) * kept, x) * clean
    return x


def one_step(predict, schedule, x, t, s, *, order=2):
    """One step along (13.70) for each example, from its time t to its s < t: of Euler's (order 1) or Heun's (2).

    Equation: (11.23) and (11.24), with a time for each example. Heun's second call is left out where s has no noise
    Shapes:   x (B, …), t, s (B,) → (B, …), arrays
    """
    if order not in (1, 2):
        raise MinigenError(f"one_step: order is {order}; expected 1 or 2")
    high, low = noise_ratio(schedule, t), noise_ratio(schedule, s)
    y = x * per_example(1 / schedule.alpha(t), x)
    slope = predict(x, t)
    moved = y + per_example(low - high, x) * slope
    if order == 2:
        again = predict(moved * per_example(schedule.alpha(s), x), np.where(low > 0, s, t))
        again = np.where(per_example(low > 0, x).astype(bool), again, slope)
        moved = y + per_example(low - high, x) * (0.5 * (slope + again))
    return moved * per_example(schedule.alpha(s), x)


def _numbers(name, numbers, count):
    """Given numbers of steps, which have to be there."""
    numbers = np.asarray(numbers)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise ShapeError(f"{name}: numbers of steps from {numbers.min()} to {numbers.max()}; expected 0 to {count - 1}")
    return numbers
