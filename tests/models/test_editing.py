"""Editing with exact denoisers: what comes out has the law that it should have, and keeps what it should keep."""

import numpy as np
import pytest

from minigen.data import toy2d
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError, ShapeError
from minigen.models import editing, samplers
from minigen.models.schedules import Cosine, Exploding, Steps

COSINE = Cosine()
MIXTURE = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.15)
RHO, KNOWN = 0.9, 1.5
FIRST = np.array([True, False])  # the first coordinate is known


def correlated(schedule):
    """E[ε | x_t] for two numbers of variance 1 and correlation ρ."""
    covariance = np.array([[1, RHO], [RHO, 1]])

    def predict(x, t):
        alpha, sigma = float(schedule.alpha(t[0])), float(schedule.sigma(t[0]))
        return sigma * np.linalg.solve(alpha**2 * covariance + sigma**2 * np.eye(2), x.T).T

    return predict


def filled(predict, n, known, *, schedule=COSINE, steps=100, seed=0, **settings):
    rng = np.random.default_rng(seed)
    x = samplers.starting_noise(schedule, (n, 2), rng=rng, dtype=np.float64)
    found = editing.inpaint(predict, schedule, samplers.snr_times(schedule, steps), x, np.full((n, 2), known), FIRST,
                            rng=rng, **settings)  # fmt: skip
    assert np.all(found[:, 0] == known)
    return found[:, 1]


@pytest.mark.parametrize("sampler", [samplers.ancestral, samplers.ddim])
def test_with_resampling_the_unknown_number_follows_its_conditional_law_and_without_it_does_not(sampler):
    mean, deviation = RHO * KNOWN, np.sqrt(1 - RHO**2)
    found = {repeats: filled(correlated(COSINE), 4000, KNOWN, repeats=repeats, sampler=sampler)
             for repeats in (1, 3, 20)}  # fmt: skip
    error = {repeats: mean - u.mean() for repeats, u in found.items()}
    assert error[1] > 0.35 and found[1].std() > 1.15 * deviation  # a third of the way is missing
    assert 0.05 < error[3] < 0.6 * error[1]
    assert abs(error[20]) < 0.03 and found[20].std() == pytest.approx(deviation, rel=0.07)


def test_walking_several_steps_again_at_once_leads_there_too():
    u = filled(correlated(COSINE), 4000, KNOWN, repeats=20, jump=10)
    assert u.mean() == pytest.approx(RHO * KNOWN, abs=0.05)
    assert u.std() == pytest.approx(np.sqrt(1 - RHO**2), rel=0.07)


def test_the_known_number_counts_too_little_by_the_factor_of_the_docstring():
    for t in (0.2, 0.5, 0.8):
        alpha, sigma = float(COSINE.alpha(t)), float(COSINE.sigma(t))
        covariance = alpha**2 * np.array([[1, RHO], [RHO, 1]]) + sigma**2 * np.eye(2)
        seen = (alpha * np.array([RHO, 1]) @ np.linalg.inv(covariance))[0] * alpha  # of k_t, times E[k_t]/k₀
        joint = np.array([[1, alpha * RHO], [alpha * RHO, 1]])  # of k₀ and u_t
        known = (np.array([RHO, alpha]) @ np.linalg.inv(joint))[0]
        factor = alpha**2 * (1 - alpha**2 * RHO**2) / (1 - alpha**4 * RHO**2)  # (11.41)
        assert seen / known == pytest.approx(factor, rel=1e-9)


