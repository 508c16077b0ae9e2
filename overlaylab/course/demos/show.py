"""Small helpers with which a cell asks or shows one thing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping

from ...errors import MountRefused, OverlaylabError
from ...linux import xattrs
from ...overlay import Overlay
from ...text import Table


def refusal(action: Callable[[], object]) -> str:
    """Try `action`, and say how it was refused.

    Args:
        action: what to try.

    Returns:
        The errno's name and meaning, such as ``"EROFS: Read-only file system"``, or the
        sentence where overlaylab itself refused; ``"not refused"`` if it worked.
    """
    try:
        action()
    except (OSError, MountRefused) as error:
        number = error.errno or 0
        return f"{errno.errorcode[number]}: {os.strerror(number)}"
    except OverlaylabError as error:
        return str(error)
    return "not refused"


def identity(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> Table:
    """Compare the two numbers by which programs tell whether two names are one file.

    Args:
        one, other: paths.
    """
    first, second = os.lstat(one), os.lstat(other)
    facts = {
        "same device (st_dev)": first.st_dev == second.st_dev,
        "same inode (st_ino)": first.st_ino == second.st_ino,
    }
    return yes_or_no(facts)


def devices(overlay: Overlay, *paths: str) -> Table:
    """Which device merged and `paths` in it report, with a letter for each device.

    Args:
        overlay: a mounted one.
        paths: relative to merged.
    """
    letters: dict[int, str] = {}
    rows = []
    for path in ("", *paths):
        device = os.lstat(overlay.merged / path).st_dev
        letter = letters.setdefault(device, chr(ord("A") + len(letters)))
        rows.append((path or "merged", letter))
    return Table(rows)


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
    return yes_or_no(facts)


def yes_or_no(facts: Mapping[str, bool]) -> Table:
    """Say of each statement whether it is true.

    Args:
        facts: statement → is it true.
    """
    return Table([(name, "yes" if fact else "no") for name, fact in facts.items()])
