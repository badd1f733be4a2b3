"""Counted FLOPs against formulas; every operation is either counted or known to have no product."""

import numpy as np
import pytest

import minigen as mg
from minigen import autograd, nn, ops
from minigen.autograd import OPS
from minigen.errors import MinigenError
from minigen.metrics import flops
from minigen.metrics.flops import count_flops
from minigen.models.gan import GAN
from minigen.models.gan_networks import mlp
from minigen.ops import linalg
from minigen.ops.attention import _scaled_dot_product_attention, _self_attention
from minigen.samples.operations import OPERATIONS


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def leaf(rng, *shape):
    return mg.tensor(rng.normal(size=shape), requires_grad=True)


def counted(function):
    """(FLOPs going forward, FLOPs going back) of a function that gives a Tensor."""
    with count_flops() as forward:
        y = function()
    with count_flops() as back:
        y.sum().backward()
    return forward.total, back.total


# -- known counts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("biased", [True, False])
def test_a_linear_layer_has_one_product_forward_and_two_back(rng, biased):
    layer = nn.Linear(5, 3, bias=biased, rng=rng)
    x = mg.tensor(rng.normal(size=(7, 4, 5)).astype(np.float32), requires_grad=True)
    assert counted(lambda: layer(x)) == (2 * 28 * 5 * 3, 2 * 2 * 28 * 5 * 3)


def test_for_the_data_no_gradient_is_computed(rng):
    layer, x = nn.Linear(5, 3, rng=rng), rng.normal(size=(7, 5)).astype(np.float32)
    assert counted(lambda: layer(mg.tensor(x))) == (2 * 7 * 5 * 3, 2 * 7 * 5 * 3)


@pytest.mark.parametrize(("a", "b", "cost"), [
    ((2, 3), (3, 4), 2 * 2 * 3 * 4), ((6, 2, 3), (3, 4), 12 * 2 * 3 * 4), ((6, 2, 3), (6, 3, 4), 12 * 2 * 3 * 4),
    ((5, 1, 2, 3), (6, 3, 4), 60 * 2 * 3 * 4), ((3,), (3, 4), 2 * 3 * 4), ((2, 3), (3,), 2 * 2 * 3), ((3,), (3,), 6),
    ((5, 1), (1, 4), 2 * 5 * 4),
])  # fmt: skip
def test_a_matrix_product(rng, a, b, cost):
    a, b = leaf(rng, *a), leaf(rng, *b)
    assert counted(lambda: a @ b) == (cost, 2 * cost)
    with count_flops() as arrays:
        ops.matmul(a.data, b.data)
    assert arrays.total == cost


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("biased", [True, False])
def test_a_convolution(rng, groups, biased):
    layer = nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=groups, bias=biased, rng=rng)
    x = mg.tensor(rng.normal(size=(5, 4, 9, 8)).astype(np.float32), requires_grad=True)
    cost = 2 * 5 * 6 * 5 * 5 * (4 // groups * 3 * 2)  # 5×5 windows
    assert layer(x).shape == (5, 6, 5, 5)
    assert counted(lambda: layer(x)) == (cost, 2 * cost)


@pytest.mark.parametrize("biased", [True, False])
def test_a_transposed_convolution_costs_what_its_adjoint_costs(rng, biased):
    layer = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, bias=biased, rng=rng)
    x = mg.tensor(rng.normal(size=(5, 4, 9, 8)).astype(np.float32), requires_grad=True)
    cost = 2 * (5 * 4 * 9 * 8) * (6 * 3 * 3)  # each number of x paints its filter
    assert counted(lambda: layer(x)) == (cost, 2 * cost)


def test_attention_counts_as_its_definition(rng):
    query, key, value = leaf(rng, 2, 3, 7, 8), leaf(rng, 2, 3, 5, 8), leaf(rng, 2, 3, 5, 4)
    cost = 2 * 6 * 7 * 5 * (8 + 4)
    assert counted(lambda: ops.scaled_dot_product_attention(query, key, value)) == (cost, 2 * cost)
    assert counted(lambda: _scaled_dot_product_attention.definition(query, key, value)) == (cost, 2 * cost)
    qkv = leaf(rng, 2, 7, 3 * 12)
    cost = 2 * 2 * 7 * 7 * (12 + 12)
    assert counted(lambda: ops.self_attention(qkv, 3)) == (cost, 2 * cost)
    assert counted(lambda: ops.self_attention(qkv, 3, is_causal=True)) == (cost, 2 * cost)
    assert counted(lambda: _self_attention.definition(qkv, num_heads=3)) == (cost, 2 * cost)


def test_einsum(rng):
    a, b = leaf(rng, 4, 2, 3), leaf(rng, 4, 3, 5)
    assert counted(lambda: ops.einsum("bik,bkj->bij", a, b)) == (2 * 4 * 2 * 3 * 5, 2 * 2 * 4 * 2 * 3 * 5)
    with count_flops() as count:
        ops.einsum("bik->b", a)
    assert count.total == 0


# -- a training step --------------------------------------------------------------------------------------------------


