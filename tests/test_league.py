"""The README's league is the measured one, under one protocol, from runs that landed in their bands."""

import json
import re
from pathlib import Path

import pytest

from minigen.recipes import league, league_table

ROOT = Path(__file__).parent.parent
REMAKE = "minigen leaderboard --json figures/league.json --picture figures/league.png --markdown README.md"


@pytest.fixture(scope="module")
def rows():
    return league.read_rows(ROOT / "figures" / "league.json", league.entries())


def test_the_readme_shows_the_measured_league(rows):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    between = readme.partition(league_table.BEGIN)[2].partition(league_table.END)[0]
    assert between.strip() == league_table.markdown(rows), f"run `{REMAKE}`"
    assert REMAKE in readme and "figures/league.png" in readme and (ROOT / "figures" / "league.png").exists()


def test_every_family_was_measured_for_three_seeds_at_full_size(rows):
    seeds = {}
    for row in rows:
        seeds.setdefault(row["recipe"], []).append(row["seed"])
        assert not row["quick"] and not row["shortened"] and row["protocol"] == league.PROTOCOL
    assert set(seeds) == {entry.recipe for entry in league.entries()}
    assert all(len(set(some)) == len(some) >= league_table.LEAST for some in seeds.values()), seeds


def test_the_rows_hold_nothing_but_what_was_measured(rows):
    content = json.loads((ROOT / "figures" / "league.json").read_text(encoding="utf-8"))
    assert set(content) == {"rows"} and len(content["rows"]) == len(rows)


@pytest.mark.parametrize("world", ["digits", "grid"])
def test_all_were_measured_against_the_same_real_ones(rows, world):
    """At each seed the floor, real held-out samples against the training samples, is the same for all families."""
    names = {entry.recipe for entry in league.entries(world)}
    for seed in {row["seed"] for row in rows}:
        mine = [row for row in rows if row["recipe"] in names and row["seed"] == seed]
        assert len({json.dumps([row["counts"], row["features"]]) for row in mine}) == 1
        for name in mine[0]["figures"]:
            floors = [row["figures"][name]["held_out"] for row in mine]
            assert max(floors) == pytest.approx(min(floors), rel=1e-5, abs=1e-9), (seed, name)


def test_rows_are_of_the_runs_in_the_table_of_all_recipes(rows):
    """The README has both: the same recipe and seed must not have two results there."""
    results = json.loads((ROOT / "figures" / "results.json").read_text(encoding="utf-8"))
    for row in rows:
        (run,) = (run for run in results[row["recipe"]] if run["seed"] == row["seed"])
        assert row["steps"] == run["steps"], row["recipe"]
        (entry,) = league.entries(names=[row["recipe"]])
        for kind, name in entry.nats.items():
            (metric,) = (value for key, value in run["metrics"].items() if re.fullmatch(rf"{name}\d*", key))
            assert row["nats"][kind] == pytest.approx(metric, rel=1e-6), row["recipe"]


def test_what_is_measured_makes_sense(rows):
    for row in rows:
        figures = {name: figure["samples"] for name, figure in row["figures"].items()}
        assert all(0 <= figures[name] <= 1 for name in ("precision", "recall", "coverage")), row["recipe"]
        assert 0 < row["parameters"]["drawing"] <= row["parameters"]["all"]
        assert 0 < row["flops"]["sample"] < row["flops"]["training"]
        assert row["milliseconds"] > 0 and row["processor_seconds"] > 0 and row["machine"]["threads"] == 1
