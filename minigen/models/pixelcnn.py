"""PixelCNN: a convolutional network that gives every pixel's distribution from the pixels before it.

By the chain rule any density of pictures is a product over the pixels in reading order,

    p(x) = Π_i p(x_i | x_1 … x_{i−1}),    log p(x) = Σ_i log p(x_i | x_<i).                              (6.9)

One network computes all factors at once, if its output at pixel i depends on x_<i only. A convolution knows where
things are relative to each other, so the same few weights serve every pixel.

**No blind spot.** A filter with everything after its middle masked away, applied layer upon layer, never sees the
pixels to the right in the rows just above: each layer can go right only by going up. So keep two stacks of features.
The *vertical* stack v sees whole rows; it may, because no row from its own on is ever shown to it:

    v⁰ = the picture shifted down by a row, convolved;    v^{l+1} from rows i − 1 and i of v^l.           (6.10)

The *horizontal* stack h sees its own row up to the pixel before, and hears from v at its own place:

    h⁰ = the picture shifted right by a pixel, convolved; h^{l+1} from columns j − 1, j of h^l, and v^l.  (6.11)

v at (i, j) knows all rows above i, h the pixels left of j in row i: together, everything before (i, j).

**Gates.** Each layer computes two sets of features, and one decides how much of the other passes:

    y = tanh(a + c_a) ⊙ σ(b + c_b).                                                                     (6.12)

c is the *condition*: a learnt vector for a class, the same at every pixel. (Where the ink of a class lies is told by an
offset that each pixel has for each class, added to v⁰ and h⁰.) Residual sums carry h past each layer, and every layer
sends a copy to the output (skip connections). Dropout acts on the gated features.

**Several reading orders.** Nothing is special about beginning at the top left. Flipped and transposed, a picture can be
read in K = 8 orders (4 if it is not square). The same network, told which order is meant, learns them all; each gives a
density, and so does their average:

    p(x) = 1/K Σ_o p(x | order o),    −log p(x) ≤ 1/K Σ_o −log p(x | order o).                            (6.13)

The right side (by Jensen's inequality) is what training makes small. A picture of which one half is given is completed
in an order that reads the given half first.

Sources: van den Oord et al. 2016, arXiv:1606.05328 (gates, two stacks, conditions); shifts, dropout, mixtures of
logistics: Salimans et al. 2017, arXiv:1701.05517; orders averaged: Uria et al. 2014, arXiv:1310.1757. Differs: the
vertical stack has residual sums too; each place has a learnt offset for each order and class; orders are the eight of a
square.
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import ShapeError


class GatedLayer(nn.Module):
    """One layer of both stacks, (6.10) to (6.12). All features are (B, C, H, W)."""

    def __init__(self, width, conditions, *, dropout, rng):
        self.down = nn.CausalConv2d(width, 2 * width, (2, 3), "down", rng=rng)
        self.right = nn.CausalConv2d(width, 2 * width, (1, 2), "right", rng=rng)
        self.across = nn.Conv2d(2 * width, 2 * width, 1, bias=False, rng=rng)
        self.out = nn.Conv2d(width, 2 * width, 1, rng=rng)  # residual and skip
        self.condition = nn.Embedding(conditions, 4 * width, rng=rng)
        self.condition.weight.overwrite(np.zeros(self.condition.weight.shape))
        self.dropout = nn.Dropout(dropout, rng=rng)

    def forward(self, v, h, condition):
        """The next v and h, and what goes to the output."""
        return self.join(v, h, self.down(v), self.right(h), condition)

    def join(self, v, h, seen_v, seen_h, condition):
        """The same, when what the two convolutions saw is known."""
        h, skip = self.across_and_out(h, seen_v, seen_h, condition)
        return self.next_v(v, seen_v, condition), h, skip

    def next_v(self, v, seen, condition):
        """v^{l+1} from v^l and the convolution of it."""
        return v + self.dropout(gate(seen + self._condition(condition, 0)))

    def across_and_out(self, h, seen_v, seen_h, condition):
        """h^{l+1} and the skip from h^l and both convolutions."""
        y = gate(seen_h + self.across(seen_v) + self._condition(condition, 1))
        residual, skip = ops.chunk(self.out(self.dropout(y)), 2, dim=1)
        return h + residual, skip

    def _condition(self, condition, stack):
        """c of (6.12), (B, 2·C, 1, 1)."""
        vectors = ops.chunk(self.condition(condition), 2, dim=1)[stack]
        return ops.reshape(vectors, (*vectors.shape, 1, 1))


def gate(x):
    """tanh(a) ⊙ σ(b), (6.12): a and b are the two halves of the channels, (B, 2·C, H, W) → (B, C, H, W)."""
    a, b = ops.chunk(x, 2, dim=1)
    return ops.tanh(a) * ops.sigmoid(b)


class PixelCNN(nn.Module):
    """A gated PixelCNN over pictures of one channel.

    likelihood:  one of minigen.likelihoods with whole values: what the network's numbers mean for one pixel
    size:        (H, W)
    high:        the largest value of a pixel
    width, layers, dropout:  C, the number of gated layers, the probability of dropping a gated feature
    orders:      K of (6.13): 1, 2, 4 or 8 reading orders
    classes:     0, or how many classes there are: then log_prob and sample want labels
    """

    def __init__(self, likelihood, size, *, high, width=48, layers=6, dropout=0.0, orders=1, classes=0, rng):
        height, across = size
        if orders not in (1, 2, 4, 8) or (orders == 8 and height != across):
            raise ShapeError(
                f"PixelCNN: orders={orders} for pictures {height}×{across}; expected 1, 2, 4, or 8 if square"
            )
        self.likelihood, self.size, self.orders, self.classes = likelihood, (height, across), orders, classes
        self.scaled = nn.Scaled(high)
        conditions = orders * max(classes, 1)
        self.first_down = nn.CausalConv2d(1, width, (3, 5), "down", before=True, rng=rng)
        self.first_right = nn.CausalConv2d(1, width, (1, 3), "right", before=True, rng=rng)
        self.place = nn.Embedding(conditions, 2 * width * height * across, rng=rng)  # an offset for each pixel
        self.place.weight.overwrite(0.1 * self.place.weight.data)
        self.layers = nn.ModuleList(GatedLayer(width, conditions, dropout=dropout, rng=rng)
                                    for _ in range(layers))  # fmt: skip
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.hidden = nn.Conv2d(width, 2 * width, 1, rng=rng)
        self.last = nn.Conv2d(2 * width, likelihood.channels, 1, rng=rng)
        self.last.bias.overwrite(likelihood.initial_bias(1)[:, 0])
        self._reading = reading_orders(height, across)[:orders]  # (K, H·W)

    def forward(self, x, order, labels=None):
        """Pictures as they lie in their reading order, (B, H, W) → the numbers of every pixel, (B, channels, H, W)."""
        condition = self._conditions(order, labels)
        x = ops.reshape(self.scaled(x), (len(x), 1, *self.size))
        place_v, place_h = self._places(condition)
        v, h = self.first_down(x) + place_v, self.first_right(x) + place_h
        skips = 0.0
        for layer in self.layers:
            v, h, skip = layer(v, h, condition)
            skips = skips + skip
        return self._numbers(skips)

    def _numbers(self, skips):
        return self.last(self.dropout(ops.silu(self.hidden(ops.silu(skips)))))

    def _places(self, condition):
        return ops.chunk(ops.reshape(self.place(condition), (len(condition), -1, *self.size)), 2, dim=1)

    def _conditions(self, order, labels):
        """One whole number for the pair (class, order) of each picture."""
        if (labels is None) == bool(self.classes):
            raise ShapeError(f"PixelCNN: labels {'missing' if self.classes else 'given'} for {self.classes} classes")
        if labels is None:
            return order
        labels = np.asarray(labels)
        if labels.shape != order.shape:
            raise ShapeError(f"PixelCNN: labels {labels.shape} for {len(order)} pictures")
        return labels * self.orders + order

    # -- likelihood -------------------------------------------------------------------------------------------

    def loss(self, x, labels=None, *, rng):
        """−log p(x | order), the order drawn for each picture: what training makes small, (6.13). (B,), in nats."""
        order = rng.integers(self.orders, size=len(x))
        return -self.log_prob_in_order(x, order, labels)

    def log_prob_in_order(self, x, order, labels=None):
        """log p(x | order) by (6.9), (B,), in nats; order: a whole number below K for each picture."""
        pixels = np.take_along_axis(self._flat(x, "log_prob"), self._reading[order], axis=1)
        pixels = pixels.reshape(len(x), *self.size)
        return self.likelihood.log_prob(self(pixels, order, labels), pixels)

    def log_prob(self, x, labels=None):
        """log p(x), the average over all orders, (6.13): exact, (B,), in nats."""
        each = [self.log_prob_in_order(x, np.full(len(x), order), labels) for order in range(self.orders)]
        return each[0] if self.orders == 1 else ops.logsumexp(ops.stack(each), dim=0) - math.log(self.orders)

    def _flat(self, x, name):
        x = np.asarray(x.data if isinstance(x, Tensor) else x)
        if x.ndim < 2 or math.prod(x.shape[1:]) != math.prod(self.size):
            raise ShapeError(f"PixelCNN.{name}: pictures {x.shape}; expected (B, …) with {self.size} pixels each")
        return x.reshape(len(x), -1)

    # -- sampling ---------------------------------------------------------------------------------------------

    def sample(self, n, labels=None, *, rng, cache=True):
        """n new pictures, (n, H, W), pixel by pixel, each in a reading order drawn for it."""
        order = rng.integers(self.orders, size=n)
        nothing = np.zeros((n, math.prod(self.size)), dtype=np.int64)
        return self._draw(nothing, nothing.astype(bool), order, labels, rng, cache)

    def complete(self, x, known, labels=None, *, rng, cache=True):
        """Pictures x of which the pixels where `known` is True are given; the others are drawn. (B, H, W)

        known is (H, W), for all pictures, or (B, H, W). The order is the one in which the fewest known pixels come
        after an unknown one. If there are none, the completion is an exact draw from p(unknown | known, order).
        Otherwise a pixel is drawn in ignorance of known ones that come after it.
        """
        x = self._flat(x, "complete")
        known = np.asarray(known)
        if known.dtype != bool or known.shape not in (self.size, (len(x), *self.size)):
            raise ShapeError(f"PixelCNN.complete: known {known.shape} of {known.dtype}; expected bool {self.size}, "
                             f"or ({len(x)}, {self.size[0]}, {self.size[1]})")
        known = np.broadcast_to(known, (len(x), *self.size)).reshape(len(x), -1)
        read = known[:, self._reading]  # (B, K, H·W)
        late = (read & (np.cumsum(~read, axis=-1) > 0)).sum(axis=-1)  # known pixels after an unknown one
        return self._draw(x, known, np.argmin(late, axis=1), labels, rng, cache)

    @no_grad()
    def _draw(self, x, known, order, labels, rng, cache):
        """Fill in what is not known, in reading order. x and known are (B, H·W), in the picture's own order."""
        reading = self._reading[order]  # (B, H·W)
        x, known = (np.take_along_axis(a, reading, axis=1).reshape(-1, *self.size) for a in (x, known))
        x = np.where(known, x, 0)
        training = self.training
        self.eval()
        walk = _Walk(self, order, labels) if cache else None
        for i, j in np.ndindex(self.size):
            if walk is None:
                numbers = self(x, order, labels)[:, :, i : i + 1, j]
            else:
                numbers = walk.numbers(x, i, j)
            drawn = self.likelihood.sample(numbers, rng=rng)[:, 0]
            x[:, i, j] = np.where(known[:, i, j], x[:, i, j], drawn)
        self.train(training)
        result = np.empty_like(x).reshape(len(x), -1)
        np.put_along_axis(result, reading, x.reshape(len(x), -1), axis=1)
        return result.reshape(-1, *self.size)


