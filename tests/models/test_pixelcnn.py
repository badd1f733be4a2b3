"""The PixelCNN against truths: no leak, no blind spot, probabilities that sum to 1, a cache that changes nothing."""

import itertools

import numpy as np
import pytest
from scipy import stats

import minigen as mg
from minigen import likelihoods
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.models.pixelcnn import PixelCNN, reading_orders


def small(likelihood=None, size=(2, 5), high=1, seed=0, width=6, layers=3, **settings):
    """A model with larger weights than a fresh one has, so that its probabilities are far from even."""
    rng = np.random.default_rng(seed)
    model = PixelCNN(likelihood or likelihoods.Bernoulli(), size, high=high, width=width, layers=layers, rng=rng,
                     **settings)  # fmt: skip
    for tensor in model.parameters():
        tensor.overwrite(1.5 * tensor.data + 0.4 * rng.normal(size=tensor.shape))
    return model.eval()


def all_pictures(height, width):
    return np.array(list(itertools.product((0, 1), repeat=height * width))).reshape(-1, height, width)


def jacobian(model, size):
    """Which input pixels each output pixel depends on, both numbered in reading order: (H·W, H·W), True or False."""
    x = mg.tensor(np.random.default_rng(0).uniform(0, 16, (3, *size)), requires_grad=True)
    rows = []
    for i, j in np.ndindex(size):
        x.grad = None
        model(x, np.zeros(3, int), *([np.zeros(3, int)] if model.classes else []))[:, :, i, j].sum().backward()
        rows.append(np.any(x.grad.data != 0, axis=0).reshape(-1))
    return np.array(rows)


@pytest.mark.parametrize("likelihood", [likelihoods.Categorical(17), likelihoods.DiscretizedLogisticMixture(17, 2)])
def test_an_output_depends_on_all_pixels_before_it_and_on_no_other(likelihood):
    """Zero at its own pixel and after, exactly; not zero anywhere before: no blind spot once the net is deep enough."""
    size = (5, 6)
    model = small(likelihood, size, high=16, layers=5, classes=2).to(np.float64)
    np.testing.assert_array_equal(jacobian(model, size), np.tri(30, k=-1, dtype=bool))


def test_a_shallow_network_sees_less_but_never_ahead():
    size = (5, 6)
    seen = jacobian(small(likelihoods.Categorical(17), size, high=16, layers=1).to(np.float64), size)
    before = np.tri(30, k=-1, dtype=bool)
    assert not np.any(seen & ~before) and np.any(before & ~seen)


@pytest.mark.parametrize("orders", [1, 4])
def test_probabilities_of_all_pictures_sum_to_one(orders):
    model = small(orders=orders)
    log_prob = model.log_prob(all_pictures(2, 5)).data.astype(np.float64)
    assert log_prob.shape == (1024,) and np.ptp(log_prob) > 3
    assert np.exp(log_prob).sum() == pytest.approx(1, abs=1e-5)


def test_probabilities_of_all_pictures_of_a_class_sum_to_one_in_eight_orders():
    model = small(size=(3, 3), orders=8, classes=3)
    x = all_pictures(3, 3)
    each = [model.log_prob(x, np.full(512, label)).data.astype(np.float64) for label in range(3)]
    assert [np.exp(log_prob).sum() for log_prob in each] == pytest.approx([1, 1, 1], abs=1e-5)
    assert np.abs(each[0] - each[1]).max() > 0.1


def test_samples_have_the_frequencies_that_the_likelihood_says():
    model = small(size=(2, 3), orders=2)
    pictures = all_pictures(2, 3)
    expected = np.exp(model.log_prob(pictures).data.astype(np.float64))
    n = 20_000
    drawn = model.sample(n, rng=np.random.default_rng(5)).reshape(n, -1)
    counts = np.bincount(drawn @ (2 ** np.arange(6)[::-1]), minlength=64)
    assert stats.chisquare(counts, n * expected / expected.sum()).pvalue > 1e-3
    shuffled = np.roll(expected, 1)  # the test can fail: it tells another distribution apart
    assert stats.chisquare(counts, n * shuffled / shuffled.sum()).pvalue < 1e-9


@pytest.mark.parametrize("likelihood", [likelihoods.Categorical(17), likelihoods.DiscretizedLogisticMixture(17, 3)])
@pytest.mark.parametrize("classes", [0, 3])
def test_sampling_with_a_cache_gives_the_same_bits_as_without(likelihood, classes):
    model = small(likelihood, (5, 5), high=16, orders=8, classes=classes, dropout=0.5).train()
    labels = np.arange(12) % 3 if classes else None
    a, b = (model.sample(12, labels, rng=np.random.default_rng(1), cache=cache) for cache in (True, False))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (12, 5, 5) and len(np.unique(a)) > 5
    assert model.training and model.dropout.training, "sampling left another mode behind"


