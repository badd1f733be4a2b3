"""The compiled convolutions against their definitions: thousands of random shapes, with memory watched on all sides.

Run as a program, `python test_convolutions.py 500 0` tries 500 random layers with arrays at the edge of memory, seed 0.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from guarded import guarded, guarding, in_every_order, same_bits  # noqa: E402
from pages import SUPPORTED, everything_at_the_edge, in_memory_order, run_alone  # noqa: E402

from minigen.kernels import convolutions, few, product, reference, threads  # noqa: E402
from minigen.kernels.reference.convolution import out_size  # noqa: E402
from minigen.kernels.tile import SUM_ROWS, columns  # noqa: E402


class Layer:
    """A random convolution: arrays in float64, settings, and what the definitions say about them."""

    def __init__(self, rng, dtype):
        self.dtype = dtype
        while True:
            self.groups = int(rng.choice([1, 1, 1, 1, 2, 3]))
            kernel, stride, dilation = ([int(n) for n in rng.choice(choice, 2)] for choice in (
                [1, 1, 2, 3, 3, 4, 5], [1, 1, 1, 2, 2, 3], [1, 1, 1, 2, 3]
            ))  # fmt: skip
            padding = [int(n) for n in rng.choice([0, 0, 1, 1, 2, 7], 2)]  # 7 is more than any window needs
            if rng.random() < 0.3:  # then the image is read in place
                stride, padding = [1, 1], [0, 0]
            h, w = (int(n) for n in rng.choice([1, 1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 14], 2))
            rest = zip((h, w), kernel, stride, padding, dilation, strict=True)
            self.out = [out_size(*each) for each in rest]
            if min(self.out) >= 1:
                break
        wide = columns(dtype)
        near = [1, 1, 2, 3, 4, 5, 8, 11, wide // 2 - 1, wide // 2, wide - 1, wide, wide + 1, 2 * wide + 3]
        batch = int(rng.choice([1, 1, 2, 3, 5, 8, 9, 17]))
        c, o = int(rng.choice(near)), int(rng.choice([*near, SUM_ROWS, 2 * SUM_ROWS + 1]))
        if self.groups > 1:
            c, o = min(c, wide + 1), min(o, wide + 1)
        self.x = rng.normal(size=(batch, c * self.groups, h, w))
        self.weight = rng.normal(size=(o * self.groups, c, *kernel))
        self.bias = rng.normal(size=o * self.groups)
        self.bias_of_input = rng.normal(size=c * self.groups)
        self.g = rng.normal(size=(batch, o * self.groups, *self.out))
        self.settings = tuple(stride), tuple(padding), tuple(dilation), self.groups

    def __str__(self):
        return f"{self.dtype} x {self.x.shape} weight {self.weight.shape} settings {self.settings}"

    def run(self, kernels, place=lambda x: x, bias=True):
        """(y, dx, dw) from the compiled functions or the definitions."""
        x, weight, g, b, b_in = map(place, (self.x, self.weight, self.g, self.bias, self.bias_of_input))
        if not bias:
            b = b_in = None
        return (
            kernels.convolution(x, weight, *self.settings, b),
            kernels.convolution_input_adjoint(g, weight, x.shape, *self.settings, b_in),
            kernels.convolution_weight_adjoint(x, g, weight.shape, *self.settings),
        )

    def check(self, found, bias=True):
        """Equal to the definitions in float64, but for rounding."""
        unit = np.finfo(self.dtype).eps
        taps, pixels = self.weight[0, 0].size, self.g[:, 0].size
        terms = (self.weight.shape[1] * taps, self.weight.shape[0] * taps, pixels)
        for name, y, exact, n in zip(("y", "dx", "dw"), found, self.run(reference, bias=bias), terms, strict=True):
            assert y.dtype == self.dtype and y.shape == exact.shape
            np.testing.assert_allclose(y, exact, rtol=64 * unit, atol=16 * unit * n**0.5 * 4, err_msg=f"{name}: {self}")


def try_layers(count, seed):
    """Random layers with every array at the edge of memory, in every order of memory."""
    rng = np.random.default_rng(seed)
    threads.settle()
    for i in range(count):
        product.SMALLEST = int(rng.choice([0, 250_000]))
        convolutions.SCRATCH = int(rng.choice([1, 4096, 384 * 1024]))  # how many images are taken at a time
        convolutions._plan.cache_clear()
        convolutions._sum_plan.cache_clear()
        layer = Layer(rng, np.dtype(rng.choice(["f4", "f8"])))
        end, last = rng.random() < 0.7, rng.random() < 0.7

        def place(x, end=end, last=last, layer=layer):
            order = (0, 2, 3, 1) if last and x.ndim == 4 else range(x.ndim)
            return in_memory_order(x.astype(layer.dtype), order, end)

        bias = rng.random() < 0.5
        print(i, layer, flush=True)  # the last line tells which one was killed
        with everything_at_the_edge(rng):
            found = layer.run(convolutions, place, bias)
        layer.check(found, bias)


def try_the_last_images_of_a_batch():
    """Images are read in place, three at a time, and the last time there are two: 128 pixels, no multiple of any
    tile's height. The rows that are left over must not look for windows in a third image."""
    for dtype in ("f4", "f8"):
        x = in_memory_order(np.ones((5, 4, 8, 8), dtype), (0, 2, 3, 1))
        y = convolutions.convolution(x, np.ones((32, 4, 1, 1), dtype), (1, 1), (0, 0), (1, 1), 1)
        assert (y == 4).all()


