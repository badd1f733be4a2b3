"""Score matching: learn the slope of log p from samples of p alone.

A density must integrate to 1, and for p(x) = e^(−E(x))/Z the number Z is out of reach. Its *score* does not know Z:

    s(x) = ∇_x log p(x) = −∇_x E(x).                                                                  (10.1)

It is a vector field that points uphill, (B, D) for points (B, D). Fit a network s_θ to it in mean square:

    J(θ) = ½ E_p |s_θ(x) − ∇ log p(x)|² = E_p[ ½|s_θ|² − s_θ · ∇ log p ] + const.                       (10.2)

The true score is unknown, but it stands under a mean over p, and p ∇ log p = ∇p. Integrate by parts (p vanishes far
away): −∫ s_θ · ∇p dx = ∫ p ∇ · s_θ dx. With the Jacobian ∂s_θ/∂x, (D, D), whose trace is ∇ · s_θ,

    J(θ) = E_p[ ½|s_θ(x)|² + tr ∂s_θ/∂x ] + const,      *explicit* score matching.                       (10.3)

The constant, ½ E|∇ log p|², does not know θ. The trace costs D backward passes. For random v with E[v vᵀ] = I,

    E[vᵀ A v] = Σ_ij A_ij E[v_i v_j] = tr A      (Hutchinson),                                         (10.4)

so one product vᵀ ∂s/∂x = ∇_x(vᵀ s) does it: *sliced* score matching, where ½|s|² may be sliced as well,

    J(θ) = E_p E_v[ ½ (vᵀs)² + vᵀ ∂s/∂x v ] + const,      or with ½|s|² kept whole.                      (10.5)

**Denoising.** Blur the data: x̃ = x + σ ε, with the density q(x̃) = ∫ p(x) N(x̃; x, σ² I) dx. Its score is a mean,

    ∇ log q(x̃) = ∫ p(x) ∇N / q dx = E[ (x − x̃)/σ² | x̃ ],      since ∇N = N (x − x̃)/σ².                (10.6)

The best guess in mean square *is* the conditional mean. So fit s_θ(x̃) to the thing under that mean:

    J_σ(θ) = ½ E |s_θ(x̃) + ε/σ|²,      because x − x̃ = −σ ε.                                            (10.7)

Its gradient is that of (10.2) for q: expanding the square, ε meets s_θ only in E[s_θ(x̃) · ε] = −σ E[s_θ · ∇ log q]. No
second derivatives are left. Read (10.6) the other way and a score cleans (Tweedie):

    E[x | x̃] = x̃ + σ² ∇ log q(x̃).                                                                     (10.8)

**All levels at once.** A score learnt from points is good only near them; a blurred one is good further out. Let one
network do all σ. The target −ε/σ grows as 1/σ, so divide the network by σ and weigh the loss with σ²:

    s_θ(x, σ) = F_θ(x, log σ)/σ,      L = E_σ σ² J_σ = ½ E |F_θ + ε|²,                                  (10.9)

and all levels count alike: F's target is pure noise (lesson 11 calls it −ε̂).

**An energy's score** is a gradient, so its Jacobian is symmetric: it has no curl, and a path integral of it does not
depend on the path. A free network has no such scruples. The price: the loss holds a gradient (explicit and sliced: the
gradient of a gradient), and training differentiates once more, to the third order.                   (10.10)

Sources: (10.3): Hyvärinen 2005, JMLR 6; (10.5): Song, Garg, Shi & Ermon 2019, arXiv:1905.07088; (10.7): Vincent 2011,
Neural Computation 23(7); (10.9): Song & Ermon 2019, arXiv:1907.05600. Differs: losses are per example.
"""

import math

import numpy as np

from minigen import autograd, nn, ops
from minigen.autograd import Tensor
from minigen.errors import MinigenError, ShapeError
from minigen.nn.ode import divergence
from minigen.nn.time import per_example


