"""Exercises of lesson 13, flows and hybrids."""

import numpy as np

from minigen.learn import bends
from minigen.learn.exercise import Exercise, Mistake
from minigen.models.dequantisation import Dequantised
from minigen.models.distillation import Consistency
from minigen.models.realnvp import Coupling

# -- 13.1 a log-determinant -------------------------------------------------------------------------------------------


def _end(ending):
    return lambda *given: bends.bent_log_det(*given, ending=ending)


LOG_DET = Exercise(
    id="13.1",
    title="The log-determinant of any map",
    signature="my_log_det(forward, x)",
    reference=bends.log_det,
    solution=(bends.jacobian, bends.log_det),
    cases=lambda rng: [(bends.bent, rng.normal(size=(4, 3))), (bends.mirrored, rng.normal(size=(3, 2)))],
    hints=(
        "First the Jacobians, (B, D, D). Each example depends on its own x only, so the gradient of the *sum over the "
        "batch* of output d is row d of every Jacobian at once.",
        "x = mg.tensor(x, requires_grad=True); z = forward(x); mg.grad(z[:, d].sum(), x)[0].data is (B, D), row d. "
        "np.stack the rows on axis 1.",
        "rows = [mg.grad(z[:, d].sum(), x)[0].data for d in range(x.shape[1])]; return np.linalg.slogdet("
        "np.stack(rows, axis=1))[1].",
    ),
    mistakes=(
        Mistake("That is the determinant; (13.1) has the logarithm of its absolute value.", _end(np.linalg.det)),
        Mistake("That is |det|; (13.1) has its logarithm.", _end(lambda j: np.abs(np.linalg.det(j)))),
        Mistake("The map may turn space over: its determinant is negative then, and only |det| has a logarithm.",
                _end(lambda j: np.log(np.linalg.det(j)))),
        Mistake("The product of the diagonal is the determinant of a *triangular* matrix only, (13.6); these are not.",
                _end(lambda j: np.log(np.abs(np.diagonal(j, axis1=1, axis2=2))).sum(1))),
        Mistake("That is the trace, the rate at which a volume grows in a flow of continuous time. For a step that is "
                "not small you need log |det|.", _end(lambda j: np.trace(j, axis1=1, axis2=2))),
        Mistake("That is the inverse's log-determinant: the sign, (13.3).", _end(lambda j: -np.linalg.slogdet(j)[1])),
        Mistake("Wanted is one number for each example; you added them up.",
                _end(lambda j: np.linalg.slogdet(j)[1].sum())),
        Mistake("slogdet returns two things, the sign and the logarithm; you returned the sign.",
                _end(lambda j: np.linalg.slogdet(j)[0])),
    ),
    afterword="D backward passes and D³ operations: right for any map, and what every layer of this lesson avoids.",
)  # fmt: skip

# -- 13.2 a coupling --------------------------------------------------------------------------------------------------


def _couple(**other):
    return lambda *given: bends.bent_coupling(*given, **other)


COUPLING = Exercise(
    id="13.2",
    title="A coupling, there and back",
    signature="my_coupling(x, network, back)",
    reference=bends.coupling,
    solution=(bends.bent_coupling, Coupling),
    observe=bends.there_and_back,
    cases=lambda rng: [(rng.normal(size=(3, 4)), bends.half_network, False),
                       (rng.normal(size=(3, 4)), bends.half_network, True),
                       (rng.normal(size=(2, 2)), bends.half_network, False)],
    hints=(
        "Cut x into a = x[:, :D//2] and b = the rest, and ask s, t = network(a). On the way back the first half of z "
        "*is* a, so the same question gets the same answer.",
        "There: b e^s + t, log_det = Σ s over the numbers of one example. Back: (b − t) e^−s, log_det = −Σ s.",
        "half = x.shape[1] // 2; a, b = x[:, :half], x[:, half:]; s, t = network(a); b = (b - t) * np.exp(-s) if back "
        "else b * np.exp(s) + t; return np.concatenate([a, b], axis=1), (-s if back else s).sum(axis=1).",
    ),
    mistakes=(
        Mistake("On the way back the log-determinant changes its sign, (13.3).", _couple(sign=1.0)),
        Mistake("Undo in reverse order: first subtract t, then multiply with e^−s.",
                _couple(home=lambda b, s, t: b * np.exp(-s) - t)),
        Mistake("The stretch is e^s, (13.10); you multiplied with s itself.",
                _couple(there=lambda b, s, t: b * s + t, home=lambda b, s, t: (b - t) / s)),
        Mistake("On the way back you show the network the half that was moved. It must see what it saw on the way "
                "there: the half that was kept.", _couple(seen="second")),
        Mistake("log g′ = s: the log-determinant is the sum of s, not of e^s.",
                _couple(total=lambda s: np.exp(s).sum(1))),
        Mistake("The log-determinant is one number per example: the sum over the numbers that were moved.",
                _couple(total=lambda s: s)),
        Mistake("The determinant of a triangular matrix is a product, so logarithms are *added*; you took their mean.",
                _couple(total=lambda s: s.mean(1))),
        Mistake("You added up the whole batch; wanted is one log-determinant per example.",
                _couple(total=lambda s: s.sum())),
        Mistake("Undoing b e^s + t means (b − t) e^−s; you multiplied with e^s again.",
                _couple(home=lambda b, s, t: (b - t) * np.exp(s))),
    ),
    afterword="What came back is x to fifteen digits, whatever the network says: it was never inverted.",
)  # fmt: skip

