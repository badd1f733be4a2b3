"""What the engine costs per operation, over the NumPy that it calls: microseconds on 4×4 arrays.

    python tests/benchmarks/bench_engine.py

Each line is a chain of 50 steps; the figure is the time of one whole pass divided by the number of operations. "NumPy"
does the same arithmetic, forward and backward, with a list written by hand: what no engine can go below.
"""

import time

import numpy as np
from suite.chain import NUMBERS, STEPS, by_hand

from minigen import ops
from minigen.autograd import Tensor, grad, no_grad

BUDGET = 3.0  # µs per operation, forward and backward, over NumPy's own time


def microseconds(run, operations, repeats=300):
    """Median and fastest tenth of the time per operation."""
    for _ in range(30):
        run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    times.sort()
    return times[repeats // 2] * 1e6 / operations, times[repeats // 10] * 1e6 / operations


def chain(requires_grad=True):
    """y ← y · W + B."""
    w, b = Tensor(NUMBERS, requires_grad=requires_grad), Tensor(NUMBERS, requires_grad=requires_grad)
    y = Tensor(NUMBERS)
    for _ in range(STEPS):
        y = y * w + b
    return y, w, b


def forward_and_backward():
    chain()[0].backward(NUMBERS)


def forward_only():
    chain()


def forward_without_recording():
    with no_grad():
        chain()


def gradient_by_grad():
    y, w, b = chain()
    grad(y, [w, b], NUMBERS)


def gradient_with_a_graph():
    y, w, b = chain()
    grad(y, [w, b], NUMBERS, create_graph=True)


def of_one_input():
    """Alternately tanh and sigmoid."""
    y = Tensor(NUMBERS, requires_grad=True)
    for _ in range(STEPS):
        y = ops.sigmoid(ops.tanh(y))
    y.backward(NUMBERS)


def with_numbers():
    """Alternately times a number and plus a number."""
    y = Tensor(NUMBERS, requires_grad=True)
    for _ in range(STEPS):
        y = y * 0.9 + 0.1
    y.backward(NUMBERS)


def with_settings():
    """Alternately a sum along an axis and a broadcast product."""
    y = Tensor(NUMBERS, requires_grad=True)
    for _ in range(STEPS):
        y = y * ops.sum(y, dim=1, keepdim=True)  # grows until it overflows, at no cost in time
    y.backward(NUMBERS)


def matrix_products():
    """y ← y @ W."""
    w = Tensor(0.25 * NUMBERS, requires_grad=True)
    y = Tensor(NUMBERS)
    for _ in range(2 * STEPS):
        y = y @ w
    y.backward(NUMBERS)


def main():
    """Print the table; returns whether the budget is kept."""
    rows = [
        ("NumPy by hand, forward + backward", by_hand()),
        ("y·W + B, forward + backward", forward_and_backward),
        ("  forward, recording", forward_only),
        ("  forward, no_grad", forward_without_recording),
        ("  gradient by grad()", gradient_by_grad),
        ("  gradient with create_graph", gradient_with_a_graph),
        ("sigmoid(tanh(y)), forward + backward", of_one_input),
        ("y·0.9 + 0.1, forward + backward", with_numbers),
        ("y·Σy along an axis, forward + backward", with_settings),
        ("y @ W, forward + backward", matrix_products),
    ]
    print(f"{'µs per operation on 4×4 float32':<40} {'median':>7} {'best 10 %':>10}")
    figures = {}
    with np.errstate(all="ignore"):
        for name, run in rows:
            figures[name] = microseconds(run, 2 * STEPS)
            print(f"{name:<40} {figures[name][0]:>7.2f} {figures[name][1]:>10.2f}", flush=True)
    total = figures["y·W + B, forward + backward"][0]
    numpy = figures["NumPy by hand, forward + backward"][0]
    kept = total - numpy <= BUDGET
    print(
        f"the engine's own part of y·W + B: {total:.2f} − {numpy:.2f} = {total - numpy:.2f} µs per operation, "
        f"budget {BUDGET:.1f}: {'kept' if kept else 'EXCEEDED'}"
    )
    return kept


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
