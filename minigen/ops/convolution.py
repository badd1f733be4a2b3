"""Convolution and transposed convolution, for images (B, C, H, W) and sequences (B, C, T).

A convolution y = x ⋆ w is linear in x and linear in w, so three maps close the calculus:

    convolution(x, w)              = y
    convolution_input_adjoint(g, w)  = the gradient for x
    convolution_weight_adjoint(x, g) = the gradient for w

and ⟨g, x ⋆ w⟩ is the same number however you group it, so the derivatives of each of the three are again the other
two. That is all the calculus there is: gradients of any order run on the same three kernels. The input adjoint with
the roles of input and output exchanged is what is called a transposed convolution.
"""

import numpy as np

from minigen import kernels
from minigen.autograd.primitive import primitive
from minigen.errors import ShapeError
from minigen.ops import reduce
from minigen.ops.shape import reshape, unsqueeze


@primitive(
    x=lambda g, weight, x_shape, stride, padding, dilation, groups: convolution_input_adjoint(
        g, weight, x_shape, stride, padding, dilation, groups
    ),
    weight=lambda g, x, weight_shape, stride, padding, dilation, groups: convolution_weight_adjoint(
        x, g, weight_shape, stride, padding, dilation, groups
    ),
)
def convolution(x, weight, stride, padding, dilation, groups):
    """y[b, o, p] = Σ weight[o, c, k] x[b, c, window p at k]; pairs for stride, padding and dilation."""
    return kernels.convolution(x, weight, stride, padding, dilation, groups)


@primitive(
    g=lambda gg, weight, stride, padding, dilation, groups: convolution(gg, weight, stride, padding, dilation, groups),
    weight=lambda gg, g, weight_shape, stride, padding, dilation, groups: convolution_weight_adjoint(
        gg, g, weight_shape, stride, padding, dilation, groups
    ),
)
def convolution_input_adjoint(g, weight, shape, stride, padding, dilation, groups):
    """The adjoint of convolution in its input: from gradients (B, O, OH, OW) to an image of `shape`."""
    return kernels.convolution_input_adjoint(g, weight, shape, stride, padding, dilation, groups)


@primitive(
    x=lambda gw, g, x_shape, stride, padding, dilation, groups: convolution_input_adjoint(
        g, gw, x_shape, stride, padding, dilation, groups
    ),
    g=lambda gw, x, stride, padding, dilation, groups: convolution(x, gw, stride, padding, dilation, groups),
)
def convolution_weight_adjoint(x, g, shape, stride, padding, dilation, groups):
    """The adjoint of convolution in its weight: from an image and gradients to a weight of `shape`."""
    return kernels.convolution_weight_adjoint(x, g, shape, stride, padding, dilation, groups)


# With a bias, which the kernels add where they begin their sums: a pass over the result less.


@primitive(
    x=convolution.op.rules["x"],
    weight=convolution.op.rules["weight"],
    bias=lambda g: reduce.sum(g, dim=(0, 2, 3)),
)
def _biased_convolution(x, weight, bias, stride, padding, dilation, groups):
    return kernels.convolution(x, weight, stride, padding, dilation, groups, bias)


@primitive(
    g=convolution_input_adjoint.op.rules["g"],
    weight=convolution_input_adjoint.op.rules["weight"],
    bias=lambda gg: reduce.sum(gg, dim=(0, 2, 3)),
)
def _biased_input_adjoint(g, weight, bias, shape, stride, padding, dilation, groups):
    return kernels.convolution_input_adjoint(g, weight, shape, stride, padding, dilation, groups, bias)


