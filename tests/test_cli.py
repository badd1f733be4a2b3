"""The command line, run in this process with the tiny recipe; and once for real."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minigen
from minigen import cli, recipes, workspace
from minigen.errors import CommandError, RecipeError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(tiny_recipe, tmp_path, monkeypatch, capsys):
    """`run("train", "tiny")` → (exit code, what was printed, what went to standard error), in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def minigen_(*arguments):
        try:
            code = cli.main(list(arguments))
        except SystemExit as end:  # argparse
            code = end.code
        return code, *capsys.readouterr()

    return minigen_


# -- help, version, mistakes -------------------------------------------------------------------------------------------


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ("list", "train", "sample", "evaluate", "leaderboard", "chat", "demo", "gradcheck", "lessons",
                    "progress", "fetch"):
        assert f"\n    {command}" in out
    assert run() == (0, out, "")


def test_version(run):
    assert run("--version") == (0, f"minigen {minigen.__version__}\n", "")


def test_python_m_minigen_is_the_same_program():
    done = subprocess.run([sys.executable, "-m", "minigen", "--version"], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout == f"minigen {minigen.__version__}\n"


def test_help_does_not_wait_for_matplotlib_or_the_models():
    code = ("import sys, minigen.cli\n"
            "try: minigen.cli.main(['--help'])\nexcept SystemExit: pass\n"
            "print([name for name in ('matplotlib', 'tqdm', 'pooch', 'minigen.models', 'minigen.recipes', 'IPython') "
            "if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("arguments", "message"), [
    (["trian"], "invalid choice: 'trian'"),
    (["train", "tiny", "--steps", "0"], "'0' is not a whole number of at least 1"),
    (["train", "tiny", "--seed", "-1"], "'-1' is not a whole number of at least 0"),
    (["train", "tiny", "--seed", "one"], "'one' is not a whole number"),
    (["fetch", "imagenet"], "invalid choice: 'imagenet'"),
    (["train", "tinny"], "no recipe is called 'tinny'; did you mean tiny?"),
    (["train", "zzz"], "no recipe is called 'zzz'; there are: "),
    (["sample", "nowhere"], "nowhere: holds no run"),
    (["evaluate", "nowhere"], "nowhere: holds no run"),
    (["evaluate", "nowhere", "--n", "0"], "'0' is not a whole number of at least 1"),
    (["fetch", "mnist", "--data", "nowhere"], "nowhere does not exist"),
])  # fmt: skip
def test_a_mistake_gets_one_message_and_code_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err and "Traceback" not in err


def test_debug_shows_the_traceback(run):
    for arguments in (["--debug", "train", "tinny"], ["train", "tinny", "--debug"]):
        with pytest.raises(RecipeError):
            run(*arguments)


def test_ctrl_c_ends_with_130(run, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "run", interrupted)
    assert run("train", "tiny") == (130, "", "minigen: interrupted\n")


