"""The hidden Markov model: a mixture whose latent variable remembers, fitted by the same bound as the Gaussian mixture.

A sequence x_1 … x_T of symbols is made by a state z_t that walks among K states; each state has its own die:

    p(x, z) = π_{z_1} E_{z_1 x_1} ∏_{t>1} A_{z_{t−1} z_t} E_{z_t x_t}.                                  (4.10)

The sum over z has Kᵀ terms. It is done in T K² steps by going forward: let α_t(k) = p(z_t = k | x_1 … x_t). Then

    α_t(k) = E_{k x_t} Σ_j α_{t−1}(j) A_jk / c_t,     c_t = p(x_t | x_1 … x_{t−1}) = Σ_k (numerator),     (4.11)
    log p(x) = Σ_t log c_t.

Dividing by c_t at every step keeps the numbers near 1; without it they would underflow after some hundred symbols.
Going backward, β_t(k) = p(x_{t+1} … x_T | z_t = k) / (c_{t+1} ⋯ c_T), with β_T = 1:

    β_t(j) = Σ_k A_jk E_{k x_{t+1}} β_{t+1}(k) / c_{t+1}.                                             (4.12)

E step: F = log p where q is the posterior, (4.2). M needs only two of its margins,

    γ_t(k) = p(z_t = k | x) = α_t(k) β_t(k),
    ξ_t(j, k) = p(z_{t−1} = j, z_t = k | x) = α_{t−1}(j) A_jk E_{k x_t} β_t(k) / c_t,                  (4.13)

because log p(x, z) is a sum over visits and moves. M step: each row becomes the expected counts, divided by their sum:

    π_k ∝ Σ γ_1(k),     A_jk ∝ Σ_{t>1} ξ_t(j, k),     E_kv ∝ Σ_{t: x_t = v} γ_t(k).                     (4.14)

With Q(θ) = E_q log p_θ(x, z): log p_new − log p_old ≥ Q(new) − Q(old) ≥ 0, so the likelihood cannot fall. The most
probable path is found like (4.11), with the largest term in place of the sum, and the way back remembered (Viterbi):

    δ_t(k) = log E_{k x_t} + max_j [δ_{t−1}(j) + log A_jk].                                           (4.15)

Sources: Baum, Petrie, Soules & Weiss 1970; Rabiner 1989, doi 10.1109/5.18626; Viterbi 1967. Differs: α and β are
normalised by c_t as in Rabiner's section V.A; a state that no sequence visits keeps its row.
"""

from typing import NamedTuple

import numpy as np

from minigen.errors import DataError, ShapeError, TrainingError


class Counts(NamedTuple):
    """What the E step found: how often, on average over the posterior and summed over the sequences."""

    log_prob: np.ndarray  # (B,), log p(x) of each sequence, nats
    first: np.ndarray  # (K,), starts in each state
    moves: np.ndarray  # (K, K), moves from row to column
    symbols: np.ndarray  # (K, V), symbols written in each state


