"""A discriminator that is told the class, and that sees two pictures which should be of one style.

Which letter it is, is known; which typeface it is, nobody says. But it is known which letters *belong together*: a
typeface has all of them. So show the discriminator two pictures x, x′ with the classes y, y′ (an A and an R), real ones
of one typeface, forged ones of one style w. Its best logit is the logarithm of p(x, x′|y, y′) / q(x, x′|y, y′), which
is a sum,

    t(x, x′, y, y′) = t(x, y) + t(x′, y′) + k(x, x′),                                                 (9.10)

the first two ask of each picture alone whether it is a good y, as in (8.17); k asks whether the two go together. From k
alone a generator learns that a style is what the letters of a typeface have in common. With features φ of each picture,

    t(x, y) = v_y · φ + ψ(φ),      k = κ( [e + e′, e ⊙ e′, s] ),                                      (9.11)

where e is a linear map of φ, scaled to mean square 1 (so that no picture, however strange, makes a product e ⊙ e′ that
drowns all else), and s the standard deviation of e + e′ over the pairs of the batch, one number for each of its
dimensions: a forger who has one typeface only is betrayed by a small s. Sums and products do not change if the two
pictures are exchanged.

Sources: (9.10) is packing, Lin et al. 2017, arXiv:1712.04086, of samples that belong together; projection: Miyato &
Koyama 2018, arXiv:1802.05637; s: Karras et al. 2017, arXiv:1710.10196. Differs: packs are made from known pairs, and
compared by features instead of pixels; s is of features of pairs, and not averaged to one number.
"""

import numpy as np

from minigen import nn, ops
from minigen.errors import ShapeError
from minigen.models.gan_networks import Projection


class PairCritic(nn.Module):
    """(x, labels) → logits of pairs: the first half of a batch with the second half, (9.10).

    features:  x → φ(x), (B, F)
    width:     F
    classes:   how many labels there are
    hidden:    of κ, and the size of e

    Shapes:    x (2B, C, H, W), labels (2B,) → (B,)
    """

    def __init__(self, features, width, classes, *, hidden=64, rng):
        self.single = Projection(features, width, classes, rng=rng)
        self.essence = nn.Linear(width, hidden, rng=rng)
        self.compare = nn.Sequential(nn.Linear(3 * hidden, hidden, rng=rng), nn.LeakyReLU(0.2),
                                     nn.Linear(hidden, 1, rng=rng))  # fmt: skip

    def forward(self, x, labels):
        if len(x) % 2:
            raise ShapeError(f"PairCritic: {len(x)} pictures; expected pairs, the first half with the second half")
        half = len(x) // 2
        phi = self.single.features(x)
        alone = self.single.judge(phi, labels)  # (2B,)
        e = self.essence(phi)
        e = e / ops.sqrt(ops.mean(e * e, dim=1, keepdim=True) + 1e-4)
        first, second = e[:half], e[half:]
        total = first + second
        spread = ops.sqrt(ops.mean((total - ops.mean(total, dim=0)) ** 2, dim=0, keepdim=True) + 1e-8)  # (1, hidden)
        spread = ops.expand(spread, half, spread.shape[1])
        together = self.compare(ops.concatenate([total, first * second, spread], dim=1))
        return alone[:half] + alone[half:] + ops.reshape(together, (half,))


def critic_features(widths, outputs, *, size=28, rng):
    """Pictures (B, 1, size, size) → features (B, outputs): the size is halved twice, leaky ReLU everywhere.

    widths:  channels of the three convolutions: to size/2, to size/4, and one that stays there
    """
    if size < 4 or size % 4:
        raise ShapeError(f"critic_features: size is {size}; expected a multiple of 4, for it is halved twice")
    first, second, third = widths
    layers = [
        nn.Conv2d(1, first, 4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(first, second, 4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(second, third, 3, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(third * (size // 4) ** 2, outputs, rng=rng), nn.LeakyReLU(0.2),
    ]  # fmt: skip
    for layer in layers:
        if hasattr(layer, "weight"):
            fan_in = np.prod(layer.weight.shape[1:])
            layer.weight.overwrite((np.sqrt(2 / fan_in) * rng.standard_normal(layer.weight.shape)).astype(np.float32))
    return nn.Sequential(*layers)