class _Walk:
    """What sampling remembers, so that it computes every feature once and not once for each pixel.

    The vertical stack at row i needs row i − 1 of each layer: it runs once per row. The horizontal stack at column j
    needs column j − 1 of each layer. So H·W passes over the whole picture shrink to about one. For 64 digits of 8×8
    that was 6 times faster on two cores (0.08 s against 0.5 s), for a single one, where each call's fixed cost
    outweighs the arithmetic, 1.7 times.
    """

    def __init__(self, model, order, labels):
        self.model = model
        self.condition = model._conditions(order, labels)
        self.places = model._places(self.condition)
        self.above = None  # v of each layer at row i − 1, (B, C, 1, W)

    def numbers(self, x, i, j):
        """The likelihood's numbers for pixel (i, j) of x (B, H, W), given all before it: (B, channels, 1)."""
        if j == 0:
            self._row(x, i)
        model = self.model
        h = model.first_right.window(self._pixels(x, [i], range(j - 3, j)))
        h = h + self.places[1][:, :, i : i + 1, j : j + 1]
        skips = 0.0
        for number, layer in enumerate(model.layers):
            left, self.left[number] = self.left[number], h
            seen = layer.right.window(ops.concatenate([left, h], dim=3))
            h, skip = layer.across_and_out(h, self.seen[number][:, :, :, j : j + 1], seen, self.condition)
            skips = skips + skip
        return model._numbers(skips)[:, :, :, 0]

    def _row(self, x, i):
        """The vertical stack at row i: what its convolutions saw, for each layer."""
        model = self.model
        v = model.first_down.window(self._pixels(x, range(i - 3, i), range(x.shape[2])))
        v = v + self.places[0][:, :, i : i + 1]
        self.seen, rows = [], []
        zero = Tensor(np.zeros(v.shape, dtype=v.dtype))
        for number, layer in enumerate(model.layers):
            rows.append(v)
            above = zero if self.above is None else self.above[number]
            self.seen.append(layer.down.window(ops.concatenate([above, v], dim=2)))
            v = layer.next_v(v, self.seen[number], self.condition)
        self.above = rows
        self.left = [zero[:, :, :, :1]] * len(rows)

    def _pixels(self, x, rows, columns):
        """Scaled pixels (B, 1, rows, columns), 0 outside the picture, as padding makes it."""
        y = np.zeros((len(x), 1, len(rows), len(columns)), dtype=self.places[0].dtype)
        for a, i in enumerate(rows):
            for b, j in enumerate(columns):
                if i >= 0 and j >= 0:
                    y[:, 0, a, b] = self.model.scaled(Tensor(x[:, i, j].astype(y.dtype))).data
        return Tensor(y)


def reading_orders(height, width):
    """The pixels' numbers in each order of reading, (4, H·W) or (8, H·W) for a square; the first is the usual one."""
    numbers = np.arange(height * width).reshape(height, width)
    flipped = [numbers, numbers[::-1, ::-1], numbers[::-1], numbers[:, ::-1]]
    turned = [order.T for order in flipped] if height == width else []
    return np.stack([order.reshape(-1) for order in flipped + turned])
