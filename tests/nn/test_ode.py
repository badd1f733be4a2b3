"""Solvers against closed forms and their orders; divergences against differences; volumes against a determinant."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from minigen import Tensor, autograd, nn, ops
from minigen.errors import MinigenError, ShapeError, TrainingError
from minigen.nn import ode

TURN = np.array([[0.3, -1.2], [0.9, -0.5]])


def rates(state, t):
    return (state[0] @ TURN.T,)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)])
def test_each_method_has_its_order(method, order):
    # y' = y cos t, an equation that depends on time too: y = e^(sin t)
    errors = []
    for steps in (40, 80, 160):
        (y,) = ode.solve(lambda state, t: (state[0] * np.cos(t),), (np.ones(1),), np.linspace(0, 2, steps + 1),
                         method=method)
        errors.append(abs(y[0] - np.exp(np.sin(2.0))))
    for coarse, fine in zip(errors[:-1], errors[1:], strict=True):
        assert np.log2(coarse / fine) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("method", ["rk4", "RK45", "DOP853"])
def test_a_linear_flow_is_a_matrix_exponential_both_ways(method):
    x = np.random.default_rng(0).normal(size=(5, 2))
    settings = {"method": method, "rtol": 1e-9, "atol": 1e-9}
    times = np.linspace(0, 1.5, 200)
    (path,) = ode.solve(rates, (x,), times, keep=True, **settings)
    assert path.shape == (200, 5, 2)
    np.testing.assert_allclose(path[100], x @ expm(times[100] * TURN).T, atol=1e-7)
    (end,) = ode.solve(rates, (x,), times, **settings)
    np.testing.assert_allclose(end, x @ expm(1.5 * TURN).T, atol=1e-7)
    (back,) = ode.solve(rates, (end,), times[::-1], **settings)
    np.testing.assert_allclose(back, x, atol=1e-7)


def test_parts_keep_their_shapes_and_types():
    state = np.ones((2, 3), np.float32), np.zeros(2)
    for method in ("heun", "RK45"):
        end = ode.solve(lambda state, t: (state[0], state[0].sum(1)), state, [0.0, 0.5, 1.0], method=method)
        assert [part.shape for part in end] == [(2, 3), (2,)]
        assert [part.dtype for part in end] == [np.float32, np.float64]


def test_steps_of_tensors_are_recorded():
    x = Tensor(np.array([[1.0, 2.0]]), requires_grad=True)
    (end,) = ode.solve(lambda state, t: (state[0] @ TURN.T,), (x,), np.linspace(0, 1, 30))
    (slope,) = autograd.grad(ops.sum(end * np.array([1.0, -2.0])), x)
    np.testing.assert_allclose(slope.data[0], expm(TURN).T @ [1.0, -2.0], atol=1e-6)


def field(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(3, 8, rng=rng), nn.Tanh(), nn.Linear(8, 3, rng=rng)).to(np.float64)


def test_the_divergence_is_the_trace_of_the_jacobian():
    net, x = field(), np.random.default_rng(1).normal(size=(4, 3))
    leaf = Tensor(x, requires_grad=True)
    found = ode.divergence(net(leaf), leaf).data
    h, differences = 1e-5, np.zeros(4)
    for d, e in enumerate(np.eye(3)):
        differences += (net(Tensor(x + h * e)).data - net(Tensor(x - h * e)).data)[:, d] / (2 * h)
    np.testing.assert_allclose(found, differences, atol=1e-8)
    pictures = Tensor(x.reshape(4, 1, 3, 1), requires_grad=True)
    shaped = ops.reshape(net(ops.reshape(pictures, (4, 3))), pictures.shape)
    np.testing.assert_allclose(ode.divergence(shaped, pictures).data, found, atol=1e-12)


def test_the_estimate_averages_to_the_trace_and_is_another_number_each_time():
    net, x = field(), Tensor(np.random.default_rng(1).normal(size=(4, 3)), requires_grad=True)
    exact = ode.divergence(net(x), x).data
    every = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3, indexing="ij"), -1).reshape(8, 1, 3) * np.ones((8, 4, 3))
    np.testing.assert_allclose(ode.divergence(net(x), x, signs=every).data, exact, rtol=1e-10)
    signs = ode.draw_signs("hutchinson", x.data, rng=np.random.default_rng(2), probes=400)
    singles = np.stack([ode.divergence(net(x), x, signs=v[None]).data for v in signs])
    np.testing.assert_allclose(singles.mean(0), exact, atol=4.5 * singles.std(0).max() / 20)
    assert singles.std(0).min() > 1e-3
    np.testing.assert_allclose(ode.divergence(net(x), x, signs=signs).data, singles.mean(0), rtol=1e-10)


def test_the_divergence_can_be_differentiated():
    net, x = field(), Tensor(np.random.default_rng(1).normal(size=(1, 3)), requires_grad=True)
    (slope,) = autograd.grad(ops.sum(ode.divergence(net(x), x, create_graph=True)), x)
    h, differences = 1e-5, []
    for e in np.eye(3):
        values = []
        for s in (h, -h):
            leaf = Tensor(x.data + s * e, requires_grad=True)
            values.append(ode.divergence(net(leaf), leaf).data[0])
        differences.append((values[0] - values[1]) / (2 * h))
    np.testing.assert_allclose(slope.data[0], differences, atol=1e-8)


@pytest.mark.parametrize("method", ["rk4", "RK45"])
def test_the_growth_of_volume_is_the_determinant_of_the_whole_map(method):
    net, x = field(), np.random.default_rng(3).normal(size=(2, 3))
    times = np.linspace(0, 1, 41)

    def ends(x):
        return ode.transport(lambda x, t: net(x) * (1 + t), x, times, method=method, rtol=1e-9, atol=1e-9)

    end, grown = ends(x)
    h = 1e-5
    columns = [(ends(x + h * e)[0] - ends(x - h * e)[0]) / (2 * h) for e in np.eye(3)]
    jacobian = np.stack(columns, axis=-1)  # (B, D, D)
    np.testing.assert_allclose(grown, np.linalg.slogdet(jacobian)[1], atol=1e-6)
    flat = solve_ivp(lambda t, y: (net(Tensor(y.reshape(2, 3))).data * (1 + t)).ravel(), (0, 1), x.ravel(),
                     rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(end.ravel(), flat.y[:, -1], atol=1e-6)


def test_what_cannot_be_is_refused():
    start = (np.ones((1, 2)),)
    with pytest.raises(MinigenError, match="method is 'rk5'; expected one of euler, midpoint"):
        ode.solve(rates, start, [0, 1], method="rk5")
    for times in ([0.0], [0.0, 1.0, 0.5], [0.0, 0.0], [[0.0, 1.0]]):
        with pytest.raises(ShapeError, match="flow: times are .* expected at least two, rising or falling"):
            ode.solve(rates, start, times, name="flow")
    with pytest.raises(TrainingError, match="ode: the velocity is not finite at t = 0"):
        ode.solve(lambda state, t: (state[0] * np.nan,), start, [0, 1], method="RK45")
    with pytest.raises(TrainingError, match="ode: the solver gave up at t = "):  # y' = y²: infinite at t = 1
        ode.solve(lambda state, t: (state[0] ** 2,), start, [0, 2], method="RK45")
    for trace, rng in (("hutchinson", None), ("guess", np.random.default_rng(0))):
        with pytest.raises(MinigenError, match="expected 'exact', or 'hutchinson' with an rng"):
            ode.draw_signs(trace, np.ones((1, 2)), rng=rng)
    for probes in (0, -1):
        with pytest.raises(MinigenError, match=f"probes={probes}; expected at least 1"):
            ode.draw_signs("hutchinson", np.ones((1, 2)), rng=np.random.default_rng(0), probes=probes)
    with pytest.raises(MinigenError, match="ode.step: method is 'RK45'"):
        ode.step(rates, start, 0.0, 0.1, method="RK45")
