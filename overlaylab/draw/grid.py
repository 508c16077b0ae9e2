"""The state of a stack as a grid: a band for merged and each layer, a column for each path."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from ..layer import Entry, Layer
from ..lookup import Asked, Lookup, lookup
from ..overlay import Overlay
from ..text import printable, shortened, size_text
from .fold import Column, fold

State = Literal["absent", "visible", "hidden", "whiteout", "folded"]

#: Columns drawn if the caller names no paths.
COLUMNS = 8
#: Characters of a file's text that are shown in a cell; a longer one shows its size.
_TEXT = 12


@dataclass(frozen=True)
class Cell:
    """What one layer has at one path.

    Attributes:
        text: the file's text if it is short, else its size; "dir"; a link's target.
        state: ``"absent"``, ``"visible"``, ``"hidden"``, ``"whiteout"`` (one that is itself
            hidden is hidden) or ``"folded"`` (several paths, and `text` says how many).
        mark: ``"opaque"``, ``"added"``, ``"metadata"``, ``"redirect"`` or ``""``.
        source: the number of the band that a copied-up file came from; 0 if it did not.
        changed: is this what the step that is drawn has changed?
    """

    text: str
    state: State
    mark: str = ""
    source: int = 0
    changed: bool = False


@dataclass(frozen=True)
class Grid:
    """Bands from the top: merged, upper, lowers.

    Attributes:
        paths: the columns' headings; a directory ends in ``/``.
        bands: name and cells of each band.
        columns: what each column is about.
        lookups: the look-up of each column's path; None for folded ones.
        probe: one of these, to be drawn.
        views: how many of the topmost bands are views of the layers beneath.
    """

    paths: Sequence[str]
    bands: Sequence[tuple[str, Sequence[Cell]]] = field(repr=False)
    columns: Sequence[Column] = field(default=(), repr=False)
    lookups: Sequence[Lookup | None] = field(default=(), repr=False, compare=False)
    probe: Lookup | None = field(default=None, repr=False)
    views: int = 1

    def without_hidden(self) -> Grid:
        """This grid without the entries that nobody sees."""
        nothing = Cell("", "absent")
        bands = [
            (name, [nothing if cell.state == "hidden" else cell for cell in cells])
            for name, cells in self.bands
        ]
        return replace(self, bands=bands)

    def since(self, before: Grid) -> Grid:
        """This grid, with the cells marked that differ from those of `before`.

        Both have to be about the same columns and bands.
        """
        bands = [
            (
                name,
                [replace(cell, changed=cell != old) for cell, old in zip(cells, olds, strict=True)],
            )
            for (name, cells), (_, olds) in zip(self.bands, before.bands, strict=True)
        ]
        return replace(self, bands=bands)


def all_columns(
    overlay: Overlay, limit: int = COLUMNS, shown: Mapping[str, int] | None = None
) -> list[Column]:
    """A column for each leaf of its trees; see :func:`.fold`."""
    walks = [list(layer.walk()) for layer in overlay.layers]
    wanted = leaves(walks[:1]) if overlay.writable else ()
    merged = Layer(overlay.merged, "merged", prefixes=()) if overlay.mounted else None
    return fold(leaves(walks, merged), limit, shown, set(wanted))


def read_grid(overlay: Overlay, columns: Sequence[Column]) -> Grid:
    """Read the state of `overlay` in `columns`."""
    layers = overlay.layers
    upper = layers[0] if overlay.writable else None
    read = [
        _folded(layers, column) if column.folded else _column(overlay, layers, upper, column.path)
        for column in columns
    ]
    names = ["merged", *(printable(layer.name) for layer in layers)]
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


def _folded(layers: Sequence[Layer], column: Column) -> _Read:
    """How many of the folded paths each layer has. Of merged only that it has some."""
    counts = [sum(layer.entry(path) is not None for path in column.folded) for layer in layers]
    cells = [_count(count) for count in counts]
    heading = f"{printable(column.path)}/" if column.path else ""
    merged = Cell("…", "folded")
    return f"{heading}… {len(column.folded):,} more", [merged, *cells], None


def _count(count: int) -> Cell:
    if not count:
        return Cell("", "absent")
    return Cell(f"{count:,} path{'s' if count > 1 else ''}", "folded")


def _column(overlay: Overlay, layers: Sequence[Layer], upper: Layer | None, path: str) -> _Read:
    found = lookup(layers, path)
    cells = []
    for layer, asked in zip(layers, found.asked, strict=True):
        entry, mark, source = asked.entry, "", 0
        if entry is not None and entry.metacopy:
            mark = "metadata"
        if asked.found == "opaque directory":
            mark = "opaque"
        if entry is not None and entry.kind == "directory" and entry.redirect is not None:
            mark = "redirect"
        if layer is upper and entry is not None:
            below = _below(overlay, found)
            if below is None and entry.kind != "whiteout":
                mark = mark if mark in ("metadata", "redirect") else "added"
            elif below is not None and _copied_up(entry, below[1]):
                source = below[0] + 2  # beneath the bands of merged and upper
        cells.append(_cell(layer, asked.at, entry, asked, mark, source))
    seen = next((cell for cell in cells if cell.state != "absent"), None)
    visible = seen if seen and seen.state == "visible" else None
    merged = Cell(visible.text, "visible") if visible else Cell("", "absent")
    if overlay.mounted:
        live = Layer(overlay.merged, "merged", prefixes=())
        now = live.entry(path)
        merged = Cell(_text(live, path, now), "visible") if now else Cell("", "absent")
    directory = any(asked.found in ("directory", "opaque directory") for asked in found.asked)
    return printable(path) + ("/" if directory else ""), [merged, *cells], found


def _below(overlay: Overlay, found: Lookup) -> tuple[int, Entry | None] | None:
    """The lower, and its entry, that merged would show without what upper has at the path."""
    for number, one in enumerate(found.asked[1:]):
        if one.found and one.at != found.path:  # a redirect leads there
            return number, one.entry
    beneath = lookup(overlay.lower, found.path)
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


def marks_used(cells: Iterable[Cell]) -> Set[str]:
    """Which of hidden, copied up, added, whiteout, opaque, metadata, redirect and changed occur."""
    return set(
        itertools.chain.from_iterable(
            (
                cell.state,
                cell.mark,
                "copied up" if cell.source else "",
                "changed" if cell.changed else "",
            )
            for cell in cells
        )
    )
