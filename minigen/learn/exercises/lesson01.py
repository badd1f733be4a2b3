"""Exercises of lesson 01, probability and likelihood."""

import numpy as np
from scipy.special import logsumexp, softmax

from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.first_models import BABBLE, bits_of_pictures, gaussian_fit, sample_text, witten_bell, written
from minigen.learn.observers import sampled_text
from minigen.learn.reading import better_reader, copying_reader
from minigen.metrics.likelihood import bits_per_dim

# -- 01.1 the best Gaussian -------------------------------------------------------------------------------------------


def _fit(function, x):
    result = function(x)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return {"mean": result, "deviation": np.zeros(0)}
    return {"mean": result[0], "deviation": result[1]}


def _by(deviation):
    """An answer to 01.1 with the right mean and another deviation."""
    return lambda x: (x.mean(axis=0), deviation(x))


GAUSSIAN = Exercise(
    id="01.1",
    title="The best Gaussian",
    signature="my_fit(x)",
    reference=gaussian_fit,
    cases=lambda rng: [(rng.normal(3, 2, size=(6, 2)),), (rng.exponential(2.0, size=(50, 3)),),
                       (np.array([[1.0, 10.0], [1.0, 20.0], [4.0, 90.0]]),)],
    observe=_fit,
    hints=(
        "Two lines, one for each formula of (1.8). The average runs over the examples. Which axis of x is that?",
        "Axis 0 counts the examples, axis 1 the D columns: x.mean(axis=0) has shape (D,).",
        "mean = x.mean(axis=0); deviation = np.sqrt(((x - mean) ** 2).mean(axis=0)); return both.",
    ),
    mistakes=(
        Mistake("You divided by n − 1; the most probable σ² divides by n.", _by(lambda x: x.std(axis=0, ddof=1))),
        Mistake("You returned the variance σ²; its square root is the deviation.", _by(lambda x: x.var(axis=0))),
        Mistake("You averaged over the columns; the examples lie along axis 0.",
                lambda x: (x.mean(axis=1), x.std(axis=1))),
        Mistake("You averaged over everything; each of the D columns has its own bell: axis 0.",
                lambda x: (x.mean(), x.std())),
        Mistake("Your deviation is measured from one mean of all columns; each column has its own.",
                _by(lambda x: np.sqrt(((x - x.mean()) ** 2).mean(axis=0)))),
        Mistake("You forgot to subtract the mean: that is the root of the mean square of x.",
                _by(lambda x: np.sqrt((x**2).mean(axis=0)))),
        Mistake("You summed the squares; (1.8) averages them.",
                _by(lambda x: np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=0)))),
        Mistake("That is the mean distance from the mean, E|x − μ|; (1.8) wants the root of the mean square.",
                _by(lambda x: np.abs(x - x.mean(axis=0)).mean(axis=0))),
        Mistake("You returned the median; the most probable μ of a bell is the mean.",
                lambda x: (np.median(x, axis=0), x.std(axis=0))),
        Mistake("You divided by √n as well: that is the standard error of the mean, not the spread of x.",
                _by(lambda x: x.std(axis=0) / np.sqrt(len(x)))),
        Mistake("Two things are wanted, mean and deviation: return both, in this order.",
                lambda x: (x.std(axis=0), x.mean(axis=0))),
        Mistake("Two things are wanted, mean and deviation: return both, in this order.", lambda x: x.mean(axis=0)),
        Mistake("Two things are wanted, mean and deviation: return both, in this order.",
                lambda x: np.stack([x.mean(axis=0), x.std(axis=0)])),
    ),
    afterword="You have trained a model: of all bells, this one makes the data most probable.",
)  # fmt: skip

# -- 01.2 units -------------------------------------------------------------------------------------------------------

LOG_2 = np.log(2)


