"""The league's tables, of rows that are made up."""

import json
import re

import pytest
from matplotlib.text import Text

from minigen.errors import CommandError
from minigen.recipes import league, league_picture, league_table

FLOORS = {"classes": 10, "modes": 25, "legible": 0.97, "high_quality": 0.99, "classes_kl": 0.001, "reverse_kl": 0.004,
          "frechet": 0.4, "precision": 0.8, "recall": 0.9, "density": 0.7, "coverage": 0.6}  # fmt: skip


def row(recipe, seed, *, nats=None, quick=False, milliseconds=0.25, **figures):
    """A row of which only what is given matters."""
    entry = next(entry for entry in league.ENTRIES if entry.recipe == recipe)
    figures = {"frechet": 1.0 + seed, "reverse_kl": 0.5} | figures
    return {
        "protocol": league.PROTOCOL, "recipe": recipe, "seed": seed, "quick": quick, "nats": nats or {},
        "shortened": False, "counts": {},
        "figures": {name: {"samples": figures.get(name, 0.5), "held_out": floor + 0.01 * seed}
                    for name, floor in FLOORS.items()},
        "parameters": {"drawing": 12_345, "all": 12_345 if entry.draws == ("",) else 2_345_678},
        "processor_seconds": 10.0 + seed, "milliseconds": milliseconds * (1 + seed),
        "flops": {"training": 3 * 10**12, "sample": 456_789}, "machine": {"cpu": "a processor"},
    }  # fmt: skip


@pytest.fixture
def rows():
    return [
        *(row("vae-digits", seed, nats={"bound": 80.0 + seed}, frechet=0.9) for seed in (0, 1, 2)),
        *(row("gan-digits", seed) for seed in (0, 1, 2)),
        *(row("diffusion-digits", seed, nats={"bound": 79.0, "ODE": 78.0 + seed}) for seed in (0, 1, 2)),
        *(row("gan-grid", seed, coverage=0.4) for seed in (0, 1, 2)),
        *(row("maf-grid-spline", seed, nats={"exact": 0.1}, coverage=0.62, milliseconds=0.5) for seed in (0, 1, 2)),
    ]


def column(table, heading):
    """The cells below a heading, by the family's name."""
    place = [cell.text for cell in table[0]].index(heading)
    return {cells[0].text: cells[place] for cells in table[1:]}


@pytest.mark.parametrize(("number", "text"), [
    (0, "0"), (0.0123456, "0.0123"), (0.5, "0.500"), (9.876, "9.88"), (99.96, "100"), (123.4, "123"), (999.4, "999"),
    (999.6, "1.00 k"), (12_345, "12.3 k"), (309_000, "309 k"), (1.5e6, "1.50 M"), (2e9, "2.00 G"), (3.21e12, "3.21 T"),
    (1e15, "1.00 P"), (1e20, "100000 P"),
])  # fmt: skip
def test_numbers_are_short(number, text):
    assert league_table.short(number) == text


def test_the_two_worlds_have_a_table_each_best_first_and_real_ones_last(rows):
    (digits, first), (grid, second) = league_table.tables(rows)
    assert digits.startswith("Digits") and "grid" in grid
    assert [cells[0].text for cells in first[1:]] == ["diffusion*", "VAE", "GAN*", league_table.REAL]
    assert [cells[0].text for cells in second[1:]] == ["MAF with splines", "GAN", league_table.REAL]
    assert len({len(cells) for cells in first}) == len({len(cells) for cells in second}) == 1
    assert [heading for heading, _ in league_table.tables(rows[-3:])] == [grid]


def test_a_cell_has_median_and_range(rows):
    (_, digits), (_, grid) = league_table.tables(rows)
    nats = column(digits, "nats")
    assert nats["VAE"] == ("81.0", "80.0 … 82.0", "±1.0")
    assert nats["diffusion*"] == ("79.0", "", "") and nats["GAN*"].text == nats[league_table.REAL].text == "–"
    assert column(digits, "nats are")["diffusion*"].below == "ODE 79.0"
    assert column(digits, "bits/dim")["VAE"].text == f"{81 / 64 / 0.6931472:.3f}"
    assert column(digits, "parameters")["VAE"][:2] == ("12.3 k", "of 2.35 M")
    assert column(digits, "parameters")["diffusion*"].below == ""
    assert column(digits, "sampling, ms")["VAE"][:2] == ("0.500", "0.250 … 0.750")
    assert column(digits, "training, FLOPs")["VAE"].text == "3.00 T"
    assert column(grid, "nats")[league_table.REAL].text == "0.065"
    assert column(grid, "modes")[league_table.REAL].text == "25"