def test_a_step_of_an_mlp_is_six_for_each_weight_and_example_less_the_datas_gradient(rng):
    sizes, batch = (10, 40, 30, 5), 16
    layers = [nn.Linear(a, b, rng=rng) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    weights = sum(layer.weight.size for layer in layers)
    x, target = rng.normal(size=(batch, 10)).astype(np.float32), rng.integers(0, 5, batch)
    with count_flops() as count:
        ops.cross_entropy(network(mg.tensor(x)), target).mean().backward()
    assert count.total == 6 * weights * batch - 2 * batch * 10 * 40
    assert count.kinds == {"matmul": count.total}
    with count_flops() as unrecorded, mg.no_grad():
        network(mg.tensor(x))
    assert unrecorded.total == 2 * weights * batch


def test_a_penalty_on_a_gradient_costs_what_it_computes(rng):
    """R1 + R2 on D's two layers: beside D's step, two gradients for x and what their derivative takes."""
    def cost(**game):
        made = np.random.default_rng(1)
        gan = GAN(mlp(2, 2, width=8, depth=1, rng=made), mlp(2, 1, width=8, depth=1, rng=made), latent=2, **game)
        with count_flops() as count:
            gan.discriminator_loss(made.normal(size=(4, 2)).astype(np.float32), rng=made).mean().backward()
        return count.total

    plain, both, one = cost(), cost(r1=0.1, r2=0.1), cost(r1=0.1)
    assert plain < one < both and both - plain == 2 * (one - plain)


def test_a_gradient_of_a_gradient_counts_itself(rng):
    w, x = leaf(rng, 4, 3), leaf(rng, 5, 4)
    with count_flops() as count:
        (g,) = autograd.grad((x @ w).sum(), x, create_graph=True)
    assert count.total == 2 * 2 * 60
    with count_flops() as count:
        (g * g).sum().backward()
    assert count.total == 60 * 2  # through g = 1 Wᵀ to w, for the ones need no gradient


# -- counters ---------------------------------------------------------------------------------------------------------


def test_counters_are_nested_and_can_be_entered_again(rng):
    x = leaf(rng, 2, 2)
    with count_flops() as outer:
        x @ x
        with count_flops() as inner:
            x @ x
            x @ x
        with inner:
            x @ x
    assert (outer.total, inner.total) == (4 * 16, 3 * 16)


def test_nothing_is_left_behind_not_even_by_an_error(rng):
    x = leaf(rng, 2, 2)
    before = _functions()
    with pytest.raises(ZeroDivisionError), count_flops() as count:
        assert _functions() != before
        x @ x
        raise ZeroDivisionError
    assert _functions() == before and not flops._active and not flops._replaced
    x @ x
    assert count.total == 16


def _functions():
    return [linalg._product] + [getattr(OPS[name], part) for name in flops.COSTS for part in ("forward", "backward")
                                if hasattr(OPS[name], part)]  # fmt: skip


def test_the_results_are_the_same_bits(rng):
    network = nn.Sequential(nn.Conv2d(1, 3, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 2, rng=rng))
    x = rng.normal(size=(4, 1, 8, 8)).astype(np.float32)

    def gradients():
        network.zero_grad()
        network(mg.tensor(x)).sum().backward()
        return [parameter.grad.data.copy() for parameter in network.parameters()]

    plain = gradients()
    with count_flops():
        watched = gradients()
    assert all(np.array_equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_a_counter_counts_once_and_may_go_on_later():
    x = mg.tensor(np.ones((2, 2)))
    with count_flops() as count:
        _ = x @ x
        with pytest.raises(MinigenError, match="counting already"), count:
            pass
        _ = x @ x
    with count:
        _ = x @ x
    assert count.total == 3 * 16


# -- nothing is forgotten ---------------------------------------------------------------------------------------------

NO_PRODUCT = """abs add alias average_pool average_pool_adjoint batch_norm binary_cross_entropy broadcast_to cast clip
    col2im concatenate cos cumsum div dropout elu erf exp expm1 flip gelu getitem group_norm group_norm_silu im2col
    layer_norm leaky_relu log log1p log_softmax logsumexp max maximum min minimum mul neg pad permute pick power put
    put_add raise_to relu reshape rms_norm roll select sigmoid silu sin softmax softmax_cross_entropy softplus sqrt
    squared_error sub sum sum_to tanh upsample upsample_adjoint""".split()
NOT_COUNTED = ["cholesky", "inverse", "logabsdet", "solve"]  # as the docstring says


def test_every_operation_is_counted_or_has_no_product():
    known = {*flops.COSTS, *flops.PRODUCTS, *NO_PRODUCT, *NOT_COUNTED}
    ours = {name for name, op in OPS.items() if (op.definition or op.forward).__module__.startswith("minigen.")}
    assert ours == known, "enter a new operation in metrics/flops.py, or here if it multiplies no matrices"


@pytest.mark.parametrize("name", sorted({*flops.COSTS, *flops.PRODUCTS} & set(OPERATIONS)))
def test_what_has_a_product_is_counted_on_the_samples_of_the_gradient_checks(name, rng):
    for sample in OPERATIONS[name](rng):
        inputs = [mg.tensor(x, requires_grad=True) for x in sample.arrays]
        forward, back = counted(lambda sample=sample, inputs=inputs: sample(*inputs))
        if name == "einsum" and len(inputs) == 1:  # a sum of one operand has no product
            assert forward == 0
        else:
            assert forward > 0 and back > 0