BITS = Exercise(
    id="01.2",
    title="Nats and bits per dimension",
    signature="my_bits_per_dim(nats, shape)",
    reference=bits_of_pictures,
    solution=(bits_of_pictures, bits_per_dim),
    cases=lambda rng: [(rng.uniform(60, 180, size=4), (1, 8, 8)), (rng.uniform(2000, 9000, size=3), (3, 32, 32)),
                       (np.array([-12.0, 0.0, 5.0]), (7,))],
    hints=(
        "Two divisions: one changes the unit, one makes pictures of different sizes comparable.",
        "1 bit = log 2 nats = 0.693 nats, so there are more bits than nats. D is the number of numbers in one picture, "
        "colours included: the product of its shape.",
        "return nats / (np.prod(shape) * np.log(2)).",
    ),
    mistakes=(
        Mistake("Those are nats per dimension: divide by log 2 as well.", lambda n, s: n / np.prod(s)),
        Mistake("Those are bits per picture: divide by the number of dimensions as well.", lambda n, s: n / LOG_2),
        Mistake("You multiplied by log 2, which turns bits into nats; from nats to bits, divide.",
                lambda n, s: n * LOG_2 / np.prod(s)),
        Mistake("You multiplied by log 2, which turns bits into nats; from nats to bits, divide.",
                lambda n, s: n * LOG_2),
        Mistake("You divided by the number of pixels and forgot that each has several colours, all of which were "
                "predicted: D is the product of the whole shape.", lambda n, s: n / (np.prod(s[1:]) * LOG_2)),
        Mistake("You divided by the length of one axis only; D is the product of the whole shape.",
                lambda n, s: n / (s[0] * LOG_2)),
        Mistake("You divided by the length of one axis only; D is the product of the whole shape.",
                lambda n, s: n / (s[-1] * LOG_2)),
        Mistake("You divided by the number of axes; D is the product of the shape.", lambda n, s: n / (len(s) * LOG_2)),
        Mistake("You divided by the sum of the shape; D is its product.", lambda n, s: n / (sum(s) * LOG_2)),
        Mistake("log2(nats) is not a change of unit: −log p is a logarithm already. Divide by log 2.",
                lambda n, s: np.log2(n) / np.prod(s)),
        Mistake("You averaged over the pictures; one number for each is wanted.",
                lambda n, s: np.mean(bits_of_pictures(n, s))),
        Mistake("You divided by the number of pictures; each picture has its own number already.",
                lambda n, s: bits_of_pictures(n, s) / len(n)),
        Mistake("You divided by 2, or used log₁₀ 2; the conversion is log 2 = 0.693.", lambda n, s: n / np.prod(s) / 2),
        Mistake("You divided by 2, or used log₁₀ 2; the conversion is log 2 = 0.693.",
                lambda n, s: n / (np.prod(s) * np.log10(2))),
        Mistake("Yours has the opposite sign: nats is −log p already.", lambda n, s: -bits_of_pictures(n, s)),
    ),
    afterword="A test that catches most slips: log 17 nats for a pixel of 17 levels is log₂ 17 = 4.09 bits.",
)  # fmt: skip

# -- 01.3 log-sum-exp -------------------------------------------------------------------------------------------------


def _extreme(rng):
    ordinary = rng.normal(size=(4, 3))
    return [(ordinary,), (ordinary + np.array([[-1500.0], [1200.0], [-900.0], [5000.0]]),),
            (np.array([[-np.inf, 0.0], [2.0, -800.0], [-np.inf, -3000.0]]),),
            (np.array([[-np.inf, -np.inf], [1.0, 1.0]]),)]


def _shifted(v, m):
    return np.squeeze(m, -1) + np.log(np.exp(v - m).sum(axis=-1))


def _largest(v):
    return v.max(axis=-1, keepdims=True)


