"""The Gaussian mixture: the identities of lesson 04, its singularities, and scikit-learn from the same start."""

import warnings

import numpy as np
import pytest

from minigen.data import toy2d
from minigen.errors import DataError, MinigenError, ShapeError, TrainingError
from minigen.models import gmm
from minigen.models.gmm import GaussianMixture

TYPES = ("full", "tied", "diag", "spherical")


def blobs(n=600, d=3, groups=4, seed=0):
    """Overlapping groups of different shapes and sizes."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(3 * np.ones(groups))
    sizes = np.maximum(20, (n * share).astype(int))
    return np.concatenate([rng.normal(size=(size, d)) @ rng.normal(size=(d, d)) + 2 * rng.normal(size=d)
                           for size in sizes])  # fmt: skip


def started(covariance="full", components=4, x=None, seed=1, **settings):
    x = blobs() if x is None else x
    return GaussianMixture(components, covariance, **settings).start(x, rng=np.random.default_rng(seed)), x


# -- the equations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", TYPES)
def test_log_p_is_the_bound_plus_the_kl_for_any_q(covariance):
    model, x = started(covariance)
    model.fit(x, start="current", steps=3)
    q = np.random.default_rng(2).dirichlet(np.ones(4), len(x))
    q[0] = [0, 1, 0, 0]  # 0 log 0 counts as 0
    log_posterior = model.log_joint(x) - model.log_prob(x)[:, None]
    kl = np.where(q > 0, q * (np.log(np.where(q > 0, q, 1)) - log_posterior), 0).sum(1)  # (4.2)
    assert (kl >= 0).all()
    assert gmm.bound(x, q, model) + kl == pytest.approx(model.log_prob(x), abs=1e-10)
    assert gmm.bound(x, model.responsibilities(x), model) == pytest.approx(model.log_prob(x), abs=1e-10)


def test_responsibilities_are_bayes_rule():
    """(4.3), by hand."""
    model = GaussianMixture(2, "spherical")
    model.weights, model.means = np.array([0.25, 0.75]), np.array([[0.0], [2.0]])
    model.covariances = np.array([1.0, 4.0])
    x = np.array([[0.5]])
    joint = np.array([0.25 * np.exp(-0.125) / np.sqrt(2 * np.pi), 0.75 * np.exp(-(1.5**2) / 8) / np.sqrt(8 * np.pi)])
    assert model.responsibilities(x)[0] == pytest.approx(joint / joint.sum(), rel=1e-12)
    assert model.log_prob(x)[0] == pytest.approx(np.log(joint.sum()), rel=1e-12)


def test_responsibilities_survive_where_every_density_underflows():
    model, x = started()
    far = model.responsibilities(x[:5] + 1e6)
    assert np.isfinite(far).all() and far.sum(1) == pytest.approx(np.ones(5))
    assert (model.log_prob(x[:5] + 1e6) < -1e6).all()


def test_a_component_of_weight_zero_takes_no_point():
    model, x = started()
    model.weights = np.array([0.5, 0.5, 0, 0])
    r = model.responsibilities(x)
    assert (r[:, 2:] == 0).all() and gmm.bound(x, r, model) == pytest.approx(model.log_prob(x))


@pytest.mark.parametrize("covariance", TYPES)
def test_the_m_step_is_the_top_of_the_bound(covariance):
    """No small change of any parameter raises F, so (4.4), (4.5) and (4.6) are right for each type."""
    model, x = started(covariance)
    r = model.responsibilities(x)
    model.weights, model.means, model.covariances = gmm.m_step(x, r, covariance, 0.0)
    top = gmm.bound(x, r, model).mean()
    best = model.state_dict()
    rng = np.random.default_rng(3)
    for size in (1e-2, 1e-4):
        for _ in range(40):
            model.weights = best["weights"] * np.exp(size * rng.normal(size=4))
            model.weights /= model.weights.sum()
            model.means = best["means"] + size * rng.normal(size=best["means"].shape)
            change = np.exp(size * rng.normal(size=best["covariances"].shape))
            if covariance in ("full", "tied"):  # (I + small) Σ (I + small)ᵀ stays a covariance
                turn = np.eye(3) + np.log(change)
                model.covariances = turn @ best["covariances"] @ np.swapaxes(turn, -1, -2)
            else:
                model.covariances = best["covariances"] * change
            assert gmm.bound(x, r, model).mean() < top


@pytest.mark.parametrize("covariance", TYPES)
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6, 0.3])
def test_the_likelihood_climbs_as_the_inequality_says(covariance, reg_covar):
    model, x = started(covariance, reg_covar=reg_covar)
    before = None
    for _ in range(30):
        allowed = model.allowance
        r = model.responsibilities(x)
        now = model.step(x)
        if before is not None:
            assert now >= before - allowed - 1e-12
        assert gmm.bound(x, r, model).mean() >= now - model.allowance - 1e-12  # the middle of (4.7)
        before = now
    assert model.allowance == 0.0 or reg_covar > 0


def test_with_a_large_reg_covar_the_likelihood_does_fall_within_the_allowance():
    """The reason for the allowance: reg_covar widens narrow components, so the likelihood itself goes down."""
    x = toy2d.ring().sample(400, rng=np.random.default_rng(0))
    model = GaussianMixture(8, reg_covar=1e-2).start(x, rng=np.random.default_rng(0))
    model.covariances = model.covariances * 0.01
    history = model.fit(x, start="current", steps=20, tol=0)
    falls = -np.diff(history)
    assert falls.max() > 1
    with pytest.raises(TrainingError, match="fell from 1 to 0.5 nats.*allows a fall of 0.3"):
        gmm.check_ascent(1.0, 0.5, 0.3)
    gmm.check_ascent(1.0, 0.8, 0.3)


def test_covariances_changed_in_place_between_steps_do_not_spoil_the_allowance():
    one, x = started(reg_covar=1e-2)
    one.step(x)
    two = GaussianMixture(4, reg_covar=1e-2)
    two.load_state_dict({name: np.copy(value) for name, value in one.state_dict().items()})
    one.covariances *= 0.1
    two.covariances = two.covariances * 0.1
    assert one.step(x) == two.step(x) and one.allowance == two.allowance > 0


def test_a_wrong_m_step_is_caught(monkeypatch):
    right = gmm.m_step

    def without_square(x, r, covariance, reg_covar):
        weights, means, covariances = right(x, r, covariance, reg_covar)
        return weights, means, np.sqrt(covariances)

    monkeypatch.setattr(gmm, "m_step", without_square)
    model, x = started("diag")
    with pytest.raises(TrainingError, match="log-likelihood fell"):
        model.fit(x, start="current")


def test_the_history_begins_and_ends_with_the_likelihood_of_the_parameters():
    model, x = started()
    first = model.log_prob(x).mean()
    history = model.fit(x, start="current", steps=7, tol=0)
    assert len(history) == 8
    assert history[0] == pytest.approx(first) and history[-1] == pytest.approx(model.log_prob(x).mean())
    assert (np.diff(history) > -1e-9).all()


@pytest.mark.parametrize("covariance", TYPES)
def test_known_mixtures_are_recovered(covariance):
    truth = GaussianMixture(3, covariance)
    truth.weights, truth.means = np.array([0.2, 0.3, 0.5]), np.array([[0.0, 0], [6, 1], [-2, 7]])
    truth.covariances = {
        "full": np.array([[[1, 0.6], [0.6, 1]], [[2, 0], [0, 0.2]], [[0.5, -0.3], [-0.3, 1]]]),
        "tied": np.array([[1.0, 0.5], [0.5, 2]]), "diag": np.array([[1, 0.2], [0.5, 2], [1, 1.0]]),
        "spherical": np.array([0.3, 1, 2.0]),
    }[covariance]  # fmt: skip
    x, component = truth.sample(20_000, rng=np.random.default_rng(0), with_component=True)
    assert np.bincount(component) / len(x) == pytest.approx(truth.weights, abs=0.01)
    model = GaussianMixture(3, covariance)
    model.fit(x, rng=np.random.default_rng(1), restarts=3)
    order = [int(np.argmin(((model.means - mean) ** 2).sum(1))) for mean in truth.means]
    assert model.weights[order] == pytest.approx(truth.weights, abs=0.02)
    assert model.means[order] == pytest.approx(truth.means, abs=0.1)
    found = model.covariances if covariance == "tied" else model.covariances[order]
    assert found == pytest.approx(truth.covariances, abs=0.1)


def test_one_component_is_the_maximum_likelihood_gaussian():
    x = blobs()
    model = GaussianMixture(1, reg_covar=0)
    history = model.fit(x, rng=np.random.default_rng(0))
    assert len(history) <= 4
    assert model.means[0] == pytest.approx(x.mean(0)) and model.covariances[0] == pytest.approx(np.cov(x.T, bias=True))


@pytest.mark.parametrize(("covariance", "count"), [("full", 4 + 15 + 5 * 6), ("tied", 4 + 15 + 6),
                                                   ("diag", 4 + 15 + 15), ("spherical", 4 + 15 + 5)])  # fmt: skip
def test_bic_and_aic_charge_for_each_free_parameter(covariance, count):
    model, x = started(covariance, components=5)
    assert model.parameters() == count
    total = model.log_prob(x).sum()
    assert model.bic(x) == pytest.approx(-2 * total + count * np.log(len(x)))
    assert model.aic(x) == pytest.approx(-2 * total + 2 * count)


def test_bic_finds_the_eight_modes_of_the_ring():
    x = toy2d.ring(sigma=0.1).sample(2000, rng=np.random.default_rng(0))
    scores = {}
    for k in (6, 7, 8, 9, 10):
        model = GaussianMixture(k, "spherical")
        model.fit(x, rng=np.random.default_rng(1), restarts=4)
        scores[k] = model.bic(x)
    assert min(scores, key=scores.get) == 8


# -- singularities and other trouble --------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["full", "diag", "spherical"])
def test_a_component_on_one_point_collapses_without_reg_covar_and_is_named(covariance):
    """(4.8): the likelihood of a narrower and narrower component on a point grows without end."""
    model, x = started(covariance, reg_covar=0)
    model.means[2] = x[5]
    likelihoods = []
    for variance in (1e-4, 1e-8, 1e-12, 1e-16):
        model.covariances[2] = variance * (np.eye(3) if covariance == "full" else 1)
        likelihoods.append(model.log_prob(x).sum())
    assert np.diff(likelihoods) == pytest.approx(1.5 * np.log(1e4) * np.ones(3), abs=1e-3)  # −D/2 log v of one point
    with pytest.raises(TrainingError, match="component 2, made of 1 points, has collapsed"):
        model.fit(x, start="current")


@pytest.mark.parametrize("covariance", TYPES)
def test_reg_covar_keeps_a_collapsing_component_finite(covariance):
    model, x = started(covariance, reg_covar=1e-4)
    model.means[2] = x[5]
    model.covariances = 1e-6 * model.covariances
    history = model.fit(x, start="current", steps=50)
    assert np.isfinite(history).all()
    covariances = model.covariances
    smallest = np.linalg.eigvalsh(covariances) if covariance in ("full", "tied") else covariances
    assert smallest.min() >= 0.99e-4


def test_flat_data_need_reg_covar():
    x = np.random.default_rng(0).normal(size=(100, 2)) @ np.array([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]])  # a plane
    with pytest.raises(TrainingError, match="collapsed.*reg_covar"):
        GaussianMixture(2, reg_covar=0).fit(x, rng=np.random.default_rng(0))
    assert np.isfinite(GaussianMixture(2).fit(x, rng=np.random.default_rng(0))).all()


def test_a_component_without_points_is_named():
    x = blobs()
    r = np.zeros((len(x), 3))
    r[:, [0, 2]] = 0.5
    with pytest.raises(TrainingError, match="m_step: component 1 has N_k = 0"):
        gmm.m_step(x, r, "full", 1e-6)


def test_repeated_points_are_harmless_with_reg_covar_and_too_few_are_reported():
    x = np.repeat(blobs()[:4], 30, axis=0)
    assert np.isfinite(GaussianMixture(3).fit(x, rng=np.random.default_rng(0))).all()
    with pytest.raises(DataError, match="only 4 different points; expected 5"):
        GaussianMixture(5).fit(x, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("what", "action"), [
    ("expected one of", lambda x: GaussianMixture(2, "round")),
    ("at least one component", lambda x: GaussianMixture(0)),
    ("not negative", lambda x: GaussianMixture(2, reg_covar=-1)),
    ("no parameters yet", lambda x: GaussianMixture(2).log_prob(x)),
    ("no parameters yet", lambda x: GaussianMixture(2).sample(3, rng=np.random.default_rng(0))),
    ("with an rng", lambda x: GaussianMixture(2).fit(x)),
    ("at least 1 of each", lambda x: GaussianMixture(2).fit(x, rng=np.random.default_rng(0), restarts=0)),
    (r"expected \(B, D\)", lambda x: GaussianMixture(2).fit(x[0], rng=np.random.default_rng(0))),
    ("at least one point", lambda x: GaussianMixture(2).fit(x[:0], rng=np.random.default_rng(0))),
    ("NaN or infinity, first in row 7", lambda x: GaussianMixture(2).fit(spoilt(x), rng=np.random.default_rng(0))),
    ("between 1 and 3", lambda x: GaussianMixture(4).fit(x[:3], rng=np.random.default_rng(0))),
    (r"expected \(B, 3\)", lambda x: started()[0].log_prob(x[:, :2])),
    (r"expected \(\d+, 4\)", lambda x: gmm.bound(x, np.ones((3, 2)), started()[0])),
    (r"expected \(\d+, K\)", lambda x: gmm.m_step(x, np.ones((3, 2)), "full", 0)),
    ("expected a finite one", lambda x: gmm.e_step(np.array([[0.0, 1.0], [-np.inf, -np.inf]]))),
])  # fmt: skip
def test_wrong_use_gives_a_clear_error(what, action):
    with pytest.raises(MinigenError, match=what):
        action(blobs())


def spoilt(x):
    x = x.copy()
    x[7, 1] = np.nan
    return x


def test_parameters_that_do_not_fit_are_refused():
    model, x = started()
    model.weights = np.ones(4)
    with pytest.raises(DataError, match="sum to 1"):
        model.log_prob(x)
    model.weights = np.ones(3) / 3
    with pytest.raises(ShapeError, match=r"expected \(4,\) and \(4, D\)"):
        model.log_prob(x)


def test_a_state_dict_brings_everything_back():
    model, x = started("tied")
    model.fit(x, start="current", steps=5)
    other = GaussianMixture(4, "tied")
    other.load_state_dict(model.state_dict())
    assert np.array_equal(other.log_prob(x), model.log_prob(x)) and other.allowance == model.allowance


# -- the start ------------------------------------------------------------------------------------------------------


def test_k_means_plus_plus_takes_points_of_every_far_group():
    x = toy2d.ring(modes=8, sigma=0.01).sample(400, rng=np.random.default_rng(0))
    for seed in range(20):
        means = gmm.kmeans_plus_plus(x, 8, np.random.default_rng(seed))
        assert all((mean == x).all(1).any() for mean in means)
        assert len(np.unique(np.round(np.arctan2(means[:, 1], means[:, 0]) / (np.pi / 4)) % 8)) == 8


def test_the_best_of_several_starts_is_kept():
    x = toy2d.ring(sigma=0.1).sample(500, rng=np.random.default_rng(0))
    singles = []
    rng = np.random.default_rng(5)
    for _ in range(6):
        singles.append(GaussianMixture(5).fit(x, rng=rng)[-1])
    model = GaussianMixture(5)
    history = model.fit(x, rng=np.random.default_rng(5), restarts=6)
    assert history[-1] == max(singles) > min(singles)
    assert model.log_prob(x).mean() == pytest.approx(history[-1])


# -- scikit-learn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", TYPES)
@pytest.mark.parametrize("reg_covar", [1e-6, 1e-2])
def test_the_same_start_leads_where_scikit_learn_goes(covariance, reg_covar):
    mixture = pytest.importorskip("sklearn.mixture")
    for x, components in ((blobs(), 4), (toy2d.ring().sample(1000, rng=np.random.default_rng(0)), 8),
                          (blobs(800, d=20, groups=3), 3)):  # fmt: skip
        model, _ = started(covariance, components, x, reg_covar=reg_covar)
        precisions = np.linalg.inv(model.covariances) if model.covariances.shape[-1] == x.shape[1] and \
            covariance in ("full", "tied") else 1 / model.covariances
        theirs = mixture.GaussianMixture(
            components, covariance_type=covariance, reg_covar=reg_covar, tol=1e-5, max_iter=60,
            weights_init=model.weights, means_init=model.means, precisions_init=precisions)  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged after max_iter: nor are we
            theirs.fit(x)
        history = model.fit(x, start="current", tol=1e-5, steps=60)
        assert len(history) == theirs.n_iter_ + 1
        assert history[-1] == pytest.approx(theirs.score(x), abs=1e-9)
        assert model.log_prob(x) == pytest.approx(theirs.score_samples(x), abs=1e-6)
        assert model.responsibilities(x) == pytest.approx(theirs.predict_proba(x), abs=1e-6)
        assert model.means == pytest.approx(theirs.means_, abs=1e-6)
        assert model.covariances == pytest.approx(theirs.covariances_, abs=1e-6)
        assert model.bic(x) == pytest.approx(theirs.bic(x), rel=1e-9)
        assert model.aic(x) == pytest.approx(theirs.aic(x), rel=1e-9)
