"""Continuous flows: a linear one in closed form, the adjoint against backpropagation and differences, SciPy, memory."""

import gc
import math
import tracemalloc

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from minigen import Tensor, autograd, nn, ops
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import GraphError, MinigenError, ShapeError
from minigen.models.bijections import Chain, Flow, Inverse, standard_normal
from minigen.models.cnf import CNF
from minigen.models.flow_matching import FlowMatching
from minigen.nn.time import PointNet

TURN = np.array([[0.3, -1.2], [0.9, -0.5]])


class Linear(nn.Module):
    """f(x) = A x."""

    def __init__(self):
        self.matrix = Tensor(TURN, requires_grad=True)

    def forward(self, x, time):
        return x @ ops.transpose(self.matrix, 0, 1)


def shaken(seed=0, width=8, dtype=np.float64, classes=None):
    rng = np.random.default_rng(seed)
    net = PointNet(2, 2, width=width, blocks=1, classes=classes, rng=rng).to(dtype)
    for tensor in net.parameters():
        tensor.overwrite(tensor.data + (0.3 * rng.normal(size=tensor.shape)).astype(dtype))
    return net


X = np.random.default_rng(0).normal(size=(4, 2))


def test_a_linear_flow_is_known_in_full():
    """x(1) = e^A x, log det = tr A; and the gradients of log p with respect to A and x, by differences."""
    net = Linear()
    for settings in ({"steps": 40}, {"steps": 40, "adjoint": True}, {"method": "RK45", "adjoint": True, "rtol": 1e-9,
                                                                     "atol": 1e-9}):  # fmt: skip
        flow = CNF(net, **settings)
        z, log_det = flow(Tensor(X))
        np.testing.assert_allclose(z.data, X @ expm(TURN).T, atol=1e-7)
        np.testing.assert_allclose(log_det.data, np.trace(TURN), atol=1e-12)
        x, back = flow.inverse(z)
        np.testing.assert_allclose(x.data, X, atol=1e-7)
        np.testing.assert_allclose(back.data, -np.trace(TURN), atol=1e-12)
        loss = ops.sum(Flow(flow, standard_normal(2)).loss(Tensor(X)))
        (slope,) = autograd.grad(loss, [net.matrix])

        def exact(matrix):
            return 0.5 * ((X @ expm(matrix).T) ** 2).sum() - len(X) * np.trace(matrix)

        for i, j in np.ndindex(2, 2):
            one = 1e-6 * (np.arange(4).reshape(2, 2) == 2 * i + j)
            assert slope.data[i, j] == pytest.approx((exact(TURN + one) - exact(TURN - one)) / 2e-6, rel=1e-5)


def gradients(net, adjoint, **settings):
    """z, log det, and the gradients of a random combination of both with respect to x and all weights."""
    flow, x = CNF(net, adjoint=adjoint, **settings), Tensor(X, requires_grad=True)
    z, log_det = flow(x)
    rng = np.random.default_rng(1)
    total = ops.sum(z * rng.normal(size=z.shape)) + ops.sum(log_det * rng.normal(size=len(X)))
    return z.data, log_det.data, [slope.data for slope in autograd.grad(total, [x, *net.parameters()])]


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_the_adjoint_comes_to_backpropagations_gradient_with_the_solvers_order(trace):
    net, apart = shaken(), []
    for steps in (5, 10, 20):
        both = [gradients(net, adjoint, steps=steps, trace=trace, rng=np.random.default_rng(2))
                for adjoint in (False, True)]
        np.testing.assert_allclose(both[0][0], both[1][0], atol=1e-13)
        np.testing.assert_allclose(both[0][1], both[1][1], atol=1e-13)
        apart.append(max(np.abs(a - b).max() for a, b in zip(both[0][2], both[1][2], strict=True)))
    assert apart[2] < 1e-4 and np.log2(apart[0] / apart[2]) / 2 > 3.3  # n⁻⁴


