"""Exercises of lesson 05, rename, link and identify."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ...overlay import Overlay
from ..practice.exercises import Task
from .states import (
    changed_besides,
    holds_data,
    leads_out,
    missing,
    present,
    text_differs,
    untouched,
)

_MIB = 1 << 20
_OLD, _NEW = "etc/app.conf.new", "etc/app.conf"
_DATA, _WANTED = "opt/data/table", "srv/data/table"
_RELEASE, _CURRENT = "releases/2.0", "current"


def _is_link(path: str) -> Callable[[Overlay], bool]:
    return lambda overlay: (overlay.merged / path).is_symlink()


def _one_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _two_names(overlay: Overlay) -> bool:
    """Are both one file in upper? In a user namespace merged may give them two inode numbers."""
    return _one_file(overlay.upper / _CURRENT, overlay.upper / _RELEASE)


TASKS = [
    Task(
        layers={"base": {_OLD: "port 8080\n", _NEW: "port 80\n", "etc/motd": "base\n"}},
        mistakes=[
            (untouched, f"{_NEW} still says port 80."),
            (missing(_NEW), f"{_NEW} is gone: the new file should have its name."),
            (text_differs(_NEW, "port 8080"), f"{_NEW} does not say what {_OLD} says."),
            (
                present(_OLD),
                f"{_OLD} is still there: a copy is not a rename.",
            ),
            (
                _is_link(_NEW),
                f"{_NEW} is a symbolic link: it should be the file itself.",
            ),
            (changed_besides(_OLD, _NEW), "upper holds more than the two names."),
        ],
        solution=f"mv {_OLD} {_NEW}",
    ),
    Task(
        layers={"base": {_RELEASE: "release 2.0\n", "releases/1.0": "release 1.0\n"}},
        mistakes=[
            (untouched, f"there is no {_CURRENT} yet."),
            (missing(_RELEASE), f"{_RELEASE} is gone: the file should have both names."),
            (missing(_CURRENT), f"something was changed, but there is no {_CURRENT}."),
            (
                _is_link(_CURRENT),
                f"{_CURRENT} is a symbolic link: it has to be a second name of the file itself.",
            ),
            (
                lambda overlay: not _two_names(overlay),
                f"{_CURRENT} and {_RELEASE} are two files: what is written to one is not in the "
                "other.",
            ),
            (changed_besides(_CURRENT, _RELEASE), "upper holds more than the two names."),
        ],
        solution=f"ln {_RELEASE} {_CURRENT}",
    ),
    Task(
        layers={"base": {_DATA: bytes(8 * _MIB), "opt/data/index": "1\n", "srv/": None}},
        mistakes=[
            (untouched, "there is nothing in srv yet."),
            (
                holds_data,
                "upper holds the 8 MiB: to rename or to link a file of a lower layer copies it up.",
            ),
            (
                leads_out("srv/data"),
                "the link has a path that starts with /, and that is this machine's root "
                "directory: write where to go from srv.",
            ),
            (
                lambda overlay: not os.path.exists(overlay.merged / _WANTED),
                f"{_WANTED} cannot be found: where does the way lead that srv/data gives?",
            ),
            (
                lambda overlay: not _one_file(overlay.merged / _WANTED, overlay.merged / _DATA),
                f"{_WANTED} is there, but it is not the table of opt/data.",
            ),
        ],
        solution="ln -s ../opt/data srv/data",
    ),
]
