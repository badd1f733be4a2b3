"""Everything that has a gradient is in the table, and passes it."""

import json

import numpy as np
import pytest

from minigen import gradtable, nn, ops
from minigen.autograd import OPS, Tensor, primitive
from minigen.samples import WITHOUT_GRADIENT, discover, layer_classes, public_functions, samples
from minigen.samples.layers import LAYERS
from minigen.samples.operations import OPERATIONS

ALL = discover()


@pytest.mark.parametrize("name", ALL)
def test_gradients_of_both_orders_are_right(name):
    """Also fails for a name without samples."""
    row = gradtable.check(name, ALL[name])
    assert row.passed, row.message
    assert row.inputs >= 2 and row.first < 1e-6 and row.second < 1e-6
    if ALL[name] == "fused":
        assert row.kernel is not None


def test_discovery_finds_each_kind():
    kinds = list(ALL.values())
    assert kinds.count("primitive") >= 50 and kinds.count("fused") >= 5 and kinds.count("layer") >= 20
    assert {name for name, kind in ALL.items() if kind == "loss"} >= {"cross_entropy", "bce_with_logits", "mse"}
    assert {"matmul", "Linear", "Normal.log_prob", "kl(Normal, Normal)"} <= set(ALL)
    assert all(name in ALL for name in OPS)


def test_every_public_function_is_in_the_table_or_gives_whole_numbers():
    listed = {id(f) for f in public_functions().values()}
    for name in ops.__all__:
        if id(getattr(ops, name)) not in listed:
            assert name in WITHOUT_GRADIENT
            assert getattr(ops, name)(Tensor(np.ones((2, 3))), dim=0).dtype.kind == "i"


def test_no_sample_is_left_over_from_something_that_is_gone():
    assert set(OPERATIONS) | set(LAYERS) <= set(ALL)


def test_layers_that_compute_are_found_and_bare_containers_are_not():
    assert "Conv2d" in layer_classes() and "Module" not in layer_classes() and "ModuleList" not in layer_classes()
    assert layer_classes()["Linear"] is nn.Linear


@pytest.mark.parametrize("name", OPS)
def test_samples_of_an_operation_run_that_operation(name):
    """A function that shares its name with an operation must use it, or the operation would go unchecked."""
    ran = set()
    for case in samples(name):
        y = case(*(Tensor(x, requires_grad=True) for x in case.arrays))
        stack = [t._node for t in (y if isinstance(y, tuple) else (y,))]
        while stack:
            node = stack.pop()
            if node.plan is not None:
                ran.add(node.plan.op.name)
                stack.extend(node.parents)
    assert name in ran


def test_an_operation_without_samples_fails_the_table():
    @primitive(x=lambda g: g)
    def never_sampled(x):
        return x + 0

    try:
        assert discover()["never_sampled"] == "primitive"
        row = gradtable.check("never_sampled", "primitive")
        assert not row.passed and "no sample inputs" in row.message
    finally:
        del OPS["never_sampled"]


def test_a_wrong_rule_fails_the_table(monkeypatch):
    right = OPS["sin"]
    monkeypatch.setitem(right.rules, "x", lambda g, x: -g * ops.cos(x))
    monkeypatch.setattr(right, "plans", {})
    monkeypatch.setattr("minigen.samples.operations.function_of", lambda name: right.as_function())
    row = gradtable.check("sin", "primitive")
    assert not row.passed and "wrong sign" in row.message
    assert "WRONG" in gradtable.line(row) and "1 of 1 are WRONG: sin" in gradtable.summary([row])


def test_samples_are_the_same_each_time():
    for name in ("matmul", "Linear", "Normal.log_prob"):
        for a, b in zip(samples(name), samples(name), strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(a.arrays, b.arrays, strict=True))


def test_the_table_prints_and_returns_zero(capsys):
    assert gradtable.main(["tanh", "loss"]) == 0
    text = capsys.readouterr().out
    assert "tanh" in text and "cross_entropy" in text and "1st order" in text and "all 4 pass" in text


def test_the_table_as_json(capsys):
    assert gradtable.main(["layer_norm"], as_json=True) == 0
    table = json.loads(capsys.readouterr().out)
    (row,) = table["rows"]
    assert table["passed"] and row["name"] == "layer_norm" and row["kind"] == "fused" and row["kernel"] < 1e-10


def test_an_unknown_name_is_answered_with_the_known_ones(capsys):
    assert gradtable.main(["tanhh"]) == 2
    assert "tanhh" in (text := capsys.readouterr().out) and "tanh" in text
