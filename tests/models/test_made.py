"""MADE and NADE against truths: no output sees its own pixel or a later one, probabilities sum to 1, and so on."""

import itertools

import numpy as np
import pytest
from scipy import stats

import minigen as mg
from minigen import likelihoods, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.errors import ShapeError
from minigen.models.made import MADE, hidden_degrees, made_masks_of_nade, nade_log_prob, nade_parameters


def small(likelihood=None, pixels=6, orders=3, high=1, hidden=(24, 24), seed=0, **settings):
    """A model with larger weights than a fresh one has, so that its probabilities are far from even."""
    rng = np.random.default_rng(seed)
    model = MADE(likelihood or likelihoods.Bernoulli(), pixels, high=high, hidden=hidden, orders=orders, rng=rng,
                 **settings)  # fmt: skip
    for tensor in model.parameters():
        tensor.overwrite(2.0 * tensor.data + 0.3 * rng.normal(size=tensor.shape))
    return model.eval()


def all_pictures(pixels):
    return np.array(list(itertools.product((0, 1), repeat=pixels)))


@pytest.mark.parametrize("hidden", [(24, 24), (40, 25), (30,)])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_an_output_depends_on_all_pixels_before_it_and_on_no_other(k, hidden):
    model = small(likelihoods.DiscretizedLogisticMixture(17, 2), high=16, hidden=hidden).to(np.float64)
    x = mg.tensor(np.random.default_rng(0).uniform(0, 16, (8, 6)), requires_grad=True)
    jacobian = np.zeros((6, 6), bool)
    for pixel in range(6):
        x.grad = None
        model(x, k)[:, :, pixel].sum().backward()
        jacobian[pixel] = np.any(x.grad.data != 0, axis=0)
    place = model.place[k]
    np.testing.assert_array_equal(jacobian, place[:, None] > place[None])


@pytest.mark.parametrize("orders", [1, 4])
def test_probabilities_of_all_pictures_sum_to_one(orders):
    model = small(pixels=10, orders=orders)
    log_prob = model.log_prob(all_pictures(10)).data.astype(np.float64)
    assert log_prob.shape == (1024,) and np.ptp(log_prob) > 3
    assert np.exp(log_prob).sum() == pytest.approx(1, abs=1e-5)


def test_samples_have_the_frequencies_that_the_likelihood_says():
    model = small(pixels=5, orders=2)
    pictures = all_pictures(5)
    expected = np.exp(model.log_prob(pictures).data.astype(np.float64))
    n = 20_000
    drawn = model.sample(n, rng=np.random.default_rng(5))
    counts = np.bincount(drawn @ (2 ** np.arange(5)[::-1]), minlength=32)
    assert stats.chisquare(counts, n * expected / expected.sum()).pvalue > 1e-3
    shuffled = np.roll(expected, 1)  # the test can fail: it tells another distribution apart
    assert stats.chisquare(counts, n * shuffled / shuffled.sum()).pvalue < 1e-9


def test_made_with_shared_weights_and_own_groups_is_nade():
    rng = np.random.default_rng(0)
    pixels, units, likelihood = 7, 5, likelihoods.DiscretizedLogisticMixture(17, 2)
    channels = likelihood.channels
    weight, c = rng.normal(size=(units, pixels)), rng.normal(size=units)
    output, b = rng.normal(size=(pixels, channels, units)), rng.normal(size=(channels, pixels))
    x = rng.integers(0, 17, (9, pixels))

    model = MADE(likelihood, pixels, high=16, hidden=(pixels * units,), rng=rng).to(np.float64)
    first, last = made_masks_of_nade(pixels, units, channels)
    model.masks = lambda k: [first, last]
    model.layers[0].weight.overwrite(np.tile(weight, (pixels, 1)))  # every group the same weights
    model.layers[0].bias.overwrite(np.tile(c, pixels))
    model.last.weight.overwrite(np.tile(output.transpose(1, 0, 2).reshape(channels * pixels, units), (1, pixels)))
    model.last.bias.overwrite(b.reshape(-1))

    arguments = [mg.tensor(a) for a in (weight, c, output, b)]
    scaled = mg.tensor(x / 8.0 - 1.0)
    np.testing.assert_allclose(model(mg.tensor(x.astype(float))).data, nade_parameters(scaled, *arguments).data,
                               atol=1e-12)  # fmt: skip
    expected = nade_log_prob(mg.tensor(x.astype(float)), likelihood, *arguments, high=16).data
    np.testing.assert_allclose(likelihood.log_prob(model(mg.tensor(x.astype(float))), x).data, expected, rtol=1e-12)


