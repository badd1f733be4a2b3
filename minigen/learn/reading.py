"""The judge of open exercise 01.6: it lets a learner's model read stories, and measures how new ones surprise it."""

import numpy as np

from minigen.data import stories
from minigen.data.characters import Characters
from minigen.learn.exercise import WrongForm
from minigen.models.ngram import NGram

READ, STORIES = 50_000, 12  # characters to learn from, new stories to predict
BEST_ORDER = 7  # of the n-grams, after that many characters
TO_BEAT = 0.57  # nats per character; the n-gram of the best order has 0.590


def better_reader(function):
    """Train the learner's model on 50,000 characters of stories, and ask it about every character of 12 new ones."""
    splits = stories.splits(READ)
    alphabet = Characters(stories.alphabet())
    new = stories.END.join(splits.validation.split(stories.END)[:STORIES]) + stories.END
    predict = function(splits.train, alphabet.alphabet)
    if not callable(predict):
        raise WrongForm(f"It returned {type(predict).__name__}, wanted a function: text so far → probabilities.")
    costs, before = [], stories.END  # the end mark of the story before
    for character, token in zip(new, alphabet.encode(new), strict=True):
        chance = _checked(predict(before), alphabet, before)[token]
        if chance == 0:
            return False, (f"It gave {character!r} probability 0 after {before[-20:]!r}, and it came: the cost is ∞. "
                           "Keep some probability for everything.")
        costs.append(-np.log(chance))
        before += character
    result = float(np.mean(costs))
    told = (f"{result:.3f} nats per character on {STORIES} new stories ({len(new):,} characters); the entropy is "
            f"{stories.entropy_per_character():.3f}.")
    if result <= TO_BEAT:
        return True, f"{told} Asked for was {TO_BEAT:g}. How near can you come? Lesson 07 goes further."
    return False, f"{told} Asked for is {TO_BEAT:g} or less. {_advice(result)}"


def copying_reader(train, alphabet):
    """An n-gram that also looks back into the story: what followed the last few characters before may follow again.

    The mixture is 0.8 times the n-gram, plus 0.2 for the character after the longest earlier match of at least five.
    """
    coder = Characters(alphabet)
    model = NGram(BEST_ORDER, coder.size).fit(coder.encode(train))

    def predict(text):
        p = model.probabilities(coder.encode(text[-BEST_ORDER:]))
        story = text[text.rfind(stories.END) + 1 :]
        for length in range(min(40, len(story) - 1), 4, -1):
            earlier = story.rfind(story[-length:], 0, len(story) - 1)
            if earlier >= 0:
                p *= 0.8
                p[coder.encode(story[earlier + length])] += 0.2
                break
        return p

    return predict


def _checked(p, alphabet, text):
    """The learner's probabilities, if they are some."""
    try:
        p = np.asarray(p, dtype=np.float64)
    except (TypeError, ValueError):
        raise WrongForm(f"predict returned {type(p).__name__}, wanted {alphabet.size} probabilities.") from None
    if p.shape != (alphabet.size,):
        raise WrongForm(f"predict returned shape {p.shape}, wanted ({alphabet.size},): a probability for each "
                        "character.")
    if not (p >= 0).all() or abs(p.sum() - 1) > 1e-6:
        raise WrongForm(f"After {text[-20:]!r} the probabilities sum to {p.sum():.4f} and the smallest is "
                        f"{p.min():.3g}; wanted: sum 1, none negative.")
    return p


def _advice(cost):
    if cost > np.log(len(stories.alphabet())) - 0.05:
        return "A uniform guess is as good: does it use what it has read?"
    if cost > 0.65:
        return f"The n-gram of order {BEST_ORDER} has 0.590: begin with it."
    return "The names and things of a story return in it. What stood in *this* story after the last few characters?"

