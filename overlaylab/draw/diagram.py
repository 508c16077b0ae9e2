"""The diagram: what ``Overlay.diagram()`` returns and a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence

from ..overlay import Overlay
from .grid import Grid, read_grid
from .words import in_words


def diagram(overlay: Overlay, paths: Sequence[str] = ()) -> Diagram:
    """Draw the state that `overlay` has now; see :meth:`.Overlay.diagram`."""
    return Diagram(read_grid(overlay, paths))


class Diagram:
    """A picture of a stack as it was when this was made.

    A notebook shows it as SVG; ``print`` and ``str`` say the same in words.

    Attributes:
        grid (Grid): what is drawn.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

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
        bundle = {"text/plain": repr(self)}
        try:
            drawn = self.svg()
        except ImportError:  # the extra "course" is not installed
            drawn = None
        return bundle if drawn is None else {**bundle, "image/svg+xml": drawn}
