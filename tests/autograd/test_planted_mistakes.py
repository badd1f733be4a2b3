"""The checks are checked: operations with a mistake planted in a rule. Each must be caught, most with its name.

Every plant is a correct forward function with one wrong rule (or a wrong kernel). `says` is the wording that the report
must contain; None where no pattern can tell the mistake from another.
"""

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import special

from minigen import gradcheck, gradgradcheck, ops
from minigen.autograd import OPS, Tensor, fused, primitive
from minigen.errors import GradcheckError
from minigen.gradtable import kernels_against_definitions
from minigen.kernels import reference as kernels
from minigen.ops.elementwise import _array


@contextlib.contextmanager
def scratch_registry():
    """Operations declared inside are forgotten afterwards."""
    before = dict(OPS)
    try:
        yield
    finally:
        OPS.clear()
        OPS.update(before)


@dataclass
class Plant:
    make: object  # () → the faulty function; called inside a scratch registry
    shapes: tuple
    says: str | None
    order: int = 1
    draw: str = "normal"


PLANTS = {}


def plant(*shapes, says, order=1, draw="normal"):
    def add(make):
        PLANTS[make.__name__] = Plant(make, shapes, says, order, draw)
        return make

    return add


def arrays(planted):
    rng = np.random.default_rng(3)
    if planted.draw == "positive":
        return [rng.uniform(0.5, 2, size=shape) for shape in planted.shapes]
    if planted.draw == "regular":
        return [rng.normal(size=shape) + 2 * np.eye(*shape[-2:]) for shape in planted.shapes]
    return [rng.normal(size=shape) for shape in planted.shapes]


def mT(x):
    return ops.transpose(x)


# -- arithmetic and broadcasting -------------------------------------------------------------------------------


@plant((3, 4), (3, 4), says="wrong sign")
def sub_with_the_sign_forgotten():
    @primitive(a=lambda g: g, b=lambda g: g)
    def sub(a, b):
        return a - b

    return sub


@plant((3, 4), (3, 4), says="wrong sign", draw="positive")
def div_with_the_sign_forgotten():
    @primitive(a=lambda g, b: g / b, b=lambda g, b, y: g * y / b)
    def div(a, b):
        return a / b

    return div


@plant((3, 4), (3, 4), says="factor of the input is missing|factor of the input too many", draw="positive")
def div_by_the_first_power():
    @primitive(a=lambda g, b: g / b, b=lambda g, y: -g * y)
    def div(a, b):
        return a / b

    return div


@plant((3, 4), says="factor of 2")
def square_without_its_two():
    @primitive(x=lambda g, x: g * x)
    def square(x):
        return x * x

    return square


@plant((3, 4), says="factor of 2", draw="positive")
def sqrt_without_its_half():
    @primitive(x=lambda g, y: g / y)
    def sqrt(x):
        return np.sqrt(x)

    return sqrt


@plant((3, 4), says="relative error")
def tanh_off_by_one_part_in_a_thousand():
    @primitive(x=lambda g, y: g * (1.001 - y * y))
    def tanh(x):
        return np.tanh(x)

    return tanh


@plant((3, 4), (4,), says="broadcast")
def broadcast_add_that_takes_one_copy():
    @primitive(a=lambda g: g, b=lambda g: g[0])
    def add(a, b):
        return a + b

    return add


@plant((3, 4), (3, 1), says="broadcast")
def broadcast_mul_that_takes_one_copy():
    @primitive(a=lambda g, b: g * b, b=lambda g, a: (g * a)[:, :1])
    def mul(a, b):
        return a * b

    return mul


@plant((4,), (3, 4), says="a mean was taken for a sum|factor")
def broadcast_add_that_averages():
    @primitive(a=lambda g: ops.mean(g, dim=0), b=lambda g: g)
    def add(a, b):
        return a + b

    return add


@plant((3, 4), says="missing altogether")
def a_detached_input():
    @primitive(x=lambda g, x: g * 0.0)
    def cube(x):
        return x**3

    return cube


@plant((3, 4), says="factor of the output is missing")
def exp_that_forgets_itself():
    @primitive(x=lambda g: g)
    def exp(x):
        return np.exp(x)

    return exp


