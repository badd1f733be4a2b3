"""Exercises of lesson 03, learning by gradient descent."""

import numpy as np

from minigen.kernels import reference
from minigen.learn.descent import (
    batch_norm_gradient,
    constant,
    exponent,
    first_step,
    mean_square,
    slope,
    three_terms,
    variances,
)  # fmt: skip
from minigen.learn.exercise import Exercise, Mistake
from minigen.learn.readers import small_reader
from minigen.models.classifier import conv_block, conv_network, he
from minigen.nn import init
from minigen.optim import Adam, cosine, schedule

# -- 03.1 Adam's first step -------------------------------------------------------------------------------------------

FIRST_STEP = Exercise(
    id="03.1",
    title="Adam's first step",
    signature="my_first_step(gradient, lr)",
    reference=first_step,
    solution=(first_step, Adam._update),
    cases=lambda rng: [(rng.normal(size=5), 0.001), (np.array([-3e4, 2e-2, 0.0, 7.0]), 0.1),
                       (rng.normal(size=(2, 3)) * 1e3, 2.0)],
    tolerance=2e-5,
    hints=(
        "m and v start at 0. What are they after one gradient, by (3.10)? And after the correction (3.11) with t = 1?",
        "m̂ = g and v̂ = g². What is g / √(g²)? Mind the direction: a step goes downhill.",
        "return -lr * np.sign(gradient).",
    ),
    mistakes=(
        Mistake("Your step goes uphill: the parameter moves against its gradient.", lambda g, lr: lr * np.sign(g)),
        Mistake("That is the step of plain gradient descent. Adam divides by √v̂, and at t = 1 that is |g|.",
                lambda g, lr: -lr * g),
        Mistake("The learning rate is missing: the direction is right, its length is lr.", lambda g, lr: -np.sign(g)),
        Mistake("You left out the bias correction (3.11) of both means, so the first step is 3.16 lr: m is 10 times "
                "too small, √v 31.6 times.", lambda g, lr: -lr * 0.1 / np.sqrt(1e-3) * np.sign(g)),
        Mistake("You corrected m but not v: √v is still 31.6 times too small, and the first step as much too long.",
                lambda g, lr: -lr / np.sqrt(1e-3) * np.sign(g)),
        Mistake("You corrected v but not m: m is still a tenth of the gradient.", lambda g, lr: -lr * 0.1 * np.sign(g)),
        Mistake("You divide by v̂ = g² itself; the step divides by its root.",
                lambda g, lr: -lr * g / (g * g + 1e-8)),
        Mistake("You divide by the length of the whole gradient. Adam has a v for each parameter, so each is divided "
                "by its own |g|.", lambda g, lr: -lr * g / np.linalg.norm(g)),
        Mistake("You divide by the root of the mean square over all parameters. Adam has a v for each of them.",
                lambda g, lr: -lr * g / np.sqrt(np.mean(g * g))),
        Mistake("A parameter whose gradient is 0 must not move; there you divide 0 by 0. ε = 10⁻⁸ is added to √v̂ for "
                "that, or take np.sign.", lambda g, lr: -lr * g / np.abs(g)),
    ),
    afterword="Whatever the loss is multiplied by, Adam's first step is the same: lr for every parameter.",
)  # fmt: skip

# -- 03.2 the noise of a batch ----------------------------------------------------------------------------------------


