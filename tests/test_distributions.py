"""Distributions against scipy.stats, Monte Carlo, enumeration, finite differences and (if installed) PyTorch."""

import math

import numpy as np
import pytest
from scipy import special, stats

import minigen as mg
from minigen import ops
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.distributions import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Distribution,
    Laplace,
    MixtureSameFamily,
    Normal,
    Uniform,
    kl_divergence,
    kl_standard_normal,
    register_kl,
)  # fmt: skip
from minigen.errors import ShapeError


def rng(seed=0):
    return np.random.default_rng(seed)


LOC = np.array([[-1.5, 0.0, 2.0], [0.3, 10.0, -4.0]])
SCALE = np.array([0.1, 1.0, 3.0])
LOGITS = np.array([-30.0, -2.0, 0.0, 0.7, 25.0])
TABLE = rng(5).standard_normal((2, 3, 4)) * 2

CONTINUOUS = {
    "Normal": (Normal(LOC, SCALE), stats.norm(LOC, SCALE)),
    "Laplace": (Laplace(LOC, SCALE), stats.laplace(LOC, SCALE)),
    "Uniform": (Uniform(LOC, LOC + SCALE), stats.uniform(LOC, np.broadcast_to(SCALE, LOC.shape))),
}
EACH = pytest.mark.parametrize("ours,scipys", CONTINUOUS.values(), ids=list(CONTINUOUS))


# -- against scipy --------------------------------------------------------------------------------------------