# -- layers' functions ----------------------------------------------------------------------------------------


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Slide each filter over the image; one output channel per filter.

    Equation: y[b, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] · x[b, c, i·stride + u·dilation − padding, …]
    Shapes:   x (B, C, H, W), weight (O, C/groups, kh, kw), bias (O,) → (B, O, OH, OW),
              OH = ⌊(H + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1
    Raises:   ShapeError if the shapes do not fit or no window fits into the image.
    """
    stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
    _check("conv2d", x, weight, groups)
    _window_counts("conv2d", x, weight.shape[2:], stride, padding, dilation)
    settings = (stride, padding, dilation, groups)
    if bias is None:
        return convolution(x, weight, *settings)
    _check_bias("conv2d", bias, weight.shape[0])
    return _biased_convolution(x, weight, bias, *settings)


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """conv2d on a sequence: x (B, C, T), weight (O, C/groups, k) → (B, O, OT)."""
    _check("conv1d", x, weight, groups, axes=3, layouts="x (B, C, T) and weight (O, C/groups, k)")
    y = conv2d(
        unsqueeze(x, 2), unsqueeze(weight, 2), bias, (1, stride), (0, padding), (1, dilation), groups
    )  # (B, O, 1, OT)
    return reshape(y, shape=(y.shape[0], y.shape[1], y.shape[3]))


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The adjoint of conv2d, used to enlarge: every input pixel paints its filter into the output.

    Shapes:  x (B, C, H, W), weight (C, O/groups, kh, kw), bias (O,) → (B, O, OH, OW),
             OH = (H − 1)·stride − 2·padding + dilation·(kh − 1) + output_padding + 1
    Source:  Dumoulin & Visin 2016, arXiv:1603.07285.  Differs: output_padding must be below stride.
    """
    stride, padding, dilation, extra = _pair(stride), _pair(padding), _pair(dilation), _pair(output_padding)
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[0] or x.shape[1] % groups:
        raise ShapeError(
            f"conv_transpose2d: x {x.shape} and weight {weight.shape} do not fit with groups={groups}; "
            "expected x (B, C, H, W) and weight (C, O/groups, kh, kw)"
        )
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x.shape[2:], stride, padding, dilation, weight.shape[2:], extra, strict=True)
    ]
    if min(size) < 1 or any(e >= s for e, s in zip(extra, stride, strict=True)):
        raise ShapeError(
            f"conv_transpose2d: output size {size} or output_padding={extra} impossible for x {x.shape}, "
            f"stride={stride}, padding={padding}, dilation={dilation}"
        )
    shape = (x.shape[0], weight.shape[1] * groups, *size)
    settings = (shape, stride, padding, dilation, groups)
    if bias is None:
        return convolution_input_adjoint(x, weight, *settings)
    _check_bias("conv_transpose2d", bias, shape[1])
    return _biased_input_adjoint(x, weight, bias, *settings)


# -- windows as columns ---------------------------------------------------------------------------------------


@primitive(
    x=lambda g, x_shape, kernel, stride, padding, dilation: col2im(g, x_shape, kernel, stride, padding, dilation)
)
def im2col(x, kernel, stride, padding, dilation):
    """Windows of an image as columns, (B, C, H, W) → (B, C·kh·kw, OH·OW); PyTorch calls it unfold."""
    return kernels.im2col(x, kernel, stride, padding, dilation)


@primitive(columns=lambda g, kernel, stride, padding, dilation: im2col(g, kernel, stride, padding, dilation))
def col2im(columns, shape, kernel, stride, padding, dilation):
    """The adjoint of im2col: columns added back into an image of `shape`; PyTorch calls it fold."""
    return kernels.col2im(columns, shape, kernel, stride, padding, dilation)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """im2col under PyTorch's name and argument order."""
    if x.ndim != 4:
        raise ShapeError(f"unfold: expected an image (B, C, H, W), got shape {tuple(x.shape)}")
    return im2col(x, _pair(kernel_size), _pair(stride), _pair(padding), _pair(dilation))


def _pair(value):
    return (int(value),) * 2 if isinstance(value, int | np.integer) else tuple(int(v) for v in value)


def _window_counts(name, x, kernel, stride, padding, dilation):
    """How many windows fit along each axis, [OH, OW]."""
    if min(stride) >= 1 and min(dilation) >= 1 and min(padding) >= 0:
        size = [kernels.out_size(*args) for args in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)]
        if min(size) >= 1:
            return size
    raise ShapeError(
        f"{name}: no {kernel[0]}×{kernel[1]} window fits into {x.shape[2]}×{x.shape[3]} "
        f"with stride={stride}, padding={padding}, dilation={dilation}"
    )


def _check_bias(name, bias, channels):
    if tuple(bias.shape) != (channels,):
        raise ShapeError(f"{name}: bias {tuple(bias.shape)} does not fit {channels} output channels")


def _check(name, x, weight, groups, axes=4, layouts="x (B, C, H, W) and weight (O, C/groups, kh, kw)"):
    if x.ndim != axes or weight.ndim != axes or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ShapeError(
            f"{name}: x {tuple(x.shape)} and weight {tuple(weight.shape)} do not fit with groups={groups}; "
            f"expected {layouts}"
        )
