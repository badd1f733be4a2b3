"""Samples for what sums products: matrices, convolution, normalisation, attention, and the losses."""

from minigen.autograd import OPS
from minigen.samples.draws import call
from minigen.samples.elementwise import two


def products(d):
    """Matrices, batches of matrices, and vectors on either side."""
    return [
        call(d.normal(3, 4), d.normal(4, 2)), call(d.normal(3, 3), d.normal(3, 3)),
        call(d.normal(2, 3, 4), d.normal(2, 4, 2)), call(d.normal(2, 1, 3, 4), d.normal(5, 4, 1)),
        call(d.normal(4), d.normal(4)), call(d.normal(3, 4), d.normal(4)), call(d.normal(4), d.normal(2, 4, 3)),
    ]  # fmt: skip


def affine(d):
    """Input, weight and bias of a linear layer."""
    return [
        call(d.normal(5, 3), d.normal(4, 3), d.normal(4)), call(d.normal(2, 5, 3), d.normal(1, 3), d.normal(1)),
        call(d.normal(3), d.normal(4, 3), d.normal(4)),
    ]  # fmt: skip


def normalised(d):
    """Input, weight and bias, normalised over the last axis."""
    return [
        call(d.normal(3, 4), d.normal(4), d.normal(4)), call(d.normal(2, 3, 5), d.normal(5), d.normal(5)),
        call(d.normal(2, 3), d.normal(3), d.normal(3), eps=1e-2),
    ]  # fmt: skip


def batch_normalised(d):
    """The same over the batch."""
    return [
        call(d.normal(6, 4), d.normal(4), d.normal(4)), call(d.normal(2, 3, 5), d.normal(3), d.normal(3)),
        call(d.normal(2, 3, 2, 4), d.normal(3), d.normal(3)), call(d.normal(4, 1), d.normal(1), d.normal(1), eps=1e-2),
    ]  # fmt: skip


