"""Small programs in processes of their own, for what can only be tried in a fresh one: caches, threads, processors."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]  # the folder that holds the package

# Settings of the caller's shell that would change what a program sees.
OURS = ("MINIGEN_", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "BLIS_", "VECLIB_", "GOMP_")


def start(code, path=ROOT, cache=None, **environment):
    """Start Python code; cache: the folder for MINIGEN_CACHE, by default the one that these tests use."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    env |= {"PYTHONPATH": str(path), "PYTHONFAULTHANDLER": "1", **environment}
    cache = cache or os.environ.get("MINIGEN_CACHE")
    if cache:
        env["MINIGEN_CACHE"] = str(cache)
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, cwd=path)  # fmt: skip


def finish(process, timeout=300, fails=False):
    """(what it printed, what it said on stderr); AssertionError if it ends otherwise than expected."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s\n{out[-2000:]}\n{err[-6000:]}") from None
    assert (process.returncode != 0) == fails, f"exit code {process.returncode}\n{out[-2000:]}\n{err[-6000:]}"
    return out.strip(), err


def run(code, fails=False, timeout=300, **settings):
    """Start and finish."""
    return finish(start(code, **settings), timeout, fails)
