"""A style-based generator: noise is first made a style, and the style tells every layer how to draw.

**Mapping.** z ~ N(0, I) has a round law that no layer needs. A small network bends it into a *style*,

    w = f(z / √(mean z²)),   w ∈ R^L,                                                                 (9.1)

whose law may be as lopsided as the data's: where the data has no thin serif bold letters, f need not send any z. A
class, if there is one, is an embedding appended to z.

**Modulation.** The picture grows from a learnt constant map. Each layer has an affine map of w to one scale s_i for
every input channel i, and convolves with filters scaled by it,

    W′_oikl = s_i W_oikl.                                                                             (9.2)

If the inputs are independent with variance 1, output channel o has the variance Σ_ikl W′²_oikl; dividing it out,

    W″_oikl = W′_oikl / √(Σ_ikl W′²_oikl + ε),                                                        (9.3)

(*demodulation*) keeps the size of the features the same whatever the style, so each layer's style acts on that layer
only. (Its ancestor, adaptive instance normalisation, y = s (x − μ(x))/σ(x) + b, measures μ and σ of each picture's map
instead of computing what they are expected to be. (9.4))

Scaling filters per sample needs no convolution per sample. A convolution is linear in its input and in its output,

    conv(x; W″)_o = d_o · conv(s ⊙ x; W)_o,      d_o = 1/√(Σ_i s_i² Σ_kl W²_oikl + ε):                (9.5)

scale the input channels, convolve all samples with the same filters, scale the output channels.

**Noise.** After each convolution a map of fresh noise is added, with a learnt strength for each channel: chance details
that are no business of w.                                                                            (9.6)

**Mixing.** Different layers may get different styles. In training some pictures are made from two, w for the layers
before a random border and w′ for those behind it, so that no layer can count on its neighbours' style.   (9.7)

**Truncation.** Styles far from their mean are rare, hence ill-learnt; drawing them nearer trades variety for quality,

    w_ψ = w̄ + ψ (w − w̄),   0 ≤ ψ ≤ 1.                                                                (9.8)

**Path length.** A step of fixed size in w should change the picture by a fixed amount, whatever w and the direction.
With J = ∂G/∂w and y ~ N(0, I) over pixels, |Jᵀy| is how far the picture moves, on average over directions, and

    L_path = E_{w,y} ( |Jᵀy| − a )²,   a the running mean of |Jᵀy|,                                   (9.9)

makes it constant; Jᵀy is the gradient of G(w)·y, a gradient inside a loss.

Sources: Karras, Laine & Aila 2018, arXiv:1812.04948; (9.2), (9.3), (9.9): Karras et al. 2019, arXiv:1912.04958; (9.4):
Huang & Belongie 2017, arXiv:1703.06868. Differs: pictures of up to 28×28; upsampling repeats pixels and leaves it to
the convolution to smooth; no "equalised rates".
"""

import numpy as np

from minigen import autograd, nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import ShapeError
from minigen.models.gan_networks import checked_labels

EPS = 1e-8


class Mapping(nn.Module):
    """z (B, L), and labels (B,) if there are classes → styles w (B, L): equation (9.1)."""

    def __init__(self, latent, *, depth=3, classes=0, rng):
        self.classes = classes
        inputs = latent * (2 if classes else 1)
        if classes:
            self.embedding = nn.Embedding(classes, latent, rng=rng)
        self.layers = nn.Sequential(*(part for i in range(depth) for part in (
            loud_linear(inputs if i == 0 else latent, latent, rng=rng), nn.LeakyReLU(0.2))))  # fmt: skip

    def forward(self, z, labels=None):
        x = unit(z)
        if (labels is None) == bool(self.classes):
            raise ShapeError(f"Mapping: labels {'missing' if self.classes else 'given'} for {self.classes} classes")
        if self.classes:
            chosen = self.embedding(checked_labels(labels, self.classes, len(z)))
            x = ops.concatenate([x, unit(chosen)], dim=1)
        return self.layers(x)


def loud_linear(inputs, outputs, *, rng):
    """A linear layer before a leaky ReLU that keeps mean squares: weights of variance 2/inputs, no bias at first."""
    layer = nn.Linear(inputs, outputs, rng=rng)
    layer.weight.overwrite((np.sqrt(2 / inputs) * rng.standard_normal((outputs, inputs))).astype(np.float32))
    layer.bias.overwrite(np.zeros(outputs, dtype=np.float32))
    return layer


def unit(x):
    """x / √(mean x²) of each row, (B, L) → (B, L)."""
    return x / ops.sqrt(ops.mean(x * x, dim=1, keepdim=True) + EPS)


