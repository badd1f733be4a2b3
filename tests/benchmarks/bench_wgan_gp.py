"""One step of the WGAN-GP critic, here and in PyTorch: the gradient penalty needs the gradient of a gradient.

    python tests/benchmarks/bench_wgan_gp.py [--python PYTHON] [--rounds 5] [--repeats 20] [--threads 1]

A step is: logits of real and of forged samples, the penalty (8.11) at points between them, the gradient of it all in
the critic's weights, Adam. Two critics: a perceptron, 3 × 128 for points in the plane, batch 256; and that of
`dcgan_discriminator`, 28×28 pictures, batch 64. Both sides start from the same weights, see the same samples and the
same ε, and must show the same losses for 10 steps, or no ratio is printed.

Each side is a process of its own with the same number of threads, and the two take turns, `--rounds` times. A time is
the median over rounds of the median over repeats, once by the clock on the wall and once by the processor's time, which
other programs on the machine disturb less. A ratio below 1 means that minigen is quicker. PYTHON is the interpreter
that has PyTorch, by default this one.
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
CASES = {"mlp": ("perceptron 3 × 128, points, batch 256", 256, (2,)),
         "conv": ("DCGAN's critic, 28×28, batch 64", 64, (1, 28, 28))}  # fmt: skip
STRENGTH, RATE, BETAS, SLOPE = 10.0, 1e-4, (0.0, 0.9), 0.2
PROOF, ALLOWED = 10, 2e-4  # steps whose losses must agree, and by how much they may differ, relative to 1


def problem(kind):
    """Real samples, forged samples and ε, arrays in float32."""
    _, batch, shape = CASES[kind]
    rng = np.random.default_rng(batch)
    real, fake = (rng.uniform(-1, 1, (batch, *shape)).astype(np.float32) for _ in range(2))
    return real, fake, mixing().random((batch, *(1,) * len(shape))).astype(np.float32)


def mixing():
    """Where ε comes from: anew for every step, so that all steps have the same."""
    return np.random.default_rng(7)


def step_minigen(kind, folder):
    """A function that does one step and returns its loss. The initial weights are left in the folder."""
    from minigen import Tensor
    from minigen.models.gan import OBJECTIVES, gradient_penalty
    from minigen.models.gan_networks import dcgan_discriminator, mlp
    from minigen.optim import Adam

    rng = np.random.default_rng(0)
    network = mlp(2, 1, width=128, depth=3, slope=SLOPE, rng=rng) if kind == "mlp" else dcgan_discriminator(rng=rng)
    np.savez(Path(folder) / f"{kind}.npz", *(parameter.data for parameter in network.parameters()))
    optimizer = Adam(network.parameters(), lr=RATE, betas=BETAS)
    real, fake, _ = map(Tensor, problem(kind))

    def logits(x):
        return network(x).reshape((-1,))

    def step():
        loss = OBJECTIVES["wasserstein"].discriminator(logits(real), logits(fake))
        loss = (loss + STRENGTH * gradient_penalty(logits, real, fake, rng=mixing())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def step_torch(kind, folder):
    """The same in PyTorch, written as its users do: autograd.grad with create_graph=True inside the loss."""
    import torch
    from torch import nn

    def leaky():
        return nn.LeakyReLU(SLOPE)

    if kind == "mlp":
        network = nn.Sequential(nn.Linear(2, 128), leaky(), nn.Linear(128, 128), leaky(), nn.Linear(128, 128), leaky(),
                                nn.Linear(128, 1))  # fmt: skip
    else:
        network = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), leaky(), nn.Conv2d(32, 64, 4, stride=2, padding=1), leaky(),
            nn.Conv2d(64, 128, 4, stride=2, padding=1), leaky(), nn.Flatten(), nn.Linear(128 * 49, 1),
        )  # fmt: skip
    with np.load(Path(folder) / f"{kind}.npz") as start, torch.no_grad():
        for parameter, name in zip(network.parameters(), start.files, strict=True):
            parameter.copy_(torch.from_numpy(start[name]))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS)
    real, fake, share = map(torch.from_numpy, problem(kind))

    def step():
        mixed = (share * real + (1 - share) * fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(network(mixed).sum(), mixed, create_graph=True)
        penalty = ((slope.flatten(1).pow(2).sum(1) + 1e-12).sqrt() - 1) ** 2
        loss = (network(fake) - network(real)).mean() + STRENGTH * penalty.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def work(side, kind, folder, threads, repeats):
    """One side, one critic: the first losses and the median time of a step, as JSON."""
    if side == "torch":
        import torch

        torch.set_num_threads(threads)
    step = {"minigen": step_minigen, "torch": step_torch}[side](kind, folder)
    losses = [step() for _ in range(PROOF)]
    wall, cpu = [], []
    for _ in range(repeats):
        began = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    print(json.dumps({"losses": losses, "wall": 1e3 * statistics.median(wall), "cpu": 1e3 * statistics.median(cpu)}))


def compare(kind, folder, options):
    """Run both sides in turn and print their line."""
    runs = {"minigen": [], "torch": []}
    for number in range(options.rounds):
        for side in runs if number % 2 == 0 else reversed(runs):  # minigen first: it leaves the weights
            python = sys.executable if side == "minigen" else options.python
            command = [python, __file__, "--side", side, "--kind", kind, "--folder", folder,
                       "--repeats", str(options.repeats), "--threads", str(options.threads)]
            env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(options.threads),
                   "MINIGEN_NUM_THREADS": str(options.threads)}  # fmt: skip
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
            runs[side].append(json.loads(out.splitlines()[-1]))
    gap = max(abs(a - b) / max(1.0, abs(b))
              for a, b in zip(*(runs[side][0]["losses"] for side in runs), strict=True))  # fmt: skip
    if not gap <= ALLOWED:
        raise SystemExit(f"{CASES[kind][0]}: the losses differ by {gap:.1e}, allowed {ALLOWED:.0e}: not the same step")
    print(f"{CASES[kind][0]}; losses agree to {gap:.0e}")
    for clock in ("wall", "cpu"):
        ours, theirs = (statistics.median(run[clock] for run in runs[side]) for side in runs)
        pairs = sorted(a[clock] / b[clock] for a, b in zip(*runs.values(), strict=True))
        print(f"  {clock:4}: minigen {ours:7.2f} ms, torch {theirs:7.2f} ms, ratio {ours / theirs:.2f} "
              f"(of the {len(pairs)} pairs {pairs[0]:.2f} to {pairs[-1]:.2f})")


def main():
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    for name in ("--side", "--kind", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        work(options.side, options.kind, options.folder, options.threads, options.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        for kind in CASES:
            compare(kind, folder, options)


if __name__ == "__main__":
    main()