if __name__ == "__main__":
    try_the_last_images_of_a_batch()
    try_layers(int(sys.argv[1]), int(sys.argv[2]))
    sys.exit()


@pytest.mark.skipif(not SUPPORTED, reason="needs mmap and mprotect")
def test_random_layers_stay_within_their_memory():
    run_alone(__file__, 250, 0)


@pytest.mark.slow
@pytest.mark.skipif(not SUPPORTED, reason="needs mmap and mprotect")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_random_layers_stay_within_their_memory(seed):
    run_alone(__file__, 5000, seed, timeout=900)


# -- orders of memory, corners ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_any_strides_give_the_same_numbers(dtype):
    rng = np.random.default_rng(0)
    for _ in range(2):
        layer = Layer(rng, np.dtype(dtype))
        for name in ("x", "weight", "g"):
            original = getattr(layer, name).astype(dtype)
            for _order, array in in_every_order(original):
                with guarding():
                    found = layer.run(convolutions, lambda a, o=original, x=array.array: (
                        x if np.array_equal(a, o) else a.astype(dtype)
                    ))  # fmt: skip
                layer.check(found)
                array.check()


def test_locked_and_broadcast_arrays_compile_nothing_new():
    rng = np.random.default_rng(1)
    layer = Layer(rng, np.dtype("f4"))
    layer.run(convolutions, lambda x: x.astype("f4"))
    before = _signatures()

    def locked(x):
        x = x.astype("f4")
        x.flags.writeable = False
        return x

    layer.check(layer.run(convolutions, locked))
    ones = np.broadcast_to(np.float32(1), layer.g.shape)
    dw = convolutions.convolution_weight_adjoint(layer.x.astype("f4"), ones, layer.weight.shape, *layer.settings)
    exact = reference.convolution_weight_adjoint(layer.x, ones.astype("f8"), layer.weight.shape, *layer.settings)
    np.testing.assert_allclose(dw, exact, rtol=1e-4, atol=1e-3)
    assert before == _signatures()


def _signatures():
    from minigen.kernels.windows import _collect, _pack_taps, _pixel_product, _window_product

    kernels = _window_product, _pixel_product, _pack_taps, _collect, few._fold, product._product, product._pack
    return [form.nopython_signatures for k in kernels for form in (k._parallel, k._serial) if form is not None]


@pytest.mark.parametrize("x_shape, weight_shape, padding", [
    ((0, 3, 5, 5), (4, 3, 3, 3), (1, 1)),   # no image
    ((2, 0, 5, 5), (4, 0, 3, 3), (1, 1)),   # nothing to sum
    ((2, 3, 5, 5), (0, 3, 3, 3), (1, 1)),   # no filter
    ((2, 3, 0, 5), (4, 3, 3, 3), (2, 1)),   # images of padding only
    ((2, 16, 0, 5), (1, 16, 3, 3), (2, 1)),
    ((2, 1, 0, 0), (40, 1, 2, 2), (1, 1)),
])  # fmt: skip
def test_empty_arrays(x_shape, weight_shape, padding):
    settings = (1, 1), padding, (1, 1), 1
    x, weight, bias = np.ones(x_shape, "f4"), np.ones(weight_shape, "f4"), np.ones(weight_shape[0], "f4")
    y = reference.convolution(x, weight, *settings, bias)
    np.testing.assert_array_equal(convolutions.convolution(x, weight, *settings, bias), y)
    g, bias = np.ones_like(y), np.ones(x_shape[1], "f4")
    dx = np.zeros(x_shape, "f4")
    if y.size:
        dx = reference.convolution_input_adjoint(g, weight, x_shape, *settings, bias)
    found = convolutions.convolution_input_adjoint(g, weight, x_shape, *settings, bias)
    assert found.shape == dx.shape and (not y.size or np.array_equal(found, dx))
    found = convolutions.convolution_weight_adjoint(x, g, weight_shape, *settings)
    assert found.shape == weight_shape and not found.any() or y.size and x.size


