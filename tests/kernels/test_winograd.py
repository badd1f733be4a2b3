"""3 × 3 convolutions by fewer multiplications, against the definition: values, memory, numbers that are not finite.

Run as a program, `python test_winograd.py 100 0` tries 100 random layers with arrays at the edge of memory, seed 0.
"""

import sys
from pathlib import Path

import numba
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import SUPPORTED, everything_at_the_edge, in_memory_order, run_alone  # noqa: E402

from minigen.kernels import convolutions, reference, threads, winograd  # noqa: E402
from minigen.kernels.transforms import LANES, define_transform  # noqa: E402

SETTINGS = (1, 1), (1, 1), (1, 1), 1


def layer(rng, batch, c, o, h, w):
    """x, weight, g, bias in float64."""
    sizes = (batch, c, h, w), (o, c, 3, 3), (batch, o, h, w), (o,)
    return [rng.normal(size=size) for size in sizes]


def run(kernels, x, weight, g, bias):
    """(y, dx, dw)"""
    return (
        kernels.convolution(x, weight, *SETTINGS, bias),
        kernels.convolution_input_adjoint(g, weight, x.shape, *SETTINGS),
        kernels.convolution_weight_adjoint(x, g, weight.shape, *SETTINGS),
    )


def taken(x, weight):
    """Is it done this way?"""
    return winograd.suits(x.shape, weight.shape, np.dtype(np.float32), *SETTINGS)


def check(found, arrays):
    """Equal to the definitions in float64 but for rounding."""
    x, weight, g, _ = arrays
    for y, exact, n in zip(found, run(reference, *arrays), (9 * x.shape[1], 9 * g.shape[1], g[:, 0].size), strict=True):
        np.testing.assert_allclose(y, exact, rtol=8e-6, atol=8e-6 * n**0.5)


def random_layer(rng):
    """One that suits: odd and even sizes, channels around the widths of vectors and tiles."""
    near = [LANES, LANES + 1, 2 * LANES - 1, 2 * LANES, 2 * LANES + 3, 3 * LANES, 24, 48]
    while True:
        batch, h, w = int(rng.choice([1, 2, 3, 9])), *(int(n) for n in rng.choice([3, 4, 5, 7, 8, 13, 14], 2))
        c, o = (max(LANES, int(n)) for n in rng.choice(near, 2))
        arrays = layer(rng, batch, c, o, h, w)
        if taken(*arrays[:2]):
            return arrays


def try_layers(count, seed):
    """Random layers with every array at the edge of memory."""
    rng = np.random.default_rng(seed)
    threads.settle()
    for i in range(count):
        winograd.SCRATCH = int(rng.choice([1, 64 * 1024, 512 * 1024]))  # how many blocks are taken at a time
        arrays = random_layer(rng)
        end, last = rng.random(2) < 0.7
        placed = [
            in_memory_order(x.astype(np.float32), (0, 2, 3, 1) if last and x.ndim == 4 else range(x.ndim), end)
            for x in arrays
        ]
        print(i, [x.shape for x in arrays], flush=True)  # the last line tells which one was killed
        with everything_at_the_edge(rng):
            found = run(convolutions, *placed)
        check(found, arrays)


if __name__ == "__main__":
    try_layers(int(sys.argv[1]), int(sys.argv[2]))
    sys.exit()


@pytest.mark.skipif(not SUPPORTED, reason="needs mmap and mprotect")
def test_random_layers_stay_within_their_memory():
    run_alone(__file__, 12, 0)


@pytest.mark.parametrize("shape", [(32, 24, 24, 28, 28), (5, 48, 33, 14, 13), (3, 96, 48, 7, 7), (2, 31, 64, 4, 9)])
def test_layers_of_a_unet_equal_their_definition(shape):
    arrays = layer(np.random.default_rng(0), *shape)
    assert taken(*arrays[:2])
    check(run(convolutions, *(x.astype(np.float32) for x in arrays)), arrays)


