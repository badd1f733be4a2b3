"""What learners typically write in lesson 01, as they would write it, and a phrase that the feedback must contain."""

import math
import random

import numpy as np
from scipy import stats

from minigen.data.characters import Characters
from minigen.models.ngram import NGram

# -- 01.1 -------------------------------------------------------------------------------------------------------------


def statistics_book(x):
    return np.mean(x, axis=0), np.std(x, axis=0, ddof=1)


def variance(x):
    m = x.mean(0)
    return m, ((x - m) ** 2).mean(0)


def along_the_wrong_axis(x):
    m = np.mean(x, axis=1)
    s = np.sqrt(np.mean((x - m[:, None]) ** 2, axis=1))
    return m, s


def one_bell_for_everything(x):
    return x.mean(), x.std()


def norm_fit_of_everything(x):
    return stats.norm.fit(x)


def centred_by_one_number(x):
    return x.mean(0), np.sqrt(((x - x.mean()) ** 2).mean(0))


def not_centred(x):
    n = len(x)
    return x.sum(0) / n, np.sqrt((x * x).sum(0) / n)


def not_divided(x):
    m = x.mean(0)
    return m, np.sqrt(((x - m) ** 2).sum(0))


def absolute_deviation(x):
    m = x.mean(0)
    return m, np.mean(abs(x - m), 0)


def in_the_other_order(x):
    return np.std(x, 0), np.mean(x, 0)


def only_the_mean(x):
    return x.mean(0)


def standard_error(x):
    return x.mean(0), np.std(x, 0) / len(x) ** 0.5


def as_one_array(x):
    return np.array([x.mean(0), x.std(0)])


def centres_x_in_place(x):
    m = x.mean(0)
    x -= m
    return m, np.sqrt((x**2).mean(0))


# -- 01.2 -------------------------------------------------------------------------------------------------------------


def nats_per_dim(nats, shape):
    return nats / np.prod(shape)


def bits_per_picture(nats, shape):
    return nats / np.log(2)


def times_log_two(nats, shape):
    d = 1
    for side in shape:
        d *= side
    return nats * math.log(2) / d


def colours_forgotten(nats, shape):
    return nats / (shape[-1] * shape[-2] * np.log(2)) if len(shape) == 3 else nats / (shape[0] * np.log(2))


def logarithm_twice(nats, shape):
    return np.log2(nats) / np.prod(shape)


def number_of_axes(nats, shape):
    return nats / np.size(shape) / np.log(2)


def first_axis_only(nats, shape):
    return nats / (shape[0] * np.log(2))


def mean_of_the_batch(nats, shape):
    return np.mean(nats) / (np.prod(shape) * np.log(2))


def divided_by_two(nats, shape):
    return nats / 2 / np.prod(shape)


def wrong_sign(nats, shape):
    return -nats / np.log(2) / np.prod(shape)


# -- 01.3 -------------------------------------------------------------------------------------------------------------


def as_it_stands(v):
    return np.log(np.sum(np.exp(v), axis=1))


def shortest(v):
    m = np.max(v, axis=1, keepdims=True)
    return (m + np.log(np.sum(np.exp(v - m), axis=1, keepdims=True))).squeeze(1)


def maximum_lost(v):
    m = v.max(1)
    return np.log(np.exp(v - m[:, None]).sum(1))


def maximum_of_all(v):
    m = np.max(v)
    return m + np.log(np.sum(np.exp(v - m), axis=-1))


def minimum_out(v):
    m = v.min(1)[:, None]
    return m[:, 0] + np.log(np.exp(v - m).sum(1))


def over_the_rows(v):
    m = v.max(0)
    return m + np.log(np.exp(v - m).sum(0))


def the_largest(v):
    return np.max(v, axis=1)


def log_of_the_sum(v):
    return np.log(v.sum(1))


def mean_of_the_terms(v):
    m = np.maximum(v.max(1, keepdims=True), -1e300)
    return m[:, 0] + np.log(np.exp(v - m).mean(1))


def kept_as_a_column(v):
    m = v.max(1, keepdims=True)
    return m + np.log(np.exp(v - m).sum(1, keepdims=True))


# -- 01.4 -------------------------------------------------------------------------------------------------------------


def relative_frequency(counts, shorter):
    return counts / np.sum(counts) if np.sum(counts) > 0 else shorter


