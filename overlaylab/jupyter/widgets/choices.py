"""A question's answers as buttons, one below the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import anywidget
import traitlets

from ...text import printable
from .picture import HERE

T = TypeVar("T")


class Choices(anywidget.AnyWidget):  # type: ignore[misc]
    """The answers, and what is said of the one that was chosen.

    Attributes:
        choices: letter and words of each.
        label: what a screen reader calls all of them.
        marks: letter → is it right? Only of those about which this is known.
        says: what is said, a paragraph each.
        closed: can nothing be chosen any more?
        unfolds: what is unfolded in the notebook once something is said: a class of ``<details>``.
    """

    _esm = HERE / "choices.js"
    _css = HERE / "choices.css"
    choices = traitlets.List([]).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    marks = traitlets.Dict({}).tag(sync=True)
    says = traitlets.List([]).tag(sync=True)
    closed = traitlets.Bool(False).tag(sync=True)
    unfolds = traitlets.Unicode("").tag(sync=True)

    @classmethod
    def of(cls, words: Sequence[str], label: str, *, unfolds: str = "") -> Choices:
        """The answers `words`, lettered from a."""
        choices = [(letter, printable(one)) for letter, one in lettered(words)]
        return cls(choices=choices, label=label, unfolds=unfolds)

    def on_choice(self, act: Callable[[str], object]) -> None:
        """Call `act` with the letter that is chosen."""

        def received(_: object, content: dict[str, str], __: object) -> None:
            letter = content.get("chosen", "")
            if not self.closed and letter in dict(self.choices):
                act(letter)

        self.on_msg(received)


def lettered(answers: Sequence[T]) -> list[tuple[str, T]]:
    """Each of the `answers` with its letter, from a."""
    return [(chr(ord("a") + number), one) for number, one in enumerate(answers)]