def test_rounding_is_no_worse_than_that_of_the_plain_sums(monkeypatch):
    arrays = layer(np.random.default_rng(1), 8, 64, 64, 14, 14)
    narrow = [x.astype(np.float32) for x in arrays]
    exact = run(reference, *(x.astype(np.float64) for x in narrow))
    here = run(convolutions, *narrow)
    monkeypatch.setattr(winograd, "suits", lambda *_: False)
    plain = run(convolutions, *narrow)
    assert not np.array_equal(here[0], plain[0])  # they are two ways
    for a, b, y in zip(here, plain, exact, strict=True):
        assert np.sqrt(np.mean((a - y) ** 2)) < 2 * np.sqrt(np.mean((b - y) ** 2))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e36])
@pytest.mark.parametrize("where", ["x", "weight", "g"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_reaches_what_it_reaches_by_definition(value, where):
    arrays = [x.astype(np.float32) for x in layer(np.random.default_rng(2), 2, LANES, LANES, 6, 7)]
    arrays[("x", "weight", "g").index(where)][0, 1, 2, 0] = value
    assert taken(*arrays[:2])
    for y, expected in zip(run(convolutions, *arrays), run(reference, *arrays), strict=True):
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))


def test_the_same_bits_for_a_batch_and_for_its_images_alone():
    x, weight, _, bias = (a.astype(np.float32) for a in layer(np.random.default_rng(3), 9, 24, 40, 7, 8))
    together = convolutions.convolution(x, weight, *SETTINGS, bias)
    for image, y in zip(x, together, strict=True):
        np.testing.assert_array_equal(convolutions.convolution(image[None], weight, *SETTINGS, bias)[0], y)


def test_only_what_it_can_do_is_taken():
    shape, weight, single = (2, 16, 8, 8), (16, 16, 3, 3), np.dtype("f4")
    wide = (2, LANES, 8, 8), (LANES, LANES, 3, 3)
    assert winograd.suits(*wide, single, *SETTINGS)
    assert not winograd.suits(*wide, np.dtype("f8"), *SETTINGS)
    for settings in (((2, 2), *SETTINGS[1:]), (SETTINGS[0], (0, 0), *SETTINGS[2:]), (*SETTINGS[:2], (2, 2), 1)):
        assert not winograd.suits(shape, weight, single, *settings)
    assert not winograd.suits((2, LANES, 1, 8), wide[1], single, *SETTINGS)  # half of each block would be cut off
    assert not winograd.suits((2, LANES - 1, 8, 8), (LANES, LANES - 1, 3, 3), single, *SETTINGS)


MATRICES = {"_of_image": winograd.B, "_of_filter": winograd.G, "_to_image": winograd.A,
            "_of_gradient": np.transpose(winograd.A), "_to_filter": np.transpose(winograd.G)}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
def test_transforms_equal_their_definition(name):
    transform, matrix = getattr(winograd, name), np.array(MATRICES[name], float)

    @numba.njit
    def call(memory, sources, source, targets, target):
        base = memory.ctypes.data
        transform(sources.ctypes.data, base + 4 * source, targets.ctypes.data, base + 4 * target)
        return sources[0] + targets[0]  # keeps the tables alive

    rng = np.random.default_rng(4)
    m, n = matrix.shape
    sources, targets = rng.permutation(40)[: n * n], 60 + rng.permutation(m * m) * (LANES + 1)
    memory = rng.normal(size=100 + m * m * (LANES + 1) + LANES).astype(np.float32)
    expected = memory.copy()
    define_transform(matrix, expected, sources, 3, targets, 5)
    call(memory, 4 * sources, 3, 4 * targets, 5)
    np.testing.assert_allclose(memory, expected, atol=1e-5)


def test_the_algorithm_is_an_identity():
    rng = np.random.default_rng(5)
    d, w, g = rng.normal(size=(4, 4)), rng.normal(size=(3, 3)), rng.normal(size=(2, 2))
    a, b, filters = (np.array(matrix, float) for matrix in (winograd.A, winograd.B, winograd.G))
    plain = [[(d[i : i + 3, j : j + 3] * w).sum() for j in range(2)] for i in range(2)]
    np.testing.assert_allclose(a @ ((filters @ w @ filters.T) * (b @ d @ b.T)) @ a.T, plain)  # (W.2)
    slopes = [[(d[i : i + 2, j : j + 2] * g).sum() for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(filters.T @ ((a.T @ g @ a) * (b @ d @ b.T)) @ filters, slopes)  # (W.3)
