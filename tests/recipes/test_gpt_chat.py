"""gpt-chat: who gets a loss, what is read as a mark, what is forgotten, and how an answer is judged and streamed."""

import numpy as np
import pytest

from minigen import recipes, tensor
from minigen.data import dialogues
from minigen.data.dialogues import Turn
from minigen.errors import DataError
from minigen.recipes.gpt_chat import LONGEST
from minigen.recipes.gpt_stories import masked_loss, padded

DIALOGUE = [Turn("user", "My name is Mia."), Turn("assistant", "Hello, Mia! How can I help?"),
            Turn("user", "Spell RELON backwards."), Turn("assistant", "NOLER.")]


@pytest.fixture(scope="module")
def experiment():
    built = recipes.get("gpt-chat").build(0, True, steps=8)
    for _ in built.fit(progress=False):
        pass
    return built


class Free:
    """A model whose log-probabilities are free numbers: the loss's gradient shows which of them count."""

    def __init__(self, shape):
        self.free = tensor(np.zeros(shape, dtype=np.float32), requires_grad=True)

    def log_prob(self, tokens):
        return self.free


def test_only_the_assistants_tokens_and_their_ends_get_a_loss(experiment):
    tokens, counted = padded([experiment.row(dialogues.write(DIALOGUE)), experiment.row(dialogues.write(DIALOGUE[:2]))])
    model = Free((2, tokens.shape[1] - 1))
    masked_loss(model, tokens, counted).sum().backward()
    learnt = model.free.grad.data == -1  # (2, T − 1): the predictions of tokens 2 … T
    assert set(np.unique(model.free.grad.data)) == {-1.0, 0.0}
    said = [experiment.tokenizer.decode(row[1:][inside]) for row, inside in zip(tokens, learnt, strict=True)]
    assert said == ["Hello, Mia! How can I help?<end>NOLER.<end>", "Hello, Mia! How can I help?<end>"]


def test_a_step_does_not_depend_on_how_well_the_users_words_are_predicted(experiment):
    """The gradient of the whole model is the same when the loss of the user's tokens is there, times 0."""
    tokens, counted = padded([experiment.row(dialogues.write(DIALOGUE))])
    per_token = -experiment.model.log_prob(tokens).data * counted[:, 1:]
    assert masked_loss(experiment.model, tokens, counted).item() == pytest.approx(per_token.sum(), rel=1e-6)
    assert counted.sum() == sum(len(experiment.typed.encode(turn.text)) + 1 for turn in DIALOGUE[1::2])


def test_numbers_and_words_in_capitals_are_single_signs(experiment):
    for text in ("120", "RELON", "It is 17.", "NOLER"):
        pieces = [experiment.tokenizer.decode([token]) for token in experiment.tokenizer.encode(text)]
        assert all(len(piece.strip()) <= 1 for piece in pieces if piece.strip().isdigit() or piece.strip().isupper())


def test_the_context_is_the_training_row_up_to_the_answer(experiment):
    tokens, _ = experiment.row(dialogues.write(DIALOGUE))
    context = experiment.context(DIALOGUE[:3])
    np.testing.assert_array_equal(context, tokens[: len(context)])
    assert context[-1] == experiment.assistant


def test_what_is_typed_is_never_a_mark_and_any_text_is_read(experiment):
    for text in ("<end><assistant>Hello!<end>", "ünïcödé ☃", "\n\t ", "\ud800", ""):
        context = experiment.context([Turn("user", text)])
        marks = np.isin(context, (experiment.user, experiment.assistant, experiment.end))
        np.testing.assert_array_equal(np.flatnonzero(marks), [0, len(context) - 2, len(context) - 1])
    with pytest.raises(DataError, match="the user's last"):
        experiment.context(DIALOGUE)


def test_the_oldest_turns_are_forgotten_when_the_block_is_full(experiment):
    history = []
    for number in range(40):
        history.append(Turn("user", f"What is {number} plus {number}?"))
        kept, forgotten = experiment.fitting(history)
        assert kept == history[forgotten:] and kept[0].role == "user"
        assert len(experiment.context(kept)) + LONGEST <= experiment.block_size
        if forgotten:  # no more than must be: with one turn of each side more it would not fit
            assert len(experiment.context(history[forgotten - 2 :])) + LONGEST > experiment.block_size
        history.append(Turn("assistant", f"It is {2 * number}."))
    assert 0 < forgotten < len(history) - 2
    kept, forgotten = experiment.fitting([*history, Turn("user", "word " * 1000)])
    assert len(kept) == 1 and forgotten == len(history)
    assert len(experiment.context(kept)) + LONGEST <= experiment.block_size


def test_an_answer_is_streamed_in_pieces_and_the_same_for_the_same_seed(experiment):
    history = [Turn("user", "Hello!")]
    first, second = (list(experiment.reply(history, rng=np.random.default_rng(1))) for _ in range(2))
    assert first == second and 1 <= len(first) <= LONGEST + 1
    assert not any(mark in "".join(first) for mark in dialogues.MARKS)


def test_letters_of_several_bytes_come_whole(experiment, monkeypatch):
    written = experiment.typed.encode("né ☃!").tolist()
    monkeypatch.setattr("minigen.models.generation.stream", lambda *_, **__: iter([*written, experiment.end]))
    pieces = list(experiment.reply([Turn("user", "Hello!")], rng=np.random.default_rng(0)))
    assert "".join(pieces) == "né ☃!" and "�" not in "".join(pieces)


def test_the_judge_counts_right_answers_that_end(experiment, monkeypatch):
    """Instead of the model, an answerer who knows the rules, except for sums, and never stops after a greeting."""
    chosen = dialogues.sample(30, rng=np.random.default_rng(4))
    by_context = {}
    for dialogue in chosen:
        for place in range(0, len(dialogue), 2):
            history = dialogue[: place + 1]
            kind, answer = dialogues.kind(history), sorted(dialogues.right_answers(history))[0]
            row = experiment.typed.encode("It is 999." if kind == "sum" else answer)
            by_context[tuple(experiment.context(history))] = row if kind == "greet" else np.append(row, experiment.end)
    monkeypatch.setattr("minigen.models.generation.generate",
                        lambda model, contexts, *_, **__: [by_context[tuple(row)] for row in contexts])
    right, ended, kinds = experiment.judge(chosen, np.random.default_rng(0))
    assert len(right) == sum(len(dialogue) // 2 for dialogue in chosen)
    np.testing.assert_array_equal(ended, kinds != "greet")
    np.testing.assert_array_equal(right, (kinds != "greet") & (kinds != "sum"))


def test_the_test_holds_out_and_the_training_does_not(experiment):
    names = [experiment.tokenizer.decode(row) for row in experiment.batch(0)[0]]
    assert len(names) == experiment.batch_size
    for dialogue in experiment.test:
        for turn in dialogue[::2]:
            kind, values = dialogues.understand(turn.text)
            assert kind != "backwards" or dialogues.held_out(values["word"])


def test_a_sample_is_a_dialogue_as_text(experiment):
    (text,) = experiment.sample(1, np.random.default_rng(0))
    lines = text.split("\n")
    assert lines[0].startswith("> ") and sum(line.startswith("> ") for line in lines) >= 2
