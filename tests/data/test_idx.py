import gzip
import struct

import numpy as np
import pytest

from minigen.data.idx import read_idx
from minigen.errors import CorruptError, DataError


def idx_bytes(array):
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("shape", [(7,), (2, 3), (5, 28, 28), (2, 1, 2, 3), (0, 28, 28)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_array_comes_back_packed_or_not(tmp_path, shape, pack):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "file").write_bytes(pack(idx_bytes(array)))
    back = read_idx(tmp_path / "file")
    assert back.dtype == np.uint8 and back.flags.writeable
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("data, message", [
    (b"", "starts with nothing"),
    (b"<html>", "3c68746d"),
    (b"\0\0\x0d\x03" + bytes(100), "00000d03"),
    (b"\0\0\x08\x00", "magic"),
    (b"\0\0\x08\x03\0\0", "truncated: 6 bytes, its header alone has 16"),
    (idx_bytes(np.zeros((2, 3), np.uint8))[:-1], r"truncated: shape \(2, 3\) needs 18 bytes, it has 17"),
    (idx_bytes(np.zeros((2, 3), np.uint8)) + b"x", "too long"),
    (b"\0\0\x08\x04" + b"\xff" * 16, "truncated"),
])
def test_malformed_files_are_named_and_described(tmp_path, data, message):
    for pack in (bytes, gzip.compress):
        (tmp_path / "bad").write_bytes(pack(data))
        with pytest.raises(CorruptError, match=message) as caught:
            read_idx(tmp_path / "bad")
        assert str(tmp_path / "bad") in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "cut to the header", "flip"])
def test_damaged_gzip_is_told_from_damaged_idx(tmp_path, damage):
    array = np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8)
    data = bytearray(gzip.compress(idx_bytes(array)))
    if damage == "flip":
        data[len(data) // 2] ^= 0x55
    (tmp_path / "bad.gz").write_bytes(data[:3] if damage == "cut to the header" else
                                      data[:-100] if damage == "cut" else data)
    with pytest.raises(CorruptError, match="not gzip"):
        read_idx(tmp_path / "bad.gz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_idx(tmp_path / "nowhere")
