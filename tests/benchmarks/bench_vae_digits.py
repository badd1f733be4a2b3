"""The plain categorical VAE on the digits, here and in PyTorch: quality and training time side by side.

    python tests/benchmarks/bench_vae_digits.py [--seeds 0 1 2]

The PyTorch side rebuilds the reference notebook (jmtomczak/intro_dgm, vaes/vae_example.ipynb, without the pictures that
it saves while training). Ours is the recipe vae-digits-categorical: the same sizes, batch, optimiser and patience. Each
run is a process of its own with the machine to itself, and the two take turns. Both read the embedded digits.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time


def run_minigen(seed):
    """Train the recipe; returns figures."""
    from minigen.recipes.vae_digits_categorical import Experiment

    experiment = Experiment(seed)
    began, steps = time.perf_counter(), 0
    for report in experiment.fit(progress=False):
        steps = report.step
    seconds = time.perf_counter() - began
    metrics = experiment.evaluate()
    return {"seconds": seconds, "steps": steps, "validation": metrics["validation_elbo"], "test": metrics["test_elbo"]}


def run_torch(seed):
    """Train the notebook's model in PyTorch; returns figures."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader

    from minigen.data import digits

    pixels, latent, hidden, levels = 64, 16, 256, 17
    torch.manual_seed(seed)
    train, validation, test = (torch.tensor(part.images, dtype=torch.float32) for part in digits.splits())
    encoder = nn.Sequential(
        nn.Linear(pixels, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(),
        nn.Linear(hidden, 2 * latent),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(latent, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(),
        nn.Linear(hidden, levels * pixels),
    )  # fmt: skip
    model = nn.ModuleList([encoder, decoder])
    optimizer = torch.optim.Adamax(model.parameters(), lr=1e-3)

    def loss_of(x):
        mean, log_var = encoder(x).chunk(2, 1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        p = torch.softmax(decoder(z).view(-1, pixels, levels), 2)
        log_likelihood = (F.one_hot(x.long(), levels) * torch.log(torch.clamp(p, 1e-5, 1 - 1e-5))).sum((1, 2))
        log_ratio = (-0.5 * z**2 + 0.5 * log_var + 0.5 * torch.exp(-log_var) * (z - mean) ** 2).sum(-1)
        return -(log_likelihood + log_ratio)

    @torch.no_grad()
    def bound(x, passes=1):
        return sum(loss_of(x).mean().item() for _ in range(passes)) / passes

    loader = DataLoader(train, batch_size=64, shuffle=True)
    began, steps, best, waited, kept = time.perf_counter(), 0, float("inf"), 0, None
    for _ in range(1000):
        for batch in loader:
            loss = loss_of(batch).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        now = bound(validation)
        if now < best:
            best, waited, kept = now, 0, copy.deepcopy(model.state_dict())
        else:
            waited += 1
        if waited > 20:
            break
    seconds = time.perf_counter() - began
    model.load_state_dict(kept)
    return {"seconds": seconds, "steps": steps, "validation": bound(validation, 10), "test": bound(test, 10)}


def main():
    """Run both sides in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--side", choices=["minigen", "torch"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps({"minigen": run_minigen, "torch": run_torch}[options.side](options.seeds[0])))
        return
    results = {"minigen": [], "torch": []}
    print(f"{'':8} {'seed':>4} {'seconds':>8} {'steps':>6} {'ms/step':>8} {'validation':>10} {'test nats':>10}")
    for seed in options.seeds:
        for side in results:
            command = [sys.executable, __file__, "--side", side, "--seeds", str(seed)]
            r = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            results[side].append(r)
            print(
                f"{side:8} {seed:>4} {r['seconds']:8.2f} {r['steps']:6d} {1e3 * r['seconds'] / r['steps']:8.2f} "
                f"{r['validation']:10.2f} {r['test']:10.2f}"
            )
    for side, rows in results.items():
        seconds = statistics.median(r["seconds"] for r in rows)
        test = statistics.median(r["test"] for r in rows)
        print(f"{side}: median {seconds:.2f} s, {test:.2f} nats")


if __name__ == "__main__":
    main()
