"""Questions at the end of a lesson, each wrong choice with a hint of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question with several answers, one of them right.

    Attributes:
        ask: the question.
        choices: answer and hint of each; the right one has the hint ``""``.
    """

    ask: str
    choices: Sequence[tuple[str, str]]
