"""no_grad, enable_grad and detect_anomaly."""

import inspect
import threading

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import (
    Tensor,
    detect_anomaly,
    enable_grad,
    is_grad_enabled,
    no_grad,
)
from minigen.errors import AnomalyError


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(normal(*shape, seed=seed, dtype=dtype), requires_grad=True)


# -- modes -----------------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest():
    x = leaf(3)
    assert is_grad_enabled()
    with no_grad():
        assert not is_grad_enabled() and not (x * 2.0).requires_grad
        with enable_grad():
            assert (x * 2.0).requires_grad
            with no_grad():
                assert not (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad


def test_modes_are_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled() and (leaf(3) * 2.0).requires_grad


def test_one_switch_can_be_entered_twice():
    switch = no_grad()
    with switch, switch:
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_no_grad_decorates_functions():
    @no_grad()
    def evaluate(x):
        """Doc."""
        return x * 2.0

    assert not evaluate(leaf(3)).requires_grad and evaluate.__doc__ == "Doc." and is_grad_enabled()


def test_no_grad_holds_for_its_own_thread_only():
    inside, done, results = threading.Event(), threading.Event(), {}

    def other():
        inside.wait(10)
        x = leaf(3)
        y = ops.exp(x)
        results["recorded"] = y.requires_grad
        y.sum().backward()
        results["gradient"] = x.grad.numpy()
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with no_grad():
        inside.set()
        assert done.wait(10)
        assert not ops.exp(leaf(3)).requires_grad
    thread.join()
    assert results["recorded"] and np.allclose(results["gradient"], np.exp(normal(3)))


def test_threads_build_their_own_graphs():
    results = {}

    def work(seed):
        x = leaf(50, seed=seed)
        y = x
        for _ in range(200):
            y = ops.sin(y) + x
        y.sum().backward()
        results[seed] = x.grad.numpy()

    threads = [threading.Thread(target=work, args=(seed % 2,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = dict(results)
    for seed in range(2):
        work(seed)
        assert np.array_equal(results[seed], together[seed])


# -- detect_anomaly --------------------------------------------------------------------------------------------


def here():
    return inspect.currentframe().f_back.f_lineno


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_anomaly_in_forward_names_the_operation_and_the_line():
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        line = here() + 1
        ops.log(Tensor(np.array([-1.0, 1.0]), requires_grad=True))
    message = str(caught.value)
    assert "`log` on shapes (2,) made the first NaN (from finite inputs)" in message
    assert f"test_mode.py:{line}: ops.log(" in message


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_anomaly_in_backward_names_the_operation_and_the_line_of_its_call():
    x = Tensor(np.array([0.0, 1.0]), requires_grad=True)
    with detect_anomaly():
        line = here() + 1
        y = ops.sqrt(x)
        with pytest.raises(AnomalyError) as caught:
            (y * 2.0).sum().backward()
    message = str(caught.value)
    assert "gradient of `sqrt` is the first infinity" in message
    assert f"test_mode.py:{line}: y = ops.sqrt(x)" in message


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_anomaly_in_backward_alone_says_how_to_find_the_line():
    y = ops.sqrt(Tensor(np.array([0.0, 1.0]), requires_grad=True)).sum()
    with detect_anomaly(), pytest.raises(AnomalyError, match="run the forward pass inside detect_anomaly"):
        y.backward()


def test_anomaly_says_when_the_nan_came_from_outside():
    x = Tensor(np.array([np.nan, 1.0]), requires_grad=True)
    with detect_anomaly(), pytest.raises(AnomalyError, match="came from outside"):
        x * 2.0


def test_infinities_put_in_on_purpose_are_no_anomaly():
    q = leaf(1, 4, 3)
    with detect_anomaly():
        ops.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
        ops.max_pool2d(leaf(1, 1, 4, 4), 3, stride=2, padding=1).sum().backward()
    assert np.isfinite(q.grad.data).all()


def test_without_detection_nothing_is_raised():
    with np.errstate(all="ignore"):
        assert np.isnan(ops.log(Tensor(np.array([-1.0]))).data).all()
