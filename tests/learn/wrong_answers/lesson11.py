"""What learners typically write, as they would write it, and a phrase that the feedback must contain."""

import numpy as np

# -- 11.1 -------------------------------------------------------------------------------------------------------------


def without_the_product(betas, mean, variance):
    a = np.append(1.0, 1 - betas)
    return np.sqrt(a) * mean, a * variance + (1 - a)


def _bar(betas):
    return np.append(1.0, np.cumprod(1 - betas))


def mean_times_bar(betas, mean, variance):
    return _bar(betas) * mean, _bar(betas) * variance + 1 - _bar(betas)


def signal_keeps_its_variance(betas, mean, variance):
    return _bar(betas) ** 0.5 * mean, variance + 1 - _bar(betas)


def sigma_for_its_square(betas, mean, variance):
    b = _bar(betas)
    return np.sqrt(b) * mean, b * variance + np.sqrt(1 - b)


def noise_only(betas, mean, variance):
    b = _bar(betas)
    return np.sqrt(b) * mean, 1 - b


def clean_data_forgotten(betas, mean, variance):
    b = np.cumprod(1 - betas)
    return np.sqrt(b) * mean, b * variance + 1 - b


def one_array(betas, mean, variance):
    return _bar(betas) * variance + 1 - _bar(betas)


def deviations(betas, mean, variance):
    b = _bar(betas)
    return np.sqrt(b) * mean, np.sqrt(b * variance + 1 - b)


# -- 11.2 -------------------------------------------------------------------------------------------------------------


