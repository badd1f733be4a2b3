"""Networks for adversarial training: perceptrons for points, convolutions for pictures, and three ways to help D.

**Minibatch discrimination.** A discriminator that judges samples one by one cannot see that they are all alike. This
layer tells each sample how near it is to the others of its batch: features f_i become B vectors M_ib of C numbers,
and

    o_ib = Σ_j exp(−|M_ib − M_jb|₁)                                                                  (8.16)

is appended to f_i.

**Classes by projection.** If the logit is to be t*(x, y) = log p(x, y)/q(x, y) and p(y) = q(y), then with features φ(x)

    t(x, y) = v_y · φ(x) + ψ(φ(x)):                                                                  (8.17)

p(y|x) and q(y|x) are softmaxes of linear functions of φ, their log-ratio for one y is linear in φ up to a term without
y, and log p(x)/q(x) needs no y at all. So the class enters as one vector v_y, not as a further input.

**Convolutions** (DCGAN): G enlarges a small map twice by transposed convolutions with batch normalisation, D halves the
picture twice with strides, leaky ReLU everywhere in D.

Sources: (8.16): Salimans et al. 2016, arXiv:1606.03498; (8.17): Miyato & Koyama 2018, arXiv:1802.05637; DCGAN: Radford,
Metz & Chintala 2015, arXiv:1511.06434. Differs: pictures of 28×28 or another multiple of 4, one channel, in −1 … 1.
"""

import numpy as np

from minigen import nn, ops
from minigen.errors import ShapeError


def mlp(inputs, outputs, *, width, depth, slope=0.0, rng):
    """`depth` hidden layers of `width` neurons with ReLU, or leaky ReLU of this slope.   Shapes: (B, in) → (B, out)"""
    layers = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width, rng=rng), nn.LeakyReLU(slope) if slope else nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs, rng=rng))


class MinibatchDiscrimination(nn.Module):
    """Features with their nearness to the rest of the batch appended, (8.16).   Shapes: (B, F) → (B, F + kernels)

    kernels, dims:  how many vectors M there are, and C, how long each is
    """

    def __init__(self, features, kernels=16, dims=4, *, rng):
        self.kernels, self.dims = kernels, dims
        self.tensor = nn.parameter(0.1 * rng.standard_normal((features, kernels * dims)))

    def forward(self, x):
        m = ops.reshape(x @ self.tensor, (len(x), self.kernels, self.dims))  # (B, kernels, C)
        apart = ops.sum(ops.abs(ops.unsqueeze(m, 0) - ops.unsqueeze(m, 1)), dim=3)  # (B, B, kernels)
        return ops.concatenate([x, ops.sum(ops.exp(-apart), dim=1) - 1.0], dim=1)  # 1: each one's nearness to itself


class Conditional(nn.Module):
    """A generator that is told the class: (z, labels) → network([z, embedding of the class]).

    network:   (B, L + E) → samples
    """

    def __init__(self, network, classes, embedding, *, rng):
        self.network, self.classes = network, classes
        self.embedding = nn.Embedding(classes, embedding, rng=rng)

    def forward(self, z, labels):
        return self.network(ops.concatenate([z, self.embedding(checked_labels(labels, self.classes, len(z)))], dim=1))


class Projection(nn.Module):
    """A discriminator that is told the class, (8.17): (x, labels) → logits (B,).

    features:  x → φ(x), (B, F)
    """

    def __init__(self, features, width, classes, *, rng):
        self.features, self.classes = features, classes
        self.head = nn.Linear(width, 1, rng=rng)  # ψ
        self.vectors = nn.Embedding(classes, width, rng=rng)  # v_y
        self.vectors.weight.overwrite(self.vectors.weight.data / np.sqrt(np.float32(width)))

    def forward(self, x, labels):
        return self.judge(self.features(x), labels)

    def judge(self, phi, labels):
        """The logits, when the features φ(x) are known already.   Shapes: (B, F), (B,) → (B,)"""
        chosen = self.vectors(checked_labels(labels, self.classes, len(phi)))
        return ops.reshape(self.head(phi), (-1,)) + ops.sum(chosen * phi, dim=1)


def dcgan_generator(latent, *, width=32, size=28, rng):
    """(B, L) → pictures (B, 1, size, size) in −1 … 1."""
    small = _quarter("dcgan_generator", size)
    return nn.Sequential(
        nn.Linear(latent, 4 * width * small * small, bias=False, rng=rng),
        nn.Unflatten(1, (4 * width, small, small)),
        nn.BatchNorm2d(4 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 1, 3, padding=1, rng=rng),
        nn.Tanh(),
    )


def dcgan_features(*, width=32, size=28, packing=1, spectral=False, rng):
    """Pictures (B, m, size, size) → features (B, 4·width·(size/4)²): the discriminator without its last layer.

    packing:   m of (8.13), the pictures that come side by side as channels
    spectral:  whether each layer is divided by its largest singular value, (8.14)
    """
    _quarter("dcgan_features", size)

    def layer(inputs, outputs, kernel, stride):
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=1, rng=rng)
        return nn.SpectralNorm(conv, rng=rng) if spectral else conv

    return nn.Sequential(
        layer(packing, width, 3, 1), nn.LeakyReLU(0.2),
        layer(width, 2 * width, 4, 2), nn.LeakyReLU(0.2),
        layer(2 * width, 4 * width, 4, 2), nn.LeakyReLU(0.2),
        nn.Flatten(),
    )  # fmt: skip


def dcgan_discriminator(*, width=32, size=28, packing=1, spectral=False, rng):
    """Pictures (B, m, size, size) → logits (B, 1)."""
    last = nn.Linear(4 * width * (size // 4) ** 2, 1, rng=rng)
    features = dcgan_features(width=width, size=size, packing=packing, spectral=spectral, rng=rng)
    return nn.Sequential(features, nn.SpectralNorm(last, rng=rng) if spectral else last)


def _quarter(name, size):
    if size < 4 or size % 4:
        raise ShapeError(f"{name}: size is {size}; expected a multiple of 4, for it is halved twice")
    return size // 4


def checked_labels(labels, classes, count):
    """Labels as an array, or ShapeError: (count,) whole numbers below `classes`."""
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ShapeError(f"GAN: labels {labels.shape} of {labels.dtype}; expected ({count},) whole numbers")
    if count and not 0 <= labels.min() <= labels.max() < classes:
        raise ShapeError(f"GAN: labels run from {labels.min()} to {labels.max()}; expected 0 to {classes - 1}")
    return labels
