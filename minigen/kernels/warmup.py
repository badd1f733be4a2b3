"""`minigen warmup`: compile every kernel now, so that no training waits for it later.

Each public function of the kernels is called once with small arrays, as training calls it: once so that its loops run
serially and once on the pool. Numba compiles what it has not met, or reads it from the cache (jit.py).
"""

import contextlib
import importlib
import time

import numpy as np

from minigen.errors import CommandError
from minigen.kernels import BACKEND, COMPILED, compiled, jit


def warm_up(dtypes=("float32",), say=print):
    """Compile all kernels for these dtypes. Returns (seconds, machine codes loaded, those from the cache)."""
    from tqdm import tqdm

    if BACKEND == "reference":
        raise CommandError("warmup: with MINIGEN_KERNELS=reference nothing is compiled")
    for module in COMPILED:
        importlib.import_module(f"minigen.kernels.{module}")
    started, before = time.perf_counter(), len(jit.HISTORY)
    steps = [(forms, dtype, name) for forms in (_SERIAL, _POOL) for dtype in dtypes for name in names()]
    with tqdm(steps, desc="compiling", unit="call", leave=False, disable=None) as bar:
        for forms, dtype, name in bar:
            bar.set_postfix_str(name)
            with _threshold(forms), np.errstate(all="ignore"):
                _call(name, _Inputs(np.dtype(dtype)))
    seconds, loaded = time.perf_counter() - started, jit.HISTORY[before:]
    cached = sum(from_cache for *_, from_cache in loaded)
    say(f"{len(jit.KERNELS)} kernels ready in {seconds:.1f} s: "
        f"{len(loaded) - cached} compiled, {cached} read from the cache ({jit.cache_root() or 'there is none'})")
    return seconds, len(loaded), cached


def names():
    """All public functions that have a compiled form."""
    return [name for functions in COMPILED.values() for name in functions]


# The threshold between the forms. Some kernels run on the pool whatever the size; they have no other form to compile.
_SERIAL, _POOL = jit.PARALLEL_FROM, 0


@contextlib.contextmanager
def _threshold(elements):
    before, jit.PARALLEL_FROM = jit.PARALLEL_FROM, elements
    try:
        yield
    finally:
        jit.PARALLEL_FROM = before


class _Inputs:
    """Small arrays of the kinds that the kernels take."""

    def __init__(self, dtype):
        def ones(*shape):
            return np.ones(shape, dtype)

        self.flat, self.rows, self.vector, self.scalar = ones(64), ones(6, 8), ones(8), ones(6)
        self.image, self.filters, self.one_filter = ones(2, 8, 6, 6), ones(8, 8, 3, 3), ones(1, 8, 3, 3)
        self.last_image = ones(2, 6, 6, 8).transpose(0, 3, 1, 2)  # channels-last
        self.wide_image, self.wide_filters = ones(2, 16, 6, 6), ones(48, 16, 3, 3)  # for winograd.py
        self.wide_gradient = ones(2, 48, 6, 6)
        self.matrix, self.tokens, self.packed = ones(64, 64), ones(1, 2, 5, 8), ones(1, 5, 48)
        self.large = ones(8, 400), ones(400, 700)  # enough panels that A is packed as well
        self.index = np.arange(6) % 4
        self.window = (2, 2), (2, 2), (0, 0)


def _call(name, x):
    """Call one function as training does."""
    function, settings = compiled(name), _SETTINGS.get(name, {})
    if name in _OTHERS:
        return _OTHERS[name](function, x)
    if name.endswith("_backward"):
        return function(x.flat, x.flat, **settings)
    return function(x.flat, **settings)


_SETTINGS = {
    "leaky_relu": {"negative_slope": 0.2}, "leaky_relu_backward": {"negative_slope": 0.2},
}  # fmt: skip
_NORM = {"eps": 1e-5}
_GROUPS = {"groups": 2, "eps": 1e-5}
_ADAM = {"rate": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "decay": 0.0}
_SGD = {"lr": 0.1, "keep": 0.9, "enter": 1.0, "look_ahead": 0.0, "decay": 0.0}
_PLAIN = (1, 1), (1, 1), (1, 1), 1  # stride, padding, dilation, groups


def _both_gelu(function, *arrays):
    for approximate in ("none", "tanh"):
        function(*arrays, approximate=approximate)


def _attend(function, x):
    for mask in (None, x.tokens[0, 0, :, :5]):
        function(x.tokens, x.tokens, x.tokens, mask=mask)


def _attend_backward(function, x):
    y, (_, lse) = compiled("scaled_dot_product_attention")(x.tokens, x.tokens, x.tokens)
    function(x.tokens, x.tokens, x.tokens, x.tokens, y, lse)


def _self_attend_backward(function, x):
    y, (*_, lse) = compiled("self_attention")(x.packed, num_heads=2)
    function(y, x.packed, y, lse, num_heads=2)


def _convolve(function, x):
    for weight in (x.filters, x.one_filter):
        function(x.image, weight, *_PLAIN)
    function(x.wide_image, x.wide_filters, *_PLAIN)


