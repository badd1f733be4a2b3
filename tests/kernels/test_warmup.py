"""`minigen warmup` compiles everything that training needs."""

import pytest
from programs import run

WARM = """
import sys
from minigen.cli import main
from minigen.kernels import jit
assert main(["warmup", *FLAGS]) == 0
dtypes = {"float32", "float64"} if FLAGS else {"float32"}
for name, kernel in jit.KERNELS.items():
    forms = [form for form in (kernel._parallel, kernel._serial) if form is not None]
    compiled = [str(signature) for form in forms for signature in form.nopython_signatures]
    if not compiled:
        print("missing", name)
    # Winograd's convolutions exist for float32 alone.
    # A kernel of whole numbers only, such as a sort of indices, has one form whatever the type of the others.
    single = kernel.function.__module__.endswith("winograd")
    for dtype in {"float32"} if single else dtypes if any("float" in signature for signature in compiled) else ():
        if not any(dtype in signature for signature in compiled):
            print("missing", name, dtype)
    for form in forms:
        if len(form.nopython_signatures) > len(dtypes):
            print("several", name, form.nopython_signatures)
print(len(jit.KERNELS), all(entry[3] for entry in jit.HISTORY))
"""


@pytest.mark.timeout(600)
def test_every_kernel_is_compiled_and_the_second_time_all_come_from_the_cache():
    out, _ = run(WARM.replace("FLAGS", "[]"), timeout=600)
    assert "missing" not in out and "several" not in out
    assert int(out.splitlines()[-1].split()[0]) > 40
    out, _ = run(WARM.replace("FLAGS", "[]"), timeout=600)
    assert ": 0 compiled, " in out and out.endswith("True")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_all_the_float64_forms_too():
    out, _ = run(WARM.replace("FLAGS", "['--all']"), timeout=900)
    assert "missing" not in out and "several" not in out


def test_without_kernels_there_is_nothing_to_compile():
    code = "from minigen.cli import main\nraise SystemExit(main(['warmup']))"
    assert "nothing is compiled" in run(code, fails=True, MINIGEN_KERNELS="reference")[1]
