"""ngram-shakespeare: n-grams of rising order on the 1,115,394 characters of tiny-shakespeare.

What counting alone comes to, before any network: the figure that a small GPT must beat. The text is downloaded on
request, or given: `minigen train ngram-shakespeare --data FILE`.

Protocol: counted in the first 90 % of the characters, measured on the last 10 % (called validation, as usual for this
text), order after order. Nats per character. No random number is drawn in training.
"""

from minigen.data import fetch
from minigen.data.characters import Characters
from minigen.recipes import base, ngram_stories

PASSAGE = 300  # characters of a sample


class Experiment(ngram_stories.Experiment):
    """As for the stories, with another text."""

    part = "validation"
    in_picture = 6

    def orders(self, quick):
        """The highest order."""
        return 5 if quick else 6

    def load(self, seed, quick, data):
        """The text in two parts."""
        text = fetch.tiny_shakespeare(path=data)
        self.characters = Characters.of(text)
        tokens = self.characters.encode(text)
        cut = int(0.9 * len(tokens))
        self.train, self.validation = tokens[:cut], tokens[cut:]

    def floor(self):
        """Nobody knows the entropy of Shakespeare."""
        return {}

    def sample(self, n, rng):
        """n passages of the best order, a list of str."""
        # After an empty line, where in this text somebody begins to speak.
        context = self.characters.encode("\n\n" if "\n" in self.characters.alphabet else "")
        order = self.best_order()
        return [self.characters.decode(self.model.sample(PASSAGE, rng=rng, context=context, order=order)).strip()
                for _ in range(n)]

    def reference(self):
        """What nanoGPT's README reports of a small GPT trained for 2,000 steps on a CPU."""
        return "a GPT on a CPU", 1.88

    def finding(self):
        """The title of the picture."""
        return f"Counting comes far: order {self.best_order()} is best for Shakespeare"


RECIPE = base.Recipe(
    name="ngram-shakespeare",
    summary="n-grams with Witten–Bell interpolation on tiny-shakespeare",
    lesson="01",
    build=Experiment,
    # Nothing is random, so the figures are known to the last digit: 2.0492, 1.7738, 1.6688, 1.6981.
    band={"validation_order3": (2.047, 2.051), "validation_order4": (1.772, 1.776), "validation_order5": (1.667, 1.671),
          "validation_order6": (1.696, 1.700)},
    quick_band={"validation_order5": (1.667, 1.671)},
    anchor="the same split: nanoGPT's README, a GPT trained on a CPU 1.88, on an A100 1.4697 nats per character",
    source="Witten & Bell 1991, IEEE Trans. Information Theory 37(4); text: Karpathy 2015, char-rnn",
    budget_seconds=30,
    takes_data=True,
    seeded=False,
)
