"""Chapter 1: whole training steps. First the proof that all engines compute the same, then time and memory.

**The proof.** All engines start from minigen's initial weights, see the same data and the same noise, and train for 20
steps. Their losses must agree with minigen's. How closely can they? All compute in float32, whose rounding error is
6e-8 per operation, and each adds in its own order, so losses part in the seventh digit. In three of the workloads the
gap stays there for 20 steps (largest seen 1e-6). A GAN is a game of two networks that answer each other, and it
stretches every difference by about 1.8 per step: after 10 steps PyTorch's *own* losses with two memory layouts differ
by 1e-3. So the relative difference allowed at step t is 5e-6, and for the GAN 2e-5 · 2ᵗ up to 5e-2. This is tight
enough to notice a learning rate that is wrong by 1 %, in every workload; a test plants that.
"""

from .harness import BenchError, Worker, Workers
from .sizes import SIZES, TITLES, flops, with_defaults

PEERS = ("torch", "torch-tuned", "torch-compiled", "jax", "autograd")
STEPS = 20


def allowed(name, step):
    """The largest relative difference of two engines' losses at a step, counted from 0."""
    return min(5e-2, 2e-5 * 2**step) if name == "dcgan" else 5e-6


def gap(ours, theirs):
    """The largest relative difference between two lists of losses."""
    pairs = [(a, b) for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True)]
    return max(abs(a - b) / abs(b) if a == a and b == b else float("inf") for a, b in pairs)


def prove(name, losses):
    """{engine: gap to minigen's losses}.  Raises: BenchError if an engine computed something else."""
    found = {}
    for engine, theirs in losses.items():
        gaps = [gap([mine], [other]) for mine, other in zip(losses["minigen"], theirs, strict=True)]
        for step, found_there in enumerate(gaps):
            if not found_there <= allowed(name, step):
                raise BenchError(
                    f"{name}: minigen and {engine} do not compute the same: in step {step + 1} the losses are "
                    f"{losses['minigen'][step]} and {theirs[step]}, which differ by {found_there:.1e} (allowed "
                    f"{allowed(name, step):.0e}); no times are reported"
                )
        found[engine] = max(gaps)
    return found


def measure(name, folder, *, peers=PEERS, budget=2.0, steps=STEPS, size=None, threads=None, say=print):
    """One workload: a row for the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    size = with_defaults(name, size)
    with Workers(("minigen", *peers), folder, threads) as workers:
        able, unable = workers.build("step", kind="step", name=name, size=size)
        losses = {engine: workers[engine]("losses", key="step", steps=steps) for engine in able}
        gaps = prove(name, losses)
        say(f"{name}: same losses for {steps} steps, within {max(gaps.values()):.0e}")
        times = workers.time("step", able, budget, most=40)
        versions = {engine: workers[engine].version for engine in able}
    row = {"name": name, "title": TITLES[name], "size": size, "flops": flops(name, size), "ms": times["minigen"].ms,
           "gflops": round(flops(name, size) / times["minigen"].ms / 1e6, 1)}  # fmt: skip
    row |= ratios({engine: stats.ms for engine, stats in times.items()})
    row["engines"] = {
        engine: {**times[engine].as_dict(), "gap": gaps[engine], "version": versions[engine]} for engine in able
    }
    row["skipped"] = unable
    return row


def ratios(ms):
    """torch_ms, ratio_eager and ratio_best from {engine: ms}; None where there is no PyTorch."""
    variants = [value for engine, value in ms.items() if engine.startswith("torch")]
    ours = ms["minigen"]
    return {
        "torch_ms": ms.get("torch"),
        "torch_best_ms": min(variants, default=None),
        "ratio_eager": round(ours / ms["torch"], 3) if "torch" in ms else None,
        "ratio_best": round(ours / min(variants), 3) if variants else None,
        "ratios": {engine: round(ours / value, 3) for engine, value in ms.items() if engine != "minigen"},
    }


def memory(name, folder, engine, steps=5):
    """Megabytes of a process that does nothing but this workload.

    peak:    the most it ever had, code and libraries included
    step:    how much of that came with the first steps: gradients, the optimiser's averages, activations, buffers that
             are kept for the next step, and here also the machine code of the kernels and what it takes to load it
             (some 50 MB; PyTorch's code is counted before, in its libraries)
    arrays:  the arrays alone, see worker.arrays
    """
    worker = Worker(engine, folder)
    try:
        worker("build", key="step", kind="step", name=name, size=SIZES[name])
        before, _ = worker("memory")
        worker("losses", key="step", steps=steps)
        _, most = worker("memory")
        arrays = worker("arrays", key="step")
        return {"peak": round(most, 1), "step": round(most - before, 1), "arrays": round(arrays, 4)}
    finally:
        worker.close()


def add_memory(row, folder, engines=("minigen", "torch", "torch-tuned"), say=print):
    """Put the memory of each engine into a row. The kernels must have been compiled before: LLVM needs memory too."""
    row["memory"] = {engine: memory(row["name"], folder, engine) for engine in engines if engine in row["engines"]}
    ours, theirs = row["memory"]["minigen"], row["memory"].get("torch")
    row["peak_mb"], row["step_mb"] = ours["peak"], ours["step"]
    row["torch_peak_mb"] = theirs and theirs["peak"]
    row["torch_step_mb"] = theirs and theirs["step"]
    row["arrays_mb"], row["torch_arrays_mb"] = ours["arrays"], theirs and theirs["arrays"]
    beside = f"; torch {theirs['peak']:.0f} and {theirs['arrays']:.1f}" if theirs else ""
    say(f"{row['name']}: {ours['peak']:.0f} MB at most, of which {ours['arrays']:.1f} arrays of a step{beside}")


def describe(row):
    """One line for the reader."""
    parts = []
    for engine, found in row["engines"].items():
        ratio = f" (×{row['ratios'][engine]:.2f})" if engine in row["ratios"] else ""
        parts.append(f"{engine} {found['ms']:.2f} ms [{found['low']:.2f}, {found['high']:.2f}]{ratio}")
    skipped = "".join(f"; {engine}: {reason}" for engine, reason in row["skipped"].items())
    return f"{row['name']}: " + ", ".join(parts) + skipped
