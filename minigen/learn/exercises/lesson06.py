"""Exercises of lesson 06, autoregressive images."""

import numpy as np

import minigen as mg
from minigen.learn import autoregression as ar
from minigen.learn import pixel_worlds as worlds
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.pixel_judge import better_pixels
from minigen.models.made import MADE, made_masks
from minigen.recipes import made_digits, pixelcnn_digits

# -- 06.1 masks -------------------------------------------------------------------------------------------------------


def _degrees(rng, pixels, units):
    return rng.permutation(pixels) + 1, rng.integers(0, pixels, size=units)


MASKS = Exercise(
    id="06.1",
    title="The masks of MADE",
    signature="my_masks(inputs, hidden)",
    reference=lambda inputs, hidden: tuple(made_masks(inputs, hidden)),
    solution=(made_masks, MADE.masks),
    cases=lambda rng: [_degrees(rng, 4, 6), _degrees(rng, 7, 3), _degrees(rng, 5, 5)],
    hints=(
        "A unit of degree m may know the inputs of degree up to m. The output for the pixel of degree d may know only "
        "what is below d. Read (6.4) as two sentences.",
        "hidden[:, None] is a column and inputs[None] a row; comparing them gives the whole table at once, (H, D).",
        "hidden[:, None] >= inputs[None] is the first. The second compares inputs[:, None] and hidden[None], strictly.",
    ),
    mistakes=(
        Mistake("An output sees units of its own degree, and those know its own pixel: it leaks. The last comparison "
                "must be strict: d > m.", lambda d, m: (m[:, None] >= d[None], d[:, None] >= m[None])),
        Mistake("The first comparison is too strict: a hidden unit of degree m may know input m itself. (The strict "
                "one is the last.)", lambda d, m: (m[:, None] > d[None], d[:, None] > m[None])),
        Mistake("You exchanged strict and not strict: the first mask has ≥, the last one >.",
                lambda d, m: (m[:, None] > d[None], d[:, None] >= m[None])),
        Mistake("The comparisons point the wrong way: your hidden units know what comes late and tell it to what comes "
                "early.", lambda d, m: (m[:, None] <= d[None], d[:, None] < m[None])),
        Mistake("Your masks are transposed: rows are the units that a layer leads to, columns those it comes from, as "
                "in the weight.", lambda d, m: (m[None] >= d[:, None], d[None] > m[:, None])),
        Mistake("You returned them in the other order: first into the hidden layer, then into the outputs.",
                lambda d, m: tuple(made_masks(d, m)[::-1])),
        Mistake("You compare places in the array (0, 1, 2 …) with degrees; the inputs have degrees of their own, since "
                "the order need not be the natural one.",
                lambda d, m: tuple(made_masks(np.arange(1, len(d) + 1), m))),
        Mistake("You compare places in the array (0, 1, 2 …) with degrees; the inputs have degrees of their own, since "
                "the order need not be the natural one.", lambda d, m: tuple(made_masks(np.arange(len(d)), m))),
    ),
    afterword="Two comparisons, and no output can cheat.",
)  # fmt: skip

# -- 06.2 leaks -------------------------------------------------------------------------------------------------------


def _slopes(combine):
    return lambda network, x: combine(ar.slopes(network, x))


