"""One training step of a diffusion U-Net, here and in PyTorch: its time, its memory, and the time of one prediction.

    python tests/benchmarks/bench_unet.py [--python PYTHON] [--rounds 15] [--budget 0.4] [--threads 1]
                                          [--only letters|digits] [--variants eager,channels_last,compiled]

A step is all that training does with a batch: draw times and noise, x_t = α x₀ + σ ε (cosine schedule), the squared
error of the predicted v, its gradient, Adam, the running average of the weights. A prediction is one call of the
network without a graph, as in sampling. Two sizes, `CASES`.

PyTorch is written as its users write it (unet_torch.py), with the fused Adam, in three variants: eager; channels_last,
the images' channels neighbours in memory; compiled, that and torch.compile, where a C++ compiler is found. Before
anything is timed all must agree with minigen, from the same weights (none of them 0) on the same noise: the prediction,
the gradient of every parameter, and the losses of 10 steps. Else no ratio is printed.

Each engine is a process of its own with the same number of threads. They take turns, `--rounds` times, in reversed
order every other time, `--budget` seconds each. The ratio is the median over rounds of minigen's median to PyTorch's in
the same round, by the processor's time, which other programs on the machine disturb less, and by the clock on the wall;
its spread is given by quartiles. "Best" is the variant with the smallest median. A ratio below 1: minigen is quicker.

Memory, in processes that do nothing else, after one that had compiled what there is to compile:

    rise     the most that was resident during the first steps, above what was just before them, libraries loaded. In
             minigen that has the kernels' machine code in it, which PyTorch brings with its libraries
    arrays   the most that the arrays made in one step take at once, by each library's own account
    peak     the most that the process ever had, all included
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent.parent
CASES = {
    "letters": {"shape": (32, 1, 28, 28), "width": 24, "multiples": (1, 2, 2), "attention": (2,), "classes": 26},
    "digits": {"shape": (64, 1, 8, 8), "width": 32, "multiples": (1, 2), "attention": (1,), "classes": 10},
}
RATE, DECAY = 1e-3, 0.999
PROOF, ALLOWED = 10, 2e-5  # steps whose losses must agree; difference relative to the largest number of an array
MEMORY_STEPS = 5


def problem(case):
    """Pictures in (−1, 1) and labels."""
    shape, rng = CASES[case]["shape"], np.random.default_rng(5)
    return rng.uniform(-1, 1, shape).astype(np.float32), rng.integers(CASES[case]["classes"], size=shape[0])


def drawn(case, step):
    """Times and noise of a step of the proof."""
    shape, rng = CASES[case]["shape"], np.random.default_rng([6, step])
    return rng.random(shape[0]), rng.standard_normal(shape, dtype=np.float32)


class Minigen:
    """The package's own model, optimiser and average; leaves its initial weights in the folder."""

    def __init__(self, case, folder):
        import numba  # noqa: F401  in memory before memory is measured, as PyTorch's libraries are

        from minigen.models.diffusion import Diffusion
        from minigen.models.schedules import Cosine
        from minigen.nn.unet import UNet
        from minigen.optim import EMA, Adam

        settings = {name: CASES[case][name] for name in ("width", "multiples", "attention", "classes")}
        rng = np.random.default_rng(0)
        network = UNet(1, 1, **settings, rng=rng)
        for parameter in network.parameters():  # layers that begin as 0 would hide what is before them
            if not parameter.data.any():
                parameter.overwrite(0.05 * rng.standard_normal(parameter.shape, dtype=np.float32))
        np.savez(folder / "weights.npz", **network.state_dict())
        self.model = Diffusion(network, Cosine(), prediction="v")
        self.optimizer = Adam(self.model.parameters(), lr=RATE)
        self.ema = EMA(self.model, DECAY)
        self.rng, (self.x, self.labels) = np.random.default_rng(1), problem(case)

    def step(self, t=None, noise=None):
        loss = self.model.loss(self.x, self.labels, rng=self.rng, t=t, noise=noise).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.ema.update()
        return loss.item()

    def predict(self, t=None):
        """ε̂ at the data, (B, C, H, W)."""
        t = np.full(len(self.x), 0.5) if t is None else t
        return self.model.predictor(self.labels)(self.x, t)

    def gradients(self):
        """{name: array} after a step."""
        return {name: p.grad.data for name, p in self.model.network.named_parameters()}


def make(engine, case, folder):
    """What one engine does: an object with step, predict and gradients."""
    if engine == "minigen":
        return Minigen(case, folder)
    import unet_torch

    return unet_torch.Torch(engine, CASES[case], folder, *problem(case), rate=RATE, decay=DECAY)


def proof(run, case):
    """{name: array}: prediction, gradients of the first step, losses of PROOF steps."""
    found = {"prediction": run.predict(drawn(case, 0)[0])}
    losses = [run.step(*drawn(case, 0))]
    found |= {f"gradient of {name}": np.array(g) for name, g in run.gradients().items()}
    losses += [run.step(*drawn(case, step)) for step in range(1, PROOF)]
    return found | {"losses": np.array(losses)}


