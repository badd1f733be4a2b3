"""What learners typically write, as they would write it, and a phrase that the feedback must contain."""

import numpy as np

import minigen as mg

# -- 08.1 -------------------------------------------------------------------------------------------------------------


def probability_of_forged(log_p, log_q):
    return 1 / (1 + np.exp(log_p - log_q))


def the_logit(log_p, log_q):
    return log_p - log_q


def logarithms_divided(log_p, log_q):
    return log_p / (log_p + log_q)


def with_densities(log_p, log_q):
    p, q = np.exp(log_p), np.exp(log_q)
    with np.errstate(invalid="ignore", over="ignore"):
        return p / (p + q)


def the_ratio(log_p, log_q):
    return np.exp(log_p - log_q)


# -- 08.2 -------------------------------------------------------------------------------------------------------------


def _nearest(samples, means):
    distances = np.sqrt(((samples[:, None, :] - means[None]) ** 2).sum(-1))
    return distances.argmin(1), distances.min(1)


def _kl(counts):
    q = counts / counts.sum()
    q = q[q > 0]
    return np.sum(q * np.log(q * len(counts)))


def captured_by_anything(samples, means, sigma):
    k, d = _nearest(samples, means)
    return len(set(k)), np.mean(d <= 3 * sigma), _kl(np.bincount(k, minlength=len(means)))


def within_one_sigma(samples, means, sigma):
    k, d = _nearest(samples, means)
    good = d <= sigma
    return len(set(k[good])), good.mean(), _kl(np.bincount(k, minlength=len(means)))


def within_three(samples, means, sigma):
    k, d = _nearest(samples, means)
    good = d <= 3
    return len(set(k[good])), good.mean(), _kl(np.bincount(k, minlength=len(means)))


def shares_of_good_ones(samples, means, sigma):
    k, d = _nearest(samples, means)
    good = d <= 3 * sigma
    return len(set(k[good])), good.mean(), _kl(np.bincount(k[good], minlength=len(means)))


def forward_kl(samples, means, sigma):
    k, d = _nearest(samples, means)
    q = np.bincount(k, minlength=len(means)) / len(k)
    with np.errstate(divide="ignore"):
        kl = -np.mean(np.log(q * len(means)))
    return len(set(k[d <= 3 * sigma])), np.mean(d <= 3 * sigma), kl


def nan_for_missing_modes(samples, means, sigma):
    k, d = _nearest(samples, means)
    q = np.bincount(k, minlength=len(means)) / len(k)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.sum(q * np.log(q * len(means)))
    return len(set(k[d <= 3 * sigma])), np.mean(d <= 3 * sigma), kl


def only_the_modes(samples, means, sigma):
    k, d = _nearest(samples, means)
    return len(set(k[d <= 3 * sigma]))


# -- 08.3 -------------------------------------------------------------------------------------------------------------


def _sigmoid(u):
    return 1 / (1 + np.exp(-u))


def _walk(steps, rate, move, start=True):
    theta = psi = 1.0
    path = [(theta, psi)] if start else []
    for _ in range(steps):
        theta, psi = move(theta, psi, rate)
        path.append((theta, psi))
    return np.array(path).reshape(-1, 2)


def new_theta_used(steps, rate, gamma):
    theta, psi = 1.0, 1.0
    path = [(theta, psi)]
    for _ in range(steps):
        theta += rate * psi * _sigmoid(psi * theta)
        psi += rate * (-theta * _sigmoid(psi * theta) - gamma * psi)
        path.append((theta, psi))
    return np.array(path)


def start_forgotten(steps, rate, gamma):
    def move(t, p, h):
        s = _sigmoid(t * p)
        return t + h * p * s, p + h * (-t * s - gamma * p)

    return _walk(steps, rate, move, start=False)


def penalty_with_plus(steps, rate, gamma):
    def move(t, p, h):
        s = _sigmoid(t * p)
        return t + h * p * s, p - h * (t * s - gamma * p)

    return _walk(steps, rate, move)


def without_penalty(steps, rate, gamma):
    return _walk(steps, rate, lambda t, p, h: (t + h * p * _sigmoid(t * p), p - h * t * _sigmoid(t * p)))


def half_gamma(steps, rate, gamma):
    def move(t, p, h):
        s = _sigmoid(t * p)
        return t + h * p * s, p - h * t * s - h * gamma / 2 * p

    return _walk(steps, rate, move)


def without_sigmoid(steps, rate, gamma):
    return _walk(steps, rate, lambda t, p, h: (t + h * p, p - h * t - h * gamma * p))


# -- 08.4 -------------------------------------------------------------------------------------------------------------


def _game(gamma):
    return np.array([[0, 0.5], [-0.5, -gamma]])


def of_the_flow(rate, gamma):
    return np.max(np.abs(np.linalg.eigvals(_game(gamma))))


def real_part(rate, gamma):
    return np.linalg.eigvals(np.eye(2) + rate * _game(gamma)).real.max()


def the_smaller_one(rate, gamma):
    return np.abs(np.linalg.eigvals(np.eye(2) + rate * _game(gamma))).min()


