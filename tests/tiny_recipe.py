"""A recipe that trains in a moment, with everything in its state that a real one has; and a script that runs it.

    python tests/tiny_recipe.py train tiny --quick      # `minigen` with the tiny recipe added

The model is a denoiser of points: dropout (a generator inside a layer), Adam with a schedule (a step counter), an EMA,
shuffled batches, noise from a generator of its own, a buffer that training changes, and early stopping on the EMA.
With `--data slow` each step takes some milliseconds longer, so that there is time to kill it.
"""

import sys
import time

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.data.batches import Batches
from minigen.optim import EMA, Adam, Schedule, cosine
from minigen.recipes import Experiment, Recipe, register
from minigen.train import Counter


class Denoiser(nn.Module):
    """Two layers, dropout, and a running count of the points seen."""

    def __init__(self, rng):
        self.first = nn.Linear(4, 8, rng=rng)
        self.dropout = nn.Dropout(0.2, rng=np.random.default_rng(rng.integers(1 << 30)))
        self.second = nn.Linear(8, 4, rng=rng)
        self.seen = np.zeros(1)

    def forward(self, x):
        return self.second(self.dropout(ops.tanh(self.first(x))))


class Tiny(Experiment):
    """60 steps of denoising."""

    validate_every = 5
    patience = 8
    checkpoint_every = 4

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.slow = data is not None and str(data).endswith("slow")
        self.steps = steps or (12 if quick else 60)
        self.model = Denoiser(np.random.default_rng(seed))
        points = np.random.default_rng(7).normal(size=(70, 4)).astype(np.float32)
        self.held_out = points[50:]
        self.optimizer = Adam(self.model.parameters(), lr=0.05)
        self.schedule = Schedule(self.optimizer, cosine, total=self.steps + 1, warmup=1)
        self.ema = EMA(self.model, 0.8)
        self.batches = Batches(points[:50], 16, rng=np.random.default_rng(seed + 1))
        self.noise, self.counter = np.random.default_rng(seed + 2), Counter()
        self.state = {"model": self.model, "ema": self.ema, "optimizer": self.optimizer, "batches": self.batches,
                      "noise": self.noise, "counter": self.counter}

    def step(self):
        self.schedule(self.counter.advance())
        self.model.train()
        time.sleep(0.02 * self.slow)
        x = next(self.batches)
        self.model.seen += len(x)
        loss = self._error(x, self.noise)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.ema.update()
        return {"loss": loss.item(), "rate": self.optimizer.param_groups[0]["lr"]}

    def _error(self, x, rng):
        noisy = x + rng.normal(size=x.shape).astype(np.float32)
        difference = self.model(Tensor(noisy)) - Tensor(x)
        return (difference * difference).mean()

    def validate(self):
        self.model.eval()
        with no_grad(), self.ema.averaged():
            return self._error(self.held_out, np.random.default_rng(0)).item()

    def evaluate(self):
        return {"test_error": self.validate()}

    def sample(self, n, rng):
        return rng.normal(size=(n, 4)) + self.model.second.bias.data


RECIPE = Recipe(
    name="tiny", summary="a denoiser of points", lesson="00", build=Tiny, band={"test_error": (None, 1.0)},
    quick_band={"test_error": (0.0, 3.0)}, anchor="1.0, the variance of the points", source="none",
    budget_seconds=1.0, demo_steps=6, takes_data=True,
)  # fmt: skip


def main(arguments):
    """`minigen` with the tiny recipe registered."""
    from minigen.cli import main as command_line

    register(RECIPE)
    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
