"""Flow matching: learn the velocity that carries noise to data, by plain regression.

**A path.** Pair a point of the data x₀ with noise ε ~ N(0, I) and join the two by a straight line,

    x_t = (1 − t) x₀ + t ε,      dx_t/dt = ε − x₀,      t from 0 (data) to 1 (noise).                  (13.49)

Each t has a density p_t of x_t, from that of the data to N(0, I). Many lines cross at one place, and no velocity field
can follow them all. It need not: to have the densities p_t it must only move as much mass as they do. For any smooth
function φ that vanishes far away, by the chain rule and by averaging over x_t first,

    d/dt E φ(x_t) = E[ ∇φ(x_t) · (ε − x₀) ] = E[ ∇φ(x_t) · v(x_t, t) ],    v(x, t) = E[ ε − x₀ | x_t = x ].  (13.50)

Particles that move by dx/dt = v(x, t) obey the same equation, d/dt E φ(x) = E[∇φ · v]. So they have the densities p_t:
start from noise at t = 1, follow v down to t = 0, and the result is distributed like the data. This v, the *marginal
velocity*, is the conditional expectation of the *conditional* one.

**The loss.** We know v only as a mean. But the best guess in mean square is the conditional mean, so fit to what is
under it:

    L(θ) = E |v_θ(x_t, t) − (ε − x₀)|².                                                               (13.51)

With u = ε − x₀, |v_θ − u|² = |v_θ − v|² + |v − u|² + 2 (v_θ − v) · (v − u), and the last term has mean 0 at each x_t:

    L(θ) = E |v_θ − v|² + E |v − u|².                                                                 (13.52)

The second term does not know θ: the gradients of (13.51) are those of the loss that we cannot compute, and the
loss can not fall below it: the *floor*, 0 only if no two lines cross.

**Straight or curved.** Follow v from ε = z₁ to z₀. How far is that from a straight line at constant speed?

    S = ∫ E |v(z_t, t) − (z₁ − z₀)|² dt = ∫ E |v(z_t, t)|² dt − E |z₁ − z₀|²,                           (13.53)

since the mean of v over time *is* z₁ − z₀. If S = 0, one step of Euler's is exact. And z_t has the law of x_t, so the
integral is E|u|² − E|v − u|²: the pairs (z₀, z₁) that the flow makes are nearer to each other than those it learnt,

    E |x₀ − ε|² = E |z₀ − z₁|² + S + floor.                                                           (13.54)

*Reflow* trains a second flow on the pairs of the first. Its floor and its S together are what it takes off the
distance; the distance cannot fall for ever, so the paths become straight.

**Better pairs from the start.** Any pairing will do that leaves x₀ and ε their laws. Within a batch, assign the noises
to the points so that Σ |x₀ − ε|² is least: fewer lines cross, the floor is lower, the flow straighter.   (13.55)

**It is a diffusion.** (13.49) is (11.3) with α = 1 − t and σ = t. From x₀ + t u = x_t and x_t + (1 − t) u = ε,

    x̂₀ = x_t − t v̂,      ε̂ = x_t + (1 − t) v̂.                                                         (13.56)

A network that knows one knows all; the loss (13.51) is |ε − ε̂|²/(1 − t)². Put (13.56) into a step of DDIM, (11.22):
x_s = (1 − s) x̂₀ + s ε̂ = x_t + (s − t) v̂, a step of Euler's. The density follows from (13.42), with v for f.

Sources: Lipman et al. 2022, arXiv:2210.02747 (conditional flow matching); Liu, Gong & Liu 2022, arXiv:2209.03003 (the
straight line, reflow, S); Albergo & Vanden-Eijnden 2022, arXiv:2209.15571 (13.50); (13.55): Tong et al. 2023,
arXiv:2302.00482, and Pooladian et al. 2023, arXiv:2304.14772. Differs: time runs from data to noise, as in lesson 11;
losses are per example; with classes, noises are assigned within each class.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import expit

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError
from minigen.models.schedules import Schedule
from minigen.nn.inputs import evaluating, floating
from minigen.nn.ode import draw_signs, solve, transport
from minigen.nn.time import per_example

COUPLINGS = ("independent", "optimal")


class Straight(Schedule):
    """α = 1 − t, σ = t: the path (13.49) as a schedule of lesson 11, so that its samplers can be used.

    lowest:   λ at the end, which lies a little before t = 1, since ε̂ says nothing about x₀ where α = 0
    """

    def __init__(self, lowest=-12.0):
        self.end = float(self.time_of(lowest))

    def log_snr(self, t):
        with np.errstate(divide="ignore"):
            return 2 * (np.log1p(-np.asarray(t, dtype=np.float64)) - np.log(t))

    def time_of(self, log_snr):
        return expit(-0.5 * np.asarray(log_snr))

    def slope(self, t):
        return -2 / (np.asarray(t) * (1 - np.asarray(t)))

    def alpha(self, t):
        return 1.0 - np.asarray(t, dtype=np.float64)

    def sigma(self, t):
        return np.asarray(t, dtype=np.float64)


class FlowMatching(nn.Module):
    """A network that knows the velocity from data to noise.

        model = FlowMatching(network, coupling="optimal")
        model.loss(x, rng=rng)                       # (B,): its mean is what training makes small
        model.sample(noise, steps=10)                # data from noise, along the ODE
        model.log_prob(x)                            # (B,), nats

    network:      (x (B, …), time (B,)) → (B, …); with classes (x, time, labels), labels None or equal to
                  network.classes meaning "no class", as in `Diffusion`
    coupling:     "independent" pairs, or those of (13.55), "optimal" within each batch
    drop_labels:  how often the class is withheld in training, so that guidance is possible
    time_scale:   what the time is multiplied with before the network is told it
    """

    def __init__(self, network, *, coupling="independent", drop_labels=0.0, time_scale=1000.0):
        if coupling not in COUPLINGS:
            raise MinigenError(f"FlowMatching: coupling is {coupling!r}; expected one of {COUPLINGS}")
        if drop_labels and getattr(network, "classes", None) is None:
            raise MinigenError(f"FlowMatching: drop_labels={drop_labels} needs a network with classes")
        self.network, self.coupling, self.drop_labels = network, coupling, drop_labels
        self.time_scale, self.schedule = time_scale, Straight()

    def output(self, x, t, labels=None):
        """v_θ(x, t), a Tensor with its graph.   Shapes: x (B, …) a Tensor, t (B,) or a number → (B, …)"""
        time = np.asarray(np.broadcast_to(t, len(x)) * self.time_scale, dtype=x.dtype)
        said = self.network(x, time) if labels is None else self.network(x, time, labels)
        if said.shape != x.shape:
            raise ShapeError(f"FlowMatching: the network returned {said.shape} for {x.shape}; expected equal shapes")
        return said

    def loss(self, x, labels=None, *, rng, t=None, noise=None):
        """|v_θ(x_t, t) − (ε − x₀)|² of (13.51), averaged over the numbers of one example.

        t, noise: drawn if not given. Noise that is given is taken as it is paired: (x, noise) from `pairs` is reflow
        Shapes:   x (B, …), t (B,), noise (B, …) → (B,)
        """
        x = floating(x)
        if noise is None:
            noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype)
            noise = noise if self.coupling == "independent" else optimal_pairs(x, noise, labels)
        t = rng.permutation((np.arange(len(x)) + rng.random(len(x))) / len(x)) if t is None else np.asarray(t)
        if labels is not None and self.drop_labels:
            labels = np.where(rng.random(len(x)) < self.drop_labels, self.network.classes, labels)
        share = per_example(t, x)
        error = self.output(Tensor((1 - share) * x + share * noise), t, labels) - (noise - x)
        return ops.mean(error * error, dim=tuple(range(1, x.ndim)))

    def velocity(self, labels=None, *, guidance=1.0, hook=None):
        """v̂ as a function of x (B, …) and t (B,) or a number, in evaluation mode: an array for an array, else a Tensor.

        labels:    (B,), or None for no class
        guidance:  w of (11.20): v̂ is linear in ε̂, so v̂(x) + w (v̂(x, y) − v̂(x)) is the same guidance
        hook:      (x, t, v̂) → v̂, changes every velocity
        """

        def find(x, t):
            if not isinstance(x, Tensor):
                with no_grad():
                    return find(Tensor(x), t).data
            with evaluating(self.network):
                found = self.output(x, t, labels if guidance else None)
                if labels is not None and guidance not in (0, 1):
                    without = self.output(x, t)
                    found = without + guidance * (found - without)
            return found if hook is None else hook(x, t, found)

        return find

    def predictor(self, labels=None, *, guidance=1.0, hook=None):
        """ε̂ as a function of x and t by (13.56), for the samplers of lesson 11 with `schedule`."""
        find = self.velocity(labels, guidance=guidance)

        def predict(x, t):
            noise = x + per_example(1.0 - np.asarray(t), x) * find(x, t)
            return noise if hook is None else hook(x, t, noise)

        return predict

    # -- along the flow -----------------------------------------------------------------------------------------------

    def sample(self, noise, labels=None, *, guidance=1.0, steps=20, method="heun", keep=False, rtol=1e-5, atol=1e-5):
        """Data from noise, dx/dt = v̂ from t = 1 to 0.

        steps, method:  evenly spaced steps of "euler" (one call of the network each), "midpoint", "heun" (two) or
                        "rk4" (four); or a method of SciPy's, such as "RK45", that chooses its own
        keep:           True for the way there, at the times of the steps
        Shapes:         (B, …) → (B, …), or (steps + 1, B, …)
        """
        return follow(self.velocity(labels, guidance=guidance), floating(noise), np.linspace(1.0, 0.0, steps + 1),
                      method=method, keep=keep, rtol=rtol, atol=atol)

    def encode(self, x, labels=None, *, steps=20, method="heun", rtol=1e-5, atol=1e-5):
        """The noise that becomes x: the same ODE the other way.   Shapes: (B, …) → (B, …)"""
        return follow(self.velocity(labels), floating(x), np.linspace(0.0, 1.0, steps + 1), method=method, rtol=rtol,
                      atol=atol)

    def pairs(self, noise, labels=None, **settings):
        """What reflow trains on, (x, noise): `loss(x, noise=noise, rng=rng)`. Settings as in `sample`."""
        return self.sample(noise, labels, **settings), floating(noise)

    def log_prob(self, x, labels=None, *, trace="exact", probes=1, rng=None, steps=1, method="RK45", rtol=1e-5,
                 atol=1e-5):
        """log p(x), in nats, of the law that `sample` has with perfect steps, (13.42).

        trace:    "exact" (D backward passes) or "hutchinson" (`probes` of them, the same v all the way)
        Shapes:   x (B, …) → (B,), float64
        """
        x = floating(x)
        signs = draw_signs(trace, x, rng=rng, probes=probes, name="FlowMatching.log_prob")
        end, grown = transport(self.velocity(labels), x, np.linspace(0.0, 1.0, steps + 1), signs=signs, method=method,
                               rtol=rtol, atol=atol, name="FlowMatching.log_prob")
        return -0.5 * (end**2 + np.log(2 * np.pi)).reshape(len(x), -1).sum(1) + grown


def follow(velocity, x, times, *, method="heun", keep=False, rtol=1e-5, atol=1e-5):
    """An array carried along any velocity (x, t (B,)) → (B, …): a model's `velocity()`, a mixture's exact one.

    times:    rising or falling; one step from each to the next, or as many as needed, see `nn.ode.solve`
    Shapes:   x (B, …) → (B, …), or (times, B, …) with keep
    """
    x = floating(x)

    def slope(state, t):
        return (velocity(state[0], np.full(len(x), t)).astype(x.dtype),)

    return solve(slope, (x,), times, method=method, keep=keep, rtol=rtol, atol=atol, name="flow matching")[0]


def optimal_pairs(x, noise, labels=None):
    """The noises in the order in which Σ |x₀ − ε|² is least, (13.55); with labels, within each class.

    A class that could choose among all noises would take those near to it, and no longer have all of N(0, I).

    Shapes:   x, noise (B, …), labels (B,) → (B, …)
    """
    if x.shape != noise.shape or (labels is not None and np.shape(labels) != (len(x),)):
        raise ShapeError(f"optimal_pairs: x {x.shape}, noise {noise.shape}, labels {np.shape(labels)}; expected equal "
                         "shapes, and a label for each example")
    chosen = np.arange(len(x))
    for group in [chosen] if labels is None else [np.flatnonzero(labels == label) for label in np.unique(labels)]:
        a, b = x[group].reshape(len(group), -1), noise[group].reshape(len(group), -1)
        _, order = linear_sum_assignment(-(a.astype(np.float64) @ b.T))  # |a|² and |b|² add up to the same in any order
        chosen[group] = group[order]
    return noise[chosen]


def straightness(path):
    """S of (13.53) along paths with even steps, summed over the numbers of an example: 0 for straight ones; a number.

    path:     (steps + 1, B, …), as from `sample(…, keep=True)`
    Equation: the mean over steps and examples of |step · steps − (last − first)|²
    """
    path = np.asarray(path, dtype=np.float64)
    steps = len(path) - 1
    if path.ndim < 2 or steps < 1:
        raise ShapeError(f"straightness: a path {path.shape}; expected (steps + 1, B, …) with at least one step")
    apart = np.diff(path, axis=0) * steps - (path[-1] - path[0])
    return float((apart**2).reshape(steps * path.shape[1], -1).sum(1).mean())
