"""GPT: guess the next token from all before it, with a stack of attention layers.

A text is a row of tokens x₁ … x_T, whole numbers below V. Whatever its distribution, the chain rule writes it as

    log p(x₁ … x_T) = Σ_t log p(x_t | x₁ … x_{t−1}),                                                (7.1)

and the model is one network that gives all of these but the first at once: position t receives the tokens up to x_t and
says how likely each token is to be x_{t+1}. A token becomes a vector of D numbers, its row of a table E (V, D). Where
it stands must be told, or a text would be a bag of words: a row of a second table P (block size, D) is added,

    h_t = E[x_t] + P[t],                                                                            (7.2)

or the queries and keys below are turned, (7.7). Attention lets a position collect what it needs from earlier ones. A
linear layer makes a query q_t, a key k_t and a value v_t of each h_t; in each of N heads, of d = D/N numbers,

    a_ts = exp(q_t·k_s/√d) / Σ_{r≤t} exp(q_t·k_r/√d)  for s ≤ t, else 0,      y_t = Σ_s a_ts v_s.   (7.3)

The product of two vectors of d independent numbers of variance 1 has variance d: hence √d, without which the softmax
would begin saturated. That s ≤ t is what makes (7.1) true: logits at t cannot depend on later tokens. A block is

    h ← h + W_y attention(norm(h)),        h ← h + W_o gelu(W_i norm(h)),                           (7.4)

norm first and the sum last ("pre-norm"), so that from the loss to the embeddings a path leads through sums alone. Each
of L blocks adds twice to h. If every term had variance s² at the start, h would end with 2L s²; so the weights W_y and
W_o start smaller,

    std(W_y) = std(W_o) = 0.02/√(2L),      std of all other weights = 0.02,      biases 0.          (7.5)

At the end the table of tokens is used a second time ("tied"): token w is likely after t if its vector is like h_t,

    p(x_{t+1} = w | x₁ … x_t) = softmax_w(E[w] · norm(h_t)).                                        (7.6)

Rotary positions. Take the numbers of q_t in d/2 pairs, pair j being a point of the plane, and turn it by the angle
t·θ_j, θ_j = 10000^(−2j/d); the same for k_s. Turning both by the same angle does not change their product, so with
R(t) for all the turns

    R(t)q · R(s)k = R(t − s)q · k:                                                                  (7.7)

only the distance counts. Half of d is the partner of the other half: pair j is the numbers j and j + d/2.

Cache. By s ≤ t, keys and values of old tokens never change when new ones come. Who writes a text token by token keeps
them (`cache`, `read`), 2·L·T·D numbers for T tokens, and pays for one position instead of t (7.17). The cache has as
many places as the block; when it is full `read` refuses, and `generation` says what is forgotten then.

Source: Radford et al. 2019, "Language models are unsupervised multitask learners" (GPT-2); Vaswani et al. 2017,
arXiv:1706.03762; Su et al. 2021, arXiv:2104.09864 (rotary); Press & Wolf 2016, arXiv:1608.05859 (tied). Names of the
parts as in GPT-2's own code.  Differs: dropout never falls on the attention weights, which are never stored.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from minigen import nn, ops
from minigen.autograd import no_grad
from minigen.errors import ShapeError


@dataclass(frozen=True)
class Config:
    """The sizes of a GPT.

    vocabulary_size:  V, how many different tokens there are
    block_size:       the longest row of tokens that it reads at once
    layers, heads:    L and N
    width:            D
    dropout:          share of numbers set to 0 in training: after the embedding and at the end of each half of a block
    bias:             whether linear layers and norms have one
    positions:        "learned", (7.2), or "rotary", (7.7)
    tied:             whether the embedding is the last layer's weight too, (7.6)
    gelu:             "none", exact, or "tanh", the approximation that GPT-2 was trained with
    """

    vocabulary_size: int
    block_size: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    dropout: float = 0.0
    bias: bool = True
    positions: str = "learned"
    tied: bool = True
    gelu: str = "none"

    def __post_init__(self):
        for name in ("vocabulary_size", "block_size", "layers", "heads", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ShapeError(f"gpt.Config: {name} is {value!r}; expected a whole number of at least 1")
        if self.width % self.heads:
            raise ShapeError(f"gpt.Config: {self.heads} heads do not divide the width {self.width}")
        if self.positions not in ("learned", "rotary"):
            raise ShapeError(f"gpt.Config: positions is {self.positions!r}; expected 'learned' or 'rotary'")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise ShapeError(f"gpt.Config: {self.width // self.heads} numbers per head; rotary positions turn pairs")


class GPT(nn.Module):
    """The network of (7.1) to (7.7).

        model = GPT(Config(vocabulary_size=65), rng=rng)
        logits = model(tokens)                       # (B, T) → (B, T, V)
        loss = model.loss(tokens)                    # nats per row, (B,)

    wte   token embedding, E         wpe  position embedding, P (learned positions only)
    h     the blocks                 ln_f the last norm          lm_head  the last layer, if it is not tied
    """

    def __init__(self, config, *, rng=None):
        rng = nn.module.generator(rng)
        self.config = config
        self.wte = nn.Embedding(config.vocabulary_size, config.width, rng=rng)
        self.wte.weight.overwrite(nn.init.normal(self.wte.weight.shape, std=0.02, rng=rng))
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.block_size, config.width, rng=rng)
            self.wpe.weight.overwrite(nn.init.normal(self.wpe.weight.shape, std=0.02, rng=rng))
        self.drop = nn.Dropout(config.dropout, rng=rng)
        self.h = nn.ModuleList(Block(config, rng=rng) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.width, bias=config.bias)
        if not config.tied:
            self.lm_head = _linear(config.width, config.vocabulary_size, rng=rng, bias=False)

    def forward(self, tokens):
        """Logits of the next token at every position.

        Shapes:   tokens (B, T), whole numbers below V, T ≤ block size → (B, T, V)
        Raises:   ShapeError if tokens are anything else.
        """
        return self._logits(self._checked("forward", tokens))

    def log_prob(self, tokens):
        """log p of each token but the first given those before it, in nats.

        Equation: the terms t = 2 … T of (7.1)                                                [lesson 07, eq. 7.1]
        Shapes:   tokens (B, T), 2 ≤ T ≤ block size + 1 → (B, T − 1), with gradients
        Raises:   ShapeError if tokens are anything else.
        """
        tokens = self._checked("log_prob", tokens, least=2, more=1)
        logits = self._logits(tokens[:, :-1])  # (B, T − 1, V)
        flat = ops.reshape(logits, (-1, logits.shape[-1]))  # (B·(T − 1), V)
        return -ops.reshape(ops.cross_entropy(flat, tokens[:, 1:].reshape(-1)), logits.shape[:2])

    def loss(self, tokens):
        """−log p(x₂ … x_T | x₁), in nats per row, a sum over T − 1 tokens.   Shapes: (B, T) → (B,)"""
        return -ops.sum(self.log_prob(tokens), dim=1)

    # -- reading token by token ---------------------------------------------------------------------------------------

    def cache(self, batch=1):
        """An empty memory of keys and values for `batch` rows: a list with one Past for each block."""
        return [Past(batch, self.config, self.wte.weight.dtype) for _ in self.h]

    @no_grad()
    def read(self, tokens, cache):
        """Read on: logits after each of some new tokens, given all that was read with this cache before.

        The same as the last positions of `forward` on all tokens together, up to rounding.

        Shapes:   tokens (B, T) → (B, T, V), an array
        Raises:   ShapeError if the block has fewer than T places left.
        """
        tokens = self._checked("read", tokens)
        return self._logits(tokens, cache).data

    def _logits(self, tokens, cache=None):
        first = cache[0].length if cache else 0
        if cache and first + tokens.shape[1] > self.config.block_size:
            raise ShapeError(f"GPT.read: {first} tokens are in the cache, {tokens.shape[1]} are new; expected at most "
                             f"{self.config.block_size} together, the block size")
        x = self.wte(tokens)  # (B, T, D)
        if self.config.positions == "learned":
            x = x + self.wpe.weight[first : first + tokens.shape[1]]  # (7.2)
        x = self.drop(x)
        for block, past in zip(self.h, cache or [None] * len(self.h), strict=True):
            x = block(x, past)
        return ops.linear(self.ln_f(x), self.wte.weight if self.config.tied else self.lm_head.weight)  # (7.6)

    def _checked(self, method, tokens, least=1, more=0):
        tokens = np.asarray(tokens)
        most = self.config.block_size + more
        if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or not least <= tokens.shape[1] <= most:
            raise ShapeError(f"GPT.{method}: tokens have shape {tokens.shape}, type {tokens.dtype}; expected (B, T) "
                             f"whole numbers with T from {least} to {most}")
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.config.vocabulary_size:
            raise ShapeError(f"GPT.{method}: tokens run from {tokens.min()} to {tokens.max()}; expected 0 to "
                             f"{self.config.vocabulary_size - 1}")
        return tokens


class Block(nn.Module):
    """One block, (7.4).  Shapes: (B, T, D) → (B, T, D)"""

    def __init__(self, config, *, rng):
        self.ln_1 = nn.LayerNorm(config.width, bias=config.bias)
        self.attn = Attention(config, rng=rng)
        self.ln_2 = nn.LayerNorm(config.width, bias=config.bias)
        self.mlp = MLP(config, rng=rng)

    def forward(self, x, past=None):
        x = x + self.attn(self.ln_1(x), past)
        return x + self.mlp(self.ln_2(x))


class Attention(nn.Module):
    """Causal attention in N heads, (7.3).  Shapes: (B, T, D) → (B, T, D)"""

    def __init__(self, config, *, rng):
        self.heads = config.heads
        self.rotary = config.positions == "rotary"
        self.block_size = config.block_size
        self.c_attn = _linear(config.width, 3 * config.width, rng=rng, bias=config.bias)
        self.c_proj = _linear(config.width, config.width, rng=rng, bias=config.bias, scale=_residual(config))
        self.drop = nn.Dropout(config.dropout, rng=rng)

    def forward(self, x, past=None):
        qkv = self.c_attn(x)  # (B, T, 3·D): q, k, v side by side, in each the heads side by side
        if self.rotary:
            qkv = rotate(qkv, self.heads, first=past.length if past else 0)
        y = self._with_past(qkv, past) if past else ops.self_attention(qkv, self.heads, is_causal=True)  # (B, T, D)
        return self.drop(self.c_proj(y))

    def _with_past(self, qkv, past):
        batch, t, _ = qkv.shape
        query, key, value = ops.reshape(qkv, (batch, t, 3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, N, T, d)
        keys, values = past.append(key.data, value.data)  # (B, N, S, d)
        s = keys.shape[2]
        mask = None if t == 1 else np.tri(t, s, s - t, dtype=bool)  # new token i sees s − t old ones and i + 1 new
        y = ops.scaled_dot_product_attention(query, keys, values, mask)  # (B, N, T, d)
        return ops.reshape(y.permute(0, 2, 1, 3), (batch, t, -1))  # (B, T, D)


class MLP(nn.Module):
    """What each position does by itself, the second half of (7.4).  Shapes: (B, T, D) → (B, T, D)"""

    def __init__(self, config, *, rng):
        self.gelu = config.gelu
        self.c_fc = _linear(config.width, 4 * config.width, rng=rng, bias=config.bias)
        self.c_proj = _linear(4 * config.width, config.width, rng=rng, bias=config.bias, scale=_residual(config))
        self.drop = nn.Dropout(config.dropout, rng=rng)

    def forward(self, x):
        return self.drop(self.c_proj(ops.gelu(self.c_fc(x), approximate=self.gelu)))


class Past:
    """Keys and values of the tokens read so far, of one block: arrays (B, N, block size, d), `length` places used."""

    def __init__(self, batch, config, dtype=np.float32):
        shape = (batch, config.heads, config.block_size, config.width // config.heads)
        self.keys, self.values = np.zeros(shape, dtype), np.zeros(shape, dtype)
        self.length = 0

    def append(self, keys, values):
        """Add those of T new tokens, (B, N, T, d); returns all, (B, N, length, d)."""
        new = slice(self.length, self.length + keys.shape[2])
        self.keys[:, :, new], self.values[:, :, new] = keys, values
        self.length = new.stop
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def select(self, rows):
        """Keep these rows of the batch, in this order; a row may be kept more than once."""
        self.keys, self.values = self.keys[rows], self.values[rows]


def rotate(qkv, heads, first=0):
    """Turn queries and keys by their positions first, first + 1, …; values stay.

    Equation: (a, b) → (a cos tθ − b sin tθ, b cos tθ + a sin tθ) for pairs (j, j + d/2)       [lesson 07, eq. 7.7]
    Shapes:   (B, T, 3·D) → (B, T, 3·D)
    """
    batch, t, width = qkv.shape
    x = ops.reshape(qkv, (batch, t, 3, heads, width // (3 * heads)))  # (B, T, 3, N, d)
    cos, sin = (table.astype(qkv.dtype) for table in _turns(first, t, x.shape[-1]))
    return ops.reshape(x * cos + ops.roll(x, x.shape[-1] // 2, -1) * sin, qkv.shape)


@functools.lru_cache(maxsize=256)
def _turns(first, t, d):
    """cos and sin, (T, 3, 1, d), for queries, keys, and values (1 and 0). The sine carries the sign of its half."""
    angles = np.arange(first, first + t)[:, None] * 10000.0 ** (-2 * np.arange(d // 2) / d)  # (T, d/2)
    cos, sin = np.ones((t, 3, 1, d)), np.zeros((t, 3, 1, d))
    cos[:, :2, 0] = np.concatenate([np.cos(angles), np.cos(angles)], axis=1)[:, None]
    sin[:, :2, 0] = np.concatenate([-np.sin(angles), np.sin(angles)], axis=1)[:, None]
    return cos, sin


def _linear(inputs, outputs, *, rng, bias, scale=1.0):
    """A linear layer with the weights of (7.5)."""
    layer = nn.Linear(inputs, outputs, bias=bias, rng=rng)
    layer.weight.overwrite(nn.init.normal(layer.weight.shape, std=0.02 * scale, rng=rng))
    if bias:
        layer.bias.overwrite(np.zeros(outputs, dtype=np.float32))
    return layer


def _residual(config):
    """The factor of (7.5) for layers whose output is added to h."""
    return 1 / math.sqrt(2 * config.layers)
