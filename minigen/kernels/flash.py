"""The loops of attention, equations (A.1) to (A.3) of reference/attention.py, without the matrix of weights.

The scores of T queries and S keys are T · S numbers; written to memory they would take more time than the arithmetic,
and at T = 4096 more room than everything else in a model. Here no more than a block of them exists:

    forward     for each tile of queries (ROWS of them):
                    the scores of all keys that it may see, their exponentials, and the mean of the values
    backward    for each block of keys, for each block of queries that may see it:
                    scores and weights again, by (A.2) from λ; then what the block adds to dQ, dK and dV

All five products are tile products (T.1). Before them, the rows of one head are copied into a worker's scratch memory
(packing.py). So the inputs may have any strides, and so may the results. attention.py says who works on what.

With is_causal, tiles of scores above the diagonal are never computed. (So a NaN among values that nobody may see does
not spread to all queries as 0 · NaN, as it does in the definition. A NaN that may be seen spreads in both.)

Source: Dao et al. 2022, "FlashAttention", arXiv:2205.14135.  Differs: forward keeps a tile's scores for all keys, so
that no running maximum is needed.
"""

import numpy as np
from numba import njit

from minigen.kernels.functions import exp, from_order, log, order
from minigen.kernels.jit import FAST, device, kernel, prange
from minigen.kernels.packing import (
    cut,
    not_inlined,
    numbers,
    pack_columns,
    pack_rows,
    row_table,
    start_of,
    unpack_rows,
    whole,
)
from minigen.kernels.tile import ROWS, VECTORS, tile

