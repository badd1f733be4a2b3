"""The training step that recipes share."""

import numpy as np
import pytest

from minigen import tensor
from minigen.optim import SGD
from minigen.recipes import base


def test_a_step_forgets_old_gradients_and_returns_the_loss():
    p = tensor(np.array([3.0, 4.0]), requires_grad=True)
    optimizer = SGD([p], lr=0.1)
    (5 * p).sum().backward()  # left over from something else
    assert base.descend((p * p).sum(), optimizer) == 25.0
    np.testing.assert_allclose(p.data, [3 - 0.1 * 6, 4 - 0.1 * 8])


def test_only_what_is_named_is_clipped_and_every_optimiser_steps():
    p, q = (tensor(np.array([3.0, 4.0]), requires_grad=True) for _ in range(2))
    optimizers = SGD([p], lr=1.0), SGD([q], lr=1.0)
    base.descend((p * p).sum() + (q * q).sum(), *optimizers, clipped=iter([p]))
    np.testing.assert_allclose(p.data, [3 - 0.6, 4 - 0.8], rtol=1e-5)  # (6, 8) cut to length 1
    np.testing.assert_allclose(q.data, [-3, -4])
    r = tensor(np.array([0.3, 0.4]), requires_grad=True)
    optimizer = SGD([r], lr=1.0)
    base.descend(0.5 * (r * r).sum(), optimizer, clipped=[r])
    np.testing.assert_allclose(r.data, [0, 0], atol=1e-7)  # shorter than 1: left as it is


def test_nothing_to_clip_needs_no_parameters():
    p = tensor(np.ones(1), requires_grad=True)
    optimizer = SGD([p], lr=0.5)
    assert base.descend((2 * p).sum(), optimizer) == pytest.approx(2.0)
    np.testing.assert_allclose(p.data, [0.0])