# -- 13.3 the mass of a density ---------------------------------------------------------------------------------------


def _mass(**other):
    return lambda *given: bends.bent_mass(*given, **other)


MASS = Exercise(
    id="13.3",
    title="Does it integrate to 1?",
    signature="my_mass(log_prob, low, high, n)",
    reference=bends.mass,
    solution=(bends.bent_mass,),
    cases=lambda rng: [(bends.wide_hill, -6.0, 6.0, 60), (bends.wide_hill, 0.0, 3.0, 25),
                       (bends.without_its_stretch, -4.0, 4.0, 80)],
    hints=(
        "Cut each side into n parts of length h = (high − low)/n. The n midpoints of the parts are low + h (i + ½).",
        "np.meshgrid makes all pairs of two sides; stacked and reshaped to (n², 2) they can be given to log_prob. What "
        "is the area that each point stands for?",
        "side = low + h * (np.arange(n) + 0.5); points = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2); return "
        "np.exp(log_prob(points)).sum() * h**2.",
    ),
    mistakes=(
        Mistake("Each point stands for a little square of area h²; you added up densities only.",
                _mass(area=lambda h: 1.0)),
        Mistake("Each point stands for a little *square*: its area is h², not h.", _mass(area=lambda h: h)),
        Mistake("That is the mean density; times the whole area it would be the integral.",
                lambda log_prob, low, high, n: bends.mass(log_prob, low, high, n) / (high - low) ** 2),
        Mistake("You added up log p; probability is what adds up, p = e^(log p).", _mass(of=lambda x: x)),
        Mistake("You took the left edges of the parts; wanted are the midpoints, half a step further.",
                _mass(at=lambda low, high, n: np.linspace(low, high, n, endpoint=False))),
        Mistake("np.linspace(low, high, n) begins and ends at the edges; wanted are the midpoints of n parts.",
                _mass(at=lambda low, high, n: np.linspace(low, high, n))),
        Mistake("np.linspace(low, high, n) begins and ends at the edges, and has steps of (high − low)/(n − 1); wanted "
                "are the midpoints of n parts.",
                lambda log_prob, low, high, n: bends.bent_mass(
                    log_prob, low, high, n, at=np.linspace, area=lambda h: ((high - low) / (n - 1)) ** 2)),
        Mistake("Those are the points of the diagonal, (a, a); the square has n² points.", _mass(plane=False)),
    ),
    afterword="The second case is the mass of a part of the plane; the third comes to ¼, so that was no density.",
)  # fmt: skip

# -- 13.4 dequantisation ----------------------------------------------------------------------------------------------


def _bins(**other):
    return lambda *given: bends.bent_bounds(*given, **other)