def test_completing_keeps_what_is_known_and_draws_the_rest_from_the_conditional():
    model = small(size=(2, 3))
    known = np.array([[True, True, True], [True, False, False]])
    given = np.array([[1, 0, 1], [1, 0, 0]])
    n = 8_000
    drawn = model.complete(np.tile(given, (n, 1, 1)), known, rng=np.random.default_rng(2))
    np.testing.assert_array_equal(drawn[:, known], np.tile(given[known], (n, 1)))
    ends = np.array([[[1, 0, 1], [1, a, b]] for a in (0, 1) for b in (0, 1)])
    joint = np.exp(model.log_prob(ends).data.astype(np.float64))
    counts = np.bincount(drawn[:, 1, 1] * 2 + drawn[:, 1, 2], minlength=4)
    assert stats.chisquare(counts, n * joint / joint.sum()).pvalue > 1e-3


@pytest.mark.parametrize("half", [np.s_[:2], np.s_[2:], np.s_[:, :2], np.s_[:, 2:]])
def test_completing_reads_the_given_half_first_whichever_it_is(half):
    model = small(size=(4, 4), orders=8)
    known = np.zeros((4, 4), bool)
    known[half] = True
    chosen = []
    model._draw = lambda x, known, order, labels, rng, cache: chosen.append(order[0])
    model.complete(np.zeros((1, 4, 4), int), known, rng=None)
    assert known.reshape(-1)[model._reading[chosen[0]][:8]].all()


def test_a_completion_conditions_on_the_lower_half_in_an_order_that_reads_it_first():
    model = small(size=(2, 3), orders=4)
    known = np.array([[False] * 3, [True] * 3])
    x = np.stack([np.zeros((4000, 2, 3), int), np.ones((4000, 2, 3), int)])
    drawn = [model.complete(given, known, rng=np.random.default_rng(0)) for given in x]
    assert np.all(drawn[0][:, 1] == 0) and np.all(drawn[1][:, 1] == 1)
    assert np.abs(drawn[0][:, 0].mean(axis=0) - drawn[1][:, 0].mean(axis=0)).max() > 0.05


def test_the_reading_orders_are_all_flips_and_turns():
    orders = reading_orders(3, 3)
    assert len({tuple(order) for order in orders}) == 8 and all(sorted(order) == list(range(9)) for order in orders)
    np.testing.assert_array_equal(orders[0], np.arange(9))
    assert reading_orders(2, 3).shape == (4, 6)


def test_the_average_of_the_orders_is_never_below_their_mean_in_nats():
    model = small(orders=4)
    x = all_pictures(2, 5)[::37]
    each = np.stack([model.log_prob_in_order(x, np.full(len(x), k)).data for k in range(4)])
    mixture = model.log_prob(x).data
    assert np.ptp(each, axis=0).min() > 0
    assert np.all(mixture >= each.mean(axis=0)) and np.all(mixture <= each.max(axis=0))


@pytest.mark.parametrize("likelihood", [likelihoods.Categorical(4), likelihoods.DiscretizedLogisticMixture(4, 2)])
def test_every_parameter_gradient_of_the_loss_is_right(likelihood):
    model = small(likelihood, (3, 3), high=3, width=3, layers=2, orders=8, classes=2).to(np.float64)
    x = np.random.default_rng(0).integers(0, 4, (3, 9))
    gradcheck(lambda *_: model.loss(x, np.array([0, 1, 1]), rng=np.random.default_rng(3)), list(model.parameters()))


def test_it_learns_stripes_and_draws_them():
    """Every row is constant: 3 bits for 3×4 pixels. Independent pixels would need 12."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (200, 3, 1)).repeat(4, axis=2)
    model = PixelCNN(likelihoods.Bernoulli(), (3, 4), high=1, width=12, layers=2, orders=2, rng=rng)
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = model.loss(x[rng.integers(200, size=50)], rng=rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert -model.log_prob(x).data.mean() == pytest.approx(3 * np.log(2), abs=0.1)
    drawn = model.sample(200, rng=rng)
    assert (np.ptp(drawn, axis=2) == 0).mean() > 0.97 and 0.4 < drawn.mean() < 0.6


def test_errors_name_what_does_not_fit():
    with pytest.raises(ShapeError, match="orders=8 for pictures 2×5; expected 1, 2, 4, or 8 if square"):
        small(orders=8)
    model = small()
    with pytest.raises(ShapeError, match=r"PixelCNN.log_prob: pictures \(3, 4\); expected \(B, …\)"):
        model.log_prob(np.zeros((3, 4), int))
    with pytest.raises(ShapeError, match="labels given for 0 classes"):
        model.log_prob(np.zeros((3, 10), int), np.zeros(3, int))
    with pytest.raises(ShapeError, match="labels missing for 3 classes"):
        small(classes=3).sample(2, rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"labels \(2,\) for 3 pictures"):
        small(classes=3).log_prob(np.zeros((3, 10), int), np.zeros(2, int))
    for known in (np.ones((2, 5)), np.ones((5, 2), bool), np.ones((4, 2, 5), bool)):
        with pytest.raises(ShapeError, match=r"PixelCNN.complete: known .*; expected bool \(2, 5\), or \(3, 2, 5\)"):
            model.complete(np.zeros((3, 10), int), known, rng=None)
