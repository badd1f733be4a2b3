"""What this machine could do at most: the roofline that every figure is held against.

A loop is bound by one of two things: how fast the cores multiply, or how fast memory brings the numbers.

    least time = max( operations / peak, bytes / bandwidth )
    share of the roofline = least time / measured time

The peak is the fastest large float32 product we could get here: the better of our own and of the matrix library with
all threads. Bandwidth is that of a triad a = b + s·c, counted as three arrays, for arrays that fit the second-level
caches, the third-level cache, or neither; a case is held against the level that its arrays fit into. Both are
measured, not read from a data sheet, so a share can come out a few per cent above 1.
"""

import functools
import importlib.metadata
import os
import platform
from pathlib import Path

import numpy as np

SIDE = 2048  # of the square matrices for the peak


def build(name, size):
    """A function to be timed in a worker: name is "product", or "triad" for arrays of `size` bytes together."""
    rng = np.random.default_rng(0)
    if name == "blas":
        a, b = (rng.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
        y = np.empty_like(a)
        return lambda: np.matmul(a, b, out=y)
    if name == "product":
        import minigen as mg

        a, b = (mg.tensor(rng.standard_normal((SIDE, SIDE), dtype=np.float32)) for _ in range(2))
        return lambda: mg.matmul(a, b)
    triad, n = _triad(), int(size) // 12
    a, b, c = (rng.standard_normal(n, dtype=np.float32) for _ in range(3))
    repeats = max(1, 2_000_000 // n)  # long enough that waking the threads does not count

    def run():
        triad(a, b, c, np.float32(0.5), repeats)

    return run


def triad_bytes(size):
    """Bytes that one call of build("triad", size) moves."""
    n = int(size) // 12
    return 12 * n * max(1, 2_000_000 // n)


@functools.cache
def _triad():
    import numba

    @numba.njit
    def part(a, b, c, s):  # a function of its own, or LLVM gives up on vectors
        for j in range(a.size):
            a[j] = b[j] + s * c[j]

    @numba.njit(parallel=True)
    def triad(a, b, c, s, repeats):
        chunks = numba.get_num_threads()
        for i in numba.prange(chunks):
            low, high = i * a.size // chunks, (i + 1) * a.size // chunks
            for _ in range(repeats):
                part(a[low:high], b[low:high], c[low:high], s)

    return triad


def caches():
    """Bytes of the second-level caches of all cores together and of the third level, as the system says."""
    found = {"L2": 2**20 * cores(), "L3": 32 * 2**20}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        level = f"L{(folder / 'level').read_text().strip()}"
        text = (folder / "size").read_text().strip()
        if level in found and text.endswith("K"):
            found[level] = int(text[:-1]) * 1024 * (cores() if level == "L2" else 1)
    return found


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def describe():
    """{cpu, cores, system, caches}"""
    return {"cpu": _cpu(), "cores": cores(), "system": platform.system(), "python": platform.python_version(),
            "caches": caches()}  # fmt: skip


def versions():
    """{package: version} of everything that took part, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "numba", "llvmlite", "torch", "jax", "autograd"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _cpu():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def measure(workers, budget, say=print):
    """The roofline: {"gflops", "source", "bandwidth": {level: GB/s}, "sizes": {level: bytes}}.

    workers: a Workers with "minigen" and "numpy" (whose matrix library uses all threads).
    """
    flops = {}
    for engine, name in (("minigen", "product"), ("numpy", "blas")):
        workers[engine]("build", key="peak", kind="peak", name=name)
        flops[engine] = 2 * SIDE**3 / (workers.time("peak", [engine], budget)[engine].best * 1e6)
        workers[engine]("drop", key="peak")
    source = max(flops, key=flops.get)
    level = caches()
    sizes = {"L2": level["L2"] // 2, "L3": max(level["L3"] // 2, 2 * level["L2"]), "memory": 8 * level["L3"]}
    bandwidth = {}
    for name, size in sizes.items():
        workers["minigen"]("build", key="triad", kind="peak", name="triad", size=size)
        bandwidth[name] = round(
            triad_bytes(size) / (workers.time("triad", ["minigen"], budget)["minigen"].best * 1e6), 1
        )
        workers["minigen"]("drop", key="triad")
    say(f"roofline: {flops[source]:.0f} GFLOP/s ({source}'s product); "
        + ", ".join(f"{value:.0f} GB/s {name}" for name, value in bandwidth.items()))  # fmt: skip
    return {"gflops": round(flops[source], 1), "source": source, "all": {k: round(v, 1) for k, v in flops.items()},
            "bandwidth": bandwidth, "sizes": sizes}  # fmt: skip


def share(roofline, ms, flops=0, traffic=0):
    """Share of the roofline: least possible time over measured time."""
    level = "memory"
    for name in ("L3", "L2"):
        if traffic <= roofline["sizes"][name] * 2:
            level = name
    least = max(flops / (roofline["gflops"] * 1e6), traffic / (roofline["bandwidth"][level] * 1e6))
    return round(least / ms, 3)
