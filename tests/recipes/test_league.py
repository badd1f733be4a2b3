"""The league's rows: what is measured, what is read again and what is not, and the command."""

import json
import shutil

import pytest

from minigen import cli, recipes
from minigen.data import toy2d
from minigen.errors import CommandError
from minigen.recipes import judging, league, running

NAMES = ("vae-digits", "gan-grid-vanilla")
SMALL = {"quick": True, "steps": 3}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with runs of three steps of two recipes, two seeds each, and their rows."""
    folder = tmp_path_factory.mktemp("league") / "runs"
    said = []
    found = league.rows(league.entries(names=NAMES), (0, 1), runs=folder, say=said.append, **SMALL)
    assert sum(line.endswith(": measuring") for line in said) == 4
    return folder, found


@pytest.fixture
def own(runs, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(runs[0], tmp_path / "runs")
    return tmp_path / "runs"


def again(folder, name="gan-grid-vanilla", seed=0, read=True, say=lambda line: None):
    return league.rows(league.entries(names=[name]), (seed,), runs=folder, read=read, say=say, **SMALL)[0]


# -- who plays --------------------------------------------------------------------------------------------------------


def test_every_entry_is_a_recipe_of_its_world():
    chosen = league.entries()
    assert chosen == list(league.ENTRIES)
    assert len({entry.recipe for entry in chosen}) == len(chosen)
    assert len({(entry.world, entry.family) for entry in chosen}) == len(chosen)
    for entry in chosen:
        experiment = recipes.get(entry.recipe).build(0, True)
        real = experiment.real()
        assert isinstance(real, judging.Points if entry.world == "grid" else judging.Pictures)
        if entry.world == "grid":
            assert (real.law.means == toy2d.grid().means).all()
        else:
            assert len(real.held_out) == 447 and real.features == "digits"
        parts = sum(league._part(experiment.model, name).num_parameters() for name in entry.draws)
        assert 0 < parts <= experiment.model.num_parameters()
        assert set(entry.nats) <= {"exact", "bound", "ODE"}


def test_recipes_are_chosen_by_name_and_by_world():
    assert {entry.world for entry in league.entries("grid")} == {"grid"}
    assert [entry.recipe for entry in league.entries("digits", ["vae-digits"])] == ["vae-digits"]
    with pytest.raises(CommandError, match=r"'vae-digit' is not in the league; expected one of vae-digits"):
        league.entries(names=["vae-digit"])
    with pytest.raises(CommandError, match=r"'vae-digits' is not in the league of the grid; expected one of maf-grid"):
        league.entries("grid", ["vae-digits"])


# -- what is measured -------------------------------------------------------------------------------------------------


def test_a_row_says_what_the_result_and_the_judge_say(runs):
    folder, found = runs
    assert [(row["recipe"], row["seed"]) for row in found] == [(name, seed) for name in sorted(NAMES)[::-1]
                                                               for seed in (0, 1)]  # fmt: skip
    for row in found:
        run = folder / f"{row['recipe']}-seed{row['seed']}"
        result = running.read_json(run / "result.json")
        assert (row["steps"], row["quick"], row["seconds"]) == (3, True, result["seconds"])
        judged = judging.as_dict(judging.judge(running.load(run), seed=row["seed"]))
        assert row["figures"] == judged["figures"] and row["counts"] == judged["counts"]
        assert row["nats"] == ({"bound": result["metrics"]["test_iwae50"]} if row["recipe"] == "vae-digits" else {})
        assert row["milliseconds"] > 0 and row["processor_seconds"] > 0 and row["machine"]["threads"] == 1
        assert json.loads((run / "league.json").read_text()) == row


def test_parameters_are_those_of_what_draws_and_of_all(runs):
    row = runs[1][0]
    model = running.load(runs[0] / "vae-digits-seed0").model
    assert row["parameters"] == {"drawing": model.decoder.num_parameters(), "all": model.num_parameters()}
    assert row["parameters"]["drawing"] + model.encoder.num_parameters() == row["parameters"]["all"]


def test_flops_are_two_for_each_weight_of_an_mlp_and_three_times_as_many_in_training(runs):
    model = running.load(runs[0] / "vae-digits-seed0").model
    decoder, encoder = (sum(weight.size for weight in part.parameters() if weight.ndim == 2)
                        for part in (model.decoder, model.encoder))  # fmt: skip
    row = runs[1][0]
    assert row["flops"]["sample"] == 2 * decoder
    first = 64 * 256  # the data's gradient is not computed
    assert row["flops"]["training"] == 3 * 100 * (6 * (decoder + encoder) - 2 * first)


def test_the_floor_is_the_same_for_all_at_one_seed(runs):
    floors = {(row["seed"], name): figure["held_out"] for row in runs[1] for name, figure in row["figures"].items()
              if row["recipe"] == "vae-digits"}  # fmt: skip
    other = again(runs[0], "vae-digits", seed=1)
    assert {name: figure["held_out"] for name, figure in other["figures"].items()} == {
        name: value for (seed, name), value in floors.items() if seed == 1}


# -- what is read again -----------------------------------------------------------------------------------------------


def test_a_row_is_measured_once(runs):
    said = []
    assert again(runs[0], say=said.append) == runs[1][2] and said == []


def test_a_row_of_another_result_or_protocol_is_measured_again(own, monkeypatch):
    said = []
    path = own / "gan-grid-vanilla-seed0" / "result.json"
    path.write_text(path.read_text() + "\n")  # as if the run had been made anew
    again(own, say=said.append)
    assert said == [f"{path.parent}: measuring"]
    again(own, say=said.append)
    assert len(said) == 1
    monkeypatch.setattr(league, "PROTOCOL", 2)
    assert again(own, say=said.append)["protocol"] == 2 and len(said) == 2


def test_a_run_of_another_size_is_refused(own):
    with pytest.raises(CommandError, match=r"other settings \(quick: there True, expected False, steps: there 3, "
                                           r"expected None\); move it away, or name another folder by --runs"):
        league.rows(league.entries(names=NAMES), (0,), runs=own, say=print)
    shutil.move(own / "gan-grid-vanilla-seed0", own / "gan-grid-vanilla-seed2")
    with pytest.raises(CommandError, match=r"other settings \(seed: there 0, expected 2\)"):
        again(own, seed=2)


def test_a_run_of_other_steps_than_the_recipe_now_takes_is_refused(own):
    path = own / "gan-grid-vanilla-seed0" / "result.json"
    path.write_text(path.read_text().replace('"steps": 3', '"steps": 2'))
    with pytest.raises(CommandError, match=r"is a run of 2 steps, gan-grid-vanilla now takes 3; move it away"):
        again(own)


def test_a_run_that_stopped_early_because_it_was_to_is_not_refused(own, monkeypatch):
    path = own / "vae-digits-seed0" / "result.json"
    path.write_text(path.read_text().replace('"steps": 3', '"steps": 2'))
    with pytest.raises(CommandError, match="2 steps"):
        again(own, "vae-digits")
    monkeypatch.setattr("minigen.recipes.vae_digits.Experiment.patience", 5)
    assert again(own, "vae-digits")["steps"] == 2


def test_a_result_without_the_metric_is_told(own):
    path = own / "vae-digits-seed0" / "result.json"
    path.write_text(path.read_text().replace("test_iwae50", "iwae"))
    with pytest.raises(CommandError, match=r"result.json: has no metric test_iwae, only validation_elbo, test_elbo"):
        again(own, "vae-digits")


def test_what_is_missing_is_an_error_if_it_is_only_to_be_read(own):
    with pytest.raises(CommandError, match=r"gan-grid-vanilla-seed5: holds no run; .*`minigen train gan-grid-vanilla "
                                           r"--quick --steps 3 --seed 5 --out .*gan-grid-vanilla-seed5`"):
        again(own, seed=5)
    (own / "gan-grid-vanilla-seed0" / "result.json").unlink()
    with pytest.raises(CommandError, match=r"holds an unfinished run; .* --resume`"):
        again(own)


def test_an_unfinished_run_is_finished(own):
    (own / "gan-grid-vanilla-seed0" / "result.json").unlink()
    assert again(own, read=False)["steps"] == 3


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_reads_prints_and_writes_and_rows_come_back(runs, tmp_path, capsys):
    size = ["--quick", "--steps", "3", "--seeds", "0", "1"]
    command = ["leaderboard", "--runs", str(runs[0]), "--recipes", *NAMES, "--read", *size]
    assert cli.main([*command, "--json", str(tmp_path / "rows.json"), "--picture", str(tmp_path / "league.png")]) == 0
    printed = capsys.readouterr().out
    assert "median of seeds 0, 1" in printed and "real ones, held out" in printed
    assert all(name in printed for name in NAMES) and "±" in printed
    assert (tmp_path / "league.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "rows.json").read_text())["rows"] == runs[1]
    assert cli.main(["leaderboard", "--rows", str(tmp_path / "rows.json")]) == 0
    assert capsys.readouterr().out == printed[: printed.index("written:")]
    assert cli.main(["leaderboard", "--rows", str(tmp_path / "rows.json"), "--only", "grid", "--seeds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "median of seed 1" in printed and "gan-grid-vanilla" in printed and "vae-digits" not in printed


@pytest.mark.parametrize(("arguments", "message"), [
    (["--recipes", "gpt-chat"], "'gpt-chat' is not in the league; expected one of "),
    (["--read"], "holds no run; expected a finished one"),
    (["--rows", "nowhere.json"], "nowhere.json: holds no rows; expected what `minigen leaderboard --json` wrote"),
    (["--rows", "empty.json"], "empty.json: no row that is wanted"),
    (["--rows", "old.json"], "old.json: measured under protocol 0, this is 1"),
    (["--rows", "odd.json"], "odd.json: a row lacks protocol, recipe, seed"),
    (["--rows", "part.json"], "part.json: a row lacks counts, figures, flops"),
    (["--rows", "old.json", "--quick"], "--rows looks at no run; expected it without"),
    (["--seeds", "-1"], "'-1' is not a whole number of at least 0"),
])  # fmt: skip
def test_a_mistake_gets_one_message_and_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text('{"rows": []}')
    (tmp_path / "odd.json").write_text('{"rows": [1]}')
    (tmp_path / "part.json").write_text(json.dumps({"rows": [{"recipe": "vae-digits", "seed": 0,
                                                              "protocol": league.PROTOCOL}]}))  # fmt: skip
    (tmp_path / "old.json").write_text('{"rows": [{"recipe": "vae-digits", "seed": 0, "protocol": 0}]}')
    try:
        code = cli.main(["leaderboard", *arguments])
    except SystemExit as end:  # argparse
        code = end.code
    assert code == 2 and message in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot be written"):
        league.leaderboard(runs[1], json_path=tmp_path / "file" / "rows.json", say=lambda line: None)
