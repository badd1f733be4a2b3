"""Probabilistic PCA: a Gaussian whose covariance is a thin part plus round noise.

A code z of L numbers is drawn from N(0, I), turned into D numbers by a matrix, and noise is added:

    x = W z + m + noise,     z ~ N(0, I),  noise ~ N(0, σ² I).                                         (4.16)

Everything is linear and Gaussian, so the sum over the latent variable, here an integral, has a closed form:

    p(x) = N(m, C),     C = W Wᵀ + σ² I,                                                              (4.17)

and so has the posterior. With the L × L matrix M = Wᵀ W + σ² I,

    p(z|x) = N( M⁻¹ Wᵀ (x − m), σ² M⁻¹ ).                                                             (4.18)

C is D × D but need not be made. With y = x − m,

    |C| = σ^{2(D−L)} |M|,     yᵀ C⁻¹ y = (|y|² − (Wᵀ y)ᵀ M⁻¹ (Wᵀ y)) / σ².                              (4.19)

The likelihood is highest at m = the mean of the data and, with eigenvectors U and eigenvalues λ of their covariance,

    W = U_L (Λ_L − σ² I)^½,     σ² = the mean of the D − L smallest λ,                                 (4.20)

as in lesson 05, (5.11). EM comes to the same place in small steps. E step: (4.18) for every point, which gives ⟨z⟩ and
⟨z zᵀ⟩ = σ² M⁻¹ + ⟨z⟩⟨z⟩ᵀ. M step: least squares of x − m on z, averaged over the posterior,

    W = [Σ_b (x_b − m) ⟨z_b⟩ᵀ] [Σ_b ⟨z_b z_bᵀ⟩]⁻¹,
    σ² = Σ_b ( |x_b − m|² − ⟨z_b⟩ᵀ Wᵀ (x_b − m) ) / (B D).                                            (4.21)

(In the paper's longer formula for σ² two terms cancel once W is the new one.) Only W Wᵀ is determined: turning W by
W R, with any rotation R, gives the same p(x).

Source: Tipping & Bishop 1999, doi 10.1111/1467-9868.00196. Differs: in the closed form R is the identity.
"""

import math

import numpy as np

from minigen.errors import DataError, ShapeError, TrainingError

LOG_2PI = math.log(2 * math.pi)


def ppca(x, latent):
    """The maximum-likelihood linear-Gaussian model x = W z + m + noise: what the best linear VAE must equal.

    Equation: σ² = mean of the D − L smallest eigenvalues of the covariance;  W = U_L (Λ_L − σ² I)^½
                                                                                        [lesson 05, eq. 5.11]
    Shapes:   x (B, D) → W (D, L), σ² a number
    Source:   Tipping & Bishop 1999, doi 10.1111/1467-9868.00196.  Differs: W's rotation is fixed to the identity.
    """
    centred = x - x.mean(axis=0)
    eigenvalues, vectors = np.linalg.eigh(centred.T @ centred / len(x))  # ascending
    variance = eigenvalues[:-latent].mean()
    return vectors[:, -latent:] * np.sqrt(eigenvalues[-latent:] - variance), variance


