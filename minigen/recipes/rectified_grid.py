"""rectified-grid: one reflow of flow-matching-grid, so that its paths become straight enough for a few steps.

The first flow carries 100,000 noises to points by 40 of Heun's steps; the second, which begins with its weights, is
trained on the lines between the two, (13.51) with these pairs. Reported of 2,500 points, as in gan-grid:

    modes_1, high_quality_1, reverse_kl_1      by one of Euler's steps, one call; …_2, …_4: by two and four
    bend                                       S of (13.53) by 100 steps, divided by the mean of |z₁ − z₀|²
    …_before                                   the same of the first flow, from the same noise

By one step from noise the first flow ends at x − v(x, 1) = E[x₀], the middle of the grid, whatever the noise.
"""

import numpy as np

from minigen.models.flow_matching import follow, straightness
from minigen.recipes import base, flow_matching_grid, taught


class Experiment(taught.Taught, flow_matching_grid.Experiment):
    """The flow of flow-matching-grid, trained on in pairs of its own."""

    teacher_recipe, quick_teacher_steps = "flow-matching-grid", 500
    pairs, quick_pairs = 100_000, 5_000  # noises with the points that the first flow makes of them
    full_steps, quick_steps = 4_000, 300
    rate = 1e-3
    few = (1, 2, 4)  # Euler's steps that are compared

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        super().__init__(seed, quick, steps=steps)
        self.taught_by(type(self.model)(self.make_network(np.random.default_rng(0))), quick, data)
        self.made = None

    def begin(self):
        """The second flow begins as the first."""
        taught.copy_weights(self.teacher.network, self.model.network)

    def losses(self):
        """The loss (13.51) of a batch of pairs, (B,)."""
        if self.made is None:  # the same ones after a pause, for they come from the seed
            rng = np.random.default_rng([self.seed, 5])
            noise = rng.standard_normal((self.quick_pairs if self.quick else self.pairs, 2), dtype=np.float32)
            self.made = noise, self.carried(self.teacher, noise, self.calls, "heun", 2)[-1]
        which = self.rng.integers(len(self.made[0]), size=self.batch_size)
        return self.model.loss(self.made[1][which], noise=self.made[0][which], rng=self.rng)

    def carried(self, model, noise, steps, method, power):
        """From noise to points as the networks see them, (steps + 1, B, 2), at times (i/steps)^power."""
        times = np.linspace(1.0, 0.0, steps + 1) ** power
        with self.ema.averaged():
            return follow(model.velocity(), noise, times, method=method, keep=True)

    def evaluate(self):
        """What 2,500 samples of few of Euler's steps are worth, and how straight the paths are; before and after."""
        found = {}
        for model, ending in ((self.model, ""), (self.teacher, "_before")):
            for calls in self.few:
                counted = self.counted(lambda n, rng, model=model, calls=calls: self.carried(
                    model, rng.standard_normal((n, 2), dtype=np.float32), calls, "euler", 1)[-1] / self.scale)
                found |= {f"{name}_{calls}{ending}": value for name, value in counted.items()}
            noise = np.random.default_rng([self.seed, 6]).standard_normal((2_500, 2), dtype=np.float32)
            path = self.carried(model, noise, 100, "euler", 1)
            length = ((path[-1] - path[0]).astype(np.float64) ** 2).sum(1).mean()
            found[f"bend{ending}"] = straightness(path) / length
        return found

    def sample(self, n, rng, *, steps=None):
        """n points, (n, 2), by a few of Euler's steps."""
        noise = rng.standard_normal((n, 2), dtype=np.float32)
        return self.carried(self.model, noise, steps or self.few[-1], "euler", 1)[-1] / self.scale


RECIPE = base.Recipe(
    name="rectified-grid",
    summary="one reflow of flow-matching-grid: straighter paths, the grid in one call",
    lesson="13",
    build=Experiment,
    # Seeds 0, 1, 2 gave 25 modes in one call, 0.86 to 0.89 of high quality, and bend 0.0016 to 0.0024 (before 4.8 to
    # 5.1).
    band={"modes_1": (24, 25), "high_quality_1": (0.8, 0.95), "bend": (0.001, 0.004)},
    # Quick, seeds 0 and 1: one call 2 and 3 modes before, 25 after; bend 4.9 before, 0.073 and 0.070 after.
    quick_band={"modes_1": (20, 25), "bend": (0.005, 0.4)},
    anchor="flow-matching-grid with as many calls: …_before",
    source="Liu, Gong & Liu 2022, arXiv:2209.03003",
    budget_seconds=300,
    takes_data=True,
)