# -- masks -----------------------------------------------------------------------------------------------------


@plant((3, 4), says="missing mask")
def relu_without_its_mask():
    @primitive(x=lambda g: g)
    def relu(x):
        return np.maximum(x, 0)

    return relu


@plant((3, 4), says="missing mask")
def clip_without_its_mask():
    @primitive(x=lambda g: g)
    def clip(x):
        return np.clip(x, -0.5, 0.5)

    return clip


@plant((3, 4), says=None)
def leaky_relu_with_the_mask_inverted():
    @primitive(x=lambda g, x: ops.where(_array(x) > 0, g * 0.1, g))
    def leaky(x):
        return np.where(x > 0, x, 0.1 * x)

    return leaky


@plant((6, 5), says="not deterministic")
def dropout_that_draws_its_mask_again():
    def rule(g):
        return g * (np.random.default_rng().random(g.shape) < 0.5)

    @primitive(x=rule)
    def dropout(x):
        return x * (np.random.default_rng(0).random(x.shape) < 0.5)

    return dropout


@plant((6, 5), says="two calls with the same inputs differ")
def a_function_that_is_random():
    rng = np.random.default_rng(0)
    return lambda x: x * (rng.random(x.shape) < 0.5)


# -- reductions ------------------------------------------------------------------------------------------------


@plant((3, 4), says="a 1/n \\(of a mean\\) is missing")
def mean_without_its_one_over_n():
    @primitive(x=lambda g, x_shape: ops.broadcast_to(g, shape=x_shape))
    def mean(x):
        return np.mean(x)

    return mean


@plant((4, 4), says="transposed")
def sum_spread_along_the_wrong_axis():
    @primitive(x=lambda g, x_shape: ops.broadcast_to(ops.reshape(g, shape=(-1, 1)), shape=x_shape))
    def total(x):
        return x.sum(axis=0)

    return total


@plant((3, 4), says="broadcast")
def sum_that_is_not_spread():
    @primitive(x=lambda g: g)
    def total(x):
        return x.sum(axis=1, keepdims=True)

    return total


@plant((3, 4), says="output × one number per row along axis 1")
def softmax_without_the_mean_term():
    @primitive(x=lambda g, y: g * y)
    def softmax(x):
        return special.softmax(x, axis=1)

    return softmax


@plant((4, 4), says=None)
def softmax_with_the_sum_over_the_wrong_axis():
    @primitive(x=lambda g, y: y * (g - ops.sum(g * y, dim=0, keepdim=True)))
    def softmax(x):
        return special.softmax(x, axis=1)

    return softmax


@plant((3, 4), says="e\\^output × one number per row")
def log_softmax_without_the_sum():
    @primitive(x=lambda g: g)
    def log_softmax(x):
        return special.log_softmax(x, axis=1)

    return log_softmax


@plant((3, 5), says=None)
def cumsum_in_the_wrong_direction():
    @primitive(x=lambda g: ops.cumsum(g, dim=1))
    def cumsum(x):
        return np.cumsum(x, axis=1)

    return cumsum


@plant((3, 5), says="wrong places")
def max_that_rewards_the_smallest():
    def rule(g, x):
        values = _array(x)
        return ops.reshape(g, shape=(-1, 1)) * (values == values.min(axis=1, keepdims=True))

    @primitive(x=rule)
    def largest(x):
        return x.max(axis=1)

    return largest


@plant((3, 2, 2, 3), says="wrong places|shifted")
def max_pool_that_rewards_the_wrong_element():
    def rule(g, x):
        values = _array(x)
        hit = values == values.max(axis=(2, 3), keepdims=True)
        return ops.reshape(g, shape=(*g.shape, 1, 1)) * np.roll(hit, 1, axis=3)

    @primitive(x=rule)
    def max_pool(x):
        return x.max(axis=(2, 3))

    return max_pool


# -- indexing --------------------------------------------------------------------------------------------------

ROWS = np.array([0, 2, 2, 3, 2])


@plant((4, 3), says="overwritten")
def take_that_overwrites_repeated_rows():
    def rule(g, x_shape):
        gradient = np.zeros(x_shape)
        gradient[ROWS] = _array(g)
        return gradient

    @primitive(x=rule)
    def take(x):
        return x[ROWS]

    return take


