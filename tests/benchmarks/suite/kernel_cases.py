"""The single kernels: which are timed, at which sizes, and the least work that each must do.

"operations" are floating-point operations of matrix products (a · b + c is two); "traffic" is the bytes that must move
if every input is read once and every result written once. What is called *forward and backward* reads again what the
backward pass needs: an elementwise function x → y moves 2 arrays forward and 3 backward (x, g, the gradient).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Case:
    """One kernel at three sizes.

    maker:   the function make_… in kernels_minigen.py and kernels_torch.py
    sizes:   {"small": shapes, "medium": …, "large": …}
    traffic: shapes → numbers (not bytes) that must move
    flops:   shapes → operations in matrix products
    images:  True if memory order matters, so that PyTorch is timed in both orders
    """

    maker: str
    sizes: dict
    traffic: Callable
    flops: Callable = field(default=lambda shapes: 0)
    images: bool = False

    def work(self, label):
        """(operations, bytes) at one size."""
        return self.flops(self.sizes[label]), FLOAT * self.traffic(self.sizes[label])


def _three(small, medium, large):
    return {"small": small, "medium": medium, "large": large}


# -- products ---------------------------------------------------------------------------------------------------------


def _gemm_flops(shapes):
    return 2 * prod(shapes)


def _gemm_traffic(shapes):
    m, k, n = shapes
    return m * k + k * n + m * n


def _conv_out(shapes):
    _, _, h, _, kernel, stride, padding = shapes
    return (h + 2 * padding - kernel) // stride + 1


def _conv_flops(shapes):
    b, c, _, o, kernel, _, _ = shapes
    return 2 * b * _conv_out(shapes) ** 2 * kernel**2 * c * o


def _conv_traffic(shapes):
    b, c, h, o, kernel, _, _ = shapes
    return b * c * h * h + b * o * _conv_out(shapes) ** 2 + c * o * kernel**2


def _transposed_flops(shapes):
    b, c, h, o, kernel, _, _ = shapes
    return 3 * 2 * b * h * h * kernel**2 * c * o


def _transposed_traffic(shapes):
    b, c, h, o, kernel, stride, _ = shapes
    small, large, weight = b * c * h * h, b * o * (h * stride) ** 2, c * o * kernel**2
    return (small + large + weight) + 2 * (small + weight) + large


def _attention_flops(shapes):
    b, n, t, d, causal = shapes
    return 3 * 2 * 2 * b * n * t * t * d // (2 if causal else 1)


def _attention_traffic(shapes):
    return 12 * prod(shapes[:4])  # q, k, v, y forward; those and dy, and three gradients, backward


# x, c → out channels, kernel, stride, padding: the second layer of DCGAN's discriminator and two of the DDPM stack
CONVOLUTIONS = _three((64, 64, 14, 128, 4, 2, 1), (64, 32, 28, 64, 3, 1, 1), (64, 128, 14, 128, 3, 1, 1))
ATTENTION = [(12, 4, 64, 32), (32, 6, 256, 64), (4, 8, 1024, 64)]
PRODUCTS = {
    "gemm": Case("gemm", _three((12544, 288, 64), (768, 128, 512), (1024, 1024, 1024)), _gemm_traffic, _gemm_flops),
    "convolution_forward": Case("convolution_forward", CONVOLUTIONS, _conv_traffic, _conv_flops, True),
    "convolution_input": Case("convolution_input", CONVOLUTIONS, _conv_traffic, _conv_flops, True),
    "convolution_weight": Case("convolution_weight", CONVOLUTIONS, _conv_traffic, _conv_flops, True),
    "conv_transpose": Case(
        "conv_transpose", _three((64, 64, 14, 1, 4, 2, 1), (64, 128, 7, 64, 4, 2, 1), (64, 128, 14, 64, 4, 2, 1)),
        _transposed_traffic, _transposed_flops, True,
    ),
    "attention_causal": Case("attention", _three(*((*shape, True) for shape in ATTENTION)), _attention_traffic,
                             _attention_flops),
    "attention_full": Case("attention", _three(*((*shape, False) for shape in ATTENTION)), _attention_traffic,
                           _attention_flops),
}  # fmt: skip

# -- what memory bounds -----------------------------------------------------------------------------------------------

ROWS = _three((768, 128), (8192, 384), (16384, 1024))
IMAGES = _three((16, 32, 14, 14), (64, 64, 28, 28), (64, 128, 28, 28))
NUMBERS = _three((16_384,), (393_216,), (3_145_728,))
PARAMETERS = _three((65_536, 20), (1_048_576, 20), (8_388_608, 20))  # in so many tensors


def _elementwise(name, maker="elementwise", arrays=5):
    return Case(maker, NUMBERS, lambda shapes: arrays * prod(shapes))


def _images(maker, arrays):
    return Case(maker, IMAGES, lambda shapes: int(arrays * prod(shapes)), images=True)


BOUND_BY_MEMORY = {
    "layer_norm": Case("layer_norm", ROWS, lambda shapes: 5 * prod(shapes)),
    "rms_norm": Case("rms_norm", ROWS, lambda shapes: 5 * prod(shapes)),
    "group_norm_silu": _images("group_norm_silu", 5),
    "batch_norm": _images("batch_norm", 5),
    "gelu": _elementwise("gelu"),
    "silu": _elementwise("silu"),
    "softplus": _elementwise("softplus"),
    "cross_entropy": Case("cross_entropy", _three((768, 65), (4096, 1000), (4096, 8192)), lambda s: 3 * prod(s)),
    "dropout": _elementwise("dropout", "dropout", 4),
    "avg_pool": _images("avg_pool", 2.5),
    "max_pool": _images("max_pool", 2.5),
    "upsample": _images("upsample", 10),
    # tokens, vocabulary, width: read and write each row, then read g and write the whole gradient
    "embedding": Case("embedding", _three((768, 65, 128), (16_384, 1000, 128), (32_768, 8192, 128)),
                      lambda s: 3 * s[0] * s[2] + s[1] * s[2]),
    "adam": Case("adam", PARAMETERS, lambda shapes: 7 * shapes[0]),
    "adamw": Case("adam", PARAMETERS, lambda shapes: 7 * shapes[0]),
    **{name: _elementwise(name, "function", 2) for name in ("exp", "log", "tanh", "sigmoid", "erf")},
}  # fmt: skip

CASES = PRODUCTS | BOUND_BY_MEMORY
