"""What a check says, and the text of a solution."""

from __future__ import annotations

import html
from dataclasses import dataclass

from . import contents, record


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        done: is the exercise solved?
        hint: what to look at, if it is not; what it has shown, if it is.
    """

    done: bool
    hint: str = ""

    def __repr__(self) -> str:
        says = "done" if self.done else "not yet"
        return f"{says}: {self.hint}" if self.hint else says


def passed(name: str) -> Verdict:
    """The verdict on an exercise that is solved; it is noted in the learner's record.

    It says what the exercise has shown, and a short way to do it where there is one.
    """
    record.add(name)
    lesson, _, number = name.partition(".")
    given = contents.text(lesson).get("exercises", {}).get(number, {})
    said = str(given.get("shown", ""))
    return Verdict(True, f"{said}\nA short way: {given['short']}" if "short" in given else said)


class Solution(str):
    """One way to do an exercise. A notebook shows it folded."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return (
            f"<details><summary>one way to do it</summary><pre>{html.escape(self)}</pre></details>"
        )
