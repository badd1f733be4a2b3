"""Pooling and upsampling of images (B, C, H, W).

Averages and repetitions are linear, so they come as adjoint pairs, whose derivatives are each other. Taking the largest
is linear too, once it is known *where* the largest values are: that is a matter of whole numbers and has no derivative.
So max pooling is two steps: find the positions, pick the pixels there. Gradients of any order pass through the second.
"""

import numpy as np

from minigen import kernels
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.errors import ShapeError


@primitive(x=lambda g, x_shape, kernel, stride, padding: average_pool_adjoint(g, x_shape, kernel, stride, padding))
def average_pool(x, kernel, stride, padding):
    """The mean of each window; pairs for kernel, stride and padding."""
    return kernels.average_pool(x, kernel, stride, padding)


@primitive(g=lambda gg, kernel, stride, padding: average_pool(gg, kernel, stride, padding))
def average_pool_adjoint(g, shape, kernel, stride, padding):
    """The adjoint of average_pool: every pixel spread evenly over its window in an image of `shape`."""
    return kernels.average_pool_adjoint(g, shape, kernel, stride, padding)


@primitive(x=lambda g, x_shape, positions: put(g, positions, x_shape))
def pick(x, positions, found=None):
    """The pixels at `positions`: an array (B, C, …) of i · W + j, for each channel. `found`: if they are known."""
    return kernels.pick(x, positions) if found is None else found


@primitive(g=lambda gg, positions: pick(gg, positions))
def put(g, positions, shape):
    """The adjoint of pick: zeros of the given shape with g added at `positions`."""
    return kernels.put(g, positions, shape)


@primitive(x=lambda g, scale: upsample_adjoint(g, scale))
def upsample(x, scale):
    """Every pixel repeated scale × scale times."""
    return kernels.upsample(x, scale)


@primitive(g=lambda gg, scale: upsample(gg, scale))
def upsample_adjoint(g, scale):
    """The adjoint of upsample: the sum of each block of scale × scale pixels."""
    return kernels.upsample_adjoint(g, scale)


# -- layers' functions ----------------------------------------------------------------------------------------


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1):
    """The largest value in each window; stride defaults to the window's size.

    Among equal values the first one gets the gradient, as in PyTorch. Padding is never the largest.

    Raises: ShapeError if no window fits, or if one holds nothing but padding.
    """
    kernel, stride, padding, dilation = _settings("max_pool2d", x, kernel_size, stride, padding, dilation)
    array = x._data if isinstance(x, Tensor) else x
    found, positions = kernels.largest(array, kernel, stride, padding, dilation)
    if max(padding) and positions.min(initial=0) < 0:
        raise ShapeError(
            f"max_pool2d: padding={padding} leaves {kernel[0]}×{kernel[1]} windows with nothing but padding in an "
            f"image of {x.shape[2]}×{x.shape[3]}, dilation={dilation}"
        )
    return pick(x, positions, found)


def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """The mean of each window (padding counts as zeros); stride defaults to the window's size."""
    kernel, stride, padding, _ = _settings("avg_pool2d", x, kernel_size, stride, padding, 1)
    return average_pool(x, kernel, stride, padding)


def upsample_nearest(x, scale_factor=2):
    """Repeat every pixel scale × scale times.  (B, C, H, W) → (B, C, H·scale, W·scale)"""
    if x.ndim != 4:
        raise ShapeError(f"upsample_nearest: expected an image (B, C, H, W), got shape {tuple(x.shape)}")
    if int(scale_factor) != scale_factor or scale_factor < 1:
        raise ShapeError(f"upsample_nearest: scale_factor {scale_factor}; expected a positive whole number")
    return upsample(x, int(scale_factor))


def _settings(name, x, kernel_size, stride, padding, dilation):
    """kernel, stride, padding and dilation as pairs, checked against x."""
    kernel, padding, dilation = _pair(kernel_size), _pair(padding), _pair(dilation)
    stride = _pair(kernel_size if stride is None else stride)
    if x.ndim != 4:
        raise ShapeError(f"{name}: expected an image (B, C, H, W), got shape {tuple(x.shape)}")
    if min(*kernel, *stride, *dilation) >= 1 and min(padding) >= 0:
        if min(map(kernels.out_size, x.shape[2:], kernel, stride, padding, dilation)) >= 1:
            return kernel, stride, padding, dilation
    raise ShapeError(
        f"{name}: no {kernel[0]}×{kernel[1]} window fits into {x.shape[2]}×{x.shape[3]} "
        f"with stride={stride}, padding={padding}, dilation={dilation}"
    )


def _pair(value):
    return (int(value),) * 2 if isinstance(value, int | np.integer) else tuple(int(v) for v in value)
