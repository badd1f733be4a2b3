"""Kullback–Leibler divergences, KL(p ‖ q) = E_p[log p(X) − log q(X)], in nats.

KL is the price, in nats per symbol, of coding what p produces with a code built for q. It is ≥ 0, it is 0 only if
p = q, and it is not symmetric. Pairs of families with a closed form stand in a table; `register_kl` adds one.
"""

import numpy as np

from minigen.distributions.base import Distribution, operands, plain
from minigen.distributions.continuous import Laplace, Normal, Uniform
from minigen.distributions.discrete import Bernoulli, Categorical
from minigen.errors import ShapeError
from minigen.ops.elementwise import abs, exp, expm1, log, sigmoid, softplus, where
from minigen.ops.reduce import log_softmax, softmax, sum

_CLOSED_FORMS = {}  # (type of p, type of q) → function


def register_kl(type_p, type_q):
    """Decorator: the function computes kl_divergence(p, q) for p of type_p and q of type_q (or of subclasses)."""

    def register(function):
        _CLOSED_FORMS[type_p, type_q] = function
        return function

    return register


def kl_divergence(p, q):
    """KL(p ‖ q) in nats, elementwise over the broadcast batch shapes of p and q: nothing is summed.

    Equation: E_p[log p(X) − log q(X)], in closed form.
    Raises:   NotImplementedError if no closed form is known for the two types; ShapeError if shapes do not broadcast.
    """
    for x in (p, q):
        if not isinstance(x, Distribution):
            raise TypeError(f"kl_divergence: expected two distributions, got {type(p).__name__} and {type(q).__name__}")
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in _CLOSED_FORMS:
                return _compute(_CLOSED_FORMS[a, b], p, q)
    raise NotImplementedError(
        f"kl_divergence: no closed form is registered for {p._name} ‖ {q._name}; estimate it as the mean of "
        "p.log_prob(x) − q.log_prob(x) over samples x of p, or add one with register_kl"
    )


def _compute(function, p, q):
    try:
        np.broadcast_shapes(p.batch_shape, q.batch_shape)
    except ValueError:
        raise ShapeError(f"kl_divergence: shapes {p.batch_shape} and {q.batch_shape} do not broadcast") from None
    return function(p, q)


@register_kl(Normal, Normal)
def _normal(p, q):
    """½ [(σ_p/σ_q)² + ((μ_p − μ_q)/σ_q)² − 1] − log(σ_p/σ_q)"""
    loc_p, scale_p, loc_q, scale_q = operands(p.loc, p.scale, q.loc, q.scale)
    ratio, shift = scale_p / scale_q, (loc_p - loc_q) / scale_q
    return 0.5 * (ratio * ratio + shift * shift - 1.0) - log(ratio)


@register_kl(Laplace, Laplace)
def _laplace(p, q):
    """log(b_q/b_p) + |Δ|/b_q + (b_p/b_q) e^(−|Δ|/b_p) − 1,  Δ = μ_p − μ_q"""
    loc_p, scale_p, loc_q, scale_q = operands(p.loc, p.scale, q.loc, q.scale)
    ratio, distance = scale_p / scale_q, abs(loc_p - loc_q)
    return distance / scale_q + ratio * exp(-distance / scale_p) - 1.0 - log(ratio)


@register_kl(Uniform, Uniform)
def _uniform(p, q):
    """log of the ratio of lengths if p's interval lies in q's, else ∞"""
    low_p, high_p, low_q, high_q = operands(p.low, p.high, q.low, q.high)
    inside = (plain(low_p) >= plain(low_q)) & (plain(high_p) <= plain(high_q))
    return where(inside, log((high_q - low_q) / (high_p - low_p)), np.inf)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p, q):
    """σ(l_p) [log σ(l_p) − log σ(l_q)] + the same at −l: the terms of the two outcomes"""
    of_p, of_q = operands(p.logits, q.logits)
    ones = sigmoid(of_p) * (softplus(-of_q) - softplus(-of_p))
    return ones + sigmoid(-of_p) * (softplus(of_q) - softplus(of_p))


@register_kl(Categorical, Categorical)
def _categorical(p, q):
    """Σ_v p(v) [log p(v) − log q(v)] over the classes that p allows; ∞ if q forbids one of them"""
    if p.classes != q.classes:
        raise ShapeError(f"kl_divergence: Categoricals over {p.classes} and {q.classes} classes")
    of_p, of_q = operands(p.logits, q.logits)
    possible = np.isfinite(plain(of_p))
    log_p = where(possible, log_softmax(of_p, dim=-1), 0.0)
    log_q = where(possible, log_softmax(of_q, dim=-1), 0.0)
    return sum(softmax(of_p, dim=-1) * (log_p - log_q), dim=-1)


def kl_standard_normal(mean, log_var):
    """KL(N(mean, e^log_var) ‖ N(0, I)) in nats, summed over the last axis.

    Equation: ½ Σ_j (μ_j² + σ_j² − 1 − log σ_j²)                                        [lesson 05, eq. 5.7]
    Shapes:   mean, log_var (B, L) → (B,)
    Source:   Kingma & Welling 2013, arXiv:1312.6114, appendix B.  Differs: nothing.
    Raises:   ShapeError if the two shapes differ or have no axis.
    """
    mean, log_var = operands(mean, log_var)
    if mean.shape != log_var.shape or not mean.shape:
        raise ShapeError(
            f"kl_standard_normal: mean {mean.shape} and log_var {log_var.shape}; expected the same shape (…, L)"
        )
    return 0.5 * sum(mean * mean + (expm1(log_var) - log_var), dim=-1)  # expm1: no loss of digits near σ = 1
