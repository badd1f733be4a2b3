"""The references of lesson 04's exercises agree with the models, with scikit-learn and with the textbook's forms."""

import numpy as np
import pytest
from scipy.special import logsumexp

from minigen.learn import mixture_slips, mixtures
from minigen.models.hmm import HMM


def test_em_from_the_same_start_agrees_with_scikit_learn():
    mixture = pytest.importorskip("sklearn.mixture")
    x, weights, means, covariances = mixtures.start(np.random.default_rng(0), 300, 3, 2)
    for rounds, reg in ((1, 1e-6), (7, 1e-2), (40, 1e-6)):
        theirs = mixture.GaussianMixture(3, reg_covar=reg, tol=0.0, max_iter=rounds, weights_init=weights,
                                         means_init=means, precisions_init=np.linalg.inv(covariances))
        with pytest.warns(UserWarning, match="did not converge"):
            theirs.fit(x)
        ours = mixtures.em(x, weights, means, covariances, rounds, reg)
        assert len(ours) == rounds + 1
        assert ours[-1] == pytest.approx(theirs.score(x), abs=1e-9)


def test_log_forward_agrees_with_the_hidden_markov_model():
    model, rng = HMM(states=3, symbols=5).start(rng=np.random.default_rng(1)), np.random.default_rng(2)
    for length in (1, 2, 50, 2000):
        x = model.sample(1, length, rng=rng)
        ours = mixtures.log_forward(np.log(model.initial), np.log(model.transition), np.log(model.emission[:, x[0]]).T)
        assert ours == pytest.approx(model.log_prob(x)[0], rel=1e-12)


def test_slips_without_a_slip_are_right():
    rng = np.random.default_rng(3)
    given = mixtures.points(rng, 8, 3, 2)
    np.testing.assert_allclose(mixture_slips.responsibilities(*given), mixtures.responsibilities(*given), atol=1e-12)
    for ours, theirs in zip(mixture_slips.step(*given), mixtures.one_round(*given), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    begin = mixtures.start(rng, 40, 3, 2)
    np.testing.assert_allclose(mixture_slips.climb(*begin, 6, 0.01 * np.eye(2)), mixtures.em(*begin, 6, 0.01),
                               atol=1e-10)
    chain = mixtures.chain(rng, 20, 3)
    assert mixture_slips.forward(*chain) == pytest.approx(mixtures.log_forward(*chain), abs=1e-12)
    for kind in ("full", "diag", "spherical", "tied"):
        assert mixture_slips.count(4, 3, kind) == mixtures.parameter_count(4, 3, kind)


def test_the_log_joint_of_the_slips_is_a_density():
    x = np.stack(np.meshgrid(np.linspace(-9, 9, 181), np.linspace(-9, 9, 181)), -1).reshape(-1, 2)
    weights, means = np.array([0.3, 0.7]), np.array([[0.0, 1.0], [-1.0, 0.5]])
    covariances = np.array([[[1.0, 0.4], [0.4, 0.8]], [[0.5, 0.0], [0.0, 1.5]]])
    log_p = logsumexp(mixture_slips.log_joint(x, weights, means, covariances), axis=1)
    assert np.exp(log_p).sum() * 0.1**2 == pytest.approx(1, abs=1e-6)
