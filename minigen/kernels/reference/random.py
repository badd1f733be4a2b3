"""Dropout in plain NumPy: its random numbers are a function of a key and of the place, so no mask need be kept.

Philox is a counter-based generator: block number n of its output is an encryption of n with a key, so any block can be
computed at any time, by any thread. Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; here
Philox4x64 with ten rounds, as in np.random.Philox.
"""

import numpy as np


def dropout(x, p, key):
    """x where a random word is at least p · 2³², divided by 1 − p; 0 elsewhere.

    The element with number i in C order looks at the i-th half (32 bits, lower half first) of the output of
    Philox(key); key is a whole number below 2⁶⁴. Dropout is linear in x, and its own adjoint: the same call with the
    same key takes the gradient back.
    """
    kept = random_words(x.size, key).reshape(x.shape) >= lowest_kept(p)
    return x * (kept * x.dtype.type(1 / (1 - p)))


def random_words(count, key):
    """The first `count` random words of 32 bits that belong to a key."""
    blocks = np.random.Philox(key=int(key)).random_raw((count + 1) // 2)
    return blocks.astype("<u8", copy=False).view("<u4")[:count]


def lowest_kept(p):
    """The smallest random word that is kept: a part p of all words lies below."""
    return np.uint32(min(round(p * 2**32), 2**32 - 1))
