import base64
import importlib.util
import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from minigen.errors import MinigenError  # noqa: E402

spec = importlib.util.spec_from_file_location("execute_lessons", Path(__file__).with_name("execute_lessons.py"))
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)

PNG = "figures/01_dot.png"
DRAW = f"from minigen import viz\nviz.save(viz.figure('a finding')[0], {PNG!r})"


def write(path, *cells):
    notebook = nbformat.v4.new_notebook()
    for cell in cells:
        make = nbformat.v4.new_markdown_cell if cell.startswith("#") else nbformat.v4.new_code_cell
        notebook.cells.append(make(cell))
    nbformat.write(notebook, path)
    return path


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    import minigen

    monkeypatch.setenv("PYTHONPATH", os.path.dirname(os.path.dirname(minigen.__file__)))


def test_outputs_figures_and_attachments_are_kept(tmp_path, learner_home):
    path = write(tmp_path / "01_a.ipynb", "# ![end](attachment:01_dot.png)", DRAW,
                 "print('one')\nprint('two', flush=True)\nprint('three')",
                 "from minigen import learn\nlearn.hint('05.1')")
    script.execute(path, tmp_path)
    notebook = nbformat.read(path, as_version=4)
    assert [cell.get("execution_count") for cell in notebook.cells] == [None, 1, 2, 3]
    assert notebook.cells[0].attachments["01_dot.png"]["image/png"] == base64.b64encode(
        (tmp_path / PNG).read_bytes()).decode()
    assert "image/png" in notebook.cells[1].outputs[0].data
    (out,) = notebook.cells[2].outputs
    assert out.text == "one\ntwo\nthree\n"
    assert not learner_home.exists(), "the run must not count as the learner's own"
    first = path.read_bytes()
    script.execute(path, tmp_path)
    assert path.read_bytes() == first, "the same lesson gives the same file"


def test_a_cell_that_raises_leaves_the_file_as_it_was(tmp_path):
    from nbclient.exceptions import CellExecutionError

    path = write(tmp_path / "01_a.ipynb", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError):
        script.execute(path, tmp_path)
    assert path.read_bytes() == before


def test_a_missing_picture_is_named(tmp_path):
    path = write(tmp_path / "01_a.ipynb", "# ![end](attachment:01_missing.png)", "1 + 1")
    with pytest.raises(MinigenError, match="01_missing.png"):
        script.execute(path, tmp_path)


def test_without_lessons_the_command_says_where_to_run_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        script.main([])
    assert "root of the repository" in capsys.readouterr().err
