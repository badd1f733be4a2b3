"""Langevin sampling: walk uphill along the score, shaken by noise; and training energies with such walks.

    x ← x + η s(x) + √(2η) z,      z ~ N(0, I).                                                        (10.11)

**Why it samples p.** Let q(x, τ) be the density of many walkers after time τ (steps times η), for small η. Drift moves
it by −∇ · (q s), the shaking spreads it like heat, by Δq (a variance of 2η a step):

    ∂q/∂τ = −∇ · (q s) + Δq.                                                                          (10.12)

Put q = p and s = ∇ log p: p s = ∇p, so −∇ · ∇p + Δp = 0. Once the walkers are spread like p they stay so.

**What η costs.** For p = N(0, 1), s = −x and a step is x ← (1 − η) x + √(2η) z. Its variance settles where
V = (1 − η)² V + 2η, at V = 1/(1 − η/2): too wide by half of η. With log p at hand this bias can be removed: accept a
proposal x′ only with the probability min(1, a) (Metropolis),

    a = p(x′) g(x | x′) / (p(x) g(x′ | x)),      g(x′ | x) = N(x′; x + η s(x), 2η I).                     (10.13)

Then p(x) g(x′|x) min(1, a) is the same forth and back, so p is kept exactly.

**Why it is slow.** Between two far modes there is almost no path; and since ∇ log (w₁p₁ + w₂p₂) ≈ ∇ log p₁ near the
first, the score does not even know the weights there. *Annealing*: begin with much noise, where all is one hill, and
lower it, with steps in proportion to σ² so that drift and shaking keep their balance:

    η_i = η σ_i²/σ_n²,      σ₁ > … > σ_n;      at the end x ← x + σ_n² s(x, σ_n), (10.8).                (10.14)

**Predictor and corrector.** The same ladder, with a proper step *between* levels: walk back the way that noise was
added (x_i = x_{i+1} − noise of variance σ_{i+1}² − σ_i², in law),

    x ← x + (σ_{i+1}² − σ_i²) s(x, σ_{i+1}) + √(σ_{i+1}² − σ_i²) z,                                       (10.15)

then some Langevin steps at the new level, whose size makes drift to shaking as r to 1:

    η = 2 (r |z|/|s|)²,      for then η|s| is r √(2η) |z|.                                              (10.16)

**Training an energy.** For p = e^(−E)/Z, ∂ log Z/∂θ = −E_p[∂E/∂θ] (differentiate Z under the integral), so

    −∂/∂θ log p(x) = ∂E(x)/∂θ − E_{x̃~p}[ ∂E(x̃)/∂θ ]:                                                  (10.17)

push the energy of data down, that of the model's own samples up. *Contrastive divergence* takes x̃ from a few Langevin
steps that start at the data; *persistent* chains go on from where they were.

Sources: annealing: Song & Ermon 2019, arXiv:1907.05600; (10.13): Roberts & Tweedie 1996, Bernoulli 2(4); (10.15),
(10.16): Song et al. 2021, arXiv:2011.13456, algorithms 2 and 4; (10.17): Hinton 2002, Neural Computation 14(8);
persistent: Tieleman 2008, and Du & Mordatch 2019, arXiv:1903.08689 (restarts, α). Differs: η here is half of Song and
Ermon's; steps of an energy's chains are true Langevin steps, without a colder temperature.
"""

import numpy as np

from minigen import autograd, nn
from minigen.autograd import Tensor
from minigen.errors import MinigenError, ShapeError


def langevin(score, x, *, step, count, rng, log_prob=None, keep=False):
    """`count` steps of (10.11); with log_prob also the test (10.13), which removes the bias.

    score:     x (B, …) → (B, …), arrays
    step:      η;  log_prob: x (B, …) → (B,), up to a constant
    keep:      True returns all x on the way, (count + 1, B, …)
    Shapes:    x (B, …) → (B, …)
    """
    x = np.asarray(x)
    path, slope = [x], _same(score(x), x)
    for _ in range(count):
        shake = rng.standard_normal(x.shape).astype(x.dtype)
        proposal = x + x.dtype.type(step) * slope + x.dtype.type(np.sqrt(2 * step)) * shake
        new_slope = _same(score(proposal), x)
        if log_prob is not None:
            back = (x - proposal - x.dtype.type(step) * new_slope) ** 2 / (4 * step)  # −log g(x | x′)
            log_a = log_prob(proposal) - log_prob(x) + (0.5 * shake**2 - back).reshape(len(x), -1).sum(1)
            taken = np.log(rng.random(len(x))) < log_a
            taken = taken.reshape(-1, *(1,) * (x.ndim - 1))
            proposal, new_slope = np.where(taken, proposal, x), np.where(taken, new_slope, slope)
        x, slope = proposal, new_slope
        if keep:
            path.append(x)
    return np.stack(path) if keep else x


