"""A learner's own copy of the lessons: `minigen lessons` makes it and opens JupyterLab in it.

The lessons are taken from the checkout if the package runs from one, else from the copy that was installed with it.
What a learner has written is never overwritten: a lesson that is there already stays as it is. A small file beside the
lessons, `.minigen-lessons.json`, remembers what was copied, to tell when there is a newer version.
"""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

from minigen.errors import CommandError

RECORD = ".minigen-lessons.json"


def lessons_folder():
    """The folder of the original lessons.

    Raises:  CommandError if this installation has none.
    """
    package = Path(__file__).resolve().parent
    for folder in (package.parent / "lessons", package / "_lessons"):
        if any(folder.glob("*.ipynb")):
            return folder
    raise CommandError(f"this installation of minigen has no lessons (looked in {package.parent / 'lessons'} and "
                       f"{package / '_lessons'}); clone the repository and run `minigen lessons` there")


def copy_lessons(target, source=None):
    """Copy the lessons that are not there yet. Returns (copied, kept, newer), lists of file names.

    kept:    lessons that were there already and were left alone;
    newer:   those of them whose original has changed since it was copied.
    """
    source, target = Path(source or lessons_folder()), Path(target)
    if target.exists() and not target.is_dir():
        raise CommandError(f"{target}: is a file; expected a folder, or the name of a new one")
    if target.resolve() == source.resolve():
        raise CommandError(f"{target}: holds the original lessons; work on a copy in another folder")
    copied, kept, newer = [], [], []
    try:
        target.mkdir(parents=True, exist_ok=True)
        record = _read(target / RECORD)
        for original in sorted(source.glob("*.ipynb")):
            name, digest = original.name, hashlib.sha256(original.read_bytes()).hexdigest()
            if (target / name).exists():
                kept.append(name)
                if record.get(name, digest) != digest:
                    newer.append(name)
            else:
                shutil.copyfile(original, target / name)
                record[name] = digest
                copied.append(name)
        (target / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{target}: the lessons cannot be copied ({error})") from error
    return copied, kept, newer


def open_lab(folder, *, browser=True):
    """Run JupyterLab in a folder until it is stopped. Returns its exit code.

    Raises:  CommandError if JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise CommandError(f"JupyterLab is not installed: {sys.executable} -m pip install jupyterlab ipywidgets. "
                           f"The lessons are in {folder}; any notebook editor opens them.")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={Path(folder).resolve()}"]
    with subprocess.Popen(command + ([] if browser else ["--no-browser"])) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # JupyterLab received it too, and asks its own question
                continue


def _read(path):
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # without the record only the note on newer versions is lost
    return record if isinstance(record, dict) else {}
