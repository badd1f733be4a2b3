"""Every operation and loss equals PyTorch's, on the samples of the gradient checks: values, first and second gradients.

Where torch is not installed the values it gave once are used: `python tests/ops/test_against_torch.py --write` writes
them. They are compared in either case.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from minigen import kernels
from minigen.autograd import Tensor, grad
from minigen.samples import discover, samples

GOLDEN = Path(__file__).parent.parent / "golden" / "ops.npz"
NAMES = [name for name, kind in discover().items() if kind in ("primitive", "fused", "function", "loss")]


def weights(name, number, shapes):
    """Random weights for the outputs (or gradients) of a sample, the same on both sides."""
    rng = np.random.default_rng([number, *name.encode()])
    return [rng.normal(size=shape) for shape in shapes]


def as_tuple(y):
    return tuple(y) if isinstance(y, tuple | list) else (y,)


# -- minigen --------------------------------------------------------------------------------------------------


def run_minigen(name, number, case, dtype=np.float64, second=True):
    """Outputs, gradients, gradients under create_graph, and second gradients, each a list of arrays."""
    inputs = [Tensor(x, requires_grad=True, dtype=dtype) for x in case.arrays]
    outputs = as_tuple(case(*inputs))
    v = weights(name, number, [y.shape for y in outputs])
    plain = grad(outputs, inputs, v, allow_unused=True)
    first = grad(outputs, inputs, v, create_graph=True, allow_unused=True)
    seconds = [np.zeros(x.shape) for x in inputs]
    u = weights(name, number + 100, [x.shape for x in inputs])
    pairs = [(g, w) for g, w in zip(first, u, strict=True) if g is not None and g.requires_grad]
    if second and pairs:
        found = grad([g for g, _ in pairs], inputs, [w for _, w in pairs], allow_unused=True)
        seconds = [np.zeros(x.shape) if g is None else g.data for g, x in zip(found, inputs, strict=True)]
    return [y.data for y in outputs], [g.data for g in plain], [g.data for g in first], seconds


# -- PyTorch --------------------------------------------------------------------------------------------------


def run_torch(name, number, case):
    """Outputs, gradients and second gradients from the twin."""
    import torch

    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in case.arrays]
    outputs = as_tuple(twins()[name](*inputs, **case.settings))
    v = [torch.tensor(w) for w in weights(name, number, [tuple(y.shape) for y in outputs])]
    first = torch.autograd.grad(outputs, inputs, v, create_graph=True, allow_unused=True)
    u = [torch.tensor(w) for w in weights(name, number + 100, [tuple(x.shape) for x in inputs])]
    pairs = [(g, w) for g, w in zip(first, u, strict=True) if g.requires_grad]
    seconds = [None] * len(inputs)
    if pairs:
        seconds = torch.autograd.grad([g for g, _ in pairs], inputs, [w for _, w in pairs], allow_unused=True)
    seconds = [np.zeros(x.shape) if g is None else g.numpy(force=True) for g, x in zip(seconds, inputs, strict=True)]
    return [y.detach().numpy() for y in outputs], [g.detach().numpy() for g in first], seconds


def twins():
    """name → PyTorch's function of the same tensors and settings."""
    import torch
    from torch.nn import functional as F

    def adjoint(linear, shape, g):
        z = torch.zeros(shape, dtype=g.dtype, requires_grad=True)
        return torch.autograd.grad(linear(z), z, g, create_graph=True)[0]

    def pick(x, index):
        places = np.arange(x.numel()).reshape(tuple(x.shape))[index]
        return x.reshape(-1)[torch.tensor(np.array(places))]

    def dims(x, dim):
        return tuple(range(x.ndim)) if dim is None else dim

    def reducing(function):
        return lambda x, dim=None, keepdim=False: function(x, dims(x, dim), keepdim) if x.ndim else x * 1

    def spread(function):
        return lambda x, dim=None, correction=1, keepdim=False: function(
            x, dim=dims(x, dim), correction=correction, keepdim=keepdim
        )

    def whole(index):
        return torch.tensor(np.asarray(index))

    def prod(x, dim=None, keepdim=False):
        return x.prod() if dim is None else x.prod(dim, keepdim=keepdim)

    def convolve(x, weight, **settings):
        return F.conv2d(x, weight, None, **settings)

    def pixels(x, positions):
        return x.flatten(2).gather(2, torch.as_tensor(positions).flatten(2)).reshape(positions.shape)

    def unfold(x, kernel, stride, padding, dilation):
        return F.unfold(x, kernel, dilation=dilation, padding=padding, stride=stride)

    def reduced(losses, reduction):
        if reduction == "example":
            return losses.sum(tuple(range(1, losses.ndim))) if losses.ndim > 1 else losses
        return losses if reduction == "none" else getattr(losses, reduction)()

    def cross_entropy(x, target, reduction="example"):
        return reduced(F.cross_entropy(x, whole(target), reduction="none"), reduction)

    def bce(x, target, reduction="example"):
        x, target = torch.broadcast_tensors(x, target)
        return reduced(F.binary_cross_entropy_with_logits(x, target, reduction="none"), reduction)

    def mse(x, target, reduction="example"):
        return reduced((x - target) ** 2, reduction)

    def attention(q, k, v, attn_mask=None, is_causal=False):
        mask = None if attn_mask is None else torch.tensor(attn_mask)
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # the others have no second order
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal)

    def self_attention(qkv, num_heads, attn_mask=None, is_causal=False):
        q, k, v = (part.unflatten(-1, (num_heads, -1)).transpose(-3, -2) for part in qkv.chunk(3, -1))
        return attention(q, k, v, attn_mask, is_causal).transpose(-3, -2).flatten(-2)

    def symmetric(x):
        return torch.linalg.cholesky(0.5 * (x + x.transpose(-1, -2)))

    def power(x, *exponents, exponent=None):
        exponent = exponents[0] if exponents else exponent
        return x ** (torch.tensor(exponent) if isinstance(exponent, np.ndarray) else exponent)

    same = "add sub mul div neg exp log log1p expm1 sqrt sin cos tanh sigmoid abs relu erf maximum minimum matmul"
    def group_norm(x, w, b, groups, eps=1e-5):
        """PyTorch's takes one scale and shift for all examples."""
        w, b = (part.reshape(*((1, -1) if part.ndim < 2 else part.shape), *(1,) * (x.ndim - 2)) for part in (w, b))
        return F.group_norm(x, groups, eps=eps) * w + b

    table = {name: getattr(torch, name) for name in same.split()}
    table |= {
        "softplus": F.softplus, "silu": F.silu, "gelu": F.gelu, "leaky_relu": F.leaky_relu, "elu": F.elu,
        "power": power, "pow": power, "raise_to": torch.pow, "clip": torch.clamp, "alias": torch.clone,
        "where": lambda a, b, condition: torch.where(torch.tensor(condition), a, b),
        "select": lambda a, b, condition: torch.where(torch.tensor(condition), a, b),
        "cast": lambda x, dtype: x.to(getattr(torch, dtype)),
        "dropout": lambda x, p, key: x * torch.tensor(kernels.dropout(np.ones(tuple(x.shape)), p, key)),
        # reductions
        "sum": reducing(torch.sum), "mean": reducing(torch.mean), "max": reducing(torch.amax),
        "min": reducing(torch.amin),
        "logsumexp": reducing(torch.logsumexp), "norm": reducing(lambda x, d, k: (x * x).sum(d, k).sqrt()),
        "var": spread(torch.var), "std": spread(torch.std), "prod": prod, "cumsum": torch.cumsum,
        "softmax": torch.softmax, "log_softmax": torch.log_softmax,
        # shapes
        "reshape": torch.reshape, "permute": torch.permute, "flatten": torch.flatten, "unsqueeze": torch.unsqueeze,
        "transpose": lambda x, dim0=-2, dim1=-1: x.transpose(dim0, dim1), "squeeze": torch.squeeze,
        "expand": lambda x, shape: x.expand(*shape), "broadcast_to": lambda x, shape: x.broadcast_to(shape),
        "sum_to": lambda x, shape: adjoint(lambda z: z.broadcast_to(x.shape), shape, x),
        "concatenate": lambda *x, dim: torch.cat(x, dim), "stack": lambda *x, dim: torch.stack(x, dim),
        "split": lambda x, split_size_or_sections, dim=0: x.split(split_size_or_sections, dim),
        "chunk": lambda x, chunks, dim=0: x.chunk(chunks, dim),
        "pad": lambda x, pad, value=0.0: F.pad(x, pad, value=value),
        "flip": lambda x, dims: x.flip(dims), "roll": lambda x, shifts, dims=None: x.roll(shifts, dims),
        # indexing
        "getitem": pick, "put_add": lambda x, index, shape: adjoint(lambda z: pick(z, index), shape, x),
        "gather": lambda x, dim, index: x.gather(dim, whole(index)),
        "scatter_add": lambda x, src, dim, index: x.scatter_add(dim, whole(index), src),
        "take": lambda x, index, dim=0: pick(x, (slice(None),) * dim + (np.asarray(index),)),
        # matrices
        "linear": F.linear, "affine": F.linear, "einsum": lambda *x, subscripts: torch.einsum(subscripts, *x),
        "inverse": torch.linalg.inv, "slogdet": lambda x: torch.linalg.slogdet(x)[1], "cholesky": symmetric,
        "logabsdet": lambda x: torch.linalg.slogdet(x)[1], "solve": torch.linalg.solve,
        # images
        "conv2d": F.conv2d, "conv1d": F.conv1d, "conv_transpose2d": F.conv_transpose2d, "convolution": convolve,
        "convolution_input_adjoint": lambda g, w, shape, **s: adjoint(lambda z: convolve(z, w, **s), shape, g),
        "convolution_weight_adjoint": lambda x, g, shape, **s: adjoint(lambda z: convolve(x, z, **s), shape, g),
        "biased_convolution": lambda x, w, b, **s: convolve(x, w, **s) + b.reshape(-1, 1, 1),
        "biased_input_adjoint": lambda g, w, b, shape, **s: (
            adjoint(lambda z: convolve(z, w, **s), shape, g) + b.reshape(-1, 1, 1)
        ),
        "im2col": unfold, "unfold": F.unfold,
        "col2im": lambda c, shape, **s: adjoint(lambda z: unfold(z, **s), shape, c),
        "max_pool2d": F.max_pool2d, "avg_pool2d": F.avg_pool2d,
        "upsample_nearest": lambda x, scale_factor=2: F.interpolate(x, scale_factor=scale_factor),
        "average_pool": lambda x, **s: F.avg_pool2d(x, *s.values()),
        "upsample": lambda x, scale: F.interpolate(x, scale_factor=scale),
        "average_pool_adjoint": lambda g, shape, **s: adjoint(lambda z: F.avg_pool2d(z, *s.values()), shape, g),
        "upsample_adjoint": lambda g, scale: scale**2 * F.avg_pool2d(g, scale), "pick": pixels,
        "put": lambda g, positions, shape: adjoint(lambda z: pixels(z, positions), shape, g),
        # normalisation, attention, losses
        "layer_norm": lambda x, w, b, eps=1e-5: F.layer_norm(x, x.shape[-1:], w, b, eps),
        "rms_norm": lambda x, w, eps=None: F.rms_norm(x, x.shape[-1:], w, eps),
        "group_norm": lambda x, w, b, num_groups: group_norm(x, w, b, num_groups),
        "group_norm_silu": lambda x, w, b, groups, eps: F.silu(group_norm(x, w, b, groups, eps)),
        "batch_norm": lambda x, w, b, eps=1e-5: F.batch_norm(x, None, None, w, b, True, eps=eps),
        "scaled_dot_product_attention": attention, "self_attention": self_attention,
        "cross_entropy": cross_entropy, "bce_with_logits": bce, "mse": mse,
        "softmax_cross_entropy": lambda x, target: cross_entropy(x, target, "none"),
        "binary_cross_entropy": lambda x, target: bce(x, target, "none"),
        "squared_error": lambda x, target: mse(x, target, "none"),
    }  # fmt: skip
    return table


