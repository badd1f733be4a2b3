"""The plain forms of lesson 07 against the package's own."""

import numpy as np
import pytest

import minigen as mg
from minigen.data.tokenizer import BytePairs
from minigen.learn import attending
from minigen.models.gpt import GPT, Config


def small(positions="learned"):
    return GPT(Config(7, block_size=8, layers=2, heads=2, width=8, positions=positions), rng=np.random.default_rng(0))


def test_attention_is_the_packages():
    q, k, v = np.random.default_rng(0).normal(size=(3, 6, 4))
    wanted = mg.scaled_dot_product_attention(*map(mg.tensor, (q, k, v)), is_causal=True).data
    np.testing.assert_allclose(attending.causal_attention(q, k, v), wanted, atol=1e-12)


def test_the_loss_is_the_models():
    model, tokens = small().eval(), np.random.default_rng(1).integers(0, 7, (3, 6))
    mine = attending.next_token_loss(model(tokens).data, tokens)
    np.testing.assert_allclose(mine, model.loss(tokens).data, rtol=1e-6)


def test_a_gpt_feels_earlier_tokens_only():
    model = small().eval()
    table = attending.reach(lambda tokens: model(tokens[None]).data[0], np.arange(6), 7)
    assert np.array_equal(table, np.tri(6, dtype=bool))


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_attention_maps_are_causal_shares_and_leave_the_model_as_it_was(positions):
    model, tokens = small(positions).eval(), np.random.default_rng(2).integers(0, 7, (3, 8))
    before = model(tokens).data
    maps = attending.attention_maps(model, tokens)
    assert maps.shape == (2, 3, 2, 8, 8)
    np.testing.assert_allclose(maps.sum(-1), 1, atol=1e-6)
    assert not np.triu(maps, 1).any()
    assert np.array_equal(model(tokens).data, before)
    assert all("forward" not in vars(block.attn) for block in model.h)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_the_maps_give_what_the_first_block_adds(positions):
    model, tokens = small(positions).eval(), np.random.default_rng(3).integers(0, 7, (2, 8))
    block = model.h[0]
    h = model.wte(tokens) + (model.wpe.weight[:8] if positions == "learned" else 0)
    values = block.attn.c_attn(block.ln_1(h)).data[..., 16:].reshape(2, 8, 2, 4).transpose(0, 2, 1, 3)
    mixed = (attending.attention_maps(model, tokens)[0] @ values).transpose(0, 2, 1, 3).reshape(2, 8, 8)
    np.testing.assert_allclose(block.attn.c_proj(mg.tensor(mixed)).data, block.attn(block.ln_1(h)).data, atol=1e-6)


def test_merging_again_and_again_is_byte_pair_training():
    text = b"lowerlowernewestwidest"  # one piece, so that no border matters
    tokenizer, tokens = BytePairs.train(text, 256 + 5), list(text)
    for new in range(256, 256 + len(tokenizer.merges)):
        tokens = attending.merge_once(tokens, new)
    assert tokens == tokenizer.encode(text).tolist()


def test_steps_with_a_cache_are_the_rows_of_attention():
    q, k, v = np.random.default_rng(4).normal(size=(3, 2, 5, 4))  # two heads
    keys, values = np.zeros((2, 2, 0, 4))
    for t in range(5):
        y, keys, values = attending.cached_step(q[:, t], k[:, t], v[:, t], keys, values)
        for head in range(2):
            np.testing.assert_allclose(y[head], attending.causal_attention(q[head], k[head], v[head])[t], atol=1e-12)
