"""Reading a stack for its pictures: which paths they show, and what each layer has there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from .draw.fold import Column, fold
from .draw.grid import Cell, Grid
from .draw.picture import Diagram
from .history import History, Step
from .layer import Entry, Layer
from .lookup import Asked, Lookup, lookup
from .stack import Stack
from .text import printable, shortened, size_text

#: Columns drawn if the caller names no paths.
COLUMNS = 8
#: Characters of a file's text that are shown in a cell; a longer one shows its size.
_TEXT = 12

#: What a picture says of who mounted the stack, so that nobody takes the one for the other.
_MOUNTED_BY = {
    "kernel": "A real overlay mount, made by the Linux kernel.",
    "emulated": "A stand-in, not a mount: '%overlay doctor' says why.",
    "": "",
}


def diagram(stack: Stack, paths: Sequence[str] = (), *, of_upper: bool = False) -> Diagram:
    """Draw `stack`; see :meth:`.Overlay.diagram`.

    Args:
        stack: what to draw.
        paths: a column for each; for what fits if there are none.
        of_upper: rather for what upper has than for all, if it has anything: an image has more
            than a picture can.
    """
    stack = stack.remembering()
    columns = [Column(path) for path in paths]
    if not columns and of_upper and stack.upper is not None:
        columns = fold(leaves([stack.upper.walk()]), COLUMNS)
    grid = read_grid(stack, columns or all_columns(stack))
    return Diagram(grid, _MOUNTED_BY[stack.mounted_by])


def diagrams(
    history: History, lower: Sequence[Layer], limit: int = COLUMNS
) -> list[tuple[Step, Diagram]]:
    """Draw every step of a history that has a sketch.

    All have one layout, so that they can be laid on one another, and each marks what changed
    and what was hidden since the one before.

    Args:
        history: its sketches have to be there still.
        lower: the layers below them, the top one first.
        limit: about how many columns there may be.
    """
    lowers = [layer.remembering() for layer in lower]  # the same at every step
    sketches = [(step, step.upper.remembering()) for step in history if step.upper is not None]
    uppers = [list(upper.walk()) for _, upper in sketches]
    walks = [list(layer.walk()) for layer in lowers]
    changed = set[str]().union(*(leaves([upper]) for upper in uppers))
    every = changed.union(*(leaves([upper, *walks]) for upper in uppers))
    columns = fold(sorted(every), limit, wanted=changed)
    stacks = [Stack("", [upper, *lowers], writable=True) for _, upper in sketches]
    grids = [read_grid(stack, columns) for stack in stacks]
    marked = [now.since(before) for before, now in zip(grids[:1] + grids, grids, strict=False)]
    return [
        (step, Diagram(grid, series=marked))
        for (step, _), grid in zip(sketches, marked, strict=True)
    ]


def all_columns(
    stack: Stack, limit: int = COLUMNS, shown: Mapping[str, int] | None = None
) -> list[Column]:
    """A column for each leaf of its trees; see :func:`.fold`."""
    walks = [list(layer.walk()) for layer in stack.layers]
    wanted = leaves(walks[:1]) if stack.writable else ()
    return fold(leaves(walks, stack.merged), limit, shown, set(wanted))


def read_grid(stack: Stack, columns: Sequence[Column]) -> Grid:
    """Read the state of `stack` in `columns`."""
    read = [
        _folded(stack, column) if column.folded else _column(stack, column.path)
        for column in columns
    ]
    names = ["merged", *(printable(layer.name) for layer in stack.layers)]
    bands = [(name, [cells[n] for _, cells, _ in read]) for n, name in enumerate(names)]
    headings, lookups = [one[0] for one in read], [one[2] for one in read]
    return Grid(headings, bands, columns, lookups)


def leaves(walks: Iterable[Iterable[tuple[str, Entry]]], merged: Layer | None = None) -> list[str]:
    """The paths worth a column: whatever is no directory in some layer, and directories that
    are empty, opaque or renamed. What is in a renamed one has its path in `merged` alone.

    Args:
        walks: what :meth:`.Layer.walk` gives for each layer.
        merged: the mounted view, if there is one.
    """
    every: set[str] = set()
    parents: set[str] = set()
    cutting: set[str] = set()
    renamed: set[str] = set()
    for walk in walks:
        for path, entry in walk:
            every.add(path)
            parents.add(os.path.dirname(path))
            if entry.kind != "directory" or entry.opaque or entry.redirect is not None:
                cutting.add(path)
            if entry.kind == "directory" and entry.redirect is not None:
                renamed.add(path)
    if merged is not None:
        for directory in renamed:
            place = merged.path / directory
            for path, _ in Layer(place).walk() if place.is_dir() else ():
                every.add(f"{directory}/{path}")
                parents.add(os.path.dirname(f"{directory}/{path}"))
    return sorted((every - parents) | cutting)


#: A column: its heading, its cells from the top, and the look-up behind them.
_Read = tuple[str, list[Cell], Lookup | None]


def _folded(stack: Stack, column: Column) -> _Read:
    """How many of the folded paths each layer has. Of merged only that it has some."""
    counts = [
        sum(layer.entry(path) is not None for path in column.folded) for layer in stack.layers
    ]
    cells = [_count(count) for count in counts]
    heading = f"{printable(column.path)}/" if column.path else ""
    merged = Cell("…", "folded")
    return f"{heading}… {len(column.folded):,} more", [merged, *cells], None


def _count(count: int) -> Cell:
    if not count:
        return Cell("", "absent")
    return Cell(f"{count:,} path{'s' if count > 1 else ''}", "folded")


def _column(stack: Stack, path: str) -> _Read:
    found = stack.lookup(path)
    cells = []
    for layer, asked in zip(stack.layers, found.asked, strict=True):
        entry, mark, source = asked.entry, "", 0
        if entry is not None and entry.metacopy:
            mark = "metadata"
        if asked.found == "opaque directory":
            mark = "opaque"
        if entry is not None and entry.kind == "directory" and entry.redirect is not None:
            mark = "redirect"
        if layer is stack.upper and entry is not None:
            below = _below(stack, found)
            if below is None and entry.kind != "whiteout":
                mark = mark if mark in ("metadata", "redirect") else "added"
            elif below is not None and _copied_up(entry, below[1]):
                source = below[0] + 2  # beneath the bands of merged and upper
        cells.append(_cell(layer, asked.at, entry, asked, mark, source))
    seen = next((cell for cell in cells if cell.state != "absent"), None)
    text = seen.text if seen and seen.state == "visible" else None
    if stack.merged is not None:
        now = stack.merged.entry(path)
        text = _text(stack.merged, path, now) if now else None
    band = 0 if found.answering is None else found.answering + 1  # beneath the band of merged
    merged = Cell("", "absent") if text is None else Cell(text, "visible", answered_by=band)
    directory = any(asked.found in ("directory", "opaque directory") for asked in found.asked)
    return printable(path) + ("/" if directory else ""), [merged, *cells], found


def _below(stack: Stack, found: Lookup) -> tuple[int, Entry | None] | None:
    """The lower, and its entry, that merged would show without what upper has at the path."""
    for number, one in enumerate(found.asked[1:]):
        if one.found and one.at != found.path:  # a redirect leads there
            return number, one.entry
    beneath = lookup(stack.lower, found.path)
    answering = beneath.answering
    return None if answering is None else (answering, beneath.asked[answering].entry)


def _copied_up(entry: Entry, below: Entry | None) -> bool:
    """Was this file of upper copied from `below`, and not made new over it?

    The kernel notes the origin of a copy, but not of one of several links to a file
    (Documentation/filesystems/overlayfs.rst, "Non-standard behavior", b).
    """
    several_links = below is not None and below.stat.st_nlink > 1
    return entry.kind == "file" and (entry.origin or several_links)


def _cell(
    layer: Layer, path: str, entry: Entry | None, asked: Asked, mark: str, source: int
) -> Cell:
    if entry is None:
        return Cell("", "absent")
    text = _text(layer, path, entry)
    if asked.role == "hidden":
        return Cell(text, "hidden", mark)
    if entry.kind == "whiteout":
        return Cell(text, "whiteout")
    return Cell(text, "visible", mark, source)


def _text(layer: Layer, path: str, entry: Entry | None) -> str:
    if entry is None:
        return ""
    if entry.kind == "whiteout":
        return "✕"
    if entry.kind == "directory":
        return "dir"
    if entry.kind == "symlink":
        return "→ " + shortened(printable(os.readlink(layer.path / path)), _TEXT)
    if entry.kind == "other":
        return "special"
    if entry.size == 0:
        return "empty"
    if entry.size <= _TEXT and not entry.metacopy:
        text = (layer.path / path).read_bytes().decode(errors="replace").rstrip("\n")
        if text and text.isprintable():
            return text
    return size_text(entry.size)
