"""The same kernels in PyTorch. `images_last` puts images channels-last in memory, and fuses the optimiser."""

import numpy as np
import torch
import torch.nn.functional as F


def _numbers(*shape):
    return torch.from_numpy(np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32))


def _image(images_last, *shape):
    """(B, C, H, W) in the chosen memory order."""
    return _numbers(*shape).contiguous(memory_format=torch.channels_last if images_last else torch.contiguous_format)


def _both_ways(function, leaves, g):
    """Forward and backward as one function."""
    for leaf in leaves:
        leaf.requires_grad_()

    def run():
        for leaf in leaves:
            leaf.grad = None
        function(*leaves).backward(g)

    return run


def _without_recording(function):
    def run():
        with torch.no_grad():
            function()

    return run


def make_gemm(name, shapes, images_last):
    """(M, K) @ (K, N)."""
    m, k, n = shapes
    a, b = _numbers(m, k), _numbers(k, n)
    return _without_recording(lambda: torch.mm(a, b))


def _convolution(shapes, images_last):
    b, c, h, o, kernel, stride, padding = shapes
    size = (h + 2 * padding - kernel) // stride + 1
    weight = _image(images_last, o, c, kernel, kernel)
    return _image(images_last, b, c, h, h), weight, _image(images_last, b, o, size, size), stride, padding


def _adjoint(shapes, images_last, mask):
    x, weight, g, stride, padding = _convolution(shapes, images_last)
    settings = [None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask]
    return _without_recording(lambda: torch.ops.aten.convolution_backward(g, x, weight, *settings))


def make_convolution_forward(name, shapes, images_last):
    """x ⋆ w."""
    x, weight, _, stride, padding = _convolution(shapes, images_last)
    return _without_recording(lambda: F.conv2d(x, weight, None, stride, padding))


def make_convolution_input(name, shapes, images_last):
    """The gradient for x."""
    return _adjoint(shapes, images_last, [True, False, False])


def make_convolution_weight(name, shapes, images_last):
    """The gradient for w."""
    return _adjoint(shapes, images_last, [False, True, False])


def make_conv_transpose(name, shapes, images_last):
    """Transposed convolution, forward and backward."""
    b, c, h, o, kernel, stride, padding = shapes
    leaves = _image(images_last, b, c, h, h), _image(images_last, c, o, kernel, kernel)
    g = _image(images_last, b, o, h * stride, h * stride)
    return _both_ways(lambda x, w: F.conv_transpose2d(x, w, None, stride, padding), leaves, g)


def make_attention(name, shapes, images_last):
    """Scaled dot-product attention on packed q, k, v as a projection leaves them, forward and backward."""
    b, n, t, d, causal = shapes

    def function(packed):
        q, k, v = (part.view(b, t, n, d).transpose(1, 2) for part in packed.chunk(3, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return y.transpose(1, 2).reshape(b, t, n * d)

    return _both_ways(function, [_numbers(b, t, 3 * n * d)], _numbers(b, t, n * d))


def make_layer_norm(name, shapes, images_last):
    """Layer normalisation, forward and backward."""
    leaves = _numbers(*shapes), torch.ones(shapes[1]), torch.zeros(shapes[1])
    return _both_ways(lambda x, w, b: F.layer_norm(x, (shapes[1],), w, b), leaves, _numbers(*shapes))


def make_rms_norm(name, shapes, images_last):
    """RMS normalisation, forward and backward."""
    leaves = _numbers(*shapes), torch.ones(shapes[1])
    return _both_ways(lambda x, w: F.rms_norm(x, (shapes[1],), w), leaves, _numbers(*shapes))


def make_group_norm_silu(name, shapes, images_last):
    """Group normalisation with 8 groups, then SiLU, forward and backward."""
    leaves = _image(images_last, *shapes), torch.ones(shapes[1]), torch.zeros(shapes[1])
    return _both_ways(lambda x, w, b: F.silu(F.group_norm(x, 8, w, b)), leaves, _image(images_last, *shapes))


def make_batch_norm(name, shapes, images_last):
    """Batch normalisation in training, forward and backward."""
    layer = torch.nn.BatchNorm2d(shapes[1])
    leaves = [_image(images_last, *shapes), *layer.parameters()]
    return _both_ways(lambda x, w, b: layer(x), leaves, _image(images_last, *shapes))


def make_elementwise(name, shapes, images_last):
    """An activation, forward and backward."""
    function = {"gelu": lambda x: F.gelu(x, approximate="tanh")}.get(name) or getattr(F, name)
    return _both_ways(function, [_numbers(*shapes)], _numbers(*shapes))


def make_function(name, shapes, images_last):
    """A function of numbers, forward only."""
    x = _numbers(*shapes)
    x = x.abs() + 0.01 if name == "log" else x
    return _without_recording(lambda: getattr(torch, name)(x))


def make_dropout(name, shapes, images_last):
    """Dropout of one number in ten, forward and backward."""
    return _both_ways(lambda x: F.dropout(x, 0.1), [_numbers(*shapes)], _numbers(*shapes))


def make_cross_entropy(name, shapes, images_last):
    """Softmax cross-entropy, forward and backward."""
    rows, classes = shapes
    target = torch.from_numpy(np.random.default_rng(0).integers(0, classes, rows))
    return _both_ways(lambda x: F.cross_entropy(x, target, reduction="none"), [_numbers(*shapes)], torch.ones(rows))


def _pooling(function, shapes, size, images_last):
    b, c, _, _ = shapes
    return _both_ways(function, [_image(images_last, *shapes)], _image(images_last, b, c, size, size))


def make_avg_pool(name, shapes, images_last):
    """2×2 means, forward and backward."""
    return _pooling(lambda x: F.avg_pool2d(x, 2), shapes, shapes[2] // 2, images_last)


def make_max_pool(name, shapes, images_last):
    """2×2 maxima, forward and backward."""
    return _pooling(lambda x: F.max_pool2d(x, 2), shapes, shapes[2] // 2, images_last)


def make_upsample(name, shapes, images_last):
    """Each pixel four times, forward and backward."""
    return _pooling(lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"), shapes, shapes[2] * 2, images_last)


def make_embedding(name, shapes, images_last):
    """Gather rows, and add their gradients up again."""
    tokens, vocabulary, width = shapes
    index = torch.from_numpy(np.random.default_rng(0).integers(0, vocabulary, tokens))
    return _both_ways(lambda w: F.embedding(index, w), [_numbers(vocabulary, width)], _numbers(tokens, width))


def make_adam(name, shapes, images_last):
    """One update of so many parameters in so many tensors."""
    size, tensors = shapes
    parameters = [_numbers(size // tensors).requires_grad_() for _ in range(tensors)]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizer = kind(parameters, 1e-3, fused=images_last or None)
    for parameter in parameters:
        parameter.grad = _numbers(size // tensors)
    return optimizer.step