JACOBIAN = Exercise(
    id="06.2",
    title="A detector of leaks",
    signature="my_leaks(network, x)",
    reference=ar.largest_slopes,
    solution=(ar.slopes, ar.largest_slopes),
    cases=worlds.networks,
    hints=(
        "Backpropagation gives the derivatives of one number with respect to all inputs. Which number has row d of the "
        "table as its derivatives?",
        "x = mg.tensor(x, requires_grad=True); y = network(x). The sum over the batch of y[:, d] has, as its gradient, "
        "one row of slopes for every example, since examples do not mix.",
        "For each d: g = mg.grad(y[:, d].sum(), x)[0].data, then np.abs(g).max(axis=0). Stack these rows.",
    ),
    mistakes=(
        Mistake("Yours is transposed: rows are outputs, columns inputs.", _slopes(lambda s: np.abs(s).max(axis=1).T)),
        Mistake("You sum (or average) the slopes of the examples before you look at their size: slopes of different "
                "signs cancel, and a leak can hide. Take |…| first.", _slopes(lambda s: np.abs(s.sum(axis=1)))),
        Mistake("You sum (or average) the slopes of the examples before you look at their size: slopes of different "
                "signs cancel, and a leak can hide. Take |…| first.", _slopes(lambda s: np.abs(s.mean(axis=1)))),
        Mistake("The sign is still there: the largest slope of −5 and 1 is 5 in size. Take |…| before the maximum.",
                _slopes(lambda s: s.max(axis=1))),
        Mistake("You looked at one example only. Where its slope happens to be 0 (behind a relu, for instance) a leak "
                "stays hidden: take the largest over the batch.", _slopes(lambda s: np.abs(s[:, 0]))),
        Mistake("You averaged over the batch; the largest is wanted.", _slopes(lambda s: np.abs(s).mean(axis=1))),
        Mistake("You summed over the batch; the largest is wanted.", _slopes(lambda s: np.abs(s).sum(axis=1))),
        Mistake("All your rows are the same: you differentiated the sum of all outputs. Each output needs its own "
                "gradient.", _slopes(lambda s: np.tile(np.abs(s.sum(axis=0)).max(axis=0), (len(s), 1)))),
        Mistake("You say whether it depends, 1 or 0; wanted is the largest slope itself.",
                _slopes(lambda s: np.abs(s).max(axis=1) > 0)),
    ),
    afterword="Run it on every autoregressive network that you ever write, before you train it.",
)  # fmt: skip

# -- 06.3 does it sum to 1? -------------------------------------------------------------------------------------------


def _total(pictures, reduce=lambda v: np.sum(np.exp(v))):
    return lambda log_prob, pixels: reduce(log_prob(pictures(pixels)))


TOTAL = Exercise(
    id="06.3",
    title="Do the probabilities sum to 1?",
    signature="my_total(log_prob, pixels)",
    reference=ar.total_probability,
    solution=(ar.total_probability, ar.all_pictures),
    cases=lambda rng: [(worlds.Measure(n, scale, n), n) for n, scale in ((3, 1.0), (10, 1.3), (1, 0.4))],
    hints=(
        "There are 2^D pictures of D zeros and ones. Make them all, ask for all their log probabilities, and sum what "
        "must be summed.",
        "itertools.product((0, 1), repeat=pixels) counts through them. log_prob takes them all at once, (2^D, D).",
        "np.exp(log_prob(np.array(list(itertools.product((0, 1), repeat=pixels))))).sum().",
    ),
    mistakes=(
        Mistake("You summed logarithms; probabilities are summed: np.exp first.", _total(ar.all_pictures, np.sum)),
        Mistake("You averaged; the sum over all pictures is wanted.",
                _total(ar.all_pictures, lambda v: np.mean(np.exp(v)))),
        Mistake("That is the logarithm of the sum; wanted is the sum, which should be 1.",
                _total(ar.all_pictures, lambda v: np.log(np.sum(np.exp(v))))),
        Mistake("One picture is missing: there are 2^D of them, from all 0 to all 1.",
                _total(lambda n: ar.all_pictures(n)[:-1])),
        Mistake("One picture is missing: there are 2^D of them, from all 0 to all 1.",
                _total(lambda n: ar.all_pictures(n)[1:])),
        Mistake("You made D pictures with a single pixel of ink each; there are 2^D pictures of D zeros and ones.",
                _total(lambda n: np.eye(n, dtype=int))),
    ),
    afterword="If it is not 1, the number is not a likelihood, and no comparison with it means anything.",
)  # fmt: skip

# -- 06.4 sampling ----------------------------------------------------------------------------------------------------


def _sampler(**left_open):
    return lambda f, pixels, n, rng: ar.sample_bits(f, pixels, n, rng, **left_open)


def _decided(make):
    return lambda f, pixels, n, rng: ar.sample_bits(f, pixels, n, rng, decide=make(rng))


