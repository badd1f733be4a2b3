"""zuko and nflows, with the same weights, send the same points to the same places, with the same log-determinants.

Runs where torch and these two are installed. Two layers each, in double precision; compared are z, the log-determinant,
and the way back.
"""

import numpy as np
import pytest

from minigen.autograd import Tensor
from minigen.models.bijections import Chain
from minigen.models.made import made_masks
from minigen.models.maf import maf
from minigen.models.realnvp import VectorNet, alternating, couplings
from minigen.models.splines import RationalQuadratic

torch = pytest.importorskip("torch")
SIZE, HIDDEN, BINS, TAIL = 5, 18, 6, 2.5


def shaken(bijection, seed=0):
    rng = np.random.default_rng(seed)
    for tensor in bijection.parameters():
        tensor.overwrite(tensor.data + 0.3 * rng.normal(size=tensor.shape))
    return bijection.to(np.float64)


def our_couplings(monotone=None):
    return shaken(Chain(*couplings(alternating(SIZE, 2), lambda mask, g: VectorNet(
        mask, g, hidden=HIDDEN, blocks=0, rng=np.random.default_rng(0)), monotone)))  # fmt: skip


def copy(ours, theirs, rows=None, columns=None):
    """A layer's weight and bias, into one of torch's."""
    weight, bias = ours.weight.numpy(), ours.bias.numpy()
    weight = weight if rows is None else weight[rows]
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(weight if columns is None else weight[:, columns]))
        theirs.bias.copy_(torch.from_numpy(bias if rows is None else bias[rows]))


def agree(ours, forward, inverse, scale=1.5):
    """Our Chain against two functions on torch's tensors, each → (moved, log-determinant)."""
    x = scale * np.random.default_rng(1).normal(size=(40, SIZE))
    with torch.no_grad():
        z, log_det = (part.numpy() for part in forward(torch.from_numpy(x)))
        back, opposite = (part.numpy() for part in inverse(torch.from_numpy(z)))
    for (found, found_det), (expected, expected_det) in ((ours(Tensor(x)), (z, log_det)),
                                                         (ours.inverse(Tensor(z)), (back, opposite))):  # fmt: skip
        np.testing.assert_allclose(found.data, expected, atol=1e-8)
        np.testing.assert_allclose(found_det.data, expected_det, atol=1e-8)
    assert np.abs(log_det).max() > 0.1 and np.abs(z - x).max() > 0.5


def in_turn(transforms):
    """zuko's transforms one after the other, both ways."""
    def forward(x):
        total = 0.0
        for transform in transforms:
            x, log_det = transform().call_and_ladj(x)
            total = total + log_det
        return x, total

    def inverse(z):
        total = 0.0
        for transform in reversed(transforms):
            z, log_det = transform().inv.call_and_ladj(z)
            total = total + log_det
        return z, total

    return forward, inverse


def line(r, t):
    """(13.10) as a torch transform."""
    return torch.distributions.AffineTransform(t, torch.exp(2 * torch.tanh(r / 2)))


def test_affine_couplings_against_zuko():
    pytest.importorskip("zuko")
    from zuko.flows.coupling import GeneralCouplingTransform

    ours = our_couplings()
    transforms = []
    for step in ours.steps:
        theirs = GeneralCouplingTransform(SIZE, mask=torch.from_numpy(step.mask), univariate=line,
                                          hidden_features=(HIDDEN,), activation=torch.nn.SiLU).double()  # fmt: skip
        copy(list(step.network.layers)[0], theirs.hyper[0], columns=step.mask)
        copy(step.network.last, theirs.hyper[2])
        transforms.append(theirs)
    agree(ours, *in_turn(transforms))


