"""What the exercises of lesson 09 are compared with, and what several of their typical mistakes have in common."""

import numpy as np
from scipy.special import ndtr

import minigen as mg
from minigen import autograd, ops
from minigen.autograd import Tensor
from minigen.learn.exercise import WrongForm
from minigen.models import style_editing, stylegan

EPS = 1e-8

# -- a lopsided world in two dimensions -------------------------------------------------------------------------------


def lopsided(z):
    """Bend N(0, I) into the uniform law on the triangle a₁ ≥ −1, a₂ ≥ −1, a₁ + a₂ ≤ 0.   Shapes: (n, 2) → (n, 2)

    Equation: (9.1b): u = Φ(z₁), v = Φ(z₂), a₁ = 1 − 2 √(1 − u), a₂ = −1 + v (1 − a₁)         [lesson 09, eq. 9.1b]
    """
    u, v = ndtr(np.asarray(z, dtype=np.float64)).T
    first = 1 - 2 * np.sqrt(1 - u)
    return np.stack([first, -1 + v * (1 - first)], axis=1)


def detour(path):
    """The length of paths, as a multiple of the distance of their ends.   Shapes: (steps, n, D) → (n,)"""
    length = np.linalg.norm(np.diff(path, axis=0), axis=2).sum(axis=0)
    return length / np.linalg.norm(path[-1] - path[0], axis=1)


def straight_share(inputs, outputs):
    """R²: the share of the outputs' variance that a linear function of the inputs explains, a number.

    Shapes:   inputs (n, L), outputs (n, D)
    """
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    left = outputs - inputs @ np.linalg.lstsq(inputs, outputs, rcond=None)[0]
    return float(1 - left.var(axis=0).sum() / outputs.var(axis=0).sum())


# -- normalisation by a style -----------------------------------------------------------------------------------------


def adain(x, scale, shift):
    """Adaptive instance normalisation: each map gets the mean and the size that the style wants.

    Equation: (9.4), y = s (x − μ(x)) / σ(x) + b, μ and σ over the pixels of each map         [lesson 09, eq. 9.4]
    Shapes:   x (B, C, H, W), scale and shift (B, C) → (B, C, H, W)
    Source:   Huang & Belongie 2017, arXiv:1703.06868.  Differs: nothing.
    """
    return normalised(x, scale, shift)


def normalised(x, scale, shift, *, over=(2, 3), power=0.5, unbiased=False, centre=True):
    """The same with its choices left open, so that they can be made wrongly.

    over:      the axes of the mean and the variance
    power:     of the variance, in the denominator
    unbiased:  divide by n − 1 in the variance
    centre:    subtract the mean
    """
    scale, shift = (ops.reshape(part, (*part.shape, 1, 1)) for part in (scale, shift))
    away = x - ops.mean(x, dim=over, keepdim=True)
    n = np.prod([x.shape[axis] for axis in over])
    variance = ops.mean(away * away, dim=over, keepdim=True) * (n / (n - 1) if unbiased else 1)
    return scale * (away if centre else x) / (variance + EPS) ** power + shift


def convolved(x, filters):
    """Each sample with its own filters, one by one.   Shapes: (B, C, H, W), (B, O, C, k, k) → (B, O, H′, W′)"""
    return ops.concatenate([ops.conv2d(x[b : b + 1], filters[b]) for b in range(len(x))], dim=0)


def styled_filters(weight, style, *, over=(2, 3, 4), root=True, power_of=None):
    """W″ of every sample by the letter of (9.2) and (9.3), with its choices left open.

    over:      the axes of (B, O, C, k, k) over which W′² is summed
    root:      divide by the root of the sum
    power_of:  the filters whose squares are summed, if not W′
    Shapes:    weight (O, C, k, k), style (B, C) → (B, O, C, k, k)
    """
    scaled = weight * ops.reshape(style, (len(style), 1, style.shape[1], 1, 1))  # (9.2)
    chosen = scaled if power_of is None else power_of
    power = ops.sum(chosen * chosen, dim=over, keepdim=True) + EPS
    return scaled / (ops.sqrt(power) if root else power)  # (9.3)


# -- slopes of a generator --------------------------------------------------------------------------------------------