def test_nade_adds_up_to_one_and_its_gradient_is_right():
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=s) for s in ((4, 8), (4,), (8, 1, 4), (1, 8))]
    log_prob = nade_log_prob(mg.tensor(all_pictures(8).astype(float)), likelihoods.Bernoulli(),
                             *map(mg.tensor, arrays), high=1)  # fmt: skip
    assert np.exp(log_prob.data).sum() == pytest.approx(1, abs=1e-12)
    x = mg.tensor(rng.integers(0, 2, (3, 8)).astype(float))
    gradcheck(lambda *weights: nade_log_prob(x, likelihoods.Bernoulli(), *weights, high=1),
              [mg.tensor(a, requires_grad=True) for a in arrays])  # fmt: skip


def test_every_parameter_gradient_of_the_loss_is_right():
    model = small(likelihoods.Categorical(4), high=3, hidden=(7, 7)).to(np.float64)
    x = np.random.default_rng(0).integers(0, 4, (3, 6))
    gradcheck(lambda *_: model.loss(x, rng=np.random.default_rng(3)), list(model.parameters()))


def test_the_average_of_the_orders_is_never_below_their_mean_in_nats():
    model = small(pixels=10, orders=4)
    x = all_pictures(10)[::37]
    each = np.stack([model.log_prob_in_order(x, k).data for k in range(4)])
    mixture = model.log_prob(x).data
    assert np.ptp(each, axis=0).min() > 0
    assert np.all(mixture >= each.mean(axis=0)) and np.all(mixture <= each.max(axis=0))
    np.testing.assert_allclose(mixture, np.logaddexp.reduce(each, axis=0) - np.log(4), rtol=1e-5)


def test_completing_keeps_what_is_known_and_draws_the_rest_from_the_conditional():
    model = small(pixels=6, orders=1)
    rng = np.random.default_rng(0)
    known = np.arange(6) < 4
    given = np.array([1, 0, 1, 1, 0, 0])
    n = 8_000
    drawn = model.complete(np.tile(given, (n, 1)), known, rng=rng)
    np.testing.assert_array_equal(drawn[:, :4], np.tile(given[:4], (n, 1)))
    ends = np.array([[*given[:4], a, b] for a in (0, 1) for b in (0, 1)])
    joint = np.exp(model.log_prob(ends).data.astype(np.float64))
    counts = np.bincount(drawn[:, 4] * 2 + drawn[:, 5], minlength=4)
    assert stats.chisquare(counts, n * joint / joint.sum()).pvalue > 1e-3


def test_completing_takes_an_order_that_reads_the_known_pixels_first():
    model = small(pixels=6, orders=5)
    known = np.zeros((5, 6), bool)
    for k in range(5):
        known[k, model.order[k, :3]] = True
    read = []
    model._draw = lambda x, known, choice, rng: read.append(choice)
    model.complete(np.zeros((5, 6), int), known, rng=None)
    (choice,) = read
    assert all(known[row, model.order[k, :3]].all() for row, k in enumerate(choice))


def test_more_orders_draw_masks_of_their_own_and_the_first_is_natural():
    model = small(orders=3, hidden=(30, 30))
    np.testing.assert_array_equal(model.order[0], np.arange(6))
    assert not np.array_equal(model.masks(0)[0], model.masks(1)[0])
    assert sorted(hidden_degrees((12,), 6, rng=np.random.default_rng(0))) == sorted([*range(6)] * 2)


def test_it_learns_a_distribution_that_is_not_a_product():
    """Pixels come in equal pairs: ½ · 2 pairs = 2 bits. Independent pixels would need 4 bits."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (256, 2)).repeat(2, axis=1)
    model = MADE(likelihoods.Bernoulli(), 4, high=1, hidden=(32, 32), orders=3, rng=rng)
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = model.loss(x, rng=rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert -model.log_prob(x).data.mean() == pytest.approx(2 * np.log(2), abs=0.05)


def test_the_same_seed_gives_the_same_samples_and_training_mode_is_left_as_it_was():
    model = small(dropout=0.5).train()
    a, b = (model.sample(4, rng=np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert model.training and model.dropout.training and a.shape == (4, 6)
    assert isinstance(ops.mean(model.loss(a, rng=np.random.default_rng(0))).item(), float)


def test_errors_name_what_does_not_fit():
    model = small()
    with pytest.raises(ShapeError, match=r"MADE.log_prob: pictures \(3, 5\); expected \(B, …\) with 6 pixels"):
        model.log_prob(np.zeros((3, 5), int))
    with pytest.raises(ShapeError, match=r"MADE.complete: known \(6,\) of int64; expected bool \(6,\) or \(3, 6\)"):
        model.complete(np.zeros((3, 6), int), np.zeros(6, int), rng=None)
    with pytest.raises(ShapeError, match="orders=0"):
        small(orders=0)
