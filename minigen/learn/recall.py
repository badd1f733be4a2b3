"""A toy for lesson 07: rows in which a letter, once seen with its digit, foretells it; and the open exercise.

In each row every one of K letters has a digit, drawn anew; two may have the same. The row is a sequence of pairs, a
letter and then its digit: "b2 d0 b2 a3 d0 …". Letters are the tokens 0 … K − 1, digits K … 2K − 1. Nothing helps with
the letters, nor with the digit of a letter that is new: each costs log K nats. But the digit of a letter that came
before costs 0 for whoever remembers.
"""

import numpy as np

import minigen as mg
from minigen.autograd import no_grad
from minigen.learn.exercise import WrongForm
from minigen.models.gpt import GPT, Config
from minigen.optim import AdamW, Schedule, clip_grad_norm_, cosine

LETTERS, PAIRS = 4, 12
SIZE, LENGTH = 2 * LETTERS, 2 * PAIRS  # V and T
STEPS, BATCH, RATE, LARGEST, TO_BEAT = 400, 64, 3e-3, 16_000, 0.3


def rows(n, *, rng, pairs=PAIRS):
    """n rows, and which of their tokens are foretold.   Shapes: → (n, 2·pairs) whole numbers, (n, 2·pairs) bool"""
    digit = rng.integers(LETTERS, SIZE, (n, LETTERS))  # of each letter in each row
    letters = rng.integers(0, LETTERS, (n, pairs))
    tokens = np.stack([letters, np.take_along_axis(digit, letters, axis=1)], axis=2).reshape(n, 2 * pairs)
    first = letters[:, :, None] == letters[:, None, :]  # (n, pairs, pairs)
    seen = (first & np.tri(pairs, pairs, -1, dtype=bool)).any(axis=2)
    return tokens, np.stack([np.zeros_like(seen), seen], axis=2).reshape(n, 2 * pairs)


def written(row):
    """A row as text: "b2 d0 b2"."""
    signs = ["abcdefgh"[token] if token < LETTERS else str(token - LETTERS) for token in row]
    return " ".join(map("".join, zip(signs[::2], signs[1::2], strict=True)))


def fresh(config, *, rng, scale=5.0):
    """A new GPT whose matrices are `scale` times those of (7.5), which are meant for a width of some hundred."""
    model = GPT(config, rng=rng)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.overwrite(parameter.data * np.float32(scale))
    return model


def train(model, batch, *, steps=STEPS, lr=RATE, loss=None):
    """Train for a moment: AdamW, the rate rising over 50 steps and falling along a cosine, gradients clipped at 1.

    batch:    a function without arguments → tokens (B, T)
    loss:     (model, tokens) → a Tensor with one value; by default the mean of −log p over all tokens
    Yields (step, loss) after each step; the model is in eval mode at the end.
    """
    loss = loss or (lambda model, tokens: -mg.mean(model.log_prob(tokens)))
    optimizer = AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = Schedule(optimizer, cosine, total=steps, warmup=min(50, steps // 2), final=0.1)
    model.train()
    for step in range(steps):
        schedule(step)
        value = loss(model, batch())
        optimizer.zero_grad()
        value.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield step + 1, value.item()
    model.eval()


@no_grad()
def recall(model, tokens, foretold):
    """−mean log p of the foretold tokens, in nats: 0 for whoever remembers, log K for a guess.   Shapes: two (B, T)"""
    was = model.training
    model.eval()
    log_p = model.log_prob(tokens).data
    model.train(was)
    return -float(log_p[foretold[:, 1:]].mean())


def quick_recall(function):
    """Open exercise 07.7: train a GPT with the learner's Config, and see what the foretold digits cost it."""
    config = function()
    _look_over(config)
    model, rng = fresh(config, rng=np.random.default_rng(0)), np.random.default_rng(1)
    for _ in train(model, lambda: rows(BATCH, rng=rng)[0]):
        pass
    cost = recall(model, *rows(500, rng=np.random.default_rng(2)))
    text = (f"{model.num_parameters():,} weights; a foretold digit costs {cost:.3f} nats (guessing: "
            f"{np.log(LETTERS):.3f}).")
    if cost <= TO_BEAT:
        return True, f"{text} Asked for was {TO_BEAT:g}. How small can you make it?"
    return False, f"{text} Asked for is {TO_BEAT:g} or less. {_advice(config, cost)}"


def _look_over(config):
    if not isinstance(config, Config):
        raise WrongForm(f"It returned {type(config).__name__}, wanted a Config: return Config({SIZE}, …).")
    if config.vocabulary_size != SIZE or config.block_size < LENGTH - 1:
        raise WrongForm(f"Your Config is for {config.vocabulary_size} tokens and rows of {config.block_size}; the rows "
                        f"have {SIZE} tokens and {LENGTH} places: vocabulary_size={SIZE}, block_size={LENGTH}.")
    size = GPT(config, rng=np.random.default_rng(0)).num_parameters()
    if size > LARGEST:
        raise WrongForm(f"Your model has {size:,} weights; at most {LARGEST:,} are allowed. Make it narrower: they "
                        "grow with the square of the width.")


def _advice(config, cost):
    if config.layers < 2:
        return ("One layer gets only part of the way: one head must note which letter a digit follows, before another "
                "can look for it.")
    if cost > 0.6 * np.log(LETTERS):
        return "It is still on the plateau. Which settings shorten it: width, heads, positions, tied or not?"
    return "It is on its way. What would make it faster?"
