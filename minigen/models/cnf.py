"""Continuous normalising flows: a bijection made of infinitely many layers, each of which does almost nothing.

Let a point move with a velocity that a network gives, from the data at t = 0 to the base at t = 1:

    dx/dt = f(x, t),      x(0) = x,      z = x(1).                                                     (13.40)

Paths of such an equation never meet (f is smooth: through each point of space and time goes one path). So x → z is a
bijection whatever the network says, and its inverse is the same equation run backwards. No layer has to be triangular.

**The density.** Over a short time h the map is x + h f(x, t), with the Jacobian I + h ∂f/∂x. Its determinant is
1 + h tr ∂f/∂x up to h², (N.6), and log(1 + h tr) = h tr up to h². So by (13.1) the moving point's density changes by

    d/dt log p_t(x(t)) = −tr ∂f/∂x,                                                                    (13.41)

and all layers together, (13.2), give

    log p(x) = log p_Z(x(1)) + ∫₀¹ tr ∂f/∂x dt.                                                        (13.42)

The determinant of a discrete flow costs D³ unless it is triangular; here it has become a trace, D backward passes. Or
one: with one v of random signs kept for the whole way, vᵀ (∂f/∂x) v stands for the trace, (N.7). x(t) does not depend
on v, so the integral of its mean is the mean of the integral: the estimate of log p(x) has no bias.   (13.43)

**Its gradient.** One way is to make n steps with Tensors and go back through all of them. It needs the memory of n
networks. The *adjoint* method needs that of one. Let L be the loss, ℓ(t) the integral of (13.42) up to t, and

    a(t) = ∂L/∂x(t),      b(t) = ∂L/∂ℓ(t),

which are known at t = 1. A step is x(t + h) = x + h f, ℓ(t + h) = ℓ + h tr ∂f/∂x. By the chain rule

    a(t) = a(t+h) + h ∇_x [a(t+h) · f + b tr ∂f/∂x],      b(t) = b(t+h),

and the step adds h ∇_θ [ … ] of the same bracket to ∂L/∂θ. With h → 0, and S = a · f + b tr ∂f/∂x,

    da/dt = −∇_x S,      db/dt = 0,      ∂L/∂θ = ∫₀¹ ∇_θ S dt.                                         (13.44)

So solve (13.40), forget the way, and solve (13.40) and (13.44) together from t = 1 back to 0. Nothing is kept: x(t) is
found again on the way back. Any solver will do, also one that chooses its steps. The price is twice as many calls of
the network (about 1.4 times the arithmetic, backward passes included), and that the two gradients agree as well as the
steps are exact: n steps of order p, an error of n^−p.

What a continuous flow cannot do is tear: it keeps neighbours together, so between two separate modes a bridge of small
density remains, and a network that makes it thin has to be steep.

Sources: Chen, Rubanova, Bettencourt & Duvenaud 2018, arXiv:1806.07366 ((13.41), the adjoint method); Grathwohl et al.
2018, arXiv:1810.01367 ((13.43)). Differs: the reverse pass of a fixed-step solver has the same steps.
"""

import numpy as np

from minigen import autograd, ops
from minigen.autograd import Tensor
from minigen.autograd.primitive import Op
from minigen.errors import GraphError, MinigenError, ShapeError
from minigen.models.bijections import Bijection
from minigen.nn.inputs import floating
from minigen.nn.ode import ADAPTIVE, METHODS, divergence, draw_signs, solve, transport


