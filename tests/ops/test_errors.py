"""Bad shapes and values: the message names the function, the shapes or values it met, and what does not fit."""

import inspect

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import Tensor
from minigen.errors import MinigenError, ShapeError
from minigen.samples import public_functions


def t(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


# function → (call, words that the message must contain), one or more
BAD = {
    "matmul": [
        (lambda: ops.matmul(t(32, 784), t(400, 20)), ["(32, 784)", "(400, 20)", "784 ≠ 400"]),
        (lambda: ops.matmul(t(2, 3, 4), t(5, 4, 2)), ["(2, 3, 4)", "(5, 4, 2)"]),
        (lambda: ops.matmul(t(), t(3)), ["()", "(3,)"]),
        (lambda: t(3, 4) @ t(3), ["4 ≠ 3"]),
    ],
    "linear": [
        (lambda: ops.linear(t(5, 3), t(4, 2)), ["(5, 3)", "(4, 2)"]),
        (lambda: ops.linear(t(5, 3), t(4, 3), t(3)), ["bias (3,)", "(4, 3)"]),
    ],
    "einsum": [
        (lambda: ops.einsum("ij,jk", t(2, 3), t(3, 2)), ["output"]),
        (lambda: ops.einsum("ii->i", t(2, 2)), ["diagonals"]),
        (lambda: ops.einsum("ij,jk->ik", t(2, 3)), ["2 operands, got 1"]),
        (lambda: ops.einsum("ij->i", t(2, 3, 4)), ['"ij"', "(2, 3, 4)"]),
        (lambda: ops.einsum("ij,jk->ik", t(2, 3), t(4, 2)), ["(2, 3)", "(4, 2)"]),
    ],
    "inverse": [
        (lambda: ops.inverse(t(2, 3)), ["square", "(2, 3)"]),
        (lambda: ops.inverse(t(3, 3)), ["(3, 3)", "ingular"]),
    ],
    "cholesky": [
        (lambda: ops.cholesky(t(3)), ["square", "(3,)"]),
        (lambda: ops.cholesky(-1.0 * t(3, 3)), ["(3, 3)", "ositive definite"]),
    ],
    "slogdet": [
        (lambda: ops.slogdet(t(2, 3)), ["square", "(2, 3)"]),
        (lambda: ops.slogdet(t(3, 3)), ["singular", "(3, 3)"]),
    ],
    "solve": [
        (lambda: ops.solve(t(2, 3), t(2)), ["square", "(2, 3)"]),
        (lambda: ops.solve(t(3, 3), t(3)), ["(3, 3)", "ingular"]),
        (lambda: ops.solve(Tensor(np.eye(3)), t(4, 2)), ["(3, 3)", "(4, 2)"]),
    ],
    "reshape": [(lambda: ops.reshape(t(2, 3), shape=(4, 2)), ["(2, 3)", "(4, 2)"])],
    "permute": [
        (lambda: ops.permute(t(2, 3), dims=(0,)), ["(2, 3)", "(0,)"]),
        (lambda: t(2, 3).permute(0, 0), ["(2, 3)", "repeated"]),
    ],
    "transpose": [
        (lambda: ops.transpose(t(2, 3), 0, 2), ["axis 2", "(2, 3)"]),
        (lambda: ops.transpose(t(3)), ["(3,)"]),
    ],
    "unsqueeze": [(lambda: ops.unsqueeze(t(2, 3), 3), ["axis 3", "(2, 3, 1)"])],
    "squeeze": [(lambda: ops.squeeze(t(2, 3), 2), ["axis 2", "(2, 3)"])],
    "flatten": [
        (lambda: ops.flatten(t(2, 3), 2), ["axis 2", "(2, 3)"]),
        (lambda: ops.flatten(t(2, 3), 1, 0), ["start_dim=1", "end_dim=0", "(2, 3)"]),
    ],
    "expand": [
        (lambda: ops.expand(t(2, 3), 3), ["(3,)", "(2, 3)"]),
        (lambda: ops.expand(t(2, 3), 4, 3), ["broadcast_to", "(2, 3)", "(4, 3)"]),
    ],
    "broadcast_to": [(lambda: ops.broadcast_to(t(2, 3), shape=(3, 3)), ["(2, 3)", "(3, 3)"])],
    "concatenate": [
        (lambda: ops.concatenate([t(2, 3), t(2, 4)]), ["(2, 3)", "(2, 4)", "dim=0"]),
        (lambda: ops.concatenate([t(2, 3)], dim=2), ["(2, 3)", "dim=2"]),
        (lambda: ops.concatenate([]), ["at least one"]),
    ],
    "stack": [
        (lambda: ops.stack([t(2, 3), t(3, 2)]), ["(2, 3)", "(3, 2)"]),
        (lambda: ops.stack([t(2), t(2)], dim=2), ["axis 2"]),
    ],
    "split": [
        (lambda: ops.split(t(5, 2), [2, 2]), ["[2, 2]", "4", "(5, 2)"]),
        (lambda: ops.split(t(5, 2), 2, dim=2), ["axis 2", "(5, 2)"]),
        (lambda: ops.split(t(5, 2), 0), ["size 0", "(5, 2)"]),
    ],
    "chunk": [(lambda: ops.chunk(t(5), 2, dim=1), ["axis 1", "(5,)"]), (lambda: ops.chunk(t(5), 0), ["0 pieces"])],
    "pad": [
        (lambda: ops.pad(t(2, 3), (1, 1, 1)), ["(1, 1, 1)", "2 axes"]),
        (lambda: ops.pad(t(2, 3), (1, -1)), ["(1, -1)", "non-negative"]),
        (lambda: ops.pad(t(3), (1, 1, 1, 1)), ["1 axes"]),
    ],
    "flip": [(lambda: ops.flip(t(2, 3), 2), ["(2, 3)", "dims=2"])],
    "roll": [(lambda: ops.roll(t(2, 3), 1, 2), ["(2, 3)", "dims=2"])],
    "gather": [
        (lambda: ops.gather(t(2, 3), 1, np.zeros(2, int)), ["(2,)", "(2, 3)"]),
        (lambda: ops.gather(t(2, 3), 1, np.full((2, 1), 3)), ["3", "axis 1", "(2, 3)"]),
        (lambda: ops.gather(t(2, 3), 2, np.zeros((2, 3), int)), ["axis 2"]),
        (lambda: ops.gather(t(2, 3), 1, np.zeros((3, 1), int)), ["(3, 1)", "(2, 3)"]),
        (lambda: ops.gather(t(2, 3), 1, np.zeros((2, 1))), ["whole numbers", "float64"]),
    ],
    "scatter_add": [
        (lambda: ops.scatter_add(t(2, 3), 1, np.zeros((2, 2), int), t(2, 3)), ["(2, 2)", "(2, 3)"]),
        (lambda: ops.scatter_add(t(2, 3), 1, np.full((2, 2), 9), t(2, 2)), ["9", "axis 1"]),
    ],
    "take": [
        (lambda: ops.take(t(4, 2), np.array([4])), ["4", "axis 0", "(4, 2)"]),
        (lambda: ops.take(t(4, 2), np.array([0.5])), ["whole numbers"]),
        (lambda: ops.take(t(4, 2), np.array([0]), dim=2), ["axis 2"]),
    ],
    "mean": [
        (lambda: ops.mean(t(2, 3), dim=2), ["axis 2", "(2, 3)"]),
        (lambda: ops.mean(t(0, 3), dim=0), ["(0, 3)", "nothing"]),
    ],
    "var": [
        (lambda: ops.var(t(2, 3), dim=2), ["axis 2", "(2, 3)"]),
        (lambda: ops.var(t(1, 3), dim=0), ["1 elements", "correction=1"]),
    ],
    "std": [(lambda: ops.std(t(1, 3), dim=0), ["1 elements", "correction=1"])],
    "norm": [(lambda: ops.norm(t(2, 3), dim=2), ["axis 2", "(2, 3)"])],
    "prod": [
        (lambda: ops.prod(t(2, 3), dim=2), ["axis 2", "(2, 3)"]),
        (lambda: ops.prod(t(0, 3), dim=0), ["(0, 3)", "nothing"]),
    ],
    "conv2d": [
        (lambda: ops.conv2d(t(1, 3, 5, 5), t(2, 4, 3, 3)), ["(1, 3, 5, 5)", "(2, 4, 3, 3)", "groups=1"]),
        (lambda: ops.conv2d(t(1, 1, 2, 2), t(1, 1, 3, 3)), ["3×3", "2×2"]),
        (lambda: ops.conv2d(t(1, 1, 4, 4), t(2, 1, 3, 3), t(3)), ["bias (3,)", "2 output channels"]),
        (lambda: ops.conv2d(t(1, 1, 4, 4), t(2, 1, 3, 3), stride=0), ["stride=(0, 0)"]),
        (lambda: ops.conv2d(t(1, 4, 4, 4), t(3, 2, 3, 3), groups=2), ["groups=2"]),
    ],
    "conv1d": [
        (lambda: ops.conv1d(t(1, 3), t(2, 3, 3)), ["(1, 3)", "(2, 3, 3)", "(B, C, T)"]),
        (lambda: ops.conv1d(t(1, 3, 9), t(2, 4, 3)), ["(1, 3, 9)", "(2, 4, 3)"]),
    ],
    "conv_transpose2d": [
        (lambda: ops.conv_transpose2d(t(1, 3, 2, 2), t(2, 3, 2, 2)), ["(1, 3, 2, 2)", "(2, 3, 2, 2)"]),
        (lambda: ops.conv_transpose2d(t(1, 1, 2, 2), t(1, 1, 2, 2), output_padding=1), ["output_padding=(1, 1)"]),
        (lambda: ops.conv_transpose2d(t(1, 1, 2, 2), t(1, 1, 2, 2), t(3)), ["bias (3,)"]),
    ],
    "max_pool2d": [
        (lambda: ops.max_pool2d(t(3, 3), 2), ["(B, C, H, W)", "(3, 3)"]),
        (lambda: ops.max_pool2d(t(1, 1, 2, 2), 3), ["3×3", "2×2"]),
        (lambda: ops.max_pool2d(t(1, 1, 2, 2), 2, stride=0), ["stride=(0, 0)"]),
        (lambda: ops.max_pool2d(t(1, 1, 2, 2), 2, padding=2), ["padding=(2, 2)", "2×2"]),
    ],
    "avg_pool2d": [(lambda: ops.avg_pool2d(t(1, 1, 2, 2), 3), ["3×3", "2×2"])],
    "upsample_nearest": [
        (lambda: ops.upsample_nearest(t(3, 3)), ["(B, C, H, W)", "(3, 3)"]),
        (lambda: ops.upsample_nearest(t(1, 1, 2, 2), 1.5), ["1.5"]),
    ],
    "unfold": [(lambda: ops.unfold(t(3, 3), 2), ["(B, C, H, W)", "(3, 3)"])],
    "im2col": [
        (lambda: ops.im2col(t(1, 1, 2, 2), (3, 3), (1, 1), (0, 0), (1, 1)), ["(1, 1, 2, 2)", "kernel=(3, 3)"]),
    ],
    "col2im": [
        (lambda: ops.col2im(t(1, 9, 2), (1, 1, 4, 4), (3, 3), (1, 1), (0, 0), (1, 1)), ["(1, 9, 2)", "(1, 1, 4, 4)"]),
    ],
    "layer_norm": [(lambda: ops.layer_norm(t(2, 3), t(4), t(4)), ["(2, 3)", "(4,)"])],
    "rms_norm": [(lambda: ops.rms_norm(t(2, 3), t(4)), ["(2, 3)", "(4,)"])],
    "batch_norm": [(lambda: ops.batch_norm(t(2, 3), t(4), t(4)), ["(2, 3)", "(4,)"])],
    "group_norm": [
        (lambda: ops.group_norm(t(2, 5), 2, t(5), t(5)), ["2 groups", "(2, 5)"]),
        (lambda: ops.group_norm(t(2, 4, 3), 2, t(3), t(3)), ["(2, 4, 3)", "(3,)"]),
        (lambda: ops.group_norm(t(2, 4, 3), 2, t(1, 4), t(4)), ["(2, 4, 3)", "(1, 4)"]),
    ],
    "self_attention": [(lambda: ops.self_attention(t(3, 8), 2), ["(3, 8)", "2 heads"])],
    "scaled_dot_product_attention": [
        (lambda: ops.scaled_dot_product_attention(t(3, 4), t(3, 5), t(3, 5)), ["(3, 4)", "(3, 5)"]),
    ],
    "cross_entropy": [
        (lambda: ops.cross_entropy(t(2, 3), np.zeros(3, int)), ["(2, 3)", "(3,)"]),
        (lambda: ops.cross_entropy(t(2, 3), np.array([0, 3])), ["0 to 3", "3 classes"]),
        (lambda: ops.cross_entropy(t(2, 3), np.zeros(2)), ["float64"]),
    ],
    "bce_with_logits": [(lambda: ops.bce_with_logits(t(2, 3), t(2, 1)), ["(2, 3)", "(2, 1)"])],
    "mse": [(lambda: ops.mse(t(2, 3), t(3)), ["(2, 3)", "(3,)"])],
    "where": [(lambda: ops.where(np.ones(4, bool), t(2, 3), 0.0), ["(2, 3)"])],
    "clip": [(lambda: ops.clip(t(3)), ["min or max"])],
    "argmax": [(lambda: ops.argmax(t(2, 3), dim=2), ["axis 2", "(2, 3)"])],
    "argmin": [(lambda: ops.argmin(t(2, 3), dim=2), ["axis 2", "(2, 3)"])],
}
BAD |= {
    name: [(lambda name=name: getattr(ops, name)(t(2, 3), t(4)), ["(2, 3)", "(4,)"])]
    for name in ("add", "sub", "mul", "div", "maximum", "minimum")
}
BAD |= {
    name: [(lambda name=name: getattr(ops, name)(t(2, 3), dim=2), ["(2, 3)", "dim=2"])]
    for name in ("sum", "max", "min", "logsumexp", "softmax", "log_softmax", "cumsum")
}
BAD["pow"] = [(lambda: t(2, 3) ** t(4), ["(2, 3)", "(4,)"])]

# The name under which an error may appear, where a function hands the work to another.
ALSO = {"where": "select", "pow": "raise_to", "std": "var", "expand": "broadcast_to"}
# Functions of one array that accept every shape.
EVERY_SHAPE = {
    "abs", "neg", "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tanh", "sigmoid", "softplus", "erf", "relu",
    "leaky_relu", "elu", "silu", "gelu", "cast", "dropout",
}  # fmt: skip


@pytest.mark.parametrize(("name", "number"), [(name, i) for name in BAD for i in range(len(BAD[name]))])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input_is_reported_with_its_name_and_shapes(name, number):
    call, words = BAD[name][number]
    with pytest.raises((MinigenError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert message.startswith((f"{name}:", f"{ALSO.get(name, name)}:")), message
    for word in words:
        assert word in message, message
    if name != "clip":  # which complains of missing arguments, not of a shape
        assert isinstance(caught.value, ShapeError)


def test_every_function_is_tried_with_bad_input_or_accepts_every_shape():
    assert set(public_functions()) - set(BAD) == EVERY_SHAPE


def test_a_bad_index_is_reported_with_the_shape():
    with pytest.raises(ShapeError, match=r"getitem: shapes \(2, 3\), index=5"):
        t(2, 3)[5]
    with pytest.raises(ShapeError, match=r"getitem.*too many indices"):
        t(2, 3)[0, 0, 0]


def test_elements_of_the_list_are_functions_of_the_package():
    assert all(callable(getattr(ops, name)) and inspect.getdoc(getattr(ops, name)) for name in ops.__all__)
