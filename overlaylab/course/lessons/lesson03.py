"""Predictions and exercises of lesson 03, watch a copy-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...layer import Layer
from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import holds_data, kinds, missing, text_differs, untouched

_MIB = 1 << 20
_LOG = "var/log/app.log"
_CONF = "etc/app.conf"


def _same_times(overlay: Overlay) -> bool:
    below = overlay.lower[0].path / _CONF
    return (overlay.merged / _CONF).stat().st_mtime_ns == below.stat().st_mtime_ns


def _has(kind: str) -> Callable[[Overlay], bool]:
    return lambda overlay: kind in kinds(overlay).values()


def _count(overlay: Overlay, kind: str) -> int:
    """How many entries of that kind upper has, listed by ``changes`` or not."""
    return sum(entry.kind == kind for _, entry in Layer(overlay.upper).walk())


def _found(overlay: Overlay) -> set[str]:
    return {path for path, _ in Layer(overlay.upper).walk()}


OUTCOMES: Mapping[str, Outcome] = {
    "append": lambda web: f"{(web.upper / _LOG).stat().st_size:,} bytes",
    "again": lambda web, first_copy: "b" if (web.upper / _LOG).stat().st_ino == first_copy else "a",
    "opened": lambda desk: "b" if _found(desk) else "a",
    "six": lambda hands, names: str(len(_found(hands) & set(names))),
    "way": lambda tree: {1: "a", 4: "b"}.get(len(_found(tree)), "c"),
    "kept": lambda result: "a" if "no" in repr(result).split() else "b",
    "emptied": lambda web: "a" if (web.upper / "var/log/old.log").stat().st_size else "b",
    "names": lambda plan: (plan.merged / "tuesday").read_text().strip(),
    "clock": lambda result: result.strip(),
}

TASKS = [
    Task(
        layers={"base": {_LOG: bytes(8 * _MIB), _CONF: "port 80\n"}},
        mistakes=[
            (untouched, "the log still has its 8 MiB, all of them in the base layer."),
            (missing(_LOG), f"{_LOG} is gone: the process that writes to it wants to find it."),
            (
                lambda overlay: (overlay.merged / _LOG).stat().st_size > 0,
                f"{_LOG} is not empty, and what is in it is in upper now.",
            ),
            (
                holds_data,
                "the log is empty, but upper holds a copy of it under another name.",
            ),
        ],
        solution=f": > {_LOG}",
    ),
    Task(
        layers={"base": {_CONF: "port 80\n", "etc/motd": "base\n"}},
        mistakes=[
            (untouched, "nothing was copied up: reading a file is not enough."),
            (missing(_CONF), f"{_CONF} is gone: a whiteout is not a copy."),
            (
                lambda overlay: _CONF not in kinds(overlay),
                f"something was written, but {_CONF} was not copied up.",
            ),
            (text_differs(_CONF, "port 80"), "the text has changed."),
            (
                lambda overlay: not _same_times(overlay),
                "it was copied up, but its time has changed: something was written, or its time "
                "was set. Which call copies up before anything is written?",
            ),
        ],
        solution=f": >> {_CONF}",
    ),
    Task(
        layers={
            "base": {
                "etc/motd": "base\n",
                "srv/readme": "read me\n",
                "srv/shop/conf/port": "80\n",
                "srv/shop/conf/tls/key": "secret\n",
            }
        },
        mistakes=[
            (untouched, "upper is still empty."),
            (_has("added"), "something in upper is new: it should all be copies of what base has."),
            (_has("whiteout"), "something was deleted: a whiteout is no copy."),
            (
                lambda overlay: _count(overlay, "file") == 0,
                "no file was copied up: who changes a directory copies that directory, and "
                "nothing that is in it.",
            ),
            (
                lambda overlay: _count(overlay, "file") > 1,
                "more than one file was copied up: run the cell with exercise(…) to begin again.",
            ),
            (
                lambda overlay: _count(overlay, "directory") < 3,
                "fewer than three directories came along: upper gets those on the way to the file.",
            ),
            (
                lambda overlay: _count(overlay, "directory") > 3,
                "more than three directories came along: the way to that file is too long.",
            ),
        ],
        solution="touch srv/shop/conf/port",
    ),
]