# -- the comparison -------------------------------------------------------------------------------------------


def assert_close(found, expected, tolerance, what):
    """Equal up to `tolerance` of the largest element (or of 1)."""
    assert len(found) == len(expected), what
    for a, b in zip(found, expected, strict=True):
        assert a.shape == tuple(b.shape), what
        size = max(1.0, float(np.abs(b).max(initial=0.0)))
        assert np.abs(a - b).max(initial=0.0) <= tolerance * size, what


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_equal_pytorchs(name):
    pytest.importorskip("torch")
    for number, case in enumerate(samples(name)):
        values, first, second = run_torch(name, number, case)
        mine = run_minigen(name, number, case)
        assert_close(mine[0], values, 1e-10, f"sample {number}: value")
        assert_close(mine[1], first, 1e-10, f"sample {number}: gradient")
        assert_close(mine[2], first, 1e-10, f"sample {number}: gradient with create_graph")
        assert_close(mine[3], second, 1e-9, f"sample {number}: second gradient")
        if name != "cast":
            single = run_minigen(name, number, case, np.float32, second=False)
            assert_close(single[0], values, 1e-5, f"sample {number}: value in float32")
            assert_close(single[1], first, 1e-4, f"sample {number}: gradient in float32")


# -- the same without torch -----------------------------------------------------------------------------------


