"""The state of a stack as a grid: a band for merged and each layer, a column for each path."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..layer import Entry, Layer
from ..lookup import Asked, lookup
from ..overlay import Overlay
from ..text import printable, size_text

State = Literal["absent", "visible", "hidden", "whiteout"]

#: Columns drawn if the caller names no paths.
COLUMNS = 8
#: Characters of a file's text that are shown in a cell; a longer one shows its size.
_TEXT = 12


@dataclass(frozen=True)
class Cell:
    """What one layer has at one path.

    Attributes:
        text: the file's text if it is short, else its size; "dir"; a link's target.
        state: ``"absent"``, ``"visible"``, ``"hidden"`` or ``"whiteout"``; a whiteout that is
            itself hidden is hidden.
        mark: ``"opaque"``, ``"added"``, ``"metadata"`` or ``""``.
        source: the number of the band that a copied-up file came from; 0 if it did not.
    """

    text: str
    state: State
    mark: str = ""
    source: int = 0


@dataclass(frozen=True)
class Grid:
    """Bands from the top: merged, upper, lowers.

    Attributes:
        paths: the columns' headings; a directory ends in ``/``.
        bands: name and cells of each band.
        more: how many paths are not shown.
    """

    paths: Sequence[str]
    bands: Sequence[tuple[str, Sequence[Cell]]] = field(repr=False)
    more: int = 0


def read_grid(overlay: Overlay, paths: Sequence[str]) -> Grid:
    """Read the state of `overlay` at `paths`; at all leaves of its trees if there are none."""
    layers = overlay.layers
    more = 0
    if not paths:
        every = _leaves(layers)
        paths, more = every[:COLUMNS], max(0, len(every) - COLUMNS)
    upper = layers[0] if overlay.writable else None
    columns = [_column(overlay, layers, upper, path) for path in paths]
    names = ["merged", *(printable(layer.name) for layer in layers)]
    bands = [(name, [cells[n] for _, cells in columns]) for n, name in enumerate(names)]
    return Grid([heading for heading, _ in columns], bands, more)


def _leaves(layers: Sequence[Layer]) -> list[str]:
    """The paths worth a column: whatever is no directory in some layer, and directories that
    are empty or opaque."""
    leaves: set[str] = set()
    parents: set[str] = set()
    cutting: set[str] = set()
    for layer in layers:
        for path, entry in layer.walk():
            leaves.add(path)
            parents.add(os.path.dirname(path))
            if entry.kind != "directory" or entry.opaque:
                cutting.add(path)
    return sorted((leaves - parents) | cutting)


def _column(
    overlay: Overlay, layers: Sequence[Layer], upper: Layer | None, path: str
) -> tuple[str, list[Cell]]:
    found = lookup(layers, path)
    cells = []
    for layer, asked in zip(layers, found.asked, strict=True):
        entry = layer.entry(path)
        mark, source = "", 0
        if entry is not None and entry.metacopy:
            mark = "metadata"
        if asked.found == "opaque directory":
            mark = "opaque"
        if layer is upper and entry is not None:
            below = lookup(overlay.lower, path).answering
            if below is None and entry.kind != "whiteout":
                mark = "added"
            elif below is not None and _copied_up(entry, overlay.lower[below].entry(path)):
                source = below + 2  # beneath the bands of merged and upper
        cells.append(_cell(layer, path, entry, asked, mark, source))
    seen = next((cell for cell in cells if cell.state != "absent"), None)
    visible = seen if seen and seen.state == "visible" else None
    merged = Cell(visible.text, "visible") if visible else Cell("", "absent")
    if overlay.mounted:
        live = Layer(overlay.merged, "merged")
        now = live.entry(path)
        merged = Cell(_text(live, path, now), "visible") if now else Cell("", "absent")
    directory = any(asked.found in ("directory", "opaque directory") for asked in found.asked)
    return printable(path) + ("/" if directory else ""), [merged, *cells]


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
        return "→ " + _short(os.readlink(layer.path / path))
    if entry.kind == "other":
        return "special"
    if entry.size == 0:
        return "empty"
    if entry.size <= _TEXT and not entry.metacopy:
        text = (layer.path / path).read_bytes().decode(errors="replace").rstrip("\n")
        if text and text.isprintable():
            return text
    return size_text(entry.size)


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def marks_used(cells: Iterable[Cell]) -> set[str]:
    """Which of hidden, copied up, added, whiteout, opaque and metadata occur."""
    return set(
        itertools.chain.from_iterable(
            (cell.state, cell.mark, "copied up" if cell.source else "") for cell in cells
        )
    )
