"""Chapter 3: each kernel at three sizes, beside the same in PyTorch, and against the roofline.

PyTorch is timed as one gets it ("torch") and, where memory order or a fused optimiser matters, at its best
("torch-tuned"). `ratio_eager` and `ratio_best` are our time over theirs.
"""

from . import kernel_cases, machine
from .harness import BenchError, Unable, Workers
from .steps import ratios

TUNED = ("adam", "adamw")


def measure(names, folder, roofline, peers=("torch", "torch-tuned"), quick=False, say=print):
    """A list of rows for the JSON."""
    rows = []
    if not names:
        return rows
    with Workers(("minigen", *peers), folder) as workers:
        for name in names:
            case = kernel_cases.CASES[name]
            engines = [e for e in workers if e != "torch-tuned" or case.images or name in TUNED]
            for label, shapes in case.sizes.items():
                if quick and label == "large":
                    continue
                row = _row(workers, engines, name, label, shapes, roofline, quick)
                rows.append(row)
                say(describe(row))
    return rows


def _row(workers, engines, name, label, shapes, roofline, quick):
    case = kernel_cases.CASES[name]
    flops, traffic = case.work(label)
    row = {"name": f"{name}_{label}", "kernel": name, "size": label, "shape": list(shapes)}
    try:
        able, unable = workers.build("kernel", engines, kind="kernel", name=name, size=label)
        if "minigen" not in able:
            raise Unable(unable["minigen"])
        times = workers.time("kernel", able, 0.1 if quick else 0.35, rounds=4 if quick else 7)
    except Unable as reason:
        return row | {"ms": None, "skipped": str(reason)}
    except BenchError as error:  # one broken kernel shall not cost the other figures; report.py ends with the message
        return row | {"ms": None, "error": str(error)}
    finally:
        workers.drop("kernel")
    ms = {engine: stats.ms for engine, stats in times.items()}
    row |= {"ms": ms["minigen"], **ratios(ms)}
    row["gflops"] = round(flops / ms["minigen"] / 1e6, 1) if flops else None
    row["gbytes_per_s"] = round(traffic / ms["minigen"] / 1e6, 1)
    row["roofline_share"] = machine.share(roofline, ms["minigen"], flops, traffic)
    row["torch_roofline_share"] = (
        machine.share(roofline, row["torch_best_ms"], flops, traffic) if row["torch_best_ms"] else None
    )
    row["engines"] = {engine: stats.as_dict() for engine, stats in times.items()}
    return row


def describe(row):
    """One line for the reader."""
    if row["ms"] is None:
        return f"{row['name']}: {row.get('error') or row['skipped']}"
    speed = f"{row['gflops']:.0f} GFLOP/s" if row["gflops"] else f"{row['gbytes_per_s']:.0f} GB/s"
    beside = "" if row["ratio_best"] is None else f", ×{row['ratio_eager']:.2f} torch, ×{row['ratio_best']:.2f} best"
    return f"{row['name']}: {row['ms']:.3f} ms, {speed}, {row['roofline_share']:.0%} of the roofline{beside}"