@plant((5, 3), says="shifted by one along axis 0")
def take_with_the_index_off_by_one():
    @primitive(x=lambda g, x_shape: _placed(g, x_shape, slice(1, None)))
    def take(x):
        return x[:-1]

    return take


def _placed(g, shape, where):
    gradient = np.zeros(shape)
    gradient[where] = _array(g)
    return gradient


@plant((3, 5), says="shifted by one along axis 1|wrong places")
def roll_back_by_the_wrong_number():
    @primitive(x=lambda g: ops.roll(g, -1, 1))
    def roll(x):
        return np.roll(x, 2, axis=1)

    return roll


@plant((3, 5), says="reversed")
def flip_that_is_not_flipped_back():
    @primitive(x=lambda g: g)
    def flip(x):
        return x[:, ::-1]

    return flip


@plant((3, 3), says="transposed")
def transpose_that_is_not_transposed_back():
    @primitive(x=lambda g: g)
    def transpose(x):
        return x.T

    return transpose


@plant((2, 3, 4), says="transposed")
def permute_with_the_permutation_not_inverted():
    @primitive(x=lambda g: ops.permute(g, dims=(2, 0, 1)))
    def permute(x):
        return np.transpose(x, (2, 0, 1))

    return permute


# -- matrices --------------------------------------------------------------------------------------------------


@plant((4, 4), (4, 4), says="transposed factor")
def matmul_with_a_factor_not_transposed():
    @primitive(a=lambda g, b: ops.matmul(g, b), b=lambda g, a: ops.matmul(mT(a), g))
    def product(a, b):
        return a @ b

    return product


@plant((3, 4), (4, 3), says="transposed")
def matmul_with_its_gradient_transposed():
    @primitive(a=lambda g, b: ops.matmul(b, mT(g)), b=lambda g, a: ops.matmul(mT(a), g))
    def product(a, b):
        return a @ b

    return product


@plant((2, 3, 3), (2, 3, 3), says="transposed factor")
def einsum_with_one_index_pair_swapped():
    @primitive(a=lambda g, b: ops.einsum("bij,bjk->bik", g, b), b=lambda g, a: ops.einsum("bji,bjk->bik", a, g))
    def product(a, b):
        return a @ b

    return product


@plant((2, 3, 3), (2, 3, 3), says=None)
def einsum_with_operands_in_the_wrong_order():
    @primitive(a=lambda g, b: ops.einsum("bij,bjk->bik", b, g), b=lambda g, a: ops.einsum("bji,bjk->bik", a, g))
    def product(a, b):
        return a @ b

    return product


@plant((3, 3), says="transposed", draw="regular")
def inverse_transposed_wrongly():
    @primitive(x=lambda g, y: -ops.matmul(ops.matmul(y, mT(g)), y))
    def inverse(x):
        return np.linalg.inv(x)

    return inverse


@plant((3, 3), says="transposed", draw="regular")
def logdet_without_the_transpose():
    @primitive(x=lambda g, x: g * ops.inverse(x))
    def logdet(x):
        return np.linalg.slogdet(x)[1]

    return logdet


@plant((3, 3), says=None, draw="regular")
def cholesky_without_phi():
    def rule(g, y):
        inv = ops.inverse(y)
        s = ops.matmul(mT(inv), ops.matmul(ops.matmul(mT(y), g), inv))
        return 0.5 * (s + mT(s))

    @primitive(x=rule)
    def factor(x):
        return np.linalg.cholesky(x)

    return lambda x: factor(ops.matmul(x, mT(x)) + np.eye(3))


# -- convolution -----------------------------------------------------------------------------------------------

PAIRS = {"padding": (1, 1), "dilation": (1, 1), "groups": 1}


@plant((1, 1, 5, 5), says="shifted by one along axis 3")
def convolution_with_its_padding_off_by_one():
    weight = np.random.default_rng(1).normal(size=(2, 1, 3, 3))

    def rule(g, x_shape):
        wide = (*x_shape[:3], x_shape[3] + 1)
        g = ops.pad(g, (0, 1))
        return _adjoint(g, weight, wide, stride=(1, 1))[..., 1:]

    @primitive(x=rule)
    def convolve(x):
        return kernels.convolution(x, weight, stride=(1, 1), **PAIRS)

    return convolve


