"""The IDX format, in which MNIST and its relatives are distributed: one array in one file.

Two zero bytes, a type (8 = unsigned byte, the only one met here), the number of axes, the length of each axis
as a big-endian 32-bit number, then the values, last axis fastest. Files usually come gzipped.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from minigen.errors import CorruptError, DataError


def read_idx(path):
    """The uint8 array of an IDX file, gzipped or not (told by its first bytes, not its name).

    Raises:   CorruptError if the header is not that, or if the file is shorter or longer than it promises.
    """
    return parse_idx(unpack(path), path)


def parse_idx(data, path):
    """The array that the unpacked bytes of an IDX file hold; `path` is for the messages.

    Raises:   as `read_idx`
    """
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4:
        raise CorruptError(f"read_idx: {path} starts with {data[:4].hex() or 'nothing'}; expected the magic "
                           f"number of an IDX file of unsigned bytes, 00000801 to 00000804")
    axes = data[3]
    header = 4 + 4 * axes
    if len(data) < header:
        raise CorruptError(f"read_idx: {path} is truncated: {len(data)} bytes, its header alone has {header}")
    shape = struct.unpack(f">{axes}I", data[4:header])
    expected = header + math.prod(shape)
    if len(data) != expected:
        problem = "truncated" if len(data) < expected else "too long"
        raise CorruptError(f"read_idx: {path} is {problem}: shape {shape} needs {expected} bytes, "
                           f"it has {len(data)}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()


def unpack(path):
    """The bytes of a file, unzipped if they are gzip's.

    Raises:   CorruptError if they begin as gzip and do not go on so; DataError if the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"read_idx: cannot read {path} ({error.strerror or error})") from error
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptError(f"read_idx: {path} is truncated or not gzip ({error})") from error
