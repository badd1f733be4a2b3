"""What the exercises of lesson 13 are compared with, and what several of their typical mistakes have in common."""

import numpy as np

import minigen as mg
from minigen.data.toy2d import NoisyCurve
from minigen.learn.exercise import WrongForm
from minigen.models.distillation import Consistency
from minigen.models.flow_matching import Straight
from minigen.models.realnvp import Coupling

# -- the log-determinant of any map -----------------------------------------------------------------------------------

_DICE = np.random.default_rng(13)
MATRIX, TURN = _DICE.normal(size=(3, 3)), np.array([[0.6, 0.8], [0.8, -0.6]])


def bent(x):
    """A smooth map of three numbers, each bent by the others.   Shapes: a Tensor (B, 3) → (B, 3)"""
    return x + 0.3 * mg.tanh(x @ MATRIX)


def mirrored(x):
    """A map of the plane that turns it over: its determinant is negative.   Shapes: a Tensor (B, 2) → (B, 2)"""
    y = x @ TURN
    return y + 0.2 * mg.tanh(y)


def jacobian(forward, x):
    """∂z/∂x of each example.   Shapes: forward: a Tensor (B, D) → (B, D); x (B, D) → (B, D, D), an array"""
    x = mg.tensor(np.asarray(x, dtype=np.float64), requires_grad=True)
    z = forward(x)
    return np.stack([mg.grad(z[:, d].sum(), x)[0].data for d in range(x.shape[1])], axis=1)


def log_det(forward, x):
    """log |det ∂z/∂x| of each example, D backward passes and a determinant.   Shapes: as `jacobian` → (B,)"""
    return np.linalg.slogdet(jacobian(forward, x))[1]


def bent_log_det(forward, x, *, ending):
    """The same with the end left open: what becomes of the Jacobians (B, D, D)."""
    return ending(jacobian(forward, x))


# -- a coupling -------------------------------------------------------------------------------------------------------


class _Told:
    """The function of an exercise, (B, D/2) → s, t, as the network that `Coupling` asks."""

    def __init__(self, network, kept):
        self.network, self.kept = network, kept

    def __call__(self, x):
        return mg.tensor(np.stack(self.network(x.data[:, : self.kept]), axis=-1))  # (B, N, 2)


class _Line:
    """z = x e^s + t for numbers s, t that are given as they are."""

    def forward(self, x, numbers):
        return x * mg.exp(numbers[..., 0]) + numbers[..., 1], numbers[..., 0]

    def inverse(self, z, numbers):
        return (z - numbers[..., 1]) * mg.exp(-numbers[..., 0]), -numbers[..., 0]


def coupling(x, network, back):
    """The package's coupling that keeps the first half.   Shapes: x (B, D) → (B, D), (B,), arrays"""
    half = x.shape[1] // 2
    layer = Coupling(np.arange(x.shape[1]) < half, _Told(network, half), _Line())
    return tuple(part.data for part in (layer.inverse if back else layer)(mg.tensor(x)))


def bent_coupling(x, network, back, *, there=None, home=None, seen=None, total=None, sign=-1.0, kept=None):
    """The same with choices left open.

    there, home:  what moves the second half, and what moves it back, from (it, s, t)
    seen:         which half the network is shown on the way back;  kept: what becomes of the first half
    total:        the log-determinant from s (B, N), and `sign` its sign on the way back
    """
    half = x.shape[1] // 2
    first, second = x[:, :half], x[:, half:]
    s, t = network(second if back and seen == "second" else first)
    go = there or (lambda b, s, t: b * np.exp(s) + t)
    come = home or (lambda b, s, t: (b - t) * np.exp(-s))
    moved = come(second, s, t) if back else go(second, s, t)
    stretched = (total or (lambda s: s.sum(1)))(s)
    return np.concatenate([first if kept is None else kept(first), moved], axis=1), stretched * (sign if back else 1.0)


def there_and_back(function, x, network, back):
    """What a coupling returns one way, its log-determinant, and where the other way leads from there."""
    found = function(x, network, back)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise WrongForm("Wanted are two arrays: return z, log_det.")
    return {"moved": found[0], "log det": found[1],
            "there and back": function(np.asarray(found[0]), network, not back)[0]}


def half_network(a):
    """s and t of two numbers.   Shapes: (B, N) → two of (B, N)"""
    return 0.8 * np.tanh(a[:, ::-1] + 0.5), a**2 - 0.3


# -- the mass of a density --------------------------------------------------------------------------------------------


def mass(log_prob, low, high, n):
    """∫ p over a square, by the midpoints of n × n little squares.   Shapes: log_prob: (m, 2) → (m,); → a number"""
    return bent_mass(log_prob, low, high, n)


