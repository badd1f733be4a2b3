"""What a learner has done, kept in one small JSON file.

The folder is, in this order: MINIGEN_HOME if set; minigen/ under XDG_DATA_HOME if set; otherwise the platform's own
place for a user's data (~/.local/share on Linux, ~/Library/Application Support on macOS, %APPDATA% on Windows).

Three promises. The file is never half written: a new one takes the name of the old one at once. Two notebooks may
write at the same time: each change is read, made and written under a lock. A file that cannot be read is kept under
another name, never overwritten, and you are told.
"""

import contextlib
import itertools
import json
import os
import sys
import time
from pathlib import Path

from minigen.data.cache import atomic_write
from minigen.learn.page import notebook_display, say, show

FORMAT = 1
_FIELDS = {"attempts": int, "hints": int, "solution": bool, "done": bool}


def home():
    """The folder as a Path; it may not exist yet."""
    if os.environ.get("MINIGEN_HOME"):
        return Path(os.environ["MINIGEN_HOME"]).expanduser()
    if os.environ.get("XDG_DATA_HOME"):
        return Path(os.environ["XDG_DATA_HOME"]).expanduser() / "minigen"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "minigen"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "minigen"
    return Path.home() / ".local" / "share" / "minigen"


def path():
    """The file itself."""
    return home() / "progress.json"


def load():
    """A dict from exercise id to {attempts, hints, solution, done}; empty if nothing was done yet.

    A damaged file is moved aside (progress.damaged-….json) with a message, and counting starts again. One that may not
    be opened is left alone, with a message.
    """
    try:
        return _load()
    except OSError as error:
        say(f"Your progress cannot be read: {error}.")
        return {}


def _load():
    """`load`, but a file that is there and may not be read is an OSError: then nothing must be written either."""
    try:
        text = path().read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        return _parse(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        backup = _free_name()
        os.replace(path(), backup)
        say(f"Your progress file was damaged ({error}). It is kept as {backup}; counting starts again.")
        return {}


def _parse(text):
    content = json.loads(text)
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}, expected {FORMAT}: written by another version of minigen?")
    for id, record in content["exercises"].items():
        for field, kind in _FIELDS.items():
            if type(record[field]) is not kind:
                raise ValueError(f"exercise {id}: {field} is {record[field]!r}")
    return content["exercises"]


def _free_name():
    stamp = time.strftime("%Y%m%d-%H%M%S")
    suffixes = ("", *(f"-{number}" for number in range(1, 100)))
    names = (path().with_name(f"progress.damaged-{stamp}{suffix}.json") for suffix in suffixes)
    return next(name for name in names if not name.exists())


def record(id, *, attempt=False, hint=False, solution=False, done=False):
    """Note that something happened to an exercise, and return its record. What was done stays done.

    If the folder cannot be written you are told, and nothing fails.
    """
    try:
        with _lock():
            everything = _load()
            entry = {"attempts": 0, "hints": 0, "solution": False, "done": False} | everything.get(id, {})
            entry["attempts"] += attempt
            entry["hints"] = min(entry["hints"] + hint, 3)
            entry["solution"] |= solution
            entry["done"] |= done
            if done and "when" not in entry:
                entry["when"] = time.strftime("%Y-%m-%d")
            everything[id] = entry
            content = {"format": FORMAT, "exercises": dict(sorted(everything.items()))}
            with atomic_write(path()) as stream:
                stream.write(json.dumps(content, indent=1).encode())
            return entry
    except OSError as error:
        say(f"(Your progress is not saved: {error}.)")
        return {"attempts": 0, "hints": int(hint), "solution": solution, "done": done}


@contextlib.contextmanager
def _lock(patience=5.0):
    """Exclusive access between processes: making a folder either succeeds or fails, everywhere. One that is older
    than `patience` seconds was left by a process that died, and is taken over."""
    folder = path().with_name("progress.lock")
    folder.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 2 * patience
    while True:
        try:
            folder.mkdir()
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{folder} is locked by another program") from None
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime > patience:
                    folder.rmdir()
            time.sleep(0.01)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def summary():
    """Rows (exercise, record) of all exercises there are, in order; the record is None for one never tried."""
    from minigen.learn.registry import exercises  # the registry loads every lesson's models: only when asked

    records = load()
    return [(item, records.get(item.id)) for item in exercises()]


def print_summary(lesson=None):
    """A table of the exercises, lesson by lesson: done, tried or not begun, tries, hints; and which one comes next.

    lesson:  "05" shows and counts that lesson alone
    """
    from minigen import catalog

    wanted = None if lesson is None else catalog.as_number(lesson)
    rows = [row for row in summary() if wanted in (None, row[0].lesson)]
    done = sum(_is_done(entry) for _, entry in rows)
    lines, table = [], ["| | exercise | | tries | help |", "|---|---|---|---|---|"]
    for number, group in itertools.groupby(rows, key=lambda row: row[0].lesson):
        group = list(group)
        score = f"{sum(_is_done(entry) for _, entry in group)} of {len(group)}"
        title = catalog.lesson(number).title
        lines.append(f"{number}  {title}: {score}")
        table.append(f"| | **{number}** | **{title}** | | **{score}** |")
        for item, entry in group:
            entry = entry or {"attempts": 0, "hints": 0, "solution": False}
            sign = "✓" if _is_done(entry) else "…" if entry["attempts"] else " "
            tries = entry["attempts"] or ""
            used = [f"{entry['hints']} of 3 hints"] * (entry["hints"] > 0) + ["solution"] * entry["solution"]
            lines.append(f"  {sign} {item.id}  {item.title:<52} {tries:>3}   {', '.join(used)}".rstrip())
            table.append(f"| {sign} | {item.id} | {item.title} | {tries} | {', '.join(used)} |")
    heading = f"{done} of {len(rows)} exercises done" + (f" in lesson {wanted}" if wanted else "")
    following = next((item for item, entry in rows if not _is_done(entry)), None)
    if following is not None:
        heading += f"; next: {following.id}, {following.title}"
    show(f"**{heading}**\n\n" + "\n".join(table), heading + "\n" + "\n".join(lines))
    if notebook_display() is None:  # the path of a learner's folder has no place in a notebook that gets shared
        say(f"(kept in {path()})")


def _is_done(entry):
    return bool(entry and entry.get("done"))
