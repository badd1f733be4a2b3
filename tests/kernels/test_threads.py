"""Who computes: numbers of threads, callers at the same time, forks, and two pools that must not fight."""

import os
import statistics
import threading
import time

import numpy as np
import pytest
from programs import run

import minigen
from minigen import kernels
from minigen.kernels import product, threads

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
several = pytest.mark.skipif(CORES < 2, reason="one core")

# -- how many -----------------------------------------------------------------------------------------------------

COUNT = """
import warnings, numpy as np, threadpoolctl
from minigen.kernels import elementwise, threads
elementwise.exp(np.ones(10))
blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
print(threads.get_num_threads(), *blas)
"""


@several
@pytest.mark.parametrize("settings, kernel_threads, blas_threads", [
    ({}, CORES, 1),
    ({"MINIGEN_NUM_THREADS": "1"}, 1, 1),
    ({"MINIGEN_NUM_THREADS": "1000"}, CORES, 1),
    ({"MINIGEN_NUM_THREADS": "", "OMP_NUM_THREADS": ""}, CORES, 1),
    ({"OMP_NUM_THREADS": "1"}, 1, 1),
    ({"OMP_NUM_THREADS": "1,4"}, 1, 1),
    ({"NUMBA_NUM_THREADS": "1"}, 1, 1),
    ({"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "1"}, 2, 1),
    ({"MINIGEN_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}, 1, 1),
    ({"MINIGEN_NUM_THREADS": "2", "OMP_NUM_THREADS": "1"}, 2, 1),
    ({"OPENBLAS_NUM_THREADS": "2"}, CORES, 2),
    ({"OPENBLAS_NUM_THREADS": "2", "MINIGEN_NUM_THREADS": "1"}, 1, 2),
], ids=str)  # fmt: skip
def test_the_environment_says_how_many_threads(settings, kernel_threads, blas_threads):
    found = [int(word) for word in run(COUNT, **settings)[0].split()]
    if len(found) < 2:
        pytest.skip("threadpoolctl knows no matrix library here")
    assert found[:2] == [kernel_threads, blas_threads]


@pytest.mark.parametrize("name", ["MINIGEN_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_number_of_threads_that_makes_no_sense_is_refused(name, value):
    if name == "OMP_NUM_THREADS" and value != "many":
        pytest.skip("OpenMP itself says what it thinks of these")
    assert f"{name}='{value}'" in run(COUNT, fails=True, **{name: value})[1]


def test_the_number_can_be_changed_while_running():
    before = minigen.get_num_threads()
    assert before == kernels.threads.get_num_threads()
    try:
        minigen.set_num_threads(1)
        assert minigen.get_num_threads() == 1
    finally:
        minigen.set_num_threads(before)
    for n in (0, 10_000):
        with pytest.raises(ValueError, match=f"{n} threads; expected 1 to"):
            minigen.set_num_threads(n)
    with pytest.raises(KeyError), threads.num_threads(1):
        raise KeyError
    assert minigen.get_num_threads() == before
    with threads.num_threads(None):
        assert minigen.get_num_threads() == before


@several
def test_without_kernels_the_threads_are_the_matrix_librarys():
    code = """
import sys, numpy as np, minigen as mg
from minigen.kernels.threads import num_threads
before = mg.get_num_threads()
with num_threads(1): inside = mg.get_num_threads()
print(before, inside, mg.get_num_threads(), "numba" in sys.modules)
"""
    assert run(code, MINIGEN_KERNELS="reference")[0] == f"{CORES} 1 {CORES} False"


@several
def test_fit_uses_as_many_threads_as_it_is_told():
    code = """
import minigen as mg
from minigen.train import fit
seen = []
for threads in (1, None):
    for _ in fit(lambda: seen.append(mg.get_num_threads()) or 0.0, 1, state={}, progress=False, threads=threads): pass
print(seen, mg.get_num_threads())
"""
    assert run(code)[0] == f"[1, {CORES}] {CORES}"


# -- at the same time ---------------------------------------------------------------------------------------------

TRAIN = """
import os, sys, threading
import numpy as np
from minigen import nn, optim, ops
from minigen.autograd import Tensor

def train(seed, steps=6):
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, rng=rng), nn.SiLU(), nn.Conv2d(8, 16, 3, stride=2, rng=rng))
    head = nn.Linear(16 * 36, 64, rng=rng)
    optimizer = optim.Adam([*model.parameters(), *head.parameters()], lr=1e-3)
    x = Tensor(rng.normal(size=(32, 1, 14, 14)).astype("f4"))
    for _ in range(steps):
        optimizer.zero_grad()
        y = head(ops.reshape(model(x), shape=(32, -1)))
        loss = ops.mean(y * y)
        loss.backward()
        optimizer.step()
    return b"".join(p.data.tobytes() for p in head.parameters()), float(loss.data)
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_two_python_threads_train_at_once(layer):
    code = TRAIN + """
alone = [train(0), train(1)]
found = [None] * 4
def work(i):
    found[i] = train(i % 2)
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
import numba
print(all(found[i] == alone[i % 2] for i in range(4)), numba.threading_layer())
"""
    assert _or_skip(code, layer)[0] == f"True {layer}"


def _or_skip(code, layer):
    if layer == "omp":
        pytest.importorskip("numba.np.ufunc.omppool")
    return run(code, NUMBA_THREADING_LAYER=layer)


def test_the_first_kernel_may_be_called_by_several_threads_at_once():
    code = TRAIN + """
found = []
threads = [threading.Thread(target=lambda: found.append(train(0))) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(len(found), len(set(found)))
"""
    for layer in ("omp", "workqueue"):
        assert _or_skip(code, layer)[0] == "4 1"


def test_kernels_run_in_other_threads_and_under_asyncio():
    """As in Jupyter: the caller is not the main thread, and comes and goes."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 150)).astype("f4"), rng.normal(size=(150, 300)).astype("f4")
    expected = product.matrix_product(a, b)
    import asyncio

    async def many():
        loop = asyncio.get_running_loop()
        here = product.matrix_product(a, b)
        there = await asyncio.gather(*[loop.run_in_executor(None, product.matrix_product, a, b) for _ in range(6)])
        return [here, *there]

    results = []
    thread = threading.Thread(target=lambda: results.extend(asyncio.run(many())))
    thread.start()
    thread.join()
    assert len(results) == 7 and all(np.array_equal(r, expected) for r in results)


# -- forks --------------------------------------------------------------------------------------------------------

FORK = TRAIN + """
def in_a_child(work):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        text = stream.read().decode()
    status = os.waitpid(child, 0)[1]
    return text if status == 0 else f"status {status}"
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@forks
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_forked_child_computes_after_its_parent_used_the_pool(layer):
    code = FORK + """
from minigen import get_num_threads
here = train(0)
print(in_a_child(lambda: train(0)) == repr(here), in_a_child(get_num_threads), train(0) == here)
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(train, [0, 1]) == [train(0), train(1)])
"""
    assert _or_skip(code, layer)[0].split() == ["True", "1", "True", "True"]


@forks
def test_a_child_that_is_forked_before_the_first_kernel_computes():
    assert run(FORK + "print(in_a_child(lambda: train(0)) == repr(train(0)))")[0] == "True"


@forks
def test_a_child_that_is_forked_while_other_threads_compute_and_compile(tmp_path):
    """An empty cache, so that other threads hold the locks of the compiler when the forks come."""
    code = FORK + """
import time
from minigen.kernels import elementwise, jit
x = np.linspace(-1, 1, 100_000).astype("f4")
elementwise.exp(x)
def keep_busy():
    for function in (elementwise.tanh, elementwise.sigmoid, elementwise.silu):
        function(x)
        function(x[:10])
thread = threading.Thread(target=keep_busy)
thread.start()
time.sleep(0.1)
good = []
for _ in range(3):
    good.append(in_a_child(lambda: float(elementwise.exp(x)[0])) == repr(float(elementwise.exp(x)[0])))
    time.sleep(0.3)
good.append(in_a_child(lambda: float(elementwise.relu(x)[-1])) == "1.0")  # compiles in the child
thread.join()
print(good)
"""
    assert run(code, cache=tmp_path, timeout=100)[0] == "[True, True, True, True]"


# -- two pools ----------------------------------------------------------------------------------------------------

ALTERNATE = """
import time, statistics, numpy as np
from minigen import kernels
x = np.random.default_rng(0).normal(size=(256, 1024)).astype("f4")
w = np.random.default_rng(1).normal(size=(1024, 512)).astype("f4")
def multiply(): return PRODUCT
def kernel(): return kernels.gelu(x, approximate="none")
def measure(*functions, repeats=25):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for f in functions: f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
kernel(); multiply(); measure(kernel, multiply)
a, b = measure(multiply), measure(kernel)
both = measure(multiply, kernel)
print(both / (a + b))
"""


@several
@pytest.mark.parametrize("product_of", ["x @ w", "kernels.matrix_product(x, w)"])
def test_alternating_a_product_and_a_kernel_costs_no_more_than_both(product_of):
    """At most 1.5 × the sum; when the pools fight it is 15 ×. A busy machine gets more tries."""
    ratios = []
    for attempt in range(6):
        ratios.append(float(run(ALTERNATE.replace("PRODUCT", product_of))[0]))
        if ratios[-1] <= 1.5:
            return
        time.sleep(attempt)
    pytest.fail(f"{product_of}: {ratios}; median {statistics.median(ratios):.2f}")
