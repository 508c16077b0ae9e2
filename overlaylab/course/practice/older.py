"""Predict, run, compare: a question that is answered before the cell that answers it."""

from __future__ import annotations

import ipywidgets

from ...jupyter.widgets.picture import Widget, escaped, note
from ...text import Table


class Prediction(Widget):
    """A question's possible answers, one of which can be chosen.

    Args:
        choices: the answers; none for a question that is answered freely.
    """

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = choices
        self._verdict = note()
        if choices:
            self._answer = ipywidgets.RadioButtons(
                options=choices, value=None, layout={"width": "max-content"}
            )
        else:
            self._answer = ipywidgets.Text(placeholder="your prediction")
        super().__init__([self._answer, self._verdict])

    @property
    def answer(self) -> str | None:
        """What was chosen or typed; None for nothing."""
        return self._answer.value or None

    def face(self) -> dict[str, str]:
        """The choices, a line each."""
        rows = [(f"{chr(ord('a') + n)})", choice) for n, choice in enumerate(self._choices)]
        return {"text/plain": repr(Table(rows, empty="What do you predict?"))}

    def compare(self, actual: str) -> str:
        """Tell whoever predicted something what happened.

        Returns:
            A sentence; ``""`` if nothing was predicted.
        """
        self._answer.disabled = True
        if self.answer is None:
            return ""
        right = self.answer.split() == actual.split()
        verdict = "as you predicted" if right else f"you predicted: {self.answer}"
        sign = "✓" if right else "✗"
        self._verdict.value = f"<p>{sign} What happened: {escaped(actual)} ({escaped(verdict)})</p>"
        return verdict


class Outcome:
    """What happened, beside what was predicted.

    A comparison of outputs sees the same whether or not somebody predicted something: only
    what happened is in a notebook that ran by itself.
    """

    def __init__(self, actual: str, verdict: str) -> None:
        self._words = f"what happened: {actual}" + (f"\n{verdict}" if verdict else "")

    def __repr__(self) -> str:
        return self._words


_latest: list[Prediction] = []


def predict(*choices: str) -> Prediction:
    """Show the possible answers to a question. Decide, then run the next cell.

    Args:
        choices: the answers, in any order; none for a free answer.
    """
    _latest[:] = [Prediction(choices)]
    return _latest[0]


def happened(actual: object) -> Outcome:
    """Say what happened, and compare it with the latest prediction.

    Args:
        actual: what happened, in the words of the right choice.
    """
    text = str(actual)
    return Outcome(text, _latest[0].compare(text) if _latest else "")
