"""Losses: what a model is asked to make small.

Each returns one value per example, (B,), in nats where it is a log-likelihood: the sum over everything that belongs
to the example, never a mean over pixels. Averaging over the batch is the training step's business (`.mean()`). So no
model hides a factor of 1/784 in a reduction. PyTorch's habits are there on request: reduction="mean", "sum" or "none".
"""

import numpy as np

from minigen import kernels
from minigen.autograd.fused import fused
from minigen.errors import ShapeError
from minigen.ops import reduce
from minigen.ops.elementwise import _array, softplus
from minigen.ops.shape import gather, squeeze


@fused(forward=kernels.cross_entropy, backward=kernels.cross_entropy_backward)
def softmax_cross_entropy(logits, *, target):
    """−log softmax(logits)[target].  Shapes: logits (B, V, …), target (B, …) of whole numbers below V → (B, …)"""
    chosen = gather(logits, 1, np.expand_dims(target, 1))  # (B, 1, …)
    return reduce.logsumexp(logits, dim=1) - squeeze(chosen, 1)


@fused(forward=kernels.bce_with_logits, backward=kernels.bce_with_logits_backward)
def binary_cross_entropy(logits, target):
    """−t log σ(l) − (1 − t) log σ(−l), elementwise."""
    return softplus(logits) - logits * target


@fused(forward=kernels.mse, backward=kernels.mse_backward)
def squared_error(x, target):
    """(x − target)², elementwise."""
    return (x - target) * (x - target)


def cross_entropy(logits, target, reduction="example"):
    """−log p(target) under p = softmax(logits), in nats.

    Equation: logsumexp(logits) − logits[target]; gradient softmax − onehot                  [lesson 02]
    Shapes:   logits (B, V, …), target (B, …) of whole numbers below V → (B,), summed over "…"
    Raises:   ShapeError if the shapes do not fit or a target is no class.
    """
    target = np.array(_array(target))  # a copy: backward needs it as it is now
    if logits.ndim < 2 or target.shape != (logits.shape[0], *logits.shape[2:]) or target.dtype.kind not in "iu":
        raise ShapeError(
            f"cross_entropy: logits {tuple(logits.shape)} and target {target.shape} of {target.dtype} do not fit; "
            "expected logits (B, V, …) and whole-number targets (B, …)"
        )
    classes = logits.shape[1]
    if target.size and (target.min() < 0 or target.max() >= classes):
        raise ShapeError(
            f"cross_entropy: targets from {target.min()} to {target.max()}, but there are {classes} classes"
        )
    return _reduced("cross_entropy", softmax_cross_entropy(logits, target=target), reduction)


def bce_with_logits(logits, target, reduction="example"):
    """−log p(target) of independent coin tosses with p = σ(logits), in nats.

    Equation: Σ softplus(l) − l·t.   Shapes: logits and target (B, …) → (B,)
    Raises:   ShapeError if the shapes differ (nothing broadcasts here: it would hide a mistake).
    """
    _same_shape("bce_with_logits", logits, target)
    return _reduced("bce_with_logits", binary_cross_entropy(logits, target), reduction)


def mse(x, target, reduction="example"):
    """Σ (x − target)² per example.  Shapes: x and target (B, …) → (B,).  Raises: ShapeError if they differ."""
    _same_shape("mse", x, target)
    return _reduced("mse", squared_error(x, target), reduction)


def _same_shape(name, x, target):
    if tuple(np.shape(x)) != tuple(np.shape(target)):
        raise ShapeError(f"{name}: shapes {tuple(np.shape(x))} and {tuple(np.shape(target))} differ; expected the same")


def _reduced(name, losses, reduction):
    if reduction == "example":
        return reduce.sum(losses, dim=tuple(range(1, losses.ndim))) if losses.ndim > 1 else losses
    if reduction in ("mean", "sum"):
        return getattr(reduce, reduction)(losses)
    if reduction == "none":
        return losses
    raise ValueError(f'{name}: reduction="{reduction}"; expected "example", "mean", "sum" or "none"')
