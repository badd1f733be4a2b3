"""consistency-grid-sharp: consistency-grid with a critic of its leaps.
"""

from minigen.recipes import base, consistency_grid


class Experiment(consistency_grid.Experiment):
    """The experiment of consistency-grid, with w > 0 in (13.81)."""

    weight = 0.01


RECIPE = base.Recipe(
    name="consistency-grid-sharp",
    summary="consistency-grid with a critic of its leaps: adversarial distillation",
    lesson="13",
    build=Experiment,
    band={"modes_1": (20, 25)},
    quick_band={"modes_1": (5, 25)},
    anchor="consistency-grid, the same without the critic",
    source="Sauer, Lorenz, Blattmann & Rombach 2023, arXiv:2311.17042; Kim et al. 2023, arXiv:2310.02279",
    budget_seconds=300,
)
