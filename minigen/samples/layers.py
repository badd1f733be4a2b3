"""Samples for every layer of minigen.nn: a layer, with random parameters in float64, and inputs.

A layer is checked in its inputs and in all its parameters. The parameters are drawn anew, because layers start at
special values (weight 1 and bias 0 in a normalisation) where a mistake can hide.
"""

import numpy as np

from minigen import nn
from minigen.samples import Sample
from minigen.samples.draws import Draws


def layer(module, *arrays, rng, **settings):
    """A Sample of a module, converted to float64, with random parameters."""
    module = module.to(np.float64)
    for tensor in module.parameters():
        tensor.data = tensor.data + 0.3 * rng.normal(size=tensor.shape)
    return Sample(module, arrays, settings, dict(module.named_parameters()))


def seeded(module):
    """The module with its random generators set back before each call, so that it is a function."""

    class Seeded(nn.Module):
        def __init__(self):
            self.module = module

        def forward(self, *inputs, **settings):
            for _, generator in module.named_generators():
                generator.bit_generator.state = np.random.default_rng(7).bit_generator.state
            return module(*inputs, **settings)

    return Seeded()


def _make(rng):
    d = Draws(rng)

    def case(module, *arrays, **settings):
        return layer(module, *arrays, rng=rng, **settings)

    return d, case


def _elementwise(make, values="apart"):
    def entry(rng):
        d, case = _make(rng)
        return [case(make(), getattr(d, values)(3, 4)), case(make(), getattr(d, values)(2, 1, 3))]

    return entry


def _of(cases):
    """cases(d, case, rng) → list of Samples, as an entry of the table."""

    def entry(rng):
        d, case = _make(rng)
        return cases(d, case, rng)

    return entry


