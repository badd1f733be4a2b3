"""Points in the plane whose density is known exactly, so that a model's error is a number, not a feeling.

Every distribution here has `sample(n, *, rng)`, `log_prob(x)` in nats and `entropy()` in nats. The entropy is
the floor: the average −log q(x) of any model q on samples of p is

    E_p[−log q(x)] = H(p) + KL(p ‖ q) ≥ H(p),                                                          (1)

so what a model scores above H is its KL divergence from the truth. Three kinds of density cover the usual
pictures:

1. `GaussianMixture` (ring, grid). Its weights, means and sigma are public, and stay a mixture when noised,
   which makes it the oracle for diffusion: see `diffused` and `score`.
2. `NoisyCurve` (moons, swiss roll, spirals): a point of a curve c(t), t ~ p(t), plus Gaussian noise. Its
   density is one integral along the curve, done by Gauss–Legendre quadrature:

       p(x) = ∫ p(t) N(x; c(t), σ²I) dt.                                                               (2)

3. `Checkerboard`: uniform on eight squares.

Entropies without a closed form are integrals over the plane by the trapezoid rule, whose error falls
exponentially in the number of points for smooth functions that vanish at the edge; each method states its
accuracy.
"""

import math

import numpy as np

from minigen.errors import DataError, ShapeError

LOG_2PI = math.log(2 * math.pi)


class GaussianMixture:
    """A mixture of round Gaussians that share one sigma: Σ_k w_k N(x; μ_k, σ²I).

    Shapes:   means (K, 2), weights (K,), normalised to sum to one (equal by default)
    """

    def __init__(self, means, sigma, weights=None):
        self.means = np.asarray(means, dtype=np.float64)
        if self.means.ndim != 2 or self.means.shape[1] != 2:
            raise ShapeError(f"GaussianMixture: means have shape {self.means.shape}; expected (K, 2)")
        count = len(self.means)
        self.weights = np.full(count, 1 / count) if weights is None else np.asarray(weights, dtype=np.float64)
        if self.weights.shape != (count,):
            raise ShapeError(f"GaussianMixture: weights have shape {self.weights.shape}; expected ({count},)")
        if not (np.all(self.weights > 0) and sigma > 0):
            raise DataError(f"GaussianMixture: weights and sigma must be positive; sigma is {sigma}")
        self.weights = self.weights / self.weights.sum()
        self.sigma = float(sigma)

    def sample(self, n, *, rng):
        """n points, float64.   Shapes: → (n, 2)"""
        component = rng.choice(len(self.means), size=n, p=self.weights)
        return self.means[component] + self.sigma * rng.standard_normal((n, 2))

    def log_components(self, x):
        """log w_k N(x; μ_k, σ²I), the joint log density with component k, in nats.

        Shapes:   x (B, 2) → (B, K)
        """
        x = _points("GaussianMixture", x)
        squares = ((x[:, None, :] - self.means) ** 2).sum(-1)                                        # (B, K)
        return np.log(self.weights) - LOG_2PI - 2 * math.log(self.sigma) - squares / (2 * self.sigma**2)

    def log_prob(self, x):
        """Exact log density, in nats.   Shapes: x (B, 2) → (B,)"""
        return _logsumexp(self.log_components(x))

    def score(self, x):
        """∇_x log p(x) = Σ_k p(k given x) (μ_k − x) / σ².   Shapes: x (B, 2) → (B, 2)"""
        joint = self.log_components(x)
        posterior = np.exp(joint - _logsumexp(joint)[:, None])                                       # (B, K)
        return (posterior @ self.means - np.asarray(x, dtype=np.float64)) / self.sigma**2

    def diffused(self, scale, noise):
        """The law of scale · x + noise · ε, ε ~ N(0, I): again such a mixture, exact.

        Equation: means scale · μ_k, variance scale² σ² + noise².
        The Bayes-optimal noise prediction at a noised point y is −noise · diffused(scale, noise).score(y).
        """
        return GaussianMixture(scale * self.means, math.hypot(scale * self.sigma, noise), self.weights)

    def entropy(self, *, step=0.1):
        """−∫ p log p, in nats, to about 1e-9.

        Σ_k w_k E[−log p(μ_k + σz)] with z ~ N(0, I), by the trapezoid rule on a grid of `step` sigmas out to
        8.5. Well-separated components give the closed form log K + 1 + log 2πσ².
        """
        ticks = step * np.arange(-round(8.5 / step), round(8.5 / step) + 1)
        z = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
        mass = np.exp(-0.5 * (z**2).sum(-1))
        mass /= mass.sum()
        return float(sum(-weight * (mass @ _by_chunks(self.log_prob, mean + self.sigma * z))
                         for weight, mean in zip(self.weights, self.means, strict=True)))


