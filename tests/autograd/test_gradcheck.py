"""gradcheck and gradgradcheck: what they accept, what they refuse, and what they say."""

import numpy as np
import pytest

from minigen import gradcheck, gradgradcheck, nn, no_grad, ops
from minigen.autograd import OPS, Tensor, primitive
from minigen.errors import GradcheckError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture
def wrong_product():
    """a · b with the gradient for b wrong in one element only."""

    def rule(g, a):
        keep = np.ones((3, 4))
        keep[1, 2] = 0.9
        return g * a * keep

    @primitive(a=lambda g, b: g * b, b=rule)
    def wrong_product(a, b):
        return a * b

    del OPS["wrong_product"]
    return wrong_product


def test_a_right_gradient_passes_and_the_result_tells_how_well():
    result = gradcheck(ops.matmul, [normal(3, 4), normal(4, 2)])
    assert result and result.error < 1e-9
    assert list(result.errors) == ["input 0 (`a`)", "input 1 (`b`)"]


def test_second_derivatives_are_checked_in_the_inputs_and_in_the_incoming_gradient():
    result = gradgradcheck(ops.tanh, normal(3))
    assert result.error < 1e-9 and list(result.errors) == ["input 0 (`x`)", "the gradient of output 0"]


def test_report_names_the_input_the_element_and_both_values(wrong_product):
    a, b = normal(3, 4), normal(3, 4, seed=1)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(wrong_product, [a, b], rng=np.random.default_rng(5))
    message = str(caught.value)
    assert "input 1 (`b`) of shape (3, 4)" in message and "element (1, 2)" in message and "1 of 12 elements" in message
    words = message.replace(",", " ").replace(";", " ").split()
    analytic, numeric = (float(words[words.index(word) + 1]) for word in ("analytic", "numeric"))
    assert analytic == pytest.approx(0.9 * numeric, rel=1e-4)


def test_one_wrong_element_among_thousands_is_found():
    @primitive(x=lambda g, x: 2 * g * x * np.where(np.arange(5000) == 4321, 1.01, 1.0))
    def square(x):
        return x * x

    del OPS["square"]
    with pytest.raises(GradcheckError):
        gradcheck(square, normal(5000))


def test_float32_inputs_are_refused_with_the_remedy():
    with pytest.raises(GradcheckError, match="input 0 .* is float32.*use float64"):
        gradcheck(ops.exp, Tensor(np.ones(3, np.float32), requires_grad=True))
    with pytest.raises(GradcheckError, match="float32"):
        gradgradcheck(ops.exp, np.ones(3, np.float32))


def test_a_function_that_falls_back_to_float32_is_refused():
    with pytest.raises(GradcheckError, match="output 0 is float32"):
        gradcheck(lambda x: ops.cast(x, np.float32), normal(3))


def test_nothing_to_check_is_an_error():
    with pytest.raises(GradcheckError, match="nothing to check"):
        gradcheck(ops.exp, Tensor(np.ones(3)))


def test_a_kink_is_called_a_kink():
    with pytest.raises(GradcheckError, match="has a kink .* slope is -?0 from the left and -?[0-9.]+ from the right"):
        gradcheck(ops.relu, np.array([0.0, 1.0]))


def test_a_point_close_to_a_kink_is_no_false_alarm():
    assert gradcheck(ops.relu, np.array([5e-4, -5e-4, 1.0])).error < 1e-6


def test_a_result_that_is_not_finite_is_an_error():
    with pytest.raises(GradcheckError, match="not finite"), np.errstate(divide="ignore"):
        gradcheck(ops.log, np.array([0.0, 1.0]))


def test_an_infinite_gradient_is_an_error():
    with pytest.raises(GradcheckError, match="NaN or infinity"), np.errstate(all="ignore"):
        gradcheck(ops.sqrt, np.array([0.0, 1.0]))


def test_history_lost_inside_the_function_is_found():
    with pytest.raises(GradcheckError, match="missing altogether"):
        gradcheck(lambda x: Tensor(x.data) * 2.0, normal(3))


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 1e3, 1e6])
def test_inputs_and_results_of_any_scale_pass(scale):
    assert gradcheck(lambda x: x * x * x, scale * normal(3)).error < 1e-6
    assert gradcheck(lambda x: ops.sin(x) * scale, normal(3)).error < 1e-6


def test_a_steep_function_is_tried_with_a_smaller_step():
    assert gradcheck(ops.log, np.array([0.01, 0.02, 3.0])).error < 1e-6


def test_a_large_constant_does_not_hide_a_mistake():
    @primitive(x=lambda g, x: 2.001 * g * x)
    def square_plus(x):
        return x * x + 1e3

    del OPS["square_plus"]
    with pytest.raises(GradcheckError):
        gradcheck(square_plus, normal(4))


