"""A diagram as a live picture: what the widgets that show a stack have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from ...draw.picture import Diagram
from ...draw.theme import dark_rules
from ...draw.words import cell_words
from ..cells import running_cell

HERE = Path(__file__).parent
#: How JupyterLab says that its theme is dark.
_DARK = 'body[data-jp-theme-light="false"]'


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
    _css = (HERE / "picture.css").read_text() + (
        f"{_DARK} .overlaylab-picture {{ {dark_rules()} }}\n"
    )
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
            words = f"{path} in {name}: {cell_words(grid, band, column)}"
            if answering := grid.bands[band][1][column].answered_by:
                words += f", from {grid.bands[answering][0]}"
            labels[f"c{band}_{column}"] = words
    return labels


class Widget(ipywidgets.VBox):  # type: ignore[misc]
    """A widget with a static face: the picture and the words that remain without a kernel.

    Whoever opens the notebook without one (GitHub, nbviewer, an HTML export) sees these. Jupyter
    shows the widget as it was when the notebook was saved, and that is said below it.

    Args:
        children: the widgets that it consists of, from the top down.
    """

    def __init__(self, children: Sequence[ipywidgets.Widget]) -> None:
        style = ipywidgets.HTML(f"<style>{_WITHOUT_KERNEL}</style>", layout={"display": "none"})
        super().__init__([*children, style])
        self.add_class("overlaylab-widget")
        _close_older(self)

    def face(self) -> dict[str, str]:
        """The static face: text, and a picture if there is one."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**kwargs), **self.face()}


#: Notebook cell → the run of it that made widgets last, and these.
_made: dict[str, tuple[str, list[Widget]]] = {}


def _close_older(widget: Widget) -> None:
    """Close what an earlier run of this cell made: a notebook is saved with all that is open."""
    running = running_cell()
    if running is None:
        return
    cell, run = running
    before, widgets = _made.get(cell, (run, []))
    if before != run:
        for one in widgets:
            _close(one)
        widgets = []
    _made[cell] = (run, [*widgets, widget])


def _close(widget: ipywidgets.Widget) -> None:
    for value in widget.trait_values().values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ipywidgets.Widget):
                _close(part)
    widget.close()


#: Jupyter puts a red sign at each part of a widget that no kernel answers for.
_WITHOUT_KERNEL = """
.overlaylab-widget.jupyter-widgets-disconnected::before,
.overlaylab-widget .jupyter-widgets-disconnected::before { display: none; }
.overlaylab-widget.jupyter-widgets-disconnected::after {
  content: "As it was when this notebook was saved. Run the cell to use it.";
  color: var(--jp-ui-font-color1, #1f2328); font-size: var(--jp-ui-font-size1, 13px);
}
"""


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


def controls(*widgets: ipywidgets.Widget) -> ipywidgets.HBox:
    """Widgets beside one another, as far as the page is wide."""
    return ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap"})
