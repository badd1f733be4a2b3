"""Convolution and its two adjoints, compiled: which windows, which weights, where to. windows.py does the sums.

One dimension is enough to see how each of the three becomes a product over windows. Let d be the dilation, p the
padding and s the stride.

    forward          y[i]  = Σ_k w[k] x[i s + k d − p]                                                 (K.1)
    input adjoint    dx[h] = Σ_k w[k] g[(h + p − k d) / s]      over the k for which that is whole      (K.2)
    weight adjoint   dw[k] = Σ_i g[i] x[i s + k d − p]                                                 (K.3)

(K.2) looks irregular. But all h with the same remainder a = h mod s use the same taps k: writing h = a + s t, the
position in g is t + (a + p − k d) / s. So dx falls into s *phases*, and each phase is an ordinary convolution of g with
stride 1 and some of the taps. With stride 1 there is one phase and it uses all taps, in reverse order.

Images come and go with channels-last memory (layout.py). A new image in another order is converted once.
"""

import functools
import math

import numpy as np

from minigen.kernels import few, reference, winograd
from minigen.kernels.layout import channels_last, empty_image, writable_view
from minigen.kernels.product import matrix_product
from minigen.kernels.reference.convolution import out_size
from minigen.kernels.tile import LANES, ROWS, SUM_ROWS, VECTORS
from minigen.kernels.windows import _collect, _pack_taps, _pixel_product, _window_product

SCRATCH = 384 * 1024  # bytes of padded images at a time: with the weights they should fit the second-level cache
TASKS = 16  # pieces of work, at least as many as there may be threads
PARTS = 8  # of the batch, in the gradient for the weights: each has its own sums


def convolution(x, weight, stride, padding, dilation, groups, bias=None):
    """(K.1) in two dimensions, plus a bias per output channel; see reference/convolution.py."""
    if x.dtype != weight.dtype:
        return reference.convolution(x, weight, stride, padding, dilation, groups, bias)
    b, _, h, w = x.shape
    o, _, kh, kw = weight.shape
    oh, ow = (out_size(*n) for n in zip((h, w), (kh, kw), stride, padding, dilation, strict=True))
    y, memory = empty_image((b, o, oh, ow), x.dtype)
    if few.suits(weight.shape[1], o, kh * kw, groups) and y.size and _finite(weight):
        columns = weight.transpose(1, 2, 3, 0).reshape(weight.shape[1], kh * kw * o)
        at = _seen((oh, ow), (h, w), (kh, kw), stride, padding, dilation)
        few.fold(matrix_product(_pixels(x), columns), at, _start(bias, o, x.dtype), memory)
        return y
    settings = x.shape, weight.shape, x.dtype, stride, padding, dilation, groups
    if winograd.suits(*settings) and winograd.convolve(_image(x), _unlocked(weight), bias, False, memory):
        return y
    (ph, pw), (dh, dw) = padding, dilation
    taps = [(i * kw + j, i * dh - ph, j * dw - pw) for i in range(kh) for j in range(kw)]
    plan = _plan(
        x.shape, (oh, ow), stride, tuple(taps), (0, 0, 1, 1), (oh, ow), weight.shape, groups, x.itemsize, False
    )
    _run(plan, _image(x), weight, groups, bias, memory)
    return y


