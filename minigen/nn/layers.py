"""The layers: a function of `minigen.ops` together with the parameters it needs.

Names, arguments, defaults, shapes, initial distributions and state-dict keys are PyTorch's. All take `rng`, the source
of their initial weights.
"""

import math

import numpy as np

from minigen import ops
from minigen.errors import ShapeError
from minigen.nn import init
from minigen.nn.module import Module, generator, parameter
from minigen.ops.normalization import batch_norm_and_moments


class Linear(Module):
    """y = x Wᵀ + b.  Shapes: (…, in_features) → (…, out_features)."""

    def __init__(self, in_features, out_features, bias=True, *, rng=None):
        rng = generator(rng)
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = parameter(init.uniform((out_features, in_features), -bound, bound, rng=rng))
        self.bias = parameter(init.uniform(out_features, -bound, bound, rng=rng)) if bias else None

    def forward(self, x):
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self):
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"


class _Convolution(Module):
    """What the convolutional layers share: a weight of the right shape, PyTorch's initialisation, the settings."""

    def __init__(self, shape, out_channels, bias, rng, **settings):
        rng = generator(rng)
        bound = 1 / math.sqrt(init.fans(shape)[0])
        self.weight = parameter(init.uniform(shape, -bound, bound, rng=rng))
        self.bias = parameter(init.uniform(out_channels, -bound, bound, rng=rng)) if bias else None
        self.settings = settings

    def extra_repr(self):
        return ", ".join([f"weight {self.weight.shape}", *(f"{k}={v}" for k, v in self.settings.items())])


def _divided(name, channels, groups):
    if channels % groups:
        raise ShapeError(f"{name}: {groups} groups do not divide {channels} channels")
    return channels // groups


class Conv1d(_Convolution):
    """Filters sliding along a sequence.  Shapes: (B, C, T) → (B, O, OT); see ops.conv1d."""

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, *, rng=None
    ):
        shape = (out_channels, _divided("Conv1d", in_channels, groups), kernel_size)
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        super().__init__(shape, out_channels, bias, rng, **settings)

    def forward(self, x):
        return ops.conv1d(x, self.weight, self.bias, **self.settings)


class Conv2d(_Convolution):
    """Filters sliding over an image.  Shapes: (B, C, H, W) → (B, O, OH, OW); see ops.conv2d."""

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, *, rng=None
    ):
        shape = (out_channels, _divided("Conv2d", in_channels, groups), *_pair(kernel_size))
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        super().__init__(shape, out_channels, bias, rng, **settings)

    def forward(self, x):
        return ops.conv2d(x, self.weight, self.bias, **self.settings)


