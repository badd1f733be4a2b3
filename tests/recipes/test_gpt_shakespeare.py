"""What gpt-shakespeare measures: every character once, with as much context as the stride promises."""

import numpy as np
import pytest

from minigen import recipes
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


def test_the_configuration_is_nanogpts_for_a_cpu(tmp_path):
    """config/train_shakespeare_char.py with the README's overrides; get_lr and configure_optimizers of its train.py."""
    path = tmp_path / "text.txt"
    path.write_text("".join(map(chr, range(40, 105))) * 40, encoding="utf-8")  # 65 characters, as in the real text
    with pytest.warns(UserWarning, match="in place of"):
        experiment = recipes.get("gpt-shakespeare").build(0, data=path)
    assert experiment.model.config == Config(65, block_size=64, layers=4, heads=4, width=128, dropout=0.0, bias=False)
    assert experiment.batch().shape == (12, 65) and experiment.steps == 2_000
    (optimizer,), (schedule,) = experiment.optimizers.values(), experiment.schedules
    decaying, others = optimizer.param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all(group["betas"] == (0.9, 0.99) and group["eps"] == 1e-8 for group in optimizer.param_groups)
    names = {id(p): name for name, p in experiment.model.named_parameters()}
    assert {names[id(p)] for p in others["params"]} == {name for name in names.values() if ".ln_" in f".{name}"}
    for step in range(2_000):
        schedule(step)
        if step < 100:
            assert decaying["lr"] == pytest.approx(1e-3 * (step + 1) / 101, rel=0.011)  # 100 here, 101 there
        else:
            wanted = 1e-4 + 0.5 * (1 + np.cos(np.pi * (step - 100) / 1_900)) * (1e-3 - 1e-4)
            assert decaying["lr"] == others["lr"] == pytest.approx(wanted, rel=1e-9)