def convolution_input_adjoint(g, weight, shape, stride, padding, dilation, groups, bias=None):
    """(K.2) in two dimensions, plus a bias per channel of the result: a transposed convolution."""
    b, c, h, w = shape
    _, _, kh, kw = weight.shape
    dx, memory = empty_image(shape, g.dtype)
    settings = shape, weight.shape, g.dtype, stride, padding, dilation, groups
    if g.dtype == weight.dtype and winograd.suits(*settings):
        if winograd.convolve(_image(g), _unlocked(weight), bias, True, memory):
            return dx
    if g.dtype != weight.dtype or not _finite(weight):
        return reference.convolution_input_adjoint(g, weight, shape, stride, padding, dilation, groups, bias)
    if few.suits(g.shape[1], c, kh * kw, groups) and dx.size:
        columns = weight.transpose(0, 2, 3, 1).reshape(g.shape[1], kh * kw * c)
        at = _reached((h, w), g.shape[2:], (kh, kw), stride, padding, dilation)
        few.fold(matrix_product(_pixels(g), columns), at, _start(bias, c, g.dtype), memory)
        return dx
    source = _image(g)
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    for a in range(min(sh, h)):
        rows = [(i, (a + ph - i * dh) // sh) for i in range(kh) if (a + ph - i * dh) % sh == 0]
        for e in range(min(sw, w)):
            columns = [(j, (e + pw - j * dw) // sw) for j in range(kw) if (e + pw - j * dw) % sw == 0]
            taps = [(i * kw + j, top, left) for i, top in rows for j, left in columns]
            size = (-(-(h - a) // sh), -(-(w - e) // sw))
            plan = _plan(
                g.shape, size, (1, 1), tuple(taps), (a, e, sh, sw), (h, w), weight.shape, groups, g.itemsize, True
            )
            _run(plan, source, weight, groups, bias, memory)
    return dx


def convolution_weight_adjoint(x, g, shape, stride, padding, dilation, groups):
    """(K.3) in two dimensions."""
    if x.dtype != g.dtype:
        return reference.convolution_weight_adjoint(x, g, shape, stride, padding, dilation, groups)
    weight = np.zeros(shape, x.dtype)
    if g.size == 0 or weight.size == 0:
        return weight
    settings = x.shape, shape, x.dtype, stride, padding, dilation, groups
    if winograd.suits(*settings) and winograd.weight_adjoint(_image(x), channels_last(g), weight):
        return weight
    plan = _sum_plan(x.shape, g.shape, shape, stride, padding, dilation, groups, x.itemsize)
    frame, corner, step, window, taps, segments, sizes, shares = plan
    sums = np.empty(sizes, x.dtype)
    _pixel_product(_image(x), frame, corner, step, window, channels_last(g), taps, segments, sums, shares)
    o, c, kh, kw = shape
    _collect(sums, weight.reshape(groups, o // groups, c, kh * kw))
    return weight


# -- few channels (few.py) --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _seen(size, source, kernel, stride, padding, dilation):
    """For every output pixel and tap, the input pixel that it sees (K.1)."""
    taps = [
        lambda row, column, i=i, j=j: (
            row * stride[0] + i * dilation[0] - padding[0], column * stride[1] + j * dilation[1] - padding[1], True
        )
        for i in range(kernel[0]) for j in range(kernel[1])
    ]  # fmt: skip
    return few.table(size, source, taps)


@functools.lru_cache(maxsize=64)
def _reached(size, source, kernel, stride, padding, dilation):
    """For every input pixel and tap, the output pixel whose window sees it there (K.2)."""

    def seen(i, j):
        def of(row, column):
            y, x = row + padding[0] - i * dilation[0], column + padding[1] - j * dilation[1]
            return y // stride[0], x // stride[1], (y % stride[0] == 0) & (x % stride[1] == 0)

        return of

    return few.table(size, source, [seen(i, j) for i in range(kernel[0]) for j in range(kernel[1])])


def _pixels(x):
    """(B, C, H, W) as a matrix, a row per pixel."""
    return channels_last(x).reshape(-1, x.shape[1])


def _finite(weight):
    """Are all weights finite? If not, ∞ · 0 = NaN, and it matters which zeros of the padding are multiplied at all: in
    (K.1) those in the windows, in (K.2) none. Two of the ways to compute them do it otherwise."""
    with np.errstate(all="ignore"):
        return math.isfinite(weight.sum())


def _start(bias, channels, dtype):
    return np.zeros(channels, dtype) if bias is None else np.ascontiguousarray(bias, dtype)


# -- where the windows are --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _plan(shape, size, stride, taps, phase, whole, weight_shape, groups, itemsize, transposed):
    """All tables of a product over windows; a network asks for the same ones at every step.

    shape:   of the image to read; size: windows (rows, columns); stride: between them.
    taps:    (index of the tap, its position relative to the window's first pixel: row, column).
    phase:   (first row, first column, row step, column step) of the output pixels within an image of size `whole`.
    """
    b, channels, h, w = shape
    o, c, _, _ = weight_shape
    depth, columns = (o // groups, c) if transposed else (c, o // groups)
    (rows, cols), (sh, sw) = size, stride
    taps = sorted(taps, key=lambda tap: tap[1:])
    tops, lefts = [t[1] for t in taps] or [0], [t[2] for t in taps] or [0]
    last = ((rows - 1) * sh + max(tops), (cols - 1) * sw + max(lefts))
    corner, padded = _frame((h, w), (min(tops), min(lefts)), last)
    pixel = channels * itemsize
    starts = [((corner[0] + top) * padded[1] + corner[1] + left) * pixel for _, top, left in taps]
    segments = _merged(starts, pixel) if groups == 1 else np.array(starts, np.int64)

    outputs = rows * cols
    images = _images(b, outputs, padded[0] * padded[1] * pixel)
    row, col = (n.ravel().astype(np.int64) for n in np.mgrid[:rows, :cols])
    at = (row * sh * padded[1] + col * sw) * pixel
    to = ((phase[0] + row * phase[2]) * whole[1] + phase[1] + col * phase[3]) * (columns * groups * itemsize)
    image = np.arange(images, dtype=np.int64)[:, None]
    at = (image * (padded[0] * padded[1] * pixel) + at).ravel()
    to = (image * (whole[0] * whole[1] * columns * groups * itemsize) + to).ravel()

    lanes = _lanes(columns, itemsize)
    count = -(-columns // lanes)
    chunks = -(-b // images) if images else 0
    tasks = min(chunks, TASKS)
    shares = min(groups * count, -(-TASKS // tasks)) if tasks else 0
    return {
        "taps": np.array([tap[0] for tap in taps], np.int64),
        "transposed": transposed,
        "panels": (groups, count, len(taps) * depth, lanes),
        "columns": columns,
        "arguments": (padded, corner, images, at, segments),
        "targets": (to, outputs, tasks, shares),
    }


@functools.lru_cache(maxsize=256)
def _sum_plan(shape, g_shape, weight_shape, stride, padding, dilation, groups, itemsize):
    """All tables of a product over pixels."""
    (b, _, h, w), (_, _, oh, ow), (o, c, kh, kw) = shape, g_shape, weight_shape
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    lanes = VECTORS * LANES[itemsize]
    taps = np.array([(i * dh - ph, j * dw - pw) for i in range(kh) for j in range(kw)], np.int64)
    if c >= lanes // 2:  # one panel of channels for each tap
        window = np.empty((0, 3), np.int64)
        last = ((oh - 1) * sh + (kh - 1) * dh - ph, (ow - 1) * sw + (kw - 1) * dw - pw)
        corner, frame = _frame((h, w), (-ph, -pw), last)
        tap_bytes = ((taps[:, 0] + corner[0]) * frame[1] + taps[:, 1] + corner[1]) * lanes * itemsize
        panels, row_step = -(-c // lanes), sh * frame[1]
    else:  # few channels: the lanes of a panel are (tap, channel)
        window = np.array([(*tap, channel) for tap in taps for channel in range(c)], np.int64)
        corner, frame = (0, 0), (oh, ow)
        tap_bytes = np.zeros(1, np.int64)
        panels, row_step = -(-len(window) // lanes), ow
    image_bytes = (frame[0] * frame[1] * panels * lanes + oh * ow * o) * itemsize
    images = max(1, min(-(-b // PARTS), SCRATCH // image_bytes))
    row, image = np.arange(oh, dtype=np.int64), np.arange(images, dtype=np.int64)[:, None]
    rows = row * row_step + image * (frame[0] * frame[1])
    parts = min(b, PARTS)
    shares = min(panels * len(tap_bytes), -(-PARTS // parts))
    sizes = (parts, groups, panels, len(tap_bytes), -(-(o // groups) // SUM_ROWS), SUM_ROWS, lanes)
    return frame, corner, stride, window, tap_bytes, rows * lanes * itemsize, sizes, shares


def _run(plan, source, weight, groups, bias, memory):
    """The product over windows that a plan describes: `source` (B, H, W, C) into `memory` (B, pixels, O)."""
    to, outputs, tasks, shares = plan["targets"]
    if not tasks or not outputs:
        return
    group, count, rows, lanes = plan["panels"]
    start = np.zeros((groups, count * lanes), memory.dtype)
    if bias is not None:
        start[:, : plan["columns"]] = bias.reshape(groups, -1)
    if not rows:  # a phase that no tap reaches
        places = to[:outputs] // (memory.shape[2] * memory.itemsize)
        memory[:, places] = 0 if bias is None else bias
        return
    panels = np.empty(plan["panels"], memory.dtype)
    o, c, kh, kw = weight.shape
    weight = _unlocked(weight).reshape(groups, o // groups, c, kh * kw)
    _pack_taps(weight, plan["taps"], plan["transposed"], panels)
    _window_product(source, *plan["arguments"], panels, start, memory, *plan["targets"])


def _merged(starts, pixel):
    """Segments of equal length, of taps that are neighbours in memory: a window's rows if the dilation is 1."""
    for length in range(len(starts), 1, -1):
        if len(starts) % length == 0:
            runs = [starts[i : i + length] for i in range(0, len(starts), length)]
            if all(run[j] == run[0] + j * pixel for run in runs for j in range(length)):
                return np.array([run[0] for run in runs], np.int64)
    return np.array(starts, np.int64)


def _frame(size, first, last):
    """Where an image lies in its padded copy, and how large that is, so that positions first … last exist."""
    corner = tuple(max(0, -f) for f in first)
    padded = tuple(max(n, end + 1) + c for n, end, c in zip(size, last, corner, strict=True))
    return corner, padded


def _images(batch, outputs, image_bytes):
    """How many images to take at a time: those that waste the fewest rows of tiles, within the scratch memory."""
    most = max(1, min(batch, SCRATCH // max(1, image_bytes), 8))

    def waste(n):
        """Rows of tiles per row that is needed, to the next twentieth: less than that is not worth more images."""
        needed = max(1, n * outputs)
        return math.ceil(20 * math.ceil(needed / ROWS) * ROWS / needed)

    return min(range(1, most + 1), key=lambda n: (waste(n), n))


def _lanes(columns, itemsize):
    """The width of a panel: two vectors."""
    return VECTORS * LANES[itemsize]


def _unlocked(weight):
    """The weights in row-major order, for a kernel that reads them."""
    return writable_view(np.ascontiguousarray(weight))


def _image(x):
    """(B, C, H, W) as (B, H, W, C), contiguous."""
    b, c, h, w = x.shape
    return channels_last(x).reshape(b, h, w, c)
