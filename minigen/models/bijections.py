"""Bijections and flows: a simple density, bent into a complicated one.

Let z = f(x) be smooth and invertible, both of D numbers, and let z have a density p_Z that we know, the *base*. Then x
has a density too. Take a small cube of side h at x. f carries it to a small parallelepiped at z whose edges are h times
the columns of the Jacobian J = ∂z/∂x, (D, D), so its volume is |det J| h^D. The same points lie in both, so their
probabilities are equal, p_X(x) h^D = p_Z(z) |det J| h^D, and

    log p_X(x) = log p_Z(f(x)) + log |det ∂f/∂x|.                                                      (13.1)

The last term is the *log-determinant*: how much f stretches space at x. Without it, f could send all data to the one
point where p_Z is largest; stretching is what a density pays for being concentrated.

**A chain** of bijections x → h₁ → h₂ → … → z has the product of their Jacobians, and determinants multiply:

    log |det ∂z/∂x| = Σ_i log |det ∂h_i/∂h_{i−1}|.                                                     (13.2)

So a deep bijection is made of shallow ones, and each has to know only its own term. From f⁻¹(f(x)) = x the Jacobians of
f and f⁻¹ multiply to the identity, so the inverse's log-determinant is no new work:

    log |det ∂x/∂z| at z  =  −log |det ∂z/∂x| at x.                                                    (13.3)

**A flow** is a base and a bijection. Its samples are exact, one draw and one pass back,

    z ~ p_Z,   x = f⁻¹(z),   log p_X(x) = log p_Z(z) − log |det ∂x/∂z|,                                (13.4)

and its likelihood is exact by (13.1): no bound as for the VAE, no reading order as for MADE. The loss is −log p_X.
It may be seen from either end. If x follows the data's density p and z = f(x) the density q, then by (13.1) for both

    KL(p ‖ p_X) = E[log p(x) − log p_X(x)] = E[log q(z) − log p_Z(z)] = KL(q ‖ p_Z),                   (13.5)

because log |det J| stands in both logarithms: to fit the data is to make the carried data look like the base.

**What it costs.** A determinant of D × D takes D³ operations, and f must be invertible for any weights. Nearly all
flows get both from *triangular* Jacobians. If z_d depends on x_d, increasing in it, and else only on numbers that come
before it in some order, then J is triangular, its determinant the product of its diagonal, and

    log |det J| = Σ_d log ∂z_d/∂x_d.                                                                   (13.6)

So two things are needed: an increasing map of one number, with an inverse and a derivative (`Monotone`), whose shape is
set by a few numbers; and a network that computes those numbers for x_d from other x. The network is never inverted and
may be anything. How the others are chosen makes the families: couplings (realnvp.py), autoregressive flows (maf.py).

Sources: Tabak & Vanden-Eijnden 2010, Comm. Math. Sci. 8(1); Rezende & Mohamed 2015, arXiv:1505.05770; the survey
Papamakarios et al. 2019, arXiv:1912.02762, whose transformer and conditioner are our Monotone and network. Differs:
forward goes from data to base, as in (13.1); many texts write it the other way.
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.distributions import Normal
from minigen.errors import ShapeError
from minigen.nn.inputs import evaluating


class Bijection(nn.Module):
    """The protocol: an invertible map of examples, each on its own, that knows its log-determinant.

        z, log_det = bijection(x)              # towards the base;  log |det ∂z/∂x|
        x, log_det = bijection.inverse(z)      # back to the data;  log |det ∂x/∂z|, (13.3)

    Shapes:   x (B, …) → z (B, …), log_det (B,), all Tensors. Shapes of x and z may differ, but not their size.
    A bijection whose map depends on something else as well takes it as a second argument, `condition` (B, …); those
    that know of none ignore it, and may leave it out of their signature if they stand in no conditional chain.
    """

    def forward(self, x, condition=None):
        """x → (z, log |det ∂z/∂x|)."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def inverse(self, z, condition=None):
        """z → (x, log |det ∂x/∂z|)."""
        raise NotImplementedError(f"{type(self).__name__} does not define inverse")


class Chain(Bijection):
    """Bijections one after the other, (13.2): the first meets the data, the last the base."""

    def __init__(self, *bijections):
        self.steps = nn.ModuleList(bijections)

    def forward(self, x, condition=None):
        return self._pass([step.forward for step in self.steps], x, condition)

    def inverse(self, z, condition=None):
        return self._pass([step.inverse for step in reversed(list(self.steps))], z, condition)

    def _pass(self, maps, x, condition):
        total = zeros(x)
        for map in maps:
            x, log_det = map(x) if condition is None else map(x, condition)
            total = total + log_det
        return x, total


class Inverse(Bijection):
    """The bijection read backwards."""

    def __init__(self, bijection):
        self.bijection = bijection

    def forward(self, x, condition=None):
        return self.bijection.inverse(x) if condition is None else self.bijection.inverse(x, condition)

    def inverse(self, z, condition=None):
        return self.bijection(z) if condition is None else self.bijection(z, condition)


class Permutation(Bijection):
    """The numbers (or channels) of axis 1 in another order. It stretches nothing.

    order:    (D,): z[:, i] = x[:, order[i]]
    Raises:   ShapeError if `order` does not name each of D numbers once, or x has another number of them.
    """

    def __init__(self, order):
        self.order = np.asarray(order)
        if self.order.ndim != 1 or not np.array_equal(np.sort(self.order), np.arange(self.order.size)):
            raise ShapeError(f"Permutation: order is {order}; expected each of 0 … D − 1 once")
        self.back = np.argsort(self.order)

    def forward(self, x, condition=None):
        return self._taken(x, self.order), zeros(x)

    def inverse(self, z, condition=None):
        return self._taken(z, self.back), zeros(z)

    def _taken(self, x, order):
        if x.ndim < 2 or x.shape[1] != order.size:
            raise ShapeError(f"Permutation: x {tuple(x.shape)}; expected {order.size} numbers on axis 1")
        return ops.take(x, order, dim=1)


