"""`minigen bench`: all chapters in order, printed as they come, and the JSON at the end.

The figure and the README's table are made from the JSON by publish.py.
"""

import json
import tempfile
import time
from pathlib import Path

from minigen.errors import CommandError
from minigen.version import __version__

from . import kernel_cases, kernels, machine, overhead, scaling, startup, steps
from .harness import BenchError, Workers
from .sizes import SIZES

CHAPTERS = ("steps", "overhead", "kernels", "startup", "scaling")
PEERS = {"full": steps.PEERS, "quick": ("torch", "torch-tuned")}


def names():
    """Everything that --only understands."""
    return (*CHAPTERS, *SIZES, *kernel_cases.CASES)


def main(quick=False, only=None, json_file=None, torch=True):
    """Run the chapters; returns what the JSON holds."""
    if only is not None and only not in names():
        raise CommandError(f"bench: --only {only}: expected one of {', '.join(names())}")
    if json_file is not None and not Path(json_file).absolute().parent.is_dir():
        raise CommandError(f"--json {json_file}: there is no folder {Path(json_file).absolute().parent}")
    began = time.perf_counter()
    result = {"minigen": __version__, "quick": quick, "machine": machine.describe(), "versions": machine.versions()}
    with tempfile.TemporaryDirectory() as folder:
        result |= run(Path(folder), quick, only, torch, lambda text: print(text, flush=True))
    result["seconds"] = round(time.perf_counter() - began, 1)
    if json_file is not None:
        Path(json_file).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(json_file)
    wrong = [row["error"] for row in result["steps"] + result["kernels"] if "error" in row]
    if wrong:
        raise BenchError(f"{len(wrong)} of the measurements failed; the first: {wrong[0]}")
    return result


def run(folder, quick, only, torch, say):
    """The chapters that were asked for."""

    def wanted(chapter, name=None):
        return only in (None, chapter) or (name is not None and only == name)

    peers = [peer for peer in PEERS["quick" if quick else "full"] if torch or not peer.startswith("torch")]
    variants = [peer for peer in peers if peer in ("torch", "torch-tuned")]
    with Workers(("minigen", "numpy"), folder) as workers:
        roofline = machine.measure(workers, 0.2 if quick else 1.0, say)
    result = {"roofline": roofline, "steps": [], "kernels": []}
    for name in SIZES:
        if wanted("steps", name):
            weighed, budget = (variants[:1], 0.5) if quick else (variants, 2.5)
            row = _step(name, folder / name, roofline, peers, weighed, budget, say)
            result["steps"].append(row)
    if wanted("overhead"):
        result["overhead"] = overhead.measure(folder, torch, say)
    chosen = [name for name in kernel_cases.CASES if wanted("kernels", name)]
    result["kernels"] = kernels.measure(chosen, folder, roofline, variants, quick, say)
    if wanted("startup"):
        result["startup"] = startup.measure(torch, quick and only is None, say)
    if wanted("scaling") and not (quick and only is None):
        result["scaling"] = scaling.measure(folder, variants[:1], quick, say)
    return result


def _step(name, folder, roofline, peers, variants, budget, say):
    """One training step; if it fails, or the proof does, a row that says so and has no times."""
    try:
        row = steps.measure(name, folder, peers=peers, budget=budget, say=say)
    except BenchError as error:
        say(str(error))
        return {"name": name, "ms": None, "ratio_eager": None, "ratio_best": None, "error": str(error)}
    row["roofline_share"] = machine.share(roofline, row["ms"], row["flops"])
    steps.add_memory(row, folder, ("minigen", *variants), say)
    say(steps.describe(row))
    return row