@plant((1, 2, 5, 5), says=None)
def convolution_that_forgets_its_stride():
    weight = np.random.default_rng(1).normal(size=(2, 2, 3, 3))

    def rule(g, x_shape):
        return _adjoint(ops.pad(g, (0, 2, 0, 2)), weight, x_shape, stride=(1, 1))

    @primitive(x=rule)
    def convolve(x):
        return kernels.convolution(x, weight, stride=(2, 2), **PAIRS)

    return convolve


@plant((1, 2, 4, 4), (2, 2, 3, 3), says=None)
def convolution_with_the_channels_of_its_weight_swapped():
    def rule(g, weight, x_shape):
        return _adjoint(g, ops.permute(weight, dims=(1, 0, 2, 3)), x_shape, stride=(1, 1))

    @primitive(x=rule, weight=lambda g, x, weight_shape: _weight_adjoint(x, g, weight_shape))
    def convolve(x, weight):
        return kernels.convolution(x, weight, stride=(1, 1), **PAIRS)

    return convolve


@plant((1, 1, 5, 5), (1, 1, 3, 3), says="reversed|transposed|wrong places")
def convolution_with_its_weight_gradient_flipped():
    def rule(g, x, weight_shape):
        return ops.flip(_weight_adjoint(x, g, weight_shape), (2, 3))

    @primitive(x=lambda g, weight, x_shape: _adjoint(g, weight, x_shape, stride=(1, 1)), weight=rule)
    def convolve(x, weight):
        return kernels.convolution(x, weight, stride=(1, 1), **PAIRS)

    return convolve


def _adjoint(g, weight, shape, stride):
    return OPS["convolution_input_adjoint"].as_function()(g, weight, shape=shape, stride=stride, **PAIRS)


def _weight_adjoint(x, g, shape):
    return OPS["convolution_weight_adjoint"].as_function()(x, g, shape=shape, stride=(1, 1), **PAIRS)


# -- normalisation and losses ----------------------------------------------------------------------------------


def _normalised(axis):
    def forward(x):
        centred = x - x.mean(axis=axis, keepdims=True)
        return centred / np.sqrt(np.square(centred).mean(axis=axis, keepdims=True) + 1e-5)

    return forward


def _spread(x, axis):
    return ops.sqrt(ops.var(x, dim=axis, correction=0, keepdim=True) + 1e-5)


@plant((3, 5), says="one number per row along axis 1")
def layer_norm_without_the_part_along_itself():
    @primitive(x=lambda g, x: (g - ops.mean(g, dim=1, keepdim=True)) / _spread(x, 1))
    def layer_norm(x):
        return _normalised(1)(x)

    return layer_norm


@plant((6, 3), says="one number per row along axis 0")
def batch_norm_that_takes_the_mean_for_a_constant():
    @primitive(x=lambda g, x, y: (g - y * ops.mean(g * y, dim=0, keepdim=True)) / _spread(x, 0))
    def batch_norm(x):
        return _normalised(0)(x)

    return batch_norm


TARGET = np.array([1, 0, 4])


@plant((3, 5), says="one element per row along axis 1")
def cross_entropy_with_p_for_p_minus_y():
    @primitive(x=lambda g, x: ops.reshape(g, shape=(-1, 1)) * ops.softmax(x, dim=1))
    def cross_entropy(x):
        return -special.log_softmax(x, axis=1)[np.arange(3), TARGET]

    return cross_entropy


@plant((4,), (4,), says="wrong sign")
def squared_error_with_one_sign_for_both():
    @primitive(a=lambda g, a, b: 2 * g * (a - b), b=lambda g, a, b: 2 * g * (a - b))
    def squared_error(a, b):
        return (a - b) ** 2

    return squared_error


# -- second order ----------------------------------------------------------------------------------------------


@plant((3, 4), says="second-order term was dropped", order=2)
def cube_through_data():
    @primitive(x=lambda g, x: 3 * g * _array(x) ** 2)
    def cube(x):
        return x**3

    return cube


