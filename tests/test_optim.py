"""Optimisers against PyTorch (live, and stored for when it is not installed), closed forms, and their bookkeeping.

`python tests/test_optim.py` writes the stored values anew; it needs PyTorch.
"""

import copy
import math
from pathlib import Path

import numpy as np
import pytest

import minigen as mg
from minigen import nn, optim
from minigen.autograd.tensor import constant
from minigen.errors import AnomalyError, GraphError, ShapeError, StateError

GOLDEN = Path(__file__).parent / "golden" / "optim.npz"
SHAPES = [(4, 3), (3,), (), (2, 1, 2)]
STEPS = 50
BUFFERS = ("momentum", "amsgrad")  # the options that decide which state arrays there are

CASES = {
    "SGD": [
        dict(lr=0.05),
        dict(lr=0.05, weight_decay=0.1),
        dict(lr=0.05, momentum=0.9),
        dict(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1),
        dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    ],
    "Adam": [
        dict(),
        dict(lr=0.05),
        dict(lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1),
        dict(lr=0.05, amsgrad=True),
    ],
    "AdamW": [dict(lr=0.05), dict(lr=0.05, betas=(0.0, 0.99), weight_decay=0.3, amsgrad=True)],
    "Adamax": [dict(), dict(lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1)],
}
NAMED = [(f"{name}{i}", name, options) for name, some in CASES.items() for i, options in enumerate(some)]
EVERY = pytest.mark.parametrize("key,name,options", NAMED, ids=[key for key, _, _ in NAMED])


def problem():
    """Start values, and noise for the gradient 0.3 p + noise of every step. Parameter 1 has no gradient at first,
    parameter 3 has none at every third step."""
    rng = np.random.default_rng(7)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    noise = [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]
    return start, noise


def has_grad(step, i):
    return not (i == 1 and step < 5 or i == 3 and step % 3 == 2)


def fifty_steps(optimizer, params, noise, dtype):
    for step in range(STEPS):
        optimizer.zero_grad()
        for i, p in enumerate(params):
            if has_grad(step, i):
                p.grad = constant((0.3 * p.data + noise[step][i]).astype(dtype))
        optimizer.step()
    return [p.numpy() for p in params]


def by_torch(name, options, start, noise, dtype):
    torch = pytest.importorskip("torch")
    params = [torch.tensor(x.astype(dtype), requires_grad=True) for x in start]
    optimizer = getattr(torch.optim, name)(params, **options)
    for step in range(STEPS):
        optimizer.zero_grad()
        for i, p in enumerate(params):
            if has_grad(step, i):
                p.grad = torch.from_numpy(np.asarray((0.3 * p.detach().numpy() + noise[step][i]).astype(dtype)))
        optimizer.step()
    return [p.detach().numpy() for p in params]


