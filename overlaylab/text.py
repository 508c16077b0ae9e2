"""How numbers, names and tables are written, the same everywhere."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

#: Characters of a cell that stay on one line, such as those of a size.
_SHORT = 12
_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def size_text(size: int) -> str:
    """A size in bytes, exactly: ``7 B``, ``64 MiB``, ``64 MiB + 1 B``, ``54,413,003 B``."""
    for unit, factor in _UNITS:
        whole, rest = divmod(size, factor)
        if whole and rest < 1024:
            return f"{whole:,} {unit}" + (f" + {rest} B" if rest else "")
        if whole and rest % 1024:
            break
    return f"{size:,} B"


#: How sizes are written for people: in the units of Docker and of disks, in those of the course
#: and of memory, or exactly.
SizeUnits = Literal["decimal", "binary", "bytes"]
_HUMAN: dict[SizeUnits, tuple[int, Sequence[str]]] = {
    "decimal": (1000, ("B", "kB", "MB", "GB", "TB", "PB")),
    "binary": (1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB")),
}


def human_text(size: int, units: SizeUnits = "decimal") -> str:
    """A size in bytes as people read it, in three digits: ``7 B``, ``2.90 MB``, ``1.02 GiB``.

    Args:
        size: the bytes.
        units: ``"decimal"`` as Docker prints sizes, ``"binary"``, or ``"bytes"`` for all digits.
    """
    if units == "bytes":
        return f"{size:,} B"
    step, names = _HUMAN[units]
    value, place = float(size), 0
    while round(value) >= step and place < len(names) - 1:
        value, place = value / step, place + 1
    decimals = 0 if not place or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{decimals}f} {names[place]}"


def printable(name: str) -> str:
    r"""`name` on one line: a newline as ``\n``, a byte that is no UTF-8 as ``\xff``."""
    if name.isprintable():
        return name
    return "".join(
        c
        if c.isprintable()
        else f"\\x{ord(c) - 0xDC00:02x}"
        if 0xDC80 <= ord(c) <= 0xDCFF
        else c.encode("unicode_escape").decode()
        for c in name
    )


def escaped(text: str) -> str:
    """`text` on one line, as HTML that shows it: nothing in it is markup."""
    return html.escape(printable(text))


def shortened(text: str, most: int) -> str:
    """`text` with ``…`` for what goes beyond `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def clipped(text: str, most: int) -> str:
    """`text` with ``…`` in its middle if it is longer than that: its end says what to do."""
    half = most // 2
    return text if len(text) <= most else f"{text[: half - 1]}…{text[-half:]}"


def listed(names: Collection[str], none: str) -> str:
    """The first ten of `names`, and how many more there are; `none` if there are none."""
    first = ", ".join(map(printable, list(names)[:10]))
    more = len(names) - 10
    return (f"{first} and {more} more" if more > 0 else first) or none


@dataclass(frozen=True)
class Table:
    """Rows of text in columns; being shown is all it can do.

    Attributes:
        rows: the cells of each row, as many in each.
        empty: what to print when there are none.
        headed: is the first row a heading?
    """

    rows: Sequence[Sequence[str]]
    empty: str = ""
    headed: bool = False

    def __repr__(self) -> str:
        if not self.rows:
            return self.empty
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in self.rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def html(self) -> str:
        """The same for a page: long cells wrap, and what is still wider scrolls in itself.

        The styles are in the elements: JupyterLab takes others away before a notebook is trusted.
        """
        rows = []
        for number, row in enumerate(self.rows):
            name = "th" if self.headed and number == 0 else "td"
            cells = "".join(
                f'<{name} style="text-align:left;vertical-align:top;'
                f'white-space:{"pre" if len(cell) <= _SHORT else "pre-wrap"}">'
                f"{escaped(cell)}</{name}>"
                for cell in row
            )
            rows.append(f"<tr>{cells}</tr>")
        if not rows:
            return f"<p>{html.escape(self.empty)}</p>"
        return (
            '<div style="overflow-x:auto"><table style="margin-left:0">'
            f"{''.join(rows)}</table></div>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": repr(self), **({"text/html": self.html()} if self.rows else {})}


class Tabular:
    """Something that is shown as a table."""

    def _table(self) -> Table:
        raise NotImplementedError

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self._table()._repr_mimebundle_()
