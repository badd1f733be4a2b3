"""Activations as modules, for use inside Sequential."""

import numpy as np

from minigen import ops
from minigen.autograd import Tensor
from minigen.nn.module import Module


class _Activation(Module):
    function = None

    def __init__(self, **settings):
        self._settings = settings

    def forward(self, x):
        return type(self).function(x, **self._settings)

    def extra_repr(self):
        return ", ".join(f"{name}={value}" for name, value in self._settings.items())


class ReLU(_Activation):
    """max(x, 0)."""

    function = staticmethod(ops.relu)


class LeakyReLU(_Activation):
    """x where positive, negative_slope · x elsewhere."""

    function = staticmethod(ops.leaky_relu)

    def __init__(self, negative_slope=0.01):
        super().__init__(negative_slope=negative_slope)


class ELU(_Activation):
    """x where positive, α(eˣ − 1) elsewhere."""

    function = staticmethod(ops.elu)

    def __init__(self, alpha=1.0):
        super().__init__(alpha=alpha)


class SiLU(_Activation):
    """x · sigmoid(x)."""

    function = staticmethod(ops.silu)


class GELU(_Activation):
    """x Φ(x); approximate: "none" or "tanh"."""

    function = staticmethod(ops.gelu)

    def __init__(self, approximate="none"):
        super().__init__(approximate=approximate)


class Tanh(_Activation):
    """tanh x."""

    function = staticmethod(ops.tanh)


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ)."""

    function = staticmethod(ops.sigmoid)


class Softplus(_Activation):
    """log(1 + eˣ)."""

    function = staticmethod(ops.softplus)


class Softmax(_Activation):
    """eˣ / Σ eˣ along dim."""

    function = staticmethod(ops.softmax)

    def __init__(self, dim=-1):
        super().__init__(dim=dim)


class Identity(Module):
    """x."""

    def forward(self, x):
        return x


class Scaled(Module):
    """Whole-number pixels 0 … high, in an array or a Tensor, as numbers −1 … 1: the range that networks like."""

    def __init__(self, high):
        self.high = high

    def forward(self, x):
        x = x if isinstance(x, Tensor) else Tensor(x, dtype=np.float32)
        return x * (2.0 / self.high) - 1.0

    def extra_repr(self):
        return f"0 … {self.high}"


class Flatten(Module):
    """(B, …) → (B, everything else in one axis)."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        return ops.flatten(x, self.start_dim, self.end_dim)


class Unflatten(Module):
    """One axis cut into several: the inverse of Flatten."""

    def __init__(self, dim, unflattened_size):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x):
        dim = self.dim % x.ndim
        return ops.reshape(x, (*x.shape[:dim], *self.unflattened_size, *x.shape[dim + 1 :]))
