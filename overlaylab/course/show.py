"""Small helpers with which a cell asks or shows one thing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from ..errors import MountRefused
from ..linux import xattrs
from ..text import Table


def refusal(action: Callable[[], object]) -> str:
    """Try `action`, and say how the kernel refused it.

    Args:
        action: what to try.

    Returns:
        The errno's name and meaning, such as ``"EROFS: Read-only file system"``;
        ``"not refused"`` if it worked.
    """
    try:
        action()
    except (OSError, MountRefused) as error:
        number = error.errno or 0
        return f"{errno.errorcode[number]}: {os.strerror(number)}"
    return "not refused"


def same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> Table:
    """Compare the attributes of two files: mode, owner, time of change, xattrs, data.

    Args:
        one, other: their paths.
    """
    first, second = os.lstat(one), os.lstat(other)
    attributes = [xattrs.of_user(os.fspath(path)) for path in (one, other)]
    facts = {
        "same mode": first.st_mode == second.st_mode,
        "same owner": (first.st_uid, first.st_gid) == (second.st_uid, second.st_gid),
        "same mtime": first.st_mtime_ns == second.st_mtime_ns,
        "same xattrs": attributes[0] == attributes[1],
        "same size": first.st_size == second.st_size,
    }
    return Table([(name, "yes" if fact else "no") for name, fact in facts.items()])
