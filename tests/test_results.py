"""The README's results are the measured ones, and they lie in their bands."""

import importlib.util
import json
import statistics
from pathlib import Path

import pytest

from minigen import recipes

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("results", ROOT / "tests" / "benchmarks" / "results.py")
results = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(results)


@pytest.fixture(scope="module")
def measured():
    return json.loads(results.RESULTS.read_text(encoding="utf-8"))


def test_the_readme_shows_the_measured_table(measured):
    assert results.table(measured) in results.README.read_text(encoding="utf-8"), (
        "run `python tests/benchmarks/results.py --table`"
    )


def test_every_recipe_was_measured_for_three_seeds_and_landed_in_todays_band(measured):
    assert sorted(measured) == recipes.names()
    for name, runs in measured.items():
        assert sorted(run["seed"] for run in runs) == [0, 1, 2]
        for run in runs:
            assert not run["quick"] and all(recipes.get(name).landed(run["metrics"]).values()), (name, run["seed"])
            assert run["seconds"] <= recipes.get(name).budget_seconds


def test_lesson_06_draws_the_measured_medians(measured):
    """Its number line shows figures of full recipes, which are too long for the page and so stand in a cell."""
    cells = json.loads((ROOT / "lessons" / "06_autoregressive_images.ipynb").read_text(encoding="utf-8"))["cells"]
    (source,) = ["".join(cell["source"]) for cell in cells if "figures/06_number_line.png" in "".join(cell["source"])]
    for name, metric in (("vae-digits", "test_elbo"), ("vae-digits", "test_iwae500"), ("made-digits", "test_nll"),
                         ("pixelcnn-digits", "test_nll")):  # fmt: skip
        median = statistics.median(run["metrics"][metric] for run in measured[name])
        assert f": {median:.1f}" in source, (name, metric, median)
