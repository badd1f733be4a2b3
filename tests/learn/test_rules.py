"""The judge of gradient rules: right rules pass, wrong ones do not, and nothing is left behind."""

import numpy as np
import pytest

import minigen as mg
from minigen.autograd import OPS
from minigen.learn import rules
from minigen.learn.exercise import WrongForm

X = np.random.default_rng(0).normal(size=(3, 4))


def cube(x):
    return x * x * x


@pytest.mark.parametrize(("rule", "first", "second"), [
    (lambda g, x: g * 3 * x * x, 1, 1),
    (lambda g, x: g * 3 * (x.data if isinstance(x, mg.Tensor) else x) ** 2, 1, 0),  # cut from the graph
    (lambda g, x: g * x * x, 0, 0),
    (lambda g, x: g * 3 * x * x * (x > 0), 0, 0),
    (lambda g, x: (g * 3 * x * x)[:1].sum(), 0, 0),
    (lambda g, x: None, 0, 0),
])  # fmt: skip
def test_a_rule_passes_if_it_is_right(rule, first, second):
    assert rules.passes(cube, {"x": rule}, [X]) == first
    assert rules.passes(cube, {"x": rule}, [X], order=2) == second


def test_the_table_of_operations_stays_as_it_was():
    before = set(OPS)
    rules.passes(cube, {"x": lambda g, x: g}, [X])
    assert set(OPS) == before


def test_the_rules_written_out_are_those_of_the_package():
    rng = np.random.default_rng(1)
    g, x, weight, bias = (rng.normal(size=shape) for shape in ((5, 2), (5, 3), (3, 2), (2,)))
    leaves = [mg.tensor(part, requires_grad=True) for part in (x, weight, bias)]
    for mine, theirs in zip(rules.layer_rules(g, x, weight, bias),
                            mg.grad(leaves[0] @ leaves[1] + leaves[2], leaves, g), strict=True):  # fmt: skip
        np.testing.assert_allclose(mine, theirs.data, atol=1e-12)
    logits = mg.tensor(x, requires_grad=True)
    g = rng.normal(size=x.shape)
    for mine, f in zip(rules.softmax_rules(g, rules.softmax(x)), (mg.softmax, mg.log_softmax), strict=True):
        np.testing.assert_allclose(mine, mg.grad(f(logits, dim=1), logits, g)[0].data, atol=1e-12)
    y = np.array([0, 2, 1, 1, 0])
    (wanted,) = mg.grad(mg.cross_entropy(logits, y).sum(), logits)
    np.testing.assert_allclose(rules.cross_entropy_gradient(x, y), wanted.data, atol=1e-12)


def test_another_number_of_results_is_named():
    assert rules.several([1, 2], 2, "a, b") == (1, 2)
    with pytest.raises(WrongForm, match="returned 1 things, wanted 2: a, b"):
        rules.several((1,), 2, "a, b")
    with pytest.raises(WrongForm, match="returned NoneType"):
        rules.several(None, 2, "a, b")


def test_a_penalty_that_is_cut_from_the_graph_is_seen():
    x = mg.tensor(X[:, :2], requires_grad=True)
    whole = rules.penalty(rules.slope_squared, rules.waves, x)
    assert whole["gradgradcheck passes"] == 1.0 and np.any(whole["gradient of its sum"].data)
    cut = rules.penalty(lambda f, x: rules.slope_squared(f, x).detach(), rules.waves, x)
    assert cut["gradgradcheck passes"] == 0.0 and not np.any(cut["gradient of its sum"])
    with pytest.raises(WrongForm, match="wanted a Tensor"):
        rules.penalty(lambda f, x: x.data, rules.waves, x)
