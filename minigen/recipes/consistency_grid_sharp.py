"""consistency-grid-sharp: consistency-grid with a critic of its leaps, adversarial distillation on points.

A leap from noise that cannot tell two modes apart ends between them. The critic sees that no true point lies there:
the student's loss gets the generator's beside its own, (13.81), with the weight w. The critic is a perceptron
with three hidden layers; its penalties, R1 and R2, fade; its words count from the first step on. Everything else is
consistency-grid's.

**Which w?** Seed 0, on the points that are reported: share of high quality in per cent with one, two and four calls.
All modes are found, evenly (reverse KL 0.004 to 0.006, chance alone 0.005), for the other part of the loss says which
mode is meant:

    w              one     two    four calls
    0             77.9    89.4    84.6           consistency-grid
    0.003         86.7    91.9    88.8
    0.01          87.8    92.1    90.0
    0.03          88.7    92.3    91.2
    0.1           90.2    93.2    94.4           this recipe
    0.3           89.2    92.0    92.8

True points have 98.9, which no leap reaches. A step costs 1.75 times that of consistency-grid, a call the same.
"""

from minigen.recipes import base, consistency_grid


class Experiment(consistency_grid.Experiment):
    """The experiment of consistency-grid, with w > 0 in (13.81)."""

    weight = 0.1


RECIPE = base.Recipe(
    name="consistency-grid-sharp",
    summary="the grid in one call, by a consistency model and a critic of its leaps: adversarial distillation",
    lesson="13",
    build=Experiment,
    # Seeds 0, 1, 2 gave 25 modes; of high quality 0.90, 0.89 and 0.89 with one call, 0.93 to 0.94 with two, 0.92 to
    # 0.95 with four. Quick, seeds 0 and 1: reverse KL of four calls 0.030 and 0.025, of an untrained network 0.70.
    band={"modes_1": (25, 25), "high_quality_1": (0.86, 0.93), "high_quality_4": (0.89, 0.98)},
    quick_band={"reverse_kl_4": (0.0, 0.1)},
    anchor="consistency-grid, the same without the critic",
    source="Sauer, Lorenz, Blattmann & Rombach 2023, arXiv:2311.17042; Kim et al. 2023, arXiv:2310.02279",
    budget_seconds=300,
)
