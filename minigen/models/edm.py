"""EDM: what a network should be given, and what it should be asked, at each level of noise.

Let y = x₀ + σ n be noised data, with data of standard deviation σ_d. A network F learns best if what it is given and
what it must say are of size 1, whatever σ. So let it see c_in y, and build the denoised guess D from y and F:

    D(y; σ) = c_skip y + c_out F(c_in y; c_noise).                                                    (11.33)

*Given:* Var(y) = σ_d² + σ², so c_in = 1/√(σ_d² + σ²).                                                 (11.34)

*Asked:* the squared error |D − x₀|² = c_out² |F − (x₀ − c_skip y)/c_out|², so F's target has the variance
((1 − c_skip)² σ_d² + c_skip² σ²)/c_out². It is to be 1, and c_out, which magnifies F's mistakes, as small as can be.
The numerator is a parabola in c_skip, least at

    c_skip = σ_d²/(σ_d² + σ²),      where it is      c_out² = σ_d² σ²/(σ_d² + σ²).                     (11.35)

Little noise: keep y, and F says the noise (with a minus). Much noise: forget y, and F says the image. F's target is
(σ x₀ − σ_d² n)/(σ_d √(σ_d² + σ²)): for σ_d = 1 that is −v of (11.7), with α = 1/√(1 + σ²).

*Weighted:* with λ(σ) = 1/c_out² the loss is |F − target|², 1 at every σ for a network that says 0:

    L = E_σ λ(σ) |D(x₀ + σ n; σ) − x₀|²,      log σ ~ N(P_mean, P_std²),                               (11.36)

and the training spends its time on the levels where something can be learnt. c_noise = ¼ log σ.      (11.37)

Source: Karras, Aittala, Aila & Laine 2022, arXiv:2206.00364, table 1, equations 7 and 8, appendix B.6. Differs:
the loss is averaged over the numbers of one example, and per example.
"""

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import MinigenError, ShapeError
from minigen.nn.time import per_example


class EDM(nn.Module):
    """A preconditioned denoiser.

    network:        (c_in y (B, C, …), c_noise (B,)) → (B, C, …); with classes a third argument, as in `Diffusion`
    schedule:       for `predictor` and the samplers: `schedules.Growing()`, or another with α = 1 or α² + σ² = 1
    sigma_data:     σ_d
    p_mean, p_std:  of log σ in training, (11.36)
    drop_labels:    how often the class is withheld in training
    """

    def __init__(self, network, schedule, *, sigma_data=0.5, p_mean=-1.2, p_std=1.2, drop_labels=0.0):
        if not (sigma_data > 0 and p_std > 0):
            raise MinigenError(f"EDM: sigma_data={sigma_data}, p_std={p_std}; expected positive numbers")
        if drop_labels and getattr(network, "classes", None) is None:
            raise MinigenError(f"EDM: drop_labels={drop_labels} needs a network with classes")
        self.network, self.schedule, self.sigma_data = network, schedule, sigma_data
        self.p_mean, self.p_std, self.drop_labels = p_mean, p_std, drop_labels

    def coefficients(self, sigma):
        """c_skip, c_out, c_in and c_noise of (11.34), (11.35), (11.37).   Shapes: (B,) → four of (B,)"""
        sigma = np.asarray(sigma, dtype=np.float64)
        variance = sigma**2 + self.sigma_data**2
        c_out = sigma * self.sigma_data / np.sqrt(variance)
        return self.sigma_data**2 / variance, c_out, 1 / np.sqrt(variance), np.log(sigma) / 4

    def denoise(self, y, sigma, labels=None):
        """D(y; σ) of (11.33), a Tensor with its graph.   Shapes: y (B, C, …), σ (B,) → (B, C, …)"""
        sigma = np.broadcast_to(sigma, len(y))
        c_skip, c_out, _, _ = self.coefficients(sigma)
        return y * per_example(c_skip, y) + self._network(y, sigma, labels) * per_example(c_out, y)

    def _network(self, y, sigma, labels):
        _, _, c_in, c_noise = self.coefficients(sigma)
        seen, told = y * per_example(c_in, y), c_noise.astype(y.dtype)
        said = self.network(seen, told) if labels is None else self.network(seen, told, labels)
        if said.shape != y.shape:
            raise ShapeError(f"EDM: the network returned {said.shape} for {y.shape}; expected the same shape")
        return said

    def loss(self, x, labels=None, *, rng, sigma=None, noise=None):
        """The weighted denoising error (11.36), averaged over the numbers of one example.

        Equation: |F − target|², the same as λ(σ) |D − x₀|² but without its divisions by small numbers
        Shapes:   x (B, C, …), σ (B,) drawn if not given, noise (B, C, …) likewise → (B,)
        """
        x = x.data if isinstance(x, Tensor) else np.asarray(x)
        sigma = np.exp(self.p_mean + self.p_std * rng.standard_normal(len(x))) if sigma is None else np.asarray(sigma)
        noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype) if noise is None else noise
        if labels is not None and self.drop_labels:
            labels = np.where(rng.random(len(x)) < self.drop_labels, self.network.classes, labels)
        y = Tensor(x + per_example(sigma, x) * noise)
        # (x₀ − c_skip y)/c_out = (σ x₀ − σ_d² n) / (σ_d √(σ_d² + σ²)), (11.35)
        scale = self.sigma_data * np.hypot(sigma, self.sigma_data)
        target = per_example(sigma / scale, x) * x - per_example(self.sigma_data**2 / scale, x) * noise
        error = self._network(y, sigma, labels) - target
        return ops.mean(error * error, dim=tuple(range(1, x.ndim)))

    def predictor(self, labels=None, *, guidance=1.0, hook=None):
        """ε̂ as a function of x (B, C, …) and t (B,), as in `Diffusion.predictor`.

        With y = x/α and ς = σ/α of the schedule, ε̂ = (y − D(y; ς))/ς.
        """

        def noise(x, t, labels):
            training = self.network.training
            self.network.eval()
            ratio = np.exp(-0.5 * self.schedule.log_snr(t))
            c_skip, c_out, _, _ = self.coefficients(ratio)
            y = x * per_example(1 / self.schedule.alpha(t), x)
            # (y − D)/ς with 1 − c_skip = ς²/(ς² + σ_d²) written out: nothing cancels for small ς.
            kept = ratio / (ratio**2 + self.sigma_data**2)
            said = y * per_example(kept, x) - self._network(y, ratio, labels) * per_example(c_out / ratio, x)
            self.network.train(training)
            return said

        def predict(x, t):
            if not isinstance(x, Tensor):
                with no_grad():
                    return predict(Tensor(x), t).data
            t = np.broadcast_to(t, len(x))
            found = noise(x, t, labels if guidance else None)
            if labels is not None and guidance not in (0, 1):
                without = noise(x, t, None)
                found = without + guidance * (found - without)  # (11.20)
            return found if hook is None else hook(x, t, found)

        return predict
