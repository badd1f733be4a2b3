"""What recipes for points in the plane have in common: how their samples are counted, judged and drawn."""

from pathlib import Path

import numpy as np

from minigen.metrics.modes import count_modes
from minigen.recipes import base, judging

SAMPLES = 2_500  # VEEGAN's protocol


class Experiment(base.Experiment):
    """An experiment whose samples are points, (n, 2).

    truth:   the mixture that they should follow, with `means`, `sigma` and `sample`
    scale:   what the points are multiplied with before the network sees them
    """

    truth, scale = None, 1.0

    def points(self):
        """A batch of true points as the network sees them, (B, 2)."""
        return (self.scale * self.truth.sample(self.batch_size, rng=self.rng)).astype(np.float32)

    def counted(self, sampler, prefix=""):
        """Modes captured, share of high quality, reverse KL over the modes in nats: of 2,500 samples, a dict.

        sampler:   (n, rng) → points (n, 2)
        prefix:    of the names
        """
        points = sampler(SAMPLES, np.random.default_rng([self.seed, 1]))
        found = count_modes(points, self.truth.means, self.truth.sigma)
        return {f"{prefix}modes": float(found.captured), f"{prefix}high_quality": found.high_quality,
                f"{prefix}reverse_kl": found.reverse_kl}

    def real(self):
        """The true mixture, for `minigen evaluate`."""
        return judging.Points(self.truth)

    def draw(self, axes, n, rng, title=None):
        """n samples of the model, and a circle about each mode of the data, wider than 3σ so that it is seen."""
        from minigen import viz

        axes.plot(*self.sample(max(n, 500), rng).T, ".", color=viz.colour("model"), markersize=2, alpha=0.5)
        axes.plot(*self.truth.means.T, "o", markersize=11, fillstyle="none", color=viz.colour("data"), linewidth=0.8)
        axes.set_aspect("equal")
        if title:
            axes.set_title(title, loc="left")

    def pictures(self, folder):
        """samples.png, 2,500 points and where the modes are; loss.png, which says little (lessons 08 and 10)."""
        from minigen import viz

        picture, axes = viz.figure(f"{SAMPLES:,} samples; circles: the modes of the data", height=6.4)
        self.draw(axes, SAMPLES, np.random.default_rng(0))
        viz.save(picture, Path(folder) / "samples.png")
        return [Path(folder) / "samples.png", base.loss_picture(folder)]