LAYERS = {
    "ReLU": _elementwise(nn.ReLU),
    "LeakyReLU": _elementwise(lambda: nn.LeakyReLU(0.2)),
    "ELU": _elementwise(nn.ELU),
    "SiLU": _elementwise(nn.SiLU),
    "GELU": _of(
        lambda d, case, rng: [case(nn.GELU(), d.normal(3, 4)), case(nn.GELU(approximate="tanh"), d.normal(2, 1, 3))]
    ),
    "Tanh": _elementwise(nn.Tanh),
    "Sigmoid": _elementwise(nn.Sigmoid),
    "Softplus": _elementwise(nn.Softplus),
    "Softmax": _elementwise(lambda: nn.Softmax(dim=1)),
    "Identity": _elementwise(nn.Identity),
    "Scaled": _elementwise(lambda: nn.Scaled(255)),
    "Flatten": _of(
        lambda d, case, rng: [case(nn.Flatten(), d.normal(2, 3, 4)), case(nn.Flatten(0, 1), d.normal(2, 3, 4))]
    ),
    "Unflatten": _of(
        lambda d, case, rng: [
            case(nn.Unflatten(1, (2, 3)), d.normal(2, 6)),
            case(nn.Unflatten(-1, (3, 1)), d.normal(2, 2, 3)),
        ]
    ),
    "Linear": _of(
        lambda d, case, rng: [
            case(nn.Linear(3, 4, rng=rng), d.normal(5, 3)),
            case(nn.Linear(3, 1, bias=False, rng=rng), d.normal(2, 5, 3)),
        ]
    ),
    "Conv1d": _of(
        lambda d, case, rng: [
            case(nn.Conv1d(2, 4, 3, padding=1, rng=rng), d.normal(2, 2, 5)),
            case(nn.Conv1d(4, 2, 2, stride=2, dilation=2, groups=2, bias=False, rng=rng), d.normal(1, 4, 7)),
        ]
    ),
    "Conv2d": _of(
        lambda d, case, rng: [
            case(nn.Conv2d(2, 3, 3, padding=1, rng=rng), d.normal(2, 2, 4, 4)),
            case(nn.Conv2d(2, 4, (2, 3), stride=2, groups=2, bias=False, rng=rng), d.normal(1, 2, 5, 6)),
        ]
    ),
    "ConvTranspose2d": _of(
        lambda d, case, rng: [
            case(nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1, rng=rng), d.normal(2, 3, 3, 2)),
            case(nn.ConvTranspose2d(2, 4, 2, groups=2, bias=False, rng=rng), d.normal(1, 2, 3, 3)),
        ]
    ),
    "MaskedLinear": _of(
        lambda d, case, rng: [
            case(nn.MaskedLinear(3, 4, np.tri(4, 3), rng=rng), d.normal(5, 3)),
            case(nn.MaskedLinear(3, 1, bias=False, rng=rng), d.normal(2, 5, 3), mask=np.array([[1, 0, 1]])),
        ]
    ),
    "MaskedConv2d": _of(
        lambda d, case, rng: [
            case(nn.MaskedConv2d(2, 3, 3, "A", rng=rng), d.normal(2, 2, 4, 3)),
            case(nn.MaskedConv2d(1, 2, 3, "B", bias=False, rng=rng), d.normal(1, 1, 3, 5)),
        ]
    ),
    "CausalConv2d": _of(
        lambda d, case, rng: [
            case(nn.CausalConv2d(2, 3, (2, 3), "down", rng=rng), d.normal(2, 2, 4, 3)),
            case(nn.CausalConv2d(1, 2, (2, 1), "down", before=True, rng=rng), d.normal(2, 1, 4, 3)),
            case(nn.CausalConv2d(2, 2, (1, 3), "right", before=True, bias=False, rng=rng), d.normal(1, 2, 2, 5)),
        ]
    ),
    "Embedding": _of(
        lambda d, case, rng: [
            case(nn.Embedding(5, 3, rng=rng), index=d.whole(5, 2, 4)),
            case(nn.Embedding(2, 1, rng=rng), index=d.whole(2, 6)),
        ]
    ),
    "SpectralNorm": _of(
        lambda d, case, rng: [  # in evaluation, where u stays as it is: else the layer is another one at each call
            case(nn.SpectralNorm(nn.Linear(4, 3, rng=rng), rng=rng).eval(), d.normal(5, 4)),
            case(nn.SpectralNorm(nn.Conv2d(2, 3, 2, rng=rng), rng=rng).eval(), d.normal(1, 2, 3, 3)),
        ]
    ),
    "LayerNorm": _of(
        lambda d, case, rng: [case(nn.LayerNorm(4), d.normal(3, 4)), case(nn.LayerNorm(5, eps=0.1), d.normal(2, 3, 5)),
                              case(nn.LayerNorm(4, bias=False), d.normal(3, 4))]  # fmt: skip
    ),
    "RMSNorm": _of(
        lambda d, case, rng: [case(nn.RMSNorm(4), d.normal(3, 4)), case(nn.RMSNorm(5, eps=0.1), d.normal(2, 3, 5))]
    ),
    "GroupNorm": _of(
        lambda d, case, rng: [
            case(nn.GroupNorm(2, 4), d.normal(2, 4, 3)),
            case(nn.GroupNorm(2, 4), d.normal(2, 4, 3), activation="silu"),
            case(nn.GroupNorm(1, 2), d.normal(2, 2, 3, 2)),
        ]
    ),
    "BatchNorm1d": _of(
        lambda d, case, rng: [
            case(nn.BatchNorm1d(3), d.normal(5, 3)),
            case(nn.BatchNorm1d(3), d.normal(2, 3, 4)),
            case(nn.BatchNorm1d(3).eval(), d.normal(2, 3)),
        ]
    ),
    "BatchNorm2d": _of(
        lambda d, case, rng: [
            case(nn.BatchNorm2d(2), d.normal(2, 2, 3, 3)),
            case(nn.BatchNorm2d(2).eval(), d.normal(1, 2, 2, 3)),
        ]
    ),
    "Dropout": _of(
        lambda d, case, rng: [
            case(seeded(nn.Dropout(0.4, rng=rng)), d.normal(4, 5)),
            case(nn.Dropout(0.4, rng=rng).eval(), d.normal(3)),
        ]
    ),
    "MultiheadAttention": _of(
        lambda d, case, rng: [
            case(nn.MultiheadAttention(4, 2, rng=rng), d.normal(3, 2, 4), d.normal(5, 2, 4), d.normal(5, 2, 4)),
            case(
                nn.MultiheadAttention(4, 1, bias=False, batch_first=True, rng=rng),
                d.normal(2, 3, 4),
                d.normal(2, 3, 4),
                d.normal(2, 3, 4),
                is_causal=True,
            ),
            case(
                seeded(nn.MultiheadAttention(4, 2, dropout=0.3, batch_first=True, rng=rng)),
                d.normal(1, 3, 4),
                d.normal(1, 3, 4),
                d.normal(1, 3, 4),
                attn_mask=np.eye(3, dtype=bool),
            ),
        ]
    ),
    "Sequential": _of(
        lambda d, case, rng: [
            case(nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng)), d.normal(5, 3)),
            case(
                nn.Sequential(nn.Conv2d(1, 2, 3, rng=rng), nn.GroupNorm(1, 2), nn.SiLU(), nn.Flatten()),
                d.normal(2, 1, 4, 4),
            ),
        ]
    ),
    "Residual": _of(
        lambda d, case, rng: [
            case(nn.Residual(nn.LayerNorm(3), nn.Linear(3, 3, rng=rng), nn.GELU()), d.normal(4, 3)),
            case(nn.Residual(nn.Tanh()), d.normal(2, 1, 3)),
        ]
    ),
}
