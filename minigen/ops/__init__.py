"""Every differentiable operation, each with its gradient rule beside it.

elementwise.py, reduce.py, shape.py, linalg.py, convolution.py, normalization.py, attention.py and loss.py declare them;
methods.py makes `x + y`, `x[0]` and `x.sum()` work on Tensors.
"""

from minigen.autograd.broadcasting import broadcast_to
from minigen.ops import methods  # noqa: F401  (installs the operators on Tensor)
from minigen.ops.attention import scaled_dot_product_attention, self_attention
from minigen.ops.convolution import (
    col2im,
    conv1d,
    conv2d,
    conv_transpose2d,
    im2col,
    unfold,
)  # fmt: skip
from minigen.ops.elementwise import (
    abs,
    add,
    clip,
    cos,
    div,
    dropout,
    elu,
    erf,
    exp,
    expm1,
    gelu,
    leaky_relu,
    log,
    log1p,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    relu,
    sigmoid,
    silu,
    sin,
    softplus,
    sqrt,
    sub,
    tanh,
    where,
)  # fmt: skip
from minigen.ops.linalg import cholesky, einsum, inverse, linear, matmul, slogdet, solve
from minigen.ops.loss import bce_with_logits, cross_entropy, mse
from minigen.ops.methods import cast
from minigen.ops.normalization import batch_norm, group_norm, layer_norm, rms_norm
from minigen.ops.pooling import avg_pool2d, max_pool2d, upsample_nearest
from minigen.ops.reduce import (
    argmax,
    argmin,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    softmax,
    std,
    sum,
    var,
)  # fmt: skip
from minigen.ops.shape import (
    chunk,
    concatenate,
    expand,
    flatten,
    flip,
    gather,
    pad,
    permute,
    reshape,
    roll,
    scatter_add,
    split,
    squeeze,
    stack,
    take,
    transpose,
    unsqueeze,
)  # fmt: skip

cat = concatenate  # PyTorch's name

__all__ = [name for name, value in list(globals().items()) if callable(value) and not name.startswith("_")]