QUERIES = ROWS * max(1, 70 // ROWS)  # per block in the backward pass
KEYS = 224  # the same for keys: a block of scores takes about 63 KB in float32


def _worker(function):
    """Declare what one worker does: compiled once, called from both forms of a kernel."""
    return njit(fastmath=FAST, error_model="numpy", nogil=True)(function)


@device
def _multiply(sample, same, a, a_rows, a_step, b, b_step, start, start_rows, c, c_rows, depth):
    """One tile of C = start + A B: (T.1) with one segment. same: a table of zeros."""
    not_inlined()
    tile(
        sample, a, a_rows.ctypes.data, same.ctypes.data, a_step, b, b_step,
        start, start_rows.ctypes.data, c, c_rows.ctypes.data, 1, depth,
    )  # fmt: skip


@device
def _add_mask(mask_start, stride, step, i, first, row):
    """row += row i of the mask, from number `first` on."""
    mask = numbers(mask_start + i * stride + first * step, row)
    if step == row.itemsize:
        for j in range(row.size):
            row[j] += mask[j]
    else:  # the same number for all keys
        for j in range(row.size):
            row[j] += mask[0]


@device
def _largest(row):
    """The largest of some numbers."""
    largest = order(row[0])
    for j in range(1, row.size):
        largest = max(largest, order(row[j]))
    return from_order(largest)


@_worker
def _forward_worker(worker, places, lead, sizes, factor, scratch, lse):
    """What one worker does of (A.1).

    places: of query, key, value, mask (address 0: none), result; lse (heads, T).
    """
    count_q, count_k, depth, depth_v, causal, mask_step, width, groups = sizes
    padded_k, padded_q, padded_v = whole(count_k, width), whole(depth, width), whole(depth_v, width)
    workers, size = scratch.shape[0], scratch.itemsize
    one = scratch.dtype.type(1)
    lanes = width // VECTORS
    same, of_q, of_v = row_table(0), row_table(padded_q * size), row_table(padded_v * size)
    of_s = row_table(padded_k * size)
    zeros, rest = cut(scratch[worker], width)
    keys, rest = cut(rest, depth * padded_k)
    values, rest = cut(rest, count_k * padded_v)
    queries, rest = cut(rest, ROWS * padded_q)
    scores, rest = cut(rest, ROWS * padded_k)
    means, rest = cut(rest, ROWS * padded_v)
    largest, total = cut(rest, ROWS)
    zeros[:] = 0
    zeros_at, queries_at, keys_at, values_at, scores_at, means_at = (
        zeros.ctypes.data, queries.ctypes.data, keys.ctypes.data, values.ctypes.data, scores.ctypes.data,
        means.ctypes.data,
    )  # fmt: skip
    for task in range(worker, lse.shape[0] * groups, workers):
        n, group = task // groups, task % groups
        q_start, mask_start = start_of(places[0], lead, n), start_of(places[3], lead, n)
        y_start = start_of(places[4], lead, n)
        pack_columns(start_of(places[1], lead, n), places[1, 1], count_k, depth, width, keys)
        pack_rows(start_of(places[2], lead, n), places[2, 1], count_k, depth_v, one, padded_v, values)
        for first in range(group * ROWS, count_q, groups * ROWS):
            rows = min(ROWS, count_q - first)
            seen = min(count_k, first + rows) if causal else count_k
            pack_rows(q_start + first * places[0, 1], places[0, 1], rows, depth, factor, padded_q, queries)
            for j in range(0, seen, width):  # S = Q Kᵀ / √D
                _multiply(
                    scratch, same, queries_at, of_q, size, keys_at + j * depth * size, width * size,
                    zeros_at, same, scores_at + j * size, of_s, depth,
                )  # fmt: skip
            for i in range(rows):
                own = min(seen, first + i + 1) if causal else seen
                row, unseen = cut(scores[i * padded_k : i * padded_k + whole(seen, lanes)], whole(own, lanes))
                row[own:] = -np.inf  # so that whole vectors can be computed
                if mask_start != 0:
                    _add_mask(mask_start, places[3, 1], mask_step, first + i, 0, row[:own])
                level, weights = _largest(row), one - one
                for j in range(row.size):
                    weight = exp(row[j] - level)
                    row[j] = weight
                    weights += weight
                unseen[:] = 0
                largest[i], total[i] = level, weights
            for i in range(rows):
                lse[n, first + i] = largest[i] + log(total[i])
                total[i] = one / total[i]
            for e in range(0, padded_v, width):  # P V
                _multiply(
                    scratch, same, scores_at, of_s, size, values_at + e * size, padded_v * size,
                    zeros_at, same, means_at + e * size, of_v, seen,
                )  # fmt: skip
            for i in range(rows):
                at = y_start + (first + i) * places[4, 1]
                unpack_rows(means[i * padded_v :], padded_v, total[i], at, places[4, 1], 1, depth_v)


@kernel
def forward(places, lead, sizes, factor, scratch, lse):
    """(A.1): scratch has a row for each worker."""
    for worker in prange(scratch.shape[0]):
        _forward_worker(np.int64(worker), places, lead, sizes, factor, scratch, lse)


@_worker
def _backward_worker(worker, places, lead, sizes, factor, scratch, lse):
    """What one worker does of (A.3).

    places: of query, key, value, mask, result, G, dK, dV, dQ; the last has a leading axis of groups more.
    """
    count_q, count_k, depth, depth_v, causal, mask_step, width, groups = sizes[:8]
    block, step, per_group = sizes[8:]
    padded_q, padded_v = whole(depth, width), whole(depth_v, width)
    workers, size = scratch.shape[0], scratch.itemsize
    one = scratch.dtype.type(1)
    lanes = width // VECTORS
    same, of_q, of_v = row_table(0), row_table(padded_q * size), row_table(padded_v * size)
    of_s, of_key = row_table(step * size), row_table(size)
    zeros, rest = cut(scratch[worker], width)
    keys_t, rest = cut(rest, depth * step)
    values_t, rest = cut(rest, depth_v * step)
    keys, rest = cut(rest, step * padded_q)
    d_keys, rest = cut(rest, step * padded_q)
    d_values, rest = cut(rest, step * padded_v)
    weights, rest = cut(rest, QUERIES * step)
    d_scores, rest = cut(rest, QUERIES * step)
    along, rest = cut(rest, count_q)
    queries, rest = cut(rest, (count_q + ROWS) * padded_q)
    d_queries, rest = cut(rest, (count_q + ROWS) * padded_q)
    gs, rest = cut(rest, (count_q + ROWS) * padded_v)
    zeros[:] = 0
    zeros_at, keys_t_at, values_t_at, keys_at, d_keys_at, d_values_at, weights_at, d_scores_at = (
        zeros.ctypes.data, keys_t.ctypes.data, values_t.ctypes.data, keys.ctypes.data, d_keys.ctypes.data,
        d_values.ctypes.data, weights.ctypes.data, d_scores.ctypes.data,
    )  # fmt: skip
    queries_at, d_queries_at, gs_at = queries.ctypes.data, d_queries.ctypes.data, gs.ctypes.data
    for task in range(worker, lse.shape[0] * groups, workers):
        n, group = task // groups, task % groups
        mask_start, y_start = start_of(places[3], lead, n), start_of(places[4], lead, n)
        pack_rows(start_of(places[0], lead, n), places[0, 1], count_q, depth, factor, padded_q, queries)
        pack_rows(start_of(places[5], lead, n), places[5, 1], count_q, depth_v, one, padded_v, gs)
        for i in range(count_q):  # δ
            y = numbers(y_start + i * places[4, 1], scratch)
            total = one - one
            for e in range(depth_v):
                total += y[e] * gs[i * padded_v + e]
            along[i] = total
        d_queries[:] = 0
        for first_k in range(group * block, count_k, groups * block):
            rows_k = min(block, count_k - first_k)
            k_start = start_of(places[1], lead, n) + first_k * places[1, 1]
            v_start = start_of(places[2], lead, n) + first_k * places[2, 1]
            pack_columns(k_start, places[1, 1], rows_k, depth, width, keys_t)
            pack_columns(v_start, places[2, 1], rows_k, depth_v, width, values_t)
            pack_rows(k_start, places[1, 1], rows_k, depth, one, padded_q, keys)
            d_keys[:] = 0
            d_values[:] = 0
            for first in range(first_k // QUERIES * QUERIES if causal else 0, count_q, QUERIES):
                rows = min(QUERIES, count_q - first)
                for t in range(0, rows, ROWS):
                    seen = min(rows_k, first + t + ROWS - first_k) if causal else rows_k
                    if seen <= 0:
                        continue
                    for j in range(0, seen, width):  # S = Q Kᵀ / √D and G Vᵀ
                        _multiply(
                            scratch, same, queries_at + (first + t) * padded_q * size, of_q, size,
                            keys_t_at + j * depth * size, width * size,
                            zeros_at, same, weights_at + (t * step + j) * size, of_s, depth,
                        )  # fmt: skip
                        _multiply(
                            scratch, same, gs_at + (first + t) * padded_v * size, of_v, size,
                            values_t_at + j * depth_v * size, width * size,
                            zeros_at, same, d_scores_at + (t * step + j) * size, of_s, depth_v,
                        )  # fmt: skip
                    for i in range(t, min(t + ROWS, rows)):  # P and dS
                        own = max(0, min(rows_k, first + i + 1 - first_k)) if causal else rows_k
                        end = i * step + whole(rows_k, lanes)
                        p, unseen = cut(weights[i * step : end], whole(own, lanes))
                        d, unseen_too = cut(d_scores[i * step : end], whole(own, lanes))
                        p[own:] = -np.inf
                        if mask_start != 0:
                            _add_mask(mask_start, places[3, 1], mask_step, first + i, first_k, p[:own])
                        level, mean = lse[n, first + i], along[first + i]
                        for j in range(p.size):
                            weight = exp(p[j] - level)
                            p[j] = weight
                            d[j] = weight * (d[j] - mean)
                        d[own:] = 0
                        unseen[:] = 0
                        unseen_too[:] = 0
                    for e in range(0, padded_q, width):  # dQ += dS K
                        into = d_queries_at + ((first + t) * padded_q + e) * size
                        _multiply(
                            scratch, same, d_scores_at + t * step * size, of_s, size,
                            keys_at + e * size, padded_q * size, into, of_q, into, of_q, seen,
                        )  # fmt: skip
                for c in range(0, rows_k, ROWS):
                    blind = max(0, first_k + c - first) if causal else 0  # queries that see none of these keys
                    if blind >= rows:
                        break
                    corner = (blind * step + c) * size
                    for e in range(0, padded_v, width):  # dV += Pᵀ G
                        into = d_values_at + (c * padded_v + e) * size
                        _multiply(
                            scratch, same, weights_at + corner, of_key, step * size,
                            gs_at + ((first + blind) * padded_v + e) * size, padded_v * size,
                            into, of_v, into, of_v, rows - blind,
                        )  # fmt: skip
                    for e in range(0, padded_q, width):  # dK += dSᵀ Q / √D
                        into = d_keys_at + (c * padded_q + e) * size
                        _multiply(
                            scratch, same, d_scores_at + corner, of_key, step * size,
                            queries_at + ((first + blind) * padded_q + e) * size, padded_q * size,
                            into, of_q, into, of_q, rows - blind,
                        )  # fmt: skip
            dk_start = start_of(places[6], lead, n) + first_k * places[6, 1]
            dv_start = start_of(places[7], lead, n) + first_k * places[7, 1]
            unpack_rows(d_keys, padded_q, one, dk_start, places[6, 1], rows_k, depth)
            unpack_rows(d_values, padded_v, one, dv_start, places[7, 1], rows_k, depth_v)
        dq_start = start_of(places[8], lead, n) + group * per_group
        unpack_rows(d_queries, padded_q, factor, dq_start, places[8, 1], count_q, depth)


@kernel
def backward(places, lead, sizes, factor, scratch, lse):
    """(A.3): scratch has a row for each worker."""
    for worker in prange(scratch.shape[0]):
        _backward_worker(np.int64(worker), places, lead, sizes, factor, scratch, lse)
