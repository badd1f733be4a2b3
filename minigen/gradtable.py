"""The table of gradient checks: every operation, loss, layer and distribution, at both orders.

`minigen gradcheck` prints it. For each name: how many inputs were tried, the largest relative error of the first and
of the second derivatives against finite differences, and, where a fused operation takes part, the largest difference
between its kernels and its definition, in values and in gradients. See autograd/gradcheck.py for what is compared, and
minigen/samples for the inputs.
"""

import contextlib
import json
import time
from dataclasses import asdict, dataclass

import numpy as np

from minigen.autograd import OPS, Tensor, enable_grad, grad
from minigen.autograd.gradcheck import gradcheck, gradgradcheck
from minigen.autograd.tensor import constant
from minigen.errors import MinigenError
from minigen.samples import discover, samples

KERNEL_TOLERANCE = 1e-10  # kernel and definition do the same sums in another order


@dataclass
class Row:
    """One line of the table. Errors are relative; kernel is None where nothing is fused."""

    name: str
    kind: str
    inputs: int = 0
    first: float = 0.0
    second: float = 0.0
    kernel: float | None = None
    seconds: float = 0.0
    message: str = ""

    @property
    def passed(self):
        return not self.message


def check(name, kind):
    """The Row of one name."""
    row = Row(name, kind)
    started = time.perf_counter()
    cases = samples(name)
    row.inputs = len(cases)
    if not cases:
        row.message = "has no sample inputs: add some to minigen/samples"
    for number, case in enumerate(cases):
        try:
            with kernels_against_definitions() as differences:
                first = gradcheck(case, case.arrays, parameters=case.parameters)
                second = gradgradcheck(case, case.arrays, parameters=case.parameters)
        except MinigenError as error:
            row.message = f"sample {number}: {error}"
            break
        row.first, row.second = max(row.first, first.error), max(row.second, second.error)
        if differences:
            name, worst = max(differences.items(), key=lambda item: item[1])
            row.kernel = max(row.kernel or 0.0, worst)
            if worst > KERNEL_TOLERANCE:
                row.message = f"sample {number}: kernel and definition of `{name}` differ by {worst:.1e}"
                break
    row.seconds = time.perf_counter() - started
    return row


@contextlib.contextmanager
def kernels_against_definitions():
    """Inside, every call of a fused operation's kernels is held against its definition.

    Yields a dict {operation: largest relative difference so far}, over values and gradients.
    """
    differences = {}
    before = {op: (op.forward, op.backward) for op in OPS.values() if op.definition is not None}
    for op in before:
        op.forward, op.backward = _watched(op, differences)
    try:
        yield differences
    finally:
        for op, (forward, backward) in before.items():
            op.forward, op.backward = forward, backward


def _watched(op, differences):
    """The two kernels of an operation, with a comparison after each call."""
    forward, backward = op.forward, op.backward

    def note(kernel, definition):
        size = np.abs(definition).max(initial=0.0) + 1e-3
        difference = np.abs(kernel - definition).max(initial=0.0) / size
        differences[op.name] = max(differences.get(op.name, 0.0), float(difference))

    def watched_forward(*inputs, **settings):
        y, extras = forward(*inputs, **settings)
        expected = op.definition(*map(_constant, inputs), **settings)
        note(y, expected._data)
        return y, extras

    def watched_backward(g, *rest, **settings):
        inputs = [Tensor(x, requires_grad=True) if _is_float(x) else x for x in rest[: len(op.inputs)]]
        gradients = backward(g, *rest, **settings)
        varied = [x for x in inputs if isinstance(x, Tensor)]
        with enable_grad():
            expected = iter(grad(op.definition(*inputs, **settings), varied, g, allow_unused=True))
        for x, found in zip(inputs, gradients, strict=True):
            if isinstance(x, Tensor):
                wanted = next(expected)
                if found is not None:
                    note(_summed(found, x.shape), np.zeros(x.shape) if wanted is None else wanted._data)
        return gradients

    return watched_forward, watched_backward


def _constant(x):
    return constant(x) if isinstance(x, np.ndarray) else x


def _is_float(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _summed(x, shape):
    from minigen.autograd import sum_to

    return x if x.shape == shape else sum_to(x, shape)


# -- the whole table ------------------------------------------------------------------------------------------


def run(names=(), progress=None):
    """Check the given names (all, if there are none) and return the Rows.

    names:    exact names, or kinds ("layer", "loss").
    progress: called with each Row as it is done.
    Raises:   KeyError with the unknown name.
    """
    found = discover()
    unknown = [name for name in names if name not in found and name not in found.values()]
    if unknown:
        raise KeyError(f"gradcheck: nothing is called {', '.join(unknown)}; try one of: {', '.join(sorted(found))}")
    rows = []
    for name, kind in found.items():
        if not names or name in names or kind in names:
            rows.append(check(name, kind))
            if progress is not None:
                progress(rows[-1])
    return rows


HEAD = f"{'name':<36} {'kind':<12} {'inputs':>6}  {'1st order':>9}  {'2nd order':>9}  {'kernel':>9}"


def line(row):
    """One Row as a line of text."""
    kernel = "" if row.kernel is None else f"{row.kernel:.1e}"
    text = f"{row.name:<36} {row.kind:<12} {row.inputs:>6}  {row.first:>9.1e}  {row.second:>9.1e}  {kernel:>9}"
    return f"{text}  ok" if row.passed else f"{text}  WRONG\n  " + row.message.replace("\n", "\n  ")


def summary(rows):
    """One line: how many passed, and the largest errors."""
    wrong = [row.name for row in rows if not row.passed]
    kernels = [row.kernel for row in rows if row.kernel is not None]
    result = f"all {len(rows)} pass" if not wrong else f"{len(wrong)} of {len(rows)} are WRONG: {', '.join(wrong)}"
    largest = f"largest errors: first order {max(r.first for r in rows):.1e}, second {max(r.second for r in rows):.1e}"
    kernel = f", kernel against definition {max(kernels):.1e}" if kernels else ""
    inputs, seconds = sum(r.inputs for r in rows), sum(r.seconds for r in rows)
    return f"{result} on {inputs} inputs in {seconds:.0f} s; {largest}{kernel}"


def to_json(rows):
    """The table as a dict of plain values."""
    return {
        "passed": all(row.passed for row in rows),
        "rows": [asdict(row) | {"passed": row.passed} for row in rows],
        "summary": summary(rows),
    }


def main(names=(), as_json=False):
    """`minigen gradcheck [--json] [NAME …]`: print the table; returns the exit code, 0 if every row passes."""
    try:
        if not as_json:
            print(HEAD)
        rows = run(names, progress=None if as_json else lambda row: print(line(row), flush=True))
    except KeyError as error:
        print(error.args[0])
        return 2
    print(json.dumps(to_json(rows), indent=1) if as_json else summary(rows))
    return 0 if all(row.passed for row in rows) else 1
