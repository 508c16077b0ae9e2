"""How long a lesson takes, estimated from what is in it; nobody was timed.

``python -m tests.course.minutes`` prints it for each lesson, rounded to five minutes.
"""

from __future__ import annotations

from pathlib import Path

import nbformat

from overlaylab.course.practice.contents import text
from overlaylab.course.practice.exercises import tasks_of

from ..helpers import LESSONS

#: What a learner reads in a minute, and what each of these takes.
WORDS_A_MINUTE = 200
CELL, EXERCISE, QUESTION = 0.5, 4, 1


def minutes(path: Path) -> int:
    """The estimate for a lesson, rounded to five minutes."""
    cells = nbformat.read(path, as_version=4).cells
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    run = sum(cell.cell_type == "code" for cell in cells)
    lesson = path.name[:2]
    exercises, questions = len(tasks_of(lesson)), len(text(lesson)["questions"])
    whole = words / WORDS_A_MINUTE + run * CELL + exercises * EXERCISE + questions * QUESTION
    return max(5, round(whole / 5) * 5)


if __name__ == "__main__":
    for lesson in LESSONS:
        print(lesson.name[:2], minutes(lesson))
    print("together", sum(map(minutes, LESSONS)))