def bent_mass(log_prob, low, high, n, *, at=None, area=None, of=np.exp, plane=True):
    """The same with choices left open: the places along a side, the area of a little square, what is added up of
    log p, and whether all pairs of places are taken or only the diagonal."""
    h = (high - low) / n
    side = low + h * (np.arange(n) + 0.5) if at is None else at(low, high, n)
    points = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2) if plane else np.stack([side, side], -1)
    return float(np.sum(of(log_prob(points)))) * (h * h if area is None else area(h))


def wide_hill(x):
    """log density of N((1, 0), I).   Shapes: (m, 2) → (m,)"""
    return -0.5 * ((x - [1.0, 0.0]) ** 2).sum(1) - np.log(2 * np.pi)


def without_its_stretch(x):
    """log p_Z(2x) without the log-determinant 2 log 2: no density.   Shapes: (m, 2) → (m,)"""
    return -0.5 * ((2 * x) ** 2).sum(1) - np.log(2 * np.pi)


# -- dequantisation by enumeration ------------------------------------------------------------------------------------


def bounds(log_p, levels, n):
    """log P(k) of (13.27), and the bound (13.28) with uniform noise, by n midpoints of each bin.

    Shapes:   log_p: (m,) → (m,); → two of (levels,)
    """
    return bent_bounds(log_p, levels, n)


def bent_bounds(log_p, levels, n, *, reach=1.0, exact=None, bound=None):
    """The same with choices left open: how much of the bin the noise fills; both results from log p (levels, n)."""
    values = log_p((np.arange(levels)[:, None] + reach * (np.arange(n) + 0.5) / n).ravel()).reshape(levels, n)
    first = np.log(np.exp(values).mean(1)) if exact is None else exact(values)
    return first, values.mean(1) if bound is None else bound(values)


def two_rows(function, log_p, levels, n):
    """The two arrays of exercise 13.4 by their names."""
    found = function(log_p, levels, n)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise WrongForm("Wanted are two arrays: return log_P, bound.")
    return {"log P": np.asarray(found[0]), "bound": np.asarray(found[1])}


def sloping(y):
    """log of the density y/8 on [0, 4).   Shapes: (m,) → (m,)"""
    return np.log(y / 8)


def peaked(y):
    """log density of a narrow and a wide hill.   Shapes: (m,) → (m,)"""
    mean, width = np.array([[1.3], [2.0]]), np.array([[0.2], [0.8]])
    return np.log(np.mean(np.exp(-0.5 * ((y - mean) / width) ** 2) / (width * np.sqrt(2 * np.pi)), axis=0))


# -- the marginal velocity of a Gaussian ------------------------------------------------------------------------------


def velocity(x, t, m, s):
    """E[ε − x₀ | x_t = x] for x₀ ~ N(m, s²), numbers.   Shapes: x (n,) → (n,)

    Equation: a mean given a jointly Gaussian number is a line, mean + cov/var · (x − mean of x)
    """
    return bent_velocity(x, t, m, s)


def bent_velocity(x, t, m, s, *, mean=None, centre=None, slope=None):
    """The same with choices left open: the mean of ε − x₀, that of x_t, and cov/var, from (t, m, s)."""
    alpha = 1 - t
    of_u = -m if mean is None else mean(t, m, s)
    of_x = alpha * m if centre is None else centre(t, m, s)
    share = (t - alpha * s**2) / (alpha**2 * s**2 + t**2) if slope is None else slope(t, m, s)
    return of_u + share * (x - of_x)


# -- a consistency function -------------------------------------------------------------------------------------------


def leap(network, y, ratio, lowest, size):
    """f(y, ς) of (13.72) by the package.   Shapes: network: (c_in y (B, D), ς (B,)) → (B, D); y (B, D), ς (B,)"""
    schedule = Straight()
    first, last, *t = schedule.time_of(-2 * np.log([lowest, np.max(ratio) + 1.0, *ratio]))
    model = Consistency(lambda seen, _: mg.tensor(network(seen.data, ratio)), schedule, [first, last], sigma_data=size)
    x = model(mg.tensor(y * schedule.alpha(t)[:, None]), np.array(t))
    return x.data / schedule.alpha(model.times[0])


def bent_leap(network, y, ratio, lowest, size, *, skip=None, out=None, into=None):
    """The same with choices left open: c_skip, c_out and c_in from (ς, ς_min, σ_d)."""
    given = np.reshape(ratio, (-1, 1)), lowest, size
    c_skip = (lambda r, low, d: d**2 / ((r - low) ** 2 + d**2)) if skip is None else skip
    c_out = (lambda r, low, d: d * (r - low) / np.sqrt(r**2 + d**2)) if out is None else out
    c_in = (lambda r, low, d: 1 / np.sqrt(r**2 + d**2)) if into is None else into
    return c_skip(*given) * y + c_out(*given) * network(c_in(*given) * y, ratio)


