"""Editing by style: find the style of a given picture, and walk from it in directions that have a meaning.

**Inversion.** Given a picture x, which style draws it? With the generator held fixed and the noise left out, make

    E(w) = mean over pixels of (G(w) − x)²                                                            (9.12)

small by gradient descent on w, with Adam's steps (lesson 03), whose rate falls to 0 along half a cosine. E has many
valleys. So begin at several places, the mean style w̄ first and then styles of the mapping's own making, and keep the
best. The styles lie in W, and there may be no w at all for an x from elsewhere. More freedom has W⁺, a style for each
layer,

    E(w_1, …, w_depth) = mean over pixels of (G(w_1, …, w_depth) − x)²,                               (9.13)

depth · L numbers in place of L: it comes nearer to x, but by combinations that the generator never met in training, and
what an edit does to those is less certain.

**Directions.** Let a be an attribute of a picture, 0 or 1 (thin or bold) or a number, known for many styles w. Two
directions suggest themselves. One leads from the mean of those without to the mean of those with it,

    d = E[w | a = 1] − E[w | a = 0].                                                                  (9.14)

The other is the slope of the plane a ≈ β·w + c that fits best in least squares,

    β = Σ⁻¹ cov(w, a),      Σ the covariance of w,                                                     (9.15)

along which a, as far as it is linear, rises fastest for the length walked. They belong together: for a of 0 and 1 and
p = P(a = 1), cov(w, a) = E[w a] − E[w] p = p E[w | 1] − p ( p E[w | 1] + (1 − p) E[w | 0] ) = p (1 − p) d, so

    p (1 − p) d = Σ β.                                                                                 (9.16)

d also takes along what usually goes with a (if the bold letters of the data are wide, it makes them wide); β does not,
but where Σ is small it may lead out of where styles are. A ridge, Σ + λ tr(Σ)/L · I in place of Σ, lies between.

To change a and leave a second attribute alone whose direction is n, take out what points along n,

    d′ = d − (d·n / n·n) n,                                                                            (9.17)

and walk: w + t d′, in all layers or in some of them.

Sources: inversion by descent: Zhu et al. 2016, arXiv:1609.03552; W⁺: Abdal et al. 2019, arXiv:1904.03189; directions
and (9.17): Shen et al. 2019, arXiv:1907.10786. Differs: squared error of pixels, not of a network's features;
directions from means and least squares in place of support vectors.
"""

from typing import NamedTuple

import numpy as np

from minigen import autograd, ops
from minigen.autograd import Tensor
from minigen.errors import MinigenError, ShapeError


class Inversion(NamedTuple):
    """What `invert` found.

    styles:   (B, L), or (depth, B, L) with a style for each layer: as `generator.pictures` takes them
    errors:   (B,), the mean squared error of the best start, (9.12)
    history:  (steps + 1, starts, B), the error of every start before each step and after the last
    """

    styles: np.ndarray
    errors: np.ndarray
    history: np.ndarray


def invert(generator, pictures, labels=None, *, each_layer=False, starts=4, steps=200, rate=0.1, rng):
    """Styles that draw given pictures, by gradient descent with the noise left out.

    generator:   a `StyleGenerator`
    pictures:    (B, 1, H, W), in −1 … 1
    labels:      (B,), where the generator wants them
    each_layer:  False: one style for all layers, (9.12); True: a style for each, (9.13)
    starts:      how many places to begin at: the mean style first, then styles of random z
    Equation:    (9.12), (9.13)                                                          [lesson 09, eq. 9.12, 9.13]
    Shapes:      → Inversion
    Raises:      ShapeError if the pictures are not of the generator's size.
    """
    pictures = np.asarray(pictures, dtype=np.float32)
    count, depth, each = len(pictures), generator.synthesis.depth, None if labels is None else np.tile(labels, starts)
    w = _beginnings(generator, labels, count, starts, rng)  # (starts · B, L)
    w = np.stack([w] * depth) if each_layer else w[None]  # (1 or depth, starts · B, L)
    start = each if generator.synthesis.starts > 1 else None

    def errors(styles):
        layers = [styles[layer if each_layer else 0] for layer in range(depth)]
        drawn = generator.synthesis(layers, start)
        if drawn.shape[1:] != pictures.shape[1:]:
            raise ShapeError(f"invert: pictures {pictures.shape}; the generator draws {('B', *drawn.shape[1:])}")
        return ops.mean((drawn - np.tile(pictures, (starts, 1, 1, 1))) ** 2, dim=(1, 2, 3))

    first, second, history = np.zeros_like(w), np.zeros_like(w), []
    for step in range(steps + 1):
        styles = Tensor(w, requires_grad=True)
        found = errors(styles)
        history.append(found.data.reshape(starts, count).copy())
        if step == steps:
            break
        (slope,) = autograd.grad(ops.sum(found), styles)  # of a sum: the samples know nothing of each other
        first += 0.1 * (slope.data - first)
        second += 0.01 * (slope.data**2 - second)
        unbiased = np.sqrt(second / (1 - 0.99 ** (step + 1))) + 1e-8
        falling = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
        w = (w - falling * first / (1 - 0.9 ** (step + 1)) / unbiased).astype(np.float32)
    best = history[-1].argmin(axis=0)  # (B,)
    chosen = w.reshape(len(w), starts, count, -1)[:, best, np.arange(count)]
    return Inversion(chosen if each_layer else chosen[0], history[-1].min(axis=0), np.stack(history))


