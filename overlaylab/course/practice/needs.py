"""What a cell can need that not every machine has: ``%%needs root`` leaves it out elsewhere."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from IPython import get_ipython

from ...backends.probe import choose
from ...errors import OverlaylabError
from ...jupyter.cells import Shown
from ...linux import users


def _mount() -> bool:
    return choose().backend.name == "kernel"


def _fence() -> bool:
    return _mount() or bool({"mounts", "Landlock"} & {*choose().backend.fences()})


def _root() -> bool:
    return _mount() and os.geteuid() == 0 and not users.in_user_namespace()


def _disk() -> bool:
    return _root() and bool(shutil.which("mkfs.xfs")) and os.path.exists("/dev/loop-control")


def _erofs() -> bool:
    there = shutil.which("mkfs.erofs") and os.path.exists("/dev/loop-control")
    return _root() and bool(there) and knows_erofs()


def knows_erofs() -> bool:
    """Has this kernel erofs, built in, loaded, or as a module that a mount would load?"""
    module = Path("/lib/modules", platform.release(), "kernel/fs/erofs")
    return "\terofs\n" in Path("/proc/filesystems").read_text() or module.is_dir()


def _newer(major: int, minor: int) -> Callable[[], bool]:
    def is_there() -> bool:
        found = re.match(r"(\d+)\.(\d+)", platform.release())
        return found is not None and (int(found[1]), int(found[2])) >= (major, minor)

    return is_there


#: What is needed → in words, and whether this machine has it.
NEEDS: Mapping[str, tuple[str, Callable[[], bool]]] = {
    "mount": ("a real mount", _mount),
    "fence": ("a fence for its scripts, which Linux has since 5.13", _fence),
    "root": ("a real mount by the machine's root", _root),
    "disk": ("a disk of its own, mounted by the machine's root", _disk),
    "erofs": ("an erofs filesystem (mkfs.erofs), mounted by the machine's root", _erofs),
    "linux-6.5": ("Linux 6.5", _newer(6, 5)),
    "linux-6.8": ("Linux 6.8", _newer(6, 8)),
}


def missing(needs: str) -> str:
    """What of it this machine lacks, in words; ``""`` if nothing.

    Args:
        needs: words of :data:`NEEDS`, with blanks between them.

    Raises:
        OverlaylabError: there is no such word.
    """
    unknown = [one for one in needs.split() if one not in NEEDS]
    if unknown:
        raise OverlaylabError(f"A cell cannot need {unknown[0]!r}: it can need {', '.join(NEEDS)}.")
    found = (NEEDS[one] for one in needs.split())
    return " and ".join(words for words, is_there in found if not is_there())


class LeftOut:
    """What is shown of a cell that was left out."""

    def __init__(self, lacking: str) -> None:
        self._words = f"This machine cannot run this cell: it needs {lacking}."

    def __repr__(self) -> str:
        return self._words


def run_if_possible(line: str, cell: str) -> LeftOut | None:
    """Run a cell where it can run: ``%%needs mount``.

    Args:
        line: what it needs; see :func:`missing`.
        cell: what is run.

    Raises:
        OverlaylabError: it cannot need that.
        Shown: the cell failed; its error is on the page.
    """
    lacking = missing(line)
    if lacking:
        return LeftOut(lacking)
    shell: Any = get_ipython()
    if not shell.run_cell(cell, store_history=False).success:
        raise Shown
    return None
