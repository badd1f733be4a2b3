"""The Dirac-GAN: the smallest game in which adversarial training goes wrong, and what mends it, by eigenvalues.

All data is at one point, 0. The generator has one parameter θ and forges the point θ. The discriminator has one, ψ,
and the logit t(x) = ψ x. A real sample has t(0) = 0, a forged one u = ψθ. The game (8.1) is

    L_D(θ, ψ) = softplus(0) + softplus(ψθ),      L_G(θ, ψ) = −softplus(ψθ).                           (8.20)

The only equilibrium is θ = ψ = 0: the forgery is perfect and the discriminator shrugs. Both going downhill at once,

    dθ/ds = −∂L_G/∂θ = ψ σ(u),      dψ/ds = −∂L_D/∂ψ = −θ σ(u),                                       (8.21)

so d(θ² + ψ²)/ds = 2θψσ − 2ψθσ = 0: it circles for ever at the same distance. Near 0, where σ = ½, it is linear:

    d/ds (θ, ψ) = J (θ, ψ),      J = [[0, ½], [−½, 0]],      eigenvalues ± i/2.                       (8.22)

Steps of finite size h leave the circle along its tangent: θ² + ψ² is multiplied by 1 + h²σ(u)², always more than 1.
Simultaneous gradient descent spirals *outward*, for every step size.                                 (8.23)

With the non-saturating L_G = softplus(−u), dθ/ds = ψ σ(−u), and d(θ² + ψ²)/ds = 2u (1 − 2σ(u)) ≤ 0: it comes nearer,
but by about −u² only, nothing to speak of near 0, where J is the same as before. In steps, what (8.23) adds and this
takes away balance on a circle of some size. The Wasserstein game has u in place of softplus(u): J = [[0, 1], [−1, 0]],
everywhere and not only near 0.

**R1** adds (γ/2) |t′(0)|² = (γ/2) ψ² to L_D, hence −γψ to dψ/ds:

    J = [[0, ½], [−½, −γ]],      eigenvalues −γ/2 ± √(γ² − 1)/2.                                      (8.24)

Their real part is negative for every γ > 0: it spirals inward; at γ = 1 the root vanishes and it comes home fastest.
With steps, |1 + hλ| < 1 holds for γ < 1 if h < 4γ (|1 + hλ|² = 1 − hγ + h²/4).

Taking turns (ψ first, then θ with the new ψ) multiplies by a product of two shears near 0. Its determinant is 1, and
for 0 < h < 4 both eigenvalues lie on the unit circle: it circles for ever at about the same distance.  (8.25)

Source: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406.  Differs: L_D is made small, where theirs is made large.
"""

import numpy as np

from minigen.errors import MinigenError

GAMES = ("saturating", "non-saturating", "wasserstein")


def gradients(theta, psi, *, gamma=0.0, game="saturating"):
    """The directions of descent dθ/ds and dψ/ds of (8.21), with −γψ from R1.   Shapes: (…) and (…) → (…) and (…)"""
    if game not in GAMES:
        raise MinigenError(f"dirac_gan: game is {game!r}; expected one of {', '.join(GAMES)}")
    if game == "wasserstein":
        return psi, -theta - gamma * psi
    forged = 1 / (1 + np.exp(-psi * theta))  # σ(ψθ), how real the forgery looks
    return psi * (forged if game == "saturating" else 1 - forged), -theta * forged - gamma * psi


def jacobian(*, gamma=0.0, game="saturating"):
    """J of (8.22) or (8.24), the linear system near the equilibrium.   Shapes: → (2, 2)"""
    c = 1.0 if game == "wasserstein" else 0.5
    return np.array([[0.0, c], [-c, -gamma]])


def step_matrix(rate, *, gamma=0.0, game="saturating", turns=False):
    """What one step multiplies (θ, ψ) with, near the equilibrium: (8.23), or (8.25) if they take turns. (2, 2)"""
    j = rate * jacobian(gamma=gamma, game=game)
    if not turns:
        return np.eye(2) + j
    first, second = np.eye(2), np.eye(2)
    first[1], second[0] = first[1] + j[1], second[0] + j[0]
    return second @ first


def play(steps, *, rate, gamma=0.0, game="saturating", start=(1.0, 1.0), turns=False):
    """The path of (θ, ψ) in steps of gradient descent, the start included.   Shapes: → (steps + 1, 2)"""
    path = np.empty((steps + 1, 2))
    path[0] = theta, psi = start
    for i in range(steps):
        of_theta, of_psi = gradients(theta, psi, gamma=gamma, game=game)
        psi = psi + rate * of_psi
        if turns:
            of_theta, _ = gradients(theta, psi, gamma=gamma, game=game)
        theta = theta + rate * of_theta
        path[i + 1] = theta, psi
    return path