def _beginnings(generator, labels, count, starts, rng):
    """The mean style for every picture, then styles of random z: (starts · B, L)."""
    z = rng.standard_normal((starts, count, generator.latent), dtype=np.float32)
    return np.concatenate([generator.styles(z[i], labels, truncation=float(i > 0)) for i in range(starts)])


# -- directions -------------------------------------------------------------------------------------------------------


def mean_difference(styles, attribute):
    """The direction from the styles without an attribute to those with it.

    Equation: (9.14)                                                                          [lesson 09, eq. 9.14]
    Shapes:   styles (n, L), attribute (n,) of 0 and 1 → (L,)
    Raises:   MinigenError if all styles have the attribute, or none; ShapeError if the lengths differ.
    """
    styles, attribute = _pair("mean_difference", styles, attribute)
    if set(np.unique(attribute)) != {0.0, 1.0}:
        raise MinigenError(f"mean_difference: the attribute is {sorted(set(attribute.tolist()))[:5]}; expected 0 and 1")
    return styles[attribute == 1].mean(axis=0) - styles[attribute == 0].mean(axis=0)


def regression(styles, attribute, *, ridge=0.0):
    """The direction in which the best-fitting plane of an attribute rises.

    ridge:    λ
    Equation: (9.15)                                                                          [lesson 09, eq. 9.15]
    Shapes:   styles (n, L), attribute (n,) of any numbers → β (L,)
    Raises:   ShapeError if the lengths differ; MinigenError if Σ cannot be inverted.
    """
    styles, attribute = _pair("regression", styles, attribute)
    centred = styles - styles.mean(axis=0)
    covariance = centred.T @ centred / len(styles)
    covariance += ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    try:
        return np.linalg.solve(covariance, centred.T @ (attribute - attribute.mean()) / len(styles))
    except np.linalg.LinAlgError as error:
        raise MinigenError(f"regression: the covariance of {len(styles)} styles of {styles.shape[1]} numbers cannot be "
                           "inverted; expected more styles, or a ridge above 0") from error


def without(direction, *others):
    """A direction with what points along others taken out, (9.17); with several, along any sum of them.

    Shapes:   (L,), each (L,) → (L,)
    """
    direction = np.asarray(direction, dtype=np.float64)
    if not others:
        return direction
    basis = np.linalg.qr(np.stack(others, axis=1))[0]  # (L, how many), orthonormal
    return direction - basis @ (basis.T @ direction)


def walk(generator, w, direction, amounts, labels=None, *, layers=None):
    """Pictures on the way from styles along a direction: of w + t d for each t.

    w:         (B, L), or (depth, B, L) with a style for each layer
    direction: (L,)
    amounts:   the values of t
    layers:    which layers get w + t d, the others keep w; None: all
    Shapes:    → (len(amounts), B, 1, H, W)
    """
    depth, w = generator.synthesis.depth, np.asarray(w, dtype=np.float32)
    w = np.stack([w] * depth) if w.ndim == 2 else w
    moved = np.zeros((depth, 1, 1), dtype=np.float32)
    moved[slice(None) if layers is None else list(layers)] = 1
    step = moved * np.asarray(direction, dtype=np.float32)  # (depth, 1, L)
    return np.stack([generator.pictures(w + np.float32(t) * step, labels) for t in amounts])


def _pair(name, styles, attribute):
    styles, attribute = np.asarray(styles, dtype=np.float64), np.asarray(attribute, dtype=np.float64)
    if styles.ndim != 2 or attribute.shape != styles.shape[:1]:
        raise ShapeError(f"{name}: styles {styles.shape} and attribute {attribute.shape}; expected (n, L) and (n,)")
    return styles, attribute