_DICE = np.random.default_rng(9)
WEIGHTS = tuple(mg.tensor(_DICE.normal(size=shape) / 2, requires_grad=True) for shape in ((3, 6), (6, 20)))


def small_generator(w):
    """A generator that can be seen through: tanh(w A) M as pictures, with the two WEIGHTS.  (B, 3) → (B, 1, 4, 5)"""
    return ops.reshape(mg.tanh(w @ WEIGHTS[0]) @ WEIGHTS[1], (len(w), 1, 4, 5))


def jacobian(generate, w):
    """J = ∂G/∂w of one style, an array (pixels, L), row by row.   Shapes: w (L,), an array"""
    w = Tensor(w[None], requires_grad=True)
    pixels = ops.reshape(generate(w), (-1,))
    return np.stack([autograd.grad(pixels[i], w)[0].data[0] for i in range(len(pixels))])


def path_lengths(generate, w, y, *, create_graph=True):
    """|Jᵀy| of each style for a given direction y, (9.9), a Tensor (B,) with a graph of its own.

    Shapes:   w (B, L) and y (B, C, H, W), arrays
    """
    return ops.sqrt(ops.sum(pulled_back(generate, w, y, create_graph) ** 2, dim=1))


def pulled_back(generate, w, y, create_graph=True):
    """Jᵀy of each style, a Tensor (B, L)."""
    w = mg.tensor(w, requires_grad=True)
    return autograd.grad(ops.sum(generate(w) * y), w, create_graph=create_graph)[0]


def penalised(function, generate, w, y):
    """A learner's path lengths, and their gradient in the generator's weights, which is what training needs."""
    value = function(generate, w, y)
    if not isinstance(value, Tensor):
        raise WrongForm(f"It returned {type(value).__name__}, wanted a Tensor of shape ({len(w)},), for it shall be "
                        "part of a loss.")
    found = {"length": value}
    slopes = mg.grad(mg.sum(value), WEIGHTS, allow_unused=True) if value.requires_grad else (None, None)
    for name, weight, g in zip("AM", WEIGHTS, slopes, strict=True):
        found[f"its gradient in the generator's {name}"] = np.zeros(weight.shape) if g is None else g
    return found


# -- finding and moving a style ---------------------------------------------------------------------------------------


def descended(generate, target, w, steps, rate):
    """Inversion by plain gradient descent on w: each sample's style moves by −rate times its own slope of (9.12).

    Shapes:   target (B, C, H, W), w (B, L) → (B, L)
    """
    return walked(generate, target, w, steps, rate)


def walked(generate, target, w, steps, rate, *, loss=None, remember=0.0):
    """The same with choices left open, so that they can be made wrongly.

    loss:      of the differences (B, C, H, W), a Tensor of one number, in place of the sum over samples of (9.12)
    remember:  the share of the last step's gradient that is added to the new one
    """
    slope = 0.0
    for _ in range(steps):
        leaf = mg.tensor(w, requires_grad=True)
        apart = generate(leaf) - target
        (new,) = mg.grad(ops.sum(ops.mean(apart * apart, dim=(1, 2, 3))) if loss is None else loss(apart), leaf)
        slope = new.data + remember * slope
        w = w - rate * slope
    return w


def freed_direction(w, wanted, kept):
    """The direction of one attribute with what points along that of another taken out: (9.14), (9.17).

    Shapes:   w (n, L), wanted and kept (n,) of 0 and 1 → (L,)
    """
    return style_editing.without(style_editing.mean_difference(w, wanted), style_editing.mean_difference(w, kept))


# -- what goes wrong --------------------------------------------------------------------------------------------------


def size_after(layers, factor, *, demodulate, channels=16):
    """The standard deviation after some random modulated layers with leaky ReLU, all styles multiplied by a factor."""
    dice = np.random.default_rng(0)
    y = mg.tensor(dice.standard_normal((8, channels, 12, 12)))
    for _ in range(layers):
        weight = mg.tensor(dice.normal(size=(channels, channels, 3, 3)) / np.sqrt(9 * channels))
        style = mg.tensor(factor * dice.uniform(0.5, 1.5, (8, channels)))
        y = mg.leaky_relu(stylegan.modulated_conv(y, weight, style, demodulate=demodulate, padding=1), 0.2)
    return float(y.data.std())
