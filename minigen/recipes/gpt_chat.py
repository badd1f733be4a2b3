"""gpt-chat: a small GPT that answers, trained on made-up dialogues with the loss on the answers only.

A dialogue is one row of tokens: <user>What is 7 plus 5?<end><assistant>It is 12.<end><user>…, the three marks being
tokens of their own. The model reads all of it but is trained on the assistant's words and the <end> after them: it
learns to answer, not to ask, and to stop. Words are byte-pair tokens; the merges are learnt from dialogues without
figures and words in capitals, so that a number stays a row of digits and a word to spell a row of letters, which sums
and spelling need. Everything else that somebody may type is bytes at worst: nothing is unknown.

Protocol: dialogues are new for every step, and without the combinations that `dialogues.held_out` names. Measured on
dialogues in which every name with a thing, thing with a place or a colour, sum, and word to spell is held out: for
every user turn the model draws one answer, temperature 1, after the true dialogue up to there, and the rules judge it
to the letter. `right` is the share of right answers, `right_…` the same for each kind of turn; `right_seen` of
dialogues with combinations from training (the dialogues themselves are new); `ended` the share of answers that end in
the stop token within 48 tokens; `test` the cross-entropy of the true answers in nats per token.
"""

import codecs
import re

import numpy as np

from minigen.data import dialogues
from minigen.data.tokenizer import BytePairs
from minigen.errors import DataError
from minigen.models import generation
from minigen.recipes import base, gpt_stories

VOCABULARY = 800
FOR_TOKENS = 2_000  # dialogues from which the merges are learnt
LONGEST = 48        # tokens of an answer, with its <end>


