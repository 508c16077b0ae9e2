"""The state of a stack as a grid: a band for merged and each layer, a column for each path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from ..lookup import Lookup
from .fold import Column

State = Literal["absent", "visible", "hidden", "whiteout", "folded"]
News = Literal["", "changed", "now hidden"]


@dataclass(frozen=True)
class Cell:
    """What one layer has at one path.

    Attributes:
        text: the file's text if it is short, else its size; "dir"; a link's target.
        state: ``"absent"``, ``"visible"``, ``"hidden"``, ``"whiteout"`` (one that is itself
            hidden is hidden) or ``"folded"`` (several paths, and `text` says how many).
        mark: ``"opaque"``, ``"added"``, ``"metadata"``, ``"redirect"`` or ``""``.
        source: the number of the band that a copied-up file came from; 0 if it did not.
        answered_by: of a cell of merged, the number of the band whose entry it shows; 0 elsewhere.
        news: what the step that is drawn did to it.
    """

    text: str
    state: State
    mark: str = ""
    source: int = 0
    answered_by: int = field(default=0, compare=False)
    news: News = ""


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
        """This grid, with the cells marked that are not as in `before`.

        Both have to be about the same columns and bands, with an upper, and one view above it.
        """
        bands = [
            (
                name,
                [
                    replace(cell, news=_news(band, cell, old))
                    for cell, old in zip(cells, olds, strict=True)
                ],
            )
            for band, ((name, cells), (_, olds)) in enumerate(
                zip(self.bands, before.bands, strict=True)
            )
        ]
        return replace(self, bands=bands)


def _news(band: int, now: Cell, before: Cell) -> News:
    if band > 1:  # a lower never changes: what is done above can only hide what it has
        return "now hidden" if now.state == "hidden" != before.state else ""
    return "changed" if now != before else ""


def signs_used(grids: Iterable[Grid]) -> Set[str]:
    """Which signs occur: states, marks, what a step did, "copied up", "nothing" and "unseen"."""
    return {
        sign
        for grid in grids
        for band, (_, cells) in enumerate(grid.bands)
        for cell in cells
        for sign in (cell.state, cell.mark, cell.news, _more(cell, view=band < grid.views))
    }


def _more(cell: Cell, *, view: bool) -> str:
    if cell.state == "absent":
        return "unseen" if view else "nothing"
    return "copied up" if cell.source else ""
