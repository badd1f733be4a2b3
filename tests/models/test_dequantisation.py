"""Dequantisation against enumeration: two pixels of three levels, whose nine probabilities are integrals.

The flow is a smooth one and the integrals are done by quadrature, so the bound, its gap and its tightening are numbers.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from minigen import distributions
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError
from minigen.models.bijections import Chain, Flip, Flow, standard_normal
from minigen.models.dequantisation import Dequantised, Logit, UniformNoise, VariationalNoise
from minigen.models.realnvp import VectorNet, alternating, couplings
from minigen.optim import Adam

LEVELS = 3
PICTURES = np.array(list(itertools.product(range(LEVELS), repeat=2)))


def layers(count, rng, condition=0, by=0.12):
    made = couplings(alternating(2, count), lambda mask, g: VectorNet(mask, g, hidden=16, blocks=1, rng=rng,
                                                                      condition=condition))  # fmt: skip
    for tensor in Chain(*made).parameters():
        tensor.overwrite(tensor.data + by * rng.normal(size=tensor.shape))
    return made


def curved(seed=0):
    """A density on [0, 3]² that is not flat on its bins."""
    base = distributions.Normal(np.zeros(2), np.full(2, 0.8))  # so that little lies near the ends, where logit bends
    return Flow(Chain(Logit(LEVELS), *layers(4, np.random.default_rng(seed))), base).to(np.float64).eval()


def exact(flow):
    """P(x) of all pictures, (13.27), by Gauss–Legendre quadrature over the bins: (9,)."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    nodes, weights = 0.5 + 0.5 * nodes, 0.5 * weights
    inside = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    mass = np.outer(weights, weights).reshape(-1)
    with no_grad():
        return np.array([mass @ np.exp(flow.log_prob(picture + inside).data) for picture in PICTURES])


def variational(seed=1, by=0.0):
    rng = np.random.default_rng(seed)
    wide = distributions.Normal(np.zeros(2), np.full(2, 2.0))  # a little wider than the logit of uniform noise
    flow = Flow(Chain(Logit(1.0), *layers(4, rng, condition=2, by=by)), wide).to(np.float64)
    return VariationalNoise(flow, 1 / (LEVELS - 1))


def estimate(model, seed=0, draws=4000, **settings):
    """The bound of each picture, and its standard error."""
    each = model.bound(np.tile(PICTURES, (draws, 1)), rng=np.random.default_rng(seed), draws=1, **settings)
    each = each.reshape(draws, 9)
    return each.mean(0), each.std(0) / np.sqrt(draws)


def test_probabilities_of_all_pictures_sum_to_one():
    assert exact(curved()).sum() == pytest.approx(1, abs=1e-5)


def test_a_margin_leaves_a_little_mass_outside():
    flow = Flow(Logit(LEVELS, margin=0.01), distributions.Normal(np.zeros(2), np.full(2, 1.7))).eval()
    mass = exact(flow).sum()
    reach = np.log(0.99 / 0.01) / 1.7
    assert mass == pytest.approx((2 * stats.norm.cdf(reach) - 1) ** 2, abs=1e-5) and mass < 0.99


@pytest.mark.parametrize("noise", [UniformNoise(), variational(), variational(by=0.12)])
def test_either_noise_gives_a_bound_and_more_draws_inside_a_tighter_one(noise):
    model = Dequantised(curved(), high=LEVELS - 1, noise=noise)
    truth = np.log(exact(model.flow))
    loose, error = estimate(model, draws=1500)
    assert (loose < truth + 4 * error).all() and (truth - loose).mean() > 0.05  # a bound, and there is a gap
    tight, error = estimate(model, draws=300, inside=20)
    assert (tight < truth + 4 * error).all() and (tight - loose).mean() > 0.5 * (truth - loose).mean()
    nearly, error = estimate(model, draws=20, inside=500)
    np.testing.assert_allclose(nearly, truth, atol=0.08)


def test_the_gap_is_the_kl_of_the_noise():
    """(13.28) for uniform noise, in closed form over a quadrature: log P − E log p(x + u) = KL(1 ‖ p(u|x))."""
    model = Dequantised(curved(), high=LEVELS - 1)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    inside = np.stack(np.meshgrid(0.5 + 0.5 * nodes, 0.5 + 0.5 * nodes, indexing="ij"), -1).reshape(-1, 2)
    mass = np.outer(weights, weights).reshape(-1) / 4
    logs = [model.flow.log_prob(picture + inside).data.astype(np.float64) for picture in PICTURES]
    kl = [mass @ (np.log(mass @ np.exp(log)) - log) for log in logs]  # −∫ log p(u|x) du, p(u|x) = p(x + u)/P(x)
    found, error = estimate(model, draws=3000)
    assert min(kl) > 0 and max(kl) > 20 * error.max()
    np.testing.assert_allclose(np.log(exact(model.flow)) - found, kl, atol=4 * error.max() + 1e-3)


def test_a_density_that_is_flat_on_every_bin_has_no_gap():
    flat = Flow(Flip(), distributions.Uniform(np.zeros(2), np.full(2, float(LEVELS))))
    bound = Dequantised(flat, high=LEVELS - 1).bound(PICTURES, rng=np.random.default_rng(0), draws=2)
    np.testing.assert_allclose(bound, -2 * np.log(LEVELS), rtol=1e-6)


