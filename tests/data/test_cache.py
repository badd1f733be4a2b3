import os
import stat
import sys
from pathlib import Path

import pytest

from minigen.data import cache


def test_own_variable_wins_over_the_desktop_standard(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("MINIGEN_CACHE", raising=False)
    assert cache.cache_dir() == tmp_path / "xdg" / "minigen"
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "own"))
    assert cache.cache_dir() == tmp_path / "own"
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("platform, place", [
    ("linux", ".cache/minigen"),
    ("darwin", "Library/Caches/minigen"),
    ("win32", "AppData/Local/minigen/Cache"),
])
def test_each_platform_has_its_own_place(monkeypatch, tmp_path, platform, place):
    for name in ("MINIGEN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache.cache_dir() == tmp_path / place


def test_a_written_file_appears_whole_and_alone(tmp_path):
    target = tmp_path / "deep" / "file.bin"
    with cache.atomic_write(target) as stream:
        stream.write(b"abc")
        assert not target.exists()
    assert target.read_bytes() == b"abc"
    assert os.listdir(target.parent) == ["file.bin"]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        with cache.atomic_write(target) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_written_file_has_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with cache.atomic_write(tmp_path / "atomic") as stream:
        stream.write(b"x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]


def test_sha256_of_bytes_and_of_a_file_agree_with_the_standard(tmp_path):
    # FIPS 180-2, appendix B.1.
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert cache.sha256(b"abc") == cache.sha256(tmp_path / "abc") == known