def test_transposed_convolution_with_output_padding_is_the_definition():
    from minigen import ops
    from minigen.autograd.tensor import Tensor

    rng = np.random.default_rng(2)
    for _ in range(60):
        groups, stride = int(rng.choice([1, 2])), int(rng.integers(1, 4))
        extra, dilation, kernel = int(rng.integers(0, stride)), int(rng.integers(1, 3)), int(rng.integers(1, 5))
        padding = int(rng.integers(0, 3))
        n = int(rng.integers(3, 9))
        if (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1 < 1:
            continue
        x = rng.normal(size=(int(rng.integers(1, 4)), 6 * groups, n, n))
        weight, bias = rng.normal(size=(6 * groups, 5, kernel, kernel)), rng.normal(size=5 * groups)
        y = ops.conv_transpose2d(Tensor(x), Tensor(weight), Tensor(bias), stride, padding, extra, groups, dilation).data
        exact = reference.convolution_input_adjoint(
            x, weight, y.shape, (stride,) * 2, (padding,) * 2, (dilation,) * 2, groups, bias
        )
        np.testing.assert_allclose(
            convolutions.convolution_input_adjoint(
                x, weight, y.shape, (stride,) * 2, (padding,) * 2, (dilation,) * 2, groups, bias
            ), exact, rtol=1e-11, atol=1e-11,
        )  # fmt: skip
        np.testing.assert_allclose(y, exact, rtol=1e-11, atol=1e-11)


# -- what is not a number, threads ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_a_spoilt_number_spoils_what_it_spoils_in_the_definition(dtype, spoilt):
    """In an image, a gradient, a weight and a bias: the same results are finite, the same are NaN or infinite."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        layer = Layer(rng, np.dtype(dtype))
        for name in ("x", "g", "weight", "bias", "bias_of_input"):
            array = getattr(layer, name)
            place = tuple(int(rng.integers(n)) for n in array.shape)
            kept, array[place] = array[place], spoilt
            with np.errstate(invalid="ignore"):
                expected = layer.run(reference)
                found = layer.run(convolutions, lambda x: x.astype(dtype))
            array[place] = kept
            for result, a, b in zip(("y", "dx", "dw"), found, expected, strict=True):
                same = np.isnan(a) == np.isnan(b) if np.isnan(spoilt) else np.isfinite(a) == np.isfinite(b)
                assert same.all(), f"{spoilt} at {place} of {name}: {result} of {layer}"


def test_denormals_pass():
    for dtype in ("f4", "f8"):
        x = np.full((2, 5, 6, 7), np.finfo(dtype).smallest_subnormal, dtype)
        weight = np.ones((3, 5, 3, 3), dtype)
        settings = (1, 1), (1, 1), (1, 1), 1
        g = np.ones((2, 3, 6, 7), dtype)
        for name, args in {
            "convolution": (x, weight), "convolution_input_adjoint": (x[:, :3], weight, x.shape),
            "convolution_weight_adjoint": (x, g, weight.shape),
        }.items():  # fmt: skip
            expected = getattr(reference, name)(*args, *settings)
            assert 0 < expected.max() < np.finfo(dtype).tiny
            np.testing.assert_array_equal(getattr(convolutions, name)(*args, *settings), expected)


def test_bits_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(4)
    for _ in range(30):
        layer = Layer(rng, np.dtype(rng.choice(["f4", "f8"])))
        found = []
        for count in range(1, threads._most() + 1):
            with threads.num_threads(count):
                found.append(layer.run(convolutions, lambda x, d=layer.dtype: x.astype(d)))
        for results in found[1:]:
            assert all(same_bits(a, b) for a, b in zip(results, found[0], strict=True))


def test_the_inner_loops_write_their_results_and_nothing_else():
    """As in the fuzz above, with patterns on both sides of every new array."""
    rng = np.random.default_rng(5)
    for _ in range(60):
        layer = Layer(rng, np.dtype(rng.choice(["f4", "f8"])))
        with guarding() as made:
            found = layer.run(convolutions, lambda x, d=layer.dtype: guarded(x.shape, d, values=x).array)
        assert len(made) > 3
        layer.check(found)


def test_other_types_are_left_to_the_definitions():
    x, weight = np.ones((2, 3, 9, 9), "f4"), np.ones((4, 3, 3, 3), "f8")
    settings = (1, 1), (0, 0), (1, 1), 1
    y = convolutions.convolution(x, weight, *settings)
    assert y.dtype == np.float64
    assert convolutions.convolution_input_adjoint(y, weight.astype("f4"), x.shape, *settings).dtype == np.float64
    assert convolutions.convolution_weight_adjoint(x, y, weight.shape, *settings).dtype == np.float64
