"""Checkpoint files: every value comes back to the bit, and a damaged file is never read as if it were whole."""

import os
import zipfile

import numpy as np
import pytest

from minigen.autograd import Tensor
from minigen.errors import CheckpointError
from minigen.train import Checkpoints, load, save


def same(a, b):
    """Equal in structure, type, dtype and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return repr(a) == repr(b)


@pytest.fixture
def tree():
    rng = np.random.default_rng(0)
    return {
        "model": {"encoder.0.weight": rng.normal(size=(3, 4)).astype(np.float32), "bias": np.zeros(0)},
        "batches": {"permutation": rng.permutation(9), "epoch": 3, "rng": rng.bit_generator.state},
        "best": float("inf"),
    }


@pytest.mark.parametrize("value", [
    None, True, False, 0, -7, 2**127 + 1, 0.1, -0.0, 5e-324, float("inf"), float("nan"), "", "ε / ∞ \n", [], (), {},
    [1, (2.0, [None])], {"a/b": {"c": 1}, "a": {"b/c": 2}}, {0: "zero", "0": "text"}, np.float32(0.1), np.int64(3),
    np.bool_(True), np.array(2.5), np.array([np.nan, -0.0, np.inf], np.float32), np.zeros((0, 3), np.int8),
    np.arange(6.0).reshape(2, 3).T, np.array(["α", "beta"]), np.array([True, False]), np.array([1j]),
    np.random.default_rng(3).bit_generator.state, np.random.MT19937(3).state,
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_every_value_comes_back_with_its_type_and_bits(tmp_path, value):
    save(tmp_path / "a.npz", {"value": value, "file": value, "structure": value})
    assert same(load(tmp_path / "a.npz"), {"value": value, "file": value, "structure": value})


def test_paths_that_look_alike_do_not_collide(tmp_path):
    first, second = np.arange(2), np.arange(3.0)
    tree = {"a/b": first, "a": {"b": second}, "a/b_": first, "structure": second, "file": first}
    save(tmp_path / "a.npz", tree)
    assert same(load(tmp_path / "a.npz"), tree)


def test_tensors_are_saved_as_arrays(tmp_path):
    save(tmp_path / "a.npz", {"w": Tensor(np.arange(3.0), requires_grad=True)})
    assert same(load(tmp_path / "a.npz"), {"w": np.arange(3.0)})


@pytest.mark.parametrize("value", [object(), {1.5: 0}, np.array([None]), {1, 2}, print, b"bytes"], ids=repr)
def test_what_a_checkpoint_cannot_hold_is_refused_by_name(tmp_path, value):
    with pytest.raises(CheckpointError, match="model/thing"):
        save(tmp_path / "a.npz", {"model": {"thing": value}})
    assert not any(tmp_path.iterdir())


def test_a_file_cut_short_anywhere_is_refused(tmp_path, tree):
    path = tmp_path / "a.npz"
    save(path, tree)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="a.npz"):
            load(path)


def test_a_changed_byte_is_refused_or_harmless(tmp_path, tree):
    path = tmp_path / "a.npz"
    save(path, tree)
    whole, refused = path.read_bytes(), 0
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            assert same(load(path), tree), f"byte {position}: read as something else"
        except CheckpointError as error:
            assert "a.npz" in str(error)
            refused += 1
    assert refused > 100


def test_a_changed_number_is_told_by_its_entry(tmp_path):
    path = tmp_path / "a.npz"
    save(path, {"model": {"weight": np.full(9, 1.25)}})
    path.write_bytes(path.read_bytes().replace(np.full(9, 1.25).tobytes(), np.full(9, 1.5).tobytes()))
    with pytest.raises(CheckpointError, match="model/weight.npy fails its checksum"):
        load(path)


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("not a checkpoint")
    np.savez(tmp_path / "weights.npz", w=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("structure", "hello")
    np.savez(tmp_path / "newer.npz", structure=np.array('{"format": "minigen checkpoint 99", "tree": {}}'))
    (tmp_path / "folder.npz").mkdir()
    for name in ("text.npz", "weights.npz", "array.npy", "zip.npz", "newer.npz", "folder.npz", "absent.npz"):
        with pytest.raises(CheckpointError, match=name):
            load(tmp_path / name)
    with pytest.raises(CheckpointError, match="checkpoint 99"):
        load(tmp_path / "newer.npz")


def test_a_pickle_in_the_file_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    bomb = np.empty(1, object)
    bomb[0] = Bomb()
    structure = np.array('{"format": "minigen checkpoint 1", "tree": {"array": "w"}}')
    np.savez(tmp_path / "a.npz", structure=structure, w=bomb)
    with pytest.raises(CheckpointError, match="a.npz"):
        load(tmp_path / "a.npz")
    assert not (tmp_path / "exploded").exists()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, tree, monkeypatch):
    path = tmp_path / "a.npz"
    save(path, tree)

    def full(stream, **arrays):
        stream.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save(path, {"other": 1})
    assert same(load(path), tree)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


# -- a folder of checkpoints -------------------------------------------------------------------------------------------


def test_the_two_newest_are_kept(tmp_path):
    files = Checkpoints(tmp_path)
    assert files.read_newest() is None
    for step in (5, 10, 15, 100_000_000):
        files.write(step, {"step": step})
    assert files.steps() == [15, 100_000_000]
    assert files.read_newest() == {"step": 100_000_000}


def test_what_a_killed_writer_left_is_cleared_away(tmp_path):
    files = Checkpoints(tmp_path)
    litter = tmp_path / ".step-00000005.npz.123-abcd.part"
    litter.write_bytes(b"half")
    assert files.steps() == []
    files.write(6, {"step": 6})
    assert not litter.exists()


def test_a_damaged_newest_falls_back_with_a_warning_and_is_set_aside(tmp_path):
    files = Checkpoints(tmp_path)
    files.write(5, {"step": 5})
    files.write(10, {"step": 10})
    files.path(10).write_bytes(files.path(10).read_bytes()[:-40])
    with pytest.warns(UserWarning, match=r"step-00000010.npz: truncated.*going back to the checkpoint of step 5"):
        assert files.read_newest() == {"step": 5}
    assert files.steps() == [5]
    assert (tmp_path / "step-00000010.npz.damaged").exists()
    files.write(7, {"step": 7})
    assert files.read_newest() == {"step": 7}


def test_when_all_are_damaged_each_is_named(tmp_path):
    files = Checkpoints(tmp_path)
    for step in (5, 10):
        files.write(step, {"step": step})
        files.path(step).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"(?s)step-00000010.*step-00000005"):
        files.read_newest()
    assert files.steps() == [5, 10]
