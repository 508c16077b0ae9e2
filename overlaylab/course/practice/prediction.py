"""Predict, run, compare: a cell that shows what it did once the question above it is answered.

The answers of a prediction, and what is said of each, are in the lesson's TOML file. What happened
is found out on the real stack, by a function in the ``OUTCOMES`` of the lesson's module.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets
from IPython import get_ipython

from ...errors import OverlaylabError
from ...jupyter.cells import Ran, run
from ...jupyter.widgets.choices import Choices, lettered
from ...jupyter.widgets.picture import Widget
from ...text import Table
from . import contents
from .needs import missing


@dataclass(frozen=True)
class Answers:
    """The answers to a question, one of them right.

    Attributes:
        name: lesson and name of the prediction, ``"03.append"``.
        words: the answers, in the order in which they are shown.
        says: what is said of each: the idea behind it, and what in the outputs speaks for or
            against it.
        right: the number of the right one, from 0.
        needs: what not every machine has; see :mod:`.needs`.
    """

    name: str
    words: tuple[str, ...]
    says: tuple[str, ...]
    right: int
    needs: str = ""

    @property
    def unfolds(self) -> str:
        """The class of the prose that explains it, in a learner's copy."""
        return f"answer-{self.name.replace('.', '-')}"


class Prediction(Widget):
    """A question's answers. What the cell showed appears when one is chosen.

    Args:
        asked: the answers.
        ran: the cell that has run.
        actual: what happened, in the words of an answer; None if this machine cannot show it.
    """

    def __init__(self, asked: Answers, ran: Ran, actual: str | None) -> None:
        self._asked, self._ran, self._actual = asked, ran, actual
        self._choices = Choices.of(
            asked.words, "What do you predict? The cell shows it then.", unfolds=asked.unfolds
        )
        self._choices.on_choice(self.choose)
        self._shown = ipywidgets.Output()
        super().__init__([self._choices, self._shown])

    def choose(self, letter: str) -> None:
        """Choose an answer: say what is behind it, and show what the cell has shown.

        Args:
            letter: ``"a"``, ``"b"``, …
        """
        words, says = self._asked.words, self._asked.says
        chosen = [one for one, _ in lettered(words)].index(letter)
        actual = words[self._asked.right] if self._actual is None else self._actual
        happened = words.index(actual) if actual in words else None
        right = chosen == happened
        said = [f"{'✓ Right.' if right else '✗'} {says[chosen]}", self._happened()]
        if happened is None:
            said[0] = _NOT_AS_IN_THE_LESSON
        elif not right:
            said.append(says[happened])
        marks = {letter: right}
        if happened is not None:
            marks[lettered(words)[happened][0]] = True
        self._choices.marks, self._choices.says, self._choices.closed = marks, said, True
        if self._actual is not None:
            self._shown.outputs = tuple(self._ran.outputs())

    @property
    def said(self) -> list[str]:
        """What was said of the answer that was chosen, a paragraph each; nothing before."""
        return list(self._choices.says)

    def _happened(self) -> str:
        if self._actual is not None:
            return f"What happened: {self._actual}"
        right = self._asked.words[self._asked.right]
        return (
            f"This machine cannot show it: it needs {missing(self._asked.needs)}. On Linux: {right}"
        )

    def face(self) -> dict[str, str]:
        """The answers, what the cell showed, and what happened: for a page without a kernel."""
        words = self._asked.words
        rows = Table([(f"{letter})", one) for letter, one in lettered(words)])
        shown = self._ran.words() if self._actual is not None else ""
        return {"text/plain": "\n\n".join(filter(None, [repr(rows), shown, self._happened()]))}


_NOT_AS_IN_THE_LESSON = (
    "None of the answers is what happened: the stack is not as the lesson has it here. "
    "Run the lesson again from its beginning (Run → Restart Kernel and Run All Cells)."
)


def answers(name: str) -> Answers:
    """The answers of a prediction.

    Args:
        name: lesson and name, ``"03.append"``.

    Raises:
        OverlaylabError: there is no such prediction.
    """
    lesson, _, slug = name.partition(".")
    known = contents.text(lesson).get("predictions", {}) if lesson in contents.lessons() else {}
    if slug not in known:
        names = ", ".join(f"{lesson}.{one}" for one in known) or "none in that lesson"
        raise OverlaylabError(f"There is no prediction {name!r}: there are {names}.")
    given = dict(known[slug])
    right, needs = given.pop("right"), given.pop("needs", "")
    words, says = zip(*given.values(), strict=True)
    return Answers(name, words, says, list(given).index(right), needs)


def ask(line: str, cell: str) -> Prediction:
    """Run a cell, and ask what it did: ``%%predict 03.append``.

    Args:
        line: the name of the prediction.
        cell: what is run. What it shows is seen when an answer is chosen.

    Raises:
        OverlaylabError: there is no such prediction, or the cells above have not run.
        Shown: the cell failed; its error is on the page.
    """
    shell: Any = get_ipython()
    asked = answers(line.strip())
    ran = run(shell, cell)
    if missing(asked.needs):
        return Prediction(asked, ran, None)
    if ran.failed:
        ran.replay()
    return Prediction(asked, ran, _actual(asked, ran, shell.user_ns))


def _actual(asked: Answers, ran: Ran, names: Mapping[str, object]) -> str:
    """What happened, found out on the stacks of the notebook."""
    lesson, _, slug = asked.name.partition(".")
    outcome = contents.lesson(lesson).OUTCOMES[slug]
    known = {**names, "result": ran.value, "output": ran.words()}
    wanted = list(inspect.signature(outcome).parameters)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise OverlaylabError(
            f"This question is about {', '.join(unknown)}, which the cells above make: run the "
            "cells above first (Run → Run All Above)."
        )
    happened = str(outcome(*(known[name] for name in wanted)))
    return dict(lettered(asked.words)).get(happened, happened)
