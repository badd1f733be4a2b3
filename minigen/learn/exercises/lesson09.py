"""Exercises of lesson 09, style-based generators."""

import numpy as np

import minigen as mg
from minigen import ops
from minigen.learn import styles, typefaces
from minigen.learn.exercise import Exercise, Mistake
from minigen.models import style_editing, stylegan

# -- 09.1 AdaIN -------------------------------------------------------------------------------------------------------


def _maps(rng, *shape):
    """Maps whose means and sizes differ from picture to picture and from channel to channel."""
    size, place = rng.uniform(0.5, 2, (*shape[:2], 1, 1)), rng.normal(size=(*shape[:2], 1, 1))
    return size * rng.normal(size=shape) + place, rng.normal(size=shape[:2]) + 1, rng.normal(size=shape[:2])


ADAIN = Exercise(
    id="09.1",
    title="Adaptive instance normalisation",
    signature="my_adain(x, scale, shift)",
    reference=styles.adain,
    solution=(styles.adain, styles.normalised),
    cases=lambda rng: [_maps(rng, 3, 2, 4, 5), _maps(rng, 2, 3, 6, 6), _maps(rng, 1, 4, 3, 2)],
    hints=(
        "Each map x[b, c] has a mean μ and a standard deviation σ of its own. Over which axes of (B, C, H, W) are they "
        "taken, and what shape must they keep for the subtraction?",
        "x.mean((2, 3), keepdims=True) is (B, C, 1, 1). scale[:, :, None, None] has that shape, too.",
        "away = x - x.mean((2, 3), keepdims=True); sigma = np.sqrt((away**2).mean((2, 3), keepdims=True)); then "
        "scale[:, :, None, None] * away / sigma + shift[:, :, None, None].",
    ),
    mistakes=(
        Mistake("Your mean and size are over the whole batch; that is batch normalisation. Each picture has its own.",
                lambda *given: styles.normalised(*given, over=(0, 2, 3))),
        Mistake("Your mean and size are over all channels together; each map (each channel) has its own.",
                lambda *given: styles.normalised(*given, over=(1, 2, 3))),
        Mistake("You divide by the variance; divide by its root, the standard deviation.",
                lambda *given: styles.normalised(*given, power=1.0)),
        Mistake("The variance is a mean over the H·W pixels; you divide by H·W − 1.",
                lambda *given: styles.normalised(*given, unbiased=True)),
        Mistake("The mean of the map is not subtracted.", lambda *given: styles.normalised(*given, centre=False)),
        Mistake("You exchanged scale and shift.", lambda x, s, b: styles.normalised(x, b, s)),
        Mistake("The shift b is not added.", lambda x, s, b: styles.normalised(x, s, 0 * b)),
        Mistake("The map is not divided by its own size σ.", lambda *given: styles.normalised(*given, power=0.0)),
        Mistake("That is x normalised; the style's scale and shift are not used.",
                lambda x, s, b: styles.normalised(x, 0 * s + 1, 0 * b)),
    ),
    afterword="Whatever the layers before did to mean and size of a map, the style has the last word.",
)  # fmt: skip

# -- 09.2 the modulated convolution -----------------------------------------------------------------------------------


def _layer(rng, batch, inputs, outputs, size, kernel):
    return (rng.normal(size=(batch, inputs, *size)), rng.normal(size=(outputs, inputs, kernel, kernel)),
            rng.normal(size=(batch, inputs)) + 1.5)


def _with(**choice):
    return lambda x, weight, style: styles.convolved(x, styles.styled_filters(weight, style, **choice))


def _plain(x, weight, style):
    return ops.conv2d(x * style[:, :, None, None], weight)


