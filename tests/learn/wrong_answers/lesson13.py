"""What learners typically write, as they would write it, and a phrase that the feedback must contain."""

import numpy as np

import minigen as mg

# -- 13.1 -------------------------------------------------------------------------------------------------------------


def _jacobian(forward, x):
    x = mg.tensor(x, requires_grad=True)
    z = forward(x)
    return np.stack([mg.grad(mg.sum(z[:, d]), x)[0].data for d in range(x.shape[1])], axis=1)


def determinant(forward, x):
    return np.linalg.det(_jacobian(forward, x))


def no_logarithm(forward, x):
    return abs(np.linalg.det(_jacobian(forward, x)))


def log_of_a_negative(forward, x):
    return np.log(np.linalg.det(_jacobian(forward, x)))


def diagonal_only(forward, x):
    x = mg.tensor(x, requires_grad=True)
    z = forward(x)
    return sum(np.log(np.abs(mg.grad(z[:, d].sum(), x)[0].data[:, d])) for d in range(x.shape[1]))


def trace(forward, x):
    return np.trace(_jacobian(forward, x), axis1=1, axis2=2)


def the_sign_comes_first(forward, x):
    return np.linalg.slogdet(_jacobian(forward, x))[0]


def of_the_batch(forward, x):
    return np.linalg.slogdet(_jacobian(forward, x))[1].sum()


# -- 13.2 -------------------------------------------------------------------------------------------------------------


def _cut(x):
    half = x.shape[1] // 2
    return x[:, :half], x[:, half:]


def same_sign_back(x, network, back):
    a, b = _cut(x)
    s, t = network(a)
    return np.hstack([a, (b - t) / np.exp(s) if back else b * np.exp(s) + t]), s.sum(1)


def wrong_order_back(x, network, back):
    a, b = _cut(x)
    s, t = network(a)
    if back:
        return np.hstack([a, b * np.exp(-s) - t]), -s.sum(1)
    return np.hstack([a, b * np.exp(s) + t]), s.sum(1)


def scale_not_exponentiated(x, network, back):
    a, b = _cut(x)
    s, t = network(a)
    if back:
        return np.hstack([a, (b - t) / s]), -s.sum(1)
    return np.hstack([a, s * b + t]), s.sum(1)


def asks_about_the_moved_half(x, network, back):
    a, b = _cut(x)
    s, t = network(b) if back else network(a)
    if back:
        return np.hstack([a, (b - t) * np.exp(-s)]), -s.sum(1)
    return np.hstack([a, b * np.exp(s) + t]), s.sum(1)


def adds_the_stretches(x, network, back):
    a, b = _cut(x)
    s, t = network(a)
    e = np.exp(s)
    if back:
        return np.hstack([a, (b - t) / e]), -e.sum(1)
    return np.hstack([a, b * e + t]), e.sum(1)


def one_per_number(x, network, back):
    a, b = _cut(x)
    s, t = network(a)
    if back:
        return np.hstack([a, (b - t) * np.exp(-s)]), -s
    return np.hstack([a, b * np.exp(s) + t]), s


def only_z(x, network, back):
    a, b = _cut(x)
    s, t = network(a)
    return np.hstack([a, (b - t) * np.exp(-s) if back else b * np.exp(s) + t])


# -- 13.3 -------------------------------------------------------------------------------------------------------------


def _points(side):
    a, b = np.meshgrid(side, side)
    return np.stack([a.ravel(), b.ravel()], axis=1)


def no_area(log_prob, low, high, n):
    h = (high - low) / n
    return np.exp(log_prob(_points(low + h / 2 + h * np.arange(n)))).sum()


def one_side_only(log_prob, low, high, n):
    h = (high - low) / n
    return np.exp(log_prob(_points(low + h / 2 + h * np.arange(n)))).sum() * h


def mean_density(log_prob, low, high, n):
    h = (high - low) / n
    return np.exp(log_prob(_points(low + h / 2 + h * np.arange(n)))).mean()


def sum_of_logs(log_prob, low, high, n):
    h = (high - low) / n
    return log_prob(_points(low + h / 2 + h * np.arange(n))).sum() * h**2


def edges(log_prob, low, high, n):
    side = np.linspace(low, high, n)
    return np.exp(log_prob(_points(side))).sum() * (side[1] - side[0]) ** 2


