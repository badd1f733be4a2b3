"""A VAE that is linear throughout, and its optimum in closed form (lesson 05, section 10).

Decoder and encoder of such a VAE are one linear layer each. Its true posterior is Gaussian with a mean linear in x and
a covariance that is the same for every x, so the encoder can match it exactly, and the best ELBO equals the likelihood
of probabilistic PCA, which `ppca` maximises without any training.
"""

import numpy as np

import minigen as mg
from minigen import nn
from minigen.models.ppca import ppca
from minigen.nn.module import parameter

__all__ = ["LinearDecoder", "LinearEncoder", "ppca"]


class LinearEncoder(nn.Module):
    """q(z|x) = N(A x + a, diag s²): the variances are the same for every x, as in the true posterior.

    Shapes:   x (B, D) → (B, 2L), means and log-variances side by side
    """

    def __init__(self, width, latent, *, rng):
        self.mean = nn.Linear(width, latent, rng=rng)
        self.log_var = parameter(np.zeros(latent))

    def forward(self, x):
        mean = self.mean(x)
        return mg.concatenate((mean, 0 * mean + self.log_var), dim=1)


class LinearDecoder(nn.Module):
    """p(x|z) = N(W z + m, σ² I), with one σ² for all directions.   Shapes: z (B, L) → (B, 2, D)"""

    def __init__(self, width, latent, *, rng):
        self.mean = nn.Linear(latent, width, rng=rng)
        self.log_var = parameter(np.zeros(1))  # one number for all; parameters are arrays

    def forward(self, z):
        mean = self.mean(z)
        return mg.stack((mean, 0 * mean + self.log_var), dim=1)
