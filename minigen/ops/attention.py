"""Scaled dot-product attention: every position looks at every other and takes a weighted mean of what it finds."""

import math

import numpy as np

from minigen import kernels
from minigen.autograd.fused import fused
from minigen.errors import ShapeError
from minigen.ops.elementwise import where
from minigen.ops.linalg import matmul, mT
from minigen.ops.reduce import softmax
from minigen.ops.shape import permute, reshape


@fused(
    forward=kernels.scaled_dot_product_attention,
    backward=kernels.scaled_dot_product_attention_backward,
)
def _scaled_dot_product_attention(query, key, value, *, mask=None, is_causal=False):
    scores = matmul(query, mT(key)) * (1.0 / math.sqrt(query.shape[-1]))  # (…, T, S)
    if mask is not None:
        scores = scores + mask
    if is_causal:
        scores = where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    return matmul(softmax(scores, dim=-1), value)


def scaled_dot_product_attention(query, key, value, attn_mask=None, is_causal=False):
    """softmax(Q Kᵀ / √D + mask) V.

    Shapes:  query (…, T, D), key (…, S, D), value (…, S, E) → (…, T, E)
    attn_mask: boolean array broadcastable to (…, T, S), True where a query may look; or numbers added to the scores.
             A query that may look nowhere gives NaN.
    is_causal: position t sees positions ≤ t only.
    Source:  Vaswani et al. 2017, arXiv:1706.03762, equation 1.  Differs: nothing.
    Raises:  ShapeError if the shapes do not fit.
    """
    matrices = min(query.ndim, key.ndim, value.ndim) >= 2
    if not matrices or query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"scaled_dot_product_attention: query {tuple(query.shape)}, key {tuple(key.shape)} and "
            f"value {tuple(value.shape)} do not fit; expected (…, T, D), (…, S, D), (…, S, E)"
        )
    scores = (query.shape[-2], key.shape[-2])
    mask = _added("scaled_dot_product_attention", attn_mask, scores, query.dtype)
    return _scaled_dot_product_attention(query, key, value, mask=mask, is_causal=bool(is_causal))


@fused(forward=kernels.self_attention, backward=kernels.self_attention_backward)
def _self_attention(qkv, *, num_heads, mask=None, is_causal=False):
    split = reshape(qkv, shape=(*qkv.shape[:-1], 3, num_heads, -1))  # (…, T, 3, N, D)
    query, key, value = (_swap_heads(split[..., i, :, :]) for i in range(3))  # (…, N, T, D)
    y = _swap_heads(_scaled_dot_product_attention.definition(query, key, value, mask=mask, is_causal=is_causal))
    return reshape(y, shape=(*y.shape[:-2], -1))  # (…, T, N·D)


def self_attention(qkv, num_heads, attn_mask=None, is_causal=False):
    """Attention in N heads over the same sequence, from what one linear layer made of it.

    Each position's vector holds its query, its key and its value, side by side, and in each of them the heads side by
    side. The result has the heads side by side again.

    Shapes:  qkv (…, T, 3·N·D) → (…, T, N·D); attn_mask and is_causal as for scaled_dot_product_attention, with the
             mask broadcastable to (…, N, T, T).
    Source:  Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.  Differs: nothing.  PyTorch has no such function: it
             is scaled_dot_product_attention between a split and a join that copy nothing, in either direction.
    Raises:  ShapeError if the width is not 3·N·D.
    """
    if qkv.ndim < 2 or num_heads < 1 or qkv.shape[-1] % (3 * num_heads):
        raise ShapeError(f"self_attention: qkv {tuple(qkv.shape)} cannot be cut into 3 · {num_heads} heads; "
                         "expected (…, T, 3·N·D)")  # fmt: skip
    mask = _added("self_attention", attn_mask, (qkv.shape[-2],) * 2, qkv.dtype)
    return _self_attention(qkv, num_heads=int(num_heads), mask=mask, is_causal=bool(is_causal))


def _swap_heads(x):
    """(…, T, N, D) ↔ (…, N, T, D)"""
    axes = list(range(x.ndim))
    axes[-3], axes[-2] = axes[-2], axes[-3]
    return permute(x, dims=tuple(axes))


def _added(name, mask, scores, dtype):
    """The mask as numbers to be added to the scores, as many as were given; a copy, so yours may change."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.ndim < 2:
        mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    if any(n not in (1, full) for n, full in zip(mask.shape[-2:], scores, strict=True)):
        raise ShapeError(f"{name}: mask {mask.shape} does not broadcast to scores (…, {scores[0]}, {scores[1]})")
    if mask.dtype == bool:
        return np.where(mask, 0, -np.inf).astype(dtype)
    return mask.astype(dtype)