class PPCA:
    """Probabilistic PCA, (4.16), on float64 arrays.

    latent:      L, from 1 to D − 1
    Attributes:  mean (D,), weight W (D, L), variance σ²; None before a fit, and yours to set
    """

    def __init__(self, latent):
        if latent < 1:
            raise DataError(f"PPCA: latent is {latent}; expected at least 1")
        self.latent = latent
        self.mean = self.weight = self.variance = None

    # -- fitting ------------------------------------------------------------------------------------------------

    def fit(self, x):
        """The closed form (4.20).   Shapes: x (B, D)

        Raises:   DataError if the data lie in L dimensions or fewer, so that no noise is left.
        """
        x = self._points("PPCA.fit", x)
        self.mean = x.mean(axis=0)
        self.weight, self.variance = ppca(x, self.latent)
        self._refuse_no_noise("PPCA.fit", x)
        return self

    def start(self, x, *, rng):
        """Where EM begins: m is the mean of the data, W random, σ² the mean variance."""
        x = self._points("PPCA.start", x)
        self.mean, self.variance = x.mean(axis=0), float(x.var(axis=0).mean())
        self._refuse_no_noise("PPCA.start", x)
        self.weight = rng.standard_normal((x.shape[1], self.latent)) * math.sqrt(self.variance / self.latent)
        return self

    def fit_em(self, x, *, rng=None, steps=1000, tol=1e-9, start="random"):
        """EM until a step brings less than `tol` nats, or for `steps` steps. Returns the history.

        The history holds the mean log-likelihood (nats) before each step and, last, that of the result.

        start:    "random", or "current" to go on from the parameters as they are
        Raises:   TrainingError if a step lowers the likelihood.
        """
        if start not in ("random", "current") or (start == "random" and rng is None) or steps < 1:
            raise TrainingError(f'PPCA.fit_em: start={start!r}, rng={rng}, steps={steps}; expected start="random" with '
                                'an rng or start="current", and at least one step')
        if start == "random":
            self.start(x, rng=rng)
        history = [float(self.log_prob(x).mean())]
        for _ in range(steps):
            self.step(x)
            history.append(float(self.log_prob(x).mean()))
            before, after = history[-2:]
            if not after >= before - 1e-9 * (1 + abs(before)):
                raise TrainingError(f"PPCA: the mean log-likelihood fell from {before:.12g} to {after:.12g} nats in "
                                    "one EM step")
            if after - before < tol:
                break
        return history

    def step(self, x):
        """One E step (4.18) and one M step (4.21); m stays.   Shapes: x (B, D)"""
        x = self._points("PPCA.step", x, fitted=True)
        z, covariance = self.posterior(x)
        centred = x - self.mean
        cross = centred.T @ z  # (D, L)
        self.weight = np.linalg.solve(z.T @ z + len(x) * covariance, cross.T).T
        self.variance = float(((centred**2).sum() - (cross * self.weight).sum()) / x.size)
        self._refuse_no_noise("PPCA.step", x)

    # -- questions to the model -------------------------------------------------------------------------------------

    def log_prob(self, x):
        """log p(x), (4.17) by (4.19), in nats.   Shapes: x (B, D) → (B,)"""
        x = self._points("PPCA.log_prob", x, fitted=True)
        centred, (d, count) = x - self.mean, self.weight.shape
        lower = self._lower()  # M = lower lowerᵀ
        explained = np.linalg.solve(lower, self.weight.T @ centred.T)  # (L, B)
        squares = ((centred**2).sum(1) - (explained**2).sum(0)) / self.variance
        log_det = (d - count) * math.log(self.variance) + 2 * np.log(np.diagonal(lower)).sum()
        return -0.5 * (squares + log_det + d * LOG_2PI)

    def posterior(self, x):
        """Mean and covariance of p(z|x), (4.18); the covariance is the same for every x.

        Shapes:   x (B, D) → (B, L), (L, L)
        """
        x = self._points("PPCA.posterior", x, fitted=True)
        inverse = np.linalg.inv(self._lower())
        inverse = inverse.T @ inverse  # M⁻¹
        return (x - self.mean) @ self.weight @ inverse, self.variance * inverse

    def sample(self, n, *, rng):
        """n points by (4.16).   Shapes: → (n, D)"""
        if self.weight is None:
            raise TrainingError("PPCA.sample: no parameters yet; call fit(x) first")
        z = rng.standard_normal((n, self.latent))
        noise = rng.standard_normal((n, len(self.mean)))
        return z @ self.weight.T + self.mean + math.sqrt(self.variance) * noise

    def covariance(self):
        """C of (4.17).   Shapes: → (D, D)"""
        if self.weight is None:
            raise TrainingError("PPCA.covariance: no parameters yet; call fit(x) first")
        return self.weight @ self.weight.T + self.variance * np.eye(len(self.mean))

    def _lower(self):
        return np.linalg.cholesky(self.weight.T @ self.weight + self.variance * np.eye(self.latent))

    def _points(self, name, x, fitted=False):
        """x as finite float64 of shape (B, D), L < D."""
        if fitted and self.weight is None:
            raise TrainingError(f"{name}: no parameters yet; call fit(x), or start(x, rng=…)")
        x = np.asarray(x, dtype=np.float64)
        width = len(self.mean) if fitted else None
        if x.ndim != 2 or 0 in x.shape or (fitted and x.shape[1] != width) or x.shape[1] <= self.latent:
            raise ShapeError(f"{name}: x has shape {x.shape}; expected (B, {width or 'D'}), at least one point, and "
                             f"more than {self.latent} columns")
        if not np.isfinite(x).all():
            raise DataError(f"{name}: x holds NaN or infinity; expected finite numbers")
        return x

    def _refuse_no_noise(self, name, x):
        if not self.variance > 1e-14 * x.var(axis=0).mean():
            raise DataError(f"{name}: the noise variance is {self.variance:.3g}: the data lie in {self.latent} "
                            "dimensions or fewer. Expected fewer codes, or more varied data")
