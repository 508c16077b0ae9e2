"""The progress page: which exercises and quizzes of the course are done, and where to go on."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ...text import Table
from . import contents, record
from .exercises import all_tasks

_DONE, _OPEN = "✓", "·"
_HOME = """# overlaylab

{next}

{table}

The minutes are estimates. What is done was looked up when the course was started;
`%overlay progress` in a lesson shows it at any time.

[What you can do then](summary.ipynb) · [Glossary](GLOSSARY.md) · [What is shown where](MAP.md)
"""


@dataclass(frozen=True)
class Standing:
    """How far a lesson is.

    Attributes:
        number: the lesson's, ``"03"``.
        title: its title.
        file: the notebook.
        minutes: how long it takes, about.
        exercises: is each of them done?
        quiz: is it?
    """

    number: str
    title: str
    file: str
    minutes: int
    exercises: Sequence[bool]
    quiz: bool

    @property
    def name(self) -> str:
        """Its title as a heading has it."""
        return self.title[0].upper() + self.title[1:]

    def marks(self) -> str:
        """A sign for each exercise."""
        return " ".join(_mark(one) for one in self.exercises)

    def whole(self) -> bool:
        """Is all of it done?"""
        return self.quiz and all(self.exercises)


@dataclass(frozen=True, repr=False)
class Overview:
    """All lessons; printing it shows the table.

    Attributes:
        lessons: in order.
    """

    lessons: Sequence[Standing]

    def following(self) -> Standing | None:
        """The first lesson of which something is not done; None if there is none."""
        return next((one for one in self.lessons if not one.whole()), None)

    def begun(self) -> bool:
        """Is anything done?"""
        return any(one.quiz or any(one.exercises) for one in self.lessons)

    def _count(self) -> str:
        every = [mark for one in self.lessons for mark in (*one.exercises, one.quiz)]
        return f"{sum(every)} of {len(every)} done"

    def __repr__(self) -> str:
        here = self.following()
        rows = [("lesson", "", "minutes", "exercises", "quiz", "")]
        rows += [
            (one.number, one.name, str(one.minutes), one.marks(), _mark(one.quiz),
             "continue here" if one is here else "")
            for one in self.lessons
        ]  # fmt: skip
        return repr(Table([*rows, ("", self._count(), "", "", "", "")]))

    def _repr_html_(self) -> str:
        here = self.following()
        rows = "".join(
            f'<tr><td style="text-align: left"><a href="{one.file}">{_title(one)}</a>'
            f"{' <strong>continue here</strong>' if one is here else ''}</td>"
            f"<td>{one.minutes}</td><td>{one.marks()}</td><td>{_mark(one.quiz)}</td></tr>"
            for one in self.lessons
        )
        head = "<tr><th>lesson</th><th>minutes</th><th>exercises</th><th>quiz</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table><p>{self._count()}</p>"

    def home(self) -> str:
        """The first page of a learner's copy, as Markdown."""
        here = self.following()
        going_on = (
            f"**{'Continue' if self.begun() else 'Begin'} here: [{_title(here)}]({here.file})**"
            if here
            else "**All of it is done.**"
        )
        rows = ["| lesson | minutes | exercises | quiz |", "|:---|---|---|---|"]
        rows += [
            f"| [{_title(one)}]({one.file}) | {one.minutes} | {one.marks()} | {_mark(one.quiz)} |"
            for one in self.lessons
        ]
        return _HOME.format(next=f"{going_on} ({self._count()})", table="\n".join(rows))


def _title(one: Standing) -> str:
    return html.escape(f"{one.number} · {one.name}")


def _mark(done: bool) -> str:
    return _DONE if done else _OPEN


def overview() -> Overview:
    """A line for each lesson: its exercises and its quiz, done or not."""
    done, tasks = record.read(), all_tasks()
    standings = []
    for number in contents.lessons():
        given = contents.text(number)
        exercises = [name in done for name in tasks if name.startswith(f"{number}.")]
        standings.append(
            Standing(
                number, given["title"], given["file"], given["minutes"], exercises,
                f"{number}.quiz" in done,
            )
        )  # fmt: skip
    return Overview(standings)


def export(target: str) -> str:
    """Write the record to a file, and say so; see :func:`.record.export`."""
    return f"written to {record.export(target)}"
