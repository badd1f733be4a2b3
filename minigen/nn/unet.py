"""The U-Net: a network from image to image that sees both the whole and every pixel.

On the way down the image is halved several times, so that a few 3×3 filters come to see all of it; on the way up it is
doubled again, and each map from the way down is put beside its equal on the way up, so that no detail is lost:

    image ─ block block ──────────────────────────── block block ─ image                                (N.2)
                └ ½ ─ block block ────────────── block block ─ 2× ┘
                          └ ½ ─ block block ─ … ─ 2× ┘

A *block* is a residual one that is told the time: it normalises groups of channels (GroupNorm), bends (SiLU), filters;
then scales and shifts each channel by what the time embedding says, bends and filters again,

    h = conv(silu(norm(x))),      y = skip(x) + conv₀(silu(norm(h) (1 + a(t)) + b(t))).                   (N.3)

conv₀ starts at 0, so that each block begins as the identity. On small maps, *attention* lets every place look at every
other.

**Patches.** Full size is where most of the time goes, and where the fewest channels are. With `patch` 2 the image is
first folded: the 2×2 pixels of a square become four channels of one place, and are unfolded at the end. For the same
time the network is three times as wide or sees three times as many batches: on letters of 28×28 pixels that left half
of the distance from the data.

Sources: Ronneberger, Fischer & Brox 2015, arXiv:1505.04597; for diffusion Ho, Jain & Abbeel 2020, arXiv:2006.11239, and
(scale and shift) Dhariwal & Nichol 2021, arXiv:2105.05233; patches: Luhman & Luhman 2022, arXiv:2207.04316. Differs:
one attention per chosen map and level on each way, not one per block; sides that are odd are cut to size on the way up
(7 → 4 → 8 → 7).
"""

import math

from minigen import ops
from minigen.errors import ShapeError
from minigen.nn.container import ModuleList
from minigen.nn.layers import Conv2d, Dropout, GroupNorm, Linear
from minigen.nn.module import Module
from minigen.nn.time import TimeEmbedding, zeroed


class UNet(Module):
    """(x (B, C, H, W), t (B,), labels (B,) or None) → (B, O, H, W), (N.2).

    inputs, outputs:  C and O channels
    width:       channels at full size
    multiples:   channels at each size as multiples of `width`: (1, 2, 2) has three sizes
    blocks:      blocks per size on the way down; on the way up one more
    attention:   at which sizes there is attention, counted from 0 (full size); also in the middle if not empty
    heads:       width of an attention head
    classes:     K, or None; the label K means "no class"
    patch:       side of the squares that are folded into channels; divides H and W
    shift_only:  tell the time by a shift alone, added before the second norm, as Ho et al. did
    """

    def __init__(self, inputs, outputs, *, width=32, multiples=(1, 2, 2), blocks=1, attention=(2,), heads=32,
                 classes=None, dropout=0.0, shift_only=False, patch=1, rng):
        self.classes, self.patch, sizes = classes, patch, len(multiples)
        inputs, outputs = patch**2 * inputs, patch**2 * outputs
        told = 4 * width
        self.embedding = TimeEmbedding(told, waves=width, classes=classes, rng=rng)

        def block(enters, leaves):
            return ResidualBlock(enters, leaves, told, dropout=dropout, shift_only=shift_only, rng=rng)

        def attend(size, channels):
            return SpatialAttention(channels, heads, rng=rng) if size in attention else _Nothing()

        self.first = Conv2d(inputs, width, 3, padding=1, rng=rng)
        self.down, self.down_attention, self.shrink = ModuleList(), ModuleList(), ModuleList()
        channels, kept = width, [width]  # kept: channels of the maps to be put beside on the way up
        for size, multiple in enumerate(multiples):
            for _ in range(blocks):
                self.down.append(block(channels, multiple * width))
                channels = multiple * width
                kept.append(channels)
            self.down_attention.append(attend(size, channels))
            if size < sizes - 1:
                self.shrink.append(Conv2d(channels, channels, 3, stride=2, padding=1, rng=rng))
                kept.append(channels)
        self.middle = ModuleList([block(channels, channels), block(channels, channels)])
        self.middle_attention = SpatialAttention(channels, heads, rng=rng) if attention else _Nothing()
        self.up, self.up_attention, self.grow = ModuleList(), ModuleList(), ModuleList()
        for size, multiple in reversed(list(enumerate(multiples))):
            for _ in range(blocks + 1):
                self.up.append(block(channels + kept.pop(), multiple * width))
                channels = multiple * width
            self.up_attention.append(attend(size, channels))
            if size:
                self.grow.append(Conv2d(channels, channels, 3, padding=1, rng=rng))
        self.norm = GroupNorm(groups_for(channels), channels)
        self.last = zeroed(Conv2d(channels, outputs, 3, padding=1, rng=rng))
        self.sizes, self.blocks = sizes, blocks

    def forward(self, x, t, labels=None):
        x, kept, told = self.seen(x, t, labels)
        up = iter(self.up)
        for size in range(self.sizes):
            for _ in range(self.blocks + 1):
                x = next(up)(ops.concatenate([x, kept.pop()], dim=1), told)
            x = self.up_attention[size](x)
            if size < self.sizes - 1:
                height, width = kept[-1].shape[2:]
                x = ops.upsample_nearest(x, 2)
                x = self.grow[size](x if x.shape[2:] == (height, width) else x[:, :, :height, :width])
        return unfolded(self.last(self.norm(x, activation="silu")), self.patch)

    def seen(self, x, t, labels=None):
        """The way down: the smallest map at the end of its middle, the maps to be put beside on the way up (the last of
        each size has seen its attention), and the embedding."""
        least = self.patch * 2 ** (self.sizes - 1)
        if x.ndim != 4 or min(x.shape[2:]) < least or x.shape[2] % self.patch or x.shape[3] % self.patch:
            folds = f" in patches of {self.patch}," if self.patch > 1 else ""
            raise ShapeError(f"UNet: x {tuple(x.shape)}; expected (B, C, H, W) of at least {least} pixels a side,"
                             f"{folds} for it is halved {self.sizes - 1} times")
        told = ops.silu(self.embedding(t, labels))  # (B, 4·width)
        x = self.first(folded(x, self.patch))
        kept, down = [x], iter(self.down)
        for size in range(self.sizes):
            for _ in range(self.blocks):
                x = next(down)(x, told)
                kept.append(x)
            kept[-1] = x = self.down_attention[size](x)
            if size < self.sizes - 1:
                x = self.shrink[size](x)  # (B, C, ⌈H/2⌉, ⌈W/2⌉)
                kept.append(x)
        return self.middle[1](self.middle_attention(self.middle[0](x, told)), told), kept, told


