"""EM for a Gaussian mixture, here and in scikit-learn: time per step and log-likelihood, from the same start.

    python tests/benchmarks/bench_gmm.py [--threads 1] [--rounds 3] [--steps 20]

Each side is a process of its own with the same number of threads, and the two take turns, `--rounds` times. Both begin
from the same weights, means and covariances and make the same number of EM steps. A time is the median over rounds of
the median over repeats. A ratio below 1 means that minigen is quicker; it is reported only if the mean log-likelihoods
agree to 1e-6 nats.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np

SIZES = [(1_000, 2, 8), (10_000, 2, 8), (50_000, 2, 8), (2_000, 8, 5), (10_000, 16, 10), (3_000, 32, 10),
         (3_000, 64, 10)]  # fmt: skip
TYPES = ("full", "tied", "diag", "spherical")
REG_COVAR = 1e-6


def problem(size, width, components, covariance):
    """Data and a start: groups with random shapes; means are points, covariances those of all data."""
    rng = np.random.default_rng([size, width, components])
    group = rng.integers(components, size=size)
    shapes = rng.normal(size=(components, width, width)) / np.sqrt(width)
    centres = 2 * rng.normal(size=(components, width))
    x = rng.normal(size=(size, width))
    for k in range(components):
        x[group == k] = x[group == k] @ shapes[k] + centres[k]
    means = x[rng.choice(size, components, replace=False)]
    shared = np.cov(x.T, bias=True)
    variances = np.diagonal(shared)
    covariances = {"full": np.tile(shared, (components, 1, 1)), "tied": shared,
                   "diag": np.tile(variances, (components, 1)),
                   "spherical": np.full(components, variances.mean())}[covariance]  # fmt: skip
    return x, np.full(components, 1 / components), means, covariances


def fit_minigen(x, weights, means, covariances, covariance, steps):
    """Seconds of one fit, and the model's mean log-likelihood."""
    from minigen.models.gmm import GaussianMixture

    model = GaussianMixture(len(means), covariance, REG_COVAR)
    model.weights, model.means, model.covariances = weights, means, covariances
    began = time.perf_counter()
    model.fit(x, start="current", steps=steps, tol=0)
    return time.perf_counter() - began, float(model.log_prob(x).mean())


def fit_sklearn(x, weights, means, covariances, covariance, steps):
    """Seconds of one fit, and the model's mean log-likelihood."""
    from sklearn.mixture import GaussianMixture

    precisions = np.linalg.inv(covariances) if covariance in ("full", "tied") else 1 / covariances
    model = GaussianMixture(len(means), covariance_type=covariance, reg_covar=REG_COVAR, tol=0, max_iter=steps,
                            weights_init=weights, means_init=means, precisions_init=precisions)  # fmt: skip
    began = time.perf_counter()
    model.fit(x)
    return time.perf_counter() - began, float(model.score(x))


SIDES = {"minigen": fit_minigen, "sklearn": fit_sklearn}


def work(side, steps, repeats):
    """All problems on one side, as JSON: a list of (milliseconds per step, mean log-likelihood)."""
    warnings.simplefilter("ignore")  # scikit-learn says that it has not converged
    results = []
    for size in SIZES:
        for covariance in TYPES:
            start = problem(*size, covariance)
            SIDES[side](*start, covariance, 2)  # warm
            runs = [SIDES[side](*start, covariance, steps) for _ in range(repeats)]
            results.append((1e3 * statistics.median(seconds for seconds, _ in runs) / steps, runs[0][1]))
    print(json.dumps(results))


def main():
    """Run both sides in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        work(options.side, options.steps, options.repeats)
        return
    threads = {name: str(options.threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    found = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side, rounds in found.items():
            command = [sys.executable, __file__, "--side", side, "--steps", str(options.steps),
                       "--repeats", str(options.repeats)]  # fmt: skip
            run = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | threads)
            rounds.append(json.loads(run.stdout.splitlines()[-1]))
    print(f"{options.threads} thread(s), {options.steps} EM steps, milliseconds per step")
    print(f"{'points':>7} {'D':>3} {'K':>3} {'covariance':10} {'minigen':>9} {'sklearn':>9} {'ratio':>6} "
          f"{'|difference|':>13}")
    cases = [(*size, covariance) for size in SIZES for covariance in TYPES]
    for index, (points, width, components, covariance) in enumerate(cases):
        ours, theirs = (statistics.median(r[index][0] for r in found[side]) for side in SIDES)
        apart = abs(found["minigen"][0][index][1] - found["sklearn"][0][index][1])
        ratio = f"{ours / theirs:6.2f}" if apart < 1e-6 else "  none"
        print(f"{points:7} {width:3} {components:3} {covariance:10} {ours:9.3f} {theirs:9.3f} {ratio} {apart:13.1e}")


if __name__ == "__main__":
    main()
