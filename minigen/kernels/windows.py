"""The two loops behind every convolution: a product over windows, and a product over pixels. (T.1) does the sums.

An output pixel of a convolution is a sum over its window, kh · kw pixels of C channels. Written as a matrix, one row
per output pixel and one column per number in a window, that is im2col: kh · kw copies of the image. The copies are
never made. With channels-last memory the numbers of one window row are neighbours, so a row of this matrix is a few
contiguous stretches (*segments*), and where they begin is all that the tile product wants to know.

    window_product:  Y[p, o] = bias[o] + Σ_segments Σ_k  image[at(p) + segment + k] · W[segment, k, o]

The same loop serves the gradient for the input, which is also a convolution: of g with the weights turned round.

    pixel_product:   D[o, tap, c] = Σ_images Σ_p  g[p, o] · image[at(p) + tap, c]

is the gradient for the weights. Here the sum runs over the pixels, and the order of memory is the wrong one for it:
neighbours in the sum are C numbers apart. So a few images at a time are copied: g into strips of SUM_ROWS outputs, and
the image into panels of as many channels as a tile is wide. A block of one panel, some rows of pixels, then stays in
the first-level cache while all taps, which are the same block a pixel further on, and all outputs pass by.

Padding is part of these copies, into scratch memory that stays in the second-level cache.
"""

import numpy as np

from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.tile import ROWS, SUM_ROWS, sum_tile, tile

BLOCK = 128  # pixels: a block of the image, and of g, fits the first-level cache


@device
def pack_panel(weight, taps, transposed, first, panel):
    """Weights (O, C, kh · kw) as one panel (rows, width), padded with zeros, of the columns from `first`.

    Rows are (tap, channel) and columns outputs; with `transposed`, rows are (tap, output) and columns channels.
    """
    depth = panel.shape[0] // taps.size
    filled = min(panel.shape[1], (weight.shape[1] if transposed else weight.shape[0]) - first)
    panel[:, filled:] = 0
    for k in range(depth):
        for i in range(filled):
            of_taps = weight[k, first + i] if transposed else weight[first + i, k]
            for t in range(taps.size):
                panel[t * depth + k, i] = of_taps[taps[t]]


@kernel
def _pack_taps(weight, taps, transposed, panels):
    """Weights (groups, O, C, kh · kw) as panels (groups, count, rows, width), see pack_panel."""
    groups, count, _, width = panels.shape
    for job in prange(groups * count):
        group, j = job // count, job % count
        pack_panel(weight[group], taps, transposed, j * width, panels[group, j])


@device
def fill(x, first, count, top, left, scratch):
    """Copy images first … first + count − 1 into the middle of scratch (images, H', W', C), whose border stays zero."""
    _, height, width, channels = x.shape
    for n in range(count):
        for h in range(height):
            for w in range(width):
                for c in range(channels):
                    scratch[n, top + h, left + w, c] = x[first + n, h, w, c]


