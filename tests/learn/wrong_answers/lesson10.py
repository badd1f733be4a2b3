"""What learners typically write, as they would write it, and a phrase that the feedback must contain."""

import numpy as np

import minigen as mg

# -- 10.1 -------------------------------------------------------------------------------------------------------------


def _rows(score, x, probes):
    for v in probes:
        leaf = mg.tensor(x, requires_grad=True)
        (row,) = mg.grad((score(leaf) * v).sum(), leaf)
        yield row.data, v


def probes_summed(score, x, probes):
    total = 0
    for row, v in _rows(score, x, probes):
        total = total + (row * v).sum(1)
    return total


def second_v_forgotten(score, x, probes):
    return np.mean([row.sum(1) for row, v in _rows(score, x, probes)], axis=0)


def sum_of_the_score(score, x, probes):
    leaf = mg.tensor(x, requires_grad=True)
    (g,) = mg.grad(score(leaf).sum(), leaf)
    return g.data.sum(1)


def first_probe_only(score, x, probes):
    row, v = next(_rows(score, x, probes))
    return (row * v).sum(1)


def one_number_for_all(score, x, probes):
    return np.mean([(row * v).sum(1) for row, v in _rows(score, x, probes)])


def exactly(score, x, probes):
    leaf = mg.tensor(x, requires_grad=True)
    s = score(leaf)
    return sum(mg.grad(s[:, d].sum(), leaf, create_graph=True)[0].data[:, d] for d in range(x.shape[1]))


# -- 10.2 -------------------------------------------------------------------------------------------------------------


def _both(theta, features, y, target, truth):
    phi = features(y)
    s = phi @ theta
    return phi.T @ (s - target) / len(y), phi.T @ (s - truth(y)) / len(y)


def towards_the_noise(theta, features, x, noise, sigma, truth):
    return _both(theta, features, x + sigma * noise, noise / sigma, truth)


def noise_times_sigma(theta, features, x, noise, sigma, truth):
    return _both(theta, features, x + sigma * noise, -noise * sigma, truth)


def sigma_squared(theta, features, x, noise, sigma, truth):
    return _both(theta, features, x + sigma * noise, -noise / sigma**2, truth)


def asked_at_clean_points(theta, features, x, noise, sigma, truth):
    return _both(theta, features, x, -noise / sigma, truth)


def noise_of_width_one(theta, features, x, noise, sigma, truth):
    return _both(theta, features, x + noise, -noise / sigma, truth)


def two_from_the_square(theta, features, x, noise, sigma, truth):
    a, b = _both(theta, features, x + sigma * noise, -noise / sigma, truth)
    return 2 * a, 2 * b


def the_losses(theta, features, x, noise, sigma, truth):
    y = x + sigma * noise
    s = features(y) @ theta
    return 0.5 * np.mean((s + noise / sigma) ** 2), 0.5 * np.mean((s - truth(y)) ** 2)


def one_of_the_two(theta, features, x, noise, sigma, truth):
    phi = features(x + sigma * noise)
    return phi.T @ (phi @ theta + noise / sigma) / len(x)


# -- 10.3 -------------------------------------------------------------------------------------------------------------


def _score(y, means, tau2):
    d = ((y[:, None] - means) ** 2).sum(-1)
    r = np.exp(-(d - d.min(1, keepdims=True)) / (2 * tau2))
    r = r / r.sum(1, keepdims=True)
    return (r @ means - y) / tau2


def width_forgotten(y, means, width, sigma):
    return y + sigma**2 * _score(y, means, sigma**2)


def clean_score(y, means, width, sigma):
    return y + sigma**2 * _score(y, means, width**2)


def widths_added(y, means, width, sigma):
    return y + sigma**2 * _score(y, means, (width + sigma) ** 2)


def times_sigma(y, means, width, sigma):
    return y + sigma * _score(y, means, width**2 + sigma**2)


def downhill(y, means, width, sigma):
    return y - sigma**2 * _score(y, means, width**2 + sigma**2)


def mean_of_the_modes(y, means, width, sigma):
    return y + (width**2 + sigma**2) * _score(y, means, width**2 + sigma**2)


def nearest_mode(y, means, width, sigma):
    k = ((y[:, None] - means) ** 2).sum(-1).argmin(1)
    return y + sigma**2 * (means[k] - y) / (width**2 + sigma**2)


def the_score(y, means, width, sigma):
    return _score(y, means, width**2 + sigma**2)


def underflow(y, means, width, sigma):
    tau2 = width**2 + sigma**2
    w = np.exp(-((y[:, None] - means) ** 2).sum(-1) / 2 / tau2)
    with np.errstate(invalid="ignore"):
        return y + sigma**2 / tau2 * ((w / w.sum(1, keepdims=True)) @ means - y)


# -- 10.4 -------------------------------------------------------------------------------------------------------------


def _grads(score, x):
    leaf = mg.tensor(x, requires_grad=True)
    s = score(leaf)
    return [mg.grad(s[:, d].sum(), leaf, create_graph=True)[0].data for d in (0, 1)]


def other_way_round(score, x):
    a, b = _grads(score, x)
    return a[:, 1] - b[:, 0]


def added(score, x):
    a, b = _grads(score, x)
    return a[:, 1] + b[:, 0]


def divergence(score, x):
    a, b = _grads(score, x)
    return a[:, 0] + b[:, 1]


def half_of_it(score, x):
    return _grads(score, x)[1][:, 0]


