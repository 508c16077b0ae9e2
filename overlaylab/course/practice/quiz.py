"""Questions at the end of a lesson, each wrong choice with a hint of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets

from ...errors import OverlaylabError
from ...jupyter.widgets.picture import Widget, escaped, note
from . import record
from .contents import lessons, text
from .verdict import Verdict


@dataclass(frozen=True)
class Question:
    """A question with several answers, one of them right.

    Attributes:
        ask: the question.
        choices: answer and hint of each; the right one has the hint ``""``.
    """

    ask: str
    choices: Sequence[tuple[str, str]]

    def __repr__(self) -> str:
        letters = (f"   {letter}) {choice}" for letter, (choice, _) in self.lettered())
        return "\n".join([self.ask, *letters])

    def lettered(self) -> list[tuple[str, tuple[str, str]]]:
        """The choices, each with its letter."""
        return [(chr(ord("a") + number), one) for number, one in enumerate(self.choices)]


class Quiz(Widget):
    """The questions of a lesson. It is done when every answer is right.

    Args:
        lesson: its number, ``"03"``.
        questions: what is asked.
    """

    def __init__(self, lesson: str, questions: Sequence[Question]) -> None:
        self._lesson = lesson
        self._questions = questions
        self._right: set[int] = set()
        self._says = [note() for _ in questions]
        super().__init__([part for number in range(len(questions)) for part in self._parts(number)])

    def face(self) -> dict[str, str]:
        """The questions with their choices."""
        numbered = (f"{number}. {one!r}" for number, one in enumerate(self._questions, 1))
        return {"text/plain": "\n".join(numbered)}

    def answer(self, number: int, letter: str) -> Verdict:
        """Answer without the mouse.

        Args:
            number: of the question, from 1.
            letter: of the choice: ``"a"``, ``"b"``, …

        Raises:
            OverlaylabError: there is no such question or choice.
        """
        if not 1 <= number <= len(self._questions):
            raise OverlaylabError(f"There is no question {number}: 1 to {len(self._questions)}.")
        choices = dict(self._questions[number - 1].lettered())
        if letter not in choices:
            raise OverlaylabError(f"Question {number} has no {letter!r}: {', '.join(choices)}.")
        return self._judge(number - 1, choices[letter][1])

    def _judge(self, number: int, hint: str) -> Verdict:
        verdict = Verdict(not hint, hint)
        self._says[number].value = f"<p>{'✓ right' if verdict.done else '✗ ' + escaped(hint)}</p>"
        if verdict.done:
            self._right.add(number)
            if len(self._right) == len(self._questions):
                record.add(f"{self._lesson}.quiz")
        return verdict

    def _parts(self, number: int) -> list[ipywidgets.Widget]:
        question = self._questions[number]
        # The hint is the value, and not the choice's text: two choices may have the same text.
        options = [(choice, place) for place, (choice, _) in enumerate(question.choices)]
        buttons = ipywidgets.RadioButtons(
            options=options, value=None, layout={"width": "max-content"}
        )
        hints = [hint for _, hint in question.choices]
        buttons.observe(lambda change: self._judge(number, hints[change["new"]]), "value")
        return [note(f"<p>{number + 1}. {escaped(question.ask)}</p>"), buttons, self._says[number]]


def quiz(number: str) -> Quiz:
    """The quiz of a lesson.

    Args:
        number: the lesson's, ``"03"``.

    Raises:
        OverlaylabError: there is no such lesson, or it has no quiz.
    """
    return Quiz(number, questions(number))


def questions(number: str) -> Sequence[Question]:
    """What the quiz of a lesson asks; see :func:`quiz`."""
    if number not in lessons():
        raise OverlaylabError(f"There is no quiz {number!r}: give a lesson, quiz('03').")
    return [
        Question(one["ask"], [(choice, *hint, "")[:2] for choice, *hint in one["choices"]])
        for one in text(number)["questions"]
    ]
