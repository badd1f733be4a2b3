"""The judge of lesson 03's open exercise: it trains the learner's small network to read digits, and counts."""

from collections import deque

import numpy as np

from minigen import nn
from minigen.data import digits
from minigen.errors import MinigenError
from minigen.learn.exercise import WrongForm
from minigen.models.classifier import Classifier
from minigen.recipes import classifier_digits

LARGEST, STEPS, SEEDS = 5_000, 400, (0, 1, 2)
TO_BEAT = 97.0  # percent, mean over the seeds; one hidden layer stays at about 92


class _Small(classifier_digits.Development):
    """The recipe's development run with another network, without a validation on the way."""

    validate = None
    validate_every = 0
    function = None

    def make_model(self, rng):
        """The learner's network as a classifier."""
        return Classifier(type(self).function(rng), digits.CLASSES)


def trained(function, seed, steps=STEPS):
    """The development run of a network `function(rng)`, trained."""
    experiment = type("Small", (_Small,), {"function": staticmethod(function)})(seed, steps=steps)
    deque(experiment.fit(progress=False), maxlen=0)
    return experiment


def small_reader(function):
    """Open exercise 03.6: at least 97 % of the validation digits, in the mean of three seeds, with 5,000 parameters."""
    size = _look_over(function(np.random.default_rng(0)))
    runs = [trained(function, seed) for seed in SEEDS]
    shares = [run.evaluate()["validation_accuracy"] for run in runs]
    mean = float(np.mean(shares))
    text = (f"{size:,} parameters. Read rightly among 350 validation digits, seeds 0, 1, 2: "
            f"{', '.join(f'{share:.1f}' for share in shares)} %, mean {mean:.1f} %.")
    if mean >= TO_BEAT:
        return True, f"{text} Asked for was {TO_BEAT:g} %. Can you do it with half the parameters?"
    seen = np.mean([np.mean(run.model.predict(run.train.images) == run.train.labels) for run in runs])
    return False, f"{text} Asked for is {TO_BEAT:g} % or more. {_advice(runs[0].model, mean, 100 * seen)}"


def _look_over(network):
    if isinstance(network, Classifier):
        raise WrongForm("It returned a Classifier, wanted the network alone (pictures → 10 logits); check wraps it.")
    if not isinstance(network, nn.Module):
        raise WrongForm(f"It returned {type(network).__name__}, wanted a network, such as nn.Sequential(…).")
    size = network.num_parameters()
    if size > LARGEST:
        raise WrongForm(f"Your network has {size:,} parameters; at most {LARGEST:,} are allowed. Where are they? "
                        "A linear layer after Flatten has most of them as a rule: halve the picture once more before.")
    pictures = digits.splits(flat=False).train.images[:3]
    try:
        logits = network(pictures)
    except MinigenError as error:
        raise WrongForm(f"On pictures of shape (3, 1, 8, 8) your network stops: {error}") from None
    shape = getattr(logits, "shape", None)
    if shape != (3, digits.CLASSES):
        raise WrongForm(f"For pictures of shape (3, 1, 8, 8) your network gives {shape}, wanted (3, 10): ten logits "
                        "for each picture.")
    return size


def _advice(model, mean, seen):
    kinds = {type(module) for module in model.modules()}
    if mean < 30:
        return "That is near guessing: are the pixels scaled (nn.Scaled(16)), and is there a relu at the very end?"
    if nn.Conv2d not in kinds:
        return ("There is no convolution in it: a linear layer must learn every pattern again at every place. See "
                "(3.27): conv_block shares its weights over all places.")
    if not kinds & {nn.BatchNorm2d, nn.GroupNorm}:
        return "Without normalisation 400 steps do not take it far: conv_block has batch normalisation in it."
    if seen > mean + 2:
        return f"On the training digits it reaches {seen:.1f} %: it learns some by heart. Fewer logit weights?"
    return "More channels and fewer weights in the last layer: what does stride 2 do to the picture that is flattened?"
