"""Multi-head attention: several attentions side by side, each on its own slice of the width."""

import numpy as np

from minigen import ops
from minigen.errors import ShapeError
from minigen.nn import init
from minigen.nn.layers import Dropout, Linear
from minigen.nn.module import Module, generator, parameter


class MultiheadAttention(Module):
    """Project to queries, keys and values, attend in each of N heads, join, project back.

    Shapes:  query (T, B, D), key and value (S, B, D) → output (T, B, D), weights (B, T, S) averaged over heads;
             with batch_first=True the batch comes first, (B, T, D).
    Source:  Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.  Differs: nothing; state-dict keys are PyTorch's.
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, batch_first=False, *, rng=None):
        if embed_dim % num_heads:
            raise ShapeError(f"MultiheadAttention: {num_heads} heads do not divide the width {embed_dim}")
        rng = generator(rng)
        self.num_heads = num_heads
        self.batch_first = batch_first
        self.in_proj_weight = parameter(init.xavier_uniform((3 * embed_dim, embed_dim), rng=rng))
        self.in_proj_bias = parameter(np.zeros(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, rng=rng)
        if bias:
            self.out_proj.bias.overwrite(np.zeros(embed_dim))
        self.dropout = Dropout(dropout, rng=rng)

    def forward(self, query, key, value, attn_mask=None, is_causal=False, need_weights=True):
        """attn_mask: boolean (T, S), True where looking is forbidden (PyTorch's sense here), or numbers to add.

        With need_weights=False, and no dropout to be applied to them, the weights are never stored.
        """
        if attn_mask is not None:
            attn_mask = np.asarray(attn_mask)
            attn_mask = ~attn_mask if attn_mask.dtype == bool else attn_mask  # True where looking is allowed
        same = query is key is value
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))  # (B, T, D)
        fused = not need_weights and not (self.training and self.dropout.p)
        if fused and same:
            qkv = ops.linear(query, self.in_proj_weight, self.in_proj_bias)  # (B, T, 3·D)
            y, weights = ops.self_attention(qkv, self.num_heads, attn_mask, is_causal), None
        else:
            attend = ops.scaled_dot_product_attention if fused else self._attend
            y = attend(*self._projected(query, key, value), attn_mask, is_causal)
            y, weights = (y, None) if fused else y
            y = ops.reshape(y.permute(0, 2, 1, 3), query.shape)  # (B, N, T, D/N) → (B, T, D)
        y = self.out_proj(y)
        y = y if self.batch_first else y.transpose(0, 1)
        return y, ops.mean(weights, dim=1) if need_weights else None

    def _projected(self, query, key, value):
        """Queries, keys and values of each head: three of (B, N, T, D/N)."""
        d = query.shape[-1]
        for i, x in enumerate((query, key, value)):
            part = slice(i * d, (i + 1) * d)
            x = ops.linear(x, self.in_proj_weight[part], None if self.in_proj_bias is None else self.in_proj_bias[part])
            yield ops.reshape(x, (*x.shape[:2], self.num_heads, d // self.num_heads)).permute(0, 2, 1, 3)

    def _attend(self, query, key, value, mask, is_causal):
        """Attention with the weights written out, (B, N, T, S), and dropout on them."""
        scores = ops.matmul(query, key.transpose(-2, -1)) * (1.0 / np.sqrt(query.shape[-1]).item())
        if is_causal:
            scores = ops.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
        if mask is not None:
            scores = ops.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
        weights = ops.softmax(scores, dim=-1)
        return ops.matmul(self.dropout(weights), value), weights
