"""3 × 3 convolutions with fewer multiplications: 16 for a block of 2 × 2 results, where the windows have 36.

In one dimension, two neighbouring results of a filter w with 3 taps, from 4 numbers d, are

    y₀ = d₀w₀ + d₁w₁ + d₂w₂,        y₁ = d₁w₀ + d₂w₁ + d₃w₂                  6 products.

Four suffice, if sums are taken before and after:

    m₀ = (d₀ − d₂) w₀,                   m₁ = (d₁ + d₂) (w₀ + w₁ + w₂)/2,
    m₂ = (d₂ − d₁) (w₀ − w₁ + w₂)/2,     m₃ = (d₁ − d₃) w₂,        y₀ = m₀ + m₁ + m₂,  y₁ = m₁ − m₂ − m₃.

(Put them in and see.) With matrices for the sums, and ⊙ for products number by number,

    y = Aᵀ [ (G w) ⊙ (Bᵀ d) ],         and in two dimensions   y = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ d B) ] A.          (W.2)

The sums over channels stand between: they are taken of the products, so that each of the 16 places of the block is a
matrix product of its own, (blocks × C) · (C × O), and the sums before and after cost little beside it. The gradient for
the input is such a convolution as well, of g with the filters turned round. (W.2) is linear in w, so the gradient for w
is its transpose,

    dw = Gᵀ [ Σ_blocks (A g Aᵀ) ⊙ (Bᵀ d B) ] G.                                                            (W.3)

Blocks are taken so many at a time that their 16 places stay in the second-level cache.

**Rounding** is about that of the plain sums: the factors are 1 and ½. **Infinity and NaN** would spread over a whole
block. But place (1, 1) holds the sums of all taps, and of the middle of the block, and with a padding of 1 every pixel
lies in the middle of one block: if that place is finite everything was. If not, the answer here is False, and the
caller does it the plain way. (Only sums within a factor of some ten of float32's largest number, 3 · 10³⁸, may overflow
here and not there.)

Source: Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016, arXiv:1509.09308.
"""

import functools

import numpy as np

from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.tile import ROWS, VECTORS, _make, tile_float32
from minigen.kernels.transforms import LANES, make_transform
from minigen.kernels.windows import pack_panel

B = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # Bᵀ of (W.2)
A = ((1, 1, 1, 0), (0, 1, -1, -1))  # Aᵀ
G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))

WIDTH = VECTORS * LANES  # columns of a panel
ALL = 5  # the place (1, 1)
SCRATCH = 512 * 1024  # bytes for the 16 places of some blocks, in and out
SUM_ROWS = min(12, ROWS)  # channels in (W.3), mostly a multiple of 8
TASKS, PARTS = 16, 8  # pieces of work; parts of the batch in (W.3)

_of_image, _of_filter, _to_image = make_transform(B), make_transform(G), make_transform(A)
_of_gradient, _to_filter = make_transform(tuple(zip(*A, strict=True))), make_transform(tuple(zip(*G, strict=True)))
_narrow_tile = _make(ROWS, 1, 4)
_sum_tile, _narrow_sum_tile = _make(SUM_ROWS, VECTORS, 4), _make(SUM_ROWS, 1, 4)


