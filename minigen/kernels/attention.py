"""Attention for arrays of any strides: which memory the loops of flash.py get, and how the work is divided.

A worker takes one head of one example at a time. Where there are few of these, each is cut into `groups`, by the
shapes alone, so that results have the same bits for any number of threads. In the forward pass a group has every
groups-th tile of queries; in the backward pass every groups-th block of keys and a dQ of its own, and these are added.

The inputs are usually views: a layer computes queries, keys and values of all heads in one product, (B, T, 3·N·D), and
a head is a stripe of that. The loops take any distance between rows, so nothing is copied into an order of its own.
Results are given such an order, (B, T, N, E) in memory under the shape (B, N, T, E), that joining the heads is free.
"""

import math

import numpy as np

from minigen.kernels import reference, threads
from minigen.kernels.flash import KEYS, QUERIES, backward, forward
from minigen.kernels.packing import place, rows_contiguous
from minigen.kernels.reference.attention import heads_of, join_heads
from minigen.kernels.tile import ROWS, columns

TASKS = 8  # pieces of work there should be at least


def scaled_dot_product_attention(query, key, value, *, mask=None, is_causal=False):
    """(A.1): softmax(Q Kᵀ / √D + mask) V; extras: the result and λ."""
    if _leave_to_reference(query, key, value):
        return reference.scaled_dot_product_attention(query, key, value, mask=mask, is_causal=is_causal)
    shape = _Shape(query, key, value, mask, is_causal)
    y, lse = shape.empty(shape.rows, shape.depth_v), np.empty((*shape.lead, shape.rows), query.dtype)
    width = columns(query.dtype)
    groups = min(-(-TASKS // shape.heads), -(-shape.rows // ROWS))
    keys, depth, depth_v = (-(-n // width) * width for n in (shape.keys, shape.depth, shape.depth_v))
    room = width + shape.depth * keys + shape.keys * depth_v + ROWS * (depth + keys + depth_v + 2)
    kept, places = shape.places(query, key, value, mask, y)
    forward(
        places, shape.lead_array, (*shape.sizes, width, groups), shape.factor, shape.scratch(groups, room),
        lse.reshape(shape.heads, shape.rows), work=shape.work,
    )  # fmt: skip
    return y, (y, lse)


def scaled_dot_product_attention_backward(g, query, key, value, y, lse, *, mask=None, is_causal=False, out=None):
    """(A.3): gradients for query, key, value, broadcast to the same leading axes; written into `out` if it is given."""
    if _leave_to_reference(query, key, value, g, y):
        definition = reference.scaled_dot_product_attention_backward
        return definition(g, query, key, value, y, lse, mask=mask, is_causal=is_causal)
    shape = _Shape(query, key, value, mask, is_causal)
    sizes = (shape.rows, shape.depth), (shape.keys, shape.depth), (shape.keys, shape.depth_v)
    d_query, d_key, d_value = out or [shape.empty(*size) for size in sizes]
    width = columns(query.dtype)
    groups = -(-TASKS // shape.heads)
    block = min(KEYS, -(-shape.keys // (groups * width)) * width)
    groups = min(groups, -(-shape.keys // block))
    step = max(-(-block // n) * n for n in (width, ROWS))
    # With several groups, each has a dQ of its own.
    parts = shape.empty(shape.rows, shape.depth, groups) if groups > 1 else d_query[None]
    depth, depth_v = (-(-n // width) * width for n in (shape.depth, shape.depth_v))
    room = (
        width + step * (shape.depth + shape.depth_v + 2 * depth + depth_v) + 2 * QUERIES * step + shape.rows
        + (shape.rows + ROWS) * (2 * depth + depth_v)
    )  # fmt: skip
    kept, places = shape.places(query, key, value, mask, y, g, d_key, d_value, parts[0])
    backward(
        places, shape.lead_array, (*shape.sizes, width, groups, block, step, parts.strides[0]), shape.factor,
        shape.scratch(groups, room), np.ascontiguousarray(lse).reshape(shape.heads, shape.rows), work=2 * shape.work,
    )  # fmt: skip
    if groups > 1:
        np.add.reduce(parts, axis=0, out=d_query)
    return d_query, d_key, d_value


def self_attention(qkv, *, num_heads, mask=None, is_causal=False):
    """Attention in each head, all inputs side by side: (…, T, 3·N·D) → (…, T, N·D); extras: the result, λ (…, N, T)."""
    y, (_, lse) = scaled_dot_product_attention(*heads_of(qkv, num_heads), mask=mask, is_causal=is_causal)
    y = join_heads(y)
    return y, (y, lse)


def self_attention_backward(g, qkv, y, lse, *, num_heads, mask=None, is_causal=False):
    """The gradient for qkv: the three gradients are written to their places in it."""
    d_qkv = np.empty(qkv.shape, qkv.dtype)
    out = heads_of(d_qkv, num_heads)
    g, y = (x.reshape(*x.shape[:-1], num_heads, -1).swapaxes(-3, -2) for x in (g, y))  # (…, N, T, D)
    q, k, v = heads_of(qkv, num_heads)
    found = scaled_dot_product_attention_backward(g, q, k, v, y, lse, mask=mask, is_causal=is_causal, out=out)
    for part, d in zip(out, found, strict=True):
        if d is not part:  # the reference computed it
            part[...] = d
    return (d_qkv,)


def _leave_to_reference(query, *others):
    """True for what the loops do not handle: empty arrays, mixed types of numbers."""
    return any(x.size == 0 or x.dtype != query.dtype for x in (query, *others))


class _Shape:
    """The sizes of one attention, and what follows from them."""

    def __init__(self, query, key, value, mask, is_causal):
        self.dtype = query.dtype
        self.rows, self.depth = query.shape[-2:]  # T, D
        self.keys, self.depth_v = value.shape[-2:]  # S, E
        self.lead = query.shape[:-2]
        if not (self.lead == key.shape[:-2] == value.shape[:-2] and mask is None):
            more = () if mask is None else mask.shape[:-2]
            shapes = (self.lead, key.shape[:-2], value.shape[:-2], more)
            self.lead = np.broadcast(*(np.broadcast_to(0, shape) for shape in shapes)).shape
        self.heads = math.prod(self.lead)
        self.lead_array = np.array(self.lead, np.int64)
        self.factor = self.dtype.type(self.depth**-0.5)
        mask_step = 0 if mask is None or mask.shape[-1] == 1 else self.dtype.itemsize
        self.sizes = (self.rows, self.keys, self.depth, self.depth_v, int(is_causal), mask_step)
        self.work = self.heads * self.rows * self.keys * (self.depth + self.depth_v) // 16

    def empty(self, rows, depth, *before):
        """A new array (…, rows, depth), in memory (…, rows, N, depth) with N the last of the leading axes."""
        lead = (*before, *self.lead)
        if len(lead) < 2:
            return np.empty((*lead, rows, depth), self.dtype)
        return np.empty((*lead[:-1], rows, lead[-1], depth), self.dtype).swapaxes(-3, -2)

    def places(self, query, key, value, mask, *others):
        """Arrays that must stay alive, and the table of the places of all (zeros for no mask)."""
        found = [self._broadcast(x) for x in (query, key, value)]
        found.append(None if mask is None else self._broadcast(mask.astype(self.dtype, copy=False), self.rows))
        found += [rows_contiguous(x) for x in others]
        none = (0,) * (2 + len(self.lead))
        return found, np.array([none if x is None else place(x) for x in found], np.int64)

    def _broadcast(self, x, rows=None):
        """x with contiguous rows and all leading axes (and so many rows); copies no more than x itself."""
        x = rows_contiguous(x)
        shape = (*self.lead, rows or x.shape[-2], x.shape[-1])
        return x if x.shape == shape else np.broadcast_to(x, shape)

    def scratch(self, groups, room):
        """Memory for each worker: `room` numbers."""
        return np.empty((min(threads.get_num_threads(), self.heads * groups), room), self.dtype)
