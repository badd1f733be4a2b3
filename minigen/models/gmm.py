"""The Gaussian mixture, fitted by expectation-maximisation (EM).

Suppose each point x (a row of D numbers) was made in two steps: first a component z = k was drawn with probability π_k,
then x from that component's Gaussian. Nobody wrote z down; it is *latent*. The density of x alone sums over it:

    p(x) = Σ_k π_k N(x; μ_k, Σ_k),     π_k ≥ 0,  Σ_k π_k = 1.                                         (4.1)

The logarithm of this sum does not fall apart into one term per component, so setting derivatives to zero gives no
formula for the best parameters θ = (π, μ, Σ). But for any probabilities q(k) over the components of one point,

    log p(x) = F(q, θ) + KL(q ‖ p(z|x)),     F(q, θ) = Σ_k q(k) log[ π_k N(x; μ_k, Σ_k) / q(k) ],      (4.2)

because p(x) = p(x, k) / p(k|x) for every k; and a KL divergence is never negative, so F ≤ log p. EM raises F in turns.

E step: hold θ. The left side of (4.2) does not depend on q, so F is largest where the KL is 0: q is the posterior,

    r_bk = π_k N(x_b; μ_k, Σ_k) / Σ_j π_j N(x_b; μ_j, Σ_j),                                           (4.3)

the *responsibility* of component k for point b. Now F = log p: the bound touches.

M step: hold r. In F the logarithm stands before one Gaussian only, and the derivatives vanish at averages in which
point b counts r_bk times:

    N_k = Σ_b r_bk,     π_k = N_k / B,                                                                (4.4)
    μ_k = Σ_b r_bk x_b / N_k,                                                                         (4.5)
    S_k = Σ_b r_bk (x_b − μ_k)(x_b − μ_k)ᵀ / N_k,     and                                             (4.6)
    Σ_k = S_k (full);  diag S_k (diag);  tr S_k / D · I (spherical);  Σ_k N_k S_k / B (tied: one for all).

Neither step lowers F, and after every E step F is the log-likelihood:

    log p(x; θ_new) ≥ F(r, θ_new) ≥ F(r, θ) = log p(x; θ),     on average over the points.            (4.7)

The likelihood has no maximum, though. Put μ_k on one point and let the variance v of that component go to 0:

    log N(x_b; x_b, v I) = −D/2 log 2πv  →  ∞.                                                        (4.8)

So ε = `reg_covar` is added to the diagonal of every Σ_k. This no longer maximises F but F_ε = F − ½ ε Σ_k r_bk tr Σ_k⁻¹
(as if each point were a small cloud of variance ε), and (4.7) becomes: the mean log-likelihood rises, or falls by no
more than ½ ε Σ_k π_k (tr Σ_k⁻¹ − tr Σ_k,new⁻¹), with the new π. `fit` holds every step to that. To choose K, charge for
the P free parameters:

    BIC = −2 Σ_b log p(x_b) + P log B     (AIC: 2P in place of P log B); smaller is better.            (4.9)

Sources: Dempster, Laird & Rubin 1977 (EM); Neal & Hinton 1998 (F); Arthur & Vassilvitskii 2007 (k-means++); Schwarz
1978 (BIC). Names and reg_covar as in scikit-learn. Differs: every step is held to (4.7). The arithmetic of many
Gaussians at many points is in distributions/gaussians.py.
"""

import math

import numpy as np

from minigen.distributions import gaussians
from minigen.errors import DataError, ShapeError, TrainingError