class ResidualBlock(Module):
    """(N.3).   Shapes: x (B, C, H, W), the time's embedding (B, told) → (B, O, H, W)"""

    def __init__(self, enters, leaves, told, *, dropout=0.0, shift_only=False, rng):
        self.shift_only = shift_only
        self.norm1 = GroupNorm(groups_for(enters), enters)
        self.conv1 = Conv2d(enters, leaves, 3, padding=1, rng=rng)
        self.time = Linear(told, leaves if shift_only else 2 * leaves, rng=rng)
        self.norm2 = GroupNorm(groups_for(leaves), leaves)
        self.dropout = Dropout(dropout, rng=rng)
        self.conv2 = zeroed(Conv2d(leaves, leaves, 3, padding=1, rng=rng))
        self.skip = Conv2d(enters, leaves, 1, rng=rng) if enters != leaves else _Nothing()

    def forward(self, x, told):
        h = self.conv1(self.norm1(x, activation="silu"))
        said = self.time(told)
        if self.shift_only:
            h = self.norm2(h + ops.reshape(said, (len(x), -1, 1, 1)), activation="silu")
        else:
            scale, shift = ops.chunk(said, 2, dim=1)  # (B, O) each
            h = self.norm2(h, activation="silu", scale=1.0 + scale, shift=shift)
        return self.skip(x) + self.conv2(self.dropout(h))


class SpatialAttention(Module):
    """Every place of a map looks at every other; the result is added.   Shapes: (B, C, H, W) → (B, C, H, W)

    width:   of a head; C is cut into C/width heads (one, if width does not divide C)
    """

    def __init__(self, channels, width, *, rng):
        self.heads = channels // width if channels % width == 0 else 1
        self.norm = GroupNorm(groups_for(channels), channels)
        self.qkv = Linear(channels, 3 * channels, rng=rng)
        self.out = zeroed(Linear(channels, channels, rng=rng))

    def forward(self, x):
        places = ops.flatten(self.norm(x), 2).transpose(1, 2)  # (B, C, H, W) → (B, H·W, C)
        seen = self.out(ops.self_attention(self.qkv(places), self.heads))
        return x + ops.reshape(seen.transpose(1, 2), x.shape)


def folded(x, patch):
    """Squares of pixels become channels.   Shapes: (B, C, H, W) → (B, C·p², H/p, W/p)"""
    if patch == 1:
        return x
    batch, channels, height, width = x.shape
    x = ops.reshape(x, (batch, channels, height // patch, patch, width // patch, patch))
    return ops.reshape(ops.permute(x, (0, 1, 3, 5, 2, 4)), (batch, -1, height // patch, width // patch))


def unfolded(x, patch):
    """The inverse of `folded`.   Shapes: (B, C·p², H, W) → (B, C, p·H, p·W)"""
    if patch == 1:
        return x
    batch, _, height, width = x.shape
    x = ops.permute(ops.reshape(x, (batch, -1, patch, patch, height, width)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(x, (batch, -1, patch * height, patch * width))


class _Nothing(Module):
    def forward(self, x):
        return x


def groups_for(channels):
    """How many groups to normalise: the largest divisor of 8 and of the channels."""
    return math.gcd(channels, 8)
