"""Module: finding parameters by walking attributes, modes, saving and loading."""

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.errors import ShapeError, StateError


def small_net(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3, rng=rng), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3, rng=rng))


def test_names_are_attribute_paths_in_order_of_definition():
    names = [name for name, _ in small_net().named_parameters()]
    assert names == ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"]
    assert [name for name, _ in small_net().named_buffers()] == [
        "1.running_mean", "1.running_var", "1.num_batches_tracked",
    ]  # fmt: skip


def test_a_shared_parameter_is_listed_once_but_saved_under_both_names():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    net = nn.Sequential(a, b)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert set(net.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert net.num_parameters() == 9 + 3 + 3


def test_private_attributes_and_frozen_tensors_are_not_parameters():
    net = nn.Linear(2, 2)
    net._hidden = mg.tensor([1.0], requires_grad=True)
    net.weight.requires_grad = False
    assert [name for name, _ in net.named_parameters()] == ["bias"]


def test_train_and_eval_reach_every_part():
    net = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    assert all(not m.training for m in net.eval().modules())
    assert all(m.training for m in net.train().modules())


def test_generators_of_noise_are_found():
    rng = np.random.default_rng(0)
    attention = nn.MultiheadAttention(4, 2, dropout=0.1, rng=rng)
    assert [name for name, _ in attention.named_generators()] == ["dropout.rng"]


def test_state_round_trip_changes_the_parameters_in_place():
    net, other = small_net(0), small_net(1)
    kept = list(net.parameters())
    x = mg.tensor(np.random.default_rng(2).normal(size=(5, 1, 8, 8)), dtype=np.float32)
    other(x)  # moves the running means
    net.load_state_dict(other.state_dict())
    assert all(a is b for a, b in zip(kept, net.parameters(), strict=True))
    np.testing.assert_array_equal(net.eval()(x).data, other.eval()(x).data)


def test_saved_state_is_a_copy():
    net = nn.Linear(2, 2)
    state = net.state_dict()
    state["weight"][...] = 7
    assert not np.any(net.weight.data == 7)


def test_a_state_that_does_not_fit_lists_every_problem_and_changes_nothing():
    net = small_net()
    before = net.state_dict()
    state = {"0.weight": np.zeros((4, 1, 5, 5)), "stranger": np.zeros(2), "3.bias": np.ones(3)}
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert "misshapen: 0.weight has shape (4, 1, 5, 5), expected (4, 1, 3, 3)" in message
    assert "missing: 1.running_mean (4,)" in message and "unexpected: stranger (2,)" in message
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(StateError, match="misshapen"):
        net.load_state_dict(state, strict=False)
    net.load_state_dict({"3.bias": np.ones(3)}, strict=False)
    np.testing.assert_array_equal(net.state_dict()["3.bias"], np.ones(3))


def test_loading_after_forward_is_noticed_by_backward():
    net = nn.Linear(3, 2)
    loss = (net(mg.tensor(np.ones((1, 3)), requires_grad=True, dtype=np.float32)) ** 2).sum()
    net.load_state_dict({"weight": np.zeros((2, 3)), "bias": np.zeros(2)})
    with pytest.raises(mg.errors.GraphError, match="changed in place"):
        loss.backward()


def test_to_converts_parameters_and_float_buffers():
    net = small_net().to(np.float64)
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert {str(b.dtype) for _, b in net.named_buffers()} == {"float64", "int64"}


def test_zero_grad_and_freezing():
    net = nn.Linear(2, 2)
    net(mg.tensor([[1.0, 2.0]])).sum().backward()
    assert net.weight.grad is not None
    net.zero_grad()
    assert net.weight.grad is None
    net.requires_grad_(False)
    assert list(net.parameters()) == [] and len(list(net.requires_grad_().parameters())) == 2


def test_containers_index_slice_and_refuse_strangers():
    net = small_net()
    assert isinstance(net[1], nn.BatchNorm2d) and len(net[:2]) == 2 and isinstance(net[:2], nn.Sequential)
    assert len(nn.ModuleList([nn.ReLU(), nn.Tanh()])) == 2
    with pytest.raises(TypeError, match="expected a Module, got int"):
        nn.ModuleList([3])


def test_repr_shows_the_structure():
    assert repr(nn.Sequential(nn.Linear(2, 3), nn.ReLU())) == (
        "Sequential(\n  (0): Linear(2, 3, bias=True)\n  (1): ReLU()\n)"
    )


def test_bad_sizes_are_named():
    with pytest.raises(ShapeError, match="3 groups do not divide 4 channels"):
        nn.Conv2d(4, 6, 3, groups=3)
    with pytest.raises(ShapeError, match="3 heads do not divide the width 8"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ShapeError, match=r"BatchNorm2d: input \(2, 3\)"):
        nn.BatchNorm2d(3)(mg.tensor(np.zeros((2, 3))))
    with pytest.raises(ShapeError, match="one value per channel"):
        nn.BatchNorm1d(3)(mg.tensor(np.zeros((1, 3))))
    with pytest.raises(TypeError, match="expected a np.random.Generator"):
        nn.Linear(2, 2, rng=0)
    with pytest.raises(ValueError, match="p=1.5"):
        nn.Dropout(1.5)
