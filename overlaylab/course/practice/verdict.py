"""What a check says, and the text of a solution."""

from __future__ import annotations

import html
from dataclasses import dataclass

from . import record


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        done: is the exercise solved?
        hint: what to look at, if it is not.
    """

    done: bool
    hint: str = ""

    def __repr__(self) -> str:
        return "done" if self.done else f"not yet: {self.hint}"


def passed(name: str) -> Verdict:
    """The verdict on an exercise that is solved; it is noted in the learner's record."""
    record.add(name)
    return Verdict(True)


class Solution(str):
    """One way to do an exercise. A notebook shows it folded."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return (
            f"<details><summary>one way to do it</summary><pre>{html.escape(self)}</pre></details>"
        )
