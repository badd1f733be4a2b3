"""Samples for the elementwise operations and the reductions.

Each entry is a function of d (a source of arrays, draws.py) that gives calls. Points are kept away from kinks and ties.
"""

from minigen.samples.draws import call


def any_number(d):
    """Inputs for a function of one array that is smooth everywhere."""
    return [call(d.normal(3, 4)), call(d.normal()), call(d.normal(2, 1, 3))]


def positive(d):
    """Inputs above 0, away from it."""
    return [call(d.between(0.3, 3, 3, 4)), call(d.between(0.3, 3)), call(d.between(0.3, 3, 1, 5))]


def kinked(d):
    """Inputs away from 0."""
    return [call(d.apart(3, 4)), call(d.apart(2, 1, 3)), call(d.apart())]


def two(d):
    """Pairs of arrays that broadcast in all the ways there are."""
    return [
        call(d.normal(3, 4), d.normal(3, 4)), call(d.normal(3, 4), d.normal(4)),
        call(d.normal(2, 1, 3), d.normal(4, 1)), call(d.normal(), d.normal(2)), call(d.normal(1), d.normal(1)),
    ]  # fmt: skip


def two_apart(d):
    """Pairs without ties."""
    x, y = d.apart(2, 3, 4)
    return [call(x, y), call(x, y[:1]), call(x[:, :1], y[0])]


def reduced(d):
    """One array and the axes to reduce."""
    return [
        call(d.normal(3, 4)), call(d.normal(2, 3, 4), dim=1), call(d.normal(2, 3, 4), dim=(0, -1), keepdim=True),
        call(d.normal(1, 5), dim=0), call(d.normal(3, 2), dim=-1, keepdim=True), call(d.normal()),
    ]  # fmt: skip


def extreme(d):
    """The same without ties."""
    return [
        call(d.apart(3, 4)), call(d.apart(2, 3, 4), dim=1), call(d.apart(2, 3, 4), dim=(0, -1), keepdim=True),
        call(d.apart(1, 5), dim=-2),
    ]  # fmt: skip


def along(d):
    """One array and one axis."""
    return [
        call(d.normal(3, 4), dim=1),
        call(d.normal(2, 3, 4), dim=0),
        call(d.normal(5), dim=-1),
        call(d.normal(1, 3), dim=0),
    ]


ELEMENTWISE = {
    "add": two,
    "sub": two,
    "mul": two,
    "neg": any_number,
    "exp": any_number,
    "expm1": any_number,
    "sin": any_number,
    "cos": any_number,
    "tanh": any_number,
    "sigmoid": any_number,
    "softplus": any_number,
    "erf": any_number,
    "silu": any_number,
    "gelu": lambda d: [*any_number(d), *(call(*a, approximate="tanh") for a, _ in any_number(d))],
    "dropout": lambda d: [
        call(d.normal(3, 4), p=0.4, key=5),
        call(d.normal(), p=0.0, key=6),
        call(d.normal(9), p=0.9, key=7),
    ],
    "log": positive,
    "sqrt": positive,
    "abs": kinked,
    "relu": kinked,
    "div": lambda d: [call(a, 1.5 + b * b) for (a, b), _ in two(d)] + [call(d.normal(2, 3), -d.between(0.4, 2, 3))],
    "log1p": lambda d: [call(d.between(-0.6, 2, 3, 4)), call(d.between(-0.1, 0.1)), call(d.between(1, 5, 1, 5))],
    "leaky_relu": lambda d: [*kinked(d), call(d.apart(5), negative_slope=0.2)],
    "elu": lambda d: [*kinked(d), call(d.apart(5), alpha=0.5)],
    "power": lambda d: [
        call(d.normal(3, 4), exponent=2),
        call(d.normal(3, 4), exponent=3),
        call(d.normal(3, 4), exponent=1),
        call(d.normal(3), exponent=0),
        call(d.between(0.3, 3, 2, 1, 3), exponent=-1.5),
        call(d.between(0.3, 3), exponent=0.5),
    ],
    "raise_to": lambda d: [call(1.2 + a * a, b) for (a, b), _ in two(d)],
    "pow": lambda d: [
        call(d.normal(3, 4), exponent=3),
        call(d.between(0.3, 3, 4), exponent=-0.5),
        call(d.between(0.3, 3, 3, 1), d.normal(4)),
        call(d.between(0.3, 3, 2), exponent=d.normal(2)),
    ],
    "maximum": two_apart,
    "minimum": two_apart,
    "clip": lambda d: [
        call(d.apart(3, 4), min=-0.55, max=0.75),
        call(d.apart(3, 4), min=0.05),
        call(d.apart(2, 1, 3), max=-0.05),
    ],
    "where": lambda d: [
        call(d.normal(3, 4), d.normal(3, 4), condition=d.mask(3, 4)),
        call(d.normal(3, 1), d.normal(4), condition=d.mask(3, 4)),
        call(d.normal(), d.normal(2), condition=d.mask(3, 2)),
    ],
    "select": lambda d: [
        call(d.normal(3, 4), d.normal(3, 4), condition=d.mask(3, 4)),
        call(d.normal(4), d.normal(3, 1), condition=d.mask(3, 4)),
    ],
    "alias": any_number,
    "cast": lambda d: [call(d.normal(3, 4), dtype="float64"), call(d.normal(), dtype="float64")],
}

REDUCTIONS = {
    "sum": reduced,
    "mean": reduced,
    "max": extreme,
    "min": extreme,
    "logsumexp": lambda d: [*reduced(d), call(1e3 + d.normal(3, 4), dim=1)],
    "var": lambda d: (
        [c for c in reduced(d) if c[0][0].ndim and c[0][0].shape[0] > 1] + [call(d.normal(3, 4), dim=0, correction=0)]
    ),
    "std": lambda d: (
        [c for c in reduced(d) if c[0][0].ndim and c[0][0].shape[0] > 1] + [call(d.normal(3, 4), dim=1, correction=0)]
    ),
    "norm": lambda d: reduced(d)[:5],
    "prod": lambda d: [
        call(d.normal(3, 3)),
        call(d.normal(2, 5), dim=1),
        call(d.normal(2, 3, 4), dim=-2, keepdim=True),
        call(d.normal(1), dim=0),
        call(d.normal(4) * [1, 0, 1, 1]),
        call(d.normal(2, 4) * [1, 0, 0, 1], dim=1),
    ],
    "cumsum": along,
    "softmax": lambda d: [*along(d), call(30 * d.normal(2, 3), dim=-1)],
    "log_softmax": lambda d: [*along(d), call(30 * d.normal(2, 3), dim=-1)],
}
