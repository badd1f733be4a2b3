"""Dropout, compiled: the mask is made from a key while the numbers pass by, and made again for the gradient.

One round of Philox4x64 mixes four words of 64 bits (c₀, c₁, c₂, c₃) with two multiplications, hi and lo the halves of
the 128-bit products, and two words of the key:

    c₀, c₁, c₂, c₃  ←  hi(M₁ c₂) ⊕ c₁ ⊕ k₀,  lo(M₁ c₂),  hi(M₀ c₀) ⊕ c₃ ⊕ k₁,  lo(M₀ c₀)                    (R.1)

then the key moves on by two odd constants. Ten rounds of it, from the counter (n, 0, 0, 0), are block n: 256 bits,
eight elements' worth. NumPy's first block has n = 1, so ours has.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minigen.kernels.jit import device, kernel, prange
from minigen.kernels.layout import writable_view
from minigen.kernels.reference.random import lowest_kept

M0, M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
STEP0, STEP1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
ROUNDS = 10
HALF = np.uint64(32)


@intrinsic
def high(context, a, b):
    """The upper 64 bits of the product of two words: one instruction, for which Python has no operator."""

    def generate(context, builder, signature, values):
        a, b = (builder.zext(value, ir.IntType(128)) for value in values)
        return builder.trunc(builder.lshr(builder.mul(a, b), ir.Constant(ir.IntType(128), 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@device
def block(n, key):
    """The four words of block n."""
    c0, c1, c2, c3 = np.uint64(n), np.uint64(0), np.uint64(0), np.uint64(0)
    k0, k1 = np.uint64(key), np.uint64(0)
    for _ in range(ROUNDS):
        c0, c1, c2, c3 = high(M1, c2) ^ c1 ^ k0, M1 * c2, high(M0, c0) ^ c3 ^ k1, M0 * c0  # (R.1)
        k0, k1 = k0 + STEP0, k1 + STEP1
    return c0, c1, c2, c3


@device
def factor(word, lowest, scale):
    """scale if the word is large enough to be kept, else 0."""
    return scale if np.uint32(word) >= lowest else type(scale)(0)


@kernel
def _dropout(x, y, key, lowest, scale):
    whole = x.size // 8
    for n in prange(whole):
        words = block(n + 1, key)
        for w in range(4):
            i = 8 * n + 2 * w
            y[i] = x[i] * factor(words[w], lowest, scale)
            y[i + 1] = x[i + 1] * factor(words[w] >> HALF, lowest, scale)
    words = block(whole + 1, key)
    for i in range(8 * whole, x.size):
        word = words[(i % 8) // 2] >> (HALF * np.uint64(i % 2))
        y[i] = x[i] * factor(word, lowest, scale)


def dropout(x, p, key):
    """x where its random word is at least p · 2³², divided by 1 − p; 0 elsewhere. The result is in C order."""
    x = writable_view(np.ascontiguousarray(x)).reshape(x.shape)
    y = np.empty_like(x)
    scale = x.dtype.type(1 / (1 - p))
    _dropout(x.reshape(-1), y.reshape(-1), np.uint64(key), lowest_kept(p), scale, work=8 * x.size)
    return y
