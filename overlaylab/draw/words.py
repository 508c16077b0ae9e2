"""A grid in words: the same picture for a terminal, a comparison or a screen reader."""

from __future__ import annotations

from collections.abc import Iterable

from .grid import Grid, signs_used

_LEGEND = {
    "hidden": "( ) hidden",
    "copied up": "↑ copied up from",
    "added": "+ added",
    "whiteout": "✕ whiteout",
    "opaque": "⊘ opaque",
    "metadata": "~ metadata only",
    "redirect": "↷ renamed, points below",
    "changed": "• changed in this step",
    "now hidden": "◦ now hidden",
    "nothing": "· nothing here",
    "unseen": "– not there for a process",
}

_SIGNS = {"opaque": "  ⊘", "metadata": "  ~", "redirect": "  ↷", "added": "  +"}
_NEWS = {"": "", "changed": "  •", "now hidden": "  ◦"}


def in_words(grid: Grid) -> str:
    """The grid as lines of text, with a legend for the signs that occur in it."""
    rows = [["", *grid.paths]]
    for band, (name, _) in enumerate(grid.bands):
        rows.append([name, *(cell_words(grid, band, n) for n in range(len(grid.paths)))])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += filter(None, ["   ".join(legend([grid]))])
    if grid.probe is not None:
        lines += ["", repr(grid.probe)]
    return "\n".join(lines)


def legend(grids: Iterable[Grid]) -> list[str]:
    """The signs that occur in the grids, each with what it means."""
    used = signs_used(grids)
    return [text for sign, text in _LEGEND.items() if sign in used]


def cell_words(grid: Grid, band: int, column: int) -> str:
    """A cell's text with its signs."""
    cell = grid.bands[band][1][column]
    if cell.state == "absent":
        text = "–" if band < grid.views else "·"
    else:
        text = cell.text + _SIGNS.get(cell.mark, "")
        if cell.source:
            text += f"  ↑{grid.bands[cell.source][0]}"
        if cell.state == "hidden":
            text = f"({text})"
    return text + _NEWS[cell.news]
