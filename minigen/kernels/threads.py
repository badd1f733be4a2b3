"""One thread pool at a time: who computes, and with how many threads. This is the only place that decides.

Two pools in one process fight. NumPy's matrix library (OpenBLAS) keeps a pool, the compiled kernels (Numba on OpenMP)
keep another, and a thread that has run out of work does not sleep at once: it spins, so as to be quick when the next
piece comes. With two pools on the same cores, each spends its time slices spinning against the other's work. One small
matrix product alternating with one kernel took 8.0 ms on two cores, where the two alone take 0.3 and 0.2.

So: **the kernels' pool computes, and the matrix library runs on the calling thread.** The kernels have a matrix product
of their own. The choice is made when the first kernel is loaded, or when training begins (`train.fit`):

    MINIGEN_NUM_THREADS=n      n threads for the kernels; without it NUMBA_NUM_THREADS, then OMP_NUM_THREADS, then one
                               per core that this process may use. More than there are cores (or than
                               NUMBA_NUM_THREADS says) are never used
    OPENBLAS_NUM_THREADS=n     (or MKL_NUM_THREADS, BLIS_NUM_THREADS, VECLIB_MAXIMUM_THREADS) if you have set it,
                               the matrix library is left as you want it
    OMP_WAIT_POLICY, GOMP_SPINCOUNT, NUMBA_THREADING_LAYER    are yours; nothing here changes them
    minigen.set_num_threads(n)    the same at run time, for all Python threads; `with num_threads(n):` for a while

With MINIGEN_KERNELS=reference there are no kernels, and NumPy is left alone; the functions of this file then count and
set the threads of the matrix library.

**Two Python threads at once** may both run kernels. OpenMP serves both (each gets its own team). Numba's plain
`workqueue` layer, used where OpenMP is missing, would abort the process; there the second caller waits for the first.

**After a fork** OpenMP's threads exist in the parent only, and a child that calls them is killed, or waits for ever. A
forked child therefore runs the serial form of each kernel. Start children with `spawn` if they should have threads of
their own.
"""

import contextlib
import os
import threading

import numpy as np

from minigen.kernels import memory

_OF_THE_MATRIX_LIBRARY = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class _Pool(threading.local):
    """What the kernels' pool is doing, as seen by this Python thread."""

    applied = None  # the number of threads that Numba was last told, in this Python thread


_pool = _Pool()
_wanted = None  # the number of threads asked for; None until the pool is loaded
_ready = False
_forked = False
_one_at_a_time = threading.RLock()  # for a layer that cannot serve two callers
_shared_layer = None  # does the layer serve several callers at once? Known once it has started
_blas = None  # keeps the limit on the matrix library alive


def get_num_threads():
    """How many threads a kernel uses."""
    if _no_kernels():
        from threadpoolctl import threadpool_info

        return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    settle()
    return 1 if _forked else _wanted


def set_num_threads(n):
    """Use n threads in every kernel from now on, in all Python threads.  Raises: ValueError unless 1 ≤ n ≤ cores."""
    global _wanted, _blas
    if not 1 <= n <= _most():
        raise ValueError(f"set_num_threads: {n} threads; expected 1 to {_most()}")
    if _no_kernels():
        from threadpoolctl import threadpool_limits

        _blas = threadpool_limits(int(n), user_api="blas")
        return
    settle()
    _wanted = int(n)


@contextlib.contextmanager
def num_threads(n):
    """Inside `with num_threads(1):` every kernel uses n threads; None: as many as before."""
    before = get_num_threads() if n is not None else None
    if n is None:
        settle()
    else:
        set_num_threads(n)
    try:
        yield
    finally:
        if n is not None:
            set_num_threads(before)


def serial():
    """True if kernels must run on the calling thread alone: in a child after a fork.

    With one thread the parallel form runs as well, so that results have the same bits for any number of threads.
    """
    if not _ready:
        settle()
    return _forked


def launch(form, args):
    """Run the parallel form of a kernel on the pool."""
    global _shared_layer
    wanted = _wanted  # another thread may change it at any moment
    if _pool.applied != wanted:
        import numba

        numba.set_num_threads(wanted)
        _pool.applied = wanted
    if _shared_layer:
        return form(*args)
    with _one_at_a_time:
        result = form(*args)
        import numba

        _shared_layer = numba.threading_layer() != "workqueue"
    return result


def settle():
    """Choose the number of threads, and keep the matrix library out of the way: once, for the first kernel."""
    global _ready, _wanted, _blas
    if _ready or _no_kernels():
        return
    with _one_at_a_time:
        if _ready:
            return
        _wanted = min(_asked() or _most(), _most())
        if not any(os.environ.get(name) for name in _OF_THE_MATRIX_LIBRARY):
            from threadpoolctl import threadpool_limits

            np.dot(np.ones((2, 2)), np.ones((2, 2)))  # the library must be there to be limited
            _blas = threadpool_limits(1, user_api="blas")
        memory.keep()
        _ready = True


def _asked():
    """The number of threads that the environment asks for, or None."""
    for name in ("MINIGEN_NUM_THREADS", "OMP_NUM_THREADS"):
        asked = os.environ.get(name, "").split(",")[0].strip()  # OpenMP takes a list, one number per level of nesting
        if asked:
            if not (asked.isdecimal() and int(asked) >= 1):
                raise ValueError(f"{name}={os.environ[name]!r}; expected a number from 1")
            return int(asked)
        if "NUMBA_NUM_THREADS" in os.environ:
            return None
    return None


def _most():
    """The number of threads that the pool has."""
    if _no_kernels():
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    from numba import config

    return config.NUMBA_NUM_THREADS


def _no_kernels():
    from minigen import kernels

    return kernels.BACKEND == "reference"


def _after_fork():
    global _forked, _one_at_a_time
    _forked = True
    _one_at_a_time = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
