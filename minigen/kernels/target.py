"""What the processor offers: the length of its vectors and the tile of results that fits into its registers.

A core multiplies whole vectors: 16 float32 with AVX-512, 8 with AVX2, 4 with SSE2 or ARM's NEON. It has 32 vector
registers (AVX-512, NEON) or 16. The inner loop of a matrix product (tile.py) keeps a block of results in them, `rows`
rows of `vectors` vectors each, and needs a few more for what it multiplies:

    rows · vectors results + vectors of B + 1 of A  ≤  registers

A block of r × c results reads r + c numbers for r · c multiplications, so it should be as large and as square as fits.

Numba compiles for the host, or for what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES allow; this file reads the same settings.
"""

import platform
from dataclasses import dataclass

from llvmlite import binding
from numba import config
from numba.core.codegen import get_host_cpu_features


@dataclass(frozen=True)
class Target:
    """name, bytes per vector register, and the tile: rows × vectors of results that are kept in registers.

    sum_rows: the rows of the tile for the gradient of a convolution's weights (tile.py).
    """

    name: str
    vector_bytes: int
    rows: int
    vectors: int
    sum_rows: int

    def lanes(self, itemsize):
        """Numbers per vector."""
        return self.vector_bytes // itemsize


AVX512 = Target("AVX-512", 64, 14, 2, 11)  # 28 + 2 of 32 registers; A is read by the multiplication itself
AVX2 = Target("AVX2", 32, 6, 2, 6)  # 12 + 2 + 1 of 16
SSE2 = Target("SSE2", 16, 6, 2, 6)  # the same with shorter vectors, and no fused multiply-add
NEON = Target("NEON", 16, 8, 2, 8)  # 16 + 2 + 1 of 32; any 64-bit ARM


def find():
    """The Target that Numba compiles for."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return NEON
    features = _features()
    if features.get("avx512f") and features.get("avx512vl"):
        return AVX512
    return AVX2 if features.get("avx2") and features.get("fma") else SSE2


def _features():
    """{feature: allowed} for the compiler."""
    listed = machine()[1].split(",")
    return {name.strip()[1:]: name.strip()[0] == "+" for name in listed if name.strip()}


def machine():
    """The processor and its features, "+avx,-avx2,…", that Numba compiles for: what the user allows, or the host's."""
    name = binding.get_host_cpu_name() if config.CPU_NAME is None else config.CPU_NAME
    return name, get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES


TARGET = find()