BOUNDS = Exercise(
    id="13.4",
    title="Whole numbers: the probability of a bin, and its bound",
    signature="my_bounds(log_p, levels, n)",
    reference=bends.bounds,
    solution=(bends.bent_bounds, Dequantised),
    observe=bends.two_rows,
    cases=lambda rng: [(bends.sloping, 4, 50), (bends.peaked, 4, 80)],
    hints=(
        "For the level k the places are k + (i + ½)/n, i = 0 … n − 1: the midpoints of n parts of the bin. Both "
        "integrals over the bin become means over these.",
        "(13.27) is a mean of p, of which you take the logarithm afterwards. (13.28) with q = 1 is a mean of log p.",
        "u = (np.arange(n) + 0.5) / n; values = np.stack([log_p(k + u) for k in range(levels)]); return "
        "np.log(np.exp(values).mean(1)), values.mean(1).",
    ),
    mistakes=(
        Mistake("The two have changed places: log P is the logarithm of a mean, and the larger one.",
                lambda *given: bends.bounds(*given)[::-1]),
        Mistake("Your noise fills half of the bin. P(k) is the integral over all of it.", _bins(reach=0.5)),
        Mistake("That is P; wanted is log P.", _bins(exact=lambda v: np.exp(v).mean(1))),
        Mistake("log P is the log of the *mean* of p over the bin; you took the sum.",
                _bins(exact=lambda v: np.log(np.exp(v).sum(1)))),
        Mistake("A bin is 1 wide, so its integral is the mean over it; you took sums.",
                _bins(exact=lambda v: np.log(np.exp(v).sum(1)), bound=lambda v: v.sum(1))),
        Mistake("Both of yours are the exact one. In the bound the logarithm stands inside of the mean.",
                _bins(bound=lambda v: np.log(np.exp(v).mean(1)))),
        Mistake("Both of yours are the bound. For log P take the mean of p first, and the logarithm afterwards.",
                _bins(exact=lambda v: v.mean(1))),
        Mistake("The bound is a mean of log p over the bin; you took the sum.", _bins(bound=lambda v: v.sum(1))),
        Mistake("The second is the mean of p; the bound is the mean of log p.",
                _bins(bound=lambda v: np.exp(v).mean(1))),
    ),
    afterword="The gap is largest where p changes most within a bin, as (13.28) says.",
)  # fmt: skip

# -- 13.5 flow matching on Gaussians ----------------------------------------------------------------------------------


def _v(**other):
    return lambda *given: bends.bent_velocity(*given, **other)


VELOCITY = Exercise(
    id="13.5",
    title="The marginal velocity of a Gaussian",
    signature="my_velocity(x, t, m, s)",
    reference=bends.velocity,
    solution=(bends.bent_velocity,),
    cases=lambda rng: [(rng.normal(size=4), 0.3, 0.0, 0.5), (rng.normal(size=4), 0.7, 1.5, 2.0),
                       (rng.normal(size=3), 0.9, -1.0, 0.1)],
    hints=(
        "x₀, ε and x_t are jointly Gaussian, and for such the mean of one given another is a straight line: "
        "E[u | x] = E u + cov(u, x)/var(x) · (x − E x).",
        "With u = ε − x₀ and x_t = (1 − t) x₀ + t ε: E u = −m, E x_t = (1 − t) m. x₀ and ε are independent, so "
        "cov(u, x_t) = t − (1 − t) s². And var(x_t)?",
        "return -m + (t - (1 - t) * s**2) / ((1 - t)**2 * s**2 + t**2) * (x - (1 - t) * m).",
    ),
    mistakes=(
        Mistake("The mean of ε − x₀ is −m; you left it out.", _v(mean=lambda t, m, s: 0.0)),
        Mistake("The mean of ε − x₀ is −m; you have + m.", _v(mean=lambda t, m, s: m)),
        Mistake("The line goes through (E x_t, E u): subtract (1 − t) m from x.", _v(centre=lambda t, m, s: 0.0)),
        Mistake("The mean of x_t is (1 − t) m; you subtracted m.", _v(centre=lambda t, m, s: m)),
        Mistake("Variances: s² where you have s.",
                _v(slope=lambda t, m, s: (t - (1 - t) * s) / ((1 - t) ** 2 * s + t**2))),
        Mistake("In cov(ε − x₀, x_t) the data's part is negative: t − (1 − t) s².",
                _v(slope=lambda t, m, s: (t + (1 - t) * s**2) / ((1 - t) ** 2 * s**2 + t**2))),
        Mistake("Independent parts add their variances with *squared* factors: (1 − t)² s² + t².",
                _v(slope=lambda t, m, s: (t - (1 - t) * s**2) / ((1 - t) * s**2 + t))),
        Mistake("That is E[ε | x_t], a part of it: the velocity is ε − x₀.",
                _v(mean=lambda t, m, s: 0.0, slope=lambda t, m, s: t / ((1 - t) ** 2 * s**2 + t**2))),
        Mistake("That is E[x₀ | x_t], a part of it: the velocity is ε − x₀.",
                _v(mean=lambda t, m, s: m, slope=lambda t, m, s: (1 - t) * s**2 / ((1 - t) ** 2 * s**2 + t**2))),
        Mistake("Yours goes from noise to data, x₀ − ε. Here time runs from data to noise.",
                lambda *given: -bends.velocity(*given)),
        Mistake("In your path t = 1 is the data. Here it is the noise, x_t = (1 − t) x₀ + t ε.",
                lambda x, t, m, s: bends.velocity(x, 1 - t, m, s)),
        Mistake("That is the velocity if x₀ were m for certain; it is spread by s.",
                lambda x, t, m, s: (x - m) / t),
    ),
    afterword="At s = 1, m = 0 it is (2t − 1)/((1 − t)² + t²) · x: inwards first, then outwards. Even a Gaussian's "
              "paths are not straight.",
)  # fmt: skip

