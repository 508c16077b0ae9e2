"""Exercises of lesson 03, watch a copy-up."""

from __future__ import annotations

from ..overlay import Overlay
from .exercises import Task
from .judge import kinds, missing, text_differs, untouched

_MIB = 1 << 20
_LOG = "var/log/app.log"
_CONF = "etc/app.conf"


def _stored(overlay: Overlay) -> int:
    """The bytes of all files in upper."""
    return sum(change.size for change in overlay.changes())


def _same_times(overlay: Overlay) -> bool:
    below = overlay.lower[0].path / _CONF
    return (overlay.merged / _CONF).stat().st_mtime_ns == below.stat().st_mtime_ns


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
                lambda overlay: _stored(overlay) >= 1024,
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
]
