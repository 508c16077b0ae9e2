"""The progress of a class: the files that ``%overlay progress FILE`` wrote, as one table."""

from __future__ import annotations

import csv
import io
import os
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import OverlaylabError
from ..text import Table, escaped, printable, shortened
from .paper import page, table
from .practice.contents import lessons
from .practice.exercises import all_tasks
from .practice.record import read_handed_in

#: By this a spreadsheet knows how letters are written.
_UTF8 = "\ufeff"
#: Characters of a name in the terminal; the other faces have all of them.
_NAME = 32
_WORDS = (
    "A number says how many exercises of a lesson, and how many quizzes, are done; · is none of "
    "them. The line “of” says how many there are. The last line says how many learners have them "
    "all."
)
_STYLE = """
.overlaylab-sheet { font-size: 0.92em; }
.overlaylab-sheet th, .overlaylab-sheet td { padding: 2px 4px; }
.overlaylab-sheet td { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.overlaylab-sheet thead th:not(:first-child) { text-align: right; }
.overlaylab-sheet tbody th { min-width: 7em; }
.overlaylab-sheet tbody tr:first-child > * { color: #57606a; }
.overlaylab-sheet tbody tr:last-child > * { border-top: 2px solid #57606a; font-weight: bold; }
"""


@dataclass(frozen=True)
class Learner:
    """Somebody who handed in a progress file.

    Attributes:
        name: the file's name without its suffix.
        done: exercise (``"03.1"``) or quiz (``"03.quiz"``) → a time (ISO 8601).
    """

    name: str
    done: Mapping[str, str]

    def count(self, names: Sequence[str]) -> int:
        """How many of these exercises and quizzes are done."""
        return sum(name in self.done for name in names)

    def last(self) -> str:
        """When something was done last, in UTC; ``""`` if no time can be read."""
        times = [time for time in map(_time, self.done.values()) if time is not None]
        return max(times).isoformat(" ", "minutes") if times else ""


@dataclass(frozen=True, repr=False)
class Classroom:
    """A class: printing it shows the table.

    Attributes:
        title: what the table is called.
        learners: sorted by name.
        left_out: a sentence for each file that is not in the table.
    """

    title: str
    learners: Sequence[Learner]
    left_out: Sequence[str]

    def rows(self) -> list[list[str]]:
        """The table: headings, how many there are, each learner, and who has them all."""
        columns = _columns()
        headings = ["learner", *columns, "last activity (UTC)"]
        of = ["of", *(str(len(names)) for names in columns.values()), ""]
        counts = [[one.count(names) for names in columns.values()] for one in self.learners]
        each = [
            [printable(one.name), *(str(number or "·") for number in numbers), one.last()]
            for one, numbers in zip(self.learners, counts, strict=True)
        ]
        all_of_it = [
            str(sum(number == len(names) for number in column))
            for column, names in zip(zip(*counts, strict=True), columns.values(), strict=True)
        ]
        return [headings, of, *each, ["have all", *all_of_it, ""]]

    def __repr__(self) -> str:
        rows = [[shortened(name, _NAME), *rest] for name, *rest in self.rows()]
        parts = [repr(Table(rows)), textwrap.fill(_WORDS, 100), "\n".join(self._rest())]
        return "\n\n".join(filter(None, parts))

    def _rest(self) -> list[str]:
        return ["Not in the table:", *self.left_out] if self.left_out else []

    def page(self) -> str:
        """The table as an HTML page that is one file."""
        sentences = "\n".join(f"<p>{escaped(words)}</p>" for words in (_WORDS, *self._rest()))
        return page(self.title, f"{table(self.rows())}\n{sentences}", _STYLE)

    def csv(self) -> str:
        """The learners for a spreadsheet. What it would take for a formula begins with ``'``."""
        text = io.StringIO()
        # Quoted, for a spreadsheet may take another sign than the comma between two cells.
        sheet = csv.writer(text, quoting=csv.QUOTE_ALL)
        columns = _columns()
        sheet.writerow(["learner", *columns, "last activity (UTC)"])
        for one in self.learners:
            counts = (one.count(names) for names in columns.values())
            sheet.writerow([_no_formula(printable(one.name)), *counts, one.last()])
        return _UTF8 + text.getvalue()


def read_class(directory: str | os.PathLike[str]) -> Classroom:
    """Read a folder with a progress file of each learner.

    Args:
        directory: the folder.

    Raises:
        OverlaylabError: there is no such folder, or no progress file in it.
    """
    folder = Path(directory)
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise OverlaylabError(
            f"{folder} cannot be read ({error.strerror}): name the folder with the files that "
            "'%overlay progress FILE' wrote."
        ) from None
    found, left_out = list[tuple[Path, dict[str, str]]](), list[str]()
    for path in paths:
        try:
            found.append((path, read_handed_in(path)))
        except OverlaylabError as error:
            left_out.append(str(error))
    if not found:
        first = f" The first of the others: {left_out[0]}" if left_out else ""
        raise OverlaylabError(
            f"{folder} holds no progress file, and {len(left_out)} others: put into it what "
            f"'%overlay progress FILE' wrote.{first}"
        )
    stems = Counter(path.stem for path, _ in found)
    learners = [
        Learner(path.stem if stems[path.stem] == 1 else path.name, done) for path, done in found
    ]
    learners.sort(key=lambda one: (one.name.casefold(), one.name))
    return Classroom(f"Progress: {folder.resolve().name}", learners, left_out)


def _columns() -> dict[str, list[str]]:
    """Heading → exercises and quizzes that are counted under it."""
    tasks = list(all_tasks())
    columns = {
        lesson: [name for name in tasks if name.startswith(f"{lesson}.")] for lesson in lessons()
    }
    quizzes = [f"{lesson}.quiz" for lesson in lessons()]
    return {**columns, "quizzes": quizzes, "total": [*tasks, *quizzes]}


def _time(text: str) -> datetime | None:
    """A time, in UTC and without saying so; None if it cannot be read."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        return None


def _no_formula(name: str) -> str:
    return f"'{name}" if name.lstrip().startswith(("=", "+", "-", "@")) else name
