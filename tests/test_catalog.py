"""The catalogue and the repository say the same."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from minigen import catalog, recipes

ROOT = Path(__file__).parents[1]
WRITTEN = [lesson for lesson in catalog.LESSONS if lesson.exists]


def test_there_are_fourteen_lessons_in_order_and_then_the_appendices():
    numbers = [lesson.number for lesson in catalog.LESSONS]
    assert numbers[:14] == [f"{number:02}" for number in range(1, 15)]
    assert numbers[14:] == [f"A{number}" for number in range(1, len(numbers) - 13)]
    assert catalog.lesson(5) is catalog.lesson("05") is catalog.LESSONS[4]
    assert catalog.lesson("A1") is catalog.LESSONS[14]
    with pytest.raises(KeyError):
        catalog.lesson("A99")


@pytest.mark.parametrize("lesson", WRITTEN, ids=lambda lesson: lesson.number)
def test_what_the_catalogue_names_exists(lesson):
    named = [f"lessons/{lesson.notebook}", *(f"minigen/{module}" for module in lesson.modules)]
    named += [f"tests/{test}" for test in lesson.tests]
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert list((ROOT / "figures").glob(lesson.figures)), f"figures/{lesson.figures} matches nothing"
    assert [recipes.get(name).lesson for name in lesson.recipes] == [lesson.number] * len(lesson.recipes)


@pytest.mark.parametrize("lesson", WRITTEN, ids=lambda lesson: lesson.number)
def test_the_notebook_bears_the_lessons_number_and_title(lesson):
    assert lesson.notebook.startswith(f"{lesson.number}_")
    notebook = json.loads((ROOT / "lessons" / lesson.notebook).read_text(encoding="utf-8"))
    first = "".join(notebook["cells"][0]["source"]).splitlines()[0]
    assert first.startswith("# ") and lesson.title in first and lesson.number in first


def test_a_lesson_that_is_not_written_names_nothing():
    for lesson in catalog.LESSONS:
        assert lesson.exists or not (lesson.modules or lesson.recipes)


def test_every_model_is_in_the_catalogue_once():
    files = {f"models/{path.name}" for path in (ROOT / "minigen/models").glob("*.py")} - {"models/__init__.py"}
    named = [module for lesson in catalog.LESSONS for module in lesson.modules if module.startswith("models/")]
    assert sorted(named) == sorted(files)


def test_every_recipe_is_in_the_catalogue_once():
    assert sorted(name for lesson in catalog.LESSONS for name in lesson.recipes) == recipes.names()


def test_every_notebook_is_in_the_catalogue_once():
    files = sorted(path.name for path in (ROOT / "lessons").glob("*.ipynb"))
    assert [lesson.notebook for lesson in WRITTEN] == files


def test_every_figure_belongs_to_a_lesson_that_exists():
    numbers = {lesson.number for lesson in WRITTEN}
    figures = [path.name for path in (ROOT / "figures").glob("[0-9A][0-9]_*.png")]
    assert [name for name in figures if name.split("_")[0] not in numbers] == []


def test_every_recipe_module_defines_its_recipe():
    for name in recipes.names():
        recipe = recipes.get(name)
        assert recipe.name == name
        assert recipe.summary and recipe.anchor and recipe.source and recipe.band and recipe.quick_band, name
        assert recipe.budget_seconds > 0


def test_the_readme_has_the_catalogues_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert catalog.readme_table() in readme, "paste what `python -m minigen.catalog` prints into README.md"


# -- what the texts promise -------------------------------------------------------------------------------------------


def commands():
    """The README's marked commands: name → the lines of the fenced block after it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^<!-- command: (\w+) -->\n\s*```\w*\n(.*?)^```", readme, re.M | re.S)
    return {name: block.splitlines() for name, block in blocks}


def test_the_readme_has_two_commands_each_one_line_that_starts_with_the_clone():
    assert set(commands()) == {"demo", "test"}
    for lines in commands().values():
        assert len(lines) == 1
        assert lines[0].startswith("git clone https://github.com/minigen/minigen && cd minigen && ")
        assert "python3 -m venv .venv" in lines[0], "a fresh Debian refuses pip outside an environment"
    assert commands()["demo"][0].endswith("minigen demo")
    assert "pytest" in commands()["test"][0]


def test_ci_cuts_the_same_command_out_of_the_readme(tmp_path):
    """.ci/run on a copy whose command only prints: it must run that, in a fresh clone, and want pytest's line."""
    if not (shutil.which("bash") and shutil.which("git")):
        pytest.skip("needs bash and git")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    line = commands()["test"][0]
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    head = "git clone https://github.com/minigen/minigen && cd minigen && "

    def outcome(command):
        (tmp_path / "README.md").write_text(readme.replace(line, head + command), encoding="utf-8")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "x"]):
            subprocess.run([*git, *arguments], cwd=tmp_path, check=True, capture_output=True)
        return subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True, timeout=60, check=False)

    good = outcome("ls README.md && echo '7 passed in 1.00s'")
    assert good.returncode == 0 and good.stdout.splitlines()[-1] == "7 passed in 1.00s", good.stderr
    assert outcome("echo '1 failed, 6 passed in 1.00s'").returncode == 1
    assert outcome("echo '7 passed in 1.00s' && exit 3").returncode == 3
    assert outcome("echo 'nothing was tested'").returncode == 1


def test_contributing_names_tests_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) >= 15
    missing = [f"{path}::{name}" for path, name in named
               if not re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M)]
    assert missing == []
    mentioned = re.findall(r"`((?:tests|minigen)/[\w/]+\.py)`", text)
    placeholders = {"tests/models/test_NAME.py", "minigen/learn/exercises/lessonNN.py"}
    assert [path for path in mentioned if path not in placeholders and not (ROOT / path).exists()] == []
