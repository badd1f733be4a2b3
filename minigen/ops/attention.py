"""Scaled dot-product attention: every position looks at every other and takes a weighted mean of what it finds."""

import math

import numpy as np

from minigen.errors import ShapeError
from minigen.ops.elementwise import where
from minigen.ops.linalg import matmul, mT
from minigen.ops.reduce import softmax


def scaled_dot_product_attention(query, key, value, attn_mask=None, is_causal=False):
    """softmax(Q Kᵀ / √D + mask) V.

    Shapes:  query (…, T, D), key (…, S, D), value (…, S, E) → (…, T, E)
    attn_mask: boolean array broadcastable to (…, T, S), True where a query may look; or numbers added to the scores.
    is_causal: position t sees positions ≤ t only.
    Source:  Vaswani et al. 2017, arXiv:1706.03762, equation 1.  Differs: nothing.
    Raises:  ShapeError if the shapes do not fit.
    """
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"scaled_dot_product_attention: query {tuple(query.shape)}, key {tuple(key.shape)} and "
            f"value {tuple(value.shape)} do not fit; expected (…, T, D), (…, S, D), (…, S, E)"
        )
    scores = matmul(query, mT(key)) * (1.0 / math.sqrt(query.shape[-1]))  # (…, T, S)
    if is_causal:
        scores = where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    if attn_mask is not None:
        mask = np.asarray(attn_mask)
        scores = where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    return matmul(softmax(scores, dim=-1), value)
