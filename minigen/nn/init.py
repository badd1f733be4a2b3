"""Initialisers: how large should fresh weights be?

A layer that adds up n products of weights and inputs multiplies the variance by n · Var(w). To keep the size of signals
(and of gradients, where n counts outputs) the same from layer to layer, Var(w) must be about 1/n (Glorot), or 2/n when
a relu then throws half of it away (He). Every function returns a new float32 array; randomness comes from `rng`.
"""

import math

import numpy as np

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0)}


def calculate_gain(nonlinearity, param=None):
    """The factor on the standard deviation that makes up for a nonlinearity (PyTorch's table)."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"calculate_gain: {nonlinearity!r}; expected one of {sorted([*_GAINS, 'leaky_relu'])}")
    return _GAINS[nonlinearity]


def fans(shape):
    """(inputs per output, outputs per input) of a weight: (out, in) or (out, in, kh, kw)."""
    if len(shape) < 2:
        raise ValueError(f"fans: a weight has at least two axes, got shape {shape}")
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def uniform(shape, low, high, *, rng):
    """U(low, high)."""
    return rng.uniform(low, high, shape).astype(np.float32)


def normal(shape, mean=0.0, std=1.0, *, rng):
    """N(mean, std²)."""
    return (mean + std * rng.standard_normal(shape)).astype(np.float32)


def xavier_uniform(shape, gain=1.0, *, rng):
    """U(−a, a), a = gain √(6 / (in + out)).  Source: Glorot & Bengio 2010."""
    bound = gain * math.sqrt(6.0 / sum(fans(shape)))
    return uniform(shape, -bound, bound, rng=rng)


def xavier_normal(shape, gain=1.0, *, rng):
    """N(0, gain² · 2 / (in + out)).  Source: Glorot & Bengio 2010."""
    return normal(shape, 0.0, gain * math.sqrt(2.0 / sum(fans(shape))), rng=rng)


def kaiming_uniform(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu", *, rng):
    """U(−b, b), b = gain √(3 / fan).  Source: He et al. 2015, arXiv:1502.01852.

    PyTorch's default for Linear and convolutions is a = √5, which makes b = 1/√in.
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan(shape, mode))
    return uniform(shape, -bound, bound, rng=rng)


def kaiming_normal(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu", *, rng):
    """N(0, gain² / fan).  Source: He et al. 2015, arXiv:1502.01852."""
    return normal(shape, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(shape, mode)), rng=rng)


def orthogonal(shape, gain=1.0, *, rng):
    """Rows (or columns, whichever are fewer) orthonormal, times gain.  Source: Saxe et al. 2013, arXiv:1312.6120."""
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # without this q would not be uniform over the orthogonal matrices
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(np.float32)


def _fan(shape, mode):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"initialiser: mode={mode!r}; expected 'fan_in' or 'fan_out'")
    return fans(shape)[mode == "fan_out"]
