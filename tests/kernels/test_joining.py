"""Joining and cutting images along their channels: bit by bit the definition, with guarded arrays."""

import numpy as np
import pytest
from guarded import ORDERS, guarded, guarding, same_bits

from minigen import kernels, ops
from minigen.autograd import Tensor, grad
from minigen.autograd.tensor import constant
from minigen.errors import ShapeError
from minigen.kernels import joining, reference, threads

SHAPES = [(2, 3, 4), (3, 1, 5, 7), (1, 4, 1, 1), (2, 17, 6, 5), (0, 2, 3, 3), (2, 5, 3, 2, 2)]


def watched(function, *arguments):
    """The function's result, made in guarded arrays."""
    function(*arguments)  # compiles what is not compiled yet; the compiler must see the true np.empty
    with guarding():
        return function(*arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_joining_and_cutting_equal_their_definitions_in_every_order(shape, dtype):
    rng = np.random.default_rng(1)
    for order in ORDERS:
        for sizes in ((2, 5), (1, 1, 3), (4,)):
            images = [guarded((shape[0], size, *shape[2:]), dtype, order,
                              rng.integers(-99, 99, size=(shape[0], size, *shape[2:]))) for size in sizes]
            arrays = [image.array for image in images]
            joined = watched(joining.join_channels, *arrays)
            assert same_bits(joined, reference.join_channels(*arrays))
            parts = watched(joining.cut_channels, joined, sizes)
            assert len(parts) == len(sizes) and all(map(same_bits, parts, arrays))
            for image in images:
                image.check()


def test_pieces_are_channels_last_and_share_no_memory_with_what_they_were_cut_from():
    memory = np.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    x = memory.transpose(0, 3, 1, 2)  # (2, 5, 3, 4)
    for part in joining.cut_channels(x, (2, 3)):
        assert part.transpose(0, 2, 3, 1).flags.c_contiguous and not np.shares_memory(part, x)
    assert joining.join_channels(x, x).transpose(0, 2, 3, 1).flags.c_contiguous


def test_arrays_of_several_types_or_orders_are_joined_as_numpy_does():
    x = np.ones((2, 3, 4, 5), np.float32).transpose(0, 3, 1, 2)
    assert joining.join_channels(x, x.astype(np.float64)).dtype == np.float64
    assert same_bits(joining.join_channels(x, np.ascontiguousarray(x)), np.ones((2, 10, 3, 4), np.float32))


@pytest.mark.parametrize("other", [(2, 4, 6, 5), (3, 4, 5, 5), (2, 4, 5)])
def test_images_of_several_sizes_are_refused_and_no_memory_is_touched(other):
    images = [guarded(shape, np.float32, "channels_last", 1.0) for shape in ((2, 3, 5, 5), other)]
    with guarding(), pytest.raises(ValueError):
        joining.join_channels(*[image.array for image in images])
    with pytest.raises(ShapeError):
        ops.concatenate([Tensor(np.ones(shape, np.float32)) for shape in ((2, 3, 5, 5), other)], dim=1)
    for image in images:
        image.check()


def test_the_operation_uses_it_and_its_gradients_are_the_pieces():
    rng = np.random.default_rng(2)
    leaves = [Tensor(rng.normal(size=(4, 20, 20, c)), requires_grad=True) for c in (3, 8)]
    g = rng.normal(size=(4, 20, 20, 11))
    for threaded in (1, min(2, threads.get_num_threads())):
        with threads.num_threads(threaded):
            images = [ops.permute(leaf, (0, 3, 1, 2)) for leaf in leaves]
            y = ops.concatenate(images, dim=1)
            found = grad(y, images, grad_outputs=constant(g.transpose(0, 3, 1, 2)))
        assert same_bits(y.data, np.concatenate([image.data for image in images], axis=1))
        for part, expected in zip(found, (g[..., :3], g[..., 3:]), strict=True):
            memory = part.data.transpose(0, 2, 3, 1)
            assert same_bits(np.ascontiguousarray(memory), np.ascontiguousarray(expected))
            assert memory.flags.c_contiguous or kernels.BACKEND == "reference"