class Flip(Bijection):
    """The numbers (or channels) of axis 1 in reverse order."""

    def forward(self, x, condition=None):
        return ops.flip(x, (1,)), zeros(x)

    def inverse(self, z, condition=None):
        return ops.flip(z, (1,)), zeros(z)


class Reshape(Bijection):
    """The numbers of an example in another shape, such as (64,) → (1, 8, 8).

    Raises:   ShapeError if the shapes differ in size, or an example has another shape.
    """

    def __init__(self, before, after):
        self.before, self.after = tuple(before), tuple(after)
        if math.prod(self.before) != math.prod(self.after):
            raise ShapeError(f"Reshape: {self.before} and {self.after} differ in size")

    def forward(self, x, condition=None):
        return self._shaped(x, self.before, self.after), zeros(x)

    def inverse(self, z, condition=None):
        return self._shaped(z, self.after, self.before), zeros(z)

    def _shaped(self, x, before, after):
        if tuple(x.shape[1:]) != before:
            raise ShapeError(f"Reshape: examples {tuple(x.shape)}; expected (B, {', '.join(map(str, before))})")
        return ops.reshape(x, (len(x), *after))


class Monotone:
    """An increasing map of one number to one number, whose shape is set by `numbers` free real numbers.

    Couplings and autoregressive flows are made of them: a network computes the numbers, (13.6).

    Shapes:   x (B, D), numbers (B, D, P) → z (B, D), log dz/dx (B, D); the inverse the same
    """

    numbers = 0  # P

    def forward(self, x, numbers):
        """x → (z, log dz/dx), number by number."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def inverse(self, z, numbers):
        """z → (x, log dx/dz), number by number."""
        raise NotImplementedError(f"{type(self).__name__} does not define inverse")

    def identity(self):
        """The numbers that make it the identity, (P,): what a fresh network says."""
        return np.zeros(self.numbers, dtype=np.float32)


class Flow(nn.Module):
    """A density: a base distribution seen through a bijection, (13.1) and (13.4).

        flow = Flow(Chain(…), standard_normal(2))
        flow.loss(x)                     # (B,): −log p(x) in nats
        flow.sample(100, rng=rng)        # (100, 2)

    base:     a distribution of `minigen.distributions` whose batch_shape is the shape of one example's z; or anything
              with log_prob(z) → (B,) or one number per element, and sample(n, rng=)
    Raises:   ShapeError if z does not have the base's shape.
    """

    def __init__(self, bijection, base):
        self.bijection, self.base = bijection, base

    def forward(self, x, condition=None):
        """x (B, …) → (z, log |det ∂z/∂x|): the bijection's."""
        return self._apply(self.bijection, self._ready(x), condition)

    def log_prob(self, x, condition=None):
        """log p(x) by (13.1), (B,), in nats, relative to the units of x."""
        z, log_det = self(x, condition)
        return self._base_log_prob(z) + log_det

    def loss(self, x, condition=None):
        """−log p(x), what training makes small: (B,), in nats."""
        return -self.log_prob(x, condition)

    def rsample(self, n, *, rng, condition=None):
        """n draws and their log p(x), (13.4), differentiable in the weights.   Shapes: → x (n, …), (n,)"""
        z = self._ready(self.base.sample(n, rng=rng))
        x, log_det = self._apply(self.bijection.inverse, z, condition)
        return x, self._base_log_prob(z) - log_det

    @no_grad()
    def sample(self, n, *, rng, condition=None, temperature=1.0):
        """n draws, (n, …), an array; without dropout, so that they follow what log_prob says in evaluation.

        temperature: the base's draws are multiplied by it. Below 1 they keep to the middle of a base about 0, which
                     makes them cleaner and less varied: they no longer follow log_prob.
        """
        with evaluating(self):
            return self.decode(temperature * self.base.sample(n, rng=rng), condition)

    @no_grad()
    def encode(self, x, condition=None):
        """z = f(x), an array.   Shapes: (B, …) → (B, …)"""
        return self(x, condition)[0].data

    @no_grad()
    def decode(self, z, condition=None):
        """x = f⁻¹(z), an array: where given points of the base come from.   Shapes: (B, …) → (B, …)"""
        return self._apply(self.bijection.inverse, self._ready(z), condition)[0].data

    def _apply(self, map, x, condition):
        return map(x) if condition is None else map(x, self._ready(condition))

    def _base_log_prob(self, z):
        shape = getattr(self.base, "batch_shape", None)
        if shape is not None and tuple(z.shape[1:]) != tuple(shape):
            raise ShapeError(f"Flow: z {tuple(z.shape)} for a base of shape {tuple(shape)}; expected (B, *base)")
        return each_sum(self.base.log_prob(z))

    def _ready(self, x):
        """x as a Tensor in the type of the weights (float32 if there are none)."""
        if isinstance(x, Tensor):
            return x
        weight = next(self.parameters(), None)
        return Tensor(x, dtype=np.float32 if weight is None else weight.dtype)


def standard_normal(*shape):
    """N(0, I) for examples of this shape: the usual base."""
    return Normal(np.zeros(shape), np.ones(shape))


def each_sum(x):
    """The sum over all that belongs to one example.   Shapes: (B, …) → (B,)"""
    return ops.sum(x, dim=tuple(range(1, x.ndim))) if x.ndim > 1 else x


def zeros(x):
    """The log-determinant of a map that stretches nothing.   Shapes: x (B, …) → (B,)"""
    return Tensor(np.zeros(len(x), dtype=x.dtype))
