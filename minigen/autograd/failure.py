"""Failure: what is known about a gradient that a check found wrong, and the means to measure more."""

import numpy as np

CLOSE = 1e-5  # two gradients are "the same" within this part of the largest element


class Failure:
    """What is known about a failed check. Elements that were not differenced are NaN in `numeric`."""

    def __init__(self, subject, x, analytic, numeric, step):
        self.subject, self.x, self.step = subject, x, step
        self.known = ~np.isnan(numeric)
        self.complete = bool(self.known.all())
        self.a, self.n = analytic, np.where(self.known, numeric, analytic)
        self.size = max(np.abs(self.n).max(initial=0.0), np.abs(self.a).max(initial=0.0), 1e-300)
        self.wrong = np.abs(self.a - self.n) > CLOSE * self.size
        self.worst = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(self.a - self.n)), self.n.shape))
        self.zero = np.abs(self.n) <= CLOSE * self.size

    def numeric(self):
        """The numeric gradient once more, for a changed function."""
        n = np.empty(self.x.shape)
        for place in np.ndindex(self.x.shape):
            n[place] = self.slope(place)
        return n

    def slope(self, place):
        """The numeric derivative of ⟨v, f⟩ for one element of x."""
        return sum(float(s.sum()) for s in self.slopes(place))

    def slopes(self, place):
        """The same, for each element of each output."""
        one = np.zeros(self.x.shape)
        one[place] = 1.0
        return self.subject.slopes(self.x, one, self.step)

    def same(self, p, q):
        """Whether two arrays agree, as far as differences can tell."""
        return p.shape == q.shape and bool((np.abs(p - q) <= CLOSE * self.size).all())

    def telling(self, p):
        """Whether p has at least two different elements, so that an agreement with it is no accident."""
        return p.size > 1 and np.ptp(p) > 100 * CLOSE * self.size