def test_the_adjoint_of_adaptive_steps_agrees_with_differences():
    net = shaken()
    settings = {"method": "RK45", "rtol": 1e-8, "atol": 1e-8}
    *_, found = gradients(net, True, **settings)
    fine = gradients(net, False, steps=60)[2]
    for a, b in zip(found, fine, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=X.shape), rng.normal(size=len(X))

    def value(x):
        with autograd.no_grad():
            z, log_det = CNF(net, **settings)(Tensor(x))
        return (z.data * weights[0]).sum() + log_det.data @ weights[1]

    h = 1e-4
    for i, j in ((0, 0), (1, 1), (3, 0)):
        one = h * (np.arange(X.size).reshape(X.shape) == i * X.shape[1] + j)
        assert found[0][i, j] == pytest.approx((value(X + one) - value(X - one)) / (2 * h), abs=2e-5)
    bias = net.last.bias
    before, index = bias.numpy(), 1 + [id(p) for p in net.parameters()].index(id(bias))
    for k in range(2):
        values = []
        for s in (h, -h):
            bias.overwrite(before + s * np.eye(2)[k])
            values.append(value(X))
        bias.overwrite(before)
        assert found[index][k] == pytest.approx((values[0] - values[1]) / (2 * h), abs=2e-5)


def test_gradients_back_from_the_base_agree_too():
    """`inverse`, the other direction of time, through the adjoint and through the steps."""
    net, found = shaken(), []
    for adjoint in (False, True):
        z = Tensor(X, requires_grad=True)
        x, log_det = CNF(net, adjoint=adjoint, steps=40).inverse(z)
        found.append(autograd.grad(ops.sum(x * X) + ops.sum(log_det * X[:, 0]), [z, *net.parameters()]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.data, b.data, atol=1e-6)


def test_it_is_scipys_solution_with_the_same_weights():
    net = shaken(dtype=np.float32)

    def rate(t, y):
        state = y.reshape(4, 3)
        x = Tensor(state[:, :2].astype(np.float32))
        h, jacobian = 1e-2, 0.0
        f = net(x, np.full(4, 10 * t, np.float32)).data
        for d in range(2):
            move = h * np.eye(2, dtype=np.float32)[d]
            ends = [net(x + s * move, np.full(4, 10 * t, np.float32)).data[:, d].astype(float) for s in (2, 1, -1, -2)]
            jacobian = jacobian + (-ends[0] + 8 * ends[1] - 8 * ends[2] + ends[3]) / (12 * h)
        return np.concatenate([f, jacobian[:, None]], axis=1).ravel()

    end = solve_ivp(rate, (0, 1), np.concatenate([X, np.zeros((4, 1))], axis=1).ravel(), rtol=1e-6, atol=1e-8)
    theirs = end.y[:, -1].reshape(4, 3)
    for settings in ({"steps": 40}, {"method": "RK45", "rtol": 1e-6, "atol": 1e-7}):
        with autograd.no_grad():
            z, log_det = CNF(net, **settings)(Tensor(X.astype(np.float32)))
        np.testing.assert_allclose(z.data, theirs[:, :2], atol=1e-5)
        np.testing.assert_allclose(log_det.data, theirs[:, 2], atol=1e-4)  # differences in float32


def test_the_log_determinant_is_that_of_the_jacobian():
    flow = CNF(shaken(), steps=30)
    x = Tensor(X, requires_grad=True)
    z, log_det = flow(x)
    rows = [autograd.grad(ops.sum(z[:, d]), [x])[0].data for d in range(2)]
    sign, expected = np.linalg.slogdet(np.stack(rows, axis=1))
    assert np.all(sign == 1)  # a flow never turns space inside out
    np.testing.assert_allclose(log_det.data, expected, atol=1e-5)
    back, minus = flow.inverse(z)
    np.testing.assert_allclose(back.data, X, atol=1e-5)
    np.testing.assert_allclose(minus.data, -log_det.data, atol=1e-5)


def test_the_density_integrates_to_one():
    ticks = np.arange(-6, 6, 0.125)  # fine enough for its steepest fold: twice as coarse is wrong by 1 %
    plane = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    density = Flow(CNF(shaken(), steps=6), standard_normal(2))
    with autograd.no_grad():
        assert 0.125**2 * np.exp(density.log_prob(plane).data).sum() == pytest.approx(1, abs=2e-3)


def test_hutchinsons_log_determinant_is_unbiased():
    net = shaken()
    with autograd.no_grad():
        exact = CNF(net, steps=8)(Tensor(X))[1].data
        flow = CNF(net, trace="hutchinson", steps=8, rng=np.random.default_rng(3))
        draws = np.stack([flow(Tensor(X))[1].data for _ in range(200)])
        many = CNF(net, trace="hutchinson", probes=50, steps=8, rng=np.random.default_rng(4))(Tensor(X))[1].data
    np.testing.assert_allclose(draws.mean(0), exact, atol=4.5 * draws.std(0).max() / math.sqrt(200))
    assert draws.std(0).max() > 1e-3
    np.testing.assert_allclose(many, exact, atol=5 * draws.std(0).max() / math.sqrt(50))


def test_the_adjoint_needs_no_more_memory_for_more_steps():
    net, x = shaken(width=32, dtype=np.float32), Tensor(np.tile(X, (32, 1)).astype(np.float32))

    def once(steps, adjoint):
        Flow(CNF(net, steps=steps, adjoint=adjoint), standard_normal(2)).loss(x).sum().backward()

    def peak(steps, adjoint):
        once(1, adjoint)  # what is compiled or cached at the first call is no part of it
        gc.collect()
        tracemalloc.start()
        once(steps, adjoint)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        net.zero_grad()
        return most

    assert peak(9, True) < 1.2 * peak(3, True)
    assert peak(9, False) > 2 * peak(3, False)


def test_learning_by_either_gradient_fits_a_gaussian():
    from minigen.optim import Adam

    rng, found = np.random.default_rng(5), []
    x = (0.5 + 0.4 * rng.standard_normal((256, 1)) @ [[1.0, -1.0]] + 0.3 * rng.standard_normal((256, 2)))
    x = x.astype(np.float32)
    entropy = 0.5 * np.log(np.linalg.det(2 * math.pi * math.e * np.cov(x.T)))
    for adjoint in (False, True):
        net = PointNet(2, 2, width=16, blocks=1, rng=np.random.default_rng(0))
        flow = Flow(CNF(net, steps=4, method="midpoint", adjoint=adjoint), standard_normal(2))
        optimizer = Adam(net.parameters(), lr=0.04)
        for _ in range(30):
            optimizer.zero_grad()
            loss = flow.loss(x).mean()
            loss.backward()
            optimizer.step()
        found.append(loss.item())
    assert found[0] == pytest.approx(found[1], abs=0.02)
    assert entropy - 0.1 < found[0] < entropy + 0.1


def test_flow_matching_trains_a_cnf():
    """The exact velocity of a mixture, read as a CNF: its density is the mixture's."""
    mixture = NoisedMixture([[0.9, 0.0], [-0.5, 0.8]], 0.3)

    class Exact(nn.Module):
        def forward(self, x, time):
            return mixture.velocity(x, time.astype(np.float64) / 1000)

    x = mixture.sample(10, rng=np.random.default_rng(6))
    density = Flow(CNF(Exact(), steps=60, time_scale=1000.0), standard_normal(2))
    with autograd.no_grad():
        found = density.log_prob(Tensor(x)).data
    np.testing.assert_allclose(found, mixture.log_prob(x), atol=1e-3)
    np.testing.assert_allclose(found, FlowMatching(Exact()).log_prob(x, steps=60, method="rk4"), atol=1e-9)


def test_it_stands_in_chains_takes_conditions_and_pictures():
    net = shaken()
    both = Chain(CNF(net), Inverse(CNF(net)))
    z, log_det = both(Tensor(X))
    np.testing.assert_allclose(z.data, X, atol=1e-4)
    np.testing.assert_allclose(log_det.data, 0, atol=1e-4)
    told = CNF(shaken(classes=3))
    ends = [told(Tensor(X), np.full(4, label))[0].data for label in (0, 1)]
    assert np.abs(ends[0] - ends[1]).max() > 0.01

    class Wave(nn.Module):
        def forward(self, x, time):
            return ops.sin(x)

    z, log_det = CNF(Wave(), steps=8)(Tensor(X.reshape(2, 1, 2, 2)))
    alone, single = CNF(Wave(), steps=8)(Tensor(X.reshape(8, 1)))
    np.testing.assert_allclose(z.data.reshape(8, 1), alone.data)
    np.testing.assert_allclose(log_det.data, single.data.reshape(2, 4).sum(1))


def test_the_path_starts_at_the_data_ends_at_the_base_and_tensors_see_no_graph_without_need():
    flow = CNF(shaken(), steps=10)
    path = flow.path(X, np.linspace(0, 1, 11))
    np.testing.assert_array_equal(path[0], X)
    with autograd.no_grad():
        z, log_det = flow(Tensor(X))
    np.testing.assert_allclose(path[-1], z.data)
    assert not z.requires_grad and not log_det.requires_grad


def test_what_cannot_be_is_refused():
    net = shaken()
    with pytest.raises(MinigenError, match="CNF: method is 'rk5'; expected one of euler"):
        CNF(net, method="rk5")
    with pytest.raises(MinigenError, match="CNF: trace='hutchinson', rng=None"):
        CNF(net, trace="hutchinson")
    with pytest.raises(GraphError, match="RK45 records nothing to differentiate; expected adjoint=True"):
        CNF(net, method="RK45")(Tensor(X))
    with pytest.raises(GraphError, match="the adjoint method has first derivatives only"):
        x = Tensor(X, requires_grad=True)
        autograd.grad(ops.sum(CNF(net, adjoint=True, steps=3)(x)[1]), [x], create_graph=True)
    with pytest.raises(GraphError, match="no gradient for a condition"):
        CNF(net, adjoint=True)(Tensor(X), Tensor(X, requires_grad=True))

    class Narrow(nn.Module):
        def forward(self, x, time):
            return x[:, :1]

    with pytest.raises(ShapeError, match=r"the network returned \(4, 1\) for x \(4, 2\)"):
        CNF(Narrow())(Tensor(X))
    with pytest.raises(MinigenError, match="CNF: probes=0; expected at least 1"):
        CNF(net, trace="hutchinson", probes=0, rng=np.random.default_rng(0))


def test_the_adjoint_calls_the_network_twice_as_often():
    calls = []

    class Counted(nn.Module):
        def __init__(self):
            self.net = shaken()

        def forward(self, x, time):
            calls.append(1)
            return self.net(x, time)

    for adjoint, wanted in ((False, 40), (True, 80)):
        calls.clear()
        z, log_det = CNF(Counted(), adjoint=adjoint, steps=10)(Tensor(X, requires_grad=True))
        ops.sum(z * z + ops.reshape(log_det, (-1, 1))).backward()
        assert len(calls) == wanted


def test_whole_numbers_flow_like_others():
    flow, whole = CNF(shaken(dtype=np.float32), method="rk4", steps=4), np.array([[1, 0], [2, -1]])
    paths = [flow.path(part, [0.0, 0.5, 1.0]) for part in (whole, whole.astype(np.float32))]
    np.testing.assert_array_equal(*paths)
    np.testing.assert_array_equal(*(flow(part)[0].data for part in (whole, whole.astype(np.float32))))
