"""Run lessons from top to bottom in a fresh kernel, and keep their outputs and figures.

    python tests/learn/execute_lessons.py                             # all of lessons/, from the root of the repository
    python tests/learn/execute_lessons.py lessons/05_variational_autoencoders.ipynb

A lesson runs in the current folder, so `figures/05_manifold.png` lands in the repository's figures/. A picture that the
text takes from there, `![…](attachment:05_manifold.png)`, is put into the notebook itself: then it also shows where the
notebook is read alone. Nobody's progress is touched. A cell that raises stops everything, and the file stays as it was.
"""

import argparse
import base64
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from minigen.data.cache import atomic_write
from minigen.errors import MinigenError

LONGEST_CELL = 60  # seconds


def execute(path, folder="."):
    """Execute one notebook file in `folder` and write it back. Returns the seconds it took.

    Raises:   nbclient's CellExecutionError if a cell raises; MinigenError for a picture that is not in figures/.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"MINIGEN_HOME": home, "MINIGEN_STATIC": "1"}
        client = NotebookClient(notebook, timeout=LONGEST_CELL, kernel_name="python3",
                                resources={"metadata": {"path": str(folder)}})
        client.execute(env=environment)
    seconds = time.perf_counter() - begun
    _tidy(notebook)
    _attach(notebook, Path(folder) / "figures")
    nbformat.validate(notebook)
    with atomic_write(path) as stream:
        stream.write((nbformat.writes(notebook) + "\n").encode())
    return seconds


def _tidy(notebook):
    """Drop what changes from run to run and says nothing: times, random cell ids, how output was cut into pieces."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                         "language_info": {"name": "python"}}
    for index, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{index:02d}", {}
        merged = []
        for out in cell.get("outputs", []):
            last = merged[-1] if merged else None
            if last is not None and out.output_type == last.output_type == "stream" and out.name == last.name:
                last.text += out.text
            else:
                merged.append(out)
        if cell.cell_type == "code":
            cell.outputs = merged


def _attach(notebook, figures):
    for cell in notebook.cells:
        names = re.findall(r"\(attachment:([\w.]+)\)", cell.source) if cell.cell_type == "markdown" else []
        cell.pop("attachments", None)
        if names:
            cell.attachments = {name: {"image/png": _encoded(figures / name)} for name in names}


def _encoded(path):
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise MinigenError(f"execute: the lesson shows {path.name}, but {path} cannot be read ({error})") from None


def main(arguments=None):
    """The command: execute the lessons named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lessons", nargs="*", type=Path, help="default: all of lessons/")
    lessons = parser.parse_args(arguments).lessons or sorted(Path("lessons").glob("*.ipynb"))
    if not lessons:
        parser.error("there is no lessons/ folder here; run this from the root of the repository")
    for path in lessons:
        print(f"{path}: {execute(path):.0f} s, {path.stat().st_size / 1e6:.1f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