class GaussianMixture:
    """A mixture of K Gaussians, (4.1), on plain float64 arrays.

    components:   K
    covariance:   "full", "tied", "diag" or "spherical", (4.6)
    reg_covar:    ε, added to every variance; 0 leaves the singularity (4.8) open
    Attributes:   weights (K,), means (K, D), covariances (K, D, D), tied (D, D), diag (K, D) or spherical (K,); None
                  before `start` or `fit`, and yours to set. allowance: by how much (4.7) lets the mean log-likelihood
                  fall in the last `step` because of reg_covar, in nats.
    """

    def __init__(self, components, covariance="full", reg_covar=1e-6):
        if covariance not in gaussians.TYPES:
            raise ShapeError(f"GaussianMixture: covariance is {covariance!r}; expected one of {gaussians.TYPES}")
        if components < 1 or not reg_covar >= 0:
            raise DataError(f"GaussianMixture: components is {components} and reg_covar {reg_covar}; expected at least "
                            "one component, and a number that is not negative")
        self.components, self.covariance, self.reg_covar = components, covariance, reg_covar
        self.weights = self.means = self.covariances = None
        self.allowance = 0.0
        self._traced = None, None

    # -- fitting --------------------------------------------------------------------------------------------------

    def start(self, x, *, rng):
        """Means by k-means++, equal weights, and for all components the one covariance of x about the nearest mean."""
        x = gaussians.points("GaussianMixture.start", x)
        means = kmeans_plus_plus(x, self.components, rng)
        gap = x - means[np.argmin((means**2).sum(1) - 2 * x @ means.T, axis=1)]  # (B, D)
        shared = gap.T @ gap / len(x) + self.reg_covar * np.eye(x.shape[1])
        gaussians.cholesky(shared[None], means, "GaussianMixture.start")  # raises if x is flat
        self.weights, self.means = np.full(self.components, 1 / self.components), means
        self.covariances = {
            "full": np.tile(shared, (self.components, 1, 1)),
            "tied": shared,
            "diag": np.tile(np.diagonal(shared), (self.components, 1)),
            "spherical": np.full(self.components, np.diagonal(shared).mean()),
        }[self.covariance]
        return self

    def fit(self, x, *, rng=None, steps=100, tol=1e-6, start="k-means++", restarts=1):
        """EM until a step brings less than `tol` nats, or for `steps` steps. Returns the history, a list.

        The history holds the mean log-likelihood (nats) before each step and, last, that of the result.

        start:     "k-means++", or "current" to go on from the parameters as they are
        restarts:  how many starts; the one with the highest mean log-likelihood is kept
        Raises:    TrainingError if a covariance collapses or (4.7) is violated.
        """
        if start not in ("k-means++", "current") or (start == "k-means++" and rng is None) or steps < 1 or restarts < 1:
            raise TrainingError(f"GaussianMixture.fit: start={start!r}, rng={rng}, steps={steps}, restarts={restarts}; "
                                'expected start="k-means++" with an rng or start="current", and at least 1 of each')
        best, kept = None, None
        for _ in range(restarts if start == "k-means++" else 1):
            if start == "k-means++":
                self.start(x, rng=rng)
            history = self._climb(x, steps, tol)
            if best is None or history[-1] > best[-1]:
                best, kept = history, self.state_dict()
        self.load_state_dict(kept)
        return best

    def _climb(self, x, steps, tol):
        history, allowance = [self.step(x)], self.allowance
        for _ in range(steps - 1):
            history.append(self.step(x))
            check_ascent(*history[-2:], allowance)
            allowance = self.allowance
            if abs(history[-1] - history[-2]) < tol:
                break
        history.append(float(self.log_prob(x).mean()))
        check_ascent(*history[-2:], allowance)
        return history

    def step(self, x):
        """One E step and one M step. Returns the mean log-likelihood (nats) *before* it.   Shapes: x (B, D)"""
        log_p, r = e_step(self.log_joint(x))
        before = self._traces()
        self.weights, self.means, self.covariances = m_step(x, r, self.covariance, self.reg_covar)
        self.allowance = 0.5 * self.reg_covar * float(self.weights @ (before - self._traces()))  # below (4.8)
        return float(log_p.mean())

    def _traces(self):
        """tr Σ_k⁻¹.   Shapes: → (K,)"""
        if not np.array_equal(self._traced[0], self.covariances):  # the traces after one step are those before the next
            peaks = gaussians.roots(self.means, self.covariances, self.covariance)[1]
            traces = peaks.sum(1) * (self.means.shape[1] if self.covariance == "spherical" else 1)
            self._traced = np.array(self.covariances), traces
        return self._traced[1]

    # -- the density ----------------------------------------------------------------------------------------------

    def log_joint(self, x):
        """log π_k N(x_b; μ_k, Σ_k), in nats.   Shapes: x (B, D) → (B, K)"""
        self._check()
        with np.errstate(divide="ignore"):  # a weight of 0 is a log of −∞, and then a responsibility of 0
            log_weights = np.log(self.weights)
        return log_weights + gaussians.log_densities(x, self.means, self.covariances, self.covariance)

    def log_prob(self, x):
        """log p(x), (4.1), in nats.   Shapes: x (B, D) → (B,)"""
        return e_step(self.log_joint(x))[0]

    def responsibilities(self, x):
        """p(k|x), (4.3).   Shapes: x (B, D) → (B, K), rows sum to 1"""
        return e_step(self.log_joint(x))[1]

    def sample(self, n, *, rng, with_component=False):
        """n points, float64; with_component also gives each point's k.   Shapes: → (n, D), or (n, D), (n,)"""
        self._check()
        roots = gaussians.roots(self.means, self.covariances, self.covariance)[0]
        component = rng.choice(self.components, size=n, p=self.weights)
        points = rng.standard_normal((n, self.means.shape[1]))
        for k in range(self.components):
            mine = component == k  # R (x − μ) is standard normal, so x = μ + R⁻¹ noise
            noise = points[mine].T
            noise = np.linalg.solve(roots[k], noise) if roots.ndim == 3 else noise / roots[k][:, None]
            points[mine] = self.means[k] + noise.T
        return (points, component) if with_component else points

    def _check(self):
        """Raise unless there are parameters that fit together (the covariances are checked where they are used)."""
        if self.means is None:
            raise TrainingError("GaussianMixture: has no parameters yet; call start(x, rng=…) or fit(x, rng=…), or set "
                                "weights, means and covariances")
        k = self.components
        if np.ndim(self.means) != 2 or (np.shape(self.weights), len(self.means)) != ((k,), k):
            raise ShapeError(f"GaussianMixture: weights {np.shape(self.weights)} and means {np.shape(self.means)}; "
                             f"expected ({k},) and ({k}, D)")
        if not (np.min(self.weights) >= 0 and abs(np.sum(self.weights) - 1) < 1e-6 and np.isfinite(self.means).all()):
            raise DataError(f"GaussianMixture: weights {self.weights}, means {self.means}; expected probabilities that "
                            "sum to 1, and finite means")

    # -- how many components --------------------------------------------------------------------------------------

    def parameters(self):
        """P of (4.9): K − 1 weights, K D means, and the free numbers of the covariances."""
        self._check()
        k, d = self.means.shape
        free = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diag": k * d, "spherical": k}
        return k - 1 + k * d + free[self.covariance]

    def bic(self, x):
        """(4.9), in nats, for all of x together; smaller is better.   Shapes: x (B, D) → a number"""
        return float(-2 * self.log_prob(x).sum() + self.parameters() * math.log(len(x)))

    def aic(self, x):
        """−2 Σ log p + 2P (Akaike 1974), in nats; smaller is better.   Shapes: x (B, D) → a number"""
        return float(-2 * self.log_prob(x).sum() + 2 * self.parameters())

    def state_dict(self):
        """The parameters by name, for checkpoints."""
        return {name: getattr(self, name) for name in ("weights", "means", "covariances", "allowance")}

    def load_state_dict(self, state):
        """Take the parameters of a `state_dict`."""
        self.weights, self.means, self.covariances, self.allowance = (
            state[name] for name in ("weights", "means", "covariances", "allowance"))


