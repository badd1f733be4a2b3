"""Following a velocity: solvers for dx/dt = f(x, t), and what becomes of a volume on the way.

**Steps.** A step of size h asks for the velocity at some places, k_i, and goes along a mean of the answers:

    k_i = f(x + h Σ_{j<i} a_ij k_j,  t + c_i h),      x(t + h) ≈ x + h Σ_i b_i k_i.                     (N.5)

Euler has one k, the velocity where it stands. By Taylor x(t + h) = x + h f + ½ h² (∂f/∂t + ∂f/∂x f) + O(h³), so a step
of Euler's is wrong by O(h²), and 1/h of them by O(h): *order* 1. Asking half-way (midpoint), or at both ends (Heun),
gets the term in h² right: order 2 for two calls. Four calls can have order 4 (Runge and Kutta's). Halving h divides the
error by 2, by 4, by 16. A solver with *adaptive* steps compares two orders at each step, and shortens the step until
they agree; SciPy has those.

**Volumes.** A small box about x is carried along, and its volume grows at the rate of the *divergence*

    ∇ · f = tr ∂f/∂x = Σ_i ∂f_i/∂x_i,      that is      d log(volume)/dt = ∇ · f,                      (N.6)

because after a short time h the map is x + h f(x), with Jacobian I + h ∂f/∂x, whose determinant is a product along the
diagonal up to h²: 1 + h tr ∂f/∂x + O(h²). The trace costs D backward passes, or one if it is estimated: for v with
independent entries ± 1, E[v_i v_j] is 1 for i = j and 0 otherwise, so

    E[vᵀ A v] = Σ_ij A_ij E[v_i v_j] = tr A      (Hutchinson).                                         (N.7)

A *state* here is a tuple of arrays, or of Tensors: then all steps are recorded, and can be differentiated.

Sources: Butcher's tables of the four methods are in any text on the subject; Hutchinson 1990, Communications in
Statistics 19(2). Differs: nothing.
"""

import numpy as np
from scipy.integrate import solve_ivp

from minigen import autograd, ops
from minigen.autograd import Tensor
from minigen.errors import MinigenError, ShapeError, TrainingError

