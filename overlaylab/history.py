"""What happened to an overlay, step by step, for as long as its lab lives."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .changes import Change, moved, moved_rows
from .layer import Layer
from .text import Table, Tabular, printable, shortened
from .trees import copy_tree, remove_tree

#: An upper with more changes is not kept, and of more steps the first are forgotten.
_CHANGES, _STEPS = 1000, 100
#: Characters of a script that are printed.
_WIDTH = 60


@dataclass(frozen=True)
class Step:
    """A state of an overlay, and what led to it.

    Attributes:
        what: the script; "mounted"; "commit NAME"; "Python" for all that no script did.
        changes: what upper changed then.
        upper: a sketch of upper, to be drawn: see :func:`.copy_tree`. None if upper had more
            than 1,000 changes, or if there was no room for the sketch.
    """

    what: str
    changes: Sequence[Change] = field(repr=False)
    upper: Layer | None = field(repr=False)


class History(Tabular, list[Step]):
    """The steps of an overlay, the oldest first; shown with what each moved in upper.

    Args:
        directory: where sketches are kept; it is made when it is needed.
    """

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__()
        self._directory = directory
        self._numbers = itertools.count()

    def record(self, what: str, changes: Sequence[Change], upper: Path | None) -> None:
        """Add a step; see :class:`Step`.

        Args:
            what: what led to it.
            changes: what upper changes now.
            upper: the upperdir; None while nothing is in it yet.
        """
        self.append(Step(what, changes, self._sketch(upper) if len(changes) <= _CHANGES else None))
        if len(self) > _STEPS:
            forgotten = self.pop(0).upper
            if forgotten is not None:
                with contextlib.suppress(OSError):  # it goes with the lab
                    remove_tree(str(forgotten.path))

    def _sketch(self, upper: Path | None) -> Layer | None:
        if self._directory is None:
            return None
        path = self._directory / str(next(self._numbers))
        try:
            path.mkdir(parents=True)
            if upper is not None:
                copy_tree(str(upper), str(path), sketch=True)
            return Layer(path, "upper")
        except OSError:  # no room: a step without a picture is better than no step
            with contextlib.suppress(OSError):
                remove_tree(str(path))
            return None

    def _table(self) -> Table:
        rows: list[tuple[str, ...]] = []
        before: Sequence[Change] = ()
        for number, step in enumerate(self):
            moves = moved_rows(*moved(before, step.changes)) or [("", "", "")]
            first, rest = (f"{number}", _one_line(step.what)), ("", "")
            rows += [(*(rest if n else first), *move) for n, move in enumerate(moves)]
            before = step.changes
        return Table(rows)


def _one_line(script: str) -> str:
    lines = [printable(line.strip()) for line in script.splitlines() if line.strip()]
    return shortened("; ".join(lines), _WIDTH)