def _convolve_back(function, x):
    function(x.image, x.filters, x.image.shape, *_PLAIN)
    function(x.image, x.filters[:, :1].copy(), (2, 1, 6, 6), *_PLAIN)
    function(x.wide_gradient, x.wide_filters, x.wide_image.shape, *_PLAIN)


def _convolve_weights(function, x):
    function(x.image, x.image, x.filters.shape, *_PLAIN)
    function(x.wide_image, x.wide_gradient, x.wide_filters.shape, *_PLAIN)


def _multiply(function, x):
    function(x.matrix, x.matrix.T, x.matrix[0])
    function(*x.large)


def _rows_settings(function, x):
    return function(x.rows, -1)


_OTHERS = {
    "add": lambda f, x: f(x.flat, x.flat),
    "gelu": lambda f, x: _both_gelu(f, x.flat),
    "gelu_backward": lambda f, x: _both_gelu(f, x.flat, x.flat),
    "softmax": _rows_settings, "log_softmax": _rows_settings, "logsumexp": _rows_settings,
    "softmax_backward": lambda f, x: f(x.rows, x.rows, -1),
    "log_softmax_backward": lambda f, x: f(x.rows, x.rows, -1),
    "logsumexp_backward": lambda f, x: f(x.scalar, x.rows, x.scalar, -1),
    "cross_entropy": lambda f, x: f(x.rows, target=x.index),
    "cross_entropy_backward": lambda f, x: f(x.scalar, x.rows, x.scalar, target=x.index),
    "bce_with_logits": lambda f, x: f(x.flat, x.flat), "mse": lambda f, x: f(x.flat, x.flat),
    "bce_with_logits_backward": lambda f, x: f(x.flat, x.flat, x.flat),
    "mse_backward": lambda f, x: f(x.flat, x.flat, x.flat),
    "dropout": lambda f, x: f(x.flat, 0.5, 7),
    "layer_norm": lambda f, x: f(x.rows, x.vector, x.vector, **_NORM),
    "layer_norm_backward": lambda f, x: f(x.rows, x.rows, x.vector, x.vector, x.scalar, x.scalar, **_NORM),
    "rms_norm": lambda f, x: f(x.rows, x.vector, **_NORM),
    "rms_norm_backward": lambda f, x: f(x.rows, x.rows, x.vector, x.scalar, **_NORM),
    "group_norm": lambda f, x: f(x.image, x.vector, x.vector, **_GROUPS),
    "group_norm_silu": lambda f, x: f(x.image, x.vector, x.vector, **_GROUPS),
    "group_norm_backward": lambda f, x: _group_back(f, "group_norm", x),
    "group_norm_silu_backward": lambda f, x: _group_back(f, "group_norm_silu", x),
    "pixel_sums": lambda f, x: f(x.image), "batch_moments": lambda f, x: f(x.image),
    "batch_norm": lambda f, x: f(x.image, x.vector, x.vector, mean=x.vector, var=x.vector, **_NORM),
    "batch_norm_backward": lambda f, x: f(x.image, x.image, x.vector, x.vector, mean=x.vector, var=x.vector, **_NORM),
    "adam": lambda f, x: f(x.flat, [x.flat], x.flat, x.flat, None, shrink=1.0, **_ADAM),
    "adamax": lambda f, x: f(x.flat, [x.flat], x.flat, x.flat, **_ADAM),
    "sgd": lambda f, x: f(x.flat, [x.flat], x.flat, **_SGD),
    "ema": lambda f, x: f(x.flat, [x.flat], weight=0.1),
    "sum_of_squares": lambda f, x: f(x.flat),
    "average_pool": lambda f, x: f(x.image, *x.window),
    "average_pool_adjoint": lambda f, x: f(x.image[:, :, :3, :3], x.image.shape, *x.window),
    "largest": lambda f, x: f(x.image, *x.window, (1, 1)),
    "pick": lambda f, x: f(x.image, np.zeros((2, 8, 3, 3), np.int32)),
    "put": lambda f, x: f(x.image[:, :, :3, :3], np.zeros((2, 8, 3, 3), np.int32), x.image.shape),
    "upsample": lambda f, x: f(x.image, 2), "upsample_adjoint": lambda f, x: f(x.image, 2),
    "take_rows": lambda f, x: f(x.rows, x.index),
    "add_rows": lambda f, x: f(x.rows, x.index, x.rows.shape),
    "join_channels": lambda f, x: f(x.last_image, x.last_image), "cut_channels": lambda f, x: f(x.last_image, (3, 5)),
    "scaled_dot_product_attention": _attend,
    "scaled_dot_product_attention_backward": _attend_backward,
    "self_attention": lambda f, x: f(x.packed, num_heads=2),
    "self_attention_backward": _self_attend_backward,
    "convolution": _convolve, "convolution_input_adjoint": _convolve_back,
    "convolution_weight_adjoint": _convolve_weights,
    "matrix_product": _multiply,
}  # fmt: skip


def _group_back(function, forward, x):
    _, extras = compiled(forward)(x.image, x.vector, x.vector, **_GROUPS)
    function(x.image, x.image, x.vector, x.vector, *extras, **_GROUPS)
