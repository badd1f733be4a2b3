"""Large arrays are used again, from step to step, without anybody noticing.

A training step makes the same large arrays as the step before, and frees them. The C library gives an array of more
than some hundred kB back to the operating system when it is freed, and asks for new pages the next time. Every new page
must be cleared and entered into the page tables when it is first touched. Six fresh arrays of 13 MB cost 11 ms per
step; the same six, kept, 4 ms.

glibc has two switches for this. With both set, freed memory stays with the process and the next array of that size lies
where the last one did. They hold for the whole process, so they are set only when the first kernel is loaded, and
MINIGEN_KEEP_MEMORY=0 leaves them alone. Elsewhere (macOS, Windows, musl) nothing is done, because nothing is known to
help there.
"""

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the names of the switches in malloc.h
LARGEST = 32 * 1024 * 1024  # bytes: glibc accepts no more for the second
KEPT = 1 << 30


def keep():
    """Ask the C library to keep freed memory. Returns True if it does."""
    if os.environ.get("MINIGEN_KEEP_MEMORY", "1") == "0" or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_MMAP_THRESHOLD, LARGEST) and library.mallopt(_TRIM_THRESHOLD, KEPT))
