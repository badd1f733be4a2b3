"""The tile product against its plain definition, with operands anywhere and everything else in memory watched."""

import numba
import numpy as np
import pytest

from minigen.kernels.tile import LANES, ROWS, SUM_ROWS, VECTORS, columns, define_tile, sum_tile, tile


@numba.njit
def _run_tile(memory, a, a_rows, a_segments, a_step, b, b_step, start, start_rows, c, c_rows, segments, depth):
    base = memory.ctypes.data
    tile(
        memory, base + a, a_rows.ctypes.data, a_segments.ctypes.data, a_step, base + b, b_step, base + start,
        start_rows.ctypes.data, base + c, c_rows.ctypes.data, segments, depth,
    )  # fmt: skip
    return a_rows[0] + a_segments[0] + start_rows[0] + c_rows[0]  # keeps the tables alive


@numba.njit
def _run_sum_tile(memory, a, a_rows, a_segments, a_step, b, b_segments, b_step, start, start_rows, c, c_rows,
                  segments, depth):  # fmt: skip
    base = memory.ctypes.data
    sum_tile(
        memory, base + a, a_rows.ctypes.data, a_segments.ctypes.data, a_step, base + b, b_segments.ctypes.data, b_step,
        base + start, start_rows.ctypes.data, base + c, c_rows.ctypes.data, segments, depth,
    )  # fmt: skip
    return a_rows[0] + a_segments[0] + b_segments[0] + start_rows[0] + c_rows[0]


class Case:
    """Random operands in one stretch of memory: [room for A | B | start | C], positions in numbers."""

    def __init__(self, rng, dtype, rows, depth=None):
        self.rng, self.dtype, self.size = rng, np.dtype(dtype), np.dtype(dtype).itemsize
        width = self.width = columns(dtype)
        self.segments = int(rng.choice([1, 1, 2, 3, 5, 7]))
        self.depth = depth or int(rng.choice([1, 2, 3, 5, 13, 64, 67]))
        self.a_step, self.b_step = int(rng.integers(1, 5)), width + int(rng.choice([0, 1, 3, width]))
        in_a = 400
        self.a_rows, self.a_segments = rng.integers(0, in_a, rows), rng.integers(0, in_a, self.segments)
        a_end = 2 * in_a + self.depth * self.a_step
        self.b = a_end + int(rng.integers(0, 4))
        b_end = self.b + self.segments * self.depth * self.b_step + width
        self.start = b_end + int(rng.integers(0, 4))
        self.start_rows = rng.integers(0, 50, rows)
        self.c = self.start + 50 + width + int(rng.integers(0, 4))
        apart = rng.permutation(rows) * (width + int(rng.integers(0, 3)))  # rows of C in any order, but apart
        self.c_rows = apart + 3
        self.memory = rng.normal(size=self.c + int(apart.max()) + width + 20).astype(dtype)

    def bytes(self, table):
        """A table of positions as bytes."""
        return np.asarray(table, np.int64) * self.size

    def run(self):
        """The compiled tile."""
        memory, n = self.memory.copy(), self.size
        _run_tile(
            memory, 0, self.bytes(self.a_rows), self.bytes(self.a_segments), self.a_step * n, self.b * n,
            self.b_step * n, self.start * n, self.bytes(self.start_rows), self.c * n, self.bytes(self.c_rows),
            self.segments, self.depth,
        )  # fmt: skip
        return memory

    def run_scattered(self, b_segments):
        """The compiled sum_tile with a B in segments."""
        memory, n = self.memory.copy(), self.size
        _run_sum_tile(
            memory, 0, self.bytes(self.a_rows), self.bytes(self.a_segments), self.a_step * n, self.b * n,
            self.bytes(b_segments), self.b_step * n, self.start * n, self.bytes(self.start_rows), self.c * n,
            self.bytes(self.c_rows), self.segments, self.depth,
        )  # fmt: skip
        return memory

    def define(self):
        """The definition, in float64 for float32."""
        memory = self.memory.astype(np.float64)
        define_tile(
            memory, 0, self.a_rows, self.a_segments, self.a_step, self.b, self.b_step, self.start, self.start_rows,
            self.c, self.c_rows, self.segments, self.depth, self.width,
        )  # fmt: skip
        return memory

    def written(self):
        """Which places belong to C."""
        places = np.zeros(self.memory.size, bool)
        for row in self.c_rows:
            places[self.c + row : self.c + row + self.width] = True
        return places

    def check(self, memory, expected):
        """All of C is right, and no bit elsewhere has changed."""
        written = self.written()
        assert memory[~written].tobytes() == self.memory[~written].tobytes()
        terms = self.segments * self.depth
        close = dict(rtol=1e-5, atol=2e-6 * terms**0.5) if self.size == 4 else dict(rtol=1e-12, atol=1e-13 * terms)
        np.testing.assert_allclose(memory[written], expected[written], **close)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_tile_is_its_definition_and_writes_nothing_else(dtype):
    rng = np.random.default_rng(0)
    for _ in range(400):
        case = Case(rng, dtype, ROWS)
        case.check(case.run(), case.define())


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_tile_with_b_in_segments_is_the_same_sum(dtype):
    rng = np.random.default_rng(1)
    for _ in range(400):
        case = Case(rng, dtype, SUM_ROWS)
        order = rng.permutation(case.segments)
        b_segments = order * case.depth * case.b_step
        expected = case.memory.astype(np.float64)
        for i in range(SUM_ROWS):
            total = expected[case.start + case.start_rows[i] :][: case.width].copy()
            for s in range(case.segments):
                at = case.a_rows[i] + case.a_segments[s] + np.arange(case.depth) * case.a_step
                for k in range(case.depth):
                    row = case.b + b_segments[s] + k * case.b_step
                    total += case.memory.astype(np.float64)[at[k]] * case.memory[row : row + case.width]
            expected[case.c + case.c_rows[i] :][: case.width] = total
        case.check(case.run_scattered(b_segments), expected)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_tile_goes_on_from_what_c_holds(dtype):
    rng = np.random.default_rng(2)
    case = Case(rng, dtype, ROWS)
    case.start, case.start_rows = case.c, case.c_rows
    once = case.run()
    twice = Case.run(_with_memory(case, once))
    written = case.written()
    products = case.define()[written] - case.memory[written]
    np.testing.assert_allclose(twice[written], case.memory[written] + 2 * products, rtol=1e-4, atol=1e-4)


