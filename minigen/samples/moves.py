"""Samples for the operations that move elements: shapes, joining and cutting, indexing."""

from minigen.samples.draws import call


def indices(d):
    """Slices, whole numbers, index arrays (with repeats), masks, and mixtures of them."""
    return [
        call(d.normal(4, 5), index=(slice(1, None, 2), slice(None, None, -1))), call(d.normal(4, 5), index=2),
        call(d.normal(4, 3), index=d.whole(4, 6)), call(d.normal(4, 3), index=(d.whole(4, 2, 3), d.whole(3, 2, 3))),
        call(d.normal(3, 4), index=d.mask(3, 4)), call(d.normal(2, 3), index=(None, Ellipsis, -1)),
        call(d.normal(2, 3, 4), index=(0, slice(None), d.whole(4, 5))),
    ]  # fmt: skip


def placed(d):
    """What an index picks, to be put back."""
    for (x,), settings in indices(d):
        yield call(d.normal(*x[settings["index"]].shape), index=settings["index"], shape=x.shape)


SHAPES = {
    "reshape": lambda d: [
        call(d.normal(3, 4), shape=(2, -1)),
        call(d.normal(2, 3), shape=(6,)),
        call(d.normal(), shape=(1, 1)),
    ],
    "permute": lambda d: [
        call(d.normal(2, 3, 4), dims=(2, 0, 1)),
        call(d.normal(2, 3, 4), dims=(-1, 1, 0)),
        call(d.normal(3, 3), dims=(1, 0)),
    ],
    "transpose": lambda d: [call(d.normal(2, 3, 4)), call(d.normal(2, 3, 4), dim0=0, dim1=-1), call(d.normal(3, 3))],
    "unsqueeze": lambda d: [call(d.normal(2, 3), dim=1), call(d.normal(2, 3), dim=-1), call(d.normal(), dim=0)],
    "squeeze": lambda d: [call(d.normal(2, 1, 3, 1)), call(d.normal(2, 1, 3), dim=1), call(d.normal(1, 3), dim=-2)],
    "flatten": lambda d: [
        call(d.normal(2, 3, 4)),
        call(d.normal(2, 3, 4), start_dim=1),
        call(d.normal(2, 3, 1, 4), start_dim=1, end_dim=-2),
    ],
    "expand": lambda d: [
        call(d.normal(3, 1), shape=(3, 4)),
        call(d.normal(1, 3), shape=(2, 5, -1)),
        call(d.normal(), shape=(2,)),
    ],
    "broadcast_to": lambda d: [
        call(d.normal(3, 1), shape=(2, 3, 4)),
        call(d.normal(), shape=(3,)),
        call(d.normal(2, 3), shape=(2, 3)),
    ],
    "sum_to": lambda d: [
        call(d.normal(2, 3, 4), shape=(3, 1)),
        call(d.normal(3), shape=()),
        call(d.normal(2, 3), shape=(2, 3)),
    ],
    "concatenate": lambda d: [
        call(d.normal(2, 3), d.normal(4, 3), d.normal(1, 3), dim=0),
        call(d.normal(2, 3), d.normal(2, 1), dim=-1),
        call(d.normal(2), dim=0),
    ],
    "stack": lambda d: [
        call(d.normal(2, 3), d.normal(2, 3), dim=0),
        call(d.normal(2, 3), d.normal(2, 3), d.normal(2, 3), dim=-1),
    ],
    "split": lambda d: [
        call(d.normal(5, 2), split_size_or_sections=2),
        call(d.normal(2, 6), split_size_or_sections=[1, 3, 2], dim=-1),
    ],
    "chunk": lambda d: [call(d.normal(5, 2), chunks=2), call(d.normal(2, 6), chunks=3, dim=1)],
    "pad": lambda d: [
        call(d.normal(2, 3), pad=(1, 2)),
        call(d.normal(2, 3), pad=(0, 1, 2, 0), value=1.5),
        call(d.normal(2), pad=(0, 0)),
    ],
    "flip": lambda d: [
        call(d.normal(2, 3), dims=0),
        call(d.normal(2, 3, 4), dims=(0, -1)),
        call(d.normal(1, 4), dims=(1,)),
    ],
    "roll": lambda d: [
        call(d.normal(2, 3), shifts=1, dims=1),
        call(d.normal(3, 4), shifts=(1, -2), dims=(0, 1)),
        call(d.normal(2, 3), shifts=4),
    ],
}

INDEXING = {
    "getitem": indices,
    "put_add": placed,
    "gather": lambda d: [
        call(d.normal(3, 4), dim=1, index=d.whole(4, 3, 6)),
        call(d.normal(3, 4), dim=0, index=d.whole(3, 2, 4)),
        call(d.normal(5), dim=-1, index=d.whole(5, 7)),
    ],
    "scatter_add": lambda d: [
        call(d.normal(3, 4), d.normal(3, 6), dim=1, index=d.whole(4, 3, 6)),
        call(d.normal(3, 4), d.normal(2, 4), dim=0, index=d.whole(3, 2, 4)),
        call(d.normal(2), d.normal(5), dim=0, index=d.whole(2, 5)),
    ],
    "take": lambda d: [
        call(d.normal(5, 3), index=d.whole(5, 2, 4)),
        call(d.normal(2, 4), index=d.whole(4, 7) - 4, dim=1),
        call(d.normal(3), index=d.whole(3)),
    ],
}