def test_the_floor_comes_from_all_seeds_once(rows):
    _, digits = next(league_table.tables(rows))
    assert column(digits, "precision")[league_table.REAL][:2] == ("0.810", "0.800 … 0.820")


def test_the_lines_for_a_terminal_stand_in_columns(rows):
    lines = list(league_table.lines(rows))
    assert "median of seeds 0, 1, 2" in lines[0] and lines.count("") == 2
    head, vae = (next(line for line in lines if line.startswith(name)) for name in ("model", "VAE"))
    end = head.index("bits/dim") + len("bits/dim")
    assert vae[:end].endswith(" 1.826") and max(map(len, lines)) < 180
    assert next(line for line in lines if line.startswith("vae-digits")).split()[:3] == ["vae-digits", "of", "2.35"]


def test_markdown_is_a_table_that_github_can_read(rows):
    text = league_table.markdown(rows)
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 2
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block}) == 1
        assert set(block[1]) <= set("|-: ")
    assert "| VAE<br>`vae-digits` | bound |" in text and "| 81.0<br><sub>80.0 … 82.0</sub> |" in text
    assert "seeds 0, 1, 2" in text and "a processor" in text and "447 digits" in text


def test_a_table_with_few_seeds_or_of_the_quick_size_is_not_published(rows, tmp_path):
    with pytest.raises(CommandError, match="fewer than 3 seeds of vae-digits; a table"):
        league_table.markdown(rows[1:])
    with pytest.raises(CommandError, match="cut-short runs of gan-grid"):
        league_table.markdown([*rows, row("gan-grid", 3, quick=True)])


def test_the_tables_go_between_the_markers_and_nothing_else_changes(rows, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{league_table.BEGIN}\nold\n{league_table.END}\nafter\n", encoding="utf-8")
    league_table.write_markdown(rows, path)
    text = path.read_text(encoding="utf-8")
    assert text == f"before\n{league_table.BEGIN}\n{league_table.markdown(rows)}\n{league_table.END}\nafter\n"
    league_table.write_markdown(rows, path)
    assert path.read_text(encoding="utf-8") == text
    path.write_text("no place")
    for wrong in (path, tmp_path / "nowhere.md"):
        with pytest.raises(CommandError, match="has no place for the tables"):
            league_table.write_markdown(rows, wrong)
    assert path.read_text() == "no place"


def test_rows_that_went_through_a_file_give_the_same_tables(rows):
    assert list(league_table.tables(json.loads(json.dumps(rows)))) == list(league_table.tables(rows))


# -- the figure -------------------------------------------------------------------------------------------------------


def test_the_figure_names_every_family_and_no_name_covers_another(rows, tmp_path):
    picture = league_picture.draw(rows, tmp_path / "league.png")
    assert (tmp_path / "league.png").read_bytes().startswith(b"\x89PNG")
    digits, grid = picture.axes
    assert {text.get_text() for text in digits.texts} >= {"VAE 81.0", "GAN*", "diffusion* 79.0"}
    assert {text.get_text() for text in grid.texts} >= {"GAN", "MAF with splines"}
    for axes in picture.axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_title_says_who_is_best(rows):
    assert league_picture.finding(rows) == (
        "Digits: diffusion has the best likelihood (79.0 nats), VAE draws best. "
        "Grid: MAF with splines covers the truth as real points do (1 ms a point)")
    assert league_picture.finding(rows[3:6]) == "Digits: GAN draws best"
    assert league_picture.finding(rows[:3]) == "Digits: VAE has the best likelihood (81.0 nats) and draws best"
    assert league_picture.finding(rows[-3:]) == (
        "Grid: MAF with splines covers the truth as real points do (1 ms a point)")
    both = [*rows[-6:-3], *(row("gan-grid-vanilla", seed, coverage=0.3) for seed in (0, 1, 2))]
    assert league_picture.finding(both) == "Grid: GAN covers most"
    quick = [*rows[-3:], *(row("gan-grid", seed, coverage=0.7, milliseconds=0.01) for seed in (0, 1, 2))]
    assert league_picture.finding(quick) == (
        "Grid: 2 families, most quickly GAN, cover the truth as real points do (0.02 ms a point)")


def test_one_world_has_one_panel(rows, tmp_path):
    assert len(league_picture.draw(rows[-3:], tmp_path / "league.png").axes) == 1