def parameters(seed=0, shapes=SHAPES, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [mg.tensor(np.asarray(rng.standard_normal(s), dtype), requires_grad=True) for s in shapes]


def give_gradients(params, seed):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = np.asarray(rng.standard_normal(p.shape), p.dtype)


def same_bits(a, b):
    return len(a) == len(b) and all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


# -- against PyTorch ------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("dtype,tolerance", [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_fifty_steps_equal_those_of_pytorch(key, name, options, dtype, tolerance):
    start, noise = problem()
    params = [mg.tensor(x.astype(dtype), requires_grad=True) for x in start]
    ours = fifty_steps(getattr(optim, name)(params, **options), params, noise, dtype)
    theirs = by_torch(name, options, start, noise, dtype)
    for a, b, before in zip(ours, theirs, start, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        assert np.abs(a - before).max() > 1e-3  # it did move


@EVERY
def test_fifty_steps_equal_the_stored_values(key, name, options):
    stored = np.load(GOLDEN)
    start = [stored[f"start.{i}"] for i in range(len(SHAPES))]
    noise = [[stored[f"noise.{i}"][step] for i in range(len(SHAPES))] for step in range(STEPS)]
    params = [mg.tensor(x, requires_grad=True) for x in start]
    ours = fifty_steps(getattr(optim, name)(params, **options), params, noise, np.float64)
    for i, a in enumerate(ours):
        np.testing.assert_allclose(a, stored[f"{key}.{i}"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(CASES))
def test_defaults_and_argument_order_are_those_of_pytorch(name):
    import inspect

    torch = pytest.importorskip("torch")
    theirs = list(inspect.signature(getattr(torch.optim, name)).parameters.values())
    ours = list(inspect.signature(getattr(optim, name)).parameters.values())
    for a, b in zip(ours, theirs, strict=False):
        assert (a.name, a.default) == (b.name, b.default)


def test_groups_with_their_own_options_equal_those_of_pytorch():
    torch = pytest.importorskip("torch")
    start, noise = problem()
    ours = [mg.tensor(x, requires_grad=True) for x in start]
    theirs = [torch.tensor(x, requires_grad=True) for x in start]

    def groups(p):
        return [{"params": p[:2], "weight_decay": 0.0}, {"params": p[2:], "lr": 0.2}]

    a = optim.AdamW(groups(ours), lr=0.01, weight_decay=0.5)
    b = torch.optim.AdamW(groups(theirs), lr=0.01, weight_decay=0.5)
    for step in range(STEPS):
        for p, q, n in zip(ours, theirs, noise[step], strict=True):
            p.grad, q.grad = n, torch.tensor(n)
        a.step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-12)


# -- closed forms ---------------------------------------------------------------------------------------------


def test_the_first_adam_step_is_lr_times_the_sign_of_the_gradient():
    p = mg.tensor(np.zeros(4), requires_grad=True)
    p.grad = np.array([1e-3, -5.0, 2e4, 0.0])
    optim.Adam([p], lr=0.01, eps=1e-30).step()
    np.testing.assert_allclose(p.data, [-0.01, 0.01, -0.01, 0.0], rtol=1e-12)


def test_a_steady_gradient_reaches_the_terminal_speed_of_momentum():
    p = mg.tensor(np.zeros(1), requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    for step in range(200):
        before = p.numpy()
        p.grad = np.ones(1)
        optimizer.step()
        speed = before - p.data
        np.testing.assert_allclose(speed, 0.1 * (1 - 0.9 ** (step + 1)) / (1 - 0.9), rtol=1e-9)


def test_adamw_shrinks_a_parameter_whose_gradient_is_zero():
    p = mg.tensor(np.array([2.0]), requires_grad=True)
    optimizer = optim.AdamW([p], lr=0.1, weight_decay=0.5)
    for _ in range(3):
        p.grad = np.zeros(1)
        optimizer.step()
    np.testing.assert_allclose(p.data, 2.0 * 0.95**3, rtol=1e-12)


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1, momentum=0.5), lambda p: optim.Adam(p, lr=0.05)])
def test_a_quadratic_is_minimised_through_backward(make):
    target = np.array([1.0, -2.0, 3.0], np.float32)
    p = mg.tensor(np.zeros(3, np.float32), requires_grad=True)
    optimizer = make([p])
    for _ in range(400):
        optimizer.zero_grad()
        ((p - target) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.data, target, atol=1e-3)


# -- one array for many parameters ----------------------------------------------------------------------------


def test_parameters_keep_identity_shape_and_values_when_they_move_into_one_array():
    params = parameters()
    values = [p.numpy() for p in params]
    ids = [id(p) for p in params]
    optimizer = optim.Adam(params)
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == ids
    assert same_bits([p.numpy() for p in params], values)
    assert [p.shape for p in params] == SHAPES
    bases = {id(p._data.base) for p in params}
    assert len(bases) == 1


def test_a_step_leaves_the_gradients_as_they_were():
    params = parameters()
    optimizer = optim.Adam(params, weight_decay=0.3)
    give_gradients(params, 1)
    before = [p.grad.numpy() for p in params]
    optimizer.step()
    assert same_bits([p.grad.numpy() for p in params], before)


def test_a_parameter_without_gradient_moves_neither_itself_nor_its_state():
    params = parameters()
    optimizer = optim.Adam(params)
    give_gradients(params, 1)
    optimizer.step()
    before, saved = params[1].numpy(), optimizer.state_dict()
    give_gradients(params, 2)
    params[1].grad = None
    optimizer.step()
    after = optimizer.state_dict()
    assert params[1].numpy().tobytes() == before.tobytes()
    assert after["state.1.step"] == saved["state.1.step"] == 1 and after["state.0.step"] == 2
    assert same_bits([after["state.1.exp_avg"]], [saved["state.1.exp_avg"]])
    assert not same_bits([after["state.0.exp_avg"]], [saved["state.0.exp_avg"]])


