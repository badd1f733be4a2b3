"""Layers and networks: functions of `minigen.ops` with parameters of their own."""

from minigen.nn import functional, init
from minigen.nn.activation import (
    ELU,
    GELU,
    Flatten,
    Identity,
    LeakyReLU,
    ReLU,
    Scaled,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Unflatten,
)  # fmt: skip
from minigen.nn.attention import MultiheadAttention
from minigen.nn.container import ModuleList, Residual, Sequential
from minigen.nn.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Embedding,
    GroupNorm,
    LayerNorm,
    Linear,
    RMSNorm,
)  # fmt: skip
from minigen.nn.masked import CausalConv2d, MaskedConv2d, MaskedLinear
from minigen.nn.module import Module, parameter
from minigen.nn.spectral import SpectralNorm
