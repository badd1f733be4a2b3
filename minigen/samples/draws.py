"""Random arrays of the kinds that samples need."""

import numpy as np


class Draws:
    """Arrays in float64 from one generator."""

    def __init__(self, rng):
        self.rng = rng

    def normal(self, *shape):
        """Standard normal numbers."""
        return self.rng.normal(size=shape)

    def between(self, low, high, *shape):
        """Uniform numbers in an interval."""
        return self.rng.uniform(low, high, size=shape)

    def apart(self, *shape):
        """Numbers of both signs, no two of the same size and none near 0: away from kinks and ties."""
        count = int(np.prod(shape))
        sizes = (self.rng.permutation(count) + 1.0) * (2.0 / max(count, 8))
        return (sizes * self.rng.choice((-1.0, 1.0), size=count)).reshape(shape)

    def regular(self, *shape):
        """Square matrices that are far from singular."""
        return self.rng.normal(size=shape) + 1.5 * shape[-1] * np.eye(shape[-1])

    def positive_definite(self, *shape):
        """Symmetric matrices with eigenvalues of at least 1."""
        a = self.rng.normal(size=shape)
        return a @ a.swapaxes(-1, -2) + np.eye(shape[-1])

    def whole(self, high, *shape):
        """Whole numbers below `high`."""
        return self.rng.integers(high, size=shape)

    def mask(self, *shape):
        """A boolean array with both values in it."""
        mask = self.rng.random(shape) < 0.6
        mask.flat[0], mask.flat[-1] = True, False
        return mask


def call(*arrays, **settings):
    """One call: its input arrays and its settings."""
    return arrays, settings
