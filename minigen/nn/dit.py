"""The diffusion transformer (DiT): an image as a sequence of patches, told the time through its norms.

Cut the image into patches of p × p pixels, (H/p)(W/p) = T of them; each, as one vector, is a token. A fixed wave
pattern says where it comes from. Then come transformer blocks whose norms have no weights of their own: scale, shift
and a gate g are read off the time (and class) embedding e,

    x ← x + g₁ · attention(norm(x) (1 + a₁) + b₁),      x ← x + g₂ · mlp(norm(x) (1 + a₂) + b₂),           (N.4)

(a₁, b₁, g₁, a₂, b₂, g₂) = W silu(e) + c with W and c starting at 0: at first every gate is shut, and a block is the
identity (*adaLN-zero*). A last layer, also from 0, turns tokens into patches again.

Source: Peebles & Xie 2022, arXiv:2212.09748. Differs: SiLU in place of GELU's tanh form in the mlp; the smallest sizes.
"""

import numpy as np

from minigen import ops
from minigen.errors import ShapeError
from minigen.nn.container import ModuleList
from minigen.nn.layers import Linear
from minigen.nn.module import Module
from minigen.nn.time import TimeEmbedding, sinusoids, zeroed


class DiT(Module):
    """(x (B, C, H, W), t (B,), labels (B,) or None) → (B, O, H, W), (N.4).

    size:     H = W;  patch: p, which divides it
    width, depth, heads:  of the transformer;  classes: K, or None; the label K means "no class"
    Raises:   ShapeError if sizes do not divide, or for images of another size.
    """

    def __init__(self, inputs, outputs, *, size, patch=4, width=128, depth=4, heads=4, classes=None, rng):
        if size % patch or width % heads or width % 4:
            raise ShapeError(f"DiT: size {size}, patch {patch}, width {width}, heads {heads}; expected a patch that "
                             "divides the size, heads that divide the width, and a width that is a multiple of 4")
        self.size, self.patch, self.outputs, self.classes = size, patch, outputs, classes
        side = size // patch
        self.embedding = TimeEmbedding(width, waves=max(64, width), classes=classes, rng=rng)
        self.first = Linear(inputs * patch * patch, width, rng=rng)
        rows, columns = np.divmod(np.arange(side * side, dtype=np.float32), side)
        self.places = np.concatenate([sinusoids(axis, width // 2) for axis in (rows, columns)], axis=1)  # (T, D)
        self.blocks = ModuleList(DiTBlock(width, heads, rng=rng) for _ in range(depth))
        self.adapt = zeroed(Linear(width, 2 * width, rng=rng))
        self.last = zeroed(Linear(width, outputs * patch * patch, rng=rng))

    def forward(self, x, t, labels=None):
        if x.ndim != 4 or x.shape[2:] != (self.size, self.size):
            raise ShapeError(f"DiT: x {tuple(x.shape)}; expected (B, C, {self.size}, {self.size})")
        told = ops.silu(self.embedding(t, labels))
        x = self.first(patches(x, self.patch)) + self.places  # (B, T, D)
        for block in self.blocks:
            x = block(x, told)
        scale, shift = ops.chunk(ops.unsqueeze(self.adapt(told), 1), 2, dim=2)
        return image(self.last(_norm(x) * (1.0 + scale) + shift), self.outputs, self.patch)


class DiTBlock(Module):
    """(N.4).   Shapes: x (B, T, D), the embedding (B, D) → (B, T, D)"""

    def __init__(self, width, heads, *, rng):
        self.heads = heads
        self.adapt = zeroed(Linear(width, 6 * width, rng=rng))
        self.qkv, self.out = Linear(width, 3 * width, rng=rng), Linear(width, width, rng=rng)
        self.inner, self.outer = Linear(width, 4 * width, rng=rng), Linear(4 * width, width, rng=rng)

    def forward(self, x, told):
        scale1, shift1, gate1, scale2, shift2, gate2 = ops.chunk(ops.unsqueeze(self.adapt(told), 1), 6, dim=2)
        seen = ops.self_attention(self.qkv(_norm(x) * (1.0 + scale1) + shift1), self.heads)
        x = x + gate1 * self.out(seen)
        return x + gate2 * self.outer(ops.silu(self.inner(_norm(x) * (1.0 + scale2) + shift2)))


def patches(x, patch):
    """(B, C, H, W) → (B, T, C·p·p), the patches row by row."""
    batch, channels, height, width = x.shape
    x = ops.reshape(x, (batch, channels, height // patch, patch, width // patch, patch))
    x = ops.permute(x, (0, 2, 4, 1, 3, 5))  # (B, H/p, W/p, C, p, p)
    return ops.reshape(x, (batch, (height // patch) * (width // patch), channels * patch * patch))


def image(x, channels, patch):
    """(B, T, C·p·p) → (B, C, H, W), the inverse of `patches` for a square image."""
    side = round(x.shape[1] ** 0.5)
    x = ops.reshape(x, (len(x), side, side, channels, patch, patch))
    x = ops.permute(x, (0, 3, 1, 4, 2, 5))  # (B, C, H/p, p, W/p, p)
    return ops.reshape(x, (len(x), channels, side * patch, side * patch))


def _norm(x):
    width = x.shape[-1]
    return ops.layer_norm(x, np.ones(width, x.dtype), np.zeros(width, x.dtype), eps=1e-6)
