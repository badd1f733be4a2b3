"""Two backends under one name: every compiled kernel has a definition, and either can be chosen."""

import importlib
import inspect
from pathlib import Path

import pytest
from programs import run

from minigen import kernels
from minigen.kernels import COMPILED, reference, warmup

NAMES = warmup.names()

# Parts of the definitions that no kernel computes: sizes and words that both sides use, and the im2col of the readers.
PLAIN = {"out_size", "windows_of", "im2col", "col2im", "heads_of", "join_heads", "random_words", "lowest_kept"}


def public_definitions():
    """name → function, for all functions that reference/ defines."""
    return {
        name: thing for name, thing in vars(reference).items()
        if inspect.isfunction(thing) and not name.startswith("_") and thing.__module__.startswith(reference.__name__)
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_and_its_definition_have_the_same_signature(name):
    definition = public_definitions()[name]
    expected, found = inspect.signature(definition), inspect.signature(kernels.compiled(name))
    # A kernel may take more by keyword (`out=`), for other kernels.
    shared = [p for p in found.parameters.values() if p.name in expected.parameters or p.kind is not p.KEYWORD_ONLY]
    assert [(p.name, p.kind, p.default) for p in expected.parameters.values()] == [
        (p.name, p.kind, p.default) for p in shared
    ]
    assert all(p.default is not p.empty for p in found.parameters.values() if p not in shared)
    assert inspect.getdoc(definition)


def test_every_definition_has_a_kernel_or_is_known_to_have_none():
    assert set(public_definitions()) - set(NAMES) == PLAIN
    assert all(getattr(kernels, name) is getattr(reference, name) for name in PLAIN)


def test_no_kernel_is_named_twice_or_like_a_module():
    """`import minigen.kernels.x` would put the module in the place of the function x."""
    assert len(NAMES) == len(set(NAMES))
    modules = {path.stem for path in Path(kernels.__file__).parent.iterdir()}
    assert not modules & set(public_definitions()) and set(COMPILED) < modules


def test_the_listed_files_define_what_they_are_listed_for():
    for module, names in COMPILED.items():
        loaded = importlib.import_module(f"minigen.kernels.{module}")
        assert all(getattr(loaded, name).__module__ == loaded.__name__ for name in names)


# -- start-up and choice ------------------------------------------------------------------------------------------


def test_importing_is_quick_and_leaves_numba_alone():
    # Seconds of the processor: on a busy machine the clock would count other people's work.
    code = ("import sys, time\nstart = time.process_time()\nimport minigen\n"
            "print(time.process_time() - start, 'numba' in sys.modules)")  # fmt: skip
    times = []
    for _ in range(5):
        seconds, numba = run(code)[0].split()
        assert numba == "False"
        times.append(float(seconds))
        if min(times) <= 0.5:
            return
    pytest.fail(f"import minigen took {times}")


TRAIN = """
import sys, numpy as np
from minigen import kernels, nn, ops, optim
from minigen.autograd import Tensor
model = nn.Linear(64, 64, rng=np.random.default_rng(0))
optimizer = optim.Adam(model.parameters())
x = Tensor(np.random.default_rng(1).normal(size=(64, 64)).astype("f4"))
for _ in range(3):
    optimizer.zero_grad()
    loss = ops.mean(ops.gelu(model(x)))
    loss.backward()
    optimizer.step()
print(kernels.BACKEND, "numba" in sys.modules, round(float(loss.data), 4))
"""


def test_each_backend_trains_and_only_the_compiled_ones_import_numba():
    found = {name: run(TRAIN, MINIGEN_KERNELS=name)[0].split() for name in ("auto", "compiled", "reference")}
    assert [found[name][:2] for name in found] == [["auto", "True"], ["compiled", "True"], ["reference", "False"]]
    assert len({result[2] for result in found.values()}) == 1


def test_an_unknown_backend_is_refused():
    assert "MINIGEN_KERNELS='fast'; expected auto, compiled or reference" in run(
        "import minigen", fails=True, MINIGEN_KERNELS="fast"
    )[1]  # fmt: skip