EXPONENT = Exercise(
    id="03.2",
    title="The noise of a batch",
    signature="my_exponent(gradients, sizes, rng)",
    reference=exponent,
    solution=(exponent, variances, slope),
    cases=lambda rng: [
        (rng.normal(0.7, [1, 3, 0.5], size=(4000, 3)), (1, 3, 10, 30), np.random.default_rng(1)),
        (rng.exponential(2.0, size=(5000, 2)), (2, 8, 32), np.random.default_rng(2)),
    ],
    tolerance=0.1,
    hints=(
        "For each size: draw many batches (2,000, say), average the gradients of each, and take the variance of these "
        "averages. Then: if var = c Bᵏ, what is log var as a function of log B?",
        "One batch: gradients[rng.integers(0, len(gradients), size)].mean(0), shape (D,). The variance over the "
        "batches is .var(0), summed over the D parameters.",
        "np.polyfit(np.log(sizes), np.log(variances), 1)[0] is the slope, and the slope is the exponent.",
    ),
    mistakes=(
        Mistake("That is the exponent of the standard deviation; the variance is its square, and has twice the "
                "exponent.",
                lambda g, s, rng: slope(np.sqrt(variances(g, s, rng)), s)),
        Mistake("Yours grows with B. Did you add up the gradients of a batch? The gradient of a batch is their mean.",
                lambda g, s, rng: slope(variances(g, s, rng, reduce=np.sum), s)),
        Mistake("You measured the mean square, not the variance: subtract the mean over the batches first. The mean "
                "gradient is not noise, and does not fall with B.",
                lambda g, s, rng: slope(variances(g, s, rng, spread=mean_square), s)),
        Mistake("That is the other number of the line, where it crosses the axis; np.polyfit gives the slope first.",
                lambda g, s, rng: np.polyfit(np.log(s), np.log(variances(g, s, rng)), 1)[1]),
        Mistake("You fitted a line through the variances themselves. A power law is a line only after taking "
                "logarithms of both.", lambda g, s, rng: np.polyfit(s, variances(g, s, rng), 1)[0]),
        Mistake("Take the logarithm of the batch sizes as well as of the variances.",
                lambda g, s, rng: np.polyfit(s, np.log(variances(g, s, rng)), 1)[0]),
        Mistake("Take the logarithm of the variances as well as of the batch sizes.",
                lambda g, s, rng: np.polyfit(np.log(s), variances(g, s, rng), 1)[0]),
        Mistake("Yours does not depend on B: that is the variance within a batch. Wanted is how much the batch's mean "
                "changes from one batch to the next.", lambda g, s, rng: 0.0),
    ),
    afterword="Four times the batch costs four times the work and halves the noise (the deviation).",
)  # fmt: skip

# -- 03.3 a schedule --------------------------------------------------------------------------------------------------


def _over_steps(function, steps, total, warmup):
    return np.array([float(function(int(step), total, warmup)) for step in steps])


def _rising(step, warmup):
    return (step + 1) / warmup


def _half_cosine(progress):
    return 0.5 * (1 + np.cos(np.pi * progress))


def _with(after, rise=_rising):
    return lambda step, total, warmup: rise(step, warmup) if step < warmup else after(step, total, warmup)


def _part(step, total, warmup):
    return min(1.0, (step - warmup) / (total - warmup))


SCHEDULE = Exercise(
    id="03.3",
    title="A cosine schedule with warm-up",
    signature="my_factor(step, total, warmup)",
    reference=lambda step, total, warmup: cosine(step, total, warmup),
    solution=(schedule.cosine, schedule.constant),
    cases=lambda rng: [(np.arange(0, 24), 20, 5), (np.arange(0, 110, 7), 100, 10), (np.arange(0, 12, 3), 9, 0)],
    observe=_over_steps,
    hints=(
        "Three pieces: a straight rise for step < warmup; half a cosine wave from there to total; after that, 0.",
        "During the warm-up (step + 1) / warmup: the first step is not wasted. After it, "
        "p = (step − warmup) / (total − warmup) goes from 0 to 1, and ½ (1 + cos πp) from 1 to 0.",
        "if step < warmup: return (step + 1) / warmup; p = min(1, (step - warmup) / (total - warmup)); "
        "return 0.5 * (1 + np.cos(np.pi * p)).",
    ),
    mistakes=(
        Mistake("Your first step has the factor 0, so it is wasted: during the warm-up it is (step + 1) / warmup.",
                _with(lambda s, t, w: _half_cosine(_part(s, t, w)), rise=lambda s, w: s / w)),
        Mistake("The warm-up is missing: for step < warmup the factor rises in a straight line to 1.",
                lambda s, t, w: _half_cosine(min(1.0, s / t))),
        Mistake("The warm-up is missing: for step < warmup the factor rises in a straight line to 1.",
                lambda s, t, w: _half_cosine(_part(max(s, w), t, w))),
        Mistake("Your cosine begins at step 0, so that it jumps after the warm-up: its progress is "
                "(step − warmup) / (total − warmup).", _with(lambda s, t, w: _half_cosine(min(1.0, s / t)))),
        Mistake("Your cosine ends late: after the warm-up there are total − warmup steps left, not total.",
                _with(lambda s, t, w: _half_cosine(min(1.0, (s - w) / t)))),
        Mistake("After step `total` your factor rises again: a cosine is periodic. Stop the progress at 1.",
                _with(lambda s, t, w: _half_cosine((s - w) / (t - w)))),
        Mistake("The ½ is missing: 1 + cos goes from 2 to 0.",
                _with(lambda s, t, w: 2 * _half_cosine(_part(s, t, w)))),
        Mistake("Yours becomes negative: cos itself goes from 1 to −1. Wanted is ½ (1 + cos).",
                _with(lambda s, t, w: np.cos(np.pi * _part(s, t, w)))),
        Mistake("Yours is a quarter of a wave, cos(πp/2); wanted is half a wave, ½ (1 + cos πp), flat at both ends.",
                _with(lambda s, t, w: np.cos(np.pi / 2 * _part(s, t, w)))),
        Mistake("A whole period: yours is back at 1 in the end. Half a wave is wanted, cos(πp) and not cos(2πp).",
                _with(lambda s, t, w: _half_cosine(2 * _part(s, t, w)))),
        Mistake("Yours falls in a straight line; wanted is half a cosine.",
                _with(lambda s, t, w: 1 - _part(s, t, w))),
        Mistake("Yours rises where it should fall: ½ (1 + cos), not ½ (1 − cos).",
                _with(lambda s, t, w: 1 - _half_cosine(_part(s, t, w)))),
        Mistake("np.cos takes radians: π is half a turn, 180 is not.",
                _with(lambda s, t, w: 0.5 * (1 + np.cos(180 * _part(s, t, w))))),
    ),
    afterword="This is the schedule of nearly every model in this course.",
)  # fmt: skip