# -- the steps, as the equations have them ------------------------------------------------------------------------


def e_step(log_joint):
    """log p(x_b), (4.1), and the responsibilities, (4.3), from log π_k N(x_b; μ_k, Σ_k).

    The largest term is taken out first, so that no exp overflows and not all underflow (log-sum-exp).

    Shapes:   (B, K) → (B,) in nats, and (B, K)
    Raises:   DataError if a point has no finite density under any component.
    """
    peak = log_joint.max(axis=1)
    if not np.isfinite(peak).all():
        b = int(np.argmin(np.isfinite(peak)))
        raise DataError(f"e_step: point {b} has the log joint densities {log_joint[b]}; expected a finite one")
    r = np.exp(log_joint - peak[:, None])
    total = r.sum(axis=1)
    r /= total[:, None]
    return peak + np.log(total), r


def m_step(x, r, covariance, reg_covar):
    """The parameters that maximise the bound for given responsibilities, with reg_covar on the diagonals.

    Shapes:   x (B, D), r (B, K) → weights (K,), means (K, D), covariances as in GaussianMixture
    Raises:   TrainingError if a component has no points left, or its covariance has collapsed, (4.8).
    """
    x = gaussians.points("m_step", x)
    if np.ndim(r) != 2 or len(r) != len(x):
        raise ShapeError(f"m_step: responsibilities {np.shape(r)} for x {x.shape}; expected ({len(x)}, K)")
    counts = r.sum(axis=0)  # N_k, (4.4)
    if not counts.min() > 0:
        raise TrainingError(f"m_step: component {int(np.argmin(counts))} has N_k = {counts.min()}; expected some part "
                            "of a point: try another start, or fewer components")
    means, covariances = gaussians.moments(x, r, covariance)  # (4.5), (4.6)
    gaussians.variances(covariances)[...] += reg_covar
    gaussians.cholesky(covariances, means, "m_step", counts)  # raises if one has collapsed
    if covariance in ("tied", "spherical"):
        covariances = covariances[0] if covariance == "tied" else covariances[:, 0]
    return counts / len(x), means, covariances  # (4.4)


