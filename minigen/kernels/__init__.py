"""Fast inner loops on plain arrays: ndarray in, ndarray out, no Tensor in sight.

Every function here exists twice, under one name and with the same arguments:

    reference/       in plain NumPy: the definition, the text to read
    *.py             compiled with Numba: one file per family of kernels (jit.py says how they are compiled and cached,
                     threads.py who computes, tile.py is the loop inside every product)

and `kernels.layer_norm(x, …)` chooses. MINIGEN_KERNELS, read at import, says how:

    auto        (default) the compiled kernel; for a few numbers, or other types than float32 and float64, NumPy, which
                then starts faster and needs no compiler
    compiled    the compiled kernel for every size: for the tests
    reference   NumPy only; Numba is never imported

Numba takes half a second to import, so it is loaded with the first array that is worth it.
"""

import functools
import importlib
import os

from minigen.kernels import reference

LARGE = 65_536  # elements, from which even a plain sum gains by more than one thread
SMALL = 2048  # elements of the input; below this NumPy needs a few µs, no more than a kernel's call

# The compiled functions, by the file that holds them.
COMPILED = {
    "attention": (
        "scaled_dot_product_attention", "scaled_dot_product_attention_backward", "self_attention",
        "self_attention_backward",
    ),
    "elementwise": (
        "exp", "log", "erf", "tanh", "tanh_backward", "sigmoid", "sigmoid_backward", "relu", "relu_backward",
        "leaky_relu", "leaky_relu_backward", "softplus", "softplus_backward", "silu", "silu_backward", "gelu",
        "gelu_backward", "add",
    ),
    "rows": (
        "softmax", "softmax_backward", "log_softmax", "log_softmax_backward", "logsumexp", "logsumexp_backward",
    ),
    "loss": (
        "cross_entropy", "cross_entropy_backward", "bce_with_logits", "bce_with_logits_backward", "mse", "mse_backward",
    ),
    "random": ("dropout",),
    "normalization": ("layer_norm", "layer_norm_backward", "rms_norm", "rms_norm_backward"),
    "groupnorm": ("group_norm", "group_norm_backward", "group_norm_silu", "group_norm_silu_backward"),
    "batchnorm": ("pixel_sums", "batch_moments", "batch_norm", "batch_norm_backward"),
    "optimizer": ("adam", "adamax", "sgd", "ema", "sum_of_squares"),
    "pooling": (
        "average_pool", "average_pool_adjoint", "largest", "pick", "put", "upsample", "upsample_adjoint",
    ),
    "indexing": ("take_rows", "add_rows"),
    "joining": ("join_channels", "cut_channels"),
    "convolutions": ("convolution", "convolution_input_adjoint", "convolution_weight_adjoint"),
    "product": ("matrix_product",),
    "transposing": ("contiguous",),
}  # fmt: skip

BACKEND = os.environ.get("MINIGEN_KERNELS", "auto")
if BACKEND not in ("auto", "compiled", "reference"):
    raise ValueError(f"MINIGEN_KERNELS={BACKEND!r}; expected auto, compiled or reference")


def compiled(name):
    """The compiled function of this name, whatever the backend: for tests and benchmarks."""
    module = next(module for module, names in COMPILED.items() if name in names)
    return getattr(importlib.import_module(f"minigen.kernels.{module}"), name)


def _chooser(name):
    """The function that picks reference or compiled by what it is given."""
    definition = getattr(reference, name)
    if BACKEND == "reference":
        return definition
    smallest = (LARGE if name == "add" else SMALL) if BACKEND == "auto" else 0
    fast = None

    @functools.wraps(definition)
    def choose(x, *args, **settings):
        nonlocal fast
        if x.size < smallest or x.dtype.char not in "fd":
            return definition(x, *args, **settings)
        if fast is None:
            fast = compiled(name)
        return fast(x, *args, **settings)

    @functools.wraps(definition)
    def choose_backward(g, x, *args, **settings):  # as forward chose: g may be much smaller than x
        nonlocal fast
        if x.size < smallest or x.dtype.char not in "fd":
            return definition(g, x, *args, **settings)
        if fast is None:
            fast = compiled(name)
        return fast(g, x, *args, **settings)

    return choose_backward if name.endswith("_backward") else choose


for _name in (name for name in vars(reference) if not name.startswith("_")):
    if callable(getattr(reference, _name)):
        is_compiled = any(_name in names for names in COMPILED.values())
        globals()[_name] = _chooser(_name) if is_compiled else getattr(reference, _name)