def suits(shape, weight_shape, dtype, stride, padding, dilation, groups):
    """Is this the better way? For 3 × 3 with a padding of 1, as many channels as a vector has, and few blocks cut."""
    _, _, h, w = shape
    o, c, kh, kw = weight_shape
    plain = (kh, kw, *stride, *padding, *dilation, groups) == (3, 3, 1, 1, 1, 1, 1, 1, 1)
    blocks = -(-h // 2) * -(-w // 2)
    return plain and dtype == np.float32 and min(c, o) >= LANES and shape[0] > 0 and 2 * h * w >= 5 * blocks


def convolve(x, weight, bias, transposed, y):
    """(W.2) for images x (B, H, W, C) into y (B, pixels, O); `transposed` for the gradient. False if not finite."""
    b, h, w, c = x.shape
    o = y.shape[2]
    count, total = -(-o // WIDTH), b * -(-h // 2) * -(-w // 2)
    start = np.zeros((2, count * WIDTH), np.float32)
    if bias is not None:
        start[1, :o] = bias
    panels = np.empty((16, count, c, WIDTH), np.float32)
    many = _blocks(c + o)
    tasks = min(TASKS, -(-total // many))
    broken = np.zeros(tasks, np.float32)
    _transform_taps(weight.reshape(*weight.shape[:2], 9), transposed, panels)
    _convolve(x, _places(h, w, 4 * c, -1, 4), _places(h, w, 4 * o, 0, 2), panels, start, y, many, broken,
              work=x.size * o)  # fmt: skip
    return not broken.any()


def weight_adjoint(x, g, weight):
    """(W.3) for images x (B, H, W, C) and gradients g (B, pixels, O) into weight (O, C, 3, 3). False if not finite."""
    b, h, w, c = x.shape
    o = g.shape[2]
    many, total = _blocks(c + o), b * -(-h // 2) * -(-w // 2)
    parts = min(PARTS, -(-total // (2 * many)))  # each has sums of its own, which some work should repay
    sums = np.empty((parts, 16, -(-o // SUM_ROWS) * SUM_ROWS, -(-c // LANES) * LANES), np.float32)
    _sum_blocks(x, g, _places(h, w, 4 * c, -1, 4), _places(h, w, 4 * o, 0, 2), many, sums, work=x.size * o)
    broken = np.zeros(o, np.float32)
    _collect_parts(sums, weight.reshape(o, c, 9), broken)
    return not broken.any()


def _blocks(channels):
    """How many blocks to take at a time, whole tiles."""
    return max(1, SCRATCH // (64 * channels) // ROWS) * ROWS


@functools.lru_cache(maxsize=256)
def _places(height, width, pixel, first, size):
    """Where the pixels of each block lie, in bytes from the image's beginning, −1 outside.  Shapes: (blocks, size²)

    A block has size × size pixels and begins two pixels after the one before, the first at (first, first).
    """
    i, j = (first + np.add.outer(2 * np.arange(-(-n // 2)), np.arange(size)) for n in (height, width))
    row, column = i[:, None, :, None], j[None, :, None, :]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, (row * width + column) * pixel, -1).reshape(-1, size * size)


@device
def _steps(count, step):
    """0, step, 2 step, …"""
    return np.arange(count) * step


@device
def _addresses(base, places, outside, found):
    """The addresses of a block's pixels."""
    for k in range(places.size):
        found[k] = outside if places[k] < 0 else base + places[k]


@device
def _gather(x, at, first, last, scratch):
    """Bᵀ d B of blocks first … last − 1, for all channels: x (B, …, C) to scratch (16, blocks, ≥ C)."""
    blocks, c, stride = at.shape[0], x.shape[-1], scratch.shape[2]
    zeros, here = np.zeros(c, np.float32), np.empty(16, np.int64)
    planes = _steps(16, scratch.shape[1] * stride * 4)
    image = x[0].size * 4
    for p in range(first, last):
        _addresses(x.ctypes.data + p // blocks * image, at[p % blocks], zeros.ctypes.data, here)
        target = scratch.ctypes.data + (p - first) * stride * 4
        for v in range(0, c, LANES):
            shift = min(v, c - LANES) * 4  # the last vector may lie over the one before
            _of_image(here.ctypes.data, shift, planes.ctypes.data, target + shift)


@kernel
def _transform_taps(weight, transposed, panels):
    """G w Gᵀ: weights (O, C, 9) to panels (16, count, C, WIDTH), padded with zeros; `transposed` as in pack_panel, and
    then the filters are turned round."""
    _, count, depth, width = panels.shape
    sources, targets = _steps(9, depth * width * 4), _steps(16, count * depth * width * 4)
    for j in prange(count):
        taps, order = np.empty((9 * depth, width), np.float32), np.empty(9, np.int64)
        for k in range(9):
            order[k] = 8 - k if transposed else k
        pack_panel(weight, order, transposed, j * width, taps)
        for row in range(depth):
            for v in range(0, width, LANES):
                shift = (row * width + v) * 4
                target = panels.ctypes.data + j * depth * width * 4 + shift
                _of_filter(sources.ctypes.data, taps.ctypes.data + shift, targets.ctypes.data, target)


@kernel
def _convolve(x, at, to, panels, start, y, many, broken):
    """(W.2): `many` blocks at a time are transformed, multiplied with the panels, and transformed back.

    at, to:  from _places, of x and y; panels: from _transform_taps; start: zeros and the bias, which is added at the
             place ALL and thereby to every result.
    broken:  for each task a number that is not 0 if something was not finite.
    """
    images, blocks, c = x.shape[0], at.shape[0], x.shape[-1]
    outputs, count = y.shape[-1], panels.shape[1]
    tasks, total = broken.size, images * blocks
    chunks = (total + many - 1) // many
    deep, wide = (c + LANES - 1) // LANES * LANES, (outputs + LANES - 1) // LANES * LANES
    for task in prange(tasks):
        before, after = np.empty((16, many, deep), np.float32), np.empty((16, many, wide), np.float32)
        dummy, here, none = np.empty(outputs, np.float32), np.empty(4, np.int64), np.zeros(ROWS, np.int64)
        planes = _steps(16, many * wide * 4)
        a_rows, c_rows = _steps(ROWS, deep * 4), _steps(ROWS, wide * 4)
        image, bad = y[0].size * 4, np.float32(0)
        for chunk in range(task * chunks // tasks, (task + 1) * chunks // tasks):
            first = chunk * many
            last = min(total, first + many)
            rows = (last - first + ROWS - 1) // ROWS * ROWS
            _gather(x, at, first, last, before)
            before[:, last - first : rows] = 0
            for t in range(16):
                begin = start.ctypes.data + (4 * count * WIDTH if t == ALL else 0)
                for j in range(count):
                    b = panels.ctypes.data + (t * count + j) * c * WIDTH * 4
                    narrow = outputs - j * WIDTH <= LANES
                    for p in range(0, rows, ROWS):
                        source = before.ctypes.data + (t * many + p) * deep * 4
                        target = after.ctypes.data + ((t * many + p) * wide + j * WIDTH) * 4
                        if narrow:
                            _narrow_tile(
                                source, a_rows.ctypes.data, none.ctypes.data, 4, b, WIDTH * 4,
                                begin + j * WIDTH * 4, none.ctypes.data, target, c_rows.ctypes.data, 1, c,
                            )  # fmt: skip
                        else:
                            tile_float32(
                                source, a_rows.ctypes.data, none.ctypes.data, 4, b, WIDTH * 4,
                                begin + j * WIDTH * 4, none.ctypes.data, target, c_rows.ctypes.data, 1, c,
                            )  # fmt: skip
            found = after[ALL, : last - first].reshape(-1)
            for i in range(found.size):
                bad += found[i] * np.float32(0)
            for p in range(first, last):
                _addresses(y.ctypes.data + p // blocks * image, to[p % blocks], dummy.ctypes.data, here)
                source = after.ctypes.data + (p - first) * wide * 4
                for v in range(0, outputs, LANES):
                    shift = min(v, outputs - LANES) * 4
                    _to_image(planes.ctypes.data, source + shift, here.ctypes.data, shift)
        broken[task] = bad


@kernel
def _sum_blocks(x, g, at, to, many, sums):
    """The sum in (W.3): sums (parts, 16, ≥ O, ≥ C), to be added."""
    blocks, c, outputs = at.shape[0], x.shape[-1], g.shape[-1]
    parts, _, tall, deep = sums.shape
    total = x.shape[0] * blocks
    chunks = (total + many - 1) // many
    for part in prange(parts):
        of_x, of_g = np.empty((16, many, deep), np.float32), np.empty((16, many, tall), np.float32)
        of_x[:, :, c:] = 0
        of_g[:, :, outputs:] = 0
        zeros, here, none = np.zeros(outputs, np.float32), np.empty(4, np.int64), np.zeros(SUM_ROWS, np.int64)
        planes = _steps(16, many * tall * 4)
        a_rows, c_rows = _steps(SUM_ROWS, 4), _steps(SUM_ROWS, deep * 4)
        image = g[0].size * 4
        sums[part] = 0
        for chunk in range(part * chunks // parts, (part + 1) * chunks // parts):
            first = chunk * many
            last = min(total, first + many)
            _gather(x, at, first, last, of_x)
            for p in range(first, last):
                _addresses(g.ctypes.data + p // blocks * image, to[p % blocks], zeros.ctypes.data, here)
                target = of_g.ctypes.data + (p - first) * tall * 4
                for v in range(0, outputs, LANES):
                    shift = min(v, outputs - LANES) * 4
                    _of_gradient(here.ctypes.data, shift, planes.ctypes.data, target + shift)
            for t in range(16):
                for q in range(0, deep, WIDTH):
                    b = of_x.ctypes.data + (t * many * deep + q) * 4
                    for o in range(0, tall, SUM_ROWS):
                        a = of_g.ctypes.data + (t * many * tall + o) * 4
                        target = sums.ctypes.data + (((part * 16 + t) * tall + o) * deep + q) * 4
                        if deep - q <= LANES:
                            _narrow_sum_tile(
                                a, a_rows.ctypes.data, none.ctypes.data, tall * 4, b, deep * 4,
                                target, c_rows.ctypes.data, target, c_rows.ctypes.data, 1, last - first,
                            )  # fmt: skip
                        else:
                            _sum_tile(
                                a, a_rows.ctypes.data, none.ctypes.data, tall * 4, b, deep * 4,
                                target, c_rows.ctypes.data, target, c_rows.ctypes.data, 1, last - first,
                            )  # fmt: skip


@kernel
def _collect_parts(sums, weight, broken):
    """Add the parts and take Gᵀ · G of (W.3), into weight (O, C, 9); broken (O,) as in _convolve."""
    parts, _, tall, deep = sums.shape
    outputs, channels, _ = weight.shape
    sources = _steps(16, tall * deep * 4)
    for o in prange(outputs):
        taps, targets = np.empty((9, LANES), np.float32), _steps(9, LANES * 4)
        for part in range(1, parts):
            for t in range(16):
                total, more = sums[0, t, o], sums[part, t, o]
                for c in range(deep):
                    total[c] += more[c]
        bad = np.float32(0)
        for c in range(channels):
            bad += sums[0, ALL, o, c] * np.float32(0)
        broken[o] = bad
        for v in range(0, channels, LANES):
            first = min(v, channels - LANES)
            _to_filter(sources.ctypes.data, sums.ctypes.data + (o * deep + first) * 4, targets.ctypes.data,
                       taps.ctypes.data)  # fmt: skip
            for i in range(LANES):
                for k in range(9):
                    weight[o, first + i, k] = taps[k, i]