def test_half_a_bin_flatters_by_log_2_for_each_pixel():
    """The pitfall: noise over [0, ½), its density forgotten."""

    class Half:
        def __init__(self, log_q):
            self.log_q = log_q

        def rsample(self, x, *, rng):
            return Tensor(0.5 * rng.random(x.shape)), Tensor(np.full(len(x), self.log_q))

    spiky = Flow(Flip(), distributions.Uniform(np.zeros(2), np.full(2, 0.5)))  # all mass on half of the bin of (0, 0)
    told, silent = (Dequantised(spiky, high=LEVELS - 1, noise=Half(log_q)).bound(
        np.zeros((1, 2)), rng=np.random.default_rng(0), draws=3) for log_q in (2 * np.log(2), 0.0))  # fmt: skip
    np.testing.assert_allclose(told, 0, atol=1e-6)  # log P(0, 0), all of it
    np.testing.assert_allclose(silent - told, 2 * np.log(2))  # claims P(0, 0) = 4


def test_trained_variational_noise_beats_uniform_noise_and_stays_a_bound():
    flow, noise = curved(), variational(by=0.05)
    model, rng = Dequantised(flow, high=LEVELS - 1, noise=noise), np.random.default_rng(0)
    optimizer = Adam(noise.parameters(), lr=5e-3)
    many = np.tile(PICTURES, (12, 1))
    for _ in range(300):
        optimizer.zero_grad()
        model.loss(many, rng=rng).mean().backward()
        optimizer.step()
    truth = np.log(exact(flow))
    learnt, error = estimate(model, draws=1000)
    uniform, _ = estimate(Dequantised(flow, high=LEVELS - 1), draws=1000)
    assert (learnt < truth + 4 * error).all()
    assert (truth - learnt).mean() < 0.4 * (truth - uniform).mean()


def test_samples_have_the_frequencies_that_the_integrals_say():
    flow = curved()
    drawn = Dequantised(flow, high=LEVELS - 1).sample(5000, rng=np.random.default_rng(0))
    assert drawn.dtype == np.int64 and drawn.shape == (5000, 2)
    counts = np.bincount(drawn @ [LEVELS, 1], minlength=9)
    expected = exact(flow)
    expected = expected / expected.sum()
    assert stats.chisquare(counts, 5000 * expected).pvalue > 1e-3
    assert stats.chisquare(counts, 5000 * np.roll(expected, 1)).pvalue < 1e-9


def test_the_loss_trains_both_parts():
    model = Dequantised(curved(), high=LEVELS - 1, noise=variational(by=0.1))
    loss = model.loss(PICTURES, rng=np.random.default_rng(0))
    loss.mean().backward()
    assert loss.shape == (9,) and all(tensor.grad is not None for tensor in model.parameters())


def test_uniform_noise_fills_the_whole_bin():
    u, log_q = UniformNoise().rsample(Tensor(np.zeros((1000, 3), dtype=np.float32)), rng=np.random.default_rng(0))
    assert u.dtype == np.float32 and (log_q.data == 0).all()
    assert stats.kstest(u.data.ravel(), "uniform").pvalue > 1e-3


def test_the_bound_is_of_evaluation_and_repeatable():
    rng = np.random.default_rng(0)
    net = couplings(alternating(2, 2), lambda mask, g: VectorNet(mask, g, hidden=8, dropout=0.5, rng=rng))
    model = Dequantised(Flow(Chain(Logit(LEVELS, 0.01), *net), standard_normal(2)), high=LEVELS - 1)
    first, second = (model.bound(PICTURES, rng=np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.training


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logit_and_back_at_the_ends(dtype):
    logit = Logit(17, 0.001)
    x = Tensor(np.array([[0.0, 17.0, 8.5]], dtype=dtype))
    z, log_det = logit(x)
    assert np.isfinite(z.data).all() and np.isfinite(log_det.data).all()
    np.testing.assert_allclose(logit.inverse(z)[0].data, x.data, atol=1e-5 if dtype == np.float32 else 1e-12)
    z, log_det = Logit(17)(x)  # no margin
    assert np.isfinite(z.data).all() and np.isfinite(log_det.data).all() and np.abs(z.data).max() > 15
    y, log_det = Logit(17).inverse(Tensor(np.array([[-80.0, 80.0]], dtype=dtype)))
    assert np.isfinite(log_det.data).all() and (y.data >= 0).all() and (y.data <= 17).all()


@pytest.mark.parametrize("mistake, error, message", [
    (lambda: Logit(0.0), MinigenError, "high=0"),
    (lambda: Logit(1.0, 0.5), MinigenError, "margin=0.5"),
    (lambda: Logit(1.0)(Tensor(np.array([[1.5]]))), MinigenError, "from 1.5 to 1.5; expected 0 to 1"),
    (lambda: Dequantised(curved(), high=2).loss(np.array([[0.5, 1.0]]), rng=np.random.default_rng(0)), MinigenError,
     "whole numbers 0 to 2"),
    (lambda: Dequantised(curved(), high=2).loss(np.array([[0, 3]]), rng=np.random.default_rng(0)), MinigenError,
     "from 0 to 3"),
    (lambda: Dequantised(curved(), high=2).loss(np.array([0, 1]), rng=np.random.default_rng(0)), ShapeError,
     r"\(2,\); expected \(B, …\)"),
])  # fmt: skip
def test_mistakes_are_told(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_a_bound_needs_a_draw():
    model = Dequantised(curved(), high=LEVELS - 1)
    for wrong in ({"draws": 0}, {"inside": 0}):
        with pytest.raises(MinigenError, match="Dequantised.bound: .*expected at least 1 of each"):
            model.bound(PICTURES, rng=np.random.default_rng(0), **wrong)
