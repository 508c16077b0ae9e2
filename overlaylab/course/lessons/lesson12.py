"""Exercises of lesson 12, go further."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from ...layer import Content
from ...overlay import Overlay
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
                "not all three names lead to a file: is there a ../ for each directory that the "
                "link is in?",
            ),
            (_leads_elsewhere, "a name does not lead to the file of the store that it should."),
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