def without_the_unseen_case(counts, shorter):
    types = (counts > 0).sum()
    return (counts + types * shorter) / (counts.sum() + types)


def laplace(counts, shorter):
    return (counts + 1) / np.sum(counts + 1)


def all_types(counts, shorter):
    T = len(counts)
    if counts.sum() == 0:
        return shorter
    return (counts + T * shorter) / (counts.sum() + T)


def singletons(counts, shorter):
    T = np.sum(counts == 1)
    return (counts + T * shorter) / (counts.sum() + T) if counts.sum() else shorter


def normalised_by_counts_only(counts, shorter):
    if not counts.any():
        return shorter
    return (counts + (counts > 0).sum() * shorter) / counts.sum()


def types_left_out_above(counts, shorter):
    if not counts.any():
        return shorter
    return (counts + shorter) / (counts.sum() + (counts > 0).sum())


def backed_off(counts, shorter):
    T = len(np.nonzero(counts)[0])
    if T == 0:
        return shorter
    p = counts / (counts.sum() + T)
    p[counts == 0] = T / (counts.sum() + T) * shorter[counts == 0]
    return p


def uniform_below(counts, shorter):
    T, V = np.count_nonzero(counts), len(counts)
    return (counts + T / V) / (counts.sum() + T) if T else shorter


def weights_exchanged(counts, shorter):
    c, T = counts.sum(), np.count_nonzero(counts)
    if c == 0:
        return shorter
    lam = T / (c + T)
    return lam * counts / c + (1 - lam) * shorter


def half_and_half(counts, shorter):
    return 0.5 * counts / counts.sum() + 0.5 * shorter if counts.sum() else shorter


# -- 01.5 -------------------------------------------------------------------------------------------------------------


def temperature_forgotten(predict, n, temperature, rng):
    text = []
    for _ in range(n):
        p = predict(text)
        text.append(rng.choice(len(p), p=p))
    return text


def divided(predict, n, temperature, rng):
    text = []
    for _ in range(n):
        p = predict(text) / temperature
        p /= p.sum()
        text.append(rng.choice(3, p=p))
    return np.array(text)


def power_upside_down(predict, n, temperature, rng):
    text = []
    while len(text) < n:
        p = predict(text) ** temperature
        text.append(np.searchsorted(np.cumsum(p) / p.sum(), rng.random()))
    return text


def softmax_of_p(predict, n, temperature, rng):
    text = []
    for _ in range(n):
        e = np.exp(predict(text) / temperature)
        text.append(rng.choice(len(e), p=e / e.sum()))
    return text


def likeliest(predict, n, temperature, rng):
    text = []
    for _ in range(n):
        text.append(int(np.argmax(predict(text) ** (1 / temperature))))
    return text


def always_the_first(predict, n, temperature, rng):
    p = predict([]) ** (1 / temperature)
    return rng.choice(len(p), size=n, p=p / p.sum())


def never_looks_back(predict, n, temperature, rng):
    text = []
    for _ in range(n):
        p = predict([]) ** (1 / temperature)
        text.append(rng.choice(len(p), p=p / p.sum()))
    return text


def its_own_randomness(predict, n, temperature, rng):
    text = []
    for _ in range(n):
        p = predict(text) ** (1 / temperature)
        text += random.choices(range(len(p)), weights=p)
    return text


def a_fixed_seed(predict, n, temperature, rng):
    rng = np.random.default_rng(0)
    text = []
    for _ in range(n):
        p = predict(text) ** (1 / temperature)
        text.append(rng.choice(len(p), p=p / p.sum()))
    return text


def not_normalised(predict, n, temperature, rng):
    text = []
    for _ in range(n):
        p = predict(text) ** (1 / temperature)
        text.append(rng.choice(len(p), p=p))
    return text


def one_too_many(predict, n, temperature, rng):
    text = [0]
    for _ in range(n):
        p = predict(text) ** (1 / temperature)
        text.append(rng.choice(len(p), p=p / p.sum()))
    return text


def one_symbol(predict, n, temperature, rng):
    p = predict([]) ** (1 / temperature)
    return rng.choice(len(p), p=p / p.sum())


# -- 01.6 -------------------------------------------------------------------------------------------------------------


def uniform(train, alphabet):
    return lambda text: np.full(len(alphabet), 1 / len(alphabet))


def order_two(train, alphabet):
    return _ngram(train, alphabet, 2)


def the_lessons_own(train, alphabet):
    return _ngram(train, alphabet, 7)