LOGSUMEXP = Exercise(
    id="01.3",
    title="A sum of very small numbers",
    signature="my_logsumexp(v)",
    reference=lambda v: logsumexp(v, axis=-1),
    solution=(logsumexp,),
    cases=_extreme,
    hints=(
        "Which m makes (1.18) safe? Every row has its own.",
        "m = v.max(axis=-1, keepdims=True) has shape (B, 1), so v − m works row by row. Add m back outside the "
        "logarithm. A row that is all −∞ gives −∞ − (−∞), which is no number: what could you subtract there?",
        "m = v.max(-1, keepdims=True); shift = np.where(np.isfinite(m), m, 0); "
        "return shift[:, 0] + np.log(np.exp(v - shift).sum(-1)).",
    ),
    mistakes=(
        Mistake("Right formula, but e^(−1500) is 0 and e^1200 is inf in floating point: take the largest v of each row "
                "out of the sum first.", lambda v: np.log(np.exp(v).sum(axis=-1))),
        Mistake("Right, except for a row that is all −∞: there −∞ − (−∞) is nan. Subtract 0 where the largest v is not "
                "finite; the answer for such a row is −∞.", lambda v: _shifted(v, _largest(v))),
        Mistake("You took the largest v out and did not add it back outside the logarithm.",
                lambda v: np.log(np.exp(v - np.where(np.isfinite(_largest(v)), _largest(v), 0)).sum(axis=-1))),
        Mistake("You took the largest v out and did not add it back outside the logarithm.",
                lambda v: np.log(np.exp(v - _largest(v)).sum(axis=-1))),
        Mistake("You took out the largest of all rows; a row that lies far below it still underflows. Each row needs "
                "its own: axis=-1, keepdims=True.", lambda v: v.max() + np.log(np.exp(v - v.max()).sum(axis=-1))),
        Mistake("You took out another number than the largest v (the smallest? the mean?), and the largest still "
                "overflows.", lambda v: _shifted(v, v.min(axis=-1, keepdims=True))),
        Mistake("You took out another number than the largest v (the smallest? the mean?), and the largest still "
                "overflows.", lambda v: _shifted(v, v.mean(axis=-1, keepdims=True))),
        Mistake("You combined the rows; the K numbers of one sum lie along the last axis.",
                lambda v: logsumexp(v, axis=0)),
        Mistake("You combined everything; each row is a sum of its own: axis=-1.", lambda v: logsumexp(v)),
        Mistake("That is the largest v: near the answer, but up to log K too small.", lambda v: v.max(axis=-1)),
        Mistake("You averaged the terms: log K is missing.", lambda v: logsumexp(v, axis=-1) - np.log(v.shape[-1])),
        Mistake("You summed the logarithms: that is the logarithm of the product, not of the sum.",
                lambda v: v.sum(axis=-1)),
        Mistake("You left out the exponential: Σ v is not Σ e^v.", lambda v: np.log(v.sum(axis=-1))),
        Mistake("You left out the logarithm.", lambda v: np.exp(v).sum(axis=-1)),
    ),
    afterword="Every mixture, every softmax and every bound with several samples in this course goes through it.",
)  # fmt: skip

# -- 01.4 Witten–Bell -------------------------------------------------------------------------------------------------


def _contexts(rng):
    shorter = rng.dirichlet(np.ones(4))
    return [(np.array([5, 0, 2, 0]), shorter), (np.array([0, 0, 1, 0]), shorter), (np.zeros(4, int), shorter),
            (np.array([3, 1, 2, 4]), rng.dirichlet(np.ones(4)))]


def _with_types(types):
    """An answer to 01.4 that takes another number for T(h)."""
    return lambda c, s: (c + types(c) * s) / (c.sum() + types(c)) if c.sum() else s


WITTEN_BELL = Exercise(
    id="01.4",
    title="Probability for what has not been seen",
    signature="my_witten_bell(counts, shorter)",
    reference=witten_bell,
    cases=_contexts,
    hints=(
        "Look at (1.21). c(h) is the sum of the counts. What is T(h), in terms of the counts?",
        "T(h) counts the characters that followed at least once: np.count_nonzero(counts). And if there are none at "
        "all?",
        "T = np.count_nonzero(counts); if T == 0: return shorter; return (counts + T * shorter) / (counts.sum() + T).",
    ),
    mistakes=(
        Mistake("Right where h was seen; a context that was never seen gives 0/0. Then the shorter one decides alone.",
                lambda c, s: (c + np.count_nonzero(c) * s) / (np.float64(c.sum()) + np.count_nonzero(c))),
        Mistake("Those are the relative frequencies (1.20): what was not seen still has probability 0.",
                lambda c, s: c / c.sum() if c.sum() else s),
        Mistake("Those are the relative frequencies (1.20): what was not seen still has probability 0.",
                lambda c, s: c / np.float64(c.sum())),
        Mistake("That is Laplace's rule, one more of everything; here the shorter context says how the rest is spread.",
                lambda c, s: (c + 1) / (c.sum() + len(c))),
        Mistake("T(h) counts the different characters that followed h, not all V of the alphabet.",
                _with_types(lambda c: len(c))),
        Mistake("T(h) counts the characters that followed at least once; you counted those that followed exactly once.",
                _with_types(lambda c: (c == 1).sum())),
        Mistake("T(h) counts the characters that followed; you counted those that did not.",
                _with_types(lambda c: (c == 0).sum())),
        Mistake("You used c(h) in place of T(h): then the shorter context always has half the say.",
                _with_types(lambda c: c.sum())),
        Mistake("You used 1 in place of T(h): a context that was followed by many different characters must expect "
                "more that is new.", _with_types(lambda c: 1)),
        Mistake("The two weights are exchanged: the shorter context has the weight T(h)/(c(h) + T(h)).",
                lambda c, s: (np.count_nonzero(c) * c / c.sum() + c.sum() * s) / (c.sum() + np.count_nonzero(c))
                if c.sum() else s),
        Mistake("It does not sum to 1: divide by c(h) + T(h), not by c(h).",
                lambda c, s: (c + np.count_nonzero(c) * s) / c.sum() if c.sum() else s),
        Mistake("It does not sum to 1: the numerator is c(hw) + T(h) P(w|h′), and you left out T(h).",
                lambda c, s: (c + s) / (c.sum() + np.count_nonzero(c)) if c.sum() else s),
        Mistake("What is new is not spread evenly: use P(w|h′), the shorter context, in place of 1/V.",
                lambda c, s: (c + np.count_nonzero(c) / len(c)) / (c.sum() + np.count_nonzero(c)) if c.sum() else s),
        Mistake("You ask the shorter context only about what h has not seen (that is called backing off), and it does "
                "not sum to 1. In (1.21) both always have a say.",
                lambda c, s: np.where(c > 0, c, np.count_nonzero(c) * s) / (c.sum() + np.count_nonzero(c))
                if c.sum() else s),
    ),
    afterword="Apply it from the empty context up to n − 1 characters, and you have an n-gram.",
)  # fmt: skip

