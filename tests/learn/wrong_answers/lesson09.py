"""What learners typically write, as they would write it, and a phrase that the feedback must contain."""

from types import SimpleNamespace

import numpy as np

import minigen as mg
from minigen.data import glyphs
from minigen.models.stylegan import StyleGenerator

# -- 09.1 -------------------------------------------------------------------------------------------------------------


def batch_norm(x, scale, shift):
    normed = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
    return scale[:, :, None, None] * normed + shift[:, :, None, None]


def layer_norm(x, scale, shift):
    normed = (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True)
    return scale[:, :, None, None] * normed + shift[:, :, None, None]


def by_variance(x, scale, shift):
    normed = (x - x.mean((2, 3), keepdims=True)) / x.var((2, 3), keepdims=True)
    return scale[:, :, None, None] * normed + shift[:, :, None, None]


def sample_deviation(x, scale, shift):
    normed = (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True, ddof=1)
    return scale[:, :, None, None] * normed + shift[:, :, None, None]


def mean_left_in(x, scale, shift):
    return scale[:, :, None, None] * x / x.std((2, 3), keepdims=True) + shift[:, :, None, None]


def exchanged(x, scale, shift):
    normed = (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True)
    return shift[:, :, None, None] * normed + scale[:, :, None, None]


def without_shift(x, scale, shift):
    return scale[:, :, None, None] * (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True)


def no_division(x, scale, shift):
    return scale[:, :, None, None] * (x - x.mean((2, 3), keepdims=True)) + shift[:, :, None, None]


# -- 09.2 -------------------------------------------------------------------------------------------------------------


def _loop(x, weight, style, divide):
    out = []
    for b in range(len(x)):
        w = weight * style[b][None, :, None, None]
        out.append(mg.conv2d(x[b : b + 1], divide(w)).data)
    return np.concatenate(out)


def scaled_only(x, weight, style):
    return _loop(x, weight, style, lambda w: w)


def unstyled_norm(x, weight, style):
    norm = np.sqrt((weight**2).sum((1, 2, 3), keepdims=True))
    return _loop(x, weight, style, lambda w: w / norm)


def norm_of_each_kernel(x, weight, style):
    return _loop(x, weight, style, lambda w: w / np.sqrt((w**2).sum((2, 3), keepdims=True)))


def one_norm(x, weight, style):
    return _loop(x, weight, style, lambda w: w / np.linalg.norm(w))


def no_root(x, weight, style):
    return _loop(x, weight, style, lambda w: w / (w**2).sum((1, 2, 3), keepdims=True))


def first_style(x, weight, style):
    w = weight * style[0][None, :, None, None]
    w = w / np.sqrt((w**2).sum((1, 2, 3), keepdims=True))
    return mg.conv2d(x, w).data


def turned_round(x, weight, style):
    return _loop(x, weight, style,
                 lambda w: w[:, :, ::-1, ::-1].copy() / np.sqrt((w**2).sum((1, 2, 3), keepdims=True)))


def no_style(x, weight, style):
    return mg.conv2d(x, weight)


# -- 09.3 -------------------------------------------------------------------------------------------------------------


class Puppet:
    """In the place of a trained generator: the slant is in layers 0 to 3, the weight in layers 4 and 5, exactly."""

    latent = 4
    synthesis = SimpleNamespace(depth=6, starts=8)

    def styles(self, z):
        return np.sign(z)

    def pictures(self, w, labels):
        w = np.stack([w] * 6) if w.ndim == 2 else w
        slant, weight = w[:4].mean(axis=0)[:, 0] > 0, w[4:].mean(axis=0)[:, 1] > 0
        clean = glyphs.load_clean(characters="ABEGHKRS").images.reshape(-1, 8, 1, 28, 28)  # fonts, letters
        return clean[2 * weight + slant, labels] / 127.5 - 1  # the first four fonts are one typeface


class Noisy(Puppet):
    """Draws something else every time."""

    def pictures(self, w, labels):
        w = np.stack([w] * 6) if w.ndim == 2 else w
        return super().pictures(w, (labels + (w[0] != w[5]).any(axis=1)) % 8)


def coarse_layers():
    return Puppet(), [0, 1, 2, 3]


def too_many_layers():
    return Puppet(), range(6)


def no_layers():
    return Puppet(), []


def seventh_layer():
    return Puppet(), [6]


def untrained():
    return StyleGenerator(8, (8, 8, 8), starts=8, rng=np.random.default_rng(0)), [4, 5]


def letters_change():
    return Noisy(), [4, 5]


def layers_alone():
    return [4, 5]


# -- 09.4 -------------------------------------------------------------------------------------------------------------


def towards_zero(w, mean, psi):
    return psi * w


def backwards(w, mean, psi):
    return (1 - psi) * w + psi * mean


def own_mean(w, mean, psi):
    centre = w.mean(0)
    return centre + psi * (w - centre)


def mean_added(w, mean, psi):
    return mean + psi * w


def not_added_back(w, mean, psi):
    return psi * (w - mean)


def clipped(w, mean, psi):
    return mean + np.minimum(np.maximum(w - mean, -psi), psi)


# -- 09.5 -------------------------------------------------------------------------------------------------------------


def _slope(generate, w, y, **settings):
    w = mg.tensor(w, requires_grad=True)
    return mg.grad((generate(w) * y).sum(), w, **settings)[0]


def no_graph(generate, w, y):
    g = _slope(generate, w, y)
    return mg.sqrt((g * g).sum(1))


def squared(generate, w, y):
    g = _slope(generate, w, y, create_graph=True)
    return (g * g).sum(1)


