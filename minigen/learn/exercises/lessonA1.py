"""Exercises of the appendix lesson A1, fast kernels."""

import math

import numpy as np

from minigen.learn.exercise import Exercise, Mistake, WrongForm

LOG_2 = math.log(2)

# -- A1.1 arithmetic intensity ----------------------------------------------------------------------------------------


def tile_intensity(rows, columns, depth):
    """Flop per byte of one tile of C = A B in float32: `depth` terms are summed, then the tile is written.  (A1.7)"""
    flop = 2 * rows * columns * depth
    numbers = depth * (rows + columns) + rows * columns
    return flop / (4 * numbers)


def _intensity(r, c, k, *, flop=2, size=4, read=None, written=None):
    """The intensity with one count done otherwise."""
    read = k * (r + c) if read is None else read
    written = r * c if written is None else written
    return flop * r * c * k / (size * (read + written))


INTENSITY = Exercise(
    id="A1.1",
    title="Arithmetic intensity of a tile",
    signature="my_intensity(rows, columns, depth)",
    reference=tile_intensity,
    cases=lambda rng: [(14, 32, 384), (1, 1, 1000), (64, 48, 96), (6, 16, 5), (3, 7, 1)],
    tolerance=1e-9,
    hints=(
        "Two counts, then divide. How many multiplications and additions does the tile cost? Which numbers go between "
        "memory and registers, each once?",
        "Of A: rows · depth numbers, of B: depth · columns, of C: rows · columns are written. A float32 has 4 bytes.",
        "2 * rows * columns * depth / (4 * (rows * depth + depth * columns + rows * columns)).",
    ),
    mistakes=(
        Mistake("You count numbers; a float32 has 4 bytes, and intensity is flop per byte.",
                lambda r, c, k: _intensity(r, c, k, size=1)),
        Mistake("Yours is half of it: a multiply-add is two flop, a multiplication and an addition; and a float32 has "
                "4 bytes, not 8.", lambda r, c, k: _intensity(r, c, k, flop=1)),
        Mistake("Writing the tile is missing: rows · columns numbers of C go to memory at the end.",
                lambda r, c, k: _intensity(r, c, k, written=0)),
        Mistake("C is written once and never read: the sums begin at zero in registers.",
                lambda r, c, k: _intensity(r, c, k, written=2 * r * c)),
        Mistake("You write C at every step of the sum; the tile stays in registers and is written once, at the end.",
                lambda r, c, k: _intensity(r, c, k, written=r * c * k)),
        Mistake("You read two numbers for every multiply-add, as the triple loop does. A tile uses each number of A "
                "for all its columns and each of B for all its rows: rows + columns numbers per step.",
                lambda r, c, k: _intensity(r, c, k, read=2 * r * c * k)),
        Mistake("You read two numbers for every multiply-add, as the triple loop does. A tile uses each number of A "
                "for all its columns and each of B for all its rows: rows + columns numbers per step.",
                lambda r, c, k: _intensity(r, c, k, read=2 * r * c * k, written=0)),
        Mistake("You read each operand for one step only; the sum has `depth` of them.",
                lambda r, c, k: _intensity(r, c, k, read=r + c)),
        Mistake("That is byte per flop, upside down.", lambda r, c, k: 1 / tile_intensity(r, c, k)),
    ),
    afterword="With depth → ∞ it tends to r·c / (2 (r + c)): the number on the chart's horizontal axis.",
)  # fmt: skip

# -- A1.2 a polynomial exp --------------------------------------------------------------------------------------------


def taylor_exp(x, degree):
    """eˣ = 2ⁿ · (Taylor polynomial of eʳ of this degree), with x = n log 2 + r, |r| ≤ ½ log 2.  (A1.10)"""
    n = np.rint(x / LOG_2)
    return np.ldexp(_taylor(x - n * LOG_2, degree), n.astype(int))


def _taylor(r, degree):
    total = np.zeros_like(r)
    for k in range(degree, -1, -1):  # Horner: from the highest power inwards
        total = total * r + 1 / math.factorial(k)
    return total


def _reduced(x, degree, n, *, step=LOG_2, power=2.0):
    return power**n * _taylor(x - n * step, degree)