class Experiment(gpt_stories.Experiment):
    """The experiment of the stories, with other texts, a mask, and answers."""

    settings = {"block_size": 256, "layers": 3, "heads": 4, "width": 128, "bias": False, "positions": "rotary"}
    quick_settings = {"block_size": 256, "layers": 2, "heads": 4, "width": 64, "bias": False, "positions": "rotary"}
    batch_size, momentum = 24, 0.95
    asking = 0.0  # dialogues come as they are
    full_steps, quick_steps = 1_400, 100
    judged, quick_judged = 300, 8  # dialogues

    def load(self, seed, quick, data):
        """The tokenizer, and the dialogues of the test."""
        texts = self.texts(FOR_TOKENS, np.random.default_rng(dialogues.SALT))
        plain = re.sub("[0-9]|[A-Z]{2,}", " ", "".join(texts))
        self.tokenizer = BytePairs.train(plain, VOCABULARY, special=dialogues.MARKS)
        self.typed = BytePairs(self.tokenizer.merges)  # the same tokens, without the marks: for what a user types
        self.user, self.assistant, self.end = (int(self.tokenizer.encode(mark)[0]) for mark in dialogues.MARKS)
        number = self.quick_judged if quick else self.judged
        self.test = dialogues.sample(number, rng=np.random.default_rng([seed, 8]), unseen=True)
        self.like_training = dialogues.sample(number, rng=np.random.default_rng([seed, 9]))

    def texts(self, n, rng):
        """n new dialogues for training, as texts."""
        return [dialogues.write(dialogue) for dialogue in dialogues.sample(n, rng=rng)]

    def row(self, text):
        """One row: its tokens (T,), and which of them have a loss: the assistant's, and the <end> after them."""
        tokens = self.tokenizer.encode(text)
        marks = np.isin(tokens, (self.user, self.assistant))
        # The last mark at or before each token; the mark itself is given, not predicted.
        last = np.maximum.accumulate(np.where(marks, np.arange(len(tokens)), 0))
        return tokens, (tokens[last] == self.assistant) & ~marks

    def evaluate(self):
        """Shares of right answers and of answers that end, and the cross-entropy of the true ones (see the module)."""
        self.model.eval()
        texts = list(map(dialogues.write, self.test))
        figures = {"test": self.surprise(texts) / sum(int(self.row(text)[1].sum()) for text in texts)}
        right, ended, kinds = self.judge(self.test, np.random.default_rng([self.seed, 6]))
        seen, _, _ = self.judge(self.like_training, np.random.default_rng([self.seed, 7]))
        figures |= {"right": right.mean(), "right_seen": seen.mean(), "ended": ended.mean()}
        return figures | {f"right_{kind}": right[kinds == kind].mean() for kind in dialogues.KINDS if kind in kinds}

    def judge(self, chosen, rng):
        """One drawn answer to every user turn of some dialogues: is it right, did it end, of what kind is the turn?

        Shapes:   D dialogues with R user turns together → (R,) bool, (R,) bool, (R,) str
        """
        histories = [dialogue[: i + 1] for dialogue in chosen for i in range(0, len(dialogue), 2)]
        contexts = [self.context(history) for history in histories]
        lengths = np.array(list(map(len, contexts)))
        answers = [None] * len(histories)
        for length in np.unique(lengths):  # rows of one length are answered together
            places = np.flatnonzero(lengths == length)
            rows = generation.generate(self.model, np.stack([contexts[place] for place in places]), LONGEST, rng=rng,
                                       stop=(self.end,))
            for place, row in zip(places, rows, strict=True):
                answers[place] = row
        ended = np.array([row[-1] == self.end for row in answers])
        said = [self.tokenizer.decode(row[: len(row) - end]) for row, end in zip(answers, ended, strict=True)]
        right = [dialogues.is_right(*pair) for pair in zip(histories, said, strict=True)]
        return np.array(right) & ended, ended, np.array(list(map(dialogues.kind, histories)))

    # -- talking ------------------------------------------------------------------------------------------------------

    def context(self, history):
        """The tokens of a dialogue up to where the assistant begins to answer: (T,).

        What was typed is never read as a mark.

        Raises:   DataError if a role is unknown, or the last turn is not the user's.
        """
        marks = {"user": self.user, "assistant": self.assistant}
        if not history or history[-1][0] != "user" or any(turn[0] not in marks for turn in history):
            raise DataError(f"gpt-chat: the roles are {[turn[0] for turn in history]}; expected 'user' and "
                            f"'assistant', the user's last")
        turns = [[marks[role], *self.typed.encode(text), self.end] for role, text in history]
        return np.array([token for turn in turns for token in turn] + [self.assistant])

    def fitting(self, history):
        """The newest turns of a dialogue that fit into the block with an answer: (turns, how many were forgotten).

        They begin with a user's turn. If not even the last turn fits, its beginning is forgotten as well.
        """
        room = self.block_size - LONGEST
        for first in range(0, len(history), 2):
            if len(self.context(history[first:])) <= room:
                return history[first:], first
        text = self.typed.decode(self.typed.encode(history[-1][1])[-(room - 3):])
        return [dialogues.Turn("user", text)], len(history) - 1

    def reply(self, history, *, rng, temperature=1.0):
        """The answer to a dialogue that ends with the user's turn, as pieces of text, each as soon as it is drawn.

        Tokens are drawn one by one with a cache, until the stop token or LONGEST of them. Of a history that does not
        fit into the block the oldest turns are left out (`fitting`). temperature: see `generation`, (7.11).

        Yields:   str; "".join(…) is the answer, without the mark.
        """
        self.model.eval()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a letter may be spread over several tokens
        context = self.context(self.fitting(history)[0])
        drawn = generation.stream(self.model, context, LONGEST, rng=rng, stop=(self.end,), temperature=temperature)
        for token in drawn:
            if token in (self.user, self.assistant, self.end):
                break
            piece = decoder.decode(self.tokenizer.decode_bytes(np.array([token])))
            if piece:
                yield piece
        rest = decoder.decode(b"", final=True)
        if rest:
            yield rest

    def sample(self, n, rng):
        """n dialogues, a list of str: the user's turns from the rules (held out), the assistant's from the model."""
        found = []
        for dialogue in dialogues.sample(n, rng=rng, unseen=True):
            history = []
            for turn in dialogue[::2]:
                history.append(turn)
                history.append(dialogues.Turn("assistant", "".join(self.reply(history, rng=rng))))
            found.append("\n".join(f"{'>' if turn.role == 'user' else ' '} {turn.text}" for turn in history))
        return found


RECIPE = base.Recipe(
    name="gpt-chat",
    summary="a GPT that answers: names, places, sums, opposites, spelling backwards, small talk",
    lesson="07",
    build=Experiment,
    # Of the full size seeds 0, 1, 2 gave 0.909, 0.916, 0.888 right, 0.943, 0.939, 0.935 of what is like training, and
    # all answers ended; sums that were held out are the hardest, 0.63, 0.74, 0.53 (quick: 1.28 to 1.57). The floor of
    # `test` is not known; below 0.9 in the quick size it would have seen what it is tested on.
    band={"right": (0.85, 1.0), "right_seen": (0.88, 1.0), "ended": (0.98, 1.0)},
    quick_band={"test": (0.9, 2.0)},
    anchor="the rules that judge it: 1, all answers right",
    source="Radford et al. 2019, GPT-2; loss on answers only: Ouyang et al. 2022, arXiv:2203.02155",
    budget_seconds=600,
)
