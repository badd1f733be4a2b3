"""Fair timing: each engine in its own process, blocks of repeats taken in turn, medians with quartiles.

One process per engine, because thread pools of two libraries in one process spin against each other. In turn, because
a machine's speed drifts (other users, heat): what changes over seconds then meets all engines alike. The order of the
turns is reversed every round.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from minigen.errors import CommandError

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Settings of the caller's shell that would give one engine other threads than the next.
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MINIGEN_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                   "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # fmt: skip


class BenchError(CommandError):
    """A worker failed, or two engines did not compute the same thing."""


class Unable(Exception):
    """An engine cannot do what was asked; str() is the reason."""


@dataclass(frozen=True)
class Stats:
    """Milliseconds of one run: median, quartiles, the fastest; and how many runs there were."""

    ms: float
    low: float
    high: float
    best: float
    n: int

    @classmethod
    def of(cls, seconds):
        """The statistics of a list of times."""
        low, middle, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        return cls(*(round(value * 1e3, 5) for value in (middle, low, high, min(seconds))), len(seconds))

    def as_dict(self):
        """For the JSON."""
        return asdict(self)


def environment(threads=None, **extra):
    """What a worker's environment is: the caller's, without thread settings unless `threads` is given."""
    env = {name: value for name, value in os.environ.items() if name not in THREAD_SETTINGS} | extra
    env["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(ROOT)])
    if threads is not None:
        env |= {"OMP_NUM_THREADS": str(threads), "MINIGEN_NUM_THREADS": str(threads)}
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if threads == 1 else ""
    return env


class Worker:
    """One engine in a process of its own."""

    def __init__(self, engine, folder, threads=None, **extra):
        self.engine = engine
        self.errors = tempfile.TemporaryFile("w+")
        command = [sys.executable, "-m", "suite.worker", engine, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env=environment(threads, **extra))  # fmt: skip
        try:
            self.version = self("prepare")
        except BenchError as error:
            self.close()
            raise Unable(str(error).split(": ", 1)[-1]) from error

    def __call__(self, do, **request):
        """Send a request; the answer.  Raises: Unable with the engine's reason, BenchError with its traceback."""
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            raise BenchError(f"{self.engine}: the process died in {do}\n{self.errors.read()[-2000:]}")
        reply = json.loads(line)
        if "skip" in reply:
            raise Unable(reply["skip"])
        if "error" in reply:
            if "No module named" in reply["error"]:
                raise BenchError(f"{self.engine}: {reply['error']}")
            raise BenchError(f"{self.engine}: {do}: {reply['error']}\n{reply['traceback']}")
        return reply["ok"]

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


class Workers(dict):
    """Several engines side by side: {engine: Worker}; `unable` holds the reasons of those that could not start."""

    def __init__(self, engines, folder, threads=None, **extra):
        super().__init__()
        self.unable = {}
        for engine in engines:
            try:
                self[engine] = Worker(engine, folder, threads, **extra)
            except Unable as reason:
                self.unable[engine] = str(reason)

    def build(self, key, engines=None, **request):
        """Build in each engine; (those that could, {engine: reason} of the others)."""
        able, unable = [], dict(self.unable)
        for engine in engines or self:
            if engine not in self:
                continue
            try:
                self[engine]("build", key=key, **request)
                able.append(engine)
            except Unable as reason:
                unable[engine] = str(reason)
        return able, unable

    def time(self, key, engines, budget, rounds=8, most=200):
        """Stats for each engine; `budget` is seconds of running per engine, after warming up.

        most: repeats per round. Training steps are timed early in a training: thousands of steps on one batch lead
        to gradients below the smallest normal number, with which a processor needs far longer.
        """
        repeats = {}
        for engine in engines:
            self[engine]("time", key=key, repeats=1, warm=1)  # compiles, fills caches
            once = min(self[engine]("time", key=key, repeats=3, warm=0))
            repeats[engine] = max(1, min(most, round(budget / rounds / once)))
        seconds = {engine: [] for engine in engines}
        for turn in range(rounds):
            for engine in engines if turn % 2 == 0 else reversed(engines):
                time.sleep(0.02)  # let the other engine's threads fall asleep
                seconds[engine] += self[engine]("time", key=key, repeats=repeats[engine], warm=1)
        return {engine: Stats.of(times) for engine, times in seconds.items()}

    def drop(self, key):
        """Forget in each engine."""
        for worker in self.values():
            worker("drop", key=key)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for worker in self.values():
            worker.close()