class EnergyScore(nn.Module):
    """The score −∇E of an energy network, (10.1), with its graph: it can be differentiated again, and again.

    energy:   x (B, …) → (B,) or (B, 1), each example on its own (no batch normalisation)
    Shapes:   x (B, …) → (B, …)
    """

    def __init__(self, energy):
        self.energy = energy

    def energies(self, x, *condition):
        """E(x), (B,)."""
        return ops.reshape(self.energy(x, *condition), (-1,))

    def forward(self, x, *condition):
        x = _leaf(x)
        with autograd.enable_grad():
            (slope,) = autograd.grad(ops.sum(self.energies(x, *condition)), x, create_graph=True)
        return -slope

    def score(self, x, *condition):
        """−∇E of an array, without a graph: what the samplers take."""
        x = Tensor(x, requires_grad=True)
        with autograd.enable_grad():
            (slope,) = autograd.grad(ops.sum(self.energies(x, *condition)), x)
        return -slope.data


def explicit(score, x):
    """½|s|² + tr ∂s/∂x of (10.3), Hyvärinen's objective: one value per example.

    score:    x (B, …) Tensor → (B, …), each example on its own
    Shapes:   x (B, …) → (B,)
    """
    x = _leaf(x)
    s = _checked(score(x), x)
    return 0.5 * _sum(s * s) + trace(s, x)


def sliced(score, x, *, rng, slices=1, whole=True, signs=True):
    """The objective (10.5) with `slices` random v per example: one value per example.

    whole:    keep ½|s|² whole, which often lowers the variance; False slices it too
    signs:    v of entries ± 1; False draws them from N(0, 1)
    Shapes:   x (B, …) → (B,)
    """
    x = _leaf(x)
    s = _checked(score(x), x)
    loss = 0.5 * _sum(s * s) if whole else 0.0
    for _ in range(slices):
        v = rng.choice([-1.0, 1.0], size=x.shape) if signs else rng.standard_normal(x.shape)
        v = v.astype(x.dtype)
        along = _sum(s * v)  # vᵀs: (B,)
        (row,) = autograd.grad(ops.sum(along), x, create_graph=True)  # vᵀ ∂s/∂x: (B, …)
        loss = loss + _sum(row * v) / slices
        if not whole:
            loss = loss + 0.5 * along * along / slices
    return loss


def denoising(score, x, sigma, *, rng=None, noise=None):
    """½|s(x + σε) + ε/σ|² of (10.7): one value per example.

    score:    x̃ (B, …) → (B, …)
    sigma:    a number, or one for each example (B,)
    noise:    ε (B, …), drawn if not given
    Shapes:   x (B, …) → (B,)
    """
    x = _array(x)
    noise = rng.standard_normal(x.shape).astype(x.dtype) if noise is None else noise
    sigma = per_example(sigma, x)
    blurred = Tensor(x + sigma * noise)
    error = _checked(score(blurred), blurred) + noise / sigma
    return 0.5 * _sum(error * error)


def denoised(score, x, sigma):
    """E[x | x̃] by Tweedie's formula (10.8).   Shapes: x̃ (B, …), σ (B,) or a number → (B, …)"""
    return x + per_example(sigma, x) ** 2 * score(x)


def trace(s, x, *, create_graph=True):
    """tr ∂s/∂x, exactly: D gradients, one for each number of an example.   Shapes: s, x (B, …) → (B,)"""
    return divergence(s, x, create_graph=create_graph)


def hutchinson(s, x, *, rng, probes=1):
    """The estimate (10.4) of tr ∂s/∂x with `probes` vectors of signs.   Shapes: s, x (B, …) → (B,), a Tensor"""
    total = 0.0
    for _ in range(probes):
        v = rng.choice([-1.0, 1.0], size=x.shape).astype(x.dtype)
        (row,) = autograd.grad(ops.sum(s * v), x, create_graph=True)
        total = total + _sum(row * v) / probes
    return total