class CNF(Bijection):
    """The bijection (13.40) and its log-determinant (13.42); `Flow` makes a density of it.

        flow = Flow(CNF(PointNet(2, 2, rng=rng)), standard_normal(2))
        flow.loss(x)                                 # (B,)

    network:    (x (B, …), time (B,)) → (B, …), each example on its own (no batch normalisation) and smooth (no ReLU),
                since training needs second derivatives; a condition comes as its third argument
    trace:      "exact", D backward passes a call, or "hutchinson", `probes` of them, (13.43)
    adjoint:    False: gradients go through the recorded steps; True: by (13.44), at the memory of one step
    method:     of `nn.ode.solve`: "rk4", "heun", …, in `steps` even steps; or "RK45", …, that chooses its own for the
                tolerances rtol and atol, with gradients by the adjoint only
    time_scale: what the time is multiplied with before the network is told it; small, for the velocity must be smooth
                in time, too
    rng:        for trace="hutchinson"
    """

    def __init__(self, network, *, trace="exact", probes=1, adjoint=False, method="rk4", steps=20, rtol=1e-5, atol=1e-5,
                 time_scale=10.0, rng=None):
        if method not in (*METHODS, *ADAPTIVE):
            raise MinigenError(f"CNF: method is {method!r}; expected one of {', '.join((*METHODS, *ADAPTIVE))}")
        draw_signs(trace, np.zeros(0), rng=rng, probes=probes, name="CNF")  # complains of what makes no sense
        self.network, self.trace, self.probes, self.adjoint = network, trace, probes, adjoint
        self.method, self.steps, self.rtol, self.atol = method, steps, rtol, atol
        self.time_scale, self.rng = time_scale, rng

    def forward(self, x, condition=None):
        return self._carried(x, 0.0, 1.0, condition)

    def inverse(self, z, condition=None):
        return self._carried(z, 1.0, 0.0, condition)

    def velocity(self, x, t, condition=None):
        """f(x, t), a Tensor with its graph.   Shapes: x (B, …) a Tensor, t a number → (B, …)"""
        time = np.full(len(x), t * self.time_scale, dtype=x.dtype)
        found = self.network(x, time) if condition is None else self.network(x, time, condition)
        if found.shape != x.shape:
            raise ShapeError(f"CNF: the network returned {found.shape} for x {x.shape}; expected equal shapes")
        return found

    def path(self, x, times, condition=None):
        """Where points are at rising or falling times, an array.   Shapes: (B, …) → (times, B, …)"""
        with autograd.no_grad():
            return solve(lambda state, t: (self.velocity(Tensor(state[0]), t, condition).data,), (floating(x),), times,
                         method=self.method, rtol=self.rtol, atol=self.atol, keep=True, name="CNF")[0]

    def _carried(self, x, start, end, condition):
        if not isinstance(x, Tensor) or not np.issubdtype(x.dtype, np.floating):
            x = Tensor(floating(x))
        signs = draw_signs(self.trace, x, rng=self.rng, probes=self.probes, name="CNF")
        way = _Way(lambda x, t: self.velocity(x, t, condition), np.linspace(start, end, self.steps + 1), signs,
                   {"method": self.method, "rtol": self.rtol, "atol": self.atol, "name": "CNF"})
        if not autograd.is_grad_enabled():
            return tuple(Tensor(part.astype(x.dtype)) for part in way.there(x.data))
        if self.adjoint:
            if isinstance(condition, Tensor) and condition.requires_grad:
                raise GraphError("CNF: the adjoint method has no gradient for a condition; expected adjoint=False")
            way.weights = tuple(self.network.parameters())
            both = _carry(x, *way.weights, way=way)
            return ops.reshape(both[:, :-1], x.shape), both[:, -1]
        if self.method in ADAPTIVE:
            raise GraphError(f"CNF: {self.method} records nothing to differentiate; expected adjoint=True, or a method "
                             f"of {', '.join(METHODS)}")
        return way.recorded(x)


class _Way:
    """One journey: a velocity, the times, the signs of (N.7), the solver; and where it ended."""

    def __init__(self, velocity, times, signs, solver):
        self.velocity, self.times, self.signs, self.solver = velocity, times, signs, solver
        self.weights, self.end = (), None

    def there(self, x):
        """The end and the log-determinant, nothing recorded.   Shapes: (B, …) → (B, …), (B,), arrays"""
        return transport(self.velocity, x, self.times, signs=self.signs, **self.solver)

    def recorded(self, x):
        """The same with Tensors, all steps recorded."""
        if not x.requires_grad:
            x = Tensor(x.data, requires_grad=True)

        def slope(state, t):
            found = self.velocity(state[0], t)
            return found, divergence(found, state[0], signs=self.signs, create_graph=True)

        return solve(slope, (x, Tensor(np.zeros(len(x), dtype=x.dtype))), self.times, **self.solver)

    def back(self, a, b):
        """(13.40) and (13.44) from the end to the start: a there, and ∂L/∂θ for each weight.

        Shapes:   ∂L/∂z (B, …), ∂L/∂ℓ (B,) → (B, …), and the weights' shapes
        """

        def slope(state, t):
            here = Tensor(state[0], requires_grad=True)
            with autograd.enable_grad():
                found = self.velocity(here, t)
                total = ops.sum(found * state[1])  # S of (13.44)
                if b.any():
                    total = total + ops.sum(divergence(found, here, signs=self.signs, create_graph=True) * b)
                found_slopes = autograd.grad(total, [here, *self.weights], allow_unused=True)
            slopes = [np.zeros_like(of.data) if slope is None else -slope.data
                      for of, slope in zip([here, *self.weights], found_slopes, strict=True)]  # fmt: skip
            return found.data, *slopes

        state = (self.end, a, *[np.zeros_like(weight.data) for weight in self.weights])
        return solve(slope, state, self.times[::-1], **self.solver)[1:]


def _forward(*inputs, way):
    """z and the log-determinant side by side, (B, D + 1). The inputs after x are the weights, for the engine."""
    x = inputs[0]
    end, grown = way.there(x)
    way.end = end.astype(x.dtype)
    return np.concatenate([end.reshape(len(x), -1), grown[:, None]], axis=1).astype(x.dtype)


def _pull_back(g, inputs, way):
    """All gradients at once."""
    if isinstance(g, Tensor):
        raise GraphError("CNF: the adjoint method has first derivatives only; expected adjoint=False for the second")
    return way.back(g[:, :-1].reshape(way.end.shape), g[:, -1])


# An operation of the engine like any other, but not in its table of gradient checks: it needs a network. Its gradients
# are checked in tests/models/test_cnf.py.
_carry = Op(_forward, {"inputs": _pull_back}).as_function()