def test_a_large_gradient_does_not_hide_a_small_one():
    @primitive(a=lambda g: 1e6 * g, b=lambda g: 1.001 * g)
    def weighted(a, b):
        return 1e6 * a + b

    del OPS["weighted"]
    with pytest.raises(GradcheckError, match="input 1"):
        gradcheck(weighted, [normal(4), normal(4)])


def test_constants_reach_the_function_as_they_are():
    seen = []

    def f(x, index, constant, name):
        seen.append((index, constant, name))
        return x[index] * constant

    constant = Tensor(normal(2))
    index = np.array([1, 0])
    result = gradcheck(f, [normal(3), index, constant, "name"])
    assert list(result.errors) == ["input 0 (`x`)"]
    assert seen[0][0] is index and seen[0][1] is constant and seen[0][2] == "name"


def test_several_outputs_are_checked_together_and_others_ignored():
    def f(x):
        return ops.exp(x), None, 3, ops.argmax(x), x * x

    assert gradcheck(f, normal(4)).error < 1e-8
    assert gradgradcheck(f, normal(4)).error < 1e-8


def test_parameters_of_a_module_are_found_by_themselves():
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0)).to(np.float64)
    assert set(gradcheck(layer, normal(4, 3)).errors) == {"input 0", "parameter weight", "parameter bias"}


def test_parameters_of_a_closure_are_checked_and_left_as_they_were():
    w = Tensor(normal(3), requires_grad=True)
    array, numbers = w._data, w.numpy()

    def f(x):
        return ops.sin(x * w)

    assert set(gradcheck(f, normal(3), parameters=[w]).errors) == {"input 0 (`x`)", "parameter 0"}
    assert gradgradcheck(f, normal(3), parameters={"w": w}).error < 1e-8
    assert w._data is array and np.array_equal(w.data, numbers) and w.grad is None


def test_a_wrong_parameter_gradient_is_named_and_the_parameter_restored(wrong_product):
    w = Tensor(normal(3, 4), requires_grad=True)
    numbers = w.numpy()
    with pytest.raises(GradcheckError, match="parameter w"):
        gradcheck(lambda x: wrong_product(x, w), normal(3, 4), parameters={"w": w})
    assert np.array_equal(w.data, numbers)


def test_the_callers_inputs_are_not_touched():
    x = Tensor(normal(3), requires_grad=True)
    array, numbers = normal(3), x.numpy()
    gradgradcheck(lambda a, b: a * b, [x, array])
    assert np.array_equal(x.data, numbers) and x.grad is None and np.array_equal(array, normal(3))


def test_the_same_tensor_given_twice_is_two_inputs():
    x = Tensor(normal(3), requires_grad=True)
    assert len(gradcheck(lambda a, b: a * ops.exp(b), [x, x]).errors) == 2


def test_results_of_operations_can_be_inputs():
    x = Tensor(normal(3), requires_grad=True)
    assert gradcheck(ops.sin, ops.exp(x)).error < 1e-8


def test_empty_and_single_numbers_pass():
    assert gradcheck(lambda x: ops.exp(x).sum(), np.zeros((0, 3))).error == 0
    assert gradcheck(ops.exp, np.array(0.3)).error < 1e-8


def test_it_runs_inside_no_grad_only_if_the_function_records():
    with no_grad(), pytest.raises(GradcheckError, match="missing altogether"):
        gradcheck(ops.exp, normal(2))


def test_the_same_generator_gives_the_same_errors():
    errors = [gradcheck(ops.exp, normal(3), rng=np.random.default_rng(4)).error for _ in range(2)]
    assert errors[0] == errors[1]


def test_tolerance_decides():
    @primitive(x=lambda g, y: 1.0001 * g * y)
    def nearly_exp(x):
        return np.exp(x)

    del OPS["nearly_exp"]
    assert gradcheck(nearly_exp, normal(3), rtol=1e-3)
    with pytest.raises(GradcheckError):
        gradcheck(nearly_exp, normal(3))


def test_second_order_failure_says_if_the_first_order_is_wrong_already(wrong_product):
    with pytest.raises(GradcheckError, match="already the first order is wrong"):
        gradgradcheck(wrong_product, [normal(3, 4), normal(3, 4)])


def test_zero_second_derivatives_are_an_error_of_zero():
    result = gradgradcheck(ops.relu, np.array([1.0, -2.0, 0.5]))
    assert result.errors["input 0 (`x`)"] == 0.0


def test_gradients_inside_the_function_are_checked_too():
    """A gradient penalty: the function takes a gradient itself, so its derivative is a second derivative."""
    from minigen import grad

    def penalty(x, w):
        y = ops.tanh(ops.matmul(x, w)).sum()
        (g,) = grad(y, x, create_graph=True)
        return (g * g).sum()

    assert gradcheck(penalty, [normal(3, 4), normal(4, 2)]).error < 1e-8