# -- 01.5 sampling ----------------------------------------------------------------------------------------------------


SAMPLING = Exercise(
    id="01.5",
    title="Writing, with a temperature",
    signature="my_sample(predict, n, temperature, rng)",
    reference=sample_text,
    cases=lambda rng: [(BABBLE, 3000, temperature, np.random.default_rng(seed))
                       for seed, temperature in ((1, 1.0), (2, 0.5), (3, 2.0))],
    observe=sampled_text,
    tolerance=0.06,
    hints=(
        "A loop of n steps. Each: ask predict about the text so far, change the probabilities by (1.25), draw one "
        "symbol, append it.",
        "p = predict(text) ** (1 / temperature); p = p / p.sum(). Draw with rng.choice(len(p), p=p).",
        "text = []; n times: p = predict(text) ** (1 / temperature), then text.append(rng.choice(len(p), p=p / "
        "p.sum())); return text.",
    ),
    mistakes=(
        Mistake("The temperature has no effect: raise p to the power 1/temperature before you draw. (Dividing p by it "
                "changes nothing once p sums to 1 again.)", lambda f, n, t, rng: written(f, n, rng, lambda p: p)),
        Mistake("Yours is colder where it should be hotter: the power is 1/temperature, not temperature.",
                lambda f, n, t, rng: written(f, n, rng, lambda p: p**t)),
        Mistake("You took the softmax of p/temperature; it must be of log p / temperature, which is p^(1/temperature).",
                lambda f, n, t, rng: written(f, n, rng, lambda p: softmax(p / t))),
        Mistake("You always take the likeliest symbol: that is temperature 0. Draw one with probability p.",
                lambda f, n, t, rng: written(f, n, rng, lambda p: p == p.max())),
        Mistake("Each symbol is drawn as if it were the first: give predict the text so far.",
                lambda f, n, t, rng: written(f, n, rng, lambda p: p ** (1 / t), lambda text: [])),
        Mistake("You give predict the text without its last symbol, which is the one that matters most.",
                lambda f, n, t, rng: written(f, n, rng, lambda p: p ** (1 / t), lambda text: text[:-1])),
        Mistake("You give predict the beginning of the text; what follows depends on its end.",
                lambda f, n, t, rng: written(f, n, rng, lambda p: p ** (1 / t), lambda text: text[:1])),
        Mistake("Your randomness does not come from the rng given, so no text can be written twice.",
                lambda f, n, t, rng: sample_text(f, n, t, rng.spawn(1)[0])),  # another one in every call
        Mistake("You make a new generator with a fixed seed: every call writes the same text. Use the rng as given.",
                lambda f, n, t, rng: sample_text(f, n, t, np.random.default_rng(0))),
    ),
    afterword="GPT writes with this same loop (lesson 07); only predict is better.",
)  # fmt: skip

# -- 01.6 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="01.6",
    title="Open: a better reader",
    signature="my_reader(train, alphabet)",
    judge=better_reader,
    solution=(copying_reader,),
    hints=(
        "Begin with an n-gram: Characters(alphabet), NGram(7, V).fit, and predict by its probabilities. Then ask: what "
        "does it forget within one story?",
        "Names return. Look for the last few characters of the text at an earlier place of the same story (after the "
        "last \"\\n\"): what followed there will often follow again.",
        "Mix: 0.8 times the n-gram's probabilities, plus 0.2 for the character that followed the longest earlier match "
        "(of 5 characters or more). Without a match, the n-gram alone.",
    ),
)

EXERCISES = [GAUSSIAN, BITS, LOGSUMEXP, WITTEN_BELL, SAMPLING, OPEN]