def summed(score, x):
    a, b = _grads(score, x)
    return (b[:, 0] - a[:, 1]).sum()


# -- 10.5 -------------------------------------------------------------------------------------------------------------


def two_forgotten(x, slope, step, noise):
    return x + step * slope + np.sqrt(step) * noise


def root_forgotten(x, slope, step, noise):
    return x + step * slope + 2 * step * noise


def noise_like_slope(x, slope, step, noise):
    return x + step * (slope + noise)


def downhill_step(x, slope, step, noise):
    return x - step * slope + np.sqrt(2 * step) * noise


def no_shake(x, slope, step, noise):
    return x + step * slope


def half_steps(x, slope, step, noise):
    return x + 0.5 * step * slope + step**0.5 * noise


# -- 10.6 -------------------------------------------------------------------------------------------------------------


def _walk(score, sigmas, x, noise, eta, last=True):
    for i, sigma in enumerate(sigmas):
        for z in noise[i]:
            x = x + eta(sigma) * score(x, sigma) + np.sqrt(2 * eta(sigma)) * z
    return x + sigmas[-1] ** 2 * score(x, sigmas[-1]) if last else x


def not_cleaned(score, sigmas, x, step, noise):
    return _walk(score, sigmas, x, noise, lambda s: step * (s / sigmas[-1]) ** 2, last=False)


def constant_steps(score, sigmas, x, step, noise):
    return _walk(score, sigmas, x, noise, lambda s: step)


def not_squared(score, sigmas, x, step, noise):
    return _walk(score, sigmas, x, noise, lambda s: step * s / sigmas[-1])


def not_divided(score, sigmas, x, step, noise):
    return _walk(score, sigmas, x, noise, lambda s: step * s**2)


def score_at_the_last_level(score, sigmas, x, step, noise):
    return _walk(lambda x, _: score(x, sigmas[-1]), sigmas, x, noise, lambda s: step * (s / sigmas[-1]) ** 2)


def shake_too_small(score, sigmas, x, step, noise):
    return _walk(score, sigmas, x, noise / np.sqrt(2), lambda s: step * (s / sigmas[-1]) ** 2)


# -- 10.7 -------------------------------------------------------------------------------------------------------------


def the_defaults():
    return {}


def a_list():
    return [8.0, 0.02]


def unknown_setting():
    return {"method": "corrector", "steps": 30}


def unknown_method():
    return {"method": "predictor"}


def half_a_level():
    return {"levels": 12.5}


def too_little_noise_at_first():
    return {"method": "corrector", "high": 1.0, "levels": 20, "count": 1}


def stops_too_early():
    return {"method": "corrector", "low": 0.2, "levels": 20, "count": 1}


def too_few_levels():
    return {"method": "corrector", "low": 0.01, "levels": 5, "count": 5}


def runs_away():
    return {"levels": 8, "count": 3, "step": 50.0}


WRONG = {
    "10.1": [
        (probes_summed, "is a mean"),
        (second_v_forgotten, "multiply the row with v"),
        (sum_of_the_score, "the sum of all entries of"),
        (first_probe_only, "the first probe only"),
        (one_number_for_all, "each has a trace of its own"),
        (exactly, "That is the exact trace"),
    ],
    "10.2": [
        (towards_the_noise, "the target of the score is −ε/σ"),
        (noise_times_sigma, "is divided by σ, not multiplied"),
        (sigma_squared, "not ε/σ²"),
        (asked_at_clean_points, "You ask the network at the clean x"),
        (noise_of_width_one, "the width σ: y = x + σε"),
        (two_from_the_square, "the ½ before the square"),
        (the_losses, "has the shape of θ"),
        (one_of_the_two, "Wanted are two gradients"),
    ],
    "10.3": [
        (width_forgotten, "a width of their own"),
        (clean_score, "You took the clean density's score"),
        (widths_added, "Widths do not add"),
        (times_sigma, "multiplied with σ², not with σ"),
        (downhill, "You went downhill"),
        (mean_of_the_modes, "all the way to the mean"),
        (nearest_mode, "the nearest mode alone"),
        (the_score, "That is the score itself"),
        (underflow, "0/0 is nan"),
    ],
    "10.4": [
        (other_way_round, "the opposite sign"),
        (added, "the curl is their difference"),
        (divergence, "That is the trace"),
        (half_of_it, "Only one of the two"),
        (summed, "You summed over the points"),
    ],
    "10.5": [
        (two_forgotten, "the 2 the walkers gather"),
        (root_forgotten, "you multiplied with 2η"),
        (noise_like_slope, "Drift and shake grow differently"),
        (downhill_step, "You walk downhill"),
        (no_shake, "The shake is missing"),
        (half_steps, "η is half of theirs"),
    ],
    "10.6": [
        (not_cleaned, "The last move is missing"),
        (constant_steps, "The same step at every level"),
        (not_squared, "grows with the square"),
        (not_divided, "do not divide by σ_n²"),
        (score_at_the_last_level, "asked at the last σ all the time"),
        (shake_too_small, "the 2 is missing"),
    ],
    "10.7": [
        (the_defaults, "at most 40 are allowed"),
        (a_list, "wanted a dict of settings"),
        (unknown_setting, "There is no setting 'steps'"),
        (unknown_method, "There is no method 'predictor'"),
        (half_a_level, "wanted a whole number"),
        (too_little_noise_at_first, "begin with more noise"),
        (stops_too_early, "go lower"),
        (too_few_levels, "Take more levels"),
        (runs_away, "ran away to infinity"),
    ],
}