# -- 13.6 the boundary ------------------------------------------------------------------------------------------------


def _leap(**other):
    return lambda *given: bends.bent_leap(*given, **other)


LEAP = Exercise(
    id="13.6",
    title="A function that is right at the end",
    signature="my_leap(network, y, ratio, lowest, size)",
    reference=bends.leap,
    solution=(bends.bent_leap, Consistency.coefficients),
    observe=bends.at_the_border,
    cases=lambda rng: [(bends.some_network, rng.normal(size=(3, 2)), np.array([0.5, 2.0, 10.0]), 0.1, 1.0),
                       (bends.some_network, rng.normal(size=(3, 2)), np.array([0.3, 0.4, 5.0]), 0.2, 0.5)],
    hints=(
        "Three coefficients from (13.72), each (B,); give them a second axis, (B, 1), before you multiply with (B, D).",
        "What is to be zero at ς_min has ς − ς_min in it: c_out, and the first term under c_skip. The roots have ς.",
        "r = ratio[:, None]; skip = size**2 / ((r - lowest)**2 + size**2); root = np.sqrt(r**2 + size**2); return skip "
        "* y + size * (r - lowest) / root * network(y / root, ratio).",
    ),
    mistakes=(
        Mistake("At ς_min your f is not y: c_skip and c_out have ς where (13.72) has ς − ς_min.",
                _leap(skip=lambda r, low, d: d**2 / (r**2 + d**2), out=lambda r, low, d: d * r / np.hypot(r, d))),
        Mistake("c_skip has ς − ς_min below, so that it is 1 at ς_min.",
                _leap(skip=lambda r, low, d: d**2 / (r**2 + d**2))),
        Mistake("c_out has ς − ς_min above, so that it is 0 at ς_min: there the network must not count.",
                _leap(out=lambda r, low, d: d * r / np.hypot(r, d))),
        Mistake("The network is shown c_in y, of size 1 at any level of noise; you showed it y.",
                _leap(into=lambda r, low, d: np.ones_like(r))),
        Mistake("That is the network alone: nothing makes it right at ς_min.",
                _leap(skip=lambda r, low, d: 0.0 * r, out=lambda r, low, d: np.ones_like(r))),
        Mistake("c_skip has squares: σ_d² / ((ς − ς_min)² + σ_d²).",
                _leap(skip=lambda r, low, d: d / (r - low + d))),
        Mistake("c_out has σ_d above as well.", _leap(out=lambda r, low, d: (r - low) / np.hypot(r, d))),
        Mistake("You took σ_d = 1; the data's deviation is given, `size`.",
                lambda network, y, ratio, lowest, size: bends.bent_leap(network, y, ratio, lowest, 1.0)),
    ),
    afterword="Half of (13.71) is now true for any weights; the loss has only the other half to teach.",
)  # fmt: skip

# -- 13.7 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="13.7",
    title="Open: a flow made by hand",
    signature="my_bijection()",
    judge=bends.better_bend,
    solution=(bends.straightened,),
    hints=(
        "On a half circle with noise, which two numbers are independent of each other? Change to these first.",
        "Distance and angle: r = |x|, φ = arctan2(x₂, x₁). An area dx₁ dx₂ is r dr dφ, so this step has the "
        "log-determinant −log r. Then shift and scale both to mean 0 and width 1.",
        "z = ((r − 1)/0.1, (φ − π/2)/0.9), log_det = −log r − log 0.1 − log 0.9; back: r = 1 + 0.1 z₁, φ = π/2 + "
        "0.9 z₂, x = (r cos φ, r sin φ). The angle is even between 0 and π: could you make it a bell?",
    ),
)

EXERCISES = [LOG_DET, COUPLING, MASS, BOUNDS, VELOCITY, LEAP, OPEN]