def bound(x, r, model):
    """The free energy F(r, θ) of (4.2) for each point, in nats: what both steps raise.

    Shapes:   x (B, D), r (B, K) with rows that sum to 1 → (B,)
    """
    joint = model.log_joint(x)
    if np.shape(r) != joint.shape:
        raise ShapeError(f"bound: responsibilities {np.shape(r)}; expected {joint.shape}")
    taken = r > 0  # where r is 0 the term is 0: r log r → 0
    return np.multiply(r, joint - np.log(np.where(taken, r, 1)), where=taken, out=np.zeros_like(joint)).sum(axis=1)


def check_ascent(before, after, allowance=0.0):
    """Raise TrainingError if a step lowered the mean log-likelihood by more than (4.7) allows and rounding explains."""
    if not after >= before - max(allowance, 0.0) - 1e-9 * (1 + abs(before)):
        raise TrainingError(f"EM: the mean log-likelihood fell from {before:.12g} to {after:.12g} nats in one step; "
                            f"(4.7) allows a fall of {max(allowance, 0.0):.3g} at most")


def kmeans_plus_plus(x, K, rng):
    """K of the points as starting means: each drawn with probability proportional to its squared distance from those
    already taken, and of a few such draws the one that leaves the smallest sum of squared distances.

    Shapes:   x (B, D) → (K, D)
    Source:   Arthur & Vassilvitskii 2007, with 2 + log K draws each time as in their greedy variant.
    """
    x = gaussians.points("kmeans_plus_plus", x)
    if not 1 <= K <= len(x):
        raise DataError(f"kmeans_plus_plus: {K} means from {len(x)} points; expected between 1 and {len(x)}")
    means = [x[rng.integers(len(x))]]
    nearest = ((x - means[0]) ** 2).sum(1)  # squared distance to the nearest mean so far
    while len(means) < K:
        total = nearest.sum()
        if not total > 0:
            raise DataError(f"kmeans_plus_plus: the data hold only {len(means)} different points; expected {K}")
        draws = rng.choice(len(x), size=2 + int(math.log(K)), p=nearest / total)
        distances = [np.minimum(nearest, ((x - x[b]) ** 2).sum(1)) for b in draws]
        best = int(np.argmin([d.sum() for d in distances]))
        means.append(x[draws[best]])
        nearest = distances[best]
    return np.array(means)
