"""Where minigen keeps files that it made or downloaded, and how it writes them so that none is ever half
there.

The folder is, in this order: MINIGEN_CACHE if set; minigen/ under XDG_CACHE_HOME if set; otherwise the
platform's own place (~/.cache on Linux, ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows). Deleting it is
always safe.
"""

import contextlib
import hashlib
import os
import secrets
import sys
from pathlib import Path


def cache_dir():
    """The cache folder as a Path; it is not created here, so it may not exist yet."""
    if os.environ.get("MINIGEN_CACHE"):
        return Path(os.environ["MINIGEN_CACHE"]).expanduser()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]).expanduser() / "minigen"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "minigen" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minigen"
    return Path.home() / ".cache" / "minigen"


@contextlib.contextmanager
def atomic_write(path):
    """A binary stream whose bytes appear under `path` all at once, on leaving the block, or not at all.

    The bytes go to a temporary file in the same folder, which then takes the name: a reader sees the old file
    or the new one, and two writers leave one whole file. The folder is created if needed.

    Raises:   OSError if the folder cannot be made or written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile.mkstemp, whose files only their owner may read: a cache folder may be shared.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def sha256(data):
    """SHA-256 of bytes, or of the file at a path, as 64 hexadecimal digits."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return hashlib.sha256(data).hexdigest()
    digest = hashlib.sha256()
    with open(data, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
