"""Images put beside each other along their channels, and cut apart again, in channels-last memory (layout.py).

There the channels of one image are not neighbours of those of the next: each pixel's have to be moved, and the pixels
are shared among the threads. A *view* of some channels would cost nothing, but every kernel that reads it later would
copy it for itself, on one thread.
"""

from minigen.kernels import reference
from minigen.kernels.jit import kernel, prange
from minigen.kernels.layout import channels_last, empty_image, is_channels_last

PIECES = 16  # of work, at least as many as there may be threads


@kernel
def _move(x, from_channel, y, to_channel, count):
    """`count` channels of x (pixels, C), from one on, become those of y (pixels, C′), from another on."""
    pixels = x.shape[0]
    for piece in prange(PIECES):
        for p in range(piece * pixels // PIECES, (piece + 1) * pixels // PIECES):
            source, target = x[p, from_channel:], y[p, to_channel:]
            for c in range(count):
                target[c] = source[c]


def join_channels(first, *others):
    """Images (B, Cᵢ, …), joined along the channels: (B, Σ Cᵢ, …)."""
    images = (first, *others)
    kinds = {(x.dtype, len(x), x.shape[2:]) for x in images}
    if len(kinds) > 1 or not all(map(is_channels_last, images)):
        return reference.join_channels(*images)  # which refuses images of several sizes
    y, memory = empty_image((len(first), sum(x.shape[1] for x in images), *first.shape[2:]), first.dtype)
    target, begin = _pixels(memory), 0
    for x in images:
        _move(_pixels(channels_last(x)), 0, target, begin, x.shape[1], work=2 * x.size)
        begin += x.shape[1]
    return y


def cut_channels(x, sizes):
    """The adjoint, and the inverse: a list of images with so many of the channels each."""
    if not is_channels_last(x) or sum(sizes) != x.shape[1]:
        return reference.cut_channels(x, sizes)
    source, begin, found = _pixels(channels_last(x)), 0, []
    for size in sizes:
        y, memory = empty_image((len(x), size, *x.shape[2:]), x.dtype)
        _move(source, begin, _pixels(memory), 0, size, work=2 * y.size)
        begin += size
        found.append(y)
    return found


def _pixels(memory):
    """(B, positions, C) as (B · positions, C)."""
    return memory.reshape(-1, memory.shape[-1])
