"""How a network is told the time, and a network for points that is told it.

A single number t is a poor input: a layer is linear in it. Waves of many lengths say it better,

    e(t) = (cos ω₁t, …, cos ω_m t, sin ω₁t, …, sin ω_m t),      ω_i = period^(−(i − 1)/m),               (N.1)

slow ones for the rough time, fast ones for the exact. A shift of t turns each pair by an angle, so it is a linear map
of e(t), as for the positions of a transformer. Two layers then make of it whatever the network needs.

Source: Vaswani et al. 2017, arXiv:1706.03762; for diffusion, Ho, Jain & Abbeel 2020, arXiv:2006.11239.  Differs: points
get the waves of their coordinates as well (Tancik et al. 2020, arXiv:2006.10739), as far as `waves` says.
"""

import math

import numpy as np

from minigen import ops
from minigen.autograd import Tensor
from minigen.errors import ShapeError
from minigen.nn.activation import SiLU
from minigen.nn.container import ModuleList, Sequential
from minigen.nn.layers import Embedding, LayerNorm, Linear
from minigen.nn.module import Module


def sinusoids(t, width, *, period=10_000.0):
    """e(t) of (N.1), an array in the type of t.   Shapes: (B,) → (B, width)

    Raises:   ShapeError for an odd width or a t that is not (B,).
    """
    t = np.asarray(t.data if isinstance(t, Tensor) else t)
    if t.ndim != 1 or width % 2:
        raise ShapeError(f"sinusoids: t of shape {t.shape}, width {width}; expected (B,) and an even width")
    half = width // 2
    angles = t.astype(np.float64)[:, None] * np.exp(-math.log(period) * np.arange(half) / half)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(t.dtype)


class TimeEmbedding(Module):
    """Time and, if there are classes, the class, as one vector: e(t), two layers, plus a learnt vector per class.

    classes:   K, or None; the label K means "no class", and so do labels that are None
    Shapes:    t (B,), labels (B,) or None → (B, width)
    """

    def __init__(self, width, *, waves=None, classes=None, rng):
        self.waves, self.classes = waves or width, classes
        self.layers = Sequential(Linear(self.waves, width, rng=rng), SiLU(), Linear(width, width, rng=rng))
        if classes is not None:
            self.label = Embedding(classes + 1, width, rng=rng)

    def forward(self, t, labels=None):
        embedding = self.layers(Tensor(sinusoids(t, self.waves)))
        if self.classes is None:
            if labels is not None:
                raise ShapeError("TimeEmbedding: labels for a network without classes; expected classes=K")
            return embedding
        labels = np.full(len(t), self.classes) if labels is None else np.asarray(labels)
        if labels.shape != (len(t),) or labels.dtype.kind not in "iu":
            raise ShapeError(f"TimeEmbedding: labels {labels.shape} of {labels.dtype}; expected ({len(t)},) integers")
        if len(labels) and not 0 <= labels.min() <= labels.max() <= self.classes:
            raise ShapeError(f"TimeEmbedding: labels from {labels.min()} to {labels.max()}; expected 0 to "
                             f"{self.classes}, which means no class")
        return embedding + self.label(labels)


class PointNet(Module):
    """A residual perceptron for points that is told the time: (x (B, D), t (B,), labels) → (B, outputs).

    Each block: x + W₂ silu(W₁ silu(norm(x)) + time). Its last layer, and each block's, begin at 0.

    waves:    how many wave lengths of each coordinate the network sees beside the coordinates, the longest 2π, each
              half of the one before; 0 for none
    """

    def __init__(self, inputs, outputs, *, width=128, blocks=3, waves=0, classes=None, rng):
        self.waves, self.classes = waves, classes
        self.embedding = TimeEmbedding(width, waves=64, classes=classes, rng=rng)
        self.first = Linear(inputs * (1 + 2 * waves), width, rng=rng)
        self.blocks = ModuleList(_PointBlock(width, rng) for _ in range(blocks))
        self.norm = LayerNorm(width)
        self.last = zeroed(Linear(width, outputs, rng=rng))

    def forward(self, x, t, labels=None):
        seen = [x]
        for i in range(self.waves):
            seen += [ops.sin(x * 2.0**i), ops.cos(x * 2.0**i)]
        x = self.first(ops.concatenate(seen, dim=1) if self.waves else x)
        told = ops.silu(self.embedding(t, labels))
        for block in self.blocks:
            x = block(x, told)
        return self.last(ops.silu(self.norm(x)))


class _PointBlock(Module):
    def __init__(self, width, rng):
        self.norm = LayerNorm(width)
        self.inner, self.time = Linear(width, width, rng=rng), Linear(width, width, bias=False, rng=rng)
        self.outer = zeroed(Linear(width, width, rng=rng))

    def forward(self, x, told):
        return x + self.outer(ops.silu(self.inner(ops.silu(self.norm(x))) + self.time(told)))


def per_example(values, x):
    """Numbers, one per example (or one for all), in the type of x and with axes of length 1 to meet it.

    Shapes:   (B,), x (B, …) → (B, 1, …); a number stays one
    Raises:   ShapeError if there is not one number for each example.
    """
    values = np.asarray(values, dtype=x.dtype)
    if values.ndim == 0:
        return values
    if values.shape != (len(x),):
        raise ShapeError(f"per_example: numbers {values.shape} for x {tuple(x.shape)}; expected one for each example")
    return values.reshape(-1, *(1,) * (x.ndim - 1))


def zeroed(layer):
    """The layer with weight and bias set to 0: what it ends starts as nothing, and learns to be something."""
    for tensor in layer.parameters():
        tensor.overwrite(np.zeros(tensor.shape))
    return layer