SAMPLING = Exercise(
    id="06.4",
    title="Drawing pixel by pixel",
    signature="my_sample(conditional, pixels, n, rng)",
    reference=ar.sample_bits,
    cases=lambda rng: [(worlds.World(), 3, 40_000, np.random.default_rng(1))],
    observe=ar.sampled_pictures,
    tolerance=0.012,
    hints=(
        "A loop over the pixels, not over the pictures: all n pictures get their first pixel, then all their second.",
        "x = np.zeros((n, pixels), dtype=int); conditional(x, d) gives n probabilities that depend on the columns "
        "already filled. A coin that shows 1 with probability p: rng.random(n) < p.",
        "for d in range(pixels): x[:, d] = rng.random(n) < conditional(x, d); then return x.",
    ),
    mistakes=(
        Mistake("Every pixel is drawn as if all before it were 0: begin with pixel 0, and put each drawn pixel into x "
                "before you ask about the next.", _sampler(sees=False)),
        Mistake("You take the likelier value each time: every picture is the same. Toss a coin with that probability.",
                _decided(lambda rng: lambda p: p > 0.5)),
        Mistake("One random number serves all n pictures; each picture needs its own coin: rng.random(n).",
                _decided(lambda rng: lambda p: rng.random() < p)),
        Mistake("Your coin ignores the probability: compare rng.random(n) with conditional(x, d), not with ½.",
                _decided(lambda rng: lambda p: rng.random(len(p)) < 0.5)),
        Mistake("Your coin shows 1 with probability 1 − p: the comparison is the wrong way round.",
                _decided(lambda rng: lambda p: rng.random(len(p)) > p)),
        Mistake("Your coins do not come from the rng given, so no sample can be drawn twice.",
                lambda f, pixels, n, rng: ar.sample_bits(f, pixels, n, np.random.default_rng())),
        Mistake("You make a generator with a fixed seed: every call draws the same pictures. Use the rng as given.",
                lambda f, pixels, n, rng: ar.sample_bits(f, pixels, n, np.random.default_rng(0))),
    ),
    afterword="This loop is all there is to sampling, from ten bits to GPT.",
)  # fmt: skip

# -- 06.5 the bell in bins --------------------------------------------------------------------------------------------


def _bells(rng, levels, scale):
    k = np.concatenate([[0, levels - 1], rng.integers(0, levels, size=6)])
    return k, rng.uniform(-0.9, 0.9, size=8), np.exp(rng.uniform(*np.log(scale), size=8)), levels


BELL = Exercise(
    id="06.5",
    title="A logistic bell cut into bins",
    signature="my_log_mass(k, place, scale, levels)",
    reference=ar.log_mass,
    solution=(mg.distributions.DiscretizedLogistic.log_prob,),
    cases=lambda rng: [_bells(rng, 17, (0.1, 0.5)), _bells(rng, 5, (0.2, 1.0)), _bells(rng, 256, (0.004, 0.01))],
    gradcheck=True,
    hints=(
        "Put k on the scale from −1 to 1. Its bin reaches half a grid step to either side; (6.14) says which sigmoids "
        "to subtract, and what is different at k = 0 and at k = levels − 1.",
        "Far above the bell both sigmoids round to 1, and log(0) is −inf. Use the form (6.16); −mg.softplus(−t) is "
        "log σ(t).",
        "up = −softplus(−b), down = −softplus(a), inner = up + down + log(−expm1(a − b)); then "
        "mg.where(k == 0, up, mg.where(k == levels − 1, down, inner)).",
    ),
    mistakes=(
        Mistake("Right formula, but the difference of two sigmoids cancels far above the bell: both round to 1 there, "
                "and the logarithm is −inf or nonsense. Use the product form (6.16).",
                lambda k, m, s, n: mg.log(ar.plain_mass(k, m, s, n))),
        Mistake("That is P(k); log P(k) is wanted.", lambda k, m, s, n: mg.exp(ar.log_mass(k, m, s, n))),
        Mistake("The first and the last bin are open: they take the tails, so that the masses sum to 1 wherever the "
                "bell stands.", lambda k, m, s, n: ar.log_mass(k, m, s, n, tails=(False, False))),
        Mistake("You opened the first bin only; the last one takes the tail on its side.",
                lambda k, m, s, n: ar.log_mass(k, m, s, n, tails=(True, False))),
        Mistake("You opened the last bin only; the first one takes the tail on its side.",
                lambda k, m, s, n: ar.log_mass(k, m, s, n, tails=(False, True))),
        Mistake("Your bins have the wrong width: from −1 to 1 there are levels − 1 steps of 2/(levels − 1), so half a "
                "step is 1/(levels − 1).", lambda k, m, s, n: ar.log_mass(k, m, s, n, half=1 / n)),
        Mistake("Your bins are twice too wide: half a step to either side, 1/(levels − 1), not a whole one.",
                lambda k, m, s, n: ar.log_mass(k, m, s, n, half=2 / (n - 1))),
        Mistake("scale is s itself, not its logarithm: do not take its exponential.",
                lambda k, m, s, n: ar.log_mass(k, m, mg.exp(s), n)),
        Mistake("Yours has the opposite sign: log P is wanted, not −log P.",
                lambda k, m, s, n: -ar.log_mass(k, m, s, n)),
        Mistake("The bell is mirrored: x − place, not x + place.", lambda k, m, s, n: ar.log_mass(k, -m, s, n)),
    ),
    afterword="Fifteen such numbers per pixel (five bells) are what all models of this lesson put out.",
)  # fmt: skip