def closed_form_everywhere(rate, gamma):
    return np.sqrt(abs(1 - rate * gamma + rate**2 / 4))


def gamma_without_rate(rate, gamma):
    return np.abs(np.linalg.eigvals(np.array([[1, rate / 2], [-rate / 2, 1 - gamma]]))).max()


# -- 08.5 -------------------------------------------------------------------------------------------------------------


def _slope(critic, real, fake, share, create_graph=True):
    x = mg.tensor(share * real + (1 - share) * fake, requires_grad=True)
    return mg.grad(critic(x).sum(), x, create_graph=create_graph)[0]


def graph_forgotten(critic, real, fake, share):
    g = _slope(critic, real, fake, share, create_graph=False)
    return (mg.sqrt((g**2).sum(1)) - 1) ** 2


def share_exchanged(critic, real, fake, share):
    return (mg.sqrt((_slope(critic, fake, real, share) ** 2).sum(1)) - 1) ** 2


def square_of_the_length(critic, real, fake, share):
    return ((_slope(critic, real, fake, share) ** 2).sum(1) - 1) ** 2


def length_alone(critic, real, fake, share):
    return (_slope(critic, real, fake, share) ** 2).sum(1)


def not_squared(critic, real, fake, share):
    return mg.sqrt((_slope(critic, real, fake, share) ** 2).sum(1)) - 1


def averaged(critic, real, fake, share):
    return ((mg.sqrt((_slope(critic, real, fake, share) ** 2).sum(1)) - 1) ** 2).mean()


def an_array(critic, real, fake, share):
    return ((np.sqrt((_slope(critic, real, fake, share).data ** 2).sum(1))) - 1) ** 2


# -- 08.6 -------------------------------------------------------------------------------------------------------------


def of_single_draws(p, q, m):
    return 0.5 * np.abs(p - q).sum()


def without_half(p, q, m):
    a, b = np.ones(1), np.ones(1)
    for _ in range(m):
        a, b = np.outer(a, p).ravel(), np.outer(b, q).ravel()
    return np.abs(a - b).sum()


def elementwise_powers(p, q, m):
    return 0.5 * np.abs(p**m - q**m).sum()


def the_formula_for_a_collapse(p, q, m):
    return 1 - (1 - 0.5 * np.abs(p - q).sum()) ** m


def m_times(p, q, m):
    return m * np.abs(p - q).sum() / 2


# -- 08.7 -------------------------------------------------------------------------------------------------------------


def a_name_only():
    return "relativistic"


def unknown_setting():
    return {"r1": 0.1, "gradient_penalty": 10}


def unknown_objective():
    return {"objective": "minimax"}


def negative_penalty():
    return {"r1": -1.0}


def packs_that_do_not_fit():
    return {"packing": 3}


WRONG = {
    "08.1": [
        (probability_of_forged, "the probability of being forged"),
        (the_logit, "That is the logit"),
        (logarithms_divided, "You divided the logarithms"),
        (with_densities, "0/0 is nan"),
        (the_ratio, "That is the ratio p/q"),
    ],
    "08.2": [
        (captured_by_anything, "only if a sample of high quality"),
        (within_one_sigma, "not within σ"),
        (within_three, "compare the distance with 3; it is 3σ"),
        (shares_of_good_ones, "counts all samples"),
        (forward_kl, "That is the forward KL"),
        (nan_for_missing_modes, "0 · log 0 counts as 0"),
        (only_the_modes, "wanted 3: modes captured"),
    ],
    "08.3": [
        (new_theta_used, "that is taking turns"),
        (start_forgotten, "begins with the start"),
        (penalty_with_plus, "R1 has the wrong sign"),
        (without_penalty, "R1 is missing"),
        (half_gamma, "the ½ is used up"),
        (without_sigmoid, "that is the Wasserstein game"),
    ],
    "08.4": [
        (of_the_flow, "eigenvalues of J; one step multiplies by I + hJ"),
        (real_part, "You took the real part"),
        (the_smaller_one, "The smaller eigenvalue dies out first"),
        (closed_form_everywhere, "That is √det"),
        (gamma_without_rate, "γ enters a step times the rate"),
    ],
    "08.5": [
        (graph_forgotten, "create_graph=True"),
        (share_exchanged, "ε is the share of the real sample"),
        (square_of_the_length, "not its square"),
        (length_alone, "its distance from 1, squared"),
        (not_squared, "negative, a reward"),
        (averaged, "You average over the examples"),
        (an_array, "shall be part of a loss"),
    ],
    "08.6": [
        (of_single_draws, "the distance of single draws"),
        (without_half, "The ½ is missing"),
        (elementwise_powers, "a pack need not hold m times the same"),
        (the_formula_for_a_collapse, "holds where q is p cut off"),
        (m_times, "is a bound on it"),
    ],
    "08.7": [
        (a_name_only, "wanted a dict of settings"),
        (unknown_setting, "There is no setting 'gradient_penalty'"),
        (unknown_objective, "There is no objective 'minimax'"),
        (negative_penalty, "wanted a number of at least 0"),
        (packs_that_do_not_fit, "packs of 1, 2, 4 or 8"),
    ],
}