def test_replacing_the_data_of_a_parameter_is_noticed_at_the_next_step():
    p, q = parameters(shapes=[(3,), (2,)])
    optimizer = optim.SGD([p, q], lr=0.5)
    _ = p.data  # locks the view; the optimiser must cope
    p.data = np.array([10.0, 20.0, 30.0])
    give_gradients([p, q], 3)
    gradient = p.grad.numpy()
    optimizer.step()
    np.testing.assert_allclose(p.data, np.array([10, 20, 30], np.float32) - 0.5 * gradient)
    with mg.no_grad():
        p -= 1.0
    optimizer.step()
    np.testing.assert_allclose(p.data, np.array([9, 19, 29], np.float32) - gradient, rtol=1e-6)


def test_two_optimisers_may_share_a_parameter():
    ours, alone = parameters(shapes=[(3,)])[0], parameters(shapes=[(3,)])[0]
    first, second = optim.SGD([ours], lr=0.1), optim.SGD([ours], lr=0.01)
    for step in range(4):
        give_gradients([ours], step)
        (first if step % 2 else second).step()
        with mg.no_grad():
            alone -= (0.1 if step % 2 else 0.01) * ours.grad
    np.testing.assert_allclose(ours.data, alone.data, rtol=1e-6)


def test_backward_over_a_graph_older_than_the_step_is_refused():
    p = mg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    loss = (p * p).sum()
    p.grad = np.ones(2)
    optimizer.step()
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_a_graph_that_holds_the_view_is_refused_after_the_data_came_back_into_it():
    p, q = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p, q], lr=0.1)
    loss = (p * p).sum()
    p.data = np.array([5.0, 6.0])
    q.grad = np.ones(1)  # p itself is not updated, but its memory is
    optimizer.step()
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_mixed_dtypes_in_one_group_each_keep_their_own():
    params = parameters(dtype=np.float32) + parameters(dtype=np.float64)
    optimizer = optim.Adam(params)
    give_gradients(params, 1)
    optimizer.step()
    assert [p.dtype for p in params] == [np.float32] * 4 + [np.float64] * 4
    assert optimizer.state_dict()["state.7.exp_avg"].dtype == np.float64


def test_a_parameter_converted_after_construction_is_an_error():
    p = parameters(shapes=[(3,)])[0]
    optimizer = optim.Adam([p])
    p._data = p._data.astype(np.float64)
    give_gradients([p], 1)
    with pytest.raises(ShapeError, match="float32 has become .* float64"):
        optimizer.step()


def test_gradients_with_a_graph_of_their_own_can_be_stepped_on():
    p = mg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    (p**3).sum().backward(create_graph=True)
    assert p.grad.requires_grad
    optimizer.step()
    np.testing.assert_allclose(p.data, [1 - 0.3, 2 - 1.2], rtol=1e-6)


# -- saving and restoring -------------------------------------------------------------------------------------


@EVERY
def test_a_restored_run_ends_in_the_same_bits(key, name, options, tmp_path):
    def run(stop_at):
        params = parameters()
        optimizer = getattr(optim, name)(params, **options)
        for step in range(12):
            if step == stop_at:
                np.savez(tmp_path / "state.npz", **optimizer.state_dict())
                values = [p.numpy() for p in params]
                params = [mg.tensor(v, requires_grad=True) for v in values]
                optimizer = getattr(optim, name)(params, **{k: v for k, v in options.items() if k in BUFFERS})
                with np.load(tmp_path / "state.npz", allow_pickle=False) as stored:
                    optimizer.load_state_dict(dict(stored))
            give_gradients(params, step)
            if step % 2 == 0:
                params[2].grad = None
            optimizer.step()
        return [p.numpy() for p in params]

    assert same_bits(run(None), run(stop_at=7))
    assert same_bits(run(None), run(stop_at=0))


def test_a_state_dict_is_a_copy_and_loading_copies_too():
    params = parameters()
    optimizer = optim.Adam(params)
    give_gradients(params, 1)
    optimizer.step()
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    optimizer.load_state_dict(saved)
    give_gradients(params, 2)
    optimizer.step()
    assert saved.keys() == kept.keys()
    assert all(np.array_equal(saved[k], kept[k]) for k in saved)


def test_loading_an_early_state_forgets_later_steps():
    params = parameters()
    optimizer = optim.Adam(params)
    fresh = optimizer.state_dict()
    give_gradients(params, 1)
    optimizer.step()
    optimizer.load_state_dict(fresh)
    assert optimizer.state_dict().keys() == fresh.keys()
    other = parameters()
    for p, q in zip(params, other, strict=True):
        q.data = p.data
    unused = optim.Adam(other)
    for some, each in ((params, optimizer), (other, unused)):
        give_gradients(some, 2)
        each.step()
    assert same_bits([p.numpy() for p in params], [p.numpy() for p in other])