def annealed(score, sigmas, x, *, step, count, rng, clean=True, keep=False):
    """Langevin at each level of noise, from the first to the last, (10.14).

    score:    (x (B, …), σ) → (B, …), arrays
    sigmas:   falling levels (n,);  step: η at the last level;  count: steps at each level
    clean:    whether the last noise is removed by Tweedie's formula
    keep:     True returns x at the start and after each level, (n + 1, B, …)
    Shapes:   x (B, …) → (B, …)
    """
    sigmas = _falling("annealed", sigmas)
    path = [x]
    for sigma in sigmas:
        size = step * (sigma / sigmas[-1]) ** 2
        x = langevin(lambda x, sigma=sigma: score(x, sigma), x, step=size, count=count, rng=rng)
        path.append(x)
    if clean:
        path[-1] = x = _cleaned(score, x, sigmas[-1])
    return np.stack(path) if keep else x


def predictor_corrector(score, sigmas, x, *, rng, corrections=1, ratio=0.16, clean=True, keep=False):
    """Down the levels by (10.15), with `corrections` Langevin steps (10.16) at each new level.

    ratio:    r of (10.16). Other arguments as in `annealed`.
    Shapes:   x (B, …) → (B, …); x should start as noise of standard deviation sigmas[0]
    """
    sigmas = _falling("predictor_corrector", sigmas)
    path = [x]
    for high, low in zip(sigmas[:-1], sigmas[1:], strict=True):
        variance = x.dtype.type(high**2 - low**2)
        x = x + variance * _same(score(x, high), x) + np.sqrt(variance) * rng.standard_normal(x.shape).astype(x.dtype)
        for _ in range(corrections):
            slope, shake = _same(score(x, low), x), rng.standard_normal(x.shape).astype(x.dtype)
            size = 2 * (ratio * _length(shake) / _length(slope)) ** 2  # one for all examples
            x = x + x.dtype.type(size) * slope + x.dtype.type(np.sqrt(2 * size)) * shake
        path.append(x)
    if clean:
        path[-1] = x = _cleaned(score, x, sigmas[-1])
    return np.stack(path) if keep else x


# -- energies ---------------------------------------------------------------------------------------------------------


def contrastive_divergence(energies, x, negatives, *, alpha=0.0):
    """E(x) − E(x̃) + α (E(x)² + E(x̃)²): its gradient is (10.17), and α keeps the energies near 0.

    Its value says little (at the best E it is about 0, whatever E is): watch the samples.

    energies:   x (B, …) Tensor → (B,);  negatives: x̃ (B, …), samples of the model, constants to the gradient
    Shapes:     x (B, …) → (B,)
    """
    data, model = energies(Tensor(x)), energies(Tensor(negatives))
    loss = data - model
    return loss + alpha * (data * data + model * model) if alpha else loss


class Chains(nn.Module):
    """Samples of an energy model that walk on while it learns: persistent contrastive divergence.

        chains = Chains(first)                       # first: (n, …), where they begin, such as noise
        x̃ = chains.walk(score, B, step=0.01, count=20, rng=rng)

    restart:    the share of them that begins anew at a random row of `first` each time
    states:     (n, …), a buffer: checkpoints hold it
    """

    def __init__(self, first, *, restart=0.05):
        self.first, self.states, self.restart = np.array(first), np.array(first), restart

    def walk(self, score, n, *, step, count, rng):
        """n of the chains, after `count` more Langevin steps (10.11).   Shapes: → (n, …)

        Raises:   ShapeError if there are not so many.
        """
        if n > len(self.states):
            raise ShapeError(f"Chains.walk: {n} of {len(self.states)} chains were asked for")
        chosen = rng.choice(len(self.states), size=n, replace=False)
        x = self.states[chosen]
        fresh = rng.random(n) < self.restart
        x[fresh] = self.first[rng.integers(len(self.first), size=fresh.sum())]
        x = langevin(score, x, step=step, count=count, rng=rng)
        self.states[chosen] = x
        return x


def _cleaned(score, x, sigma):
    with autograd.no_grad():
        return x + x.dtype.type(sigma**2) * _same(score(x, sigma), x)


def _falling(name, sigmas):
    sigmas = np.asarray(sigmas, dtype=np.float64)
    if sigmas.ndim != 1 or not len(sigmas) or np.any(np.diff(sigmas) >= 0) or sigmas[-1] <= 0:
        raise MinigenError(f"{name}: sigmas are {sigmas}; expected falling positive numbers")
    return sigmas


def _same(slope, x):
    """The score in the type of x."""
    return np.asarray(slope, dtype=x.dtype)


def _length(x):
    """The mean over the examples of |x|."""
    return float(np.sqrt((x.reshape(len(x), -1).astype(np.float64) ** 2).sum(1)).mean())