class StyledConv(nn.Module):
    """A modulated convolution, noise, bias, leaky ReLU: (9.2), (9.3), (9.6).

    Shapes:   x (B, C, H, W), w (B, L) → (B, O, H, W), or (B, O, 2H, 2W) with up=True
    """

    def __init__(self, channels, outputs, latent, *, kernel=3, up=False, demodulate=True, rng):
        self.up, self.demodulate, self.padding = up, demodulate, kernel // 2
        self.style = nn.Linear(latent, channels, rng=rng)
        self.style.bias.overwrite(np.ones(channels, dtype=np.float32))  # at first no channel is louder than another
        gain = 1.0 / np.sqrt(channels * kernel * kernel)
        self.weight = nn.parameter(gain * rng.standard_normal((outputs, channels, kernel, kernel)))
        self.bias = nn.parameter(np.zeros((outputs, 1, 1)))
        if demodulate:
            self.strength = nn.parameter(np.zeros((outputs, 1, 1)))

    def forward(self, x, w, noise=None):
        if self.up:
            x = ops.upsample_nearest(x, 2)
        y = modulated_conv(x, self.weight, self.style(w), demodulate=self.demodulate, padding=self.padding)
        if not self.demodulate:
            return y + self.bias  # the layer that draws pixels
        if noise is not None:
            y = y + self.strength * noise
        return ops.leaky_relu(y + self.bias, 0.2) * float(np.sqrt(2))  # √2: half of the variance is lost below 0


def modulated_conv(x, weight, style, *, demodulate=True, padding=0):
    """Convolve each sample with filters scaled by its own style, without a convolution per sample.

    Equation: (9.5), equal to (9.2) and (9.3)                                                   [lesson 09, eq. 9.5]
    Shapes:   x (B, C, H, W), weight (O, C, k, k), style (B, C) → (B, O, H′, W′)
    Raises:   ShapeError if style is not (B, C).
    """
    if style.shape != x.shape[:2]:
        raise ShapeError(f"modulated_conv: style {style.shape} for x {x.shape}; expected {x.shape[:2]}")
    y = ops.conv2d(x * ops.reshape(style, (*style.shape, 1, 1)), weight, padding=padding)
    if not demodulate:
        return y
    power = ops.sum(weight * weight, dim=(2, 3))  # (O, C)
    variance = (style * style) @ ops.transpose(power, 0, 1)  # (B, O)
    return y * ops.reshape(1 / ops.sqrt(variance + EPS), (*variance.shape, 1, 1))


class Synthesis(nn.Module):
    """Styles to pictures: a constant map, two styled convolutions at each size, and a sum of what each size draws.

    widths:  the channels at each size, the smallest (`first`) first; each size is twice the one before
    starts:  how many constant maps there are; with more than one, labels choose among them
    Each size draws, and the drawings are added ("skip" architecture). Pictures are in −1 … 1; what goes beyond counts a
    tenth, so that paper and ink are even and yet no slope is lost.
    """

    def __init__(self, latent, widths, first=7, *, starts=1, rng):
        self.starts = starts
        self.constant = nn.parameter(rng.standard_normal((starts, widths[0], first, first)))
        convs, draws, inputs = [], [], widths[0]
        for i, width in enumerate(widths):
            convs += [StyledConv(inputs, width, latent, up=i > 0, rng=rng), StyledConv(width, width, latent, rng=rng)]
            draws.append(StyledConv(width, 1, latent, kernel=1, demodulate=False, rng=rng))
            inputs = width
        self.convs, self.draws = nn.ModuleList(convs), nn.ModuleList(draws)

    @property
    def depth(self):
        """How many layers take a style: two convolutions for each size; a size draws with its second one's style."""
        return len(self.convs)

    def forward(self, styles, labels=None, *, rng=None):
        """styles: `depth` Tensors (B, L), one for each layer. labels: (B,), which start. rng: of noise, or None"""
        if len(styles) != self.depth:
            raise ShapeError(f"Synthesis: {len(styles)} styles; expected {self.depth}, one for each layer")
        x = self._start(labels, len(styles[0]))
        picture = None
        for i, draw in enumerate(self.draws):
            for layer in (2 * i, 2 * i + 1):
                size = x.shape[2] * (1 + self.convs[layer].up)
                noise = None if rng is None else rng.standard_normal((len(x), 1, size, size), dtype=np.float32)
                x = self.convs[layer](x, styles[layer], noise)
            drawn = draw(x, styles[2 * i + 1])
            picture = drawn if picture is None else ops.upsample_nearest(picture, 2) + drawn
        return picture - 0.9 * (ops.relu(picture - 1) - ops.relu(-1 - picture))

    def _start(self, labels, count):
        if (labels is None) == (self.starts > 1):
            raise ShapeError(f"Synthesis: labels {'missing' if labels is None else 'given'} for {self.starts} start(s)")
        return self.constant[np.zeros(count, int) if labels is None else checked_labels(labels, self.starts, count)]


