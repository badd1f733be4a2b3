"""What learners typically write, as they would write it, and a phrase that the feedback must contain.

They are in a learner's style, in NumPy or in Tensors as it comes, not copies of the exercises' own lists of mistakes.
"""

import itertools

import numpy as np

import minigen as mg
from minigen import likelihoods, nn
from minigen.models.made import MADE
from minigen.models.pixelcnn import PixelCNN

# -- 06.1 -------------------------------------------------------------------------------------------------------------


def leaks_to_itself(inputs, hidden):
    return hidden[:, None] >= inputs, inputs[:, None] >= hidden


def strict_twice(inputs, hidden):
    return hidden[:, None] > inputs, inputs[:, None] > hidden


def masks_transposed(inputs, hidden):
    first = inputs[:, None] <= hidden
    return first, hidden[:, None] < inputs


def strict_in_the_wrong_place(inputs, hidden):
    first = np.zeros((len(hidden), len(inputs)))
    last = np.zeros((len(inputs), len(hidden)))
    for k, m in enumerate(hidden):
        for j, d in enumerate(inputs):
            first[k, j] = m > d
            last[j, k] = d >= m
    return first, last


def places_for_degrees(inputs, hidden):
    place = np.arange(len(inputs)) + 1
    return hidden[:, None] >= place[None], place[:, None] > hidden[None]


def the_wrong_way(inputs, hidden):
    return (hidden[:, None] <= inputs[None]).astype(int), (inputs[:, None] < hidden[None]).astype(int)


def other_order(inputs, hidden):
    return inputs[:, None] > hidden, hidden[:, None] >= inputs


def only_one_mask(inputs, hidden):
    return hidden[:, None] >= inputs[None]


# -- 06.2 -------------------------------------------------------------------------------------------------------------


def _rows(network, x):
    x = mg.tensor(x, requires_grad=True)
    y = network(x)
    return [mg.grad(y[:, d].sum(), x)[0].data for d in range(y.shape[1])]


def columns_for_rows(network, x):
    return np.stack([abs(g).max(0) for g in _rows(network, x)], axis=1)


def cancelling_sum(network, x):
    return np.abs(np.stack([g.sum(0) for g in _rows(network, x)]))


def no_absolute_value(network, x):
    return np.stack([g.max(0) for g in _rows(network, x)])


def first_example(network, x):
    return np.stack([np.abs(g[0]) for g in _rows(network, x)])


def all_outputs_at_once(network, x):
    x = mg.tensor(x, requires_grad=True)
    y = network(x)
    y.sum().backward()
    return np.tile(np.abs(x.grad.data).max(0), (y.shape[1], 1))


def dependence_only(network, x):
    return np.stack([(g != 0).any(0) for g in _rows(network, x)]).astype(float)


def averaged_size(network, x):
    return np.stack([np.abs(g).mean(0) for g in _rows(network, x)])


def forgot_requires_grad(network, x):
    x = mg.tensor(x)
    y = network(x)
    y[:, 0].sum().backward()
    return x.grad.data


# -- 06.3 -------------------------------------------------------------------------------------------------------------


def _pictures(pixels):
    return np.array(list(itertools.product([0, 1], repeat=pixels)))


def sum_of_logarithms(log_prob, pixels):
    return log_prob(_pictures(pixels)).sum()


def average_probability(log_prob, pixels):
    return np.exp(log_prob(_pictures(pixels))).mean()


def log_of_the_sum(log_prob, pixels):
    v = log_prob(_pictures(pixels))
    return v.max() + np.log(np.exp(v - v.max()).sum())


def one_too_few(log_prob, pixels):
    x = np.array([[n >> d & 1 for d in range(pixels)] for n in range(2**pixels - 1)])
    return np.exp(log_prob(x)).sum()


def without_the_empty_picture(log_prob, pixels):
    x = np.array([[n >> d & 1 for d in range(pixels)] for n in range(1, 2**pixels)])
    return np.exp(log_prob(x)).sum()


def single_dots(log_prob, pixels):
    return np.exp(log_prob(np.eye(pixels))).sum()


def one_picture_at_a_time(log_prob, pixels):
    return sum(np.exp(log_prob(np.array(x))) for x in itertools.product([0, 1], repeat=pixels))


# -- 06.4 -------------------------------------------------------------------------------------------------------------