def at_the_border(function, network, y, ratio, lowest, size):
    """f where it is asked, and f at ς_min, which must be y itself."""
    return {"f": function(network, y, ratio, lowest, size),
            "f at ς_min": function(network, y, np.full(len(y), lowest), lowest, size)}


def some_network(x, ratio):
    """What a network might say.   Shapes: (B, D), (B,) → (B, D)"""
    return np.tanh(x[:, ::-1] + 0.7) + 0.1 * np.log(np.reshape(ratio, (-1, 1)))


# -- the open exercise ------------------------------------------------------------------------------------------------

COUNT, ALLOWED = 4_000, 0.4  # points judged; nats above the floor that are allowed


def crescent(sigma=0.1):
    """Half a circle of radius 1 and noise: one of the two moons, a `NoisyCurve`."""
    return NoisyCurve([lambda t: np.stack([np.cos(t), np.sin(t)], -1)], lambda u: np.pi * u, sigma)


def straightened(width=0.9):
    """One answer to the open exercise: distance and angle, each shifted and scaled. Returns forward and inverse."""
    def forward(x):
        r, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
        return np.stack([(r - 1) / 0.1, (angle - np.pi / 2) / width], axis=1), -np.log(r * 0.1 * width)

    def inverse(z):
        r, angle = 1 + 0.1 * z[:, 0], np.pi / 2 + width * z[:, 1]
        return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)

    return forward, inverse


def better_bend(function):
    """Open exercise 13.7: a bijection made by hand that makes the crescent look like N(0, I)."""
    forward, inverse = _pair(function())
    truth = crescent()
    x = truth.sample(COUNT, rng=np.random.default_rng(7))
    z, stretched = _answer(forward, x)
    returned = np.asarray(inverse(z.copy()), dtype=float)
    if returned.shape != x.shape or not np.allclose(returned, x, atol=1e-5):
        return False, ("inverse(forward(x)[0]) is not x: the largest error must be below 1e-5. Undo the steps in "
                       "reverse order.")  # fmt: skip
    steps = [(_answer(forward, x + h)[0] - _answer(forward, x - h)[0]) / 2e-5 for h in 1e-5 * np.eye(2)]
    wanted = np.linalg.slogdet(np.stack(steps, axis=-1))[1]  # columns: (B, 2, 2)
    if not np.quantile(np.abs(wanted - stretched), 0.99) < 1e-3:  # a step may cross a kink, such as the angle's, once
        return False, (f"log_det is not that of your map: at the first point {stretched[0]:.3f}, by differences "
                       f"{wanted[0]:.3f}. Write ∂z/∂x down, step by step, and add the logarithms, (13.2).")  # fmt: skip
    log_p = -0.5 * (z**2).sum(1) - np.log(2 * np.pi) + stretched
    found, floor = float(-log_p.mean()), truth.entropy()
    text = f"−log p is {found:.3f} nats on average; the floor is {floor:.3f}."
    if found < floor - 0.1:  # five standard errors of so many points
        return False, f"{text} Nobody gets below the floor: somewhere your log_det is too large."
    if not found - floor <= ALLOWED:
        return False, f"{text} Allowed are {ALLOWED} above it. {_advice(z)}"
    return True, f"{text} Allowed were {ALLOWED} above it: your map does by hand what this lesson's flows learn."


def _pair(found):
    if not isinstance(found, tuple | list) or len(found) != 2 or not all(map(callable, found)):
        raise WrongForm("Wanted are two functions: return forward, inverse.")
    return found


def _answer(forward, x):
    found = forward(x.copy())
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise WrongForm("forward must return two arrays: z (B, 2) and log_det (B,).")
    z, stretched = (np.asarray(part, dtype=float) for part in found)
    if z.shape != x.shape or stretched.shape != x.shape[:1]:
        raise WrongForm(f"For {len(x)} points forward returned the shapes {z.shape} and {stretched.shape}; wanted are "
                        f"{x.shape} and {x.shape[:1]}.")  # fmt: skip
    return z, stretched


def _advice(z):
    mean, width = z.mean(0), z.std(0)
    if np.abs(mean).max() > 0.3 or width.max() > 1.5 or width.min() < 0.6:
        return (f"Your z have the means {mean.round(2)} and the widths {width.round(2)}; N(0, I) has 0 and 1. Shift "
                "and scale at the end.")  # fmt: skip
    return "Means and widths of z are those of N(0, I), but not the shape: straighten the bow first."
