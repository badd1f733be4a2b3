"""Compilation and its cache: never stale, never in the way, and shared by processes that start together."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from programs import ROOT, finish, run, start

from minigen.kernels import jit

# One small kernel, serially; prints a result, and what was compiled or read.
SILU = """
import numpy as np
from minigen.kernels import elementwise, jit
print(elementwise.silu(np.ones(3, "f4"))[0][0], [entry[3] for entry in jit.HISTORY])
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to be changed."""
    shutil.copytree(ROOT / "minigen", tmp_path / "copy" / "minigen", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_change_in_a_function_that_was_inlined_is_seen(package, tmp_path):
    cache = tmp_path / "cache"
    kernel = package / "minigen" / "kernels" / "probe.py"
    # A kernel in one file, its device in another, a constant in a third.
    kernel.write_text(
        "from minigen.kernels.jit import kernel, prange\nfrom minigen.kernels.probe_device import twice\n"
        "@kernel\ndef _probe(x):\n    for i in prange(x.size):\n        x[i] = twice(x[i])\n"
    )
    device = kernel.with_name("probe_device.py")
    device.write_text("from minigen.kernels.jit import device\nfrom minigen.kernels.reference.probe import FACTOR\n"
                      "@device\ndef twice(x):\n    return x * FACTOR\n")  # fmt: skip
    constant = kernel.parent / "reference" / "probe.py"
    constant.write_text("FACTOR = 2\n")
    code = ("import numpy as np\nfrom minigen.kernels import jit, probe\nx = np.ones(3)\nprobe._probe(x, work=0)\n"
            "print(x[0], jit.HISTORY[0][3])")  # fmt: skip
    assert run(code, path=package, cache=cache)[0] == "2.0 False"
    assert run(code, path=package, cache=cache)[0] == "2.0 True"
    edit(device, "x * FACTOR", "x * FACTOR + 1")
    assert run(code, path=package, cache=cache)[0] == "3.0 False"
    # A constant of the definitions, with the same length and the same date.
    stat = constant.stat()
    constant.write_text("FACTOR = 5\n")
    os.utime(constant, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    shutil.rmtree(constant.parent / "__pycache__", ignore_errors=True)  # Python's own cache goes by the date
    assert run(code, path=package, cache=cache)[0] == "6.0 False"
    # And back: the first machine code is still there.
    edit(device, "x * FACTOR + 1", "x * FACTOR")
    constant.write_text("FACTOR = 2\n")
    assert run(code, path=package, cache=cache)[0].startswith("2.0")


def test_sources_that_change_under_a_running_process_do_not_spoil_the_cache(package, tmp_path):
    cache = tmp_path / "cache"
    code = """