# -- 06.6 the blind spot ----------------------------------------------------------------------------------------------

BLIND = Exercise(
    id="06.6",
    title="The blind spot",
    signature="my_blind_spot(height, width, i, j, kernel)",
    reference=ar.blind_spot,
    cases=lambda rng: [(6, 7, 4, 2, 3), (5, 9, 3, 1, 5), (4, 4, 0, 2, 3), (7, 12, 6, 3, 7)],
    hints=(
        "It is a set of pixels above row i. In row i − a, how far to the right can a path of steps get that goes up "
        "a rows in all? (6.8)",
        "rows, columns = np.mgrid[:height, :width] gives every pixel's place; up = i − rows, right = columns − j.",
        "m = (kernel − 1) // 2; the blind ones have up > 0 and right > m * up.",
    ),
    mistakes=(
        Mistake("Pixels after (i, j) are not blind, they are forbidden: the blind spot is the part of the pixels "
                "*before* it that stays hidden.", lambda *a: ar.blind_spot(*a, later=True)),
        Mistake("A row up lets the path go m = (kernel − 1)/2 columns to the right, not 1.",
                lambda *a: ar.blind_spot(*a, m=1)),
        Mistake("A row up lets the path go (kernel − 1)/2 columns to the right, half a filter, not a whole one.",
                lambda *a: ar.blind_spot(*a, m=a[4])),
        Mistake("A row up lets the path go (kernel − 1)/2 columns to the right, half a filter, not a whole one.",
                lambda *a: ar.blind_spot(*a, m=a[4] - 1)),
        Mistake("That is on the left; there the path can walk along a row without going up. The right side is blind.",
                lambda *a: ar.blind_spot(*a, side=-1)),
        Mistake("You return what is seen; wanted is what is not.",
                lambda *a: ar.blind_spot(a[0], a[1], a[2], a[3], 1, m=-10**6, row=True) & ~ar.blind_spot(*a)),
        Mistake("The pixels left of (i, j) in its own row are seen: a masked filter looks left.",
                lambda *a: ar.blind_spot(*a, row=True)),
    ),
    afterword="No depth mends it: m·a does not contain the number of layers.",
)  # fmt: skip

# -- 06.7 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="06.7",
    title="Open: a better machine that reads pixels",
    signature="my_model(rng)",
    judge=better_pixels,
    solution=(made_digits.Experiment.make_model, pixelcnn_digits.Experiment.make_model),
    hints=(
        "Which of this lesson's models knows that pixels lie in a plane?",
        "A MADE stays near 95 nats, whatever its dropout. One filter for all places has far fewer weights to learn by "
        "heart with. And 300 steps are short: with several orders, each gets only its share of them.",
        "PixelCNN(likelihoods.DiscretizedLogisticMixture(17, 5), (8, 8), high=16, width=24, layers=4, dropout=0.1, "
        "rng=rng).",
    ),
)

EXERCISES = [MASKS, JACOBIAN, TOTAL, SAMPLING, BELL, BLIND, OPEN]
