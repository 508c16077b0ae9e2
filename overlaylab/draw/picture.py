"""The picture of a stack: what ``Overlay.diagram()`` returns and a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import face
from .grid import Grid
from .words import in_words


class Diagram:
    """A picture of a stack as it was when this was made.

    A notebook shows it as SVG; ``print`` and ``str`` say the same in words.

    Attributes:
        grid (Grid): what is drawn.
        caption (str): what stands below the picture; the words are the same without it.
        series (Sequence[Grid]): what is shown in its place at other times, about the same columns
            and bands: the pictures of all of them have one layout.
    """

    def __init__(self, grid: Grid, caption: str = "", series: Sequence[Grid] = ()) -> None:
        self.grid = grid
        self.caption = caption
        self.series = series

    def __repr__(self) -> str:
        return in_words(self.grid)

    @property
    def source(self) -> str:
        """The picture in Graphviz's DOT language."""
        from .svg import dot_source

        return dot_source(self.grid, self.series)

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