def of_all_pixels(generate, w, y):
    w = mg.tensor(w, requires_grad=True)
    (g,) = mg.grad(generate(w).sum(), w, create_graph=True)
    return mg.sqrt((g * g).sum(1))


def mean_length(generate, w, y):
    g = _slope(generate, w, y, create_graph=True)
    return mg.sqrt((g * g).sum(1)).mean()


def one_length(generate, w, y):
    g = _slope(generate, w, y, create_graph=True)
    return mg.sqrt((g * g).sum())


def root_of_mean(generate, w, y):
    g = _slope(generate, w, y, create_graph=True)
    return mg.sqrt((g * g).mean(1))


def an_array(generate, w, y):
    g = _slope(generate, w, y).data
    return np.sqrt((g * g).sum(1))


# -- 09.6 -------------------------------------------------------------------------------------------------------------


def _walk(generate, target, w, steps, rate, loss, sign=-1):
    for _ in range(steps):
        leaf = mg.tensor(w, requires_grad=True)
        (g,) = mg.grad(loss(generate(leaf) - target), leaf)
        w = w + sign * rate * g.data
    return w


def _errors(d):
    return (d * d).mean((1, 2, 3))


def uphill(generate, target, w, steps, rate):
    return _walk(generate, target, w, steps, rate, lambda d: _errors(d).sum(), sign=1)


def mean_of_all(generate, target, w, steps, rate):
    return _walk(generate, target, w, steps, rate, lambda d: _errors(d).mean())


def sum_of_pixels(generate, target, w, steps, rate):
    return _walk(generate, target, w, steps, rate, lambda d: (d**2).sum())


def half_loss(generate, target, w, steps, rate):
    return _walk(generate, target, w, steps, rate, lambda d: 0.5 * _errors(d).sum())


def absolute(generate, target, w, steps, rate):
    return _walk(generate, target, w, steps, rate, lambda d: mg.abs(d).mean((1, 2, 3)).sum())


def gradients_pile_up(generate, target, w, steps, rate):
    leaf = mg.tensor(w, requires_grad=True)
    for _ in range(steps):
        loss = _errors(generate(leaf) - target).sum()
        loss.backward()  # and never zeroed
        old = leaf.grad
        leaf = mg.tensor(leaf.data - rate * leaf.grad.data, requires_grad=True)
        leaf.grad = old
    return leaf.data


def the_picture(generate, target, w, steps, rate):
    return generate(mg.tensor(_walk(generate, target, w, steps, rate, lambda d: _errors(d).sum())))


# -- 09.7 -------------------------------------------------------------------------------------------------------------


def _way(w, answers):
    return w[answers == 1].mean(0) - w[answers == 0].mean(0)


def only_wanted(w, wanted, kept):
    return _way(w, wanted)


def long_n(w, wanted, kept):
    d, n = _way(w, wanted), _way(w, kept)
    return d - (d @ n) * n


def length_not_squared(w, wanted, kept):
    d, n = _way(w, wanted), _way(w, kept)
    return d - (d @ n) / np.linalg.norm(n) * n


def the_other(w, wanted, kept):
    d, n = _way(w, kept), _way(w, wanted)
    return d - (d @ n) / (n @ n) * n


def away_from_it(w, wanted, kept):
    d, n = _way(w, 1 - wanted), _way(w, kept)
    return d - (d @ n) / (n @ n) * n


def minus_n(w, wanted, kept):
    return _way(w, wanted) - _way(w, kept)


def unit_length(w, wanted, kept):
    d, n = _way(w, wanted), _way(w, kept)
    free = d - (d @ n) / (n @ n) * n
    return free / np.linalg.norm(free)


WRONG = {
    "09.1": [(batch_norm, "batch normalisation"), (layer_norm, "over all channels"), (by_variance, "by the variance"),
             (sample_deviation, "H·W − 1"), (mean_left_in, "not subtracted"), (exchanged, "exchanged"),
             (without_shift, "is not added"), (no_division, "not divided")],
    "09.2": [(scaled_only, "demodulation is missing"), (unstyled_norm, "unstyled filters"),
             (norm_of_each_kernel, "over k and l only"), (one_norm, "by one number"), (no_root, "The root is missing"),
             (first_style, "the first sample's style"), (turned_round, "turned the filters round"),
             (no_style, "not used at all")],
    "09.3": [(coarse_layers, "of the weights shall follow"), (too_many_layers, "The slant comes along"),
             (no_layers, "wanted at least one"), (seventh_layer, "numbered 0 to 5"), (untrained, "trained generator?"),
             (letters_change, "Letters must stay"), (layers_alone, "wanted a pair")],
    "09.4": [(towards_zero, "towards 0"), (backwards, "wrong way round"), (own_mean, "mean of these styles"),
             (mean_added, "not subtracted"), (not_added_back, "not added back"), (clipped, "cut it off")],
    "09.5": [(no_graph, "create_graph=True"), (squared, "squared length"), (of_all_pixels, "left out y"),
             (mean_length, "average over the styles"), (one_length, "for the whole batch"),
             (root_of_mean, "averaged over the L entries"), (an_array, "wanted a Tensor")],
    "09.6": [(uphill, "uphill"), (mean_of_all, "average over the samples"), (sum_of_pixels, "sum over the pixels"),
             (half_loss, "a ½"), (absolute, "absolute differences"), (gradients_pile_up, "earlier steps"),
             (the_picture, "wanted is the style")],
    "09.7": [(only_wanted, "along n is still in it"), (long_n, "divide by n·n"),
             (length_not_squared, "length squared"), (the_other, "exchanged the two"), (away_from_it, "from 1 to 0"),
             (minus_n, "subtract n itself"), (unit_length, "cut to length 1")],
}