MODULATION = Exercise(
    id="09.2",
    title="The modulated convolution",
    signature="my_modulated_conv(x, weight, style)",
    reference=lambda x, weight, style: stylegan.modulated_conv(mg.tensor(x), mg.tensor(weight), mg.tensor(style)),
    solution=(stylegan.modulated_conv,),
    cases=lambda rng: [_layer(rng, 3, 2, 4, (5, 6), 3), _layer(rng, 2, 4, 3, (4, 4), 1),
                       _layer(rng, 1, 3, 2, (6, 5), 3)],
    tolerance=1e-5,
    hints=(
        "By the letter: for each sample b make filters W′ = weight * style[b][None, :, None, None], divide each output "
        "channel's filter by its length, and convolve x[b : b + 1] with them.",
        "The length of filter o is √(Σ over i, k, l of W′²): np.sqrt((scaled**2).sum((1, 2, 3), keepdims=True)) for "
        "scaled (O, C, k, k). mg.conv2d(x[b : b + 1], filters) convolves; mg.concatenate joins the samples.",
        "Or by (9.5), without a loop: y = mg.conv2d(x * style[:, :, None, None], weight).data, and then y / "
        "np.sqrt(style**2 @ (weight**2).sum((2, 3)).T)[:, :, None, None].",
    ),
    mistakes=(
        Mistake("The demodulation is missing: divide output channel o by √(Σ_ikl W′²).", _plain),
        Mistake("You divide by the size of the unstyled filters W; the sum in (9.3) is over W′, which has the style in "
                "it. As it stands, a loud style still makes a loud output.",
                lambda x, w, s: styles.convolved(x, styles.styled_filters(w, s, power_of=w[None] + 0 * s[0, 0]))),
        Mistake("Your sum is over k and l only; it is over the input channels i as well. Divided so, every input "
                "channel has the same size again and the style is undone.", _with(over=(3, 4))),
        Mistake("You divide all filters of a sample by one number; each output channel o has its own.",
                _with(over=(1, 2, 3, 4))),
        Mistake("The root is missing: divide by the standard deviation √(Σ W′²), not by the variance.",
                _with(root=False)),
        Mistake("You use the first sample's style for all; each sample has its own.",
                lambda x, w, s: _with()(x, w, np.repeat(s[:1], len(s), axis=0))),
        Mistake("You turned the filters round. In this package, as in most, conv2d slides them as they are.",
                lambda x, w, s: _with()(x, np.ascontiguousarray(w[:, :, ::-1, ::-1]), s)),
        Mistake("That is the plain convolution; the style is not used at all.",
                lambda x, w, s: ops.conv2d(x, w)),
    ),
    afterword="A filter for every sample at the price of one: scale, convolve, scale.",
)  # fmt: skip

# -- 09.3 open: which layers ------------------------------------------------------------------------------------------

LAYERS = Exercise(
    id="09.3",
    title="Open: which layers hold the weight?",
    signature="my_layers()",
    judge=typefaces.layers_of_weight,
    solution=(typefaces.layers_of_weight, typefaces.follows),
    hints=(
        "The table above says for five groups of layers how often the weight follows, and how often the slant. Which "
        "group has much of the one and little of the other?",
        "Coarse layers set where strokes run, fine ones how broad they are.",
        "return generator, [4, 5]: the two layers at 28 × 28. Try one of them alone as well.",
    ),
)

# -- 09.4 truncation --------------------------------------------------------------------------------------------------


def _truncated(w, mean, psi):
    return mean + psi * (w - mean)


TRUNCATION = Exercise(
    id="09.4",
    title="Truncation",
    signature="my_truncated(w, mean, psi)",
    reference=_truncated,
    solution=(stylegan.StyleGenerator.styles,),
    cases=lambda rng: [(rng.normal(size=(5, 3)) + 2, np.full(3, 1.5) + rng.normal(size=3), psi)
                       for psi in (0.7, 0.0, 1.0, 0.3)],
    hints=(
        "Start at the mean style and go the share ψ of the way to w. What is the way from the mean to w?",
        "ψ = 1 must give w back, ψ = 0 the mean.",
        "return mean + psi * (w - mean).",
    ),
    mistakes=(
        Mistake("You draw the styles towards 0; the mean style w̄ lies elsewhere.", lambda w, m, p: p * w),
        Mistake("At ψ = 1 yours is the mean and at ψ = 0 it is w: the wrong way round.",
                lambda w, m, p: w + p * (m - w)),
        Mistake("You use the mean of these styles; w̄ is given, and does not depend on who else is in the batch.",
                lambda w, m, p: _truncated(w, w.mean(axis=0), p)),
        Mistake("The mean is not subtracted: ψ is the share of the way from w̄ to w, so ψ (w − w̄).",
                lambda w, m, p: m + p * w),
        Mistake("The mean is not added back.", lambda w, m, p: p * (w - m)),
        Mistake("Shorten the way by the factor ψ; you cut it off at ψ.",
                lambda w, m, p: m + np.clip(w - m, -p, p)),
    ),
    afterword="w and w̄ on one line: every share in between is a style as well.",
)  # fmt: skip