def jacobian(score, x):
    """∂s_i/∂x_j at each point, an array: symmetric if s is a gradient, (10.10).   Shapes: (B, D) → (B, D, D)"""
    x = _leaf(x)
    s = _checked(score(x), x)
    if s.ndim != 2:
        raise ShapeError(f"jacobian: points of shape {tuple(s.shape)}; expected (B, D)")
    return np.stack([autograd.grad(ops.sum(s[:, d]), x)[0].data for d in range(s.shape[1])], axis=1)


# -- many levels of noise ---------------------------------------------------------------------------------------------


class NoiseConditionalScore(nn.Module):
    """s(x, σ) = F(x, log σ)/σ for a whole range of noise, trained by (10.9).

        model = NoiseConditionalScore(network, geometric(1.0, 0.01, 10))
        model.loss(x, rng=rng)                       # (B,)
        langevin.annealed(model.score, model.sigmas, x, …)

    network:  (x (B, …), log σ (B,)) → (B, …)
    sigmas:   falling levels (n,) that training draws from; with `between`, all values from the first to the last
    """

    def __init__(self, network, sigmas, *, between=False):
        sigmas = np.asarray(sigmas, dtype=np.float64)
        if sigmas.ndim != 1 or not np.all(sigmas > 0) or not np.all(np.diff(sigmas) < 0):
            raise MinigenError(f"NoiseConditionalScore: sigmas are {sigmas}; expected falling positive numbers (n,)")
        self.network, self.sigmas, self.between = network, sigmas, between

    def forward(self, x, sigma):
        """s(x, σ), a Tensor.   Shapes: x (B, …), σ (B,) or a number → (B, …)"""
        sigma = np.broadcast_to(np.asarray(sigma, dtype=np.float64), len(x))
        # At variance 1, for data of variance 1.
        seen = x * per_example(1 / np.sqrt(1 + sigma**2), x)
        return _checked(self.network(seen, np.log(sigma).astype(x.dtype)), x) * per_example(1 / sigma, x)

    def loss(self, x, *, rng, sigma=None, noise=None):
        """σ² times (10.7), averaged over the numbers of one example: ½ for a network that says 0.   Shapes: → (B,)"""
        x = _array(x)
        sigma = self.draw(len(x), rng=rng) if sigma is None else np.broadcast_to(sigma, len(x))
        loss = denoising(lambda blurred: self(blurred, sigma), x, sigma, rng=rng, noise=noise)
        return loss * (sigma**2 / x[0].size).astype(x.dtype)

    def draw(self, n, *, rng):
        """n levels for training, (n,)."""
        if not self.between:
            return rng.choice(self.sigmas, size=n)
        low, high = math.log(self.sigmas[-1]), math.log(self.sigmas[0])
        return np.exp(low + (high - low) * rng.permutation((np.arange(n) + rng.random(n)) / n))

    def score(self, x, sigma):
        """s(x, σ) of an array, without a graph: what the samplers take."""
        with autograd.no_grad():
            return self(Tensor(x), sigma).data

    def relative_error(self, truth, x, sigma):
        """√(E|s − s*|² / E|s*|²) at noised points x, for the true score s*: a number.

        truth:    (x (B, …), σ) → (B, …), such as a NoisedMixture's score
        """
        best = truth(x, sigma)
        return float(np.sqrt(((self.score(x, sigma) - best) ** 2).sum() / (best**2).sum()))


def geometric(high, low, count):
    """Levels that fall by equal factors, (count,): each level's neighbours overlap alike."""
    return np.geomspace(high, low, count)


def _leaf(x):
    """x as a Tensor that gradients can be taken with respect to."""
    return x if isinstance(x, Tensor) and x.requires_grad else Tensor(_array(x), requires_grad=True)


def _checked(s, x):
    if s.shape != x.shape:
        raise ShapeError(f"score matching: the score of x {tuple(x.shape)} has shape {tuple(s.shape)}; expected equal")
    return s


def _sum(x):
    return ops.sum(x, dim=tuple(range(1, x.ndim)))


def _array(x):
    return x.data if isinstance(x, Tensor) else np.asarray(x)
