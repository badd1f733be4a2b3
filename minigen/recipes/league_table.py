"""Tables of the league's rows: for the terminal, and in Markdown between two markers of a file.

What stands in a table is the median over the seeds and the range, computed from the rows; nothing else is kept.
"""

import math
import statistics
from pathlib import Path
from typing import NamedTuple

from minigen.data import toy2d
from minigen.data.digits import PIXELS
from minigen.errors import CommandError
from minigen.metrics.likelihood import bits_per_dim
from minigen.recipes import league

BEGIN, END = "<!-- league: made by minigen leaderboard -->", "<!-- end of league -->"
LEAST = 3  # seeds of each row of a table that is published
REAL = "real ones, held out"
PREFIXES = ("", " k", " M", " G", " T", " P")


class Column(NamedTuple):
    """A column: its heading, for whom it is ("digits", "grid" or both: None), a row's number, how that is written.

    value:    row → a number, or None if the row has none
    write:    number → text
    floor:    row → the same of real held-out samples, or None
    """

    heading: str
    world: str | None
    value: object
    write: object
    floor: object = None


class Cell(NamedTuple):
    """What stands in one place: the text, what stands below it, and in a terminal in place of that, which is short."""

    text: str
    below: str = ""
    briefly: str = ""


def nats(row):
    """−log p of a row by the kind that ranks, or None."""
    return next(iter(row["nats"].values()), None)


def short(number):
    """A number with three figures, large ones in thousands (k), millions (M), billions (G) and so on."""
    number, power = float(f"{number:.3g}"), 0
    if not number:
        return "0"
    while abs(number) >= 1000 and power < len(PREFIXES) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.{max(0, 2 - math.floor(math.log10(abs(number))))}f}{PREFIXES[power]}"


def _figure(heading, name, world=None, write="{:.3f}".format):
    """A column of the judge's figures."""
    return Column(heading, world, lambda row: row["figures"][name]["samples"], write,
                  lambda row: row["figures"][name]["held_out"])


def _bits(row):
    return None if nats(row) is None else float(bits_per_dim(nats(row), PIXELS))


COLUMNS = (
    Column("nats", "digits", nats, "{:.1f}".format),
    Column("bits/dim", "digits", _bits, "{:.3f}".format),
    Column("nats", "grid", nats, "{:.3f}".format, lambda row: toy2d.grid().entropy()),
    _figure("digits", "classes", "digits", "{:.0f}".format),
    _figure("modes", "modes", "grid", "{:.0f}".format),
    _figure("legible", "legible", "digits"),
    _figure("high quality", "high_quality", "grid"),
    _figure("reverse KL", "classes_kl", "digits", short),
    _figure("reverse KL", "reverse_kl", "grid", short),
    _figure("Fréchet", "frechet", None, short),
    _figure("precision", "precision"),
    _figure("recall", "recall"),
    _figure("density", "density"),
    _figure("coverage", "coverage"),
    Column("training, s", None, lambda row: row["processor_seconds"], short),
    Column("training, FLOPs", None, lambda row: row["flops"]["training"], short),
    Column("sampling, ms", None, lambda row: row["milliseconds"], short),
    Column("sampling, FLOPs", None, lambda row: row["flops"]["sample"], short),
)


def tables(rows):
    """The tables of some rows: pairs (heading, table), each table a list of lists of Cells, the first the headings.

    A cell has the median, below it the range over the seeds, unless both its ends are written alike. The last line is
    that of real held-out samples.
    """
    for world, heading in (("digits", "Digits, 8×8"), ("grid", "Twenty-five Gaussians on a grid")):
        columns = [column for column in COLUMNS if column.world in (None, world)]
        teams = [(entry, [row for row in rows if row["recipe"] == entry.recipe]) for entry in league.ENTRIES
                 if entry.world == world]  # fmt: skip
        teams = sorted(((entry, team) for entry, team in teams if team), key=lambda pair: _rank(*pair))
        if not teams:
            continue
        lines = [[Cell("model"), Cell("nats are"), Cell("parameters"), *(Cell(column.heading) for column in columns)]]
        for entry, team in teams:
            lines.append([Cell(entry.family, entry.recipe, entry.recipe), _kinds(team), _parameters(team),
                          *(_cell(column.write, map(column.value, team)) for column in columns)])
        real = list({row["seed"]: row for _, team in teams for row in team}.values())  # the floor is the same for all
        floors = (_cell(column.write, map(column.floor, real) if column.floor else ()) for column in columns)
        lines.append([Cell(REAL), Cell(""), Cell(""), *floors])
        yield heading, lines


def _rank(entry, team):
    """Digits by nats, those without behind them by the Fréchet distance; the grid by the coverage."""
    if entry.world == "grid":
        return -statistics.median(row["figures"]["coverage"]["samples"] for row in team)
    if entry.nats:
        return 0, statistics.median(map(nats, team))
    return 1, statistics.median(row["figures"]["frechet"]["samples"] for row in team)


def _cell(write, values):
    values = sorted(value for value in values if value is not None)
    if not values:
        return Cell("–")
    median, low, high = map(write, (statistics.median(values), values[0], values[-1]))
    if low == high:
        return Cell(median)
    decimals = median.partition(".")[2]
    half = (values[-1] - values[0]) / 2
    half = f"±{half:.{len(decimals)}f}" if decimals.isdecimal() else f"{low}…{high}"
    return Cell(median, f"{low} … {high}", half)