# -- 09.5 path length -------------------------------------------------------------------------------------------------


def _styles_and_directions(rng, count):
    return styles.small_generator, rng.normal(size=(count, 3)), rng.normal(size=(count, 1, 4, 5))


PATH_LENGTH = Exercise(
    id="09.5",
    title="The path length",
    signature="my_path_lengths(generate, w, y)",
    reference=styles.path_lengths,
    solution=(styles.path_lengths, styles.pulled_back),
    observe=styles.penalised,
    cases=lambda rng: [_styles_and_directions(rng, count) for count in (4, 1, 3)],
    hints=(
        "Jᵀy is the gradient by w of one number for each sample. Of which number? (The slope of G(w)·y by w, y fixed.)",
        "w = mg.tensor(w, requires_grad=True); then mg.grad((generate(w) * y).sum(), w, create_graph=True). The sum "
        "over the batch does no harm: each picture depends on its own w only.",
        "(g,) = that; return mg.sqrt((g * g).sum(1)).",
    ),
    mistakes=(
        Mistake("The values are right, but no gradient reaches the generator's weights: the slope needs a graph of its "
                "own, create_graph=True.", lambda g, w, y: styles.path_lengths(g, w, y, create_graph=False)),
        Mistake("That is the squared length; take the root.", lambda g, w, y: styles.path_lengths(g, w, y) ** 2),
        Mistake("You left out y: that is the slope of the sum of all pixels, Jᵀ1.",
                lambda g, w, y: styles.path_lengths(g, w, np.ones_like(y))),
        Mistake("You average over the styles; every style has its own length, only the training step averages.",
                lambda *given: mg.mean(styles.path_lengths(*given))),
        Mistake("You took one length for the whole batch; every style has its own: sum over axis 1.",
                lambda *given: mg.sqrt(mg.sum(styles.pulled_back(*given) ** 2))),
        Mistake("You averaged over the L entries of Jᵀy; its length is the root of the sum of squares.",
                lambda *given: mg.sqrt(mg.mean(styles.pulled_back(*given) ** 2, dim=1))),
        Mistake("You added the entries' absolute values; length is the root of the sum of squares.",
                lambda *given: mg.sum(mg.abs(styles.pulled_back(*given)), dim=1)),
        Mistake("You returned Jᵀy itself; wanted is its length, one number for each style.", styles.pulled_back),
    ),
    afterword="One backward pass tells how fast the picture moves, without ever forming J.",
)  # fmt: skip

# -- 09.6 inversion ---------------------------------------------------------------------------------------------------


def _search(rng, count, steps, rate):
    with mg.no_grad():
        target = styles.small_generator(mg.tensor(rng.normal(size=(count, 3)))).data
    return styles.small_generator, target, 0.5 * rng.normal(size=(count, 3)), steps, rate


def _by(loss):
    return lambda *given: styles.walked(*given, loss=loss)


INVERSION = Exercise(
    id="09.6",
    title="Inversion",
    signature="my_inversion(generate, target, w, steps, rate)",
    reference=styles.descended,
    solution=(styles.walked,),
    cases=lambda rng: [_search(rng, 3, 5, 0.2), _search(rng, 2, 1, 0.4), _search(rng, 1, 12, 0.2)],
    hints=(
        "Only w moves; the generator stays as it is. Each step: the picture of w, its squared distance from the "
        "target, the gradient of that by w, a step against it.",
        "In every round a fresh leaf: leaf = mg.tensor(w, requires_grad=True). Mean over the pixels, sum over the "
        "samples: each sample's w has no part in the others' pictures, so the sum gives each its own slope.",
        "apart = generate(leaf) - target; loss = (apart * apart).mean((1, 2, 3)).sum(); (g,) = mg.grad(loss, leaf); "
        "w = w - rate * g.data.",
    ),
    mistakes=(
        Mistake("You walk uphill: subtract the gradient.",
                lambda g, x, w, n, r: styles.walked(g, x, w, n, -r)),
        Mistake("You average over the samples, so the step of each depends on how many there are.",
                _by(lambda apart: mg.mean(apart * apart))),
        Mistake("You sum over the pixels; (9.12) is a mean over them.", _by(lambda apart: mg.sum(apart * apart))),
        Mistake("There is a ½ in your loss that (9.12) does not have.",
                _by(lambda apart: 0.5 * mg.sum(mg.mean(apart * apart, dim=(1, 2, 3))))),
        Mistake("You average absolute differences; (9.12) squares them.",
                _by(lambda apart: mg.sum(mg.mean(mg.abs(apart), dim=(1, 2, 3))))),
        Mistake("The gradients of earlier steps are added to the new one: was the old gradient left in place?",
                lambda *given: styles.walked(*given, remember=1.0)),
        Mistake("That is the picture of the style found; wanted is the style.",
                lambda g, x, *rest: g(mg.tensor(styles.walked(g, x, *rest)))),
        Mistake("You took one step; wanted are `steps` of them.",
                lambda g, x, w, n, r: styles.walked(g, x, w, 1, r)),
        Mistake("You return the start; w is never replaced.", lambda g, x, w, n, r: w),
    ),
    afterword="The same descent as in lesson 03. This time the weights stand still, and the input moves.",
)  # fmt: skip