class HMM:
    """A hidden Markov model with categorical emissions, (4.10), on float64 arrays.

    states:      K
    symbols:     V: sequences hold whole numbers 0 … V − 1
    Attributes:  initial π (K,), transition A (K, K), emission E (K, V); each row sums to 1. None before `start` or
                 `fit`, and yours to set.
    """

    def __init__(self, states, symbols):
        if states < 1 or symbols < 1:
            raise DataError(f"HMM: {states} states and {symbols} symbols; expected at least one of each")
        self.states, self.symbols = states, symbols
        self.initial = self.transition = self.emission = None

    # -- fitting ------------------------------------------------------------------------------------------------

    def start(self, *, rng):
        """Random rows, each uniform over all probability vectors."""
        self.initial = rng.dirichlet(np.ones(self.states))
        self.transition = rng.dirichlet(np.ones(self.states), self.states)
        self.emission = rng.dirichlet(np.ones(self.symbols), self.states)
        return self

    def fit(self, x, *, rng=None, steps=200, tol=1e-6, start="random", restarts=1):
        """Baum–Welch until a step brings less than `tol` nats per sequence, or for `steps` steps.

        Returns the history: the mean log-likelihood per sequence (nats) before each step and, last, that of the result.

        start:     "random", or "current" to go on from the parameters as they are
        restarts:  how many random starts; the best end is kept
        Shapes:    x (B, T)
        Raises:    TrainingError if a step lowers the likelihood; DataError if a sequence is impossible.
        """
        if start not in ("random", "current") or (start == "random" and rng is None) or steps < 1 or restarts < 1:
            raise TrainingError(f"HMM.fit: start={start!r}, rng={rng}, steps={steps}, restarts={restarts}; expected "
                                'start="random" with an rng or start="current", and at least 1 of each')
        best, kept = None, None
        for _ in range(restarts if start == "random" else 1):
            if start == "random":
                self.start(rng=rng)
            history = []
            while len(history) < steps:
                history.append(self.step(x))
                if len(history) > 1:
                    _check_ascent(*history[-2:])
                    if history[-1] - history[-2] < tol:
                        break
            history.append(float(self.log_prob(x).mean()))
            _check_ascent(*history[-2:])
            if best is None or history[-1] > best[-1]:
                best, kept = history, self.state_dict()
        self.load_state_dict(kept)
        return best

    def step(self, x):
        """One E step and one M step. Returns the mean log-likelihood per sequence (nats) *before* it."""
        counts = self.e_step(x)
        self.m_step(counts)
        return float(counts.log_prob.mean())

    def e_step(self, x):
        """Expected counts under the posterior, (4.13).   Shapes: x (B, T) → Counts

        Raises:   DataError if a sequence has probability 0: then it has no posterior.
        """
        x = self._sequences("HMM.e_step", x)
        alpha, c = self._forward(x)
        _refuse_impossible("HMM.e_step", c)
        beta = self._backward(x, c)
        gamma = alpha * beta  # (T, B, K)
        moves = np.zeros_like(self.transition)
        for t in range(1, x.shape[1]):
            moves += alpha[t - 1].T @ (self.emission.T[x[:, t]] * beta[t] / c[t][:, None])
        moves *= self.transition
        flat = x.T.ravel()  # in the order of gamma
        symbols = [np.bincount(flat, gamma[:, :, k].ravel(), self.symbols) for k in range(self.states)]
        return Counts(np.log(c).sum(0), gamma[0].sum(0), moves, np.array(symbols))

    def m_step(self, counts):
        """Rows proportional to the expected counts, (4.14)."""
        self.initial = counts.first / counts.first.sum()
        self.transition = _rows(counts.moves, self.transition)
        self.emission = _rows(counts.symbols, self.emission)

    def expected_log_joint(self, counts):
        """Q(θ) = E_q log p_θ(x, z), summed over the sequences, in nats, from the counts under q."""
        pairs = ((counts.first, self.initial), (counts.moves, self.transition), (counts.symbols, self.emission))
        return float(sum((n * _log(np.where(n > 0, p, 1))).sum() for n, p in pairs))  # 0 log 0 = 0

    # -- questions to the model -------------------------------------------------------------------------------------

    def log_prob(self, x):
        """log p(x), (4.11), in nats; −∞ for an impossible sequence.   Shapes: x (B, T) → (B,)"""
        return _log(self._forward(self._sequences("HMM.log_prob", x))[1]).sum(0)

    def posterior(self, x):
        """p(z_t = k | x), (4.13).   Shapes: x (B, T) → (B, T, K)"""
        x = self._sequences("HMM.posterior", x)
        alpha, c = self._forward(x)
        _refuse_impossible("HMM.posterior", c)
        return np.swapaxes(alpha * self._backward(x, c), 0, 1)

    def viterbi(self, x):
        """The most probable path of states, (4.15), and log p(x, path) in nats.   Shapes: x (B, T) → (B, T), (B,)"""
        x = self._sequences("HMM.viterbi", x)
        size, length = x.shape
        log_a, log_e = _log(self.transition), _log(self.emission).T
        delta = _log(self.initial) + log_e[x[:, 0]]  # (B, K)
        came_from = np.zeros((length, size, self.states), dtype=np.int64)
        for t in range(1, length):
            ways = delta[:, :, None] + log_a  # (B, from, to)
            came_from[t] = ways.argmax(1)
            delta = ways.max(1) + log_e[x[:, t]]
        path = np.empty((size, length), dtype=np.int64)
        path[:, -1] = delta.argmax(1)
        for t in range(length - 1, 0, -1):
            path[:, t - 1] = came_from[t, np.arange(size), path[:, t]]
        return path, delta.max(1)

    def sample(self, n, length, *, rng, with_states=False):
        """n sequences of whole numbers; with_states also gives the states.   Shapes: → (n, T), or (n, T), (n, T)"""
        self._check("HMM.sample")
        z = np.empty((n, length), dtype=np.int64)
        for t in range(length):
            z[:, t] = _draw(np.tile(self.initial, (n, 1)) if t == 0 else self.transition[z[:, t - 1]], rng)
        x = _draw(self.emission[z.ravel()], rng).reshape(n, length)
        return (x, z) if with_states else x

    def state_dict(self):
        """The parameters by name, for checkpoints."""
        return {"initial": self.initial, "transition": self.transition, "emission": self.emission}

    def load_state_dict(self, state):
        """Take the parameters of a `state_dict`."""
        self.initial, self.transition, self.emission = (state[k] for k in ("initial", "transition", "emission"))

    # -- the two passes -----------------------------------------------------------------------------------------------

    def _forward(self, x):
        """α and c of (4.11), time first.   Shapes: x (B, T) → (T, B, K), (T, B)"""
        size, length = x.shape
        alpha, c = np.empty((length, size, self.states)), np.empty((length, size))
        for t in range(length):
            ahead = self.initial if t == 0 else alpha[t - 1] @ self.transition
            joint = ahead * self.emission.T[x[:, t]]  # (B, K)
            c[t] = joint.sum(1)
            alpha[t] = joint / np.where(c[t] > 0, c[t], 1)[:, None]  # once impossible, 0 to the end
        return alpha, c

    def _backward(self, x, c):
        """β of (4.12), time first.   Shapes: x (B, T), c (T, B) → (T, B, K)"""
        beta = np.ones((*c.shape, self.states))
        for t in range(len(c) - 1, 0, -1):
            beta[t - 1] = (self.emission.T[x[:, t]] * beta[t] / c[t][:, None]) @ self.transition.T
        return beta

    def _sequences(self, name, x):
        """x as whole numbers of shape (B, T), all known symbols."""
        self._check(name)
        x = np.asarray(x)
        if x.ndim != 2 or 0 in x.shape:
            raise ShapeError(f"{name}: x has shape {x.shape}; expected (B, T), at least one sequence of one symbol")
        if x.dtype.kind not in "iu" or x.min() < 0 or x.max() >= self.symbols:
            raise DataError(f"{name}: x holds {x.dtype} from {x.min()} to {x.max()}; expected whole numbers "
                            f"0 … {self.symbols - 1}")
        return x

    def _check(self, name):
        """Raise unless the parameters are there and fit together."""
        if self.initial is None:
            raise TrainingError(f"{name}: no parameters yet; call start(rng=…) or fit(x, rng=…), or set them")
        k = self.states
        for label, rows, shape in (("initial", self.initial, (k,)), ("transition", self.transition, (k, k)),
                                   ("emission", self.emission, (k, self.symbols))):  # fmt: skip
            if np.shape(rows) != shape:
                raise ShapeError(f"{name}: {label} has shape {np.shape(rows)}; expected {shape}")
            if not (np.min(rows) >= 0 and np.allclose(np.sum(rows, -1), 1)):
                raise DataError(f"{name}: {label} is {rows}; expected probabilities, rows that sum to 1")


def _rows(counts, before):
    """Each row divided by its sum; a row without counts stays as it was."""
    total = counts.sum(1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1), before)


def _draw(p, rng):
    """One index for each row of probabilities.   Shapes: (n, K) → (n,)"""
    return (rng.random((len(p), 1)) > np.cumsum(p, 1)[:, :-1]).sum(1)


def _log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


def _refuse_impossible(name, c):
    impossible = (c <= 0).any(0)
    if impossible.any():
        raise DataError(f"{name}: sequence {int(np.argmax(impossible))} has probability 0 under the model, so it has "
                        "no posterior; expected possible sequences (a parameter that is 0 stays 0 in EM)")


def _check_ascent(before, after):
    if not after >= before - 1e-9 * (1 + abs(before)):
        raise TrainingError(f"HMM: the mean log-likelihood fell from {before:.12g} to {after:.12g} nats in one EM step")