def relative_to_exp(function, x, degree):
    """What is compared: the answer divided by eˣ, so that small results count as much as large ones."""
    y = np.asarray(function(x, degree))
    return {"result / eˣ": y * np.exp(-x) if y.shape == x.shape else y}


EXP = Exercise(
    id="A1.2",
    title="exp by range reduction and a polynomial",
    signature="my_exp(x, degree)",
    reference=taylor_exp,
    solution=(taylor_exp, _taylor),
    cases=lambda rng: [(rng.uniform(-20, 20, 50), 3), (rng.uniform(-1, 1, 20), 2), (rng.uniform(-300, 300, 40), 5)],
    observe=relative_to_exp,
    tolerance=1e-7,
    hints=(
        "Three lines: which n, what is left (r), and 2ⁿ times a polynomial of r.",
        "n = np.rint(x / np.log(2)) is the *nearest* whole number, so |r| ≤ ½ log 2 = 0.347. Then r = x − n log 2.",
        "Taylor: 1 + r + r²/2! + … + r^degree/degree!, then 2.0 ** n times that. A loop with term = term * r / k "
        "helps.",
    ),
    mistakes=(
        Mistake("That is eˣ to full precision. Wanted is what a polynomial of the given degree makes of it.",
                lambda x, d: np.exp(x)),
        Mistake("You put x itself into the polynomial: far from 0 a Taylor polynomial is useless. Write "
                "x = n log 2 + r first, and put in r.", _taylor),
        Mistake("You rounded n down (floor): then r goes from 0 to log 2, twice as far from 0 as it must. Take the "
                "nearest whole number: np.rint.", lambda x, d: _reduced(x, d, np.floor(x / LOG_2))),
        Mistake("You cut n towards 0 (astype(int), trunc): r then lies between −log 2 and log 2. Take the nearest "
                "whole number: np.rint.", lambda x, d: _reduced(x, d, np.trunc(x / LOG_2))),
        Mistake("Your polynomial stops one term too early: the term r^degree / degree! is missing. (range ends before "
                "its last number.)", lambda x, d: taylor_exp(x, d - 1)),
        Mistake("Your polynomial has one term too many: it ends with r^degree / degree!.",
                lambda x, d: taylor_exp(x, d + 1)),
        Mistake("The factor 2ⁿ is missing: you return eʳ.", lambda x, d: _reduced(x, d, np.rint(x / LOG_2), power=1.0)),
        Mistake("r = x − n is not what is left: the step is log 2, so r = x − n log 2.",
                lambda x, d: 2.0 ** np.rint(x / LOG_2) * _taylor(x - np.rint(x / LOG_2), d)),
        Mistake("You wrote x = n + r, whose factor is eⁿ and has to be computed. With x = n log 2 + r it is 2ⁿ, an "
                "exponent's bits.", lambda x, d: _reduced(x, d, np.rint(x), step=1.0, power=math.e)),
        Mistake("Here n is x times log 2; it is x divided by log 2.",
                lambda x, d: _reduced(x, d, np.rint(x * LOG_2))),
        Mistake("The factorials are missing: the term of r^k is divided by k!.",
                lambda x, d: 2.0 ** np.rint(x / LOG_2)
                * sum((x - np.rint(x / LOG_2) * LOG_2) ** k for k in range(d + 1))),
        Mistake("You divide r^k by k; it is k!, the product 1 · 2 ⋯ k.",
                lambda x, d: 2.0 ** np.rint(x / LOG_2)
                * sum((x - np.rint(x / LOG_2) * LOG_2) ** k / max(k, 1) for k in range(d + 1))),
    ),
    afterword="No branch, no call, no table: a compiler turns this into vector instructions.",
)  # fmt: skip

# -- A1.3 online softmax ----------------------------------------------------------------------------------------------


def combine(m1, l1, y1, m2, l2, y2):
    """What two blocks of keys know together: largest score, sum of exponentials, sum of weighted values.  (A1.14)

    Shapes:   m, l (T,); y (T, E), not yet divided by l
    """
    m = np.maximum(m1, m2)
    first, second = np.exp(m1 - m), np.exp(m2 - m)
    return m, first * l1 + second * l2, first[:, None] * y1 + second[:, None] * y2