def all_at_once(conditional, pixels, n, rng):
    nothing = np.zeros((n, pixels), dtype=int)
    p = np.stack([conditional(nothing, d) for d in range(pixels)], axis=1)
    return (rng.random((n, pixels)) < p).astype(int)


def likelier_value(conditional, pixels, n, rng):
    x = np.zeros((n, pixels), dtype=int)
    for d in range(pixels):
        x[:, d] = np.round(conditional(x, d))
    return x


def backwards(conditional, pixels, n, rng):
    x = np.zeros((n, pixels), dtype=int)
    for d in reversed(range(pixels)):
        x[:, d] = rng.random(n) < conditional(x, d)
    return x


def one_coin_for_all(conditional, pixels, n, rng):
    x = np.zeros((n, pixels), dtype=int)
    for d in range(pixels):
        x[:, d] = conditional(x, d) > rng.uniform()
    return x


def coin_the_wrong_way(conditional, pixels, n, rng):
    x = np.zeros((n, pixels), dtype=int)
    for d in range(pixels):
        x[:, d] = np.where(rng.random(n) < conditional(x, d), 0, 1)
    return x


def coins_of_its_own(conditional, pixels, n, rng):
    x = np.zeros((n, pixels), dtype=int)
    for d in range(pixels):
        x[:, d] = np.random.rand(n) < conditional(x, d)
    return x


def a_fixed_seed(conditional, pixels, n, rng):
    rng = np.random.default_rng(0)
    x = np.zeros((n, pixels), dtype=int)
    for d in range(pixels):
        x[:, d] = rng.random(n) < conditional(x, d)
    return x


def probabilities_for_pixels(conditional, pixels, n, rng):
    x = np.zeros((n, pixels))
    for d in range(pixels):
        x[:, d] = conditional(x, d)
    return x


def one_picture(conditional, pixels, n, rng):
    x = np.zeros((1, pixels), dtype=int)
    for d in range(pixels):
        x[0, d] = rng.random() < conditional(x, d)[0]
    return x


# -- 06.5 -------------------------------------------------------------------------------------------------------------


def _sigma(t):
    return 1 / (1 + np.exp(-t))


def difference_of_sigmoids(k, place, scale, levels):
    x, h = 2 * k / (levels - 1) - 1, 1 / (levels - 1)
    top = np.where(k == levels - 1, 1, _sigma((x + h - place) / scale))
    bottom = np.where(k == 0, 0, _sigma((x - h - place) / scale))
    return np.log(top - bottom)


def _stable(k, place, scale, levels, h, open_first=True, open_last=True):
    x = 2 * k / (levels - 1) - 1
    a, b = (x - h - place) / scale, (x + h - place) / scale
    up, down = -np.logaddexp(0, -b), -np.logaddexp(0, a)
    inner = up + down + np.log(-np.expm1(a - b))
    return np.where((k == 0) & open_first, up, np.where((k == levels - 1) & open_last, down, inner))


def closed_ends(k, place, scale, levels):
    return _stable(k, place, scale, levels, 1 / (levels - 1), False, False)


def one_open_end(k, place, scale, levels):
    return _stable(k, place, scale, levels, 1 / (levels - 1), True, False)


def bins_of_the_wrong_width(k, place, scale, levels):
    return _stable(k, place, scale, levels, 1 / levels)


def bins_twice_too_wide(k, place, scale, levels):
    return _stable(k, place, scale, levels, 2 / (levels - 1))


def scale_as_a_logarithm(k, place, scale, levels):
    return _stable(k, place, np.exp(scale), levels, 1 / (levels - 1))


def mass_without_the_logarithm(k, place, scale, levels):
    return np.exp(_stable(k, place, scale, levels, 1 / (levels - 1)))


def negative_log_mass(k, place, scale, levels):
    return -_stable(k, place, scale, levels, 1 / (levels - 1))


# -- 06.6 -------------------------------------------------------------------------------------------------------------


