"""maf-grid: a masked autoregressive flow with straight lines on the grid of twenty-five Gaussians: it fails.

Ten layers, each a MADE that moves x_2 knowing x_1, or x_1 knowing x_2, along a straight line (13.24), with an ActNorm
after each. One layer's conditionals have one hill; to make five sharp ones out of it on either axis, layers must fold
the line by bending each coordinate with the other's help. What they reach is far from the truth. The recipe
maf-grid-spline has the same data, training and networks, and another map of one number.

Figures as in realnvp-moons: `excess` is KL(truth ‖ flow) in nats, measured on 20,000 points; the entropy of the grid is
0.065. Modes are counted as in gan-grid, on 2,500 samples.
"""

from minigen.data import toy2d
from minigen.models.bijections import Chain
from minigen.models.glow import ActNorm
from minigen.models.maf import autoregressive
from minigen.models.realnvp import Affine
from minigen.recipes import base, planar, realnvp_moons


class Experiment(realnvp_moons.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    truth = toy2d.grid()
    layers, width, monotone = 10, 128, Affine(bound=4.0)
    full_steps, quick_steps = 4_000, 300
    rate = 2e-3

    def make_bijection(self, rng):
        """The autoregressive layers, in either order in turn."""
        steps = [ActNorm(2)]
        for layer in range(self.layers):
            order = [0, 1] if layer % 2 == 0 else [1, 0]
            steps += [autoregressive(2, monotone=self.monotone, order=order, hidden=(self.width, self.width), rng=rng),
                      ActNorm(2)]  # fmt: skip
        return Chain(*steps)

    def evaluate(self):
        """Excess over the truth, and what 2,500 samples are worth."""
        return super().evaluate() | self.counted(self.sample)

    draw = planar.Experiment.draw
    pictures = planar.Experiment.pictures


RECIPE = base.Recipe(
    name="maf-grid",
    summary="MAF with straight lines on the grid of 25: what it cannot bend",
    lesson="13",
    build=Experiment,
    # Seeds 0, 1, 2 gave 2.40, 2.71 and 2.68; quick, seeds 0 and 1: 4.3 and 4.5.
    band={"excess": (1.8, 3.4)},
    quick_band={"excess": (2.0, 4.7)},  # a round Gaussian as wide as the grid has 4.9
    anchor="the entropy of the grid: excess 0, test_nll 0.065",
    source="Papamakarios, Pavlakou & Murray 2017, arXiv:1705.07057",
    budget_seconds=90,
)