def _combined(m1, l1, y1, m2, l2, y2, *, m=None, of_sums=True, of_values=True, sign=1):
    """The combination with one choice made otherwise."""
    m = np.maximum(m1, m2) if m is None else m
    first, second = np.exp(sign * (m1 - m)), np.exp(sign * (m2 - m))
    one = np.ones_like(first)
    of_l, of_y = ((first, second) if wanted else (one, one) for wanted in (of_sums, of_values))
    return m, of_l[0] * l1 + of_l[1] * l2, of_y[0][:, None] * y1 + of_y[1][:, None] * y2


def _blocks(rng, queries, width, scale):
    """What two blocks of 5 and 9 keys say about some queries."""
    found = []
    for keys in (5, 9):
        scores = scale * rng.normal(size=(queries, keys)) + scale * rng.normal(size=(queries, 1))
        m = scores.max(axis=1)
        p = np.exp(scores - m[:, None])
        found += [m, p.sum(axis=1), p @ rng.normal(size=(keys, width))]
    return tuple(found)


def three_parts(function, *arguments):
    """The three results by name."""
    result = function(*arguments)
    if not isinstance(result, tuple | list) or len(result) != 3:
        raise WrongForm(f"It returned {type(result).__name__}, wanted three things: m (T,), l (T,) and y (T, E).")
    return dict(zip(("m", "l", "y"), result, strict=True))


def _normalised(*blocks):
    m, total, y = combine(*blocks)
    return m, total, y / total[:, None]


COMBINE = Exercise(
    id="A1.3",
    title="Online softmax: two blocks of keys become one",
    signature="my_combine(m1, l1, y1, m2, l2, y2)",
    reference=combine,
    cases=lambda rng: [_blocks(rng, 4, 3, 1.0), _blocks(rng, 5, 5, 3.0), _blocks(rng, 6, 2, 900.0)],
    observe=three_parts,
    tolerance=1e-9,
    hints=(
        "Each block wrote its sums relative to its own largest score. Bring both to one common reference first.",
        "m = np.maximum(m1, m2). Sums that were written with e^(s − m1) become sums with e^(s − m) when multiplied by "
        "e^(m1 − m).",
        "f1, f2 = np.exp(m1 - m), np.exp(m2 - m); then l = f1 * l1 + f2 * l2, and y = f1[:, None] * y1 + "
        "f2[:, None] * y2.",
    ),
    mistakes=(
        Mistake("You added sums that were written relative to different maxima. Multiply each block's l and y by "
                "e^(its m − the new m) first.", lambda *a: _combined(*a, of_sums=False, of_values=False)),
        Mistake("You rescaled l but not y: both are sums of the same exponentials.",
                lambda *a: _combined(*a, of_values=False)),
        Mistake("You rescaled y but not l: both are sums of the same exponentials.",
                lambda *a: _combined(*a, of_sums=False)),
        Mistake("The exponent has the wrong sign: the factor is e^(m1 − m), at most 1; yours is at least 1 and "
                "overflows.", lambda *a: _combined(*a, sign=-1)),
        Mistake("You keep the first block's maximum as reference. The second may be far above it, and e^(m2 − m1) "
                "overflows: take the larger of the two.", lambda *a: _combined(*a, m=a[0])),
        Mistake("You take the second block's maximum as reference. The first may be far above it, and e^(m1 − m2) "
                "overflows: take the larger of the two.", lambda *a: _combined(*a, m=a[3])),
        Mistake("You take out m1 + m2; the largest score of two blocks is the larger of the two maxima.",
                lambda *a: _combined(*a, m=a[0] + a[3])),
        Mistake("You take one maximum over all queries; each query has its own.",
                lambda *a: _combined(*a, m=np.full_like(a[0], max(a[0].max(), a[3].max())))),
        Mistake("You already divide y by l. That division comes once, after the last block; in between y stays a sum.",
                _normalised),
    ),
    afterword="It is associative, so blocks may come in any order, or be combined in pairs on many processors.",
)  # fmt: skip

EXERCISES = [INTENSITY, EXP, COMBINE]
