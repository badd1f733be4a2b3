"""A denoiser that knows what a pixel can be: one of a few whole levels.

Let a pixel's value be x_k, k = 0 … L − 1, seen through noise, x_t = α x_k + σ ε. If we knew nothing but how
likely each level is beforehand, π_k, Bayes' rule would give the best guess,

    w_k ∝ π_k exp(−(x_t − α x_k)² / 2σ²),      x̂₀ = Σ_k w_k x_k.                                       (N.5)

All that a network can add is what *the other pixels* say about this one. So let it say π_k = softmax(l)_k for each
pixel, and leave (N.5) to arithmetic: then noise far smaller than the distance of two levels is removed exactly, without
having to be learnt, and a network that says nothing, l = 0, is already the right denoiser of evenly spread levels.

**Levels that have been filled up.** Noise u, uniform over the whole level, makes of a level a *bin* [a_k, a_{k+1}] of
width a, with a constant density (lesson 13). The pixel's density is a staircase with steps π_k, and with noise of
relative size ς = σ/α, seen at y = x_t/α,

    p_ς(y) = Σ_k π_k [Φ((a_{k+1} − y)/ς) − Φ((a_k − y)/ς)] / a.                                          (N.6)

Tweedie's formula x̂₀ = y + ς² (log p_ς)′ gives the mean without integrals: with φ = Φ′,

    x̂₀ = y + ς Σ_k π_k [φ((a_k − y)/ς) − φ((a_{k+1} − y)/ς)] / Σ_k π_k [Φ((a_{k+1} − y)/ς) − Φ((a_k − y)/ς)].   (N.7)

What the network sees is x_t, and beside it (N.5) or its like for bins under evenly spread levels.

Sources: Kingma et al. 2021, arXiv:2107.00630, ends its bound with (N.5) without a network; Austin et al. 2021,
arXiv:2107.03006 and Dieleman et al. 2022, arXiv:2211.15089 let a network say levels. Differs: its output is a prior, to
which the pixel's own evidence is added; the bins.
"""

import math

import numpy as np

from minigen import ops
from minigen.nn.module import Module
from minigen.nn.time import per_example

TINY = 1e-15  # beside a probability, which may be too small for float32; its square is not


class LevelNet(Module):
    """(x_t (B, 1, H, W), time (B,), labels) → x̂₀ (B, 1, H, W), for `Diffusion(…, prediction="x0")`.

    network:   (B, 2, H, W), time (B,) [, labels] → the l above, (B, L, H, W)
    schedule:  of the diffusion: α and σ at its times
    levels:    L, evenly spaced from −1 to 1
    bins:      whether the pixels are whole levels, (N.5), or filled up, (N.7)
    """

    def __init__(self, network, schedule, levels, *, bins=False):
        self.network, self.schedule, self.levels, self.bins = network, schedule, levels, bins
        self.classes = getattr(network, "classes", None)
        self.values = np.linspace(-1, 1, levels)
        self.edges = (np.arange(levels + 1) - levels / 2) * (2 / (levels - 1))

    def forward(self, x, time, labels=None):
        t = np.asarray(time, dtype=np.float64) / self.schedule.time_scale
        y = x * per_example(1 / self.schedule.alpha(t), x)
        ratio = np.exp(-0.5 * self.schedule.log_snr(t))  # ς
        said = self._seen_in_bins if self.bins else self._seen_in_points
        evidence, finish = said(y, ratio)  # (B, L, H, W)
        values = self.values.astype(x.dtype).reshape(1, -1, 1, 1)
        even = ops.sum(evidence * values, dim=1, keepdim=True) / (ops.sum(evidence, dim=1, keepdim=True) + TINY)
        seen = ops.concatenate([x, even], dim=1)
        logits = self.network(seen, time) if labels is None else self.network(seen, time, labels)
        return finish(logits)

    def _seen_in_points(self, y, ratio):
        away = (y - self.values.astype(y.dtype).reshape(1, -1, 1, 1)) * per_example(1 / ratio, y)
        log_evidence = away * away * -0.5
        values = self.values.astype(y.dtype).reshape(1, -1, 1, 1)

        def finish(logits):
            return ops.sum(ops.softmax(logits + log_evidence, dim=1) * values, dim=1, keepdim=True)  # (N.5)

        return ops.softmax(log_evidence, dim=1), finish

    def _seen_in_bins(self, y, ratio):
        # Further out than 4ς there is (almost) no noised pixel, and float32 has no Φ: a solver that looks there is told
        # what holds at 4ς.
        y = ops.minimum(ops.maximum(y, per_example(self.edges[0] - 4 * ratio, y)),
                        per_example(self.edges[-1] + 4 * ratio, y))  # fmt: skip
        away = (self.edges.astype(y.dtype).reshape(1, -1, 1, 1) - y) * per_example(1 / ratio, y)  # (B, L + 1, H, W)
        below = ops.erf(away * math.sqrt(0.5)) * 0.5
        mass = below[:, 1:] - below[:, :-1]
        bell = ops.exp(away * away * -0.5) * (1 / math.sqrt(2 * math.pi))
        pull = bell[:, :-1] - bell[:, 1:]

        def finish(logits):
            prior = ops.softmax(logits, dim=1)
            ratios = ops.sum(prior * pull, dim=1, keepdim=True) / (ops.sum(prior * mass, dim=1, keepdim=True) + TINY)
            return y + ratios * per_example(ratio, y)  # (N.7)

        return mass, finish
