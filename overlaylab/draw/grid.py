"""The state of a stack as a grid: a band for merged and each layer, a column for each path."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from ..lookup import Lookup
from .fold import Column

State = Literal["absent", "visible", "hidden", "whiteout", "folded"]


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
