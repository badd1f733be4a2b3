"""What lesson 09's exercises are compared with: against NumPy, closed forms and finite differences."""

import numpy as np
import pytest

import minigen as mg
from minigen.learn import styles
from minigen.models import stylegan


def test_the_bent_law_is_uniform_on_the_triangle():
    points = styles.lopsided(np.random.default_rng(0).standard_normal((100_000, 2)))
    assert points.min() >= -1 and points.sum(axis=1).max() <= 1e-12
    # the median line to the corner (1, −1) and the line through the middles of two sides cut off known shares
    assert np.mean(points[:, 0] > points[:, 1]) == pytest.approx(0.5, abs=0.01)
    assert np.mean(points[:, 0] > 0) == pytest.approx(0.25, abs=0.01)
    assert np.mean(points[:, 1] > 0) == pytest.approx(0.25, abs=0.01)


def test_a_detour_is_one_on_a_line_and_pi_over_two_on_a_half_circle():
    at = np.linspace(0, 1, 1001)[:, None]
    line = np.concatenate([at, 3 * at], axis=1)
    circle = np.concatenate([np.cos(np.pi * at), np.sin(np.pi * at)], axis=1)
    assert styles.detour(np.stack([line, circle], axis=1)) == pytest.approx([1, np.pi / 2], abs=1e-5)


def test_straight_share_is_one_for_an_affine_map_and_nought_for_a_parabola():
    x = np.linspace(-1, 1, 201)[:, None]
    assert styles.straight_share(x, 3 * x + 2) == pytest.approx(1)
    assert styles.straight_share(x, x**2) == pytest.approx(0, abs=1e-9)
    assert styles.straight_share(x, np.concatenate([x, np.zeros_like(x)], axis=1)) == pytest.approx(1)


def test_adain_sets_mean_and_deviation_exactly():
    rng = np.random.default_rng(1)
    x, scale, shift = 5 + 3 * rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    y = styles.adain(mg.tensor(x), mg.tensor(scale), mg.tensor(shift)).data
    assert y.mean((2, 3)) == pytest.approx(shift, abs=1e-12)
    assert y.std((2, 3)) == pytest.approx(abs(scale), abs=1e-8)


def test_filters_by_the_letter_give_what_the_package_computes_without_them():
    rng = np.random.default_rng(2)
    x, weight, style = (mg.tensor(rng.normal(size=shape)) for shape in ((3, 2, 5, 6), (4, 2, 3, 3), (3, 2)))
    filters = styles.styled_filters(weight, style)
    assert (filters.data**2).sum((2, 3, 4)) == pytest.approx(np.ones((3, 4)), abs=1e-6)
    ours = styles.convolved(x, filters).data
    assert ours == pytest.approx(stylegan.modulated_conv(x, weight, style).data, abs=1e-6)


def test_the_jacobian_is_that_of_finite_differences_and_the_lengths_are_of_its_transpose():
    rng = np.random.default_rng(3)
    w, y = rng.normal(size=3), rng.normal(size=(1, 1, 4, 5))
    j = styles.jacobian(styles.small_generator, w)  # (20, 3)
    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        up, down = (styles.small_generator(mg.tensor((w + s)[None])).data.ravel() for s in (step, -step))
        assert j[:, i] == pytest.approx((up - down) / 2e-6, abs=1e-8)
    length = styles.path_lengths(styles.small_generator, w[None], y)
    assert length.data == pytest.approx([np.linalg.norm(j.T @ y.ravel())])


def test_descent_finds_the_style_of_a_drawing():
    wanted = np.array([[0.3, -0.4, 0.2]])
    target = styles.small_generator(mg.tensor(wanted)).data
    found = styles.descended(styles.small_generator, target, np.zeros((1, 3)), 400, 0.5)
    assert found == pytest.approx(wanted, abs=1e-3)


def test_a_freed_direction_is_at_right_angles_to_the_kept_one():
    rng = np.random.default_rng(4)
    w = rng.normal(size=(200, 6))
    wanted, kept = (w[:, 0] > 0).astype(int), (w[:, 0] + w[:, 1] > 0).astype(int)
    free = styles.freed_direction(w, wanted, kept)
    kept_way = w[kept == 1].mean(0) - w[kept == 0].mean(0)
    assert free @ kept_way == pytest.approx(0, abs=1e-12)
    assert free[0] > 0


def test_sizes_multiply_without_demodulation_and_stay_with_it():
    plain, louder = (styles.size_after(6, factor, demodulate=False) for factor in (1.0, 1.5))
    assert louder == pytest.approx(1.5**6 * plain)
    plain, louder = (styles.size_after(6, factor, demodulate=True) for factor in (1.0, 1.5))
    assert louder == pytest.approx(plain, rel=1e-5)
