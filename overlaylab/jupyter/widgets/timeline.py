"""The time line: every script and commit of an overlay is a step to go back to."""

from __future__ import annotations

import html

import anywidget
import traitlets

from ...changes import moved, moved_rows
from ...draw.figure import face
from ...overlay import Overlay
from ...pictures import diagrams
from ...text import Table, escaped
from .picture import HERE, Picture, Widget, note

_COLUMNS = 12


class Steps(anywidget.AnyWidget):  # type: ignore[misc]
    """Previous, play, next and a slider.

    Attributes:
        value: the step that is chosen, from 0.
        last: the last one.
        interval: milliseconds from one to the next while it plays.
    """

    _esm = HERE / "steps.js"
    value = traitlets.Int(0).tag(sync=True)
    last = traitlets.Int(0).tag(sync=True)
    interval = traitlets.Int(1500).tag(sync=True)


class Timeline(Widget):
    """The steps of an overlay's history, one picture each; what changed or was hidden is marked.

    It shows what was recorded, and needs neither the mount nor, once it is made, the lab.

    Args:
        overlay: whose history; its lab has to be open.
    """

    def __init__(self, overlay: Overlay) -> None:
        history = overlay.history
        self._words = repr(history)
        self._frames = diagrams(history, overlay.lower, _COLUMNS)
        last = max(len(self._frames) - 1, 0)
        self._picture, self._note = Picture(), note()
        self._steps = Steps(value=last, last=last)
        self._steps.observe(lambda change: self._show(change["new"]), "value")
        # The note is not as high at every step; above the picture it would move it.
        super().__init__([self._steps, self._picture, self._note])
        self._show(last)

    def face(self) -> dict[str, str]:
        """What each step did, and the picture of the last one."""
        return face(self._frames[-1][1].svg() if self._frames else None, self._words)

    def _show(self, number: int) -> None:
        if not self._frames:
            self._note.value = "<p>Nothing has happened yet: run a script in it.</p>"
            return
        number = min(max(number, 0), len(self._frames) - 1)
        step, diagram = self._frames[number]
        before = self._frames[number - 1][0].changes if number else ()
        moves = Table(moved_rows(*moved(before, step.changes)), empty="upper: nothing new")
        script = "<br>".join(map(escaped, step.what.strip().splitlines()))
        self._note.value = (
            f"<p>Step {number} of {len(self._frames) - 1}: <code>{script}</code></p>"
            f"<pre>{html.escape(repr(moves))}</pre>"
        )
        self._picture.show(diagram)
