"""Weights from elsewhere: a nanoGPT written in torch gives the same logits and the same losses for 100 steps."""

import numpy as np
import pytest

from minigen.errors import StateError
from minigen.models.gpt import GPT, Config
from minigen.models.gpt_weights import LINEAR, translated
from minigen.optim import AdamW

SIZES = {"block_size": 12, "layers": 2, "heads": 2, "width": 16}
V = 11


def as_nano(model):
    """The model's weights with nanoGPT's names."""
    state = {f"transformer.{name}": array for name, array in model.state_dict().items()}
    return state | {"lm_head.weight": state["transformer.wte.weight"]}


def as_gpt2(model):
    """With GPT-2's names, layout and masks."""
    state = {f"transformer.{name}": array.T if name.endswith(LINEAR) else array
             for name, array in model.state_dict().items()}
    masks = {f"transformer.h.{i}.attn.{name}": np.ones((1, 1, 12, 12)) for i in range(2)
             for name in ("bias", "masked_bias")}
    return state | masks | {"lm_head.weight": state["transformer.wte.weight"]}


@pytest.mark.parametrize("layout", [as_nano, as_gpt2])
@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_both_layouts_load_by_name(layout, prefix):
    source, target = (GPT(Config(V, **SIZES), rng=np.random.default_rng(seed)).eval() for seed in (0, 1))
    state = {name.replace("transformer.", prefix): array for name, array in layout(source).items()}
    target.load_state_dict(translated(state))
    x = np.random.default_rng(2).integers(0, V, (3, 12))
    np.testing.assert_array_equal(target(x).data, source(x).data)


def test_an_untied_model_keeps_its_last_layer():
    source = GPT(Config(V, **SIZES, tied=False), rng=np.random.default_rng(0))
    state = {name if name.startswith("lm_head") else f"transformer.{name}": array
             for name, array in source.state_dict().items()}
    with pytest.raises(StateError, match="not tied"):
        translated(state)
    target = GPT(Config(V, **SIZES, tied=False), rng=np.random.default_rng(1))
    target.load_state_dict(translated(state, tied=False))
    np.testing.assert_array_equal(target.lm_head.weight.data, source.lm_head.weight.data)


def test_other_weights_are_refused():
    with pytest.raises(StateError, match="c_attn"):
        translated({"encoder.weight": np.zeros((2, 2))})


def nano_gpt(torch):
    """nanoGPT's model.py at the sizes of this test, as short as it goes, in float64."""
    from torch import nn
    from torch.nn import functional

    class Attn(nn.Module):
        def __init__(self):
            super().__init__()
            self.c_attn, self.c_proj = nn.Linear(16, 48), nn.Linear(16, 16)

        def forward(self, x):
            b, t, d = x.shape
            q, k, v = (y.view(b, t, 2, 8).transpose(1, 2) for y in self.c_attn(x).split(d, dim=2))
            weights = (q @ k.transpose(-2, -1)) * 8**-0.5
            weights = weights.masked_fill(torch.ones(t, t).tril() == 0, float("-inf")).softmax(-1)
            return self.c_proj((weights @ v).transpose(1, 2).reshape(b, t, d))

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.c_fc, self.c_proj = nn.Linear(16, 64), nn.Linear(64, 16)

        def forward(self, x):
            return self.c_proj(functional.gelu(self.c_fc(x)))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.attn, self.ln_2, self.mlp = nn.LayerNorm(16), Attn(), nn.LayerNorm(16), Mlp()

        def forward(self, x):
            x = x + self.attn(self.ln_1(x))
            return x + self.mlp(self.ln_2(x))

    class Nano(nn.Module):
        def __init__(self):
            super().__init__()
            self.transformer = nn.ModuleDict({
                "wte": nn.Embedding(V, 16), "wpe": nn.Embedding(12, 16),
                "h": nn.ModuleList(Block() for _ in range(2)), "ln_f": nn.LayerNorm(16)})
            self.lm_head = nn.Linear(16, V, bias=False)
            self.transformer.wte.weight = self.lm_head.weight

        def forward(self, x):
            h = self.transformer.wte(x) + self.transformer.wpe(torch.arange(x.shape[1]))
            for block in self.transformer.h:
                h = block(h)
            return self.lm_head(self.transformer.ln_f(h))

    torch.manual_seed(0)
    return Nano().double()


def test_a_nano_gpt_in_torch_gives_the_same_logits_and_losses():
    torch = pytest.importorskip("torch")
    theirs = nano_gpt(torch)
    ours = GPT(Config(V, **SIZES), rng=np.random.default_rng(0)).to(np.float64)
    ours.load_state_dict(translated({name: value.detach().numpy() for name, value in theirs.state_dict().items()}))
    rng = np.random.default_rng(1)
    x = rng.integers(0, V, (4, 12))
    np.testing.assert_allclose(ours(x).data, theirs(torch.tensor(x)).detach().numpy(), atol=1e-10)

    mine = AdamW(ours.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    other = torch.optim.AdamW(theirs.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    losses = []
    for _ in range(100):
        rows = (rng.integers(0, V, (8, 1)) + np.arange(13) * rng.integers(1, 3, (8, 1))) % V
        loss = ours.loss(rows).mean() * (1 / 12)
        mine.zero_grad()
        loss.backward()
        mine.step()
        logits = theirs(torch.tensor(rows[:, :-1]))
        reference = torch.nn.functional.cross_entropy(logits.reshape(-1, V), torch.tensor(rows[:, 1:].reshape(-1)))
        other.zero_grad()
        reference.backward()
        other.step()
        losses.append((loss.item(), reference.item()))
    losses = np.array(losses)
    assert losses[-1, 0] < 0.8 * losses[0, 0]
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-6)
