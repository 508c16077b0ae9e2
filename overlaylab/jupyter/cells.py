"""Run code as a cell does, and keep what it shows instead of showing it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from IPython import get_ipython
from IPython.utils.capture import CapturedIO, capture_output


class Shown(Exception):
    """A cell has failed, and its error is on the page already: nothing more is to be shown."""


@dataclass(frozen=True)
class Ran:
    """What a piece of a cell did.

    Attributes:
        value: that of its last line, if this is an expression.
        failed: did it end with an error?
    """

    value: object
    failed: bool
    _captured: CapturedIO
    _shell: Any
    _error: tuple[Any, ...] | None

    def replay(self) -> None:
        """Show what it showed, and its error.

        Raises:
            Shown: there was one, so that the cell counts as failed.
        """
        self._captured.show()
        if self._error is not None:
            self._shell._showtraceback(*self._error)
        if self.failed:
            raise Shown

    def outputs(self) -> list[dict[str, Any]]:
        """What it showed, in the notebook's format."""
        streams = {"stdout": self._captured.stdout, "stderr": self._captured.stderr}
        found: list[dict[str, Any]] = [
            {"output_type": "stream", "name": name, "text": text}
            for name, text in streams.items()
            if text
        ]
        for one in self._captured.outputs:
            data, metadata = one._repr_mimebundle_()
            found.append({"output_type": "display_data", "data": data, "metadata": metadata})
        return found

    def words(self) -> str:
        """The same as text, without the newline at the end."""
        texts = [one.get("text") or one["data"].get("text/plain", "") for one in self.outputs()]
        return "\n".join(text.rstrip("\n") for text in texts)


def running_cell() -> tuple[str, str] | None:
    """The cell that runs now, and which run of it; None where no notebook tells.

    JupyterLab and Notebook 7 send ``cellId`` with what is to be executed.
    """
    parent = getattr(get_ipython(), "parent_header", {})
    cell, message = parent.get("metadata", {}).get("cellId"), parent.get("header", {})
    return (cell, message.get("msg_id", "")) if cell else None


def run(shell: Any, cell: str) -> Ran:
    """Run `cell` in the notebook's namespace.

    Args:
        shell: IPython's.
        cell: source, as it would be in a cell: magics work.
    """
    errors: list[tuple[Any, ...]] = []
    # An error is the only output that ipykernel sends past what is captured.
    with (
        patch.object(shell, "_showtraceback", lambda *error: errors.append(error)),
        capture_output() as captured,
    ):
        keep, values = sys.displayhook, list[object]([None])

        def show(value: object) -> None:
            values.append(value)
            keep(value)

        with patch.object(sys, "displayhook", show):
            failed = not shell.run_cell(cell, store_history=False).success
    return Ran(values[-1], failed, captured, shell, errors[-1] if errors else None)
