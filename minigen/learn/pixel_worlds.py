"""What lesson 06's exercises are tried on: small fixed networks, functions of pictures, a world of three pixels."""

import numpy as np

import minigen as mg
from minigen.learn.exercise import WrongForm


class Network:
    """A fixed network (B, D) → (B, D) with weights of both signs, so that slopes cancel in sums."""

    def __init__(self, seed, pixels, mask):
        rng = np.random.default_rng(seed)
        self.first, self.second = rng.normal(size=(2, pixels, pixels))
        self.mask = mask

    def __call__(self, x):
        return mg.sin(2 * (x @ (self.first * self.mask).T)) @ (self.second * self.mask).T

    def __eq__(self, other):
        return np.array_equal(self.first, other.first) and np.array_equal(self.mask, other.mask)

    def __repr__(self):
        return "a network of two masked layers"


def networks(rng):
    """Cases of exercise 06.2: a network without leaks, one with a leak, one that sees everything."""
    lower, leaky = np.tri(4, k=-1), np.tri(5)
    leaky[1, 4] = 1
    return [(Network(1, 4, lower), rng.normal(size=(6, 4))), (Network(2, 5, leaky), rng.normal(size=(7, 5))),
            (Network(3, 3, np.ones((3, 3))), rng.normal(size=(1, 3)))]  # fmt: skip


class Measure:
    """log of a positive function of pictures; for `scale` = 1 it sums to 1, otherwise it is no distribution."""

    def __init__(self, pixels, scale, seed):
        rng = np.random.default_rng(seed)
        self.p, self.scale = rng.uniform(0.2, 0.9, size=pixels), scale

    def __call__(self, x):
        x = np.asarray(getattr(x, "data", x))
        if x.ndim != 2 or x.shape[1] != len(self.p):
            raise ValueError(f"log_prob: pictures {x.shape}; expected (B, {len(self.p)})")
        return np.where(x == 1, np.log(self.p), np.log(1 - self.p)).sum(axis=1) + np.log(self.scale)

    def __eq__(self, other):
        return np.array_equal(self.p, other.p) and self.scale == other.scale

    def __repr__(self):
        return "a function of pictures"


class World:
    """Three pixels with P(x_d = 1 | those before) written down: what exercise 06.4 samples from."""

    def __call__(self, x, d):
        if np.shape(x)[1:] != (3,) or not 0 <= d < 3:
            raise WrongForm(f"You asked for pixel {d} of pictures {np.shape(x)}; there are 3 pixels, 0, 1 and 2, and "
                            "conditional wants pictures (n, 3).")
        x = np.asarray(x)
        if d == 0:
            return np.full(len(x), 0.7)
        if d == 1:
            return np.where(x[:, 0] == 1, 0.15, 0.8)
        return np.where(x[:, 0] == x[:, 1], 0.9, 0.35)

    def __eq__(self, other):
        return isinstance(other, World)

    def __repr__(self):
        return "a world of 3 pixels"
