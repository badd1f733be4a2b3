"""What the exercises of lesson 13 are compared with: against what must hold."""

import numpy as np
import pytest

from minigen.learn import bends
from minigen.learn.exercise import WrongForm

X = np.random.default_rng(0).normal(size=(5, 4))


def test_the_log_determinant_is_that_of_differences():
    x = X[:, :3]
    steps = [(bends.bent(bends.mg.tensor(x + h)).data - bends.bent(bends.mg.tensor(x - h)).data) / 2e-6
             for h in 1e-6 * np.eye(3)]  # fmt: skip
    wanted = np.linalg.slogdet(np.stack(steps, axis=-1))[1]
    assert bends.log_det(bends.bent, x) == pytest.approx(wanted, abs=1e-6)
    assert np.linalg.det(bends.jacobian(bends.mirrored, X[:, :2])).max() < 0


def test_the_packages_coupling_is_the_one_written_out():
    for back in (False, True):
        for ours, plain in zip(bends.coupling(X, bends.half_network, back),
                               bends.bent_coupling(X, bends.half_network, back), strict=True):  # fmt: skip
            assert ours == pytest.approx(plain, abs=1e-12)
    found = bends.there_and_back(bends.coupling, X, bends.half_network, True)
    assert found["there and back"] == pytest.approx(X, abs=1e-12)


def test_masses_are_known():
    assert bends.mass(bends.wide_hill, -8, 9, 200) == pytest.approx(1, abs=1e-9)
    assert bends.mass(bends.without_its_stretch, -6, 6, 200) == pytest.approx(0.25, abs=1e-9)


def test_probabilities_of_the_bins_add_up_and_lie_above_their_bounds():
    log_p, bound = bends.bounds(bends.sloping, 4, 400)
    assert np.exp(log_p) == pytest.approx((2 * np.arange(4) + 1) / 16)
    assert (bound < log_p).all() and (log_p - bound)[0] == (log_p - bound).max()


def test_the_velocity_is_the_mean_of_many_pairs():
    rng, (t, m, s) = np.random.default_rng(1), (0.4, 0.7, 0.6)
    clean, noise = m + s * rng.standard_normal(400_000), rng.standard_normal(400_000)
    line = np.polyfit((1 - t) * clean + t * noise, noise - clean, 1)
    assert np.polyval(line, X[:, 0]) == pytest.approx(bends.velocity(X[:, 0], t, m, s), abs=0.02)


def test_the_packages_consistency_function_is_the_one_written_out():
    given = bends.some_network, X, np.array([0.2, 0.5, 1.0, 4.0, 30.0]), 0.1, 0.7
    assert bends.leap(*given) == pytest.approx(bends.bent_leap(*given), abs=1e-9)
    assert bends.at_the_border(bends.leap, *given)["f at ς_min"] == pytest.approx(X, abs=1e-9)


def test_the_crescent_can_be_straightened_by_hand():
    passed, text = bends.better_bend(bends.straightened)
    assert passed, text
    passed, text = bends.better_bend(lambda: bends.straightened(4.0))
    assert not passed and "Shift and scale" in text


def test_a_log_determinant_that_flatters_at_some_points_is_found_out():
    forward, inverse = bends.straightened()

    def flattering(share):
        def cheat(x):
            z, stretched = forward(x)
            return z, stretched + 5 * (np.arange(len(x)) < share * len(x))

        return cheat, inverse

    for share, said in ((0.45, "log_det is not that of your map"), (0.009, None)):
        passed, text = bends.better_bend(lambda share=share: flattering(share))
        assert not passed and said in text if said else passed
    passed, text = bends.better_bend(lambda: (lambda x: (forward(x)[0], forward(x)[1] + 4e2 * (np.arange(len(x)) < 39)),
                                              inverse))  # fmt: skip
    assert not passed and "below the floor" in text


@pytest.mark.parametrize("answer", [lambda: None, lambda: (1, 2), lambda: (lambda x: x, lambda z: z)])
def test_other_forms_are_refused(answer):
    with pytest.raises(WrongForm):
        bends.better_bend(answer)
