"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass


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
