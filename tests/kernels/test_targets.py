"""Other processors: kernels compiled for fewer features than the host has must come to the same results.

Numba is told what it may use; one process for each, with a cache of its own name (the fingerprint covers the features).
"""

import platform

import pytest
from programs import run

X86 = platform.machine().lower() in ("x86_64", "amd64")
pytestmark = pytest.mark.skipif(not X86, reason="features are narrowed for x86 only; elsewhere the host's are tested")

# name → (processor, features that it has); None: the host with everything.
BASE = "+sse,+sse2,+cx8,+cmov,+fxsr,+mmx"
TO_AVX2 = f"{BASE},+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe,+xsave"
TARGETS = {
    "AVX-512": {},
    "AVX2": {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": TO_AVX2},
    "SSE2": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": BASE},
    "SSE2 (generic)": {"NUMBA_CPU_NAME": "generic"},
    "SSE2 (no AVX)": {"NUMBA_ENABLE_AVX": "0"},
}

CHOICE = """
from minigen.kernels import target
print(target.TARGET.name, target.TARGET.vector_bytes, sep="|")
"""

# A product, two layers with their gradients, softmax.
KERNELS = """
import numpy as np
from minigen.kernels import convolutions, product, reference, rows
rng = np.random.default_rng(0)
product.SMALLEST = 0
for m, k, n in ((1, 1, 1), (29, 400, 67), (64, 33, 64)):
    a, b = rng.normal(size=(m, k)).astype("f4"), rng.normal(size=(k, n)).astype("f4")
    np.testing.assert_allclose(product.matrix_product(a, b), a.astype("f8") @ b, rtol=1e-4, atol=1e-4)
settings = (2, 1), (1, 2), (1, 1), 1
for c, o in ((3, 5), (17, 40)):
    x, w = rng.normal(size=(3, c, 9, 8)).astype("f4"), rng.normal(size=(o, c, 3, 3)).astype("f4")
    y = reference.convolution(x, w, *settings)
    close = dict(rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(convolutions.convolution(x, w, *settings), y, **close)
    for name, args in (("input", (y, w, x.shape)), ("weight", (x, y, w.shape))):
        name = f"convolution_{name}_adjoint"
        found = getattr(convolutions, name)(*args, *settings)
        np.testing.assert_allclose(found, getattr(reference, name)(*args, *settings), **close)
x = rng.normal(size=(7, 33)).astype("f4")
found, exact = rows.softmax(x, -1), reference.softmax(x, -1)
found, exact = (r[0] if isinstance(r, tuple) else r for r in (found, exact))
np.testing.assert_allclose(found, exact, rtol=1e-5)
assert not np.isnan(found).any()
print("right")
"""

# The machine code of one tile, compiled here and now: what comes from the cache cannot be read.
REGISTERS = """
import re, numba, numpy as np
from minigen.kernels.tile import tile

@numba.njit
def one(memory, table):
    at, rows = memory.ctypes.data, table.ctypes.data
    tile(memory, at, rows, rows, 4, at, 4, at, rows, at, rows, 1, 9)

memory = np.zeros(10_000, "f4")
one(memory, np.zeros(64, np.int64))
assembly = " ".join(one.inspect_asm().values())
print({register for register in ("xmm", "ymm", "zmm") if re.search("%" + register + "[0-9]", assembly)},
      "vfmadd" in assembly)
"""


def skip_unless_possible(name):
    from llvmlite import binding

    host = dict(binding.get_host_cpu_features())
    if name == "AVX-512" and not (host.get("avx512f") and host.get("avx512vl")):
        pytest.skip("this processor has no AVX-512")
    if name == "AVX2" and not (host.get("avx2") and host.get("fma")):
        pytest.skip("this processor has no AVX2")


@pytest.mark.parametrize("name", TARGETS)
def test_the_tile_follows_the_features_that_numba_may_use(name):
    skip_unless_possible(name)
    chosen, size = run(CHOICE, **TARGETS[name])[0].split("|")
    assert chosen == name.split(" ")[0] and int(size) == {"AVX-512": 64, "AVX2": 32, "SSE2": 16}[chosen]


# Without "avx…" but with "fma", which Numba leaves to the host, LLVM takes AVX back in; the results are right anyway.
@pytest.mark.parametrize("name", [name for name in TARGETS if name != "SSE2 (no AVX)"])
def test_a_tile_uses_the_registers_of_its_target_and_no_others(name):
    skip_unless_possible(name)
    out, _ = run(REGISTERS, **TARGETS[name])
    name = name.split(" ")[0]
    assert ("'zmm'" in out) == (name == "AVX-512") and ("'ymm'" in out) <= (name != "SSE2")
    assert {"AVX-512": "zmm", "AVX2": "ymm", "SSE2": "xmm"}[name] in out
    assert out.endswith("True") == (name != "SSE2")  # SSE2 has no fused multiply-add


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["AVX-512", "AVX2", "SSE2"])
def test_kernels_come_to_the_same_results_on_every_target(name):
    skip_unless_possible(name)
    assert run(KERNELS, **TARGETS[name])[0] == "right"
