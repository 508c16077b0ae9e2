"""Questions at the end of a lesson, each wrong choice with a hint of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ...errors import OverlaylabError
from ...jupyter.widgets.choices import Choices, lettered
from ...jupyter.widgets.picture import Widget, note
from ...text import escaped
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
        rows = (f"   {letter}) {choice}" for letter, (choice, _) in lettered(self.choices))
        return "\n".join([self.ask, *rows])


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
        self._asked = [
            Choices.of([words for words, _ in one.choices], one.ask) for one in questions
        ]
        for number, choices in enumerate(self._asked, start=1):
            choices.on_choice(partial(self.answer, number))
        rows = zip(enumerate(questions, start=1), self._asked, strict=True)
        super().__init__(
            [
                part
                for (number, one), choices in rows
                for part in (note(f"<p>{number}. {escaped(one.ask)}</p>"), choices)
            ]
        )

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
        choices = dict(lettered(self._questions[number - 1].choices))
        if letter not in choices:
            raise OverlaylabError(f"Question {number} has no {letter!r}: {', '.join(choices)}.")
        hint = choices[letter][1]
        asked = self._asked[number - 1]
        asked.marks = {**asked.marks, letter: not hint}
        asked.says = [f"✗ {hint}" if hint else "✓ Right."]
        if not hint:
            asked.closed = True
            self._right.add(number)
            if len(self._right) == len(self._questions):
                record.add(f"{self._lesson}.quiz")
        return Verdict(not hint, hint)


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
