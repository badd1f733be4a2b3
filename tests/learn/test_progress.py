import json
import os
import subprocess
import sys

import pytest

from minigen.learn import exercises, progress


def test_what_was_done_stays_done():
    progress.record("05.1", attempt=True, done=True)
    progress.record("05.1", attempt=True)
    entry = progress.load()["05.1"]
    assert entry["done"] is True and entry["attempts"] == 2 and len(entry["when"]) == 10


def test_hints_stop_at_three():
    assert [progress.record("05.1", hint=True)["hints"] for _ in range(5)] == [1, 2, 3, 3, 3]


def test_exercises_are_kept_apart():
    progress.record("05.1", hint=True)
    progress.record("05.2", solution=True)
    assert progress.load()["05.1"]["solution"] is False and progress.load()["05.2"]["hints"] == 0


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 1}', '{"format": 99, "exercises": {}}',
                                     '{"format": 1, "exercises": {"05.1": {"attempts": "many"}}}', "\x00\xff"])
def test_a_damaged_file_is_kept_aside_and_the_learner_is_told(content, learner_home, capsys):
    learner_home.mkdir()
    (learner_home / "progress.json").write_text(content, encoding="latin-1")
    assert progress.load() == {}
    out = capsys.readouterr().out
    (kept,) = learner_home.glob("progress.damaged-*.json")
    assert "was damaged" in out and str(kept) in out
    assert kept.read_text(encoding="latin-1") == content
    progress.record("05.1", done=True)
    assert progress.load()["05.1"]["done"] is True and kept.exists()


def test_two_damaged_files_in_one_second_are_both_kept(learner_home):
    learner_home.mkdir()
    for content in ("first", "second"):
        (learner_home / "progress.json").write_text(content)
        progress.load()
    kept = {path.read_text() for path in learner_home.glob("progress.damaged-*.json")}
    assert kept == {"first", "second"}


def test_a_file_that_may_not_be_read_is_not_overwritten(learner_home, monkeypatch, capsys):
    progress.record("05.1", done=True)
    before = (learner_home / "progress.json").read_bytes()
    path_type = type(learner_home)
    real = path_type.read_bytes

    def denied(self):
        if self.name == "progress.json":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(path_type, "read_bytes", denied)
        assert progress.load() == {}
        progress.record("05.2", done=True)
    assert (learner_home / "progress.json").read_bytes() == before
    assert "cannot be read" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_said_and_nothing_fails(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MINIGEN_HOME", str(tmp_path / "file"))
    assert progress.record("05.1", done=True)["done"] is True
    assert "progress is not saved" in capsys.readouterr().out
    assert progress.load() == {}


def test_a_crash_while_writing_leaves_the_old_file(learner_home, monkeypatch):
    progress.record("05.1", done=True)
    before = (learner_home / "progress.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
        progress.record("05.2", done=True)
    assert (learner_home / "progress.json").read_bytes() == before
    assert sorted(path.name for path in learner_home.iterdir()) == ["progress.json"]


def test_a_lock_left_by_a_dead_process_is_taken_over(learner_home):
    (learner_home / "progress.lock").mkdir(parents=True)
    os.utime(learner_home / "progress.lock", (0, 0))
    progress.record("05.1", done=True)
    assert progress.load()["05.1"]["done"] is True


def test_processes_that_write_at_once_lose_nothing(learner_home):
    script = ("import sys; from minigen.learn import progress\n"
              "for k in range(10): progress.record(f'05.{sys.argv[1]}', attempt=True); "
              "progress.record('05.0', attempt=True)")
    processes = [subprocess.Popen([sys.executable, "-c", script, str(n)]) for n in range(1, 4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    attempts = {id: record["attempts"] for id, record in progress.load().items()}
    assert attempts == {"05.0": 30, "05.1": 10, "05.2": 10, "05.3": 10}


def test_the_file_is_plain_json(learner_home):
    progress.record("05.1", done=True)
    content = json.loads((learner_home / "progress.json").read_text())
    assert content["format"] == 1 and list(content["exercises"]) == ["05.1"]


def test_the_folder_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIGEN_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    found = {}
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        found[platform] = progress.home().relative_to(tmp_path).as_posix()
    assert found == {"linux": ".local/share/minigen", "darwin": "Library/Application Support/minigen",
                     "win32": "roaming/minigen"}
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert progress.home() == tmp_path / "data" / "minigen"


def test_the_summary_lists_every_exercise_by_lesson_and_says_what_comes_next(capsys):
    for item in exercises("05"):
        if item.id not in ("05.2", "05.6"):
            progress.record(item.id, attempt=True, done=True)
    progress.record("05.2", attempt=True, hint=True, solution=True)
    progress.print_summary("05")
    heading, lesson, first, second, *others, where = capsys.readouterr().out.splitlines()
    assert heading.startswith("4 of 6 exercises done in lesson 05; next: 05.2, ")
    assert lesson == "05  Variational autoencoders: 4 of 6"
    assert first.startswith("  ✓ 05.1  Reparameterisation ") and first.endswith("  1")
    assert second.startswith("  … 05.2 ") and second.endswith("1 of 3 hints, solution")
    assert others[-1] == "    05.6  Open: a better VAE for digits" and where.startswith("(kept in ")


def test_without_a_number_all_lessons_are_listed(capsys):
    progress.print_summary()
    out = capsys.readouterr().out
    assert out.startswith(f"0 of {len(exercises())} exercises done; next: {exercises()[0].id}, ")
    assert all(f" {item.id}  {item.title}" in out for item in exercises())


def test_in_a_notebook_the_summary_is_a_table(monkeypatch):
    shown = []
    monkeypatch.setattr("minigen.learn.page.notebook_display", lambda: shown.append)
    monkeypatch.setattr(progress, "notebook_display", lambda: shown.append)
    progress.record("05.1", attempt=True, done=True)
    progress.print_summary("05")
    (page,) = shown
    table = page._repr_markdown_().splitlines()
    assert "| | **05** | **Variational autoencoders** | | **1 of 6** |" in table
    assert "| ✓ | 05.1 | Reparameterisation | 1 |  |" in table
    assert len({line.count("|") for line in table[2:]}) == 1
