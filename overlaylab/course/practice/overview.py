"""The progress page: which exercises and quizzes of the course are done."""

from __future__ import annotations

from collections import defaultdict

from ...text import Table
from . import contents, record
from .exercises import all_tasks

_DONE, _OPEN = "✓", "·"


def overview() -> Table:
    """A line for each lesson: its exercises and its quiz, done or not."""
    done = record.read()
    tasks = all_tasks()
    lessons = defaultdict(list)
    for name in tasks:
        lessons[name.partition(".")[0]].append(name)
    rows = [("lesson", "", "exercises", "quiz")]
    for lesson, names in lessons.items():
        marks = " ".join(_DONE if name in done else _OPEN for name in names)
        quiz = _DONE if f"{lesson}.quiz" in done else _OPEN
        rows.append((lesson, contents.text(lesson)["title"], marks, quiz))
    every = [*tasks, *(f"{lesson}.quiz" for lesson in lessons)]
    count = sum(name in done for name in every)
    return Table([*rows, ("", f"{count} of {len(every)} done", "", "")])


def export(target: str) -> str:
    """Write the record to a file, and say so; see :func:`.record.export`."""
    return f"written to {record.export(target)}"
