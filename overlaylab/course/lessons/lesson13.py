"""Exercises of lesson 13, check what the internet says."""

from __future__ import annotations

from ...overlay import Overlay
from ..practice.exercises import Task
from ..practice.image_exercises import ImageTask
from .states import no_file, present, text_differs, untouched

_MIB = 1 << 20
_README, _LICENCE = "doc/readme", "doc/licence"


def _hidden(overlay: Overlay, kind: str) -> list[str]:
    """What the only lower has beneath each change of that kind."""
    paths = [change.path for change in overlay.changes() if change.kind == kind]
    below = [overlay.lower[0].entry(path) for path in paths]
    return [entry.kind for entry in below if entry is not None]


TASKS = [
    Task(
        layers={
            "base": {
                "cache/one": "1\n",
                "cache/two": "2\n",
                "etc/motd": "base\n",
                "spool": "a file\n",
            }
        },
        mistakes=[
            (untouched, "upper is empty: it contradicts nothing."),
            (
                lambda overlay: "directory" in _hidden(overlay, "opaque"),
                "the opaque directory hides a directory of base, as the claim says. What else can "
                "a new directory hide?",
            ),
            (
                lambda overlay: not _hidden(overlay, "opaque"),
                "there is no opaque directory that hides something.",
            ),
            (
                lambda overlay: not _hidden(overlay, "whiteout"),
                "there is no whiteout: delete a directory, and leave it deleted.",
            ),
            (
                lambda overlay: "directory" not in _hidden(overlay, "whiteout"),
                "the whiteouts hide files: delete a directory as a whole.",
            ),
        ],
        solution="rm -r cache\nrm spool\nmkdir spool",
    ),
    Task(
        layers={
            "app": {"bin/app": "app\n", _README: "how to use app\n"},
            "base": {_LICENCE: "do as you like\n", _README: "how to use base\n"},
        },
        mistakes=[
            (untouched, f"merged shows {_README} of app, the nearest layer that has it."),
            (
                present(_README),
                f"merged still shows a {_README}.",
            ),
            (
                lambda overlay: overlay.stack().layers[0].entry(_README) is not None,
                f"upper has a whiteout called {_README}. Then the nearest layer does answer: it "
                "says no. Find a way that needs no entry of this name.",
            ),
            (no_file(_LICENCE), f"{_LICENCE} cannot be read any more."),
            (text_differs(_LICENCE, "do as you like"), f"{_LICENCE} has another text than base's."),
        ],
        solution=f"cp {_LICENCE} kept\nrm -r doc\nmkdir doc\nmv kept {_LICENCE}",
    ),
    ImageTask(
        dockerfile="""
FROM base
COPY table /data/table
RUN wc -c < /data/table > /data/size
RUN rm /data/table
""",
        context={"table": bytes(_MIB)},
        limit=lambda given: given.layers[0].size,
        keep=["data/size"],
        solution="""
FROM base AS work
COPY table /data/table
RUN wc -c < /data/table > /data/size

FROM scratch
COPY --from=work /data/size /data/size
""",
    ),
]