def _ngram(train, alphabet, order):
    coder = Characters(alphabet)
    model = NGram(order, len(coder)).fit(coder.encode(train))
    return lambda text: model.probabilities(coder.encode(text[-order:]))


def relative_frequencies(train, alphabet):
    def predict(text):
        h = text[-2:]
        counts = np.array([train.count(h + w) for w in alphabet])
        return counts / counts.sum() if counts.sum() else np.full(len(alphabet), 1 / len(alphabet))

    return predict


def does_not_sum_to_one(train, alphabet):
    return lambda text: np.array([train.count(w) for w in alphabet])


def only_the_probability_of_one(train, alphabet):
    return lambda text: 0.5


def a_dict(train, alphabet):
    return lambda text: {w: 1 / len(alphabet) for w in alphabet}


def a_model(train, alphabet):
    return NGram(7, len(alphabet))


WRONG = {
    "01.1": [
        (statistics_book, "divided by n − 1"),
        (variance, "returned the variance"),
        (along_the_wrong_axis, "averaged over the columns"),
        (one_bell_for_everything, "averaged over everything"),
        (norm_fit_of_everything, "averaged over everything"),
        (centred_by_one_number, "each column has its own"),
        (not_centred, "forgot to subtract the mean"),
        (not_divided, "You summed the squares"),
        (absolute_deviation, "mean distance from the mean"),
        (in_the_other_order, "in this order"),
        (only_the_mean, "Two things are wanted"),
        (as_one_array, "Two things are wanted"),
        (standard_error, "standard error of the mean"),
        (centres_x_in_place, "changes its input in place"),
    ],
    "01.2": [
        (nats_per_dim, "nats per dimension"),
        (bits_per_picture, "bits per picture"),
        (times_log_two, "turns bits into nats"),
        (colours_forgotten, "several colours"),
        (logarithm_twice, "is a logarithm already"),
        (number_of_axes, "number of axes"),
        (first_axis_only, "length of one axis only"),
        (mean_of_the_batch, "averaged over the pictures"),
        (divided_by_two, "the conversion is log 2"),
        (wrong_sign, "opposite sign"),
    ],
    "01.3": [
        (as_it_stands, "e^(−1500) is 0"),
        (shortest, "−∞ − (−∞) is nan"),
        (maximum_lost, "did not add it back"),
        (maximum_of_all, "largest of all rows"),
        (minimum_out, "another number than the largest"),
        (over_the_rows, "combined the rows"),
        (the_largest, "up to log K too small"),
        (log_of_the_sum, "left out the exponential"),
        (mean_of_the_terms, "log K is missing"),
        (kept_as_a_column, "shape (4, 1), wanted (4,)"),
    ],
    "01.4": [
        (relative_frequency, "still has probability 0"),
        (without_the_unseen_case, "gives 0/0"),
        (laplace, "Laplace's rule"),
        (all_types, "not all V of the alphabet"),
        (singletons, "exactly once"),
        (normalised_by_counts_only, "divide by c(h) + T(h), not by c(h)"),
        (types_left_out_above, "you left out T(h)"),
        (backed_off, "called backing off"),
        (uniform_below, "not spread evenly"),
        (weights_exchanged, "weights are exchanged"),
        (half_and_half, "always has half the say"),
    ],
    "01.5": [
        (temperature_forgotten, "temperature has no effect"),
        (divided, "temperature has no effect"),
        (power_upside_down, "the power is 1/temperature, not temperature"),
        (softmax_of_p, "softmax of p/temperature"),
        (likeliest, "always take the likeliest"),
        (always_the_first, "as if it were the first"),
        (never_looks_back, "as if it were the first"),
        (its_own_randomness, "does not come from the rng given"),
        (a_fixed_seed, "a new generator with a fixed seed"),
        (not_normalised, "It stopped with ValueError"),
        (one_too_many, "wanted 3000"),
        (one_symbol, "wanted a list of 3000 symbols"),
    ],
    "01.6": [
        (uniform, "A uniform guess is as good"),
        (order_two, "has 0.590: begin with it"),
        (the_lessons_own, "names and things of a story return"),
        (relative_frequencies, "probability 0 after"),
        (does_not_sum_to_one, "wanted: sum 1"),
        (only_the_probability_of_one, "a probability for each character"),
        (a_dict, "predict returned dict"),
        (a_model, "wanted a function"),
    ],
}