def left_edges(log_prob, low, high, n):
    h = (high - low) / n
    return np.exp(log_prob(_points(low + h * np.arange(n)))).sum() * h**2


def along_the_diagonal(log_prob, low, high, n):
    h = (high - low) / n
    side = low + h / 2 + h * np.arange(n)
    return np.exp(log_prob(np.stack([side, side], axis=1))).sum() * h**2


# -- 13.4 -------------------------------------------------------------------------------------------------------------


def _values(log_p, levels, n, reach=1.0):
    u = (np.arange(n) + 0.5) / n * reach
    return np.array([log_p(k + u) for k in range(levels)])


def changed_places(log_p, levels, n):
    v = _values(log_p, levels, n)
    return v.mean(axis=1), np.log(np.exp(v).mean(axis=1))


def half_a_bin(log_p, levels, n):
    v = _values(log_p, levels, n, 0.5)
    return np.log(np.exp(v).mean(axis=1)), v.mean(axis=1)


def probability_itself(log_p, levels, n):
    v = _values(log_p, levels, n)
    return np.exp(v).mean(axis=1), v.mean(axis=1)


def sums(log_p, levels, n):
    v = _values(log_p, levels, n)
    return np.log(np.exp(v).sum(axis=1)), v.sum(axis=1)


def twice_the_bound(log_p, levels, n):
    v = _values(log_p, levels, n)
    return v.mean(axis=1), v.mean(axis=1)


def twice_exact(log_p, levels, n):
    v = np.log(np.exp(_values(log_p, levels, n)).mean(axis=1))
    return v, v


def one_result(log_p, levels, n):
    return _values(log_p, levels, n).mean(axis=1)


# -- 13.5 -------------------------------------------------------------------------------------------------------------


def _line(x, t, m, s):
    return (t - (1 - t) * s**2) / ((1 - t) ** 2 * s**2 + t**2)


def mean_forgotten(x, t, m, s):
    return _line(x, t, m, s) * (x - (1 - t) * m)


def not_centred(x, t, m, s):
    return -m + _line(x, t, m, s) * x


def deviation_for_variance(x, t, m, s):
    return -m + (t - (1 - t) * s) / ((1 - t) ** 2 * s + t**2) * (x - (1 - t) * m)


def plus_for_minus(x, t, m, s):
    return -m + (t + (1 - t) * s**2) / ((1 - t) ** 2 * s**2 + t**2) * (x - (1 - t) * m)


def factors_not_squared(x, t, m, s):
    return -m + (t - (1 - t) * s**2) / ((1 - t) * s**2 + t) * (x - (1 - t) * m)


def only_the_noise(x, t, m, s):
    return t / ((1 - t) ** 2 * s**2 + t**2) * (x - (1 - t) * m)


def from_noise_to_data(x, t, m, s):
    return m - _line(x, t, m, s) * (x - (1 - t) * m)


def other_clock(x, t, m, s):
    t = 1 - t
    return -m + _line(x, t, m, s) * (x - (1 - t) * m)


def data_known(x, t, m, s):
    return (x - m) / t


# -- 13.6 -------------------------------------------------------------------------------------------------------------


def edm(network, y, ratio, lowest, size):
    r = ratio[:, None]
    root = np.sqrt(r**2 + size**2)
    return size**2 / root**2 * y + size * r / root * network(y / root, ratio)


def skip_without_the_border(network, y, ratio, lowest, size):
    r = ratio[:, None]
    root = np.sqrt(r**2 + size**2)
    return size**2 / root**2 * y + size * (r - lowest) / root * network(y / root, ratio)


def out_without_the_border(network, y, ratio, lowest, size):
    r = ratio[:, None]
    root = np.sqrt(r**2 + size**2)
    return size**2 / ((r - lowest) ** 2 + size**2) * y + size * r / root * network(y / root, ratio)


def sees_y(network, y, ratio, lowest, size):
    r = ratio[:, None]
    root = np.sqrt(r**2 + size**2)
    return size**2 / ((r - lowest) ** 2 + size**2) * y + size * (r - lowest) / root * network(y, ratio)


def network_alone(network, y, ratio, lowest, size):
    return network(y / np.sqrt(ratio[:, None] ** 2 + size**2), ratio)


