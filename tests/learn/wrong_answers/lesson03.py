"""What learners typically write, as they would write it, and a phrase that the feedback must contain."""

import numpy as np

from minigen import nn
from minigen.models.classifier import Classifier, conv_network, mlp_network

# -- 03.1 -------------------------------------------------------------------------------------------------------------


def uphill(gradient, lr):
    return lr * np.sign(gradient)


def plain_descent(gradient, lr):
    return -lr * gradient


def sign_alone(gradient, lr):
    return -np.sign(gradient)


def no_correction(gradient, lr):
    m = 0.9 * 0 + 0.1 * gradient
    v = 0.999 * 0 + 0.001 * gradient**2
    return -lr * m / (np.sqrt(v) + 1e-8)


def only_m_corrected(gradient, lr):
    m, v = 0.1 * gradient, 0.001 * gradient**2
    return -lr * (m / (1 - 0.9)) / (v**0.5 + 1e-8)


def only_v_corrected(gradient, lr):
    m, v = 0.1 * gradient, 0.001 * gradient**2
    return -lr * m / (np.sqrt(v / (1 - 0.999)) + 1e-8)


def no_root(gradient, lr):
    m, v = 0.1 * gradient, 0.001 * gradient**2
    return -lr * (m / 0.1) / (v / 0.001 + 1e-8)


def divided_by_length(gradient, lr):
    return -lr * gradient / np.sqrt((gradient**2).sum())


def zero_by_zero(gradient, lr):
    return -lr * gradient / np.sqrt(gradient**2)


def the_new_parameter_forgotten(gradient, lr):
    print(-lr * np.sign(gradient))


# -- 03.2 -------------------------------------------------------------------------------------------------------------


def _spread_of_batches(gradients, sizes, rng, make=lambda batch: batch.mean(0)):
    spreads = []
    for size in sizes:
        means = [make(gradients[rng.integers(0, len(gradients), size)]) for _ in range(600)]
        spreads.append(np.array(means).var(axis=0).sum())
    return spreads


def deviation_instead(gradients, sizes, rng):
    deviations = np.sqrt(_spread_of_batches(gradients, sizes, rng))
    return np.polyfit(np.log(sizes), np.log(deviations), 1)[0]


def summed_batches(gradients, sizes, rng):
    spreads = _spread_of_batches(gradients, sizes, rng, make=lambda batch: batch.sum(0))
    return np.polyfit(np.log(sizes), np.log(spreads), 1)[0]


def both_numbers_of_the_line(gradients, sizes, rng):
    return np.polyfit(np.log(sizes), np.log(_spread_of_batches(gradients, sizes, rng)), 1)


def the_other_number(gradients, sizes, rng):
    slope, start = np.polyfit(np.log10(sizes), np.log10(_spread_of_batches(gradients, sizes, rng)), 1)
    return start * np.log(10)


def no_logarithms(gradients, sizes, rng):
    return np.polyfit(sizes, _spread_of_batches(gradients, sizes, rng), 1)[0]


def one_logarithm(gradients, sizes, rng):
    return np.polyfit(sizes, np.log(_spread_of_batches(gradients, sizes, rng)), 1)[0]


def not_centred(gradients, sizes, rng):
    squares = []
    for size in sizes:
        means = np.array([gradients[rng.choice(len(gradients), size)].mean(0) for _ in range(500)])
        squares.append((means**2).mean(0).sum())
    return np.polyfit(np.log(sizes), np.log(squares), 1)[0]


def the_spreads_themselves(gradients, sizes, rng):
    return _spread_of_batches(gradients, sizes, rng)


# -- 03.3 -------------------------------------------------------------------------------------------------------------


def starts_at_zero(step, total, warmup):
    if step < warmup:
        return step / warmup
    p = min(1, (step - warmup) / (total - warmup))
    return (1 + np.cos(np.pi * p)) / 2


def no_warmup(step, total, warmup):
    return 0.5 * (1 + np.cos(np.pi * min(step, total) / total))


def jumps(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + np.cos(np.pi * min(1, step / total)))


def periodic(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + np.cos(np.pi * (step - warmup) / (total - warmup)))


