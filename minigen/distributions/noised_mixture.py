"""NoisedMixture: a mixture of round Gaussians under any amount of noise, with everything about it in closed form.

Let x₀ come from Σ_k w_k N(μ_k, s² I) and y = α x₀ + σ ε with ε ~ N(0, I). Scaled and blurred, each component is a round
Gaussian still:

    p(y) = Σ_k w_k N(y; α μ_k, τ² I),      τ² = α² s² + σ².                                            (D.5)

With r_k(y) the probability that y came from component k, its score and the best guesses (in mean square) are

    ∇ log p(y) = (Σ_k r_k α μ_k − y) / τ²,                                                            (D.6)
    E[ε | y]   = −σ ∇ log p(y),            E[x₀ | y] = (y + σ² ∇ log p(y)) / α                        (D.7)

(Tweedie's formula; for α = 0 the mean of x₀). No network can have a smaller error than these. What is left over is

    E|ε − E[ε|y]|² = D − σ² E|∇ log p(y)|²                                                            (D.8)

in D dimensions, since E|ε|² = D and the error is orthogonal to the guess. So a denoiser, a score model or a sampler can
be held against the truth at every level of noise. On the straight path, α = 1 − t and σ = t, the best guess of its
velocity is

    E[ε − x₀ | y] = E[ε | y] − E[x₀ | y].                                                            (D.9)

All functions take arrays or Tensors and can be differentiated.

Source: Robbins 1956 and Efron 2011 (Tweedie's formula).
"""

import math

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.errors import ShapeError
from minigen.ops.elementwise import log
from minigen.ops.linalg import matmul
from minigen.ops.reduce import logsumexp, softmax, sum
from minigen.ops.shape import unsqueeze


class NoisedMixture:
    """The mixture Σ_k w_k N(μ_k, s² I) and its noised versions (D.5). Noise levels are numbers, or one per example.

    means:    (K, D);  sigma: s, may be 0;  weights: (K,), equal by default
    Raises:   ShapeError if the shapes do not fit.
    """

    def __init__(self, means, sigma, weights=None):
        self.means, self.sigma = np.asarray(means, dtype=np.float64), float(sigma)
        count = len(self.means)
        weights = np.full(count, 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
        if self.means.ndim != 2 or weights.shape != (count,):
            raise ShapeError(f"NoisedMixture: means {self.means.shape}, weights {weights.shape}; expected (K, D), (K,)")
        self.weights = weights / weights.sum()

    def sample(self, n, *, rng):
        """n clean points, float64, (n, D)."""
        chosen = rng.choice(len(self.means), size=n, p=self.weights)
        return self.means[chosen] + self.sigma * rng.standard_normal((n, self.means.shape[1]))

    def log_prob(self, y, alpha=1.0, sigma=0.0):
        """log p(y) of (D.5), in nats.   Shapes: y (B, D), alpha and sigma (B,) or numbers → (B,)"""
        return logsumexp(self._joint(y, alpha, sigma), dim=-1)

    def score(self, y, alpha=1.0, sigma=0.0):
        """∇ log p(y) of (D.6).   Shapes: as `log_prob` → (B, D)"""
        alpha, sigma = _column(alpha, y), _column(sigma, y)
        inside = softmax(self._joint(y, alpha, sigma), dim=-1)  # r_k: (B, K)
        return (alpha * matmul(inside, self.means.astype(y.dtype)) - y) / (alpha**2 * self.sigma**2 + sigma**2)

    def noise(self, y, alpha, sigma):
        """E[ε | y] of (D.7): what the best noise prediction says.   Shapes: as `log_prob` → (B, D)"""
        return self.score(y, alpha, sigma) * -_column(sigma, y)

    def clean(self, y, alpha, sigma):
        """E[x₀ | y], written without a division by α.   Shapes: as `log_prob` → (B, D)

        Equation: Σ_k r_k (σ² μ_k + α s² y) / τ², each component's own best guess
        """
        alpha, sigma = _column(alpha, y), _column(sigma, y)
        inside = softmax(self._joint(y, alpha, sigma), dim=-1)
        near = matmul(inside, self.means.astype(y.dtype))
        return (sigma**2 * near + alpha * self.sigma**2 * y) / (alpha**2 * self.sigma**2 + sigma**2)

    def predictor(self, schedule):
        """E[ε | x_t] as a function of x (B, D) and t (B,): what samplers take, in place of a trained network.

        schedule:  anything with alpha(t) and sigma(t)
        """
        return lambda x, t: self.noise(x, schedule.alpha(t), schedule.sigma(t))

    def velocity(self, y, t):
        """E[ε − x₀ | y] of (D.9), the velocity of flow matching.   Shapes: y (B, D), t (B,) or a number → (B, D)"""
        t = np.asarray(t, dtype=np.float64)
        return self.noise(y, 1 - t, t) - self.clean(y, 1 - t, t)

    def noise_floor(self, alpha, sigma, *, step=0.1):
        """The least mean squared error of any noise prediction, *per dimension*, (D.8), for D ≤ 2; a number.

        By the trapezoid rule on a grid of `step` standard deviations τ about each mean, out to 8.5.
        """
        width = self.means.shape[1]
        if width > 2:
            raise ShapeError(f"NoisedMixture.noise_floor: {width} dimensions; expected 1 or 2")
        ticks = step * np.arange(-round(8.5 / step), round(8.5 / step) + 1)
        z = np.stack(np.meshgrid(*[ticks] * width, indexing="ij"), -1).reshape(-1, width)
        mass = np.exp(-0.5 * (z**2).sum(-1))
        mass /= mass.sum()
        tau, squared = math.hypot(alpha * self.sigma, sigma), 0.0
        for weight, mean in zip(self.weights, self.means, strict=True):
            squared += weight * (mass @ (self.noise(alpha * mean + tau * z, alpha, sigma) ** 2).sum(-1))
        return float(1 - squared / width)

    def _joint(self, y, alpha, sigma):
        """log w_k N(y; α μ_k, τ² I).   Shapes: (B, D) → (B, K)"""
        if y.ndim != 2 or y.shape[1] != self.means.shape[1]:
            raise ShapeError(f"NoisedMixture: y {tuple(y.shape)}; expected (B, {self.means.shape[1]})")
        alpha, sigma = _column(alpha, y), _column(sigma, y)
        variance = alpha**2 * self.sigma**2 + sigma**2  # τ²: (B, 1) or ()
        apart = unsqueeze(y, 1) - np.expand_dims(alpha, -1) * self.means.astype(y.dtype)  # (B, K, D)
        scale = log(variance * (2 * math.pi)) * (0.5 * self.means.shape[1])
        return np.log(self.weights).astype(y.dtype) - scale - sum(apart * apart, dim=-1) / (2 * variance)


def _column(values, y):
    """Noise levels as a column beside y.   Shapes: (B,) → (B, 1); a number stays one"""
    values = np.asarray(values.data if isinstance(values, Tensor) else values, dtype=y.dtype)
    return values[:, None] if values.ndim == 1 else values
