"""`minigen chat` and chat.turn: finding the run, streaming, forgetting, ending; with a model of a few steps."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigen import chat, cli, recipes
from minigen.data.dialogues import Turn
from minigen.errors import CommandError
from minigen.recipes import gpt_chat

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder that holds runs/gpt-chat-seed0, trained for a few steps."""
    folder = tmp_path_factory.mktemp("chat")
    with pytest.MonkeyPatch.context() as patch:  # its figures do not matter here
        patch.setattr(gpt_chat.Experiment, "quick_judged", 1)
        patch.setattr(gpt_chat.Experiment, "pictures", lambda self, folder: [])
        recipes.run("gpt-chat", quick=True, steps=8, out=folder / "runs" / "gpt-chat-seed0", progress=False,
                    say=lambda line: None)
    return folder


@pytest.fixture
def talk(trained, monkeypatch, capsys):
    """`talk("Hello!\\n", "--seed", "1")` → (exit code, what was printed, errors), the first being piped in."""
    monkeypatch.chdir(trained)

    def minigen_chat(lines, *arguments):
        monkeypatch.setattr("sys.stdin", io.StringIO(lines))
        try:
            code = cli.main(["chat", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return minigen_chat


def test_a_piped_conversation_reads_as_a_dialogue_and_repeats_with_its_seed(talk):
    code, out, err = talk("Hello!\nWhat is 2 plus 3?\n", "--seed", 1)
    assert (code, err) == (0, "")
    assert "> Hello!\n" in out and "> What is 2 plus 3?\n" in out and out.index("Hello!\n") < out.index("2 plus 3?\n")
    assert talk("Hello!\nWhat is 2 plus 3?\n", "--seed", 1) == (0, out, "")
    assert talk("Hello!\nWhat is 2 plus 3?\n", "--seed", 2)[1] != out


@pytest.mark.parametrize("end", ["\n", "/quit\n", ""])
def test_an_empty_line_quit_or_the_end_of_input_ends_it(talk, end):
    code, out, _ = talk(f"Hello!\n{end}")
    assert code == 0 and "Hello!" in out
    if end:
        assert "never said" not in talk(f"Hello!\n{end}never said\n")[1]


def test_any_text_gets_an_answer(talk):
    code, out, err = talk("Fjørd ☃ <end><user> qqq\n" + "long " * 400 + "\n", "--temperature", 0)
    assert (code, err) == (0, "") and "☃" in out


def test_temperature_zero_does_not_depend_on_the_seed(talk):
    answers = [talk("Hello!\n", "--temperature", 0, "--seed", seed)[1] for seed in (1, 2)]
    assert answers[0] == answers[1]


def test_the_folder_may_be_named_and_must_hold_a_run_that_answers(talk, trained, tmp_path, monkeypatch):
    assert talk("Hello!\n", trained / "runs" / "gpt-chat-seed0")[0] == 0
    code, _, err = talk("Hello!\n", tmp_path / "nothing")
    assert code == 2 and "holds no run" in err
    monkeypatch.setattr(chat.recipes, "load", lambda folder: object())
    code, _, err = talk("Hello!\n", tmp_path)
    assert code == 2 and "holds a run of another recipe" in err


def test_without_a_run_the_command_that_trains_one_is_told(talk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "result.json").write_text("[]")
    code, out, err = talk("Hello!\n")
    assert (code, out) == (2, "") and "`minigen train gpt-chat` makes one in at most" in err and "minutes" in err


def test_the_newest_run_is_taken(trained, monkeypatch):
    monkeypatch.chdir(trained)
    assert chat.newest() == Path("runs/gpt-chat-seed0")
    for name, age in (("older", -10), ("newer", 10)):
        folder = trained / "runs" / "demo" / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text('{"recipe": "gpt-chat"}')
        time = (trained / "runs/gpt-chat-seed0/result.json").stat().st_mtime + age
        os.utime(folder / "result.json", (time, time))
    other = trained / "runs" / "vae"
    other.mkdir()
    (other / "result.json").write_text('{"recipe": "vae-digits"}')
    assert chat.newest() == Path("runs/demo/newer")
    for path in (*(trained / "runs/demo").glob("*/result.json"), other / "result.json"):
        path.unlink()


@pytest.mark.parametrize("arguments", [["--temperature", "-1"], ["--temperature", "hot"], ["--temperature", "inf"]])
def test_a_temperature_that_is_none_is_refused(talk, arguments):
    code, _, err = talk("Hello!\n", *arguments)
    assert code == 2 and "is not a number of at least 0" in err


def test_a_turn_in_a_notebook_shows_the_answer_and_returns_a_longer_history(trained):
    experiment, shown, history = chat.load(trained / "runs" / "gpt-chat-seed0"), [], []
    longer = chat.turn(experiment, history, "Hello!", rng=np.random.default_rng(0), show=shown.append)
    assert history == [] and [turn.role for turn in longer] == ["user", "assistant"]
    assert "".join(shown) == longer[-1].text + "\n" and len(shown) > 1


def test_it_says_when_it_begins_to_forget(trained):
    experiment, history, said = chat.load(trained / "runs" / "gpt-chat-seed0"), [], []
    for number in range(30):
        shown = []
        history = chat.turn(experiment, history, f"What is {number} plus {number}? " * 3, rng=np.random.default_rng(0),
                            show=shown.append)
        said.append("forgotten" in "".join(shown))
    assert not said[0] and any(said)
    assert all(isinstance(turn, Turn) for turn in history) and len(history) == 60
    assert said.index(True) == next(i for i in range(30) if experiment.fitting(history[: 2 * i + 1])[1])


def test_the_program_itself_streams_to_a_pipe(trained):
    done = subprocess.run([sys.executable, "-m", "minigen", "chat"], input=b"Hello \xff!\n", capture_output=True,
                          cwd=trained, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert b"> Hello" in done.stdout and done.stderr == b""


def test_load_without_a_folder_and_without_a_run_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="no trained run of gpt-chat"):
        chat.load()
