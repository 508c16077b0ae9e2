"""Predictions and exercises of lesson 05, rename, link and identify."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ...layer import Layer
from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import (
    changed_besides,
    holds_data,
    kinds,
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


def _file(web: Overlay) -> str:
    large, found = web.upper / "data/large", kinds(web)
    if not large.is_file() or large.stat().st_size < 8 * _MIB:
        return "a"
    return "c" if found.get("data/big") == "whiteout" else "b"


def _twice(web: Overlay) -> str:
    if web.changes().stored >= 16 * _MIB:
        return "a"
    return "b" if "data/large" in kinds(web) else "c"


def _directory(box: Overlay) -> str:
    if (box.merged / "conf").exists():
        return "a"
    return "c" if _has_files(box) else "b"


def _has_files(overlay: Overlay) -> bool:
    return any(entry.kind == "file" for _, entry in Layer(overlay.upper).walk())


def _shell(crate: Overlay) -> str:
    names = {"main.conf", "old.conf", "site.conf"}
    settings, old = crate.merged / "settings", crate.merged / "conf"
    moved = {place.name for place in settings.iterdir()} if settings.is_dir() else set()
    if not moved:
        return "a"
    return "b" if moved == names and not old.exists() else "c"


def _option(quick: Overlay) -> str:
    if _has_files(quick):
        return "a"
    return "c" if kinds(quick).get("conf") == "whiteout" else "b"


def _numbers(web: Overlay, base: Layer) -> str:
    seen, stored = (os.lstat(place / "etc/motd") for place in (web.merged, base.path))
    if seen.st_dev == stored.st_dev:
        return "a" if seen.st_ino == stored.st_ino else "b"
    return "c" if seen.st_ino == stored.st_ino else "d"


def _copy(web: Overlay, base: Layer, before: int) -> str:
    places = (web.merged, web.upper, base.path)
    seen, copy, original = (os.lstat(place / "etc/motd").st_ino for place in places)
    if seen == copy:
        return "b"
    return "a" if seen == before == original else "neither of the two"


def _disks(mixed: Overlay, stick: Layer) -> str:
    def device(path: str) -> int:
        return os.lstat(mixed.merged / path).st_dev

    directories = {device(path) for path in ("", "data", "etc")}
    on_stick, on_base = device("data/stick"), device("data/small")
    if len(directories | {on_stick, on_base}) == 1:
        return "a"
    if on_stick == os.lstat(stick.path / "data/stick").st_dev:
        return "b"
    return "c" if len(directories) == 1 and on_stick != on_base else "some other way"


def _listed(output: str) -> str:
    if "./data/stick" in output:
        return "b"
    return "c" if "./data/small" in output else "a"


def _counted(output: str) -> str:
    total = output.split()[0]
    return {str(8 * _MIB): "a", str(16 * _MIB): "b"}.get(total, total)


OUTCOMES: Mapping[str, Outcome] = {
    "file": _file,
    "twice": _twice,
    "directory": _directory,
    "shell": _shell,
    "option": _option,
    "index": lambda plan: (plan.merged / "tuesday").read_text().strip(),
    "numbers": _numbers,
    "copy": _copy,
    "counted": _counted,
    "disks": _disks,
    "listed": _listed,
}

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
            (
                missing(_CURRENT),
                f"something was changed, but there is no {_CURRENT} beside releases.",
            ),
            (
                _is_link(_CURRENT),
                f"{_CURRENT} is a symbolic link: it has to be a second name of the file itself.",
            ),
            (
                lambda overlay: (overlay.merged / _CURRENT).is_dir(),
                f"{_CURRENT} is a directory: it has to be a second name of the file itself.",
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
                "upper holds the 8 MiB: to rename a file of a lower layer, or to give it a hard "
                "link, copies it up.",
            ),
            (
                leads_out("srv", "srv/data", _WANTED),
                "the link has a path that starts with /, and that is this machine's root "
                "directory: write the way from the directory that the link is in.",
            ),
            (
                lambda overlay: not os.path.exists(overlay.merged / _WANTED),
                f"{_WANTED} cannot be found. If you have made a link: its way starts in the "
                "directory that the link is in.",
            ),
            (
                lambda overlay: not _one_file(overlay.merged / _WANTED, overlay.merged / _DATA),
                f"{_WANTED} is there, but it is not the table of opt/data.",
            ),
        ],
        solution="ln -s ../opt/data srv/data",
    ),
]