def test_a_state_dict_that_does_not_fit_is_refused_with_every_fault_and_changes_nothing():
    params = parameters()
    optimizer = optim.Adam(params)
    give_gradients(params, 1)
    optimizer.step()
    good = optimizer.state_dict()
    bad = dict(good)
    del bad["state.0.exp_avg"]
    bad["state.9.exp_avg"] = np.zeros(2)
    bad["param_groups.0.lr"] = 7.0
    with pytest.raises(StateError, match="missing state.0.exp_avg; unexpected state.9.exp_avg"):
        optimizer.load_state_dict(bad)
    with pytest.raises(StateError, match=r"state.1.exp_avg has shape \(4,\), expected \(3,\)"):
        optimizer.load_state_dict(good | {"state.1.exp_avg": np.zeros(4), "param_groups.0.lr": 7.0})
    assert optimizer.param_groups[0]["lr"] == 1e-3


# -- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make,error,message",
    [
        (lambda p: optim.Adam(p, lr=-1.0), ValueError, "Adam: lr=-1.0; expected 0.0 ≤ lr"),
        (lambda p: optim.Adam(p, lr=math.nan), ValueError, "lr=nan"),
        (lambda p: optim.AdamW(p, betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda p: optim.Adamax(p, eps=-1e-8), ValueError, "eps"),
        (lambda p: optim.SGD(p, momentum=-0.1), ValueError, "momentum"),
        (lambda p: optim.SGD(p, nesterov=True), ValueError, "momentum > 0"),
        (lambda p: optim.SGD(p, momentum=0.9, dampening=0.1, nesterov=True), ValueError, "dampening = 0"),
        (lambda p: optim.SGD([{"params": p, "lr": -3}]), ValueError, "lr=-3"),
        (lambda p: optim.SGD([{"params": p, "learning_rate": 3}]), ValueError, "unknown options.*learning_rate"),
        (lambda p: optim.Adam([]), ValueError, "empty parameter list"),
        (lambda p: optim.Adam([{"params": []}]), ValueError, "empty parameter list"),
        (lambda p: optim.Adam(p + p[:1]), ValueError, "parameter 4 of shape .* twice"),
        (lambda p: optim.Adam([{"params": p}, {"params": p[0]}]), ValueError, "twice"),
        (lambda p: optim.Adam(p[0]), TypeError, "got one Tensor"),
        (lambda p: optim.Adam([np.zeros(3)]), TypeError, "parameter 0 is a ndarray"),
        (lambda p: optim.Adam([{"lr": 0.1}]), TypeError, "'params'"),
        (lambda p: optim.Adam([mg.tensor([1.0])]), GraphError, "does not require grad"),
        (lambda p: optim.Adam([p[0] * 2]), GraphError, "result of an operation"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(parameters())


def test_switching_momentum_on_later_is_an_error():
    params = parameters()
    optimizer = optim.SGD(params)
    optimizer.param_groups[0]["momentum"] = 0.9
    give_gradients(params, 1)
    with pytest.raises(ValueError, match="build a new optimiser"):
        optimizer.step()


# -- clipping -------------------------------------------------------------------------------------------------


def test_clipping_bounds_the_joint_length_and_keeps_the_direction():
    params = parameters()
    give_gradients(params, 1)
    params[1].grad = None
    before = np.concatenate([p.grad.numpy().ravel() for p in params if p.grad is not None])
    norm = optim.clip_grad_norm_(iter(params), 0.5)
    after = np.concatenate([p.grad.numpy().ravel() for p in params if p.grad is not None])
    assert norm == pytest.approx(np.linalg.norm(before), rel=1e-6)
    assert np.linalg.norm(after) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(after, before * 0.5 / norm, rtol=1e-5)
    assert optim.clip_grad_norm_(params, 1e9) == pytest.approx(0.5, rel=1e-5)
    assert np.array_equal(np.concatenate([p.grad.numpy().ravel() for p in params if p.grad is not None]), after)


def test_clipping_equals_that_of_pytorch():
    torch = pytest.importorskip("torch")
    params = parameters()
    give_gradients(params, 1)
    theirs = [torch.tensor(p.numpy(), requires_grad=True) for p in params]
    for p, q in zip(params, theirs, strict=True):
        q.grad = torch.tensor(p.grad.numpy())
    assert optim.clip_grad_norm_(params, 0.7) == pytest.approx(
        torch.nn.utils.clip_grad_norm_(theirs, 0.7).item(), rel=1e-6
    )
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-6)


def test_the_length_of_huge_float32_gradients_does_not_overflow():
    p = mg.tensor(np.zeros(4, np.float32), requires_grad=True)
    p.grad = np.full(4, 1e30, np.float32)
    assert optim.clip_grad_norm_([p], 1.0) == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_allclose(p.grad.data, 0.5, rtol=1e-6)


def test_a_gradient_that_is_not_finite_can_be_an_error():
    params = parameters()
    give_gradients(params, 1)
    params[2].grad = np.float32(np.nan)
    with pytest.raises(AnomalyError, match="number 2"):
        optim.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert math.isnan(optim.clip_grad_norm_(params, 1.0))
    with pytest.raises(ValueError, match="max_norm=-1"):
        optim.clip_grad_norm_(params, -1)


def test_clipping_leaves_alone_a_gradient_array_that_a_graph_holds():
    p = mg.tensor([3.0, 4.0], requires_grad=True)
    (0.5 * p * p).sum().backward(create_graph=True)
    shared = p.grad
    optim.clip_grad_norm_([p], 1.0)
    np.testing.assert_allclose(shared.data, [3, 4])
    np.testing.assert_allclose(p.grad.data, [0.6, 0.8], rtol=1e-5)
    q = mg.tensor([[3.0, 4.0]], requires_grad=True)
    p.grad = q.reshape(2)  # looks into the memory of another leaf
    optim.clip_grad_norm_([p], 1.0)
    np.testing.assert_allclose(q.data, [[3, 4]])
    np.testing.assert_allclose(p.grad.data, [0.6, 0.8], rtol=1e-5)


# -- schedules ------------------------------------------------------------------------------------------------


def test_schedules_take_their_known_values():
    assert [optim.constant(s, warmup=4) for s in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [optim.linear(s, 6, warmup=2, final=0.5) for s in (0, 1, 2, 4, 6, 99)] == [0.5, 1, 1, 0.75, 0.5, 0.5]
    cosine = [optim.cosine(s, 14, warmup=10, final=0.2) for s in (9, 10, 12, 14, 1000)]
    np.testing.assert_allclose(cosine, [1, 1, 0.6, 0.2, 0.2])


def test_the_cosine_equals_that_of_pytorch():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=0.1)
    for step in range(31):
        assert optim.cosine(step, 30, final=0.1) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_a_schedule_scales_every_group_and_is_restored_by_the_step_number():
    def build():
        p, q = parameters(shapes=[(3,), (2,)])
        optimizer = optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.2}], lr=1.0)
        return optimizer, optim.Schedule(optimizer, optim.cosine, total=10, warmup=2)

    optimizer, schedule = build()
    assert schedule(6) == pytest.approx(0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.1])
    saved = optimizer.state_dict()
    assert saved["param_groups.1.initial_lr"] == 0.2

    other, resumed = build()
    other.load_state_dict(saved)
    resumed(7)
    schedule(7)
    assert [g["lr"] for g in other.param_groups] == [g["lr"] for g in optimizer.param_groups]
    again = optim.Schedule(optimizer, optim.constant)  # on an optimiser in mid-course
    again(0)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.2]
    with pytest.raises(ValueError, match="warmup=10 and total=10"):
        optim.Schedule(optimizer, optim.cosine, total=10, warmup=10)


