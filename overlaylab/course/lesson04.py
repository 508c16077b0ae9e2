"""Exercises of lesson 04, delete what you cannot delete."""

from __future__ import annotations

from .exercises import Task
from .judge import changed_besides, kind_differs, kinds, missing, untouched

_CACHE = {f"var/cache/{name}.deb": f"{name}\n" for name in ("bash", "coreutils", "tar")}
_CONF = {f"etc/app.d/{number}.conf": f"{number}\n" for number in (10, 20, 30)}

TASKS = [
    Task(
        layers={"base": {**_CACHE, "etc/motd": "base\n"}},
        mistakes=[
            (untouched, "var/cache is still there, and upper is empty."),
            (
                lambda overlay: len(kinds(overlay)) > 1,
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
]