def _normal(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def _done(grid, p):
    return p / np.sum(p) / (grid[1] - grid[0])


def all_of_the_noise(grid, x_t, x_0, alphas, sigmas):
    r = alphas[1] / alphas[0]
    return _done(grid, _normal(grid, alphas[0] * x_0, sigmas[0] ** 2) * _normal(x_t, r * grid, sigmas[1] ** 2))


def old_noise_not_shrunk(grid, x_t, x_0, alphas, sigmas):
    r = alphas[1] / alphas[0]
    step = _normal(x_t, r * grid, sigmas[1] ** 2 - sigmas[0] ** 2)
    return _done(grid, _normal(grid, alphas[0] * x_0, sigmas[0] ** 2) * step)


def _step(x_t, grid, alphas, sigmas, r=None):
    ratio = alphas[1] / alphas[0]
    return _normal(x_t, (ratio if r is None else r) * grid, sigmas[1] ** 2 - ratio**2 * sigmas[0] ** 2)


def step_does_not_shrink(grid, x_t, x_0, alphas, sigmas):
    return _done(grid, _normal(grid, alphas[0] * x_0, sigmas[0] ** 2) * _step(x_t, grid, alphas, sigmas, 1))


def step_from_zero(grid, x_t, x_0, alphas, sigmas):
    return _done(grid, _normal(grid, alphas[0] * x_0, sigmas[0] ** 2) * _step(x_t, grid, alphas, sigmas, alphas[1]))


def prior_only(grid, x_t, x_0, alphas, sigmas):
    return _done(grid, _normal(grid, alphas[0] * x_0, sigmas[0] ** 2))


def step_only(grid, x_t, x_0, alphas, sigmas):
    return _done(grid, _step(x_t, grid, alphas, sigmas))


def sums_to_one(grid, x_t, x_0, alphas, sigmas):
    p = _normal(grid, alphas[0] * x_0, sigmas[0] ** 2) * _step(x_t, grid, alphas, sigmas)
    return p / p.sum()


# -- 11.3 -------------------------------------------------------------------------------------------------------------


def as_it_comes(kind, said, x_t, alpha, sigma):
    return said


def alpha_forgotten(kind, said, x_t, alpha, sigma):
    if kind == "x0":
        return (x_t - said) / sigma
    return said if kind == "eps" else (sigma * x_t + alpha * said) / (alpha**2 + sigma**2)


def sigma_forgotten(kind, said, x_t, alpha, sigma):
    if kind == "x0":
        return x_t - alpha * said
    return said if kind == "eps" else (sigma * x_t + alpha * said) / (alpha**2 + sigma**2)


def not_divided(kind, said, x_t, alpha, sigma):
    if kind == "x0":
        return (x_t - alpha * said) / sigma
    return said if kind == "eps" else sigma * x_t + alpha * said


def v_gives_clean(kind, said, x_t, alpha, sigma):
    if kind == "x0":
        return (x_t - alpha * said) / sigma
    return said if kind == "eps" else (alpha * x_t - sigma * said) / (alpha**2 + sigma**2)


def v_with_minus(kind, said, x_t, alpha, sigma):
    if kind == "x0":
        return (x_t - alpha * said) / sigma
    return said if kind == "eps" else (sigma * x_t - alpha * said) / (alpha**2 + sigma**2)


# -- 11.4 -------------------------------------------------------------------------------------------------------------


def _clean(x_t, noise, alphas, sigmas):
    return (x_t - sigmas[0] * noise) / alphas[0]


def _share(alphas, sigmas):
    return 1 - (alphas[0] / sigmas[0]) ** 2 / (alphas[1] / sigmas[1]) ** 2


def noise_added_on_top(x_t, noise, alphas, sigmas, eta, z):
    c = _share(alphas, sigmas)
    return alphas[1] * _clean(x_t, noise, alphas, sigmas) + sigmas[1] * noise + eta * np.sqrt(c) * sigmas[1] * z


def eta_not_squared(x_t, noise, alphas, sigmas, eta, z):
    v = sigmas[1] ** 2 * _share(alphas, sigmas)
    kept = np.sqrt(sigmas[1] ** 2 - eta * v)
    return alphas[1] * _clean(x_t, noise, alphas, sigmas) + kept * noise + eta * np.sqrt(v) * z


def variance_times_z(x_t, noise, alphas, sigmas, eta, z):
    v = sigmas[1] ** 2 * _share(alphas, sigmas)
    return alphas[1] * _clean(x_t, noise, alphas, sigmas) + np.sqrt(sigmas[1] ** 2 - eta**2 * v) * noise + eta * v * z


def _with(c, clean, sigmas, alphas, noise, eta, z):
    return alphas[1] * clean + sigmas[1] * (np.sqrt(1 - eta**2 * c) * noise + eta * np.sqrt(c) * z)


def beta_for_c(x_t, noise, alphas, sigmas, eta, z):
    c = 1 - alphas[0] ** 2 / alphas[1] ** 2
    return _with(c, _clean(x_t, noise, alphas, sigmas), sigmas, alphas, noise, eta, z)


def clean_not_divided(x_t, noise, alphas, sigmas, eta, z):
    return _with(_share(alphas, sigmas), x_t - sigmas[0] * noise, sigmas, alphas, noise, eta, z)


def noise_of_size_one(x_t, noise, alphas, sigmas, eta, z):
    return _with(_share(alphas, sigmas), (x_t - noise) / alphas[0], sigmas, alphas, noise, eta, z)


def without_chance(x_t, noise, alphas, sigmas, eta, z):
    return alphas[1] * _clean(x_t, noise, alphas, sigmas) + sigmas[1] * noise


def always_ancestral(x_t, noise, alphas, sigmas, eta, z):
    return _with(_share(alphas, sigmas), _clean(x_t, noise, alphas, sigmas), sigmas, alphas, noise, 1.0, z)


# -- 11.5 -------------------------------------------------------------------------------------------------------------


def _log_normal(y, sigma):
    return -0.5 * y**2 / sigma**2 - 0.5 * np.log(2 * np.pi * sigma**2)


def _walk(noise, slope, x, ratios, factor):
    total = np.zeros(len(x))
    for i in range(len(ratios) - 1):
        d = ratios[i + 1] - ratios[i]
        total = total + factor(d) * slope(x, ratios[i])
        x = x + d * noise(x, ratios[i])
    return x, total


def trace_subtracted(noise, slope, x, ratios):
    y, total = _walk(noise, slope, x, ratios, lambda d: d)
    return _log_normal(y, ratios[-1]) - total


def no_trace(noise, slope, x, ratios):
    return _log_normal(_walk(noise, slope, x, ratios, lambda d: d)[0], ratios[-1])


def trace_without_step(noise, slope, x, ratios):
    y, total = _walk(noise, slope, x, ratios, lambda d: 1)
    return _log_normal(y, ratios[-1]) + total


def ends_at_width_one(noise, slope, x, ratios):
    y, total = _walk(noise, slope, x, ratios, lambda d: d)
    return _log_normal(y, 1.0) + total


def trace_after_the_move(noise, slope, x, ratios):
    total = 0
    for a, b in zip(ratios[:-1], ratios[1:], strict=True):
        x = x + (b - a) * noise(x, a)
        total = total + (b - a) * slope(x, b)
    return _log_normal(x, ratios[-1]) + total


def density_at_x(noise, slope, x, ratios):
    return _log_normal(x, ratios[-1]) + _walk(noise, slope, x, ratios, lambda d: d)[1]


def one_number(noise, slope, x, ratios):
    y, total = _walk(noise, slope, x, ratios, lambda d: d)
    return np.sum(_log_normal(y, ratios[-1]) + total)


# -- 11.6 -------------------------------------------------------------------------------------------------------------


def from_the_conditional(predict, x, t, labels, w):
    c, u = predict(x, t, labels), predict(x, t, None)
    return c + w * (c - u)


def other_direction(predict, x, t, labels, w):
    c, u = predict(x, t, labels), predict(x, t, None)
    return u + w * (u - c)


def only_the_conditional(predict, x, t, labels, w):
    return w * predict(x, t, labels)


def only_the_difference(predict, x, t, labels, w):
    return w * (predict(x, t, labels) - predict(x, t, None))


def unguided(predict, x, t, labels, w):
    return predict(x, t, labels)


def mixed_up(predict, x, t, labels, w):
    return (1 - w) * predict(x, t, labels) + w * predict(x, t, None)


# -- 11.7 -------------------------------------------------------------------------------------------------------------


def the_defaults():
    return {}


def a_name():
    return "dpm"


def unknown_setting():
    return {"sampler": "dpm", "calls": 12}


def unknown_sampler():
    return {"sampler": "euler"}


def half_a_step():
    return {"steps": 11.5}


def heun_asks_twice():
    return {"sampler": "heun", "steps": 12, "spacing": "snr"}


def first_order():
    return {"sampler": "ddim", "spacing": "snr"}


def even_times():
    return {"sampler": "dpm", "spacing": "even"}


def stops_too_early():
    return {"sampler": "dpm", "spacing": "snr", "highest": 7.0}


def eta_of_two():
    return {"sampler": "ddim", "eta": 2}


WRONG = {
    "11.1": [
        (without_the_product, "the product of all factors so far"),
        (mean_times_bar, "The mean is multiplied with"),
        (signal_keeps_its_variance, "The signal's variance shrinks too"),
        (sigma_for_its_square, "you took σ_t"),
        (noise_only, "That is the noise alone"),
        (clean_data_forgotten, "with t = 0, the clean data"),
        (one_array, "Wanted are two arrays"),
        (deviations, "Those are standard deviations"),
    ],
    "11.2": [
        (all_of_the_noise, "what is *missing* to σ_t²"),
        (old_noise_not_shrunk, "the noise that was there shrinks too"),
        (step_does_not_shrink, "x_s shrinks by α_t/α_s"),
        (step_from_zero, "α_t alone leads from 0"),
        (prior_only, "what x_t tells is missing"),
        (step_only, "what x_t tells alone"),
        (sums_to_one, "must *integrate* to 1"),
    ],
    "11.3": [
        (as_it_comes, "You return what the network said"),
        (alpha_forgotten, "multiplied with α"),
        (sigma_forgotten, "divide it by σ"),
        (not_divided, "which is not always 1"),
        (v_gives_clean, "that is the clean point"),
        (v_with_minus, "the sign is plus"),
    ],
    "11.4": [
        (noise_added_on_top, "without taking out as much of the old"),
        (eta_not_squared, "η is squared"),
        (variance_times_z, "you took a variance"),
        (beta_for_c, "is β, and β = c σ_t²"),
        (clean_not_divided, "x̂₀ is divided by α_t"),
        (noise_of_size_one, "it is multiplied with σ_t"),
        (without_chance, "the one with η = 0"),
        (always_ancestral, "that is the ancestral one"),
    ],
    "11.5": [
        (trace_subtracted, "The trace is added"),
        (no_trace, "The trace is missing"),
        (trace_without_step, "must be multiplied with the step"),
        (ends_at_width_one, "not N(0, 1)"),
        (trace_after_the_move, "before y moves"),
        (density_at_x, "at y where it arrives"),
        (one_number, "one log p for each"),
    ],
    "11.6": [
        (from_the_conditional, "their w is ours minus 1"),
        (other_direction, "the wrong sign"),
        (only_the_conditional, "then add, the answer without"),
        (only_the_difference, "Start from the answer"),
        (unguided, "does not depend on w"),
        (mixed_up, "the wrong way round"),
    ],
    "11.7": [
        (the_defaults, "do without"),
        (a_name, "wanted a dict of settings"),
        (unknown_setting, "There is no setting 'calls'"),
        (unknown_sampler, "There is no sampler 'euler'"),
        (half_a_step, "wanted a whole number"),
        (heun_asks_twice, "at most 12 are allowed"),
        (first_order, "of first order only"),
        (even_times, "too few steps near the data"),
        (stops_too_early, "a larger `highest`"),
        (eta_of_two, "wanted a number from 0 to 1"),
    ],
}
