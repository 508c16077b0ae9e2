"""The cheat sheet: what an operation puts into upper, and what a commit of that stores.

No number of it is written down: each operation is run, on an overlay of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..changes import Changes
from ..lab import Lab
from ..text import Table, size_text
from .paper import TABLE_STYLE, page, table

_MIB = 1 << 20
#: The one layer below each operation.
LAYER = {"app.log": bytes(64 * _MIB), "data/a": bytes(_MIB), "data/b": bytes(_MIB)}
_OPERATIONS = {
    "read a file": "cat app.log > /dev/null",
    "append a byte": "printf x >> app.log",
    "open it for writing, write nothing": ": >> app.log",
    "change its mode": "chmod 600 app.log",
    "change its time": "touch app.log",
    "cut it to nothing": ": > app.log",
    "rename it": "mv app.log old.log",
    "give it a second name": "ln app.log same.log",
    "delete it": "rm app.log",
    "rename a directory": "mv data moved",
    "delete the files in a directory": "rm data/*",
    "delete a directory": "rm -r data",
    "delete a directory, make it again": "rm -r data; mkdir data",
    "make a new directory": "mkdir new",
    "write a new file": "echo hello > new",
    "write a new file, delete it": "echo hello > new; rm new",
}
_TITLE = "What an operation costs in an overlay"
_WORDS = (
    "Each line was run on an overlay of its own. Its one lower layer has app.log (64 MiB), data/a "
    "and data/b (1 MiB each). What upper gets is in the words of changes(); a commit stores the "
    "bytes of the files in upper. So does Docker with its store overlay2. With containerd's store "
    "it compares, and stores nothing of a file that was only opened."
)
_STYLE = """
.overlaylab-sheet td:nth-child(2), .overlaylab-sheet td:nth-child(3) {
  font-family: monospace; white-space: pre;
}
.overlaylab-sheet td:last-child, .overlaylab-sheet thead th:last-child {
  text-align: right; white-space: nowrap;
}
"""


class Cost(NamedTuple):
    """What an operation costs.

    Attributes:
        operation: what it does, in words.
        script: the shell script that does it.
        changes: what upper has after it; ``changes.stored`` is what a commit of that stores.
    """

    operation: str
    script: str
    changes: Changes


@dataclass(frozen=True, repr=False)
class CheatSheet:
    """The sheet, as words and as HTML.

    Attributes:
        costs: a line each.
    """

    costs: Sequence[Cost]

    def rows(self) -> list[list[str]]:
        """The table: headings, then a row for each operation; a cell may have several lines."""
        headings = ["to …", "for example", "upper gets", "a commit stores"]
        return [
            headings,
            *([one.operation, one.script, repr(one.changes), size_text(one.changes.stored)]
              for one in self.costs),
        ]  # fmt: skip

    def __repr__(self) -> str:
        lines = []
        for operation, script, changes, stored in self.rows():
            first, *more = changes.split("\n")
            lines.append([operation, script, first, stored])
            lines += [["", "", other, ""] for other in more]
        return f"{Table(lines)!r}\n\n{textwrap.fill(_WORDS, 100)}"

    def _repr_html_(self) -> str:
        return f"<style>{TABLE_STYLE}{_STYLE}</style>{table(self.rows())}<p>{_WORDS}</p>"

    def page(self) -> str:
        """The sheet as an HTML page that is one file, and one sheet of A4 when it is printed."""
        return page(_TITLE, f"{table(self.rows())}\n<p>{_WORDS}</p>", _STYLE)


def cheat_sheet() -> CheatSheet:
    """Run every operation of the sheet, and note what upper then has.

    Raises:
        OverlaylabError: no lab can be made here, or an operation failed.
    """
    costs = []
    with Lab("cheat-sheet") as lab:
        base = lab.layer("base", LAYER)
        for operation, script in _OPERATIONS.items():
            with lab.temporary("box", lower=[base]) as box:
                box.sh(script, check=True)
                costs.append(Cost(operation, script, box.changes()))
    return CheatSheet(costs)
