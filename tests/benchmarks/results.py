"""Every recipe at full size for three seeds: figures/results.json, and the README's table made from it.

    python tests/benchmarks/results.py                    run everything that has no result yet, rewrite the table
    python tests/benchmarks/results.py vae-digits         run these again
    python tests/benchmarks/results.py --table            rewrite the table only
    … ngram-shakespeare --data FILE                       with a local copy in place of a download

Each run is a process of its own; give it the machine to itself, for the times count. The table shows the median
over the seeds with the smallest and the largest beside it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from minigen import recipes

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "figures" / "results.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- results: made by tests/benchmarks/results.py -->", "<!-- end of results -->"
SEEDS = (0, 1, 2)


def run(name, data=None):
    """One recipe for all seeds: a list of result.json contents, without what differs by machine path."""
    results = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "minigen", "train", name, "--seed", str(seed), "--out", f"{folder}/run"]
            command += ["--data", str(data)] if data and recipes.get(name).takes_data else []
            subprocess.run(command, check=True, cwd=ROOT)
            results.append(json.loads(Path(folder, "run", "result.json").read_text(encoding="utf-8")))
    return results


NOTES = """\
Median and range of seeds 0, 1, 2; {cores} cores of {cpu}, NumPy {numpy}; made by `python tests/benchmarks/results.py`.
Nats per image, character or point: lower is better. Seconds of training are the clock's, mostly with other programs \
beside; of the flows on moons, the grid and digits they are the processor's.

- **Digits**: trained on the first 1,000, chosen on the next 350, reported on the last 447, whole pixel values 0 … 16 \
(the classifier trains again on all 1,350 before it is tested, in per cent).
- **Bounds**: `test_nll` is −log p(x), exact (of the letters −log p(x|letter)); `test_elbo` −ELBO with one sample of \
the code, a mean of several passes; `test_iwae500` the bound with 500 samples; `test_bound` a diffusion model's bound \
on −log p(x) of whole levels, `test_ode` its density of x + u by the probability flow, u uniform in a level, ten \
draws; a flow's `test_bound` the bound by noise over the whole bin, a mean of 20 draws (of letters 5), \
`test_weighted` the tighter one with 50 draws inside the logarithm.
- **Letters**: `drawn_as_asked` is the share of drawn letters that a nearest-neighbour reader takes for the one \
asked for, `read_as_asked` and `letter_accuracy` that of letters or digits which a frozen network does; \
`mixing_keeps_letter` the same if the fine layers get another sample's style; `swap_keeps_typeface` the share of \
styles in which that network finds the same weight and slant for two letters. Of a flow's letters, drawn at \
temperature 0.7, `…_at_one` is the same at temperature 1; its `test_bound` is on −log p(x|letter).
- **Samples of pictures**: `frechet`, `precision` and `recall` compare them with the training pictures in that \
network's features; `nearest_ratio` is how far the nearest training picture is, divided by how far the nearest one \
that was held out (of copies 0); `gain` is by how much a student's distance with its few calls is below its \
teacher's with 20 steps of DDIM; `frechet_1`, `_4` a flow's with so many of Euler's steps, `…_before` before its \
reflow, `bend` how curved its paths are, 0 if straight; `reconstruction_mse` the squared error per pixel, paper 0 \
and ink 1.
- **Enlarged letters**: `read` is the share that a frozen network reads right, `mean_error` how far the means of 2×2 \
pixels are from the small picture (root mean square, ink 1), `psnr` is in decibels.
- **Heads**: `healed_as_healthy` is the share of heads that the frozen network reads as healthy once the lesion was \
cut out and the hole filled, `healed_error` the root mean square difference there from the true healthy head (white 1).
- **Text**: `test_best` is of the order that was best on the validation text; `validation_with_context` gives every \
character at least half a block of context; `excess` is the share by which the test stories cost more nats than their \
exact −log p.
- **Samples of text**: `grammatical` is the share of 500 stories, drawn as they come, that the grammar accepts to the \
last letter, `grammatical_nucleus` of 500 drawn with top-p 0.9; `names_gain` and `parses_gain` by how much a GPT's \
shares of right names and of completions that parse are above the n-gram's; `right` the share of right answers to what \
was held out of training, `ended` that of answers that end by themselves, drawn at temperature 1.
- **Points**: of 2,500 samples, `high_quality` is the share within 3σ of a mode, `modes` how many have such a sample, \
`reverse_kl` that from the shares of the modes to the true ones, in nats. A GAN that is compared with another \
differs from it in the game alone. `score_error` is the largest relative error (root mean square) of the \
learnt score at noise σ from 0.2 to 8, against the exact one; `excess` of a density is the KL of the true one \
from it, in nats: what −log q costs above the entropy; of a diffusion or a flow by an ODE it is the share by which the \
loss is above its floor, and `nll` and `kl` are −log q and the KL, by the ODE. `modes_1`, `_2`, `_4` are those of \
samples with so many calls."""


def table(results):
    """The Markdown table, one row for each recipe, and what its words mean."""
    lines = ["| recipe | figures: median (range) | to compare with | training |", "|---|---|---|---|"]
    machines = set()
    for name, runs in sorted(results.items(), key=lambda item: (item[1][0]["lesson"], item[0])):
        seconds = statistics.median(r["seconds"] for r in runs)
        machines.add((runs[0]["machine"]["cpu"], runs[0]["machine"]["cores"], runs[0]["versions"]["numpy"]))
        figures = "<br>".join(f"{metric} {spread(runs, metric)}" for metric in runs[0]["band"])
        lines.append(f"| `{name}` | {figures} | {runs[0]['anchor']} | {max(1, seconds):.0f} s |")
    cpu, cores, numpy = sorted(machines)[0]
    return "\n".join([*lines, "", NOTES.format(cores=cores, cpu=cpu, numpy=numpy)])


def spread(runs, metric):
    """The median of a figure in bold, the smallest and the largest behind it, all with as many places as they need."""
    values = sorted(r["metrics"][metric] for r in runs)
    places = 0 if all(value == int(value) for value in values) else 1 if abs(values[0]) >= 10 else 3
    median, low, high = (f"{value:.{places}f}" for value in (statistics.median(values), values[0], values[-1]))
    return f"**{median}** ({low} … {high})"


def write_table(results):
    """Put the table into the README, between the markers."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")


def main():
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="recipes to run again")
    parser.add_argument("--data", type=Path, help="a local copy, for recipes that download something")
    parser.add_argument("--table", action="store_true", help="only rewrite the README's table")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if not options.table:
        for name in options.names or [name for name in recipes.names() if name not in results]:
            results[name] = run(name, options.data)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_table(results)


if __name__ == "__main__":
    main()