# -- 03.4 He's constant -----------------------------------------------------------------------------------------------


def _pairs(rng, activation, scale=1.0):
    z = scale * rng.standard_normal((200, 50))
    return z, activation(z)


CONSTANT = Exercise(
    id="03.4",
    title="He's constant from the data",
    signature="my_constant(before, after)",
    reference=constant,
    solution=(constant, init.kaiming_normal),
    cases=lambda rng: [_pairs(rng, lambda z: np.maximum(z, 0), 1.7), _pairs(rng, np.tanh),
                       _pairs(rng, lambda z: np.where(z > 0, z, 0.2 * z), 0.5)],
    hints=(
        "By (3.20) the next sums have mean square n Var(w) E[x²], where x is what comes out of the activation. It "
        "shall be as large as the mean square of the sums before.",
        "So c = E[z²] / E[f(z)²], both means over all the numbers you are given.",
        "return np.mean(before**2) / np.mean(after**2).",
    ),
    mistakes=(
        Mistake("You took the variance of the activations, which subtracts their mean. In (3.20) stands the mean "
                "square E[x²]: a positive mean adds to the sums as well.", lambda z, a: np.var(z) / np.var(a)),
        Mistake("Upside down: you computed how much the activation keeps; the weights have to make up for it.",
                lambda z, a: np.mean(a**2) / np.mean(z**2)),
        Mistake("That is the factor for the deviation, √c; wanted is c, for the variance.",
                lambda z, a: np.sqrt(np.mean(z**2) / np.mean(a**2))),
        Mistake("That is the ratio of the deviations; wanted is that of the mean squares.",
                lambda z, a: np.std(z) / np.std(a)),
        Mistake("That is 1/E[f(z)²], which is right only for sums of variance 1; here z has another scale.",
                lambda z, a: 1 / np.mean(a**2)),
        Mistake("You compared mean sizes |z|; variances go with squares.",
                lambda z, a: np.mean(np.abs(z)) / np.mean(np.abs(a))),
        Mistake("One number is wanted for the whole layer: average over both axes.",
                lambda z, a: np.mean(z**2, axis=0) / np.mean(a**2, axis=0)),
        Mistake("One number is wanted for the whole layer: average over both axes.",
                lambda z, a: np.mean(z**2, axis=1) / np.mean(a**2, axis=1)),
        Mistake("You divided by the number of inputs as well: c/n is the variance of a weight, wanted is c.",
                lambda z, a: constant(z, a) / z.shape[1]),
        Mistake("Squares first, then the mean: the mean of z itself is about 0.",
                lambda z, a: np.mean(z) ** 2 / np.mean(a) ** 2),
    ),
    afterword="For the relu that is 2, up to the scatter of the draws: He's constant. Now you can have one for any "
              "activation.",
)  # fmt: skip

