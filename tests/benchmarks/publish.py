"""From a full run's JSON to what readers see: figures/benchmark.png, and the README's table between its markers.

    minigen bench --json figures/benchmark.json      measure (a quarter of an hour; give it the machine to itself)
    python tests/benchmarks/publish.py               draw the figure and write the table
    python tests/benchmarks/publish.py --table       the table only
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "figures" / "benchmark.json"
FIGURE = ROOT / "figures" / "benchmark.png"
README = ROOT / "README.md"
BEGIN, END = "<!-- benchmark: made by tests/benchmarks/publish.py -->", "<!-- end of benchmark -->"
PEERS = ("torch", "torch-tuned", "torch-compiled", "jax", "autograd")  # in the order of the columns


def table(result):
    """The Markdown table of the training steps, with the machine and a summary of the kernels."""
    lines = [
        "| one training step | minigen | PyTorch eager | fused, channels-last | compiled | JAX (jit) | HIPS autograd "
        "| of the roofline | MB, minigen : PyTorch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["steps"]:
        ours = row["engines"]["minigen"]
        cells = [row["title"], f"**{row['ms']:.1f} ms** ({ours['low']:.1f} … {ours['high']:.1f})"]
        cells += [_beside(row, engine) for engine in PEERS]
        cells += [f"{row['roofline_share']:.0%}", " : ".join(_megabytes(row, whose) for whose in ("", "torch_"))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _kernels(result), "", _circumstances(result)])


def _megabytes(row, whose):
    """The most memory of the process, and of the arrays of a step."""
    return f"{row[f'{whose}peak_mb']:.0f} ({row[f'{whose}arrays_mb']:.1f})"


def _beside(row, engine):
    """A peer's time, and ours as a multiple of it."""
    if engine not in row["engines"]:
        return "–"
    return f"{row['engines'][engine]['ms']:.1f} ms (×{row['ratios'][engine]:.2f})"


def _kernels(result):
    """A sentence on the single kernels."""
    rows = [row for row in result["kernels"] if row.get("ratio_best")]
    if not rows:
        return "Single kernels were not timed."
    slower = sorted((row for row in rows if row["ratio_best"] > 1.2), key=lambda row: -row["ratio_best"])
    text = f"Of {len(rows)} single kernels (three sizes each), {sum(row['ratio_best'] <= 1 for row in rows)} are at " \
           "least as fast as the best of PyTorch"
    if not slower:
        return f"{text}; none takes more than 1.2 times as long."
    listed = ", ".join(f"`{row['name']}` ×{row['ratio_best']:.2f}" for row in slower)
    return f"{text}; these take more than 1.2 times as long: {listed}.{_why(slower)}"


def _why(slower):
    """What the smallest have in common."""
    small = [row["ms"] for row in slower if row["size"] == "small"]
    if not small:
        return ""
    return (
        f" At the small size that is at most {max(small):.2f} ms, about half of which does not depend on the size: the "
        "calls from Python, the graph, waking the second thread."
    )


def _circumstances(result):
    """Machine, versions, what the figures mean."""
    machine, roofline, versions = result["machine"], result["roofline"], result["versions"]
    packages = ", ".join(
        f"{label} {versions[name]}" for name, label in
        (("numpy", "NumPy"), ("numba", "Numba"), ("torch", "PyTorch"), ("jax", "JAX"), ("autograd", "HIPS autograd"))
        if versions.get(name)
    )  # fmt: skip
    return (
        "Median (quartiles) of interleaved runs, each engine in its own process; (×…) is minigen's time as a multiple "
        "of that engine's. Before timing, all engines must show the same losses for 20 steps from the same weights. "
        "Roofline: the matrix products of the step at the machine's measured "
        f"{roofline['gflops']:.0f} GFLOP/s. MB: the most that the whole process ever had (and the most that arrays "
        "made in one step take at once). "
        f"{machine['cores']} cores of {machine['cpu']}; Python {versions['python']}, {packages}. "
        "Made by `minigen bench --json figures/benchmark.json` and `python tests/benchmarks/publish.py`."
    )


def write_table(result):
    """Put the table into the README, between the markers."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{table(result)}\n{END}{after}", encoding="utf-8")


def main():
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="only the README's table")
    options = parser.parse_args()
    result = json.loads(RESULTS.read_text(encoding="utf-8"))
    if result["quick"] or any("error" in row for row in result["steps"] + result["kernels"]):
        parser.error(f"{RESULTS} is a quick run, or one in which something failed")
    write_table(result)
    if not options.table:
        sys.path.insert(0, str(Path(__file__).parent))
        from suite import figure

        figure.draw(result, FIGURE)


if __name__ == "__main__":
    main()