class NoisyCurve:
    """A random point of a curve plus N(0, σ²I): equation (2).

    The curve is given as arms: functions from t (T,) to points (T, 2), each equally likely, with t =
    `quantile`(u), u uniform on [0, 1]. The curve must be smooth in t, and the quantile in √u.
    """

    def __init__(self, arms, quantile, sigma):
        if not sigma >= 0:
            raise DataError(f"NoisyCurve: sigma is {sigma}; expected a number that is not negative")
        self.arms, self.quantile, self.sigma = tuple(arms), quantile, float(sigma)
        self._nodes = self._weights = self._entropy = None

    def sample(self, n, *, rng, with_arm=False):
        """n points, float64; with_arm also gives each point's arm (0, 1, …), for the moons their class.

        Shapes:   → (n, 2), or (n, 2), (n,)
        """
        arm = rng.integers(len(self.arms), size=n)
        t = self.quantile(rng.random(n))
        points = np.empty((n, 2))
        for index, curve in enumerate(self.arms):
            points[arm == index] = curve(t[arm == index])
        points += self.sigma * rng.standard_normal((n, 2))
        return (points, arm) if with_arm else points

    def log_prob(self, x):
        """Log density by quadrature along the curve, in nats, to about 1e-8 within 8σ of the curve.

        Shapes:   x (B, 2) → (B,)
        Raises:   DataError if sigma is zero: points on a curve have no density in the plane.
        """
        x = _points("NoisyCurve", x)
        nodes, weights = self._quadrature()
        log_weights = np.log(weights) - LOG_2PI - 2 * math.log(self.sigma)

        def chunk(part):
            # |x − c|² in full: the expansion x² − 2xc + c² would lose digits for small σ.
            squares = (part[:, :1] - nodes[:, 0]) ** 2 + (part[:, 1:] - nodes[:, 1]) ** 2            # (B, T)
            return _logsumexp(log_weights - squares / (2 * self.sigma**2))

        return _by_chunks(chunk, x, rows=max(1, 2_000_000 // len(nodes)))

    def entropy(self):
        """−∫ p log p over the plane, in nats, to about 1e-8: trapezoid rule, step σ/3, out to 8σ.

        The work grows as 1/σ²: a quarter of a second for the moons at σ = 0.05. It is done once and kept.

        Raises:   DataError if sigma is zero.
        """
        if self._entropy is None:
            self._entropy = self._integrate(self.sigma / 3)[1]
        return self._entropy

    def _integrate(self, step):
        """(∫ p, −∫ p log p) on a grid of the given step, kept to cells near the curve."""
        nodes, _ = self._quadrature()
        reach = math.ceil(8 * self.sigma / step)
        low = np.floor(nodes.min(0) / step).astype(int) - reach
        high = np.ceil(nodes.max(0) / step).astype(int) + reach
        near = np.zeros(high - low + 1, dtype=bool)
        offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
        offsets = offsets[(offsets**2).sum(1) <= reach**2]
        cells = np.unique(np.round(nodes / step).astype(int) - low, axis=0)
        for row, column in cells:
            near[tuple((offsets + (row, column)).clip(0, high - low).T)] = True
        log_density = self.log_prob((np.argwhere(near) + low) * step)
        density = np.exp(log_density)
        return step**2 * density.sum(), float(-(step**2) * (density @ log_density))

    def _quadrature(self):
        """Nodes on the curve (T, 2) and their probabilities (T,): ten per panel of length at most 2σ."""
        if self.sigma == 0:
            raise DataError("NoisyCurve: sigma is 0: points on a curve have no density in the plane")
        if self._nodes is None:
            # In s with u = s²: a quantile that starts like √u, as the spirals' does, is smooth in s.
            ends = np.linspace(0, 1, 4097)
            root, root_weight = np.polynomial.legendre.leggauss(10)
            nodes, weights = [], []
            for curve in self.arms:
                steps = np.diff(curve(self.quantile(ends**2)), axis=0)
                walked = np.concatenate([[0], np.cumsum(np.linalg.norm(steps, axis=1))])
                panels = math.ceil(walked[-1] / (2 * self.sigma))
                # Panels of equal length along the curve, as intervals of s.
                edges = np.interp(np.linspace(0, walked[-1], panels + 1), walked, ends)
                half = np.diff(edges)[:, None] / 2                                       # (panels, 1)
                s = (edges[:-1, None] + half + half * root).ravel()                      # (T,)
                nodes.append(curve(self.quantile(s**2)))
                weights.append(2 * s * (half * root_weight).ravel() / len(self.arms))    # du = 2s ds
            self._nodes, self._weights = np.concatenate(nodes), np.concatenate(weights)
        return self._nodes, self._weights


class Checkerboard:
    """Uniform on the eight squares of side `side` of a 4 × 4 board centred on 0 where row + column is
even."""

    def __init__(self, side=2.0):
        self.side = float(side)

    def sample(self, n, *, rng):
        """n points, float64.   Shapes: → (n, 2)"""
        row = rng.integers(4, size=n)
        column = 2 * rng.integers(2, size=n) + row % 2
        return self.side * (np.stack([column, row], -1) - 2 + rng.random((n, 2)))

    def log_prob(self, x):
        """−log(8 side²) on the squares, −∞ elsewhere, in nats.   Shapes: x (B, 2) → (B,)"""
        cell = np.floor(_points("Checkerboard", x) / self.side) + 2
        inside = ((cell >= 0) & (cell < 4)).all(-1) & (cell.sum(-1) % 2 == 0)
        return np.where(inside, -math.log(8 * self.side**2), -np.inf)

    def entropy(self):
        """log(8 side²), in nats, exact."""
        return math.log(8 * self.side**2)


def ring(modes=8, radius=1.0, sigma=0.01):
    """Equal Gaussians evenly spaced on a circle, the first at angle 0.   Source: VEEGAN, arXiv:1705.07761."""
    angle = 2 * math.pi * np.arange(modes) / modes
    return GaussianMixture(radius * np.stack([np.cos(angle), np.sin(angle)], -1), sigma)


def grid(side=5, spacing=2.0, sigma=0.05):
    """side² equal Gaussians on a square grid about 0: {−4, −2, 0, 2, 4}².

    Source:   VEEGAN, arXiv:1705.07761.
    """
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    return GaussianMixture(np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2), sigma)


def moons(sigma=0.05):
    """Two interleaving half circles of radius 1 plus noise.

    Source:   scikit-learn's make_moons.  Differs: angles are drawn uniformly instead of evenly spaced, and
              each point picks its moon at random, so that points are independent draws of one density.
    """
    def upper(t):
        return np.stack([np.cos(t), np.sin(t)], -1)

    def lower(t):
        return np.stack([1 - np.cos(t), 0.5 - np.sin(t)], -1)

    return NoisyCurve([upper, lower], lambda u: math.pi * u, sigma)


def swiss_roll(sigma=0.05, scale=0.1):
    """The plane section of the Swiss roll: scale · t (cos t, sin t) plus noise, t uniform on [1.5π, 4.5π].

    Source:   scikit-learn's make_swiss_roll, without its second coordinate.  Differs: scale, so that the
              radius runs from 0.47 to 1.41 and sigma is in these units.
    """
    def roll(t):
        return scale * t[:, None] * np.stack([np.cos(t), np.sin(t)], -1)

    return NoisyCurve([roll], lambda u: 1.5 * math.pi * (1 + 2 * u), sigma)


def spirals(sigma=0.1, turns=1.5, scale=1 / 3):
    """Two opposite spiral arms, ± scale · t (−cos t, sin t) plus noise, t = 2π · turns · √u, u uniform.

    Source:   FFJORD's toy data, Grathwohl et al. 2018, arXiv:1810.01367.  Differs: no extra uniform shift.
    """
    def arm(t):
        return scale * t[:, None] * np.stack([-np.cos(t), np.sin(t)], -1)

    return NoisyCurve([arm, lambda t: -arm(t)], lambda u: 2 * math.pi * turns * np.sqrt(u), sigma)


def checkerboard(side=2.0):
    """Uniform on eight squares of [−4, 4]².

    Source:   FFJORD's toy data, arXiv:1810.01367.  Differs: nothing.
    """
    return Checkerboard(side)


DISTRIBUTIONS = {"ring": ring, "grid": grid, "moons": moons, "swiss_roll": swiss_roll,
                 "checkerboard": checkerboard, "spirals": spirals}


def _points(name, x):
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(f"{name}.log_prob: x has shape {x.shape}; expected (B, 2)")
    return x


def _logsumexp(values):
    peak = values.max(-1, keepdims=True)
    return (peak + np.log(np.exp(values - peak).sum(-1, keepdims=True)))[..., 0]


def _by_chunks(function, x, rows=16_384):
    """function(x) on a few rows at a time, so that (B, K) intermediates stay in a few megabytes."""
    return np.concatenate([function(x[start : start + rows]) for start in range(0, max(len(x), 1), rows)])
