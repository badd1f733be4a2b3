"""One engine in one process: reads requests (JSON, one per line) and answers in kind.

    python -m suite.worker torch-tuned FOLDER

    {"do": "build", "key": "a", "kind": "step", "name": "dcgan", "size": {}}   make something to run; keep it as "a"
    {"do": "losses", "key": "a", "steps": 20}                                  train with the noise that all engines get
    {"do": "time", "key": "a", "repeats": 5, "warm": 1}                        seconds of each repeat
    {"do": "memory"}                                                           megabytes: now, and the most so far
    {"do": "arrays", "key": "a"}                                               megabytes of arrays that a step makes
    {"do": "drop", "key": "a"}                                                 forget it

The answer is {"ok": …} or {"error": …}, and {"skip": reason} where the engine cannot do such a thing.
"""

import gc
import importlib
import json
import os
import sys
import time
import traceback
import tracemalloc
from pathlib import Path

from . import sizes

ENGINES = {
    "minigen": "minigen",
    "torch": "PyTorch eager",
    "torch-tuned": "PyTorch, fused optimiser and channels-last",
    "torch-compiled": "PyTorch, the same and torch.compile",
    "jax": "JAX, jit",
    "autograd": "HIPS autograd",
    "numpy": "NumPy",
}
TORCH = {"torch": "eager", "torch-tuned": "tuned", "torch-compiled": "compiled"}
PACKAGES = {"minigen": "minigen", "jax": "jax", "autograd": "autograd", "numpy": "numpy"}


class Skip(Exception):
    """This engine cannot do that, for a reason that belongs in the report."""


def build(engine, kind, name, size, folder):
    """The function to be timed."""
    if kind == "step":
        return _step(engine, name, sizes.with_defaults(name, size), folder)
    if kind == "chain":
        from . import chain

        return chain.build(engine)
    if kind == "peak":
        from . import machine

        return machine.build(name, size)
    from . import kernel_cases

    shapes = kernel_cases.CASES[name].sizes[size]
    module = importlib.import_module(".kernels_torch" if engine in TORCH else ".kernels_minigen", __package__)
    make = getattr(module, f"make_{kernel_cases.CASES[name].maker}", None)
    if make is None:
        raise Skip(f"{name} is not in {module.__name__.split('.')[-1]}")
    if engine in TORCH:
        return make(name, shapes, images_last=TORCH[engine] != "eager")
    return make(name, shapes)


def _step(engine, name, size, folder):
    if engine == "minigen":
        from . import steps_minigen

        return steps_minigen.build(name, size, folder)
    if engine in TORCH:
        from . import steps_torch

        return steps_torch.build(name, size, folder, TORCH[engine])
    from . import steps_functional as functional

    known, make = {"jax": (functional.JAX, functional.build_jax), "autograd": (functional.HIPS, functional.build_hips)}[
        engine
    ]
    if name not in known:
        raise Skip(f"{ENGINES[engine]} has no fast convolution")
    return make(name, size, folder)


def prepare(engine):
    """Import the engine, so that its code is in memory before anything is measured, and return its version."""
    package = importlib.import_module("torch" if engine in TORCH else PACKAGES[engine])
    if engine == "minigen" and os.environ.get("MINIGEN_KERNELS") != "reference":
        importlib.import_module("numba")
    return importlib.import_module("importlib.metadata").version(package.__name__)


def megabytes():
    """(resident now, the most so far) of this process."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no such file outside Linux: the most so far is at least as much
        return most, most
    return pages * os.sysconf("SC_PAGESIZE") / 2**20, most


def arrays(engine, run):
    """The most megabytes of arrays, among those made during one step, that were alive at once.

    NumPy reports its arrays to tracemalloc, PyTorch its own to its profiler. Neither sees what a compiled kernel or
    library takes for itself while it runs.
    """
    run()
    if engine in TORCH:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watch:
            run()
        alive = most = 0
        for event in watch.profiler.kineto_results.events():
            if event.name() == "[memory]":  # one for each allocation, and with a minus sign for each release
                alive += event.nbytes()
                most = max(most, alive)
        return most / 2**20
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def answer(engine, folder, built, do, key=None, **request):
    """Carry out one request."""
    if do == "prepare":
        return prepare(engine)
    if do == "build":
        built[key] = build(engine, request["kind"], request["name"], request.get("size"), folder)
        built[f"{key} noise"] = (request["name"], request.get("size"))
        return True
    if do == "losses":
        name, size = built[f"{key} noise"]
        size = sizes.with_defaults(name, size)
        return [built[key](*sizes.noise(name, size, step)) for step in range(request["steps"])]
    if do == "time":
        return _time(built[key], request["repeats"], request["warm"])
    if do == "memory":
        return megabytes()
    if do == "arrays":
        return arrays(engine, built[key])
    if do == "drop":
        built.pop(key, None)
        gc.collect()
        return True
    raise ValueError(f"unknown request {do!r}")


def _time(run, repeats, warm):
    for _ in range(warm):
        run()
    seconds = []
    gc.collect()
    gc.disable()  # a collection would land in one engine's time by chance
    try:
        for _ in range(repeats):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
    finally:
        gc.enable()
    return seconds


def main(engine, folder):
    """Answer until the pipe closes."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not land in the pipe
    built = {}
    for line in sys.stdin:
        try:
            reply = {"ok": answer(engine, Path(folder), built, **json.loads(line))}
        except Skip as reason:
            reply = {"skip": str(reason)}
        except Exception as error:  # the parent must hear of it, whatever it is
            reply = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