def test_spline_couplings_against_nflows():
    pytest.importorskip("nflows")
    from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform

    ours = our_couplings(RationalQuadratic(BINS, TAIL))

    class Net(torch.nn.Sequential):
        def forward(self, x, context=None):
            return super().forward(x)

    transforms = []
    for step in ours.steps:
        theirs = PiecewiseRationalQuadraticCouplingTransform(
            torch.from_numpy(~step.mask).int(), lambda inputs, outputs: Net(
                torch.nn.Linear(inputs, HIDDEN), torch.nn.SiLU(), torch.nn.Linear(HIDDEN, outputs)),
            num_bins=BINS, tails="linear", tail_bound=TAIL).double()  # fmt: skip
        copy(list(step.network.layers)[0], theirs.transform_net[0], columns=step.mask)
        copy(step.network.last, theirs.transform_net[2])
        transforms.append(theirs)
    chain = CompositeTransform(transforms)
    agree(ours, chain.forward, chain.inverse)


def test_affine_maf_against_zuko():
    pytest.importorskip("zuko")
    from zuko.flows.autoregressive import MaskedAutoregressiveTransform

    ours = maf(SIZE, 2, hidden=(HIDDEN, HIDDEN), residual=False, rng=np.random.default_rng(0))
    transforms = []
    for step in ours.steps:
        theirs = MaskedAutoregressiveTransform(
            SIZE, order=np.argsort(step.order), univariate=line, hidden_features=(HIDDEN, HIDDEN),
            activation=torch.nn.SiLU).double()  # fmt: skip
        transforms.append(theirs)
    shaken(ours)
    for step, theirs in zip(ours.steps, transforms, strict=True):
        layers = [*step.network.layers, step.network.last]
        for layer, other in zip(layers, (theirs.hyper[0], theirs.hyper[2], theirs.hyper[4]), strict=True):
            layer.mask = other.mask.numpy().astype(np.float64)  # another choice of hidden degrees than ours
            copy(layer, other)
    agree(ours, *in_turn(transforms), scale=1.0)


def test_spline_maf_against_nflows_masks_included():
    pytest.importorskip("nflows")
    from nflows.transforms import (
        CompositeTransform,
        MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
        ReversePermutation,
    )

    ours = shaken(maf(SIZE, 2, hidden=(HIDDEN, HIDDEN), residual=False, monotone=RationalQuadratic(BINS, TAIL),
                      rng=np.random.default_rng(0)))  # fmt: skip
    transforms = []
    for number, step in enumerate(ours.steps):
        theirs = MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            SIZE, HIDDEN, num_bins=BINS, tails="linear", tail_bound=TAIL, num_blocks=1, use_residual_blocks=False,
            activation=torch.nn.functional.silu).double()  # fmt: skip
        net = theirs.autoregressive_net
        others = [net.initial_layer, net.blocks[0].linear, net.final_layer]
        # Their hidden degrees, our rule (6.4): the same masks.
        degrees = np.arange(SIZE) + 1
        masks = made_masks(degrees, *(other.degrees.numpy() for other in others[:2]))
        masks[-1] = np.repeat(masks[-1], 3 * BINS - 1, axis=0)
        for mask, other in zip(masks, others, strict=True):
            np.testing.assert_array_equal(mask, other.mask.numpy().astype(bool))
        turned = step.order  # they reverse the numbers between layers, we the order
        outputs = np.arange(SIZE * (3 * BINS - 1)).reshape(SIZE, -1)[turned].reshape(-1)
        layers = [*step.network.layers, step.network.last]
        for place, (layer, mask, other) in enumerate(zip(layers, masks, others, strict=True)):
            rows, columns = (outputs if place == 2 else None), (turned if place == 0 else None)
            copy(layer, other, rows, columns)
            mask = mask.astype(np.float64)
            if place == 0:
                mask = mask[:, np.argsort(turned)]
            layer.mask = mask if place != 2 else mask[np.argsort(outputs)]
        transforms += [theirs] if number == 0 else [ReversePermutation(SIZE), theirs, ReversePermutation(SIZE)]
    chain = CompositeTransform(transforms)
    agree(ours, chain.forward, chain.inverse, scale=1.0)