def without_half(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return 1 + np.cos(np.pi * min(1, (step - warmup) / (total - warmup)))


def bare_cosine(step, total, warmup):
    return (step + 1) / warmup if step < warmup else np.cos(np.pi * min(1, (step - warmup) / (total - warmup)))


def quarter_wave(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return np.cos(0.5 * np.pi * min(1, (step - warmup) / (total - warmup)))


def straight_line(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return max(0, (total - step) / (total - warmup))


def rises(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 - 0.5 * np.cos(np.pi * min(1, (step - warmup) / (total - warmup)))


def degrees(step, total, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + np.cos(180 * min(1, (step - warmup) / (total - warmup))))


# -- 03.4 -------------------------------------------------------------------------------------------------------------


def centred(before, after):
    return before.var() / after.var()


def upside_down(before, after):
    return (after**2).mean() / (before**2).mean()


def the_deviation(before, after):
    return np.sqrt((before**2).mean()) / np.sqrt((after**2).mean())


def ratio_of_deviations(before, after):
    return before.std() / after.std()


def unit_scale_taken_for_granted(before, after):
    return 1 / np.mean(after * after)


def for_each_unit(before, after):
    return (before**2).mean(0) / (after**2).mean(0)


def per_input(before, after):
    return (before**2).mean() / (after**2).mean() / before.shape[1]


def squared_means(before, after):
    return before.mean() ** 2 / after.mean() ** 2


# -- 03.5 -------------------------------------------------------------------------------------------------------------


def layer_norm_instead(g, x, eps):
    m, v = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    n = (x - m) / np.sqrt(v + eps)
    return (g - g.mean(1, keepdims=True) - n * (g * n).mean(1, keepdims=True)) / np.sqrt(v + eps)


def constants(g, x, eps):
    return g / np.sqrt(x.var(0) + eps)


def mean_forgotten(g, x, eps):
    s = np.sqrt(x.var(0) + eps)
    n = (x - x.mean(0)) / s
    return (g - n * (g * n).mean(0)) / s


def scale_forgotten(g, x, eps):
    return (g - g.mean(0)) / np.sqrt(x.var(0) + eps)


def plus_sign(g, x, eps):
    s = np.sqrt(x.var(0) + eps)
    n = (x - x.mean(0)) / s
    return (g - g.mean(0) + n * (g * n).mean(0)) / s


def not_divided(g, x, eps):
    n = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)
    return g - g.mean(0) - n * (g * n).mean(0)


def variance_below(g, x, eps):
    v = x.var(0) + eps
    n = (x - x.mean(0)) / v**0.5
    return (g - g.mean(0) - n * (g * n).mean(0)) / v


def eps_forgotten(g, x, eps):
    n = (x - x.mean(0)) / x.std(0)
    return (g - g.mean(0) - n * (g * n).mean(0)) / x.std(0)


def eps_outside_the_root(g, x, eps):
    s = x.std(0) + eps
    n = (x - x.mean(0)) / s
    return (g - g.mean(0) - n * (g * n).mean(0)) / s


def unbiased_variance(g, x, eps):
    s = np.sqrt(x.var(0, ddof=1) + eps) if len(x) > 1 else 1
    n = (x - x.mean(0)) / s
    return (g - g.mean(0) - n * (g * n).mean(0)) / s


def summed_terms(g, x, eps):
    s = np.sqrt(x.var(0) + eps)
    n = (x - x.mean(0)) / s
    return (g - g.sum(0) - n * (g * n).sum(0)) / s


# -- 03.6 -------------------------------------------------------------------------------------------------------------


def too_large(rng):
    return conv_network(8, 10, width=32, high=16, rng=rng)


def a_classifier(rng):
    return Classifier(mlp_network(64, 10, high=16, rng=rng), 10)


def not_a_network(rng):
    return "conv"


def five_outputs(rng):
    return mlp_network(64, 5, high=16, rng=rng)


def pictures_not_flattened(rng):
    return nn.Sequential(nn.Scaled(16), nn.Linear(64, 10, rng=rng))


def one_hidden_layer(rng):
    return mlp_network(64, 10, (32,), high=16, rng=rng)


WRONG = {
    "03.1": [
        (uphill, "goes uphill"),
        (plain_descent, "plain gradient descent"),
        (sign_alone, "The learning rate is missing"),
        (no_correction, "left out the bias correction"),
        (only_m_corrected, "corrected m but not v"),
        (only_v_corrected, "corrected v but not m"),
        (no_root, "divides by its root"),
        (divided_by_length, "the length of the whole gradient"),
        (zero_by_zero, "divide 0 by 0"),
        (the_new_parameter_forgotten, "is the `return` missing?"),
    ],
    "03.2": [
        (deviation_instead, "exponent of the standard deviation"),
        (summed_batches, "Did you add up the gradients"),
        (both_numbers_of_the_line, "shape (2,), wanted ()"),
        (the_other_number, "where it crosses the axis"),
        (no_logarithms, "only after taking logarithms of both"),
        (one_logarithm, "logarithm of the batch sizes as well"),
        (not_centred, "the mean square, not the variance"),
        (the_spreads_themselves, "shape (4,), wanted ()"),
    ],
    "03.3": [
        (starts_at_zero, "so it is wasted"),
        (no_warmup, "The warm-up is missing"),
        (jumps, "begins at step 0"),
        (periodic, "rises again"),
        (without_half, "The ½ is missing"),
        (bare_cosine, "becomes negative"),
        (quarter_wave, "a quarter of a wave"),
        (straight_line, "in a straight line; wanted is half a cosine"),
        (rises, "rises where it should fall"),
        (degrees, "takes radians"),
    ],
    "03.4": [
        (centred, "which subtracts their mean"),
        (upside_down, "Upside down"),
        (the_deviation, "factor for the deviation"),
        (ratio_of_deviations, "ratio of the deviations"),
        (unit_scale_taken_for_granted, "only for sums of variance 1"),
        (for_each_unit, "shape (50,), wanted (): One number is wanted"),
        (per_input, "divided by the number of inputs"),
        (squared_means, "Squares first"),
    ],
    "03.5": [
        (layer_norm_instead, "that is layer normalisation"),
        (constants, "took m and s for constants"),
        (mean_forgotten, "The mean of g is not taken out"),
        (scale_forgotten, "how s depends on x"),
        (plus_sign, "wrong sign"),
        (not_divided, "The division by s is missing"),
        (variance_below, "divided by s²"),
        (eps_forgotten, "eps is left out"),
        (eps_outside_the_root, "belongs under the root"),
        (unbiased_variance, "divides by B − 1"),
        (summed_terms, "summed over the batch where (3.25) has means"),
    ],
    "03.6": [
        (too_large, "at most 5,000 are allowed"),
        (a_classifier, "wanted the network alone"),
        (not_a_network, "It returned str, wanted a network"),
        (five_outputs, "wanted (3, 10)"),
        (pictures_not_flattened, "your network stops"),
        (one_hidden_layer, "no convolution in it"),
    ],
}
