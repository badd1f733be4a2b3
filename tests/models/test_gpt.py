"""GPT: causal by gradient, a proper distribution by enumeration, an exact cache, the same network as torch's."""

import itertools
import math

import numpy as np
import pytest

from minigen.autograd import Tensor
from minigen.errors import ShapeError
from minigen.models.gpt import GPT, Config, rotate
from minigen.optim import AdamW

POSITIONS = ("learned", "rotary")
V = 7


def tiny(positions="learned", seed=0, scale=10.0, **settings):
    """A small GPT in float64, with weights so large that its distributions are far from uniform."""
    settings = {"block_size": 8, "layers": 2, "heads": 2, "width": 8, "positions": positions, **settings}
    model = GPT(Config(V, **settings), rng=np.random.default_rng(seed)).eval().to(np.float64)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.overwrite(parameter.data * scale)
    return model


def tokens(*shape, seed=1):
    return np.random.default_rng(seed).integers(0, V, shape)


@pytest.mark.parametrize("positions", POSITIONS)
def test_no_gradient_comes_from_a_later_token(positions):
    """Jacobian of logits (position t) by the embedded tokens (position s): 0 for s > t, not 0 for s ≤ t."""
    model, t = tiny(positions), 6
    x = Tensor(np.random.default_rng(0).standard_normal((1, t, 8)), requires_grad=True)
    model.wte = lambda tokens: x
    model.wte.weight = Tensor(np.random.default_rng(1).standard_normal((V, 8)))
    cotangent = np.random.default_rng(2).standard_normal(V)
    reach = np.zeros((t, t))
    for position in range(t):
        x.grad = None
        (model(tokens(1, t))[0, position] * cotangent).sum().backward()
        reach[position] = np.abs(x.grad.data[0]).max(axis=1)
    assert (reach[np.triu_indices(t, 1)] == 0).all()
    assert (reach[np.tril_indices(t)] > 1e-8).all()


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("pieces", [(8,), (1,) * 8, (3, 1, 4), (1, 7)])
def test_reading_with_a_cache_equals_the_whole_forward(positions, pieces):
    model = GPT(Config(V, block_size=8, layers=3, heads=2, width=16, positions=positions), rng=np.random.default_rng(0))
    x, cache, logits, first = tokens(5, 8), model.eval().cache(5), [], 0
    for size in pieces:
        logits.append(model.read(x[:, first : first + size], cache))
        first += size
    np.testing.assert_allclose(np.concatenate(logits, axis=1), model(x).data, atol=1e-5)
    with pytest.raises(ShapeError, match="8 tokens are in the cache"):
        model.read(x[:, :1], cache)


def test_rows_of_a_cache_can_be_chosen():
    model, x = tiny(), tokens(3, 5)
    cache = model.cache(3)
    model.read(x[:, :4], cache)
    for past in cache:
        past.select([2, 0, 0])
    chosen = x[[2, 0, 0]]
    np.testing.assert_allclose(model.read(chosen[:, 4:], cache)[:, 0], model(chosen).data[:, -1], atol=1e-10)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("tied", [True, False])
def test_a_fresh_model_knows_nothing(positions, tied):
    model = GPT(Config(65, positions=positions, tied=tied), rng=np.random.default_rng(0))
    loss = model.loss(np.random.default_rng(1).integers(0, 65, (12, 65)))
    assert loss.shape == (12,)
    assert abs(loss.data.mean() / 64 - math.log(65)) < 0.1


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_probabilities_of_all_continuations_sum_to_one(positions):
    model = tiny(positions)
    rest = np.array(list(itertools.product(range(V), repeat=3)))
    rows = np.concatenate([np.full((len(rest), 1), 2), rest], axis=1)
    p = np.exp(-model.loss(rows).data)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-10)
    assert p.max() > 3 * p.mean()  # far from uniform: the sum says something


def test_the_loss_is_the_sum_of_the_terms_that_the_logits_give():
    model, x = tiny(), tokens(4, 9)
    logits = model(x[:, :-1]).data
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = np.take_along_axis(log_p, x[:, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(model.log_prob(x).data, expected, atol=1e-12)
    np.testing.assert_allclose(model.loss(x).data, -expected.sum(1), atol=1e-12)


def test_rotary_products_depend_on_the_distance_alone():
    rng, d = np.random.default_rng(0), 6
    q, k = rng.standard_normal(d), rng.standard_normal(d)
    turned = rotate(Tensor(np.tile(np.concatenate([q, k, q]), (1, 9, 1))), 1).data[0]  # (9, 3·d)
    products = turned[:, :d] @ turned[:, d : 2 * d].T
    for distance in range(-5, 6):
        diagonal = np.diag(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-12)
    np.testing.assert_allclose(np.diag(products)[0], q @ k, atol=1e-12)
    assert np.ptp(products[0]) > 0.1
    np.testing.assert_array_equal(turned[:, 2 * d :], np.tile(q, (9, 1)))  # values stay
    later = rotate(Tensor(np.tile(np.concatenate([q, k, q]), (1, 3, 1))), 1, first=6).data[0]
    np.testing.assert_allclose(later, turned[6:], atol=1e-12)


def test_the_residual_weights_start_smaller():
    model = GPT(Config(65, layers=8, width=128), rng=np.random.default_rng(0))
    for name, parameter in model.named_parameters():
        if name.endswith("c_proj.weight"):
            assert parameter.data.std() == pytest.approx(0.02 / 4, rel=0.05)  # √(2·8) = 4
        elif parameter.ndim == 2:
            assert parameter.data.std() == pytest.approx(0.02, rel=0.05)
        elif name.endswith("bias"):
            assert (parameter.data == 0).all()
    assert not any(name.endswith("bias") for name in GPT(Config(65, bias=False)).state_dict())


def test_it_learns_a_text_by_heart_and_the_same_way_twice():
    def losses():
        model = GPT(Config(V, block_size=16, layers=2, heads=2, width=32, dropout=0.1), rng=np.random.default_rng(0))
        optimizer, x, found = AdamW(model.parameters(), lr=3e-3), tokens(2, 17), []
        for _ in range(120):
            loss = model.loss(x).mean() * (1 / 16)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    first = losses()
    assert first[-1] < 0.2 < first[0]
    assert losses() == first


@pytest.mark.parametrize(("call", "message"), [
    (lambda m: m(tokens(8)), "expected"),
    (lambda m: m(tokens(1, 9)), "from 1 to 8"),
    (lambda m: m.loss(tokens(1, 1)), "from 2 to 9"),
    (lambda m: m(np.full((1, 3), V)), f"expected 0 to {V - 1}"),
    (lambda m: m(np.zeros((1, 3))), "float64"),
    (lambda m: Config(5, heads=3), "3 heads do not divide"),
    (lambda m: Config(5, positions="none"), "'none'"),
    (lambda m: Config(5, width=12, heads=4, positions="rotary"), "turn pairs"),
    (lambda m: Config(0), "vocabulary_size is 0"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ShapeError, match=message):
        call(tiny())
