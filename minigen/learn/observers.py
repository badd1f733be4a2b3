"""What to compare when an answer is not one determined array: an exercise's `observe`.

Each calls the learner's function (or the reference) and returns named numbers that every right answer shares.
"""

import numpy as np

import minigen as mg
from minigen.autograd import Tensor
from minigen.learn.exercise import WrongForm


def sample_statistics(function, mean, log_var, rng):
    """What a reparameterised sample of N(mean, e^log_var) must satisfy, whichever way its noise was drawn.

    Shapes:   mean, log_var Tensors (B, L) with large B
    """
    state = rng.bit_generator.state
    z = function(mean, log_var, rng)
    again = function(mean, log_var, rng)
    rng.bit_generator.state = state
    repeated = function(mean, log_var, rng)
    if not isinstance(z, Tensor):
        raise WrongForm(f"It returned {type(z).__name__}, wanted a Tensor of shape {mean.shape}: no gradient can flow "
                        "through anything else. Use mg.exp and arithmetic on the Tensors you are given.")
    if z.shape != mean.shape:
        raise WrongForm(f"shape {z.shape}, wanted {mean.shape}: one number for every mean.")
    scaled = (z.data - mean.data) / np.exp(log_var.data / 2)  # the noise, if z is right
    to_mean, to_log_var = (
        mg.grad(mg.sum(z), (mean, log_var), allow_unused=True) if z.requires_grad else (None, None)
    )
    half = (z.data - mean.data) / 2
    slope = 0.0 if to_log_var is None else (to_log_var.data * half).sum() / max((half * half).sum(), 1e-12)
    return {
        "same generator, same z (1 yes, 0 no)": float(np.array_equal(z.data, repeated.data)),
        "fresh noise in a second call (1 yes, 0 no)": float(not np.array_equal(z.data, again.data)),
        "standard deviation of (z − μ)/σ for each code": scaled.std(axis=0),
        "mean of (z − μ)/σ for each code": scaled.mean(axis=0),
        "correlation of the noise in two codes": np.mean(scaled[:, 0] * scaled[:, 1]),
        "share of |z − μ| < σ": np.mean(np.abs(scaled) < 1),
        "∂z/∂μ": np.zeros(mean.shape[1]) if to_mean is None else to_mean.data.mean(axis=0),
        "∂z/∂log σ², divided by ½ (z − μ)": slope,
    }


def up_to_rotation(function, x, latent):
    """The parts of a linear model (W, σ²) that are determined: rotating the codes changes W but not W Wᵀ."""
    result = function(x, latent)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise WrongForm(f"It returned {type(result).__name__}, wanted two things: W (D, L) and the variance σ².")
    weight, variance = (np.asarray(getattr(part, "data", part), dtype=np.float64) for part in result)
    if weight.shape != (x.shape[1], latent):
        raise WrongForm(f"W has shape {weight.shape}, wanted {(x.shape[1], latent)}: one column for each code.")
    return {"σ²": variance, "W Wᵀ (which no rotation of the codes changes)": weight @ weight.T}


def three_draws(function, *args, rng):
    """What function(*args, rng) returns, what it returns in a second call, and when the first call is repeated."""
    state = rng.bit_generator.state
    first, again = function(*args, rng), function(*args, rng)
    rng.bit_generator.state = state
    return first, again, function(*args, rng)


def sampled_text(function, predict, n, temperature, rng):
    """What a text over three symbols must satisfy, whichever way each was drawn (exercise 01.5)."""
    text, again, repeated = three_draws(function, predict, n, temperature, rng=rng)
    if not isinstance(text, list | tuple | np.ndarray):
        raise WrongForm(f"It returned {type(text).__name__}, wanted a list of {n} symbols.")
    text, again, repeated = (np.asarray(part) for part in (text, again, repeated))
    if text.shape != (n,):
        raise WrongForm(f"It wrote {text.size} symbols, wanted {n}: as many as asked for, and nothing else.")
    if text.dtype.kind not in "iu" or text.min() < 0 or text.max() > 2:
        raise WrongForm(f"It wrote {text[0]!r}; wanted the symbols' numbers, 0, 1 and 2, as whole numbers.")
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (text[:-1], text[1:]), 1)
    return {
        "same generator, same text (1 yes, 0 no)": float(np.array_equal(text, repeated)),
        "a new text in a second call (1 yes, 0 no)": float(not np.array_equal(text, again)),
        "share of each symbol": pairs.sum(1) / (n - 1),
        "share of each pair of neighbours": pairs / (n - 1),
    }
