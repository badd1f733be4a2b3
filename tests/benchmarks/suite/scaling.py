"""Chapter 5: how time grows with the size of the problem and falls with threads.

Each sweep changes one number and fits time ∝ sizeᵏ by least squares in logarithms. k below the theoretical value says
that fixed costs still count; above it, that something falls out of a cache. With threads the figure is the speed-up.
"""

import numpy as np

from .harness import Workers
from .sizes import SIZES

# what grows: the workload, the name of the number, its values, and the exponent that the arithmetic alone would have
SWEEPS = {
    "batch": ("vae_mlp", "batch", (32, 64, 128, 256, 512), 1.0),
    "resolution": ("ddpm_stack", "size", (8, 16, 32), 2.0),
    "sequence length": ("nanogpt", "length", (32, 64, 128, 256), 1.0),
    "width": ("nanogpt", "width", (64, 128, 256), 2.0),
}
FIXED = {"resolution": {"batch": 16}, "sequence length": {"batch": 4}}


def measure(folder, peers=("torch",), quick=False, say=print):
    """{"sweeps": {what grows: …}, "threads": {workload: …}}"""
    sweeps = {}
    with Workers(("minigen", *peers), folder) as workers:
        for what, (name, number, values, expected) in SWEEPS.items():
            found = {engine: [] for engine in workers}
            for value in values:
                for engine, stats in _time(workers, name, {**FIXED.get(what, {}), number: value}, quick).items():
                    found[engine].append(stats.ms)
            exponents = {engine: exponent(values, ms) for engine, ms in found.items()}
            sweeps[what] = {"workload": name, "values": list(values), "ms": found, "exponent": exponents,
                            "arithmetic": expected}  # fmt: skip
            say(f"time ∝ ({what})^k in {name}: " + ", ".join(f"{e} k = {k:.2f}" for e, k in exponents.items())
                + f"; the arithmetic alone: {expected:.0f}")  # fmt: skip
    return {"sweeps": sweeps, "threads": threads(folder, peers, quick, say)}


def threads(folder, peers, quick, say):
    """{workload: {engine: [ms with 1 thread, ms with 2, speed-up]}}"""
    found = {name: {} for name in SIZES}
    with Workers(("minigen", *peers), folder, 1) as alone, Workers(("minigen", *peers), folder, 2) as together:
        for name in SIZES:
            one, two = (_time(workers, name, {}, quick) for workers in (alone, together))
            for engine in one:
                ms = [one[engine].ms, two[engine].ms]
                found[name][engine] = [*ms, round(ms[0] / ms[1], 3)]
            say(f"{name}: two threads in place of one: "
                + ", ".join(f"{engine} ×{row[2]:.2f}" for engine, row in found[name].items()))  # fmt: skip
    return found


def exponent(sizes, times):
    """The k of time ∝ sizeᵏ, by least squares in logarithms."""
    return round(float(np.polyfit(np.log(sizes), np.log(times), 1)[0]), 3)


def _time(workers, name, size, quick):
    able, _ = workers.build("scaling", kind="step", name=name, size=size)
    times = workers.time("scaling", able, 0.2 if quick else 0.5, rounds=3)
    workers.drop("scaling")
    return times
