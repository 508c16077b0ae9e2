"""A diagram as a live picture: what the widgets that show a stack have in common."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from ...draw.picture import Diagram
from ...draw.words import cell_words
from ...text import printable

HERE = Path(__file__).parent


class Picture(anywidget.AnyWidget):  # type: ignore[misc]
    """An SVG in the page, whose cells can be chosen with the mouse or the keyboard.

    Attributes:
        svg: one ``<svg>`` element.
        words: the same in words, for where it cannot be drawn.
        labels: the cells that can be chosen, ``"h0"`` or ``"c1_0"``, and what a screen reader
            says of each.
        chosen: the one that is chosen.
    """

    _esm = HERE / "picture.js"
    _css = HERE / "picture.css"
    svg = traitlets.Unicode("").tag(sync=True)
    words = traitlets.Unicode("").tag(sync=True)
    labels = traitlets.Dict({}).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)

    def show(self, diagram: Diagram, *, choosable: bool = False, chosen: str = "") -> None:
        """Show another diagram.

        Args:
            diagram: what to show.
            choosable: can its cells be chosen?
            chosen: the cell that is.
        """
        self.words = repr(diagram)
        self.labels = _labels(diagram) if choosable else {}
        self.chosen = chosen
        self.svg = diagram.svg() or ""

    def on_choice(self, act: Callable[[int | None, int], None]) -> None:
        """Call `act` with the band (None for the heading) and the column that is chosen."""

        def received(_: object, content: dict[str, str], __: object) -> None:
            name = content.get("chosen", "")
            if name in self.labels:
                band, _, column = name[1:].rpartition("_")
                act(int(band) if band else None, int(column))

        self.on_msg(received)


def _labels(diagram: Diagram) -> dict[str, str]:
    grid = diagram.grid
    labels = {}
    for column, path in enumerate(grid.paths):
        labels[f"h{column}"] = path
        for band, (name, _) in enumerate(grid.bands):
            labels[f"c{band}_{column}"] = f"{path} in {name}: {cell_words(grid, band, column)}"
    return labels


class Widget(ipywidgets.VBox):  # type: ignore[misc]
    """A widget with a static face: the picture and the words that remain without a kernel.

    Whoever opens the notebook without one (GitHub, nbviewer, an HTML export) sees these.
    """

    def face(self) -> dict[str, str]:
        """The static face: text, and a picture if there is one."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**kwargs), **self.face()}


def note(words: str = "") -> ipywidgets.HTML:
    """A place for text; give it HTML as its ``value``."""
    widget = ipywidgets.HTML(words)
    widget.add_class("overlaylab-note")
    return widget


def checkbox(words: str, value: bool) -> ipywidgets.Checkbox:
    """A box to tick, as wide as its words."""
    return ipywidgets.Checkbox(
        value=value, description=words, indent=False, layout={"width": "auto", "margin": "2px 12px"}
    )


def escaped(text: str) -> str:
    """A name as HTML: on one line, and nothing in it is markup."""
    return html.escape(printable(text))
