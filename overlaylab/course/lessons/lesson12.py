"""Predictions and exercises of lesson 12, go further."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from ...layer import Content
from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import holds_data, leads_out, no_file, text, text_differs, touched, untouched

_MIB = 1 << 20
_STORE: Content = {
    "store/1f": bytes(2 * _MIB),
    "store/2c": b"\1" * (2 * _MIB),
    "store/7a": "How to begin\n",
}
_NAMES = {"app/bin/start": "store/1f", "app/lib/start": "store/1f", "app/README": "store/7a"}


def _counts(overlay: Overlay) -> Counter[str]:
    """How many changes there are of each kind."""
    return Counter(change.kind for change in overlay.changes())


def _lacks(kind: str) -> Callable[[Overlay], bool]:
    return lambda overlay: not _counts(overlay)[kind]


def _leads_nowhere(overlay: Overlay) -> bool:
    return not all((overlay.merged / name).is_file() for name in _NAMES)


def _leads_elsewhere(overlay: Overlay) -> bool:
    merged = overlay.merged
    return not all(
        os.path.samefile(merged / name, merged / data)
        for name, data in _NAMES.items()
        if (merged / data).exists()
    )


def _has_data(overlay: Overlay) -> bool:
    return (overlay.upper / "bin/tool").read_bytes().startswith(b"data")


def _after_chmod(meta: Overlay) -> str:
    if not (meta.upper / "bin/tool").is_file():
        return "c"
    return "a" if _has_data(meta) else "b"


def _taken(free_before: int, free_after: int) -> str:
    """How much of the disk has gone, apart from what the filesystem keeps for itself."""
    taken = (free_before - free_after) / _MIB
    if taken < 1:
        return "b"
    return "a" if 15 < taken < 18 else f"{taken:.0f} MiB"


def _still_shared(data: Overlay, shared_bytes: Callable[[Path], int]) -> str:
    shared = shared_bytes(data.upper / "table") / _MIB
    if shared > 15:
        return "c"
    return "a" if shared < 1 else "b"


def _synced(in_safe: int, in_fast: int) -> str:
    written = [size >= 4 * _MIB for size in (in_safe, in_fast)]
    if all(written):
        return "a"
    return "c" if not any(written) else "b" if written[0] else "in fast alone"


def _mounted_again(hasty: Overlay, result: str) -> str:
    if result != "not refused":
        return "b"
    return "a" if (hasty.merged / "note").exists() else "c"


def _seen(view: Overlay) -> str:
    if (view.merged / "README").read_text() != "How to begin\n":
        return "a"
    return "b" if {"1f", "2c"} & {*os.listdir(view.merged)} else "c"


def _changed(sealed: Overlay, result: str) -> str:
    if not result.startswith("EROFS"):
        return "a"
    return "b" if not sealed.changes() else "c"


def _without_root(house: Overlay, output: str) -> str:
    there = [line.split() for line in output.splitlines()]
    here = [line.split() for line in repr(house.changes()).splitlines()]
    same = [line in there for line in here]
    return "c" if all(same) else "b" if any(same) else "a"


def _permitted(output: str) -> str:
    lines = [line.partition(" ") for line in output.splitlines()]
    names = [name for name, _, how in lines if how == "not refused"]
    if len(names) == len(lines):
        return "a"
    return {"volatile": "b", "": "c"}.get(" ".join(names), " and ".join(names))


OUTCOMES: Mapping[str, Outcome] = {
    "chmod": _after_chmod,
    "append": lambda meta: "b" if _has_data(meta) else "a",
    "disk": _taken,
    "middle": _still_shared,
    "fsync": _synced,
    "again": _mounted_again,
    "names": _seen,
    "erofs": _changed,
    "rootless": _without_root,
    "options": _permitted,
}

TASKS = [
    Task(
        layers={"base": _STORE},
        mistakes=[
            (untouched, "there is no app yet."),
            (
                holds_data,
                "upper holds data of the store: copying, moving and linking a file copies it up.",
            ),
            (
                lambda overlay: any(not (overlay.merged / data).exists() for data in _STORE),
                "something is missing in store: other names need it.",
            ),
            (
                leads_out(*_NAMES),
                "a link starts with /, and that is this machine's root directory: write where to "
                "go from the directory that the link is in.",
            ),
            (
                _leads_nowhere,
                "not all three names lead to a file: is one still missing? And is there a ../ for "
                "each directory that the link is in?",
            ),
            (
                _leads_elsewhere,
                "a name does not lead to the file of the store that it should: it is a copy, or a "
                "link to another one.",
            ),
        ],
        solution="mkdir -p app/bin app/lib\n"
        "ln -s ../../store/1f app/bin/start\n"
        "ln -s ../../store/1f app/lib/start\n"
        "ln -s ../store/7a app/README",
    ),
    Task(
        layers={
            "base": {
                "a/one": "1\n",
                "a/two": "2\n",
                "b/three": "3\n",
                "b/four": "4\n",
                "five": "5\n",
            }
        },
        mistakes=[
            (untouched, "upper is empty: it has none of the four kinds."),
            (
                lambda overlay: any(count > 1 for count in _counts(overlay).values()),
                "a kind is there more than once: each of the four should be there once.",
            ),
            (_lacks("whiteout"), "there is no whiteout: what leaves one?"),
            (_lacks("opaque"), "there is no opaque directory: delete one, and then?"),
            (_lacks("copied-up"), "nothing was copied up."),
            (_lacks("added"), "nothing was added that no layer has."),
        ],
        solution="rm five\nrm -r a\nmkdir a\necho more >> b/three\necho new > six",
    ),
    Task(
        layers={
            "base": {"etc/app.conf": "base\n", "doc": "see the web\n"},
            "site": {"etc/app.conf": "site\n", "doc/site": "our rules\n"},
            "release": {"etc/app.conf": "release\n", "doc/release": "what is new\n"},
        },
        mistakes=[
            (
                touched,
                "something was written: this exercise is about the order of the layers alone.",
            ),
            (
                lambda overlay: text(overlay, "etc/app.conf") == "base\n",
                "etc/app.conf is that of base, which is asked first.",
            ),
            (text_differs("etc/app.conf", "site"), "etc/app.conf is that of release, not of site."),
            (
                no_file("doc/release"),
                "doc/release is not there: the file doc of base lies between two directories of "
                "that name, and they do not merge across it.",
            ),
        ],
        order=("site", "release", "base"),
    ),
]
