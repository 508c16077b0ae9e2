"""Exercises of lesson 04, delete what you cannot delete."""

from __future__ import annotations

from ..practice.exercises import Task
from .states import changed_besides, kind_differs, kinds, missing, present, text_differs, untouched

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
    Task(
        layers={"base": {**_CONF, "etc/issue": "welcome\n"}},
        mistakes=[
            (untouched, "upper is still empty."),
            (
                missing("etc/app.d/20.conf"),
                "etc/app.d/20.conf is gone, and no command brings back what a mark hides: keep "
                "the file in $TMPDIR before.",
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
