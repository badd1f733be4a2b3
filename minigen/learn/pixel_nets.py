"""Small networks of lesson 06 that the models do not need: NADE as a Module, and stacks of masked convolutions.

The stacks show what the choice of masks does (6.7) and where the blind spot lies (6.8). Right is "ABBB…"; any other
word of A and B is one of the lesson's mistakes.
"""

import numpy as np

import minigen as mg
from minigen import likelihoods, nn
from minigen.models.made import nade_log_prob


class Nade(nn.Module):
    """NADE (6.3) for pictures of zeros and ones, ready to be trained.

    Shapes:   W (H, D), c (H,), V (D, 1, H), b (1, D)
    """

    likelihood = likelihoods.Bernoulli()

    def __init__(self, pixels, units, *, rng):
        for name, shape in {"W": (units, pixels), "c": (units,), "V": (pixels, 1, units), "b": (1, pixels)}.items():
            setattr(self, name, mg.tensor(np.float32(0.3 * rng.normal(size=shape)), requires_grad=True))

    def log_prob(self, x):
        """log p(x), (B,), in nats.   Shapes: x (B, D)"""
        return nade_log_prob(x, self.likelihood, self.W, self.c, self.V, self.b, high=1)

    def loss(self, x, *, rng):
        """−log p(x), (B,), in nats. Nothing is drawn from rng: there is one order."""
        return -self.log_prob(x)


def masked_stack(kinds, width=8, *, rng):
    """3×3 masked convolutions (6.7), one for each letter of `kinds`, with relus between.

    Shapes:   (B, 1, H, W) → (B, width, H, W)
    """
    layers = []
    for number, kind in enumerate(kinds):
        layers += [nn.MaskedConv2d(width if number else 1, width, 3, kind, rng=rng), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class MaskedNet(nn.Module):
    """A masked stack that gives each pixel of an 8×8 digit a mixture of five bells; one reading order."""

    likelihood = likelihoods.DiscretizedLogisticMixture(17, components=5)

    def __init__(self, kinds, *, rng):
        self.scaled, self.stack = nn.Scaled(16), masked_stack(kinds, width=32, rng=rng)
        self.last = nn.Conv2d(32, self.likelihood.channels, 1, rng=rng)

    def forward(self, x):
        """The numbers of every pixel's distribution.   Shapes: (B, …) with 64 pixels → (B, channels, 8, 8)"""
        return self.last(mg.relu(self.stack(self.scaled(np.asarray(x).reshape(-1, 1, 8, 8)))))

    def log_prob(self, x):
        """log p(x), (B,), in nats, if the masks are right."""
        return self.likelihood.log_prob(self(x), np.asarray(x).reshape(-1, 8, 8))

    def loss(self, x, *, rng):
        """−log p(x), (B,), in nats. Nothing is drawn from rng: there is one order."""
        return -self.log_prob(x)


@mg.no_grad()
def draw_in_order(net, n, order, *, rng):
    """n digits, pixel by pixel, in an order of one's own; right is that of the training, 0, 1, … 63.

    Shapes:   order (64,) → (n, 8, 8)
    """
    x = np.zeros((n, 8, 8), dtype=np.int64)
    for i, j in (divmod(int(pixel), 8) for pixel in order):
        x[:, i, j] = net.likelihood.sample(net(x)[:, :, i : i + 1, j], rng=rng)[:, 0]
    return x
