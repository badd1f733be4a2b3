"""Samples for every operation and loss.

One entry per name: a function of d (a source of arrays, draws.py) that yields calls, each a list of input arrays and a
dict of settings. They visit broadcasting, axes of length 1, negative axes, odd sizes, strides that do not divide, and
the corners where an operation is still smooth.
"""

from minigen import ops
from minigen.autograd import OPS
from minigen.samples import Sample, public_functions
from minigen.samples.draws import Draws

CALLS = {
    # The functions whose Tensors are not simply the first arguments.
    "concatenate": lambda *tensors, dim: ops.concatenate(tensors, dim=dim),
    "stack": lambda *tensors, dim: ops.stack(tensors, dim=dim),
    "einsum": lambda *tensors, subscripts: ops.einsum(subscripts, *tensors),
    "where": lambda a, b, condition: ops.where(condition, a, b),
    "scatter_add": lambda x, src, dim, index: ops.scatter_add(x, dim, index, src),
    "slogdet": lambda x: ops.slogdet(x)[1],
    # The factorisation reads one triangle; a step that leaves the symmetric matrices means nothing to it.
    "cholesky": lambda x: ops.cholesky(0.5 * (x + ops.transpose(x))),
    "group_norm": lambda x, weight, bias, num_groups: ops.group_norm(x, num_groups, weight, bias),
    "clip": lambda x, min=None, max=None: ops.clip(x, min=min, max=max),
}


def function_of(name):
    """The function to call for a name: a public one, or an operation of the engine that has no public name."""
    if name in CALLS:
        return CALLS[name]
    return public_functions().get(name) or OPS[name].as_function()


def call(*arrays, **settings):
    return arrays, settings


def any_number(d):
    return [call(d.normal(3, 4)), call(d.normal()), call(d.normal(2, 1, 3))]


def positive(d):
    return [call(d.between(0.3, 3, 3, 4)), call(d.between(0.3, 3)), call(d.between(0.3, 3, 1, 5))]


def kinked(d):
    return [call(d.apart(3, 4)), call(d.apart(2, 1, 3)), call(d.apart())]


def two(d):
    return [
        call(d.normal(3, 4), d.normal(3, 4)), call(d.normal(3, 4), d.normal(4)), call(d.normal(2, 1, 3), d.normal(4, 1)),
        call(d.normal(), d.normal(2)), call(d.normal(1), d.normal(1)),
    ]  # fmt: skip


def two_apart(d):
    x, y = d.apart(2, 3, 4)
    return [call(x, y), call(x, y[:1]), call(x[:, :1], y[0])]


def reduced(d):
    return [
        call(d.normal(3, 4)), call(d.normal(2, 3, 4), dim=1), call(d.normal(2, 3, 4), dim=(0, -1), keepdim=True),
        call(d.normal(1, 5), dim=0), call(d.normal(3, 2), dim=-1, keepdim=True), call(d.normal()),
    ]  # fmt: skip


def extreme(d):
    return [
        call(d.apart(3, 4)), call(d.apart(2, 3, 4), dim=1), call(d.apart(2, 3, 4), dim=(0, -1), keepdim=True),
        call(d.apart(1, 5), dim=-2),
    ]  # fmt: skip


def along(d):
    return [call(d.normal(3, 4), dim=1), call(d.normal(2, 3, 4), dim=0), call(d.normal(5), dim=-1), call(d.normal(1, 3), dim=0)]


def products(d):
    return [
        call(d.normal(3, 4), d.normal(4, 2)), call(d.normal(3, 3), d.normal(3, 3)),
        call(d.normal(2, 3, 4), d.normal(2, 4, 2)), call(d.normal(2, 1, 3, 4), d.normal(5, 4, 1)),
        call(d.normal(4), d.normal(4)), call(d.normal(3, 4), d.normal(4)), call(d.normal(4), d.normal(2, 4, 3)),
    ]  # fmt: skip


def affine(d):
    return [
        call(d.normal(5, 3), d.normal(4, 3), d.normal(4)), call(d.normal(2, 5, 3), d.normal(1, 3), d.normal(1)),
        call(d.normal(3), d.normal(4, 3), d.normal(4)),
    ]  # fmt: skip


def normalised(d):
    return [
        call(d.normal(3, 4), d.normal(4), d.normal(4)), call(d.normal(2, 3, 5), d.normal(5), d.normal(5)),
        call(d.normal(2, 3), d.normal(3), d.normal(3), eps=1e-2),
    ]  # fmt: skip


