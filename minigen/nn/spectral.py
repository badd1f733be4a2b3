"""Spectral normalisation: a layer that can stretch no input by more than the factor 1.

A linear map W stretches the directions of its input by its singular values, the largest of which is σ(W) = max |Wv|
over |v| = 1. Divide by it,

    W̄ = W / σ(W),                                                                                    (8.14)

and |W̄x| ≤ |x|. A network of such layers, with activations of slope at most 1 between them, has slope at most 1
everywhere: a discriminator that cannot become steep. σ is found by power iteration, from the vector u that was found
last time: the weights change little in a step of training, so one round a step keeps up with them,

    v ← Wᵀu / |Wᵀu|,      u ← Wv / |Wv|,      σ ≈ uᵀWv = |Wᵀu|.                                       (8.15)

u counts as a constant for the gradient, ∂|Wᵀu|/∂W = uvᵀ. When u is the singular vector, nothing is missing: of length
1, it can only turn, and |Wᵀu| is at its largest there, so that a small turn does not change it.

A convolution's W is taken to be its filters as a matrix, (O, C·KH·KW), as in the paper. That is not the exact stretch
of the convolution, which depends on the picture's size and can be up to √(KH·KW) larger.

Source: Miyato, Kataoka, Koyama & Yoshida 2018, arXiv:1802.05957.
"""

import numpy as np

from minigen import ops
from minigen.nn.module import Module, generator


class SpectralNorm(Module):
    """A layer whose weight is divided by its largest singular value, (8.14).

    layer:   a module with a `weight` of at least two axes, whose first counts the outputs: Linear, Conv1d, Conv2d
    rounds:  of (8.15) in each forward pass in training; in evaluation u stays as it is
    Source:  Miyato et al. 2018.  Differs from torch.nn.utils.spectral_norm: a layer around a layer; u starts converged.
    """

    def __init__(self, layer, rounds=1, *, rng=None):
        self.layer, self.rounds = layer, rounds
        self.u = generator(rng).standard_normal(len(layer.weight)).astype(layer.weight.dtype)  # (O,)
        self._iterate(15)

    def _iterate(self, rounds):
        """Improve u by (8.15)."""
        matrix = self.layer.weight.data.reshape(len(self.u), -1)  # (O, I)
        for _ in range(rounds):
            self.u[...] = _direction(matrix @ _direction(self.u @ matrix))

    def sigma(self):
        """σ(W) as far as it is known, a Tensor of one number, with its gradient uvᵀ."""
        if self.training:
            self._iterate(self.rounds)
        return ops.norm(self.u @ ops.reshape(self.layer.weight, (len(self.u), -1)))

    def forward(self, x):
        with self.layer.replaced({"weight": self.layer.weight / self.sigma()}):
            return self.layer(x)


def _direction(vector):
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
