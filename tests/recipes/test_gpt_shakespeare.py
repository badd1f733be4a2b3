"""What gpt-shakespeare measures: every character once, with as much context as the stride promises."""

import numpy as np
import pytest

from minigen.errors import ShapeError
from minigen.models.gpt import GPT, Config
from minigen.recipes.gpt_shakespeare import cross_entropy

V, BLOCK = 5, 6


@pytest.fixture(scope="module")
def model():
    model = GPT(Config(V, block_size=BLOCK, layers=1, heads=2, width=8), rng=np.random.default_rng(0)).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.overwrite(parameter.data * 20)  # far from uniform, so that context matters
    return model.to(np.float64)


def one_by_one(model, tokens, contexts):
    """−mean log p of token t given the contexts[t] tokens before it, each by a call of its own."""
    values = [model.log_prob(tokens[None, t - contexts[t] : t + 1]).data[0, -1] for t in range(1, len(tokens))]
    return -np.mean(values)


@pytest.mark.parametrize("length", [2, 4, BLOCK, BLOCK + 1, BLOCK + 2, 2 * BLOCK + 1, 29, 30, 31])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, BLOCK])
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_it_is_the_mean_of_single_predictions_with_the_promised_context(model, length, stride, rows):
    tokens = np.random.default_rng(length).integers(0, V, length)
    # The first block has what there is. After it the windows move on by the stride.
    contexts = [t if t <= BLOCK else BLOCK - stride + 1 + (t - BLOCK - 1) % stride for t in range(length)]
    assert all(contexts[t] > BLOCK - stride for t in range(BLOCK, length))
    expected = one_by_one(model, tokens, contexts)
    assert cross_entropy(model, tokens, stride=stride, rows=rows) == pytest.approx(expected, rel=1e-12)
    if stride == BLOCK:
        assert cross_entropy(model, tokens) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("stride", [0, -1, BLOCK + 1])
def test_a_stride_that_leaves_gaps_or_stands_still_is_refused(model, stride):
    with pytest.raises(ShapeError, match=f"stride is {stride}"):
        cross_entropy(model, np.zeros(20, dtype=int), stride=stride)