def batch_normalised(d):
    return [
        call(d.normal(6, 4), d.normal(4), d.normal(4)), call(d.normal(2, 3, 5), d.normal(3), d.normal(3)),
        call(d.normal(2, 3, 2, 4), d.normal(3), d.normal(3)), call(d.normal(4, 1), d.normal(1), d.normal(1), eps=1e-2),
    ]  # fmt: skip


def group_normalised(d):
    return [
        call(d.normal(2, 6, 3), d.normal(6), d.normal(6), num_groups=2),
        call(d.normal(2, 4, 2, 3), d.normal(4), d.normal(4), num_groups=4),
        call(d.normal(3, 4), d.normal(4), d.normal(4), num_groups=1),
    ]


IMAGES = [
    # image, weight, stride, padding, dilation, groups
    ((2, 3, 5, 6), (4, 3, 3, 3), 1, 1, 1, 1),
    ((2, 2, 6, 5), (3, 2, 2, 3), 2, (1, 0), 1, 1),
    ((1, 4, 7, 6), (6, 2, 3, 2), (2, 3), (0, 2), (1, 2), 2),
    ((2, 3, 4, 4), (3, 1, 3, 3), 1, 1, 1, 3),
    ((1, 1, 5, 5), (2, 1, 1, 1), 2, 0, 1, 1),
    ((1, 2, 3, 4), (1, 2, 3, 4), 1, 0, 1, 1),
]


def images(d):
    for image, weight, stride, padding, dilation, groups in IMAGES:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        yield call(d.normal(*image), d.normal(*weight), d.normal(weight[0]), **settings)
    yield call(d.normal(1, 2, 4, 4), d.normal(3, 2, 2, 2))


def sequences(d):
    return [
        call(d.normal(2, 3, 7), d.normal(4, 3, 3), d.normal(4), padding=1),
        call(d.normal(1, 4, 8), d.normal(2, 2, 2), d.normal(2), stride=3, dilation=2, groups=2),
        call(d.normal(2, 1, 4), d.normal(3, 1, 1)),
    ]


def transposed_images(d):
    return [
        call(d.normal(2, 3, 4, 3), d.normal(3, 2, 3, 3), d.normal(2), stride=2, padding=1, output_padding=1),
        call(d.normal(1, 4, 3, 3), d.normal(4, 3, 2, 3), d.normal(6), stride=(1, 2), groups=2),
        call(d.normal(1, 2, 3, 4), d.normal(2, 2, 2, 2), d.normal(2), padding=(0, 1), dilation=2),
        call(d.normal(1, 1, 2, 2), d.normal(1, 1, 1, 1)),
    ]


def _pairs(stride, padding, dilation):
    return {
        name: value if isinstance(value, tuple) else (value, value)
        for name, value in (("stride", stride), ("padding", padding), ("dilation", dilation))
    }


def _output(d, image, weight, pairs, groups):
    """An array of the shape that the convolution has."""
    x, w = d.normal(*image), d.normal(*weight)
    return d.normal(*OPS["convolution"].forward(x, w, **pairs, groups=groups).shape)


def convolutions(d):
    for image, weight, *three, groups in IMAGES:
        yield call(d.normal(*image), d.normal(*weight), **_pairs(*three), groups=groups)


def input_adjoints(d):
    for image, weight, *three, groups in IMAGES:
        pairs = _pairs(*three)
        yield call(_output(d, image, weight, pairs, groups), d.normal(*weight), shape=image, **pairs, groups=groups)


def weight_adjoints(d):
    for image, weight, *three, groups in IMAGES:
        pairs = _pairs(*three)
        yield call(d.normal(*image), _output(d, image, weight, pairs, groups), shape=weight, **pairs, groups=groups)