class ConvTranspose2d(_Convolution):
    """The adjoint of Conv2d, used to enlarge.  Shapes: (B, C, H, W) → (B, O, OH, OW); see ops.conv_transpose2d."""

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
        dilation=1, *, rng=None,
    ):  # fmt: skip
        shape = (in_channels, _divided("ConvTranspose2d", out_channels, groups), *_pair(kernel_size))
        settings = {"stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups}
        super().__init__(shape, out_channels, bias, rng, **settings, dilation=dilation)

    def forward(self, x):
        return ops.conv_transpose2d(x, self.weight, self.bias, **self.settings)


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


class Embedding(Module):
    """A learnt vector for each whole number.  Shapes: index (…) → (…, embedding_dim)."""

    def __init__(self, num_embeddings, embedding_dim, *, rng=None):
        self.weight = parameter(init.normal((num_embeddings, embedding_dim), rng=generator(rng)))

    def forward(self, index):
        return ops.take(self.weight, index)

    def extra_repr(self):
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axis of each example, then a learnt scale and (unless bias=False) shift."""

    def __init__(self, normalized_shape, eps=1e-5, *, bias=True):
        (size,) = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = parameter(np.ones(size))
        self.bias = parameter(np.zeros(size)) if bias else None

    def forward(self, x):
        bias = np.zeros(self.weight.shape, self.weight.dtype) if self.bias is None else self.bias
        return ops.layer_norm(x, self.weight, bias, eps=self.eps)

    def extra_repr(self):
        return f"{self.weight.size}, eps={self.eps}"


class RMSNorm(Module):
    """Mean square 1 over the last axis of each example, then a learnt scale.

    Source: Zhang & Sennrich 2019, arXiv:1910.07467.  Differs: nothing.
    """

    def __init__(self, normalized_shape, eps=None):
        (size,) = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = parameter(np.ones(size))

    def forward(self, x):
        return ops.rms_norm(x, self.weight, eps=self.eps)

    def extra_repr(self):
        return f"{self.weight.size}, eps={self.eps}"


class GroupNorm(Module):
    """Mean 0 and variance 1 over each group of channels, then a learnt scale and shift per channel.

    `norm(x, activation="silu")` is silu(norm(x)) in one pass, and `norm(x, scale=a, shift=b)` is norm(x) · a + b, with
    a and b (B, C), for each example and channel.
    """

    def __init__(self, num_groups, num_channels, eps=1e-5):
        _divided("GroupNorm", num_channels, num_groups)
        self.num_groups = num_groups
        self.eps = eps
        self.weight = parameter(np.ones(num_channels))
        self.bias = parameter(np.zeros(num_channels))

    def forward(self, x, activation=None, scale=None, shift=None):
        weight, bias = self.weight, self.bias
        if scale is not None:
            weight, bias = scale * weight, scale * bias  # (B, C)
        if shift is not None:
            bias = bias + shift
        return ops.group_norm(x, self.num_groups, weight, bias, self.eps, activation)

    def extra_repr(self):
        return f"{self.num_groups}, {self.weight.size}, eps={self.eps}"


class _BatchNorm(Module):
    """Mean 0 and variance 1 for each channel over the batch; in evaluation the averages seen in training are used.

    Running averages move by `momentum` towards each batch's mean and (unbiased) variance.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.  Differs: nothing.
    """

    axes = (2, 3, 4)

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        self.eps = eps
        self.momentum = momentum
        self.weight = parameter(np.ones(num_features))
        self.bias = parameter(np.zeros(num_features))
        self.running_mean = np.zeros(num_features, dtype=np.float32)
        self.running_var = np.ones(num_features, dtype=np.float32)
        self.num_batches_tracked = np.zeros((), dtype=np.int64)

    def forward(self, x):
        name = type(self).__name__
        if x.ndim not in self.axes or x.shape[1] != self.weight.size:
            raise ShapeError(f"{name}: input {tuple(x.shape)}; expected {self.weight.size} channels on axis 1")
        per_channel = (1, -1) + (1,) * (x.ndim - 2)
        if not self.training:
            scale = self.weight / np.sqrt(self.running_var + self.running_var.dtype.type(self.eps))
            shift = self.bias - scale * self.running_mean
            return x * ops.reshape(scale, per_channel) + ops.reshape(shift, per_channel)
        count = math.prod(x.shape) // x.shape[1]
        if count < 2:
            raise ShapeError(f"{name}: a batch of one value per channel has no variance (input {tuple(x.shape)})")
        y, mean, var = batch_norm_and_moments(x, self.weight, self.bias, eps=self.eps)
        self.running_mean += self.momentum * (mean - self.running_mean)
        self.running_var += self.momentum * (var * (count / (count - 1)) - self.running_var)
        self.num_batches_tracked += 1
        return y

    def extra_repr(self):
        return f"{self.weight.size}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (B, C) or (B, C, T)."""

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (B, C, H, W)."""

    axes = (4,)


class Dropout(Module):
    """In training set each number to 0 with probability p and divide the rest by 1 − p; in evaluation do nothing.

    Source: Srivastava et al. 2014.  Differs: nothing (the scaling keeps the mean, as everywhere today).
    """

    def __init__(self, p=0.5, *, rng=None):
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p={p}; expected 0 ≤ p < 1")
        self.p = p
        self.rng = generator(rng)

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        return ops.dropout(x, p=self.p, key=int(self.rng.integers(1 << 63)))

    def extra_repr(self):
        return f"p={self.p}"
