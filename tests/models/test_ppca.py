"""Probabilistic PCA: densities against scipy, the closed form against its neighbours, EM against the closed form."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from minigen.errors import DataError, MinigenError, TrainingError
from minigen.learn import linear_vae
from minigen.models import ppca as module
from minigen.models.ppca import PPCA, ppca


def data(n=500, d=6, latent=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, latent)) @ rng.normal(size=(latent, d)) + 0.4 * rng.normal(size=(n, d)) + 5


@pytest.mark.parametrize("latent", [1, 2, 5])
def test_log_prob_is_that_of_the_gaussian_with_covariance_wwt_plus_noise(latent):
    x = data()
    model = PPCA(latent).fit(x)
    reference = multivariate_normal(model.mean, model.weight @ model.weight.T + model.variance * np.eye(6))
    assert model.log_prob(x) == pytest.approx(reference.logpdf(x), abs=1e-9)  # (4.19)
    assert model.covariance() == pytest.approx(reference.cov)


def test_the_posterior_is_that_of_the_joint_gaussian():
    """(4.18) against conditioning (z, x) ~ N on x with the D × D covariance."""
    x = data()
    model = PPCA(2).fit(x)
    gain = model.weight.T @ np.linalg.inv(model.covariance())
    mean, covariance = model.posterior(x)
    assert mean == pytest.approx((x - model.mean) @ gain.T, abs=1e-10)
    assert covariance == pytest.approx(np.eye(2) - gain @ model.weight, abs=1e-10)


def test_the_closed_form_is_a_maximum():
    x = data()
    model = PPCA(2).fit(x)
    top, weight, variance = model.log_prob(x).mean(), model.weight, model.variance
    rng = np.random.default_rng(1)
    for size in (0.1, 0.001):
        for _ in range(20):
            model.weight = weight + size * rng.normal(size=weight.shape)
            model.variance = variance * np.exp(size * rng.normal())
            assert model.log_prob(x).mean() < top
    angle = 0.7  # a rotation of the codes changes nothing
    model.variance = variance
    model.weight = weight @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert model.log_prob(x).mean() == pytest.approx(top, abs=1e-12)


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_em_climbs_to_the_closed_form(latent):
    x = data(latent=3)
    best = PPCA(latent).fit(x)
    model = PPCA(latent)
    history = model.fit_em(x, rng=np.random.default_rng(2), steps=5000, tol=1e-13)
    assert (np.diff(history) > -1e-9).all() and len(history) > 5
    assert history[-1] == pytest.approx(best.log_prob(x).mean(), abs=1e-8)
    assert model.covariance() == pytest.approx(best.covariance(), abs=1e-3)
    assert model.variance == pytest.approx(best.variance, abs=1e-4)


def test_the_closed_form_is_a_fixed_point_of_em():
    x = data()
    model = PPCA(2).fit(x)
    weight, variance = model.weight, model.variance
    model.step(x)
    assert model.weight == pytest.approx(weight, abs=1e-10) and model.variance == pytest.approx(variance, abs=1e-12)


def test_samples_have_the_models_mean_and_covariance():
    model = PPCA(2).fit(data())
    x = model.sample(100_000, rng=np.random.default_rng(3))
    assert x.mean(0) == pytest.approx(model.mean, abs=0.03)
    assert np.cov(x.T) == pytest.approx(model.covariance(), abs=0.06)


def test_scikit_learn_gives_the_same_likelihood():
    decomposition = pytest.importorskip("sklearn.decomposition")
    x = data()
    theirs = decomposition.PCA(2, svd_solver="full").fit(x)
    model = PPCA(2).fit(x)
    ours = model.covariance() * len(x) / (len(x) - 1)  # they divide by n − 1
    assert ours == pytest.approx(theirs.get_covariance(), rel=1e-9)


def test_a_fall_of_the_likelihood_is_reported(monkeypatch):
    def too_far(self, x):
        self.weight = 2 * self.weight

    monkeypatch.setattr(PPCA, "step", too_far)
    with pytest.raises(TrainingError, match="log-likelihood fell"):
        PPCA(2).fit_em(data(), rng=np.random.default_rng(0))


def test_lesson_05_finds_the_same_function():
    assert linear_vae.ppca is ppca is module.ppca


@pytest.mark.parametrize(("what", "action"), [
    ("at least 1", lambda x: PPCA(0)),
    ("more than 6 columns", lambda x: PPCA(6).fit(x)),
    ("no parameters yet", lambda x: PPCA(2).log_prob(x)),
    ("no parameters yet", lambda x: PPCA(2).sample(2, rng=np.random.default_rng(0))),
    ("with an rng", lambda x: PPCA(2).fit_em(x)),
    ("at least one point", lambda x: PPCA(2).fit(x[:0])),
    (r"expected \(B, 6\)", lambda x: PPCA(2).fit(x).log_prob(x[:, :4])),
    ("NaN or infinity", lambda x: PPCA(2).fit(x * np.nan)),
    ("noise variance", lambda x: PPCA(2).fit(x[:, :2] @ np.ones((2, 5)))),
    ("noise variance", lambda x: PPCA(2).fit(np.ones((5, 4)))),
])  # fmt: skip
def test_wrong_use_gives_a_clear_error(what, action):
    with pytest.raises(MinigenError, match=what):
        action(data())


def test_errors_are_of_the_right_kind():
    with pytest.raises(DataError):
        PPCA(2).fit(np.ones((5, 4)))