@EACH
def test_continuous_distributions_equal_those_of_scipy(ours, scipys):
    x = scipys.mean() + np.linspace(-4, 4, 41)[:, None, None] * scipys.std()
    np.testing.assert_allclose(ours.log_prob(x), scipys.logpdf(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.cdf(x), scipys.cdf(x), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(ours.entropy() + np.zeros(LOC.shape), scipys.entropy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.mean, scipys.mean(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.variance + np.zeros(LOC.shape), scipys.var(), rtol=1e-12)
    np.testing.assert_allclose(ours.stddev + np.zeros(LOC.shape), scipys.std(), rtol=1e-12)
    assert ours.log_prob(x).shape == (41, 2, 3)


def test_bernoulli_equals_that_of_scipy():
    ours, scipys = Bernoulli(LOGITS), stats.bernoulli(special.expit(LOGITS))
    x = np.array([0.0, 1.0])[:, None]
    np.testing.assert_allclose(ours.log_prob(x)[:, 1:4], scipys.logpmf(x)[:, 1:4], rtol=1e-12)
    np.testing.assert_allclose(ours.entropy()[1:4], scipys.entropy()[1:4], rtol=1e-12)
    np.testing.assert_allclose(ours.mean, scipys.mean(), rtol=1e-12)
    np.testing.assert_allclose(ours.variance[1:4], scipys.var()[1:4], rtol=1e-12)
    points = np.array([-0.5, 0.0, 0.5, 1.0, 2.0])[:, None]
    np.testing.assert_allclose(ours.cdf(points), scipys.cdf(points), rtol=1e-12, atol=1e-15)


def test_categorical_equals_multinomial_of_one_draw():
    ours = Categorical(TABLE)
    p = special.softmax(TABLE, axis=-1)
    for v in range(4):
        np.testing.assert_allclose(ours.log_prob(v), stats.multinomial(1, p).logpmf(np.eye(4)[v]), rtol=1e-12)
    np.testing.assert_allclose(ours.entropy(), stats.entropy(p, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(ours.probs, p, rtol=1e-12)
    np.testing.assert_allclose(ours.log_probs, np.log(p), rtol=1e-12)


@pytest.mark.parametrize("log_scale", [-3.0, -1.0, 0.5])
def test_discretized_logistic_takes_differences_of_the_logistic_distribution_function(log_scale):
    edges = (2 * np.arange(8) + 1) / 8 - 1  # upper ends of the bins 0 … 7 of 9
    loc = 0.2
    inner = stats.logistic(loc, np.exp(log_scale)).cdf(edges)
    masses = np.diff(np.concatenate([[0.0], inner, [1.0]]))
    ours = DiscretizedLogistic(np.float64(loc) * np.ones(1), np.full(1, log_scale), bins=9)
    np.testing.assert_allclose(np.exp(ours.log_prob(np.arange(9))), masses, rtol=1e-8)
    np.testing.assert_allclose(ours.cdf(np.arange(-1, 10)), [0, *np.cumsum(masses), 1], rtol=1e-10)
    exact = stats.rv_discrete(values=(np.arange(9), masses / masses.sum()))
    np.testing.assert_allclose(ours.mean, exact.mean(), rtol=1e-9)
    np.testing.assert_allclose(ours.variance, exact.var(), rtol=1e-8)
    np.testing.assert_allclose(ours.entropy(), exact.entropy(), rtol=1e-8)


def test_a_mixture_of_normals_equals_the_sum_of_densities():
    weights = special.softmax(TABLE[0], axis=-1)  # (3, 4)
    loc, scale = rng(1).standard_normal((3, 4)), rng(2).uniform(0.2, 2, (3, 4))
    ours = MixtureSameFamily(Categorical(TABLE[0]), Normal(loc, scale))
    x = np.linspace(-4, 4, 33)[:, None]
    parts = stats.norm(loc, scale)
    np.testing.assert_allclose(ours.log_prob(x), np.log((weights * parts.pdf(x[..., None])).sum(-1)), rtol=1e-11)
    np.testing.assert_allclose(ours.cdf(x), (weights * parts.cdf(x[..., None])).sum(-1), rtol=1e-11)
    mean = (weights * loc).sum(-1)
    np.testing.assert_allclose(ours.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(ours.variance, (weights * (scale**2 + loc**2)).sum(-1) - mean**2, rtol=1e-11)


def test_log_probabilities_equal_those_of_pytorch():
    torch = pytest.importorskip("torch")
    td = torch.distributions

    def t(x):
        return torch.tensor(x)

    x = rng(3).standard_normal((5, 2, 3))
    pairs = [
        (Normal(LOC, SCALE), td.Normal(t(LOC), t(SCALE)), x),
        (Laplace(LOC, SCALE), td.Laplace(t(LOC), t(SCALE)), x),
        (Bernoulli(LOC), td.Bernoulli(logits=t(LOC)), (x > 0).astype(float)),
        (Categorical(TABLE), td.Categorical(logits=t(TABLE)), rng(4).integers(0, 4, (5, 2, 3))),
        (
            MixtureSameFamily(TABLE, Laplace(TABLE / 2, 0.7)),
            td.MixtureSameFamily(td.Categorical(logits=t(TABLE)), td.Laplace(t(TABLE / 2), t(0.7 + 0 * TABLE))),
            x,
        ),
    ]
    for ours, theirs, value in pairs:
        np.testing.assert_allclose(ours.log_prob(value), theirs.log_prob(t(value)).numpy(), rtol=1e-10)
        assert ours.batch_shape == tuple(theirs.batch_shape)


# -- samples --------------------------------------------------------------------------------------------------

SAMPLED = {
    "Normal": Normal(LOC, SCALE),
    "Laplace": Laplace(LOC, SCALE),
    "Uniform": Uniform(LOC, LOC + SCALE),
    "Bernoulli": Bernoulli(np.array([-2.0, 0.3, 1.0])),
    "DiscretizedLogistic": DiscretizedLogistic(np.array([-0.9, 0.1, 2.0]), np.array([-3.0, -1.0, 0.0]), bins=17),
    "MixtureSameFamily": MixtureSameFamily(TABLE, Normal(TABLE / 2, 0.5)),
    "MixtureSameFamily, shared weights": MixtureSameFamily(TABLE[0, 0], Normal(TABLE / 2, 0.5)),
    "DiscretizedLogisticMixture": DiscretizedLogisticMixture(TABLE, TABLE / 3, TABLE / 2 - 2, bins=17),
}


@pytest.mark.parametrize("p", SAMPLED.values(), ids=list(SAMPLED))
def test_samples_have_the_mean_variance_and_distribution_function_that_are_claimed(p):
    n = 40_000
    x = np.asarray(p.sample((n,), rng=rng(1)), dtype=np.float64)
    assert x.shape == (n, *p.batch_shape)
    mean, variance = p.mean + np.zeros(p.batch_shape), p.variance + np.zeros(p.batch_shape)
    assert np.all(np.abs(x.mean(0) - mean) < 5 * np.sqrt(variance / n) + 1e-12)
    fourth = ((x - mean) ** 4).mean(0)
    assert np.all(np.abs(((x - mean) ** 2).mean(0) - variance) < 6 * np.sqrt(fourth / n) + 1e-12)
    for point in (0.0, 0.5, 3.0):
        assert np.all(np.abs((x <= point).mean(0) - p.cdf(np.full(p.batch_shape, point))) < 5 * 0.5 / math.sqrt(n))


@pytest.mark.parametrize("logits", [TABLE, np.array([1.0, -np.inf, 0.0, -np.inf])], ids=["table", "forbidden classes"])
def test_categorical_samples_come_at_the_given_rates(logits):
    n = 40_000
    p = Categorical(logits)
    x = p.sample((n,), rng=rng(1))
    assert x.shape == (n, *p.batch_shape) and x.dtype.kind == "i"
    rates = (x[..., None] == np.arange(4)).mean(0)
    assert np.all(np.abs(rates - p.probs) <= 5 * np.sqrt(p.probs * (1 - p.probs) / n))


def test_the_largest_uniform_number_still_chooses_a_possible_class():
    class Largest:
        def random(self, shape):
            return np.full(shape, np.nextafter(1.0, 0.0))

    logits = rng().standard_normal((200, 7))
    logits[:, -1] = -np.inf
    ends = np.cumsum(special.softmax(logits, axis=-1), axis=-1)
    assert (ends[:, -1] < 1).any() and (ends[:, -1] > 1).any()  # rounding does go both ways
    assert Categorical(logits).sample(rng=Largest()).tolist() == [5] * 200


@pytest.mark.parametrize("p", [v for k, v in SAMPLED.items() if not k.startswith("Mixture")], ids=str)
def test_the_entropy_is_the_mean_of_minus_log_prob(p):
    if isinstance(p, MixtureSameFamily):
        with pytest.raises(NotImplementedError, match="DiscretizedLogisticMixture: entropy"):
            p.entropy()
        return
    information = -p.log_prob(p.sample((40_000,), rng=rng(2)))
    assert np.all(np.abs(information.mean(0) - p.entropy()) < 5 * information.std(0) / 200 + 1e-12)


@pytest.mark.parametrize("p", SAMPLED.values(), ids=list(SAMPLED))
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(p):
    first, again, other = (np.asarray(p.sample((8,), rng=rng(seed))) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_a_generator_must_be_given_by_name():
    with pytest.raises(TypeError):
        Normal(0.0, 1.0).sample((3,))
    with pytest.raises(TypeError):
        Normal(0.0, 1.0).sample((3,), rng())


def test_rsample_carries_gradients_and_sample_does_not():
    loc = mg.tensor(LOC, requires_grad=True)
    scale = mg.tensor(SCALE, requires_grad=True)
    for family in (Normal, Laplace, lambda a, b: Uniform(a, a + b)):
        p = family(loc, scale)
        assert not p.sample((4,), rng=rng()).requires_grad
        x = p.rsample((4,), rng=rng())
        assert np.array_equal(x.data, p.sample((4,), rng=rng()).data)
        d_loc, d_scale = mg.grad(x.sum(), (loc, scale))
        np.testing.assert_allclose(d_loc.data, 4.0)  # ∂(loc + scale·ε)/∂loc = 1 for each of four samples
        noise = (x.data - LOC) / SCALE
        np.testing.assert_allclose(d_scale.data, noise.sum((0, 1)), rtol=1e-12)


@pytest.mark.parametrize("p", [Bernoulli(0.0), Categorical([0.0, 1.0]), DiscretizedLogistic(0.0, 0.0)], ids=str)
def test_discrete_distributions_have_no_rsample(p):
    with pytest.raises(NotImplementedError, match="use sample"):
        p.rsample(rng=rng())


def test_uniform_samples_in_float32_keep_a_finite_density():
    p = Uniform(np.float32([1.0]), np.float32([2.0]))
    assert np.isfinite(p.log_prob(np.float32(2.0))).all()
    assert np.isfinite(p.log_prob(p.sample((100_000,), rng=rng()))).all()


# -- discrete ones sum to one, and nothing breaks far out -----------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [2, 17, 256])
def test_pixel_probabilities_sum_to_one_for_every_place_and_scale(bins, dtype):
    loc = np.array([-40.0, -1.0, -0.3, 0.0, 0.99, 5.0], dtype)[:, None]
    log_scale = np.array([-12.0, -7.0, -3.0, -1.0, 0.0, 4.0, 12.0], dtype)
    table = DiscretizedLogistic(loc, log_scale, bins).log_probs
    assert table.dtype == dtype and np.isfinite(table).all() and (table <= 0).all()
    # x − μ is rounded by about 10⁻¹⁶ (10⁻⁷) and then divided by the scale, e⁻¹² at its narrowest.
    tolerance = 1e-10 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(np.exp(table).sum(-1), 1.0, rtol=tolerance)
    ours = DiscretizedLogisticMixture(np.zeros((6, 7), dtype), loc + 0 * log_scale, log_scale + 0 * loc, bins)
    total = sum(np.exp(ours.log_prob(np.full(6, k))) for k in range(bins))
    np.testing.assert_allclose(total, 1.0, rtol=tolerance)


def test_bernoulli_and_categorical_probabilities_sum_to_one():
    np.testing.assert_allclose(np.exp(Bernoulli(LOGITS).log_prob(np.array([[0.0], [1.0]]))).sum(0), 1, rtol=1e-14)
    np.testing.assert_allclose(sum(np.exp(Categorical(TABLE).log_prob(v)) for v in range(4)), 1, rtol=1e-14)


def test_log_probabilities_far_in_the_tails_are_finite_and_right():
    far = np.float32(1e6)
    np.testing.assert_allclose(Normal(np.float32(0), 1.0).log_prob(far), -0.5e12, rtol=1e-6)
    np.testing.assert_allclose(Laplace(np.float32(0), 1.0).log_prob(far), -1e6, rtol=1e-6)
    logits = np.float32([200.0, -200.0])
    np.testing.assert_array_equal(Bernoulli(logits).log_prob(np.float32([0, 1])), [-200, -200])
    np.testing.assert_allclose(Bernoulli(np.float32([20.0])).log_prob(1.0), -math.log1p(math.exp(-20)), rtol=1e-6)
    np.testing.assert_allclose(Categorical(np.float32([0, 1e4])).log_prob(0), -1e4)
    p = DiscretizedLogistic(np.float32(1.0), np.float32(math.log(1e-3)), bins=256)
    # A logistic tail falls by 1 nat per scale: value 100 is 154.5 bins below the location.
    np.testing.assert_allclose(p.log_prob(100), -154.5 * 2 / 255 / 1e-3, rtol=1e-3)
    for log_scale in (-80.0, 80.0):
        assert np.isfinite(DiscretizedLogistic(np.float32(0.3), np.float32(log_scale)).log_prob(np.arange(256))).all()


def test_the_pixel_formula_agrees_with_exact_arithmetic_where_a_difference_of_sigmoids_is_zero():
    # At (x − μ)/s = 60 both sigmoids are 1 in floating point; in the tail the mass is e^−a − e^−b.
    loc, s, k = -0.5, 0.02, 204
    a, b = ((2 * k - 1) / 255 - 1 - loc) / s, ((2 * k + 1) / 255 - 1 - loc) / s
    assert special.expit(b) - special.expit(a) == 0
    exact = -a + math.log(-math.expm1(a - b))
    np.testing.assert_allclose(DiscretizedLogistic(np.array(loc), np.array(math.log(s))).log_prob(k), exact, rtol=1e-12)


def test_the_pixel_gradient_far_out_pulls_the_location_back():
    loc = mg.tensor(np.float32([0.9]), requires_grad=True)
    DiscretizedLogistic(loc, np.float32(-7.0), 256).log_prob([3]).sum().backward()
    np.testing.assert_allclose(loc.grad.data, -math.exp(7), rtol=1e-5)


# -- gradients ------------------------------------------------------------------------------------------------

X = rng(8).standard_normal((2, 3))
S = np.array([0.5, 1.2, 2.0])
PIXELS = np.array([[0, 4, 16], [8, 15, 1]])
GRADED = {
    "Normal.log_prob": (lambda x, a, b: Normal(a, b).log_prob(x), (X, X + 0.4, S)),
    "Normal.cdf": (lambda x, a, b: Normal(a, b).cdf(x), (X, X + 0.4, S)),
    "Normal.entropy": (lambda a, b: Normal(a, b).entropy(), (X, S)),
    "Laplace.log_prob": (lambda x, a, b: Laplace(a, b).log_prob(x), (X, X + S, S)),
    "Laplace.cdf": (lambda x, a, b: Laplace(a, b).cdf(x), (X, X - S, S)),
    "Uniform.log_prob": (lambda a, b: Uniform(a, b).log_prob(X), (X - 1, X + S)),
    "Uniform.cdf": (lambda x, a, b: Uniform(a, b).cdf(x), (X, X - 1, X + S)),
    "Uniform.variance": (lambda a, b: Uniform(a, b).variance, (X - 1, X + S)),
    "Bernoulli.log_prob": (lambda a: Bernoulli(a).log_prob((X > 0) * 1.0), (X,)),
    "Bernoulli.entropy": (lambda a: Bernoulli(a).entropy(), (X,)),
    "Bernoulli.cdf": (lambda a: Bernoulli(a).cdf(0), (X,)),
    "Categorical.log_prob": (lambda a: Categorical(a).log_prob(np.array([2, 0])), (X,)),
    "Categorical.log_prob, broadcast": (lambda a: Categorical(a).log_prob(np.array([[2, 0], [1, 1]])), (X,)),
    "Categorical.entropy": (lambda a: Categorical(a).entropy(), (X,)),
    "DiscretizedLogistic.log_prob": (
        lambda a, b: DiscretizedLogistic(a, b, 17).log_prob(PIXELS),
        (X / 2, np.array([-3.0, -1.0, 0.5])),
    ),
    "DiscretizedLogistic.entropy": (lambda a, b: DiscretizedLogistic(a, b, 17).entropy(), (X / 2, X - 1)),
    "DiscretizedLogistic.mean": (lambda a, b: DiscretizedLogistic(a, b, 17).mean, (X / 2, X - 1)),
    "DiscretizedLogistic.cdf": (lambda a, b: DiscretizedLogistic(a, b, 17).cdf(PIXELS), (X / 2, X - 1)),
    "DiscretizedLogisticMixture.log_prob": (
        lambda w, a, b: DiscretizedLogisticMixture(w, a, b, 17).log_prob(PIXELS),
        (TABLE, TABLE / 3, TABLE / 2 - 1),
    ),
    "MixtureSameFamily.log_prob": (
        lambda x, w, a, b: MixtureSameFamily(w, Normal(a, ops.exp(b))).log_prob(x),
        (X, TABLE, TABLE / 3, TABLE / 2 - 1),
    ),
    "MixtureSameFamily.variance": (lambda w, a: MixtureSameFamily(w, Normal(a, 0.3)).variance, (TABLE, TABLE / 3)),
    "kl of Normals": (lambda a, b, c, d: kl_divergence(Normal(a, b), Normal(c, d)), (X, S, X + 0.5, S[::-1].copy())),
    "kl of Laplaces": (lambda a, b, c, d: kl_divergence(Laplace(a, b), Laplace(c, d)), (X, S, X + 0.5, S[::-1].copy())),
    "kl of Uniforms": (lambda a, b: kl_divergence(Uniform(X, X + S), Uniform(a, b)), (X - 1, X + S + 1)),
    "kl of Bernoullis": (lambda a, b: kl_divergence(Bernoulli(a), Bernoulli(b)), (X, X[::-1] * 2)),
    "kl of Categoricals": (lambda a, b: kl_divergence(Categorical(a), Categorical(b)), (X, X[::-1] * 2)),
    "kl_standard_normal": (kl_standard_normal, (X, X[::-1] * 2)),
}


@pytest.mark.parametrize("f,inputs", GRADED.values(), ids=list(GRADED))
def test_first_and_second_derivatives_agree_with_finite_differences(f, inputs):
    gradcheck(f, inputs)
    gradgradcheck(f, inputs)


def test_the_derivative_of_a_distribution_function_is_the_density():
    for family in (Normal, Laplace):
        x = mg.tensor(np.concatenate([LOC[0], X[0]]), requires_grad=True)
        p = family(np.concatenate([LOC[0], LOC[1]]), np.concatenate([SCALE, SCALE]))  # three x are at the location
        (density,) = mg.grad(p.cdf(x).sum(), x)
        np.testing.assert_allclose(density.data, np.exp(p.log_prob(x.data)), rtol=1e-9)


# -- Kullback–Leibler -----------------------------------------------------------------------------------------

PAIRS = {
    "Normal": (Normal(LOC, SCALE), Normal(LOC + 0.5 * SCALE, SCALE[::-1])),
    "Laplace": (Laplace(LOC, SCALE), Laplace(LOC - 0.5 * SCALE, 1.5 * SCALE)),
    "Uniform": (Uniform(LOC, LOC + SCALE), Uniform(LOC - 1, LOC + 2 * SCALE)),
    "Bernoulli": (Bernoulli(np.array([-2.0, 0.3, 1.0])), Bernoulli(np.array([0.0, -0.4, 1.0]))),
    "Categorical": (Categorical(TABLE), Categorical(TABLE[::-1] / 2)),
}


@pytest.mark.parametrize("p,q", PAIRS.values(), ids=list(PAIRS))
def test_the_divergence_is_the_mean_log_ratio_and_zero_for_equal_ones(p, q):
    x = p.sample((60_000,), rng=rng(3))
    ratio = p.log_prob(x) - q.log_prob(x)
    exact = kl_divergence(p, q)
    assert exact.shape == p.batch_shape and np.all(exact >= 0)
    assert np.all(np.abs(ratio.mean(0) - exact) < 5 * ratio.std(0) / math.sqrt(60_000) + 1e-12)
    np.testing.assert_allclose(kl_divergence(p, p), 0.0, atol=1e-14)


def test_divergences_equal_those_of_pytorch():
    td = pytest.importorskip("torch").distributions
    import torch

    for name, (p, q) in PAIRS.items():
        names = {"Uniform": ("low", "high"), "Bernoulli": ("logits",), "Categorical": ("logits",)}
        theirs = [
            getattr(td, name)(**{k: torch.tensor(getattr(x, k).copy()) for k in names.get(name, ("loc", "scale"))})
            for x in (p, q)
        ]
        np.testing.assert_allclose(kl_divergence(p, q), td.kl_divergence(*theirs).numpy(), rtol=1e-9, atol=1e-12)


def test_what_one_side_forbids_is_infinitely_far():
    assert kl_divergence(Uniform(0.0, 2.0), Uniform(0.0, 1.0)) == np.inf
    assert kl_divergence(Uniform(0.0, 1.0), Uniform(0.0, 2.0)) == pytest.approx(math.log(2))
    some, all_ = Categorical([0.0, 0.0, -np.inf]), Categorical([0.0, 0.0, 0.0])
    assert kl_divergence(some, all_) == pytest.approx(math.log(1.5))
    assert kl_divergence(all_, some) == np.inf
    assert kl_divergence(some, Categorical([1.0, 1.0, -np.inf])) == 0
    assert some.entropy() == pytest.approx(math.log(2))


def test_forbidden_classes_do_not_spoil_gradients():
    logits = mg.tensor(np.array([0.5, -np.inf, 0.0]), requires_grad=True)
    q = Categorical([0.1, 0.2, 0.3])
    (kl_divergence(Categorical(logits), q) + Categorical(logits).entropy()).backward()
    assert np.isfinite(logits.grad.data).all() and logits.grad.data[1] == 0


def test_a_pair_without_a_closed_form_is_named():
    with pytest.raises(NotImplementedError, match="Normal ‖ Laplace"):
        kl_divergence(Normal(0.0, 1.0), Laplace(0.0, 1.0))
    with pytest.raises(TypeError, match="Normal and float"):
        kl_divergence(Normal(0.0, 1.0), 3.0)
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(2,\)"):
        kl_divergence(Normal(LOC, 1.0), Normal(np.zeros(2), 1.0))
    with pytest.raises(ShapeError, match="2 and 3 classes"):
        kl_divergence(Categorical(np.zeros(2)), Categorical(np.zeros(3)))


def test_subclasses_use_their_parents_form_and_new_pairs_can_be_added():
    class StandardNormal(Normal):
        def __init__(self):
            super().__init__(0.0, 1.0)

    class Point(Distribution):
        def __init__(self, x):
            self._set(x=x)

    expected = kl_divergence(Normal(2.0, 3.0), Normal(0.0, 1.0))
    assert kl_divergence(Normal(2.0, 3.0), StandardNormal()) == expected
    assert expected == pytest.approx(0.5 * (9 + 4 - 1) - math.log(3))

    @register_kl(Point, Normal)
    def _(p, q):
        return -q.log_prob(p.x)

    assert kl_divergence(Point(0.0), StandardNormal()) == pytest.approx(0.5 * math.log(2 * math.pi))


def test_the_divergence_from_the_standard_normal_is_the_sum_over_the_last_axis():
    mean, log_var = X, X[::-1] * 2
    expected = kl_divergence(Normal(mean, np.exp(0.5 * log_var)), Normal(0.0, 1.0)).sum(-1)
    np.testing.assert_allclose(kl_standard_normal(mean, log_var), expected, rtol=1e-12)
    assert kl_standard_normal(mg.tensor(mean), mg.tensor(log_var)).shape == (2,)
    assert kl_standard_normal(np.zeros((4, 3), np.float32), np.zeros((4, 3), np.float32)).tolist() == [0.0] * 4
    tiny = np.full((1, 1), 1e-4, np.float32)  # ½(μ² + l²/2) to leading order; a plain e^l − 1 − l has no digit left
    np.testing.assert_allclose(kl_standard_normal(tiny * 0, tiny), 0.25e-8, rtol=1e-2)
    with pytest.raises(ShapeError, match=r"mean \(2, 3\) and log_var \(3,\)"):
        kl_standard_normal(mean, mean[0])


# -- bookkeeping ----------------------------------------------------------------------------------------------


def test_arrays_give_arrays_and_tensors_give_tensors_of_the_same_numbers_and_dtype():
    for dtype in (np.float32, np.float64):
        loc, scale, x = LOC.astype(dtype), SCALE.astype(dtype), X.astype(dtype)
        table = TABLE.astype(dtype)
        cases = [
            (Normal, (loc, scale), x),
            (Laplace, (loc, scale), x),
            (Uniform, (loc, loc + scale), x),
            (Bernoulli, (loc,), (x > 0).astype(dtype)),
            (Categorical, (table,), np.array([[0, 1, 2], [3, 2, 1]])),
            (lambda a, b: DiscretizedLogistic(a, b, 17), (loc, scale), PIXELS),
            (lambda w, a: DiscretizedLogisticMixture(w, a, a, 17), (table, table), PIXELS),
            (lambda w, a: MixtureSameFamily(w, Normal(a, 0.5)), (table, table), x),
        ]
        for family, parameters, value in cases:
            plain, traced = family(*parameters), family(*(mg.tensor(p, requires_grad=True) for p in parameters))
            a, b = plain.log_prob(value), traced.log_prob(value)
            assert type(a) is np.ndarray and isinstance(b, mg.Tensor) and b.requires_grad
            assert a.dtype == b.dtype == dtype
            assert a.tobytes() == b.data.tobytes()
            a, b = plain.sample((5,), rng=rng()), traced.sample((5,), rng=rng())
            assert np.array_equal(a, np.asarray(b)) and a.dtype == b.dtype
            assert a.dtype.kind == "i" or a.dtype == dtype


def test_a_tensor_value_with_array_parameters_carries_the_gradient():
    x = mg.tensor(np.float32([0.5, -1.0]), requires_grad=True)
    (g,) = mg.grad(Normal(np.zeros(2), 2.0).log_prob(x).sum(), x)
    np.testing.assert_allclose(g.data, -x.data / 4)
    assert g.dtype == np.float32


def test_numbers_and_lists_make_distributions():
    assert Normal(0, 1).log_prob(0) == pytest.approx(-0.5 * math.log(2 * math.pi))
    assert Normal(0, 1).log_prob(np.array([0.3])).dtype == np.float64
    assert Normal([0, 1], 2).batch_shape == (2,)
    assert Normal(0.0, 1.0).sample((2, 3), rng=rng()).dtype == np.float32
    assert Normal(0.0, 1.0).sample(4, rng=rng()).shape == (4,)
    assert Categorical([0.0, 0.0]).log_prob(1) == pytest.approx(-math.log(2))
    assert np.shape(MixtureSameFamily([0.0, 1.0], Normal([0.0, 1.0], 1.0)).log_prob(0.5)) == ()


@pytest.mark.parametrize(
    "make,error,message",
    [
        (lambda: Normal(LOC, np.array([1.0, 0.0, 1.0])), ValueError, "Normal: expected scale > 0 .* scale of 0"),
        (lambda: Laplace(0.0, -1.0), ValueError, "Laplace: expected scale > 0"),
        (lambda: Uniform(1.0, 1.0), ValueError, "Uniform: expected low < high"),
        (lambda: Normal(LOC, np.ones(2)), ShapeError, r"Normal: shapes of loc \(2, 3\) and scale \(2,\)"),
        (lambda: Normal(LOC, 1.0).log_prob(np.ones(2)), ShapeError, r"Normal.log_prob: value of shape \(2,\)"),
        (lambda: Normal(LOC, 1.0).cdf(np.ones(2)), ShapeError, r"Normal.cdf: value of shape \(2,\)"),
        (lambda: Bernoulli(LOGITS).log_prob(0.5), ValueError, "Bernoulli.log_prob: expected every value 0 or 1"),
        (lambda: Bernoulli(LOGITS).log_prob(math.nan), ValueError, "every value 0 or 1"),
        (lambda: Categorical(0.0), ShapeError, r"Categorical: logits of shape \(\)"),
        (lambda: Categorical(TABLE).log_prob(4), ValueError, "whole numbers from 0 to 3; found values from 4 to 4"),
        (lambda: Categorical(TABLE).log_prob(-1), ValueError, "found values from -1"),
        (lambda: Categorical(TABLE).log_prob(0.5), ValueError, "not all whole"),
        (lambda: Categorical(TABLE).log_prob(np.zeros(5, int)), ShapeError, r"value of shape \(5,\)"),
        (lambda: DiscretizedLogistic(0.0, 0.0, 256).log_prob(0.25), ValueError, "0 to 255; found .* not all whole"),
        (lambda: DiscretizedLogistic(0.0, 0.0, 16).log_prob(math.nan), ValueError, "whole numbers from 0 to 15"),
        (lambda: DiscretizedLogistic(0.0, 0.0, 1), ValueError, "bins=1"),
        (lambda: MixtureSameFamily(np.zeros(3), Normal(np.zeros(4), 1.0)), ShapeError, r"logits \(3,\) .* \(4,\)"),
        (lambda: MixtureSameFamily(np.zeros((5, 4)), Normal(TABLE, 1.0)), ShapeError, r"\(5, 4\) .* \(2, 3, 4\)"),
        (lambda: Categorical(TABLE).mean, NotImplementedError, "Categorical: mean"),
        (lambda: MixtureSameFamily([0.0], Normal([0.0], 1.0)).rsample(rng=rng()), NotImplementedError, "use sample"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