# -- 09.7 a direction -------------------------------------------------------------------------------------------------


def _judged(rng, count, width):
    """Styles with two attributes that go together more often than not."""
    w = rng.normal(size=(count, width)) * rng.uniform(0.5, 2, width)
    mix = w @ rng.normal(size=(width, 2))
    mix[:, 1] += 0.8 * mix[:, 0]
    return w, (mix[:, 0] > 0).astype(int), (mix[:, 1] > 0.2).astype(int)


def _raw(w, answers):
    return w[answers == 1].mean(axis=0) - w[answers == 0].mean(axis=0)


def _less(d, n, share=1.0):
    return d - share * (d @ n) / (n @ n) * n


DIRECTION = Exercise(
    id="09.7",
    title="A direction that leaves another attribute alone",
    signature="my_direction(w, wanted, kept)",
    reference=styles.freed_direction,
    solution=(style_editing.mean_difference, style_editing.without),
    cases=lambda rng: [_judged(rng, 40, 5), _judged(rng, 25, 3), _judged(rng, 60, 8)],
    hints=(
        "Two directions by (9.14), d for `wanted` and n for `kept`. Then take out of d what it has of n.",
        "w[wanted == 1].mean(axis=0) - w[wanted == 0].mean(axis=0) is d; n likewise. The part of d along n is n times "
        "the number d·n / n·n.",
        "return d - (d @ n) / (n @ n) * n.",
    ),
    mistakes=(
        Mistake("That is d itself; its part along n is still in it, so the other attribute moves, too.",
                lambda w, a, b: _raw(w, a)),
        Mistake("(d · n) n is the part along n only if n has length 1: divide by n·n.",
                lambda w, a, b: _raw(w, a) - (_raw(w, a) @ _raw(w, b)) * _raw(w, b)),
        Mistake("You divide by the length of n; the part of d along n is n · (d·n)/(n·n), n·n is the length squared.",
                lambda w, a, b: _less(_raw(w, a), _raw(w, b), np.linalg.norm(_raw(w, b)))),
        Mistake("You exchanged the two: that is the direction of `kept` without `wanted`.",
                lambda w, a, b: styles.freed_direction(w, b, a)),
        Mistake("Your direction points from 1 to 0; it shall lead to the attribute.",
                lambda w, a, b: -styles.freed_direction(w, a, b)),
        Mistake("You subtract n itself; only the part of d along it is too much.",
                lambda w, a, b: _raw(w, a) - _raw(w, b)),
        Mistake("You add the part along n; subtract it.", lambda w, a, b: _less(_raw(w, a), _raw(w, b), -1.0)),
        Mistake("Right direction, but cut to length 1: (9.14) and (9.17) leave the length as it is, the typical way "
                "from one kind to the other.",
                lambda w, a, b: (lambda d: d / np.linalg.norm(d))(styles.freed_direction(w, a, b))),
    ),
    afterword="Before you believe a direction, count with a classifier what it changes, and what else it changes.",
)  # fmt: skip

EXERCISES = [ADAIN, MODULATION, LAYERS, TRUNCATION, PATH_LENGTH, INVERSION, DIRECTION]