def gap(ours, theirs):
    """(the largest difference of two arrays of a name, relative to the largest number in it, that name)."""
    if set(ours) != set(theirs):
        raise SystemExit(f"bench_unet: not the same network: {sorted(set(ours) ^ set(theirs))}")
    found = {name: np.abs(ours[name] - theirs[name]).max() / np.abs(ours[name]).max() for name in ours}
    return max((float(value) if value == value else np.inf, name) for name, value in found.items())


def timed(call, budget):
    """Medians of wall and processor milliseconds over as many calls as fit into `budget` seconds, at least 2."""
    call()
    wall, cpu, began = [], [], time.perf_counter()
    while len(wall) < 2 or time.perf_counter() - began < budget:
        start = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return {"wall": 1e3 * statistics.median(wall), "cpu": 1e3 * statistics.median(cpu)}


def resident(what):
    """Megabytes of this process: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def memory(run, engine):
    """Megabytes: rise, arrays and peak (see the module's docstring)."""
    from suite.worker import arrays

    most = resident("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
    before = resident("VmRSS")
    for _ in range(MEMORY_STEPS):
        run.step()
    after = resident("VmHWM")
    return {"rise": after - before, "arrays": arrays("minigen" if engine == "minigen" else "torch", run.step),
            "peak": max(most, after)}  # fmt: skip


def work(engine, case, folder, threads):
    """A process: carries out requests, one per line, and answers each by a line of JSON."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not land in the pipe
    if engine != "minigen":
        import torch

        torch.set_num_threads(threads)
    run = make(engine, case, folder)
    for line in sys.stdin:
        what, budget = json.loads(line)
        if what == "proof":
            np.savez(folder / f"{engine}.npz", **proof(run, case))
            answer = None
        elif what == "memory":
            answer = memory(run, engine)
        else:
            answer = timed(getattr(run, what), budget)
        print(json.dumps(answer), file=out, flush=True)


class Engine:
    """The other end of `work`."""

    def __init__(self, engine, case, folder, options):
        threads = str(options.threads)
        python = sys.executable if engine == "minigen" else options.python
        command = [python, __file__, "--engine", engine, "--only", case, "--folder", folder, "--threads", threads]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads, "MINIGEN_NUM_THREADS": threads}
        self.engine = engine
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def __call__(self, what, budget=0.0):
        self.process.stdin.write(json.dumps([what, budget]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench_unet: {self.engine} ended in {what}; its error is above")
        return json.loads(line)

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def compare(case, folder, options):
    """All about one size."""
    names = ["minigen", *options.variants.split(",")]
    engines = {}
    try:
        for name in names:
            engines[name] = Engine(name, case, folder, options)
            engines[name]("proof")  # in turn: minigen leaves the weights
        shown = {}
        for name in names:
            with np.load(Path(folder) / f"{name}.npz") as file:
                shown[name] = dict(file)
        gaps = [gap(shown["minigen"], shown[name]) for name in names[1:]]
        if not max(gaps)[0] <= ALLOWED:
            raise SystemExit(f"{case}: {max(gaps)[1]} differs by {max(gaps)[0]:.1e} of its size, allowed {ALLOWED:.0e}")
        print(f"{case}: {CASES[case]}; prediction, gradients, losses agree to {max(gaps)[0]:.0e}")
        for what in ("step", "predict"):
            rounds = {name: [] for name in names}
            for turn in range(options.rounds):
                for name in names if turn % 2 == 0 else reversed(names):
                    rounds[name].append(engines[name](what, options.budget))
            report(what, rounds)
    finally:
        for engine in engines.values():
            engine.close()
    rises = {}
    for name in names:
        fresh = Engine(name, case, folder, options)
        rises[name] = fresh("memory")
        fresh.close()
    for kind in ("rise", "arrays", "peak"):
        print(f"  memory, {kind}: " + ", ".join(f"{name} {found[kind]:.1f} MB" for name, found in rises.items()))


def report(what, rounds):
    """Print times and ratios."""
    for clock in ("cpu", "wall"):
        times = {name: [found[clock] for found in some] for name, some in rounds.items()}
        middle = {name: statistics.median(some) for name, some in times.items()}
        ours = times.pop("minigen")
        best = min(times, key=middle.get)
        print(f"  {what}, {clock}: " + ", ".join(f"{name} {value:.2f} ms" for name, value in middle.items()))
        for name, some in times.items():
            ratios = [a / b for a, b in zip(ours, some, strict=True)]
            low, ratio, high = statistics.quantiles(ratios, n=4)
            print(f"    ratio to {name:14}{ratio:.3f}  [{low:.3f}, {high:.3f}]{'  best' if name == best else ''}")


def main():
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--budget", type=float, default=0.4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--variants", default="eager,channels_last,compiled")
    for name in ("--engine", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        work(options.engine, options.only, Path(options.folder), options.threads)
        return
    for case in [options.only] if options.only else CASES:
        with tempfile.TemporaryDirectory() as folder:
            compare(case, folder, options)


if __name__ == "__main__":
    main()