# -- averages -------------------------------------------------------------------------------------------------


def test_the_average_follows_its_closed_form():
    p = mg.tensor(np.zeros(2), requires_grad=True)
    ema = optim.EMA([p], decay=0.9)
    p.data = np.array([1.0, -3.0])
    for _ in range(5):
        ema.update()
    with ema.averaged():
        np.testing.assert_allclose(p.data, np.array([1.0, -3.0]) * (1 - 0.9**5), rtol=1e-12)
    assert ema.updates == 5


def test_averages_are_swapped_in_and_out_without_the_optimiser_noticing():
    params = parameters(shapes=[(300, 250), (3,)])
    optimizer = optim.Adam(params)
    ema = optim.EMA(params, decay=0.5)
    give_gradients(params, 1)
    optimizer.step()
    ema.update()
    trained = [p.numpy() for p in params]
    views = [p._data for p in params]
    with ema.averaged():
        assert not same_bits([p.numpy() for p in params], trained)
        np.testing.assert_array_equal(params[1].data, ema.state_dict()["average.1"])
        with pytest.raises(GraphError, match="swapped"):
            ema.update()
    assert same_bits([p.numpy() for p in params], trained)
    assert all(p._data is view for p, view in zip(params, views, strict=True))
    with pytest.raises(KeyError), ema.averaged():
        raise KeyError
    assert same_bits([p.numpy() for p in params], trained)


