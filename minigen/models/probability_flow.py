"""The probability-flow ODE: a diffusion as a flow, with exact densities.

**Why an ODE has the same laws.** Let y = x/α and ς = σ/α. Then y = x₀ + ς ε, and its density p_ς is that of the data,
blurred: p_ς = p₀ * N(0, ς² I). Blurring obeys the heat equation with the "time" ½ς²,

    ∂p/∂ς = ς Δp = ∇ · (ς p ∇ log p).                                                                 (11.28)

Particles that move with velocity u keep their density by ∂p/∂ς = −∇ · (p u). So with

    dy/dς = u(y, ς) = −ς ∇ log p_ς(y) = E[ε | y]                                                      (11.29)

(Tweedie) they follow the same densities, without any randomness. Langevin steps (10.11) at any ς change none of them
either; mixed in on the way back, they make of the ODE Song's reverse SDE, or Karras' churning sampler (11.25).

**Densities.** Along such a path the density changes only because neighbours are squeezed together or pulled apart,

    d/dς log p_ς(y(ς)) = −∇ · u = −tr ∂ε̂/∂y = −α tr ∂ε̂/∂x.                                            (11.30)

Follow x from the first time to the last, where its density is known to be a broad Gaussian, and add up:

    log p(x) = log p_end(y_end) + ∫ α tr ∂ε̂/∂x dς − D log α,                                          (11.31)

the last term because x = α y. The trace costs D backward passes. *Hutchinson's* estimate needs one: for v with
independent entries ± 1, E[vᵀ A v] = tr A, since E[v_i v_j] = δ_ij.                                    (11.32)

The solver works in log ς, which spans everything from almost clean to almost noise: dy/d(log ς) = ς ε̂.

Sources: Song et al. 2021, arXiv:2011.13456 (the ODE and its densities); Chen et al. 2018, arXiv:1806.07366 (11.30);
Grathwohl et al. 2018, arXiv:1810.01367 (Hutchinson's trace in a flow). Differs: the variable log ς; the blurred form of
the argument is Karras et al. 2022, arXiv:2206.00364, appendix B.
"""

import math

import numpy as np

from minigen.autograd import Tensor
from minigen.nn.ode import divergence, draw_signs, solve, transport

NAME = "probability flow (t: log ς)"


def ode(predict, schedule, x, *, low=None, times=None, rtol=1e-5, atol=1e-5, method="RK45", keep=None):
    """x from the schedule's end followed down the ODE (11.29), by a solver that chooses its own steps.

    predict:   (x (B, …), t (B,)) → ε̂ (B, …), arrays
    low:       the λ-time to stop at, by default where ς = 10⁻³ (or at time 0, if some noise is left there)
    times:     (from, to) instead of (end, low); from < to walks the other way: data to noise
    rtol, atol, method:  of scipy.integrate.solve_ivp; all examples share the steps
    keep:      a number n: returns n points of the way, evenly in log ς, (n, B, …)
    Shapes:    x (B, …) → (B, …)
    Raises:    TrainingError if the solver gives up, or a prediction is NaN or infinite.
    """
    first, last = times if times is not None else (schedule.end, first_time(schedule) if low is None else low)

    def slope(state, log_ratio):
        (y,), t = state, _time(schedule, log_ratio)
        found = predict((y * schedule.alpha(t)).astype(x.dtype), np.full(len(x), t))
        found = found[0] if isinstance(found, tuple) else found
        return (math.exp(log_ratio) * found.astype(np.float64),)

    start = (x / schedule.alpha(first)).astype(np.float64)
    places = np.linspace(_log_ratio(schedule, first), _log_ratio(schedule, last), 2 if keep is None else keep)
    (path,) = solve(slope, (start,), places, method=method, rtol=rtol, atol=atol, keep=True, name=NAME)
    if keep is None:
        return (schedule.alpha(last) * path[-1]).astype(x.dtype)
    alphas = schedule.alpha(_time(schedule, places))
    return np.stack([alpha * y for alpha, y in zip(alphas, path, strict=True)]).astype(x.dtype)


def log_prob(predict, schedule, x, *, low=None, trace="exact", rng=None, probes=1, rtol=1e-5, atol=1e-5,
             method="RK45"):
    """log p(x), in nats, of the density that the ODE gives the data at time `low`, (11.31).

    For an exact ε̂ this is the density of the data under the noise of that time, which is why `low` is small.

    predict:   (x (B, …) Tensor, t (B,)) → ε̂ (B, …) Tensor, each example on its own (no batch normalisation)
    trace:     "exact" (D backward passes) or "hutchinson" (`probes` of them, the same v all the way; unbiased only
               as far as the solver is exact)
    Shapes:    x (B, …) → (B,), float64
    Raises:    TrainingError if the solver gives up, or a prediction is NaN or infinite.
    """
    x = np.asarray(x)
    low = first_time(schedule) if low is None else low
    signs = draw_signs(trace, x, rng=rng, probes=probes, name="log_prob")

    def velocity(y, log_ratio):
        t = _time(schedule, log_ratio)
        noise = predict(y * float(schedule.alpha(t)), np.full(len(x), t))
        return (noise[0] if isinstance(noise, tuple) else noise) * math.exp(log_ratio)

    span = _log_ratio(schedule, low), _log_ratio(schedule, schedule.end)
    start = (x / schedule.alpha(low)).astype(x.dtype)
    end, gathered = transport(velocity, start, span, signs=signs, method=method, rtol=rtol, atol=atol, name=NAME)
    dims, squared = x[0].size, (end.reshape(len(x), -1) ** 2).sum(1)
    spread = schedule.spread() / float(schedule.alpha(schedule.end))  # of y at the end
    prior = -0.5 * squared / spread**2 - dims * math.log(spread * math.sqrt(2 * math.pi))
    return prior + gathered - dims * math.log(schedule.alpha(low))


def noise_and_trace(predict, x, t, *, signs=None):
    """ε̂ and tr ∂ε̂/∂x, exact (11.30), or estimated with given vectors of signs (11.32).

    Shapes:   x (B, …), t (B,), signs (probes, B, …) → (B, …), (B,), arrays
    """
    x = Tensor(x, requires_grad=True)
    noise = predict(x, t)
    noise = noise[0] if isinstance(noise, tuple) else noise
    return noise.data, divergence(noise, x, signs=signs).data


def bits_per_dim(log_prob, dims, *, width=1.0):
    """Bits per dimension from log densities in nats: −log₂ p of a cell of `width` in each dimension, over D.

    width:    of a grey level on the data's scale: 2/255 for bytes spread over −1 … 1. A density so converted is a bound
              only if noise over a whole level was added to the data (lesson 13).
    """
    return -(np.asarray(log_prob) / dims + math.log(width)) / math.log(2)


def first_time(schedule, ratio=1e-3):
    """The time at which ς is this small; 0 for a schedule whose noise never is."""
    at_zero = schedule.log_snr(0.0)
    highest = -2 * math.log(ratio)
    return 0.0 if at_zero < highest else float(schedule.time_of(highest))


def _log_ratio(schedule, t):
    return -0.5 * float(schedule.log_snr(t))


def _time(schedule, log_ratio):
    return schedule.time_of(-2 * np.asarray(log_ratio))