# The tables of (N.5): c_i, the rows a_ij below the diagonal, b_i.
METHODS = {
    "euler": ((0.0,), ((),), (1.0,)),
    "midpoint": ((0.0, 0.5), ((), (0.5,)), (0.0, 1.0)),
    "heun": ((0.0, 1.0), ((), (1.0,)), (0.5, 0.5)),
    "rk4": ((0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}
ADAPTIVE = ("RK45", "RK23", "DOP853", "LSODA")  # SciPy's names


def solve(slope, state, times, *, method="rk4", rtol=1e-5, atol=1e-5, keep=False, name="ode"):
    """The state at the last of some times, from the state at the first.

    slope:     (state, t a number) → a tuple like the state: how fast each part changes
    times:     at least two, all rising or all falling. A method of `METHODS` makes one step from each to the next;
               one of `ADAPTIVE` as many as it needs for its tolerances, which all examples share
    keep:      True for the states at all times: each part (times, …); arrays only
    name:      of what is solved, for the errors
    Shapes:    a tuple of parts, each (B, …) or another shape → the same
    Raises:    ShapeError for other times; MinigenError for an unknown method; TrainingError if an adaptive solver gives
               up, or its slope is NaN or infinite.
    """
    times = np.asarray(times, dtype=np.float64)
    ways = np.diff(times) if times.ndim == 1 else np.zeros(1)
    if len(ways) == 0 or not (np.all(ways > 0) or np.all(ways < 0)):
        raise ShapeError(f"{name}: times are {times}; expected at least two, rising or falling")
    if method in ADAPTIVE:
        states = _adaptive(slope, state, times, method, rtol, atol, name)
        return tuple(part if keep else part[-1] for part in states)
    if method not in METHODS:
        raise MinigenError(f"{name}: method is {method!r}; expected one of {', '.join((*METHODS, *ADAPTIVE))}")
    path = [tuple(state)]
    for t, width in zip(times[:-1], ways, strict=True):
        state = step(slope, state, float(t), float(width), method)
        path = [*path, state] if keep else [state]
    return tuple(np.stack(parts) for parts in zip(*path, strict=True)) if keep else path[-1]


def step(slope, state, t, width, method="rk4"):
    """One step (N.5) of size h = `width`, which may be negative: a state → a state."""
    if method not in METHODS:
        raise MinigenError(f"ode.step: method is {method!r}; expected one of {', '.join(METHODS)}")
    nodes, rows, weights = METHODS[method]
    found = []
    for node, row in zip(nodes, rows, strict=True):
        found.append(slope(_moved(state, width, row, found), t + node * width))
    return _moved(state, width, weights, found)


def _moved(state, width, weights, slopes):
    """state + h Σ_j weights_j slopes_j, part by part."""
    for weight, rates in zip(weights, slopes, strict=True):
        if weight:
            state = tuple(part + (width * weight) * rate for part, rate in zip(state, rates, strict=True))
    return tuple(state)


def _adaptive(slope, state, times, method, rtol, atol, name):
    """By SciPy, in float64: all parts as one long vector. Returns each part at all times, (times, …)."""
    arrays = [part.data if isinstance(part, Tensor) else np.asarray(part) for part in state]
    ends = np.cumsum([0] + [array.size for array in arrays])

    def parts(flat):
        return tuple(flat[..., a:b].reshape(*flat.shape[:-1], *array.shape).astype(array.dtype)
                     for a, b, array in zip(ends[:-1], ends[1:], arrays, strict=True))  # fmt: skip

    def rate(t, flat):
        found = _vector(slope(parts(flat), float(t)))
        if not np.isfinite(found).all():
            raise TrainingError(f"{name}: the velocity is not finite at t = {t:.3g}")
        return found

    found = solve_ivp(rate, times[[0, -1]], _vector(arrays), method=method, t_eval=times, rtol=rtol, atol=atol)
    if not found.success:
        raise TrainingError(f"{name}: the solver gave up at t = {found.t[-1]:.3g}: {found.message}")
    return parts(found.y.T)


def _vector(parts):
    return np.concatenate([np.ravel(part.data if isinstance(part, Tensor) else part).astype(np.float64)
                           for part in parts])  # fmt: skip


# -- volumes ----------------------------------------------------------------------------------------------------------


def divergence(found, x, *, signs=None, create_graph=False):
    """∇ · f of each example, exactly, or with given vectors of signs by (N.7).

    found, x:  f(x) and the x that it was computed from, Tensors (B, …), each example on its own
    signs:     (probes, B, …), or None for the exact trace
    Shapes:    → (B,), a Tensor, with a graph if asked for
    """
    total = 0.0
    for v in () if signs is None else signs:
        (row,) = autograd.grad(ops.sum(found * v), x, create_graph=create_graph)  # vᵀ ∂f/∂x: (B, …)
        total = total + ops.sum(row * v, dim=tuple(range(1, x.ndim))) / len(signs)
    if signs is not None:
        return total
    flat = ops.reshape(found, (len(x), -1))  # (B, D)
    for d in range(flat.shape[1]):
        (row,) = autograd.grad(ops.sum(flat[:, d]), x, create_graph=create_graph)  # row d of each Jacobian
        total = total + ops.reshape(row, (len(x), -1))[:, d]
    return total


def draw_signs(trace, x, *, rng=None, probes=1, name="divergence"):
    """The v of (N.7) for trace="hutchinson", (probes, *x.shape); None for trace="exact".

    Raises:   MinigenError for another `trace`, or an estimate without rng or probes.
    """
    if trace not in ("exact", "hutchinson") or (trace == "hutchinson" and rng is None):
        raise MinigenError(f"{name}: trace={trace!r}, rng={rng}; expected 'exact', or 'hutchinson' with an rng")
    if probes < 1:
        raise MinigenError(f"{name}: probes={probes}; expected at least 1")
    return None if trace == "exact" else rng.choice([-1.0, 1.0], size=(probes, *x.shape)).astype(x.dtype)


def transport(velocity, x, times, *, signs=None, method="RK45", rtol=1e-5, atol=1e-5, name="ode"):
    """Where points are carried, and ∫ ∇ · f dt along each one's way: by how much log(volume) has grown, (N.6).

    velocity:  (x (B, …) Tensor, t a number) → (B, …) Tensor
    x:         an array; the velocity sees its type, the sums are kept in float64
    Shapes:    x (B, …) → (B, …), (B,), float64
    Raises:    as `solve`.
    """

    def slope(state, t):
        here = Tensor(state[0].astype(x.dtype), requires_grad=True)
        with autograd.enable_grad():
            found = velocity(here, t)
            return found.data, divergence(found, here, signs=signs).data

    state = np.asarray(x, dtype=np.float64), np.zeros(len(x))
    return solve(slope, state, times, method=method, rtol=rtol, atol=atol, name=name)