# -- 03.5 backward through a batch normalisation ----------------------------------------------------------------------


def _features(rng, count, channels):
    return rng.normal(size=(count, channels)), rng.normal(2, 1.5, size=(count, channels)), 0.1


BACKWARD = Exercise(
    id="03.5",
    title="Backward through a batch normalisation",
    signature="my_backward(g, x, eps)",
    reference=batch_norm_gradient,
    solution=(reference.batch_norm_backward, batch_norm_gradient),
    cases=lambda rng: [_features(rng, 6, 6), _features(rng, 5, 2), _features(rng, 40, 1)],
    hints=(
        "Write (3.25) down. Its means run over what was normalised together: for batch normalisation, the "
        "batch, axis 0.",
        "First m, s = √(var + eps) and x̂ as in the forward pass. Then take out of g its mean, and x̂ times the mean of "
        "g x̂; divide by s.",
        "n = (x - x.mean(0)) / s;  return (g - g.mean(0) - n * (g * n).mean(0)) / s.",
    ),
    mistakes=(
        Mistake("Your means run over the channels (axis 1): that is layer normalisation. Here they run over the batch, "
                "axis 0.", lambda g, x, e: three_terms(g, x, e, axis=1)),
        Mistake("You took m and s for constants. They depend on x as well; two terms of (3.25) are missing.",
                lambda g, x, e: three_terms(g, x, e, mean=0, along=0)),
        Mistake("The mean of g is not taken out: moving all x by the same amount must change nothing.",
                lambda g, x, e: three_terms(g, x, e, mean=0)),
        Mistake("The last term of (3.25) is missing: how s depends on x.",
                lambda g, x, e: three_terms(g, x, e, along=0)),
        Mistake("The last term has the wrong sign: both terms are taken away.",
                lambda g, x, e: three_terms(g, x, e, along=-1)),
        Mistake("The division by s is missing.", lambda g, x, e: three_terms(g, x, e, scale=lambda x, e: 1.0)),
        Mistake("You divided by s² (the variance); by (3.25) it is s.",
                lambda g, x, e: three_terms(g, x, e, scale=lambda x, e: x.var(0) + e)),
        Mistake("You multiplied by s; by (3.25) you divide.",
                lambda g, x, e: three_terms(g, x, e, scale=lambda x, e: 1 / np.sqrt(x.var(0) + e))),
        Mistake("eps is left out: s = √(var + eps).", lambda g, x, e: three_terms(g, x, 0.0)),
        Mistake("eps is added to s; it belongs under the root, to the variance.",
                lambda g, x, e: three_terms(g, x, e, spread=lambda x, e: x.std(0) + e)),
        Mistake("Your variance divides by B − 1; normalisation takes the plain mean of the squares, over B.",
                lambda g, x, e: three_terms(g, x, e, ddof=1)),
        Mistake("In the last term stands x̂, not x or x − m: both factors are normalised.",
                lambda g, x, e: (g - g.mean(0) - (x - x.mean(0)) * (g * (x - x.mean(0))).mean(0))
                / np.sqrt(x.var(0) + e)),
        Mistake("You summed over the batch where (3.25) has means.",
                lambda g, x, e: three_terms(g, x, e, mean=len(x), along=len(x))),
    ),
    afterword="The gradient has no part along 1 and, but for eps, none along x̂: those two moves change nothing.",
)  # fmt: skip

# -- 03.6 open --------------------------------------------------------------------------------------------------------

OPEN = Exercise(
    id="03.6",
    title="Open: a small reader of digits",
    signature="my_network(rng)",
    judge=small_reader,
    solution=(conv_network, conv_block, he),
    hints=(
        "Where do the 5,000 parameters go? Count: a convolution 3×3 has O · C · 9, a linear layer outputs · inputs. "
        "Which of the two sees more places with one weight?",
        "nn.Sequential(nn.Scaled(16), conv_block(1, …, rng=rng), …, nn.Flatten(), nn.Linear(…, 10, rng=rng)), with two "
        "blocks of stride 2: then 2×2 places are left to be flattened.",
        "conv_block(1, 10), conv_block(10, 16, stride=2), conv_block(16, 16, stride=2), then nn.Linear(64, 10): "
        "4,568 parameters.",
    ),
)

EXERCISES = [FIRST_STEP, EXPONENT, SCHEDULE, CONSTANT, BACKWARD, OPEN]
