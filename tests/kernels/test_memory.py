"""Memory does not grow with the number of steps, and freed arrays are used again."""

import sys

import pytest
from programs import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")

STEPS = """
import resource, sys
import numpy as np
from minigen import kernels, nn, ops, optim
from minigen.autograd import Tensor

def pages():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20

rng = np.random.default_rng(0)
convolution, norm, head = nn.Conv2d(3, 8, 3, padding=1, rng=rng), nn.GroupNorm(2, 8), nn.Linear(8 * 64, 10, rng=rng)
optimizer = optim.Adam([*convolution.parameters(), *norm.parameters(), *head.parameters()], lr=1e-4)
ema = optim.EMA(head, decay=0.9)
x = Tensor(rng.normal(size=(16, 3, 8, 8)).astype("f4"))
target = np.arange(16) % 10
def step():
    optimizer.zero_grad()
    y = ops.silu(norm(convolution(x)))
    loss = ops.mean(ops.cross_entropy(head(ops.reshape(y, shape=(16, -1))), target))
    loss.backward()
    optimizer.step()
    ema.update()
few = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
for _ in range(few): step()
before = pages()
for _ in range(9 * few): step()
print(pages() - before)
"""


def test_ten_times_the_steps_take_no_more_memory():
    assert float(run(STEPS.replace("STEPS", "100"))[0]) < 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_steps_take_no_more_memory():
    assert float(run(STEPS.replace("STEPS", "10_000"), timeout=3600)[0]) < 1


FAULTS = """
import resource, numpy as np
from minigen.kernels import memory
kept = memory.keep()
def make():
    arrays = [np.ones(4_000_000, "f4") for _ in range(4)]
make(); make()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): make()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_freed_arrays_are_used_again_unless_switched_off():
    kept, faults = run(FAULTS)[0].split()
    if kept == "False":
        pytest.skip("only with glibc")
    off, more = run(FAULTS, MINIGEN_KEEP_MEMORY="0")[0].split()
    assert off == "False" and int(more) > 100 and int(faults) < int(more) / 10


def test_the_first_kernel_asks_for_memory_to_be_kept():
    code = """
import numpy as np
from minigen.kernels import elementwise, memory, threads
asked = []
memory.keep = lambda: asked.append(True)
before = len(asked)
elementwise.exp(np.ones(5)); elementwise.exp(np.ones(5))
print(before, len(asked))
"""
    assert run(code)[0] == "0 1"