class StyleGenerator(nn.Module):
    """Mapping and synthesis, and what can be done with styles.

        generator = StyleGenerator(latent=64, widths=(64, 64, 32), classes=26, rng=rng)
        pictures = generator(z, labels)                     # (B, 1, 28, 28), with mixing in training
        w = generator.styles(z, labels, truncation=0.7)     # (B, L)
        generator.pictures(w)                               # an array
        generator.mixed(w, other, border=2)                 # coarse layers by w, the rest by other

    A class can enter in two places. With classes=26 the mapping is told it: each class has its own styles. With
    starts=26 each class has its own constant map, and one style serves all: see `pictures(w, labels)`.

    classes:  how many the mapping is told of, 0 if none
    starts:   how many constant maps there are
    mixing:   the share of pictures in training that are made from two styles, (9.7)
    decay:    of the running mean w̄ of styles, (9.8)
    """

    def __init__(self, latent, widths, *, first=7, classes=0, starts=1, mapping_depth=3, mixing=0.5, decay=0.995,
                 rng):
        self.latent, self.mixing, self.decay = latent, mixing, decay
        self.mapping = Mapping(latent, depth=mapping_depth, classes=classes, rng=rng)
        self.synthesis = Synthesis(latent, widths, first, starts=starts, rng=rng)
        self.mean_style = np.zeros((max(classes, 1), latent), dtype=np.float32)  # w̄, of each class
        self.rng = nn.module.generator(rng)

    def forward(self, z, labels=None):
        if self.training:
            return self.synthesis(self.training_styles(z, labels), self._told(labels)[1], rng=self.rng)
        told, start = self._told(labels)
        return self.synthesis([self.mapping(z, told)] * self.synthesis.depth, start, rng=self.rng)

    def training_styles(self, z, labels=None):
        """The styles of each layer in training, some of them mixed, (9.7): `depth` Tensors (B, L). Moves w̄."""
        told, depth = self._told(labels)[0], self.synthesis.depth
        w = self.mapping(z, told)
        self._remember(w.data, told)
        other = self.mapping(Tensor(self.rng.standard_normal(z.shape, dtype=np.float32)), told)
        border = self.rng.integers(1, depth, size=len(z))  # (B,)
        border = np.where(self.rng.random(len(z)) < self.mixing, border, depth)
        return [ops.where((layer < border)[:, None], w, other) for layer in range(depth)]

    def _told(self, labels):
        """The labels as the mapping and as the synthesis get them: each if it can use them; if none can, the mapping
        gets them, and refuses."""
        chooses = self.synthesis.starts > 1
        return None if chooses and not self.mapping.classes else labels, labels if chooses else None

    def _remember(self, w, labels):
        """Move w̄ of the classes met towards their mean style now."""
        labels = np.zeros(len(w), dtype=np.int64) if labels is None else np.asarray(labels)
        for label in np.unique(labels):
            mean = self.mean_style[label]
            mean += (1 - self.decay) * (w[labels == label].mean(axis=0) - mean)

    @no_grad()
    def styles(self, z, labels=None, *, truncation=1.0):
        """w of z, drawn towards w̄ (of its class, if the mapping is told it) by (9.8), (B, L), an array."""
        labels = self._told(labels)[0]
        w = self.mapping(Tensor(np.asarray(z, dtype=np.float32)), labels).data
        mean = self.mean_style[0 if labels is None else np.asarray(labels)]
        return mean + np.float32(truncation) * (w - mean)

    @no_grad()
    def pictures(self, w, labels=None, *, rng=None):
        """Pictures of styles: w (B, L) for all layers, or (depth, B, L), one for each.   Shapes: → (B, 1, H, W)

        labels:  (B,), which constant map to start from, if there are several
        rng:     of the noise maps; None leaves them out
        """
        w = np.asarray(w, dtype=np.float32)
        layers = [w] * self.synthesis.depth if w.ndim == 2 else list(w)
        return self.synthesis([Tensor(layer) for layer in layers], self._told(labels)[1], rng=rng).data

    def mixed(self, w, other, border, labels=None, *, rng=None):
        """Pictures with w in the layers before `border` and the other style behind it, (9.7)."""
        depth = self.synthesis.depth
        if not 0 <= border <= depth:
            raise ShapeError(f"StyleGenerator.mixed: border is {border}; expected 0 to {depth}")
        return self.pictures(np.stack([w if layer < border else other for layer in range(depth)]), labels, rng=rng)


def path_lengths(generator, w, *, rng):
    """|Jᵀy| of each sample, with a graph of its own, (9.9).

    generator:  a function from styles to pictures, w (B, L) → (B, C, H, W)
    Shapes:     w (B, L), a Tensor that requires a gradient → (B,)
    """
    pictures = generator(w)
    pixels = np.sqrt(np.prod(pictures.shape[2:]))
    y = Tensor((rng.standard_normal(pictures.shape) / pixels).astype(pictures.dtype))
    (slope,) = autograd.grad(ops.sum(pictures * y), w, create_graph=True)
    return ops.sqrt(ops.sum(slope * slope, dim=1) + EPS)


class PathLength:
    """The penalty (9.9) with its running mean a, which is part of the state of training.

    decay:   of a, the mean path length
    """

    def __init__(self, decay=0.99):
        self.decay, self.mean = decay, np.zeros(1)

    def penalty(self, lengths):
        """( |Jᵀy| − a )² of each sample, (B,); moves a first."""
        self.mean += (1 - self.decay) * (float(lengths.data.mean()) - self.mean)
        return (lengths - float(self.mean[0])) ** 2

    def state_dict(self):
        """a, as a dict of arrays."""
        return {"mean": self.mean.copy()}

    def load_state_dict(self, state):
        """Take a of another run."""
        self.mean[...] = state["mean"]
