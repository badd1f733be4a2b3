"""@kernel: from a loop in Python to machine code, when it is first called, and only once per machine.

    @kernel
    def _silu(x, y):
        for i in prange(x.size):
            y[i] = x[i] * sigmoid(x[i])

    _silu(x, y, work=x.size)

Numba compiles the function for the types it is called with. `prange` is a `range` whose iterations may run on several
threads. A kernel has two forms of the same source, compiled when first needed:

    parallel   the iterations are shared among the threads of the pool (threads.py)
    serial     the calling thread does all: for small arrays, where waking a thread costs more than it brings, and for
               processes that may not use the pool

`work` says how much there is to do, in elements read or written; below PARALLEL_FROM the serial form runs.

**Arithmetic.** The compiler may reorder sums and fuse a · b + c into one instruction; without the first no sum would
use vector registers. It may *not* assume that there are no NaNs or infinities: they pass through as in NumPy.
Functions marked @device, which kernels call, may fuse but not reorder: their rounding is part of their design.

**The cache.** Compiling takes seconds, so machine code is kept on disk. Numba looks only at the file that holds a
kernel, not at the files whose functions were inlined into it, so its own check can miss a change. Here the cache
folder's name is a hash of everything that can change the code: all sources below this folder, the versions of Python,
NumPy and Numba, the processor and the features that Numba may use. A change means another folder, so a stale kernel
cannot be found. A process whose sources change while it runs leaves the cache alone: what it has loaded is no longer
what the hash would say. The folder lies below minigen's cache (MINIGEN_CACHE; see the table in the README), never
beside the sources, which may be read-only. If nothing can be written there, kernels compile anew in each process, and a
warning says so. Two processes may fill the cache at once: a lock file lets one compile while the other waits and then
reads. Folders that nobody has used for a month are removed when a new one is made.
"""

import contextlib
import functools
import hashlib
import os
import platform
import secrets
import shutil
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numba
import numpy as np
from numba import config, prange  # noqa: F401  (kernels import prange from here)
from numba.core import caching
from numba.core.compiler_lock import global_compiler_lock

from minigen.data.cache import cache_dir
from minigen.kernels import target, threads

PARALLEL_FROM = 24_576  # elements: below this a sleeping thread's wake-up (tens of µs) costs more than it brings

FAST = {"contract", "reassoc", "nsz", "arcp"}
EXACT = {"contract"}
# A call that is not inlined would keep its loop from becoming a vector loop.
OF_DEVICES = {"fastmath": EXACT, "error_model": "numpy", "nogil": True, "forceinline": True}

KERNELS = {}  # name → Kernel: all there are, for `minigen warmup` and the tests
HISTORY = []  # (name, form, seconds, from_cache) of every loading in this process

CHILD_SECONDS = 300  # after which a child that compiles is given up
UNUSED_DAYS = 30  # after which the machine code of other sources or another machine is removed

_compiling = threading.RLock()
_locked = False  # does this process hold the lock file?

# A child that is forked while another thread compiles would inherit locks that nobody ever opens. So forks wait.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release
    )


def kernel(function):
    """Declare a kernel (see above). The function must be at the top level of its module."""
    made = KERNELS[function.__name__.strip("_")] = Kernel(function)
    return functools.update_wrapper(made, function)


def device(function):
    """Declare a function of numbers that kernels call: compiled into them, with its rounding left alone."""
    return numba.njit(**OF_DEVICES)(function)


class Kernel:
    """A loop in its two compiled forms."""

    def __init__(self, function):
        self.function = function
        self._parallel = self._serial = None

    def __call__(self, *args, work=PARALLEL_FROM):
        if work < PARALLEL_FROM or threads.serial():
            return (self._serial or self.serial)(*args)
        return threads.launch(self._parallel or self.parallel, args)

    @property
    def serial(self):
        """The form for the calling thread alone."""
        if self._serial is None:
            self._serial = _form(self.function, parallel=False)
        return self._serial

    @property
    def parallel(self):
        """The form for the pool."""
        if self._parallel is None:
            self._parallel = _form(self.function, parallel=True)
        return self._parallel


def _form(function, parallel):
    threads.settle()
    with _compiling:
        form, folder = _cached(function, parallel)
        _watch(form, folder, function.__name__.strip("_"), "parallel" if parallel else "serial")
    return form


def _cached(function, parallel):
    """Numba's dispatcher for one form, with its cache in our folder (one for each form: Numba's index cannot tell
    them apart)."""
    options = {"parallel": parallel, "fastmath": FAST, "error_model": "numpy", "nogil": True}
    folder = cache_root() if _stamps() == _LOADED else None
    if folder is not None:
        folder = folder / ("parallel" if parallel else "serial")
        before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            return numba.njit(function, cache=True, **options), folder
        except (RuntimeError, OSError) as error:
            _warn(folder, error)
        finally:
            config.CACHE_DIR = before
    return numba.njit(function, **options), None


