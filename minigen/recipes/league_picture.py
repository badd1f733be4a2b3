"""The figure of the league: how good the samples are against how long one takes, each family a point with its name.

Left the digits, by the Fréchet distance, which all families have; their nats, where they have any, stand beside the
name. Right the grid, by the coverage: the share of true points that have a sample near by, which falls both if modes
are missing and if samples lie beside them. Bars reach from the smallest to the largest of the seeds.
"""

import statistics

import numpy as np

from minigen import viz
from minigen.recipes import league, league_table

PANELS = {
    "digits": ("Fréchet distance in a frozen network's features", "frechet", "log"),
    "grid": ("coverage of true points", "coverage", "linear"),
}
TITLES = {"digits": "8×8 digits, nats beside the names (* told which digit)",
          "grid": "25 Gaussians on a grid († taught by their exact law)"}
# How a family's sample comes about: colour and marker, which also tells on a grey printout.
WAYS = {"at once": ("decoder", "o"), "in turn": ("discriminator", "s"), "in steps": ("model", "^")}
LEGEND = {"at once": "all numbers at once", "in turn": "number by number", "in steps": "step by step from noise"}


def draw(rows, path):
    """Draw the league into a PNG file; returns the Picture."""
    worlds = [world for world in PANELS if any(_entry(row).world == world for row in rows)]
    picture, axes = viz.figure(finding(rows), 1, len(worlds), width=5.2 * len(worlds), height=5.4)
    with viz.style():
        handles = [np.ravel(axes)[0].plot([], [], mark, color=viz.colour(tint), label=LEGEND[way])[0]
                   for way, (tint, mark) in WAYS.items()]  # fmt: skip
        picture.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        named = [(panel, *_panel(panel, world, [row for row in rows if _entry(row).world == world]))
                 for panel, world in zip(np.ravel(axes), worlds, strict=True)]  # fmt: skip
        for panel, points, names in named:  # now that every panel has its place
            viz.label_points(panel, points, names)
    return viz.save(picture, path)


def finding(rows):
    """The title: who is best at what, and at what price, by the medians."""
    parts = []
    for world, title in (("digits", _of_digits), ("grid", _of_the_grid)):
        teams = {}
        for row in rows:
            if _entry(row).world == world:
                teams.setdefault(_entry(row).family.rstrip("*†"), []).append(row)
        if teams:
            parts.append(title(teams))
    return ". ".join(parts)


def _of_digits(teams):
    best = _least(teams, _figure("frechet"))
    likely = _least({family: team for family, team in teams.items() if team[0]["nats"]}, league_table.nats)
    if likely is None:
        return f"Digits: {best} draws best"
    nats = _median(teams[likely], league_table.nats)
    return f"Digits: {likely} has the best likelihood ({nats:.1f} nats)" + (
        " and draws best" if likely == best else f", {best} draws best")


def _of_the_grid(teams):
    """Those that cover as much as real points did at their worst seed, and what a point takes; or who is best."""
    real = min(map(_figure("coverage", "held_out"), (row for team in teams.values() for row in team)))
    reached = [family for family, team in teams.items() if _median(team, _figure("coverage")) >= real]
    if not reached:
        return f"Grid: {_least(teams, lambda row: -_figure('coverage')(row))} covers most"
    quick = min(reached, key=lambda family: _median(teams[family], _milliseconds))
    who = quick if len(reached) == 1 else f"{len(reached)} families, most quickly {quick},"
    return (f"Grid: {who} cover{'s' * (len(reached) == 1)} the truth as real points do "
            f"({_median(teams[quick], _milliseconds):.2g} ms a point)")


def _least(teams, value):
    """The family with the least median; None of none."""
    return min(teams, key=lambda family: _median(teams[family], value), default=None)


def _median(team, value):
    return statistics.median(map(value, team))


def _figure(name, of="samples"):
    """One of the judge's figures, as a function of a row."""
    return lambda row: row["figures"][name][of]


def _milliseconds(row):
    return row["milliseconds"]


def _panel(axes, world, rows):
    """Draw all but the families' names; returns where they belong, and the names."""
    ylabel, name, scale = PANELS[world]
    value = _figure(name)
    axes.set(xscale="log", yscale=scale, xlabel="processor's time for one sample, ms", ylabel=ylabel)
    points, names = [], []
    for entry in league.ENTRIES:
        team = [row for row in rows if row["recipe"] == entry.recipe]
        if team:
            x, y = ([measure(row) for row in team] for measure in (_milliseconds, value))
            tint, mark = WAYS[entry.way]
            middle = statistics.median(x), statistics.median(y)
            for line in (([min(x), max(x)], [middle[1]] * 2), ([middle[0]] * 2, [min(y), max(y)])):
                axes.plot(*line, color=viz.colour(tint), linewidth=1.5)
            axes.plot(*middle, mark, color=viz.colour(tint), markersize=7)
            points.append(middle)
            names.append(entry.family)
            if world == "digits" and entry.nats:
                names[-1] += f" {_median(team, league_table.nats):.1f}"
    real = _median(rows, _figure(name, "held_out"))
    axes.axhline(real, color=viz.colour("data"), linewidth=1, linestyle="--")
    axes.set_title(TITLES[world], loc="left")
    low, high = (end(x for x, _ in points) for end in (min, max))
    bottom, top = (end([real, *(y for _, y in points)]) for end in (min, max))
    axes.set(xlim=(low / 3, high * 12), ylim=(bottom / 1.8, top * 2.5) if scale == "log" else (0, 1.15))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.text(low / 2.8, real, "real, held out", ha="left", va="bottom", fontsize=9, color=viz.colour("data"))
    return points, names


def _entry(row):
    return next(entry for entry in league.ENTRIES if entry.recipe == row["recipe"])