def flat(arrays):
    return np.concatenate([np.ravel(x) for x in arrays]) if arrays else np.zeros(0)


def fingerprint(case):
    """A few numbers that change when a sample does."""
    return np.array([float(np.sum(np.cos(x))) for x in case.arrays])


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_equal_those_that_pytorch_once_gave(name):
    with np.load(GOLDEN) as golden:
        assert name in golden, "a new operation: run `python tests/ops/test_against_torch.py --write` where torch is"
        stored = golden[name]
    start = 0
    for number, case in enumerate(samples(name)):
        values, first, *_ = run_minigen(name, number, case)
        for part, what in ((fingerprint(case), "inputs (samples were changed: --write anew)"), (flat(values), "value"),
                           (flat(first), "gradient")):  # fmt: skip
            assert_close([part], [stored[start : start + part.size]], 1e-10, f"sample {number}: {what}")
            start += part.size
    assert start == stored.size


def write():
    """Compute all with torch and store it."""
    golden = {}
    for name in NAMES:
        parts = []
        for number, case in enumerate(samples(name)):
            values, first, _ = run_torch(name, number, case)
            parts += [fingerprint(case), flat(values), flat(first)]
        golden[name] = np.concatenate(parts)
    np.savez_compressed(GOLDEN, **golden)
    print(f"{len(golden)} operations, {GOLDEN.stat().st_size / 1e3:.0f} kB → {GOLDEN}")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/ops/test_against_torch.py --write")
    write()
