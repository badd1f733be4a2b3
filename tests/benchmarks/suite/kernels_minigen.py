"""The single kernels through minigen's public operations: what a model pays, the engine's share included.

Each `make_…(name, shapes)` returns the function to be timed. Images lie channels-last in memory, as a convolution
leaves them. "Forward and backward" starts from leaves without gradient and ends with their gradients.
"""

import numpy as np

import minigen as mg
from minigen import kernels, nn, ops, optim
from minigen.autograd.tensor import constant


def _numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def _image(*shape):
    """(B, C, H, W) with channels-last memory."""
    b, c, h, w = shape
    return _numbers(b, h, w, c).transpose(0, 3, 1, 2)


def _leaf(array):
    return constant(array).requires_grad_()


def _both_ways(function, leaves, g):
    """Forward and backward as one function."""

    def run():
        for leaf in leaves:
            leaf.grad = None
        function(*leaves).backward(g)

    return run


def make_gemm(name, shapes):
    """(M, K) @ (K, N)."""
    m, k, n = shapes
    a, b = constant(_numbers(m, k)), constant(_numbers(k, n))
    return lambda: ops.matmul(a, b)


def _convolution(shapes):
    b, c, h, o, kernel, stride, padding = shapes
    size = (h + 2 * padding - kernel) // stride + 1
    settings = ((stride,) * 2, (padding,) * 2, (1, 1), 1)
    return _image(b, c, h, h), _numbers(o, c, kernel, kernel), _image(b, o, size, size), settings


def make_convolution_forward(name, shapes):
    """x ⋆ w."""
    x, weight, _, settings = _convolution(shapes)
    return lambda: kernels.convolution(x, weight, *settings)


def make_convolution_input(name, shapes):
    """The gradient for x."""
    x, weight, g, settings = _convolution(shapes)
    return lambda: kernels.convolution_input_adjoint(g, weight, x.shape, *settings)


def make_convolution_weight(name, shapes):
    """The gradient for w."""
    x, weight, g, settings = _convolution(shapes)
    return lambda: kernels.convolution_weight_adjoint(x, g, weight.shape, *settings)


def make_conv_transpose(name, shapes):
    """Transposed convolution, forward and backward."""
    b, c, h, o, kernel, stride, padding = shapes
    g = _image(b, o, h * stride, h * stride)
    leaves = _leaf(_image(b, c, h, h)), _leaf(_numbers(c, o, kernel, kernel))
    return _both_ways(lambda x, w: ops.conv_transpose2d(x, w, None, stride, padding), leaves, g)


def make_attention(name, shapes):
    """Scaled dot-product attention on packed q, k, v as a projection leaves them, forward and backward."""
    b, n, t, d, causal = shapes
    leaf = _leaf(_numbers(b, t, 3 * n * d))
    return _both_ways(lambda packed: ops.self_attention(packed, n, is_causal=causal), [leaf], _numbers(b, t, n * d))


def make_layer_norm(name, shapes):
    """Layer normalisation, forward and backward."""
    layer = nn.LayerNorm(shapes[1])
    return _both_ways(lambda x, w, b: layer(x), [_leaf(_numbers(*shapes)), *layer.parameters()], _numbers(*shapes))


def make_rms_norm(name, shapes):
    """RMS normalisation, forward and backward."""
    leaves = _leaf(_numbers(*shapes)), _leaf(np.ones(shapes[1], np.float32))
    return _both_ways(ops.rms_norm, leaves, _numbers(*shapes))


def make_group_norm_silu(name, shapes):
    """Group normalisation with 8 groups, then SiLU, forward and backward."""
    layer = nn.GroupNorm(8, shapes[1])
    leaves = [_leaf(_image(*shapes)), *layer.parameters()]
    return _both_ways(lambda x, w, b: ops.silu(layer(x)), leaves, _image(*shapes))


def make_batch_norm(name, shapes):
    """Batch normalisation in training, forward and backward."""
    layer = nn.BatchNorm2d(shapes[1])
    return _both_ways(lambda x, w, b: layer(x), [_leaf(_image(*shapes)), *layer.parameters()], _image(*shapes))


def make_elementwise(name, shapes):
    """An activation, forward and backward."""
    function = {"gelu": lambda x: ops.gelu(x, approximate="tanh")}.get(name) or getattr(ops, name)
    return _both_ways(function, [_leaf(_numbers(*shapes))], _numbers(*shapes))


def make_function(name, shapes):
    """A function of numbers, forward only."""
    x = _numbers(*shapes)
    x = constant(np.abs(x) + np.float32(0.01) if name == "log" else x)
    return lambda: getattr(ops, name)(x)


def make_dropout(name, shapes):
    """Dropout of one number in ten, forward and backward."""
    layer = nn.Dropout(0.1, rng=np.random.default_rng(0))
    return _both_ways(layer, [_leaf(_numbers(*shapes))], _numbers(*shapes))


def make_cross_entropy(name, shapes):
    """Softmax cross-entropy, forward and backward."""
    rows, classes = shapes
    target = np.random.default_rng(0).integers(0, classes, rows)
    g = np.ones(rows, np.float32)
    return _both_ways(lambda x: ops.cross_entropy(x, target), [_leaf(_numbers(*shapes))], g)


def _pooling(function, shapes, size):
    b, c, _, _ = shapes
    return _both_ways(function, [_leaf(_image(*shapes))], _image(b, c, size, size))


def make_avg_pool(name, shapes):
    """2×2 means, forward and backward."""
    return _pooling(lambda x: ops.avg_pool2d(x, 2), shapes, shapes[2] // 2)


def make_max_pool(name, shapes):
    """2×2 maxima, forward and backward."""
    return _pooling(lambda x: ops.max_pool2d(x, 2), shapes, shapes[2] // 2)


def make_upsample(name, shapes):
    """Each pixel four times, forward and backward."""
    return _pooling(lambda x: ops.upsample_nearest(x, 2), shapes, shapes[2] * 2)


def make_embedding(name, shapes):
    """Gather rows, and add their gradients up again."""
    tokens, vocabulary, width = shapes
    index = np.random.default_rng(0).integers(0, vocabulary, tokens)
    leaf = _leaf(_numbers(vocabulary, width))
    return _both_ways(lambda weight: ops.take(weight, index), [leaf], _numbers(tokens, width))


def make_adam(name, shapes):
    """One update of so many parameters in so many tensors."""
    size, tensors = shapes
    parameters = [mg.tensor(_numbers(size // tensors), requires_grad=True) for _ in range(tensors)]
    optimizer = {"adam": optim.Adam, "adamw": optim.AdamW}[name](parameters, 1e-3)
    for parameter in parameters:
        parameter.grad = constant(_numbers(size // tensors))
    return optimizer.step