def _watch(form, folder, name, kind):
    """Let one thread of one process compile at a time, and note what it took."""
    compile_for = form.compile

    def compile_under_lock(signature):
        with _compiling, _file_lock(folder):
            started, hits, found = time.perf_counter(), sum(form.stats.cache_hits.values()), False
            try:
                found = folder is None or form._cache.load_overload(signature, form.targetctx) is not None
                if not found:
                    _compile_in_a_child(compile_for, signature)
                result = compile_for(signature)
            except (OSError, EOFError, caching.pickle.UnpicklingError) as error:
                # The disk is full, the folder is gone, or a power cut left half a file: do without.
                _warn(folder, error)
                form._cache = caching.NullCache()
                result = compile_for(signature)
            found = found and sum(form.stats.cache_hits.values()) > hits
            HISTORY.append((name, kind, time.perf_counter() - started, found))
        return result

    form.compile = compile_under_lock


def _compile_in_a_child(compile_for, signature):
    """Let a forked child fill the cache, so that this process reads its code from there like all later ones.

    On its way into the cache, the code of a parallel form is optimised once more; a sum may then be added up in another
    order. A process that ran what it had just compiled would differ from the next one in the last bits, and training
    that was interrupted could not be resumed to the bit. Where there is no fork, or the child fails, this process
    compiles for itself.
    """
    if not hasattr(os, "fork"):
        return
    with global_compiler_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child only compiles; it needs no other thread
        child = os.fork()
    if child == 0:
        try:
            compile_for(signature)
        finally:
            os._exit(0)
    limit = time.monotonic() + CHILD_SECONDS
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.005)


@contextlib.contextmanager
def _file_lock(folder):
    """Hold the lock file of the cache; without a cache there is nothing to guard. Only under _compiling."""
    global _locked
    if folder is None or _locked or sys.platform == "win32":
        yield  # on Windows Numba's own retries must do
        return
    import fcntl

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # the folder was removed, or its disk knows no locks
            stream = stack.enter_context(open(folder.parent / "lock", "a+b"))
            fcntl.flock(stream, fcntl.LOCK_EX)
            # Unlocked, not only closed: a forked child may hold the file open as well.
            stack.callback(fcntl.flock, stream, fcntl.LOCK_UN)
        _locked = True
        try:
            yield
        finally:
            _locked = False


def _warn(folder, error):
    warnings.warn(
        f"{folder}: {getattr(error, 'strerror', None) or error}; kernels are compiled anew in every process. "
        "Set MINIGEN_CACHE to a folder of yours, or delete this one if it is damaged.", stacklevel=3,
    )  # fmt: skip


@functools.cache
def cache_root():
    """The folder for machine code of exactly these sources on this machine, or None if none can be written."""
    folder = cache_dir() / "kernels" / fingerprint()
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"probe-{os.getpid()}"  # this also gives the folder today's date
        probe.touch()
        probe.unlink()
    except OSError as error:
        _warn(folder, error)
        return None
    if is_new:
        _remove_unused(folder.parent)
    return folder


def _remove_unused(folder):
    """Remove the caches in a folder that no process has opened for UNUSED_DAYS."""
    for other in folder.iterdir():
        with contextlib.suppress(OSError):  # somebody else may be removing it as well
            if time.time() - other.stat().st_mtime > UNUSED_DAYS * 86_400:
                # Under a new name first, all at once: nobody finds half a cache under the old one.
                doomed = other.rename(folder / f"unused-{secrets.token_hex(8)}")
                shutil.rmtree(doomed, ignore_errors=True)


def fingerprint():
    """A hash of all that decides what the machine code is."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(str(path.relative_to(_FOLDER)).encode() + b"\0" + path.read_bytes() + b"\0")
    settings = [
        item for item in sorted(os.environ.items()) if item[0].startswith("NUMBA_") and item[0] not in _HARMLESS
    ]
    for part in (platform.machine(), *target.machine(), sys.version, np.__version__, numba.__version__, settings):
        digest.update(str(part).encode() + b"\0")
    return digest.hexdigest()[:16]


# Settings of Numba that do not change the machine code.
_HARMLESS = {
    "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY", "NUMBA_CACHE_DIR",
    "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX",  # these three decide target.machine()
}  # fmt: skip
_FOLDER = Path(__file__).parent


def _sources():
    """All files that can be compiled into a kernel: reference/ as well, for its constants."""
    return sorted(_FOLDER.rglob("*.py"))


def _stamps():
    """When the sources were last changed, and their sizes."""
    found = []
    for path in _sources():
        with contextlib.suppress(OSError):  # it was removed since it was listed
            found.append((path, path.stat().st_mtime_ns, path.stat().st_size))
    return found


_LOADED = _stamps()
