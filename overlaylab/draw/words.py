"""A grid in words: the same picture for a terminal, a comparison or a screen reader."""

from __future__ import annotations

from .grid import Cell, Grid, marks_used

_LEGEND = {
    "hidden": "( ) hidden",
    "copied up": "↑ copied up from",
    "added": "+ added",
    "whiteout": "✕ whiteout",
    "opaque": "⊘ opaque",
    "metadata": "~ metadata only",
}


def in_words(grid: Grid) -> str:
    """The grid as lines of text, with a legend for the signs that occur in it."""
    rows = [["", *grid.paths]]
    for name, cells in grid.bands:
        rows.append([name, *(cell_words(cell, merged=name == "merged") for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if grid.more:
        lines.append(f"… {grid.more} more paths")
    used = marks_used(cell for _, cells in grid.bands for cell in cells)
    legend = [text for sign, text in _LEGEND.items() if sign in used]
    return "\n".join([*lines, *(["   ".join(legend)] if legend else [])])


def cell_words(cell: Cell, *, merged: bool = False) -> str:
    """A cell's text with its signs."""
    if cell.state == "absent":
        return "–" if merged else "·"
    text = cell.text
    if cell.mark == "opaque":
        text += "  ⊘"
    elif cell.mark == "metadata":
        text += "  ~"
    elif cell.mark == "added":
        text += "  +"
    if cell.source:
        text += f"  ↑{cell.source}"
    return f"({text})" if cell.state == "hidden" else text