def size_one(network, y, ratio, lowest, size):
    r = ratio[:, None] - lowest
    root = np.sqrt(ratio[:, None] ** 2 + 1)
    return y / (r**2 + 1) + r / root * network(y / root, ratio)


# -- 13.7 -------------------------------------------------------------------------------------------------------------


def _polar(x):
    return np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])


def _home(z):
    r, angle = 1 + 0.1 * z[:, 0], np.pi / 2 + 0.9 * z[:, 1]
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)


def _there(x):
    r, angle = _polar(x)
    z = np.stack([(r - 1) / 0.1, (angle - np.pi / 2) / 0.9], axis=1)
    return z, -np.log(r) - np.log(0.1) - np.log(0.9)


def nothing_done():
    return (lambda x: (x, np.zeros(len(x)))), (lambda z: z)


def area_of_polar_forgotten():
    return (lambda x: (_there(x)[0], np.full(len(x), -np.log(0.09)))), _home


def not_the_inverse():
    return _there, (lambda z: _home(-z))


def only_scaled():
    def forward(x):
        return (x - [0.0, 0.64]) / [0.71, 0.32], np.full(len(x), -np.log(0.71 * 0.32))

    return forward, lambda z: z * [0.71, 0.32] + [0.0, 0.64]


def not_scaled():
    def forward(x):
        r, angle = _polar(x)
        return np.stack([r, angle], axis=1), -np.log(r)

    return forward, lambda z: np.stack([z[:, 0] * np.cos(z[:, 1]), z[:, 0] * np.sin(z[:, 1])], axis=1)


def one_function():
    return _there


def one_log_det():
    return (lambda x: (_there(x)[0], _there(x)[1].sum())), _home


WRONG = {
    "13.1": [
        (determinant, "That is the determinant"),
        (no_logarithm, "That is |det|"),
        (log_of_a_negative, "may turn space over"),
        (diagonal_only, "of a *triangular* matrix only"),
        (trace, "That is the trace"),
        (the_sign_comes_first, "you returned the sign"),
        (of_the_batch, "you added them up"),
    ],
    "13.2": [
        (same_sign_back, "changes its sign"),
        (wrong_order_back, "first subtract t"),
        (scale_not_exponentiated, "The stretch is e^s"),
        (asks_about_the_moved_half, "the half that was kept"),
        (adds_the_stretches, "not of e^s"),
        (one_per_number, "one number per example"),
        (only_z, "Wanted are two arrays"),
    ],
    "13.3": [
        (no_area, "you added up densities only"),
        (one_side_only, "its area is h², not h"),
        (mean_density, "That is the mean density"),
        (sum_of_logs, "You added up log p"),
        (edges, "begins and ends at the edges"),
        (left_edges, "You took the left edges"),
        (along_the_diagonal, "the points of the diagonal"),
    ],
    "13.4": [
        (changed_places, "have changed places"),
        (half_a_bin, "half of the bin"),
        (probability_itself, "wanted is log P"),
        (sums, "you took sums"),
        (twice_the_bound, "Both of yours are the bound"),
        (twice_exact, "Both of yours are the exact one"),
        (one_result, "Wanted are two arrays"),
    ],
    "13.5": [
        (mean_forgotten, "you left it out"),
        (not_centred, "subtract (1 − t) m from x"),
        (deviation_for_variance, "s² where you have s"),
        (plus_for_minus, "the data's part is negative"),
        (factors_not_squared, "with *squared* factors"),
        (only_the_noise, "That is E[ε | x_t]"),
        (from_noise_to_data, "Yours goes from noise to data"),
        (other_clock, "In your path t = 1 is the data"),
        (data_known, "if x₀ were m for certain"),
    ],
    "13.6": [
        (edm, "At ς_min your f is not y"),
        (skip_without_the_border, "so that it is 1 at ς_min"),
        (out_without_the_border, "so that it is 0 at ς_min"),
        (sees_y, "you showed it y"),
        (network_alone, "the network alone"),
        (size_one, "You took σ_d = 1"),
    ],
    "13.7": [
        (nothing_done, "Shift and scale"),
        (area_of_polar_forgotten, "log_det is not that of your map"),
        (not_the_inverse, "is not x"),
        (only_scaled, "straighten the bow first"),
        (not_scaled, "Shift and scale"),
        (one_function, "Wanted are two functions"),
        (one_log_det, "wanted are"),
    ],
}