def the_future_too(height, width, i, j, kernel):
    blind = np.zeros((height, width), dtype=bool)
    for r in range(height):
        for c in range(width):
            forbidden = r > i or (r == i and c >= j)
            blind[r, c] = forbidden or (r < i and c - j > (kernel - 1) // 2 * (i - r))
    return blind


def one_column_per_row(height, width, i, j, kernel):
    rows, columns = np.mgrid[:height, :width]
    return (rows < i) & (columns > j + (i - rows))


def a_whole_filter_per_row(height, width, i, j, kernel):
    rows, columns = np.mgrid[:height, :width]
    return (rows < i) & (columns > j + kernel * (i - rows))


def blind_on_the_left(height, width, i, j, kernel):
    rows, columns = np.mgrid[:height, :width]
    return (rows < i) & (columns < j - kernel // 2 * (i - rows))


def what_is_seen(height, width, i, j, kernel):
    rows, columns = np.mgrid[:height, :width]
    before = (rows < i) | ((rows == i) & (columns < j))
    return before & (columns - j <= kernel // 2 * (i - rows))


def a_share(height, width, i, j, kernel):
    rows, columns = np.mgrid[:height, :width]
    return np.mean((rows < i) & (columns > j + kernel // 2 * (i - rows)))


# -- 06.7 -------------------------------------------------------------------------------------------------------------


def only_a_network(rng):
    return nn.Linear(64, 64, rng=rng)


def far_too_large(rng):
    return PixelCNN(likelihoods.Categorical(17), (8, 8), high=16, width=96, rng=rng)


def black_and_white(rng):
    return MADE(likelihoods.Bernoulli(), 64, high=16, rng=rng)


def forgot_to_return_it(rng):
    MADE(likelihoods.Categorical(17), 64, high=16, rng=rng)


def free_levels(rng):
    return MADE(likelihoods.Categorical(17), 64, high=16, hidden=(200,), rng=rng)


WRONG = {
    "06.1": [
        (leaks_to_itself, "The last comparison must be strict"),
        (strict_twice, "The first comparison is too strict"),
        (masks_transposed, "Your masks are transposed"),
        (strict_in_the_wrong_place, "You exchanged strict and not strict"),
        (places_for_degrees, "You compare places in the array"),
        (the_wrong_way, "point the wrong way"),
        (other_order, "in the other order"),
        (only_one_mask, "It returned 1 value(s), wanted 2"),
    ],
    "06.2": [
        (columns_for_rows, "Yours is transposed"),
        (cancelling_sum, "slopes of different signs cancel"),
        (no_absolute_value, "The sign is still there"),
        (first_example, "one example only"),
        (all_outputs_at_once, "All your rows are the same"),
        (dependence_only, "You say whether it depends"),
        (averaged_size, "You averaged over the batch"),
        (forgot_requires_grad, "It stopped with"),
    ],
    "06.3": [
        (sum_of_logarithms, "You summed logarithms"),
        (average_probability, "You averaged"),
        (log_of_the_sum, "That is the logarithm of the sum"),
        (one_too_few, "One picture is missing"),
        (without_the_empty_picture, "One picture is missing"),
        (single_dots, "a single pixel of ink each"),
        (one_picture_at_a_time, "expected (B, 3)"),
    ],
    "06.4": [
        (all_at_once, "as if all before it were 0"),
        (likelier_value, "You take the likelier value"),
        (backwards, "begin with pixel 0"),
        (one_coin_for_all, "One random number serves all n pictures"),
        (coin_the_wrong_way, "the wrong way round"),
        (coins_of_its_own, "do not come from the rng given"),
        (a_fixed_seed, "a generator with a fixed seed"),
        (probabilities_for_pixels, "a coin for each, not its probability"),
        (one_picture, "wanted (40000, 3)"),
    ],
    "06.5": [
        (difference_of_sigmoids, "cancels far above the bell"),
        (closed_ends, "The first and the last bin are open"),
        (one_open_end, "You opened the first bin only"),
        (bins_of_the_wrong_width, "Your bins have the wrong width"),
        (bins_twice_too_wide, "Your bins are twice too wide"),
        (scale_as_a_logarithm, "scale is s itself"),
        (mass_without_the_logarithm, "That is P(k)"),
        (negative_log_mass, "opposite sign"),
    ],
    "06.6": [
        (the_future_too, "they are forbidden"),
        (one_column_per_row, "m = (kernel − 1)/2 columns to the right, not 1"),
        (a_whole_filter_per_row, "half a filter, not a whole one"),
        (blind_on_the_left, "The right side is blind"),
        (what_is_seen, "You return what is seen"),
        (a_share, "shape (), wanted (6, 7)"),
    ],
    "06.7": [
        (only_a_network, "wanted a MADE or a PixelCNN"),
        (forgot_to_return_it, "It returned NoneType"),
        (far_too_large, "at most 400,000 are allowed"),
        (black_and_white, "does not give probabilities of 17 grey levels"),
        (free_levels, "Asked for is 92 or less"),
    ],
}