def test_a_reader_who_has_seen_enough_is_no_error():
    done = subprocess.run(f"{sys.executable} -m minigen list | head -n 1", shell=True, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert done.stdout.startswith("recipe") and done.stderr == ""


def test_a_warning_is_one_line(run, monkeypatch):
    monkeypatch.setattr(recipes, "names", lambda: warnings.warn("look out", stacklevel=1) or ["tiny"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _, _, err = run("list")
    assert err == "minigen: warning: look out\n"


# -- list, train, sample ----------------------------------------------------------------------------------------------


def test_list_shows_name_lesson_budget_summary_and_anchor(run):
    code, out, _ = run("list")
    lines = out.splitlines()
    row = next(index for index, line in enumerate(lines) if line.startswith("tiny "))
    assert code == 0
    assert lines[row].split() == ["tiny", "00", "1", "s", "a", "denoiser", "of", "points"]
    assert lines[row + 1].strip() == "1.0, the variance of the points"
    assert all(name in out for name in recipes.names())


def test_train_writes_a_complete_result(run, tmp_path):
    code, out, err = run("train", "tiny", "--seed", "4")
    assert (code, err) == (0, "")
    folder = tmp_path / "runs" / "tiny-seed4"
    result = json.loads((folder / "result.json").read_text())
    assert (result["recipe"], result["seed"], result["quick"], result["lesson"]) == ("tiny", 4, False, "00")
    assert result["band"] == {"test_error": [None, 1.0]}
    assert result["landed"] is True and result["landed_metrics"] == {"test_error": True}
    assert type(result["metrics"]["test_error"]) is float
    assert 0 < result["seconds"] < result["total_seconds"]
    assert set(result["versions"]) == {"minigen", "python", "numpy", "scipy", "numba"}
    assert result["versions"]["numpy"] == np.__version__
    assert result["machine"]["cpu"] and result["machine"]["cores"] >= 1 and result["machine"]["threads"] >= 1
    assert result["pictures"] == ["samples.png", "loss.png"]
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in result["pictures"])
    assert result["steps"] == len((folder / "metrics.jsonl").read_text().splitlines())
    assert f"{result['metrics']['test_error']:.4g}   landed in its band, ≤ 1" in out
    assert json.loads((folder / "config.json").read_text())["seed"] == 4


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(run, tmp_path):
    found = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert run("train", "tiny", "--quick", "--seed", seed, "--out", name)[0] == 0
        found.append(json.loads((tmp_path / name / "result.json").read_text())["metrics"])
    assert found[0] == found[1] != found[2]


def test_quick_and_steps_change_the_size(run, tmp_path):
    run("train", "tiny", "--quick", "--out", "a")
    run("train", "tiny", "--steps", "7", "--out", "b")
    a, b = (json.loads((tmp_path / name / "result.json").read_text()) for name in "ab")
    assert (a["steps"], a["quick"], a["band"]) == (12, True, {"test_error": [0.0, 3.0]})
    assert (b["steps"], b["quick"]) == (7, False)


def test_a_missed_band_is_told_and_is_no_error(run, tiny_recipe, tmp_path):
    recipes.unregister("tiny")
    recipes.register(replace(tiny_recipe, band={"test_error": (0.0, 0.1)}))
    code, out, _ = run("train", "tiny")
    assert code == 0 and "MISSED its band, 0 to 0.1" in out
    assert json.loads((tmp_path / "runs/tiny-seed0/result.json").read_text())["landed"] is False


def test_a_finished_run_is_not_overwritten(run, tmp_path):
    run("train", "tiny", "--quick")
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    code, _, err = run("train", "tiny", "--quick")
    assert code == 2
    assert "holds a finished run of tiny, seed 0. --resume goes on with it; --out DIR takes another folder" in err
    code, out, _ = run("train", "tiny", "--quick", "--resume")
    assert code == 0 and "finished already" in out and "test_error" in out
    assert before == {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}


def test_resuming_with_other_settings_is_refused(run):
    run("train", "tiny", "--quick", "--out", "a")
    code, _, err = run("train", "tiny", "--seed", "3", "--out", "a", "--resume")
    assert code == 2 and "quick: then True, now False; seed: then 0, now 3" in err


def test_resuming_nothing_starts_and_says_so(run):
    code, out, _ = run("train", "tiny", "--quick", "--out", "a", "--resume")
    assert code == 0 and "a: no checkpoint to resume from; starting at the first step" in out


def test_an_output_that_is_a_file_is_refused(run, tmp_path):
    (tmp_path / "a").write_text("mine")
    code, _, err = run("train", "tiny", "--out", "a")
    assert code == 2 and "a: is a file" in err


def test_data_for_a_recipe_that_needs_none_is_refused(run, tiny_recipe):
    recipes.unregister("tiny")
    recipes.register(replace(tiny_recipe, takes_data=False))
    code, _, err = run("train", "tiny", "--data", "somewhere")
    assert code == 2 and "--data somewhere has no place in it" in err


def test_a_loss_that_breaks_is_one_message_and_the_last_checkpoint_can_be_sampled(run, tiny, tmp_path, monkeypatch):
    step = tiny.Tiny.step
    monkeypatch.setattr(tiny.Tiny, "step", lambda self: float("nan") if self.counter.value == 9 else step(self))
    code, _, err = run("train", "tiny", "--out", "a")
    assert code == 2 and "loss is nan at step 10" in err
    assert not (tmp_path / "a/result.json").exists()
    assert run("sample", "a")[0] == 0


def test_an_evaluation_that_is_not_finite_or_misses_the_bands_metric_is_an_error(run, tiny, monkeypatch):
    monkeypatch.setattr(tiny.Tiny, "evaluate", lambda self: {"test_error": float("inf")})
    code, _, err = run("train", "tiny", "--quick", "--out", "a")
    assert code == 2 and "{'test_error': inf}; expected finite numbers" in err
    monkeypatch.setattr(tiny.Tiny, "evaluate", lambda self: {"error": 1.0})
    code, _, err = run("train", "tiny", "--quick", "--out", "b")
    assert code == 2 and "the band names ['test_error']" in err


def test_evaluate_prints_a_table_and_writes_the_picture_and_the_file(run, tmp_path):
    run("train", "vae-digits", "--quick", "--steps", "5", "--out", "a")
    code, out, err = run("evaluate", "a", "--n", "60", "--seed", "2", "--json", "figures.json")
    assert (code, err) == (0, "") and "Fréchet distance" in out and "coverage" in out
    assert (tmp_path / "a/nearest-seed2.png").read_bytes().startswith(b"\x89PNG")
    assert set(json.loads((tmp_path / "figures.json").read_text())) == {"run", "seed", "figures", "counts", "features"}
    assert run("evaluate", "a", "--n", "60", "--seed", "2", "--json", "figures.json")[1] == out


def test_evaluate_has_no_measure_for_what_is_neither_picture_nor_point(run):
    run("train", "tiny", "--quick", "--out", "a")
    code, out, err = run("evaluate", "a")
    assert (code, out) == (2, "") and "makes neither pictures nor points" in err


def test_sample_draws_the_same_picture_for_the_same_seed(run, tmp_path):
    run("train", "tiny", "--quick", "--out", "a")
    for arguments in (["--out", "1.png"], ["--out", "2.png"], ["--seed", "1", "--out", "3.png"], ["--n", "9"]):
        assert run("sample", "a", *arguments)[0] == 0
    one, two, three = ((tmp_path / f"{number}.png").read_bytes() for number in (1, 2, 3))
    assert one == two != three
    assert (tmp_path / "a/sample-seed0.png").exists()
    assert "ends in .png" in run("sample", "a", "--out", "picture.jpg")[2]


def test_images_are_not_written_as_text(run, tmp_path):
    run("train", "tiny", "--quick", "--out", "a")
    code, out, err = run("sample", "a", "--out", "b.txt")
    assert (code, out) == (2, "") and "the samples of a are no texts; expected a name that ends in .png" in err
    assert not (tmp_path / "b.txt").exists()


@pytest.fixture
def writing(tiny, monkeypatch):
    """The tiny recipe as one whose samples are texts."""
    monkeypatch.setattr(tiny.Tiny, "text", True)
    monkeypatch.setattr(tiny.Tiny, "sample", lambda self, n, rng: [f"n° {rng.integers(10**6)}" for _ in range(n)])


def test_texts_are_printed_or_written_to_a_file(run, tmp_path, writing, monkeypatch):
    run("train", "tiny", "--quick", "--out", "a")
    code, printed, err = run("sample", "a")
    assert (code, err) == (0, "") and len(printed.split(recipes.base.BETWEEN)) == 8
    assert not (tmp_path / "a/sample-seed0.png").exists()
    assert run("sample", "a", "--out", "b.txt", "--n", "8") == (0, "b.txt\n", "")
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == printed
    assert len(run("sample", "a", "--n", "3")[1].split(recipes.base.BETWEEN)) == 3
    assert run("sample", "a", "--seed", "1")[1] != printed
    code, _, err = run("sample", "a", "--out", "nowhere/b.txt")
    assert code == 2 and "cannot be written" in err


def test_a_loaded_run_has_the_trained_weights(run, tmp_path):
    run("train", "tiny", "--out", "a")
    result = json.loads((tmp_path / "a/result.json").read_text())
    assert recipes.load(tmp_path / "a").evaluate() == result["metrics"]
    (tmp_path / "a/weights.npz").unlink()  # then the best of the newest checkpoint, which is the same
    assert recipes.load(tmp_path / "a").evaluate() == result["metrics"]


def test_damaged_weights_and_settings_are_told(run, tmp_path):
    run("train", "tiny", "--quick", "--out", "a")
    weights = tmp_path / "a/weights.npz"
    weights.write_bytes(weights.read_bytes()[:-100])
    code, _, err = run("sample", "a")
    assert code == 2 and "weights.npz: truncated" in err
    (tmp_path / "a/config.json").write_text("{")
    code, _, err = run("sample", "a")
    assert code == 2 and "config.json: cannot be read" in err


# -- the registry -----------------------------------------------------------------------------------------------------


def test_registering_a_name_twice_is_refused(tiny_recipe):
    with pytest.raises(RecipeError, match="already"):
        recipes.register(tiny_recipe)


def test_an_impossible_band_is_refused(tiny_recipe):
    with pytest.raises(RecipeError, match=r"test_error is \(2, 1\)"):
        replace(tiny_recipe, band={"test_error": (2, 1)})


@pytest.mark.parametrize(("band", "value", "inside"), [
    ((1, 2), 1, True), ((1, 2), 2, True), ((1, 2), 2.01, False), ((1, 2), 0.99, False),
    ((None, 2), -9, True), ((None, 2), 3, False), ((1, None), 9, True), ((1, None), 0, False),
])  # fmt: skip
def test_landing_in_a_band(tiny_recipe, band, value, inside):
    assert replace(tiny_recipe, band={"x": band}).landed({"x": value}) == {"x": inside}


# -- demo -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def only_tiny(monkeypatch):
    """The demo with the tiny recipe alone: the real ones take minutes."""
    monkeypatch.setattr(recipes, "names", lambda: ["tiny"])


def test_demo_writes_a_picture_and_a_table(run, tmp_path, only_tiny):
    code, out, _ = run("demo")
    assert code == 0 and "[1/1] tiny" in out and "1 of 1 models trained" in out
    outcome = json.loads((tmp_path / "runs/demo/demo.json").read_text())
    assert outcome["recipes"][0]["steps"] == 6 and outcome["failed"] == {}
    assert (tmp_path / "runs/demo/demo.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "runs/demo/tiny/result.json").exists()


def test_a_second_demo_takes_a_new_folder_and_never_overwrites(run, tmp_path, only_tiny):
    run("demo")
    run("demo")
    assert (tmp_path / "runs/demo-2/demo.json").exists()
    code, _, err = run("demo", "--out", "runs/demo")
    assert code == 2 and "is not an empty folder" in err


def test_a_demo_goes_on_after_a_failure_and_tells_it_at_the_end(run, tmp_path, tiny_recipe, monkeypatch):
    def broken(*arguments, **settings):
        raise RecipeError("broken on purpose")

    recipes.register(replace(tiny_recipe, name="broken", build=broken))
    monkeypatch.setattr(recipes, "names", lambda: ["broken", "tiny"])
    try:
        code, out, err = run("demo")
    finally:
        recipes.unregister("broken")
    assert code == 2 and "broken (broken on purpose)" in err and "1 of 2 models trained" in out
    assert list(json.loads((tmp_path / "runs/demo/demo.json").read_text())["failed"]) == ["broken"]


# -- gradcheck, progress, fetch ---------------------------------------------------------------------------------------


def test_gradcheck_hands_on_names_format_and_exit_code(run, monkeypatch):
    from minigen import gradtable

    asked = []
    monkeypatch.setattr(gradtable, "main", lambda names, as_json: asked.append((names, as_json)) or 1)
    assert run("gradcheck", "tanh", "exp", "--json")[0] == 1
    assert run("gradcheck")[0] == 1
    assert asked == [(["tanh", "exp"], True), ([], False)]


def test_gradcheck_of_one_operation_passes(run):
    code, out, _ = run("gradcheck", "tanh")
    assert code == 0 and "tanh" in out


def test_progress_prints_the_exercises(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGEN_HOME", str(tmp_path))
    code, out, _ = run("progress")
    assert code == 0 and "exercises done" in out


def test_fetch_checks_a_local_copy(run, tmp_path):
    (tmp_path / "mine.txt").write_text("to be or not to be")
    code, out, err = run("fetch", "tiny-shakespeare", "--data", "mine.txt")
    assert code == 0 and "18 characters, 7 distinct, in mine.txt" in out
    assert "minigen: warning: mine.txt is used in place of tiny-shakespeare.txt" in err


# -- lessons ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder of two lessons that stands for the originals."""
    folder = tmp_path / "originals"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"0{number}_a.ipynb").write_text(f"lesson {number}")
    monkeypatch.setattr(workspace, "lessons_folder", lambda: folder)
    return folder


def test_lessons_are_copied_and_a_learners_work_is_never_overwritten(run, tmp_path, source):
    code, out, _ = run("lessons", "--copy-only")
    mine = tmp_path / "minigen-lessons"
    assert code == 0 and out.count("copied") == 2
    (mine / "01_a.ipynb").write_text("my answers")
    (mine / "02_a.ipynb").unlink()
    (source / "03_a.ipynb").write_text("lesson 3")
    code, out, _ = run("lessons", "--copy-only")
    assert code == 0 and out.count("copied") == 2 and out.count("yours") == 1 and "newer" not in out
    assert [path.read_text() for path in sorted(mine.glob("*.ipynb"))] == ["my answers", "lesson 2", "lesson 3"]


def test_a_newer_original_is_told_and_not_forced_on_the_learner(run, tmp_path, source):
    run("lessons", "--copy-only")
    (source / "01_a.ipynb").write_text("lesson 1, better")
    for _ in range(2):
        out = run("lessons", "--copy-only")[1]
        assert "01_a.ipynb: there is a newer version; move yours away to get it" in out
        assert (tmp_path / "minigen-lessons/01_a.ipynb").read_text() == "lesson 1"
    (tmp_path / "minigen-lessons/01_a.ipynb").unlink()
    assert "newer" not in run("lessons", "--copy-only")[1] + run("lessons", "--copy-only")[1]


def test_lessons_may_go_elsewhere_but_not_over_the_originals_or_a_file(run, tmp_path, source):
    assert run("lessons", "here", "--copy-only")[0] == 0
    assert (tmp_path / "here/01_a.ipynb").exists()
    assert "holds the original lessons" in run("lessons", str(source), "--copy-only")[2]
    (tmp_path / "file").write_text("")
    assert "file: is a file" in run("lessons", "file", "--copy-only")[2]


def test_without_jupyterlab_the_command_to_install_it_is_told(run, source, monkeypatch):
    monkeypatch.setattr(workspace.importlib.util, "find_spec", lambda name: None)
    code, out, err = run("lessons")
    assert code == 2 and out.count("copied") == 2
    assert f"{sys.executable} -m pip install jupyterlab ipywidgets" in err


def test_jupyterlab_is_started_in_the_copy(run, tmp_path, source, monkeypatch):
    started = []

    class Process:
        def __init__(self, command):
            started.append(command)
            self.answers = [KeyboardInterrupt, 7]

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def wait(self):
            answer = self.answers.pop(0)
            if answer is KeyboardInterrupt:
                raise KeyboardInterrupt
            return answer

    monkeypatch.setattr(workspace.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(workspace.subprocess, "Popen", Process)
    assert run("lessons")[0] == 7
    assert run("lessons", "--no-browser")[0] == 7
    expected = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={(tmp_path / 'minigen-lessons').resolve()}"]
    assert started == [expected, [*expected, "--no-browser"]]


def test_an_installation_without_lessons_says_so(monkeypatch, tmp_path):
    package = tmp_path / "site-packages" / "minigen"
    (package / "_lessons").mkdir(parents=True)
    monkeypatch.setattr(workspace, "__file__", str(package / "workspace.py"))
    with pytest.raises(CommandError, match="clone the repository"):
        workspace.lessons_folder()
    (package / "_lessons" / "05_a.ipynb").write_text("")
    assert workspace.lessons_folder() == package / "_lessons"
    (package.parent / "lessons").mkdir()
    (package.parent / "lessons" / "05_a.ipynb").write_text("")
    assert workspace.lessons_folder() == package.parent / "lessons"