def _kinds(team):
    """What the nats are; of a second kind, its figure."""
    kinds = list(team[0]["nats"])
    if not kinds:
        return Cell("–")
    others = ", ".join(f"{kind} {_cell('{:.1f}'.format, (row['nats'][kind] for row in team)).text}"
                       for kind in kinds[1:])  # fmt: skip
    return Cell(kinds[0], others, others)


def _parameters(team):
    """Of what draws; of all that is trained, if that is more."""
    drawing, trained = (team[0]["parameters"][name] for name in ("drawing", "all"))
    more = "" if drawing == trained else f"of {short(trained)}"
    return Cell(short(drawing), more, more)


# -- as text ----------------------------------------------------------------------------------------------------------


def lines(rows):
    """The tables for a terminal, line by line: medians, below them half the range."""
    for heading, (head, *body) in tables(rows):
        yield f"{heading}: median of {_seeds(rows)} ± half the range"
        pairs = [[_split(cell.text) for cell in head]]
        pairs += [[(cell.text, cell.briefly) for cell in cells] for cells in body]
        widths = [max(len(text) for pair in column for text in pair) for column in zip(*pairs, strict=True)]
        for cells in pairs:
            for texts in zip(*cells, strict=True):
                if any(texts):
                    yield "  ".join(text.ljust(width) if place < 2 else text.rjust(width)
                                    for place, (text, width) in enumerate(zip(texts, widths, strict=True))).rstrip()
        yield ""


def _split(heading):
    """A heading on two lines."""
    first, _, second = heading.partition(", " if "," in heading else " ")
    return first, second


def markdown(rows):
    """The tables and what they mean, in Markdown.

    Raises:   CommandError if a recipe has fewer than three seeds, rows are not of the full size, or of two machines.
    """
    seeds = {}
    for row in rows:
        seeds.setdefault(row["recipe"], set()).add(row["seed"])
    few = [name for name, some in seeds.items() if len(some) < LEAST]
    quick = sorted({row["recipe"] for row in rows if row["quick"] or row["shortened"]})
    cpu, *others = sorted({row["machine"]["cpu"] for row in rows})
    if few or quick or others:
        what = (f"fewer than {LEAST} seeds of {', '.join(few)}" if few else f"cut-short runs of {', '.join(quick)}"
                if quick else f"rows of {cpu} and {', '.join(others)}")  # fmt: skip
        raise CommandError(f"leaderboard: {what}; a table that is published wants {LEAST} of the full size")
    parts = []
    for heading, table in tables(rows):
        head, *body = [[_markdown_cell(cell) for cell in cells] for cells in table]
        parts += [f"**{heading}**", "\n".join([_line(head), _line(["---"] * 2 + ["--:"] * (len(head) - 2)),
                                               *map(_line, body)])]
    notes = NOTES.format(seeds=_seeds(rows), cpu=cpu, digits=league.DIGITS, points=league.POINTS)
    return "\n\n".join([*parts, notes])


def _markdown_cell(cell):
    if cell.below and cell.below in {entry.recipe for entry in league.ENTRIES}:
        return f"{cell.text}<br>`{cell.below}`"
    return f"{cell.text}<br><sub>{cell.below}</sub>" if cell.below else cell.text


def _line(cells):
    return f"| {' | '.join(cells)} |"


NOTES = """\
Median and range of {seeds}; made by `minigen leaderboard`, which trains what is missing (`minigen/recipes/league.py` \
has the protocol).

- **Nats** of the held-out digits, or of true points: lower is better. *exact*; a *bound* from above (a VAE's with 500 \
codes, a flow's with 50 draws of its noise in the logarithm, a diffusion's (11.13)); or a density by an *ODE*. A dash: \
the model says none, or the recipe measures none.
- **Samples**: 447 digits or 2,500 points, drawn and measured alike for all. The digits are compared in the features \
of a frozen network, which also reads them: *digits* is how many of the ten occur, *legible* the share it is sure of. \
*High quality* is the share within 3σ of a mode; *reverse KL* is from the shares of digits or modes to the true ones, \
in nats. The *Fréchet* distance compares means and covariances: a few points far away make it large, and hardly show \
in any other figure. The held-out digits are by other hands than the training digits, so a model may beat them. * The \
network is told which digit to draw, each in turn. † Taught by the exact law of the points, where real data need a \
trained teacher.
- **Costs**: *parameters* of the networks that draw, and of all that are trained; *training* (without validation) and \
*sampling* (of one, where {digits} digits or {points:,} points are drawn at once) in the processor's time on one \
thread of {cpu}, which depends on what else is running by up to a third. *FLOPs* are those of products: 2 for each \
multiplication and addition, backward passes as computed (`minigen/metrics/flops.py`)."""


def _seeds(rows):
    numbers = sorted({row["seed"] for row in rows})
    return f"seed{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def write_markdown(rows, path):
    """Put the tables into a Markdown file, between the two markers.

    Raises:   CommandError if the file or its markers are missing; as `markdown`.
    """
    path, text = Path(path), markdown(rows)
    content = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CommandError(f"leaderboard: {path}: has no place for the tables; expected a file with the lines {BEGIN} "
                           f"and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
