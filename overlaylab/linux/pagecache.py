"""What the kernel keeps of a file in memory."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path


def resident(path: Path) -> tuple[int, int]:
    """How many bytes of the file `path` are in memory, by whole pages, and how many it has.

    Raises:
        OSError: it cannot be read.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
    )
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return 0, 0
        # Python's own mmap does not tell where a mapping is that may only be read.
        place = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if place == ctypes.c_void_p(-1).value:
            raise _error()
        try:
            states = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            if libc.mincore(place, size, states) < 0:
                raise _error()
        finally:
            libc.munmap(place, size)
    return min(sum(state & 1 for state in states) * mmap.PAGESIZE, size), size


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def evict(path: Path) -> None:
    """Ask the kernel to drop the file `path` from memory; see posix_fadvise(2).

    What was not written to disk is written first. Pages that somebody has mapped stay, and so
    does all that is on a tmpfs.

    Raises:
        OSError: it cannot be read, or not be written to disk.
    """
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        for _ in range(3):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if not resident(path)[0]:
                break