@plant((3, 4), says="second-order term was dropped", order=2)
def tanh_through_data_in_one_factor():
    @primitive(x=lambda g, y: g * (1.0 - y * _array(y)))
    def tanh(x):
        return np.tanh(x)

    return tanh


@plant((3, 3), (3, 3), says="second-order term was dropped", order=2)
def matmul_through_data():
    @primitive(a=lambda g, b: ops.matmul(g, mT(_array(b))), b=lambda g, a: ops.matmul(mT(a), g))
    def product(a, b):
        return a @ b

    return product


@plant((3, 4), says="second-order term was dropped", order=2)
def a_rule_that_detaches_g():
    @primitive(x=lambda g, x: Tensor(_array(g)) * ops.cos(x) if isinstance(g, Tensor) else g * ops.cos(x))
    def sine(x):
        return np.sin(x)

    return sine


# -- fused kernels ---------------------------------------------------------------------------------------------


@plant((3, 4), says="wrong factor")
def a_backward_kernel_with_a_missing_two():
    @fused(forward=lambda x: (x * x, ()), backward=lambda g, x: (g * x,))
    def square(x):
        return x * x

    return square


@plant((3, 4), says="kernel differs from its definition", order=2)
def a_backward_kernel_that_is_not_its_definition():
    @fused(forward=lambda x: (x * x, ()), backward=lambda g, x: (2 * g * x,))
    def square(x):
        return x * x * 1.001

    return square


@pytest.mark.parametrize("name", PLANTS)
def test_planted_mistake_is_caught(name):
    planted = PLANTS[name]
    with scratch_registry():
        function = planted.make()
        if planted.order == 2 and "second-order" in planted.says:
            gradcheck(function, arrays(planted))  # the first order must be right, or the plant is not what it says
        with pytest.raises(GradcheckError, match=planted.says or "likely cause"):
            (gradcheck if planted.order == 1 else gradgradcheck)(function, arrays(planted))


def test_at_least_half_of_the_mistakes_are_named():
    named = [name for name, planted in PLANTS.items() if planted.says not in (None, "relative error")]
    assert len(PLANTS) >= 30 and len(named) >= 0.75 * len(PLANTS)


def test_a_kernel_whose_values_differ_from_its_definition_is_measured():
    with scratch_registry():

        @fused(forward=lambda x: (np.tanh(x) * 1.001, ()), backward=lambda g, x: (g * (1 - np.tanh(x) ** 2),))
        def squash(x):
            return ops.tanh(x)

        with kernels_against_definitions() as differences:
            squash(Tensor(np.ones(3), requires_grad=True)).backward(np.ones(3))
    assert 5e-4 < differences["squash"] < 2e-3


def test_a_kernel_whose_gradients_differ_from_its_definition_is_measured():
    with scratch_registry():

        @fused(forward=lambda a, b: (a * b, ()), backward=lambda g, a, b: (g * b, g * a * 1.01))
        def product(a, b):
            return a * b

        with kernels_against_definitions() as differences:
            a, b = (Tensor(np.ones(3), requires_grad=True) for _ in range(2))
            product(a, b).backward(np.ones(3))
    assert 5e-3 < differences["product"] < 2e-2


def test_the_right_versions_pass():
    """The plants without their mistakes: what fails above fails because of the mistake."""
    rng = np.random.default_rng(0)
    right = [
        (ops.sub, [(3, 4), (3, 4)]), (ops.matmul, [(4, 4), (4, 4)]), (ops.softmax, [(3, 4)]),
        (lambda x: ops.take(x, ROWS), [(4, 3)]), (lambda x: ops.cross_entropy(x, TARGET), [(3, 5)]),
        (lambda x: ops.flip(x, 1), [(3, 5)]), (lambda x: ops.mean(x), [(3, 4)]),
    ]  # fmt: skip
    for function, shapes in right:
        inputs = [rng.normal(size=shape) for shape in shapes]
        assert gradcheck(function, inputs).error < 1e-8
        assert gradgradcheck(function, inputs).error < 1e-8


def test_nothing_planted_stays_in_the_registry():
    before = set(OPS)
    with scratch_registry():
        PLANTS["exp_that_forgets_itself"].make()
        a_backward_kernel_with_a_missing_two()
    assert set(OPS) == before and OPS["exp"].forward is ops.exp.op.forward
