"""Editing by style against pictures whose style is known, and directions against laws whose directions are known."""

import numpy as np
import pytest

from minigen.errors import MinigenError, ShapeError
from minigen.models.style_editing import invert, mean_difference, regression, walk, without
from minigen.models.stylegan import StyleGenerator


def small(seed=0, **settings):
    return StyleGenerator(4, (6, 5), first=3, rng=np.random.default_rng(seed), **settings).eval()


def styles(generator, n, seed):
    return generator.styles(np.random.default_rng(seed).standard_normal((n, 4)))


def test_a_picture_of_the_generators_own_is_found_again():
    generator = small()
    w = styles(generator, 6, 1)
    pictures = generator.pictures(w)
    found = invert(generator, pictures, starts=4, rng=np.random.default_rng(2))
    assert found.styles.shape == (6, 4) and found.history.shape == (201, 4, 6)
    np.testing.assert_allclose(generator.pictures(found.styles), pictures, atol=0.02)
    assert found.errors.max() < 1e-5 and pictures.var(axis=0).mean() > 0.01
    np.testing.assert_allclose(found.errors, ((generator.pictures(found.styles) - pictures) ** 2).mean((1, 2, 3)),
                               rtol=1e-3, atol=1e-9)  # fmt: skip


def test_the_first_start_is_the_mean_style_and_the_best_start_is_kept():
    generator = small()
    generator.mean_style[:] = np.random.default_rng(3).normal(size=(1, 4))
    pictures = generator.pictures(styles(generator, 5, 4))
    found = invert(generator, pictures, starts=3, steps=10, rng=np.random.default_rng(5))
    mean = generator.pictures(np.repeat(generator.mean_style, 5, axis=0))
    np.testing.assert_allclose(found.history[0, 0], ((mean - pictures) ** 2).mean((1, 2, 3)), rtol=1e-4)
    np.testing.assert_array_equal(found.errors, found.history[-1].min(axis=0))
    assert (found.history[-1] < found.history[0]).all()


def test_pictures_are_inverted_each_for_itself():
    generator = small(starts=3)
    w, labels = styles(generator, 3, 6), np.array([2, 0, 1])
    pictures = generator.pictures(w, labels)
    together = invert(generator, pictures, labels, starts=1, steps=20, rng=np.random.default_rng(7))
    for i in range(3):
        alone = invert(generator, pictures[i : i + 1], labels[i : i + 1], starts=1, steps=20,
                       rng=np.random.default_rng(7))  # fmt: skip
        np.testing.assert_allclose(alone.styles[0], together.styles[i], atol=1e-3)


def test_a_style_for_each_layer_draws_what_one_style_cannot():
    generator = small()
    one, other = styles(generator, 4, 8), styles(generator, 4, 9)
    mixed = generator.mixed(one, other, 2)
    single, several = (invert(generator, mixed, each_layer=each, rng=np.random.default_rng(10))
                       for each in (False, True))  # fmt: skip
    assert several.styles.shape == (4, 4, 4)
    assert several.errors.max() < 1e-4 < single.errors.mean()
    np.testing.assert_allclose(generator.pictures(several.styles), mixed, atol=0.1)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ShapeError, match=r"invert: pictures \(2, 1, 5, 5\)"):
        invert(small(), np.zeros((2, 1, 5, 5)), rng=np.random.default_rng(0))


# -- directions -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def law():
    """Styles with a known covariance, and an attribute that is decided by one direction."""
    rng = np.random.default_rng(11)
    root = rng.normal(size=(4, 4))
    w = rng.normal(size=(200_000, 4)) @ root.T
    direction = np.array([1.0, -2.0, 0.5, 0.0])
    return w, (w @ direction > 1).astype(float), direction, root @ root.T


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_regression_finds_what_decides_and_the_means_what_goes_along_with_it(law):
    w, attribute, direction, covariance = law
    assert cosine(regression(w, attribute), direction) > 0.999
    assert cosine(mean_difference(w, attribute), covariance @ direction) > 0.999
    assert cosine(covariance @ direction, direction) < 0.95  # so the two do differ here


def test_the_two_directions_belong_together(law):
    w, attribute, _, _ = law
    share, centred = attribute.mean(), w - w.mean(axis=0)
    np.testing.assert_allclose(share * (1 - share) * mean_difference(w, attribute),
                               centred.T @ centred / len(w) @ regression(w, attribute), atol=1e-10)  # (9.16)


def test_a_great_ridge_turns_the_slope_to_the_difference_of_means(law):
    w, attribute, _, _ = law
    assert cosine(regression(w, attribute, ridge=1e6), mean_difference(w, attribute)) > 1 - 1e-9


def test_what_is_taken_out_of_a_direction_is_gone():
    rng = np.random.default_rng(12)
    d, n, m = rng.normal(size=(3, 6))
    np.testing.assert_allclose(without(d, n), d - (d @ n) / (n @ n) * n)  # (9.17)
    left = without(d, n, m)
    assert abs(left @ n) < 1e-12 and abs(left @ m) < 1e-12
    np.testing.assert_array_equal(without(d), d)
    np.testing.assert_allclose(without(left, n, m), left)


def test_a_walk_goes_along_the_direction_in_the_layers_asked_for():
    generator = small()
    w, d = styles(generator, 3, 13), np.array([0.5, -1.0, 0.0, 1.0], dtype=np.float32)
    way = walk(generator, w, d, (-1.0, 0.0, 2.0))
    assert way.shape == (3, 3, 1, 6, 6)
    np.testing.assert_allclose(way[1], generator.pictures(w), atol=1e-6)
    np.testing.assert_allclose(way[2], generator.pictures(w + 2 * d), atol=1e-5)
    fine = walk(generator, w, d, (2.0,), layers=(2, 3))[0]
    np.testing.assert_allclose(fine, generator.mixed(w, w + 2 * d, 2), atol=1e-5)


def test_attributes_that_say_nothing_are_refused():
    w = np.random.default_rng(14).normal(size=(5, 3))
    with pytest.raises(MinigenError, match="expected 0 and 1"):
        mean_difference(w, np.ones(5))
    with pytest.raises(ShapeError, match="regression: styles"):
        regression(w, np.ones(4))
    with pytest.raises(MinigenError, match="more styles, or a ridge"):
        regression(np.zeros((5, 3)), np.arange(5))