def group_normalised(d):
    """The same over groups of channels."""
    return [
        call(d.normal(2, 6, 3), d.normal(6), d.normal(6), num_groups=2),
        call(d.normal(2, 4, 2, 3), d.normal(4), d.normal(4), num_groups=4),
        call(d.normal(3, 4), d.normal(4), d.normal(4), num_groups=1),
        call(d.normal(2, 4, 3), d.normal(4), d.normal(2, 4), num_groups=2),  # a bias for each example
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
    """Image, filters and bias."""
    for image, weight, stride, padding, dilation, groups in IMAGES:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        yield call(d.normal(*image), d.normal(*weight), d.normal(weight[0]), **settings)
    yield call(d.normal(1, 2, 4, 4), d.normal(3, 2, 2, 2))


def sequences(d):
    """Sequence, filters and bias."""
    return [
        call(d.normal(2, 3, 7), d.normal(4, 3, 3), d.normal(4), padding=1),
        call(d.normal(1, 4, 8), d.normal(2, 2, 2), d.normal(2), stride=3, dilation=2, groups=2),
        call(d.normal(2, 1, 4), d.normal(3, 1, 1)),
    ]


def transposed_images(d):
    """Image, filters and bias of a transposed convolution."""
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
    """Image and filters, with every setting as a pair."""
    for image, weight, *three, groups in IMAGES:
        yield call(d.normal(*image), d.normal(*weight), **_pairs(*three), groups=groups)


def input_adjoints(d):
    """Gradient and filters."""
    for image, weight, *three, groups in IMAGES:
        pairs = _pairs(*three)
        yield call(_output(d, image, weight, pairs, groups), d.normal(*weight), shape=image, **pairs, groups=groups)


def weight_adjoints(d):
    """Image and gradient."""
    for image, weight, *three, groups in IMAGES:
        pairs = _pairs(*three)
        yield call(d.normal(*image), _output(d, image, weight, pairs, groups), shape=weight, **pairs, groups=groups)


def biased_convolutions(d):
    """Image, filters and a bias per output channel."""
    for (image, weight), settings in convolutions(d):
        yield call(image, weight, d.normal(len(weight)), **settings)


def biased_input_adjoints(d):
    """Gradient, filters and a bias per channel of the result."""
    for (g, weight), settings in input_adjoints(d):
        yield call(g, weight, d.normal(settings["shape"][1]), **settings)


WINDOWS = [
    ((2, 3, 4, 5), {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}),
    ((1, 2, 6, 5), {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    ((1, 1, 3, 3), {"kernel": (1, 1), "stride": (2, 2), "padding": (0, 1), "dilation": (1, 1)}),
]


def columns(d):
    """An image to be cut into windows."""
    return [call(d.normal(*image), **settings) for image, settings in WINDOWS]


def images_of_columns(d):
    """Windows to be added up to an image."""
    for image, settings in WINDOWS:
        shape = OPS["im2col"].forward(d.normal(*image), **settings).shape
        yield call(d.normal(*shape), shape=image, **settings)


def attentions(d):
    """Query, key and value, with each kind of mask."""
    return [
        call(d.normal(2, 3, 4), d.normal(2, 5, 4), d.normal(2, 5, 3)),
        call(d.normal(2, 2, 4, 3), d.normal(2, 2, 4, 3), d.normal(2, 2, 4, 3), is_causal=True),
        call(d.normal(3, 4), d.normal(3, 4), d.normal(3, 2), attn_mask=[[True, False, True]] * 3),
        call(d.normal(1, 1), d.normal(1, 1), d.normal(1, 1)),
    ]


MATRICES = {
    "matmul": products,
    "linear": lambda d: affine(d) + [call(*arrays[:2]) for arrays, _ in affine(d)],
    "affine": affine,
    "einsum": lambda d: [
        call(d.normal(2, 3, 4), d.normal(2, 4, 5), subscripts="bik,bkj->bij"),
        call(d.normal(3, 4), subscripts="ij->"),
        call(d.normal(3, 4), subscripts="ij->ji"),
        call(d.normal(3, 4), d.normal(4), d.normal(3, 2), subscripts="ij,j,ik->k"),
        call(d.normal(3, 4), d.normal(5), subscripts="ij,k->ik"),
        call(d.normal(2, 3), d.normal(2, 3), subscripts="ij,ij->i"),
    ],
    "inverse": lambda d: [call(d.regular(3, 3)), call(d.regular(2, 4, 4)), call(d.between(1, 2, 1, 1))],
    "slogdet": lambda d: [call(d.regular(3, 3)), call(-d.regular(2, 3, 3)), call(d.between(1, 2, 1, 1))],
    "logabsdet": lambda d: [call(d.regular(3, 3)), call(-d.regular(2, 3, 3))],
    "cholesky": lambda d: [
        call(d.positive_definite(3, 3)),
        call(d.positive_definite(2, 4, 4)),
        call(d.between(1, 2, 1, 1)),
    ],
    "solve": lambda d: [
        call(d.regular(3, 3), d.normal(3, 2)),
        call(d.regular(2, 3, 3), d.normal(2, 3, 1)),
        call(d.regular(4, 4), d.normal(4)),
        call(d.regular(3, 3), d.normal(2, 3, 2)),
        call(d.regular(2, 3, 3), d.normal(2, 3)),
    ],
}

PICTURES = {
    "conv2d": images,
    "conv1d": sequences,
    "conv_transpose2d": transposed_images,
    "convolution": convolutions,
    "convolution_input_adjoint": input_adjoints,
    "biased_convolution": biased_convolutions,
    "biased_input_adjoint": biased_input_adjoints,
    "convolution_weight_adjoint": weight_adjoints,
    "im2col": columns,
    "col2im": images_of_columns,
    "unfold": lambda d: [
        call(d.normal(1, 2, 4, 5), kernel_size=2),
        call(d.normal(1, 1, 5, 5), kernel_size=(2, 3), padding=1, stride=2),
    ],
    "max_pool2d": lambda d: [
        call(d.apart(1, 2, 4, 6), kernel_size=2),
        call(d.apart(2, 1, 5, 5), kernel_size=3, stride=2, padding=1),
        call(d.apart(1, 1, 5, 4), kernel_size=(2, 1), stride=1, dilation=2),
    ],
    "avg_pool2d": lambda d: [
        call(d.normal(1, 2, 4, 6), kernel_size=2),
        call(d.normal(2, 1, 5, 5), kernel_size=3, stride=2, padding=1),
        call(d.normal(1, 1, 3, 3), kernel_size=(1, 3)),
    ],
    "upsample_nearest": lambda d: [
        call(d.normal(2, 3, 2, 3)),
        call(d.normal(1, 1, 3, 2), scale_factor=3),
        call(d.normal(1, 2, 2, 2), scale_factor=1),
    ],
}

POOLS = [
    ((2, 3, 4, 5), {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0)}),
    ((1, 2, 6, 5), {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    ((1, 1, 3, 3), {"kernel": (1, 3), "stride": (2, 2), "padding": (0, 1)}),
]


def pooled(d):
    """What pooling makes of each image, to be spread out again."""
    for image, settings in POOLS:
        shape = OPS["average_pool"].forward(d.normal(*image), **settings).shape
        yield call(d.normal(*shape), shape=image, **settings)


POOLING = {
    "average_pool": lambda d: [call(d.normal(*image), **settings) for image, settings in POOLS],
    "average_pool_adjoint": pooled,
    "pick": lambda d: [
        call(d.normal(2, 3, 4, 5), positions=d.whole(20, 2, 3, 2, 3)),
        call(d.normal(1, 1, 2, 2), positions=d.whole(4, 1, 1, 3, 3)),
    ],
    "put": lambda d: [
        call(d.normal(2, 3, 2, 3), positions=d.whole(20, 2, 3, 2, 3), shape=(2, 3, 4, 5)),
        call(d.normal(1, 1, 3, 3), positions=d.whole(4, 1, 1, 3, 3), shape=(1, 1, 2, 2)),
    ],
    "upsample": lambda d: [call(d.normal(2, 3, 2, 3), scale=2), call(d.normal(1, 1, 3, 2), scale=3)],
    "upsample_adjoint": lambda d: [call(d.normal(2, 3, 4, 6), scale=2), call(d.normal(1, 1, 3, 6), scale=3)],
}

LAYERED = {
    "layer_norm": normalised,
    "rms_norm": lambda d: [
        call(d.normal(3, 4), d.normal(4)),
        call(d.normal(2, 3, 5), d.normal(5)),
        call(d.normal(2, 1), d.normal(1), eps=1e-2),
    ],
    "batch_norm": batch_normalised,
    "group_norm": group_normalised,
    "group_norm_silu": lambda d: [
        call(d.normal(2, 6, 3), d.normal(6), d.normal(6), groups=2, eps=1e-5),
        call(d.normal(2, 4, 2, 3), d.normal(4), d.normal(4), groups=4, eps=1e-2),
        call(d.normal(3, 4, 2, 2), d.normal(3, 4), d.normal(3, 4), groups=2, eps=1e-2),
    ],
    "scaled_dot_product_attention": attentions,
    "self_attention": lambda d: [
        call(d.normal(2, 4, 12), num_heads=2),
        call(d.normal(3, 6), num_heads=1, is_causal=True),
        call(d.normal(2, 3, 12), num_heads=2, attn_mask=d.normal(2, 1, 3, 3)),
    ],
    "cross_entropy": lambda d: [
        call(d.normal(4, 5), target=d.whole(5, 4)),
        call(5 * d.normal(3, 2), target=d.whole(2, 3), reduction="mean"),
        call(d.normal(2, 4, 3), target=d.whole(4, 2, 3)),
        call(d.normal(2, 3, 2, 2), target=d.whole(3, 2, 2, 2), reduction="none"),
    ],
    "softmax_cross_entropy": lambda d: [
        call(d.normal(4, 5), target=d.whole(5, 4)),
        call(d.normal(3, 1), target=d.whole(1, 3)),
        call(30 * d.normal(2, 3), target=d.whole(3, 2)),
    ],
    "bce_with_logits": lambda d: [
        call(d.apart(3, 4), d.between(0, 1, 3, 4)),
        call(10 * d.apart(2, 2, 3), d.between(0, 1, 2, 2, 3), reduction="sum"),
        call(d.apart(4), d.between(0, 1, 4)),
    ],
    "binary_cross_entropy": lambda d: [
        call(d.apart(3, 4), d.between(0, 1, 3, 4)),
        call(d.apart(2, 3), d.between(0, 1, 3)),
        call(20 * d.apart(5), d.between(0, 1, 5)),
    ],
    "mse": lambda d: [
        call(d.normal(3, 4), d.normal(3, 4)),
        call(d.normal(2, 1, 3), d.normal(2, 1, 3), reduction="mean"),
        call(d.normal(2), d.normal(2), reduction="none"),
    ],
    "squared_error": two,
}
