"""Predictions and exercises of lesson 04, delete what you cannot delete."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...layer import Layer
from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import changed_besides, kind_differs, kinds, missing, present, text_differs, untouched

_CACHE = {f"var/cache/{name}.deb": f"{name}\n" for name in ("bash", "coreutils", "tar")}
_CONF = {f"etc/app.d/{number}.conf": f"{number}\n" for number in (10, 20, 30)}


def _marked(overlay: Overlay, path: str) -> str:
    """What upper has at a path: a whiteout, an opaque directory, another entry, or nothing."""
    entry = Layer(overlay.upper).entry(path)
    if entry is None:
        return "nothing"
    return "opaque" if entry.opaque else entry.kind


def _deleted(web: Overlay) -> str:
    if not (web.lower[0].path / "etc/motd").exists():
        return "b"
    return {"nothing": "a", "whiteout": "c"}.get(_marked(web, "etc/motd"), "upper has a file")


def _remade(web: Overlay) -> str:
    cache = web.merged / "var/cache"
    if not (cache / "three").exists():
        return "c"
    return "a" if (cache / "one").exists() else "b"


def _new_name(web: Overlay) -> str:
    entry = Layer(web.upper).entry("etc/motd")
    if entry is None or entry.kind != "file":
        return "a"
    return "b" if entry.origin else "c"


def _found_as(path: str, letters: Mapping[str, str]) -> Outcome:
    """What upper has at a path, as the letter of an answer; in words where none fits."""

    def outcome(web: Overlay) -> str:
        found = _marked(web, path)
        return letters.get(found, found)

    return outcome


def _several(overlay: Overlay) -> bool:
    return len(kinds(overlay)) > 1


OUTCOMES: Mapping[str, Outcome] = {
    "deleted": _deleted,
    "draft": _found_as("etc/draft", {"nothing": "a", "whiteout": "b", "file": "c"}),
    "changed": _found_as("etc/hosts", {"file": "a", "whiteout": "b"}),
    "directory": _found_as("var/cache", {"directory": "a", "opaque": "b", "whiteout": "c"}),
    "remade": _remade,
    "name": _new_name,
    "second": lambda later: "b" if (later.merged / "etc/hosts").exists() else "a",
}

TASKS = [
    Task(
        layers={"base": {**_CACHE, "etc/motd": "base\n"}},
        mistakes=[
            (untouched, "var/cache is still there, and upper is empty."),
            (
                lambda overlay: kinds(overlay).get("var/cache") == "whiteout" and _several(overlay),
                "upper holds more than one entry: the whiteout of var/cache is right, and what "
                "else was changed is too much.",
            ),
            (
                _several,
                "upper holds more than one entry: delete the directory, not the files in it.",
            ),
            (
                kind_differs("var/cache", "whiteout"),
                "upper holds one entry, but it is not the whiteout of var/cache.",
            ),
        ],
        solution="rm -r var/cache",
    ),
    Task(
        layers={"base": {**_CONF, "etc/motd": "base\n"}},
        mistakes=[
            (untouched, "etc/app.d still shows the three files of base."),
            (missing("etc/app.d"), "etc/app.d is gone: it should be there, and empty."),
            (
                lambda overlay: not os.path.isdir(overlay.merged / "etc/app.d"),
                "etc/app.d is no directory any more: it should be one, and empty.",
            ),
            (missing("etc/motd"), "etc/motd is gone as well: only etc/app.d should be emptied."),
            (
                lambda overlay: any(kind == "whiteout" for kind in kinds(overlay).values()),
                "the files were deleted one by one, each with a whiteout of its own: one mark "
                "can hide them all.",
            ),
            (
                lambda overlay: any((overlay.merged / "etc/app.d").iterdir()),
                "etc/app.d is not empty.",
            ),
            (
                kind_differs("etc/app.d", "opaque"),
                "etc/app.d is not an opaque directory: what does a directory become that is "
                "deleted and made again?",
            ),
            (changed_besides("etc/app.d"), "upper holds more than etc/app.d."),
        ],
        solution="rm -r etc/app.d\nmkdir etc/app.d",
    ),
    Task(
        layers={"base": {**_CONF, "etc/issue": "welcome\n"}},
        mistakes=[
            (untouched, "upper is still empty."),
            (
                missing("etc/app.d/20.conf"),
                "etc/app.d/20.conf is gone, and no command brings back what a mark hides: begin "
                "again with exercise(…), and keep the file in $TMPDIR (outside of merged) before.",
            ),
            (
                text_differs("etc/app.d/20.conf", "20"),
                "etc/app.d/20.conf does not say what base says.",
            ),
            (
                lambda overlay: len(list((overlay.merged / "etc/app.d").iterdir())) > 1,
                "etc/app.d shows more than 20.conf.",
            ),
            (
                lambda overlay: list(kinds(overlay).values()).count("whiteout") > 1,
                "upper has more than one whiteout: in which kind of directory does a deleted "
                "file need none?",
            ),
            (
                present("etc/issue"),
                "etc/issue is still there: it should have the one whiteout.",
            ),
            (
                kind_differs("etc/app.d", "opaque"),
                "etc/app.d is not opaque: it is the directory to delete and make again, and etc "
                "is to stay.",
            ),
            (
                changed_besides("etc/app.d", "etc/app.d/20.conf", "etc/issue"),
                "upper holds a fourth entry: what is only for a moment can be in $TMPDIR.",
            ),
        ],
        solution="""cp etc/app.d/20.conf $TMPDIR/20.conf
rm -r etc/app.d etc/issue
mkdir etc/app.d
cp $TMPDIR/20.conf etc/app.d/20.conf""",
    ),
]
