"""Chapter 2: what each engine costs per operation; the chain is in chain.py."""

from . import chain
from .harness import Workers


def measure(folder, torch=True, say=print):
    """{engine: microseconds per operation, forward and backward}."""
    engines = ("minigen", *(("torch",) if torch else ()), "autograd", "numpy")
    with Workers(engines, folder) as workers:
        able, unable = workers.build("chain", kind="chain", name="chain")
        times = workers.time("chain", able, 0.5)
    found = {engine: round(stats.ms * 1e3 / chain.OPERATIONS, 3) for engine, stats in times.items()}
    say("per operation, forward and backward: " + ", ".join(f"{engine} {us:.2f} µs" for engine, us in found.items()))
    return {"microseconds": found, "skipped": unable}