@kernel
def _window_product(x, padded, corner, images, at, segments, panels, start, y, to, outputs, tasks, shares):
    """One product for all windows of all images (see above).

    x:         (B, H, W, C).
    padded:    (H', W') of the scratch image; corner: where x lies in it. Equal sizes mean: no scratch, read x itself.
    images:    images per scratch.
    at, to:    for every output pixel of `images` images, the byte where its window begins in scratch, and the byte of
               its first channel in y, counted from the first of these images.
    segments:  the bytes between a window's beginning and its segments.
    panels:    the weights, from _pack_taps; start: (groups, count · width), the bias.
    y:         (B, …, O), written at `to`; outputs: output pixels per image.
    tasks, shares: pieces of work, over images and over panels.
    """
    b, height, width, channels = x.shape
    groups, count, rows, lanes = panels.shape
    size, depth = x.itemsize, rows // segments.size
    group_out, group_in = y.shape[-1] // groups, channels // groups
    x_image, y_image = x[0].size * size, y[0].size * size
    direct = padded[0] == height and padded[1] == width
    chunks = (b + images - 1) // images
    weights, flat = panels.ctypes.data, y.reshape(-1)
    for task in prange(tasks * shares):
        piece, share = task // shares, task % shares
        scratch = np.zeros((0 if direct else images, padded[0], padded[1], channels), x.dtype)
        edge = np.empty((ROWS, lanes), x.dtype)
        edge_rows, start_rows = np.arange(ROWS) * (lanes * size), np.zeros(ROWS, np.int64)
        edge_at = np.zeros(ROWS, np.int64)  # the last tile's rows that do not exist read the last window once more
        for chunk in range(piece * chunks // tasks, (piece + 1) * chunks // tasks):
            first = chunk * images
            pixels = min(images, b - first) * outputs
            if direct:
                a = x.ctypes.data + first * x_image
            else:
                fill(x, first, min(images, b - first), corner[0], corner[1], scratch)
                a = scratch.ctypes.data
            for panel in range(share * groups * count // shares, (share + 1) * groups * count // shares):
                group, j = panel // count, panel % count
                filled = min(lanes, group_out - j * lanes)
                c = y.ctypes.data + first * y_image + (group * group_out + j * lanes) * size
                for p in range(0, pixels, ROWS):
                    complete = p + ROWS <= pixels
                    inside = complete and filled == lanes
                    if not complete:
                        for i in range(ROWS):
                            edge_at[i] = at[min(p + i, pixels - 1)]
                    tile(
                        x,
                        a + group * group_in * size, at.ctypes.data + 8 * p if complete else edge_at.ctypes.data,
                        segments.ctypes.data, size,
                        weights + panel * rows * lanes * size, lanes * size,
                        start.ctypes.data + panel * lanes * size, start_rows.ctypes.data,
                        c if inside else edge.ctypes.data, to.ctypes.data + 8 * p if inside else edge_rows.ctypes.data,
                        segments.size, depth,
                    )  # fmt: skip
                    if not inside:
                        for i in range(min(ROWS, pixels - p)):
                            place = first * y[0].size + to[p + i] // size + group * group_out + j * lanes
                            for q in range(filled):
                                flat[place + q] = edge[i, q]


@device
def fill_panels(x, first, count, group, corner, window, step, scratch):
    """Copy the channels of one group, a panel's width at a time, into scratch (panels, images, H', W', lanes).

    window: empty: lanes hold channels, and x lies at `corner`. With few channels: (lanes in use, 3), what each lane
    holds, as (row, column, channel) in a window; positions are then windows, `step` apart. All else stays zero.
    """
    _, height, width, _ = x.shape
    panels, _, rows, columns, lanes = scratch.shape
    for q in range(panels):
        for n in range(count):
            if window.shape[0] == 0:
                filled = min(lanes, group[1] - q * lanes)
                for h in range(height):
                    for w in range(width):
                        source = x[first + n, h, w, group[0] + q * lanes : group[0] + q * lanes + filled]
                        target = scratch[q, n, corner[0] + h, corner[1] + w]
                        for i in range(filled):
                            target[i] = source[i]
            for i in range(min(lanes, window.shape[0] - q * lanes)):
                top, left, channel = window[q * lanes + i]
                before = max(0, (-left + step[1] - 1) // step[1])  # the first window that is not left of x
                beyond = min(columns, (width - left + step[1] - 1) // step[1])
                for h in range(rows):
                    y = top + h * step[0]
                    if y < 0 or y >= height:
                        scratch[q, n, h, :, i] = 0
                    else:
                        for w in range(before, beyond):
                            scratch[q, n, h, w, i] = x[first + n, y, left + w * step[1], group[0] + channel]


@kernel
def _pixel_product(x, frame, corner, step, window, g, taps, segments, sums, shares):
    """Sums over pixels, for each output and each (tap, channel) (see above).

    x:         (B, H, W, C); frame: (H', W') of its copy in scratch; corner, window: see fill_panels.
    step:      (rows, columns) from one window to the next; taps: bytes between a window's beginning and its taps.
    g:         (B, OH · OW, O).
    segments:  the bytes between the first row of windows and each of the OH rows, of as many images as scratch holds.
    sums:      (parts, groups, panels, taps, tiles, SUM_ROWS, lanes), the result: for parts of the batch, to be added.
    shares:    pieces of work per part, over the panels and taps.
    """
    b, _, width, channels = x.shape
    parts, groups, panels, _, tiles, _, lanes = sums.shape
    size, pixels, images = x.itemsize, g.shape[1], segments.shape[0]
    rows_per_image = segments.shape[1]
    depth = pixels // rows_per_image
    group_out, group_in = g.shape[2] // groups, channels // groups
    block = max(1, BLOCK // depth)
    b_step = (step[1] if window.shape[0] == 0 else 1) * lanes * size
    plane = images * frame[0] * frame[1] * lanes * size
    for task in prange(parts * shares):
        part, share = task // shares, task % shares
        scratch = np.zeros((panels, images, frame[0], frame[1], lanes), x.dtype)
        packed = np.zeros((tiles, images * pixels, SUM_ROWS), x.dtype)
        tables = np.zeros((2, SUM_ROWS), np.int64)
        a_rows, c_rows = tables[0], tables[1]
        a_segments = np.arange(images * rows_per_image) * (depth * SUM_ROWS * size)
        for i in range(SUM_ROWS):
            a_rows[i], c_rows[i] = i * size, i * lanes * size
        first_cell, last_cell = share * panels * taps.size // shares, (share + 1) * panels * taps.size // shares
        for group in range(groups):
            for cell in range(first_cell, last_cell):
                sums[part, group, cell // taps.size, cell % taps.size] = 0
        last = (part + 1) * b // parts
        for first in range(part * b // parts, last, images):
            taken = min(images, last - first)
            for group in range(groups):
                fill_panels(x, first, taken, (group * group_in, group_in), corner, window, step, scratch)
                for t in range(tiles):
                    filled = min(SUM_ROWS, group_out - t * SUM_ROWS)
                    for n in range(taken):
                        for p in range(pixels):
                            row = g[first + n, p, group * group_out + t * SUM_ROWS :]
                            for i in range(filled):
                                packed[t, n * pixels + p, i] = row[i]
                for segment in range(0, taken * rows_per_image, block):
                    many = min(block, taken * rows_per_image - segment)
                    for cell in range(first_cell, last_cell):
                        q, tap = cell // taps.size, cell % taps.size
                        for t in range(tiles):
                            c = sums[part, group, q, tap, t].ctypes.data
                            sum_tile(
                                x,
                                packed[t].ctypes.data, a_rows.ctypes.data, a_segments.ctypes.data + 8 * segment,
                                SUM_ROWS * size,
                                scratch.ctypes.data + q * plane + taps[tap], segments.ctypes.data + 8 * segment, b_step,
                                c, c_rows.ctypes.data, c, c_rows.ctypes.data, many, depth,
                            )  # fmt: skip


@kernel
def _collect(sums, weight):
    """Add the parts of the batch, and put output × (tap, channel) in the order of weights (groups, O, C, kh · kw)."""
    parts, groups, panels, taps_apart, tiles, _, lanes = sums.shape
    _, outputs, channels, taps = weight.shape
    for job in prange(groups * outputs):
        group, o = job // outputs, job % outputs
        t, i = o // SUM_ROWS, o % SUM_ROWS
        for tap in range(taps):
            if taps_apart == taps:  # a panel of channels for each tap
                for q in range(panels):
                    for lane in range(min(lanes, channels - q * lanes)):
                        total = sums[0, group, q, tap, t, i, lane]
                        for part in range(1, parts):
                            total += sums[part, group, q, tap, t, i, lane]
                        weight[group, o, q * lanes + lane, tap] = total
            else:  # few channels: (tap, channel) side by side
                for c in range(channels):
                    q, lane = (tap * channels + c) // lanes, (tap * channels + c) % lanes
                    total = sums[0, group, q, 0, t, i, lane]
                    for part in range(1, parts):
                        total += sums[part, group, q, 0, t, i, lane]
                    weight[group, o, c, tap] = total