import pathlib, numpy as np
from minigen.kernels import elementwise, jit
path = pathlib.Path(elementwise.__file__)
path.write_text(path.read_text() + "# a later version\\n")
elementwise.silu(np.ones(3))
print(jit.HISTORY[0][3], sorted(p.suffix for p in pathlib.Path(jit.cache_dir()).rglob("*.nb?")))
"""
    assert run(code, path=package, cache=cache)[0] == "False []"


def test_the_hash_covers_the_machine_and_the_settings_that_change_code(monkeypatch):
    first = jit.fingerprint()
    for name, value, same in (("NUMBA_OPT", "1", False), ("NUMBA_BOUNDSCHECK", "1", False),
                              ("NUMBA_THREADING_LAYER", "omp", True), ("NUMBA_NUM_THREADS", "1", True)):  # fmt: skip
        monkeypatch.setenv(name, value)
        assert (jit.fingerprint() == first) == same
        monkeypatch.delenv(name)
    for cpu in (("generic", ""), ("znver3", "+avx2")):
        monkeypatch.setattr(jit.target, "machine", lambda cpu=cpu: cpu)
        assert jit.fingerprint() != first


def test_a_cache_that_cannot_be_written_costs_a_warning_only(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    out, err = run(SILU, cache=tmp_path / "file")
    assert out.startswith("0.731") and out.endswith("[False]")
    assert "kernels are compiled anew" in err and "MINIGEN_CACHE" in err
    assert err.count("UserWarning") == 1


def test_a_read_only_install_uses_the_cache_elsewhere(package, tmp_path):
    for path in [package, *package.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(package.rglob("*"))
    try:
        for cached in ("[False]", "[True]"):
            out, err = run(SILU, path=package, cache=tmp_path / "cache", PYTHONDONTWRITEBYTECODE="1")
            assert out.endswith(cached) and "Warning" not in err
        assert sorted(package.rglob("*")) == before  # a superuser could write; nothing tried
    finally:
        for path in [package, *package.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_processes_that_start_together_fill_one_cache(tmp_path):
    code = SILU + "elementwise.tanh(np.ones(3))\nprint(len(jit.HISTORY), sum(entry[3] for entry in jit.HISTORY))"
    for process in [start(code, cache=tmp_path) for _ in range(4)]:
        assert finish(process)[0].startswith("0.731")
    out, _ = run(code, cache=tmp_path)
    assert out.endswith("2 2")
    # Each machine code was made once: the others waited and read it.
    assert len(list(tmp_path.rglob("*.nbc"))) == 2


def test_a_damaged_or_vanished_cache_costs_a_warning_only(tmp_path):
    run(SILU, cache=tmp_path)
    for pattern in ("*.nbc", "*.nbi"):
        (path,) = tmp_path.rglob(pattern)
        for content in (b"", path.read_bytes()[:40]):
            whole = path.read_bytes()
            path.write_bytes(content)
            out, err = run(SILU, cache=tmp_path)
            assert out.startswith("0.731") and ("delete this one" in err or out.endswith("[False]"))
            path.write_bytes(whole)
    gone = SILU.replace("print(", "import shutil; shutil.rmtree(jit.cache_root())\nprint(", 1)
    assert run(gone, cache=tmp_path)[0].startswith("0.731")


def test_serial_and_parallel_forms_are_kept_apart(tmp_path):
    code = """
import numpy as np
from minigen.kernels import elementwise, jit
x = np.ones(100_000, "f4")
kernel = elementwise._silu
kernel(x, x.copy(), work=0); kernel(x, x.copy(), work=10**6)
print([entry[1:4:2] for entry in jit.HISTORY])
"""
    first, second = (run(code, cache=tmp_path)[0] for _ in range(2))
    assert first == "[('serial', False), ('parallel', False)]"
    assert second == "[('serial', True), ('parallel', True)]"
    (serial,), (parallel,) = (list(tmp_path.rglob(f"{form}/**/*.nbc")) for form in ("serial", "parallel"))
    assert b"numba_parallel_for" not in serial.read_bytes() and b"numba_parallel_for" in parallel.read_bytes()


def test_caches_unused_for_a_month_are_removed_when_a_new_one_is_made(tmp_path):
    old, recent = tmp_path / "kernels" / "old", tmp_path / "kernels" / "recent"
    for folder, days in ((old, 31), (recent, 29)):
        (folder / "serial").mkdir(parents=True)
        (folder / "serial" / "code.nbc").write_bytes(b"x")
        os.utime(folder, (time.time() - days * 86_400,) * 2)
    processes = [start(SILU, cache=tmp_path) for _ in range(3)]  # all at once
    for process in processes:
        finish(process)
    assert not old.exists() and recent.exists()
    assert len(list((tmp_path / "kernels").iterdir())) == 2
    assert (recent / "serial" / "code.nbc").exists()
    # Opening a cache makes it young again.
    (mine,) = {*(tmp_path / "kernels").iterdir()} - {recent}
    os.utime(mine, (0, 0))
    run(SILU, cache=tmp_path)
    assert time.time() - mine.stat().st_mtime < 60


def test_names_of_kernels_are_unique():
    """`KERNELS` is a dict by name: two kernels of one name would hide each other."""
    declared = sum(
        line.startswith("@kernel") for path in Path(jit.__file__).parent.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
    )  # fmt: skip
    code = (
        "from minigen.kernels import COMPILED, jit\nimport importlib\n"
        "for m in COMPILED: importlib.import_module('minigen.kernels.' + m)\nprint(len(jit.KERNELS))"
    )
    out, _ = run(code)
    assert int(out) == declared


def test_threads_of_one_process_compile_one_at_a_time():
    import threading

    from minigen.kernels import elementwise

    x = np.linspace(-3, 3, 50).astype("f4")
    results = []
    threads = [threading.Thread(target=lambda: results.append(elementwise.softplus(x)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.array_equal(r, results[0]) for r in results)
    assert len(elementwise._softplus.serial.nopython_signatures) <= 2