def test_of_two_modes_the_one_that_fits_to_what_is_known_is_found():
    mixture = NoisedMixture([[0.4, 1.0], [0.4, -1.0], [-0.4, 0.0]], 0.15, [0.06, 0.14, 0.8])
    wrong = {}
    for repeats in (1, 10):
        u = filled(mixture.predictor(COSINE), 3000, 0.4, repeats=repeats)
        wrong[repeats] = np.mean(np.abs(u) < 0.5)  # at the third mode, which has odds of e^−14 against it
    assert wrong[1] > 0.1 and wrong[10] < 0.005
    assert np.mean(u > 0) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("schedule", [Cosine(), Steps.linear(100), Exploding()], ids=["cosine", "steps", "exploding"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_pixels_are_kept_to_the_last_bit(schedule, dtype):
    rng = np.random.default_rng(1)
    known, mask = rng.standard_normal((3, 1, 4, 4)).astype(dtype), rng.random((4, 4)) < 0.5
    x = samplers.starting_noise(schedule, known.shape, rng=rng, dtype=dtype)
    times = samplers.even_times(schedule, 10)
    for keep in (False, True):
        found = editing.inpaint(lambda x, t: 0.5 * x, schedule, times, x, known, mask, rng=rng, repeats=3, jump=4,
                                keep=keep)  # fmt: skip
        assert found.dtype == dtype and found.shape == ((11, 3, 1, 4, 4) if keep else (3, 1, 4, 4))
        last = found[-1] if keep else found
        np.testing.assert_array_equal(last[..., mask], known[..., mask])
        assert np.all(last[..., ~mask] != known[..., ~mask]) and np.isfinite(found).all()


def test_each_stretch_is_walked_as_often_as_asked():
    asked, times = [], np.linspace(1, 0, 8)

    def predict(x, t):
        asked.append(float(t[0]))
        return 0.0 * x

    x = np.zeros((1, 2))
    editing.inpaint(predict, COSINE, times, x, x, FIRST, rng=np.random.default_rng(0), repeats=3, jump=3)
    first, second, third = (list(times[part]) for part in (slice(0, 3), slice(3, 6), slice(6, 7)))
    assert asked == 3 * first + 3 * second + 3 * third
    asked.clear()
    editing.inpaint(predict, COSINE, times, x, x, FIRST, rng=np.random.default_rng(0))
    assert asked == list(times[:-1])


def test_noising_further_ends_where_noising_at_once_does():
    rng, x = np.random.default_rng(2), np.full((100_000, 1), 0.7)
    for schedule, s, t in ((COSINE, 0.3, 0.6), (Steps.linear(1000), 0, 500), (Exploding(), 0.2, 0.7)):
        early = schedule.noised(x, s, rng.standard_normal(x.shape))
        late = editing.noised_further(schedule, early, s, t, rng=rng)
        assert late.mean() == pytest.approx(0.7 * float(schedule.alpha(t)), abs=4 * late.std() / 300)
        assert late.std() == pytest.approx(float(schedule.sigma(t)), rel=0.01)
    with pytest.raises(MinigenError, match="from s=0.5 to t=0.5; expected a later time"):
        editing.noised_further(COSINE, x, 0.5, 0.5, rng=rng)


def test_repainting_keeps_the_guide_or_forgets_it_as_the_start_says():
    times, predict = samplers.snr_times(COSINE, 100, highest=11.0), MIXTURE.predictor(COSINE)
    guide = np.tile([[0.3, 0.9]], (1000, 1))  # nowhere near a mode

    def repainted(start, guide):
        return editing.sdedit(predict, COSINE, times, guide, start=start, rng=np.random.default_rng(3))

    assert repainted(0, guide) is guide
    starts = (1e-4, 0.1, 0.3, 0.6, 1.0)
    found = [repainted(start, guide) for start in starts]
    moved = [np.sqrt(((x - guide) ** 2).sum(1).mean()) for x in found]
    density = [MIXTURE.log_prob(x, 1.0, 0.0).mean() for x in found]
    assert moved[0] < 0.01 and np.all(np.diff(moved) > 0)  # ever less faithful,
    assert np.all(np.diff(density[:4]) > 0) and density[-1] > density[1] + 2  # and more like data
    other = repainted(1.0, -guide)
    np.testing.assert_allclose(other.mean(0), found[-1].mean(0), atol=0.05)
    assert np.mean(np.linalg.norm(other - found[-1], axis=1) < 0.2) > 0.95  # the same noise, another guide


def test_repainting_one_gaussian_has_the_moments_of_its_own_formula():
    """x_t = α g + σ ε is followed to where the flow of a Gaussian of width w carries it: all is linear."""
    width, start = 0.6, 0.4
    predict = NoisedMixture([[0.0, 0.0]], width).predictor(COSINE)
    guide = np.tile([[1.0, -0.5]], (5_000, 1))
    times = samplers.snr_times(COSINE, 300, highest=11.0)
    found = editing.sdedit(predict, COSINE, times, guide, start=start, rng=np.random.default_rng(4),
                           sampler=samplers.ddim)  # fmt: skip
    alpha, sigma = float(COSINE.alpha(start)), float(COSINE.sigma(start))
    shrink = width / np.hypot(alpha * width, sigma)
    np.testing.assert_allclose(found.mean(0), shrink * alpha * guide[0], atol=0.02)
    np.testing.assert_allclose(found.std(0), shrink * sigma, rtol=0.03)


def test_codes_lead_back_to_the_data_and_look_like_noise():
    x, predict = MIXTURE.sample(500, rng=np.random.default_rng(5)), MIXTURE.predictor(COSINE)
    for rtol, error in ((1e-4, 0.1), (1e-7, 1e-4)):  # the largest, of points that the flow tears from each other
        z = editing.encode(predict, COSINE, x, rtol=rtol, atol=rtol)
        back = editing.decode(predict, COSINE, z, rtol=rtol, atol=rtol)
        assert np.abs(back - x).max() < error and np.median(np.abs(back - x)) < 3 * rtol
    np.testing.assert_allclose(z.mean(0), 0, atol=0.15)
    np.testing.assert_allclose(z.std(0), 1, atol=0.1)


def test_the_great_circle_keeps_lengths_and_laws_and_goes_at_even_speed():
    rng = np.random.default_rng(6)
    first, second = rng.standard_normal((2, 4, 1, 20, 20))
    lengths = np.linalg.norm(first.reshape(4, -1), axis=1)
    equal = second * (lengths / np.linalg.norm(second.reshape(4, -1), axis=1))[:, None, None, None]
    path = np.stack([editing.spherical(first, equal, share) for share in np.linspace(0, 1, 11)]).reshape(11, 4, -1)
    np.testing.assert_allclose(np.linalg.norm(path, axis=2), np.tile(lengths, (11, 1)), rtol=1e-9)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=2)
    np.testing.assert_allclose(steps, np.tile(steps[:1], (10, 1)), rtol=1e-9)
    middle, straight = editing.spherical(first, second, 0.5), 0.5 * (first + second)
    assert middle.std() == pytest.approx(1, abs=0.05) and straight.std() == pytest.approx(np.sqrt(0.5), abs=0.05)
    np.testing.assert_allclose(editing.spherical(first, first, 0.3), first, rtol=1e-6)  # no angle between them
    assert np.isfinite(editing.spherical(first, -first, 0.5)).all()


def test_interpolation_ends_at_the_ends_and_passes_through_data():
    ring = toy2d.ring()
    mixture = NoisedMixture(ring.means / 2, 0.05)
    x, predict = mixture.sample(2 * 40, rng=np.random.default_rng(7)), mixture.predictor(COSINE)
    first, second = x[:40], x[40:]
    path = editing.interpolate(predict, COSINE, first, second, [0, 0.5, 1], rtol=1e-6, atol=1e-6)
    assert path.shape == (3, 40, 2)
    np.testing.assert_allclose(path[0], first, atol=1e-3)
    np.testing.assert_allclose(path[2], second, atol=1e-3)
    middle, average = mixture.log_prob(path[1], 1.0, 0.0), mixture.log_prob((first + second) / 2, 1.0, 0.0)
    assert np.median(middle) > -3 and np.mean(middle > average) > 0.85


def test_what_makes_no_sense_is_refused():
    x, rng, times = np.zeros((2, 3)), np.random.default_rng(0), [1.0, 0.5, 0.0]

    def fill(known, mask, **settings):
        return editing.inpaint(lambda x, t: x, COSINE, times, x, known, mask, rng=rng, **settings)

    for settings in ({"repeats": 0}, {"jump": 0}, {"repeats": 1.5}):
        with pytest.raises(MinigenError, match=r"inpaint: repeats=.*, jump=.*; expected whole numbers from 1"):
            fill(x, np.ones(3, bool), **settings)
    with pytest.raises(ShapeError, match=r"inpaint: known \(2, 4\), x \(2, 3\)"):
        fill(np.zeros((2, 4)), np.ones(3, bool))
    for mask in (np.ones(4, bool), np.ones((2, 3))):
        with pytest.raises(ShapeError, match=r"inpaint: mask \(.*\) of .*; expected truth values that fit"):
            fill(x, mask)
    for start in (-0.1, 1.1):
        with pytest.raises(MinigenError, match=r"sdedit: start=.*; expected a time from 0 to 1.0"):
            editing.sdedit(lambda x, t: x, COSINE, times, x, start=start, rng=rng)
    with pytest.raises(ShapeError, match=r"spherical: codes \(2, 3\) and \(2, 4\)"):
        editing.spherical(x, np.zeros((2, 4)), 0.5)
    with pytest.raises(ShapeError, match="falling"):
        editing.sdedit(lambda x, t: x, COSINE, [0.0, 0.5, 1.0], x, start=0.8, rng=rng)
