"""Judges of the open exercises: they run what the learner built under fixed conditions and measure it."""

import numpy as np

from minigen.autograd import no_grad
from minigen.data import digits
from minigen.data.batches import Batches
from minigen.learn.exercise import WrongForm
from minigen.metrics.likelihood import estimate
from minigen.models.vae import VAE
from minigen.optim import Adam, Schedule, cosine

STEPS, BATCH, LARGEST = 500, 100, 600_000
TO_BEAT = 98.0  # nats; free grey levels (Categorical) stay above it in 500 steps, bells over them do not
UNIFORM = digits.PIXELS * np.log(digits.LEVELS)


def train_digits(model, *, rng, steps=STEPS, lr=2e-3, images=None):
    """Train a VAE for a moment: Adam, batches of 100, the rate falling along a cosine. Returns the model, in eval mode.

    images:   what to train on, by default the 1,000 training digits.   Shapes: (B, 64)
    """
    images = digits.splits().train.images if images is None else images
    batches = Batches(images, BATCH, rng=rng)
    optimizer = Adam(model.parameters(), lr=lr)
    schedule = Schedule(optimizer, cosine, total=steps, warmup=min(50, steps // 2))
    model.train()
    for step in range(steps):
        schedule(step)
        loss = model.loss(next(batches), rng=rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    return model


def bounds(model, images, *, rng, passes=4):
    """(ELBO, KL) of every image, averaged over `passes` draws of the code, in nats.   Shapes: (B, 64) → (B,), (B,)"""
    with no_grad():
        draws = [model.elbo(images, rng=rng) for _ in range(passes)]
    return np.mean([d.elbo.data for d in draws], axis=0), np.mean([d.kl.data for d in draws], axis=0)


def better_digits(function):
    """Open exercise 05.6: train the learner's VAE, and compare its validation bound with the lesson's first model."""
    model = function(np.random.default_rng(0))
    _look_over(model)
    train_digits(model, rng=np.random.default_rng(1))
    splits, rng = digits.splits(), np.random.default_rng(2)
    elbo, kl = bounds(model, splits.validation.images, rng=rng)
    seen, _ = bounds(model, splits.train.images[:350], rng=rng)
    result = estimate(-elbo)
    text = f"Validation bound −ELBO: {result} nats per image (350 digits), of which KL {kl.mean():.1f}."
    if result.mean <= TO_BEAT:
        return True, f"{text} Asked for was {TO_BEAT:g}. How far can you go? Read minigen/recipes/vae_digits.py last."
    return False, f"{text} Asked for is {TO_BEAT:g} or less. {_advice(result.mean, kl.mean(), -seen.mean())}"


def _look_over(model):
    if not isinstance(model, VAE):
        raise WrongForm(f"It returned {type(model).__name__}, wanted a VAE (not trained; check does that): "
                        "return VAE(encoder, decoder, likelihood, latent).")
    small_enough(model, LARGEST)
    if model.beta != 1:
        raise WrongForm(f"beta is {model.beta:g}. You may train with another β, but then this is no longer the bound "
                        "on log p(x) that gets compared: leave it at 1.")
    of_grey_levels(model.likelihood)


def small_enough(model, largest):
    """Raises WrongForm if a model has more parameters than allowed."""
    size = model.num_parameters()
    if size > largest:
        raise WrongForm(f"Your model has {size:,} parameters; at most {largest:,} are allowed, so that checking it "
                        "takes seconds. Make it narrower.")


def of_grey_levels(likelihood):
    """Raises WrongForm if a likelihood does not give probabilities of the digits' grey levels."""
    if getattr(likelihood, "values", None) != digits.LEVELS:
        raise WrongForm(f"{type(likelihood).__name__} does not give probabilities of {digits.LEVELS} grey levels "
                        "0 to 16, so its nats cannot be compared: take Categorical, DiscretizedLogistic or its "
                        f"mixture, with values={digits.LEVELS}.")


def _advice(bound, kl, seen):
    if kl < 1:
        return "The codes say nothing (KL below 1 nat): posterior collapse. See the pitfall in the lesson."
    if bound > 0.9 * UNIFORM:
        return f"A uniform guess has {UNIFORM:.1f}: the model hardly learns. Are layers and activations in order?"
    if bound - seen > 10:
        return f"On the training digits it reaches {seen:.1f}: it learns them by heart. A smaller network, or dropout?"
    return "Which likelihood knows that grey level 7 is next to 8?"
