"""gpt-stories: whole stories as rows, a mask over what fills them up, a batch that depends on its number alone."""

import numpy as np
import pytest

from minigen import recipes
from minigen.data import stories
from minigen.data.tokenizer import PIECES
from minigen.models.gpt import GPT, Config
from minigen.recipes.gpt_stories import NUCLEUS, asked_again, masked_loss, padded


@pytest.fixture(scope="module")
def experiment():
    return recipes.get("gpt-stories").build(0, True, steps=20)


def test_every_row_is_one_whole_story_between_two_end_marks(experiment):
    tokens, counted = experiment.batch(0)
    lengths = counted.sum(axis=1)
    assert len(tokens) == experiment.batch_size and not counted[:, 0].any()
    for row, length in zip(tokens, lengths, strict=True):
        text = experiment.tokenizer.decode(row[: length + 1])
        assert text[0] == text[-1] == stories.END and stories.accepts(text[1:-1])
    assert max(lengths) + 1 == tokens.shape[1] <= experiment.block_size + 1


def test_every_word_of_the_grammar_is_one_token(experiment):
    words = {word for story in experiment.test[:500] for word in PIECES.findall(story.encode())}
    assert 280 < len(words) <= 302
    assert [word for word in words if len(experiment.tokenizer.encode(word)) > 1] == []


def test_what_a_story_asks_for_again_is_counted():
    start = "One hot day Tom had a kite. "
    assert asked_again(start + "That is all.") == 0
    assert asked_again(start + "It was a hot day, and all was well.") == 1
    assert asked_again('"Only for a pie," said Tom. Anna had no pie. It was a hot day. One hot.') == 2
    mean = np.mean([asked_again(story) for story in stories.sample(2000, rng=np.random.default_rng(0))])
    # Exact: the weather in 3 of 9 closings; a day or a gift in 4 + 3 of 14 answers, and 4 + 3 of 10 wishes have one.
    assert mean == pytest.approx(3 / 9 + 7 / 10 * 7 / 14, abs=0.05)


def test_stories_that_ask_are_preferred_at_first_and_come_as_they_are_later():
    experiment = recipes.get("gpt-stories").build(0, True, steps=80)
    assert experiment.asking == 0 and type(experiment).asking == 0.3  # the quick size has no time for it
    experiment.asking = 0.3
    counts = [np.mean([asked_again(story) for story in experiment.drawn(group, np.random.default_rng(group))])
              for group in range(10)]
    assert min(counts[:3]) > 1.2 and max(counts[3:]) < 0.9
    plain = experiment.texts(experiment.together * experiment.batch_size, np.random.default_rng(5))
    assert experiment.drawn(5, np.random.default_rng(5)) == plain


def test_a_batch_depends_on_the_seed_and_its_number_alone(experiment):
    again = recipes.get("gpt-stories").build(0, True, steps=20)
    later = again.batch(9)
    np.testing.assert_array_equal(later[0], experiment.batch(9)[0])
    np.testing.assert_array_equal(experiment.batch(0)[0], again.batch(0)[0])
    other = recipes.get("gpt-stories").build(1, True, steps=20).batch(9)[0]
    assert other.shape != later[0].shape or (other != later[0]).any()


def test_no_story_is_drawn_twice_and_all_that_are_drawn_are_seen(experiment):
    seen = list(experiment.seen())
    assert len(set(seen)) == len(seen) == 3 * experiment.together * experiment.batch_size
    drawn = {experiment.tokenizer.decode(row[: length + 1]).strip(stories.END) for step in range(20)
             for batch in [experiment.batch(step)] for row, length in zip(batch[0], batch[1].sum(1), strict=True)}
    assert drawn <= set(seen) and not drawn & set(experiment.test)


def test_what_fills_a_row_up_changes_neither_loss_nor_gradient():
    rng = np.random.default_rng(0)
    model = GPT(Config(7, block_size=9, layers=1, heads=2, width=8), rng=rng)
    rows = [(rng.integers(7, size=length), np.arange(length) > 0) for length in (4, 9, 6)]
    alone = [model.loss(tokens[None]).item() for tokens, _ in rows]
    together = masked_loss(model, *padded(rows))
    np.testing.assert_allclose(together.data, alone, rtol=1e-5)
    together.sum().backward()
    gradient = model.wte.weight.grad.data.copy()
    model.zero_grad()
    for tokens, _ in rows:
        model.loss(tokens[None]).sum().backward()
    np.testing.assert_allclose(gradient, model.wte.weight.grad.data, rtol=1e-4, atol=1e-6)


def test_muon_gets_the_matrices_of_the_blocks_and_adam_the_rest(experiment):
    named = {id(p): name for name, p in experiment.model.named_parameters()}
    of = [[named[id(p)] for group in optimizer.param_groups for p in group["params"]]
          for optimizer in experiment.optimizers.values()]
    assert len(of[0]) == 4 * len(experiment.model.h) and all(name.endswith(("c_attn.weight", "c_proj.weight",
                                                                           "c_fc.weight")) for name in of[0])
    assert sorted(of[0] + of[1]) == sorted(named.values())


def test_the_two_figures_of_grammar_are_of_stories_as_they_come_and_of_a_nucleus(experiment, monkeypatch):
    story, seeds = experiment.test[0], set()

    def sample(n, rng, **settings):
        seeds.add(float(rng.random()))
        assert settings in ({}, {"top_p": NUCLEUS})
        right = n // 2 if settings else n // 5
        return [story] * right + ["No story."] * (n - right)

    monkeypatch.setattr(experiment, "sample", sample)
    monkeypatch.setattr(experiment, "surprise", lambda texts: 1.0)
    found = experiment.evaluate()
    assert found["grammatical"] == 0.2 and found["grammatical_nucleus"] == 0.5
    assert len(seeds) == 2 and not seeds & {float(np.random.default_rng([0, 5, group]).random()) for group in range(20)}
    assert found["new"] == 0.8  # the story is one of the test's
