"""Probability distributions: densities, samples, entropies, and the distances between them.

Read in this order: base.py (what all share), continuous.py (Normal, Laplace, Uniform), discrete.py (Bernoulli,
Categorical), mixture.py, discretized_logistic.py (pixels), kl.py (Kullback–Leibler divergences), noised_mixture.py (a
mixture under noise with all that is known about it: the oracle for scores and diffusions).
"""

from minigen.distributions.base import Distribution
from minigen.distributions.continuous import Laplace, Normal, Uniform
from minigen.distributions.discrete import Bernoulli, Categorical
from minigen.distributions.discretized_logistic import DiscretizedLogistic, DiscretizedLogisticMixture
from minigen.distributions.kl import kl_divergence, kl_standard_normal, register_kl
from minigen.distributions.mixture import MixtureSameFamily

__all__ = [
    "Bernoulli", "Categorical", "DiscretizedLogistic", "DiscretizedLogisticMixture", "Distribution", "Laplace",
    "MixtureSameFamily", "Normal", "Uniform", "kl_divergence", "kl_standard_normal", "register_kl",
]  # fmt: skip