WINDOWS = [
    ((2, 3, 4, 5), {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}),
    ((1, 2, 6, 5), {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    ((1, 1, 3, 3), {"kernel": (1, 1), "stride": (2, 2), "padding": (0, 1), "dilation": (1, 1)}),
]


def columns(d):
    return [call(d.normal(*image), **settings) for image, settings in WINDOWS]


def images_of_columns(d):
    for image, settings in WINDOWS:
        shape = OPS["im2col"].forward(d.normal(*image), **settings).shape
        yield call(d.normal(*shape), shape=image, **settings)


def attentions(d):
    return [
        call(d.normal(2, 3, 4), d.normal(2, 5, 4), d.normal(2, 5, 3)),
        call(d.normal(2, 2, 4, 3), d.normal(2, 2, 4, 3), d.normal(2, 2, 4, 3), is_causal=True),
        call(d.normal(3, 4), d.normal(3, 4), d.normal(3, 2), attn_mask=[[True, False, True]] * 3),
        call(d.normal(1, 1), d.normal(1, 1), d.normal(1, 1)),
    ]


def indices(d):
    return [
        call(d.normal(4, 5), index=(slice(1, None, 2), slice(None, None, -1))), call(d.normal(4, 5), index=2),
        call(d.normal(4, 3), index=d.whole(4, 6)), call(d.normal(4, 3), index=(d.whole(4, 2, 3), d.whole(3, 2, 3))),
        call(d.normal(3, 4), index=d.mask(3, 4)), call(d.normal(2, 3), index=(None, Ellipsis, -1)),
        call(d.normal(2, 3, 4), index=(0, slice(None), d.whole(4, 5))),
    ]  # fmt: skip


def placed(d):
    for (x,), settings in indices(d):
        yield call(d.normal(*x[settings["index"]].shape), index=settings["index"], shape=x.shape)


TABLE = {
    # -- elementwise
    "add": two, "sub": two, "mul": two, "neg": any_number, "exp": any_number, "expm1": any_number, "sin": any_number,
    "cos": any_number, "tanh": any_number, "sigmoid": any_number, "softplus": any_number, "erf": any_number,
    "silu": any_number, "gelu": any_number, "log": positive, "sqrt": positive, "abs": kinked, "relu": kinked,
    "div": lambda d: [call(a, 1.5 + b * b) for (a, b), _ in two(d)] + [call(d.normal(2, 3), -d.between(0.4, 2, 3))],
    "log1p": lambda d: [call(d.between(-0.6, 2, 3, 4)), call(d.between(-0.1, 0.1)), call(d.between(1, 5, 1, 5))],
    "leaky_relu": lambda d: [*kinked(d), call(d.apart(5), negative_slope=0.2)],
    "elu": lambda d: [*kinked(d), call(d.apart(5), alpha=0.5)],
    "power": lambda d: [
        call(d.normal(3, 4), exponent=2), call(d.normal(3, 4), exponent=3), call(d.normal(3, 4), exponent=1),
        call(d.normal(3), exponent=0), call(d.between(0.3, 3, 2, 1, 3), exponent=-1.5), call(d.between(0.3, 3), exponent=0.5),
    ],
    "raise_to": lambda d: [call(1.2 + a * a, b) for (a, b), _ in two(d)],
    "pow": lambda d: [
        call(d.normal(3, 4), exponent=3), call(d.between(0.3, 3, 4), exponent=-0.5),
        call(d.between(0.3, 3, 3, 1), d.normal(4)), call(d.between(0.3, 3, 2), exponent=d.normal(2)),
    ],
    "maximum": two_apart, "minimum": two_apart,
    "clip": lambda d: [
        call(d.apart(3, 4), min=-0.55, max=0.75), call(d.apart(3, 4), min=0.05), call(d.apart(2, 1, 3), max=-0.05),
    ],
    "where": lambda d: [
        call(d.normal(3, 4), d.normal(3, 4), condition=d.mask(3, 4)), call(d.normal(3, 1), d.normal(4), condition=d.mask(3, 4)),
        call(d.normal(), d.normal(2), condition=d.mask(3, 2)),
    ],
    "select": lambda d: [
        call(d.normal(3, 4), d.normal(3, 4), condition=d.mask(3, 4)), call(d.normal(4), d.normal(3, 1), condition=d.mask(3, 4)),
    ],
    "alias": any_number, "cast": lambda d: [call(d.normal(3, 4), dtype="float64"), call(d.normal(), dtype="float64")],
    # -- reductions
    "sum": reduced, "mean": reduced, "max": extreme, "min": extreme,
    "logsumexp": lambda d: [*reduced(d), call(1e3 + d.normal(3, 4), dim=1)],
    "var": lambda d: [c for c in reduced(d) if c[0][0].ndim and c[0][0].shape[0] > 1] + [call(d.normal(3, 4), dim=0, correction=0)],
    "std": lambda d: [c for c in reduced(d) if c[0][0].ndim and c[0][0].shape[0] > 1] + [call(d.normal(3, 4), dim=1, correction=0)],
    "norm": lambda d: reduced(d)[:5],
    "prod": lambda d: [
        call(d.normal(3, 3)), call(d.normal(2, 5), dim=1), call(d.normal(2, 3, 4), dim=-2, keepdim=True), call(d.normal(1), dim=0),
        call(d.normal(4) * [1, 0, 1, 1]), call(d.normal(2, 4) * [1, 0, 0, 1], dim=1),
    ],
    "cumsum": along, "softmax": lambda d: [*along(d), call(30 * d.normal(2, 3), dim=-1)],
    "log_softmax": lambda d: [*along(d), call(30 * d.normal(2, 3), dim=-1)],
    # -- shapes
    "reshape": lambda d: [call(d.normal(3, 4), shape=(2, -1)), call(d.normal(2, 3), shape=(6,)), call(d.normal(), shape=(1, 1))],
    "permute": lambda d: [call(d.normal(2, 3, 4), dims=(2, 0, 1)), call(d.normal(2, 3, 4), dims=(-1, 1, 0)), call(d.normal(3, 3), dims=(1, 0))],
    "transpose": lambda d: [call(d.normal(2, 3, 4)), call(d.normal(2, 3, 4), dim0=0, dim1=-1), call(d.normal(3, 3))],
    "unsqueeze": lambda d: [call(d.normal(2, 3), dim=1), call(d.normal(2, 3), dim=-1), call(d.normal(), dim=0)],
    "squeeze": lambda d: [call(d.normal(2, 1, 3, 1)), call(d.normal(2, 1, 3), dim=1), call(d.normal(1, 3), dim=-2)],
    "flatten": lambda d: [call(d.normal(2, 3, 4)), call(d.normal(2, 3, 4), start_dim=1), call(d.normal(2, 3, 1, 4), start_dim=1, end_dim=-2)],
    "expand": lambda d: [
        call(d.normal(3, 1), shape=(3, 4)), call(d.normal(1, 3), shape=(2, 5, -1)), call(d.normal(), shape=(2,)),
    ],
    "broadcast_to": lambda d: [call(d.normal(3, 1), shape=(2, 3, 4)), call(d.normal(), shape=(3,)), call(d.normal(2, 3), shape=(2, 3))],
    "sum_to": lambda d: [call(d.normal(2, 3, 4), shape=(3, 1)), call(d.normal(3), shape=()), call(d.normal(2, 3), shape=(2, 3))],
    "concatenate": lambda d: [
        call(d.normal(2, 3), d.normal(4, 3), d.normal(1, 3), dim=0), call(d.normal(2, 3), d.normal(2, 1), dim=-1), call(d.normal(2), dim=0),
    ],
    "stack": lambda d: [call(d.normal(2, 3), d.normal(2, 3), dim=0), call(d.normal(2, 3), d.normal(2, 3), d.normal(2, 3), dim=-1)],
    "split": lambda d: [
        call(d.normal(5, 2), split_size_or_sections=2), call(d.normal(2, 6), split_size_or_sections=[1, 3, 2], dim=-1),
    ],
    "chunk": lambda d: [call(d.normal(5, 2), chunks=2), call(d.normal(2, 6), chunks=3, dim=1)],
    "pad": lambda d: [call(d.normal(2, 3), pad=(1, 2)), call(d.normal(2, 3), pad=(0, 1, 2, 0), value=1.5), call(d.normal(2), pad=(0, 0))],
    "flip": lambda d: [call(d.normal(2, 3), dims=0), call(d.normal(2, 3, 4), dims=(0, -1)), call(d.normal(1, 4), dims=(1,))],
    "roll": lambda d: [
        call(d.normal(2, 3), shifts=1, dims=1), call(d.normal(3, 4), shifts=(1, -2), dims=(0, 1)), call(d.normal(2, 3), shifts=4),
    ],
    # -- indexing
    "getitem": indices, "put_add": placed,
    "gather": lambda d: [
        call(d.normal(3, 4), dim=1, index=d.whole(4, 3, 6)), call(d.normal(3, 4), dim=0, index=d.whole(3, 2, 4)),
        call(d.normal(5), dim=-1, index=d.whole(5, 7)),
    ],
    "scatter_add": lambda d: [
        call(d.normal(3, 4), d.normal(3, 6), dim=1, index=d.whole(4, 3, 6)), call(d.normal(3, 4), d.normal(2, 4), dim=0, index=d.whole(3, 2, 4)),
        call(d.normal(2), d.normal(5), dim=0, index=d.whole(2, 5)),
    ],
    "take": lambda d: [
        call(d.normal(5, 3), index=d.whole(5, 2, 4)), call(d.normal(2, 4), index=d.whole(4, 7) - 4, dim=1), call(d.normal(3), index=d.whole(3)),
    ],
    # -- matrices
    "matmul": products,
    "linear": lambda d: affine(d) + [call(*arrays[:2]) for arrays, _ in affine(d)],
    "affine": affine,
    "einsum": lambda d: [
        call(d.normal(2, 3, 4), d.normal(2, 4, 5), subscripts="bik,bkj->bij"), call(d.normal(3, 4), subscripts="ij->"),
        call(d.normal(3, 4), subscripts="ij->ji"), call(d.normal(3, 4), d.normal(4), d.normal(3, 2), subscripts="ij,j,ik->k"),
        call(d.normal(3, 4), d.normal(5), subscripts="ij,k->ik"), call(d.normal(2, 3), d.normal(2, 3), subscripts="ij,ij->i"),
    ],
    "inverse": lambda d: [call(d.regular(3, 3)), call(d.regular(2, 4, 4)), call(d.between(1, 2, 1, 1))],
    "slogdet": lambda d: [call(d.regular(3, 3)), call(-d.regular(2, 3, 3)), call(d.between(1, 2, 1, 1))],
    "logabsdet": lambda d: [call(d.regular(3, 3)), call(-d.regular(2, 3, 3))],
    "cholesky": lambda d: [call(d.positive_definite(3, 3)), call(d.positive_definite(2, 4, 4)), call(d.between(1, 2, 1, 1))],
    "solve": lambda d: [
        call(d.regular(3, 3), d.normal(3, 2)), call(d.regular(2, 3, 3), d.normal(2, 3, 1)), call(d.regular(4, 4), d.normal(4)),
        call(d.regular(3, 3), d.normal(2, 3, 2)), call(d.regular(2, 3, 3), d.normal(2, 3)),
    ],
    # -- images
    "conv2d": images, "conv1d": sequences, "conv_transpose2d": transposed_images, "convolution": convolutions,
    "convolution_input_adjoint": input_adjoints, "convolution_weight_adjoint": weight_adjoints,
    "im2col": columns, "col2im": images_of_columns,
    "unfold": lambda d: [call(d.normal(1, 2, 4, 5), kernel_size=2), call(d.normal(1, 1, 5, 5), kernel_size=(2, 3), padding=1, stride=2)],
    "max_pool2d": lambda d: [
        call(d.apart(1, 2, 4, 6), kernel_size=2), call(d.apart(2, 1, 5, 5), kernel_size=3, stride=2, padding=1),
        call(d.apart(1, 1, 5, 4), kernel_size=(2, 1), stride=1, dilation=2),
    ],
    "avg_pool2d": lambda d: [
        call(d.normal(1, 2, 4, 6), kernel_size=2), call(d.normal(2, 1, 5, 5), kernel_size=3, stride=2, padding=1), call(d.normal(1, 1, 3, 3), kernel_size=(1, 3)),
    ],
    "upsample_nearest": lambda d: [call(d.normal(2, 3, 2, 3)), call(d.normal(1, 1, 3, 2), scale_factor=3), call(d.normal(1, 2, 2, 2), scale_factor=1)],
    # -- normalisation, attention, losses
    "layer_norm": normalised, "batch_norm": batch_normalised, "group_norm": group_normalised,
    "scaled_dot_product_attention": attentions,
    "cross_entropy": lambda d: [
        call(d.normal(4, 5), target=d.whole(5, 4)), call(20 * d.normal(3, 2), target=d.whole(2, 3), reduction="mean"),
        call(d.normal(2, 4, 3), target=d.whole(4, 2, 3)), call(d.normal(2, 3, 2, 2), target=d.whole(3, 2, 2, 2), reduction="none"),
    ],
    "softmax_cross_entropy": lambda d: [call(d.normal(4, 5), target=d.whole(5, 4)), call(d.normal(3, 1), target=d.whole(1, 3)), call(30 * d.normal(2, 3), target=d.whole(3, 2))],
    "bce_with_logits": lambda d: [
        call(d.apart(3, 4), d.between(0, 1, 3, 4)), call(10 * d.apart(2, 2, 3), d.between(0, 1, 2, 2, 3), reduction="sum"), call(d.apart(4), d.between(0, 1, 4)),
    ],
    "binary_cross_entropy": lambda d: [call(d.apart(3, 4), d.between(0, 1, 3, 4)), call(d.apart(2, 3), d.between(0, 1, 3)), call(20 * d.apart(5), d.between(0, 1, 5))],
    "mse": lambda d: [call(d.normal(3, 4), d.normal(3, 4)), call(d.normal(2, 1, 3), d.normal(2, 1, 3), reduction="mean"), call(d.normal(2), d.normal(2), reduction="none")],
    "squared_error": two,
}  # fmt: skip

CALLS["expand"] = lambda x, shape: ops.expand(x, *shape)
CALLS["pow"] = lambda x, *exponents, exponent=None: ops.pow(x, *exponents) if exponents else ops.pow(x, exponent)


def _entry(name):
    def make(rng):
        return [Sample(function_of(name), arrays, settings) for arrays, settings in TABLE[name](Draws(rng))]

    return make


OPERATIONS = {name: _entry(name) for name in TABLE}
