"""Checkpoint files: a tree of dicts, lists, numbers, text and arrays in one .npz, and the two newest of them on disk.

A file is an ordinary NumPy archive without pickle, so nothing in it can run code. Each array of the tree is one entry,
named by its path (`state/model/encoder.0.weight`); all the rest, with the places where the arrays belong, is one entry
of JSON text. JSON keeps what must be kept to the bit: Python writes floats so that they read back the same, and whole
numbers of any size (the state of a random generator has 128 bits).

A file appears under its name all at once or not at all. Each entry has a checksum (CRC-32, part of the format), so a
file that was cut short or altered is noticed when it is read; then the one before it is used, and a warning says so.
"""

import contextlib
import json
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np

from minigen.autograd import Tensor
from minigen.data.cache import atomic_write
from minigen.errors import CheckpointError

FORMAT = "minigen checkpoint 1"
STRUCTURE = "structure"


def save(path, tree):
    """Write a tree to `path` (.npz), atomically.

    tree:    a dict with text keys; inside it dicts (text or whole-number keys), lists, tuples, None, bool, int, float,
             str, NumPy arrays and numbers, Tensors (saved as arrays).
    Raises:  CheckpointError if the tree holds anything else, or the file cannot be written.
    """
    arrays = {}
    structure = {"format": FORMAT, "tree": _encode(tree, (), arrays)}
    text = np.array(json.dumps(structure))
    try:
        with atomic_write(path) as stream:
            np.savez(stream, **{STRUCTURE: text}, **arrays)
    except OSError as error:
        raise CheckpointError(f"{path}: the checkpoint cannot be written ({error})") from error


def load(path):
    """Read a tree that `save` wrote: the same values, types and bits.

    Raises:  CheckpointError that names the file and says what is wrong with it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(f"{path}: corrupted, entry {damaged} fails its checksum")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path}: truncated, or not a checkpoint ({error})") from error
    except Exception as error:  # damaged bytes can make zipfile and NumPy raise nearly anything
        raise CheckpointError(f"{path}: corrupted ({type(error).__name__}: {error})") from error
    try:
        structure = json.loads(str(arrays[STRUCTURE]))
        found = structure["format"]
        if found != FORMAT:
            raise CheckpointError(f"{path}: is a {found!r}, this version of minigen reads {FORMAT!r}")
        return _decode(structure["tree"], arrays)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise CheckpointError(f"{path}: an .npz file, but not a minigen checkpoint") from error


class Checkpoints:
    """The checkpoints of one run: `step-00000400.npz`, … in a folder, of which the two newest are kept."""

    def __init__(self, folder, keep=2):
        self.folder, self.keep = Path(folder), keep

    def path(self, step):
        """The file for a step."""
        return self.folder / f"step-{step:08d}.npz"

    def steps(self):
        """The steps that have a file, in rising order."""
        names = (re.fullmatch(r"step-(\d{8,})\.npz", path.name) for path in self.folder.glob("step-*.npz"))
        return sorted(int(name[1]) for name in names if name)

    def write(self, step, tree):
        """Save one more, and only when it is safe on disk delete the ones that are no longer needed."""
        save(self.path(step), tree)
        for old in self.steps()[: -self.keep]:
            self.path(old).unlink(missing_ok=True)
        for leftover in self.folder.glob(".step-*.part"):  # of a process killed while it wrote
            leftover.unlink(missing_ok=True)

    def read_newest(self):
        """The tree of the newest file that is whole, or None if there is no file.

        A damaged file is passed over with a warning and set aside under the name `….damaged`.

        Raises:  CheckpointError if there are files but none is whole.
        """
        problems = []
        for step in reversed(self.steps()):
            try:
                tree = load(self.path(step))
            except CheckpointError as error:
                problems.append(error)
                continue
            for problem in problems:
                warnings.warn(f"{problem}; going back to the checkpoint of step {step}", stacklevel=3)
            self._set_aside([later for later in self.steps() if later > step])
            return tree
        if problems:
            raise CheckpointError("no checkpoint is usable:\n  " + "\n  ".join(str(problem) for problem in problems))
        return None

    def _set_aside(self, steps):
        for step in steps:
            path = self.path(step)
            with contextlib.suppress(OSError):
                path.replace(path.with_name(path.name + ".damaged"))


# -- the tree as JSON and arrays ------------------------------------------------------------------------------------
# What JSON can say stays as it is; everything else is an object with one key that names its kind.


def _encode(value, path, arrays):
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            if type(key) not in (str, int):
                raise CheckpointError(f"save: {'/'.join(path)} has the key {key!r}; expected text or a whole number")
            pairs.append([key, _encode(item, (*path, str(key)), arrays)])
        return {"dict": pairs}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(item, (*path, str(i)), arrays) for i, item in enumerate(value)]}
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufcUS":
        name = "/".join(path)
        while name in arrays or name in ("", STRUCTURE, "file"):
            name += "_"
        arrays[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "scalar": name}
    raise CheckpointError(f"save: {'/'.join(path)} is a {type(value).__name__}, which a checkpoint cannot hold")


def _decode(code, arrays):
    if not isinstance(code, dict):
        return code
    ((kind, content),) = code.items()
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in content}
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    return {"list": list, "tuple": tuple}[kind](_decode(item, arrays) for item in content)
