"""Layers that may not look ahead: some of their weights are zero, or their picture is shifted.

An autoregressive network must not let output i depend on inputs i, i + 1, …  There are two ways to forbid it. One
multiplies the weight with a *mask* of zeros and ones, W ⊙ M, in the forward pass; the gradient of a masked weight is
then zero too. The other needs no mask: a filter that may see only what lies above and to the left is a smaller filter
on a picture that is *shifted* down or to the right by padding. It costs only the products that count.

A masked filter of k × k weights, m = (k − 1)/2, keeps those that lie before its middle in reading order,

    M[u, v] = 1 if u < 0, or u = 0 and v < 0; at u = v = 0 it is 0 in mask A and 1 in mask B,  |u|, |v| ≤ m.     (6.7)

Layer upon layer of them, A first and then B, has a *blind spot*. A step of one layer goes up by at least one row, and
then right by at most m columns; or it stays in the row and does not go right. So after any number of layers, of the
pixels before (i, j), the output at (i, j) has seen

    (i − a, j + b)  only with  b ≤ m·a  (and b ≤ −1 if a = 0),                                                   (6.8)

and never those further right. Two stacks of features, one for the rows above and one for the own row, see them all:
`minigen.models.pixelcnn`.
"""

import numpy as np

from minigen import ops
from minigen.errors import ShapeError
from minigen.nn.layers import Conv2d, Linear


class MaskedLinear(Linear):
    """y = x (W ⊙ M)ᵀ + b, with a mask M of zeros and ones shaped like W.

    mask:     the layer's own mask, a buffer; the call may be given another one. Without either it is all ones.

    Shapes:   x (…, in_features), mask (out_features, in_features) → (…, out_features)
    Source:   Germain et al. 2015, arXiv:1502.03509, eq. 7.  Differs: nothing.
    Raises:   ShapeError if the mask does not have the weight's shape.
    """

    def __init__(self, in_features, out_features, mask=None, bias=True, *, rng=None):
        super().__init__(in_features, out_features, bias, rng=rng)
        self.mask = None if mask is None else self._checked(mask)

    def forward(self, x, mask=None):
        mask = self.mask if mask is None else self._checked(mask)
        return ops.linear(x, self.weight if mask is None else self.weight * mask, self.bias)

    def _checked(self, mask):
        mask = np.asarray(mask, dtype=self.weight.dtype)
        if mask.shape != self.weight.shape:
            raise ShapeError(f"MaskedLinear: mask {mask.shape} for a weight {self.weight.shape}; expected the same")
        return mask


class MaskedConv2d(Conv2d):
    """A convolution whose filter sees the pixels before its own in reading order: the rows above, and its row's left.

    kind:     "A": the pixel itself is hidden, for the first layer, which looks at the picture; "B": it is seen, for
              later layers, whose own place knows only what lies before.
    Shapes:   x (B, C, H, W) → (B, O, H, W); the kernel is odd, and the picture padded to keep its size.
    Equation: (6.7)
    Source:   van den Oord et al. 2016, arXiv:1601.06759, section 3.4.  Differs: one colour, so no order of colours.
    Raises:   ValueError for an even kernel or another kind.
    """

    def __init__(self, in_channels, out_channels, kernel_size, kind="B", bias=True, *, rng=None):
        if kind not in ("A", "B") or kernel_size % 2 == 0:
            raise ValueError(f"MaskedConv2d: kind={kind!r}, kernel_size={kernel_size}; expected A or B, an odd size")
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias, rng=rng)
        middle = kernel_size // 2
        self.mask = np.zeros((kernel_size, kernel_size), dtype=np.float32)
        self.mask[:middle] = 1
        self.mask[middle, : middle + (kind == "B")] = 1

    def forward(self, x):
        return ops.conv2d(x, self.weight * self.mask, self.bias, **self.settings)


class CausalConv2d(Conv2d):
    """A convolution that sees only the rows above and its own ("down"), or only its own row's left ("right").

    direction:  "down": kernel (kh, kw), kw odd: rows i − kh + 1 … i, columns centred;
                "right": kernel (1, kw): columns j − kw + 1 … j of row i.
    before:     True hides the own row ("down") or the own pixel ("right") too: the picture is shifted one further.
    Shapes:     x (B, C, H, W) → (B, O, H, W)
    Source:     Salimans et al. 2017, arXiv:1701.05517, section 2.3 (shifting instead of masking).  Differs: nothing.
    Raises:     ValueError for a kernel that does not fit the direction.
    """

    def __init__(self, in_channels, out_channels, kernel_size, direction, before=False, bias=True, *, rng=None):
        height, width = kernel_size
        if direction not in ("down", "right") or (height != 1 if direction == "right" else width % 2 == 0):
            raise ValueError(
                f"CausalConv2d: direction={direction!r}, kernel_size={kernel_size}; expected 'down' and an odd width, "
                "or 'right' and height 1"
            )
        down = direction == "down"
        sides = (height - 1 + before, width // 2) if down else (0, width - 1 + before)
        super().__init__(in_channels, out_channels, kernel_size, padding=sides, bias=bias, rng=rng)
        self.direction, self.before = direction, before

    def forward(self, x):
        y = ops.conv2d(x, self.weight, self.bias, **self.settings)  # padded on both sides, so larger than x
        return y[:, :, : x.shape[2], : x.shape[3]]

    def window(self, x):
        """The rows or columns that one place needs, all given, without padding along the direction.

        Shapes:   down: (B, C, kh, W) → (B, O, 1, W); right: (B, C, 1, kw) → (B, O, 1, 1)
        """
        across = self.settings["padding"][1] if self.direction == "down" else 0
        return ops.conv2d(x, self.weight, self.bias, padding=(0, across))
