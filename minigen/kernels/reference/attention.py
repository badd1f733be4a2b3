"""Attention in plain NumPy: (result, extras) forward, gradients backward.

    S = Q Kᵀ / √D + mask        scores (…, T, S)
    P = softmax(S)              weights: each row sums to 1
    Y = P V                                                                                              (A.1)

Extras are the result itself and the logarithm of each row's sum of exponentials,

    λ_i = log Σ_j e^{S_ij},     so that    P_ij = e^{S_ij − λ_i}                                         (A.2)

needs no second look at the row. With G the gradient for Y, and δ_i = Σ_j P_ij (G Vᵀ)_ij = Σ_e G_ie Y_ie:

    dV = Pᵀ G,    dS_ij = P_ij ((G Vᵀ)_ij − δ_i),    dQ = dS K / √D,    dK = dSᵀ Q / √D                  (A.3)

A query that may look nowhere has no mean of what it sees: a row of S that is −∞ throughout gives NaN.
"""

import numpy as np


def _scores(query, key, mask, is_causal):
    scores = np.matmul(query, key.swapaxes(-1, -2))
    scores *= query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + mask
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf).astype(scores.dtype, copy=False)
    return scores


def scaled_dot_product_attention(query, key, value, *, mask=None, is_causal=False):
    """(A.1): softmax(Q Kᵀ / √D + mask) V; extras: the result and λ (…, T).

    Shapes:  query (…, T, D), key (…, S, D), value (…, S, E) → (…, T, E); mask: numbers that broadcast to (…, T, S).
    """
    scores = _scores(query, key, mask, is_causal)
    largest = scores.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - largest)
    total = weights.sum(axis=-1, keepdims=True)
    y = np.matmul(weights / total, value)
    return y, (y, (largest + np.log(total))[..., 0])


def scaled_dot_product_attention_backward(g, query, key, value, y, lse, *, mask=None, is_causal=False):
    """(A.3): gradients for query, key, value."""
    with np.errstate(invalid="ignore"):
        weights = np.exp(_scores(query, key, mask, is_causal) - lse[..., None])
    along = (g * y).sum(axis=-1, keepdims=True)
    d_scores = weights * (np.matmul(g, value.swapaxes(-1, -2)) - along)
    d_scores *= query.shape[-1] ** -0.5
    return (
        np.matmul(d_scores, key),
        np.matmul(d_scores.swapaxes(-1, -2), query),
        np.matmul(weights.swapaxes(-1, -2), g),
    )


def heads_of(qkv, num_heads):
    """Queries, keys and values of each head, as views.  (…, T, 3·N·D) → three of (…, N, T, D)"""
    split = qkv.reshape(*qkv.shape[:-1], 3, num_heads, -1)  # (…, T, 3, N, D)
    return tuple(split[..., i, :, :].swapaxes(-3, -2) for i in range(3))


def join_heads(y):
    """The heads side by side.  (…, N, T, D) → (…, T, N·D)"""
    y = y.swapaxes(-3, -2)
    return y.reshape(*y.shape[:-2], -1)


def self_attention(qkv, *, num_heads, mask=None, is_causal=False):
    """Attention in each head, all inputs side by side: (…, T, 3·N·D) → (…, T, N·D); extras: the result, λ (…, N, T)."""
    y, (_, lse) = scaled_dot_product_attention(*heads_of(qkv, num_heads), mask=mask, is_causal=is_causal)
    y = join_heads(y)
    return y, (y, lse)


def self_attention_backward(g, qkv, y, lse, *, num_heads, mask=None, is_causal=False):
    """The gradient for qkv."""
    g, y = (x.reshape(*x.shape[:-1], num_heads, -1).swapaxes(-3, -2) for x in (g, y))  # (…, N, T, D)
    q, k, v = heads_of(qkv, num_heads)
    gradients = scaled_dot_product_attention_backward(g, q, k, v, y, lse, mask=mask, is_causal=is_causal)
    return (np.concatenate([join_heads(d) for d in gradients], axis=-1),)