def test_training_inside_the_averaged_block_is_an_error():
    params = parameters()
    ema = optim.EMA(params)
    trained = [p.numpy() for p in params]
    with pytest.raises(GraphError, match=r"parameters \['0'\] were changed"), ema.averaged(), mg.no_grad():
        params[0] -= 1.0
    assert same_bits([p.numpy() for p in params], trained)
    optimizer = optim.SGD(params, lr=0.1)
    give_gradients(params, 1)
    with pytest.raises(GraphError, match="were changed"), ema.averaged():
        optimizer.step()
    assert same_bits([p.numpy() for p in params], trained)


def test_a_restored_average_ends_in_the_same_bits(tmp_path):
    class TwoLayers:
        def __init__(self):
            self.weights = parameters()

        def named_parameters(self):
            return zip("abcd", self.weights, strict=True)

    def run(stop_at):
        module = TwoLayers()
        ema = optim.EMA(module, 0.9)
        for step in range(10):
            if step == stop_at:
                np.savez(tmp_path / "ema.npz", **ema.state_dict())
                ema = optim.EMA(module)
                with np.load(tmp_path / "ema.npz", allow_pickle=False) as stored:
                    ema.load_state_dict(dict(stored))
            for p in module.weights:
                p.data = p.data * 0.9 + 0.1
            ema.update()
        return ema.state_dict()

    straight, resumed = run(None), run(4)
    assert straight.keys() == resumed.keys() and "average.a" in straight and straight["updates"] == 10
    assert all(np.asarray(straight[k]).tobytes() == np.asarray(resumed[k]).tobytes() for k in straight)


def test_bad_averages_are_refused():
    params = parameters()
    with pytest.raises(ValueError, match="decay=1.0"):
        optim.EMA(params, decay=1.0)
    with pytest.raises(ValueError, match="no parameters"):
        optim.EMA([])
    ema = optim.EMA(params)
    saved = ema.state_dict()
    with pytest.raises(StateError, match="missing average.0; unexpected average.x"):
        ema.load_state_dict({("average.x" if k == "average.0" else k): v for k, v in saved.items()})
    with pytest.raises(StateError, match=r"average.1 has shape \(7,\), expected \(3,\)"):
        ema.load_state_dict(saved | {"average.1": np.zeros(7)})


# -- which parameters shrink ------------------------------------------------------------------------------------------


def test_weights_decay_and_gains_shifts_and_biases_do_not():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=np.random.default_rng(0)), nn.BatchNorm2d(2),
                          nn.Linear(4, 3, rng=np.random.default_rng(0)))  # fmt: skip
    optimizer = optim.AdamW(optim.decay_groups(model.parameters(), 0.5), lr=0.1)
    before = {name: p.numpy() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = mg.tensor(np.zeros(p.shape, dtype=p.dtype))  # without a gradient nothing is left but the decay
    optimizer.step()
    for name, p in model.named_parameters():
        factor = 0.95 if p.ndim > 1 else 1.0
        np.testing.assert_allclose(p.data, factor * before[name], rtol=1e-6, err_msg=name)


def test_a_group_that_would_be_empty_is_left_out():
    bias = mg.tensor(np.zeros(3), requires_grad=True)
    assert [group["weight_decay"] for group in optim.decay_groups([bias], 0.1)] == [0.0]


def write_golden():
    start, noise = problem()
    stored = {f"start.{i}": x for i, x in enumerate(start)}
    stored |= {f"noise.{i}": np.stack([noise[s][i] for s in range(STEPS)]) for i in range(len(SHAPES))}
    for key, name, options in NAMED:
        for i, x in enumerate(by_torch(name, options, start, noise, np.float64)):
            stored[f"{key}.{i}"] = x
    np.savez_compressed(GOLDEN, **stored)


if __name__ == "__main__":
    write_golden()
