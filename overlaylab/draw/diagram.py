"""The diagram: what ``Overlay.diagram()`` returns and a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence

from ..history import Step
from ..overlay import Overlay
from .figure import face
from .fold import Column, fold
from .grid import COLUMNS, Grid, all_columns, leaves, read_grid
from .words import in_words

#: What a picture says of who mounted the stack, so that nobody takes the one for the other.
_MOUNTED_BY = {
    "kernel": "A real overlay mount, made by the Linux kernel.",
    "emulated": "A stand-in, not a mount: '%overlay doctor' says why.",
}


def diagram(overlay: Overlay, paths: Sequence[str] = ()) -> Diagram:
    """Draw the state that `overlay` has now; see :meth:`.Overlay.diagram`."""
    grid = read_grid(overlay, [Column(path) for path in paths] or all_columns(overlay))
    lab = overlay.lab if overlay.mounted else None
    return Diagram(grid, "" if lab is None else _MOUNTED_BY[lab.backend.name])


def diagrams(overlay: Overlay, limit: int = COLUMNS) -> list[tuple[Step, Diagram]]:
    """Draw every step of the history of `overlay` that has a sketch.

    All have the same columns, so that they can be laid on one another, and each marks what
    changed since the one before.

    Args:
        overlay: its lab has to be open.
        limit: about how many columns there may be.
    """
    sketches = [(step, step.upper) for step in overlay.history if step.upper is not None]
    lower, prefixes = overlay.lower, overlay.prefixes
    stacks = [
        Overlay(overlay.name, lower, upper=upper.path, prefixes=prefixes) for _, upper in sketches
    ]
    uppers = [list(upper.walk()) for _, upper in sketches]
    lowers = [list(layer.walk()) for layer in overlay.lower]  # the same at every step
    changed = set[str]().union(*(leaves([upper]) for upper in uppers))
    every = changed.union(*(leaves([upper, *lowers]) for upper in uppers))
    columns = fold(sorted(every), limit, wanted=changed)
    grids = [read_grid(stack, columns) for stack in stacks]
    marked = [now.since(before) for before, now in zip(grids[:1] + grids, grids, strict=False)]
    return [(step, Diagram(grid)) for (step, _), grid in zip(sketches, marked, strict=True)]


class Diagram:
    """A picture of a stack as it was when this was made.

    A notebook shows it as SVG; ``print`` and ``str`` say the same in words.

    Attributes:
        grid (Grid): what is drawn.
        caption (str): what stands below the picture; the words are the same without it.
    """

    def __init__(self, grid: Grid, caption: str = "") -> None:
        self.grid = grid
        self.caption = caption

    def __repr__(self) -> str:
        return in_words(self.grid)

    @property
    def source(self) -> str:
        """The picture in Graphviz's DOT language."""
        from .svg import dot_source

        return dot_source(self.grid)

    def svg(self) -> str | None:
        """The picture as an ``<svg>`` element; None where there is no Graphviz to draw it."""
        from .svg import svg

        return svg(self.source, repr(self))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        try:
            drawn = self.svg()
        except ImportError:  # the extra "course" is not installed
            drawn = None
        return face(drawn, repr(self), self.caption)
