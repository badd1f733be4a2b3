"""Lesson 06's small tools for models that read one number after the other: what its exercises compare with.

Some have a choice left open (a keyword with a default), so that a typical mistake is the same function with that choice
made wrongly.
"""

import itertools

import numpy as np

import minigen as mg
from minigen.distributions import DiscretizedLogistic
from minigen.learn.exercise import WrongForm
from minigen.learn.observers import three_draws


def all_pictures(pixels):
    """Every picture of `pixels` zeros and ones, as if counting in binary: (2^pixels, pixels)."""
    return np.array(list(itertools.product((0, 1), repeat=pixels)))


def slopes(network, x):
    """The derivative of every output with respect to every input of its own example.

    Shapes:   network (B, D) → (B, D) Tensors; x (B, D) → (D outputs, B, D inputs)
    """
    x = mg.tensor(x, requires_grad=True)
    outputs = network(x)
    return np.stack([mg.grad(outputs[:, d].sum(), x)[0].data for d in range(outputs.shape[1])])


def largest_slopes(network, x):
    """The largest |∂ output d / ∂ input e| over a batch: 0 where an output does not depend on an input.

    Shapes:   network (B, D) → (B, D) Tensors; x (B, D) → (D outputs, D inputs)
    """
    return np.abs(slopes(network, x)).max(axis=1)


def total_probability(log_prob, pixels):
    """Σ_x p(x) over all pictures of zeros and ones.   Shapes: log_prob (B, D) → (B,) arrays"""
    return float(np.sum(np.exp(log_prob(all_pictures(pixels)))))


def sample_bits(conditional, pixels, n, rng, *, sees=True, decide=None):
    """n pictures of zeros and ones, pixel by pixel.

    conditional:  (x, d) → P(x_d = 1 | x_1 … x_{d−1}) of every picture
    sees, decide: left open for mistakes: whether a pixel is told what was drawn before it; what becomes of the
                  probabilities (n,), by default a coin for each picture
    Equation: (6.17)
    Shapes:   conditional: x (n, D) → (n,); result (n, D)
    """
    decide = decide or (lambda p: rng.random(n) < p)
    x = np.zeros((n, pixels), dtype=np.int64)
    for d in range(pixels):
        x[:, d] = decide(conditional(x if sees else np.zeros_like(x), d))
    return x


def sampled_pictures(function, conditional, pixels, n, rng):
    """What sampled pictures must satisfy, whichever way each was drawn (exercise 06.4)."""
    draws = three_draws(function, conditional, pixels, n, rng=rng)
    x, again, repeated = (np.asarray(getattr(draw, "data", draw)) for draw in draws)
    if x.shape != (n, pixels):
        raise WrongForm(f"It returned shape {x.shape}, wanted {(n, pixels)}: n pictures of {pixels} pixels each.")
    if x.dtype.kind not in "biuf" or not np.all((x == 0) | (x == 1)):
        raise WrongForm("Pixels must be 0 or 1: a coin for each, not its probability.")
    number = x.astype(np.int64) @ (2 ** np.arange(pixels)[::-1])
    return {
        "same generator, same pictures (1 yes, 0 no)": float(np.array_equal(x, repeated)),
        "new pictures in a second call (1 yes, 0 no)": float(not np.array_equal(x, again)),
        "share of each picture, 000 to 111": np.bincount(number, minlength=2**pixels) / n,
    }


def log_mass(k, place, scale, levels, *, half=None, tails=(True, True)):
    """log P(k) of a logistic bell cut into `levels` whole values.

    half, tails:  left open for mistakes: half a bin's width; whether the first and the last value take the tails
    Equation:     (6.14) to (6.16)
    Shapes:       k, place, scale (B,) → (B,)
    """
    if half is None and all(tails):
        return DiscretizedLogistic(place, mg.log(scale), bins=levels).log_prob(k)
    half = 1 / (levels - 1) if half is None else half
    x = 2 * k / (levels - 1) - 1
    above = -mg.softplus(-(x + half - place) / scale)  # log σ(b)
    below = -mg.softplus((x - half - place) / scale)  # log σ(−a)
    inner = above + below + mg.log(-mg.expm1(-2 * half / scale))
    first, last = ((k == end) & tail for end, tail in zip((0, levels - 1), tails, strict=True))
    return mg.where(first, above, mg.where(last, below, inner))


def plain_mass(k, place, scale, levels):
    """P(k) as the difference of two sigmoids, tails included: (6.14) as it stands.   Shapes: (B,) → (B,)"""
    k = np.asarray(k)
    x, half = 2 * k / (levels - 1) - 1, 1 / (levels - 1)
    upper = mg.where(k == levels - 1, 1.0, mg.sigmoid((x + half - place) / scale))
    return upper - mg.where(k == 0, 0.0, mg.sigmoid((x - half - place) / scale))


def blind_spot(height, width, i, j, kernel, *, m=None, later=False, row=False, side=1):
    """The pixels before (i, j) that no number of masked kernel × kernel convolutions shows to the output there.

    m, later, row, side:  left open for mistakes: columns to the right per row up; whether pixels after (i, j), or
                          those of its own row, count as well; +1 for the right side, −1 for the left
    Equation: (6.8)
    Shapes:   → (height, width), True where it is blind
    """
    rows, columns = np.mgrid[:height, :width]
    up, right = i - rows, side * (columns - j)
    m = (kernel - 1) // 2 if m is None else m
    blind = (up > 0) & (right > m * up)
    blind |= row & (up == 0) & (columns < j)
    return blind | (later & ((up < 0) | ((up == 0) & (columns >= j))))