def _with_memory(case, memory):
    case = _copy(case)
    case.memory = memory
    return case


def _copy(case):
    other = object.__new__(Case)
    other.__dict__.update(case.__dict__)
    return other


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_nan_in_one_row_stays_in_that_row_and_one_in_a_column_in_that_column(dtype):
    rng = np.random.default_rng(3)
    case = Case(rng, dtype, ROWS, depth=5)
    case.a_rows = np.arange(ROWS) * 20
    case.a_segments, case.a_step = np.zeros(case.segments, np.int64), 1
    for spoilt in (np.nan, np.inf, -np.inf):
        memory = case.memory.copy()
        memory[case.a_rows[2] + 3] = spoilt  # A in row 2
        result = _with_memory(case, memory).run()
        for i in range(ROWS):
            row = result[case.c + case.c_rows[i] :][: case.width]
            assert not np.isfinite(row).any() if i == 2 else np.isfinite(row).all()
        memory = case.memory.copy()
        memory[case.b + 2 * case.b_step + 7] = spoilt  # B in column 7
        result = _with_memory(case, memory).run()
        for i in range(ROWS):
            row = result[case.c + case.c_rows[i] :][: case.width]
            assert not np.isfinite(row[7]) and np.isfinite(np.delete(row, 7)).all()


def test_denormals_are_kept():
    rng = np.random.default_rng(4)
    for dtype in ("f4", "f8"):
        case = Case(rng, dtype, ROWS)
        case.memory[: case.c] = np.finfo(dtype).smallest_subnormal * rng.integers(1, 9, case.c)
        case.memory[case.b : case.start] = 1
        result = case.run()
        terms = [
            case.memory[case.start + case.start_rows[i]].astype(np.float64)
            + sum(
                float(case.memory[case.a_rows[i] + s + k * case.a_step])
                for s in case.a_segments
                for k in range(case.depth)
            )
            for i in range(ROWS)
        ]
        found = [result[case.c + case.c_rows[i]] for i in range(ROWS)]
        assert 0 < max(found) < np.finfo(dtype).tiny
        np.testing.assert_array_equal(found, np.array(terms).astype(dtype))  # sums of whole units: no rounding


def test_the_tile_fits_the_registers():
    from minigen.kernels.target import TARGET

    registers = 32 if TARGET.name in ("AVX-512", "NEON") else 16
    # AVX-512 multiplies by a number in memory; the others need a register to spread it in.
    spread = 0 if TARGET.name == "AVX-512" else 1
    for rows in (ROWS, SUM_ROWS):
        assert rows * VECTORS + VECTORS + spread <= registers
    assert LANES[4] * 4 == LANES[8] * 8 == TARGET.vector_bytes
